//! The few special functions and the root finder that estimators need.

/// 1 + 1/2 + … + 1/n.
pub(crate) fn harmonic(n: usize) -> f64 {
    (1..=n).map(|j| 1.0 / j as f64).sum()
}

/// Zero of a function that changes its sign between `low` and `high`, to 1e-12 relative; `None` where it does not.
///
/// False position with the Illinois correction (Dowell & Jarratt 1971), which keeps the bracket and converges superlinearly.
pub(crate) fn root(mut low: f64, mut high: f64, mut f: impl FnMut(f64) -> f64) -> Option<f64> {
    let (mut f_low, mut f_high) = (f(low), f(high));
    if f_low == 0.0 {
        return Some(low);
    }
    if f_high == 0.0 {
        return Some(high);
    }
    if !(f_low.is_finite() && f_high.is_finite()) || (f_low > 0.0) == (f_high > 0.0) {
        return None;
    }
    let mut last_side = 0;
    for step in 0..200 {
        if (high - low).abs() <= 1e-12 * high.abs() {
            break;
        }
        // Every tenth step halves, against functions that false position creeps along.
        let x = if step % 10 == 9 { 0.5 * (low + high) } else { (low * f_high - high * f_low) / (f_high - f_low) };
        let value = f(x);
        if value == 0.0 || !value.is_finite() {
            return value.is_finite().then_some(x);
        }
        if (value > 0.0) == (f_high > 0.0) {
            (high, f_high) = (x, value);
            if last_side == 1 {
                f_low *= 0.5;
            }
            last_side = 1;
        } else {
            (low, f_low) = (x, value);
            if last_side == -1 {
                f_high *= 0.5;
            }
            last_side = -1;
        }
    }
    Some(if f_low.abs() < f_high.abs() { low } else { high })
}

/// Like [`root`], with the upper end found by doubling from 1 up to `most`.
pub(crate) fn root_above(low: f64, most: f64, mut f: impl FnMut(f64) -> f64) -> Option<f64> {
    let start = f(low);
    let mut high = 1.0f64.max(2.0 * low);
    while (f(high) > 0.0) == (start > 0.0) {
        if high >= most {
            return None;
        }
        high *= 2.0;
    }
    root(low, high, f)
}

/// Principal branch of Lambert's function, W e^W = x, for x >= 0.
///
/// Halley's iteration from ln(1 + x), or from the asymptotic ln x - ln ln x where x is large.
pub(crate) fn lambert_w(x: f64) -> f64 {
    let log = x.ln();
    let mut w = if x < 20.0 { x.ln_1p() } else { log - log.ln() };
    for _ in 0..40 {
        // In logarithms, so that a huge x does not overflow: h(w) = w + ln w - ln x.
        if w <= 0.0 {
            return x;
        }
        let h = w + w.ln() - log;
        let step = h / (1.0 + 1.0 / w);
        let next = w - step / (1.0 + 0.5 * step / (w * (1.0 + w)));
        if (next - w).abs() <= 1e-15 * w.abs() {
            return next;
        }
        w = if next > 0.0 { next } else { 0.5 * w };
    }
    w
}

/// ln I_0(x) and I_1(x)/I_0(x) of the modified Bessel functions, x >= 0.
///
/// Below 30 by the ratio's continued fraction and the power series, above by Hankel's asymptotic series (DLMF 10.33.1, 10.25.2, 10.40.1), so that
/// nothing overflows.
pub(crate) fn log_bessel_i0(x: f64) -> f64 {
    if x < 30.0 {
        let quarter = 0.25 * x * x;
        let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
        while term > 1e-17 * sum {
            term *= quarter / (k * k);
            sum += term;
            k += 1.0;
        }
        return f64::ln(sum);
    }
    x - 0.5 * (std::f64::consts::TAU * x).ln() + hankel(x, 0.0).ln()
}

/// I_1(x)/I_0(x).
pub(crate) fn bessel_ratio(x: f64) -> f64 {
    if x < 30.0 {
        let quarter = 0.25 * x * x;
        let (mut term0, mut term1, mut i0, mut i1, mut k) = (1.0, 0.5 * x, 1.0, 0.5 * x, 1.0);
        while term0 > 1e-17 * i0 || term1 > 1e-17 * i1 {
            term0 *= quarter / (k * k);
            term1 *= quarter / (k * (k + 1.0));
            i0 += term0;
            i1 += term1;
            k += 1.0;
        }
        return i1 / i0;
    }
    hankel(x, 1.0) / hankel(x, 0.0)
}

/// The series of I_ν(x) √(2πx) e^{-x} in 1/x, cut where its terms are below 1e-16 or begin to grow.
fn hankel(x: f64, order: f64) -> f64 {
    let mu = 4.0 * order * order;
    let (mut term, mut sum) = (1.0f64, 1.0);
    for k in 1..40 {
        let odd = f64::from(2 * k - 1);
        let next = -term * (mu - odd * odd) / (f64::from(k) * 8.0 * x);
        if next.abs() >= term.abs() || next.abs() < 1e-17 {
            break;
        }
        term = next;
        sum += term;
    }
    sum
}

/// Mean and the standard deviation of a sample (divisor n - 1).
pub(crate) fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, (squares / (n - 1.0).max(1.0)).sqrt())
}

/// Quantile of sorted values, linear between order statistics (type 7 of Hyndman & Fan 1996).
pub(crate) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let low = at.floor() as usize;
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambert_w_inverts_w_exp_w() {
        for w in [1e-12, 1e-3, 0.3, 1.0, 5.0, 40.0, 300.0] {
            let x: f64 = w * f64::exp(w);
            assert!((lambert_w(x) / w - 1.0).abs() < 1e-12, "{w}: {}", lambert_w(x));
        }
    }

    /// Values from the integrals I_n(x) = (1/π)∫ e^{x cos t} cos nt dt, by the trapezoidal rule, which is exact to rounding for periodic
    /// entire integrands.
    #[test]
    fn bessel_functions_match_their_integrals() {
        for x in [0.0, 0.01, 0.7, 3.0, 15.0, 29.9, 30.1, 200.0] {
            let n = 400;
            let (mut i0, mut i1) = (0.0, 0.0);
            for j in 0..n {
                let t = std::f64::consts::TAU * f64::from(j) / f64::from(n);
                let value = (x * (t.cos() - 1.0)).exp() / f64::from(n);
                i0 += value;
                i1 += value * t.cos();
            }
            assert!((log_bessel_i0(x) - x - i0.ln()).abs() < 1e-12, "{x}");
            assert!((bessel_ratio(x) - i1 / i0).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn roots_are_found_and_their_absence_is_told() {
        let cube = root(0.0, 9.0, |x| x * x * x - 5.0).unwrap();
        assert!((cube - 5f64.cbrt()).abs() < 1e-11);
        assert!((root_above(1e-8, 1e6, |x| 1.0 / x - 1e-3).unwrap() - 1000.0).abs() < 1e-7);
        assert_eq!(root(0.0, 1.0, |x| x + 1.0), None);
        assert_eq!(root_above(1.0, 1e3, |x| x + 1.0), None);
    }
}
