//! Shards of `abduce validate`: blocks of test pairs, whose posteriors are drawn from and scored. The seed of a block is a function of its number.
//! The merge is the command itself, which finds everything drawn and computes metrics and plots.

use super::Reached;
use crate::commands::ComputeArgs;
use crate::commands::validate::{Prepared, ValidateArgs};
use crate::error::Error;
use crate::exec::files::ShardFolder;
use crate::exec::plan::Plan;
use crate::exec::worker::{Worker, finish_merge};
use crate::pipeline::{Ending, judge};
use crate::present::run::METRICS;
use crate::session::Session;
use crate::stages::draw::Quality;
use crate::stages::inputs::make_folder;
use crate::stages::measure::{BLOCK, Measured, blocks, measure};
use abduce_data::{Array, ModelFile};
use abduce_inference::diagnostics::{Gate, Metrics};
use abduce_inference::posterior::FitReport;
use abduce_inference::sampler::{Convergence, WeightReport};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The validation of a posterior.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValidateWork {
    /// Where the command was given: relative paths are meant from there.
    pub working: PathBuf,
    /// The run directory.
    pub run: Option<PathBuf>,
    /// The data file.
    pub data: Option<PathBuf>,
    /// The metrics file.
    pub metrics: Option<PathBuf>,
    /// Conditions that must hold.
    pub gates: Vec<String>,
    /// Changes to the metrics file.
    pub set: Vec<String>,
    /// Seed, where the command gave one.
    pub seed: Option<u64>,
    /// A hash of everything that the draws depend on.
    pub fingerprint: String,
    /// The files of metrics that the command ends with, several where nets are tested one by one.
    pub results: Vec<PathBuf>,
}

/// Key of the shard's metadata: per posterior, how many are [`Measured::doubtful`].
const DOUBTFUL: &str = "doubtful";

impl ValidateWork {
    /// The work of a command, the number of its blocks, and the folder of its results, which is made.
    ///
    /// # Errors
    /// A file is not as it should be.
    pub fn plan(session: &Session, args: &ValidateArgs) -> Result<(Self, usize, PathBuf), Error> {
        let prepared = Prepared::new(session, args)?;
        make_folder(&prepared.folder)?;
        let test = prepared.test(Vec::new());
        let pairs = test.pairs()?;
        let posteriors = test.posteriors()?.len();
        let name = |k| if prepared.config.ensemble_mode { METRICS.to_string() } else { format!("net{k}_{METRICS}") };
        let work = Self {
            working: session.working.clone(),
            run: args.run.clone(),
            data: args.data.clone(),
            metrics: args.metrics.clone(),
            gates: prepared.gates.iter().map(|gate| gate.name().to_owned()).collect(),
            set: args.set.clone(),
            seed: args.seed,
            results: (0..posteriors).map(|k| prepared.folder.join(name(k))).collect(),
            fingerprint: prepared.fingerprint.clone(),
        };
        Ok((work, blocks(pairs.theta.rows()).len(), prepared.folder))
    }

    fn gates(&self) -> Result<Vec<Gate>, Error> {
        Ok(self.gates.iter().map(|name| name.parse()).collect::<Result<_, _>>()?)
    }

    fn prepare(&self, session: &Session, output: &Path) -> Result<Prepared, Error> {
        let args = ValidateArgs {
            run: self.run.clone(),
            data: self.data.clone(),
            metrics: self.metrics.clone(),
            gate: self.gates()?,
            out: Some(output.to_path_buf()),
            seed: self.seed,
            set: self.set.clone(),
            json: false,
            compute: ComputeArgs::default(),
        };
        let prepared = Prepared::new(&Session { working: self.working.clone(), ..session.clone() }, &args)?;
        if prepared.fingerprint != self.fingerprint {
            return Err(Error::Usage {
                message: "the posterior, the test pairs, the metrics file or the instruction set is not what the plan was made for".into(),
                help: "restore what has changed, or remove the folder `.shards` of the output and submit anew".into(),
            });
        }
        Ok(prepared)
    }

