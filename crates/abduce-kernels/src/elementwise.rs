//! Element-wise kernels: activations, gates, affine transforms, and a way to compile plain loops for the level in use.

use crate::curves::{Curve, with_curve};
use crate::lanes::{LANES, Lanes};
use crate::math::{cos_sin, exp, ln};
use crate::simd::{Level, Simd, dispatch};

/// Activation functions, by the names of the usual frameworks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// tanh x
    Tanh,
    /// max(x, 0)
    Relu,
    /// x for x > 0, else 0.01 x
    LeakyRelu,
    /// x for x > 0, else eˣ - 1
    Elu,
    /// x σ(x)
    Silu,
    /// x Φ(x), the exact form with erf
    Gelu,
    /// σ(x) = 1/(1+e⁻ˣ)
    Sigmoid,
    /// ln(1+eˣ)
    Softplus,
    /// x tanh(softplus x)
    Mish,
}

impl Simd {
    /// y = f(x).
    ///
    /// # Panics
    /// If `y` is shorter than `x`.
    pub fn activate(self, f: Activation, x: &[f32], y: &mut [f32]) {
        assert!(y.len() >= x.len(), "activate: destination too short");
        dispatch!(self, activate(f: Activation, x: &[f32], y: &mut [f32]));
    }

    /// grad_x (=, or +=) grad_y · f'(x).
    ///
    /// # Panics
    /// If a slice is shorter than `x`.
    pub fn activate_backward(self, f: Activation, x: &[f32], grad_y: &[f32], grad_x: &mut [f32], update: Update) {
        assert!(grad_y.len() >= x.len() && grad_x.len() >= x.len(), "activate_backward: slice too short");
        dispatch!(self, activate_backward(f: Activation, x: &[f32], grad_y: &[f32], grad_x: &mut [f32], update: Update));
    }

    /// y = e^x (clamped to finite values) over slices.
    ///
    /// # Panics
    /// If `y` is shorter than `x`.
    pub fn exp(self, x: &[f32], y: &mut [f32]) {
        assert!(y.len() >= x.len(), "exp: destination too short");
        dispatch!(self, exp_slice(x: &[f32], y: &mut [f32]));
    }

    /// x becomes e^x (clamped to finite values).
    pub fn exp_in_place(self, x: &mut [f32]) {
        dispatch!(self, exp_in_place(x: &mut [f32]));
    }

    /// y = ln x over slices (arguments below the smallest normal f32 count as it).
    ///
    /// # Panics
    /// If `y` is shorter than `x`.
    pub fn ln(self, x: &[f32], y: &mut [f32]) {
        assert!(y.len() >= x.len(), "ln: destination too short");
        dispatch!(self, ln_slice(x: &[f32], y: &mut [f32]));
    }

    /// cos x and sin x over slices.
    ///
    /// # Panics
    /// If a destination is shorter than `x`.
    pub fn cos_sin(self, x: &[f32], cos: &mut [f32], sin: &mut [f32]) {
        assert!(cos.len() >= x.len() && sin.len() >= x.len(), "cos_sin: destination too short");
        dispatch!(self, cos_sin_slice(x: &[f32], cos: &mut [f32], sin: &mut [f32]));
    }

    /// `sums[i] += Σ` of row i of `x (sums.len(), lanes)`, each row in a fixed order.
    ///
    /// # Panics
    /// If `x` is shorter than its shape or `lanes` is not a multiple of 16.
    pub fn add_row_sums(self, x: &[f32], lanes: usize, sums: &mut [f32]) {
        assert!(lanes.is_multiple_of(LANES) && x.len() >= sums.len() * lanes, "add_row_sums: operand too short");
        dispatch!(self, add_row_sums(x: &[f32], lanes: usize, sums: &mut [f32]));
    }

    /// Runs `f` compiled for this level, so that its plain loops vectorise with its instructions.
    #[inline]
    pub fn vectorise<R>(self, f: impl FnOnce() -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
        fn avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        match self.0 {
            // SAFETY: a `Simd` of this level exists only where the processor supports it.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { avx512(f) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { avx2(f) },
            Level::Portable => f(),
        }
    }
}

