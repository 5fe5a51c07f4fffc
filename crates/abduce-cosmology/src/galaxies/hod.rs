//! Halo occupation: how many galaxies live in a halo, where in it, and how fast they move.

use super::GalaxyError;
use super::nfw::{direction, dispersion2, radius_of_fraction};
use abduce_data::Seed;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// The model of Zheng et al. (2007, astro-ph/0703457, Eqs. 1, 3, 5) with velocity bias (Guo et al. 2015, arXiv:1407.4811), concentration bias and
/// assembly bias (Hearin et al. 2016, arXiv:1512.03050):
///
/// ⟨N_c⟩ = ½ [1 + erf((lg M − lg M_min)/σ)],   ⟨N_s⟩ = ⟨N_c⟩ ((M − M_0)/M_1)^α for M > M_0.
///
/// Centrals are Bernoulli, satellites Poisson. Masses in Msun/h, in the definition of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hod {
    /// lg M_min [Msun/h]: haloes of this mass have a central galaxy in one case of two.
    pub log10_m_min: f64,
    /// σ: width of that transition in lg M.
    pub sigma: f64,
    /// lg M_0: below it there are no satellites.
    pub log10_m0: f64,
    /// lg M_1: M_0 + M_1 is the mass with one satellite per central.
    pub log10_m1: f64,
    /// α: slope of the satellites.
    pub alpha: f64,
    /// Velocity dispersion of centrals in units of the halo's own one-dimensional one.
    pub central_velocity_bias: f64,
    /// Dispersion of satellites in units of the isotropic Jeans solution.
    pub satellite_velocity_bias: f64,
    /// Concentration of satellites over that of the matter.
    pub concentration_bias: f64,
    /// Assembly bias of centrals, −1 to 1: +1 gives all of the change that the mean allows to haloes of high secondary property.
    pub central_assembly_bias: f64,
    /// The same for satellites.
    pub satellite_assembly_bias: f64,
}

impl Default for Hod {
    /// CMASS galaxies (Reid et al. 2014, arXiv:1404.3742), without biases.
    fn default() -> Self {
        Self {
            log10_m_min: 13.03,
            sigma: 0.38,
            log10_m0: 13.27,
            log10_m1: 14.08,
            alpha: 0.76,
            central_velocity_bias: 0.0,
            satellite_velocity_bias: 1.0,
            concentration_bias: 1.0,
            central_assembly_bias: 0.0,
            satellite_assembly_bias: 0.0,
        }
    }
}

impl Hod {
    /// Checks the parameters.
    ///
    /// # Errors
    /// One is outside its range, named with it.
    pub fn check(&self) -> Result<(), GalaxyError> {
        let rules = [
            ("log10_m_min", self.log10_m_min, 8.0, 17.0, "[8, 17]"),
            ("sigma", self.sigma, 1e-4, 5.0, "[0.0001, 5]"),
            ("log10_m0", self.log10_m0, 0.0, 17.0, "[0, 17]"),
            ("log10_m1", self.log10_m1, 8.0, 17.0, "[8, 17]"),
            ("alpha", self.alpha, 0.0, 5.0, "[0, 5]"),
            ("central_velocity_bias", self.central_velocity_bias, 0.0, 5.0, "[0, 5]"),
            ("satellite_velocity_bias", self.satellite_velocity_bias, 0.0, 5.0, "[0, 5]"),
            ("concentration_bias", self.concentration_bias, 0.05, 20.0, "[0.05, 20]"),
            ("central_assembly_bias", self.central_assembly_bias, -1.0, 1.0, "[-1, 1]"),
            ("satellite_assembly_bias", self.satellite_assembly_bias, -1.0, 1.0, "[-1, 1]"),
        ];
        for (name, value, low, high, range) in rules {
            if !(low..=high).contains(&value) {
                return Err(GalaxyError::Parameter { name, value, range });
            }
        }
        Ok(())
    }

    /// ⟨N_c⟩ of a halo of mass M [Msun/h].
    pub fn mean_centrals(&self, mass_msun_h: f64) -> f64 {
        0.5 * (1.0 + libm::erf((libm::log10(mass_msun_h) - self.log10_m_min) / self.sigma))
    }

    /// ⟨N_s⟩ of a halo of mass M [Msun/h].
    pub fn mean_satellites(&self, mass_msun_h: f64) -> f64 {
        let above = mass_msun_h - libm::exp10(self.log10_m0);
        if above <= 0.0 {
            return 0.0;
        }
        self.mean_centrals(mass_msun_h) * libm::pow(above / libm::exp10(self.log10_m1), self.alpha)
    }
}

