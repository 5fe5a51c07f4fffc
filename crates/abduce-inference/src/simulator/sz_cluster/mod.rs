//! Galaxy clusters of a Sunyaev-Zel'dovich survey: mass from the central Compton parameter of detected clusters.
//!
//! **Model.** Clusters are distributed in mass M = M500c (1e14 to 2e15 Msun) and redshift (0.1 to 1.4) as the mass function of Tinker et al. 2008
//! times the comoving volume, dN ∝ dn/dlnM (M, z) dV/dz dlnM dz. A cluster shows y0 = 10^{A0} E(z)² (M/3e14)^{1 + B0} Q(θ500), log-normal scatter 0.2,
//! measured with Gaussian noise σ, and is detected where its signal-to-noise exceeds 4. Relation, scatter and cut are those of Hilton et al. 2018
//! (arXiv:1709.05600) for ACT DR3; Q is fitted to the catalogue, σ is one of its 182 noise levels. Flat ΛCDM, Ωm = 0.3, h = 0.7, σ8 = 0.8 as
//! there; Ωb = 0.05 and n_s = 0.95, which it does not state, are ours.
//!
//! θ = log10(M500c/Msun). x = (ln y0, ln σ, z), y0 and σ in 1e-4.
//!
//! **Which posterior is learnt.** Only detected clusters are drawn, so training pairs follow p(θ, x | det) and a network trained on them learns
//! p(θ | x, det). Detection depends on x alone (on y0/σ, and an excess of other filters that is independent of θ given x), so P(det | x, θ) =
//! P(det | x) cancels:
//!
//!   p(M | y0, σ, z, det) ∝ P(det | y0, σ) p(y0 | M, z, σ) dn/dM(M, z) ∝ p(y0 | M, z, σ) dn/dM(M, z).
//!
//! That is the mass corrected for the Eddington bias: the steep mass function makes a small cluster scattered up likelier than a big one as it is.
//! The cut leaves no further (Malmquist) term for a single observed cluster; it only decides where in x the training pairs lie, which is
//! where the real clusters are. The selected prior p(θ | det) of [`Simulator::prior`] is therefore *not* the prior of a single cluster's posterior:
//! that is dn/dM at its redshift, [`SzCluster::log_posterior`].
//!
//! **Noise.** The catalogue's noise levels are those of detected clusters. σ is drawn from them first and (M, z, y0) until detected at that σ,
//! so simulated detections have the catalogue's distribution of σ by construction.

mod background;
mod bilinear;
mod noise;
mod scaling;

use super::{Outcome, Simulator, built_in_prior};
use crate::prior::{Prior, PriorSpec, Table};
use abduce_cosmology::massfunction::{HaloPopulation, MassDefinition, tinker08};
use abduce_cosmology::power::{LinearPower, Oscillations};
use abduce_data::{ParameterInfo, Rng};
use background::Cosmology;
use bilinear::{Axis, Bilinear, trapezium};
use noise::NOISE_LEVELS;
use scaling::Detection;

#[cfg(test)]
mod catalogue;
#[cfg(test)]
use catalogue::example_catalogue;

/// The model that the catalogue assumes.
const COSMOLOGY: Cosmology = Cosmology { model: abduce_cosmology::Cosmology::lcdm(0.3, 0.05, 0.7, 0.95, 0.8) };

/// log10(M500c/Msun) from 1e14 to 2e15 Msun. The mass function falls by less than a factor e^{−0.3} from one point to the next.
const LOG10_MASS: Axis = Axis { low: 14.0, high: 15.301_029_995_663_981, points: 201 };
/// The catalogue's redshifts (0.102 to 1.36), rounded outwards.
const REDSHIFT: Axis = Axis { low: 0.1, high: 1.4, points: 66 };
/// Tries for one detected cluster; the rarest, 1e14 Msun in the noisiest field, need some 1e4.
const MOST_TRIES: usize = 10_000_000;

/// The simulator; see the [module documentation](self).
pub struct SzCluster {
    /// Of θ among detected clusters.
    prior: Prior,
    /// dn/dlog10 M dV/dz over (log10 M, z), detected or not.
    population: Bilinear,
    /// 1/P(det | σ) of each noise level, divided by the largest: the distribution of σ over the survey's area, up to a factor.
    noise_weights: Vec<f64>,
}

impl SzCluster {
    /// Tabulates the population and its detected part (a tenth of a second).
    pub fn new() -> Self {
        let population = Bilinear::new(LOG10_MASS, REDSHIFT, population_density());
        let (selected, detected_fraction) = select(population.grid());
        let table = Table { theta: LOG10_MASS.values(), density: selected };
        let least = detected_fraction.iter().copied().fold(f64::INFINITY, f64::min);
        Self {
            prior: built_in_prior(PriorSpec::Tabulated(table)),
            population,
            noise_weights: detected_fraction.iter().map(|fraction| least / fraction).collect(),
        }
    }

    /// ln dn/dlog10 M at redshift `z`, up to a constant; −∞ outside the ranges of mass and redshift.
    pub fn log_mass_function(&self, log10_mass: f64, z: f64) -> f64 {
        self.population.log_density(log10_mass, z)
    }

    /// ln p(y0 | M, z, σ) of a datum x = (ln y0, ln σ, z) before selection, y0 in 1e-4.
    pub fn log_likelihood(log10_mass: f64, x: [f64; 3]) -> f64 {
        let [log_y0, log_sigma, z] = x;
        let mean = scaling::mean_y0(&COSMOLOGY, libm::exp10(log10_mass), z);
        scaling::log_likelihood(mean, libm::exp(log_sigma), libm::exp(log_y0))
    }

