//! Variational inference with flows: one flow per target, fitted by either Kullback–Leibler divergence.

use super::error::{SamplerError, require};
use super::gaussian::{Gaussians, log_student};
use super::locate::Located;
use super::pareto::pareto_smooth;
use super::proposal::Proposal;
use super::target::{Counted, Target};
use abduce_data::{Rng, Seed};
use abduce_density::{DensitySpec, SpecError, VariationalFlow, VariationalWork};
use abduce_kernels::Threads;
use abduce_nn::Compute;
use abduce_nn::adam::{Adam, AdamConfig};
use std::sync::Arc;

/// What a fit minimises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Divergence {
    /// KL(q ‖ π), the negative evidence lower bound: precise on what it covers, blind to modes that it leaves out. Needs gradients of the target.
    #[default]
    Reverse,
    /// KL(π ‖ q) by importance weights: covers what the draws have found, and errs on the wide side.
    Forward,
}

/// Options of [`fit_flows`]; the numbers in brackets are sbi's.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowOptions {
    /// The family.
    pub density: DensitySpec,
    /// The divergence.
    pub divergence: Divergence,
    /// Draws per target and step (256).
    pub n_particles: usize,
    /// Learning rate of Adam (1e-3).
    pub learning_rate: f64,
    /// Its factor from step to step (0.999).
    pub gamma: f64,
    /// Most steps (2000).
    pub max_num_iters: usize,
    /// Fewest steps (10); that a fit has settled shows after 400 at the earliest.
    pub min_num_iters: usize,
    /// Gradients with a larger Euclidean norm are scaled down to it (10).
    pub clip_value: f64,
    /// Maximum-likelihood steps on the located points before the first step (100).
    pub warm_up_rounds: usize,
}

impl FlowOptions {
    /// sbi's numbers with this family and divergence.
    pub const fn new(density: DensitySpec, divergence: Divergence) -> Self {
        Self {
            density,
            divergence,
            n_particles: 256,
            learning_rate: 1e-3,
            gamma: 0.999,
            max_num_iters: 2000,
            min_num_iters: 10,
            clip_value: 10.0,
            warm_up_rounds: 100,
        }
    }

    fn check(&self) -> Result<(), SamplerError> {
        require(self.n_particles >= 25, "n_particles", self.n_particles as f64, "at least 25")?;
        require(self.learning_rate > 0.0 && self.learning_rate < 1.0, "learning_rate", self.learning_rate, "between 0 and 1")?;
        require(self.gamma > 0.0 && self.gamma <= 1.0, "gamma", self.gamma, "above 0 and at most 1")?;
        require(self.max_num_iters > 0, "max_num_iters", self.max_num_iters as f64, "at least 1")?;
        require(self.clip_value > 0.0, "clip_value", self.clip_value, "positive")
    }
}

/// Fitted flows, a proposal: q_t(x) = q_λt(L⁻¹(x - m))/det L with the location N(m_t, L Lᵀ) of each target.
#[derive(Clone, Debug)]
pub struct FlowFits {
    flow: Arc<VariationalFlow>,
    compute: Compute,
    place: Gaussians,
    params: Vec<Vec<f32>>,
    streams: Vec<u64>,
    /// Steps made, per target.
    pub steps: Vec<usize>,
    /// Mean of log π - log q over the last steps, per target: the evidence lower bound, in nats.
    pub elbo: Vec<f64>,
}

/// Steps that one mean of the evidence lower bound is taken over.
const WINDOW: usize = 200;
/// A fit has settled where the bound has moved by less than this between two windows, in nats, beside the means' own noise.
const SETTLED: f64 = 2e-3;
/// Share of the draws that come from a heavy-tailed law in a forward fit, one in so many: they bound the weights where q has lost a part of the
/// target.
const DEFENCE: usize = 8;
/// Memory of the average of the weights, in steps.
const AVERAGED: f32 = 50.0;

/// One target's fit in progress.
struct Fit {
    target: usize,
    params: Vec<f32>,
    /// Average of the parameters over the last steps: the noise of single steps is left behind.
    average: Vec<f32>,
    adam: Adam,
    rng: Rng,
    /// Mean log π - log q per step, and its variance over the draws.
    history: Vec<(f64, f64)>,
    settled: bool,
    noise: Vec<f32>,
    /// Draws in the coordinates of the flow, (n, d).
    points: Vec<f32>,
    slope: Vec<f32>,
    weights: Vec<f32>,
    log_q: Vec<f32>,
}

