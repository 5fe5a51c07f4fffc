//! `abduce compress`: codes whose first numbers say most, for any array or set of images.

use super::ComputeArgs;
use crate::config::Activation;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::present;
use crate::session::{Session, print};
use crate::stages::compress::{self, Baseline, HeadName, Training};
use crate::stages::inputs::write_array;
use crate::stages::nets::activation;
use abduce_bottleneck::{Compressor, Schedule, Weights};
use abduce_data::Scaling;
use std::path::PathBuf;

/// Compress rows of numbers or images: an encoder and a decoder trained at all widths at once, so that one file serves every width.
#[derive(Clone, Debug, clap::Args)]
pub struct CompressArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    Train(Box<TrainArgs>),
    Encode(EncodeArgs),
    Decode(DecodeArgs),
    Truncate(TruncateArgs),
    Report(ReportArgs),
}

/// Threads and talk, of every action.
impl CompressArgs {
    /// What to compute with.
    pub const fn compute(&self) -> ComputeArgs {
        match &self.action {
            Action::Train(args) => args.compute,
            Action::Encode(args) => args.compute,
            Action::Decode(args) => args.compute,
            Action::Truncate(args) => args.compute,
            Action::Report(args) => args.compute,
        }
    }
}

/// Train on the rows of an array: writes model.safetensors, the held-out losses at every width and a summary.
#[derive(Clone, Debug, clap::Args)]
struct TrainArgs {
    /// Rows of data or images (n, …): .npy, .npz, .csv, .tsv, .h5, .fits, or IDX files as MNIST's.
    data: PathBuf,
    /// Folder for what is written.
    #[arg(short, long)]
    out: PathBuf,
    /// What is to be predicted from the code, row by row (n, …); the data themselves by default. Classes are whole numbers.
    #[arg(long)]
    target: Option<PathBuf>,
    /// Rows to measure the losses on; a tenth of the data by default, which training never sees.
    #[arg(long)]
    test: Option<PathBuf>,
    /// Targets of `--test`.
    #[arg(long, requires = "test", requires = "target")]
    test_target: Option<PathBuf>,
    /// Most latents K.
    #[arg(long, short = 'k', default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    width: u16,
    /// Widths of the encoder's hidden layers; the decoder has them in reverse. `none` for linear maps.
    #[arg(long, value_parser = hidden, default_value = "256,256")]
    hidden: Hidden,
    /// Widths of the decoder's hidden layers, where they are others.
    #[arg(long, value_parser = hidden)]
    decoder_hidden: Option<Hidden>,
    /// Channels of convolutions that halve the images, before the hidden layers; the decoder has them in reverse.
    #[arg(long, value_parser = hidden, value_name = "CHANNELS,…", default_value = "none")]
    conv: Hidden,
    /// Activation of the hidden layers.
    #[arg(long, value_parser = activation_name, default_value = "SiLU")]
    activation: Activation,
    /// Loss: squared error, binary or class cross-entropy, Gaussian with learned variance, or the density of a flow.
    #[arg(long, value_enum, default_value_t = HeadName::Mse)]
    head: HeadName,
    /// How much each width counts: linear, geometric:P, log-spaced, or K + 1 numbers for the widths 0 to K.
    #[arg(long, value_parser = weights, default_value = "linear")]
    weights: Weights,
    /// Which widths a step sees: sum (all), per-sample, stratified, or unit-sweep[:TOLERANCE].
    #[arg(long, value_parser = schedule, default_value = "sum")]
    schedule: Schedule,
    /// Scale of the data: each column by itself, all alike (default for images), or as they are.
    #[arg(long, value_parser = scaling)]
    scaling: Option<Scaling>,
    /// Epochs, over which the learning rate falls along half a cosine.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// First learning rate of Adam.
    #[arg(long, default_value_t = 2e-3)]
    learning_rate: f32,
    /// Rows per step.
    #[arg(long, default_value_t = 125, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Trainings from different starts; the best on the validation rows is kept, losses are of all.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    repeats: u8,
    /// Also train the same networks for these widths alone: what an ordered code can at best be.
    #[arg(long, value_delimiter = ',', value_name = "K,…")]
    separate: Vec<usize>,
    /// Also grow a code latent by latent (PCAAE), each with networks of its own: as slow as K trainings. Squared errors only.
    #[arg(long)]
    grown: bool,
    /// Seed of split, starts and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads and talk.
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Codes of rows: (n, k).
#[derive(Clone, Debug, clap::Args)]
struct EncodeArgs {
    /// The folder of a training, or its model.safetensors.
    model: PathBuf,
    /// Rows as those trained on.
    data: PathBuf,
    /// Latents to keep; all by default.
    #[arg(long, short = 'k')]
    width: Option<usize>,
    /// File for the codes, (n, k) float32.
    #[arg(short, long, value_name = "CODES.npy")]
    out: PathBuf,
    /// Threads and talk.
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Rows that codes stand for, in the units of the data.
#[derive(Clone, Debug, clap::Args)]
struct DecodeArgs {
    /// The folder of a training, or its model.safetensors.
    model: PathBuf,
    /// Codes (n, k) that `encode` wrote.
    codes: PathBuf,
    /// Latents to open; as many as the codes have by default.
    #[arg(long, short = 'k')]
    width: Option<usize>,
    /// File for the rows, (n, …) float32.
    #[arg(short, long, value_name = "ROWS.npy")]
    out: PathBuf,
    /// Threads and talk.
    #[command(flatten)]
    compute: ComputeArgs,
}

/// A smaller file that holds the first latents only; their codes stay what they were.
#[derive(Clone, Debug, clap::Args)]
struct TruncateArgs {
    /// The folder of a training, or its model.safetensors.
    model: PathBuf,
    /// Latents to keep.
    #[arg(long, short = 'k')]
    width: usize,
    /// File for the smaller model.
    #[arg(short, long, value_name = "SMALL.safetensors")]
    out: PathBuf,
    /// Threads and talk.
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Write FOLDER/report.html: loss against width, reconstructions, walks along the latents, and what they mean.
#[derive(Clone, Debug, clap::Args)]
struct ReportArgs {
    /// The folder of a training.
    folder: PathBuf,
    /// Rows to show: those trained on, or others.
    data: PathBuf,
    /// Named columns to compare the latents with, a row for each row of the data; the data's own columns by default.
    #[arg(long, value_name = "TABLE.csv")]
    columns: Option<PathBuf>,
    /// Threads and talk.
    #[command(flatten)]
    compute: ComputeArgs,
}

/// Widths of hidden layers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hidden(Vec<usize>);

fn hidden(text: &str) -> Result<Hidden, String> {
    if text == "none" {
        return Ok(Hidden(Vec::new()));
    }
    let widths = text.split(',').map(|w| w.trim().parse().ok().filter(|w| (1..=65_536).contains(w)));
    widths.collect::<Option<_>>().map(Hidden).ok_or_else(|| "expected widths such as 256,256, or none".to_owned())
}

fn activation_name(text: &str) -> Result<Activation, String> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|_| "expected SiLU, ReLU, LeakyReLU, ELU, GELU, Tanh, Sigmoid, Softplus or Mish".to_owned())
}

fn weights(text: &str) -> Result<Weights, String> {
    let expected = || "expected linear, geometric:P with 0 < P < 1, log-spaced, or a number for each of the widths 0 to K".to_owned();
    match text.split_once(':') {
        None if text == "linear" => Ok(Weights::Linear),
        None if text == "log-spaced" => Ok(Weights::LogSpaced),
        None => {
            text.split(',').map(|w| w.trim().parse().ok()).collect::<Option<_>>().map(|rho| Weights::Custom { rho }).ok_or_else(expected)
        }
        Some(("geometric", p)) => p.parse().ok().filter(|p| *p > 0.0 && *p < 1.0).map(|p| Weights::Geometric { p }).ok_or_else(expected),
        Some(_) => Err(expected()),
    }
}

fn schedule(text: &str) -> Result<Schedule, String> {
    let expected = || "expected sum, per-sample, stratified, or unit-sweep[:TOLERANCE] with 0 < TOLERANCE < 1".to_owned();
    match (text, text.split_once(':')) {
        ("sum", _) => Ok(Schedule::Sum),
        ("per-sample", _) => Ok(Schedule::PerSample),
        ("stratified", _) => Ok(Schedule::Stratified),
        ("unit-sweep", _) => Ok(Schedule::UnitSweep { tolerance: 0.01 }),
        (_, Some(("unit-sweep", t))) => {
            t.parse().ok().filter(|t| *t > 0.0 && *t < 1.0).map(|tolerance| Schedule::UnitSweep { tolerance }).ok_or_else(expected)
        }
        _ => Err(expected()),
    }
}

fn scaling(text: &str) -> Result<Scaling, String> {
    match text {
        "independent" => Ok(Scaling::Independent),
        "structured" => Ok(Scaling::Structured),
        "none" => Ok(Scaling::None),
        _ => Err("expected independent, structured or none".to_owned()),
    }
}

impl TrainArgs {
    fn request(&self, session: &Session) -> Training {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| session.path(path));
        Training {
            data: session.path(&self.data),
            target: path(&self.target),
            test: path(&self.test),
            test_target: path(&self.test_target),
            out: session.path(&self.out),
            latents: usize::from(self.width),
            encoder: self.hidden.0.clone(),
            decoder: self.decoder_hidden.as_ref().map_or_else(|| self.hidden.0.iter().rev().copied().collect(), |h| h.0.clone()),
            conv: self.conv.0.clone(),
            activation: activation(self.activation),
            head: self.head,
            weights: self.weights.clone(),
            schedule: self.schedule,
            scaling: self.scaling,
            epochs: self.epochs as usize,
            learning_rate: self.learning_rate,
            batch: self.batch as usize,
            repeats: usize::from(self.repeats),
            separate: self.separate.clone(),
            grown: if self.grown { Baseline::Grown } else { Baseline::None },
            seed: self.seed,
        }
    }
}

