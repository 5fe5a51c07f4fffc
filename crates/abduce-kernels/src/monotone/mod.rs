//! Monotone maps of the real line whose parameters differ from row to row, sixteen rows at a time.
//!
//! | map | formula | source |
//! |---|---|---|
//! | [`Gaussianization`] | Φ⁻¹ of a mixture of normal distribution functions | Meng et al. 2020, arXiv:2003.01941 |
//! | [`Sigmoidal`] | logit of a mixture of logistic distribution functions | Huang et al. 2018, arXiv:1804.00779 |
//! | [`SumOfSquares`] | integral of a sum of squared polynomials | Jaini et al. 2019, arXiv:1905.02325 |
//! | [`Bernstein`] | polynomial with increasing Bernstein coefficients | Ramasinghe et al. 2021, arXiv:2102.03509 |
//! | [`Integral`] | integral of a positive network | Wehenkel and Louppe 2019, arXiv:1908.05164 |
//!
//! None has an inverse in closed form: they share Newton's method inside a bracket. Each is (nearly) the identity where all raw
//! parameters are zero, and each maps the whole line onto the whole line.

mod bernstein;
mod gaussianization;
mod integral;
mod quadrature;
mod sigmoidal;
mod sum_of_squares;

pub use bernstein::Bernstein;
pub use gaussianization::Gaussianization;
pub use integral::Integral;
pub use quadrature::Quadrature;
pub use sigmoidal::Sigmoidal;
pub use sum_of_squares::SumOfSquares;

use crate::lanes::{LANES, Lanes};
use crate::math::exp;
use crate::simd::{Simd, dispatch};

/// Most terms of a map: components, coefficients or hidden units (those of sixteen rows live on the stack).
pub const MAX_TERMS: usize = 32;

/// A family of monotone maps and its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Monotone {
    /// Φ⁻¹ of a mixture of normal distribution functions.
    Gaussianization(Gaussianization),
    /// Logit of a mixture of logistic distribution functions.
    Sigmoidal(Sigmoidal),
    /// Integral of a sum of squared polynomials.
    SumOfSquares(SumOfSquares),
    /// Polynomial with increasing Bernstein coefficients.
    Bernstein(Bernstein),
    /// Integral of a positive network.
    Integral(Integral),
}

/// Parameters of sixteen rows, and intermediate results between the passes of one evaluation.
pub(crate) type Work<S> = [[<S as Lanes>::V; MAX_TERMS]; 6];

/// Where a map sends a point, and its log-slope there.
pub(crate) struct Image<S: Lanes> {
    pub(crate) value: S::V,
    pub(crate) log_slope: S::V,
}

/// An interval that holds the point of a given value, and a guess inside.
pub(crate) struct Bracket<S: Lanes> {
    pub(crate) low: S::V,
    pub(crate) high: S::V,
    pub(crate) guess: S::V,
}

/// One family's formulas for sixteen rows. NaN in a row's parameters or point makes its results NaN.
pub(crate) trait Map {
    /// Reads the raw parameters at `raw`, `raw + stride`, …
    unsafe fn prepare<S: Lanes>(&self, raw: *const f32, stride: usize, work: &mut Work<S>);

    unsafe fn forward<S: Lanes>(&self, work: &mut Work<S>, x: S::V) -> Image<S>;

    unsafe fn bracket<S: Lanes>(&self, work: &mut Work<S>, y: S::V) -> Bracket<S>;

    /// Gradients by the raw parameters into `grad_raw`; gives that by x. `grads`: by y and by the log-slope.
    unsafe fn backward<S: Lanes>(
        &self,
        work: &mut Work<S>,
        raw: *const f32,
        x: S::V,
        grads: (S::V, S::V),
        grad_raw: *mut f32,
        stride: usize,
    ) -> S::V;
}

impl Monotone {
    /// Raw parameters per feature.
    pub const fn parameters(&self) -> usize {
        match self {
            Self::Gaussianization(map) => map.count(),
            Self::Sigmoidal(map) => map.count(),
            Self::SumOfSquares(map) => map.count(),
            Self::Bernstein(map) => map.count(),
            Self::Integral(map) => map.count(),
        }
    }

    fn check(&self, lanes: usize, raw: usize, others: &[usize]) {
        assert!(lanes.is_multiple_of(LANES), "monotone map: lanes must be a multiple of {LANES}");
        assert!(raw >= self.parameters() * lanes && others.iter().all(|&n| n >= lanes), "monotone map: slice too short");
        let terms = match self {
            Self::Gaussianization(map) => map.components,
            Self::Sigmoidal(map) => map.components,
            Self::SumOfSquares(map) => map.terms(),
            Self::Bernstein(map) => map.degree,
            Self::Integral(map) => map.hidden,
        };
        assert!((1..=MAX_TERMS).contains(&terms), "monotone map: {terms} terms, expected 1 to {MAX_TERMS}");
    }
}

