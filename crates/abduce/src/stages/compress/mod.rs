//! Training of information-ordered bottlenecks on files, and what is kept of it.

mod data;

pub use data::{read, rows};

use super::inputs::make_folder;
use crate::error::Error;
use crate::progress::TrainingProgress;
use crate::session::Session;
use abduce_bottleneck::baseline::{Grown, PrincipalAxes, separate};
use abduce_bottleneck::{Bottleneck, Compressor, Fit, Head, ModelSpec, Net, Plan, Rows, Schedule, Summary, Weights, fit};
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, RowSet, Scaling, Seed, Split, npz};
use abduce_density::DensitySpec;
use abduce_inference::training::Observer as _;
use abduce_nn::ActivationName;
use abduce_nn::trainer::{self, TrainConfig};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The model in the folder of a training.
pub const MODEL: &str = "model.safetensors";
/// A [`Losses`] in that folder.
pub const LOSSES: &str = "losses.json";
/// The held-out losses one by one: `losses` (trainings, widths, rows), `widths`, for squared errors `mean_losses` (rows) of the training rows' mean and
/// `pca_losses` (widths, rows), and `rows`, the numbers of the rows where they are part of the data.
pub const ROW_LOSSES: &str = "losses.npz";
/// Part of the rows held out to measure the losses on, and part of the others to stop and choose by.
const HELD_OUT: f64 = 0.1;

/// What outputs are scored by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum HeadName {
    /// Mean squared error.
    Mse,
    /// Binary cross-entropy of numbers between 0 and 1.
    Bce,
    /// Cross-entropy of classes.
    CrossEntropy,
    /// Gaussian with learned variances.
    Gaussian,
    /// A masked autoregressive flow.
    Flow,
}

/// A further model to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// None.
    None,
    /// A code grown latent by latent.
    Grown,
}

/// What to train, and where.
#[derive(Clone, Debug)]
pub struct Training {
    /// Rows of data.
    pub data: PathBuf,
    /// Targets, where they are not the data.
    pub target: Option<PathBuf>,
    /// Rows to measure on, where they are not part of the data.
    pub test: Option<PathBuf>,
    /// Their targets.
    pub test_target: Option<PathBuf>,
    /// Folder for what is written.
    pub out: PathBuf,
    /// Latents K.
    pub latents: usize,
    /// Widths of the encoder's hidden layers.
    pub encoder: Vec<usize>,
    /// Widths of the decoder's hidden layers.
    pub decoder: Vec<usize>,
    /// Channels of convolutions before the encoder's hidden layers, and in reverse behind the decoder's; none for fully connected networks.
    pub conv: Vec<usize>,
    /// Activation behind each.
    pub activation: ActivationName,
    /// Loss.
    pub head: HeadName,
    /// How much each width counts.
    pub weights: Weights,
    /// Which widths a step sees.
    pub schedule: Schedule,
    /// Scale of the data; by their shape if `None`.
    pub scaling: Option<Scaling>,
    /// Epochs.
    pub epochs: usize,
    /// First learning rate.
    pub learning_rate: f32,
    /// Rows per step.
    pub batch: usize,
    /// Trainings.
    pub repeats: usize,
    /// Widths to train for alone.
    pub separate: Vec<usize>,
    /// Whether to grow a code too.
    pub grown: Baseline,
    /// Seed of everything.
    pub seed: u64,
}

/// What a model was trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// To give its data back.
    Reconstruction,
    /// To predict targets.
    Prediction,
}

/// Mean held-out losses: `losses.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// What was trained for.
    pub task: Task,
    /// The head's name.
    pub head: String,
    /// Mean loss per training and width 0..K, on the scale that the networks see.
    pub ordered: Vec<Vec<f64>>,
    /// Standard errors over the held-out rows.
    pub standard_errors: Vec<Vec<f64>>,
    /// Which training was kept.
    pub kept: usize,
    /// That of the training rows' mean: the variance, for squared errors.
    pub mean: Option<f64>,
    /// Of principal axes at each width, for squared errors of the data themselves.
    pub principal: Option<Vec<f64>>,
    /// Of the same networks trained for one width alone: (width, loss).
    pub separate: Vec<(usize, f64)>,
    /// Of a code grown latent by latent, at widths 1..K.
    pub grown: Option<Vec<f64>>,
    /// Held-out rows.
    pub rows: usize,
    /// Mean validation loss per epoch and width of the training that was kept; null where no row had that width.
    pub history: Vec<Vec<Option<f64>>>,
}

/// The model in a folder, or a file of its own.
pub fn load(path: &Path) -> Result<Compressor, Error> {
    let path = if path.is_dir() { path.join(MODEL) } else { path.to_path_buf() };
    Ok(Compressor::load(&path)?)
}

