//! Simulations, and what of them is compared with the observation.

use super::AbcError;
use super::regression::{fit, predict};
use crate::prior::Prior;
use crate::simulator::Simulate;
use abduce_data::Seed;

/// What the distance is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum Summaries {
    /// The data themselves.
    #[default]
    Data,
    /// Predictions of θ from x, by a polynomial regression on a pilot part of the simulations (sbi's `sass`).
    SemiAutomatic {
        /// Part of the simulations that is used for the regression.
        fraction: f64,
        /// Highest power of each feature; there are no products of features.
        degree: usize,
    },
}

impl Summaries {
    /// Simulations out of `budget` that the regression takes.
    pub(super) fn pilot(self, budget: usize) -> Result<usize, AbcError> {
        match self {
            Self::Data => Ok(0),
            Self::SemiAutomatic { fraction, .. } if !(f64::MIN_POSITIVE..1.0).contains(&fraction) => {
                Err(AbcError::Option { option: "sass_fraction", value: fraction, expected: "between 0 and 1" })
            }
            Self::SemiAutomatic { degree, .. } if !(1..=8).contains(&degree) => {
                Err(AbcError::Option { option: "sass_expansion_degree", value: degree as f64, expected: "1 to 8" })
            }
            Self::SemiAutomatic { fraction, .. } => Ok((fraction * budget as f64).ceil() as usize),
        }
    }
}

/// Data → summaries.
pub(super) enum Summariser {
    Data,
    Regression { degree: usize, coefficients: Vec<f64>, outputs: usize },
}

impl Summariser {
    /// Fits the regression on pilot simulations `pilot`, drawn from the prior or weighted as if they were.
    pub(super) fn fit(summaries: Summaries, pilot: &Simulated, width: usize, d: usize) -> Result<Self, AbcError> {
        let Summaries::SemiAutomatic { degree, .. } = summaries else { return Ok(Self::Data) };
        let (usable, features, failed) = (pilot.rows(d), width * degree, pilot.failed);
        let needed = 2 * (features + 1);
        if usable < needed {
            return Err(AbcError::TooFew { usable, failed, needed, purpose: "the regression of semi-automatic summaries" });
        }
        let expanded: Vec<f64> = pilot.x.chunks_exact(width).flat_map(|row| expand(row, degree)).collect();
        let coefficients = fit(&expanded, &pilot.theta, &pilot.weights, features, d);
        let singular = AbcError::TooFew { usable, failed, needed, purpose: "a regression that is not singular" };
        Ok(Self::Regression { degree, coefficients: coefficients.ok_or(singular)?, outputs: d })
    }

    pub(super) fn of_rows(&self, x: &[f64], width: usize) -> Vec<f64> {
        match self {
            Self::Data => x.to_vec(),
            Self::Regression { degree, coefficients, outputs } => {
                x.chunks_exact(width).flat_map(|row| predict(coefficients, &expand(row, *degree), *outputs)).collect()
            }
        }
    }

    /// Values of one summary.
    pub(super) const fn width(&self, width: usize) -> usize {
        match self {
            Self::Data => width,
            Self::Regression { outputs, .. } => *outputs,
        }
    }
}

fn expand(row: &[f64], degree: usize) -> Vec<f64> {
    (1..=degree as i32).flat_map(|power| row.iter().map(move |v| v.powi(power))).collect()
}

/// Rows `first..first + n` of the prior's draws, rounded to single precision as they are stored.
pub(super) fn prior_rows(prior: &Prior, n: usize, seed: Seed, first: usize) -> Vec<f32> {
    let mut row = vec![0.0; prior.parameters()];
    let mut theta = Vec::with_capacity(n * row.len());
    for i in first..first + n {
        prior.sample(&mut seed.stream("abc.prior", i as u64), &mut row);
        theta.extend(row.iter().map(|&t| t as f32));
    }
    theta
}

/// Simulations that did not fail.
pub(super) struct Simulated {
    /// θ (n, d).
    pub(super) theta: Vec<f64>,
    /// x (n, trials, …).
    pub(super) x: Vec<f64>,
    /// Prior over the law that θ was drawn from, up to a constant (n).
    pub(super) weights: Vec<f64>,
    /// Rows that failed, and are left out.
    pub(super) failed: usize,
}

impl Simulated {
    /// Simulates `trials` data of `width` values for each row of `theta` (n, d), the first of which is number `first`.
    pub(super) fn new(
        simulate: &mut Simulate<'_>,
        theta: &[f32],
        d: usize,
        first: usize,
        (width, trials): (usize, usize),
    ) -> Result<Self, AbcError> {
        let rows = theta.len() / d;
        let repeated: Vec<f32>;
        let asked = if trials == 1 {
            theta
        } else {
            repeated = theta.chunks_exact(d).flat_map(|row| std::iter::repeat_n(row, trials).flatten().copied()).collect();
            &repeated
        };
        let x = simulate(asked, first * trials).map_err(AbcError::Simulator)?;
        if x.len() != rows * trials * width {
            return Err(AbcError::Observation { found: width, expected: x.len() / (rows * trials).max(1) });
        }
        let good = || theta.chunks_exact(d).zip(x.chunks_exact(width * trials)).filter(|(_, x)| x.iter().all(|v| v.is_finite()));
        let usable = good().count();
        Ok(Self {
            theta: good().flat_map(|(theta, _)| theta.iter().map(|&v| f64::from(v))).collect(),
            x: good().flat_map(|(_, x)| x.iter().map(|&v| f64::from(v))).collect(),
            weights: vec![1.0; usable],
            failed: rows - usable,
        })
    }

    /// Number of simulations.
    pub(super) fn rows(&self, d: usize) -> usize {
        self.theta.len() / d
    }
}
