//! Summaries of the data, and distances between them.

use super::regression::{fit, predict};
use super::{AbcError, simulated};
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
    /// Fits the regression on `pilot` prior simulations.
    pub(super) fn fit(
        summaries: Summaries,
        prior: &Prior,
        pilot: usize,
        width: usize,
        simulate: &mut Simulate<'_>,
        seed: Seed,
    ) -> Result<Self, AbcError> {
        let Summaries::SemiAutomatic { degree, .. } = summaries else { return Ok(Self::Data) };
        let d = prior.parameters();
        let theta = prior_rows(prior, pilot, seed, 0);
        let (theta, x) = simulated(simulate, &theta, d, 0, width)?;
        let (usable, features) = (theta.len() / d, width * degree);
        let needed = 2 * (features + 1);
        if usable < needed {
            return Err(AbcError::TooFew { usable, failed: pilot - usable, needed, purpose: "the regression of semi-automatic summaries" });
        }
        let expanded: Vec<f64> = x.chunks_exact(width).flat_map(|row| expand(row, degree)).collect();
        let coefficients = fit(&expanded, &theta, &vec![1.0; usable], features, d);
        let singular = AbcError::TooFew { usable, failed: pilot - usable, needed, purpose: "a regression that is not singular" };
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

    pub(super) fn width(&self, width: usize) -> usize {
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

/// Standard deviation of each summary over the rows; 1 for a constant one, which then counts nothing.
pub(super) fn scales(summaries: &[f64], width: usize) -> Vec<f64> {
    let n = summaries.len() / width;
    (0..width)
        .map(|j| {
            let values = || summaries.iter().skip(j).step_by(width);
            let mean = values().sum::<f64>() / n as f64;
            let sd = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n.max(2) as f64).sqrt();
            if sd > 0.0 { sd } else { 1.0 }
        })
        .collect()
}

/// Euclidean distance of each row from the observation in units of the scales.
pub(super) fn distances(summaries: &[f64], observed: &[f64], scales: &[f64]) -> Vec<f64> {
    let one = |row: &[f64]| row.iter().zip(observed).zip(scales).map(|((s, o), scale)| ((s - o) / scale).powi(2)).sum::<f64>().sqrt();
    summaries.chunks_exact(observed.len()).map(one).collect()
}
