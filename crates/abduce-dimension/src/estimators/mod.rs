//! The classical estimators, each a function of neighbours or of the covariance.
//!
//! Their answers have no bias corrections: on samples of finite size local ones fall short in many dimensions (by a quarter at 20 dimensions and 2 500
//! points), and spectra count the axes of the linear span. [`combined`](mod@crate::combined) corrects for both.

pub mod danco;
pub mod distances;
pub mod ess;
pub mod fisher_s;
pub mod ratios;
pub mod spectrum;
pub mod tle;

use crate::error::{DimensionError, Result};

/// A dimension and what is known of its error.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// The dimension.
    pub dimension: f64,
    /// Standard error from sampling alone: no bias is in it, and neighbourhoods that overlap are counted as independent. `None` where the method has none.
    pub standard_error: Option<f64>,
}

impl Estimate {
    /// The interval of 95 % that the standard error gives.
    pub fn interval(&self) -> Option<[f64; 2]> {
        const Z: f64 = 1.959_963_984_540_054;
        self.standard_error.map(|se| [(self.dimension - Z * se).max(0.0), self.dimension + Z * se])
    }

    fn finite(method: &'static str, dimension: f64) -> Result<Self> {
        if dimension.is_finite() {
            Ok(Self { dimension, standard_error: None })
        } else {
            Err(DimensionError::NoAnswer { method, reason: "the distances do not determine one; are most of them equal?".into() })
        }
    }

    /// From the scatter `sd` of `count` points.
    fn pointwise(method: &'static str, dimension: f64, sd: f64, count: usize) -> Result<Self> {
        let mut estimate = Self::finite(method, dimension)?;
        estimate.standard_error = Some(sd / (count as f64).sqrt()).filter(|se| se.is_finite());
        Ok(estimate)
    }
}
