//! The logit of a mixture of logistic distribution functions: the sigmoidal transformer of neural autoregressive flows
//! (Huang et al. 2018, arXiv:1804.00779, Eq. 8).

use super::{Bracket, Image, Map, Tails, Work, anchor_variance, bent, bracket_components, prepare_components};
use crate::affine::LOG_SCALE_BOUND;
use crate::lanes::Lanes;
use crate::math::{exp, ln, tanh};

/// z = logit(F(x)) with F(x) = Σ_k w_k σ((x - μ_k)/s_k).
///
/// Raw, per row: K means μ_k = m_k + raw, K log-widths s_k = s₀ e^r with r the raw value bent to |r| < ln 1000, K weights
/// w_k = 1e-3/K + (1 - 1e-3) softmax(raw). The constants m_k are even on (-1.5, 1.5) and s₀ gives the whole variance π²/3, so that the
/// map starts near the identity with distinct units. Far out the map is linear like its widest unit, and underflows nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sigmoidal {
    /// Number of sigmoid units K, 1..=[`MAX_TERMS`](super::MAX_TERMS).
    pub components: usize,
}

const REACH: f32 = 1.5;
/// Variance of the logistic distribution, π²/3.
const VARIANCE: f32 = 3.289_868;
/// Sum of the smallest weights.
const FLOOR: f32 = 1e-3;

/// What the backward pass needs besides the image.
struct Parts<S: Lanes> {
    density: S::V,
    tails: Tails<S>,
}

impl Sigmoidal {
    pub(super) const fn count(&self) -> usize {
        3 * self.components
    }

    /// Weight from its softmax fraction.
    #[inline(always)]
    unsafe fn weight<S: Lanes>(&self, fraction: S::V) -> S::V {
        unsafe { S::fma(fraction, S::splat(1.0 - FLOOR), S::splat(FLOOR / self.components as f32)) }
    }

    /// Leaves v_k in `work[3]`, the density's terms in `work[4]`, and e^{D - |v_k|}, D = min |v|, in `work[5]`: every small term lacks e^{-D}.
    #[inline(always)]
    unsafe fn image<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> (Image<S>, Parts<S>) {
        unsafe {
            let (zero, one) = (S::splat(0.0), S::splat(1.0));
            let mut nearest = S::splat(f32::MAX);
            for k in 0..self.components {
                let v = S::mul(S::sub(x, work[0][k]), work[1][k]);
                work[3][k] = v;
                nearest = S::min(nearest, S::abs(v));
            }
            let log_factor = S::sub(zero, nearest);
            let factor = exp::<S>(log_factor);
            let (mut small_lower, mut big_lower, mut small_upper, mut big_upper, mut density) = (zero, zero, zero, zero, zero);
            for k in 0..self.components {
                let v = work[3][k];
                let e = exp::<S>(S::sub(nearest, S::abs(v)));
                work[5][k] = e;
                // σ(|v|) = 1/(1 + e^{-|v|})
                let big = S::div(one, S::fma(e, factor, one));
                let share = S::mul(self.weight::<S>(work[2][k]), big);
                let small = S::mul(share, e);
                let below = S::lt(v, zero);
                small_lower = S::add(small_lower, S::select(below, small, zero));
                big_lower = S::add(big_lower, S::select(below, zero, share));
                small_upper = S::add(small_upper, S::select(below, zero, small));
                big_upper = S::add(big_upper, S::select(below, share, zero));
                work[4][k] = S::mul(S::mul(small, big), work[1][k]);
                density = S::add(density, work[4][k]);
            }
            let tails = Tails::<S>::new(small_lower, big_lower, small_upper, big_upper, factor);
            let ratio = ln::<S>(S::div(tails.lower, tails.upper));
            let value = S::fma(S::sub(tails.lower_scaled, tails.upper_scaled), log_factor, ratio);
            // A tail without the factor takes it from the density.
            let rest = S::mul(S::sub(one, S::add(tails.lower_scaled, tails.upper_scaled)), log_factor);
            let log_slope = S::add(ln::<S>(S::div(density, S::mul(tails.lower, tails.upper))), rest);
            (Image { value, log_slope }, Parts { density, tails })
        }
    }
}

