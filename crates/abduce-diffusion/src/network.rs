//! The network F(y, t, c): a noisy state, a time and summaries of the data to a vector field.

use abduce_kernels::elementwise::Activation;
use abduce_nn::layers::{Activate, Add, Film, GatedAdd, LayerNorm, Linear, Sinusoid};
use abduce_nn::{GraphBuilder, Init, Value};
use serde::{Deserialize, Serialize};

/// How time enters: sines and cosines of its label with frequencies from 1 to `max_frequency` in geometric progression.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeEmbedding {
    /// Number of sines and cosines together; even.
    pub features: usize,
    /// Highest angular frequency, at most 5000.
    pub max_frequency: f64,
}

impl Default for TimeEmbedding {
    /// 32 waves up to 30. With sbi's 1000 the field is so rough in time that the probability flow takes several times as long and is no more
    /// accurate: on the bimodal posterior of the tests, highest frequencies from 3 to 100 made no clear difference.
    fn default() -> Self {
        Self { features: 32, max_frequency: 30.0 }
    }
}

/// A vector-field network. Its serialised form is part of the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "class", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum NetworkSpec {
    /// h = W[y, waves of t, c]; then `layers` - 1 times h += W GELU(LayerNorm h); F = W GELU(LayerNorm h).
    Mlp {
        /// Number of hidden layers.
        layers: usize,
        /// Their width.
        hidden: usize,
        /// The waves.
        time: TimeEmbedding,
    },
    /// h = W y, where time and data act on every layer: e = SiLU(W[waves of t, c]), then `layers` - 1 times
    /// h += σ(W e) ⊙ W GELU(Film(LayerNorm h, W e)); F = W GELU(Film(LayerNorm h, W e)). Adaptive layer normalisation as in Peebles & Xie
    /// 2022 (arXiv:2212.09748), with scales and shifts that start at zero.
    AdaMlp {
        /// Number of hidden layers.
        layers: usize,
        /// Their width.
        hidden: usize,
        /// The waves.
        time: TimeEmbedding,
    },
}

/// A network that can't be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("vector-field network: {field} is {value}, expected {low} to {high}")]
pub struct NetworkError {
    /// The offending field.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// Smallest allowed value.
    pub low: f64,
    /// Largest allowed value.
    pub high: f64,
}

impl Default for NetworkSpec {
    /// Five layers of 100.
    fn default() -> Self {
        Self::Mlp { layers: 5, hidden: 100, time: TimeEmbedding::default() }
    }
}

const ACTIVATION: Activate = Activate(Activation::Gelu);

impl NetworkSpec {
    /// Checks all sizes.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), NetworkError> {
        let range = |field, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(NetworkError { field, value, low, high }) }
        };
        let (Self::Mlp { layers, hidden, time } | Self::AdaMlp { layers, hidden, time }) = self;
        range("number of layers", *layers as f64, 1.0, 64.0)?;
        range("hidden features", *hidden as f64, 1.0, 8192.0)?;
        range("time features", time.features as f64, 2.0, 1024.0)?;
        if !time.features.is_multiple_of(2) {
            // A sine has its cosine.
            let even = (time.features - time.features % 2) as f64;
            return Err(NetworkError { field: "time features (an even number)", value: time.features as f64, low: even, high: even });
        }
        range("max_frequency", time.max_frequency, 1.0, 5000.0)
    }

    /// Adds the network in the scope `field`: y (d), `label` (1), summaries → F (d). Its output starts near zero: the flow near the identity.
    pub(crate) fn apply(&self, g: &mut GraphBuilder<'_>, y: Value, label: Value, c: Option<Value>) -> Value {
        let features = g.features(y);
        let (Self::Mlp { time, .. } | Self::AdaMlp { time, .. }) = self;
        let waves = g.apply(Sinusoid::geometric(time.features / 2, time.max_frequency), &[label]);
        let condition: Vec<Value> = [Some(waves), c].into_iter().flatten().collect();
        g.scoped("field", |g| match self {
            Self::Mlp { layers, hidden, .. } => {
                let inputs: Vec<Value> = [y].into_iter().chain(condition).collect();
                let mut h = Linear::apply(g, "initial", &inputs, *hidden);
                for block in 0..layers - 1 {
                    h = g.scoped(format!("blocks.{block}"), |g| {
                        let a = LayerNorm::apply(g, "norm", h);
                        let a = g.apply(ACTIVATION, &[a]);
                        let a = Linear::apply(g, "linear", &[a], *hidden);
                        g.apply(Add, &[h, a])
                    });
                }
                let a = LayerNorm::apply(g, "norm", h);
                last(g, a, features)
            }
            Self::AdaMlp { layers, hidden, .. } => {
                let e = Linear::apply(g, "condition", &condition, *hidden);
                let e = g.apply(Activate(Activation::Silu), &[e]);
                let mut h = Linear::apply(g, "initial", &[y], *hidden);
                for block in 0..layers - 1 {
                    h = g.scoped(format!("blocks.{block}"), |g| {
                        let a = modulated(g, h, e);
                        let a = g.apply(ACTIVATION, &[a]);
                        let a = Linear::apply(g, "linear", &[a], *hidden);
                        let gate = Linear::apply(g, "gate", &[e], *hidden);
                        g.apply(GatedAdd, &[h, a, gate])
                    });
                }
                let a = modulated(g, h, e);
                last(g, a, features)
            }
        })
    }
}

/// Film(LayerNorm h, W e).
fn modulated(g: &mut GraphBuilder<'_>, h: Value, e: Value) -> Value {
    let normal = LayerNorm::plain(g, h);
    let width = 2 * g.features(h);
    let m = Linear::apply_with(g, "film", &[e], width, Init::Constant(0.0), Init::Constant(0.0), None);
    g.apply(Film, &[normal, m])
}

fn last(g: &mut GraphBuilder<'_>, a: Value, features: usize) -> Value {
    let a = g.apply(ACTIVATION, &[a]);
    let small = Init::Uniform(0.1 / (g.features(a) as f32).sqrt());
    Linear::apply_with(g, "final", &[a], features, small.clone(), small, None)
}