/// A part of the data: scaled rows.
struct Part {
    x: Vec<f32>,
    y: Option<Vec<f32>>,
}

impl Part {
    fn rows(&self) -> Rows<'_> {
        Rows { x: &self.x, y: self.y.as_deref() }
    }
}

/// Trains, measures and writes; gives the model's path.
pub fn train(session: &Session, request: &Training) -> Result<PathBuf, Error> {
    let (x, columns) = read(&request.data)?;
    let y = request.target.as_ref().map(|path| read(path)).transpose()?.map(|(y, _)| y);
    let spec = spec(request, &x, y.as_ref())?;
    if let Some(width) = request.separate.iter().find(|&&width| width == 0 || width > spec.latents) {
        return Err(Error::failed(format!("--separate {width} is no width from 1 to {}", spec.latents), "give widths of the code"));
    }
    let n = x.rows();
    if y.as_ref().is_some_and(|y| y.rows() != n) {
        let targets = y.as_ref().map_or(0, Array::rows);
        return Err(Error::failed(format!("there are {n} rows of data but {targets} of targets"), "a target belongs to each row"));
    }
    let seed = Seed(request.seed);
    let all = RowSet::all(n);
    let (known, test_rows) = match request.test {
        Some(_) => (all, Vec::new()),
        None => {
            let split = Split::by_fraction(&all, HELD_OUT, seed.derive("test", 0))?;
            (split.train, split.validation.iter().collect::<Vec<usize>>())
        }
    };
    let split = Split::by_fraction(&known, HELD_OUT, seed.derive("validation", 0))?;
    let [training, validation] = [&split.train, &split.validation].map(|rows| rows.iter().collect::<Vec<usize>>());

    let images = x.row_shape().len() > 1;
    let scaling = request.scaling.unwrap_or(if images { Scaling::Structured } else { Scaling::Independent });
    let own = y.as_ref().unwrap_or(&x);
    let rows_of = |array: &'_ Array| training.iter().map(|&row| array.row(row).to_vec()).collect::<Vec<_>>();
    let (chosen, chosen_targets) = (rows_of(&x), rows_of(own));
    let known_rows = chosen.iter().map(Vec::as_slice);
    let (x_scale, y_scale) = Compressor::scales(&spec, scaling, known_rows, chosen_targets.iter().map(Vec::as_slice))?;
    drop((chosen, chosen_targets));
    let probability = matches!(spec.head, Head::Bce | Head::CrossEntropy { .. });
    let scaled = |x: &Array, y: Option<&Array>| -> Result<Part, Error> {
        let mut scaled = x.data().to_vec();
        x_scale.forward(&mut scaled)?;
        let y = match y {
            Some(y) => {
                let mut y = y.data().to_vec();
                y_scale.forward(&mut y)?;
                Some(y)
            }
            // Probabilities are scored against the data as they are.
            None => probability.then(|| x.data().to_vec()),
        };
        Ok(Part { x: scaled, y })
    };
    let data = scaled(&x, y.as_ref())?;
    let test = match &request.test {
        Some(path) => {
            let x = rows(path, x.row_shape())?;
            let y = match (&request.test_target, &y) {
                (Some(path), Some(y)) => Some(rows(path, y.row_shape())?),
                (None, Some(_)) => {
                    return Err(Error::failed("--test has no targets", "give them with --test-target"));
                }
                _ => None,
            };
            scaled(&x, y.as_ref())?
        }
        None => scaled(&x.select_rows(test_rows.iter().copied()), y.as_ref().map(|y| y.select_rows(test_rows.iter().copied())).as_ref())?,
    };

    let model = Bottleneck::new(spec)?;
    session.console.note(format_args!(
        "{} rows to train on, {} to choose by, {} held out; {} numbers per row, {} latents, {} weights, {} threads",
        training.len(),
        validation.len(),
        test.x.len() / x.row_len(),
        x.row_len(),
        model.spec().latents,
        model.layout().len(),
        session.compute.threads.count()
    ));
    make_folder(&request.out)?;
    let plan = plan(request);
    let names = (1..=request.repeats).map(|k| if request.repeats == 1 { "code".to_string() } else { format!("code {k}") }).collect();
    let progress = TrainingProgress::new(session, plan.train, names);
    let mut fits: Vec<Fit> = Vec::new();
    for repeat in 0..request.repeats {
        let plan = Plan { seed: seed.derive("repeat", repeat as u64), ..plan.clone() };
        let observe = |state: &trainer::TrainState| progress.epoch(repeat, state);
        fits.push(fit(&model, &session.compute, &plan, data.rows(), (&training, &validation), observe)?);
        stopped(session, &request.out)?;
    }
    let score = |f: &Fit| f.progress.best_validation().unwrap_or(f64::NEG_INFINITY);
    let kept = (0..fits.len()).max_by(|&a, &b| score(&fits[a]).total_cmp(&score(&fits[b]))).unwrap_or(0);

    let widths: Vec<usize> = (0..=model.spec().latents).collect();
    let rows_at = |losses: &[f64]| transposed(losses, widths.len());
    let ordered: Vec<Vec<f64>> = fits
        .iter()
        .map(|f| rows_at(&model.losses(&session.compute, &f.params, test.rows(), &widths).into_iter().map(f64::from).collect::<Vec<_>>()))
        .collect();
    let points = ordered[0].len() / widths.len();
    let mut arrays: Vec<(&str, Array<f64>)> = vec![
        ("losses", Array::new(vec![fits.len(), widths.len(), points], ordered.concat())?),
        ("widths", Array::new(vec![widths.len()], widths.iter().map(|&w| w as f64).collect())?),
    ];
    if !test_rows.is_empty() {
        arrays.push(("rows", Array::new(vec![points], test_rows.iter().map(|&row| row as f64).collect())?));
    }
    let (mut mean, mut principal) = (None, None);
    if request.head == HeadName::Mse {
        let targets = model.spec().targets;
        let known: Vec<f32> =
            training.iter().flat_map(|&row| data.rows().targets()[row * targets..(row + 1) * targets].iter().copied()).collect();
        let losses = mean_losses(&known, test.rows().targets(), targets);
        mean = Some(losses.iter().sum::<f64>() / points as f64);
        arrays.push(("mean_losses", Array::new(vec![points], losses)?));
        if y.is_none() && targets <= MOST_PRINCIPAL {
            let axes = PrincipalAxes::fit(session.compute.simd, &known, targets)?;
            let losses = rows_at(&axes.losses(&test.x, &widths));
            principal = Some(means(&losses, widths.len()).0);
            arrays.push(("pca_losses", Array::new(vec![widths.len(), points], losses)?));
        }
    }
    let mut alone = Vec::new();
    for &width in &request.separate {
        session.console.note(format_args!("the same networks for width {width} alone"));
        let (model, fitted) = separate(model.spec(), width, &session.compute, &plan, data.rows(), (&training, &validation))?;
        let losses = model.losses(&session.compute, &fitted.params, test.rows(), &[width]);
        alone.push((width, losses.iter().map(|&l| f64::from(l)).sum::<f64>() / points as f64));
        stopped(session, &request.out)?;
    }
    let grown = match request.grown {
        Baseline::None => None,
        Baseline::Grown => {
            session.console.note("a code grown latent by latent");
            let model = Grown::fit(model.spec(), DECORRELATION, &session.compute, &plan, data.rows(), (&training, &validation))?;
            let losses: Vec<f64> = model.losses(&session.compute, test.rows()).into_iter().map(f64::from).collect();
            stopped(session, &request.out)?;
            Some(means(&transposed(&losses, widths.len() - 1), widths.len() - 1).0)
        }
    };
    let (ordered, standard_errors) = ordered.iter().map(|losses| means(losses, widths.len())).unzip::<_, _, Vec<_>, Vec<_>>();
    let history = fits[kept].held_out.iter().map(|epoch| epoch.iter().map(|&l| Some(l).filter(|l| l.is_finite())).collect()).collect();
    let head = model.spec().head.name().to_string();
    let summary = Summary {
        weights: request.weights.clone(),
        schedule: request.schedule,
        seed: request.seed,
        training_rows: training.len(),
        test_rows: points,
        held_out: ordered[kept].clone(),
        mean_loss: mean,
    };
    let task = if y.is_some() { Task::Prediction } else { Task::Reconstruction };
    let losses = Losses { task, head, ordered, standard_errors, kept, mean, principal, separate: alone, grown, rows: points, history };
    tell(session, &losses);

    let params = fits.swap_remove(kept).params;
    let (shape, target_shape) = (x.row_shape().to_vec(), own.row_shape().to_vec());
    let path = request.out.join(MODEL);
    Compressor { model, params, x_scale, y_scale, shape, target_shape, columns, summary }.save(&path)?;
    let arrays: Vec<(&str, &Array<f64>)> = arrays.iter().map(|(name, array)| (*name, array)).collect();
    npz::write(&request.out.join(ROW_LOSSES), &arrays)?;
    let text = crate::session::json(&losses)?;
    write_atomic(&request.out.join(LOSSES), |out| out.write_all(text.as_bytes()))?;
    Ok(path)
}

