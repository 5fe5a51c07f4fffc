//! From the configuration of nets and training to what the libraries build.

use crate::config::{
    self, Activation, DensityConfig, EmbeddingConfig, InferConfig, ModelConfig, NetSort, Padding, Pooling, Schedule, SdeType, TrainConfig,
    WidthWeights,
};
use crate::error::Error;
use abduce_density::{ClassifierSpec, DensitySpec, SplineSpec};
use abduce_diffusion::{NoiseSchedule, TimeEmbedding};
use abduce_inference::sequential::{AtomicLoss, Strategy};
use abduce_inference::training::{Engine, NetSpec, NetworkSpec, RatioLoss};
use abduce_nn::adam::AdamConfig;
use abduce_nn::widths::Weights;
use abduce_nn::{ActivationName, EmbeddingSpec, nets, trainer};

/// Every net of the ensemble, repeats written out. `x_shape` is the shape of a datum.
pub fn nets(config: &InferConfig, x_shape: &[usize]) -> Result<Vec<NetSpec>, Error> {
    let embedding = embedding(config.embedding_net.as_ref(), x_shape)?;
    let net = |net: &config::NetConfig| NetSpec {
        network: network(&net.density, &config.model),
        embedding: embedding.clone(),
        signature: net.signature.clone(),
    };
    Ok(config.model.nets.iter().flat_map(|entry| std::iter::repeat_n(net(entry), entry.repeats)).collect())
}

fn network(config: &DensityConfig, model: &ModelConfig) -> NetworkSpec {
    let schedule = || match (model.engine, model.sde_type) {
        (config::Engine::Npse, SdeType::Ve) => NoiseSchedule::ve(),
        (config::Engine::Npse, SdeType::Vp) => NoiseSchedule::vp(),
        (config::Engine::Npse, SdeType::Subvp) => NoiseSchedule::sub_vp(),
        _ => NoiseSchedule::flow_matching(),
    };
    let field = |network| NetworkSpec::Field { schedule: schedule(), network };
    let hidden = |width: usize, layers: usize| vec![width; layers];
    NetworkSpec::Density(match config {
        DensityConfig::Linear(_) => return NetworkSpec::Classifier(ClassifierSpec::Linear {}),
        DensityConfig::Mlp(c) if model.engine.wants() == Some(NetSort::Field) => {
            let (layers, hidden, time) = (c.hidden_layers, c.hidden_features, TimeEmbedding::default());
            return field(abduce_diffusion::NetworkSpec::Mlp { layers, hidden, time });
        }
        DensityConfig::AdaMlp(c) => {
            let (layers, hidden, time) = (c.hidden_layers, c.hidden_features, TimeEmbedding::default());
            return field(abduce_diffusion::NetworkSpec::AdaMlp { layers, hidden, time });
        }
        DensityConfig::Mlp(c) => {
            return NetworkSpec::Classifier(ClassifierSpec::Mlp { hidden: hidden(c.hidden_features, c.hidden_layers) });
        }
        DensityConfig::Resnet(c) => {
            return NetworkSpec::Classifier(ClassifierSpec::Resnet { hidden: c.hidden_features, blocks: c.num_blocks });
        }
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
    })
}

