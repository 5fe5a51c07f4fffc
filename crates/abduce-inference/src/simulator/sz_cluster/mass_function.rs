//! The halo mass function: Eisenstein-Hu power, σ(M), and the multiplicity function of Tinker et al. 2008.

use super::background::{CRITICAL_DENSITY, Cosmology};
use crate::prior::special::gauss_legendre;
use std::f64::consts::{E, PI};

/// Temperature of the microwave background, K.
const T_CMB: f64 = 2.7255;

/// Transfer function of Eisenstein & Hu 1998 (ApJ 496, 605) with baryon oscillations; numbers in brackets are its equations.
pub(super) struct TransferFunction {
    h: f64,
    baryon_fraction: f64,
    k_eq: f64,
    sound_horizon: f64,
    k_silk: f64,
    alpha_c: f64,
    beta_c: f64,
    alpha_b: f64,
    beta_b: f64,
    beta_node: f64,
}

impl TransferFunction {
    pub(super) fn new(cosmology: &Cosmology) -> Self {
        let pow = libm::pow;
        let h2 = cosmology.h * cosmology.h;
        let (om, ob) = (cosmology.omega_m * h2, cosmology.omega_b * h2);
        let fb = cosmology.omega_b / cosmology.omega_m;
        let fc = 1.0 - fb;
        let theta2 = (T_CMB / 2.7) * (T_CMB / 2.7);
        let z_eq = 2.5e4 * om / (theta2 * theta2); // (2)
        let k_eq = 7.46e-2 * om / theta2; // (3), 1/Mpc
        let b1 = 0.313 * pow(om, -0.419) * (1.0 + 0.607 * pow(om, 0.674));
        let b2 = 0.238 * pow(om, 0.223);
        let z_d = 1291.0 * pow(om, 0.251) / (1.0 + 0.659 * pow(om, 0.828)) * (1.0 + b1 * pow(ob, b2)); // (4)
        let ratio = |z: f64| 31.5 * ob / (theta2 * theta2) * (1000.0 / z); // (5)
        let (r_d, r_eq) = (ratio(z_d), ratio(z_eq));
        let sound_horizon =
            2.0 / (3.0 * k_eq) * (6.0 / r_eq).sqrt() * libm::log(((1.0 + r_d).sqrt() + (r_d + r_eq).sqrt()) / (1.0 + r_eq.sqrt())); // (6), Mpc
        let k_silk = 1.6 * pow(ob, 0.52) * pow(om, 0.73) * (1.0 + pow(10.4 * om, -0.95)); // (7), 1/Mpc
        let a1 = pow(46.9 * om, 0.670) * (1.0 + pow(32.1 * om, -0.532));
        let a2 = pow(12.0 * om, 0.424) * (1.0 + pow(45.0 * om, -0.582));
        let alpha_c = pow(a1, -fb) * pow(a2, -fb * fb * fb); // (11)
        let bb1 = 0.944 / (1.0 + pow(458.0 * om, -0.708));
        let bb2 = pow(0.395 * om, -0.0266);
        let beta_c = 1.0 / (1.0 + bb1 * (pow(fc, bb2) - 1.0)); // (12)
        let y = (1.0 + z_eq) / (1.0 + z_d);
        let root = (1.0 + y).sqrt();
        let g = y * (-6.0 * root + (2.0 + 3.0 * y) * libm::log((root + 1.0) / (root - 1.0))); // (15)
        let alpha_b = 2.07 * k_eq * sound_horizon * pow(1.0 + r_d, -0.75) * g; // (14)
        let beta_b = 0.5 + fb + (3.0 - 2.0 * fb) * ((17.2 * om) * (17.2 * om) + 1.0).sqrt(); // (24)
        let beta_node = 8.41 * pow(om, 0.435); // (23)
        Self { h: cosmology.h, baryon_fraction: fb, k_eq, sound_horizon, k_silk, alpha_c, beta_c, alpha_b, beta_b, beta_node }
    }

