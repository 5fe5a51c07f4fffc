//! From the configuration of nets and training to what the libraries build.

use crate::config::{Activation, DensityConfig, EmbeddingConfig, InferConfig, Schedule, TrainConfig};
use crate::error::Error;
use abduce_density::{DensitySpec, SplineSpec};
use abduce_inference::npe::NetSpec;
use abduce_nn::adam::AdamConfig;
use abduce_nn::{ActivationName, EmbeddingSpec, trainer};

/// Every net of the ensemble, repeats written out. `x_len` is the number of values of a datum.
pub fn nets(config: &InferConfig, x_len: usize) -> Result<Vec<NetSpec>, Error> {
    let embedding = embedding(config.embedding_net.as_ref(), x_len)?;
    let net = |net: &crate::config::NetConfig| NetSpec {
        density: density(&net.density),
        embedding: embedding.clone(),
        signature: net.signature.clone(),
    };
    Ok(config.model.nets.iter().flat_map(|entry| std::iter::repeat_n(net(entry), entry.repeats)).collect())
}

fn density(config: &DensityConfig) -> DensitySpec {
    let hidden = |width: usize, layers: usize| vec![width; layers];
    match config {
        DensityConfig::Mdn(c) => DensitySpec::Mdn { hidden: hidden(c.hidden_features, c.hidden_layers), components: c.num_components },
        DensityConfig::Made(c) => DensitySpec::Made { hidden: hidden(c.hidden_features, c.hidden_layers), components: c.num_components },
        DensityConfig::Maf(c) => DensitySpec::Maf { transforms: c.num_transforms, hidden: hidden(c.hidden_features, c.hidden_layers) },
        DensityConfig::Nice(c) => DensitySpec::Nice { transforms: c.num_transforms, hidden: hidden(c.hidden_features, c.hidden_layers) },
        DensityConfig::Realnvp(c) => {
            DensitySpec::RealNvp { transforms: c.num_transforms, hidden: hidden(c.hidden_features, c.hidden_layers) }
        }
        DensityConfig::MafRqs(c) => DensitySpec::MafRqs {
            transforms: c.num_transforms,
            hidden: hidden(c.hidden_features, c.hidden_layers),
            spline: SplineSpec { bins: c.num_bins, bound: c.tail_bound as f32 },
        },
        DensityConfig::Nsf(c) => DensitySpec::Nsf {
            transforms: c.num_transforms,
            hidden: c.hidden_features,
            blocks: c.num_blocks,
            spline: SplineSpec { bins: c.num_bins, bound: c.tail_bound as f32 },
        },
        DensityConfig::Gf(c) => DensitySpec::Gf {
            transforms: c.num_transforms,
            hidden: hidden(c.hidden_features, c.hidden_layers),
            components: c.num_components,
        },
        DensityConfig::Ncsf(c) => {
            DensitySpec::Ncsf { transforms: c.num_transforms, hidden: hidden(c.hidden_features, c.hidden_layers), bins: c.num_bins }
        }
        DensityConfig::Cnf(c) => DensitySpec::Cnf { hidden: c.hidden_features, frequencies: c.num_transforms, steps: c.num_steps },
        DensityConfig::Sospf(c) => DensitySpec::Sospf {
            transforms: c.num_transforms,
            hidden: hidden(c.hidden_features, c.hidden_layers),
            polynomials: c.num_polynomials,
            degree: c.degree,
            bound: c.tail_bound as f32,
        },
        DensityConfig::Bpf(c) => DensitySpec::Bpf {
            transforms: c.num_transforms,
            hidden: hidden(c.hidden_features, c.hidden_layers),
            degree: c.degree,
            bound: c.tail_bound as f32,
        },
        DensityConfig::Naf(c) => {
            DensitySpec::Naf { transforms: c.num_transforms, hidden: hidden(c.hidden_features, c.hidden_layers), signal: c.signal }
        }
        DensityConfig::Unaf(c) => DensitySpec::Unaf {
            transforms: c.num_transforms,
            hidden: hidden(c.hidden_features, c.hidden_layers),
            signal: c.signal,
            bound: c.tail_bound as f32,
        },
    }
}

fn embedding(config: Option<&EmbeddingConfig>, x_len: usize) -> Result<EmbeddingSpec, Error> {
    Ok(match config {
        None => EmbeddingSpec::Identity,
        Some(EmbeddingConfig::Fcn(fcn)) => {
            if let Some(expected) = fcn.n_input.filter(|&expected| expected != x_len) {
                return Err(Error::failed(
                    format!("embedding_net: `n_input` is {expected}, but a datum has {x_len} values"),
                    "leave `n_input` out: it follows from the data",
                ));
            }
            EmbeddingSpec::Fcn { hidden: fcn.n_hidden.clone(), activation: activation(fcn.act_fn) }
        }
        Some(EmbeddingConfig::ResidualMlp(mlp)) => EmbeddingSpec::Residual {
            hidden: mlp.hidden_features,
            blocks: mlp.num_blocks,
            out: mlp.n_output,
            activation: activation(mlp.act_fn),
        },
    })
}

const fn activation(name: Activation) -> ActivationName {
    match name {
        Activation::SiLU => ActivationName::SiLU,
        Activation::ReLU => ActivationName::ReLU,
        Activation::LeakyReLU => ActivationName::LeakyReLU,
        Activation::ELU => ActivationName::ELU,
        Activation::GELU => ActivationName::GELU,
        Activation::Tanh => ActivationName::Tanh,
        Activation::Sigmoid => ActivationName::Sigmoid,
        Activation::Softplus => ActivationName::Softplus,
        Activation::Mish => ActivationName::Mish,
    }
}

/// How nets are trained.
pub fn training(config: &TrainConfig) -> trainer::TrainConfig {
    trainer::TrainConfig {
        batch_size: config.training_batch_size,
        learning_rate: config.learning_rate as f32,
        schedule: match config.schedule {
            Schedule::Constant => trainer::Schedule::Constant,
            // The check of the configuration asks for `max_num_epochs` here.
            Schedule::Cosine => trainer::Schedule::Cosine { epochs: config.max_num_epochs.unwrap_or(usize::MAX) },
            Schedule::Plateau => trainer::Schedule::Plateau { factor: config.plateau_factor as f32, drops: config.plateau_drops },
        },
        stop_after_epochs: config.stop_after_epochs,
        max_epochs: config.max_num_epochs,
        adam: AdamConfig {
            weight_decay: config.weight_decay as f32,
            clip_max_norm: config.clip_max_norm.map_or(f32::INFINITY, |norm| norm as f32),
            ..AdamConfig::default()
        },
    }
}
