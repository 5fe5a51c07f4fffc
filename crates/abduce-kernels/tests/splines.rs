//! Splines at every SIMD level against the same formulae in scalar f64: values, inverses, gradients, extremes.

use abduce_kernels::spline::{Ends, Spline};
use abduce_kernels::{LANES, Simd};

/// A reproducible sequence of numbers in (-1, 1).
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Knots and slopes of one row.
struct Exact {
    xs: Vec<f64>,
    ys: Vec<f64>,
    slopes: Vec<f64>,
    bound: f64,
}

impl Exact {
    fn new(spline: &Spline, raw: &[f64]) -> Self {
        let bound = f64::from(spline.bound);
        let knots = |raw: &[f64], floor: f32| {
            let floor = f64::from(floor);
            let top = raw.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weight = |r: &f64| ((r - top) * f64::from(spline.scale)).exp();
            let total: f64 = raw.iter().map(weight).sum();
            let mut knots = vec![-bound];
            for r in raw {
                knots.push(knots[knots.len() - 1] + 2.0 * bound * (floor + (1.0 - raw.len() as f64 * floor) * weight(r) / total));
            }
            knots
        };
        let k = spline.bins;
        let inner = raw[2 * k..].iter().map(|&r| f64::from(spline.min_slope) + r.max(0.0) + (-r.abs()).exp().ln_1p());
        let slopes = std::iter::once(1.0).chain(inner).chain([1.0]).collect();
        Self { xs: knots(&raw[..k], spline.min_width), ys: knots(&raw[k..2 * k], spline.min_height), slopes, bound }
    }

    /// y and ln dy/dx.
    fn forward(&self, x: f64) -> (f64, f64) {
        if x.abs() >= self.bound {
            return (x, 0.0);
        }
        let bins = self.xs.len() - 1;
        let k = (1..bins).filter(|&k| self.xs[k] <= x).count();
        let (w, h) = (self.xs[k + 1] - self.xs[k], self.ys[k + 1] - self.ys[k]);
        let (d0, d1) = (self.slopes[k], self.slopes[k + 1]);
        let (s, xi) = (h / w, (x - self.xs[k]) / w);
        let t = xi * (1.0 - xi);
        let d = s + (d0 + d1 - 2.0 * s) * t;
        let m = d1 * xi * xi + 2.0 * s * t + d0 * (1.0 - xi) * (1.0 - xi);
        (self.ys[k] + h * (s * xi * xi + d0 * t) / d, (s * s * m / (d * d)).ln())
    }

    /// (d₀ + d₁)/s of the bin that holds y.
    fn slope_ratio(&self, y: f64) -> f64 {
        let bins = self.xs.len() - 1;
        let k = (1..bins).filter(|&k| self.ys[k] <= y).count();
        (self.slopes[k] + self.slopes[k + 1]) * (self.xs[k + 1] - self.xs[k]) / (self.ys[k + 1] - self.ys[k])
    }