impl Simd {
    /// y = f(x) for one feature; `ladj += ln dy/dx`. `raw` is (parameters, lanes), the others (lanes).
    ///
    /// # Panics
    /// If a slice is too short, lanes (the length of `x`) is not a multiple of 16, or the map has more than [`MAX_TERMS`] terms.
    pub fn monotone_forward(self, map: &Monotone, raw: &[f32], x: &[f32], y: &mut [f32], ladj: &mut [f32]) {
        map.check(x.len(), raw.len(), &[y.len(), ladj.len()]);
        dispatch!(self, forward(map: &Monotone, raw: &[f32], x: &[f32], y: &mut [f32], ladj: &mut [f32]));
    }

    /// x = f⁻¹(y) for one feature, by Newton's method inside a bracket, to the rounding of f; `ladj += ln dx/dy`.
    ///
    /// # Panics
    /// As [`Simd::monotone_forward`].
    pub fn monotone_inverse(self, map: &Monotone, raw: &[f32], y: &[f32], x: &mut [f32], ladj: &mut [f32]) {
        map.check(y.len(), raw.len(), &[x.len(), ladj.len()]);
        dispatch!(self, inverse(map: &Monotone, raw: &[f32], y: &[f32], x: &mut [f32], ladj: &mut [f32]));
    }

    /// Gradients of a loss whose derivatives by y and by ladj are `grads`: overwrites `grad_raw` and `grad_x`.
    ///
    /// # Panics
    /// As [`Simd::monotone_forward`].
    pub fn monotone_backward(
        self,
        map: &Monotone,
        raw: &[f32],
        x: &[f32],
        grads: (&[f32], &[f32]),
        grad_raw: &mut [f32],
        grad_x: &mut [f32],
    ) {
        let (grad_y, grad_ladj) = grads;
        map.check(x.len(), raw.len().min(grad_raw.len()), &[grad_y.len(), grad_ladj.len(), grad_x.len()]);
        dispatch!(self, backward(
            map: &Monotone, raw: &[f32], x: &[f32], grad_y: &[f32], grad_ladj: &[f32], grad_raw: &mut [f32], grad_x: &mut [f32]
        ));
    }
}

/// Runs a generic function on the map inside the enum.
macro_rules! each {
    ($map:expr, $run:ident::<$s:ident>($($arg:expr),*)) => {
        match $map {
            Monotone::Gaussianization(map) => $run::<$s, _>(map, $($arg),*),
            Monotone::Sigmoidal(map) => $run::<$s, _>(map, $($arg),*),
            Monotone::SumOfSquares(map) => $run::<$s, _>(map, $($arg),*),
            Monotone::Bernstein(map) => $run::<$s, _>(map, $($arg),*),
            Monotone::Integral(map) => $run::<$s, _>(map, $($arg),*),
        }
    };
}

#[inline(always)]
unsafe fn forward<S: Lanes>(map: &Monotone, raw: &[f32], x: &[f32], y: &mut [f32], ladj: &mut [f32]) {
    unsafe { each!(map, forward_with::<S>(raw, x, y, ladj)) }
}

#[inline(always)]
unsafe fn inverse<S: Lanes>(map: &Monotone, raw: &[f32], y: &[f32], x: &mut [f32], ladj: &mut [f32]) {
    unsafe { each!(map, inverse_with::<S>(raw, y, x, ladj)) }
}

#[inline(always)]
unsafe fn backward<S: Lanes>(
    map: &Monotone,
    raw: &[f32],
    x: &[f32],
    grad_y: &[f32],
    grad_ladj: &[f32],
    grad_raw: &mut [f32],
    grad_x: &mut [f32],
) {
    unsafe { each!(map, backward_with::<S>(raw, x, grad_y, grad_ladj, grad_raw, grad_x)) }
}

#[inline(always)]
unsafe fn forward_with<S: Lanes, M: Map>(map: &M, raw: &[f32], x: &[f32], y: &mut [f32], ladj: &mut [f32]) {
    unsafe {
        let mut work: Work<S> = [[S::splat(0.0); MAX_TERMS]; 6];
        for at in (0..x.len()).step_by(LANES) {
            map.prepare::<S>(raw.as_ptr().add(at), x.len(), &mut work);
            let image = map.forward::<S>(&mut work, S::load(x.as_ptr().add(at)));
            S::store(y.as_mut_ptr().add(at), image.value);
            S::store(ladj.as_mut_ptr().add(at), S::add(S::load(ladj.as_ptr().add(at)), image.log_slope));
        }
    }
}

