//! A conditional density with its embedding: scoring, drawing, and the graph that training differentiates.

use crate::conditioner::{MaskedMlp, ResidualShape, Seen, mlp};
use crate::flow::{Autoregressive, Coupling, CouplingNet, circular_spline_of, feature_order, spline_of};
use crate::mixture::{GaussianMixture, MixtureShape, draw_component};
use crate::scorer::{By, Indexed, Scorer, rows_from, rows_into};
use crate::spec::{AUTOREGRESSIVE_ACTIVATION, COUPLING_ACTIVATION, DensitySpec, Space, SpecError, check_range};
use crate::transform::{Direction, Elementwise, LuLinear, NormalBase, OdeFlow, OdeShape, UniformAngles, Univariate};
use abduce_data::{Rng, Seed};
use abduce_nn::layers::Activate;
use abduce_nn::step::CHUNK_ROWS;
use abduce_nn::widths::WidthLaw;
use abduce_nn::{Compute, EmbeddingSpec, Frame, Graph, GraphBuilder, Layout, Purpose, Value};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everything that fixes an estimator's parameters but their values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The density.
    pub density: DensitySpec,
    /// The network between data and density.
    pub embedding: EmbeddingSpec,
    /// Dimension of θ.
    pub features: usize,
    /// Dimension of the data x; 0 for an unconditional density.
    pub context: usize,
}

/// A conditional density q(θ | x) without its numbers: parameters come with each call.
///
/// θ and x are standardised f32 rows, or θ are angles (see [`Space`]); all log-densities are natural logarithms in those coordinates.
#[derive(Clone, Debug)]
pub struct Estimator {
    architecture: Architecture,
    layout: Layout,
    /// (θ, x) → log q.
    scorer: Scorer,
    draw: Draw,
}

/// How draws are made.
#[derive(Clone, Debug)]
enum Draw {
    /// (noise, summaries) → θ.
    Flow(Arc<Graph>),
    /// summaries → raw parameters of one mixture over all features.
    Mixture(Arc<Graph>, MixtureShape),
    /// (θ so far, summaries) → raw parameters of one mixture per feature, generated in turn.
    Sequential(Arc<Graph>, MixtureShape),
}

impl Estimator {
    /// Checks the sizes and builds the graphs.
    ///
    /// # Errors
    /// A size that is out of range.
    pub fn new(architecture: Architecture) -> Result<Self, SpecError> {
        architecture.density.check()?;
        let Architecture { density, embedding, features, context } = &architecture;
        let (features, context) = (*features, *context);
        if !(1..=4096).contains(&features) {
            return Err(SpecError::OutOfRange {
                family: density.family(),
                field: "number of parameters",
                value: features,
                low: 1,
                high: 4096,
            });
        }
        if let EmbeddingSpec::Iob { fixed, weights, .. } = embedding {
            check_range("iob", "number of fixed summaries", *fixed, 0, context)?;
            weights.rho(embedding.ordered_latents(context).unwrap_or(0), 0)?;
        }
        if context > 0 {
            embedding.check(context)?;
        }
        let mut layout = Layout::new();
        let scorer = Scorer::new(&mut layout, embedding, (features, context), |g, theta, c| build::log_prob(g, density, theta, c));
        let summaries = scorer.summaries;

        let mut g = GraphBuilder::new(&mut layout);
        let draw = match density {
            DensitySpec::Mdn { components, .. } => {
                let shape = MixtureShape { components: *components, features };
                let c = (context > 0).then(|| g.input(summaries));
                let raw = build::mixture_raw(&mut g, density, shape.parameters(), None, c);
                Draw::Mixture(Arc::new(g.finish(&[raw])), shape)
            }
            DensitySpec::Made { components, .. } => {
                let shape = MixtureShape { components: *components, features: 1 };
                let so_far = g.input(features);
                let c = (context > 0).then(|| g.input(summaries));
                let raw = build::mixture_raw(&mut g, density, features * shape.parameters(), Some(so_far), c);
                Draw::Sequential(Arc::new(g.finish(&[raw])), shape)
            }
            _ => {
                let noise = g.input(features);
                let c = (context > 0).then(|| g.input(summaries));
                let (theta, _) = build::flow(&mut g, density, noise, c, Direction::Inverse);
                Draw::Flow(Arc::new(g.finish(&[theta])))
            }
        };
        Ok(Self { layout, scorer, draw, architecture })
    }

