//! Elementary functions over lanes. Coefficients: own minimax fits in f64; errors are measured in the tests below.

use crate::lanes::Lanes;

/// e^x for x clamped to [-87.33, 88.02], so that results stay normal and finite; NaN passes through. Error below 2 ulp.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and e^r = 1 + r + r² P₄(r).
#[inline(always)]
pub(crate) unsafe fn exp<S: Lanes>(x: S::V) -> S::V {
    unsafe {
        let x = S::min(S::splat(88.02), S::max(S::splat(-87.33), x));
        let n = S::round(S::mul(x, S::splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts, the first with trailing zeros, so that n·high is exact.
        let r = S::fma(n, S::splat(-0.693_145_75), x);
        let r = S::fma(n, S::splat(-1.428_606_8e-6), r);
        let p = S::fma(S::splat(1.381_460_8e-3), r, S::splat(8.368_71e-3));
        let p = S::fma(p, r, S::splat(4.166_838_7e-2));
        let p = S::fma(p, r, S::splat(1.666_652e-1));
        let p = S::fma(p, r, S::splat(4.999_999_3e-1));
        let y = S::fma(S::mul(r, r), p, r);
        S::mul(S::add(y, S::splat(1.0)), S::exp2_integral(n))
    }
}

/// Natural logarithm of positive normal x; smaller x (zero, negative) count as the smallest normal f32. Error below 3 ulp away from 1.
///
/// x = m 2^e with m in [√½, √2), s = (m-1)/(m+1), ln m = 2s + s³ P₃(s²).
#[inline(always)]
pub(crate) unsafe fn ln<S: Lanes>(x: S::V) -> S::V {
    unsafe {
        let (m, e) = S::mantissa_exponent(S::max(S::splat(f32::MIN_POSITIVE), x));
        let big = S::lt(S::splat(std::f32::consts::SQRT_2), m);
        let m = S::select(big, S::mul(m, S::splat(0.5)), m);
        let e = S::select(big, S::add(e, S::splat(1.0)), e);
        let s = S::div(S::sub(m, S::splat(1.0)), S::add(m, S::splat(1.0)));
        let s2 = S::mul(s, s);
        let p = S::fma(S::splat(2.358_429_3e-1), s2, S::splat(2.853_720_7e-1));
        let p = S::fma(p, s2, S::splat(4.000_033_7e-1));
        let p = S::fma(p, s2, S::splat(6.666_667e-1));
        let ln_m = S::fma(S::mul(s, s2), p, S::add(s, s));
        let y = S::fma(e, S::splat(0.693_145_75), S::fma(e, S::splat(1.428_606_8e-6), ln_m));
        // max/min above replaced a NaN; put it back.
        S::select(S::lt(S::splat(f32::NEG_INFINITY), S::add(x, S::splat(1.0))), y, x)
    }
}

/// tanh x, error below 3 ulp: x + x³P₄(x²) for |x| < 0.625, else sign(x)(1 - 2/(e^{2|x|}+1)).
#[inline(always)]
pub(crate) unsafe fn tanh<S: Lanes>(x: S::V) -> S::V {
    unsafe {
        let a = S::abs(x);
        let x2 = S::mul(x, x);
        let p = S::fma(S::splat(-5.515_174e-3), x2, S::splat(2.046_943e-2));
        let p = S::fma(p, x2, S::splat(-5.368_802_7e-2));
        let p = S::fma(p, x2, S::splat(1.333_083e-1));
        let p = S::fma(p, x2, S::splat(-3.333_326e-1));
        let small = S::fma(S::mul(x, x2), p, x);
        let e = exp::<S>(S::add(a, a));
        let large = S::sub(S::splat(1.0), S::div(S::splat(2.0), S::add(e, S::splat(1.0))));
        let large = S::select(S::lt(x, S::splat(0.0)), S::sub(S::splat(0.0), large), large);
        S::select(S::lt(a, S::splat(0.625)), small, large)
    }
}

/// Logistic function 1/(1+e^{-x}).
#[inline(always)]
pub(crate) unsafe fn sigmoid<S: Lanes>(x: S::V) -> S::V {
    unsafe { S::div(S::splat(1.0), S::add(S::splat(1.0), exp::<S>(S::sub(S::splat(0.0), x)))) }
}

/// ln(1+e^x) = max(x, 0) + ln(1+e^{-|x|}), finite for every finite x.
#[inline(always)]
pub(crate) unsafe fn softplus<S: Lanes>(x: S::V) -> S::V {
    unsafe {
        let tail = exp::<S>(S::sub(S::splat(0.0), S::abs(x)));
        // ln(1+t) with t ≤ 1: s = t/(2+t), 2 artanh(s); the same series as `ln`, accurate for small t too.
        S::add(S::max(S::splat(0.0), x), ln1p_unit::<S>(tail))
    }
}

/// ln(1+t) for t in [0, 1], relative error below 4 ulp.
#[inline(always)]
unsafe fn ln1p_unit<S: Lanes>(t: S::V) -> S::V {
    unsafe {
        // For t > √2-1 use ln(1+t) = ln 2 + ln((1+t)/2).
        let large = S::lt(S::splat(std::f32::consts::SQRT_2 - 1.0), t);
        let numerator = S::select(large, S::sub(t, S::splat(1.0)), t);
        let denominator = S::select(large, S::add(t, S::splat(3.0)), S::add(t, S::splat(2.0)));
        let s = S::div(numerator, denominator);
        let s2 = S::mul(s, s);
        let p = S::fma(S::splat(2.358_429_3e-1), s2, S::splat(2.853_720_7e-1));
        let p = S::fma(p, s2, S::splat(4.000_033_7e-1));
        let p = S::fma(p, s2, S::splat(6.666_667e-1));
        let y = S::fma(S::mul(s, s2), p, S::add(s, s));
        S::select(large, S::add(y, S::splat(std::f32::consts::LN_2)), y)
    }
}

/// Error function, absolute error below 4e-7 (Abramowitz and Stegun 1964, 7.1.26).
#[inline(always)]
pub(crate) unsafe fn erf<S: Lanes>(x: S::V) -> S::V {
    unsafe {
        let a = S::abs(x);
        let t = S::div(S::splat(1.0), S::fma(S::splat(0.327_591_1), a, S::splat(1.0)));
        let p = S::fma(S::splat(1.061_405_4), t, S::splat(-1.453_152));
        let p = S::fma(p, t, S::splat(1.421_413_7));
        let p = S::fma(p, t, S::splat(-0.284_496_74));
        let p = S::fma(p, t, S::splat(0.254_829_6));
        let tail = S::mul(S::mul(p, t), exp::<S>(S::sub(S::splat(0.0), S::mul(a, a))));
        let y = S::sub(S::splat(1.0), tail);
        S::select(S::lt(x, S::splat(0.0)), S::sub(S::splat(0.0), y), y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::LANES;
    use crate::simd::{Simd, dispatch};

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        Ln,
        Tanh,
        Softplus,
        Sigmoid,
        Erf,
    }

    #[inline(always)]
    unsafe fn apply<S: Lanes>(f: Function, x: &mut [f32; LANES]) {
        unsafe {
            let v = S::load(x.as_ptr());
            let y = match f {
                Function::Exp => exp::<S>(v),
                Function::Ln => ln::<S>(v),
                Function::Tanh => tanh::<S>(v),
                Function::Softplus => softplus::<S>(v),
                Function::Sigmoid => sigmoid::<S>(v),
                Function::Erf => erf::<S>(v),
            };
            S::store(x.as_mut_ptr(), y);
        }
    }

    fn eval(simd: Simd, f: Function, x: f32) -> f32 {
        let mut lanes = [x; LANES];
        let x = &mut lanes;
        dispatch!(simd, apply(f: Function, x: &mut [f32; LANES]));
        lanes[7]
    }

    /// Largest |computed - exact| / |exact| over a grid.
    fn worst(simd: Simd, f: Function, exact: impl Fn(f64) -> f64, (low, high): (f64, f64)) -> f64 {
        let n = 20_011;
        let error = |i: i32| {
            let x = (low + (high - low) * (f64::from(i) + 0.37) / f64::from(n)) as f32;
            let truth = exact(f64::from(x));
            (f64::from(eval(simd, f, x)) - truth).abs() / truth.abs()
        };
        (0..n).map(error).fold(0.0, f64::max)
    }

    /// One ulp is at most 1.2e-7 relative; the bounds are the errors promised above.
    #[test]
    fn functions_are_accurate_to_a_few_ulp_at_every_level() {
        const ULP: f64 = 1.2e-7;
        for simd in Simd::all() {
            let check = |f, exact: fn(f64) -> f64, range, ulps: f64| {
                let error = worst(simd, f, exact, range);
                assert!(error < ulps * ULP, "{f:?} at {simd}: {:.2} ulp on {range:?}", error / ULP);
            };
            check(Function::Exp, f64::exp, (-87.0, 88.0), 2.0);
            check(Function::Exp, f64::exp, (-1.0, 1.0), 2.0);
            check(Function::Ln, f64::ln, (1.5, 1e6), 3.0);
            check(Function::Ln, f64::ln, (1e-6, 0.7), 3.0);
            check(Function::Tanh, f64::tanh, (-10.0, 10.0), 3.0);
            check(Function::Tanh, f64::tanh, (-0.7, 0.7), 3.0);
            check(Function::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), (-80.0, 80.0), 4.0);
            check(Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), (-80.0, 80.0), 4.0);
        }
    }

    /// erf against Taylor's series (exact to 1e-12 for |x| < 3): 2/√π Σ (-1)ⁿ x^{2n+1} / (n! (2n+1)).
    #[test]
    fn erf_is_accurate_in_absolute_terms() {
        let series = |x: f64| {
            let (mut term, mut sum) = (x, x);
            for n in 1..80 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        };
        for simd in Simd::all() {
            for i in -300..300 {
                let x = f64::from(i) / 100.0;
                let error = (f64::from(eval(simd, Function::Erf, x as f32)) - series(x)).abs();
                assert!(error < 4e-7, "erf({x}) at {simd} is off by {error:.2e}");
            }
        }
    }

    #[test]
    fn extreme_arguments_stay_finite_and_nan_passes_through() {
        for simd in Simd::all() {
            for f in [Function::Exp, Function::Ln, Function::Tanh, Function::Softplus, Function::Sigmoid, Function::Erf] {
                for x in [-1e4, -200.0, 0.0, 200.0, 1e4] {
                    assert!(eval(simd, f, x).is_finite(), "{f:?}({x}) at {simd}");
                }
                assert!(eval(simd, f, f32::NAN).is_nan(), "{f:?}(NaN) at {simd}");
            }
        }
    }
}
