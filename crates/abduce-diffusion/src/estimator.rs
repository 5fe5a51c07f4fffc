//! A conditional vector field with its embedding: training graphs, draws, densities and scores.

use crate::compose::{Langevin, PriorScore, sample_composed};
use crate::field::{Field, NetworkField, POINTS, Points, Wanted};
use crate::loss::FieldLoss;
use crate::network::{NetworkError, NetworkSpec};
use crate::objective::Objective;
use crate::ode::{self, Direction, SolveError, Tolerance};
use crate::schedule::{NoiseSchedule, ScheduleError};
use crate::sde::{self, ReverseSde};
use abduce_data::Seed;
use abduce_kernels::transpose::features_from_rows;
use abduce_nn::{Compute, EmbeddingSpec, Graph, GraphBuilder, Layout, Value, evaluate};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Everything that fixes an estimator's parameters but their values.
///
/// Flow matching (FMPE) and score models (NPSE) are this with different schedules: see [`NoiseSchedule`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// The path from data to noise.
    pub schedule: NoiseSchedule,
    /// The vector field.
    pub network: NetworkSpec,
    /// The network between data and vector field.
    pub embedding: EmbeddingSpec,
    /// Dimension of θ.
    pub features: usize,
    /// Dimension of the data x; 0 for an unconditional density.
    pub context: usize,
}

impl Architecture {
    /// FMPE (Dax et al. 2023, arXiv:2305.17161) with sbi's network size and floor.
    pub fn flow_matching(features: usize, context: usize) -> Self {
        Self::score(NoiseSchedule::flow_matching(), features, context)
    }

    /// NPSE (Geffner et al. 2022, arXiv:2209.14249; Sharrock et al. 2022, arXiv:2210.04872) with sbi's network size.
    pub fn score(schedule: NoiseSchedule, features: usize, context: usize) -> Self {
        Self { schedule, network: NetworkSpec::default(), embedding: EmbeddingSpec::Identity, features, context }
    }
}

/// Why an estimator can't be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchitectureError {
    /// The schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The embedding does not fit the data.
    #[error("embedding: {0}")]
    Embedding(#[from] abduce_nn::layers::ShapeError),
    /// The dimension of θ.
    #[error("the number of parameters is {0}, expected 1 to 4096")]
    Features(usize),
    /// An ordered embedding, whose widths vector fields are not trained at.
    #[error("an ordered embedding (iob) is for posterior densities, not for vector fields")]
    Ordered,
}

/// Whether a training graph holds the control variate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variance {
    Plain,
    Controlled,
}

/// How draws are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Sampler {
    /// The probability flow, solved to a tolerance: draws follow the density of [`FieldEstimator::log_prob`].
    Ode(Tolerance),
    /// The reverse stochastic equation.
    Sde(ReverseSde),
}

impl Default for Sampler {
    fn default() -> Self {
        Self::Ode(Tolerance::default())
    }
}

/// A conditional density q(θ | x) as a vector field, without its numbers: parameters come with each call.
///
/// θ and x are standardised f32 rows (the field's scaling assumes θ of about unit variance); log-densities are natural logarithms in
/// those coordinates. q is the law of θ_t/m(t) at the schedule's smallest time when the probability flow starts from y ~ N(0, I) at the
/// largest; the noise at the smallest time, 1e-4 to 3e-3 with the default constants, is the narrowest width that q can have.
#[derive(Clone, Debug)]
pub struct FieldEstimator {
    architecture: Architecture,
    layout: Layout,
    summaries: usize,
    /// (y, label, F*, coefficients, x) → minus the loss.
    joint: Arc<Graph>,
    /// (y, label, F*, coefficients, noise-free y, κ, x) → minus the loss.
    controlled: Arc<Graph>,
    /// x → summaries; `None` where the data are their own summaries.
    embed: Option<Arc<Graph>>,
    /// (y, label, summaries) → F.
    field: Arc<Graph>,
}

impl FieldEstimator {
    /// Checks the sizes and builds the graphs.
    ///
    /// # Errors
    /// A size or constant that is out of range.
    pub fn new(architecture: Architecture) -> Result<Self, ArchitectureError> {
        architecture.schedule.check()?;
        architecture.network.check()?;
        let Architecture { network, embedding, features, context, .. } = &architecture;
        let (features, context) = (*features, *context);
        if !(1..=4096).contains(&features) {
            return Err(ArchitectureError::Features(features));
        }
        if matches!(embedding, EmbeddingSpec::Iob { .. }) {
            return Err(ArchitectureError::Ordered);
        }
        if context > 0 {
            embedding.check(context)?;
        }
        let mut layout = Layout::new();
        let summaries = if context == 0 { 0 } else { embedding.out_features(context) };

        let mut training = |variance: Variance| {
            let mut g = GraphBuilder::new(&mut layout);
            let (y, label, target, coefficients) = (g.input(features), g.input(1), g.input(features), g.input(2));
            let control = (variance == Variance::Controlled).then(|| (g.input(features), g.input(features)));
            let c = (context > 0).then(|| g.input(context)).map(|x| embedding.apply(&mut g, x));
            let mut inputs: Vec<Value> = vec![network.apply(&mut g, y, label, c), target, coefficients];
            if let Some((clean, kappa)) = control {
                inputs.extend([network.apply(&mut g, clean, label, c), kappa]);
            }
            let loss = g.apply(FieldLoss, &inputs);
            Arc::new(g.finish(&[loss]))
        };
        let (joint, controlled) = (training(Variance::Plain), training(Variance::Controlled));

        let embed = (context > 0 && *embedding != EmbeddingSpec::Identity).then(|| {
            let mut g = GraphBuilder::new(&mut layout);
            let x = g.input(context);
            let c = embedding.apply(&mut g, x);
            Arc::new(g.finish(&[c]))
        });

        let mut g = GraphBuilder::new(&mut layout);
        let (y, label) = (g.input(features), g.input(1));
        let c = (context > 0).then(|| g.input(summaries));
        let f = network.apply(&mut g, y, label, c);
        let field = Arc::new(g.finish(&[f]));
        Ok(Self { layout, summaries, joint, controlled, embed, field, architecture })
    }