    /// ln p(log10 M | x, det) up to a constant: the likelihood times the mass function at the datum's redshift.
    pub fn log_posterior(&self, log10_mass: f64, x: [f64; 3]) -> f64 {
        self.log_mass_function(log10_mass, x[2]) + Self::log_likelihood(log10_mass, x)
    }
}

impl Default for SzCluster {
    fn default() -> Self {
        Self::new()
    }
}

/// dn/dlog10 M dV/dz on the grid, row-major (z, log10 M), up to a factor.
fn population_density() -> Vec<f64> {
    let model = &COSMOLOGY.model;
    let power = LinearPower::eisenstein_hu(model, Oscillations::Wiggles).expect("the model is a constant with a sigma8");
    let haloes = HaloPopulation::new(model, &power).expect("the model is a constant of this simulator");
    let masses: Vec<(f64, f64, f64)> = LOG10_MASS
        .values()
        .into_iter()
        .map(|log10_mass| {
            let mass_msun_h = libm::exp10(log10_mass) * model.h;
            let (sigma, slope) = haloes.sigma_and_slope(mass_msun_h, 1.0);
            (mass_msun_h, sigma, slope)
        })
        .collect();
    let background = COSMOLOGY.background();
    let mut density = Vec::with_capacity(LOG10_MASS.points * REDSHIFT.points);
    for z in REDSHIFT.values() {
        let a = 1.0 / (1.0 + z);
        let (growth, volume) = (haloes.growth().at(a).d1, background.volume_element(a));
        let overdensity = MassDefinition::Critical(500.0).mean_overdensity(&background, a);
        density.extend(masses.iter().map(|&(mass_msun_h, sigma, slope)| {
            tinker08(sigma * growth, z, overdensity) * model.matter_density() / mass_msun_h * slope * volume
        }));
    }
    density
}

/// The density of log10 M among detected clusters at the points of its axis, and the detected fraction of the population at each noise level,
/// both up to a factor. Every noise level contributes equally to the first, as to the catalogue.
fn select(population: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let detection = Detection::new();
    let log_mean: Vec<f64> = REDSHIFT
        .values()
        .into_iter()
        .flat_map(|z| LOG10_MASS.values().into_iter().map(move |m| libm::log(scaling::mean_y0(&COSMOLOGY, libm::exp10(m), z))))
        .collect();
    let mut selected = vec![0.0; LOG10_MASS.points];
    let fractions = NOISE_LEVELS
        .iter()
        .map(|sigma| {
            let log_sigma = libm::log(*sigma);
            let detected: Vec<f64> =
                population.iter().zip(&log_mean).map(|(density, mean)| density * detection.probability(mean - log_sigma)).collect();
            let over_redshift: Vec<f64> = (0..LOG10_MASS.points)
                .map(|i| trapezium(&detected.iter().skip(i).step_by(LOG10_MASS.points).copied().collect::<Vec<f64>>()))
                .collect();
            let total = trapezium(&over_redshift);
            selected.iter_mut().zip(&over_redshift).for_each(|(sum, density)| *sum += density / total);
            total
        })
        .collect();
    (selected, fractions)
}

impl Simulator for SzCluster {
    fn name(&self) -> &'static str {
        "sz_cluster"
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        vec![ParameterInfo { unit: Some("Msun".into()), label: Some(r"\log_{10} M_{500c}".into()), ..ParameterInfo::named("log10_m500c") }]
    }

    fn data_shape(&self) -> Vec<usize> {
        vec![3]
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    /// Draws σ, z and y0 of a detected cluster of this mass: σ as it is distributed over the survey's area, until detected.
    fn simulate(&self, theta: &[f64], rng: &mut Rng, x: &mut [f32]) -> Outcome {
        let mass_msun = libm::exp10(theta[0]);
        for _ in 0..MOST_TRIES {
            let level = rng.below(NOISE_LEVELS.len());
            if rng.uniform() >= self.noise_weights[level] {
                continue;
            }
            let z = self.population.sample_v_given_u(theta[0], rng);
            let sigma = NOISE_LEVELS[level];
            if let Some(y0) = scaling::observe(scaling::mean_y0(&COSMOLOGY, mass_msun, z), sigma, rng) {
                write_datum(y0, sigma, z, x);
                return Outcome::Done;
            }
        }
        Outcome::Failed
    }

    /// Draws σ among the catalogue's, then clusters of the population until one is detected at this noise.
    fn draw(&self, rng: &mut Rng, theta: &mut [f64], x: &mut [f32]) -> Outcome {
        let sigma = NOISE_LEVELS[rng.below(NOISE_LEVELS.len())];
        for _ in 0..MOST_TRIES {
            let (log10_mass, z) = self.population.sample(rng);
            theta[0] = f64::from(log10_mass as f32);
            if let Some(y0) = scaling::observe(scaling::mean_y0(&COSMOLOGY, libm::exp10(theta[0]), z), sigma, rng) {
                write_datum(y0, sigma, z, x);
                return Outcome::Done;
            }
        }
        Outcome::Failed
    }
}

fn write_datum(y0: f64, sigma: f64, z: f64, x: &mut [f32]) {
    x[0] = libm::log(y0) as f32;
    x[1] = libm::log(sigma) as f32;
    x[2] = z as f32;
}