/// The embedding for data of this shape.
fn embedding(config: Option<&EmbeddingConfig>, x_shape: &[usize]) -> Result<EmbeddingSpec, Error> {
    let x_len: usize = x_shape.iter().product();
    // A grid without a stated shape has one channel; a set without one has members along its first axis.
    let grid = |stated: &Option<Vec<usize>>| stated.clone().unwrap_or_else(|| [&[1], x_shape].concat());
    let set =
        |stated: Option<[usize; 2]>| stated.unwrap_or_else(|| [x_shape.first().copied().unwrap_or(0), x_shape.iter().skip(1).product()]);
    let spec = match config {
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
        Some(EmbeddingConfig::Iob(iob)) => {
            if iob.n_fixed > x_len {
                return Err(Error::failed(
                    format!("embedding_net: `n_fixed` is {}, but a datum has {x_len} values", iob.n_fixed),
                    "`n_fixed` says how many of the first values of x are summaries of their own",
                ));
            }
            EmbeddingSpec::Iob {
                network: Box::new(EmbeddingSpec::Fcn { hidden: iob.n_hidden.clone(), activation: activation(iob.act_fn) }),
                fixed: iob.n_fixed,
                weights: match iob.weights {
                    WidthWeights::Linear => Weights::Linear,
                    WidthWeights::Geometric => Weights::Geometric { p: iob.probability },
                    WidthWeights::LogSpaced => Weights::LogSpaced,
                },
            }
        }
        Some(EmbeddingConfig::Cnn(c)) => EmbeddingSpec::Cnn(nets::Cnn {
            in_shape: grid(&c.in_shape),
            n_channels: c.n_channels.clone(),
            kernel_sizes: c.kernel_sizes.clone(),
            strides: c.strides.clone(),
            pool_sizes: c.pool_sizes.clone(),
            n_hiddens: c.n_hiddens.clone(),
            activation: activation(c.act_fn),
            edge: edge(c.padding),
        }),
        Some(EmbeddingConfig::ResNet(c)) => EmbeddingSpec::ResNet(nets::ResNet {
            in_shape: grid(&c.in_shape),
            n_channels: c.n_channels.clone(),
            blocks: c.num_blocks,
            kernel_size: c.kernel_size,
            groups: 8,
            n_output: c.n_output,
            activation: activation(c.act_fn),
            edge: edge(c.padding),
        }),
        Some(EmbeddingConfig::DeepSet(c)) => EmbeddingSpec::DeepSet(nets::DeepSet {
            in_shape: set(c.in_shape),
            n_features: c.n_features.clone(),
            pooling: pooling(c.pooling),
            n_hiddens: c.n_hiddens.clone(),
            activation: activation(c.act_fn),
        }),
        Some(EmbeddingConfig::SetTransformer(c)) => EmbeddingSpec::SetTransformer(nets::SetTransformer {
            in_shape: set(c.in_shape),
            width: c.hidden_features,
            heads: c.num_heads,
            layers: c.num_layers,
            inner: 2 * c.hidden_features,
            inducing: c.num_inducing,
            seeds: c.num_seeds,
            n_hiddens: c.n_hiddens.clone(),
            activation: activation(c.act_fn),
        }),
        Some(EmbeddingConfig::Transformer(c)) => EmbeddingSpec::Transformer(nets::Transformer {
            in_shape: set(c.in_shape),
            width: c.hidden_features,
            heads: c.num_heads,
            layers: c.num_layers,
            inner: 4 * c.hidden_features,
            dropout: c.dropout as f32,
            pooling: pooling(c.pooling),
            n_hiddens: c.n_hiddens.clone(),
            activation: activation(c.act_fn),
        }),
        Some(EmbeddingConfig::Gnn(c)) => EmbeddingSpec::GraphNet(nets::GraphNet {
            in_shape: set(c.in_shape),
            axes: c.num_axes,
            neighbours: c.num_neighbours,
            radius: c.radius.map(|r| r as f32),
            period: None,
            hidden: c.hidden_features,
            rounds: c.num_rounds,
            pooling: pooling(c.pooling),
            n_hiddens: c.n_hiddens.clone(),
            activation: activation(c.act_fn),
        }),
    };
    spec.check(x_len).map_err(|error| Error::failed(format!("embedding_net: {error}"), format!("a datum has the shape {x_shape:?}")))?;
    Ok(spec)
}

const fn edge(padding: Padding) -> nets::Edge {
    match padding {
        Padding::Valid => nets::Edge::Valid,
        Padding::Same => nets::Edge::Zeros,
        Padding::Periodic => nets::Edge::Periodic,
    }
}

const fn pooling(pooling: Pooling) -> nets::SetPooling {
    match pooling {
        Pooling::Mean => nets::SetPooling::Mean,
        Pooling::Sum => nets::SetPooling::Sum,
        Pooling::Max => nets::SetPooling::Max,
    }
}

/// The kernel's name of an activation.
pub const fn activation(name: Activation) -> ActivationName {
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

/// What is learnt, in the first round where there are several.
pub const fn engine(model: &ModelConfig, train: &TrainConfig) -> Engine {
    match model.engine {
        // ABC has no nets that could learn anything, and does not come here.
        config::Engine::Npe
        | config::Engine::Snpe
        | config::Engine::SnpeA
        | config::Engine::SnpeB
        | config::Engine::Tsnpe
        | config::Engine::Mcabc
        | config::Engine::Smcabc => Engine::Npe,
        config::Engine::Nle | config::Engine::Snle => Engine::Nle,
        config::Engine::Fmpe | config::Engine::Npse => Engine::Field,
        config::Engine::Nre | config::Engine::Snre => Engine::Nre(RatioLoss::Multiclass { atoms: train.num_atoms }),
        config::Engine::NreA | config::Engine::SnreA => Engine::Nre(RatioLoss::Binary { balance: 0.0 }),
        config::Engine::NreC | config::Engine::SnreC => {
            Engine::Nre(RatioLoss::Contrastive { classes: train.num_classes, gamma: train.gamma })
        }
        config::Engine::Bnre => {
            // Asked for when the file was checked.
            let balance = match train.regularization_strength {
                Some(strength) => strength,
                None => 0.0,
            };
            Engine::Nre(RatioLoss::Binary { balance })
        }
    }
}

/// How the rounds of a sequential engine follow.
pub const fn strategy(model: &ModelConfig, train: &TrainConfig) -> Strategy {
    match engine(model, train) {
        Engine::Nle => Strategy::Likelihood,
        Engine::Nre(loss) => Strategy::Ratio(loss),
        _ if matches!(model.engine, config::Engine::SnpeA) => Strategy::Corrected,
        _ if matches!(model.engine, config::Engine::SnpeB) => Strategy::Weighted,
        _ if matches!(model.engine, config::Engine::Tsnpe) => Strategy::Truncated { cut: 1e-4 },
        _ => {
            let loss = if train.use_combined_loss { AtomicLoss::WithPriorPairs } else { AtomicLoss::Atoms };
            Strategy::Atomic { atoms: train.num_atoms, loss }
        }
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
        ema_decay: config.ema_decay.map(|decay| decay as f32),
    }
}
