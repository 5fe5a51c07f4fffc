//! Spherical overdensity: haloes as spheres of a given mean density.

use super::rows::Rows;
use super::{Groups, HaloCatalogue, HaloError};
use crate::massfunction::nfw_mass;
use crate::mesh::MeshError;
use abduce_kernels::Threads;

/// What spheres are grown in.
#[derive(Clone, Copy, Debug)]
pub struct Spheres<'a> {
    /// Particles [Mpc/h].
    pub points: &'a [[f32; 3]],
    /// Their peculiar velocities [km/s].
    pub velocities: &'a [[f32; 3]],
    /// Side of the box [Mpc/h].
    pub box_size_mpc_h: f64,
    /// Mass of a particle [Msun/h].
    pub particle_mass_msun_h: f64,
    /// Mean density of a sphere, comoving [Msun/h (Mpc/h)⁻³]: see
    /// [`MassDefinition::comoving_density`](crate::massfunction::MassDefinition::comoving_density).
    pub density: f64,
    /// Scale factor.
    pub a: f64,
    /// Smallest number of particles in a sphere.
    pub min_particles: usize,
}

/// G in (km/s)² Mpc/Msun.
const GRAVITY: f64 = 4.300_917_27e-9;
/// Particles that a concentration needs: with fewer the circular velocity's maximum is noise.
const FOR_CONCENTRATION: usize = 100;
/// Particles within which no maximum of the circular velocity is looked for.
const CORE: usize = 10;

#[derive(Clone, Default)]
struct Row {
    kept: bool,
    label: u32,
    position: [f32; 3],
    velocity: [f32; 3],
    count: usize,
    radius: f64,
    dispersion: f32,
    concentration: f32,
}

/// Haloes about the densest particle of each group: the sphere grows until the mean density of all particles in it, members or not, falls below the
/// threshold; then M = N m_p and R = (3M/4πρ)^{1/3}.
///
/// The densest particle has the largest Σ (1 − r²/l²) over neighbours within l, `linking_length_mpc_h`. Velocities are means over the sphere.
/// Concentrations follow from V_max/V(R) of an NFW profile (Prada et al. 2012, arXiv:1104.5130, Eq. 9) for 100 particles or more; where the profile is
/// not so peaked they are NaN. `parents` holds the largest halo whose sphere the centre lies in. Haloes come by falling mass.
///
/// # Errors
/// A density or mass that is not positive; points that can't be used.
pub fn spherical_overdensity(
    groups: &Groups,
    spheres: &Spheres<'_>,
    linking_length_mpc_h: f64,
    threads: &Threads,
) -> Result<HaloCatalogue, HaloError> {
    for (name, value) in [
        ("the density of a sphere", spheres.density),
        ("the mass of a particle", spheres.particle_mass_msun_h),
        ("the linking length", linking_length_mpc_h),
        ("the scale factor", spheres.a),
    ] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(HaloError::NotPositive { name, value });
        }
    }
    if spheres.points.len() != spheres.velocities.len() {
        return Err(MeshError::Length { what: "velocities", expected: spheres.points.len(), found: spheres.velocities.len() }.into());
    }
    u32::try_from(spheres.points.len()).map_err(|_| HaloError::TooMany { count: spheres.points.len() })?;
    let spacing = spheres.box_size_mpc_h / libm::cbrt(spheres.points.len().max(1) as f64);
    let rows = Rows::new(spheres.points, spheres.box_size_mpc_h, linking_length_mpc_h.max(0.5 * spacing), 4096, threads)?;
    let mut found = vec![Row::default(); groups.len()];
    threads.for_each(&mut found, |g, row| *row = grow(&rows, groups.members(g), spheres, linking_length_mpc_h));
    let mut found: Vec<Row> = found.into_iter().filter(|row| row.kept).collect();
    found.sort_by(|a, b| b.count.cmp(&a.count).then(a.label.cmp(&b.label)));
    let mut catalogue = HaloCatalogue::default();
    for row in &found {
        catalogue.positions.push(row.position);
        catalogue.velocities.push(row.velocity);
        catalogue.masses_msun_h.push(row.count as f64 * spheres.particle_mass_msun_h);
        catalogue.particles.push(row.count as u32);
        catalogue.dispersions_km_s.push(row.dispersion);
        catalogue.radii_mpc_h.push(row.radius as f32);
        catalogue.concentrations.push(row.concentration);
    }
    catalogue.parents = parents(&catalogue, spheres.box_size_mpc_h, threads)?;
    Ok(catalogue)
}

