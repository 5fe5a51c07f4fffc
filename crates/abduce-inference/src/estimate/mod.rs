//! Amortised estimates without a posterior density: points, quantiles, probabilities of models.
//!
//! A network from x to some numbers, trained on simulated pairs, converges to the functional of p(θ | x) that its loss is proper for:
//!
//! | estimate | loss | optimum |
//! |---|---|---|
//! | [`Quantity::Moments`] | squared error, and that of the squared error | posterior mean and standard deviation |
//! | [`Quantity::Median`] | absolute error | posterior median |
//! | [`Quantity::Quantiles`] | pinball losses | posterior quantiles, which never cross |
//! | [`ModelComparison`] | cross-entropy over simulators | posterior probabilities of the models |
//!
//! Each costs a fraction of a density and gives marginals only; a posterior's density, draws and correlations need [`crate::training`].

mod file;
mod loss;
mod models;
mod network;

pub use models::{ModelComparison, ModelProbabilities, ModelTest, train_models};
pub use network::{EstimateTask, EstimatorSpec};

use abduce_data::{DataError, ParameterInfo, Scaling};
use abduce_nn::Compute;
use abduce_nn::trainer::{Progress, TrainError};
use loss::Loss;
use network::{Learnt, learn};
use serde::{Deserialize, Serialize};

/// What of each parameter's posterior is estimated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Quantity {
    /// Mean and standard deviation (moment networks; Jeffrey & Wandelt 2020, arXiv:2011.05991).
    Moments {},
    /// Median.
    Median {},
    /// Quantiles at increasing levels between 0 and 1 (Koenker & Bassett 1978, Econometrica 46, 33).
    Quantiles {
        /// The levels.
        levels: Vec<f32>,
    },
}

impl Quantity {
    fn loss(&self) -> Result<Loss, EstimateError> {
        Ok(match self {
            Self::Moments {} => Loss::Moments,
            Self::Median {} => Loss::Absolute,
            Self::Quantiles { levels } => {
                let inside = levels.iter().all(|level| *level > 0.0 && *level < 1.0);
                if levels.is_empty() || !inside || !levels.windows(2).all(|pair| pair[0] < pair[1]) {
                    return Err(EstimateError::Levels(levels.clone()));
                }
                Loss::Pinball(levels.clone())
            }
        })
    }

    /// Names of the numbers per parameter.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Moments {} => vec!["mean".into(), "sd".into()],
            Self::Median {} => vec!["median".into()],
            Self::Quantiles { levels } => levels.iter().map(|level| format!("q{level}")).collect(),
        }
    }
}