    /// T(k), 1 at large scales.
    pub(super) fn at(&self, k_h_per_mpc: f64) -> f64 {
        let k = k_h_per_mpc * self.h;
        let q = k / (13.41 * self.k_eq); // (10)
        let cold = |alpha: f64, beta: f64| {
            let c = 14.2 / alpha + 386.0 / (1.0 + 69.9 * libm::pow(q, 1.08)); // (20)
            let log = libm::log(E + 1.8 * beta * q);
            log / (log + c * q * q) // (19)
        };
        let ks = k * self.sound_horizon;
        let fourth = |x: f64| x * x * x * x;
        let f = 1.0 / (1.0 + fourth(ks / 5.4)); // (18)
        let matter = f * cold(1.0, self.beta_c) + (1.0 - f) * cold(self.alpha_c, self.beta_c); // (17)
        let cubed = |x: f64| x * x * x;
        let shifted = ks / libm::cbrt(1.0 + cubed(self.beta_node / ks)); // k s̃, (22)
        let bessel = if shifted < 1e-4 { 1.0 } else { libm::sin(shifted) / shifted };
        let damping = libm::exp(-libm::pow(k / self.k_silk, 1.4));
        let baryons =
            (cold(1.0, 1.0) / (1.0 + (ks / 5.2) * (ks / 5.2)) + self.alpha_b / (1.0 + cubed(self.beta_b / ks)) * damping) * bessel; // (21)
        self.baryon_fraction * baryons + (1.0 - self.baryon_fraction) * matter // (16)
    }
}

/// σ(M) of the linear density field in top-hat spheres of mass M at z = 0, and its slope, from P = A k^{n_s} T(k)² normalised by σ8.
pub(super) struct MassVariance {
    /// Comoving matter density, h² Msun/Mpc³.
    density: f64,
    /// (k, P(k) k³/(2π²) dlnk weight) at the nodes of the integral over ln k.
    nodes: Vec<(f64, f64)>,
}

impl MassVariance {
    pub(super) fn new(cosmology: &Cosmology) -> Self {
        let transfer = TransferFunction::new(cosmology);
        // ln k from 1e-4 to 1e2 h/Mpc: below, k^{3+n_s} leaves less than 1e-12; above, the top hat of 1e14 Msun less than 1e-8.
        let (low, high, panels) = (libm::log(1e-4), libm::log(1e2), 60);
        let half = 0.5 * (high - low) / f64::from(panels);
        let rule = gauss_legendre();
        let nodes = (0..panels)
            .flat_map(|panel| rule.map(|(x, weight)| (low + half * (f64::from(2 * panel + 1) + x), half * weight)))
            .map(|(ln_k, weight)| {
                let k = libm::exp(ln_k);
                let t = transfer.at(k);
                (k, weight * libm::exp((3.0 + cosmology.n_s) * ln_k) * t * t / (2.0 * PI * PI))
            })
            .collect();
        let mut variance = Self { density: cosmology.omega_m * CRITICAL_DENSITY, nodes };
        let raw = variance.sigma_and_slope_at_radius(8.0).0;
        let amplitude = (cosmology.sigma8 / raw) * (cosmology.sigma8 / raw);
        variance.nodes.iter_mut().for_each(|(_, weight)| *weight *= amplitude);
        variance
    }

    /// σ and dlnσ/dlnR for a comoving radius in Mpc/h, with W(x) = 3 (sin x − x cos x)/x³.
    fn sigma_and_slope_at_radius(&self, radius_mpc_h: f64) -> (f64, f64) {
        let (mut square, mut slope) = (0.0, 0.0);
        for &(k, weight) in &self.nodes {
            let x = k * radius_mpc_h;
            let (window, derivative) = if x < 1e-2 {
                (1.0 - x * x / 10.0, -x * x / 5.0)
            } else {
                let (sin, cos) = libm::sincos(x);
                let window = 3.0 * (sin - x * cos) / (x * x * x);
                // x dW/dx = 3 sin x/x − 3 W.
                (window, 3.0 * sin / x - 3.0 * window)
            };
            square += weight * window * window;
            slope += weight * window * derivative;
        }
        (square.sqrt(), slope / square)
    }