    /// What was built.
    pub const fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Names, shapes and starts of the parameters.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The law of an ordered embedding's random widths; `None` for others.
    pub fn width_law(&self) -> Option<WidthLaw> {
        let (EmbeddingSpec::Iob { weights, .. }, latents) = (&self.architecture.embedding, self.scorer.latents?) else { return None };
        // Checked when the estimator was built.
        weights.rho(latents, 0).ok().map(|rho| WidthLaw::above(&rho, 0))
    }

    /// K of an ordered embedding ([`EmbeddingSpec::Iob`]); `None` for others.
    pub const fn ordered_latents(&self) -> Option<usize> {
        self.scorer.latents
    }

    /// The density with an ordered embedding open to its first `width` summaries, 0..K; `None` where the embedding is not ordered or has fewer.
    pub fn at_width(&self, width: usize) -> Option<Self> {
        self.scorer.latents.filter(|&latents| width <= latents)?;
        let mut cut = self.clone();
        cut.scorer.open = width;
        Some(cut)
    }

    /// (θ, x) → log q(θ | x), embedding included: the graph that training runs backward. Inputs: θ, then x if there is a context, then the width
    /// (1 feature) where the embedding is ordered.
    pub const fn joint(&self) -> &Arc<Graph> {
        &self.scorer.joint
    }

    /// Summaries of each row of `x` (n, context): (n, summaries).
    pub fn embed(&self, compute: &Compute, params: &[f32], x: &[f32]) -> Vec<f32> {
        self.scorer.embed(compute, params, x)
    }

    /// log q(θ_r | x_{row_of(r)}) for each row r of `theta` (n, features); `x` (m, context) is embedded once.
    pub fn log_prob(
        &self,
        compute: &Compute,
        params: &[f32],
        theta: &[f32],
        x: &[f32],
        row_of: impl Fn(usize) -> usize + Sync,
    ) -> Vec<f32> {
        let rows = theta.len() / self.architecture.features;
        self.log_prob_indexed(compute, params, rows, Indexed { table: theta, row: |r| r }, Indexed { table: x, row: row_of })
    }

    /// log q of `rows` pairs out of two tables.
    pub fn log_prob_indexed(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        theta: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
    ) -> Vec<f32> {
        self.scorer.score(compute, params, rows, theta, x)
    }

    /// log q and its gradient by θ for each row; a row per θ as in [`Estimator::log_prob`]. Returns (n) and (n, features).
    pub fn log_prob_gradient(
        &self,
        compute: &Compute,
        params: &[f32],
        theta: &[f32],
        x: &[f32],
        row_of: impl Fn(usize) -> usize + Sync,
    ) -> (Vec<f32>, Vec<f32>) {
        let rows = theta.len() / self.architecture.features;
        self.gradient_indexed(compute, params, rows, Indexed { table: theta, row: |r| r }, Indexed { table: x, row: row_of }, By::Input)
    }

    /// log q of `rows` pairs and its gradient: (rows), and (rows, features) by θ or (rows, context) by x.
    pub fn gradient_indexed(
        &self,
        compute: &Compute,
        params: &[f32],
        rows: usize,
        theta: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        x: Indexed<'_, impl Fn(usize) -> usize + Sync>,
        by: By,
    ) -> (Vec<f32>, Vec<f32>) {
        self.scorer.gradient(compute, params, rows, theta, x, by)
    }

    /// Draws θ ~ q(· | x_i), `counts[i]` for row i of `x` (m, context), one observation after the other: (Σ counts, features).
    ///
    /// Noise of observation i and block b of draws comes from its own stream, so draws do not depend on threads, and the first
    /// draws of an observation do not depend on how many follow or which observations stand beside it.
    pub fn sample(&self, compute: &Compute, params: &[f32], x: &[f32], counts: &[usize], seed: Seed) -> Vec<f32> {
        let features = self.architecture.features;
        let summaries = self.embed(compute, params, x);
        let mut out = vec![0.0; counts.iter().sum::<usize>() * features];
        let mut blocks = Vec::new();
        let mut rest = &mut out[..];
        for (i, &count) in counts.iter().enumerate() {
            let (own, tail) = rest.split_at_mut(count * features);
            rest = tail;
            let c = &summaries[i * self.scorer.summaries..(i + 1) * self.scorer.summaries];
            blocks.extend(own.chunks_mut(CHUNK_ROWS * features).enumerate().map(|(b, part)| (((i as u64) << 32) | b as u64, c, part)));
        }
        let per_segment = blocks.len().div_ceil(4 * compute.threads.count()).max(1);
        let mut segments: Vec<_> = blocks.chunks_mut(per_segment).collect();
        let (Draw::Flow(graph) | Draw::Mixture(graph, _) | Draw::Sequential(graph, _)) = &self.draw;
        compute.threads.for_each(&mut segments, |_, segment| {
            let mut frame = Frame::new(graph, Purpose::Evaluate, CHUNK_ROWS);
            for (stream, c, part) in segment.iter_mut() {
                let mut rng = seed.stream("draw", *stream);
                frame.begin(part.len() / features);
                match &self.draw {
                    Draw::Flow(_) => self.draw_flow(compute, params, &mut frame, c, &mut rng, part),
                    Draw::Mixture(_, shape) => draw_mixture(compute, params, &mut frame, c, *shape, &mut rng, part),
                    Draw::Sequential(_, shape) => draw_sequential(compute, params, &mut frame, c, *shape, &mut rng, part),
                }
            }
        });
        out
    }

