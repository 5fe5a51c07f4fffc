//! What a run will need, before it starts.

use super::particles::{bytes_per_particle, largest_chunk};
use super::{PmError, PmOptions, Schedule, Stepping, force};
use crate::growth::Growth;
use crate::power::LinearPower;
use crate::quadrature::integrate;
use serde::Serialize;
use std::time::Duration;

/// Memory of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Particles, in bytes.
    pub particles: u64,
    /// Meshes, modes and planes in work, and the positions that pairs are found in, in bytes.
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
        let pairs = options.short_range.map_or(0, |short| short.bytes(count, cells, threads));
        let mesh = force::mesh_bytes(cells, threads) + spectral + pairs;
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

/// By how much steps grow over a run on average, its haloes scattering reads and writes over memory that the start goes through in order: −6 to 19 % over
/// the median of the first three, measured with 64³ to 256³ particles.
const SCATTER: f64 = 1.05;

/// What pulling takes over what gathering takes, per neighbour that the mean density has in a cube of the cut-off: measured with AVX-512.
const PULL: f64 = 0.0024;

/// How the cost of steps grows over a run: what of it is known before.
#[derive(Clone, Debug)]
pub struct Forecast {
    /// Passes over mesh and particles, in steps.
    passes: f64,
    /// Sums of pairs, in those of the second step.
    sums: f64,
}

impl Forecast {
    /// The forecast of a run through `schedule`, with half a pass more for each of `outputs` on the way. `power` is the linear one today.
    ///
    /// With pairs neighbours are gathered in the same time whatever they do, and pull in a time that grows with their number: that of the mean
    /// density times 1 + ξ̄, ξ̄ from the linear power by the map of Hamilton et al. 1991 (ApJ 374, L1), right to a factor of two
    /// where haloes are.
    pub fn new(
        schedule: &Schedule,
        outputs: &[f64],
        options: &PmOptions,
        spacing_mpc_h: f64,
        growth: &Growth,
        power: &LinearPower,
    ) -> Self {
        let a = &schedule.scale_factors()[1..];
        // Outputs on the way are kicked up to and kicked off from; a kick is some half of a step of the mesh, and all of a sum of pairs.
        let stops = |a: f64| if outputs.contains(&a) && schedule.scale_factors().last() != Some(&a) { 1.0 } else { 0.0 };
        let passes = a.iter().map(|&a| 1.0 + 0.5 * stops(a)).sum();
        let sums = options.short_range.map_or(0.0, |short| {
            let reach = short.split_cells * short.cutoff_splits / options.mesh_factor as f64;
            let pull = |a: f64| PULL * reach.powi(3) * (1.0 + mean_correlation(power, growth.at(a).d1, reach * spacing_mpc_h));
            let second = 1.0 + pull(a[a.len().min(2) - 1]);
            a.iter().map(|&a| (1.0 + pull(a)) / second * (1.0 + stops(a))).sum()
        });
        Self { passes, sums }
    }

    /// How long all steps take, from the times of the first three and what of them went to sums of pairs: their median tells, for the first one goes
    /// through particles that still lie in order, and a single one may have been disturbed.
    pub fn duration(&self, first: [(Duration, Duration); 3]) -> Duration {
        let mut first = first;
        first.sort_unstable();
        let (step, pairs) = first[1];
        let mesh = step.saturating_sub(pairs).as_secs_f64() * self.passes * SCATTER;
        Duration::from_secs_f64(mesh + pairs.as_secs_f64() * self.sums)
    }
}

