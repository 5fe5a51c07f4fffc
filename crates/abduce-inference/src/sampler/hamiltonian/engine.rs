//! The machine behind HMC and NUTS: every target has a phase, every chain a trajectory.

use super::adaptation::{DualAveraging, Spread, Windows};
use super::tree::{DIVERGENCE, Growth, Point, Tree};
use crate::sampler::chains::{Chains, Run, Schedule};
use crate::sampler::error::SamplerError;
use crate::sampler::target::Target;
use abduce_data::{Rng, Seed};

/// How a trajectory is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kernel {
    /// A random number of steps up to this time, and the end point is accepted or not.
    Line { trajectory_length: f64, max_steps: usize },
    /// Doublings until the trajectory turns.
    Tree { max_depth: u32 },
}

/// What a target's chains are doing.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// One leapfrog step each, to find an ε whose acceptance crosses the wanted one: `factor` is 2 or ½ once the side is known.
    Probe { factor: Option<f64>, tries: u32 },
    /// A step of the Markov chains.
    Move,
    /// All steps are made.
    Finished,
}

/// Doublings or halvings of ε that a probe may try: enough for any scale in f64 that isn't hopeless.
const MAX_TRIES: u32 = 100;

/// A chain's acceptance counts as at least this in the harmonic mean.
const MIN_ACCEPTANCE: f64 = 0.01;

/// What the chains of one target share.
struct Shared {
    phase: Phase,
    /// Chains whose trajectory is not complete.
    running: usize,
    done: usize,
    step: f64,
    dual: DualAveraging,
    /// v: variances of the coordinates, the inverse masses.
    variance: Vec<f64>,
    spread: Spread,
    /// Index of the next window's end.
    window: usize,
    acceptance: f64,
    divergences: u64,
}

/// One chain's trajectory.
struct Trajectory {
    rng: Rng,
    running: bool,
    log_density: f64,
    /// H at the beginning.
    energy: f64,
    /// Size of the leapfrog steps, negative where time runs backwards.
    step: f64,
    /// Leapfrog steps left of a line.
    left: usize,
    /// Sum of min(1, e^{−ΔH}) over the points so far, and their number.
    acceptance: f64,
    points: f64,
    tree: Option<Tree>,
}