    fn draw_flow(&self, compute: &Compute, params: &[f32], frame: &mut Frame, c: &[f32], rng: &mut Rng, part: &mut [f32]) {
        let (features, rows) = (self.architecture.features, frame.rows());
        // Row by row, so that a block's first draws do not depend on its length.
        match self.architecture.density.space() {
            Space::Reals => part.fill_with(|| rng.normal() as f32),
            Space::Angles => part.fill_with(|| (std::f64::consts::TAU * (rng.uniform() - 0.5)) as f32),
        }
        rows_into(part, features, 0..rows, frame, 0, |r| r);
        broadcast(c, frame, 1);
        frame.forward(compute.simd, params);
        rows_from(frame.output(0), frame.lanes(), rows, part);
    }
}

/// Appends log q(θ | c) of a density to a graph that has its own ways of making θ and c, with the density's parameters in the builder's scope.
///
/// # Errors
/// A size of the density that is out of range.
pub fn append_log_prob(g: &mut GraphBuilder<'_>, density: &DensitySpec, theta: Value, c: Value) -> Result<Value, SpecError> {
    density.check()?;
    Ok(build::log_prob(g, density, theta, Some(c)))
}

/// Fills input `i` of a frame with the same row in every lane.
fn broadcast(row: &[f32], frame: &mut Frame, i: usize) {
    if !row.is_empty() {
        let lanes = frame.lanes();
        frame.input_mut(i).chunks_exact_mut(lanes).zip(row).for_each(|(lane, value)| lane.fill(*value));
    }
}

fn draw_mixture(compute: &Compute, params: &[f32], frame: &mut Frame, c: &[f32], shape: MixtureShape, rng: &mut Rng, part: &mut [f32]) {
    broadcast(c, frame, 0);
    frame.forward(compute.simd, params);
    let (raw, lanes) = (frame.output(0), frame.lanes());
    let (mut noise, mut theta) = (vec![0.0; shape.features], vec![0.0; shape.features]);
    for (row, out) in part.chunks_exact_mut(shape.features).enumerate() {
        let choice = rng.uniform_open_low();
        noise.fill_with(|| rng.normal());
        draw_component(shape, |p| f64::from(raw[p * lanes + row]), choice, &noise, &mut theta);
        out.iter_mut().zip(&theta).for_each(|(o, t)| *o = *t as f32);
    }
}

/// Feature after feature: each pass of the network gives the next feature's mixture.
fn draw_sequential(compute: &Compute, params: &[f32], frame: &mut Frame, c: &[f32], shape: MixtureShape, rng: &mut Rng, part: &mut [f32]) {
    let rows = frame.rows();
    let features = part.len() / rows;
    let noise: Vec<(f64, f64)> = (0..part.len()).map(|_| (rng.uniform_open_low(), rng.normal())).collect();
    part.fill(0.0);
    for f in feature_order(0, features) {
        rows_into(part, features, 0..rows, frame, 0, |r| r);
        broadcast(c, frame, 1);
        frame.forward(compute.simd, params);
        let (raw, lanes) = (frame.output(0), frame.lanes());
        for row in 0..rows {
            let (choice, z) = noise[row * features + f];
            let mut theta = [0.0];
            let first = f * shape.parameters();
            draw_component(shape, |p| f64::from(raw[(first + p) * lanes + row]), choice, &[z], &mut theta);
            part[row * features + f] = theta[0] as f32;
        }
    }
}

/// The assembly of each family.
pub(crate) mod build {
    use super::{
        AUTOREGRESSIVE_ACTIVATION, Activate, Autoregressive, COUPLING_ACTIVATION, Coupling, CouplingNet, DensitySpec, Direction,
        Elementwise, GaussianMixture, GraphBuilder, LuLinear, MaskedMlp, MixtureShape, NormalBase, OdeFlow, OdeShape, ResidualShape, Seen,
        Space, UniformAngles, Univariate, Value, circular_spline_of, feature_order, mlp, spline_of,
    };
    use abduce_kernels::monotone::{Bernstein, Gaussianization, Integral, Monotone, Sigmoidal, SumOfSquares};