/// Most steps of the search: a bracket of 1e8 shrinks below f32 rounding in 50 halvings.
const MAX_STEPS: usize = 60;

/// A point whose value is this close to the target, relative to 1 + |target|, needs one more step of Newton's method only.
const CLOSE: f32 = 1e-5;

/// A row whose point is found is left alone while its neighbours go on, so that a row's result does not depend on them.
#[inline(always)]
unsafe fn inverse_with<S: Lanes, M: Map>(map: &M, raw: &[f32], y: &[f32], x: &mut [f32], ladj: &mut [f32]) {
    unsafe {
        let mut work: Work<S> = [[S::splat(0.0); MAX_TERMS]; 6];
        let (zero, one, half) = (S::splat(0.0), S::splat(1.0), S::splat(0.5));
        for at in (0..y.len()).step_by(LANES) {
            map.prepare::<S>(raw.as_ptr().add(at), y.len(), &mut work);
            let target = S::load(y.as_ptr().add(at));
            let tolerance = S::mul(S::splat(CLOSE), S::add(one, S::abs(target)));
            let Bracket { mut low, mut high, guess } = map.bracket::<S>(&mut work, target);
            let mut point = guess;
            // 1 while the search goes on.
            let mut open = one;
            let mut last_step = S::sub(high, low);
            for _ in 0..MAX_STEPS {
                let image = map.forward::<S>(&mut work, point);
                let error = S::sub(image.value, target);
                let above = S::lt(zero, error);
                high = S::select(above, point, high);
                low = S::select(above, low, point);
                let step = S::mul(error, exp::<S>(S::sub(zero, image.log_slope)));
                let newton = S::sub(point, step);
                // Newton's step where it stays inside and at least halves the last one, else the middle.
                let slow = S::lt(S::mul(half, last_step), S::abs(step));
                let middle = S::mul(half, S::add(low, high));
                let inside = S::select(S::lt(low, newton), S::select(S::lt(newton, high), newton, middle), middle);
                let next = S::select(slow, middle, inside);
                // NaN counts as close: it stays NaN.
                let far = S::lt(tolerance, S::abs(error));
                let last = S::min(high, S::max(low, newton));
                let next = S::select(far, next, last);
                let searching = S::lt(half, open);
                last_step = S::abs(S::sub(next, point));
                point = S::select(searching, next, point);
                open = S::select(far, open, zero);
                if S::sum(open) == 0.0 {
                    break;
                }
            }
            let image = map.forward::<S>(&mut work, point);
            S::store(x.as_mut_ptr().add(at), point);
            S::store(ladj.as_mut_ptr().add(at), S::sub(S::load(ladj.as_ptr().add(at)), image.log_slope));
        }
    }
}

#[inline(always)]
unsafe fn backward_with<S: Lanes, M: Map>(
    map: &M,
    raw: &[f32],
    x: &[f32],
    grad_y: &[f32],
    grad_ladj: &[f32],
    grad_raw: &mut [f32],
    grad_x: &mut [f32],
) {
    unsafe {
        let mut work: Work<S> = [[S::splat(0.0); MAX_TERMS]; 6];
        for at in (0..x.len()).step_by(LANES) {
            let own = raw.as_ptr().add(at);
            map.prepare::<S>(own, x.len(), &mut work);
            let grads = (S::load(grad_y.as_ptr().add(at)), S::load(grad_ladj.as_ptr().add(at)));
            let gx = map.backward::<S>(&mut work, own, S::load(x.as_ptr().add(at)), grads, grad_raw.as_mut_ptr().add(at), x.len());
            S::store(grad_x.as_mut_ptr().add(at), gx);
        }
    }
}

/// a/(1 + |a|/bound) and its derivative: a raw value bent so that no network output can overflow.
#[inline(always)]
pub(crate) unsafe fn bent<S: Lanes>(a: S::V, bound: f32) -> (S::V, S::V) {
    unsafe {
        let shrink = S::div(S::splat(1.0), S::fma(S::abs(a), S::splat(1.0 / bound), S::splat(1.0)));
        (S::mul(a, shrink), S::mul(shrink, shrink))
    }
}

/// Positions of the means of K components where all raw values are zero: even on (-reach, reach).
#[inline(always)]
pub(crate) const fn anchor(k: usize, components: usize, reach: f32) -> f32 {
    reach * (2 * k + 1) as f32 / components as f32 - reach
}

