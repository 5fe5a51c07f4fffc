//! Monotone maps at every SIMD level against the same formulae in scalar f64: values, inverses, gradients, extremes.

use abduce_kernels::monotone::{Bernstein, Gaussianization, Integral, Monotone, Sigmoidal, SumOfSquares};
use abduce_kernels::{LANES, Simd};

/// A reproducible sequence of numbers in (-1, 1).
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

const BOUND: f64 = 5.0;

/// (raw parameters, x) → (y, ln dy/dx).
type Formula = Box<dyn Fn(&[f64], f64) -> (f64, f64)>;

/// One map by its formula: raw parameters and a point give the value and the log-slope.
struct Exact {
    name: &'static str,
    map: Monotone,
    formula: Formula,
}

fn bent(raw: f64, bound: f64) -> f64 {
    raw / (1.0 + raw.abs() / bound)
}

/// Means, widths.
fn components(count: usize, reach: f64, variance: f64, raw: &[f64]) -> Vec<(f64, f64)> {
    let k = count as f64;
    let width = (1.0 - reach * reach * (1.0 - 1.0 / (k * k)) / 3.0 / variance).sqrt();
    (0..count)
        .map(|i| {
            let anchor = reach * ((2 * i + 1) as f64 / k - 1.0);
            (anchor + raw[i], width * bent(raw[count + i], 1000f64.ln()).exp())
        })
        .collect()
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Φ⁻¹ of a probability below ½, by bisection.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-37.0, 0.1);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

fn gaussianization(count: usize) -> Exact {
    let formula = move |raw: &[f64], x: f64| {
        let parts = components(count, 1.2, 1.0, raw);
        let mean = |f: &dyn Fn(f64, f64) -> f64| parts.iter().map(|&(m, s)| f((x - m) / s, s)).sum::<f64>() / count as f64;
        let (lower, upper) = (mean(&|u, _| normal_cdf(u)), mean(&|u, _| normal_cdf(-u)));
        let z = if lower < upper { normal_quantile(lower) } else { -normal_quantile(upper) };
        let density = mean(&|u, s| (-0.5 * u * u).exp() / s);
        (z, density.ln() + 0.5 * z * z)
    };
    Exact { name: "Gaussianization", map: Monotone::Gaussianization(Gaussianization { components: count }), formula: Box::new(formula) }
}

fn sigmoidal(count: usize) -> Exact {
    let formula = move |raw: &[f64], x: f64| {
        let parts = components(count, 1.5, std::f64::consts::PI.powi(2) / 3.0, raw);
        let logits = &raw[2 * count..];
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|l| (l - top).exp()).sum();
        let sigma = |v: f64| 1.0 / (1.0 + (-v).exp());
        let (mut lower, mut upper, mut density) = (0.0, 0.0, 0.0);
        for (&(m, s), l) in parts.iter().zip(logits) {
            let (v, w) = ((x - m) / s, 1e-3 / count as f64 + (1.0 - 1e-3) * (l - top).exp() / total);
            lower += w * sigma(v);
            upper += w * sigma(-v);
            density += w * sigma(v) * sigma(-v) / s;
        }
        ((lower / upper).ln(), density.ln() - lower.ln() - upper.ln())
    };
    Exact { name: "sigmoidal", map: Monotone::Sigmoidal(Sigmoidal { components: count }), formula: Box::new(formula) }
}

/// Value and log-slope of c + ∫₀ˣ g with linear continuations, by Simpson's rule: steps h < 0.034, an error of h⁴ g''''/2880 per unit length, some 1e-8.
fn integral(shift: f64, x: f64, g: impl Fn(f64) -> f64) -> (f64, f64) {
    let inner = x.clamp(-BOUND, BOUND);
    let panels = 150;
    let h = inner / f64::from(panels);
    let simpson = |i: i32| h / 6.0 * (g(f64::from(i) * h) + 4.0 * g((f64::from(i) + 0.5) * h) + g((f64::from(i) + 1.0) * h));
    let slope = g(inner);
    (shift + (0..panels).map(simpson).sum::<f64>() + slope * (x - inner), slope.ln())
}