/// What galaxies are placed in; every column has one entry per halo.
#[derive(Clone, Copy, Debug)]
pub struct HaloProperties<'a> {
    /// Centres [Mpc/h].
    pub positions: &'a [[f32; 3]],
    /// Peculiar velocities [km/s].
    pub velocities: &'a [[f32; 3]],
    /// Masses [Msun/h].
    pub masses_msun_h: &'a [f64],
    /// Radii that satellites fill, comoving [Mpc/h].
    pub radii_mpc_h: &'a [f32],
    /// Concentrations.
    pub concentrations: &'a [f32],
    /// The property that assembly bias splits haloes of one mass by; any scale.
    pub secondary: Option<&'a [f32]>,
}

/// A catalogue of galaxies: centrals and satellites of halo 0, then of halo 1, …
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Galaxies {
    /// Positions, comoving [Mpc/h] in [0, L).
    pub positions: Vec<[f32; 3]>,
    /// Peculiar velocities, physical [km/s].
    pub velocities: Vec<[f32; 3]>,
    /// Whether each is a satellite (1) or a central (0).
    pub satellites: Vec<u8>,
    /// The halo of each.
    pub hosts: Vec<u32>,
}

/// G in (km/s)² Mpc/Msun.
const GRAVITY: f64 = 4.300_917_27e-9;
/// Haloes per item of work.
const CHUNK: usize = 4096;
/// Bins per decade of mass within which haloes are split by their secondary property.
const BINS_PER_DECADE: f64 = 10.0;

/// Places galaxies in haloes. Halo i draws from the stream of (seed, "hod", i): its galaxies do not depend on other haloes or on threads.
///
/// Satellites follow an NFW profile of concentration `concentration_bias` c out to the halo's radius, with isotropic velocities whose dispersion
/// solves the Jeans equation there. `a` is the scale factor.
///
/// # Errors
/// Parameters or haloes out of range; columns of different lengths; assembly bias without a secondary property.
pub fn populate(
    haloes: &HaloProperties<'_>,
    hod: &Hod,
    box_size_mpc_h: f64,
    a: f64,
    seed: Seed,
    threads: &Threads,
) -> Result<Galaxies, GalaxyError> {
    hod.check()?;
    let count = haloes.masses_msun_h.len();
    let lengths = [
        ("positions", haloes.positions.len()),
        ("velocities", haloes.velocities.len()),
        ("radii", haloes.radii_mpc_h.len()),
        ("concentrations", haloes.concentrations.len()),
        ("secondary properties", haloes.secondary.map_or(count, <[f32]>::len)),
    ];
    if let Some(&(what, found)) = lengths.iter().find(|(_, length)| *length != count) {
        return Err(crate::mesh::MeshError::Length { what, expected: count, found }.into());
    }
    for index in 0..count {
        let values = [
            ("mass", haloes.masses_msun_h[index]),
            ("radius", f64::from(haloes.radii_mpc_h[index])),
            ("concentration", f64::from(haloes.concentrations[index])),
        ];
        if let Some(&(name, value)) = values.iter().find(|(_, value)| !(*value > 0.0 && value.is_finite())) {
            return Err(GalaxyError::Halo { index, name, value });
        }
    }
    let biased = hod.central_assembly_bias != 0.0 || hod.satellite_assembly_bias != 0.0;
    let halves = match haloes.secondary {
        Some(secondary) if biased => halves_by_mass(haloes.masses_msun_h, secondary),
        None if biased => {
            let value = hod.central_assembly_bias;
            return Err(GalaxyError::Parameter {
                name: "central_assembly_bias",
                value,
                range: "0, since haloes have no secondary property",
            });
        }
        _ => vec![0i8; count],
    };
    let mut parts = vec![Galaxies::default(); count.div_ceil(CHUNK)];
    threads.for_each(&mut parts, |part, galaxies| {
        for halo in part * CHUNK..((part + 1) * CHUNK).min(count) {
            place(haloes, halo, hod, halves[halo], box_size_mpc_h, a, seed, galaxies);
        }
    });
    let mut all = Galaxies::default();
    for part in parts {
        all.positions.extend(part.positions);
        all.velocities.extend(part.velocities);
        all.satellites.extend(part.satellites);
        all.hosts.extend(part.hosts);
    }
    Ok(all)
}