fn grow(rows: &Rows, members: &[u32], spheres: &Spheres<'_>, length: f64) -> Row {
    let point = |i: u32| spheres.points[i as usize].map(f64::from);
    let (mut centre, mut most) = (members[0], -1.0);
    for &i in members {
        let mut density = 0.0;
        rows.within(point(i), length, |_, d2| density += 1.0 - d2 / (length * length));
        if density > most {
            (centre, most) = (i, density);
        }
    }
    let origin = point(centre);
    let volume = 4.0 / 3.0 * std::f64::consts::PI;
    let mass = spheres.particle_mass_msun_h;
    let mut reach = 1.5 * libm::cbrt(members.len() as f64 * mass / (volume * spheres.density));
    let mut near: Vec<(f64, u32)> = Vec::new();
    // The number of particles in the sphere: the first i for which the next particle would come too late.
    let count = loop {
        near.clear();
        rows.within(origin, reach, |place, d2| near.push((d2, rows.indices[place])));
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let falls = |i: usize| {
            let r = near.get(i).map_or(reach, |next| next.0.sqrt());
            i as f64 * mass < spheres.density * volume * r * r * r
        };
        match (1..=near.len()).find(|&i| falls(i)) {
            Some(count) => break count,
            // A whole box above the threshold has no halo in it.
            None if reach > 0.25 * spheres.box_size_mpc_h => return Row::default(),
            None => reach *= 1.6,
        }
    };
    if count < spheres.min_particles.max(1) {
        return Row::default();
    }
    let members = &near[..count];
    let mut velocity = [0.0; 3];
    for &(_, i) in members {
        (0..3).for_each(|axis| velocity[axis] += f64::from(spheres.velocities[i as usize][axis]) / count as f64);
    }
    let scatter: f64 = members
        .iter()
        .map(|&(_, i)| (0..3).map(|axis| (f64::from(spheres.velocities[i as usize][axis]) - velocity[axis]).powi(2)).sum::<f64>())
        .sum();
    let radius = libm::cbrt(count as f64 * mass / (volume * spheres.density));
    let v2 = |n: usize, r: f64| GRAVITY * n as f64 * mass / (spheres.a * r);
    let concentration = if count >= FOR_CONCENTRATION {
        let peak = (CORE..count).map(|i| v2(i + 1, members[i].0.sqrt().max(1e-9))).fold(0.0, f64::max);
        concentration_of(peak / v2(count, radius))
    } else {
        f64::NAN
    };
    Row {
        kept: true,
        label: centre,
        position: spheres.points[centre as usize],
        velocity: velocity.map(|v| v as f32),
        count,
        radius,
        dispersion: (scatter / (3.0 * count as f64)).sqrt() as f32,
        concentration: concentration as f32,
    }
}

/// The concentration of an NFW profile with (V_max/V(R))² = `ratio`: max m(x)/x = 0.2162 at x = 2.163, so ratio = 0.2162 c/m(c). NaN at 1 or below,
/// where the maximum lies outside.
fn concentration_of(ratio: f64) -> f64 {
    if !(ratio > 1.0 && ratio.is_finite()) {
        return f64::NAN;
    }
    let f = |c: f64| 0.216_217 * c / nfw_mass(c) - ratio;
    let (mut low, mut high) = (2.163, 1000.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if f(middle) > 0.0 { high = middle } else { low = middle }
    }
    0.5 * (low + high)
}

