//! Gates and the conditional affine transform, element-wise over rows.

use crate::elementwise::Update;
use crate::lanes::{LANES, Lanes};
use crate::math::{exp, sigmoid};
use crate::simd::{Simd, dispatch};

/// Largest |log-scale| of an affine transform: ln 1000. The raw value a is bent smoothly, s = a/(1 + |a|/ln 1000), so that
/// no network output can overflow.
pub const LOG_SCALE_BOUND: f32 = 6.907_755;

impl Simd {
    /// y = h + t σ(g): a gated branch joins its trunk.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn gated_add(self, h: &[f32], t: &[f32], g: &[f32], y: &mut [f32]) {
        assert!(h.len() == y.len() && t.len() == y.len() && g.len() == y.len(), "gated_add: lengths differ");
        dispatch!(self, gated_add(h: &[f32], t: &[f32], g: &[f32], y: &mut [f32]));
    }

    /// Gradients of [`Simd::gated_add`] by the branch and the gate: overwrites both.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn gated_add_backward(self, t: &[f32], g: &[f32], grad_y: &[f32], grad_t: &mut [f32], grad_g: &mut [f32]) {
        let n = grad_y.len();
        assert!(t.len() == n && g.len() == n && grad_t.len() == n && grad_g.len() == n, "gated_add_backward: lengths differ");
        dispatch!(self, gated_add_backward(t: &[f32], g: &[f32], grad_y: &[f32], grad_t: &mut [f32], grad_g: &mut [f32]));
    }

    /// y = (x - shift) e^{-s(raw)}; `ladj -= s`, with s the bounded log-scale of [`LOG_SCALE_BOUND`].
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn affine_forward(self, x: &[f32], shift: &[f32], raw: &[f32], y: &mut [f32], ladj: &mut [f32]) {
        let n = x.len();
        assert!(shift.len() == n && raw.len() == n && y.len() == n && ladj.len() == n, "affine_forward: lengths differ");
        dispatch!(self, forward(x: &[f32], shift: &[f32], raw: &[f32], y: &mut [f32], ladj: &mut [f32]));
    }

    /// x = shift + y e^{s(raw)}; `ladj += s`: the inverse of [`Simd::affine_forward`] and its log-determinant.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn affine_inverse(self, y: &[f32], shift: &[f32], raw: &[f32], x: &mut [f32], ladj: &mut [f32]) {
        let n = y.len();
        assert!(shift.len() == n && raw.len() == n && x.len() == n && ladj.len() == n, "affine_inverse: lengths differ");
        dispatch!(self, inverse(y: &[f32], shift: &[f32], raw: &[f32], x: &mut [f32], ladj: &mut [f32]));
    }

    /// Gradients of [`Simd::affine_forward`] given its output y and the gradients by y and ladj.
    /// `grad_x` is updated as told; `grad_shift` and `grad_raw` are overwritten.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn affine_backward(
        self,
        y: &[f32],
        raw: &[f32],
        grads: (&[f32], &[f32]),
        (grad_x, update): (&mut [f32], Update),
        grad_shift: &mut [f32],
        grad_raw: &mut [f32],
    ) {
        let (grad_y, grad_ladj) = grads;
        let n = y.len();
        assert!(
            [raw.len(), grad_y.len(), grad_ladj.len(), grad_x.len(), grad_shift.len(), grad_raw.len()].iter().all(|&l| l == n),
            "affine_backward: lengths differ"
        );
        dispatch!(self, backward(
            y: &[f32], raw: &[f32], grad_y: &[f32], grad_ladj: &[f32],
            grad_x: &mut [f32], update: Update, grad_shift: &mut [f32], grad_raw: &mut [f32]
        ));
    }
}

/// Lanes `i..i + n` of a slice.
#[inline(always)]
unsafe fn read<S: Lanes>(x: &[f32], i: usize, n: usize) -> S::V {
    unsafe { S::load_first(x.as_ptr().add(i), n) }
}

#[inline(always)]
unsafe fn gated_add<S: Lanes>(h: &[f32], t: &[f32], g: &[f32], y: &mut [f32]) {
    unsafe {
        for i in (0..y.len()).step_by(LANES) {
            let n = (y.len() - i).min(LANES);
            S::store_first(y.as_mut_ptr().add(i), S::fma(read::<S>(t, i, n), sigmoid::<S>(read::<S>(g, i, n)), read::<S>(h, i, n)), n);
        }
    }
}