/// Fits a flow to each target, in coordinates in which its location is N(0, 1).
///
/// The steps of all targets go together: one batched evaluation of the targets per step, whose rows are their draws. A target's fit ends when its
/// evidence lower bound has settled, whatever the others do. How good it is, [`super::importance`] with the fits as the proposal says.
///
/// # Errors
/// Options out of range, a family that is no flow, or a target whose draws all fall outside the support.
pub fn fit_flows(
    target: &dyn Target,
    located: &Located,
    options: &FlowOptions,
    compute: &Compute,
    seed: Seed,
) -> Result<FlowFits, FlowFitError> {
    options.check()?;
    let (targets, d, n) = (target.count(), target.dimension(), options.n_particles);
    let flow = Arc::new(VariationalFlow::new(&options.density, d)?);
    let place = located.gaussians.clone();
    let clip_max_norm = options.clip_value as f32;
    let mut fits: Vec<Fit> = (0..targets)
        .map(|t| {
            let stream = target.stream(t);
            let params = flow.layout().initialise(seed.derive("sampler.flow.start", stream));
            Fit {
                target: t,
                average: params.clone(),
                adam: Adam::new(AdamConfig { clip_max_norm, ..AdamConfig::default() }, params.len()),
                params,
                rng: seed.stream("sampler.flow", stream),
                history: Vec::new(),
                settled: false,
                noise: vec![0.0; n * d],
                points: vec![0.0; n * d],
                slope: vec![0.0; n * d],
                weights: vec![0.0; n],
                log_q: vec![0.0; n],
            }
        })
        .collect();
    let mut works: Vec<VariationalWork> = (0..compute.threads.count().min(targets).max(1)).map(|_| flow.work(compute.simd)).collect();

    let per_work = targets.div_ceil(works.len()).max(1);
    let mut groups: Vec<_> = fits.chunks_mut(per_work).zip(&mut works).collect();
    compute.threads.for_each(&mut groups, |_, (group, work)| {
        group.iter_mut().for_each(|fit| fit.warm_up(work, &place, located, options));
    });
    drop(groups);

    let mut density = Counted::new(target);
    let (mut points, mut of) = (vec![0.0; targets * n * d], vec![0; targets * n]);
    let (mut values, mut slopes) = (vec![0.0; targets * n], vec![0.0; targets * n * d]);
    for step in 0..options.max_num_iters {
        let mut active: Vec<&mut Fit> = fits.iter_mut().filter(|fit| !fit.settled).collect();
        if active.is_empty() {
            break;
        }
        let rows = active.len() * n;
        let per_work = active.len().div_ceil(works.len());
        let (points, values, slopes) = (&mut points[..rows * d], &mut values[..rows], &mut slopes[..rows * d]);
        of[..rows].chunks_exact_mut(n).zip(&active).for_each(|(of, fit)| of.fill(fit.target));
        let mut groups: Vec<_> = active.chunks_mut(per_work).zip(points.chunks_mut(per_work * n * d)).zip(&mut works).collect();
        compute.threads.for_each(&mut groups, |_, ((group, points), work)| {
            group.iter_mut().zip(points.chunks_exact_mut(n * d)).for_each(|(fit, points)| fit.draw(work, &place, options, points));
        });
        match options.divergence {
            Divergence::Reverse => density.log_density_gradient(points, &of[..rows], values, slopes),
            Divergence::Forward => density.log_density(points, &of[..rows], values),
        }
        let rate = options.learning_rate * options.gamma.powi(step as i32);
        let parts = values.chunks(per_work * n).zip(slopes.chunks(per_work * n * d));
        let mut groups: Vec<_> = active.chunks_mut(per_work).zip(parts).zip(&mut works).collect();
        compute.threads.for_each(&mut groups, |_, ((group, (values, slopes)), work)| {
            for ((fit, values), slopes) in group.iter_mut().zip(values.chunks_exact(n)).zip(slopes.chunks_exact(n * d)) {
                fit.update(work, &place, options, rate as f32, (values, slopes));
            }
        });
        if let Some(lost) = active.iter().find(|fit| fit.history.len() <= step) {
            return Err(SamplerError::Optimiser { target: lost.target, what: "every draw of q is outside the support", steps: step }.into());
        }
    }
    Ok(FlowFits {
        flow,
        compute: compute.clone(),
        place,
        streams: (0..targets).map(|t| target.stream(t)).collect(),
        steps: fits.iter().map(|fit| fit.history.len()).collect(),
        elbo: fits.iter().map(|fit| mean_and_error(&fit.history[fit.history.len().saturating_sub(WINDOW)..]).0).collect(),
        params: fits.into_iter().map(|fit| fit.average).collect(),
    })
}

