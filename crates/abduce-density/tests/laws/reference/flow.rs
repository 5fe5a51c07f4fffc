//! Flows, from θ to noise.

use super::Reference;
use super::mixture::bent;
use super::monotone::Monotone;
use super::network::softplus;
use abduce_density::{DensitySpec, SplineSpec};

/// A univariate map; its raw parameters for feature t of T.
#[derive(Clone, Copy)]
enum Map {
    Shift,
    Affine,
    /// Spline, and the factor 1/√hidden on raw widths and heights.
    Spline(SplineSpec, f64),
    /// Spline of the circle with this many bins, and the factor 1/√hidden.
    Circle(usize, f64),
    /// One of the maps of [`monotone`](super::monotone).
    Monotone(Monotone),
}

impl Map {
    fn parameters(self) -> usize {
        match self {
            Self::Shift => 1,
            Self::Affine => 2,
            Self::Spline(spline, _) => 3 * spline.bins - 1,
            Self::Circle(bins, _) => 3 * bins + 1,
            Self::Monotone(map) => map.parameters(),
        }
    }

    /// Feature that raw parameter `o` belongs to.
    fn owner(self, o: usize, count: usize) -> usize {
        match self {
            Self::Shift | Self::Affine => o % count,
            Self::Spline(..) | Self::Circle(..) | Self::Monotone(_) => o / self.parameters(),
        }
    }

    /// z and ln dz/dx of feature `t` of `count`.
    fn apply(self, raw: &[f64], t: usize, count: usize, x: f64) -> (f64, f64) {
        match self {
            Self::Shift => (x - raw[t], 0.0),
            Self::Affine => {
                let s = bent(raw[count + t]);
                ((x - raw[t]) * (-s).exp(), -s)
            }
            Self::Spline(spec, scale) => {
                let slope = |raw: f64| FLOOR + softplus(raw);
                let own = &raw[t * self.parameters()..][..self.parameters()];
                let (bins, bound) = (spec.bins, f64::from(spec.bound));
                if x.abs() >= bound {
                    return (x, 0.0);
                }
                let slopes: Vec<f64> = [1.0].into_iter().chain(own[2 * bins..].iter().map(|&r| slope(r))).chain([1.0]).collect();
                spline(bound, scale, &own[..2 * bins], &slopes, x)
            }
            Self::Circle(bins, scale) => {
                let own = &raw[t * self.parameters()..][..self.parameters()];
                let slope = |raw: f64| FLOOR + softplus(raw);
                let end = slope(own[3 * bins - 1]);
                let inner = own[2 * bins..3 * bins - 1].iter().map(|&r| slope(r));
                let slopes: Vec<f64> = [end].into_iter().chain(inner).chain([end]).collect();
                // The kernel's circle has f32's π.
                let bound = f64::from(std::f32::consts::PI);
                let turned = x + own[3 * bins];
                spline(bound, scale, &own[..2 * bins], &slopes, turned - 2.0 * bound * (0.5 * turned / bound).round())
            }
            Self::Monotone(map) => map.apply(&raw[t * self.parameters()..][..self.parameters()], x),
        }
    }
}

/// Smallest width, height and slope of a spline's bins.
const FLOOR: f64 = 1e-3;

/// Rational-quadratic spline (Durkan et al. 2019, Eqs. 4-5) on [-B, B] with K raw widths, K raw heights and the slopes at the K + 1 knots.
fn spline(bound: f64, scale: f64, raw: &[f64], slopes: &[f64], x: f64) -> (f64, f64) {
    let bins = slopes.len() - 1;
    let knots = |raw: &[f64]| {
        let total: f64 = raw.iter().map(|r| (r * scale).exp()).sum();
        let mut knots = vec![-bound];
        for r in raw {
            let share = FLOOR + (1.0 - bins as f64 * FLOOR) * (r * scale).exp() / total;
            knots.push(knots[knots.len() - 1] + 2.0 * bound * share);
        }
        knots
    };
    let (xs, ys) = (knots(&raw[..bins]), knots(&raw[bins..]));
    let k = (1..bins).filter(|&k| xs[k] <= x).count();
    let (w, h, d0, d1) = (xs[k + 1] - xs[k], ys[k + 1] - ys[k], slopes[k], slopes[k + 1]);
    let (s, xi) = (h / w, (x - xs[k]) / w);
    let eta = xi * (1.0 - xi);
    let den = s + (d0 + d1 - 2.0 * s) * eta;
    let y = ys[k] + h * (s * xi * xi + d0 * eta) / den;
    (y, (s * s * (d1 * xi * xi + 2.0 * s * eta + d0 * (1.0 - xi).powi(2)) / (den * den)).ln())
}