impl Map for Sigmoidal {
    /// Softmax fractions go into `work[2]`.
    #[inline(always)]
    unsafe fn prepare<S: Lanes>(&self, raw: *const f32, stride: usize, work: &mut Work<S>) {
        let width = (1.0 - anchor_variance(self.components, REACH) / VARIANCE).sqrt();
        unsafe {
            prepare_components::<S>(self.components, (REACH, width), raw, stride, work);
            let logits = raw.add(2 * self.components * stride);
            let mut top = S::load(logits);
            for k in 1..self.components {
                top = S::max(top, S::load(logits.add(k * stride)));
            }
            let mut sum = S::splat(0.0);
            for k in 0..self.components {
                work[2][k] = exp::<S>(S::sub(S::load(logits.add(k * stride)), top));
                sum = S::add(sum, work[2][k]);
            }
            let inverse = S::div(S::splat(1.0), sum);
            for fraction in &mut work[2][..self.components] {
                *fraction = S::mul(*fraction, inverse);
            }
        }
    }

    #[inline(always)]
    unsafe fn forward<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> Image<S> {
        unsafe { self.image::<S>(work, x).0 }
    }

    #[inline(always)]
    unsafe fn bracket<S: Lanes>(&self, work: &mut Work<S>, y: S::V) -> Bracket<S> {
        unsafe { bracket_components::<S>(self.components, work, y) }
    }

    /// With S = dz/dx, shares r_k of the density f and τ_k = tanh(v_k/2) = 2σ(v_k) - 1: dz = dF/(F(1-F)), and the log-slope
    /// ln f - ln F - ln(1-F) has d = d ln f + tanh(z/2) dz, d ln f = Σ r_k [-τ_k/s_k dx + τ_k/s_k dμ_k + (v_k τ_k - 1) dr_k + dw_k/w_k].
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
            let (zero, one) = (S::splat(0.0), S::splat(1.0));
            let (Image { value, log_slope }, Parts { density, tails }) = self.image::<S>(work, x);
            let by_z = S::fma(gl, tanh::<S>(S::mul(value, S::splat(0.5))), gy);
            let through = S::mul(by_z, exp::<S>(log_slope));
            let low = S::lt(S::splat(0.5), tails.low);
            // Weights add up to 1, so F may be moved through either tail: the smaller one keeps its digits.
            let scaled = S::lt(S::splat(0.5), S::select(low, tails.lower_scaled, tails.upper_scaled));
            let by_tail = S::div(S::select(low, by_z, S::sub(zero, by_z)), S::mul(tails.lower, tails.upper));
            let mut nearest = S::splat(f32::MAX);
            for v in &work[3][..self.components] {
                nearest = S::min(nearest, S::abs(*v));
            }
            let factor = exp::<S>(S::sub(zero, nearest));
            let inverse = S::div(one, density);
            let (mut gx, mut mean) = (through, zero);
            for k in 0..self.components {
                let (v, e, share) = (work[3][k], work[5][k], S::mul(work[4][k], inverse));
                let q = S::mul(e, factor);
                let big = S::div(one, S::add(one, q));
                let below = S::lt(v, zero);
                let height = S::mul(S::sub(one, q), big);
                let tau = S::select(below, S::sub(zero, height), height);
                let pull = S::mul(gl, S::mul(tau, work[1][k]));
                gx = S::sub(gx, S::mul(share, pull));
                S::store(grad_raw.add(k * stride), S::mul(share, S::sub(pull, through)));

                let spread = S::sub(S::mul(gl, S::fma(v, tau, S::splat(-1.0))), S::mul(through, S::sub(x, work[0][k])));
                let at = (self.components + k) * stride;
                let (_, slope) = bent::<S>(S::load(raw.add(at)), LOG_SCALE_BOUND);
                S::store(grad_raw.add(at), S::mul(S::mul(share, spread), slope));

                // This unit's part of the smaller tail: the small side of units on that side of the point, else the big one.
                let own_small = S::select(below, S::select(low, one, zero), S::select(low, zero, one));
                let small = S::mul(S::select(scaled, e, q), big);
                let tail = S::select(S::lt(S::splat(0.5), own_small), small, big);
                let by_weight = S::fma(by_tail, tail, S::div(S::mul(gl, share), self.weight::<S>(work[2][k])));
                mean = S::fma(work[2][k], by_weight, mean);
                work[4][k] = by_weight;
            }
            for k in 0..self.components {
                let g = S::mul(S::mul(work[2][k], S::splat(1.0 - FLOOR)), S::sub(work[4][k], mean));
                S::store(grad_raw.add((2 * self.components + k) * stride), g);
            }
            gx
        }
    }
}