fn sum_of_squares(polynomials: usize, degree: usize) -> Exact {
    let formula = move |raw: &[f64], x: f64| {
        let coefficients: Vec<f64> = raw[1..].iter().map(|&a| bent(a, 6.0)).collect();
        let g = |u: f64| {
            let angle = (u / BOUND).clamp(-1.0, 1.0).acos();
            let square = |a: &[f64]| (1.0 + a.iter().enumerate().map(|(j, a)| a * (j as f64 * angle).cos()).sum::<f64>()).powi(2);
            1e-3 + coefficients.chunks(degree + 1).map(square).sum::<f64>() / polynomials as f64
        };
        integral(raw[0], x, g)
    };
    let map = Monotone::SumOfSquares(SumOfSquares::new(polynomials, degree, BOUND as f32));
    Exact { name: "sum of squares", map, formula: Box::new(formula) }
}

/// De Casteljau's algorithm on the coefficients, and on their differences for the slope.
fn bernstein(degree: usize) -> Exact {
    let formula = move |raw: &[f64], x: f64| {
        let steps: Vec<f64> = raw[1..].iter().map(|&s| 2.0 * BOUND / degree as f64 * bent(s, 1000f64.ln()).exp()).collect();
        let mut coefficients = vec![raw[0] - 0.5 * steps.iter().sum::<f64>()];
        steps.iter().for_each(|s| coefficients.push(coefficients[coefficients.len() - 1] + s));
        let casteljau = |mut c: Vec<f64>, t: f64| {
            while c.len() > 1 {
                c = c.windows(2).map(|w| (1.0 - t) * w[0] + t * w[1]).collect();
            }
            c[0]
        };
        let inner = x.clamp(-BOUND, BOUND);
        let t = 0.5 * (inner / BOUND + 1.0);
        let slope = casteljau(steps, t) * degree as f64 / (2.0 * BOUND);
        (casteljau(coefficients, t) + slope * (x - inner), slope.ln())
    };
    let map = Monotone::Bernstein(Bernstein { degree, bound: BOUND as f32 });
    Exact { name: "Bernstein", map, formula: Box::new(formula) }
}

fn network(hidden: usize) -> Exact {
    let formula = move |raw: &[f64], x: f64| {
        let rest = &raw[2..];
        let start = (1.0f64 - 1e-3).exp_m1().ln();
        let g = |u: f64| {
            let unit = |k: usize| {
                let bias = 2.0 * ((2 * k + 1) as f64 / hidden as f64 - 1.0) + rest[hidden + k];
                bent(rest[2 * hidden + k], 4.0) * ((1.0 + bent(rest[k], 1.0)) * u + bias).tanh()
            };
            let out = start + raw[1] + (0..hidden).map(unit).sum::<f64>();
            1e-3 + out.max(0.0) + (-out.abs()).exp().ln_1p()
        };
        integral(raw[0], x, g)
    };
    let map = Monotone::Integral(Integral::new(hidden, BOUND as f32, 32));
    Exact { name: "integral", map, formula: Box::new(formula) }
}

fn maps() -> Vec<Exact> {
    vec![
        gaussianization(1),
        gaussianization(8),
        sigmoidal(1),
        sigmoidal(16),
        sum_of_squares(1, 0),
        sum_of_squares(3, 4),
        bernstein(1),
        bernstein(2),
        bernstein(16),
        bernstein(32),
        network(1),
        network(16),
    ]
}

const ROWS: usize = 3 * LANES;

/// Raw parameters (parameters, lanes) of a spread, and points inside, at and outside the bound.
fn data(exact: &Exact, spread: f64, sequence: &mut Sequence) -> (Vec<f32>, Vec<f32>) {
    let raw = (0..exact.map.parameters() * ROWS).map(|_| (spread * sequence.next()) as f32).collect();
    let bound = BOUND as f32;
    let point = |row: usize, sequence: &mut Sequence| match row % 8 {
        0 => (12.0 * sequence.next()) as f32,
        1 => bound,
        2 => -bound,
        3 => 0.0,
        _ => (BOUND * sequence.next()) as f32,
    };
    (raw, (0..ROWS).map(|row| point(row, sequence)).collect())
}

fn row_of(raw: &[f32], row: usize) -> Vec<f64> {
    raw.iter().skip(row).step_by(ROWS).map(|&r| f64::from(r)).collect()
}

