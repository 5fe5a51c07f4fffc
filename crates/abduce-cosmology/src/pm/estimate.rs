//! What a run will need, before it starts.

use super::particles::{bytes_per_particle, largest_chunk};
use super::{PmError, PmOptions, Stepping, force};
use serde::Serialize;

/// Memory of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Particles, in bytes.
    pub particles: u64,
    /// Meshes, modes and planes in work, in bytes.
    pub mesh: u64,
    /// A snapshot, positions and velocities, in bytes.
    pub snapshot: u64,
    /// The most that is held at a time, in bytes.
    pub peak: u64,
}

impl Estimate {
    /// The memory of a run of `per_side`³ particles with `threads` threads.
    ///
    /// The start is taken to hold displacements and momenta (24 bytes per particle, 48 with COLA) beside the particles made from them, before
    /// the mesh is there; a snapshot is held beside particles and mesh.
    pub fn new(per_side: usize, options: &PmOptions, threads: usize) -> Self {
        let count = (per_side as u64).pow(3);
        let cola = options.stepping == Stepping::Cola;
        let particles = count * bytes_per_particle(cola);
        let sorting = threads as u64 * largest_chunk(per_side) as u64 * bytes_per_particle(cola);
        let cells = per_side * options.mesh_factor;
        let spectral = if options.kernel.is_spectral() { 8 * (cells as u64).pow(2) * (cells as u64 / 2 + 1) } else { 0 };
        let mesh = force::mesh_bytes(cells, threads) + spectral;
        let snapshot = count * 24;
        let start = count * if cola { 48 } else { 24 };
        let peak = particles + sorting + mesh.max(start) + snapshot;
        Self { particles, mesh, snapshot, peak }
    }

    /// Refuses a run that needs more than `limit_bytes`.
    ///
    /// # Errors
    /// It does.
    pub fn check(&self, limit_bytes: u64) -> Result<(), PmError> {
        if self.peak <= limit_bytes { Ok(()) } else { Err(PmError::Memory { needed_bytes: self.peak, limit_bytes }) }
    }
}
