//! Which simulator made the data: probabilities of models and Bayes factors by classification.

use super::EstimateError;
use super::loss::Loss;
use super::network::{EstimateTask, EstimatorSpec, Learnt, learn};
use abduce_data::{Array, PairSource, Scaling, Seed, Split};
use abduce_nn::Compute;
use abduce_nn::trainer::{Progress, TrainConfig};
use serde::{Deserialize, Serialize};

/// A trained comparison of K models: x → p(M_k | x).
///
/// A classifier of simulations from K simulators, each with its own prior over its own parameters, has the optimum
/// p(M_k | x) ∝ p(x | M_k) n_k, the evidences themselves with the numbers of simulations as prior odds (Radev et al. 2020, arXiv:2004.10629; Jeffrey &
/// Wandelt 2023, arXiv:2305.11241). These odds are divided out. One temperature, fitted on simulations held out, calibrates the logits (Guo et al. 2017,
/// arXiv:1706.04599).
#[derive(Clone, Debug)]
pub struct ModelComparison {
    /// Names of the models.
    pub models: Vec<String>,
    /// Shape of a datum.
    pub x_shape: Vec<usize>,
    /// Training simulations of each model.
    pub counts: Vec<usize>,
    /// What logits are divided by; 1 where they were calibrated to begin with.
    pub temperature: f64,
    pub(super) spec: EstimatorSpec,
    pub(super) learnt: Learnt,
}

/// Probabilities of the models for one datum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelProbabilities {
    /// p(M_k | x) with the prior probabilities asked for.
    pub probability: Vec<f64>,
    /// ln p(x | M_k)/p(x | M_0): log Bayes factors against the first model, in nats.
    pub log_bayes_factor: Vec<f64>,
}

/// How a comparison does on simulations held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelTest {
    /// Simulations held out.
    pub simulations: usize,
    /// ⟨-ln p(true model | x)⟩ in nats; ln K is that of ignorance.
    pub cross_entropy: f64,
    /// Share of simulations whose most probable model is the true one.
    pub accuracy: f64,
    /// Expected calibration error: mean over ten bins of the largest probability of |accuracy - probability|, weighted by their simulations.
    pub calibration_error: f64,
}

/// Bins of the calibration error.
const BINS: usize = 10;

/// Trains a comparison on data (n_k, …) of each model, of one shape.
///
/// # Errors
/// See [`EstimateError`].
pub fn train_models(
    models: &[String],
    data: &[Array],
    validation_fraction: f64,
    (spec, nets, train): (EstimatorSpec, usize, TrainConfig),
    compute: &Compute,
    seed: Seed,
) -> Result<(ModelComparison, Vec<Progress>, ModelTest), EstimateError> {
    let k = data.len();
    if k < 2 {
        return Err(EstimateError::Models(format!("{k} models: a comparison needs at least two")));
    }
    if models.len() != k {
        return Err(EstimateError::Names { what: "models", found: models.len(), expected: k });
    }
    let x_shape = data[0].shape()[1..].to_vec();
    if let Some(other) = data.iter().position(|x| x.shape()[1..] != x_shape) {
        let reason =
            format!("the data of {} have shape {x_shape:?}, those of {} {:?}", models[0], models[other], &data[other].shape()[1..]);
        return Err(EstimateError::Models(reason));
    }
    let rows: usize = data.iter().map(Array::rows).sum();
    let mut targets = vec![0.0f32; rows * k];
    let of = data.iter().enumerate().flat_map(|(model, x)| std::iter::repeat_n(model, x.rows()));
    targets.chunks_exact_mut(k).zip(of).for_each(|(row, model)| row[model] = 1.0);
    let x = data.iter().flat_map(|x| x.data().iter().copied()).collect();
    let shape = [rows].into_iter().chain(x_shape.iter().copied()).collect();
    let source = PairSource::from_arrays(Array::new(vec![rows, k], targets)?, Array::new(shape, x)?)?;
    let split = Split::by_fraction(source.kept(), validation_fraction, seed)?;
    let task = EstimateTask { source: &source, split: &split, spec: spec.clone(), nets, train, seed };
    let (learnt, progress) = learn(&task, &Loss::CrossEntropy, Scaling::None, compute)?;
    let select = |rows: &abduce_data::RowSet| -> Result<(Vec<usize>, Array), EstimateError> {
        let (targets, x) = source.select(&rows.iter().collect::<Vec<_>>())?;
        let model = |row: &[f32]| row.iter().position(|t| *t == 1.0).unwrap_or(0);
        Ok((targets.data().chunks_exact(k).map(model).collect(), x))
    };
    let mut counts = vec![0; k];
    select(&split.train)?.0.into_iter().for_each(|model| counts[model] += 1);
    if let Some(empty) = counts.iter().position(|n| *n == 0) {
        return Err(EstimateError::Models(format!("the model {} has no usable simulation to train on", models[empty])));
    }
    let mut comparison = ModelComparison { models: models.to_vec(), x_shape, counts, temperature: 1.0, spec, learnt };
    let (truth, x) = select(&split.validation)?;
    let scores = comparison.log_probabilities(compute, x.data())?;
    comparison.temperature = temperature(&scores, &truth, k);
    let test = comparison.test(compute, &truth, x.data())?;
    Ok((comparison, progress, test))
}