/// For each halo the first, and so the largest, halo before it whose sphere holds its centre; −1 for none.
fn parents(catalogue: &HaloCatalogue, box_size: f64, threads: &Threads) -> Result<Vec<i32>, HaloError> {
    let mut parents = vec![-1; catalogue.len()];
    let most = catalogue.radii_mpc_h.iter().copied().fold(0.0f32, f32::max);
    if catalogue.is_empty() {
        return Ok(parents);
    }
    let rows = Rows::new(&catalogue.positions, box_size, f64::from(most), 1024, threads)?;
    for halo in 0..catalogue.len() {
        let radius = f64::from(catalogue.radii_mpc_h[halo]);
        rows.within(catalogue.positions[halo].map(f64::from), radius, |place, _| {
            let other = rows.indices[place] as usize;
            if other > halo && parents[other] < 0 {
                parents[other] = halo as i32;
            }
        });
    }
    Ok(parents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cosmology;
    use crate::background::{Background, Radiation};
    use crate::cosmology::CRITICAL_DENSITY;
    use crate::galaxies::nfw::radius_of_fraction;
    use crate::halos::{FriendsOfFriends, friends_of_friends};
    use crate::massfunction::MassDefinition;
    use abduce_data::Seed;

    /// An NFW halo with 20 000 particles out to twice R200c on an empty background: mass, radius, concentration and velocity come back.
    #[test]
    fn a_halo_of_known_profile_comes_back() {
        let l = 100.0;
        let background = Background::new(&Cosmology::QUIJOTE, Radiation::Neglected).unwrap();
        let density = MassDefinition::Critical(200.0).comoving_density(&background, 1.0);
        assert!((density / (200.0 * CRITICAL_DENSITY) - 1.0).abs() < 1e-12);
        let (c, r200) = (8.0, 1.5);
        let m200 = 4.0 / 3.0 * std::f64::consts::PI * r200 * r200 * r200 * density;
        // Of n particles within 2 R200 the fraction m(c)/m(2c) lies within R200.
        let n = 20_000;
        let within = n as f64 * nfw_mass(c) / nfw_mass(2.0 * c);
        let mass = m200 / within;
        let mut rng = Seed(3).stream("halo", 0);
        let mut points = Vec::new();
        let mut velocities = Vec::new();
        for _ in 0..n {
            let r = 2.0 * r200 * radius_of_fraction(rng.uniform(), 2.0 * c);
            let d = crate::galaxies::nfw::direction(&mut rng);
            // The centre lies beside a corner: half of the halo is on the other side of the box.
            points.push(d.map(|d| ((d * r + 0.1).rem_euclid(l)) as f32));
            velocities.push(std::array::from_fn(|axis| (100.0 * rng.normal() + [50.0, 0.0, 0.0][axis]) as f32));
        }
        let options = FriendsOfFriends { linking: 0.2, min_particles: 100 };
        let groups = friends_of_friends(&points, l, &options, &Threads::new(2)).unwrap();
        assert_eq!(groups.len(), 1);
        let spheres = Spheres {
            points: &points,
            velocities: &velocities,
            box_size_mpc_h: l,
            particle_mass_msun_h: mass,
            density,
            a: 1.0,
            min_particles: 20,
        };
        let found = spherical_overdensity(&groups, &spheres, 0.05, &Threads::new(2)).unwrap();
        assert_eq!(found, {
            let again = spherical_overdensity(&groups, &spheres, 0.05, &Threads::single()).unwrap();
            assert!(again.concentrations[0].is_finite());
            again
        });
        // 1 % is one standard error of the count; the centre is found to a few hundredths of the radius.
        assert!((found.masses_msun_h[0] / m200 - 1.0).abs() < 0.03, "{}", found.masses_msun_h[0] / m200);
        assert!((f64::from(found.radii_mpc_h[0]) / r200 - 1.0).abs() < 0.01);
        assert!((f64::from(found.concentrations[0]) / c - 1.0).abs() < 0.12, "{}", found.concentrations[0]);
        assert!((found.velocities[0][0] - 50.0).abs() < 4.0 && (found.dispersions_km_s[0] - 100.0).abs() < 2.0);
        for x in found.positions[0] {
            let d = (f64::from(x) - 0.1 + 0.5 * l).rem_euclid(l) - 0.5 * l;
            assert!(d.abs() < 0.1, "{d}");
        }
    }

    #[test]
    fn concentrations_of_known_peaks() {
        for c in [3.0, 8.0, 30.0] {
            // The maximum of m(x)/x by search, times c/m(c).
            let peak = (1..100_000).map(|i| f64::from(i) * 1e-4).map(|x| nfw_mass(x) / x).fold(0.0, f64::max);
            assert!((concentration_of(peak * c / nfw_mass(c)) / c - 1.0).abs() < 1e-4);
        }
        assert!(concentration_of(0.9).is_nan());
    }
}
