//! The integral of a sum of squared polynomials (Jaini et al. 2019, arXiv:1905.02325, Eq. 8).

use super::{Bracket, Image, MAX_TERMS, Map, Quadrature, Work, bent, bracket_bounded};
use crate::lanes::Lanes;
use crate::math::ln;

/// z = c + ∫₀ˣ g(u) du on [-B, B] with g(u) = 1e-3 + P⁻¹ Σ_p (1 + Σ_j a_pj T_j(u/B))², j = 0..=L; linear outside, with the slopes at ±B.
///
/// The polynomials are written in Chebyshev's T_j, whose values stay within ±1. Raw, per row: c, then the a_pj (p slowest), each bent to
/// |a| < 6. The integral is a Gauss-Legendre sum of L + 1 nodes, which is exact for degree 2L and adds positive terms only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SumOfSquares {
    polynomials: usize,
    degree: usize,
    bound: f32,
    quadrature: Quadrature,
}

const MIN_SLOPE: f32 = 1e-3;
/// Largest |a_pj|: slopes stay below (1 + 6 (L + 1))².
const COEFFICIENT_BOUND: f32 = 6.0;

impl SumOfSquares {
    /// P polynomials of degree L on [-`bound`, `bound`].
    ///
    /// # Panics
    /// If P (L + 1) is not in 1..=[`MAX_TERMS`].
    pub fn new(polynomials: usize, degree: usize, bound: f32) -> Self {
        let map = Self { polynomials, degree, bound, quadrature: Quadrature::gauss_legendre((degree + 1).min(MAX_TERMS)) };
        assert!((1..=MAX_TERMS).contains(&map.terms()), "sum of squares: {polynomials} polynomials of degree {degree}");
        map
    }

    pub(super) const fn terms(&self) -> usize {
        self.polynomials * (self.degree + 1)
    }

    pub(super) const fn count(&self) -> usize {
        1 + self.terms()
    }

    /// g(B t); leaves the values of the polynomials in `work[0]`, the T_j(t) in `work[1]`.
    #[inline(always)]
    unsafe fn density<S: Lanes>(&self, work: &mut Work<S>, t: S::V) -> S::V {
        unsafe {
            let [values, basis, coefficients, ..] = work;
            let twice = S::add(t, t);
            basis[0] = S::splat(1.0);
            if self.degree > 0 {
                basis[1] = t;
            }
            for j in 2..=self.degree {
                basis[j] = S::sub(S::mul(twice, basis[j - 1]), basis[j - 2]);
            }
            let mut sum = S::splat(0.0);
            for p in 0..self.polynomials {
                let mut value = S::splat(1.0);
                for j in 0..=self.degree {
                    value = S::fma(coefficients[p * (self.degree + 1) + j], basis[j], value);
                }
                values[p] = value;
                sum = S::fma(value, value, sum);
            }
            S::fma(sum, S::splat(1.0 / self.polynomials as f32), S::splat(MIN_SLOPE))
        }
    }

    /// x/B cut to [-1, 1], NaN kept.
    #[inline(always)]
    unsafe fn place<S: Lanes>(&self, x: S::V) -> S::V {
        unsafe { S::min(S::splat(1.0), S::max(S::splat(-1.0), S::mul(x, S::splat(1.0 / self.bound)))) }
    }

    /// Adds `scale` × d density/d a to the sums in `work[3]`, after [`SumOfSquares::density`]: 2/P p_i T_j.
    #[inline(always)]
    unsafe fn collect<S: Lanes>(&self, work: &mut Work<S>, scale: S::V) {
        unsafe {
            let [values, basis, _, sums, ..] = work;
            let scale = S::mul(scale, S::splat(2.0 / self.polynomials as f32));
            for p in 0..self.polynomials {
                let own = S::mul(scale, values[p]);
                for j in 0..=self.degree {
                    let at = p * (self.degree + 1) + j;
                    sums[at] = S::fma(own, basis[j], sums[at]);
                }
            }
        }
    }
}

impl Map for SumOfSquares {
    /// The shift goes into `work[4]`, coefficients into `work[2]`.
    #[inline(always)]
    unsafe fn prepare<S: Lanes>(&self, raw: *const f32, stride: usize, work: &mut Work<S>) {
        unsafe {
            work[4][0] = S::load(raw);
            for at in 0..self.terms() {
                work[2][at] = bent::<S>(S::load(raw.add((1 + at) * stride)), COEFFICIENT_BOUND).0;
            }
        }
    }

    #[inline(always)]
    unsafe fn forward<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> Image<S> {
        unsafe {
            let t = self.place::<S>(x);
            let mut integral = S::splat(0.0);
            for q in 0..self.quadrature.count() {
                let (node, weight) = self.quadrature.node(q);
                let g = self.density::<S>(work, S::mul(t, S::splat(node)));
                integral = S::fma(g, S::splat(weight), integral);
            }
            let slope = self.density::<S>(work, t);
            let inner = S::mul(t, S::splat(self.bound));
            let value = S::fma(integral, inner, S::fma(slope, S::sub(x, inner), work[4][0]));
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
            let zero = S::splat(0.0);
            work[3] = [zero; MAX_TERMS];
            let t = self.place::<S>(x);
            let inner = S::mul(t, S::splat(self.bound));
            let along = S::mul(gy, inner);
            for q in 0..self.quadrature.count() {
                let (node, weight) = self.quadrature.node(q);
                self.density::<S>(work, S::mul(t, S::splat(node)));
                self.collect::<S>(work, S::mul(along, S::splat(weight)));
            }
            let slope = self.density::<S>(work, t);
            let by_slope = S::div(gl, slope);
            self.collect::<S>(work, S::fma(gy, S::sub(x, inner), by_slope));
            S::store(grad_raw, gy);
            for at in 0..self.terms() {
                let (_, bend) = bent::<S>(S::load(raw.add((1 + at) * stride)), COEFFICIENT_BOUND);
                S::store(grad_raw.add((1 + at) * stride), S::mul(work[3][at], bend));
            }
            // T_j' = j U_{j-1}, U by the recurrence of the T.
            let [values, basis, coefficients, ..] = work;
            let twice = S::add(t, t);
            let (mut before, mut own) = (zero, S::splat(1.0));
            for j in 1..=self.degree {
                basis[j] = S::mul(S::splat(j as f32), own);
                (before, own) = (own, S::sub(S::mul(twice, own), before));
            }
            let mut bend = zero;
            for p in 0..self.polynomials {
                let mut tilt = zero;
                for j in 1..=self.degree {
                    tilt = S::fma(coefficients[p * (self.degree + 1) + j], basis[j], tilt);
                }
                bend = S::fma(values[p], tilt, bend);
            }
            let bend = S::mul(bend, S::splat(2.0 / (self.polynomials as f32 * self.bound)));
            let inside = S::lt(S::abs(x), S::splat(self.bound));
            S::fma(gy, slope, S::select(inside, S::mul(by_slope, bend), zero))
        }
    }
}