    /// What was built.
    pub const fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// Names, shapes and starts of the parameters.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The graph that training runs backward: rows of [`NoisyRows`](crate::NoisyRows) with the same objective → minus their loss.
    pub const fn joint(&self, objective: &Objective) -> &Arc<Graph> {
        if objective.is_controlled() { &self.controlled } else { &self.joint }
    }

    /// Summaries of each row of `x` (n, context): (n, summaries).
    pub fn embed(&self, compute: &Compute, params: &[f32], x: &[f32]) -> Vec<f32> {
        let context = self.architecture.context;
        let Some(graph) = &self.embed else { return x.to_vec() };
        let mut out = vec![0.0; x.len() / context * self.summaries];
        evaluate(
            graph,
            compute,
            params,
            (&mut out, self.summaries),
            |range, frame| {
                let lanes = frame.lanes();
                features_from_rows(&x[range.start * context..], range.len(), context, frame.input_mut(0), lanes);
            },
            |range, frame, part| {
                let lanes = frame.lanes();
                for (r, row) in part.chunks_exact_mut(self.summaries).enumerate().take(range.len()) {
                    row.iter_mut().enumerate().for_each(|(k, v)| *v = frame.output(0)[k * lanes + r]);
                }
            },
        );
        out
    }

    /// Draws θ ~ q(· | x_i), `counts[i]` for row i of `x` (m, context), one observation after the other: (Σ counts, features).
    ///
    /// Each draw has its own random stream and its own steps: it does not depend on threads, on how many draws follow, or on which
    /// observations come later.
    ///
    /// # Errors
    /// See [`SolveError`]; rows count over all draws.
    pub fn sample(
        &self,
        compute: &Compute,
        params: &[f32],
        x: &[f32],
        counts: &[usize],
        sampler: &Sampler,
        seed: Seed,
    ) -> Result<Vec<f32>, SolveError> {
        let summaries = self.embed(compute, params, x);
        let field = self.field(compute, params, &summaries);
        let draws: Vec<(usize, usize)> = counts.iter().enumerate().flat_map(|(i, &count)| (0..count).map(move |k| (i, k))).collect();
        let theta = draw(&field, compute, &draws, sampler, seed)?;
        Ok(theta.into_iter().map(|v| v as f32).collect())
    }

    /// log q(θ_r | x_{row_of(r)}) for each row r of `theta` (n, features), by the instantaneous change of variables with the exact trace
    /// (Chen et al. 2018, arXiv:1806.07366, eq. 8): each evaluation costs 1 + features passes of the network.
    ///
    /// # Errors
    /// See [`SolveError`].
    pub fn log_prob(
        &self,
        compute: &Compute,
        params: &[f32],
        theta: &[f32],
        x: &[f32],
        row_of: impl Fn(usize) -> usize + Sync,
        tolerance: Tolerance,
    ) -> Result<Vec<f32>, SolveError> {
        let summaries = self.embed(compute, params, x);
        let field = self.field(compute, params, &summaries);
        let theta: Vec<f64> = theta.iter().map(|&v| f64::from(v)).collect();
        let log_q = log_density(&field, compute, &theta, row_of, tolerance)?;
        Ok(log_q.into_iter().map(|v| v as f32).collect())
    }

