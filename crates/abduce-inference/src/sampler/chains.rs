//! Chains of draws and what is known about their convergence.

use super::convergence::{ess_bulk, ess_tail, r_hat};
use super::error::{SamplerError, require};
use super::target::{Counted, Tally, Target};
use abduce_data::{Rng, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long and how many chains run, for each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Chains per target (sbi's default: 20). Walkers, for stretch moves.
    pub num_chains: usize,
    /// Steps at the beginning that are used to adapt the sampler and thrown away (sbi: `warmup_steps`, 200; LtU-ILI: `burn_in`, 100).
    #[serde(alias = "burn_in")]
    pub warmup_steps: usize,
    /// Of the steps after that, each `thin`-th is kept (LtU-ILI: 10). A step is a sweep over all coordinates (slice), a move of every walker
    /// (stretch) or a trajectory (HMC, NUTS).
    pub thin: usize,
    /// Draws kept per chain.
    pub draws: usize,
}

impl Default for Schedule {
    /// 20 chains, 200 steps of warm-up, no thinning, 100 draws per chain.
    fn default() -> Self {
        Self { num_chains: 20, warmup_steps: 200, thin: 1, draws: 100 }
    }
}

impl Schedule {
    pub(super) fn check(&self) -> Result<(), SamplerError> {
        require(self.num_chains > 0, "num_chains", self.num_chains as f64, "at least 1")?;
        require(self.thin > 0, "thin", self.thin as f64, "at least 1")?;
        require(self.draws > 0, "draws", self.draws as f64, "at least 1")
    }

    /// Steps of one chain.
    pub const fn steps(&self) -> usize {
        self.warmup_steps + self.thin * self.draws
    }

    /// Index of the draw that is kept after `done` steps, if one is.
    pub(super) fn kept(&self, done: usize) -> Option<usize> {
        let after = done.checked_sub(self.warmup_steps)?;
        (after > 0 && after.is_multiple_of(self.thin)).then(|| after / self.thin - 1)
    }
}

/// What is known about the chains of one target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Convergence {
    /// Rank-normalised split R̂ per parameter; ∞ for chains that don't move.
    pub r_hat: Vec<f64>,
    /// Effective number of draws in the bulk, per parameter, all chains together.
    pub ess_bulk: Vec<f64>,
    /// The same in the tails.
    pub ess_tail: Vec<f64>,
    /// Draws that these are of, all chains together.
    pub draws: usize,
    /// Mean acceptance probability after warm-up; `None` for slice sampling, which always moves.
    pub acceptance_rate: Option<f64>,
    /// Trajectories after warm-up that left the level set of the energy: regions that HMC or NUTS can't enter. 0 for the other samplers.
    pub divergences: u64,
    /// Evaluations of the density, warm-up and starts included.
    pub evaluations: u64,
    /// Those that gave NaN or +∞ (or such a gradient) and were taken as −∞.
    pub non_finite: u64,
}

impl Convergence {
    /// Vehtari et al. 2021 (arXiv:1903.08008): chains with an R̂ of this or more are not to be used…
    pub const R_HAT: f64 = 1.01;
    /// …nor fewer effective draws than these: a hundred for each of four chains.
    pub const ESS: f64 = 400.0;

    /// Whether every parameter has R̂ < 1.01 and 400 effective draws, in the bulk and in the tails.
    pub fn has_converged(&self) -> bool {
        self.r_hat.iter().all(|&r| r < Self::R_HAT) && self.min_ess() >= Self::ESS
    }

    /// The parameter with the largest R̂, and that value.
    pub fn worst(&self) -> (usize, f64) {
        let above = |best: (usize, f64), (j, &r): (usize, &f64)| if r > best.1 { (j, r) } else { best };
        self.r_hat.iter().enumerate().fold((0, f64::NEG_INFINITY), above)
    }

    /// The smallest effective number of draws of any parameter, bulk and tail.
    pub fn min_ess(&self) -> f64 {
        self.ess_bulk.iter().chain(&self.ess_tail).copied().fold(f64::INFINITY, f64::min)
    }
}

/// Draws of all chains of all targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Chains {
    /// Targets.
    pub targets: usize,
    /// Chains per target.
    pub chains: usize,
    /// Draws per chain.
    pub length: usize,
    /// Dimension d.
    pub dimension: usize,
    /// (targets, chains, length, d).
    pub draws: Vec<f64>,
    /// log π of each draw, (targets, chains, length).
    pub log_density: Vec<f64>,
    /// Per target.
    pub report: Vec<Convergence>,
}

impl Chains {
    /// All draws of one target, (chains · length, d).
    pub fn of_target(&self, target: usize) -> &[f64] {
        let size = self.chains * self.length * self.dimension;
        &self.draws[target * size..(target + 1) * size]
    }

    /// Draws of one parameter of one target, (chains, length).
    pub fn parameter(&self, target: usize, parameter: usize) -> Vec<f64> {
        self.of_target(target).iter().skip(parameter).step_by(self.dimension).copied().collect()
    }

