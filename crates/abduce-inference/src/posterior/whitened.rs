//! A target seen through the covariance of a pilot run, so that coordinate-wise samplers meet no correlations.

use crate::prior::cholesky::Cholesky;
use crate::sampler::{Chains, Target};
use std::sync::{Mutex, PoisonError};

/// π_i(m_i + L_i y) as a function of y, L_i Lᵀ_i being the covariance of target i's pilot draws and m_i their mean. The constant Jacobian is left
/// out.
pub(super) struct Whitened<'a> {
    target: &'a dyn Target,
    means: Vec<Vec<f64>>,
    factors: Vec<Cholesky>,
    /// z of one call, kept for the next: samplers make one at a time.
    z: Mutex<Vec<f64>>,
}

/// Share of the covariance's off-diagonal elements that is given up: a few hundred correlated draws know them to some per cent, and a matrix of
/// coinciding draws stays positive definite.
const SHRINKAGE: f64 = 0.05;

impl<'a> Whitened<'a> {
    /// From a pilot's draws of all targets.
    pub(super) fn new(target: &'a dyn Target, pilot: &Chains) -> Self {
        let d = pilot.dimension;
        let (means, factors) = (0..pilot.targets).map(|t| mean_and_factor(pilot.of_target(t), d)).unzip();
        Self { target, means, factors, z: Mutex::default() }
    }

    /// Where the pilot's chains ended, (targets, chains, d), as starts in y.
    pub(super) fn starts(&self, pilot: &Chains) -> Vec<f64> {
        let d = pilot.dimension;
        let mut starts = Vec::with_capacity(pilot.targets * pilot.chains * d);
        for t in 0..pilot.targets {
            for chain in pilot.of_target(t).chunks_exact(pilot.length * d) {
                let mut y: Vec<f64> = chain[chain.len() - d..].iter().zip(&self.means[t]).map(|(z, m)| z - m).collect();
                self.factors[t].solve_lower(&mut y);
                starts.append(&mut y);
            }
        }
        starts
    }

    /// Turns the rows of `points`, all of target `t`, from y into z in place.
    pub(super) fn unwhiten(&self, t: usize, points: &mut [f64]) {
        let (mean, factor) = (&self.means[t], &self.factors[t]);
        for row in points.chunks_exact_mut(mean.len()) {
            // From the last coordinate on: row i of L needs y_0 to y_i alone.
            for i in (0..mean.len()).rev() {
                row[i] = mean[i] + factor.apply_row(i, row);
            }
        }
    }

    /// Calls `then` with the points in z.
    fn with_z(&self, points: &[f64], of: &[usize], then: impl FnOnce(&[f64])) {
        let mut z = self.z.lock().unwrap_or_else(PoisonError::into_inner);
        z.clear();
        z.extend_from_slice(points);
        z.chunks_exact_mut(self.target.dimension()).zip(of).for_each(|(row, &t)| self.unwhiten(t, row));
        then(&z);
    }
}

fn mean_and_factor(rows: &[f64], d: usize) -> (Vec<f64>, Cholesky) {
    let n = (rows.len() / d) as f64;
    let mut mean = vec![0.0; d];
    rows.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / n));
    let mut covariance = vec![0.0; d * d];
    for row in rows.chunks_exact(d) {
        for a in 0..d {
            for b in 0..d {
                let kept = if a == b { 1.0 } else { 1.0 - SHRINKAGE };
                covariance[a * d + b] += kept * (row[a] - mean[a]) * (row[b] - mean[b]) / n;
            }
        }
    }
    // Chains that have not moved at all: steps of a hundredth of the prior's width, which is about 1.
    let factor = Cholesky::factor(&covariance, d).unwrap_or_else(|_| {
        let mut lower = vec![0.0; d * d];
        (0..d).for_each(|a| lower[a * d + a] = covariance[a * d + a].sqrt().max(0.01));
        Cholesky::from_lower(lower, d)
    });
    (mean, factor)
}