/// Weight of the squared covariances of a grown code, against errors in units of the variance.
const DECORRELATION: f32 = 1.0;
/// Principal axes of wider data take too long: their number's cube.
const MOST_PRINCIPAL: usize = 2048;

fn stopped(session: &Session, out: &Path) -> Result<(), Error> {
    if session.is_stopping() { Err(Error::Interrupted { run: out.to_path_buf() }) } else { Ok(()) }
}

fn spec(request: &Training, x: &Array, y: Option<&Array>) -> Result<ModelSpec, Error> {
    let dense = |hidden: &[usize]| Net::Dense { hidden: hidden.to_vec(), activation: (!hidden.is_empty()).then_some(request.activation) };
    // Images without an axis for channels have one.
    let shape = if x.row_shape().len() < 3 { [&[1], x.row_shape()].concat() } else { x.row_shape().to_vec() };
    let conv = |hidden: &[usize], channels: Vec<usize>| Net::Conv {
        shape: shape.clone(),
        channels,
        hidden: hidden.to_vec(),
        activation: request.activation,
    };
    let (encoder, decoder) = if request.conv.is_empty() {
        (dense(&request.encoder), dense(&request.decoder))
    } else {
        let back = request.conv.iter().rev().copied().collect();
        let decoder = if y.is_none() { conv(&request.decoder, back) } else { dense(&request.decoder) };
        (conv(&request.encoder, request.conv.clone()), decoder)
    };
    let targets = y.map_or(x.row_len(), Array::row_len);
    let head = match request.head {
        HeadName::Mse => Head::Mse,
        HeadName::Bce => Head::Bce,
        HeadName::Gaussian => Head::Gaussian,
        HeadName::Flow => Head::Flow { density: DensitySpec::Maf { transforms: 3, hidden: vec![64] } },
        HeadName::CrossEntropy => {
            let Some(y) = y else {
                return Err(Error::Usage {
                    message: "--head cross-entropy predicts classes, but there is no --target".into(),
                    help: "give a file with a whole number per row".into(),
                });
            };
            Head::CrossEntropy { classes: y.data().iter().fold(1.0f32, |top, &class| top.max(class)) as usize + 1 }
        }
    };
    Ok(ModelSpec::supervised(x.row_len(), targets, request.latents, encoder, decoder, head))
}