impl ModelComparison {
    /// ln p(M_k | x) under the odds of the training simulations, uncalibrated, (n, K): of several networks the mean probability.
    fn log_probabilities(&self, compute: &Compute, x: &[f32]) -> Result<Vec<f64>, EstimateError> {
        let k = self.models.len();
        let all = self.learnt.outputs(compute, x)?;
        let mut mixed = vec![0.0; all[0].len()];
        for outputs in &all {
            for (mixed, logits) in mixed.chunks_exact_mut(k).zip(outputs.chunks_exact(k)) {
                let logits: Vec<f64> = logits.iter().map(|&l| f64::from(l)).collect();
                let log_total = log_sum_exp(logits.iter().copied());
                mixed.iter_mut().zip(logits).for_each(|(m, l)| *m += libm::exp(l - log_total) / all.len() as f64);
            }
        }
        Ok(if all.len() == 1 {
            // Without the detour over probabilities, which ends at e⁻⁷⁴⁵.
            all[0]
                .chunks_exact(k)
                .flat_map(|l| {
                    let log_total = log_sum_exp(l.iter().map(|&l| f64::from(l)));
                    l.iter().map(move |&l| f64::from(l) - log_total)
                })
                .collect()
        } else {
            mixed.into_iter().map(libm::log).collect()
        })
    }

    /// Probabilities and Bayes factors for each row of `x`, with these prior probabilities of the models (any positive numbers; their sum doesn't
    /// matter).
    ///
    /// # Errors
    /// Data that don't fit or are not finite, prior probabilities that are none.
    pub fn compare(&self, compute: &Compute, x: &[f32], prior: &[f64]) -> Result<Vec<ModelProbabilities>, EstimateError> {
        let k = self.models.len();
        if prior.len() != k || prior.iter().any(|p| !(*p > 0.0 && p.is_finite())) {
            return Err(EstimateError::Prior(prior.to_vec()));
        }
        let scores = self.log_probabilities(compute, x)?;
        Ok(scores
            .chunks_exact(k)
            .map(|row| {
                let log_evidence: Vec<f64> =
                    row.iter().zip(&self.counts).map(|(s, &n)| s / self.temperature - libm::log(n as f64)).collect();
                let posterior: Vec<f64> = log_evidence.iter().zip(prior).map(|(l, p)| l + libm::log(*p)).collect();
                let log_total = log_sum_exp(posterior.iter().copied());
                ModelProbabilities {
                    probability: posterior.iter().map(|p| libm::exp(p - log_total)).collect(),
                    log_bayes_factor: log_evidence.iter().map(|l| l - log_evidence[0]).collect(),
                }
            })
            .collect())
    }

    /// Against the true models of data, under the odds of the training simulations.
    ///
    /// # Errors
    /// As [`ModelComparison::compare`].
    pub fn test(&self, compute: &Compute, truth: &[usize], x: &[f32]) -> Result<ModelTest, EstimateError> {
        let prior: Vec<f64> = self.counts.iter().map(|&n| n as f64).collect();
        let found = self.compare(compute, x, &prior)?;
        let n = found.len() as f64;
        let (mut cross_entropy, mut right, mut bins) = (0.0, 0.0, [(0.0, 0.0); BINS]);
        for (found, &truth) in found.iter().zip(truth) {
            let best = (0..found.probability.len()).max_by(|&a, &b| found.probability[a].total_cmp(&found.probability[b])).unwrap_or(0);
            let hit = f64::from(u8::from(best == truth));
            cross_entropy -= libm::log(found.probability[truth].max(f64::MIN_POSITIVE));
            right += hit;
            let bin = &mut bins[((found.probability[best] * BINS as f64) as usize).min(BINS - 1)];
            *bin = (bin.0 + hit, bin.1 + found.probability[best]);
        }
        Ok(ModelTest {
            simulations: found.len(),
            cross_entropy: cross_entropy / n,
            accuracy: right / n,
            calibration_error: bins.iter().map(|(hits, probability)| (hits - probability).abs()).sum::<f64>() / n,
        })
    }
}

fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let top = values.clone().fold(f64::NEG_INFINITY, f64::max);
    top + libm::log(values.map(|v| libm::exp(v - top)).sum())
}

/// The T that makes -Σ ln softmax(s/T)_truth least: the function of 1/T is convex, so a golden section over ln T finds it.
fn temperature(scores: &[f64], truth: &[usize], k: usize) -> f64 {
    let loss = |log_t: f64| {
        let t = libm::exp(log_t);
        scores.chunks_exact(k).zip(truth).map(|(row, &m)| log_sum_exp(row.iter().map(|s| s / t)) - row[m] / t).sum::<f64>()
    };
    let ratio = 0.5 * (5f64.sqrt() - 1.0);
    let (mut low, mut high) = (-3.0f64, 3.0f64);
    for _ in 0..60 {
        let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
        if loss(a) < loss(b) { high = b } else { low = a }
    }
    libm::exp(0.5 * (low + high))
}
