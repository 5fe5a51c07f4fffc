//! Polynomials with increasing Bernstein coefficients (Ramasinghe et al. 2021, arXiv:2102.03509, section 3).

use super::{Bracket, Image, MAX_TERMS, Map, Work, bent, bracket_bounded};
use crate::affine::LOG_SCALE_BOUND;
use crate::lanes::Lanes;
use crate::math::{exp, ln};

/// z = Σ_{j=0}^{n} c_j b_{j,n}(t) on [-B, B] with t = (x + B)/2B, b_{j,n} the Bernstein polynomials and c_j - c_{j-1} = Δ_j > 0; linear
/// outside, with the slopes at ±B.
///
/// Raw, per row: a shift, then n log-steps: Δ_j = (2B/n) e^{s_j} with s_j the raw value bent to |s| < ln 1000, and
/// (c_0 + c_n)/2 = shift. All raw zero: the identity, exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bernstein {
    /// Degree n, 1..=[`MAX_TERMS`].
    pub degree: usize,
    /// Half-width B of the interval.
    pub bound: f32,
}

/// Binomial coefficients.
static BINOMIAL: [[f32; MAX_TERMS]; MAX_TERMS] = {
    let mut table = [[0.0; MAX_TERMS]; MAX_TERMS];
    let mut n = 0;
    while n < MAX_TERMS {
        table[n][0] = 1.0;
        let mut k = 1;
        while k <= n {
            table[n][k] = table[n - 1][k - 1] + table[n - 1][k];
            k += 1;
        }
        n += 1;
    }
    table
};

/// b_{j,n}(t) = C(n, j) tʲ (1-t)ⁿ⁻ʲ, j = 0..=n.
#[inline(always)]
unsafe fn basis<S: Lanes>(n: usize, t: S::V, out: &mut [S::V; MAX_TERMS]) {
    unsafe {
        let rest = S::sub(S::splat(1.0), t);
        let mut power = S::splat(1.0);
        for j in 0..=n {
            out[j] = S::mul(power, S::splat(BINOMIAL[n][j]));
            power = S::mul(power, t);
        }
        let mut power = S::splat(1.0);
        for j in (0..n).rev() {
            power = S::mul(power, rest);
            out[j] = S::mul(out[j], power);
        }
    }
}

impl Bernstein {
    pub(super) const fn count(&self) -> usize {
        1 + self.degree
    }

    /// (t, x minus the nearest point of the interval), NaN kept.
    #[inline(always)]
    unsafe fn place<S: Lanes>(&self, x: S::V) -> (S::V, S::V) {
        unsafe {
            let cut = S::min(S::splat(self.bound), S::max(S::splat(-self.bound), x));
            let t = S::mul(S::add(cut, S::splat(self.bound)), S::splat(0.5 / self.bound));
            (t, S::sub(x, cut))
        }
    }

    /// (value, slope); leaves b_{j,n-1} in `work[1]` and Σ_{i≥j} b_{i,n} - ½, j = 1..=n, at j - 1 in `work[2]`.
    #[inline(always)]
    unsafe fn image<S: Lanes>(&self, work: &mut Work<S>, t: S::V, beyond: S::V) -> (S::V, S::V) {
        unsafe {
            let n = self.degree;
            let [steps, lower, sums, .., shift] = work;
            basis::<S>(n - 1, t, lower);
            let rest = S::sub(S::splat(1.0), t);
            let mut sum = S::splat(-0.5);
            let (mut value, mut slope) = (shift[0], S::splat(0.0));
            for j in (0..n).rev() {
                // b_{j+1,n} = (1-t) b_{j+1,n-1} + t b_{j,n-1}
                let mut own = S::mul(t, lower[j]);
                if j + 1 < n {
                    own = S::fma(rest, lower[j + 1], own);
                }
                sum = S::add(sum, own);
                sums[j] = sum;
                value = S::fma(steps[j], sum, value);
                slope = S::fma(steps[j], lower[j], slope);
            }
            let slope = S::mul(slope, S::splat(0.5 * n as f32 / self.bound));
            (S::fma(slope, beyond, value), slope)
        }
    }
}

impl Map for Bernstein {
    /// Steps go into `work[0]`, the shift into `work[5]`.
    #[inline(always)]
    unsafe fn prepare<S: Lanes>(&self, raw: *const f32, stride: usize, work: &mut Work<S>) {
        unsafe {
            let step = S::splat(2.0 * self.bound / self.degree as f32);
            work[5][0] = S::load(raw);
            for j in 0..self.degree {
                let (s, _) = bent::<S>(S::load(raw.add((1 + j) * stride)), LOG_SCALE_BOUND);
                work[0][j] = S::mul(step, exp::<S>(s));
            }
        }
    }

    #[inline(always)]
    unsafe fn forward<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> Image<S> {
        unsafe {
            let (t, beyond) = self.place::<S>(x);
            let (value, slope) = self.image::<S>(work, t, beyond);
            Image { value, log_slope: ln::<S>(slope) }
        }
    }

    #[inline(always)]
    unsafe fn bracket<S: Lanes>(&self, work: &mut Work<S>, y: S::V) -> Bracket<S> {
        unsafe { bracket_bounded::<S, Self>(self, self.bound, work, y) }
    }

    #[inline(always)]
    unsafe fn backward<S: Lanes>(
        &self,
        work: &mut Work<S>,
        raw: *const f32,
        x: S::V,
        (gy, gl): (S::V, S::V),
        grad_raw: *mut f32,
        stride: usize,
    ) -> S::V {
        unsafe {
            let n = self.degree;
            let (t, beyond) = self.place::<S>(x);
            let (_, slope) = self.image::<S>(work, t, beyond);
            let by_slope = S::div(gl, slope);
            let along = S::mul(S::fma(gy, beyond, by_slope), S::splat(0.5 * n as f32 / self.bound));
            S::store(grad_raw, gy);
            for j in 0..n {
                let at = (1 + j) * stride;
                let (_, bend) = bent::<S>(S::load(raw.add(at)), LOG_SCALE_BOUND);
                let by_step = S::fma(gy, work[2][j], S::mul(along, work[1][j]));
                S::store(grad_raw.add(at), S::mul(by_step, S::mul(work[0][j], bend)));
            }
            let mut curvature = S::splat(0.0);
            if n > 1 {
                let [steps, _, _, lowest, ..] = work;
                basis::<S>(n - 2, t, lowest);
                for j in 0..n - 1 {
                    curvature = S::fma(S::sub(steps[j + 1], steps[j]), lowest[j], curvature);
                }
            }
            let curvature = S::mul(curvature, S::splat(0.25 * (n * (n - 1)) as f32 / (self.bound * self.bound)));
            let inside = S::lt(S::abs(x), S::splat(self.bound));
            S::fma(gy, slope, S::select(inside, S::mul(by_slope, curvature), S::splat(0.0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_coefficients_add_up() {
        for n in 0..MAX_TERMS as i32 {
            let sum: f64 = BINOMIAL[n as usize].iter().map(|&b| f64::from(b)).sum();
            assert!((sum / 2f64.powi(n) - 1.0).abs() < 1e-7, "row {n}: {sum}");
        }
    }
}
