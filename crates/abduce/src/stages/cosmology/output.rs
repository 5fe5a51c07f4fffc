//! Writing the results of the stages into their target.

use super::target::{Target, no_format, numbered};
use crate::error::Error;
use abduce_cosmology::files::{FileError, GalaxyFile, HaloFile, SnapshotFile, table};
use abduce_cosmology::galaxies::Hod;
use abduce_kernels::Threads;
use std::path::{Path, PathBuf};

/// What has been written into one file so far; files of several scale factors are written anew with each.
pub struct Kept<T>(Vec<T>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Kept<T> {
    /// A FITS file holds one catalogue.
    fn only(&mut self, file: &Path, one: T) -> Result<&T, Error> {
        if !self.0.is_empty() {
            return Err(no_format(file, "more than one catalogue", "a folder, or FILE.h5, where there are several"));
        }
        self.0.push(one);
        Ok(&self.0[0])
    }
}

/// Bytes that writing `count` snapshots of `per_side`³ particles holds beside the run and the snapshot in hand.
///
/// A file of ltu-cmass' layout is written anew with every scale factor, from all snapshots so far: positions, velocities, contrast and velocities on a
/// mesh (40 bytes per particle) and the file made of them. GADGET's has positions and velocities in its own units, and identities.
pub fn snapshot_bytes(target: &Target, per_side: usize, count: usize) -> u64 {
    let particles = (per_side as u64).pow(3);
    match target {
        Target::Cmass(_) => particles * (80 * count as u64 - 24),
        Target::Gadget(_) => particles * 64,
        Target::Folder(_) | Target::Fits(_) => 0,
    }
}

/// Writes a snapshot, which is number `index` of `count`, into `path` or a numbered file like it; returns where it went.
///
/// # Errors
/// The file.
pub fn snapshot(
    target: &Target,
    path: &Path,
    file: SnapshotFile,
    (index, count): (usize, usize),
    kept: &mut Kept<SnapshotFile>,
    threads: &Threads,
) -> Result<PathBuf, Error> {
    match target {
        #[cfg(feature = "hdf5")]
        Target::Cmass(_) => {
            let cells = (file.snapshot.positions.len() as f64).cbrt().round() as usize;
            kept.0.push(file);
            abduce_cosmology::files::cmass::write_particles(path, &kept.0, cells.max(2), threads)?;
        }
        #[cfg(feature = "hdf5")]
        Target::Gadget(_) => {
            use abduce_cosmology::files::gadget::{GadgetSnapshot, LengthUnit};
            let d = &file.description;
            let snapshot = GadgetSnapshot {
                a: d.a,
                box_size_mpc_h: d.box_size_mpc_h,
                omega_m: d.cosmology.omega_m,
                h: d.cosmology.h,
                particle_mass_msun_h: d.particle_mass_msun_h,
                positions: file.snapshot.positions,
                velocities: file.snapshot.velocities,
                ids: Vec::new(),
            };
            let path = numbered(path, index, count);
            // The unit that readers of GADGET's files take for granted.
            abduce_cosmology::files::gadget_hdf5::write_gadget_hdf5(&path, &snapshot, LengthUnit::KpcPerH)?;
            return Ok(path);
        }
        _ => file.save(path)?,
    }
    #[cfg(not(feature = "hdf5"))]
    let _ = (index, count, kept, threads, numbered);
    Ok(path.to_path_buf())
}

/// Writes haloes.
///
/// # Errors
/// Masses that the format does not allow; a second catalogue in a FITS file; the file.
pub fn halos(target: &Target, path: &Path, file: &HaloFile, kept: &mut Kept<HaloFile>) -> Result<(), Error> {
    match target {
        Target::Fits(_) => Ok(table::write_halos(path, kept.only(path, file.clone())?)?),
        #[cfg(feature = "hdf5")]
        Target::Cmass(_) => {
            kept.0.push(file.clone());
            Ok(abduce_cosmology::files::cmass::write_halos(path, &kept.0)?)
        }
        _ => Ok(file.save(path)?),
    }
}

/// Writes galaxies of the model `hod`.
///
/// # Errors
/// A second catalogue in a FITS file; the file.
pub fn galaxies(target: &Target, path: &Path, file: &GalaxyFile, hod: &Hod, kept: &mut Kept<GalaxyFile>) -> Result<(), Error> {
    match target {
        Target::Fits(_) => Ok(table::write_galaxies(path, kept.only(path, file.clone())?)?),
        #[cfg(feature = "hdf5")]
        Target::Cmass(_) => {
            let value = serde_json::to_value(hod).map_err(|error| Error::Failed { message: error.to_string(), help: None })?;
            let numbers = value.as_object().into_iter().flatten();
            let parameters: Vec<(String, f64)> = numbers.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
            kept.0.push(file.clone());
            Ok(abduce_cosmology::files::cmass::write_galaxies(path, &kept.0, &parameters)?)
        }
        #[cfg(not(feature = "hdf5"))]
        Target::Cmass(_) => {
            let _: &Hod = hod;
            Ok(file.save(path)?)
        }
        _ => Ok(file.save(path)?),
    }
}

/// The error of masses that mean something else than was asked for.
///
/// # Errors
/// They do.
pub fn check_definition(path: &Path, file: &HaloFile, expected: abduce_cosmology::halos::HaloDefinition) -> Result<(), Error> {
    match file.description.mass_definition {
        Some(found) if found == expected => Ok(()),
        found => Err(FileError::Mismatch {
            path: path.to_path_buf(),
            what: "the definition of mass",
            found: found.map_or_else(|| "none".into(), |found| found.to_string()),
            expected: expected.to_string(),
        }
        .into()),
    }
}
