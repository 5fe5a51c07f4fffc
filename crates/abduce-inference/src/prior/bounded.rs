//! The map between an interval and the real line that is nearly linear inside; see [`Bijection::Bounded`](super::Bijection::Bounded).
//!
//! With t ∈ (−1, 1) the parameter scaled to its interval, v = artanh t = ½ ln[(θ − low)/(high − θ)], u = t + 2w v.

use abduce_kernels::Simd;

/// w: the part of the interval next to each bound that is stretched.
const EDGE: f64 = 0.03;

/// Distances of θ from both bounds. A θ on a bound or beyond is moved inside by 2⁻²⁴ of the width, which is what rounding to f32 can have
/// moved it by.
pub(super) fn distances(theta: f64, low: f64, high: f64) -> (f64, f64) {
    let margin = (high - low) * (1.0 / (1u32 << 24) as f64);
    if theta <= low {
        (margin, high - low - margin)
    } else if theta >= high {
        (high - low - margin, margin)
    } else {
        (theta - low, high - theta)
    }
}

/// u of θ.
pub(super) fn unconstrained(theta: f64, low: f64, high: f64) -> f64 {
    let (a, b) = distances(theta, low, high);
    (a - b) / (a + b) + EDGE * libm::log(a / b)
}

/// ln |dθ/du| at θ: dt/du = s/(s + 2w) with s = 1 − t² = 4ab/(a + b)², a and b the distances from the bounds.
pub(super) fn log_derivative_at_theta(theta: f64, low: f64, high: f64) -> f64 {
    let (a, b) = distances(theta, low, high);
    let s = 4.0 * (a / (a + b)) * (b / (a + b));
    libm::log(0.5 * (a + b) * (s / (s + 2.0 * EDGE)))
}

/// ln |dθ/du| at u, accurate also where θ has rounded to its bound: with e = e^{−2v}, s = 4e/(1 + e)².
pub(super) fn log_derivative(u: f64, low: f64, high: f64) -> f64 {
    let [v] = half_log_odds([u]);
    log_derivative_at(v, high - low)
}

/// d/du ln |dθ/du|: with ln[s/(s + 2w)], ds/du = −2ts/(s + 2w).
pub(super) fn log_derivative_slope(u: f64) -> f64 {
    let [v] = half_log_odds([u]);
    let e = exp_of_negative(-2.0 * v);
    let t = ((1.0 - e) / (1.0 + e)).copysign(u);
    let s = 4.0 * e / ((1.0 + e) * (1.0 + e));
    -4.0 * EDGE * t / ((s + 2.0 * EDGE) * (s + 2.0 * EDGE))
}

fn log_derivative_at(v: f64, width: f64) -> f64 {
    let e = exp_of_negative(-2.0 * v);
    libm::log(2.0 * width) - 2.0 * v - libm::log(4.0 * e + 2.0 * EDGE * (1.0 + e) * (1.0 + e))
}

/// θ of u and ln |dθ/du| there.
pub(super) fn theta_with_log_derivative(u: f64, low: f64, high: f64) -> (f64, f64) {
    let [v] = half_log_odds([u]);
    (theta_at(v, u, low, high), log_derivative_at(v, high - low))
}

/// θ of u.
pub(super) fn theta(u: f64, low: f64, high: f64) -> f64 {
    let [theta] = theta_of_lanes([u], low, high);
    theta
}

/// θ of each u in place, with the instructions of `simd`; the same bits as [`theta`] at every level.
pub(super) fn theta_of_all(simd: Simd, values: &mut [f64], low: f64, high: f64) {
    const LANES: usize = 16;
    simd.vectorise(
        #[inline(always)]
        || {
            let (whole, rest) = values.as_chunks_mut::<LANES>();
            for lanes in whole {
                *lanes = theta_of_lanes(*lanes, low, high);
            }
            for value in rest {
                [*value] = theta_of_lanes([*value], low, high);
            }
        },
    );
}

#[inline(always)]
fn theta_of_lanes<const L: usize>(u: [f64; L], low: f64, high: f64) -> [f64; L] {
    let mut theta = [0.0; L];
    let v = half_log_odds(u);
    for l in 0..L {
        theta[l] = theta_at(v[l], u[l], low, high);
    }
    theta
}

