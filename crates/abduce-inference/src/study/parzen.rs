//! Parzen estimators on the unit interval: mixtures of truncated normals, integrated over cells where values are discrete.

use super::space::Place;
use crate::prior::special::{log_normal_mass, log_sum_exp};
use abduce_data::Rng;

/// A density over some dimensions at once: the equally weighted mixture of a uniform density and one product of kernels per observation.
///
/// A numeric kernel is a normal about the observation, truncated to [0, 1]. A category's kernel gives its own category 1 − ε and spreads ε
/// over all of them (Aitchison and Aitken 1976).
#[derive(Clone, Debug)]
pub(super) struct Parzen {
    /// `kernels[i][d]`.
    kernels: Vec<Vec<Kernel>>,
    /// Per dimension: the number of categories, 0 for a numeric one.
    categories: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Kernel {
    Normal { mean: f64, sigma: f64, log_mass: f64 },
    Category { index: usize, count: usize, spread: f64 },
}

/// Width of a numeric kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// The larger of the distances to the neighbours (Bergstra et al. 2011, section 4.2), which include the ends of the interval.
    Neighbours,
    /// A fifth of the interval times Scott's factor n^(-1/(d + 4)), for products over d dimensions.
    Scott,
}

impl Kernel {
    fn normal(mean: f64, sigma: f64) -> Self {
        Self::Normal { mean, sigma, log_mass: log_normal_mass(-mean / sigma, (1.0 - mean) / sigma) }
    }

    fn log_density(&self, place: Place) -> f64 {
        match (*self, place) {
            (Self::Normal { mean, sigma, log_mass }, Place::Point(u)) => {
                crate::prior::special::log_normal_density((u - mean) / sigma) - libm::log(sigma) - log_mass
            }
            (Self::Normal { mean, sigma, log_mass }, Place::Cell(low, high)) => {
                log_normal_mass((low - mean) / sigma, (high - mean) / sigma) - log_mass
            }
            (Self::Category { index, count, spread }, Place::Category { index: at, .. }) => {
                let own = if at == index { 1.0 - spread } else { 0.0 };
                libm::log(own + spread / count as f64)
            }
            // Observations and candidates come from the same domain.
            _ => f64::NEG_INFINITY,
        }
    }

    /// A point of the unit interval.
    fn draw(&self, rng: &mut Rng) -> f64 {
        match *self {
            Self::Normal { mean, sigma, .. } => (mean + sigma * rng.truncated_normal(-mean / sigma, (1.0 - mean) / sigma)).clamp(0.0, 1.0),
            Self::Category { index, count, spread } => {
                let index = if rng.uniform() < spread { rng.below(count) } else { index };
                (index as f64 + 0.5) / count as f64
            }
        }
    }
}

impl Parzen {
    /// `observations[i][d]`; every dimension is a number or a category in all of them. `categories[d]` is the number of categories, 0 for
    /// numbers.
    pub(super) fn new(observations: &[Vec<Place>], categories: &[usize], width: Width) -> Self {
        let n = observations.len();
        let dimensions = categories.len();
        // Narrower than this, neighbouring observations would be spikes.
        let narrowest = 1.0 / (n as f64 + 1.0).min(100.0);
        let sigma = |d: usize, mean: f64| match width {
            Width::Scott => 0.2 * (n as f64).powf(-1.0 / (dimensions as f64 + 4.0)),
            Width::Neighbours => {
                let others = || observations.iter().map(|places| places[d].middle());
                let below = others().filter(|&u| u < mean).fold(0.0, f64::max);
                let above = others().filter(|&u| u > mean).fold(1.0, f64::min);
                (mean - below).max(above - mean)
            }
        };
        let kernel = |(d, place): (usize, &Place)| match *place {
            Place::Category { index, count } => Kernel::Category { index, count, spread: 1.0 / (n as f64 + 1.0) },
            place => Kernel::normal(place.middle(), sigma(d, place.middle()).clamp(narrowest, 1.0)),
        };
        let kernels = observations.iter().map(|places| places.iter().enumerate().map(kernel).collect()).collect();
        Self { kernels, categories: categories.to_vec() }
    }

