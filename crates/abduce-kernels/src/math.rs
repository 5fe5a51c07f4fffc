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

/// (cos x, sin x), absolute error below 2e-7 for |x| < 10, growing with |x| like its ulp.
///
/// x = n π + r with |r| ≤ π/2; both functions change sign with n.
#[inline(always)]
pub(crate) unsafe fn cos_sin<S: Lanes>(x: S::V) -> (S::V, S::V) {
    unsafe {
        let n = S::round(S::mul(x, S::splat(std::f32::consts::FRAC_1_PI)));
        let r = S::fma(n, S::splat(-3.140_625), x);
        let r = S::fma(n, S::splat(-9.676_536e-4), r);
        let u = S::mul(r, r);
        let p = S::fma(S::splat(-2.408e-8), u, S::splat(2.753_645_5e-6));
        let p = S::fma(p, u, S::splat(-1.984_108_6e-4));
        let p = S::fma(p, u, S::splat(8.333_333e-3));
        let p = S::fma(p, u, S::splat(-1.666_666_7e-1));
        let sin = S::fma(S::mul(r, u), p, r);
        let p = S::fma(S::splat(-2.654_586_7e-7), u, S::splat(2.478_607_6e-5));
        let p = S::fma(p, u, S::splat(-1.388_881_3e-3));
        let p = S::fma(p, u, S::splat(4.166_666_6e-2));
        let cos = S::fma(S::mul(u, u), p, S::fma(S::splat(-0.5), u, S::splat(1.0)));
        // n - 2 round(n/2) is ±1 for odd n.
        let odd = S::sub(n, S::mul(S::splat(2.0), S::round(S::mul(n, S::splat(0.5)))));
        let turned = S::lt(S::splat(0.5), S::abs(odd));
        let zero = S::splat(0.0);
        (S::select(turned, S::sub(zero, cos), cos), S::select(turned, S::sub(zero, sin), sin))
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

/// Mills' ratio (1 - Φ(a))/φ(a) for a ≥ 0, relative error below 4e-7: t P₁₀(t) with t = 1/(1 + 0.3 a), which keeps the limit 1/a.
#[inline(always)]
pub(crate) unsafe fn mills_ratio<S: Lanes>(a: S::V) -> S::V {
    unsafe {
        let t = S::div(S::splat(1.0), S::fma(S::splat(0.3), a, S::splat(1.0)));
        let p = S::fma(S::splat(-2.321_604_4e-2), t, S::splat(7.912_62e-2));
        let p = S::fma(p, t, S::splat(-3.861_808e-2));
        let p = S::fma(p, t, S::splat(-1.243_687_8e-1));
        let p = S::fma(p, t, S::splat(8.734_308e-2));
        let p = S::fma(p, t, S::splat(2.713_036_7e-2));
        let p = S::fma(p, t, S::splat(1.551_922_6e-1));
        let p = S::fma(p, t, S::splat(2.176_346_8e-1));
        let p = S::fma(p, t, S::splat(2.730_928e-1));
        let p = S::fma(p, t, S::splat(2.999_976e-1));
        let p = S::fma(p, t, S::splat(0.3));
        S::mul(p, t)
    }
}

/// The point r of upper normal tail e^`log_tail` ≤ ½, and [`mills_ratio`] there: ln(1 - Φ(r)) = log_tail. The error of r is that of `log_tail`'s
/// rounding, for any size of it.
///
/// Starts from √(2v²) (1 + P(1/v)/v) with v² = -log_tail, within 0.05 of r, and takes two of Newton's steps: d ln(1 - Φ)/dr = -1/Mills' ratio.
#[inline(always)]
pub(crate) unsafe fn normal_tail_quantile<S: Lanes>(log_tail: S::V) -> (S::V, S::V) {
    unsafe {
        let v = S::sqrt(S::sub(S::splat(0.0), log_tail));
        let u = S::div(S::splat(1.0), v);
        let p = S::fma(S::splat(3.719_016e-1), u, S::splat(-1.275_150_1));
        let p = S::fma(p, u, S::splat(1.772_702_7));
        let p = S::fma(p, u, S::splat(-1.600_670_9));
        let p = S::fma(p, u, S::splat(-3.072_41e-2));
        let mut r = S::mul(S::splat(std::f32::consts::SQRT_2), S::add(v, p));
        for _ in 0..2 {
            let mills = mills_ratio::<S>(r);
            // ln(1 - Φ(r)) = -½ r² + ln(Mills' ratio/√(2π))
            let own = S::fma(S::mul(S::splat(-0.5), r), r, ln::<S>(S::mul(mills, S::splat(0.398_942_3))));
            r = S::fma(S::sub(own, log_tail), mills, r);
        }
        (r, mills_ratio::<S>(r))
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
        Cos,
        Sin,
        Mills,
        /// Of the logarithm of the tail.
        TailQuantile,
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
                Function::Cos => cos_sin::<S>(v).0,
                Function::Sin => cos_sin::<S>(v).1,
                Function::Mills => mills_ratio::<S>(v),
                Function::TailQuantile => normal_tail_quantile::<S>(v).0,
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
    fn cosine_and_sine_are_accurate_in_absolute_terms() {
        for simd in Simd::all() {
            for i in -2000..2000 {
                let x = f64::from(i) as f32 / 200.0;
                let (cos, sin) = (f64::from(eval(simd, Function::Cos, x)), f64::from(eval(simd, Function::Sin, x)));
                let error = (cos - f64::from(x).cos()).abs().max((sin - f64::from(x).sin()).abs());
                assert!(error < 2e-7, "{x} at {simd}: off by {error:.1e}");
            }
            assert!(eval(simd, Function::Cos, 1e4).abs() <= 1.01 && eval(simd, Function::Sin, f32::NAN).is_nan());
        }
    }

    /// Mills' ratio by Lentz's continued fraction a + 1/(a + 2/(a + 3/…)) from below, to f64 rounding for a > 2, and by its differential equation
    /// m' = a m - 1 from there down (Taylor steps of 1e-3).
    fn mills_exact(a: f64) -> f64 {
        let far = |a: f64| 1.0 / (1..=400).rev().fold(a, |tail, k| a + f64::from(k) / tail);
        if a >= 2.0 {
            return far(a);
        }
        let (mut at, mut m) = (2.0, far(2.0));
        let steps = 400;
        let h = (a - 2.0) / f64::from(steps);
        for _ in 0..steps {
            let first = at * m - 1.0;
            let second = m + at * first;
            let third = 2.0 * first + at * second;
            let fourth = 3.0 * second + at * third;
            m += h * (first + h * (second / 2.0 + h * (third / 6.0 + h * fourth / 24.0)));
            at += h;
        }
        m
    }

    #[test]
    fn normal_tails_are_accurate_everywhere() {
        assert!((mills_exact(0.0) - (std::f64::consts::PI / 2.0).sqrt()).abs() < 1e-9);
        for simd in Simd::all() {
            for i in 0..=600 {
                let a = (f64::from(i) / 100.0).exp2() - 1.0;
                let (got, want) = (f64::from(eval(simd, Function::Mills, a as f32)), mills_exact(f64::from(a as f32)));
                assert!((got / want - 1.0).abs() < 4e-7, "Mills' ratio of {a} at {simd}: {got} instead of {want}");
                let log_tail = -0.5 * a * a + (want / std::f64::consts::TAU.sqrt()).ln();
                // The quantile's slope is Mills' ratio; log_tail is rounded to f32, and so are the terms that cancel to it.
                let tolerance = 4e-7 * (1.0 + log_tail.abs()) * want + 2e-7 * a;
                let got = f64::from(eval(simd, Function::TailQuantile, log_tail as f32));
                assert!((got - f64::from(a as f32)).abs() < tolerance, "quantile of tail e^{log_tail} at {simd}: {got} instead of {a}");
            }
            for log_tail in [-1e6f32, -1e12] {
                let got = eval(simd, Function::TailQuantile, log_tail);
                assert!((got / (-2.0 * log_tail).sqrt() - 1.0).abs() < 1e-5, "{log_tail} at {simd}: {got}");
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
