//! From mass and redshift to the central Compton parameter, and the survey's selection.

use super::background::Cosmology;
use crate::prior::special::{integrate, log_normal_density, log_normal_mass};
use abduce_data::Rng;

/// 10^{A0} in units of 1e-4, slope B0, pivot mass and intrinsic scatter of ln y0 (Hilton et al. 2018, after Arnaud et al. 2010).
const NORMALISATION: f64 = 0.495;
const SLOPE: f64 = 0.08;
const PIVOT_MSUN: f64 = 3e14;
pub(super) const SCATTER: f64 = 0.2;

/// ln Q = Q[0] + Q[1] L + Q[2] L², L = ln(θ500/2.4').
///
/// Least squares on the catalogue's y0tilde, z and M500cUnc alone: Q = y0tilde/(10^{A0} E² (M500cUnc/3e14)^{1 + B0}) for all 182 clusters, θ500 of
/// M500cUnc from 1.06' to 8.84'. Residual of ln Q: rms 0.0051, largest 0.0139 (a cubic term changes neither). The fit takes in whatever the
/// catalogue's relation has besides, a small relativistic correction above all. Outside that range of θ500 the parabola is an extrapolation.
const FILTER: [f64; 3] = [-0.024_754_27, 0.722_924_64, -0.429_956_84];
const FILTER_SCALE_ARCMIN: f64 = 2.4;

/// The survey takes S/N > 4 in the best of several filters. In the catalogue this exceeds that of the fixed 2.4' filter, y0tilde/y0tilde_err, by
/// an excess that looks exponential: for the 96 clusters of S/N > 5, which the cut itself hardly shapes, it has mean 0.27, standard deviation 0.29,
/// least value −0.01.
const SIGNAL_TO_NOISE_CUT: f64 = 4.0;
const FILTER_EXCESS: f64 = 0.27;

/// Filter mismatch Q(θ500).
pub(super) fn filter_mismatch(theta500_arcmin: f64) -> f64 {
    let l = libm::log(theta500_arcmin / FILTER_SCALE_ARCMIN);
    libm::exp(FILTER[0] + l * (FILTER[1] + l * FILTER[2]))
}

/// Mean relation y0 = 10^{A0} E(z)² (M/3e14)^{1 + B0} Q(θ500(M, z)), in 1e-4.
pub(super) fn mean_y0(cosmology: &Cosmology, mass_msun: f64, z: f64) -> f64 {
    unfiltered_y0(cosmology, mass_msun, z) * filter_mismatch(cosmology.theta500_arcmin(mass_msun, z))
}

fn unfiltered_y0(cosmology: &Cosmology, mass_msun: f64, z: f64) -> f64 {
    let e = cosmology.e(z);
    NORMALISATION * e * e * libm::pow(mass_msun / PIVOT_MSUN, 1.0 + SLOPE)
}

/// One observation of a cluster of mean `mean_y0` at noise `sigma`: scattered, measured, and `None` if not detected.
pub(super) fn observe(mean_y0: f64, sigma: f64, rng: &mut Rng) -> Option<f64> {
    let y0 = mean_y0 * libm::exp(SCATTER * rng.normal()) + sigma * rng.normal();
    let signal_to_noise = y0 / sigma + FILTER_EXCESS * rng.exponential();
    (y0 > 0.0 && signal_to_noise > SIGNAL_TO_NOISE_CUT).then_some(y0)
}

/// ln p(y0 observed | mean) = ln ∫ N(ln y; ln mean, 0.2) N(y0; y, σ) d ln y.
pub(super) fn log_likelihood(mean_y0: f64, sigma: f64, observed_y0: f64) -> f64 {
    let density = integrate(-6.0, 6.0, 8, |g| {
        let z = (observed_y0 - mean_y0 * libm::exp(SCATTER * g)) / sigma;
        libm::exp(log_normal_density(g) + log_normal_density(z))
    });
    libm::log(density) - libm::log(sigma)
}

/// P(detected | mean/σ), tabulated over ln(mean/σ).
pub(super) struct Detection {
    probabilities: Vec<f64>,
}

impl Detection {
    const LOW: f64 = -3.0;
    const HIGH: f64 = 3.5;
    const STEP: f64 = 0.05;