/// Values are sums of some tens of terms of size |y| or of the interval, each within an ulp (6e-8); log-slopes likewise.
#[test]
fn values_are_those_of_the_formula() {
    let mut sequence = Sequence(1);
    for exact in maps() {
        for spread in [0.5, 1.5] {
            let (raw, x) = data(&exact, spread, &mut sequence);
            for simd in Simd::all() {
                let (mut y, mut ladj) = (vec![0.0; ROWS], vec![0.25; ROWS]);
                simd.monotone_forward(&exact.map, &raw, &x, &mut y, &mut ladj);
                for row in 0..ROWS {
                    let (value, log_slope) = (exact.formula)(&row_of(&raw, row), f64::from(x[row]));
                    let error = (f64::from(y[row]) - value).abs() / (5.0 + value.abs());
                    assert!(error < 1e-6, "{} at {simd}, row {row}: {} instead of {value}", exact.name, y[row]);
                    let error = (f64::from(ladj[row]) - 0.25 - log_slope).abs() / (1.0 + log_slope.abs());
                    assert!(error < 5e-6, "{} at {simd}, row {row}, x = {}: ladj {} instead of {log_slope}", exact.name, x[row], ladj[row]);
                }
            }
        }
    }
}

/// Forward after inverse gives the target to the rounding of forward; the two log-slopes cancel.
#[test]
fn inverses_reach_their_target() {
    let mut sequence = Sequence(2);
    for exact in maps() {
        for spread in [0.5, 1.5] {
            let (raw, target) = data(&exact, spread, &mut sequence);
            for simd in Simd::all() {
                let (mut x, mut y, mut ladj) = (vec![0.0; ROWS], vec![0.0; ROWS], vec![0.0; ROWS]);
                simd.monotone_inverse(&exact.map, &raw, &target, &mut x, &mut ladj);
                simd.monotone_forward(&exact.map, &raw, &x, &mut y, &mut ladj);
                for row in 0..ROWS {
                    // x is rounded to f32: the slope carries that into y.
                    let (value, log_slope) = (exact.formula)(&row_of(&raw, row), f64::from(x[row]));
                    let tolerance = 2e-6 * (5.0 + value.abs()) + 1e-7 * log_slope.exp() * f64::from(x[row]).abs();
                    let error = (value - f64::from(target[row])).abs();
                    assert!(error < tolerance, "{} at {simd}, row {row}: {value} instead of {}", exact.name, target[row]);
                    assert!(ladj[row].abs() < 1e-6, "{} at {simd}, row {row}: log-slopes differ by {}", exact.name, ladj[row]);
                }
            }
        }
    }
}