#[inline(always)]
unsafe fn gated_add_backward<S: Lanes>(t: &[f32], g: &[f32], grad_y: &[f32], grad_t: &mut [f32], grad_g: &mut [f32]) {
    unsafe {
        for i in (0..grad_y.len()).step_by(LANES) {
            let n = (grad_y.len() - i).min(LANES);
            let (gate, gy) = (sigmoid::<S>(read::<S>(g, i, n)), read::<S>(grad_y, i, n));
            let through = S::mul(gy, gate);
            S::store_first(grad_t.as_mut_ptr().add(i), through, n);
            let slope = S::mul(through, S::sub(S::splat(1.0), gate));
            S::store_first(grad_g.as_mut_ptr().add(i), S::mul(slope, read::<S>(t, i, n)), n);
        }
    }
}

/// s = a/(1 + |a|/b) and 1/(1 + |a|/b), whose square is ds/da.
#[inline(always)]
unsafe fn bounded<S: Lanes>(a: S::V) -> (S::V, S::V) {
    unsafe {
        let shrink = S::div(S::splat(1.0), S::fma(S::abs(a), S::splat(1.0 / LOG_SCALE_BOUND), S::splat(1.0)));
        (S::mul(a, shrink), shrink)
    }
}

#[inline(always)]
unsafe fn forward<S: Lanes>(x: &[f32], shift: &[f32], raw: &[f32], y: &mut [f32], ladj: &mut [f32]) {
    unsafe {
        for i in (0..x.len()).step_by(LANES) {
            let n = (x.len() - i).min(LANES);
            let (s, _) = bounded::<S>(read::<S>(raw, i, n));
            let scale = exp::<S>(S::sub(S::splat(0.0), s));
            S::store_first(y.as_mut_ptr().add(i), S::mul(S::sub(read::<S>(x, i, n), read::<S>(shift, i, n)), scale), n);
            S::store_first(ladj.as_mut_ptr().add(i), S::sub(read::<S>(ladj, i, n), s), n);
        }
    }
}

#[inline(always)]
unsafe fn inverse<S: Lanes>(y: &[f32], shift: &[f32], raw: &[f32], x: &mut [f32], ladj: &mut [f32]) {
    unsafe {
        for i in (0..y.len()).step_by(LANES) {
            let n = (y.len() - i).min(LANES);
            let (s, _) = bounded::<S>(read::<S>(raw, i, n));
            S::store_first(x.as_mut_ptr().add(i), S::fma(read::<S>(y, i, n), exp::<S>(s), read::<S>(shift, i, n)), n);
            S::store_first(ladj.as_mut_ptr().add(i), S::add(read::<S>(ladj, i, n), s), n);
        }
    }
}

/// dy/dx = e^{-s}, dy/dshift = -e^{-s}, dy/ds = -y, dladj/ds = -1.
#[inline(always)]
unsafe fn backward<S: Lanes>(
    y: &[f32],
    raw: &[f32],
    grad_y: &[f32],
    grad_ladj: &[f32],
    grad_x: &mut [f32],
    update: Update,
    grad_shift: &mut [f32],
    grad_raw: &mut [f32],
) {
    unsafe {
        for i in (0..y.len()).step_by(LANES) {
            let n = (y.len() - i).min(LANES);
            let (s, shrink) = bounded::<S>(read::<S>(raw, i, n));
            let (gy, gl) = (read::<S>(grad_y, i, n), read::<S>(grad_ladj, i, n));
            let gx = S::mul(gy, exp::<S>(S::sub(S::splat(0.0), s)));
            let gs = S::sub(S::splat(0.0), S::fma(gy, read::<S>(y, i, n), gl));
            S::store_first(grad_shift.as_mut_ptr().add(i), S::sub(S::splat(0.0), gx), n);
            S::store_first(grad_raw.as_mut_ptr().add(i), S::mul(gs, S::mul(shrink, shrink)), n);
            let gx = if update == Update::Accumulate { S::add(gx, read::<S>(grad_x, i, n)) } else { gx };
            S::store_first(grad_x.as_mut_ptr().add(i), gx, n);
        }
    }
}
