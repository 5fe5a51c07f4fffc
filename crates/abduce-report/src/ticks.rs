//! Round numbers along an axis.

/// How values become lengths along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Equal differences are equal lengths.
    #[default]
    Linear,
    /// Equal ratios are equal lengths; values must be positive.
    Log10,
}

/// Where an axis is marked, and with what.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ticks {
    pub(crate) values: Vec<f64>,
    /// One per value, in the notation of [`crate::Label`].
    pub(crate) labels: Vec<String>,
    /// Short unlabelled marks.
    pub(crate) minor: Vec<f64>,
    /// The labels are in units of `10^exponent`.
    pub(crate) exponent: i32,
}

/// Multiples of 1, 2, 2.5 or 5 times a power of ten within `[low, high]`: the finest such step that gives at most `most` ticks.
/// Needs `low < high`, both finite. Labels share one number of decimals; numbers from 10⁵ up, or all below 10⁻³, share a factor.
pub(crate) fn linear(low: f64, high: f64, most: usize) -> Ticks {
    let span = high - low;
    let mut decade = 10_f64.powf((span / most.max(1) as f64).log10().floor());
    let mut found = None;
    'search: for _ in 0..3 {
        for (factor, digits) in [(1.0, 0), (2.0, 0), (2.5, 1), (5.0, 0)] {
            let step = factor * decade;
            // A rounding allowance of 1e-9 steps keeps ticks at the very ends.
            let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
            if last - first + 1.0 <= most.max(1) as f64 {
                found = Some((step, digits - decade.log10().round() as i32, first, last));
                break 'search;
            }
        }
        decade *= 10.0;
    }
    let Some((step, decimals, first, last)) = found else {
        return Ticks { values: Vec::new(), labels: Vec::new(), minor: Vec::new(), exponent: 0 };
    };
    let values: Vec<f64> = (0..=(last - first).max(-1.0) as i64).take_while(|_| last >= first).map(|i| (first + i as f64) * step).collect();
    let largest = values.iter().fold(0.0_f64, |a, v| a.max(v.abs()));
    let exponent = if largest >= 1e5 || (largest > 0.0 && largest < 1e-3) { largest.log10().floor() as i32 } else { 0 };
    let decimals = (decimals + exponent).max(0) as usize;
    let labels = values.iter().map(|value| fixed(value / 10_f64.powi(exponent), decimals)).collect();
    Ticks { values, labels, minor: Vec::new(), exponent }
}

/// Powers of ten within `[low, high]` (both positive), thinned to at most `most`; below 1.5 decades the multiples 1, 2, 5 or the linear ticks.
pub(crate) fn logarithmic(low: f64, high: f64, most: usize) -> Ticks {
    let (first, last) = ((low.log10() - 1e-9).ceil() as i32, (high.log10() + 1e-9).floor() as i32);
    let within = |value: f64| value >= low * (1.0 - 1e-9) && value <= high * (1.0 + 1e-9);
    let multiples = |factors: &[f64]| -> Vec<(f64, f64, i32)> {
        (first - 1..=last)
            .flat_map(|e| factors.iter().map(move |f| (f * 10_f64.powi(e), *f, e)))
            .filter(|(value, _, _)| within(*value))
            .collect()
    };
    let minor: Vec<f64> = if last - first < 12 {
        multiples(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]).into_iter().map(|(value, _, _)| value).collect()
    } else {
        Vec::new()
    };
    if last - first >= 2 {
        let stride = (((last - first + 1) as f64) / most.max(1) as f64).ceil().max(1.0) as usize;
        let exponents: Vec<i32> = (first..=last).step_by(stride).collect();
        return Ticks {
            values: exponents.iter().map(|e| 10_f64.powi(*e)).collect(),
            labels: exponents.iter().map(|e| power_label(1.0, *e)).collect(),
            minor,
            exponent: 0,
        };
    }
    let candidates: [(&[f64], usize); 5] =
        [(&[1.0, 2.0, 5.0], 3), (&[1.0, 2.0, 3.0, 4.0, 6.0, 8.0], 3), (&[1.0, 2.0, 5.0], 2), (&[1.0, 3.0], 2), (&[1.0], 2)];
    for (factors, fewest) in candidates {
        let ticks = multiples(factors);
        if (fewest..=most.max(2)).contains(&ticks.len()) {
            return Ticks {
                values: ticks.iter().map(|(value, _, _)| *value).collect(),
                labels: ticks.iter().map(|(_, factor, e)| power_label(*factor, *e)).collect(),
                minor,
                exponent: 0,
            };
        }
    }
    linear(low, high, most)
}

