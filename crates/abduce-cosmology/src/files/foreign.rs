//! Particles, haloes and galaxies from files of others, found out by their contents.
//!
//! Such files leave out what this program's own always say. What is missing is taken from [`Assumed`], which the caller has from the user; what both
//! say must agree. Nothing is converted silently.

use super::bigfile::{read_attributes, read_block};
use super::gadget::{GadgetSnapshot, is_gadget, read_gadget, unit_of_lengths};
use super::quijote_fof::read_quijote_fof;
use super::rockstar::read_rockstar;
use super::{Description, FileError, GalaxyFile, HaloFile, Kind, SnapshotFile, table};
use crate::Cosmology;
use crate::background::{Background, Radiation};
use crate::halos::{HaloCatalogue, HaloDefinition};
use crate::pm::Snapshot;
use abduce_data::fits::is_fits;
use std::path::Path;

/// What the user says about files that do not say it themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumed {
    /// The model.
    pub cosmology: Cosmology,
    /// Side of the box [Mpc/h].
    pub box_size_mpc_h: f64,
    /// What masses of haloes mean, of files with several columns of them.
    pub mass_definition: HaloDefinition,
}

/// Ω_m and h of a header may differ from the user's by this fraction: they are often written with four digits.
const MODEL_TOLERANCE: f64 = 1e-3;
/// Redshifts of Quijote's snapshots 0 to 4.
const QUIJOTE_REDSHIFTS: [f64; 5] = [3.0, 2.0, 1.0, 0.5, 0.0];
/// In so many objects the largest coordinate is within a tenth of the side of the box, unless the box is another one.
const MANY: usize = 1000;

/// Fails where a position is not finite or outside the box.
pub(super) fn check_positions(path: &Path, positions: &[[f32; 3]], box_size: f64) -> Result<(), FileError> {
    let most = box_size as f32;
    match positions.iter().position(|x| x.iter().any(|x| !x.is_finite() || *x < 0.0 || *x > most)) {
        None => Ok(()),
        Some(row) if positions[row].iter().any(|x| !x.is_finite()) => {
            Err(FileError::format(path, format!("the position in row {row} is {:?}", positions[row])))
        }
        Some(row) => {
            Err(FileError::format(path, format!("the position {:?} in row {row} lies outside the box of {box_size} Mpc/h", positions[row])))
        }
    }
}

/// Fails where the positions of a file without a box lie in a part of it only.
fn check_filled(path: &Path, positions: &[[f32; 3]], box_size: f64) -> Result<(), FileError> {
    let most = positions.as_flattened().iter().copied().fold(0.0, f32::max);
    if positions.len() >= MANY && f64::from(most) < 0.9 * box_size {
        return Err(FileError::Mismatch {
            path: path.to_path_buf(),
            what: "the side of the box",
            found: format!("{most} Mpc/h or little more, by its positions"),
            expected: format!("{box_size} Mpc/h (`simulation.box_size`)"),
        });
    }
    Ok(())
}

pub(super) fn unknown(count: usize) -> Vec<f32> {
    vec![f32::NAN; count]
}

/// Comoving radii of the spheres that masses are defined by; unknown for friends of friends.
pub(super) fn sphere_radii(path: &Path, of: &Description, masses: &[f64]) -> Result<Vec<f32>, FileError> {
    let Some(HaloDefinition::Sphere(sphere)) = of.mass_definition else { return Ok(unknown(masses.len())) };
    let background = Background::new(&of.cosmology, Radiation::Neglected).map_err(|error| FileError::format(path, error.to_string()))?;
    Ok(masses.iter().map(|&mass| sphere.comoving_radius_mpc_h(mass, &background, of.a) as f32).collect())
}

pub(super) fn check_model(path: &Path, omega_m: f64, h: f64, assumed: &Cosmology) -> Result<(), FileError> {
    for (what, found, expected) in [("omega_m", omega_m, assumed.omega_m), ("h", h, assumed.h)] {
        if (found / expected - 1.0).abs() > MODEL_TOLERANCE {
            return Err(FileError::Mismatch {
                path: path.to_path_buf(),
                what,
                found: found.to_string(),
                expected: format!("{expected} (`cosmology.{what}`)"),
            });
        }
    }
    Ok(())
}

fn described(kind: Kind, format: &str, a: f64, box_size: f64, particle_mass: f64, assumed: &Assumed) -> Description {
    let mut description = Description::new(kind, assumed.cosmology, a, box_size, particle_mass);
    description.made_by = serde_json::json!({ "read_from": format });
    description
}

