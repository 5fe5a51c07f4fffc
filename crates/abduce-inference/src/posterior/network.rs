//! What one member of an ensemble has learnt.

use super::PosteriorError;
use super::corrected::{self, CorrectedArchitecture, CorrectedDensity};
use abduce_density::{Architecture, By, Classifier, ClassifierArchitecture, Estimator, Indexed, SpecError};
use abduce_diffusion::{ArchitectureError, FieldEstimator, Tolerance};
use abduce_nn::{Compute, Layout};
use serde::{Deserialize, Serialize};

/// The quantity that a posterior's networks give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The posterior density q(z | x) itself: normalised, drawn from directly.
    Npe,
    /// The likelihood q(x | z): the posterior is known up to a constant and drawn from by a sampler.
    Nle,
    /// The ratio p(x | z)/p(x): as for the likelihood.
    Nre,
}

/// A network without its numbers. z are standardised unconstrained parameters, x standardised data.
#[derive(Clone, Debug)]
pub enum Network {
    /// q(z | x).
    Posterior(Estimator),
    /// q(z | x) as the flow of a vector field: flow matching or a score model.
    Field(FieldEstimator),
    /// q(x | z).
    Likelihood(Estimator),
    /// ln p(x | z)/p(x), possibly up to a function of x.
    Ratio(Classifier),
    /// The same from a density that was learnt under a proposal.
    Corrected(Box<CorrectedDensity>),
}

/// What fixes a network but its numbers and its kind: part of the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NetworkArchitecture {
    /// Of a density.
    Density(Architecture),
    /// Of a classifier.
    Classifier(ClassifierArchitecture),
    /// Of a vector field.
    Field(abduce_diffusion::Architecture),
    /// Of a density with its proposal.
    Corrected(CorrectedArchitecture),
}

/// Why a network can't be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A density or classifier.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A vector field.
    #[error(transparent)]
    Field(#[from] ArchitectureError),
    /// A proposal that does not fit its density.
    #[error("the proposal of a corrected density is not a Gaussian over its parameters")]
    Proposal,
}

impl NetworkArchitecture {
    /// Builds the network of this kind.
    ///
    /// # Errors
    /// A size out of range; `None` where the kind needs another architecture.
    pub fn build(self, kind: Kind) -> Option<Result<Network, NetworkError>> {
        Some(match (self, kind) {
            (Self::Density(a), Kind::Npe) => Estimator::new(a).map(Network::Posterior).map_err(Into::into),
            (Self::Density(a), Kind::Nle) => Estimator::new(a).map(Network::Likelihood).map_err(Into::into),
            (Self::Classifier(a), Kind::Nre) => Classifier::new(a).map(Network::Ratio).map_err(Into::into),
            (Self::Corrected(a), Kind::Nre) => corrected::build(a).map(|c| Network::Corrected(Box::new(c))),
            (Self::Field(a), Kind::Npe) => FieldEstimator::new(a).map(Network::Field).map_err(Into::into),
            _ => return None,
        })
    }

    /// (numbers in, numbers conditioned on) that the network was built for, as (parameters, data).
    pub fn dimensions(&self, kind: Kind) -> (usize, usize) {
        let (features, context) = match self {
            Self::Density(a) => (a.features, a.context),
            Self::Classifier(a) => (a.features, a.context),
            Self::Field(a) => (a.features, a.context),
            Self::Corrected(a) => (a.corrected.features, a.corrected.context),
        };
        if kind == Kind::Nle { (context, features) } else { (features, context) }
    }
}

impl Network {
    /// What it gives.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Posterior(_) | Self::Field(_) => Kind::Npe,
            Self::Likelihood(_) => Kind::Nle,
            Self::Ratio(_) | Self::Corrected(_) => Kind::Nre,
        }
    }

    /// What was built.
    pub fn architecture(&self) -> NetworkArchitecture {
        match self {
            Self::Posterior(e) | Self::Likelihood(e) => NetworkArchitecture::Density(e.architecture().clone()),
            Self::Ratio(c) => NetworkArchitecture::Classifier(c.architecture().clone()),
            Self::Field(f) => NetworkArchitecture::Field(f.architecture().clone()),
            Self::Corrected(c) => NetworkArchitecture::Corrected(c.architecture().clone()),
        }
    }

    /// The family's name, as in configuration files.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Posterior(e) | Self::Likelihood(e) => e.architecture().density.family(),
            Self::Ratio(c) => c.architecture().classifier.family(),
            Self::Field(f) => f.architecture().schedule.name(),
            Self::Corrected(c) => c.architecture().corrected.density.family(),
        }
    }

    /// Names, shapes and starts of the parameters.
    pub fn layout(&self) -> &Layout {
        match self {
            Self::Posterior(e) | Self::Likelihood(e) => e.layout(),
            Self::Ratio(c) => c.layout(),
            Self::Field(f) => f.layout(),
            Self::Corrected(c) => c.estimator().layout(),
        }
    }

    /// Its logarithm for `rows` pairs out of two tables: ln q(z | x), ln q(x | z) or the log-ratio.
    ///
    /// # Errors
    /// The flow of a vector field can't be solved.
    pub fn score(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        z: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> Result<Vec<f32>, PosteriorError> {
        Ok(match self {
            Self::Posterior(e) => e.log_prob_indexed(compute, params, rows, z, x),
            Self::Likelihood(e) => e.log_prob_indexed(compute, params, rows, x, z),
            Self::Ratio(c) => c.log_ratio(compute, params, rows, z, x),
            Self::Corrected(c) => c.log_ratio(compute, params, rows, z, x),
            Self::Field(f) => f.log_prob(compute, params, &gathered(&z, rows, f), x.table, x.row, Tolerance::default())?,
        })
    }

    /// As [`Network::score`], with the gradient by z (rows, d).
    ///
    /// # Errors
    /// As [`Network::score`].
    pub fn gradient(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        z: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> Result<(Vec<f32>, Vec<f32>), PosteriorError> {
        Ok(match self {
            Self::Posterior(e) => e.gradient_indexed(compute, params, rows, z, x, By::Input),
            Self::Likelihood(e) => e.gradient_indexed(compute, params, rows, x, z, By::Context),
            Self::Ratio(c) => c.log_ratio_gradient(compute, params, rows, z, x),
            Self::Corrected(c) => c.log_ratio_gradient(compute, params, rows, z, x),
            Self::Field(f) => {
                let z = gathered(&z, rows, f);
                let score = f.log_prob(compute, params, &z, x.table, &x.row, Tolerance::default())?;
                let (first, _) = f.architecture().schedule.times();
                (score, f.score(compute, params, &z, x.table, x.row, first))
            }
        })
    }
}

/// The rows of a table that are meant, one after the other.
fn gathered(z: &Indexed<'_, impl Fn(usize) -> usize>, rows: usize, field: &FieldEstimator) -> Vec<f32> {
    let d = field.architecture().features;
    (0..rows).flat_map(|r| z.table[(z.row)(r) * d..][..d].iter().copied()).collect()
}