/// `f × 10^e`, plain between 0.01 and 10 000.
fn power_label(factor: f64, exponent: i32) -> String {
    match exponent {
        0..=3 => fixed(factor * 10_f64.powi(exponent), 0),
        -2..=-1 => fixed(factor * 10_f64.powi(exponent), exponent.unsigned_abs() as usize),
        _ if factor == 1.0 => format!("$10^{{{exponent}}}$"),
        _ => format!("${factor}\\times10^{{{exponent}}}$"),
    }
}

/// Fixed decimals with a true minus sign and no negative zero.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|b| b == b'0' || b == b'.') => digits.to_owned(),
        Some(digits) => format!("\u{2212}{digits}"),
        None => text,
    }
}

/// A number in running text: `digits` significant digits, with a power of ten outside 10⁻³…10⁵.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() { "n/a".to_owned() } else { (if value > 0.0 { "∞" } else { "\u{2212}∞" }).to_owned() };
    }
    let digits = digits.max(1);
    // The exponent after rounding: 9.996 with three digits is 10.0.
    let scientific = format!("{:.*e}", digits - 1, value);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-3..5).contains(&exponent) {
        return fixed(value, (digits as i32 - 1 - exponent).max(0) as usize);
    }
    let superscript: String = exponent
        .to_string()
        .chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            digit => char::from_u32(0x2070 + digit.to_digit(10).unwrap_or(0)).unwrap_or(digit),
        })
        .collect();
    format!("{}×10{superscript}", mantissa.replace('-', "\u{2212}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_few_and_inside() {
        let mut low = -3.7;
        for step in 0..400 {
            low = low * 1.09 + 0.013 * f64::from(step % 7);
            let span = 10_f64.powf(f64::from(step % 23) / 2.0 - 6.0) * low.abs().max(1e-3);
            for most in [2, 3, 5, 9] {
                let ticks = linear(low, low + span, most);
                assert!(ticks.values.len() <= most, "{low} {span} {most}: {ticks:?}");
                // The next finer round step is at most 2.5 times finer.
                assert!(ticks.values.len() >= (most / 3).saturating_sub(1), "{low} {span} {most}: {ticks:?}");
                assert!(ticks.values.iter().all(|v| *v >= low - 1e-6 * span && *v <= low + span * (1.0 + 1e-6)));
                let distinct: std::collections::BTreeSet<_> = ticks.labels.iter().collect();
                assert_eq!(distinct.len(), ticks.labels.len(), "labels must differ: {ticks:?}");
            }
        }
    }

    #[test]
    fn familiar_axes() {
        assert_eq!(linear(0.0, 1.0, 6).labels, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(linear(-1.0, 1.0, 5).labels, ["\u{2212}1.0", "\u{2212}0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(linear(0.0, 1.0, 5).labels, ["0.00", "0.25", "0.50", "0.75", "1.00"]);
        let large = linear(0.0, 2.0e6, 5);
        assert_eq!((large.labels.join(" ").as_str(), large.exponent), ("0.0 0.5 1.0 1.5 2.0", 6));
        let small = linear(0.0, 4.0e-5, 5);
        assert_eq!((small.labels.join(" ").as_str(), small.exponent), ("0 1 2 3 4", -5));
        assert_eq!(logarithmic(1e14, 1e17, 6).labels, ["$10^{14}$", "$10^{15}$", "$10^{16}$", "$10^{17}$"]);
        assert_eq!(logarithmic(1.0, 60.0, 6).labels, ["1", "2", "5", "10", "20", "50"]);
    }

    #[test]
    fn numbers_in_text() {
        for (value, text) in [
            (0.12345, "0.123"),
            (9.996, "10.0"),
            (-1234.5, "\u{2212}1234"),
            (1.5e14, "1.50×10¹⁴"),
            (2.0e-7, "2.00×10⁻⁷"),
            (0.0, "0"),
            (f64::NAN, "n/a"),
        ] {
            assert_eq!(significant(value, 3), text);
        }
    }
}
