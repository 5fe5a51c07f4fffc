//! Monotone univariate maps without an inverse in closed form.

use super::mixture::bent;
use super::network::{sigmoid, softplus};
use abduce_density::mixture::{normal_cdf, normal_quantile};

/// A map and its size.
#[derive(Clone, Copy)]
pub(super) enum Monotone {
    /// Components.
    Gaussianization(usize),
    /// Units.
    Sigmoidal(usize),
    SumOfSquares {
        polynomials: usize,
        degree: usize,
        bound: f64,
    },
    Bernstein {
        degree: usize,
        bound: f64,
    },
    Integral {
        hidden: usize,
        bound: f64,
    },
}

impl Monotone {
    pub(super) fn parameters(self) -> usize {
        match self {
            Self::Gaussianization(k) => 2 * k,
            Self::Sigmoidal(k) => 3 * k,
            Self::SumOfSquares { polynomials, degree, .. } => 1 + polynomials * (degree + 1),
            Self::Bernstein { degree, .. } => 1 + degree,
            Self::Integral { hidden, .. } => 2 + 3 * hidden,
        }
    }

    /// z and ln dz/dx.
    pub(super) fn apply(self, raw: &[f64], x: f64) -> (f64, f64) {
        match self {
            Self::Gaussianization(k) => {
                let parts = components(k, 1.2, 1.0, raw);
                let mean = |f: &dyn Fn(f64, f64) -> f64| parts.iter().map(|&(m, s)| f((x - m) / s, s)).sum::<f64>() / k as f64;
                let (lower, upper) = (mean(&|u, _| normal_cdf(u)), mean(&|u, _| normal_cdf(-u)));
                let z = if lower < upper { normal_quantile(lower) } else { -normal_quantile(upper) };
                (z, mean(&|u, s| (-0.5 * u * u).exp() / s).ln() + 0.5 * z * z)
            }
            Self::Sigmoidal(k) => {
                let parts = components(k, 1.5, std::f64::consts::PI.powi(2) / 3.0, raw);
                let total: f64 = raw[2 * k..].iter().map(|l| l.exp()).sum();
                let weight = |l: f64| 1e-3 / k as f64 + (1.0 - 1e-3) * l.exp() / total;
                let sum = |f: &dyn Fn(f64, f64) -> f64| {
                    parts.iter().zip(&raw[2 * k..]).map(|(&(m, s), &l)| weight(l) * f((x - m) / s, s)).sum::<f64>()
                };
                let (lower, upper) = (sum(&|v, _| sigmoid(v)), sum(&|v, _| sigmoid(-v)));
                let density = sum(&|v, s| sigmoid(v) * sigmoid(-v) / s);
                ((lower / upper).ln(), (density / (lower * upper)).ln())
            }
            Self::SumOfSquares { polynomials, degree, bound } => {
                let chebyshev = |j: usize, t: f64| (j as f64 * t.clamp(-1.0, 1.0).acos()).cos();
                let square =
                    |raw: &[f64], t: f64| (1.0 + raw.iter().enumerate().map(|(j, &a)| bend(a, 6.0) * chebyshev(j, t)).sum::<f64>()).powi(2);
                let g = |u: f64| 1e-3 + raw[1..].chunks(degree + 1).map(|a| square(a, u / bound)).sum::<f64>() / polynomials as f64;
                integral(raw[0], x, bound, g)
            }
            Self::Bernstein { degree, bound } => {
                let steps: Vec<f64> = raw[1..].iter().map(|&s| 2.0 * bound / degree as f64 * bent(s).exp()).collect();
                let mut coefficients = vec![raw[0] - 0.5 * steps.iter().sum::<f64>()];
                steps.iter().for_each(|s| coefficients.push(coefficients[coefficients.len() - 1] + s));
                let inner = x.clamp(-bound, bound);
                let t = 0.5 * (inner / bound + 1.0);
                let slope = casteljau(steps, t) * degree as f64 / (2.0 * bound);
                (casteljau(coefficients, t) + slope * (x - inner), slope.ln())
            }
            Self::Integral { hidden, bound } => {
                let rest = &raw[2..];
                let unit = |k: usize, u: f64| {
                    let bias = 2.0 * ((2 * k + 1) as f64 / hidden as f64 - 1.0) + rest[hidden + k];
                    bend(rest[2 * hidden + k], 4.0) * ((1.0 + bend(rest[k], 1.0)) * u + bias).tanh()
                };
                let start = (1.0f64 - 1e-3).exp_m1().ln() + raw[1];
                integral(raw[0], x, bound, |u| 1e-3 + softplus(start + (0..hidden).map(|k| unit(k, u)).sum::<f64>()))
            }
        }
    }
}

/// Bends a raw value into (-bound, bound).
fn bend(raw: f64, bound: f64) -> f64 {
    raw / (1.0 + raw.abs() / bound)
}

/// (mean, width) of K components: means even on (-reach, reach) and widths that give the whole `variance`, both moved by the raw values.
fn components(count: usize, reach: f64, variance: f64, raw: &[f64]) -> Vec<(f64, f64)> {
    let anchor = |k: usize| reach * ((2 * k + 1) as f64 / count as f64 - 1.0);
    let spread = (0..count).map(|k| anchor(k).powi(2)).sum::<f64>() / count as f64;
    let width = (1.0 - spread / variance).sqrt();
    (0..count).map(|k| (anchor(k) + raw[k], width * bent(raw[count + k]).exp())).collect()
}

fn casteljau(mut c: Vec<f64>, t: f64) -> f64 {
    while c.len() > 1 {
        c = c.windows(2).map(|w| (1.0 - t) * w[0] + t * w[1]).collect();
    }
    c[0]
}

/// (shift + ∫₀ˣ g, ln g(x)) with linear continuations: Gauss-Legendre with five nodes on each of six panels. The nodes have closed forms.
fn integral(shift: f64, x: f64, bound: f64, g: impl Fn(f64) -> f64) -> (f64, f64) {
    const PANELS: usize = 6;
    let root = (10.0f64 / 7.0).sqrt();
    let (near, far) = ((5.0 - 2.0 * root).sqrt() / 3.0, (5.0 + 2.0 * root).sqrt() / 3.0);
    let (heavy, light) = ((322.0 + 13.0 * 70f64.sqrt()) / 900.0, (322.0 - 13.0 * 70f64.sqrt()) / 900.0);
    let inner = x.clamp(-bound, bound);
    let half = 0.5 * inner / PANELS as f64;
    let panel = |p: usize| {
        let middle = half * (2 * p + 1) as f64;
        let pair = |node: f64| g(middle - half * node) + g(middle + half * node);
        half * (128.0 / 225.0 * g(middle) + heavy * pair(near) + light * pair(far))
    };
    let slope = g(inner);
    (shift + (0..PANELS).map(panel).sum::<f64>() + slope * (x - inner), slope.ln())
}
