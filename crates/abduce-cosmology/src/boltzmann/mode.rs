//! The evolution of one mode from the early universe to today.
//!
//! The method is an L-stable, stiffly accurate diagonally implicit Runge-Kutta pair of orders 4 and 3 (Kennedy & Carpenter 2003, Appl. Numer.
//! Math. 44, 139: the implicit part of ARK4(3)6L[2]SA) in ln a. The equations are linear, so every stage is one solution of (1 − sA) u = Y: the
//! moments l ≥ 3 are eliminated from the end of each hierarchy, a dense core of at most 13 unknowns is left. Scattering rates of 10⁹ expansion rates
//! are no harder than others, so the tightly coupled fluid needs no expansion of its own, and nothing is lost where it stops being tight.

use super::Precision;
use super::system::{BARYON, CHAINS, COLD, CORE, Densities, ETA, Followed, Matrix, NEUTRINO, PHOTON, POLARISATION, VELOCITY};
use super::thermodynamics::{Epoch, Thermodynamics};
use crate::error::{CosmologyError, Result};
use std::ops::Range;

const GAMMA: f64 = 0.25;
const STAGES: usize = 6;
const NODES: [f64; STAGES] = [0.0, 0.5, 83.0 / 250.0, 31.0 / 50.0, 17.0 / 20.0, 1.0];
/// Stage weights left of the diagonal.
const WEIGHTS: [[f64; STAGES - 1]; STAGES] = [
    [0.0; 5],
    [0.25, 0.0, 0.0, 0.0, 0.0],
    [8611.0 / 62_500.0, -1743.0 / 31_250.0, 0.0, 0.0, 0.0],
    [5_012_029.0 / 34_652_500.0, -654_441.0 / 2_922_500.0, 174_375.0 / 388_108.0, 0.0, 0.0],
    [15_267_082_809.0 / 155_376_265_600.0, -71_443_401.0 / 120_774_400.0, 730_878_875.0 / 902_184_768.0, 2_285_395.0 / 8_070_912.0, 0.0],
    [82_889.0 / 524_892.0, 0.0, 15_625.0 / 83_664.0, 69_875.0 / 102_672.0, -2260.0 / 8211.0],
];
/// The embedded solution of order 3.
const EMBEDDED: [f64; STAGES] = [
    4_586_570_599.0 / 29_645_900_160.0,
    0.0,
    178_811_875.0 / 945_068_544.0,
    814_220_225.0 / 1_159_782_912.0,
    -3_700_637.0 / 11_593_932.0,
    61_727.0 / 225_920.0,
];
/// A step in ln a that is given up.
const SHORTEST_STEP: f64 = 1e-9;

/// Buffers for the evolution of modes, one after another.
pub(super) struct Evolution<'a> {
    thermo: &'a Thermodynamics,
    densities: Densities,
    precision: Precision,
    /// Last moment of the photon, polarisation and neutrino hierarchies, and where their third moments stand.
    last: [usize; 3],
    offset: [usize; 3],
    state: Vec<f64>,
    next: Vec<f64>,
    slopes: [Vec<f64>; STAGES],
    ratios: Vec<f64>,
    /// 1/(2l + 1).
    inverse_odds: Vec<f64>,
}

impl<'a> Evolution<'a> {
    pub(super) fn new(thermo: &'a Thermodynamics, precision: Precision) -> Self {
        let last = [precision.photon_moments, precision.photon_moments, precision.neutrino_moments];
        let mut length = CORE;
        let offset = last.map(|last| {
            let start = length;
            length += last - 2;
            start
        });
        let x = &thermo.expansion;
        Self {
            thermo,
            densities: Densities { cold: x.cold, baryons: x.baryons, photons: x.photons, neutrinos: x.neutrinos },
            precision,
            last,
            offset,
            state: vec![0.0; length],
            next: vec![0.0; length],
            slopes: std::array::from_fn(|_| vec![0.0; length]),
            ratios: vec![0.0; length],
            inverse_odds: (0..=last.into_iter().max().unwrap_or(0)).map(|l| 1.0 / (2 * l + 1) as f64).collect(),
        }
    }