/// Gradients of gy·y + gl·ladj against central differences; points at the bound have gl = 0: there the slope's derivative jumps.
#[test]
fn gradients_are_those_of_the_formula() {
    const STEP: f64 = 1e-5;
    let mut sequence = Sequence(3);
    for exact in maps() {
        let (raw, x) = data(&exact, 0.8, &mut sequence);
        let grad_y: Vec<f32> = (0..ROWS).map(|_| sequence.next() as f32).collect();
        let grad_ladj: Vec<f32> = x.iter().map(|&x| if f64::from(x.abs()) == BOUND { 0.0 } else { sequence.next() as f32 }).collect();
        let want: Vec<Vec<f64>> = (0..ROWS)
            .map(|row| {
                let (own, at) = (row_of(&raw, row), f64::from(x[row]));
                let loss = |raw: &[f64], x: f64| {
                    let (y, ladj) = (exact.formula)(raw, x);
                    f64::from(grad_y[row]) * y + f64::from(grad_ladj[row]) * ladj
                };
                let by_raw = (0..own.len()).map(|p| {
                    let moved = |delta: f64| {
                        let mut raw = own.clone();
                        raw[p] += delta;
                        loss(&raw, at)
                    };
                    (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
                });
                by_raw.chain([(loss(&own, at + STEP) - loss(&own, at - STEP)) / (2.0 * STEP)]).collect()
            })
            .collect();
        for simd in Simd::all() {
            let (mut grad_raw, mut grad_x) = (vec![f32::NAN; raw.len()], vec![f32::NAN; ROWS]);
            simd.monotone_backward(&exact.map, &raw, &x, (&grad_y, &grad_ladj), &mut grad_raw, &mut grad_x);
            for row in 0..ROWS {
                let got = row_of(&grad_raw, row).into_iter().chain([f64::from(grad_x[row])]);
                let error = want[row].iter().zip(got).map(|(w, g)| (w - g) * (w - g)).sum::<f64>().sqrt();
                let norm = want[row].iter().map(|w| w * w).sum::<f64>().sqrt();
                // Kinks of the derivative at the bound leave the step's length besides.
                let kink = if f64::from(x[row].abs()) == BOUND { STEP } else { 0.0 };
                let name = exact.name;
                assert!(error <= (2e-5 + kink) * (0.1 + norm), "{name} at {simd}, row {row}, x = {}: {error:.1e} of {norm:.1e}", x[row]);
            }
        }
    }
}

/// Raw values of ±1e4 and points of ±1e4: finite and monotone everywhere.
#[test]
fn extreme_parameters_give_finite_monotone_maps() {
    let mut sequence = Sequence(4);
    for exact in maps() {
        let raw: Vec<f32> = (0..exact.map.parameters()).map(|_| if sequence.next() > 0.0 { 1e4 } else { -1e4 }).collect();
        let raw: Vec<f32> = raw.iter().flat_map(|&r| [r; ROWS]).collect();
        let mut x: Vec<f32> = (0..ROWS as i32).map(|row| -6.0 + 12.0 * row as f32 / ROWS as f32).collect();
        (x[0], x[ROWS - 1]) = (-1e4, 1e4);
        for simd in Simd::all() {
            let (mut y, mut ladj) = (vec![0.0; ROWS], vec![0.0; ROWS]);
            simd.monotone_forward(&exact.map, &raw, &x, &mut y, &mut ladj);
            assert!(y.windows(2).all(|w| w[1] >= w[0] - 1e-6 * (w[0].abs() + w[1].abs())), "{} at {simd}: not monotone", exact.name);
            assert!(y.iter().chain(&ladj).all(|v| v.is_finite()), "{} at {simd}: not finite", exact.name);
            let (mut back, mut ladj_back) = (vec![0.0; ROWS], vec![0.0; ROWS]);
            simd.monotone_inverse(&exact.map, &raw, &x, &mut back, &mut ladj_back);
            assert!(back.iter().chain(&ladj_back).all(|v| v.is_finite()), "{} at {simd}: inverse not finite", exact.name);
            let ones = vec![1.0; ROWS];
            let (mut grad_raw, mut grad_x) = (vec![f32::NAN; raw.len()], vec![f32::NAN; ROWS]);
            simd.monotone_backward(&exact.map, &raw, &x, (&ones, &ones), &mut grad_raw, &mut grad_x);
            assert!(grad_raw.iter().chain(&grad_x).all(|v| v.is_finite()), "{} at {simd}: gradient not finite", exact.name);
        }
    }
}

/// Where all raw parameters are zero a polynomial map is the identity, and the others lie near it.
#[test]
fn maps_start_near_the_identity() {
    for exact in maps() {
        let raw = vec![0.0; exact.map.parameters() * LANES];
        let x: Vec<f32> = (0..LANES as i32).map(|l| -2.0 + 4.0 * l as f32 / (LANES - 1) as f32).collect();
        let (mut y, mut ladj) = ([0.0; LANES], [0.0; LANES]);
        Simd::best().monotone_forward(&exact.map, &raw, &x, &mut y, &mut ladj);
        let far = x.iter().zip(&y).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(far < 0.25, "{}: off by {far}", exact.name);
    }
}

/// A point that is NaN, or whose parameters are: its lane alone is NaN, in both directions.
#[test]
fn nan_stays_in_its_lane() {
    let mut sequence = Sequence(5);
    for exact in maps() {
        let raw: Vec<f32> = (0..exact.map.parameters() * LANES).map(|_| sequence.next() as f32).collect();
        for at in [-7.0, 0.3, 7.0] {
            let x = vec![at; LANES];
            let (mut nan_x, mut nan_raw) = (x.clone(), raw.clone());
            nan_x[5] = f32::NAN;
            nan_raw.iter_mut().skip(5).step_by(LANES).for_each(|r| *r = f32::NAN);
            for simd in Simd::all() {
                let run = |raw: &[f32], x: &[f32]| {
                    let (mut y, mut back, mut ladj) = (vec![0.0; LANES], vec![0.0; LANES], vec![0.0; LANES]);
                    simd.monotone_forward(&exact.map, raw, x, &mut y, &mut ladj);
                    simd.monotone_inverse(&exact.map, raw, x, &mut back, &mut ladj);
                    [y, back]
                };
                let clean = run(&raw, &x);
                for spoilt in [run(&raw, &nan_x), run(&nan_raw, &x)] {
                    for (spoilt, clean) in spoilt.iter().zip(&clean) {
                        let right = (0..LANES).all(|l| if l == 5 { spoilt[l].is_nan() } else { spoilt[l] == clean[l] });
                        assert!(right, "{} at {simd}, x = {at}: {spoilt:?}", exact.name);
                    }
                }
            }
        }
    }
}
