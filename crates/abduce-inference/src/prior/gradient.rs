//! ∂ ln p(θ)/∂θ of every prior.

use super::empirical::Empirical;
use super::multivariate::{MultivariateNormal, TruncatedMultivariateNormal};
use super::tabulated::Tabulated;
use super::univariate::Univariate;
use super::{Block, Prior};

impl Prior {
    /// Writes ∂ ln p(θ)/∂θ_j, for θ inside the support; where the density has a kink (the Laplace's peak, a table's points) the slope on one of its
    /// sides. Outside the support it has no meaning.
    pub fn log_prob_gradient(&self, theta: &[f64], out: &mut [f64]) {
        self.check_len(theta.len());
        self.check_len(out.len());
        let (mut theta, mut out) = (theta, out);
        for block in &self.blocks {
            let (own, later) = theta.split_at(block.parameters());
            let (slope, rest) = out.split_at_mut(block.parameters());
            match block {
                Block::One(one) => slope[0] = one.slope(own[0]),
                Block::Normal(normal) => normal.gradient(own, slope),
                Block::TruncatedNormal(normal) => normal.gradient(own, slope),
                Block::Empirical(empirical) => empirical.gradient(own, slope),
            }
            (theta, out) = (later, rest);
        }
    }

    /// Whether the parameters are independent of each other.
    pub fn is_product(&self) -> bool {
        self.blocks.iter().all(|block| block.parameters() == 1)
    }
}

impl Univariate {
    fn slope(&self, theta: f64) -> f64 {
        match *self {
            Self::Uniform { .. } => 0.0,
            Self::Normal { loc, scale } | Self::TruncatedNormal { loc, scale, .. } => -(theta - loc) / (scale * scale),
            Self::LogNormal { loc, scale } => -((libm::log(theta) - loc) / (scale * scale) + 1.0) / theta,
            Self::Beta { a, b } => power_slope(a, theta) - power_slope(b, 1.0 - theta),
            Self::Cauchy { loc, scale } => cauchy_slope((theta - loc) / scale) / scale,
            Self::FisherSnedecor { df1, df2 } => {
                let ratio = df1 / df2;
                power_slope(0.5 * df1, theta) - 0.5 * (df1 + df2) * ratio / (1.0 + ratio * theta)
            }
            Self::Gamma { shape, rate } => power_slope(shape, theta) - rate,
            Self::Gumbel { loc, scale } => libm::expm1(-(theta - loc) / scale) / scale,
            Self::HalfCauchy { scale } => cauchy_slope(theta / scale) / scale,
            Self::HalfNormal { scale } => -theta / (scale * scale),
            Self::Laplace { loc, scale } => -(theta - loc).signum() / scale,
            Self::Pareto { alpha, .. } => -(alpha + 1.0) / theta,
            Self::StudentT { df, loc, scale } => {
                let z = (theta - loc) / scale;
                -(df + 1.0) / (scale * (df / z + z))
            }
            Self::VonMises { loc, concentration } => -concentration * libm::sin(theta - loc),
            Self::Weibull { scale, shape } => (shape - 1.0 - shape * libm::pow(theta / scale, shape)) / theta,
            Self::Tabulated(ref table) => table.slope(theta),
        }
    }
}

/// d/dy of (shape − 1) ln y.
fn power_slope(shape: f64, y: f64) -> f64 {
    if shape == 1.0 { 0.0 } else { (shape - 1.0) / y }
}

/// −2 z/(1 + z²), without overflow.
fn cauchy_slope(z: f64) -> f64 {
    -2.0 / (1.0 / z + z)
}

impl Tabulated {
    fn slope(&self, theta: f64) -> f64 {
        let (rise, density) = self.rise_and_density(theta);
        rise / density
    }
}

impl MultivariateNormal {
    /// −Σ⁻¹ (θ − loc).
    fn gradient(&self, theta: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(theta).zip(self.mean()).for_each(|((out, theta), loc)| *out = loc - theta);
        self.factor().solve_lower(out);
        self.factor().solve_upper(out);
    }
}

impl TruncatedMultivariateNormal {
    fn gradient(&self, theta: &[f64], out: &mut [f64]) {
        self.normal().gradient(theta, out);
    }
}

impl Empirical {
    /// [Σ_i r_i (h² S)⁻¹ (u_i − u) − ∂ ln|dθ/du|/∂u] du/dθ, r_i the share of kernel i.
    fn gradient(&self, theta: &[f64], out: &mut [f64]) {
        let transform = self.transform();
        transform.unconstrained_from_theta(theta, out);
        let u = out.to_vec();
        self.pull(out);
        for ((out, u), bijection) in out.iter_mut().zip(u).zip(&transform.parameters) {
            let (log_derivative, slope) = bijection.log_derivative_and_slope(u);
            *out = (*out - slope) * bijection.sign() * libm::exp(-log_derivative);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::laws::{one_parameter, two_parameters};
    use super::*;
    use abduce_data::Seed;

    /// Central differences of ln p at the prior's own draws. With steps of 1e-5 of the distance to the nearest feature (bound, kink or width) their
    /// error is some 1e-9 of the slope's scale, 1/width; draws within a step of a kink are left out.
    #[test]
    fn gradients_are_those_of_the_density() {
        for (text, prior) in one_parameter().into_iter().chain(two_parameters()) {
            let d = prior.parameters();
            let mut rng = Seed(4).stream("gradient", 0);
            let (mut theta, mut gradient) = (vec![0.0; d], vec![0.0; d]);
            let mut checked = 0;
            for _ in 0..50 {
                prior.sample(&mut rng, &mut theta);
                prior.log_prob_gradient(&theta, &mut gradient);
                for j in 0..d {
                    let support = prior.support()[j];
                    let width = prior.std()[j].unwrap_or(1.0).min(1.0);
                    let room = (theta[j] - support.low).min(support.high - theta[j]);
                    let step = 1e-5 * width.min(room);
                    let at = |shift: f64| {
                        let mut moved = theta.clone();
                        moved[j] += shift;
                        prior.log_prob(&moved)
                    };
                    // θ itself is rounded: 1e-16 |θ| of the step.
                    if step < 1e-9 * theta[j].abs() {
                        continue;
                    }
                    let one_sided = [(at(step) - at(0.0)) / step, (at(0.0) - at(-step)) / step];
                    let difference = 0.5 * (one_sided[0] + one_sided[1]);
                    let scale = gradient[j].abs() + 1.0 / (1e5 * step);
                    if (one_sided[0] - one_sided[1]).abs() > 0.01 * scale {
                        continue;
                    }
                    checked += 1;
                    assert!(
                        (difference - gradient[j]).abs() < 1e-4 * scale,
                        "{text} at {theta:?}: {} instead of {difference}",
                        gradient[j]
                    );
                }
            }
            assert!(checked > 30, "{text}: only {checked} draws could be checked");
        }
    }

    #[test]
    fn products_are_told_from_joint_priors() {
        let of = |text: &str| serde_json::from_str::<Prior>(text).unwrap().is_product();
        assert!(of(r#"{"uniform": {"low": [0, 0], "high": [1, 1]}}"#));
        assert!(!of(r#"{"multivariate_normal": {"loc": [0, 0], "covariance_matrix": [[1, 0.5], [0.5, 1]]}}"#));
    }
}