    /// σ(M, z = 0) and |dlnσ/dlnM|; M in Msun/h.
    pub(super) fn sigma_and_slope(&self, mass_msun_h: f64) -> (f64, f64) {
        let radius = libm::cbrt(3.0 * mass_msun_h / (4.0 * PI * self.density));
        let (sigma, slope) = self.sigma_and_slope_at_radius(radius);
        (sigma, slope.abs() / 3.0)
    }

    /// Comoving matter density, h² Msun/Mpc³.
    pub(super) fn density(&self) -> f64 {
        self.density
    }
}

/// Table 2 of Tinker et al. 2008 (ApJ 688, 709): overdensity in units of the mean matter density, A, a, b, c.
const TINKER: [[f64; 5]; 9] = [
    [200.0, 0.186, 1.47, 2.57, 1.19],
    [300.0, 0.200, 1.52, 2.25, 1.27],
    [400.0, 0.212, 1.56, 2.05, 1.34],
    [600.0, 0.218, 1.61, 1.87, 1.45],
    [800.0, 0.248, 1.87, 1.59, 1.58],
    [1200.0, 0.255, 2.13, 1.51, 1.80],
    [1600.0, 0.260, 2.30, 1.46, 1.97],
    [2400.0, 0.260, 2.53, 1.44, 2.24],
    [3200.0, 0.260, 2.66, 1.41, 2.44],
];