/// Whether a backward kernel writes the first contribution to a gradient or adds to earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The destination is replaced.
    Overwrite,
    /// The destination grows by the result.
    Accumulate,
}

#[inline(always)]
unsafe fn map<S: Lanes>(x: &[f32], y: &mut [f32], f: impl Fn(S::V) -> S::V) {
    unsafe {
        let n = x.len();
        let full = n - n % LANES;
        for i in (0..full).step_by(LANES) {
            S::store(y.as_mut_ptr().add(i), f(S::load(x.as_ptr().add(i))));
        }
        if full < n {
            S::store_first(y.as_mut_ptr().add(full), f(S::load_first(x.as_ptr().add(full), n - full)), n - full);
        }
    }
}

#[inline(always)]
unsafe fn add_row_sums<S: Lanes>(x: &[f32], lanes: usize, sums: &mut [f32]) {
    unsafe {
        for (i, sum) in sums.iter_mut().enumerate() {
            let row = x.as_ptr().add(i * lanes);
            let mut acc = S::load(row);
            for at in (LANES..lanes).step_by(LANES) {
                acc = S::add(acc, S::load(row.add(at)));
            }
            *sum += S::sum(acc);
        }
    }
}

#[inline(always)]
unsafe fn exp_slice<S: Lanes>(x: &[f32], y: &mut [f32]) {
    unsafe {
        map::<S>(
            x,
            y,
            #[inline(always)]
            |v| exp::<S>(v),
        )
    }
}

#[inline(always)]
unsafe fn exp_in_place<S: Lanes>(x: &mut [f32]) {
    unsafe {
        let n = x.len();
        for i in (0..n).step_by(LANES) {
            let count = (n - i).min(LANES);
            S::store_first(x.as_mut_ptr().add(i), exp::<S>(S::load_first(x.as_ptr().add(i), count)), count);
        }
    }
}

#[inline(always)]
unsafe fn cos_sin_slice<S: Lanes>(x: &[f32], cos: &mut [f32], sin: &mut [f32]) {
    unsafe {
        for i in (0..x.len()).step_by(LANES) {
            let n = (x.len() - i).min(LANES);
            let (c, s) = cos_sin::<S>(S::load_first(x.as_ptr().add(i), n));
            S::store_first(cos.as_mut_ptr().add(i), c, n);
            S::store_first(sin.as_mut_ptr().add(i), s, n);
        }
    }
}

#[inline(always)]
unsafe fn ln_slice<S: Lanes>(x: &[f32], y: &mut [f32]) {
    unsafe {
        map::<S>(
            x,
            y,
            #[inline(always)]
            |v| ln::<S>(v),
        )
    }
}

#[inline(always)]
unsafe fn activate<S: Lanes>(f: Activation, x: &[f32], y: &mut [f32]) {
    unsafe { with_curve!(f, C => map::<S>(x, y, #[inline(always)] |v| C::value::<S>(v))) }
}

#[inline(always)]
unsafe fn activate_backward<S: Lanes>(f: Activation, x: &[f32], grad_y: &[f32], grad_x: &mut [f32], update: Update) {
    unsafe { with_curve!(f, C => chain::<S>(x, grad_y, grad_x, update, #[inline(always)] |v| C::slope::<S>(v))) }
}

/// grad_x (=, +=) grad_y · slope(x)
#[inline(always)]
unsafe fn chain<S: Lanes>(x: &[f32], grad_y: &[f32], grad_x: &mut [f32], update: Update, slope: impl Fn(S::V) -> S::V) {
    unsafe {
        let n = x.len();
        for i in (0..n).step_by(LANES) {
            let count = (n - i).min(LANES);
            let g = S::mul(S::load_first(grad_y.as_ptr().add(i), count), slope(S::load_first(x.as_ptr().add(i), count)));
            let g = if update == Update::Accumulate { S::add(g, S::load_first(grad_x.as_ptr().add(i), count)) } else { g };
            S::store_first(grad_x.as_mut_ptr().add(i), g, count);
        }
    }
}