fn plan(request: &Training) -> Plan {
    let train = TrainConfig {
        batch_size: request.batch,
        learning_rate: request.learning_rate,
        schedule: trainer::Schedule::Cosine { epochs: request.epochs },
        stop_after_epochs: request.epochs,
        ..TrainConfig::default()
    };
    Plan { weights: request.weights.clone(), schedule: request.schedule, train, seed: Seed(request.seed).derive("repeat", 0) }
}

/// (rows, widths) to (widths, rows).
fn transposed(losses: &[f64], widths: usize) -> Vec<f64> {
    (0..widths).flat_map(|k| losses.iter().skip(k).step_by(widths).copied()).collect()
}

/// Mean and standard error of each of `widths` rows.
fn means(losses: &[f64], widths: usize) -> (Vec<f64>, Vec<f64>) {
    let n = losses.len() / widths;
    let one = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / n as f64;
        let variance = row.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n.max(2) - 1) as f64;
        (mean, (variance / n as f64).sqrt())
    };
    losses.chunks_exact(n).map(one).unzip()
}

/// Mean over features of the squared distance of each test row from the mean of the known rows.
fn mean_losses(known: &[f32], test: &[f32], width: usize) -> Vec<f64> {
    let n = (known.len() / width) as f64;
    let mut mean = vec![0.0; width];
    known.chunks_exact(width).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v) / n));
    let off = |row: &[f32]| row.iter().zip(&mean).map(|(&v, m)| (f64::from(v) - m).powi(2)).sum::<f64>() / width as f64;
    test.chunks_exact(width).map(off).collect()
}

/// Some widths in a line each.
fn tell(session: &Session, losses: &Losses) {
    let ours = &losses.ordered[losses.kept];
    let scale = losses.mean.filter(|mean| *mean > 0.0);
    let unit = if scale.is_some() { "of the variance" } else { "nats" };
    for k in [0, 1, 2, 3, 4, 8, 16, 32, 64, 128].into_iter().filter(|&k| k < ours.len()).chain([ours.len() - 1]) {
        let part = |loss: f64| loss / scale.unwrap_or(1.0);
        let axes = losses.principal.as_ref().map_or(String::new(), |p| format!("  principal axes {:.4}", part(p[k])));
        let alone = losses.separate.iter().find(|(width, _)| *width == k);
        let alone = alone.map_or(String::new(), |(_, loss)| format!("  trained for this width alone {:.4}", part(*loss)));
        session.console.note(format_args!("width {k:>3}: {:.4} {unit}{axes}{alone}", part(ours[k])));
    }
}