/// Why flows can't be fitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowFitError {
    /// The family.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Options, or the target.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
}

impl Fit {
    /// Maximum likelihood on the located points.
    fn warm_up(&mut self, work: &mut VariationalWork, place: &Gaussians, located: &Located, options: &FlowOptions) {
        let (d, n, t) = (place.dimension(), options.n_particles, self.target);
        let own = &located.points[t * located.draws * d..(t + 1) * located.draws * d];
        let mut total = 0.0;
        let cumulative: Vec<f64> = located.weights[t * located.draws..(t + 1) * located.draws]
            .iter()
            .map(|w| {
                total += w;
                total
            })
            .collect();
        let mut point = vec![0.0; d];
        self.weights.fill(1.0 / n as f32);
        for _ in 0..options.warm_up_rounds {
            for row in self.points.chunks_exact_mut(d) {
                let u = total * self.rng.uniform();
                let chosen = cumulative.partition_point(|&c| c <= u).min(located.draws - 1);
                point.copy_from_slice(&own[chosen * d..(chosen + 1) * d]);
                place.take_back(t, &mut point);
                row.iter_mut().zip(&point).for_each(|(r, &p)| *r = p as f32);
            }
            let norm = work.likelihood_gradient(&self.params, &self.points, &self.weights, &mut self.log_q);
            self.step(work, options.learning_rate as f32, norm);
        }
        self.average.copy_from_slice(&self.params);
    }

    fn step(&mut self, work: &VariationalWork, rate: f32, norm: f64) {
        if norm.is_finite() {
            self.adam.step(work.simd(), &Threads::single(), rate, &mut self.params, work.gradient(), norm);
        }
        self.average.iter_mut().zip(&self.params).for_each(|(a, p)| *a += (p - *a) / AVERAGED);
    }

    /// Draws n points: `points` in the target's coordinates.
    fn draw(&mut self, work: &mut VariationalWork, place: &Gaussians, options: &FlowOptions, points: &mut [f64]) {
        let d = place.dimension();
        let from_flow = from_flow(options);
        let (flow, tail) = self.points.split_at_mut(from_flow * d);
        let noise = &mut self.noise[..from_flow * d];
        noise.iter_mut().for_each(|e| *e = self.rng.normal() as f32);
        work.draw(&self.params, noise, flow);
        let mut row = vec![0.0; d];
        for (y, point) in flow.chunks_exact(d).zip(points.chunks_exact_mut(d)) {
            row.iter_mut().zip(y).for_each(|(r, &y)| *r = f64::from(y));
            place.place(self.target, &row, point);
        }
        for (y, point) in tail.chunks_exact_mut(d).zip(points[from_flow * d..].chunks_exact_mut(d)) {
            place.place_heavy_tailed(self.target, &mut self.rng, &mut row, point);
            y.iter_mut().zip(&row).for_each(|(y, &r)| *y = r as f32);
        }
    }