    /// log q(θ | c).
    pub(super) fn log_prob(g: &mut GraphBuilder<'_>, spec: &DensitySpec, theta: Value, c: Option<Value>) -> Value {
        let features = g.features(theta);
        match spec {
            DensitySpec::Mdn { components, .. } => {
                let shape = MixtureShape { components: *components, features };
                let raw = mixture_raw(g, spec, shape.parameters(), None, c);
                g.apply(GaussianMixture { shape, groups: 1 }, &[theta, raw])
            }
            DensitySpec::Made { components, .. } => {
                let shape = MixtureShape { components: *components, features: 1 };
                let raw = mixture_raw(g, spec, features * shape.parameters(), Some(theta), c);
                g.apply(GaussianMixture { shape, groups: features }, &[theta, raw])
            }
            _ => {
                let (z, mut ladj) = flow(g, spec, theta, c, Direction::Forward);
                match spec.space() {
                    Space::Reals => {
                        ladj.insert(0, z);
                        g.apply(NormalBase, &ladj)
                    }
                    Space::Angles => g.apply(UniformAngles { features }, &ladj),
                }
            }
        }
    }

    /// Raw parameters of a mixture; `so_far` is θ for the autoregressive one.
    pub(super) fn mixture_raw(g: &mut GraphBuilder<'_>, spec: &DensitySpec, out: usize, so_far: Option<Value>, c: Option<Value>) -> Value {
        match (spec, so_far) {
            (DensitySpec::Made { hidden, .. }, Some(theta)) => {
                let features = g.features(theta);
                let owner = (0..out).map(|p| p / (out / features)).collect();
                let order = feature_order(0, features);
                MaskedMlp { order, hidden: hidden.clone(), activation: AUTOREGRESSIVE_ACTIVATION, seen: Seen::Plain, owner }
                    .apply(g, theta, c)
            }
            (DensitySpec::Mdn { hidden, .. }, _) => {
                let inputs: Vec<Value> = c.into_iter().collect();
                let mut h = inputs;
                for (k, &width) in hidden.iter().enumerate() {
                    let linear = abduce_nn::layers::Linear::apply(g, &k.to_string(), &h, width);
                    h = vec![g.apply(Activate(COUPLING_ACTIVATION), &[linear])];
                }
                abduce_nn::layers::Linear::apply(g, &hidden.len().to_string(), &h, out)
            }
            _ => unreachable!("only mixtures have mixture parameters"),
        }
    }

    /// One step of a flow.
    enum Part {
        Coupling(Coupling),
        Autoregressive(Autoregressive),
        Lu,
        Ode(OdeShape),
        /// One map per feature, told by the context alone: the map, and the widths of its network's hidden layers.
        Elementwise(Univariate, Vec<usize>),
    }

    /// Nodes of the integrals of positive networks: their error stays below f32 rounding (see the kernel's tests).
    const INTEGRATION_NODES: usize = 32;

