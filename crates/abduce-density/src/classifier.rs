//! Classifiers of pairs (θ, x) for ratio estimation: f(θ, x) → log p(x | θ)/p(x).

use crate::conditioner::{ResidualShape, residual_net};
use crate::scorer::{By, Indexed, Scorer};
use crate::spec::{COUPLING_ACTIVATION, SpecError, check_range, check_widths};
use abduce_nn::layers::{Activate, LayerNorm, Linear};
use abduce_nn::{Compute, EmbeddingSpec, Graph, GraphBuilder, Layout, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A classifier and its size. Its serialised form is part of the model file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ClassifierSpec {
    /// Logistic regression on (θ, x).
    Linear {},
    /// Linear, layer normalisation, ReLU per width, then linear.
    Mlp {
        /// Widths of the hidden layers.
        hidden: Vec<usize>,
    },
    /// Residual network.
    Resnet {
        /// Width of the trunk.
        hidden: usize,
        /// Number of blocks.
        blocks: usize,
    },
}

impl ClassifierSpec {
    /// The family's name, as in configuration files.
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Linear {} => "linear",
            Self::Mlp { .. } => "mlp",
            Self::Resnet { .. } => "resnet",
        }
    }

    fn check(&self) -> Result<(), SpecError> {
        let family = self.family();
        match self {
            Self::Linear {} => Ok(()),
            Self::Mlp { hidden } => check_widths(family, hidden),
            Self::Resnet { hidden, blocks } => {
                check_widths(family, &[*hidden])?;
                check_range(family, "num_blocks", *blocks, 0, 64)
            }
        }
    }

    fn apply(&self, g: &mut GraphBuilder<'_>, theta: Value, x: Option<Value>) -> Value {
        let inputs: Vec<Value> = [theta].into_iter().chain(x).collect();
        g.scoped("classifier", |g| match self {
            Self::Linear {} => Linear::apply(g, "0", &inputs, 1),
            Self::Mlp { hidden } => {
                let mut h = inputs;
                for (k, &width) in hidden.iter().enumerate() {
                    let linear = Linear::apply(g, &k.to_string(), &h, width);
                    let normal = LayerNorm::apply(g, &format!("norm.{k}"), linear);
                    h = vec![g.apply(Activate(COUPLING_ACTIVATION), &[normal])];
                }
                Linear::apply(g, &hidden.len().to_string(), &h, 1)
            }
            Self::Resnet { hidden, blocks } => {
                let shape = ResidualShape { hidden: *hidden, blocks: *blocks, activation: COUPLING_ACTIVATION };
                residual_net(g, &inputs, None, shape, 1)
            }
        })
    }
}

/// Everything that fixes a classifier's parameters but their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierArchitecture {
    /// The network on (θ, summaries of x).
    pub classifier: ClassifierSpec,
    /// The network between x and the classifier.
    pub embedding: EmbeddingSpec,
    /// Dimension of θ.
    pub features: usize,
    /// Dimension of the data x.
    pub context: usize,
}

/// A classifier f(θ, x) without its numbers: parameters come with each call. θ and x are standardised f32 rows.
#[derive(Clone, Debug)]
pub struct Classifier {
    architecture: ClassifierArchitecture,
    layout: Layout,
    scorer: Scorer,
}

impl Classifier {
    /// Checks the sizes and builds the graphs.
    ///
    /// # Errors
    /// A size that is out of range.
    pub fn new(architecture: ClassifierArchitecture) -> Result<Self, SpecError> {
        let ClassifierArchitecture { classifier, embedding, features, context } = &architecture;
        classifier.check()?;
        check_range(classifier.family(), "number of parameters", *features, 1, 4096)?;
        if matches!(embedding, EmbeddingSpec::Iob { .. }) {
            return Err(SpecError::Ordered { family: classifier.family() });
        }
        check_range(classifier.family(), "number of data", *context, 1, usize::MAX)?;
        embedding.check(*context)?;
        let mut layout = Layout::new();
        let scorer = Scorer::new(&mut layout, embedding, (*features, *context), |g, theta, x| classifier.apply(g, theta, x));
        Ok(Self { architecture, layout, scorer })
    }

    /// What was built.
    pub const fn architecture(&self) -> &ClassifierArchitecture {
        &self.architecture
    }

    /// Names, shapes and starts of the parameters.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// (θ, x) → f, embedding included: the graph that training runs backward.
    pub const fn joint(&self) -> &Arc<Graph> {
        &self.scorer.joint
    }

    /// f of `rows` pairs.
    pub fn log_ratio(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        theta: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> Vec<f32> {
        self.scorer.score(compute, params, rows, theta, x)
    }

    /// f of `rows` pairs, and its gradient by θ: (rows) and (rows, features).
    pub fn log_ratio_gradient(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        theta: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> (Vec<f32>, Vec<f32>) {
        self.scorer.gradient(compute, params, rows, theta, x, By::Input)
    }
}