    /// ∇ log q_t(θ_t | x_{row_of(r)}), the score of the noised posterior, for each row r of `theta` (n, features) at time `t` of the
    /// schedule. At the smallest time it is the score of the posterior itself, as well as the network resolves it.
    pub fn score(
        &self,
        compute: &Compute,
        params: &[f32],
        theta: &[f32],
        x: &[f32],
        row_of: impl Fn(usize) -> usize + Sync,
        t: f64,
    ) -> Vec<f32> {
        let d = self.architecture.features;
        let summaries = self.embed(compute, params, x);
        let field = self.field(compute, params, &summaries);
        let at = self.architecture.schedule.marginal(t);
        let mut out = vec![0.0; theta.len()];
        let mut blocks: Vec<_> = out.chunks_mut(POINTS * d).zip(theta.chunks(POINTS * d)).collect();
        compute.threads.for_each(&mut blocks, |b, (out, theta)| {
            let n = theta.len() / d;
            let y: Vec<f64> = theta.iter().map(|&v| f64::from(v) / at.total).collect();
            let observations: Vec<usize> = (0..n).map(|r| row_of(b * POINTS + r)).collect();
            let mut f = vec![0.0; n * d];
            let points = Points { y: &y, times: &vec![t; n], observations: &observations };
            field.evaluate(&mut field.work(Wanted::Value), points, &mut f, &mut []);
            out.iter_mut().zip(y.iter().zip(&f)).for_each(|(s, (&y, &f))| *s = (-at.reflect(y, f).1 / at.std) as f32);
        });
        out
    }

    /// Draws from the posterior of several independent observations of one θ, the rows of `x` (n, context): (count, features). See
    /// [`sample_composed`]; `prior_score` is the prior's in the standardised coordinates.
    ///
    /// # Errors
    /// See [`SolveError`].
    pub fn sample_composed(
        &self,
        compute: &Compute,
        params: &[f32],
        x: &[f32],
        count: usize,
        prior_score: &PriorScore<'_>,
        method: &Langevin,
        seed: Seed,
    ) -> Result<Vec<f32>, SolveError> {
        let summaries = self.embed(compute, params, x);
        let field = self.field(compute, params, &summaries);
        let observations = 0..x.len().checked_div(self.architecture.context).unwrap_or(0);
        let theta = sample_composed(&field, &compute.threads, observations, count, prior_score, method, seed)?;
        Ok(theta.into_iter().map(|v| v as f32).collect())
    }

    /// The vector field at given `summaries` (see [`FieldEstimator::embed`]), to be sampled by [`draw`], scored by [`log_density`], or wrapped in
    /// another field: guidance by ∇log L(θ_t) adds σ v/m times it to F.
    pub fn field<'a>(&'a self, compute: &'a Compute, params: &'a [f32], summaries: &'a [f32]) -> impl Field + 'a {
        NetworkField {
            graph: &self.field,
            schedule: &self.architecture.schedule,
            compute,
            params,
            features: self.architecture.features,
            summaries,
            width: self.summaries,
        }
    }
}

/// One draw for each (observation, number of the draw): (draws, d) values of θ.
///
/// # Errors
/// See [`SolveError`].
pub fn draw<F: Field>(
    field: &F,
    compute: &Compute,
    draws: &[(usize, usize)],
    sampler: &Sampler,
    seed: Seed,
) -> Result<Vec<f64>, SolveError> {
    let d = field.features();
    let stream = |row: usize| seed.stream("draw", ((draws[row].0 as u64) << 32) | draws[row].1 as u64);
    let mut state = vec![0.0; draws.len() * d];
    let mut rows: Vec<_> = state.chunks_mut(POINTS * d).collect();
    compute.threads.for_each(&mut rows, |b, block| {
        for (r, row) in block.chunks_exact_mut(d).enumerate() {
            let mut rng = stream(b * POINTS + r);
            row.fill_with(|| rng.normal());
        }
    });
    let observation_of = |row: usize| draws[row].0;
    match sampler {
        Sampler::Ode(tolerance) => {
            ode::solve(field, &compute.threads, &mut state, observation_of, Direction::ToData, *tolerance, Wanted::Value)?;
        }
        Sampler::Sde(method) => {
            // The stream goes on where the start left it.
            let later = |row: usize| {
                let mut rng = stream(row);
                (0..d).for_each(|_| {
                    rng.normal();
                });
                rng
            };
            sde::solve(field, &compute.threads, &mut state, observation_of, method, later)?;
        }
    }
    let end = field.schedule().marginal(field.schedule().times().0);
    state.iter_mut().for_each(|y| *y /= end.cos);
    Ok(state)
}

/// log q of each row of `theta` (n, d).
///
/// # Errors
/// See [`SolveError`].
pub fn log_density<F: Field>(
    field: &F,
    compute: &Compute,
    theta: &[f64],
    row_of: impl Fn(usize) -> usize + Sync,
    tolerance: Tolerance,
) -> Result<Vec<f64>, SolveError> {
    let d = field.features();
    let cos = field.schedule().marginal(field.schedule().times().0).cos;
    let mut state = Vec::with_capacity(theta.len() / d * (d + 1));
    for row in theta.chunks_exact(d) {
        state.extend(row.iter().map(|v| v * cos));
        state.push(0.0);
    }
    ode::solve(field, &compute.threads, &mut state, row_of, Direction::ToNoise, tolerance, Wanted::Divergence)?;
    let constant = d as f64 * (libm::log(cos) - 0.5 * libm::log(std::f64::consts::TAU));
    let log_q = |row: &[f64]| constant + row[d] - 0.5 * row[..d].iter().map(|y| y * y).sum::<f64>();
    Ok(state.chunks_exact(d + 1).map(log_q).collect())
}