    fn parts(spec: &DensitySpec, features: usize, conditional: bool) -> Vec<Part> {
        let mut parts = Vec::new();
        // One feature has nothing to mix.
        let mix = |parts: &mut Vec<Part>| parts.extend((features > 1).then_some(Part::Lu));
        let autoregressive = |index: usize, univariate: Univariate, hidden: &[usize]| {
            let seen = if spec.space() == Space::Angles { Seen::Angles } else { Seen::Plain };
            let activation = AUTOREGRESSIVE_ACTIVATION;
            Part::Autoregressive(Autoregressive { index, univariate, hidden: hidden.to_vec(), activation, seen })
        };
        let stack = |transforms: usize, hidden: &[usize], map: Monotone| -> Vec<Part> {
            (0..transforms).map(|index| autoregressive(index, Univariate::Monotone(map), hidden)).collect()
        };
        match spec {
            DensitySpec::Maf { transforms, hidden } => {
                parts.extend((0..*transforms).map(|index| autoregressive(index, Univariate::Affine, hidden)));
            }
            DensitySpec::MafRqs { transforms, hidden, spline } => {
                for index in 0..*transforms {
                    let univariate = Univariate::Spline(spline_of(*spline, hidden.last().copied().unwrap_or(1)));
                    parts.push(autoregressive(index, univariate, hidden));
                    mix(&mut parts);
                }
            }
            DensitySpec::Gf { transforms, hidden, components } => {
                let map = Monotone::Gaussianization(Gaussianization { components: *components });
                for index in 0..*transforms {
                    if index > 0 {
                        mix(&mut parts);
                    }
                    // Without a context the maps are constants, which need no network.
                    let hidden = if conditional { hidden.clone() } else { Vec::new() };
                    parts.push(Part::Elementwise(Univariate::Monotone(map), hidden));
                }
            }
            DensitySpec::Ncsf { transforms, hidden, bins } => {
                let univariate = Univariate::Spline(circular_spline_of(*bins, hidden.last().copied().unwrap_or(1)));
                parts.extend((0..*transforms).map(|index| autoregressive(index, univariate, hidden)));
            }
            DensitySpec::Sospf { transforms, hidden, polynomials, degree, bound } => {
                parts = stack(*transforms, hidden, Monotone::SumOfSquares(SumOfSquares::new(*polynomials, *degree, *bound)));
            }
            DensitySpec::Bpf { transforms, hidden, degree, bound } => {
                parts = stack(*transforms, hidden, Monotone::Bernstein(Bernstein { degree: *degree, bound: *bound }));
            }
            DensitySpec::Naf { transforms, hidden, signal } => {
                parts = stack(*transforms, hidden, Monotone::Sigmoidal(Sigmoidal { components: *signal }));
            }
            DensitySpec::Unaf { transforms, hidden, signal, bound } => {
                parts = stack(*transforms, hidden, Monotone::Integral(Integral::new(*signal, *bound, INTEGRATION_NODES)));
            }
            DensitySpec::Nsf { transforms, hidden, blocks, spline } => {
                for index in 0..*transforms {
                    let univariate = Univariate::Spline(spline_of(*spline, *hidden));
                    let net = CouplingNet::Residual(ResidualShape { hidden: *hidden, blocks: *blocks, activation: COUPLING_ACTIVATION });
                    parts.push(Part::Coupling(Coupling { index, univariate, net }));
                    mix(&mut parts);
                }
            }
            DensitySpec::Nice { transforms, hidden } | DensitySpec::RealNvp { transforms, hidden } => {
                let additive = matches!(spec, DensitySpec::Nice { .. });
                let univariate = if additive { Univariate::Shift } else { Univariate::Affine };
                for index in 0..*transforms {
                    let net = CouplingNet::Mlp(hidden.clone(), COUPLING_ACTIVATION);
                    parts.push(Part::Coupling(Coupling { index, univariate, net }));
                }
                if additive {
                    parts.push(Part::Elementwise(Univariate::Affine, hidden.clone()));
                }
            }
            DensitySpec::Cnf { hidden, frequencies, steps } => {
                parts.push(Part::Ode(OdeShape { hidden: *hidden, frequencies: *frequencies, steps: *steps }));
            }
            DensitySpec::Mdn { .. } | DensitySpec::Made { .. } => unreachable!("mixtures are no flows"),
        }
        parts
    }

    /// A flow in either direction: the output and each step's log-determinant.
    pub(crate) fn flow(
        g: &mut GraphBuilder<'_>,
        spec: &DensitySpec,
        input: Value,
        c: Option<Value>,
        direction: Direction,
    ) -> (Value, Vec<Value>) {
        let features = g.features(input);
        let mut parts: Vec<(usize, Part)> = parts(spec, features, c.is_some()).into_iter().enumerate().collect();
        if direction == Direction::Inverse {
            parts.reverse();
        }
        let (mut value, mut ladj) = (input, Vec::new());
        for (k, part) in parts {
            let (next, log_det) = g.scoped(format!("transforms.{k}"), |g| match &part {
                Part::Coupling(coupling) => coupling.apply(g, value, c, direction),
                Part::Autoregressive(transform) => transform.apply(g, value, c, direction),
                Part::Lu => LuLinear::apply(g, value, direction),
                Part::Ode(shape) => OdeFlow::apply(g, *shape, value, c, direction),
                Part::Elementwise(univariate, hidden) => {
                    let inputs: Vec<Value> = c.into_iter().collect();
                    let raw = mlp(g, &inputs, hidden, COUPLING_ACTIVATION, features * univariate.parameters());
                    let layer = Elementwise { univariate: *univariate, transformed: (0..features).collect(), direction };
                    let outputs = g.apply_many(layer, &[value, raw]);
                    (outputs[0], outputs[1])
                }
            });
            value = next;
            ladj.push(log_det);
        }
        (value, ladj)
    }
}