impl Target for Whitened<'_> {
    fn dimension(&self) -> usize {
        self.target.dimension()
    }

    fn count(&self) -> usize {
        self.target.count()
    }

    fn stream(&self, target: usize) -> u64 {
        self.target.stream(target)
    }

    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
        self.with_z(points, of, |z| self.target.log_density(z, of, out));
    }

    /// ∂/∂y = Lᵀ ∂/∂z.
    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        self.with_z(points, of, |z| self.target.log_density_gradient(z, of, out, gradient));
        let d = self.dimension();
        for (row, &t) in gradient.chunks_exact_mut(d).zip(of) {
            // Column j of L begins at row j: later rows are still those of ∂/∂z.
            for j in 0..d {
                row[j] = (j..d).map(|i| self.factors[t].row(i)[j] * row[i]).sum();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::{Method, Schedule, SliceOptions};
    use abduce_data::Seed;

    /// N(1, Σ) with standard deviations 1 and 10 and correlation 0.99.
    struct Correlated;

    impl Target for Correlated {
        fn dimension(&self) -> usize {
            2
        }
        fn count(&self) -> usize {
            1
        }
        fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
            self.log_density_gradient(points, of, out, &mut vec![0.0; points.len()]);
        }
        fn log_density_gradient(&self, points: &[f64], _of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
            for ((p, out), g) in points.chunks_exact(2).zip(out).zip(gradient.chunks_exact_mut(2)) {
                let (a, b, rho, k) = (p[0] - 1.0, (p[1] - 1.0) / 10.0, 0.99, 1.0 - 0.99f64 * 0.99);
                *out = -0.5 * (a * a - 2.0 * rho * a * b + b * b) / k;
                (g[0], g[1]) = (-(a - rho * b) / k, -(b - rho * a) / k / 10.0);
            }
        }
    }

    fn pilot() -> Chains {
        let schedule = Schedule { num_chains: 10, warmup_steps: 50, thin: 1, draws: 50 };
        let starts: Vec<f64> = (0..20).map(|i| 1.0 + 0.2 * f64::from(i % 7)).collect();
        Method::Slice(SliceOptions::default()).sample(&Correlated, &starts, &schedule, Seed(1)).unwrap()
    }

    /// Central differences, step 1e-5: exact for a quadratic but for rounding.
    #[test]
    fn gradients_and_starts_are_those_of_the_map() {
        let pilot = pilot();
        let whitened = Whitened::new(&Correlated, &pilot);
        let at = |y: &[f64]| {
            let mut out = [0.0];
            whitened.log_density(y, &[0], &mut out);
            out[0]
        };
        let (mut out, mut gradient) = ([0.0], [0.0; 2]);
        let y = [0.3, -0.7];
        whitened.log_density_gradient(&y, &[0], &mut out, &mut gradient);
        assert_eq!(out[0], at(&y));
        for j in 0..2 {
            let mut moved = [y, y];
            (moved[0][j], moved[1][j]) = (y[j] + 1e-5, y[j] - 1e-5);
            assert!(((at(&moved[0]) - at(&moved[1])) / 2e-5 - gradient[j]).abs() < 1e-5);
        }
        let mut starts = whitened.starts(&pilot);
        whitened.unwhiten(0, &mut starts);
        let ends = pilot.of_target(0).chunks_exact(pilot.length * 2).flat_map(|chain| chain[chain.len() - 2..].iter());
        assert!(starts.iter().zip(ends).all(|(a, b)| (a - b).abs() < 1e-9 * (1.0 + b.abs())));
    }

    /// What it is for: with the correlation of the pilot taken out, slice sampling gives more effective draws by far.
    #[test]
    fn correlations_cost_no_effective_draws() {
        let pilot = pilot();
        let whitened = Whitened::new(&Correlated, &pilot);
        let schedule = Schedule { num_chains: 10, warmup_steps: 50, thin: 1, draws: 200 };
        let sample = |target: &dyn Target, starts: &[f64]| {
            Method::Slice(SliceOptions::default()).sample(target, starts, &schedule, Seed(2)).unwrap().report[0].min_ess()
        };
        let ends: Vec<f64> =
            pilot.of_target(0).chunks_exact(pilot.length * 2).flat_map(|chain| chain[chain.len() - 2..].to_vec()).collect();
        let (plain, white) = (sample(&Correlated, &ends), sample(&whitened, &whitened.starts(&pilot)));
        assert!(white > 600.0 && white > 5.0 * plain, "{white} effective draws, {plain} without");
    }
}