/// A training by its words on the command line, those behind `abduce compress train`.
///
/// # Errors
/// Words that the command does not know, with what they may be.
pub fn training(session: &Session, words: &[String]) -> Result<Training, Error> {
    #[derive(clap::Parser)]
    #[command(no_binary_name = true, disable_help_flag = true)]
    struct Words {
        #[command(flatten)]
        train: TrainArgs,
    }
    let parsed = <Words as clap::Parser>::try_parse_from(words).map_err(|error| {
        let text = error.to_string();
        let text = text.split("\n\nUsage:").next().unwrap_or(&text).split("\n\nFor more").next().unwrap_or_default();
        Error::Usage { message: text.trim().trim_start_matches("error: ").to_string(), help: "see `abduce compress train --help`".into() }
    })?;
    Ok(parsed.train.request(session))
}

/// Runs the command; paths of what was written go to standard output.
pub fn run(session: &Session, args: &CompressArgs) -> Result<Ending, Error> {
    let load = |path: &PathBuf| -> Result<Compressor, Error> { compress::load(&session.path(path)) };
    let written = match &args.action {
        Action::Train(args) => compress::train(session, &args.request(session))?,
        Action::Encode(args) => {
            let model = load(&args.model)?;
            let data = compress::rows(&session.path(&args.data), &model.shape)?;
            let codes = model.encode(&session.compute, &data, args.width.unwrap_or(model.latents()))?;
            write_array(&session.path(&args.out), &codes)?;
            session.path(&args.out)
        }
        Action::Decode(args) => {
            let model = load(&args.model)?;
            let codes = compress::read(&session.path(&args.codes))?.0;
            let rows = model.decode(&session.compute, &codes, args.width.unwrap_or(codes.row_len()))?;
            write_array(&session.path(&args.out), &rows)?;
            session.path(&args.out)
        }
        Action::Truncate(args) => {
            let out = session.path(&args.out);
            load(&args.model)?.truncate(args.width)?.save(&out)?;
            out
        }
        Action::Report(args) => {
            let columns = args.columns.as_ref().map(|path| session.path(path));
            present::compress::write(session, &session.path(&args.folder), &session.path(&args.data), columns.as_deref())?
        }
    };
    print(&format!("{}\n", written.display()))?;
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_command_line_are_read() {
        assert_eq!(hidden("64, 32"), Ok(Hidden(vec![64, 32])));
        assert_eq!(hidden("none"), Ok(Hidden(vec![])));
        assert!(hidden("64,0").is_err() && hidden("wide").is_err());
        assert_eq!(weights("geometric:0.5"), Ok(Weights::Geometric { p: 0.5 }));
        assert_eq!(weights("0,1,2"), Ok(Weights::Custom { rho: vec![0.0, 1.0, 2.0] }));
        assert!(weights("geometric:2").is_err() && weights("steep").is_err());
        assert_eq!(schedule("unit-sweep:0.1"), Ok(Schedule::UnitSweep { tolerance: 0.1 }));
        assert!(schedule("unit-sweep:7").is_err() && schedule("all").is_err());
        assert!(activation_name("SiLU").is_ok() && activation_name("sine").is_err());
        let console = crate::session::Console { talk: crate::session::Talk::Quiet, audience: crate::session::Audience::File };
        let session = Session::new(PathBuf::from("/"), abduce_kernels::Simd::best(), Some(1), console);
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let training = |text: &str| training(&session, &words(text));
        let asked = training("x.npy -o code -k 3 --hidden 9,4").expect("a training");
        assert_eq!((asked.latents, asked.encoder, asked.decoder), (3, vec![9, 4], vec![4, 9]));
        let error = training("x.npy -o code --head msq").expect_err("no such head").to_string();
        assert!(error.contains("'msq'") && error.contains("mse") && !error.contains("Usage"), "{error}");
    }
}
