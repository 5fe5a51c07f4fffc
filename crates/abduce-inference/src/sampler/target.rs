//! What a sampler samples: many densities, evaluated together.

use crate::prior::UnconstrainedTransform;
use std::sync::{Mutex, PoisonError};

/// Log-densities π_0 … π_{m−1} on ℝ^d, one per observation, each known up to a constant.
///
/// A sampler evaluates all chains of all targets in one call, with `of` not decreasing, so an implementation may treat the rows of one
/// target as a block. It spreads the rows over its own threads; the value of a row must not depend on the rows beside it.
pub trait Target: Sync {
    /// d.
    fn dimension(&self) -> usize;

    /// m, the number of targets.
    fn count(&self) -> usize;

    /// `out[r] = log π_{of[r]}(points[r d..(r+1) d])` in nats; −∞ outside the support. NaN and +∞ are counted by the sampler and treated as −∞.
    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]);

    /// Also its gradient by the point, (n, d); where the density is −∞ the gradient isn't read.
    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]);

    /// The number under which a target draws its random streams. A shard of a test set returns the row in the whole set; then cutting the
    /// set up changes no chain.
    fn stream(&self, target: usize) -> u64 {
        target as u64
    }
}

/// A target over bounded θ, seen from the unconstrained u = u(θ): log π_u(u) = log π(θ(u)) + log|∂θ/∂u|.
///
/// Samplers move on the whole of ℝ^d, and no chain can leave the support. [`Unconstrained::constrain`] turns draws back into θ.
#[derive(Debug)]
pub struct Unconstrained<'a, T: ?Sized> {
    target: &'a T,
    transform: &'a UnconstrainedTransform,
    /// θ of the rows of one call, kept between calls; samplers make one call at a time.
    theta: Mutex<Vec<f64>>,
}

impl<'a, T: Target + ?Sized> Unconstrained<'a, T> {
    /// `target` is over θ; the transform has one bijection per parameter.
    ///
    /// # Panics
    /// If it doesn't.
    pub fn new(target: &'a T, transform: &'a UnconstrainedTransform) -> Self {
        assert_eq!(target.dimension(), transform.parameters.len(), "one bijection per parameter");
        Self { target, transform, theta: Mutex::new(Vec::new()) }
    }

    /// u → θ in place, (n, d).
    pub fn constrain(&self, points: &mut [f64]) {
        for row in points.chunks_exact_mut(self.dimension()) {
            row.iter_mut().zip(&self.transform.parameters).for_each(|(x, b)| *x = b.theta_from_unconstrained(*x));
        }
    }

    /// θ → u in place, (n, d).
    pub fn unconstrain(&self, points: &mut [f64]) {
        for row in points.chunks_exact_mut(self.dimension()) {
            row.iter_mut().zip(&self.transform.parameters).for_each(|(x, b)| *x = b.unconstrained_from_theta(*x));
        }
    }
}

impl<T: Target + ?Sized> Target for Unconstrained<'_, T> {
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
        let d = self.dimension();
        let mut theta = self.theta.lock().unwrap_or_else(PoisonError::into_inner);
        theta.resize(points.len(), 0.0);
        for (u, theta) in points.chunks_exact(d).zip(theta.chunks_exact_mut(d)) {
            self.transform.theta_from_unconstrained(u, theta);
        }
        self.target.log_density(&theta, of, out);
        for (u, out) in points.chunks_exact(d).zip(out) {
            *out += self.transform.log_abs_det(u);
        }
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        let d = self.dimension();
        let mut theta = self.theta.lock().unwrap_or_else(PoisonError::into_inner);
        theta.resize(points.len(), 0.0);
        for (u, theta) in points.chunks_exact(d).zip(theta.chunks_exact_mut(d)) {
            self.transform.theta_from_unconstrained(u, theta);
        }
        self.target.log_density_gradient(&theta, of, out, gradient);
        for ((u, out), gradient) in points.chunks_exact(d).zip(out).zip(gradient.chunks_exact_mut(d)) {
            for ((&u, gradient), bijection) in u.iter().zip(gradient).zip(&self.transform.parameters) {
                let (log_derivative, slope) = bijection.log_derivative_and_slope(u);
                *out += log_derivative;
                *gradient = *gradient * bijection.sign() * libm::exp(log_derivative) + slope;
            }
        }
    }
}

/// Evaluations of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) evaluations: u64,
    pub(super) non_finite: u64,
}

/// A target whose evaluations are counted and whose bad values are −∞.
pub(super) struct Counted<'a> {
    target: &'a dyn Target,
    pub(super) tally: Vec<Tally>,
}

impl<'a> Counted<'a> {
    pub(super) fn new(target: &'a dyn Target) -> Self {
        Self { target, tally: vec![Tally::default(); target.count()] }
    }

    pub(super) fn log_density(&mut self, points: &[f64], of: &[usize], out: &mut [f64]) {
        self.target.log_density(points, of, out);
        for (value, &t) in out.iter_mut().zip(of) {
            self.tally[t].evaluations += 1;
            if value.is_nan() || *value == f64::INFINITY {
                self.tally[t].non_finite += 1;
                *value = f64::NEG_INFINITY;
            }
        }
    }

    /// A finite value with a gradient that isn't counts as bad too; the gradient of a bad or impossible row is 0.
    pub(super) fn log_density_gradient(&mut self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        self.target.log_density_gradient(points, of, out, gradient);
        let d = self.target.dimension();
        for ((value, gradient), &t) in out.iter_mut().zip(gradient.chunks_exact_mut(d)).zip(of) {
            self.tally[t].evaluations += 1;
            let impossible = *value == f64::NEG_INFINITY;
            if impossible || !value.is_finite() || gradient.iter().any(|g| !g.is_finite()) {
                self.tally[t].non_finite += u64::from(!impossible);
                *value = f64::NEG_INFINITY;
                gradient.fill(0.0);
            }
        }
    }
}