    /// Draws and scores the blocks of a shard.
    ///
    /// # Errors
    /// A sampler that can't deliver, or files.
    pub(super) fn shard(&self, worker: &Worker<'_>, shard: usize) -> Result<Reached, Error> {
        let prepared = self.prepare(worker.session, worker.output)?;
        let test = prepared.test(Vec::new());
        let (pairs, posteriors, draws) = (test.pairs()?, test.posteriors()?, test.draws());
        let range = worker.plan.shards[shard].clone();
        let (mut measured, mut next) = (vec![Measured::default(); posteriors.len()], range.start);
        if let Some((head, file)) = worker.folder.read_part(shard, &worker.plan.config_sha256, range.start)? {
            measured = unpacked(&worker.folder.part(shard), &file, posteriors.len())?;
            next = head.end.min(range.end);
            worker.note(shard, format_args!("going on after {} of {}", next - range.start, range.len()));
        }
        let mut progress = worker.progress(shard, next);
        while next < range.end {
            if worker.session.is_stopping() {
                let file = packed(worker, range.start..next, (&measured, draws.num_samples, posteriors[0].dimension()))?;
                worker.folder.publish(&file, &worker.folder.part(shard))?;
                return Ok(Reached::Item(next));
            }
            for (posterior, measured) in posteriors.iter().zip(&mut measured) {
                measured.append(measure(worker.session, posterior, (&pairs.theta, &pairs.x), &draws, next, test.seed)?);
            }
            next += 1;
            progress.reached(next);
        }
        let file = packed(worker, range, (&measured, draws.num_samples, posteriors[0].dimension()))?;
        worker.folder.publish(&file, &worker.folder.shard(shard))?;
        Ok(Reached::End)
    }

    /// Metrics and plots of everything that was drawn.
    ///
    /// # Errors
    /// A shard does not hold its pairs; those of validation.
    pub(super) fn merge(&self, session: &Session, output: &Path, plan: &Plan, folder: &ShardFolder) -> Result<(), Error> {
        let prepared = self.prepare(session, output)?;
        let test = prepared.test(Vec::new());
        let (posteriors, n) = (test.posteriors()?.len(), test.pairs()?.theta.rows());
        let (mut all, mut makers) = (vec![Measured::default(); posteriors], Vec::new());
        for (shard, range) in plan.shards.iter().enumerate() {
            let path = folder.shard(shard);
            let (head, file) = folder.read(&path, &plan.config_sha256, range.start)?;
            let own = unpacked(&path, &file, posteriors)?;
            let expected = n.min(range.end * BLOCK) - range.start * BLOCK;
            if head.end != range.end || own.iter().any(|measured| measured.log_prob_theta.len() != expected) {
                let help = "remove it and submit again";
                return Err(Error::failed(format!("{} does not hold the {expected} test pairs of its blocks", path.display()), help));
            }
            all.iter_mut().zip(own).for_each(|(all, own)| all.append(own));
            makers.push(head.maker);
        }
        prepared.validate(session, all)?;
        finish_merge(folder, plan, &makers)
    }
}

impl ValidateWork {
    /// Whether the gates hold.
    ///
    /// # Errors
    /// The metrics cannot be read.
    pub(super) fn ending(&self, session: &Session) -> Result<Ending, Error> {
        let read = |path: &PathBuf| -> Result<Metrics, Error> {
            let text = std::fs::read(path).map_err(|source| Error::File { action: "read", path: path.clone(), source })?;
            serde_json::from_slice(&text).map_err(|error| Error::failed(format!("{}: {error}", path.display()), "submit again"))
        };
        let metrics: Vec<Metrics> = self.results.iter().map(read).collect::<Result<_, _>>()?;
        Ok(judge(session, &metrics, &self.gates()?))
    }
}

/// A shard's file.
fn packed(worker: &Worker<'_>, range: Range<usize>, (measured, draws, d): (&[Measured], usize, usize)) -> Result<ModelFile, Error> {
    let mut metadata = super::head(worker, range, Vec::new())?;
    metadata[DOUBTFUL] = measured.iter().map(|own| own.doubtful).collect();
    let mut tensors = Vec::new();
    for (k, own) in measured.iter().enumerate() {
        let pairs = own.log_prob_theta.len();
        let scored = own.log_prob_samples.len() / pairs.max(1);
        tensors.push((format!("{k}.samples"), Array::new(vec![pairs, draws, d], own.samples.clone())?));
        tensors.push((format!("{k}.log_prob_samples"), halves(&[pairs, scored], &own.log_prob_samples)?));
        tensors.push((format!("{k}.log_prob_theta"), halves(&[pairs], &own.log_prob_theta)?));
        match &own.quality {
            Quality::Chains(chains) => {
                let numbers: Vec<f64> = chains.iter().flat_map(numbers_of_chains).collect();
                tensors.push((format!("{k}.chains"), halves(&[chains.len(), 3 * d + 5], &numbers)?));
            }
            Quality::Fits(fits) => {
                let numbers: Vec<f64> = fits.iter().flat_map(numbers_of_fit).collect();
                tensors.push((format!("{k}.fits"), halves(&[fits.len(), FIT_NUMBERS], &numbers)?));
            }
            // Exact draws have nothing to tell, and none is weighed in a validation.
            Quality::Exact(_) | Quality::Weights(_) => {}
        }
    }
    Ok(ModelFile { metadata, tensors })
}

