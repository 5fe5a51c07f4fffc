//! How far an observation lies outside the simulations.

use super::{Posterior, PosteriorError};
use serde::{Deserialize, Serialize};

/// Range of each standardised feature over the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureRange {
    /// Smallest values.
    pub low: Vec<f32>,
    /// Largest values.
    pub high: Vec<f32>,
}

impl FeatureRange {
    /// An empty range for `features` features.
    pub fn empty(features: usize) -> Self {
        Self { low: vec![f32::INFINITY; features], high: vec![f32::NEG_INFINITY; features] }
    }

    /// Widens the range by one standardised row.
    pub fn add(&mut self, row: &[f32]) {
        for (j, &v) in row.iter().enumerate() {
            self.low[j] = self.low[j].min(v);
            self.high[j] = self.high[j].max(v);
        }
    }
}

/// An observation outside the training data: what a network says there is extrapolation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    /// Row of the observation.
    pub row: usize,
    /// The feature that lies farthest outside.
    pub feature: usize,
    /// Its distance from the nearest training value's range, in training standard deviations.
    pub distance: f64,
    /// Number of features outside their range.
    pub features_outside: usize,
}

/// Distance in standard deviations that is worth a warning: the largest of n training values is exceeded by this much only rarely.
const THRESHOLD: f64 = 0.5;

impl Posterior {
    /// The rows of `x` that lie outside the range of the training data in some feature by more than half a standard deviation.
    ///
    /// # Errors
    /// Shapes that don't fit, or a datum that is not finite.
    pub fn novelties(&self, x: &[f32]) -> Result<Vec<Novelty>, PosteriorError> {
        let rows = self.network_input(x)?;
        let width = self.x_len();
        Ok(rows
            .chunks_exact(width)
            .enumerate()
            .filter_map(|(row, z)| {
                let outside = |j: usize| f64::from((z[j] - self.x_range.high[j]).max(self.x_range.low[j] - z[j]).max(0.0));
                let feature = (0..width).max_by(|&a, &b| outside(a).total_cmp(&outside(b)))?;
                let features_outside = (0..width).filter(|&j| outside(j) > 0.0).count();
                (outside(feature) > THRESHOLD).then(|| Novelty { row, feature, distance: outside(feature), features_outside })
            })
            .collect())
    }
}
