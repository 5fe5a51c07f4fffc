//! What the stages of a simulation leave to each other: snapshots, haloes, galaxies.

use super::FileError;
use super::container::{Column, Container, write};
use crate::Cosmology;
use crate::galaxies::Galaxies;
use crate::halos::{HaloCatalogue, HaloDefinition};
use crate::pm::Snapshot;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the files that this build writes; it reads all up to this one.
pub const FORMAT_VERSION: u32 = 1;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Particles.
    Snapshot,
    /// Haloes.
    Halos,
    /// Galaxies.
    Galaxies,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "a snapshot",
            Self::Halos => "a halo catalogue",
            Self::Galaxies => "a galaxy catalogue",
        })
    }
}

/// Units of the columns. There is one choice; a file that says otherwise is not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Of positions and radii.
    pub length: String,
    /// Of velocities.
    pub velocity: String,
    /// Of masses.
    pub mass: String,
}

impl Default for Units {
    fn default() -> Self {
        Self { length: "Mpc/h comoving".into(), velocity: "km/s peculiar physical".into(), mass: "Msun/h".into() }
    }
}

/// The document of a product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Version of the file.
    pub format_version: u32,
    /// What it holds.
    pub kind: Kind,
    /// The model.
    pub cosmology: Cosmology,
    /// Scale factor.
    pub a: f64,
    /// Side of the box [Mpc/h].
    pub box_size_mpc_h: f64,
    /// Mass of a particle [Msun/h].
    pub particle_mass_msun_h: f64,
    /// Units.
    pub units: Units,
    /// What masses mean, in a catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mass_definition: Option<HaloDefinition>,
    /// Settings of every stage up to this one, as they were given.
    pub made_by: serde_json::Value,
}

impl Description {
    /// A description in the units of this program.
    pub fn new(kind: Kind, cosmology: Cosmology, a: f64, box_size_mpc_h: f64, particle_mass_msun_h: f64) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            kind,
            cosmology,
            a,
            box_size_mpc_h,
            particle_mass_msun_h,
            units: Units::default(),
            mass_definition: None,
            made_by: serde_json::Value::Null,
        }
    }

    pub(super) fn check(&self, path: &Path, kind: Kind) -> Result<(), FileError> {
        let mismatch = |what: &'static str, found: String, expected: String| {
            Err(FileError::Mismatch { path: path.to_path_buf(), what, found, expected })
        };
        if self.format_version > FORMAT_VERSION {
            return mismatch("its version", self.format_version.to_string(), format!("{FORMAT_VERSION} or older"));
        }
        if self.kind != kind {
            return mismatch("its content", self.kind.to_string(), kind.to_string());
        }
        let units = Units::default();
        for (what, found, expected) in [
            ("the unit of lengths", &self.units.length, units.length),
            ("the unit of velocities", &self.units.velocity, units.velocity),
            ("the unit of masses", &self.units.mass, units.mass),
        ] {
            if *found != expected {
                return mismatch(what, found.clone(), expected);
            }
        }
        if !(self.box_size_mpc_h > 0.0 && self.box_size_mpc_h.is_finite() && self.a > 0.0 && self.a <= 1.0) {
            return Err(FileError::format(path, format!("a box of {} Mpc/h at a = {}", self.box_size_mpc_h, self.a)));
        }
        self.cosmology.check().map_err(|error| FileError::format(path, error.to_string()))?;
        Ok(())
    }
}

/// Particles in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotFile {
    /// What they are.
    pub description: Description,
    /// Positions and velocities in the order of the lattice.
    pub snapshot: Snapshot,
}

/// Haloes in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct HaloFile {
    /// What they are.
    pub description: Description,
    /// The catalogue.
    pub catalogue: HaloCatalogue,
}

/// Galaxies in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct GalaxyFile {
    /// What they are.
    pub description: Description,
    /// The catalogue.
    pub galaxies: Galaxies,
}

