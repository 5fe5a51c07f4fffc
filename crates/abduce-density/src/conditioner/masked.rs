//! The masked perceptron of autoregressive models (MADE).

use super::CosSin;
use crate::transform::{Direction, Univariate};
use abduce_kernels::elementwise::Activation;
use abduce_kernels::gemm::{Into, Left, MatMul};
use abduce_nn::layer::{Backward, Forward, Layer};
use abduce_nn::layers::{Activate, Linear};
use abduce_nn::{GraphBuilder, Init, Value};
use std::ops::Range;

/// Degrees of a MADE (Germain et al. 2015, arXiv:1502.03509): feature degrees 1..=D in the order in which features are generated, and
/// hidden degrees in ascending blocks. A unit sees features of at most its degree; the parameters of a feature see units of
/// a smaller degree.
///
/// With a context there are hidden units of degree 0, which see the context alone: without them the first feature's
/// distribution could not depend on the data through the hidden layers.
pub fn autoregressive_degrees(order: &[usize], hidden: usize, conditional: bool) -> (Vec<usize>, Vec<usize>) {
    let features = order.len();
    let mut degrees = vec![0; features];
    for (position, &feature) in order.iter().enumerate() {
        degrees[feature] = position + 1;
    }
    let hidden = (0..hidden).map(|j| if conditional { j * features / hidden } else { 1 + j * (features - 1) / hidden }).collect();
    (degrees, hidden)
}

/// How a masked network sees the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// As they are.
    Plain,
    /// As angles: cosines of all, then sines of all.
    Angles,
}

impl Seen {
    /// Inputs per feature.
    const fn width(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Angles => 2,
        }
    }
}

/// A masked perceptron from (x, context) to raw parameters: hidden widths are all equal, degrees as [`autoregressive_degrees`].
#[derive(Clone, Debug)]
pub struct MaskedMlp {
    /// Features in the order in which they are generated.
    pub order: Vec<usize>,
    /// Width of each hidden layer.
    pub hidden: Vec<usize>,
    /// Activation after each hidden layer.
    pub activation: Activation,
    /// How it sees the features.
    pub seen: Seen,
    /// For each raw parameter, the feature it belongs to.
    pub owner: Vec<usize>,
}

impl MaskedMlp {
    /// The conditioner of an autoregressive flow of one univariate map per feature.
    pub fn of_flow(order: Vec<usize>, hidden: Vec<usize>, activation: Activation, seen: Seen, univariate: &Univariate) -> Self {
        let features = order.len();
        let mut owner = vec![0; features * univariate.parameters()];
        for f in 0..features {
            univariate.rows_of(f, features).into_iter().for_each(|row| owner[row] = f);
        }
        Self { order, hidden, activation, seen, owner }
    }

    /// Adds the network; gives the raw parameters.
    pub fn apply(&self, g: &mut GraphBuilder<'_>, x: Value, context: Option<Value>) -> Value {
        let context_features = context.map_or(0, |c| g.features(c));
        let x = match self.seen {
            Seen::Plain => x,
            Seen::Angles => g.apply(CosSin, &[x]),
        };
        let mut inputs: Vec<Value> = [x].into_iter().chain(context).collect();
        let (features, _) = autoregressive_degrees(&self.order, 1, context.is_some());
        let mut below = features.repeat(self.seen.width());
        // Every unit may see the context.
        below.extend(std::iter::repeat_n(0, context_features));
        for (k, &width) in self.hidden.iter().enumerate() {
            let (_, degrees) = autoregressive_degrees(&self.order, width, context.is_some());
            let mask = mask_of(&degrees, &below, |unit, input| unit >= input);
            let fan_in = Init::fan_in(below.len());
            let linear = Linear::apply_with(g, &k.to_string(), &inputs, width, fan_in.clone(), fan_in, Some(&mask));
            inputs = vec![g.apply(Activate(self.activation), &[linear])];
            below = degrees;
        }
        let owners: Vec<usize> = self.owner.iter().map(|&f| features[f]).collect();
        let mask = mask_of(&owners, &below, |owner, unit| owner > unit);
        let start = Init::fan_in(below.len());
        Linear::apply_with(g, &self.hidden.len().to_string(), &inputs, owners.len(), start.clone(), start, Some(&mask))
    }
}

fn mask_of(rows: &[usize], columns: &[usize], connected: impl Fn(usize, usize) -> bool) -> Vec<f32> {
    rows.iter().flat_map(|&r| columns.iter().map(move |&c| (r, c))).map(|(r, c)| f32::from(u8::from(connected(r, c)))).collect()
}

/// Runs an autoregressive flow backwards: (noise, context) → (θ, ladj), in the work of one forward pass.
///
/// Feature after feature is generated; because hidden degrees ascend, the units that see exactly the features known so far are the
/// next contiguous block of each layer, so every unit is computed once.
#[derive(Clone, Debug)]
pub struct AutoregressiveInverse {
    mlp: MaskedMlp,
    univariate: Univariate,
    /// (weight, bias) per linear layer.
    layers: Vec<(Range<usize>, Range<usize>)>,
    context_features: usize,
}