fn from_gadget(path: &Path, format: &str, found: GadgetSnapshot, assumed: &Assumed) -> Result<SnapshotFile, FileError> {
    check_model(path, found.omega_m, found.h, &assumed.cosmology)?;
    // A header may say a = 1 + 1e-16 today.
    let a = found.a.min(1.0);
    let description = described(Kind::Snapshot, format, a, found.box_size_mpc_h, found.particle_mass_msun_h, assumed);
    description.check(path, Kind::Snapshot)?;
    check_positions(path, &found.positions, found.box_size_mpc_h)?;
    Ok(SnapshotFile { description, snapshot: Snapshot { a, positions: found.positions, velocities: found.velocities } })
}

/// A folder of FastPM or MP-Gadget: `Header`, `1/Position`, `1/Velocity`.
fn from_bigfile(folder: &Path, assumed: &Assumed) -> Result<SnapshotFile, FileError> {
    let header = read_attributes(&folder.join("Header"))?;
    let first = |names: &[&str]| names.iter().find_map(|name| header.get(*name)?.first().copied());
    let missing = |name: &str| FileError::format(folder, format!("its header has no `{name}`"));
    let a = first(&["Time", "ScalingFactor"]).ok_or_else(|| missing("Time"))?.min(1.0);
    let box_size = first(&["BoxSize"]).ok_or_else(|| missing("BoxSize"))?;
    let omega_m = first(&["OmegaM", "Omega0"]).ok_or_else(|| missing("OmegaM"))?;
    let h = first(&["HubbleParam"]).unwrap_or(assumed.cosmology.h);
    if first(&["UsePeculiarVelocity"]) == Some(0.0) {
        let (path, what) = (folder.to_path_buf(), "the kind of velocity");
        return Err(FileError::Mismatch { path, what, found: "canonical momentum".into(), expected: "peculiar".into() });
    }
    let vectors = |name: &str| -> Result<Vec<[f32; 3]>, FileError> {
        let block = read_block(&folder.join("1").join(name))?;
        if block.width != 3 {
            return Err(FileError::format(folder, format!("`1/{name}` has {} values per row", block.width)));
        }
        Ok(block.values.as_chunks::<3>().0.iter().map(|row| row.map(|value| value as f32)).collect())
    };
    let (mut positions, velocities) = (vectors("Position")?, vectors("Velocity")?);
    if positions.len() != velocities.len() || positions.is_empty() {
        return Err(FileError::format(folder, format!("{} positions and {} velocities", positions.len(), velocities.len())));
    }
    let mass = header.get("MassTable").and_then(|masses| masses.get(1)).copied().filter(|mass| *mass > 0.0);
    let all_mass = mass.map(|mass| mass * positions.len() as f64);
    let unit = unit_of_lengths(folder, None, None, box_size, all_mass, omega_m)?.in_mpc_h();
    positions.as_flattened_mut().iter_mut().for_each(|x| *x = (f64::from(*x) * unit) as f32);
    let (box_size_mpc_h, particle_mass_msun_h) = (box_size * unit, 1e10 * mass.unwrap_or(0.0));
    let found = GadgetSnapshot { a, box_size_mpc_h, omega_m, h, particle_mass_msun_h, positions, velocities, ids: Vec::new() };
    from_gadget(folder, "BigFile", found, assumed)
}

/// Particles: this program's snapshots, GADGET's in binary or HDF5, BigFile folders, and `nbody.h5` of ltu-cmass, which may hold several.
///
/// # Errors
/// None of these; whatever is wrong with it; Ω_m or h other than assumed; particles outside the box or not finite.
pub fn load_snapshots(path: &Path, assumed: &Assumed) -> Result<Vec<SnapshotFile>, FileError> {
    if path.is_dir() {
        return Ok(vec![from_bigfile(path, assumed)?]);
    }
    #[cfg(feature = "hdf5")]
    {
        if super::gadget_hdf5::is_gadget_hdf5(path) {
            return Ok(vec![from_gadget(path, "GADGET HDF5", super::gadget_hdf5::read_gadget_hdf5(path, None)?, assumed)?]);
        }
        if abduce_data::hdf5::is_hdf5(path) {
            return super::cmass::read_particles(path, assumed);
        }
    }
    if is_gadget(path) {
        return Ok(vec![from_gadget(path, "GADGET", read_gadget(path, None)?, assumed)?]);
    }
    Ok(vec![SnapshotFile::load(path)?])
}

/// Haloes: this program's catalogues, FITS tables, `halos.h5` of ltu-cmass, Rockstar's lists, and folders `groups_XXX` of Quijote.
///
/// # Errors
/// None of these; whatever is wrong with it; haloes outside the box or not finite.
pub fn load_halos(path: &Path, assumed: &Assumed) -> Result<Vec<HaloFile>, FileError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if path.is_dir() {
        let number = name.strip_prefix("groups_").and_then(|number| number.parse::<u32>().ok());
        let number = number.ok_or_else(|| FileError::format(path, "a folder of haloes is called `groups_XXX`, as Quijote's are"))?;
        return Ok(vec![from_quijote(path, number, assumed)?]);
    }
    #[cfg(feature = "hdf5")]
    if abduce_data::hdf5::is_hdf5(path) {
        return super::cmass::read_halos(path, assumed);
    }
    if is_fits(path) {
        return Ok(vec![table::read_halos(path, assumed)?]);
    }
    if is_rockstar(path) {
        return Ok(vec![from_rockstar(path, assumed)?]);
    }
    Ok(vec![HaloFile::load(path)?])
}