impl SnapshotFile {
    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let columns = [Column::vectors("position", &self.snapshot.positions), Column::vectors("velocity", &self.snapshot.velocities)];
        write(path, &self.description, &columns)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is not a snapshot in this program's units, is truncated, or has columns of different lengths.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let mut container = Container::open(path)?;
        let description: Description = container.document()?;
        description.check(path, Kind::Snapshot)?;
        let (positions, velocities) = (container.rows("position")?, container.rows("velocity")?);
        same_length(path, "velocity", positions.len(), velocities.len())?;
        Ok(Self { snapshot: Snapshot { a: description.a, positions, velocities }, description })
    }
}

fn same_length(path: &Path, name: &str, expected: usize, found: usize) -> Result<(), FileError> {
    if expected == found { Ok(()) } else { Err(FileError::format(path, format!("`{name}` has {found} rows, positions have {expected}"))) }
}

impl HaloFile {
    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let c = &self.catalogue;
        let masses: Vec<f32> = c.masses_msun_h.iter().map(|&mass| mass as f32).collect();
        // Exact below 2^24 particles and haloes; larger numbers are rounded by one part in 10^7.
        let particles: Vec<f32> = c.particles.iter().map(|&n| n as f32).collect();
        let parents: Vec<f32> = c.parents.iter().map(|&parent| parent as f32).collect();
        let mut columns = vec![
            Column::vectors("position", &c.positions),
            Column::vectors("velocity", &c.velocities),
            Column::scalars("mass", &masses),
            Column::scalars("particles", &particles),
            Column::scalars("velocity_dispersion", &c.dispersions_km_s),
            Column::scalars("radius", &c.radii_mpc_h),
            Column::scalars("concentration", &c.concentrations),
            Column::scalars("parent", &parents),
        ];
        if !c.shapes.is_empty() {
            columns.push(Column::vectors("second_moments", &c.shapes));
        }
        write(path, &self.description, &columns)
    }

    /// Reads a file, whatever its definition of mass.
    ///
    /// # Errors
    /// It is not a halo catalogue in this program's units, has no definition of mass, is truncated, or has columns of different lengths.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let mut file = Container::open(path)?;
        let description: Description = file.document()?;
        description.check(path, Kind::Halos)?;
        if description.mass_definition.is_none() {
            return Err(FileError::format(path, "a halo catalogue without a definition of mass"));
        }
        let shapes = if file.has("second_moments") { file.rows("second_moments")? } else { Vec::new() };
        let catalogue = HaloCatalogue {
            positions: file.rows("position")?,
            velocities: file.rows("velocity")?,
            masses_msun_h: file.scalars("mass")?.into_iter().map(f64::from).collect(),
            particles: file.scalars("particles")?.into_iter().map(|n| n as u32).collect(),
            dispersions_km_s: file.scalars("velocity_dispersion")?,
            radii_mpc_h: file.scalars("radius")?,
            concentrations: file.scalars("concentration")?,
            parents: file.scalars("parent")?.into_iter().map(|n| n as i32).collect(),
            shapes,
        };
        let count = catalogue.positions.len();
        for (name, found) in [
            ("velocity", catalogue.velocities.len()),
            ("mass", catalogue.masses_msun_h.len()),
            ("particles", catalogue.particles.len()),
            ("velocity_dispersion", catalogue.dispersions_km_s.len()),
            ("radius", catalogue.radii_mpc_h.len()),
            ("concentration", catalogue.concentrations.len()),
            ("parent", catalogue.parents.len()),
        ] {
            same_length(path, name, count, found)?;
        }
        Ok(Self { description, catalogue })
    }

    /// Reads a file whose masses must mean `expected`.
    ///
    /// # Errors
    /// They mean something else; else as [`Self::load`].
    pub fn load_as(path: &Path, expected: HaloDefinition) -> Result<Self, FileError> {
        let file = Self::load(path)?;
        match file.description.mass_definition {
            Some(found) if found == expected => Ok(file),
            found => Err(FileError::Mismatch {
                path: path.to_path_buf(),
                what: "the definition of mass",
                found: found.map_or_else(|| "none".into(), |found| found.to_string()),
                expected: expected.to_string(),
            }),
        }
    }
}