pub(super) struct Engine<'a> {
    run: Run<'a>,
    kernel: Kernel,
    wanted: f64,
    windows: Windows,
    shared: Vec<Shared>,
    chains: Vec<Trajectory>,
    /// Positions and gradients of the chains, (targets, chains, d).
    position: Vec<f64>,
    gradient: Vec<f64>,
    /// Head of the integration.
    q: Vec<f64>,
    p: Vec<f64>,
    g: Vec<f64>,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        target: &'a dyn Target,
        starts: &[f64],
        schedule: &Schedule,
        kernel: Kernel,
        wanted: f64,
        (seed, purpose): (Seed, &str),
    ) -> Result<Self, SamplerError> {
        let mut run = Run::new(target, starts, schedule)?;
        let (d, size) = (run.dimension, schedule.num_chains * run.dimension);
        let mut values = vec![0.0; run.of.len()];
        let mut gradient = vec![0.0; starts.len()];
        run.density.log_density_gradient(starts, &run.of, &mut values, &mut gradient);
        let shared = starts
            .chunks_exact(size)
            .map(|starts| {
                // The starts' spread is a first guess of the scales; where they are equal or few, 1 is as good as any.
                let (mut variance, mut spread) = (vec![1.0; d], Spread::new(d));
                if schedule.num_chains >= 10 {
                    starts.chunks_exact(d).for_each(|start| spread.add(start));
                    spread.settle(&mut variance);
                }
                Shared {
                    phase: Phase::Probe { factor: None, tries: 0 },
                    running: 0,
                    done: 0,
                    step: 1.0,
                    dual: DualAveraging::new(1.0),
                    variance,
                    spread,
                    window: 0,
                    acceptance: 0.0,
                    divergences: 0,
                }
            })
            .collect();
        let chains = run
            .streams(target, purpose, seed)
            .into_iter()
            .zip(&values)
            .map(|(rng, &log_density)| Trajectory {
                rng,
                running: false,
                log_density,
                energy: 0.0,
                step: 1.0,
                left: 0,
                acceptance: 0.0,
                points: 0.0,
                tree: if let Kernel::Tree { max_depth } = kernel { Some(Tree::new(d, max_depth)) } else { None },
            })
            .collect();
        Ok(Self {
            kernel,
            wanted,
            windows: Windows::new(schedule.warmup_steps),
            shared,
            chains,
            position: starts.to_vec(),
            gradient,
            q: starts.to_vec(),
            p: vec![0.0; starts.len()],
            g: vec![0.0; starts.len()],
            run,
        })
    }

    pub(super) fn run(mut self) -> Chains {
        let (d, per_target) = (self.run.dimension, self.run.schedule.num_chains);
        let mut points = vec![0.0; self.q.len()];
        let mut gradients = vec![0.0; self.q.len()];
        let mut values = vec![0.0; self.chains.len()];
        let mut of = vec![0; self.chains.len()];
        let mut active = Vec::with_capacity(self.chains.len());
        for t in 0..self.shared.len() {
            self.launch(t);
        }
        loop {
            active.clear();
            for t in (0..self.shared.len()).filter(|&t| self.shared[t].running > 0) {
                let chains = t * per_target..(t + 1) * per_target;
                active.extend(chains.filter(|&c| self.chains[c].running));
            }
            if active.is_empty() {
                break;
            }
            for (slot, &c) in active.iter().enumerate() {
                of[slot] = c / per_target;
                self.drift(c, &mut points[slot * d..(slot + 1) * d]);
            }
            let rows = active.len();
            self.run.density.log_density_gradient(&points[..rows * d], &of[..rows], &mut values[..rows], &mut gradients[..rows * d]);
            for (slot, &c) in active.iter().enumerate() {
                self.arrive(c, values[slot], &gradients[slot * d..(slot + 1) * d]);
            }
            for t in 0..self.shared.len() {
                if self.shared[t].running == 0 && self.shared[t].phase != Phase::Finished {
                    self.conclude(t);
                }
            }
        }
        let steps = (self.run.schedule.thin * self.run.schedule.draws) as f64;
        let shared = self.shared;
        self.run.finish(|t| (Some(shared[t].acceptance / steps), shared[t].divergences))
    }

    /// Starts a trajectory of every chain of target `t`.
    fn launch(&mut self, t: usize) {
        let (d, per_target) = (self.run.dimension, self.run.schedule.num_chains);
        let shared = &mut self.shared[t];
        shared.running = per_target;
        for c in t * per_target..(t + 1) * per_target {
            let span = c * d..(c + 1) * d;
            let chain = &mut self.chains[c];
            let (q, p, g) = (&mut self.q[span.clone()], &mut self.p[span.clone()], &mut self.g[span.clone()]);
            q.copy_from_slice(&self.position[span.clone()]);
            g.copy_from_slice(&self.gradient[span]);
            for (p, v) in p.iter_mut().zip(&shared.variance) {
                *p = chain.rng.normal() / v.sqrt();
            }
            chain.energy = kinetic(p, &shared.variance) - chain.log_density;
            chain.acceptance = 0.0;
            chain.points = 0.0;
            chain.running = true;
            chain.step = shared.step;
            chain.left = 1;
            if shared.phase == Phase::Move {
                match (self.kernel, &mut chain.tree) {
                    (_, Some(tree)) => {
                        tree.plant(Point { q, p, g });
                        chain.step = shared.step * tree.double(&mut chain.rng, q, p, g);
                    }
                    (Kernel::Line { trajectory_length, max_steps }, None) => {
                        // A chain where ε is unstable would reject for long: now and then it gets a smaller step.
                        chain.step = shared.step * (1.0 - 0.5 * chain.rng.uniform());
                        let most = (trajectory_length / chain.step).ceil().min(max_steps as f64) as usize;
                        chain.left = 1 + chain.rng.below(most.max(1));
                    }
                    (Kernel::Tree { .. }, None) => {}
                }
            }
        }
    }

    /// Half a kick and a drift: the position where the gradient is wanted.
    fn drift(&mut self, c: usize, point: &mut [f64]) {
        let d = self.run.dimension;
        let shared = &self.shared[c / self.run.schedule.num_chains];
        let step = self.chains[c].step;
        let span = c * d..(c + 1) * d;
        let (q, p, g) = (&mut self.q[span.clone()], &mut self.p[span.clone()], &self.g[span]);
        for i in 0..d {
            p[i] += 0.5 * step * g[i];
            q[i] += step * shared.variance[i] * p[i];
        }
        point.copy_from_slice(q);
    }

    /// The other half of the kick; then the trajectory takes the point.
    fn arrive(&mut self, c: usize, log_density: f64, gradient: &[f64]) {
        let (d, t) = (self.run.dimension, c / self.run.schedule.num_chains);
        let shared = &mut self.shared[t];
        let chain = &mut self.chains[c];
        let span = c * d..(c + 1) * d;
        let (q, p, g) = (&mut self.q[span.clone()], &mut self.p[span.clone()], &mut self.g[span.clone()]);
        g.copy_from_slice(gradient);
        let step = chain.step;
        p.iter_mut().zip(&*g).for_each(|(p, g)| *p += 0.5 * step * g);
        // Infinite where the density is 0; NaN never, so that comparisons mean what they say.
        let energy = kinetic(p, &shared.variance) - log_density;
        let log_weight = if energy.is_nan() { f64::NEG_INFINITY } else { chain.energy - energy };
        chain.acceptance += libm::exp(log_weight.min(0.0));
        chain.points += 1.0;
        let at = Point { q, p, g };
        let growth = match (shared.phase, &mut chain.tree) {
            (Phase::Move, Some(tree)) => {
                let chosen = (&mut self.position[span.clone()], &mut self.gradient[span.clone()], &mut chain.log_density);
                tree.grow(at, log_density, log_weight, &mut chain.rng, chosen)
            }
            (Phase::Move, None) => {
                chain.left -= 1;
                if log_weight <= -DIVERGENCE {
                    Growth::Diverged
                } else if chain.left > 0 {
                    Growth::Continue
                } else {
                    // Of a line, the end point alone decides.
                    chain.acceptance = libm::exp(log_weight.min(0.0));
                    chain.points = 1.0;
                    if -chain.rng.exponential() < log_weight {
                        self.position[span.clone()].copy_from_slice(q);
                        self.gradient[span.clone()].copy_from_slice(g);
                        chain.log_density = log_density;
                    }
                    Growth::Done
                }
            }
            _ => Growth::Done,
        };
        match growth {
            Growth::Continue => {}
            Growth::Doubled => {
                if let Some(tree) = &mut chain.tree {
                    let (q, p, g) = (&mut self.q[span.clone()], &mut self.p[span.clone()], &mut self.g[span]);
                    chain.step = shared.step * tree.double(&mut chain.rng, q, p, g);
                }
            }
            Growth::Done | Growth::Diverged => {
                if growth == Growth::Diverged {
                    shared.divergences += u64::from(shared.done >= self.run.schedule.warmup_steps);
                    if chain.tree.is_none() {
                        chain.acceptance = 0.0;
                    }
                }
                chain.running = false;
                shared.running -= 1;
            }
        }
    }

    /// All trajectories of target `t` are complete: learn, keep, go on.
    fn conclude(&mut self, t: usize) {
        let (d, per_target) = (self.run.dimension, self.run.schedule.num_chains);
        let chains = t * per_target..(t + 1) * per_target;
        let acceptances = self.chains[chains.clone()].iter().map(|c| c.acceptance / c.points);
        let mean = acceptances.clone().sum::<f64>() / per_target as f64;
        // The harmonic mean makes room for the chain that fares worst (Hoffman, Radul & Sountsov 2021, AISTATS, section 3.2): in an arithmetic one
        // a chain that is stuck where ε is unstable would drown among the others.
        let harmonic = per_target as f64 / acceptances.map(|a| 1.0 / a.max(MIN_ACCEPTANCE)).sum::<f64>();
        let shared = &mut self.shared[t];
        match shared.phase {
            Phase::Probe { factor, tries } => {
                let above = mean > self.wanted;
                let factor = factor.unwrap_or(if above { 2.0 } else { 0.5 });
                if above == (factor > 1.0) && tries < MAX_TRIES {
                    shared.step *= factor;
                    shared.phase = Phase::Probe { factor: Some(factor), tries: tries + 1 };
                } else {
                    shared.dual = DualAveraging::new(shared.step);
                    shared.phase = Phase::Move;
                }
            }
            Phase::Move => {
                shared.done += 1;
                let warmup = self.run.schedule.warmup_steps;
                if shared.done <= warmup {
                    shared.dual.update(harmonic, self.wanted);
                    shared.step = shared.dual.step();
                    if shared.done > self.windows.begin && shared.window < self.windows.ends.len() {
                        self.position[chains.start * d..chains.end * d].chunks_exact(d).for_each(|q| shared.spread.add(q));
                    }
                    if self.windows.ends.get(shared.window) == Some(&shared.done) {
                        shared.window += 1;
                        shared.spread.settle(&mut shared.variance);
                        shared.phase = Phase::Probe { factor: None, tries: 0 };
                    }
                    if shared.done == warmup {
                        shared.step = shared.dual.average();
                    }
                } else {
                    shared.acceptance += mean;
                }
                let done = shared.done;
                if done == self.run.schedule.steps() {
                    shared.phase = Phase::Finished;
                }
                for c in chains {
                    self.run.keep(c, done, &self.position[c * d..(c + 1) * d], self.chains[c].log_density);
                }
            }
            Phase::Finished => {}
        }
        if self.shared[t].phase != Phase::Finished {
            self.launch(t);
        }
    }
}

/// ½ Σ v p².
fn kinetic(p: &[f64], variance: &[f64]) -> f64 {
    0.5 * p.iter().zip(variance).map(|(p, v)| v * p * p).sum::<f64>()
}