/// Galaxies: this program's catalogues, FITS tables, and `galaxies/hodXXXXX.h5` of ltu-cmass.
///
/// # Errors
/// None of these; whatever is wrong with it; galaxies outside the box or not finite.
pub fn load_galaxies(path: &Path, assumed: &Assumed) -> Result<Vec<GalaxyFile>, FileError> {
    #[cfg(feature = "hdf5")]
    if abduce_data::hdf5::is_hdf5(path) {
        return super::cmass::read_galaxies(path, assumed);
    }
    if is_fits(path) {
        return Ok(vec![table::read_galaxies(path, assumed)?]);
    }
    Ok(vec![GalaxyFile::load(path)?])
}

/// What a file holds, as far as its contents tell.
///
/// # Errors
/// None of the formats that are read.
pub fn kind_of(path: &Path) -> Result<Kind, FileError> {
    if path.is_dir() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(if name.starts_with("groups_") { Kind::Halos } else { Kind::Snapshot });
    }
    #[cfg(feature = "hdf5")]
    {
        if super::gadget_hdf5::is_gadget_hdf5(path) {
            return Ok(Kind::Snapshot);
        }
        if abduce_data::hdf5::is_hdf5(path) {
            return super::cmass::kind(path);
        }
    }
    if is_fits(path) {
        return table::kind(path);
    }
    if is_gadget(path) {
        return Ok(Kind::Snapshot);
    }
    if is_rockstar(path) {
        return Ok(Kind::Halos);
    }
    let description: Description = super::container::Container::open(path)?.document()?;
    Ok(description.kind)
}

fn from_quijote(path: &Path, number: u32, assumed: &Assumed) -> Result<HaloFile, FileError> {
    let z = QUIJOTE_REDSHIFTS.get(number as usize).copied();
    let z = z.ok_or_else(|| FileError::format(path, format!("Quijote has no snapshot {number}: 0 to 4 are z = 3, 2, 1, 0.5 and 0")))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let found = read_quijote_fof(folder, number, z)?;
    let count = found.positions.len();
    // The mass of a particle is that of a group over its number.
    let particle = found.masses_msun_h.first().zip(found.particles.first()).map_or(0.0, |(mass, &n)| mass / f64::from(n.max(1)));
    let mut description = described(Kind::Halos, "Quijote FoF", 1.0 / (1.0 + z), assumed.box_size_mpc_h, particle, assumed);
    description.mass_definition = Some(HaloDefinition::FriendsOfFriends { linking: 0.2 });
    check_positions(path, &found.positions, assumed.box_size_mpc_h)?;
    check_filled(path, &found.positions, assumed.box_size_mpc_h)?;
    let catalogue = HaloCatalogue {
        positions: found.positions,
        velocities: found.velocities,
        masses_msun_h: found.masses_msun_h,
        particles: found.particles,
        dispersions_km_s: unknown(count),
        radii_mpc_h: unknown(count),
        concentrations: unknown(count),
        parents: vec![-1; count],
        shapes: Vec::new(),
    };
    Ok(HaloFile { description, catalogue })
}

/// Whether a file begins as Rockstar's lists do, with a comment.
fn is_rockstar(path: &Path) -> bool {
    let mut first = [0u8];
    std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first)).is_ok() && first == *b"#"
}

fn from_rockstar(path: &Path, assumed: &Assumed) -> Result<HaloFile, FileError> {
    let found = read_rockstar(path, assumed.mass_definition)?;
    let a = found.a.ok_or_else(|| FileError::format(path, "no comment `a = …` tells its scale factor"))?.min(1.0);
    let box_size = found.box_size_mpc_h.unwrap_or(assumed.box_size_mpc_h);
    let mut description = described(Kind::Halos, "Rockstar", a, box_size, 0.0, assumed);
    description.mass_definition = Some(found.mass_definition);
    description.check(path, Kind::Halos)?;
    check_positions(path, &found.catalogue.positions, box_size)?;
    if found.box_size_mpc_h.is_none() {
        check_filled(path, &found.catalogue.positions, box_size)?;
    }
    let mut catalogue = found.catalogue;
    // The file has one radius, R_vir, and concentrations to it, whatever the masses mean.
    let radii = sphere_radii(path, &description, &catalogue.masses_msun_h)?;
    for ((concentration, old), new) in catalogue.concentrations.iter_mut().zip(&catalogue.radii_mpc_h).zip(&radii) {
        *concentration *= new / old;
    }
    catalogue.radii_mpc_h = radii;
    Ok(HaloFile { description, catalogue })
}