    /// δ_m of mode `k` (1/Mpc) at each of the ascending ln a in `stops`, for a primordial curvature of 1.
    pub(super) fn matter(&mut self, k: f64, stops: &[f64], deltas: &mut [f64]) -> Result<()> {
        let mut log_a = self.start(k);
        let mut followed = Followed::PhotonsAndNeutrinos;
        let mut step = 0.1;
        let mut epoch = self.thermo.at(log_a);
        self.first_slope(&epoch, k, followed);
        for (&stop, delta) in stops.iter().zip(deltas) {
            while log_a < stop {
                let remaining = stop - log_a;
                // A last step that is nearly whole is shared by two, so that none is absurdly short.
                let last = step >= remaining;
                let h = if last {
                    remaining
                } else if 2.0 * step > remaining {
                    0.5 * remaining
                } else {
                    step
                };
                let (error, end) = self.attempt(log_a, h, k, followed, self.active(k * epoch.time));
                // NaN and infinity shrink the step like any other large error.
                let factor = if error > 0.0 { (0.9 * libm::pow(error, -0.25)).clamp(0.2, 4.0) } else { 4.0 };
                let factor = if error.is_nan() { 0.2 } else { factor };
                if error <= 1.0 {
                    log_a = if last { stop } else { log_a + h };
                    epoch = end;
                    std::mem::swap(&mut self.state, &mut self.next);
                    self.slopes.swap(0, STAGES - 1);
                    let now = self.next_phase(&epoch, k, followed);
                    if now != followed {
                        followed = now;
                        self.first_slope(&epoch, k, followed);
                    }
                } else if h < SHORTEST_STEP {
                    return Err(CosmologyError::Integration { what: "the Boltzmann equations", a: libm::exp(log_a), k_per_mpc: k });
                }
                step = h * factor;
            }
            let d = &self.densities;
            *delta = (d.cold * self.state[COLD] + d.baryons * self.state[BARYON]) / (d.cold + d.baryons);
        }
        Ok(())
    }

    /// Writes the adiabatic growing mode of unit curvature at leading order in kτ (Ma & Bertschinger, Eq. 96 with C = 1/2) and gives its ln a.
    fn start(&mut self, k: f64) -> f64 {
        let x = &self.thermo.expansion;
        let time = (self.precision.start_k_time / k).min(self.precision.start_time_mpc);
        let phase = k * time;
        let nu = x.neutrinos / (x.photons + x.neutrinos);
        [&mut self.state, &mut self.next].into_iter().chain(&mut self.slopes).for_each(|values| values.fill(0.0));
        let y = &mut self.state;
        let density = -phase * phase / 3.0;
        let velocity = -phase * phase * phase / 36.0;
        y[ETA] = 1.0 - (5.0 + 4.0 * nu) / (12.0 * (15.0 + 4.0 * nu)) * phase * phase;
        y[COLD] = 0.75 * density;
        y[BARYON] = 0.75 * density;
        y[VELOCITY] = velocity;
        y[PHOTON] = density;
        y[PHOTON + 1] = 4.0 / 3.0 * velocity;
        y[NEUTRINO] = density;
        y[NEUTRINO + 1] = 4.0 / 3.0 * velocity * (23.0 + 4.0 * nu) / (15.0 + 4.0 * nu);
        y[NEUTRINO + 2] = 4.0 / (3.0 * (15.0 + 4.0 * nu)) * phase * phase;
        libm::log(x.radiation_scale_factor(time))
    }

    /// Which species still have to be followed after a step that ended at `epoch`.
    fn next_phase(&self, epoch: &Epoch, k: f64, followed: Followed) -> Followed {
        let waves = k * epoch.time;
        let p = &self.precision;
        let streaming = epoch.scattering * epoch.time < p.streaming_depth;
        let diffused = k * k * epoch.diffusion > p.diffusion_exponent;
        match followed {
            Followed::PhotonsAndNeutrinos if waves > p.streaming_waves => self.next_phase(epoch, k, Followed::Photons),
            Followed::Photons if waves > p.photon_waves && (streaming || diffused) => Followed::None,
            other => other,
        }
    }

    /// dy/dlna at the state, into the first slope.
    fn first_slope(&mut self, epoch: &Epoch, k: f64, followed: Followed) {
        let matrix = Matrix::new(&self.densities, epoch, k, followed);
        let (y, slope) = (&self.state, &mut self.slopes[0]);
        let n = followed.core();
        let inverse = 1.0 / epoch.hubble;
        slope.fill(0.0);
        for i in 0..n {
            slope[i] = inverse * (0..n).map(|j| matrix.core[i][j] * y[j]).sum::<f64>();
        }
        for chain in 0..followed.chains() {
            let (last, offset, second) = (self.last[chain], self.offset[chain], CHAINS[chain]);
            slope[second] += inverse * matrix.third_moment() * y[offset];
            for l in 3..=last {
                let [below, own, above] = matrix.moment(chain, l, last, self.inverse_odds[l]);
                let at = offset + l - 3;
                let lower = if l == 3 { y[second] } else { y[at - 1] };
                let upper = if l == last { 0.0 } else { y[at + 1] };
                slope[at] = inverse * (below * lower + own * y[at] + above * upper);
            }
        }
    }

