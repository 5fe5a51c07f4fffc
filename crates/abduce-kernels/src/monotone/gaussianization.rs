//! Φ⁻¹ of a mixture of normal distribution functions: an element of a Gaussianization flow (Meng et al. 2020, arXiv:2003.01941, Eq. 7).

use super::{Bracket, Image, Map, Tails, Work, anchor_variance, bent, bracket_components, prepare_components};
use crate::affine::LOG_SCALE_BOUND;
use crate::lanes::Lanes;
use crate::math::{exp, ln, mills_ratio, normal_tail_quantile};

/// z = Φ⁻¹(F(x)) with F(x) = K⁻¹ Σ_k Φ((x - μ_k)/σ_k).
///
/// Raw, per row: K means μ_k = m_k + raw, then K log-widths σ_k = σ₀ e^s with s the raw value bent to |s| < ln 1000. The constants m_k are even
/// on (-1.2, 1.2) and σ₀ gives the whole variance 1, so that the map starts near the identity with distinct components. Far out the map is
/// linear like its widest component; all of it is computed in logarithms of the smaller tail and underflows nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gaussianization {
    /// Number of normal distributions K, 1..=[`MAX_TERMS`](super::MAX_TERMS).
    pub components: usize,
}

const REACH: f32 = 1.2;
/// ln 1/√(2π)
const LN_NORMALISATION: f32 = -0.918_938_5;

impl Gaussianization {
    pub(super) const fn count(&self) -> usize {
        2 * self.components
    }

    /// (z, ln dz/dx, the sum of the density's terms); leaves u_k in `work[2]` and the density's terms in `work[3]`.
    ///
    /// With D = -½ min u², every term is computed relative to e^D/√(2π).
    #[inline(always)]
    unsafe fn image<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> (S::V, S::V, S::V) {
        unsafe {
            let (zero, one) = (S::splat(0.0), S::splat(1.0));
            let mut nearest = S::splat(f32::MAX);
            for k in 0..self.components {
                let u = S::mul(S::sub(x, work[0][k]), work[1][k]);
                work[2][k] = u;
                nearest = S::min(nearest, S::abs(u));
            }
            let log_factor = S::fma(S::mul(S::splat(-0.5), nearest), nearest, S::splat(LN_NORMALISATION));
            let factor = exp::<S>(log_factor);
            let (mut small_lower, mut big_lower, mut small_upper, mut big_upper, mut density) = (zero, zero, zero, zero, zero);
            for k in 0..self.components {
                let (u, a) = (work[2][k], S::abs(work[2][k]));
                let e = exp::<S>(S::mul(S::mul(S::splat(-0.5), S::sub(a, nearest)), S::add(a, nearest)));
                let small = S::mul(e, mills_ratio::<S>(a));
                let big = S::sub(one, S::mul(small, factor));
                let below = S::lt(u, zero);
                small_lower = S::add(small_lower, S::select(below, small, zero));
                big_lower = S::add(big_lower, S::select(below, zero, big));
                small_upper = S::add(small_upper, S::select(below, zero, small));
                big_upper = S::add(big_upper, S::select(below, big, zero));
                work[3][k] = S::mul(e, work[1][k]);
                density = S::add(density, work[3][k]);
            }
            let tails = Tails::<S>::new(small_lower, big_lower, small_upper, big_upper, factor);
            let low = S::lt(S::splat(0.5), tails.low);
            let tail = S::select(low, tails.lower, tails.upper);
            let scaled = S::select(low, tails.lower_scaled, tails.upper_scaled);
            let log_tail = S::add(S::fma(scaled, log_factor, ln::<S>(tail)), S::splat(-(self.components as f32).ln()));
            let (r, mills) = normal_tail_quantile::<S>(log_tail);
            // ln f - ln φ(z) = (ln f - ln tail) + ln(tail/φ): where both lack the factor it cancels.
            let rest = S::mul(S::sub(one, scaled), log_factor);
            let log_slope = S::add(ln::<S>(S::div(S::mul(density, mills), tail)), rest);
            (S::select(low, S::sub(zero, r), r), log_slope, density)
        }
    }
}

impl Map for Gaussianization {
    #[inline(always)]
    unsafe fn prepare<S: Lanes>(&self, raw: *const f32, stride: usize, work: &mut Work<S>) {
        let width = (1.0 - anchor_variance(self.components, REACH)).sqrt();
        unsafe { prepare_components::<S>(self.components, (REACH, width), raw, stride, work) }
    }

    #[inline(always)]
    unsafe fn forward<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> Image<S> {
        let (value, log_slope, _) = unsafe { self.image::<S>(work, x) };
        Image { value, log_slope }
    }

    #[inline(always)]
    unsafe fn bracket<S: Lanes>(&self, work: &mut Work<S>, y: S::V) -> Bracket<S> {
        unsafe { bracket_components::<S>(self.components, work, y) }
    }

    /// With shares r_k of the density and S = dz/dx: dz/dμ_k = -r_k S, dz/ds_k = -r_k S (x - μ_k); the log-slope ln f + ½z² + const has
    /// d ln f = -Σ r_k u_k/σ_k dx + r_k u_k/σ_k dμ_k + r_k (u_k² - 1) ds_k.
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
            let (z, log_slope, density) = self.image::<S>(work, x);
            let through = S::mul(S::fma(gl, z, gy), exp::<S>(log_slope));
            let inverse = S::div(S::splat(1.0), density);
            let mut gx = through;
            for k in 0..self.components {
                let share = S::mul(work[3][k], inverse);
                let u = work[2][k];
                let pull = S::mul(gl, S::mul(u, work[1][k]));
                gx = S::sub(gx, S::mul(share, pull));
                S::store(grad_raw.add(k * stride), S::mul(share, S::sub(pull, through)));
                let spread = S::sub(S::mul(gl, S::fma(u, u, S::splat(-1.0))), S::mul(through, S::sub(x, work[0][k])));
                let at = (self.components + k) * stride;
                let (_, slope) = bent::<S>(S::load(raw.add(at)), LOG_SCALE_BOUND);
                S::store(grad_raw.add(at), S::mul(S::mul(share, spread), slope));
            }
            gx
        }
    }
}