/// Variance of the K anchors.
pub(crate) const fn anchor_variance(components: usize, reach: f32) -> f32 {
    let k = components as f32;
    reach * reach * (1.0 - 1.0 / (k * k)) / 3.0
}

/// Means and inverse widths of K components whose raw means and log-widths are the first 2K raw parameters, into `work[0]` and `work[1]`.
#[inline(always)]
pub(crate) unsafe fn prepare_components<S: Lanes>(
    components: usize,
    (reach, width): (f32, f32),
    raw: *const f32,
    stride: usize,
    work: &mut Work<S>,
) {
    unsafe {
        let inverse = S::splat(1.0 / width);
        for k in 0..components {
            work[0][k] = S::add(S::splat(anchor(k, components, reach)), S::load(raw.add(k * stride)));
            let (s, _) = bent::<S>(S::load(raw.add((components + k) * stride)), crate::affine::LOG_SCALE_BOUND);
            work[1][k] = S::mul(inverse, exp::<S>(S::sub(S::splat(0.0), s)));
        }
    }
}

/// The quantile of a mixture lies between the smallest and the largest of its components' quantiles, here μ + y σ.
#[inline(always)]
pub(crate) unsafe fn bracket_components<S: Lanes>(components: usize, work: &Work<S>, y: S::V) -> Bracket<S> {
    unsafe {
        let quantile = S::add(work[0][0], S::div(y, work[1][0]));
        let (mut low, mut high) = (quantile, quantile);
        for k in 1..components {
            let quantile = S::add(work[0][k], S::div(y, work[1][k]));
            low = S::min(low, quantile);
            high = S::max(high, quantile);
        }
        Bracket { low, high, guess: S::mul(S::splat(0.5), S::add(low, high)) }
    }
}

/// The bracket of a map that is linear outside [-`bound`, `bound`]: out there the linear pieces' own solutions, inside the whole interval.
#[inline(always)]
pub(crate) unsafe fn bracket_bounded<S: Lanes, M: Map>(map: &M, bound: f32, work: &mut Work<S>, y: S::V) -> Bracket<S> {
    unsafe {
        let (low, high) = (S::splat(-bound), S::splat(bound));
        let (at_low, at_high) = (map.forward::<S>(work, low), map.forward::<S>(work, high));
        let zero = S::splat(0.0);
        let before = S::fma(S::sub(y, at_low.value), exp::<S>(S::sub(zero, at_low.log_slope)), low);
        let beyond = S::fma(S::sub(y, at_high.value), exp::<S>(S::sub(zero, at_high.log_slope)), high);
        let (is_before, is_beyond) = (S::lt(y, at_low.value), S::lt(at_high.value, y));
        let share = S::div(S::sub(y, at_low.value), S::sub(at_high.value, at_low.value));
        let within = S::fma(share, S::splat(2.0 * bound), low);
        Bracket {
            low: S::select(is_before, before, low),
            high: S::select(is_beyond, beyond, high),
            guess: S::select(is_before, before, S::select(is_beyond, beyond, within)),
        }
    }
}

/// Lower and upper tail of a mixture, each either as it is or, where all components have the point in the same tail, without the common
/// factor of the nearest component, which would underflow far out.
pub(crate) struct Tails<S: Lanes> {
    lower: S::V,
    upper: S::V,
    /// 1 where `lower` lacks the factor.
    lower_scaled: S::V,
    /// 1 where `upper` lacks the factor.
    upper_scaled: S::V,
    /// 1 where the lower tail is the smaller one.
    low: S::V,
}

impl<S: Lanes> Tails<S> {
    /// From sums over the components above (`big_lower`, with the complement of their small tail) and below the point, `small` ones without
    /// the factor.
    #[inline(always)]
    pub(crate) unsafe fn new(small_lower: S::V, big_lower: S::V, small_upper: S::V, big_upper: S::V, factor: S::V) -> Self {
        unsafe {
            let (zero, one) = (S::splat(0.0), S::splat(1.0));
            let (lower_whole, upper_whole) = (S::lt(zero, big_lower), S::lt(zero, big_upper));
            let lower_scaled = S::select(lower_whole, zero, one);
            let upper_scaled = S::select(upper_whole, zero, one);
            let lower = S::select(lower_whole, S::fma(small_lower, factor, big_lower), small_lower);
            let upper = S::select(upper_whole, S::fma(small_upper, factor, big_upper), small_upper);
            let smaller = S::select(S::lt(lower, upper), one, zero);
            let low = S::select(lower_whole, S::select(upper_whole, smaller, zero), one);
            Self { lower, upper, lower_scaled, upper_scaled, low }
        }
    }
}