    /// Last moments in use for a step that begins at kτ = `waves`: power moves up the hierarchies one moment per wave, so that higher ones are still 0
    /// when it ends.
    fn active(&self, waves: f64) -> [usize; 3] {
        let reached = 8 + (2.0 * waves) as usize;
        self.last.map(|last| last.min(reached))
    }

    /// Where the unknowns in use stand: the core, then the hierarchies.
    fn spans(&self, followed: Followed, last: [usize; 3]) -> [Range<usize>; 4] {
        std::array::from_fn(|i| match i {
            0 => 0..followed.core(),
            i if i <= followed.chains() => self.offset[i - 1]..self.offset[i - 1] + last[i - 1] - 2,
            _ => 0..0,
        })
    }

    /// Tries a step of `h` with moments up to `last`: the error in units of the tolerance, and the epoch at its end. The result is in `next`, its slope the last one.
    fn attempt(&mut self, log_a: f64, h: f64, k: f64, followed: Followed, last: [usize; 3]) -> (f64, Epoch) {
        let mut epoch = self.thermo.at(log_a);
        let spans = self.spans(followed, last);
        for stage in 1..STAGES {
            epoch = self.thermo.at(log_a + NODES[stage] * h);
            let matrix = Matrix::new(&self.densities, &epoch, k, followed);
            let (before, now) = self.slopes.split_at_mut(stage);
            let slope = &mut now[0];
            for span in spans.clone() {
                // `slope` holds the stage's right-hand side until its solution is known.
                let (next, right) = (&mut self.next[span.clone()], &mut slope[span.clone()]);
                next.copy_from_slice(&self.state[span.clone()]);
                for (weight, earlier) in WEIGHTS[stage].iter().zip(before.iter()) {
                    let weight = h * weight;
                    next.iter_mut().zip(&earlier[span.clone()]).for_each(|(next, earlier)| *next += weight * earlier);
                }
                right.copy_from_slice(next);
            }
            solve(&matrix, h * GAMMA / epoch.hubble, followed, last, self.offset, &mut self.next, &mut self.ratios, &self.inverse_odds);
            let inverse = 1.0 / (h * GAMMA);
            for span in spans.clone() {
                slope[span.clone()].iter_mut().zip(&self.next[span]).for_each(|(slope, next)| *slope = inverse * (next - *slope));
            }
        }
        (self.error(h, k, &epoch, followed), epoch)
    }

    /// Largest error of the step in units of what is allowed: relative to the unknown itself for the metric and matter, to the largest moment and to
    /// the species' part in gravity for relativistic ones.
    fn error(&self, h: f64, k: f64, epoch: &Epoch, followed: Followed) -> f64 {
        let y = &self.next;
        let of = |i: usize| {
            let sum: f64 = (0..STAGES).map(|j| (last_weight(j) - EMBEDDED[j]) * self.slopes[j][i]).sum();
            (h * sum).abs()
        };
        let d = &self.densities;
        let cold = y[COLD].abs();
        let matter_per_radiation = (d.cold + d.baryons) * epoch.a / (d.photons + d.neutrinos);
        let moments = |first: usize| y[first].abs() + y[first + 1].abs() + y[first + 2].abs();
        let has_photons = followed != Followed::None;
        let photons = if has_photons { moments(PHOTON) } else { 0.0 };
        let background = 0.1 * matter_per_radiation * cold;
        let baryons = y[BARYON].abs() + 0.1 * (cold + photons);
        let mut worst =
            [(ETA, y[ETA].abs()), (COLD, cold), (BARYON, baryons)].into_iter().fold(0.0f64, |worst, (i, scale)| worst.max(of(i) / scale));
        let velocity = y[VELOCITY].abs() + photons + epoch.hubble / k * (y[BARYON].abs() + cold);
        worst = worst.max(of(VELOCITY) / velocity);
        let mut check = |first: usize, chain: Option<usize>, scale: f64| {
            for l in 0..3 {
                worst = worst.max(of(first + l) / scale);
            }
            if let Some(chain) = chain {
                // High moments act on gravity only through the low ones.
                for l in 3..=self.last[chain].min(5) {
                    worst = worst.max(of(self.offset[chain] + l - 3) / scale);
                }
            }
        };
        if has_photons {
            check(PHOTON, Some(0), photons + background);
            check(POLARISATION, None, photons + background);
        }
        if followed == Followed::PhotonsAndNeutrinos {
            check(NEUTRINO, Some(2), moments(NEUTRINO) + background);
        }
        worst / self.precision.tolerance
    }
}