/// Runs the parts of a flow in turn, on the path `transforms.K.` of each.
struct Run<'a> {
    model: &'a Reference<'a>,
    value: Vec<f64>,
    ladj: f64,
    part: usize,
    c: &'a [f64],
}

impl Run<'_> {
    fn scope(&mut self) -> String {
        self.part += 1;
        format!("transforms.{}.", self.part - 1)
    }

    /// Maps the features in `transformed`.
    fn map(&mut self, map: Map, transformed: &[usize], raw: &[f64]) {
        for (t, &f) in transformed.iter().enumerate() {
            let (z, slope) = map.apply(raw, t, transformed.len(), self.value[f]);
            self.value[f] = z;
            self.ladj += slope;
        }
    }

    /// Transform `index`: features in natural order for even, in reversed order for odd.
    fn autoregressive(&mut self, index: usize, hidden: &[usize], map: Map) {
        let (scope, features) = (self.scope(), self.value.len());
        let degree = |f: usize| if index.is_multiple_of(2) { f + 1 } else { features - f };
        // Angles are seen through their cosines and sines, so a network is told 2D numbers.
        let seen: Vec<f64> = match map {
            Map::Circle(..) => self.value.iter().map(|v| v.cos()).chain(self.value.iter().map(|v| v.sin())).collect(),
            _ => self.value.clone(),
        };
        let raw = self.model.masked_perceptron(&scope, &seen, self.c, hidden, degree, |o| map.owner(o, features), features);
        self.map(map, &(0..features).collect::<Vec<_>>(), &raw);
    }

    /// Features of the parity of `index` are mapped, as told by the others; a single feature always.
    fn coupling(&mut self, index: usize, map: Map, net: impl Fn(&Reference<'_>, &str, &[f64], &[f64]) -> Vec<f64>) {
        let (scope, features) = (self.scope(), self.value.len());
        let (transformed, passed): (Vec<usize>, Vec<usize>) = (0..features).partition(|f| features == 1 || f % 2 == index % 2);
        let seen: Vec<f64> = passed.iter().map(|&f| self.value[f]).collect();
        let raw = net(self.model, &scope, &seen, self.c);
        self.map(map, &transformed, &raw);
    }

    /// Runge-Kutta with fixed steps on dy/dt = v(y, t, c), and on the trace of v's Jacobian.
    fn ode(&mut self, steps: usize) {
        let scope = self.scope();
        let h = 1.0 / steps as f64;
        for n in 0..steps {
            let start = self.value.clone();
            let mut velocity = vec![0.0; start.len()];
            for (reach, weight) in [(0.0, 1.0), (0.5, 2.0), (0.5, 2.0), (1.0, 1.0)] {
                let point: Vec<f64> = start.iter().zip(&velocity).map(|(y, v)| y + reach * h * v).collect();
                let (v, trace) = self.model.velocity(&scope, &point, (n as f64 + reach) * h, self.c);
                self.value.iter_mut().zip(&v).for_each(|(y, v)| *y += h * weight / 6.0 * v);
                self.ladj += h * weight / 6.0 * trace;
                velocity = v;
            }
        }
    }

    /// L(U x) + b; nothing for a single feature.
    fn lu(&mut self) {
        let d = self.value.len();
        if d == 1 {
            return;
        }
        let scope = self.scope();
        let tensor = |name: &str| self.model.tensor(&format!("{scope}{name}"));
        let (lower, upper, bias) = (tensor("lower"), tensor("upper"), tensor("bias"));
        let diagonal: Vec<f64> = tensor("diagonal").iter().map(|&r| softplus(r) + 1e-3).collect();
        let mut above = upper.iter();
        let mut ux = vec![0.0; d];
        for i in 0..d {
            ux[i] = diagonal[i] * self.value[i];
            for j in i + 1..d {
                ux[i] += above.next().expect("an entry above the diagonal") * self.value[j];
            }
        }
        let mut below = lower.iter();
        for i in 0..d {
            self.value[i] = ux[i] + bias[i];
            for ux in &ux[..i] {
                self.value[i] += below.next().expect("an entry below the diagonal") * ux;
            }
        }
        self.ladj += diagonal.iter().map(|v| v.ln()).sum::<f64>();
    }
}