    /// Refuses chains that have not mixed: R̂ above `r_hat` or an effective number of draws below `ess` for any parameter of any target
    /// (Vehtari et al. 2021 recommend 1.01, and 100 per four chains).
    ///
    /// # Errors
    /// [`SamplerError::NotConverged`] for the first such target, with its worst parameter.
    pub fn require(&self, r_hat: f64, ess: f64) -> Result<(), SamplerError> {
        for (target, report) in self.report.iter().enumerate() {
            let (worst, found) = report.worst();
            let thin = (0..self.dimension).find(|&j| report.ess_bulk[j].min(report.ess_tail[j]) < ess);
            if let Some(parameter) = if found > r_hat { Some(worst) } else { thin } {
                return Err(SamplerError::NotConverged {
                    target,
                    parameter,
                    r_hat: report.r_hat[parameter],
                    r_hat_limit: r_hat,
                    ess_bulk: report.ess_bulk[parameter],
                    ess_tail: report.ess_tail[parameter],
                    ess_wanted: ess,
                    divergences: report.divergences,
                });
            }
        }
        Ok(())
    }
}

/// Checked starts and the empty arrays that a sampler fills.
pub(super) struct Run<'a> {
    pub(super) density: Counted<'a>,
    pub(super) schedule: Schedule,
    pub(super) targets: usize,
    pub(super) dimension: usize,
    /// log π of the starts, (targets, chains).
    pub(super) start_log_density: Vec<f64>,
    /// Target of each chain, (targets, chains).
    pub(super) of: Vec<usize>,
    draws: Vec<f64>,
    log_density: Vec<f64>,
}

impl<'a> Run<'a> {
    /// `starts` is (targets, chains, d).
    pub(super) fn new(target: &'a dyn Target, starts: &[f64], schedule: &Schedule) -> Result<Self, SamplerError> {
        schedule.check()?;
        let (targets, chains, dimension) = (target.count(), schedule.num_chains, target.dimension());
        require(targets > 0, "targets", 0.0, "at least 1")?;
        require(dimension > 0, "dimension", 0.0, "at least 1")?;
        let rows = targets * chains;
        if starts.len() != rows * dimension {
            return Err(SamplerError::Shape { what: "starts (targets, chains, d)", found: starts.len(), expected: rows * dimension });
        }
        let of: Vec<usize> = (0..rows).map(|row| row / chains).collect();
        let mut density = Counted::new(target);
        let mut values = vec![0.0; rows];
        density.log_density(starts, &of, &mut values);
        for (value, start) in values.iter_mut().zip(starts.chunks_exact(dimension)) {
            if start.iter().any(|x| !x.is_finite()) {
                *value = f64::NEG_INFINITY;
            }
        }
        if let Some(first) = values.iter().position(|v| *v == f64::NEG_INFINITY) {
            let bad = values.iter().filter(|v| **v == f64::NEG_INFINITY).count();
            return Err(SamplerError::Start {
                target: first / chains,
                chain: first % chains,
                log_density: values[first],
                bad,
                total: rows,
            });
        }
        let kept = rows * schedule.draws;
        Ok(Self {
            density,
            schedule: *schedule,
            targets,
            dimension,
            start_log_density: values,
            of,
            draws: vec![0.0; kept * dimension],
            log_density: vec![0.0; kept],
        })
    }

    /// One stream per chain; a target's streams depend on the target's own number only.
    pub(super) fn streams(&self, target: &dyn Target, purpose: &str, seed: Seed) -> Vec<Rng> {
        let chains = self.schedule.num_chains;
        let of_target = |t: usize| {
            let own = seed.derive(purpose, target.stream(t));
            (0..chains).map(move |c| own.stream("chain", c as u64))
        };
        (0..self.targets).flat_map(of_target).collect()
    }

    /// Keeps a chain's point after `done` steps if the schedule says so. `chain` counts over all targets.
    pub(super) fn keep(&mut self, chain: usize, done: usize, point: &[f64], log_density: f64) {
        if let Some(index) = self.schedule.kept(done) {
            let at = chain * self.schedule.draws + index;
            self.draws[at * self.dimension..(at + 1) * self.dimension].copy_from_slice(point);
            self.log_density[at] = log_density;
        }
    }

    /// The finished chains; per target its acceptance rate and divergences.
    pub(super) fn finish(self, acceptance: impl Fn(usize) -> (Option<f64>, u64)) -> Chains {
        let mut chains = Chains {
            targets: self.targets,
            chains: self.schedule.num_chains,
            length: self.schedule.draws,
            dimension: self.dimension,
            draws: self.draws,
            log_density: self.log_density,
            report: Vec::new(),
        };
        chains.report = (0..self.targets)
            .map(|t| {
                let Tally { evaluations, non_finite } = self.density.tally[t];
                let (acceptance_rate, divergences) = acceptance(t);
                let mut report = Convergence {
                    r_hat: Vec::with_capacity(self.dimension),
                    ess_bulk: Vec::with_capacity(self.dimension),
                    ess_tail: Vec::with_capacity(self.dimension),
                    draws: chains.chains * chains.length,
                    acceptance_rate,
                    divergences,
                    evaluations,
                    non_finite,
                };
                for j in 0..self.dimension {
                    let draws = chains.parameter(t, j);
                    report.r_hat.push(r_hat(&draws, chains.chains));
                    report.ess_bulk.push(ess_bulk(&draws, chains.chains));
                    report.ess_tail.push(ess_tail(&draws, chains.chains));
                }
                report
            })
            .collect();
        chains
    }
}