/// The content of a shard's file.
fn unpacked(path: &Path, file: &ModelFile, posteriors: usize) -> Result<Vec<Measured>, Error> {
    let doubtful: Vec<usize> = serde_json::from_value(file.metadata[DOUBTFUL].clone()).unwrap_or_default();
    if doubtful.len() != posteriors {
        return Err(Error::failed(format!("{} is damaged", path.display()), "remove it and submit again"));
    }
    let one = |(k, doubtful): (usize, usize)| -> Result<Measured, Error> {
        let samples = file.tensor(path, &format!("{k}.samples"))?;
        let d = samples.row_shape().last().copied().unwrap_or(1);
        let has = |name: &str| file.tensors.iter().any(|(own, _)| *own == format!("{k}.{name}"));
        let quality = if has("chains") {
            let numbers = whole(file.tensor(path, &format!("{k}.chains"))?);
            Quality::Chains(numbers.chunks_exact(3 * d + 5).map(|numbers| chains_of_numbers(numbers, d)).collect())
        } else if has("fits") {
            let numbers = whole(file.tensor(path, &format!("{k}.fits"))?);
            Quality::Fits(numbers.chunks_exact(FIT_NUMBERS).map(fit_of_numbers).collect())
        } else {
            Quality::Exact([])
        };
        Ok(Measured {
            samples: samples.data().to_vec(),
            log_prob_samples: whole(file.tensor(path, &format!("{k}.log_prob_samples"))?),
            log_prob_theta: whole(file.tensor(path, &format!("{k}.log_prob_theta"))?),
            quality,
            doubtful,
        })
    };
    doubtful.into_iter().enumerate().map(one).collect()
}

/// What is known about an observation's chains, in one row; an acceptance that there is none of is NaN.
fn numbers_of_chains(chains: &Convergence) -> impl Iterator<Item = f64> + '_ {
    let per_parameter = [&chains.r_hat, &chains.ess_bulk, &chains.ess_tail].into_iter().flatten().copied();
    let counts = [chains.divergences, chains.evaluations, chains.non_finite, chains.draws as u64].map(|count| count as f64);
    per_parameter.chain([chains.acceptance_rate.unwrap_or(f64::NAN)]).chain(counts)
}

fn chains_of_numbers(numbers: &[f64], d: usize) -> Convergence {
    let (per_parameter, rest) = numbers.split_at(3 * d);
    Convergence {
        r_hat: per_parameter[..d].to_vec(),
        ess_bulk: per_parameter[d..2 * d].to_vec(),
        ess_tail: per_parameter[2 * d..].to_vec(),
        acceptance_rate: Some(rest[0]).filter(|rate| !rate.is_nan()),
        divergences: rest[1] as u64,
        evaluations: rest[2] as u64,
        non_finite: rest[3] as u64,
        draws: rest[4] as usize,
    }
}

/// Numbers that describe a fit.
const FIT_NUMBERS: usize = 8;

fn numbers_of_fit(fit: &FitReport) -> [f64; FIT_NUMBERS] {
    let FitReport { steps, elbo, draws, weights: w } = *fit;
    [steps as f64, elbo, draws as f64, w.k_hat, w.ess, w.log_evidence, w.log_evidence_error, w.non_finite as f64]
}

fn fit_of_numbers(numbers: &[f64]) -> FitReport {
    FitReport {
        steps: numbers[0] as usize,
        elbo: numbers[1],
        draws: numbers[2] as usize,
        weights: WeightReport {
            k_hat: numbers[3],
            ess: numbers[4],
            log_evidence: numbers[5],
            log_evidence_error: numbers[6],
            non_finite: numbers[7] as u64,
        },
    }
}

/// Double precision in a container of single precision: the two halves of the bits, so that nothing is rounded.
fn halves(shape: &[usize], values: &[f64]) -> Result<Array, Error> {
    let bits = values.iter().flat_map(|value| {
        let bits = value.to_bits();
        [f32::from_bits(bits as u32), f32::from_bits((bits >> 32) as u32)]
    });
    Ok(Array::new(shape.iter().copied().chain([2]).collect(), bits.collect())?)
}

fn whole(halves: &Array) -> Vec<f64> {
    halves.data().chunks_exact(2).map(|pair| f64::from_bits(u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32)).collect()
}
