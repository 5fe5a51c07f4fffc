//! The steps of a run.

use super::force::{ForceMesh, Kick};
use super::short_range::Pairs;
use super::{Factors, Kernel, LatticeStart, Particles, PmError, Schedule, ShortRange, Snapshot, Softening, Stepping};
use crate::growth::Growth;
use crate::mesh::Grid;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How gravity is solved. Stored with every product.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PmOptions {
    /// B: cells per side of the mesh over particles per side, 1 to 4.
    pub mesh_factor: usize,
    /// The kernel between density and force.
    pub kernel: Kernel,
    /// Damping at the scale of the mesh.
    pub softening: Softening,
    /// How steps are made.
    pub stepping: Stepping,
    /// Forces of pairs below the reach of the mesh: P³M. The kernel is then `optimal`, the default is taken to mean
    /// it, and the mesh has no softening of its own.
    pub short_range: Option<ShortRange>,
}

impl Default for PmOptions {
    /// B = 1, kernel `1_4`, no softening, FastPM factors, no forces of pairs.
    fn default() -> Self {
        Self {
            mesh_factor: 1,
            kernel: Kernel::default(),
            softening: Softening::default(),
            stepping: Stepping::default(),
            short_range: None,
        }
    }
}

/// A particle-mesh run.
///
/// One step is kick-drift-kick with a force per step: the second half kick of a step and the first of the next use the same force and are done in
/// one pass, except where the momenta of that time are asked for.
pub struct Solver<'a> {
    growth: &'a Growth,
    schedule: Schedule,
    stepping: Stepping,
    particles: Particles,
    force: ForceMesh,
    pairs: Option<Pairs>,
    on_pairs: Duration,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Steps done; 0 after the first force.
    pub done: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Time spent on sums of pairs so far.
    pub on_pairs: Duration,
}

impl<'a> Solver<'a> {
    /// Particles at the first scale factor of `schedule`, ready to go.
    ///
    /// # Errors
    /// A start or options that cannot be used; COLA without the fields of perturbation theory, or those without COLA.
    pub fn new(
        start: &LatticeStart<'_>,
        growth: &'a Growth,
        schedule: Schedule,
        options: &PmOptions,
        threads: &Threads,
    ) -> Result<Self, PmError> {
        if !(1..=4).contains(&options.mesh_factor) {
            return Err(PmError::Range { name: "mesh_factor", value: options.mesh_factor as f64, range: "1 to 4" });
        }
        if let Softening::Gaussian { cells } = options.softening
            && !(cells >= 0.0 && cells.is_finite())
        {
            return Err(PmError::Range { name: "softening", value: cells, range: "0 or more cells" });
        }
        if (options.stepping == Stepping::Cola) != start.perturbation.is_some() {
            let value = f64::from(u8::from(start.perturbation.is_some())) * 2.0;
            return Err(PmError::Range { name: "fields of perturbation theory", value, range: "2 with COLA, 0 without" });
        }
        let mut particles = Particles::new(start, threads)?;
        let cells = start.per_side * options.mesh_factor;
        let pairs = options.short_range.map(|short| Pairs::new(&short, cells, &particles)).transpose()?;
        let is_split = matches!(options.kernel, Kernel::ExactFour | Kernel::Optimal) && options.softening == Softening::None;
        if pairs.is_some() && !is_split {
            return Err(PmError::SplitKernel);
        }
        let split = options.short_range.map(|short| short.split_cells);
        let force = ForceMesh::new(Grid::new(cells, start.box_size_mpc_h)?, options.kernel, options.softening, split)?;
        particles.drift_and_sort(0.0, [0.0; 2], cells, threads);
        Ok(Self { growth, schedule, stepping: options.stepping, particles, force, pairs, on_pairs: Duration::ZERO })
    }

    /// The particles.
    pub fn particles(&self) -> &Particles {
        &self.particles
    }

    /// Runs through the schedule. `wanted` are scale factors of the schedule (the first one excepted) at which `snapshot` is called;
    /// `progress` is called after the first force and after every step, and may break the run off.
    ///
    /// Returns whether the run reached its end.
    ///
    /// # Errors
    /// A transform fails, or whatever `snapshot` returns.
    pub fn run<E: From<PmError>>(
        &mut self,
        wanted: &[f64],
        threads: &Threads,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
        mut snapshot: impl FnMut(Snapshot) -> Result<(), E>,
    ) -> Result<bool, E> {
        let a = self.schedule.scale_factors().to_vec();
        let steps = self.schedule.steps();
        let factors: Vec<Factors> = a.windows(2).map(|pair| Factors::new(self.growth, self.stepping, pair[0], pair[1])).collect();
        self.force.solve(&self.particles, threads)?;
        self.kick(factors[0].kick1, a[0], threads)?;
        if progress(Progress { done: 0, steps, on_pairs: self.on_pairs }).is_break() {
            return Ok(false);
        }
        for (step, factor) in factors.iter().enumerate() {
            self.drift(factor.drift, a[step], a[step + 1], threads);
            self.force.solve(&self.particles, threads)?;
            let next = factors.get(step + 1).map(|next| next.kick1);
            if wanted.contains(&a[step + 1]) || next.is_none() {
                self.kick(factor.kick2, a[step + 1], threads)?;
                if wanted.contains(&a[step + 1]) {
                    snapshot(self.particles.snapshot(a[step + 1], self.growth, threads))?;
                }
                if let Some(kick) = next {
                    self.kick(kick, a[step + 1], threads)?;
                }
            } else {
                self.kick(factor.kick2 + next.unwrap_or(0.0), a[step + 1], threads)?;
            }
            if progress(Progress { done: step + 1, steps, on_pairs: self.on_pairs }).is_break() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn drift(&mut self, drift: f64, a0: f64, a1: f64, threads: &Threads) {
        let (from, to) = (self.growth.at(a0), self.growth.at(a1));
        self.particles.drift_and_sort(drift, [to.d1 - from.d1, to.d2 - from.d2], self.force.cells(), threads);
    }

    fn kick(&mut self, factor: f64, a: f64, threads: &Threads) -> Result<(), PmError> {
        // d/da [a³ E dD/da] = 1.5 Ω_m/(a² E) D, and D2 − D² for the second order: so these multiply the two fields.
        let at = self.growth.at(a);
        self.force.kick(&mut self.particles, Kick { factor, lpt: [at.d1, at.d2 - at.d1 * at.d1] }, threads)?;
        if let Some(pairs) = &mut self.pairs {
            let begun = Instant::now();
            pairs.kick(&mut self.particles, factor, threads);
            self.on_pairs += begun.elapsed();
        }
        Ok(())
    }
}
