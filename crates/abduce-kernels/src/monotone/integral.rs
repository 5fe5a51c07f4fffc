//! The integral of a positive network: an unconstrained monotonic network (Wehenkel and Louppe 2019, arXiv:1908.05164, Eq. 1).

use super::{Bracket, Image, MAX_TERMS, Map, Quadrature, Work, bent, bracket_bounded};
use crate::lanes::Lanes;
use crate::math::{ln, sigmoid, softplus, tanh};

/// z = c + ∫₀ˣ g(u) du on [-B, B] with g(u) = 1e-3 + softplus(s₀ + s + Σ_k v_k tanh(a_k u + b_k)); linear outside, with the slopes at ±B.
///
/// The network has one hidden layer, all of whose weights depend on the row: raw c, s, then K input weights a_k = 1 + raw bent to ±1, K
/// biases b_k = m_k + raw, K output weights v_k = raw bent to ±4, with m_k even on (-2, 2). softplus(s₀) = 1 - 1e-3. The bounds keep g so
/// smooth that the quadrature's error stays below f32 rounding; see the kernel's tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Integral {
    pub(super) hidden: usize,
    bound: f32,
    quadrature: Quadrature,
}

const MIN_SLOPE: f32 = 1e-3;
const INPUT_BOUND: f32 = 1.0;
const OUTPUT_BOUND: f32 = 4.0;
const REACH: f32 = 2.0;
/// ln(e^{1 - 1e-3} - 1)
const START: f32 = 0.539_742_3;

impl Integral {
    /// K hidden units, 1..=[`MAX_TERMS`], on [-`bound`, `bound`], integrated with `nodes` Gauss-Legendre nodes (1 to 32).
    ///
    /// # Panics
    /// If a size is out of range.
    pub fn new(hidden: usize, bound: f32, nodes: usize) -> Self {
        assert!((1..=MAX_TERMS).contains(&hidden), "integral: {hidden} hidden units");
        Self { hidden, bound, quadrature: Quadrature::gauss_legendre(nodes) }
    }

    pub(super) const fn count(&self) -> usize {
        2 + 3 * self.hidden
    }

    /// The network's output before softplus; leaves tanh of the hidden units in `work[3]`.
    #[inline(always)]
    unsafe fn output<S: Lanes>(&self, work: &mut Work<S>, u: S::V) -> S::V {
        unsafe {
            let [inputs, biases, outputs, hidden, constants, ..] = work;
            let mut sum = constants[1];
            for k in 0..self.hidden {
                let h = tanh::<S>(S::fma(inputs[k], u, biases[k]));
                hidden[k] = h;
                sum = S::fma(outputs[k], h, sum);
            }
            sum
        }
    }

    #[inline(always)]
    unsafe fn density<S: Lanes>(&self, work: &mut Work<S>, u: S::V) -> S::V {
        unsafe { S::add(softplus::<S>(self.output::<S>(work, u)), S::splat(MIN_SLOPE)) }
    }

    #[inline(always)]
    unsafe fn cut<S: Lanes>(&self, x: S::V) -> S::V {
        unsafe { S::min(S::splat(self.bound), S::max(S::splat(-self.bound), x)) }
    }

    /// g at `u`, and `by_density` × the gradients of g by s, a, b and v added to the sums at `grad_raw`. Gives g and dg/du.
    #[inline(always)]
    unsafe fn collect<S: Lanes>(&self, work: &mut Work<S>, u: S::V, scale: Scale<S>, grad_raw: *mut f32, stride: usize) -> (S::V, S::V) {
        unsafe {
            let one = S::splat(1.0);
            let out = self.output::<S>(work, u);
            let g = S::add(softplus::<S>(out), S::splat(MIN_SLOPE));
            let by_density = S::add(scale.whole, S::div(scale.relative, g));
            let sigma = sigmoid::<S>(out);
            let by_output = S::mul(by_density, sigma);
            add_to::<S>(grad_raw.add(stride), by_output);
            let mut tilt = S::splat(0.0);
            for k in 0..self.hidden {
                let h = work[3][k];
                let slope = S::mul(work[2][k], S::sub(one, S::mul(h, h)));
                tilt = S::fma(slope, work[0][k], tilt);
                let by_bias = S::mul(by_output, slope);
                add_to::<S>(grad_raw.add((2 + k) * stride), S::mul(by_bias, u));
                add_to::<S>(grad_raw.add((2 + self.hidden + k) * stride), by_bias);
                add_to::<S>(grad_raw.add((2 + 2 * self.hidden + k) * stride), S::mul(by_output, h));
            }
            (g, S::mul(sigma, tilt))
        }
    }
}

#[inline(always)]
unsafe fn add_to<S: Lanes>(at: *mut f32, v: S::V) {
    unsafe { S::store(at, S::add(S::load(at), v)) }
}

/// Gradient by g: a value, and one that is divided by g.
#[derive(Clone, Copy)]
struct Scale<S: Lanes> {
    whole: S::V,
    relative: S::V,
}

impl Map for Integral {
    #[inline(always)]
    unsafe fn prepare<S: Lanes>(&self, raw: *const f32, stride: usize, work: &mut Work<S>) {
        unsafe {
            work[4][0] = S::load(raw);
            work[4][1] = S::add(S::load(raw.add(stride)), S::splat(START));
            let at = |row: usize| raw.add((2 + row) * stride);
            for k in 0..self.hidden {
                work[0][k] = S::add(S::splat(1.0), bent::<S>(S::load(at(k)), INPUT_BOUND).0);
                work[1][k] = S::add(S::splat(super::anchor(k, self.hidden, REACH)), S::load(at(self.hidden + k)));
                work[2][k] = bent::<S>(S::load(at(2 * self.hidden + k)), OUTPUT_BOUND).0;
            }
        }
    }

    #[inline(always)]
    unsafe fn forward<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> Image<S> {
        unsafe {
            let inner = self.cut::<S>(x);
            let mut integral = S::splat(0.0);
            for q in 0..self.quadrature.count() {
                let (node, weight) = self.quadrature.node(q);
                let g = self.density::<S>(work, S::mul(inner, S::splat(node)));
                integral = S::fma(g, S::splat(weight), integral);
            }
            let slope = self.density::<S>(work, inner);
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
            for row in 1..self.count() {
                S::store(grad_raw.add(row * stride), zero);
            }
            let inner = self.cut::<S>(x);
            let along = S::mul(gy, inner);
            for q in 0..self.quadrature.count() {
                let (node, weight) = self.quadrature.node(q);
                let scale = Scale { whole: S::mul(along, S::splat(weight)), relative: zero };
                self.collect::<S>(work, S::mul(inner, S::splat(node)), scale, grad_raw, stride);
            }
            let scale = Scale { whole: S::mul(gy, S::sub(x, inner)), relative: gl };
            let (slope, bend) = self.collect::<S>(work, inner, scale, grad_raw, stride);
            S::store(grad_raw, gy);
            for k in 0..self.hidden {
                for (row, bound) in [(2 + k, INPUT_BOUND), (2 + 2 * self.hidden + k, OUTPUT_BOUND)] {
                    let (_, bend) = bent::<S>(S::load(raw.add(row * stride)), bound);
                    let at = grad_raw.add(row * stride);
                    S::store(at, S::mul(S::load(at), bend));
                }
            }
            let inside = S::lt(S::abs(x), S::splat(self.bound));
            S::fma(gy, slope, S::select(inside, S::div(S::mul(gl, bend), slope), zero))
        }
    }
}
