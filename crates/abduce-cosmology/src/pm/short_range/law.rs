//! The force of a pair as a function of its separation.

use super::ShortRange;
use crate::pm::particles::TURN;
use abduce_kernels::pairs::CentralForce;

/// Degree of the polynomial for h: right to 1e-7 of h(0) for every cut-off allowed.
const DEGREE: usize = 12;

/// The force of a pair, with lengths in units of 2 r_s.
#[derive(Clone, Debug)]
pub(super) struct Law {
    /// What stands in brackets.
    pub(super) force: CentralForce,
    /// From fixed-point units to 2 r_s.
    pub(super) unit: f32,
    /// What the sum over neighbours is multiplied by to give a force in Mpc/h.
    pub(super) strength: f64,
}

/// h for lengths in units of 2 r_s: (4/√π) Σ_n (−s)^n/(n! (2n + 3)) at s = u².
pub(super) fn smooth_part(s: f64) -> f64 {
    let (mut power, mut sum) = (1.0, 0.0);
    for n in 0..80 {
        sum += power / f64::from(2 * n + 3);
        power *= -s / f64::from(n + 1);
    }
    4.0 / std::f64::consts::PI.sqrt() * sum
}

/// Coefficients, lowest power first, of the polynomial in t ∈ [−1, 1] that interpolates `f` at the Chebyshev nodes.
fn interpolating_polynomial(f: impl Fn(f64) -> f64) -> [f64; DEGREE + 1] {
    const NODES: usize = DEGREE + 1;
    let angle = |k: usize| std::f64::consts::PI * (k as f64 + 0.5) / NODES as f64;
    let values: [f64; NODES] = std::array::from_fn(|k| f(libm::cos(angle(k))));
    let mut sum = [0.0; NODES];
    // Chebyshev polynomials as coefficients: T_{j+1} = 2 t T_j − T_{j−1}.
    let (mut before, mut this) = ([0.0; NODES], [0.0; NODES]);
    this[0] = 1.0;
    for j in 0..NODES {
        let share = if j == 0 { 1.0 } else { 2.0 } / NODES as f64;
        let weight: f64 = share * (0..NODES).map(|k| values[k] * libm::cos(j as f64 * angle(k))).sum::<f64>();
        for (sum, c) in sum.iter_mut().zip(&this) {
            *sum += weight * c;
        }
        let mut next = before.map(|c: f64| -c);
        for power in 1..NODES {
            next[power] += if j == 0 { 1.0 } else { 2.0 } * this[power - 1];
        }
        if j == 0 {
            next[0] = 0.0;
        }
        (before, this) = (this, next);
    }
    sum
}

impl Law {
    pub(super) fn new(options: &ShortRange, cells: usize, per_side: usize, box_size: f64) -> Self {
        let spacing = box_size / per_side as f64;
        let unit = 2.0 * options.split_cells * box_size / cells as f64;
        let cutoff2 = 0.25 * options.cutoff_splits * options.cutoff_splits;
        let mut polynomial = interpolating_polynomial(|t| smooth_part(0.5 * (t + 1.0) * cutoff2));
        polynomial.reverse();
        Self {
            force: CentralForce {
                cutoff2: cutoff2 as f32,
                softening2: (options.softening * spacing / unit).powi(2) as f32,
                polynomial: polynomial.iter().map(|&c| c as f32).collect(),
            },
            unit: (box_size / TURN / unit) as f32,
            strength: spacing.powi(3) / (4.0 * std::f64::consts::PI) / (unit * unit),
        }
    }

    /// The distance of a fixed-point coordinate from another, the short way around the box.
    #[inline(always)]
    pub(super) fn from(&self, x: u32, origin: u32) -> f32 {
        x.wrapping_sub(origin) as i32 as f32 * self.unit
    }
}