impl GalaxyFile {
    /// Writes the file, complete or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let g = &self.galaxies;
        let satellites: Vec<f32> = g.satellites.iter().map(|&flag| f32::from(flag)).collect();
        let hosts: Vec<f32> = g.hosts.iter().map(|&host| host as f32).collect();
        let columns = [
            Column::vectors("position", &g.positions),
            Column::vectors("velocity", &g.velocities),
            Column::scalars("satellite", &satellites),
            Column::scalars("host", &hosts),
        ];
        write(path, &self.description, &columns)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is not a galaxy catalogue in this program's units, is truncated, or has columns of different lengths.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let mut file = Container::open(path)?;
        let description: Description = file.document()?;
        description.check(path, Kind::Galaxies)?;
        let galaxies = Galaxies {
            positions: file.rows("position")?,
            velocities: file.rows("velocity")?,
            satellites: file.scalars("satellite")?.into_iter().map(|flag| flag as u8).collect(),
            hosts: file.scalars("host")?.into_iter().map(|host| host as u32).collect(),
        };
        same_length(path, "velocity", galaxies.positions.len(), galaxies.velocities.len())?;
        same_length(path, "satellite", galaxies.positions.len(), galaxies.satellites.len())?;
        same_length(path, "host", galaxies.positions.len(), galaxies.hosts.len())?;
        Ok(Self { description, galaxies })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn haloes() -> HaloFile {
        let mut description = Description::new(Kind::Halos, Cosmology::QUIJOTE, 0.5, 100.0, 1e11);
        description.mass_definition = Some(HaloDefinition::M200C);
        let catalogue = HaloCatalogue {
            positions: vec![[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
            velocities: vec![[10.0, 0.0, -5.0]; 2],
            masses_msun_h: vec![2f64.powi(46), 2f64.powi(44)],
            particles: vec![700, 170],
            dispersions_km_s: vec![300.0, 200.0],
            radii_mpc_h: vec![0.5, 0.25],
            concentrations: vec![5.0, 7.0],
            parents: vec![-1, 0],
            shapes: Vec::new(),
        };
        HaloFile { description, catalogue }
    }

    #[test]
    fn catalogues_come_back_and_mean_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("halos.safetensors");
        let file = haloes();
        file.save(&path).unwrap();
        assert_eq!(HaloFile::load(&path).unwrap(), file);
        assert_eq!(HaloFile::load_as(&path, HaloDefinition::M200C).unwrap(), file);
        let error = HaloFile::load_as(&path, HaloDefinition::MVIR).unwrap_err().to_string();
        assert!(error.ends_with("the definition of mass is M200c, expected Mvir"), "{error}");
        let error = SnapshotFile::load(&path).unwrap_err().to_string();
        assert!(error.ends_with("its content is a halo catalogue, expected a snapshot"), "{error}");

        let mut kiloparsecs = file.clone();
        kiloparsecs.description.units.length = "kpc/h comoving".into();
        kiloparsecs.save(&path).unwrap();
        let error = HaloFile::load(&path).unwrap_err().to_string();
        assert!(error.ends_with("the unit of lengths is kpc/h comoving, expected Mpc/h comoving"), "{error}");
    }

    #[test]
    fn truncated_and_hostile_files_are_refused_before_they_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("halos.safetensors");
        haloes().save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(HaloFile::load(&path).is_err(), "{length}");
        }
        // A header that promises 2^60 rows.
        let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
        let header = text[..text.rfind('}').unwrap() + 1].replacen("[2,3]", "[1152921504606846976,3]", 1);
        let mut hostile = (header.len() as u64).to_le_bytes().to_vec();
        hostile.extend_from_slice(header.as_bytes());
        std::fs::write(&path, &hostile).unwrap();
        let error = HaloFile::load(&path).unwrap_err().to_string();
        assert!(error.contains("claims"), "{error}");
        std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
        assert!(HaloFile::load(&path).unwrap_err().to_string().contains("a header of"));
    }
}