/// θ where |artanh t| = v, on u's side: by its distance from the nearer bound, which so keeps its relative precision.
#[inline(always)]
fn theta_at(v: f64, u: f64, low: f64, high: f64) -> f64 {
    let e = exp_of_negative(-2.0 * v);
    let distance = (high - low) * (e / (1.0 + e));
    if u < 0.0 { low + distance } else { high - distance }
}

/// v ≥ 0 with tanh v + 2w v = |u|. The left side is concave, so Newton's steps from a lower bound rise to the solution without
/// overshooting; both tanh v ≤ v and tanh v ≤ 1 give such a bound. From the larger one the worst start (|u| = 1.06) is within 3e-12 after five
/// steps and exact after six.
///
/// Step by step over all lanes: inner loops without branches, which compilers turn into vectors.
#[inline(always)]
fn half_log_odds<const L: usize>(u: [f64; L]) -> [f64; L] {
    let mut v = [0.0; L];
    for l in 0..L {
        let (flat, steep) = (u[l].abs() / (1.0 + 2.0 * EDGE), (u[l].abs() - 1.0) / (2.0 * EDGE));
        v[l] = if flat > steep { flat } else { steep };
    }
    for _ in 0..6 {
        for l in 0..L {
            // tanh v and 1 − tanh² v from one exponential; their absolute error is what counts, t being of size 1.
            let e = exp_of_negative(-2.0 * v[l]);
            let inverse = 1.0 / (1.0 + e);
            v[l] += (u[l].abs() - (1.0 - e) * inverse - 2.0 * EDGE * v[l]) / (4.0 * e * inverse * inverse + 2.0 * EDGE);
        }
    }
    v
}

/// e^x for x ≤ 0 within 2 ulp, 1e-304 below −700; free of branches, so that loops over it vectorise.
///
/// x = n ln 2 + r with |r| ≤ ½ ln 2, and Taylor's series of e^r to r¹³ (remainder 4e-18).
#[inline(always)]
fn exp_of_negative(x: f64) -> f64 {
    /// 1.5 · 2⁵²: adding it rounds to an integer, which then stands in the lowest bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    /// ln 2 in two parts, the first with trailing zeros, so that n · high is exact.
    const LN_2: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
    let x = if x < -700.0 { -700.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + SHIFT;
    let n = shifted - SHIFT;
    let r = x - n * LN_2.0 - n * LN_2.1;
    let mut sum = 1.0 / 6_227_020_800.0;
    for inverse_factorial in INVERSE_FACTORIALS {
        sum = sum * r + inverse_factorial;
    }
    sum * f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0f64.to_bits()))
}

/// 1/12!, 1/11!, …, 1/0!.
const INVERSE_FACTORIALS: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
    1.0,
    1.0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_two_ulp() {
        for i in 0..200_000 {
            let x = -f64::from(i) * 0.0035;
            let (found, expected) = (exp_of_negative(x), libm::exp(x));
            assert!((found - expected).abs() <= 2.0 * f64::EPSILON * expected, "e^{x}: {found}, expected {expected}");
        }
        assert!(exp_of_negative(-1e300) < 1e-303 && exp_of_negative(f64::NEG_INFINITY) > 0.0);
        assert!(exp_of_negative(f64::NAN).is_nan());
    }

    /// u = tanh v + 2w v to the rounding of its terms.
    #[test]
    fn six_steps_of_newton_solve_the_equation_everywhere() {
        for i in 0..400_000 {
            let size = f64::from(i) * 1e-5;
            let [v] = half_log_odds([size]);
            let back = libm::tanh(v) + 2.0 * EDGE * v;
            assert!((back - size).abs() <= 8.0 * f64::EPSILON * (1.0 + size), "{size} -> {v} -> {back}");
        }
    }

    #[test]
    fn blocks_give_the_same_bits_at_every_level() {
        let values: Vec<f64> = (0..1003).map(|i| (f64::from(i) - 500.0) * 0.01).collect();
        let expected: Vec<f64> = values.iter().map(|&u| theta(u, -2.0, 0.5)).collect();
        for simd in Simd::all() {
            let mut found = values.clone();
            theta_of_all(simd, &mut found, -2.0, 0.5);
            assert_eq!(found, expected, "{simd}");
        }
    }
}