/// Why there is no estimate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EstimateError {
    /// Levels out of order or range.
    #[error("quantile levels must increase between 0 and 1, found {0:?}")]
    Levels(Vec<f32>),
    /// Widths out of range.
    #[error("hidden layers of widths {0:?}: expected at most 64 of 1 to 8192 units")]
    Hidden(Vec<usize>),
    /// No network is asked for.
    #[error("the number of networks is 0, expected at least 1")]
    NoNets,
    /// Names that don't fit the targets.
    #[error("{found} names for {expected} {what}")]
    Names {
        /// Parameters or models.
        what: &'static str,
        /// Names given.
        found: usize,
        /// Targets.
        expected: usize,
    },
    /// A target that does not vary.
    #[error("{0} has the same value in every training row: there is nothing to estimate")]
    Constant(String),
    /// x of another width than the networks know.
    #[error("x has {found} values, expected rows of {expected}")]
    Width {
        /// Values found.
        found: usize,
        /// Values per row expected.
        expected: usize,
    },
    /// A datum that is not finite.
    #[error("x, row {row}: feature {feature} is {value}; an observation must be finite")]
    NotFinite {
        /// Row.
        row: usize,
        /// Feature.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// Model probabilities that are none.
    #[error("prior probabilities {0:?} of the models: expected positive numbers, one per model")]
    Prior(Vec<f64>),
    /// Fewer than two models, or data of different shapes.
    #[error("{0}")]
    Models(String),
    /// Training.
    #[error(transparent)]
    Train(#[from] TrainError<DataError>),
    /// A file that isn't one of ours.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Data.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// A trained estimator of functionals of the posterior.
#[derive(Clone, Debug)]
pub struct Estimator {
    /// What it gives.
    pub quantity: Quantity,
    /// Names of the parameters.
    pub parameters: Vec<ParameterInfo>,
    /// Shape of a datum.
    pub x_shape: Vec<usize>,
    spec: EstimatorSpec,
    learnt: Learnt,
}

/// How an estimator does on the pairs held out, per parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EstimateTest {
    /// Of moments.
    Moments {
        /// √⟨(θ - mean)²⟩.
        rmse: Vec<f64>,
        /// ⟨(θ - mean)/sd⟩, 0 where the mean is right.
        pull_mean: Vec<f64>,
        /// ⟨((θ - mean)/sd)²⟩^½, 1 where the standard deviation is right.
        pull_rms: Vec<f64>,
    },
    /// Of medians.
    Median {
        /// ⟨|θ - median|⟩.
        absolute_error: Vec<f64>,
        /// Share of θ below the median, ½ where it is right.
        below: Vec<f64>,
    },
    /// Of quantiles.
    Quantiles {
        /// The levels.
        levels: Vec<f32>,
        /// Share of θ below each quantile, (parameters, levels): the level itself where they are right.
        below: Vec<Vec<f64>>,
    },
}

/// Trains an estimator and tests it on the pairs held out.
///
/// # Errors
/// See [`EstimateError`].
pub fn train_estimator(
    quantity: &Quantity,
    parameters: &[ParameterInfo],
    task: &EstimateTask<'_>,
    compute: &Compute,
) -> Result<(Estimator, Vec<Progress>, EstimateTest), EstimateError> {
    let d = task.source.theta_len();
    if parameters.len() != d {
        return Err(EstimateError::Names { what: "parameters", found: parameters.len(), expected: d });
    }
    let (learnt, progress) = learn(task, &quantity.loss()?, Scaling::Independent, compute)?;
    if let Some(&j) = learnt.target_scale.constant().first() {
        return Err(EstimateError::Constant(parameters[j].name.clone()));
    }
    let estimator = Estimator {
        quantity: quantity.clone(),
        parameters: parameters.to_vec(),
        x_shape: task.source.x_shape().to_vec(),
        spec: task.spec.clone(),
        learnt,
    };
    let held_out: Vec<usize> = task.split.validation.iter().collect();
    let (theta, x) = task.source.select(&held_out)?;
    let test = estimator.test(compute, theta.data(), x.data())?;
    Ok((estimator, progress, test))
}

impl Estimator {
    /// Estimates for each row of `x`, (n, parameters, numbers), in the units of the parameters: of several networks the mean.
    ///
    /// # Errors
    /// Data that don't fit or are not finite.
    pub fn estimate(&self, compute: &Compute, x: &[f32]) -> Result<Vec<f64>, EstimateError> {
        let (d, numbers) = (self.parameters.len(), self.quantity.names().len());
        let all = self.learnt.outputs(compute, x)?;
        let share = 1.0 / all.len() as f64;
        let (mean, std) = (self.learnt.target_scale.mean(), self.learnt.target_scale.std());
        let mut out = vec![0.0; x.len() / self.x_len() * d * numbers];
        for outputs in &all {
            for (out, outputs) in out.chunks_exact_mut(d * numbers).zip(outputs.chunks_exact(d * numbers)) {
                for j in 0..d {
                    for k in 0..numbers {
                        out[j * numbers + k] += share
                            * match self.quantity {
                                Quantity::Moments {} if k == 0 => mean[j] + std[j] * f64::from(outputs[j]),
                                Quantity::Moments {} => {
                                    let raw = f64::from(outputs[d + j]);
                                    std[j] * (raw.max(0.0) + libm::log1p(libm::exp(-raw.abs()))).sqrt()
                                }
                                _ => mean[j] + std[j] * f64::from(outputs[j * numbers + k]),
                            };
                    }
                }
            }
        }
        Ok(out)
    }

    /// Values per datum.
    pub fn x_len(&self) -> usize {
        self.x_shape.iter().product()
    }

    /// Its estimates against true parameters θ (n, d) of data x (n, …).
    ///
    /// # Errors
    /// As [`Estimator::estimate`].
    pub fn test(&self, compute: &Compute, theta: &[f32], x: &[f32]) -> Result<EstimateTest, EstimateError> {
        let (d, numbers) = (self.parameters.len(), self.quantity.names().len());
        let estimates = self.estimate(compute, x)?;
        let n = estimates.len() as f64 / (d * numbers) as f64;
        let mean = |j: usize, of: &dyn Fn(f64, &[f64]) -> f64| {
            let rows = theta.chunks_exact(d).zip(estimates.chunks_exact(d * numbers));
            rows.map(|(theta, e)| of(f64::from(theta[j]), &e[j * numbers..(j + 1) * numbers])).sum::<f64>() / n
        };
        let each = |of: &dyn Fn(f64, &[f64]) -> f64| (0..d).map(|j| mean(j, of)).collect::<Vec<f64>>();
        Ok(match &self.quantity {
            Quantity::Moments {} => EstimateTest::Moments {
                rmse: each(&|t, e| (t - e[0]).powi(2)).into_iter().map(f64::sqrt).collect(),
                pull_mean: each(&|t, e| (t - e[0]) / e[1]),
                pull_rms: each(&|t, e| ((t - e[0]) / e[1]).powi(2)).into_iter().map(f64::sqrt).collect(),
            },
            Quantity::Median {} => {
                EstimateTest::Median { absolute_error: each(&|t, e| (t - e[0]).abs()), below: each(&|t, e| f64::from(u8::from(t < e[0]))) }
            }
            Quantity::Quantiles { levels } => EstimateTest::Quantiles {
                levels: levels.clone(),
                below: (0..d).map(|j| (0..numbers).map(|k| mean(j, &|t, e| f64::from(u8::from(t < e[k])))).collect()).collect(),
            },
        })
    }
}

#[cfg(test)]
mod tests;