impl AutoregressiveInverse {
    /// Builds on the parameters that [`MaskedMlp::apply`] made in the same scope; gives (θ, ladj).
    pub fn apply(
        mlp: &MaskedMlp,
        univariate: Univariate,
        g: &mut GraphBuilder<'_>,
        noise: Value,
        context: Option<Value>,
    ) -> (Value, Value) {
        let features = mlp.order.len();
        let context_features = context.map_or(0, |c| g.features(c));
        let widths: Vec<usize> = mlp.hidden.iter().copied().chain([mlp.owner.len()]).collect();
        let mut below = features * mlp.seen.width() + context_features;
        let mut layers = Vec::new();
        for (k, &width) in widths.iter().enumerate() {
            let range = g.scoped(k.to_string(), |g| {
                let weight = g.parameter("weight", &[width, below], Init::fan_in(below));
                (weight, g.parameter("bias", &[width], Init::fan_in(below)))
            });
            layers.push(range);
            below = width;
        }
        let inputs: Vec<Value> = [noise].into_iter().chain(context).collect();
        let outputs = g.apply_many(Self { mlp: mlp.clone(), univariate, layers, context_features }, &inputs);
        (outputs[0], outputs[1])
    }

    /// Rows of working memory for what the network sees of the features.
    const fn seen_rows(&self) -> usize {
        match self.mlp.seen {
            Seen::Plain => 0,
            Seen::Angles => 2 * self.mlp.order.len(),
        }
    }

    /// Units of a hidden layer of this width whose degree is at most `degree`: a prefix.
    fn known(&self, width: usize, degree: usize) -> usize {
        let (_, degrees) = autoregressive_degrees(&self.mlp.order, width, self.context_features > 0);
        degrees.partition_point(|&d| d <= degree)
    }
}

impl Layer for AutoregressiveInverse {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.mlp.order.len(), 1]
    }

    /// What the network sees of the features where that is not themselves, hidden layers, raw parameters.
    fn scratch_per_lane(&self) -> usize {
        self.seen_rows() + self.mlp.hidden.iter().sum::<usize>() + self.mlp.owner.len()
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (lanes, features, simd, params) = (at.lanes, self.mlp.order.len(), at.simd, at.params);
        let noise = at.inputs.get(0);
        let [theta, ladj] = at.outputs else { unreachable!("two outputs") };
        theta.fill(0.0);
        ladj.fill(0.0);
        let mut done = vec![0; self.mlp.hidden.len()];
        let told = self.mlp.seen.width() * features;
        let (seen, scratch) = at.scratch.split_at_mut(self.seen_rows() * lanes);
        seen.fill(0.0);
        for (step, &feature) in self.mlp.order.iter().enumerate() {
            // Hidden units of degree ≤ step now have all their inputs.
            let mut rest = &mut scratch[..];
            let mut previous: (&[f32], usize) = (&[], 0);
            for (k, &width) in self.mlp.hidden.iter().enumerate() {
                let (layer, tail) = rest.split_at_mut(width * lanes);
                let end = self.known(width, step);
                let (weight, bias) = &self.layers[k];
                let fresh = done[k]..end;
                if !fresh.is_empty() {
                    let block = &mut layer[fresh.start * lanes..fresh.end * lanes];
                    let columns = if k == 0 { told + self.context_features } else { self.mlp.hidden[k - 1] };
                    let weight = &params[weight.clone()][fresh.start * columns..];
                    let bias = &params[bias.clone()][fresh.clone()];
                    let product = |depth, column, x: &[f32], out: &mut [f32], into: Into<'_>| {
                        let left = Left { data: &weight[column..], row_stride: columns, depth_stride: 1 };
                        simd.matmul_strided(MatMul { rows: fresh.len(), cols: lanes, depth }, left, x, lanes, out, lanes, into);
                    };
                    if k == 0 {
                        // Features not yet generated are zero and masked besides.
                        let known: &[f32] = if seen.is_empty() { theta } else { seen };
                        product(told, 0, known, block, Into::Bias(bias));
                        if self.context_features > 0 {
                            product(self.context_features, told, at.inputs.get(1), block, Into::Accumulate);
                        }
                    } else {
                        product(previous.1, 0, previous.0, block, Into::Bias(bias));
                    }
                    activate_in_place(simd, self.mlp.activation, block);
                    done[k] = end;
                }
                previous = (layer, end);
                rest = tail;
            }
            let raw = rest;
            let (weight, bias) = &self.layers[self.mlp.hidden.len()];
            let columns = self.mlp.hidden.last().copied().unwrap_or(told + self.context_features);
            for row in self.univariate.rows_of(feature, features) {
                let left = Left { data: &params[weight.clone()][row * columns..], row_stride: columns, depth_stride: 1 };
                let out = &mut raw[row * lanes..(row + 1) * lanes];
                let bias = &params[bias.clone()][row..=row];
                simd.matmul_strided(
                    MatMul { rows: 1, cols: lanes, depth: previous.1 },
                    left,
                    previous.0,
                    lanes,
                    out,
                    lanes,
                    Into::Bias(bias),
                );
            }
            let span = feature * lanes..(feature + 1) * lanes;
            self.univariate.map(simd, Direction::Inverse, raw, (feature, features), &noise[span.clone()], &mut theta[span.clone()], ladj);
            if !seen.is_empty() {
                let (cos, sin) = seen.split_at_mut(features * lanes);
                simd.cos_sin(&theta[span.clone()], &mut cos[span.clone()], &mut sin[span]);
            }
        }
    }

    fn backward(&self, _at: &mut Backward<'_>) {
        unreachable!("draws are not differentiated");
    }
}

fn activate_in_place(simd: abduce_kernels::Simd, activation: Activation, values: &mut [f32]) {
    // One vector of sixteen at a time: the kernel wants distinct slices.
    let mut copy = [0.0; 256];
    for block in values.chunks_mut(256) {
        copy[..block.len()].copy_from_slice(block);
        simd.activate(activation, &copy[..block.len()], block);
    }
}