    /// One step of Adam; none, and no entry in the history, where every draw is outside the support.
    fn update(
        &mut self,
        work: &mut VariationalWork,
        place: &Gaussians,
        options: &FlowOptions,
        rate: f32,
        (values, slopes): (&[f64], &[f64]),
    ) {
        let (d, t) = (place.dimension(), self.target);
        let from_flow = from_flow(options);
        let log_det = place.log_det(t);
        let inside = values[..from_flow].iter().filter(|v| **v > f64::NEG_INFINITY).count();
        if inside == 0 {
            return;
        }
        let norm = match options.divergence {
            Divergence::Reverse => {
                let mut pulled = vec![0.0; d];
                for (r, (slope, own)) in slopes.chunks_exact(d).zip(self.slope.chunks_exact_mut(d)).enumerate() {
                    place.pull_back(t, slope, &mut pulled);
                    own.iter_mut().zip(&pulled).for_each(|(o, &p)| *o = p as f32);
                    self.weights[r] = if values[r] > f64::NEG_INFINITY { 1.0 / inside as f32 } else { 0.0 };
                }
                work.path_gradient(&self.params, &self.points, &self.slope, &self.weights, &mut self.log_q)
            }
            Divergence::Forward => {
                work.log_prob(&self.params, &self.points, &mut self.log_q);
                let n = values.len() as f64;
                let share = from_flow as f64 / n;
                let mut log_weights: Vec<f64> = self
                    .points
                    .chunks_exact(d)
                    .zip(&self.log_q)
                    .zip(values)
                    .map(|((y, &log_q), value)| {
                        let square: f64 = y.iter().map(|&y| f64::from(y).powi(2)).sum();
                        let (a, b) = (f64::from(log_q) + share.ln(), log_student(square, d) + (1.0 - share).ln());
                        let log_weight = value - (a.max(b) + libm::log1p(libm::exp(-(a - b).abs())));
                        if log_weight.is_nan() { f64::NEG_INFINITY } else { log_weight }
                    })
                    .collect();
                pareto_smooth(&mut log_weights);
                let top = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = log_weights.iter().map(|w| libm::exp(w - top)).sum();
                self.weights.iter_mut().zip(&log_weights).for_each(|(o, w)| *o = (libm::exp(w - top) / total) as f32);
                work.likelihood_gradient(&self.params, &self.points, &self.weights, &mut self.log_q)
            }
        };
        let bounds = || {
            let rows = values[..from_flow].iter().zip(&self.log_q).filter(|(v, _)| **v > f64::NEG_INFINITY);
            rows.map(|(v, &q)| v - f64::from(q) + log_det)
        };
        let mean = bounds().sum::<f64>() / inside as f64;
        let variance = bounds().map(|b| (b - mean).powi(2)).sum::<f64>() / inside as f64;
        self.history.push((mean, variance / inside as f64));
        self.step(work, rate, norm);
        let steps = self.history.len();
        if steps >= options.min_num_iters.max(2 * WINDOW) && steps.is_multiple_of(WINDOW / 4) {
            let (before, error) = mean_and_error(&self.history[steps - 2 * WINDOW..steps - WINDOW]);
            let (now, error_now) = mean_and_error(&self.history[steps - WINDOW..]);
            self.settled = (now - before).abs() < SETTLED + (error * error + error_now * error_now).sqrt();
        }
    }
}

/// Of the draws of a step, those that come from the flow.
const fn from_flow(options: &FlowOptions) -> usize {
    match options.divergence {
        Divergence::Reverse => options.n_particles,
        Divergence::Forward => options.n_particles - options.n_particles / DEFENCE,
    }
}

/// Mean over steps and its standard error.
fn mean_and_error(history: &[(f64, f64)]) -> (f64, f64) {
    let n = history.len() as f64;
    (history.iter().map(|h| h.0).sum::<f64>() / n, history.iter().map(|h| h.1).sum::<f64>().sqrt() / n)
}

impl Proposal for FlowFits {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        let d = self.place.dimension();
        let per_group = targets.len().div_ceil(self.compute.threads.count()).max(1);
        let mut groups: Vec<_> = targets
            .chunks(per_group)
            .zip(points.chunks_mut(per_group * draws * d))
            .zip(log_density.chunks_mut(per_group * draws))
            .collect();
        self.compute.threads.for_each(&mut groups, |_, ((targets, points), log_density)| {
            let mut work = self.flow.work(self.compute.simd);
            let (mut noise, mut theta, mut log_q) = (vec![0.0f32; draws * d], vec![0.0f32; draws * d], vec![0.0f32; draws]);
            let mut row = vec![0.0; d];
            for (&t, (points, log_density)) in
                targets.iter().zip(points.chunks_exact_mut(draws * d).zip(log_density.chunks_exact_mut(draws)))
            {
                let mut rng = seed.stream("sampler.flow.draw", self.streams[t]);
                noise.fill_with(|| rng.normal() as f32);
                work.draw(&self.params[t], &noise, &mut theta);
                work.log_prob(&self.params[t], &theta, &mut log_q);
                let log_det = self.place.log_det(t);
                for (r, point) in points.chunks_exact_mut(d).enumerate() {
                    row.iter_mut().zip(&theta[r * d..]).for_each(|(row, &y)| *row = f64::from(y));
                    self.place.place(t, &row, point);
                    log_density[r] = f64::from(log_q[r]) - log_det;
                }
            }
        });
    }
}
