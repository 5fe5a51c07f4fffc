//! Catalogues of haloes, and the definition of mass that goes with them.

use super::{Groups, HaloError};
use crate::massfunction::MassDefinition;
use crate::mesh::MeshError;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// What the mass of a halo means. M200c and M_vir of one halo differ by a quarter, so no catalogue goes without it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HaloDefinition {
    /// Friends of friends: N m_p, with the linking length in units of the mean spacing.
    FriendsOfFriends {
        /// b.
        linking: f64,
    },
    /// Friends of friends with N (1 − N^−0.6) m_p (Warren et al. 2006, astro-ph/0506395, Eq. 2).
    FriendsOfFriendsWarren {
        /// b.
        linking: f64,
    },
    /// A sphere of that mean density.
    Sphere(MassDefinition),
}

impl HaloDefinition {
    /// M200c.
    pub const M200C: Self = Self::Sphere(MassDefinition::Critical(200.0));
    /// M200m.
    pub const M200M: Self = Self::Sphere(MassDefinition::Mean(200.0));
    /// M_vir.
    pub const MVIR: Self = Self::Sphere(MassDefinition::Virial);
}

impl std::fmt::Display for HaloDefinition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FriendsOfFriends { linking } => write!(f, "FoF b = {linking}"),
            Self::FriendsOfFriendsWarren { linking } => write!(f, "FoF b = {linking}, Warren correction"),
            Self::Sphere(MassDefinition::Critical(delta)) => write!(f, "M{delta}c"),
            Self::Sphere(MassDefinition::Mean(delta)) => write!(f, "M{delta}m"),
            Self::Sphere(MassDefinition::Virial) => write!(f, "Mvir"),
        }
    }
}

/// Haloes of one snapshot; every column has one entry per halo, in falling order of mass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HaloCatalogue {
    /// Centres, comoving [Mpc/h], in [0, L).
    pub positions: Vec<[f32; 3]>,
    /// Peculiar velocities, physical [km/s].
    pub velocities: Vec<[f32; 3]>,
    /// Masses [Msun/h].
    pub masses_msun_h: Vec<f64>,
    /// Particles.
    pub particles: Vec<u32>,
    /// One-dimensional velocity dispersions, physical [km/s].
    pub dispersions_km_s: Vec<f32>,
    /// Comoving radii [Mpc/h]: of the sphere, or the rms distance of the members from the centre.
    pub radii_mpc_h: Vec<f32>,
    /// Concentrations R/r_s; NaN where too few particles tell.
    pub concentrations: Vec<f32>,
    /// Index of the halo whose sphere holds this one's centre, −1 where there is none.
    pub parents: Vec<i32>,
    /// Second moments of the members about the centre, xx, yy, zz, xy, xz, yz [(Mpc/h)²]; empty where not measured.
    pub shapes: Vec<[f32; 6]>,
}

impl HaloCatalogue {
    /// Number of haloes.
    pub fn len(&self) -> usize {
        self.masses_msun_h.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.masses_msun_h.is_empty()
    }
}

/// Which mass a group of N particles is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "mass of a group"))]
pub enum GroupMass {
    /// N m_p.
    #[default]
    Count,
    /// N (1 − N^−0.6) m_p, which takes out most of the bias of friends of friends at small N (Warren et al. 2006).
    Warren,
}

/// Properties of friends-of-friends groups: centre of mass with the nearest images of the members, mean velocity, dispersion, rms radius, second
/// moments. Sums run in f64 over the members in ascending order.
///
/// `points` [Mpc/h] and `velocities` [km/s] are those that the groups were found in; `particle_mass_msun_h` is m_p.
///
/// # Errors
/// Velocities of another number than points.
pub fn group_properties(
    groups: &Groups,
    points: &[[f32; 3]],
    velocities: &[[f32; 3]],
    box_size_mpc_h: f64,
    particle_mass_msun_h: f64,
    mass: GroupMass,
    threads: &Threads,
) -> Result<HaloCatalogue, HaloError> {
    if points.len() != velocities.len() {
        return Err(MeshError::Length { what: "velocities", expected: points.len(), found: velocities.len() }.into());
    }
    #[derive(Clone, Default)]
    struct Row {
        position: [f32; 3],
        velocity: [f32; 3],
        dispersion: f32,
        radius: f32,
        shape: [f32; 6],
    }
    let mut rows = vec![Row::default(); groups.len()];
    threads.for_each(&mut rows, |g, row| {
        let members = groups.members(g);
        let count = members.len() as f64;
        let origin = points[members[0] as usize].map(f64::from);
        let nearest = |d: f64| d - box_size_mpc_h * (d / box_size_mpc_h).round();
        let (mut centre, mut velocity) = ([0.0; 3], [0.0; 3]);
        for &i in members {
            for axis in 0..3 {
                centre[axis] += nearest(f64::from(points[i as usize][axis]) - origin[axis]);
                velocity[axis] += f64::from(velocities[i as usize][axis]);
            }
        }
        let centre = centre.map(|sum| sum / count);
        let velocity = velocity.map(|sum| sum / count);
        let (mut second, mut scatter) = ([0.0; 6], 0.0);
        for &i in members {
            let d: [f64; 3] = std::array::from_fn(|axis| nearest(f64::from(points[i as usize][axis]) - origin[axis]) - centre[axis]);
            for (sum, (a, b)) in second.iter_mut().zip([(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]) {
                *sum += d[a] * d[b];
            }
            scatter += (0..3).map(|axis| (f64::from(velocities[i as usize][axis]) - velocity[axis]).powi(2)).sum::<f64>();
        }
        let wrap = |x: f64| {
            let x = x.rem_euclid(box_size_mpc_h) as f32;
            // Rounding to f32 may reach L, which is 0.
            if f64::from(x) >= box_size_mpc_h { 0.0 } else { x }
        };
        *row = Row {
            position: std::array::from_fn(|axis| wrap(origin[axis] + centre[axis])),
            velocity: velocity.map(|v| v as f32),
            dispersion: (scatter / (3.0 * count)).sqrt() as f32,
            radius: ((second[0] + second[1] + second[2]) / count).sqrt() as f32,
            shape: second.map(|sum| (sum / count) as f32),
        };
    });
    let mut catalogue = HaloCatalogue::default();
    for (g, row) in rows.iter().enumerate() {
        let count = groups.members(g).len() as f64;
        let factor = match mass {
            GroupMass::Count => 1.0,
            GroupMass::Warren => 1.0 - libm::pow(count, -0.6),
        };
        catalogue.positions.push(row.position);
        catalogue.velocities.push(row.velocity);
        catalogue.masses_msun_h.push(count * factor * particle_mass_msun_h);
        catalogue.particles.push(count as u32);
        catalogue.dispersions_km_s.push(row.dispersion);
        catalogue.radii_mpc_h.push(row.radius);
        catalogue.concentrations.push(f32::NAN);
        catalogue.parents.push(-1);
        catalogue.shapes.push(row.shape);
    }
    Ok(catalogue)
}
