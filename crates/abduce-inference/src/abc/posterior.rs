//! An ABC sample with all that is needed to use it: what ABC has in place of trained networks.

use super::{AbcError, AbcSample, Bandwidth, KernelDensity, Population};
use crate::posterior::PosteriorError;
use crate::prior::{Prior, PriorSpec};
use abduce_data::{Array, ModelFile, ParameterInfo, Seed};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The approximate posterior of one observation.
#[derive(Clone, Debug)]
pub struct AbcPosterior {
    /// Name of the run, a prefix of file names; may be empty.
    pub name: String,
    /// The prior.
    pub prior: Prior,
    /// Names, units and labels of the parameters.
    pub parameters: Vec<ParameterInfo>,
    /// Shape of one datum.
    pub x_shape: Vec<usize>,
    /// The observation (data, …): of no other is anything known.
    pub x_obs: Vec<f32>,
    /// The sample.
    pub sample: AbcSample,
    /// What each population came to; empty for rejection.
    pub course: Vec<Population>,
    /// Width of the kernels of a smooth density, where one is wanted.
    pub bandwidth: Option<f64>,
}

/// `kind` in the document, which tells it from networks.
const KIND: &str = "abc";

/// What the document says; the tensors are `theta`, `weights`, `distances`, `x_obs`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    kind: String,
    name: String,
    prior: PriorSpec,
    parameters: Vec<ParameterInfo>,
    x_shape: Vec<usize>,
    epsilon: f64,
    simulations: usize,
    failed: usize,
    course: Vec<Population>,
    bandwidth: Option<f64>,
}

impl AbcPosterior {
    /// Dimension of θ.
    pub const fn dimension(&self) -> usize {
        self.parameters.len()
    }

    /// Independent data of the observation.
    pub fn trials(&self) -> usize {
        self.x_obs.len() / self.x_shape.iter().product::<usize>().max(1)
    }

    /// Accepted parameters over those simulated.
    pub fn acceptance(&self) -> f64 {
        self.sample.weights.len() as f64 / self.sample.simulations as f64
    }

    /// The smooth density, where one is wanted.
    ///
    /// # Errors
    /// The sample is too small or too narrow.
    pub fn density(&self) -> Result<Option<KernelDensity>, AbcError> {
        self.bandwidth.map(|h| KernelDensity::new(&self.sample, self.prior.support(), Bandwidth::Factor(h))).transpose()
    }

    /// `draws` draws of θ (draws, d): of the smooth density, or the accepted parameters resampled by weight, in random order.
    ///
    /// # Errors
    /// As [`AbcPosterior::density`].
    pub fn draw(&self, draws: usize, seed: Seed) -> Result<Vec<f32>, AbcError> {
        let Some(density) = self.density()? else {
            return Ok(self.sample.resample(draws, &mut seed.stream("abc resample", 0)).into_iter().map(|t| t as f32).collect());
        };
        let mut theta = vec![0.0; self.dimension()];
        let mut out = Vec::with_capacity(draws * theta.len());
        for i in 0..draws {
            density.sample(&mut seed.stream("abc kernel", i as u64), &mut theta);
            let inside = theta.iter().zip(self.prior.support()).map(|(&t, support)| {
                let (low, high) = support.interior_f32();
                (t as f32).clamp(low, high)
            });
            out.extend(inside);
        }
        Ok(out)
    }

    /// Writes the file; it appears complete or not at all, and the same sample gives the same bytes.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn save(&self, path: &Path) -> Result<(), PosteriorError> {
        let document = Document {
            kind: KIND.to_owned(),
            name: self.name.clone(),
            prior: self.prior.spec().clone(),
            parameters: self.parameters.clone(),
            x_shape: self.x_shape.clone(),
            epsilon: self.sample.epsilon,
            simulations: self.sample.simulations,
            failed: self.sample.failed,
            course: self.course.clone(),
            bandwidth: self.bandwidth,
        };
        let metadata = serde_json::to_value(&document)
            .map_err(|error| PosteriorError::File { path: path.to_path_buf(), reason: error.to_string() })?;
        let rows = self.sample.weights.len();
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let x_shape = std::iter::once(self.trials()).chain(self.x_shape.iter().copied()).collect();
        let tensors = vec![
            ("theta".to_owned(), Array::new(vec![rows, self.dimension()], single(&self.sample.theta))?),
            ("weights".to_owned(), Array::new(vec![rows], single(&self.sample.weights))?),
            ("distances".to_owned(), Array::new(vec![rows], single(&self.sample.distances))?),
            ("x_obs".to_owned(), Array::new(x_shape, self.x_obs.clone())?),
        ];
        Ok(ModelFile { metadata, tensors }.save(path)?)
    }

    /// Whether a model file holds an ABC sample, by its document.
    pub fn is_in(file: &ModelFile) -> bool {
        file.metadata["kind"] == KIND
    }

    /// Reads what [`AbcPosterior::save`] wrote; `path` is where the file came from, for errors.
    ///
    /// # Errors
    /// The file is damaged, or not an ABC sample.
    pub fn of_file(file: &ModelFile, path: &Path) -> Result<Self, PosteriorError> {
        let invalid = |reason: String| PosteriorError::File { path: path.to_path_buf(), reason };
        let document: Document =
            serde_json::from_value(file.metadata.clone()).map_err(|e| invalid(format!("not an ABC sample of this program: {e}")))?;
        let prior = Prior::new(document.prior).map_err(|e| invalid(e.to_string()))?;
        let x_len = document.x_shape.iter().try_fold(1usize, |a, &b| a.checked_mul(b)).filter(|&len| len > 0);
        let x_len = x_len.ok_or_else(|| invalid("the shape of the data has no values, or overflows".to_owned()))?;
        let double = |name: &str| -> Result<Vec<f64>, PosteriorError> {
            Ok(file.tensor(path, name)?.data().iter().map(|&v| f64::from(v)).collect())
        };
        let (theta, mut weights, distances) = (double("theta")?, double("weights")?, double("distances")?);
        let x_obs = file.tensor(path, "x_obs")?.data().to_vec();
        let (d, rows) = (prior.parameters(), weights.len());
        if document.parameters.len() != d
            || theta.len() != rows * d
            || distances.len() != rows
            || x_obs.is_empty()
            || x_obs.len() % x_len != 0
        {
            return Err(invalid("the numbers of parameters, data or rows contradict each other".to_owned()));
        }
        let total: f64 = weights.iter().sum();
        if !(total.is_finite() && total > 0.0) || weights.iter().any(|w| *w < 0.0) {
            return Err(invalid(format!("the weights sum to {total}")));
        }
        if let Some(row) = theta.chunks_exact(d).position(|theta| !prior.contains(theta)) {
            return Err(invalid(format!("row {row} of theta lies outside the prior")));
        }
        // Rounding to single precision.
        weights.iter_mut().for_each(|w| *w /= total);
        let Document { name, parameters, x_shape, epsilon, simulations, failed, course, bandwidth, .. } = document;
        let sample = AbcSample { theta, weights, distances, epsilon, simulations, failed };
        Ok(Self { name, prior, parameters, x_shape, x_obs, sample, course, bandwidth })
    }
}