fn last_weight(j: usize) -> f64 {
    if j == STAGES - 1 { GAMMA } else { WEIGHTS[STAGES - 1][j] }
}

/// Solves (1 − sA) u = y in place.
fn solve(
    matrix: &Matrix,
    s: f64,
    followed: Followed,
    last: [usize; 3],
    offset: [usize; 3],
    y: &mut [f64],
    ratios: &mut [f64],
    inverse_odds: &[f64],
) {
    let n = followed.core();
    let mut rows = [[0.0; CORE + 1]; CORE];
    for i in 0..n {
        for j in 0..n {
            rows[i][j] = -s * matrix.core[i][j];
        }
        rows[i][i] += 1.0;
        rows[i][CORE] = y[i];
    }
    // Moment l = p + q · moment l − 1, from the end; p overwrites the right-hand side, q goes to `ratios`.
    for chain in 0..followed.chains() {
        let (last, offset) = (last[chain], offset[chain]);
        let (mut p, mut q) = (0.0, 0.0);
        for l in (3..=last).rev() {
            let [below, own, above] = matrix.moment(chain, l, last, inverse_odds[l]).map(|c| -s * c);
            let pivot = 1.0 / (1.0 + own + above * q);
            p = (y[offset + l - 3] - above * p) * pivot;
            q = -below * pivot;
            y[offset + l - 3] = p;
            ratios[offset + l - 3] = q;
        }
        let second = CHAINS[chain];
        let third = -s * matrix.third_moment();
        rows[second][second] += third * q;
        rows[second][CORE] -= third * p;
    }
    eliminate(&mut rows, n);
    for i in 0..n {
        y[i] = rows[i][CORE];
    }
    for chain in 0..followed.chains() {
        let (last, offset) = (last[chain], offset[chain]);
        let mut below = y[CHAINS[chain]];
        for at in offset..offset + last - 2 {
            y[at] += ratios[at] * below;
            below = y[at];
        }
    }
}

/// Gaussian elimination with partial pivoting of the leading n × n block; solutions end in the last column.
fn eliminate(rows: &mut [[f64; CORE + 1]; CORE], n: usize) {
    for column in 0..n {
        let mut pivot = column;
        for row in column + 1..n {
            if rows[row][column].abs() > rows[pivot][column].abs() {
                pivot = row;
            }
        }
        rows.swap(column, pivot);
        let top = rows[column];
        let inverse = 1.0 / top[column];
        for row in rows.iter_mut().take(n).skip(column + 1) {
            let factor = row[column] * inverse;
            if factor != 0.0 {
                for j in column + 1..n {
                    row[j] -= factor * top[j];
                }
                row[CORE] -= factor * top[CORE];
            }
        }
    }
    for column in (0..n).rev() {
        let mut value = rows[column][CORE];
        for j in column + 1..n {
            value -= rows[column][j] * rows[j][CORE];
        }
        rows[column][CORE] = value / rows[column][column];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The conditions of orders 1 to 4 (3 for the embedded solution) on quadrature, and each stage's node as its sum of weights, to rounding.
    #[test]
    fn the_method_has_its_order() {
        for (stage, node) in NODES.iter().enumerate() {
            let diagonal = if stage == 0 { 0.0 } else { GAMMA };
            assert!((WEIGHTS[stage].iter().sum::<f64>() + diagonal - node).abs() < 1e-14);
        }
        for power in 0..4 {
            let integral = |weight: &dyn Fn(usize) -> f64| (0..STAGES).map(|j| weight(j) * NODES[j].powi(power)).sum::<f64>();
            let exact = 1.0 / f64::from(power + 1);
            assert!((integral(&last_weight) - exact).abs() < 1e-14);
            assert!(power == 3 || (integral(&|j| EMBEDDED[j]) - exact).abs() < 1e-14);
        }
    }
}