/// The mean correlation ξ̄ of matter within `radius` [Mpc/h], when linear modes have grown to `growth` of today's, by the map of Hamilton et al.:
///
/// ξ̄(x) = B(ξ̄_L(l)),   l³ = x³ (1 + ξ̄(x)),   B(y) = (y + 0.358 y³ + 0.0236 y⁶)/(1 + 0.0134 y³ + 0.00202 y^{9/2}).
fn mean_correlation(power: &LinearPower, growth: f64, radius: f64) -> f64 {
    let linear = |l: f64| {
        let shell = |log_k: f64| {
            let k = libm::exp(log_k);
            let x = k * l;
            let window = if x < 1e-2 { 1.0 - x * x / 10.0 } else { 3.0 * (libm::sin(x) - x * libm::cos(x)) / (x * x * x) };
            // What oscillates beyond ten radians cancels but for a part in a hundred.
            k * k * k * power.at(k) * window * libm::exp(-(x / 10.0) * (x / 10.0))
        };
        growth * growth * integrate(libm::log(1e-4), libm::log(50.0 / l), 30, shell) / (2.0 * std::f64::consts::PI * std::f64::consts::PI)
    };
    let map = |y: f64| (y + 0.358 * y.powi(3) + 0.0236 * y.powi(6)) / (1.0 + 0.0134 * y.powi(3) + 0.00202 * y.powf(4.5));
    // x grows with l: halve the interval of l.
    let (mut low, mut high) = (radius, 30.0 * radius);
    for _ in 0..24 {
        let l = 0.5 * (low + high);
        if l / libm::cbrt(1.0 + map(linear(l).max(0.0))) < radius { low = l } else { high = l }
    }
    // Not (l/x)³ − 1, which has no digits left where ξ̄ is small.
    map(linear(high).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cosmology;
    use crate::background::Radiation;
    use crate::pm::{ShortRange, Spacing};
    use crate::power::Oscillations;

    /// Linear where matter is smooth, and of known size where it is not.
    #[test]
    fn pairs_crowd_as_haloes_form() {
        let power = LinearPower::eisenstein_hu(&Cosmology::QUIJOTE, Oscillations::Wiggles).unwrap();
        let at = |growth, radius| mean_correlation(&power, growth, radius);
        // Twice the amplitude is four times the correlation as long as it is small.
        assert!((at(0.02, 8.0) / at(0.01, 8.0) - 4.0).abs() < 0.01);
        // σ8² = 0.7; ξ̄ weighs with one window of the sphere in place of two, and the map leaves values near one about as they are.
        assert!((0.6..1.6).contains(&at(1.0, 8.0)), "{}", at(1.0, 8.0));
        // ξ(r) is about (r/4.5)^−1.8 at this σ8, so that ξ̄ = 2.5 ξ is 37 at 1 Mpc/h; the map is trusted to a factor of two.
        assert!((18.5..75.0).contains(&at(1.0, 1.0)), "{}", at(1.0, 1.0));
    }

    #[test]
    fn forecasts_count_passes_and_pairs() {
        let growth = Growth::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap();
        let power = LinearPower::eisenstein_hu(&Cosmology::QUIJOTE, Oscillations::Wiggles).unwrap();
        let schedule = Schedule::spaced(0.1, 1.0, 9, Spacing::Linear, &[]).unwrap();
        let second = Duration::from_secs(1);
        // One step is told from two others that were disturbed.
        let plain_steps = [(3 * second, second), (second, Duration::ZERO), (second / 2, Duration::ZERO)];
        let mesh = PmOptions { mesh_factor: 2, ..PmOptions::default() };
        let forecast = |outputs: &[f64], options: &PmOptions| Forecast::new(&schedule, outputs, options, 1.0, &growth, &power);
        let plain = forecast(&[1.0], &mesh).duration(plain_steps).as_secs_f64();
        assert!((plain - 9.0 * SCATTER).abs() < 1e-6, "{plain}");
        let halfway = schedule.scale_factors()[4];
        let stopping = forecast(&[halfway, 1.0], &mesh).duration(plain_steps).as_secs_f64();
        assert!((stopping - 9.5 * SCATTER).abs() < 1e-6, "{stopping}");
        // Nine sums of pairs, most of them dearer than the second, and all the more where the cut-off holds more particles.
        let pairs = |mesh_factor| PmOptions { mesh_factor, short_range: Some(ShortRange::default()), ..PmOptions::default() };
        let [fine, coarse] = [2, 1].map(|factor| forecast(&[1.0], &pairs(factor)).duration([(second, second); 3]).as_secs_f64());
        assert!(9.0 < fine && fine < coarse && coarse < 40.0, "{fine} {coarse}");
    }
}