    /// x by bisection: forward is increasing.
    fn inverse(&self, y: f64) -> f64 {
        if y.abs() >= self.bound {
            return y;
        }
        let (mut low, mut high) = (-self.bound, self.bound);
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if self.forward(middle).0 < y { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
}

fn spline(bins: usize, scale: f32) -> Spline {
    Spline { bins, bound: 3.0, min_width: 1e-3, min_height: 1e-3, min_slope: 1e-3, scale, ends: Ends::Identity }
}

/// Raw parameters of `lanes` rows, feature-major.
fn raw_parameters(spline: &Spline, lanes: usize, spread: f64, sequence: &mut Sequence) -> Vec<f32> {
    (0..spline.parameters() * lanes).map(|_| (spread * sequence.next()) as f32).collect()
}

fn row_of(raw: &[f32], lanes: usize, row: usize) -> Vec<f64> {
    raw.iter().skip(row).step_by(lanes).map(|&r| f64::from(r)).collect()
}

/// Points everywhere: outside, at and next to the bounds, at and next to knots, inside.
fn points(spline: &Spline, raw: &[f32], lanes: usize, sequence: &mut Sequence) -> Vec<f32> {
    let bound = spline.bound;
    (0..lanes)
        .map(|row| match row % 8 {
            0 => (2.0 * f64::from(bound) * sequence.next()) as f32,
            1 => bound,
            2 => (-bound).next_up(),
            3 => bound.next_down(),
            4 | 5 => {
                let exact = Exact::new(spline, &row_of(raw, lanes, row));
                let knot = exact.xs[row / 8 % (spline.bins + 1)] as f32;
                if row % 8 == 4 { knot } else { knot.next_down() }
            }
            _ => (f64::from(bound) * sequence.next()) as f32,
        })
        .collect()
}

const CASES: [usize; 8] = [1, 2, 3, 5, 8, 10, 13, 16];
const ROWS: usize = 20 * LANES;

/// Knots are sums of up to K rounded widths: they may lie off by K ulp of the bound. A result is right if it is that of the exact spline
/// at a point no further away, up to a few ulp of the terms.
#[test]
fn values_and_inverses_are_those_of_the_formula() {
    let mut sequence = Sequence(1);
    for (spread, scale) in [(1.5, 1.0), (6.0, 0.35), (20.0, 0.14)] {
        for bins in CASES {
            let spline = spline(bins, scale);
            let raw = raw_parameters(&spline, ROWS, spread, &mut sequence);
            let x = points(&spline, &raw, ROWS, &mut sequence);
            let reach = f64::from(f32::EPSILON) * f64::from(spline.bound) * (2.0 + bins as f64);
            for simd in Simd::all() {
                let (mut y, mut ladj) = (vec![0.0; ROWS], vec![0.5; ROWS]);
                simd.spline_forward(&spline, &raw, &x, &mut y, &mut ladj);
                let (mut back, mut ladj_back) = (vec![0.0; ROWS], vec![0.0; ROWS]);
                simd.spline_inverse(&spline, &raw, &y, &mut back, &mut ladj_back);
                for row in 0..ROWS {
                    let exact = Exact::new(&spline, &row_of(&raw, ROWS, row));
                    let at = f64::from(x[row]);
                    // Knots too: the slope's extremes are there.
                    let forward_between = |low: f64, high: f64| {
                        let even = (0..=32).map(|i| low + (high - low) * f64::from(i) / 32.0);
                        let knots = exact.xs.iter().copied().filter(|knot| (low..high).contains(knot));
                        even.chain(knots).map(|x| exact.forward(x)).collect::<Vec<_>>()
                    };
                    let within = |what: &str, got: f32, values: &mut dyn Iterator<Item = f64>, slack: f64| {
                        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
                        // A smooth extreme between two of 33 samples is missed by a part in 33².
                        let slack = slack + (high - low) / 1000.0;
                        assert!(
                            (low - slack..=high + slack).contains(&f64::from(got)),
                            "{bins} bins, spread {spread}, {simd}, row {row}: {what} at {at} is {got}, expected {low} to {high}"
                        );
                    };
                    let near = forward_between(at - reach, at + reach);
                    within("y", y[row], &mut near.iter().map(|v| v.0), reach);
                    within("ladj", ladj[row] - 0.5, &mut near.iter().map(|v| v.1), 5e-5);

                    let level = f64::from(y[row]);
                    // The rounding of the knots, and a dozen roundings in the quadratic, whose terms of size (d₀ + d₁) × the bin's
                    // height, up to 2B, cancel down to s × it; in y before the solution and in x after it.
                    let terms = 12.0 * f64::from(f32::EPSILON) * 2.0 * f64::from(spline.bound);
                    let reach_back = reach + terms * exact.slope_ratio(level).max(1.0);
                    let (low, high) = (exact.inverse(level - reach_back), exact.inverse(level + reach_back));
                    within("inverse", back[row], &mut [low, high].into_iter(), reach + terms);
                    let near = forward_between(low - reach - terms, high + reach + terms);
                    within("inverse ladj", ladj_back[row], &mut near.iter().map(|v| -v.1), 5e-5);
                }
            }
        }
    }
}

/// Gradients of gy·y + gl·ladj by x and by every raw parameter against central differences of the f64 formula.
///
/// Points within 1e-5 of a knot or bound have gl = 0: there the gradient of y exists, that of ladj jumps. Per lane ‖Δg‖/‖g‖ ≤ 1e-3 (a lane
/// in a narrow steep bin amplifies the rounding of its knots), over all lanes ≤ 3e-5.
#[test]
fn gradients_are_those_of_the_formula() {
    const STEP: f64 = 1e-6;
    let mut sequence = Sequence(2);
    for bins in CASES {
        let spline = spline(bins, 0.5);
        let raw = raw_parameters(&spline, ROWS, 3.0, &mut sequence);
        let x = points(&spline, &raw, ROWS, &mut sequence);
        let grad_y: Vec<f32> = (0..ROWS).map(|_| sequence.next() as f32).collect();
        let mut grad_ladj: Vec<f32> = (0..ROWS).map(|_| sequence.next() as f32).collect();
        for row in 0..ROWS {
            let exact = Exact::new(&spline, &row_of(&raw, ROWS, row));
            if exact.xs.iter().any(|knot| (knot - f64::from(x[row])).abs() < 1e-5) {
                grad_ladj[row] = 0.0;
            }
        }
        for simd in Simd::all() {
            let (mut grad_raw, mut grad_x) = (vec![f32::NAN; raw.len()], vec![f32::NAN; ROWS]);
            simd.spline_backward(&spline, &raw, &x, (&grad_y, &grad_ladj), &mut grad_raw, &mut grad_x);
            let (mut all_error, mut all_norm) = (0.0, 0.0);
            for row in 0..ROWS {
                let own = row_of(&raw, ROWS, row);
                let at = f64::from(x[row]);
                // Central differences beside the bound would mix inside and outside: their slopes agree, so y is still differentiable there.
                let loss = |raw: &[f64], x: f64| {
                    let (y, ladj) = Exact::new(&spline, raw).forward(x);
                    f64::from(grad_y[row]) * y + f64::from(grad_ladj[row]) * ladj
                };
                let mut want: Vec<f64> = (0..own.len())
                    .map(|p| {
                        let moved = |delta: f64| {
                            let mut raw = own.clone();
                            raw[p] += delta;
                            loss(&raw, at)
                        };
                        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
                    })
                    .collect();
                want.push((loss(&own, at + STEP) - loss(&own, at - STEP)) / (2.0 * STEP));
                let got = row_of(&grad_raw, ROWS, row).into_iter().chain([f64::from(grad_x[row])]);
                let error: f64 = want.iter().zip(got).map(|(w, g)| (w - g) * (w - g)).sum();
                let norm: f64 = want.iter().map(|w| w * w).sum();
                assert!(
                    error.sqrt() <= 1e-3 * norm.sqrt().max(1e-2),
                    "{bins} bins, {simd}, row {row}, x = {at}: {error:.1e} of {norm:.1e}"
                );
                (all_error, all_norm) = (all_error + error, all_norm + norm);
            }
            assert!(all_error.sqrt() <= 3e-5 * all_norm.sqrt(), "{bins} bins, {simd}: {:.1e}", (all_error / all_norm).sqrt());
        }
    }
}

/// Raw values of ±1e4 squeeze all bins but one to their floor, and points of ±1e4 lie far outside.
#[test]
fn extreme_parameters_give_finite_monotone_maps() {
    let mut sequence = Sequence(3);
    for bins in CASES {
        let spline = spline(bins, 0.3);
        let raw: Vec<f32> = (0..spline.parameters()).map(|_| if sequence.next() > 0.0 { 1e4 } else { -1e4 }).collect();
        let raw: Vec<f32> = raw.iter().flat_map(|&r| [r; ROWS]).collect();
        let mut x: Vec<f32> = (0..ROWS as i32).map(|row| -3.3 + 6.6 * row as f32 / ROWS as f32).collect();
        (x[0], x[ROWS - 1]) = (-1e4, 1e4);
        for simd in Simd::all() {
            let (mut y, mut ladj) = (vec![0.0; ROWS], vec![0.0; ROWS]);
            simd.spline_forward(&spline, &raw, &x, &mut y, &mut ladj);
            // Rounding of knots may turn neighbours around by a few ulp of the bound.
            assert!(y.windows(2).all(|w| w[1] >= w[0] - 1e-5), "{bins} bins at {simd}: not monotone");
            assert!(y.iter().chain(&ladj).all(|v| v.is_finite()), "{bins} bins at {simd}: not finite");
            assert_eq!((y[0], y[ROWS - 1], ladj[0]), (-1e4, 1e4, 0.0));
            let (mut back, mut ladj_back) = (vec![0.0; ROWS], vec![0.0; ROWS]);
            simd.spline_inverse(&spline, &raw, &x, &mut back, &mut ladj_back);
            assert!(back.iter().chain(&ladj_back).all(|v| v.is_finite()), "{bins} bins at {simd}: inverse not finite");
            assert!(
                back.iter().zip(&x).all(|(b, x)| b.abs() <= 3.0 + 1e-5 || b == x),
                "{bins} bins at {simd}: inverse leaves the interval"
            );
            let ones = vec![1.0; ROWS];
            let (mut grad_raw, mut grad_x) = (vec![f32::NAN; raw.len()], vec![f32::NAN; ROWS]);
            simd.spline_backward(&spline, &raw, &x, (&ones, &ones), &mut grad_raw, &mut grad_x);
            assert!(grad_raw.iter().chain(&grad_x).all(|v| v.is_finite()), "{bins} bins at {simd}: gradient not finite");
        }
    }
}

/// The last bin as narrow as allowed takes nearly all the height: from 1 at the bound the slope climbs inwards to 1e3 within 6e-3. Points
/// just inside the bound, where the rounded bins end, must not see the continuation beyond it, where the slope falls below zero.
#[test]
fn steep_last_bins_keep_their_slope_at_the_bound() {
    for bins in [3, 10, 16, 64] {
        let spline = spline(bins, 1.0);
        let value = |p: usize| match p {
            p if p + 1 < bins => 0.7 * (p as f32).sin(),
            p if p + 1 == bins => -1e4,
            p if p + 1 == 2 * bins => 1e4,
            _ => 0.0,
        };
        let raw: Vec<f32> = (0..spline.parameters()).flat_map(|p| [value(p); LANES]).collect();
        let x: Vec<f32> = (0..LANES as i32).map(|l| spline.bound * (1.0 - (l + 1) as f32 * 0.5 * f32::EPSILON)).collect();
        for simd in Simd::all() {
            let (mut y, mut ladj) = ([0.0; LANES], [0.0; LANES]);
            simd.spline_forward(&spline, &raw, &x, &mut y, &mut ladj);
            let low = ladj.iter().copied().fold(f32::INFINITY, f32::min);
            assert!(low > -1e-4, "{bins} bins at {simd}: log-slope {low} next to the bound");
            assert!(y.iter().all(|&y| y <= spline.bound * (1.0 + 2e-6)), "{bins} bins at {simd}: {y:?}");
        }
    }
}

/// A point that is NaN, or whose parameters are, wherever it lies: its lane alone is NaN, in both directions.
#[test]
fn nan_stays_in_its_lane() {
    let mut sequence = Sequence(4);
    let spline = spline(7, 0.5);
    let raw = raw_parameters(&spline, LANES, 2.0, &mut sequence);
    for at in [-5.0, 0.3, 5.0] {
        let x = vec![at; LANES];
        let (mut nan_x, mut nan_raw) = (x.clone(), raw.clone());
        nan_x[5] = f32::NAN;
        nan_raw.iter_mut().skip(5).step_by(LANES).for_each(|r| *r = f32::NAN);
        for simd in Simd::all() {
            let run = |raw: &[f32], x: &[f32]| {
                let (mut y, mut back, mut ladj) = (vec![0.0; LANES], vec![0.0; LANES], vec![0.0; LANES]);
                simd.spline_forward(&spline, raw, x, &mut y, &mut ladj);
                simd.spline_inverse(&spline, raw, x, &mut back, &mut ladj);
                [y, back]
            };
            let clean = run(&raw, &x);
            for spoilt in [run(&raw, &nan_x), run(&nan_raw, &x)] {
                for (spoilt, clean) in spoilt.iter().zip(&clean) {
                    assert!((0..LANES).all(|l| if l == 5 { spoilt[l].is_nan() } else { spoilt[l] == clean[l] }), "{simd} at {at}");
                }
            }
        }
    }
}

/// ln dy/dx and y of a map of the circle: the point is shifted and wrapped, both ends have one slope.
fn circular(spline: &Spline, raw: &[f64], x: f64) -> (f64, f64) {
    let k = spline.bins;
    let mut exact = Exact::new(spline, &raw[..3 * k - 1]);
    let end = f64::from(spline.min_slope) + raw[3 * k - 1].max(0.0) + (-raw[3 * k - 1].abs()).exp().ln_1p();
    exact.slopes[0] = end;
    exact.slopes[k] = end;
    let turned = x + raw[3 * k];
    exact.forward(turned - 2.0 * exact.bound * (0.5 * turned / exact.bound).round())
}

/// Values, log-slopes, inverses and gradients on the circle, for moderate bins (slopes from 1/30 to 30, which multiply the rounding of the angle).
/// Rows within 1e-3 of the seam or of a knot are left out: there the value jumps by a period, or the slope's derivative jumps.
#[test]
fn maps_of_the_circle_are_those_of_the_formula() {
    const STEP: f64 = 1e-6;
    let mut sequence = Sequence(7);
    for bins in CASES {
        let spline = Spline { bound: std::f32::consts::PI, ends: Ends::Periodic, ..spline(bins, 1.0) };
        let period = 2.0 * f64::from(spline.bound);
        let raw = raw_parameters(&spline, ROWS, 1.0, &mut sequence);
        let x: Vec<f32> = (0..ROWS).map(|_| (10.0 * sequence.next()) as f32).collect();
        let (gy, gl): (Vec<f32>, Vec<f32>) = (0..ROWS).map(|_| (sequence.next() as f32, sequence.next() as f32)).unzip();
        let smooth = |row: usize| {
            let own = row_of(&raw, ROWS, row);
            let turned = f64::from(x[row]) + own[3 * bins];
            let at = turned - period * (turned / period).round();
            Exact::new(&spline, &own[..3 * bins - 1]).xs.iter().all(|knot| (knot - at).abs() > 1e-3)
        };
        let rows: Vec<usize> = (0..ROWS).filter(|&row| smooth(row)).collect();
        assert!(rows.len() > ROWS / 2);
        for simd in Simd::all() {
            let (mut y, mut ladj) = (vec![0.0; ROWS], vec![0.0; ROWS]);
            simd.spline_forward(&spline, &raw, &x, &mut y, &mut ladj);
            let (mut back, mut ladj_back) = (vec![0.0; ROWS], ladj.clone());
            simd.spline_inverse(&spline, &raw, &y, &mut back, &mut ladj_back);
            let (mut grad_raw, mut grad_x) = (vec![f32::NAN; raw.len()], vec![f32::NAN; ROWS]);
            simd.spline_backward(&spline, &raw, &x, (&gy, &gl), &mut grad_raw, &mut grad_x);
            assert!(y.iter().chain(&back).all(|&v| v.abs() < spline.bound), "{bins} bins at {simd}: outside the circle");
            for &row in &rows {
                let (own, at) = (row_of(&raw, ROWS, row), f64::from(x[row]));
                let (value, log_slope) = circular(&spline, &own, at);
                let place = format!("{bins} bins at {simd}, row {row}");
                assert!((f64::from(y[row]) - value).abs() < 5e-5, "{place}: {} instead of {value}", y[row]);
                assert!((f64::from(ladj[row]) - log_slope).abs() < 2e-4, "{place}: ladj {} instead of {log_slope}", ladj[row]);
                let turns = (f64::from(back[row]) - at) / period;
                assert!((turns - turns.round()).abs() < 1e-5, "{place}: {} comes back as {}", x[row], back[row]);
                assert!(ladj_back[row].abs() < 2e-4, "{place}: log-slopes differ by {}", ladj_back[row]);

                let loss = |raw: &[f64], x: f64| {
                    let (y, ladj) = circular(&spline, raw, x);
                    f64::from(gy[row]) * y + f64::from(gl[row]) * ladj
                };
                let mut want: Vec<f64> = (0..own.len())
                    .map(|p| {
                        let moved = |delta: f64| {
                            let mut raw = own.clone();
                            raw[p] += delta;
                            loss(&raw, at)
                        };
                        (moved(STEP) - moved(-STEP)) / (2.0 * STEP)
                    })
                    .collect();
                want.push((loss(&own, at + STEP) - loss(&own, at - STEP)) / (2.0 * STEP));
                let got = row_of(&grad_raw, ROWS, row).into_iter().chain([f64::from(grad_x[row])]);
                let error = want.iter().zip(got).map(|(w, g)| (w - g) * (w - g)).sum::<f64>().sqrt();
                let norm = want.iter().map(|w| w * w).sum::<f64>().sqrt();
                assert!(error <= 1e-3 * norm.max(1e-2), "{place}: gradient errs by {error:.1e} of {norm:.1e}");
            }
        }
    }
}