/// (noise, log|det ∂noise/∂θ|) of a flow; `None` for other densities.
pub(super) fn forward(model: &Reference<'_>, spec: &DensitySpec, theta: &[f64], c: &[f64]) -> Option<(Vec<f64>, f64)> {
    let mut run = Run { model, value: theta.to_vec(), ladj: 0.0, part: 0, c };
    let relu = |v: f64| v.max(0.0);
    let scale = |hidden: usize| 1.0 / (hidden as f64).sqrt();
    match spec {
        DensitySpec::Mdn { .. } | DensitySpec::Made { .. } => return None,
        DensitySpec::Maf { transforms, hidden } => (0..*transforms).for_each(|index| run.autoregressive(index, hidden, Map::Affine)),
        DensitySpec::MafRqs { transforms, hidden, spline } => {
            for index in 0..*transforms {
                run.autoregressive(index, hidden, Map::Spline(*spline, scale(hidden[hidden.len() - 1])));
                run.lu();
            }
        }
        DensitySpec::Nsf { transforms, hidden, blocks, spline } => {
            for index in 0..*transforms {
                run.coupling(index, Map::Spline(*spline, scale(*hidden)), |m, scope, x, c| m.residual(scope, x, c, *blocks));
                run.lu();
            }
        }
        DensitySpec::Nice { transforms, hidden } => {
            let net = |m: &Reference<'_>, scope: &str, x: &[f64], c: &[f64]| m.perceptron(scope, &[x, c].concat(), hidden, relu);
            (0..*transforms).for_each(|index| run.coupling(index, Map::Shift, net));
            let scope = run.scope();
            let raw = model.perceptron(&scope, c, hidden, relu);
            run.map(Map::Affine, &(0..theta.len()).collect::<Vec<_>>(), &raw);
        }
        DensitySpec::RealNvp { transforms, hidden } => {
            let net = |m: &Reference<'_>, scope: &str, x: &[f64], c: &[f64]| m.perceptron(scope, &[x, c].concat(), hidden, relu);
            (0..*transforms).for_each(|index| run.coupling(index, Map::Affine, net));
        }
        DensitySpec::Gf { transforms, hidden, components } => {
            for index in 0..*transforms {
                if index > 0 {
                    run.lu();
                }
                let scope = run.scope();
                let raw = model.perceptron(&scope, c, if c.is_empty() { &[] } else { hidden }, relu);
                run.map(Map::Monotone(Monotone::Gaussianization(*components)), &(0..theta.len()).collect::<Vec<_>>(), &raw);
            }
        }
        DensitySpec::Ncsf { transforms, hidden, bins } => {
            let map = Map::Circle(*bins, scale(hidden[hidden.len() - 1]));
            (0..*transforms).for_each(|index| run.autoregressive(index, hidden, map));
        }
        DensitySpec::Sospf { transforms, hidden, polynomials, degree, bound } => {
            let map = Monotone::SumOfSquares { polynomials: *polynomials, degree: *degree, bound: f64::from(*bound) };
            (0..*transforms).for_each(|index| run.autoregressive(index, hidden, Map::Monotone(map)));
        }
        DensitySpec::Bpf { transforms, hidden, degree, bound } => {
            let map = Monotone::Bernstein { degree: *degree, bound: f64::from(*bound) };
            (0..*transforms).for_each(|index| run.autoregressive(index, hidden, Map::Monotone(map)));
        }
        DensitySpec::Naf { transforms, hidden, signal } => {
            (0..*transforms).for_each(|index| run.autoregressive(index, hidden, Map::Monotone(Monotone::Sigmoidal(*signal))));
        }
        DensitySpec::Unaf { transforms, hidden, signal, bound } => {
            let map = Monotone::Integral { hidden: *signal, bound: f64::from(*bound) };
            (0..*transforms).for_each(|index| run.autoregressive(index, hidden, Map::Monotone(map)));
        }
        DensitySpec::Cnf { steps, .. } => run.ode(*steps),
        other => panic!("no f64 reference for {}: add one", other.family()),
    }
    Some((run.value, run.ladj))
}