/// f(σ) = A [(σ/b)^{−a} + 1] e^{−c/σ²} with the redshift evolution of Tinker et al. 2008 (Eqs. 3, 5-8), for haloes of `overdensity` times the mean
/// matter density (200 to 3200); the table is interpolated linearly.
pub(super) fn tinker_multiplicity(sigma: f64, z: f64, overdensity: f64) -> f64 {
    let row = TINKER.partition_point(|row| row[0] <= overdensity).clamp(1, TINKER.len() - 1);
    let (below, above) = (TINKER[row - 1], TINKER[row]);
    let fraction = (overdensity - below[0]) / (above[0] - below[0]);
    let [_, a0, a, b, c]: [f64; 5] = std::array::from_fn(|i| below[i] + fraction * (above[i] - below[i]));
    let grown = 1.0 + z;
    let amplitude = a0 * libm::pow(grown, -0.14);
    let exponent = a * libm::pow(grown, -0.06);
    let alpha = libm::exp10(-libm::pow(0.75 / libm::log10(overdensity / 75.0), 1.2));
    let scale = b * libm::pow(grown, -alpha);
    amplitude * (libm::pow(sigma / scale, -exponent) + 1.0) * libm::exp(-c / (sigma * sigma))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Rows of numbers after the header of a golden file of the reference cosmology package, or nothing with the reason printed.
    fn golden(name: &str) -> Option<Vec<Vec<String>>> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden/cosmology/halo").join(name);
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: no golden values at {}", path.display());
            return None;
        };
        Some(text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect())
    }

    /// The three cosmologies of the golden files, in their columns' order.
    fn cosmologies() -> [(&'static str, Cosmology); 3] {
        [
            ("fid", Cosmology { omega_m: 0.3175, omega_b: 0.049, h: 0.6711, n_s: 0.9624, sigma8: 0.834 }),
            ("c03", Cosmology { omega_m: 0.1229, omega_b: 0.039, h: 0.8759, n_s: 0.8264, sigma8: 0.6313 }),
            ("c08", Cosmology { omega_m: 0.4946, omega_b: 0.0421, h: 0.7472, n_s: 1.1309, sigma8: 0.6648 }),
        ]
    }

    /// colossus 1.4's own formula (`modelEisenstein98`) at the baryon-rich cosmology c03.
    #[test]
    fn the_transfer_function_has_its_known_values() {
        let transfer = TransferFunction::new(&cosmologies()[1].1);
        for (k, expected) in [
            (0.001, 9.755619213e-01),
            (0.01, 5.967791070e-01),
            (0.0366570377, 1.443902651e-01),
            (0.1, 4.516804195e-02),
            (0.3, 7.845150880e-03),
            (1.0, 1.082875416e-03),
            (10.0, 1.846021717e-05),
        ] {
            let found = transfer.at(k);
            assert!((found - expected).abs() < 1e-6 * expected.abs(), "k = {k}: {found} against {expected}");
        }
    }

    /// Ratio to the golden table over its mean ratio, 1e-4 < k < 20: the shape alone. 2.5e-3: the table was interpolated
    /// between wiggles and differs by up to 1.8e-3 (c03, k = 0.037) from the formula it stands for.
    #[test]
    fn the_power_spectrum_has_the_golden_shape() {
        let Some(rows) = golden("linear_pk_eh98_z0.csv") else { return };
        for (column, (name, cosmology)) in cosmologies().into_iter().enumerate() {
            let transfer = TransferFunction::new(&cosmology);
            let log_ratios: Vec<(f64, f64)> = rows
                .iter()
                .map(|row| {
                    let (k, p): (f64, f64) = (row[0].parse().unwrap(), row[column + 1].parse().unwrap());
                    (k, cosmology.n_s * k.ln() + 2.0 * transfer.at(k).ln() - p.ln())
                })
                .collect();
            let mean = log_ratios.iter().map(|(_, ratio)| ratio).sum::<f64>() / log_ratios.len() as f64;
            for (k, ratio) in log_ratios {
                assert!((ratio - mean).abs() < 2.5e-3, "{name} at k = {k}: {}", ratio - mean);
            }
        }
    }

    /// Three comparisons, each as sharp as the golden file allows. Its σ(M) is interpolated: direct integration of its own power spectrum differs
    /// by up to 2.5e-3, and the slope that enters dn/dlnM by more. The ratio of the functions for 200c and 200m knows neither: it tests the
    /// multiplicity, its evolution and its interpolation in overdensity to 1e-6.
    #[test]
    fn the_mass_function_is_the_golden_one() {
        let Some(rows) = golden("halo_functions.csv") else { return };
        for (name, cosmology) in cosmologies() {
            let variance = MassVariance::new(&cosmology);
            let mut compared = 0;
            for row in rows.iter().filter(|row| row[0] == name) {
                let number = |i: usize| row[i].parse::<f64>().unwrap();
                let (z, mass, golden_sigma, for_200c, for_200m) = (number(1), number(2), number(4), number(5), number(6));
                if !(1e13..2e15).contains(&mass) {
                    continue;
                }
                let (sigma, slope) = variance.sigma_and_slope(mass);
                let sigma = sigma * cosmology.growth(z);
                assert!((sigma / golden_sigma - 1.0).abs() < 3e-3, "{name} M = {mass}: sigma {sigma} against {golden_sigma}");
                let f = |overdensity: f64| tinker_multiplicity(golden_sigma, z, overdensity);
                // colossus rounds the overdensity to an integer.
                let critical = (200.0 / cosmology.omega_m_at(z)).round();
                let ratio = f(critical) / f(200.0) / (for_200c / for_200m);
                assert!((ratio - 1.0).abs() < 1e-6, "{name} z = {z}, M = {mass}: 200c over 200m {ratio}");
                let function = f(critical) * variance.density() / mass * slope;
                assert!((function / for_200c - 1.0).abs() < 1.5e-2, "{name} z = {z}, M = {mass}: {function} against {for_200c}");
                compared += 1;
            }
            assert!(compared > 20);
        }
    }
}
