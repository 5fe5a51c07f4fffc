//! Haloes of a snapshot, and galaxies in haloes.

use crate::config::{FinderConfig, HaloConfig};
use crate::error::Error;
use abduce_cosmology::background::{Background, Radiation};
use abduce_cosmology::files::{Description, GalaxyFile, HaloFile, Kind, SnapshotFile};
use abduce_cosmology::galaxies::{HaloProperties, Hod, populate};
use abduce_cosmology::halos::catalogue::{GroupMass, group_properties};
use abduce_cosmology::halos::{FriendsOfFriends, HaloCatalogue, HaloDefinition, Spheres, friends_of_friends, spherical_overdensity};
use abduce_cosmology::massfunction::{MassDefinition, duffy08_c200c};
use abduce_data::Seed;
use abduce_kernels::Threads;
use serde_json::Value;

/// What the masses of these haloes mean.
pub fn definition(config: &HaloConfig) -> HaloDefinition {
    match (config.finder, config.mass) {
        (FinderConfig::Fof, GroupMass::Count) => HaloDefinition::FriendsOfFriends { linking: config.linking },
        (FinderConfig::Fof, GroupMass::Warren) => HaloDefinition::FriendsOfFriendsWarren { linking: config.linking },
        (FinderConfig::M200c, _) => HaloDefinition::M200C,
        (FinderConfig::M200m, _) => HaloDefinition::M200M,
        (FinderConfig::Mvir, _) => HaloDefinition::MVIR,
    }
}

fn with_settings(description: &Description, kind: Kind, key: &str, settings: &impl serde::Serialize) -> Result<Description, Error> {
    let settings = serde_json::to_value(settings).map_err(|error| Error::Failed { message: error.to_string(), help: None })?;
    let mut next = Description { kind, ..description.clone() };
    match &mut next.made_by {
        Value::Object(map) => {
            map.insert(key.into(), settings);
        }
        other => *other = serde_json::json!({ key: settings }),
    }
    Ok(next)
}

/// Haloes of a snapshot.
///
/// # Errors
/// Particles outside the box or not finite; a linking length that makes no sense.
pub fn halos(file: &SnapshotFile, config: &HaloConfig, threads: &Threads) -> Result<HaloFile, Error> {
    let d = &file.description;
    let snapshot = &file.snapshot;
    let options = FriendsOfFriends { linking: config.linking, min_particles: config.min_particles };
    let groups = friends_of_friends(&snapshot.positions, d.box_size_mpc_h, &options, threads)?;
    let background = Background::new(&d.cosmology, Radiation::Neglected)?;
    let definition = definition(config);
    let catalogue = match definition {
        HaloDefinition::FriendsOfFriends { .. } | HaloDefinition::FriendsOfFriendsWarren { .. } => group_properties(
            &groups,
            &snapshot.positions,
            &snapshot.velocities,
            d.box_size_mpc_h,
            d.particle_mass_msun_h,
            config.mass,
            threads,
        )?,
        HaloDefinition::Sphere(sphere) => {
            let spheres = Spheres {
                points: &snapshot.positions,
                velocities: &snapshot.velocities,
                box_size_mpc_h: d.box_size_mpc_h,
                particle_mass_msun_h: d.particle_mass_msun_h,
                density: sphere.comoving_density(&background, d.a),
                a: d.a,
                min_particles: config.min_particles,
            };
            let length = options.length_mpc_h(snapshot.positions.len(), d.box_size_mpc_h);
            spherical_overdensity(&groups, &spheres, length, threads)?
        }
    };
    let mut description = with_settings(d, Kind::Halos, "halos", config)?;
    description.mass_definition = Some(definition);
    Ok(HaloFile { description, catalogue })
}

/// Galaxies in the haloes of a catalogue that lie in no other halo.
///
/// Where a catalogue has no concentration, that of Duffy et al. 2008 is taken; friends of friends with b = 0.2 are given the radius of a sphere of 200 times
/// the mean density, which holds about their mass.
///
/// # Errors
/// A halo or parameters out of range.
pub fn galaxies(file: &HaloFile, model: &Hod, seed: Seed, threads: &Threads) -> Result<GalaxyFile, Error> {
    let d = &file.description;
    let mut c = file.catalogue.clone();
    let hosts: Vec<usize> = (0..c.len()).filter(|&i| c.parents[i] < 0).collect();
    let background = Background::new(&d.cosmology, Radiation::Neglected)?;
    let is_group =
        matches!(d.mass_definition, Some(HaloDefinition::FriendsOfFriends { .. } | HaloDefinition::FriendsOfFriendsWarren { .. }));
    for i in 0..c.len() {
        let mass = c.masses_msun_h[i];
        // Unknown ones are NaN.
        if c.concentrations[i].is_nan() || c.concentrations[i] <= 0.0 {
            c.concentrations[i] = duffy08_c200c(mass, d.a) as f32;
        }
        if is_group {
            c.radii_mpc_h[i] = MassDefinition::Mean(200.0).comoving_radius_mpc_h(mass, &background, d.a) as f32;
        }
    }
    let pick = |catalogue: &HaloCatalogue| {
        let vectors = |column: &[[f32; 3]]| hosts.iter().map(|&i| column[i]).collect::<Vec<_>>();
        let scalars = |column: &[f32]| hosts.iter().map(|&i| column[i]).collect::<Vec<_>>();
        (
            vectors(&catalogue.positions),
            vectors(&catalogue.velocities),
            hosts.iter().map(|&i| catalogue.masses_msun_h[i]).collect::<Vec<f64>>(),
            scalars(&catalogue.radii_mpc_h),
            scalars(&catalogue.concentrations),
        )
    };
    let (positions, velocities, masses, radii, concentrations) = pick(&c);
    let properties = HaloProperties {
        positions: &positions,
        velocities: &velocities,
        masses_msun_h: &masses,
        radii_mpc_h: &radii,
        concentrations: &concentrations,
        secondary: Some(&concentrations),
    };
    let mut galaxies = populate(&properties, model, d.box_size_mpc_h, d.a, seed, threads)?;
    for host in &mut galaxies.hosts {
        *host = hosts[*host as usize] as u32;
    }
    Ok(GalaxyFile { description: with_settings(d, Kind::Galaxies, "galaxies", model)?, galaxies })
}