/// +1 and −1 for the upper and lower half by the secondary property among haloes of a bin of mass; 0 for the middle one of an odd number, so
/// that the mean over each bin stays what it was.
fn halves_by_mass(masses: &[f64], secondary: &[f32]) -> Vec<i8> {
    let bin = |i: usize| (libm::log10(masses[i]) * BINS_PER_DECADE).floor() as i64;
    let mut order: Vec<usize> = (0..masses.len()).collect();
    order.sort_by(|&i, &j| bin(i).cmp(&bin(j)).then(secondary[i].total_cmp(&secondary[j])).then(i.cmp(&j)));
    let mut halves = vec![0i8; masses.len()];
    for group in order.chunk_by(|&i, &j| bin(i) == bin(j)) {
        let half = group.len() / 2;
        group[..half].iter().for_each(|&i| halves[i] = -1);
        group[group.len() - half..].iter().for_each(|&i| halves[i] = 1);
    }
    halves
}

fn place(haloes: &HaloProperties<'_>, halo: usize, hod: &Hod, half: i8, l: f64, a: f64, seed: Seed, out: &mut Galaxies) {
    let mass = haloes.masses_msun_h[halo];
    let radius = f64::from(haloes.radii_mpc_h[halo]);
    let mut rng = seed.stream("hod", halo as u64);
    // Circular velocity at the radius, physical: V² = G M/(a R); M and R both carry 1/h.
    let v2 = GRAVITY * mass / (a * radius);
    let mut push = |offset: [f64; 3], kick: [f64; 3], satellite: u8| {
        let wrap = |x: f64| {
            let x = x.rem_euclid(l) as f32;
            // Rounding to f32 may reach L, which is 0.
            if f64::from(x) >= l { 0.0 } else { x }
        };
        out.positions.push(std::array::from_fn(|axis| wrap(f64::from(haloes.positions[halo][axis]) + offset[axis])));
        out.velocities.push(std::array::from_fn(|axis| (f64::from(haloes.velocities[halo][axis]) + kick[axis]) as f32));
        out.satellites.push(satellite);
        out.hosts.push(halo as u32);
    };
    let centrals = hod.mean_centrals(mass);
    // δN = A min(⟨N⟩, 1 − ⟨N⟩) with opposite signs in the halves.
    let centrals = centrals + f64::from(half) * hod.central_assembly_bias * centrals.min(1.0 - centrals);
    if rng.uniform() < centrals {
        // A halo's own dispersion in one dimension: about V²/2, that of an isothermal sphere.
        let sigma = hod.central_velocity_bias * (0.5 * v2).sqrt();
        push([0.0; 3], std::array::from_fn(|_| sigma * rng.normal()), 0);
    }
    let satellites = hod.mean_satellites(mass);
    let satellites = satellites * (1.0 + f64::from(half) * hod.satellite_assembly_bias);
    if satellites <= 0.0 {
        return;
    }
    let c = f64::from(haloes.concentrations[halo]) * hod.concentration_bias;
    for _ in 0..rng.poisson(satellites) {
        let r = radius_of_fraction(rng.uniform(), c);
        let towards = direction(&mut rng);
        let sigma = hod.satellite_velocity_bias * (v2 * dispersion2(c * r, c)).sqrt();
        push(towards.map(|d| d * r * radius), std::array::from_fn(|_| sigma * rng.normal()), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::massfunction::nfw_mass;

    const N: usize = 100_000;

    struct Columns {
        positions: Vec<[f32; 3]>,
        velocities: Vec<[f32; 3]>,
        masses: Vec<f64>,
        radii: Vec<f32>,
        concentrations: Vec<f32>,
        secondary: Vec<f32>,
    }

    impl Columns {
        fn of_mass(mass: f64) -> Self {
            let mut rng = Seed(5).stream("secondary", 0);
            Self {
                positions: vec![[500.0; 3]; N],
                velocities: vec![[100.0, 0.0, 0.0]; N],
                masses: vec![mass; N],
                radii: vec![1.0; N],
                concentrations: vec![7.0; N],
                secondary: (0..N).map(|_| rng.uniform() as f32).collect(),
            }
        }

        fn properties(&self) -> HaloProperties<'_> {
            HaloProperties {
                positions: &self.positions,
                velocities: &self.velocities,
                masses_msun_h: &self.masses,
                radii_mpc_h: &self.radii,
                concentrations: &self.concentrations,
                secondary: Some(&self.secondary),
            }
        }
    }

    /// Numbers within 4.5 standard errors of Bernoulli and Poisson; with assembly bias each half is off by what the model says.
    #[test]
    fn occupation_is_that_of_the_model() {
        for (log_mass, assembly) in [(12.9, 0.0), (13.03, 0.5), (14.5, -0.8)] {
            let columns = Columns::of_mass(10f64.powf(log_mass));
            let hod = Hod { central_assembly_bias: assembly, satellite_assembly_bias: assembly, ..Hod::default() };
            let galaxies = populate(&columns.properties(), &hod, 1000.0, 0.7, Seed(1), &Threads::new(2)).unwrap();
            assert_eq!(galaxies, populate(&columns.properties(), &hod, 1000.0, 0.7, Seed(1), &Threads::single()).unwrap());
            let mean_c = hod.mean_centrals(columns.masses[0]);
            let mean_s = hod.mean_satellites(columns.masses[0]);
            let mut counts = [[0.0; 2]; 2];
            for (&satellite, &host) in galaxies.satellites.iter().zip(&galaxies.hosts) {
                let upper = usize::from(columns.secondary[host as usize] > 0.5);
                counts[upper][usize::from(satellite)] += 1.0;
            }
            let half = N as f64 / 2.0;
            for (upper, sign) in [(1, 1.0), (0, -1.0)] {
                let expected = mean_c + sign * assembly * mean_c.min(1.0 - mean_c);
                // The median of 10^5 uniform numbers is 0.5 to 0.002, which moves at most 0.3 % of a half.
                let error = 4.5 * (expected * (1.0 - expected) / half).sqrt() + 0.006 * assembly.abs();
                assert!((counts[upper][0] / half - expected).abs() < error, "{log_mass} {upper}: {} {expected}", counts[upper][0] / half);
                let expected = mean_s * (1.0 + sign * assembly);
                let error = 4.5 * (expected / half).sqrt() + 0.006 * expected;
                assert!((counts[upper][1] / half - expected).abs() <= error, "{log_mass} {upper}: {} {expected}", counts[upper][1] / half);
            }
        }
    }

    #[test]
    fn satellites_follow_their_profile_and_velocities() {
        let columns = Columns::of_mass(1e14);
        let hod = Hod { satellite_velocity_bias: 0.5, concentration_bias: 2.0, central_velocity_bias: 0.3, ..Hod::default() };
        let galaxies = populate(&columns.properties(), &hod, 1000.0, 0.5, Seed(2), &Threads::new(2)).unwrap();
        let mut radii: Vec<f64> = Vec::new();
        let (mut ratio, mut centrals, mut count) = (0.0, 0.0, 0.0);
        let v2 = GRAVITY * 1e14 / 0.5;
        for i in 0..galaxies.positions.len() {
            let v: f64 = (0..3).map(|axis| (f64::from(galaxies.velocities[i][axis]) - [100.0, 0.0, 0.0][axis]).powi(2)).sum();
            if galaxies.satellites[i] == 0 {
                centrals += v;
                count += 1.0;
                continue;
            }
            let r = galaxies.positions[i].iter().map(|x| (f64::from(*x) - 500.0).powi(2)).sum::<f64>().sqrt();
            radii.push(r);
            ratio += v / (3.0 * v2 * dispersion2(14.0 * r, 14.0));
        }
        radii.sort_by(f64::total_cmp);
        let n = radii.len() as f64;
        // Kolmogorov-Smirnov: 1.95/sqrt(n) is exceeded once in a thousand; f32 positions at 500 add 3e-5.
        let ks = radii.iter().enumerate().map(|(i, r)| (nfw_mass(14.0 * r) / nfw_mass(14.0) - i as f64 / n).abs()).fold(0.0, f64::max);
        assert!(ks < 1.95 / n.sqrt() + 1e-3, "{ks}");
        // χ² of 3n draws: standard error sqrt(2/3n).
        assert!((ratio / n / 0.25 - 1.0).abs() < 5.0 * (2.0 / (3.0 * n)).sqrt() + 1e-3, "{}", ratio / n);
        assert!((centrals / (3.0 * count) / (0.09 * 0.5 * v2) - 1.0).abs() < 0.02);
    }

    #[test]
    fn nonsense_is_refused() {
        let columns = Columns::of_mass(1e14);
        let at = |hod: &Hod, haloes: &HaloProperties<'_>| populate(haloes, hod, 1000.0, 1.0, Seed(0), &Threads::single());
        assert!(at(&Hod { sigma: -1.0, ..Hod::default() }, &columns.properties()).is_err());
        let biased = Hod { central_assembly_bias: 0.5, ..Hod::default() };
        assert!(at(&biased, &HaloProperties { secondary: None, ..columns.properties() }).is_err());
        let short = HaloProperties { radii_mpc_h: &columns.radii[1..], ..columns.properties() };
        assert!(at(&Hod::default(), &short).is_err());
    }
}
