//! What is to be trained: networks as they are asked for, and built.

use super::{Engine, TrainingError, TrainingTask};
use crate::posterior::{Kind, Network, NetworkArchitecture};
use abduce_density::{Architecture, ClassifierArchitecture, ClassifierSpec, DensitySpec, Space};
use abduce_diffusion::NoiseSchedule;
use abduce_nn::EmbeddingSpec;

/// One network of the ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct NetSpec {
    /// What learns.
    pub network: NetworkSpec,
    /// The network between what is conditioned on and the density or classifier.
    pub embedding: EmbeddingSpec,
    /// A word that tells it from the others; may be empty.
    pub signature: String,
}

/// The part of a network behind the embedding.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkSpec {
    /// A conditional density, for the posterior or the likelihood.
    Density(DensitySpec),
    /// A classifier, for the ratio.
    Classifier(ClassifierSpec),
    /// A vector field, for the posterior.
    Field {
        /// The path from data to noise.
        schedule: NoiseSchedule,
        /// The network.
        network: abduce_diffusion::NetworkSpec,
    },
}

impl NetworkSpec {
    /// Where the parameters of the density live; the real line for all but densities.
    pub const fn space(&self) -> Space {
        match self {
            Self::Density(density) => density.space(),
            Self::Classifier(_) | Self::Field { .. } => Space::Reals,
        }
    }

    /// The family's name, as in configuration files.
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Density(density) => density.family(),
            Self::Classifier(classifier) => classifier.family(),
            Self::Field { schedule, .. } => schedule.name(),
        }
    }
}

/// The network that `spec` asks for.
pub(super) fn network(task: &TrainingTask<'_>, net: usize, spec: &NetSpec) -> Result<Network, TrainingError> {
    let (d, width) = (task.source.theta_len(), task.source.x_len());
    let kind = match task.engine {
        Engine::Npe | Engine::Field | Engine::Atomic { .. } => Kind::Npe,
        Engine::Nle => Kind::Nle,
        Engine::Nre(_) => Kind::Nre,
    };
    let (features, context) = if kind == Kind::Nle { (width, d) } else { (d, width) };
    let embedding = spec.embedding.clone();
    let (is, architecture) = match &spec.network {
        NetworkSpec::Density(density) => {
            ("density", NetworkArchitecture::Density(Architecture { density: density.clone(), embedding, features, context }))
        }
        NetworkSpec::Classifier(classifier) => {
            let classifier = classifier.clone();
            ("classifier", NetworkArchitecture::Classifier(ClassifierArchitecture { classifier, embedding, features, context }))
        }
        NetworkSpec::Field { schedule, network } => {
            let (schedule, network) = (*schedule, network.clone());
            let architecture = abduce_diffusion::Architecture { schedule, network, embedding, features, context };
            ("vector field", NetworkArchitecture::Field(architecture))
        }
    };
    let wants = match task.engine {
        Engine::Nre(_) => "classifier",
        Engine::Field => "vector field",
        _ => "density",
    };
    let wrong = TrainingError::WrongNetwork { net, family: spec.network.family(), is, wants };
    if is != wants {
        return Err(wrong);
    }
    if matches!(spec.embedding, EmbeddingSpec::Iob { .. }) && task.engine != Engine::Npe {
        return Err(TrainingError::OrderedEngine { net });
    }
    let built = architecture.build(kind).ok_or(wrong)?;
    built.map_err(|source| TrainingError::Spec { net, source })
}