    /// With s = y0/σ ~ N(b, 1) at b = e^{0.2 g} mean/σ and an exponential excess of mean m,
    /// P(s + excess > c) = Φ(b − c) + e^{(b − c)/m + 1/(2m²)} Φ(c − b − 1/m), then the mean over the scatter g.
    pub(super) fn new() -> Self {
        let probability = |b: f64| {
            let gap = b - SIGNAL_TO_NOISE_CUT;
            let rate = 1.0 / FILTER_EXCESS;
            libm::exp(log_normal_mass(f64::NEG_INFINITY, gap))
                + libm::exp(gap * rate + 0.5 * rate * rate + log_normal_mass(f64::NEG_INFINITY, -gap - rate))
        };
        let count = ((Self::HIGH - Self::LOW) / Self::STEP).round() as usize;
        let probabilities = (0..=count)
            .map(|i| {
                let ratio = libm::exp(Self::LOW + Self::STEP * i as f64);
                integrate(-6.0, 6.0, 4, |g| libm::exp(log_normal_density(g)) * probability(ratio * libm::exp(SCATTER * g)))
            })
            .collect();
        Self { probabilities }
    }

    /// Linear between the points of the table; constant beyond its ends (1e-5 and 1).
    pub(super) fn probability(&self, log_mean_over_sigma: f64) -> f64 {
        let position = ((log_mean_over_sigma - Self::LOW) / Self::STEP).clamp(0.0, (self.probabilities.len() - 1) as f64);
        let below = (position as usize).min(self.probabilities.len() - 2);
        let fraction = position - below as f64;
        self.probabilities[below] + fraction * (self.probabilities[below + 1] - self.probabilities[below])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{COSMOLOGY, example_catalogue};
    use super::*;
    use abduce_data::Seed;

    /// The stated fit is the least-squares one, to the digits written.
    #[test]
    fn the_filter_mismatch_is_the_fit_to_the_catalogue() {
        let clusters = example_catalogue();
        let points: Vec<(f64, f64)> = clusters
            .iter()
            .map(|cluster| {
                let mass = cluster.m500_uncorrected_1e14_msun * 1e14;
                let l = (COSMOLOGY.theta500_arcmin(mass, cluster.z) / FILTER_SCALE_ARCMIN).ln();
                (l, (cluster.y0 / unfiltered_y0(&COSMOLOGY, mass, cluster.z)).ln())
            })
            .collect();
        assert_eq!(points.len(), 182);
        // Gradient of the sum of squares at the stated coefficients, in units of its size: zero at the minimum.
        for power in 0..3 {
            let residual = |(l, q): (f64, f64)| q - FILTER[0] - FILTER[1] * l - FILTER[2] * l * l;
            let gradient: f64 = points.iter().map(|&point| residual(point) * point.0.powi(power)).sum();
            assert!(gradient.abs() < 1e-5 * points.len() as f64, "power {power}: {gradient}");
        }
        let square: f64 = points.iter().map(|&(l, q)| (q - filter_mismatch(FILTER_SCALE_ARCMIN * l.exp()).ln()).powi(2)).sum();
        let rms = (square / 182.0).sqrt();
        assert!((rms - 0.00515).abs() < 1e-4, "{rms}");
    }

    /// 200 000 draws against the table: standard error at most 0.0011.
    #[test]
    fn the_detection_probability_is_that_of_the_draws() {
        let detection = Detection::new();
        let mut rng = Seed(9).stream("detection", 0);
        for mean in [0.3, 0.6, 0.8, 1.2] {
            let found = (0..200_000).filter(|_| observe(mean, 0.2, &mut rng).is_some()).count() as f64 / 200_000.0;
            let expected = detection.probability(f64::ln(mean / 0.2));
            assert!((found - expected).abs() < 0.005 && found > 0.0, "mean {mean}: {found} against {expected}");
        }
    }

    #[test]
    fn the_likelihood_integrates_to_one() {
        let total = integrate(-1.0, 4.0, 40, |y| log_likelihood(1.0, 0.15, y).exp());
        assert!((total - 1.0).abs() < 1e-7, "{total}");
    }
}