    /// The logarithm of the density (of points), or probability (of cells and categories), at one place per dimension.
    pub(super) fn log_density(&self, places: &[Place]) -> f64 {
        let uniform = |place: &Place| match *place {
            Place::Point(_) => 0.0,
            Place::Cell(low, high) => libm::log(high - low),
            Place::Category { count, .. } => -libm::log(count as f64),
        };
        let prior: f64 = places.iter().map(uniform).sum();
        let product = |kernels: &Vec<Kernel>| kernels.iter().zip(places).map(|(kernel, &place)| kernel.log_density(place)).sum::<f64>();
        let all: Vec<f64> = std::iter::once(prior).chain(self.kernels.iter().map(product)).collect();
        log_sum_exp(all.iter().copied()) - libm::log(all.len() as f64)
    }

    /// A point of the unit cube.
    pub(super) fn draw(&self, rng: &mut Rng) -> Vec<f64> {
        match rng.below(self.kernels.len() + 1) {
            0 => self.categories.iter().map(|_| rng.uniform()).collect(),
            k => self.kernels[k - 1].iter().map(|kernel| kernel.draw(rng)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::space::{Domain, Scale};
    use super::*;
    use abduce_data::Seed;

    fn points(values: &[f64]) -> Vec<Vec<Place>> {
        values.iter().map(|&u| vec![Place::Point(u)]).collect()
    }

    /// Midpoint rule with 20 000 points on smooth functions: the error is far below 1e-6.
    #[test]
    fn densities_of_points_integrate_to_one() {
        for (values, width) in
            [(&[][..], Width::Neighbours), (&[0.02, 0.5, 0.51], Width::Neighbours), (&[0.0, 1.0, 0.3, 0.7], Width::Scott)]
        {
            let parzen = Parzen::new(&points(values), &[0], width);
            let n = 20_000;
            let sum: f64 = (0..n).map(|i| parzen.log_density(&[Place::Point((f64::from(i) + 0.5) / f64::from(n))]).exp()).sum();
            assert!((sum / f64::from(n) - 1.0).abs() < 1e-6, "{values:?}: {sum}");
        }
    }

    #[test]
    fn probabilities_of_cells_and_categories_sum_to_one() {
        let domain = Domain::Int { low: 2, high: 300, scale: Scale::Log };
        let place = |k: i64| domain.place(&serde_json::json!(k)).unwrap();
        let parzen = Parzen::new(&[vec![place(2)], vec![place(40)], vec![place(41)]], &[0], Width::Neighbours);
        let sum: f64 = (2..=300).map(|k| parzen.log_density(&[place(k)]).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");

        let category = |index| Place::Category { index, count: 3 };
        let parzen =
            Parzen::new(&[vec![category(0), Place::Cell(0.0, 0.5)], vec![category(0), Place::Cell(0.5, 1.0)]], &[3, 0], Width::Scott);
        let mut sum = 0.0;
        for index in 0..3 {
            for cell in [Place::Cell(0.0, 0.5), Place::Cell(0.5, 1.0)] {
                sum += parzen.log_density(&[category(index), cell]).exp();
            }
        }
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        // Uniform 1/3, and twice (1 - 1/3) + 1/9 of category 0.
        let first = [Place::Cell(0.0, 0.5), Place::Cell(0.5, 1.0)].map(|cell| parzen.log_density(&[category(0), cell]).exp());
        assert!((first[0] + first[1] - (1.0 / 3.0 + 2.0 * 7.0 / 9.0) / 3.0).abs() < 1e-12);
    }

    /// Kolmogorov-Smirnov against the integrated density; 20 000 draws, bound 2/√n (false alarm 7e-4, and the seed is fixed).
    #[test]
    fn draws_follow_the_density() {
        let parzen = Parzen::new(&points(&[0.1, 0.15, 0.9]), &[0], Width::Neighbours);
        let n = 20_000;
        let mut rng = Seed(4).stream("parzen", 0);
        let mut draws: Vec<f64> = (0..n).map(|_| parzen.draw(&mut rng)[0]).collect();
        draws.sort_by(f64::total_cmp);
        let (mut distribution, mut at, mut worst) = (0.0, 0, 0.0f64);
        let steps = 5000;
        for step in 0..steps {
            let middle = (f64::from(step) + 0.5) / f64::from(steps);
            distribution += parzen.log_density(&[Place::Point(middle)]).exp() / f64::from(steps);
            while at < n && draws[at] <= f64::from(step + 1) / f64::from(steps) {
                at += 1;
            }
            worst = worst.max((at as f64 / n as f64 - distribution).abs());
        }
        assert!(worst < 2.0 / (n as f64).sqrt(), "{worst}");
    }
}
