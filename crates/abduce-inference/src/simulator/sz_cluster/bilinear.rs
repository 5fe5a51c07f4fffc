//! A density over two variables that is bilinear between the points of a grid, drawn from exactly.

use crate::prior::Tabulated;
use abduce_data::Rng;

/// Evenly spaced points from `low` to `high`, both included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) points: usize,
}

impl Axis {
    pub(super) fn values(&self) -> Vec<f64> {
        (0..self.points).map(|i| self.low + (self.high - self.low) * i as f64 / (self.points - 1) as f64).collect()
    }

    /// The point below `value` and the fraction of the way to the next.
    fn locate(&self, value: f64) -> (usize, f64) {
        let position = (value - self.low) / (self.high - self.low) * (self.points - 1) as f64;
        let below = (position.max(0.0) as usize).min(self.points - 2);
        (below, (position - below as f64).clamp(0.0, 1.0))
    }
}

/// A density over (u, v), positive on the grid, up to a factor.
///
/// At fixed v between the points j and j + 1, a fraction t from one to the other, the density of u is the mixture of those at the two points with
/// weights (1 − t) N_j and t N_{j+1}, N the integrals over u: that is what makes exact draws easy.
pub(super) struct Bilinear {
    u: Axis,
    v: Axis,
    /// Row-major (v, u).
    density: Vec<f64>,
    v_marginal: Tabulated,
    u_at_v: Conditionals,
    v_at_u: Conditionals,
}

/// Distributions of one variable at each point of the other, and their integrals.
struct Conditionals {
    given: Axis,
    totals: Vec<f64>,
    tables: Vec<Tabulated>,
}

impl Conditionals {
    fn new(given: Axis, of: Axis, density: impl Fn(usize, usize) -> f64) -> Self {
        let points = of.values();
        let rows: Vec<Vec<f64>> = (0..given.points).map(|j| (0..of.points).map(|i| density(j, i)).collect()).collect();
        Self {
            given,
            totals: rows.iter().map(|row| trapezium(row)).collect(),
            tables: rows.iter().map(|row| tabulated(&points, row)).collect(),
        }
    }

    fn sample(&self, given: f64, rng: &mut Rng) -> f64 {
        let (below, fraction) = self.given.locate(given);
        let (left, right) = ((1.0 - fraction) * self.totals[below], fraction * self.totals[below + 1]);
        let pick = if rng.uniform() * (left + right) < right { below + 1 } else { below };
        self.tables[pick].sample(rng)
    }
}

/// Σ with half weight at the ends: the integral of the interpolated density in units of the spacing.
pub(super) fn trapezium(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() - 0.5 * (values[0] + values[values.len() - 1])
}

fn tabulated(points: &[f64], density: &[f64]) -> Tabulated {
    Tabulated::new(points, density).expect("a bilinear density is finite and positive")
}

impl Bilinear {
    /// `density` row-major (v, u).
    pub(super) fn new(u: Axis, v: Axis, density: Vec<f64>) -> Self {
        let u_at_v = Conditionals::new(v, u, |j, i| density[j * u.points + i]);
        let v_at_u = Conditionals::new(u, v, |i, j| density[j * u.points + i]);
        let v_marginal = tabulated(&v.values(), &u_at_v.totals);
        Self { u, v, density, v_marginal, u_at_v, v_at_u }
    }

    pub(super) fn grid(&self) -> &[f64] {
        &self.density
    }

    /// ln of the density up to a constant; −∞ outside the grid.
    pub(super) fn log_density(&self, u: f64, v: f64) -> f64 {
        let inside = |axis: &Axis, value: f64| axis.low <= value && value <= axis.high;
        if !inside(&self.u, u) || !inside(&self.v, v) {
            return f64::NEG_INFINITY;
        }
        let (i, s) = self.u.locate(u);
        let (j, t) = self.v.locate(v);
        let at = |j: usize| {
            let row = &self.density[j * self.u.points..];
            row[i] + s * (row[i + 1] - row[i])
        };
        libm::log(at(j) + t * (at(j + 1) - at(j)))
    }

    pub(super) fn sample(&self, rng: &mut Rng) -> (f64, f64) {
        let v = self.v_marginal.sample(rng);
        (self.u_at_v.sample(v, rng), v)
    }

    pub(super) fn sample_v_given_u(&self, u: f64, rng: &mut Rng) -> f64 {
        self.v_at_u.sample(u, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// Density 1 + 3 u v on [0, 1]²: bilinear already on 2 × 3 points. E[u v] = (1/4 + 3/9)/(7/4); given u = 1, E[v] = (1/2 + 1)/(5/2).
    /// 100 000 draws: standard errors 0.0009 and below; 5 of them.
    #[test]
    fn draws_follow_the_bilinear_density() {
        let (u, v) = (Axis { low: 0.0, high: 1.0, points: 2 }, Axis { low: 0.0, high: 1.0, points: 3 });
        let density = v.values().iter().flat_map(|v| [1.0, 1.0 + 3.0 * v]).collect();
        let bilinear = Bilinear::new(u, v, density);
        assert!((bilinear.log_density(0.3, 0.7) - 1.63f64.ln()).abs() < 1e-14);
        let mut rng = Seed(1).stream("bilinear", 0);
        let n = 100_000;
        let product = (0..n).map(|_| bilinear.sample(&mut rng)).map(|(u, v)| u * v).sum::<f64>() / f64::from(n);
        assert!((product - (0.25 + 3.0 / 9.0) / 1.75).abs() < 0.005, "{product}");
        let conditional = (0..n).map(|_| bilinear.sample_v_given_u(1.0, &mut rng)).sum::<f64>() / f64::from(n);
        assert!((conditional - 0.6).abs() < 0.005, "{conditional}");
    }
}
