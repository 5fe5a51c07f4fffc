//! The HDF5 files of the ltu-cmass pipeline (Ho et al. 2024, arXiv:2402.05137; github.com/maho3/ltu-cmass): `nbody.h5`, `halos.h5`, `galaxies/hodXXXXX.h5` and
//! `diag/*.h5` in a folder `…/L<L>-N<N>/<id>/`, one group per scale factor, named with six decimals.
//!
//! Positions are comoving Mpc/h, velocities physical km/s, halo masses log10 M200c [Msun/h]. `rho` is the density contrast on a mesh and `fvel` the mean
//! velocity of its cells divided by a. What these files do not say, cosmology, box, particle mass and the definition of mass, stands in an attribute
//! `abduce` of each group that this program writes; of other files the box is taken from an attribute or the name of the folder, and the rest from what
//! the caller assumes.

use super::foreign::{Assumed, check_positions, sphere_radii, unknown};
use super::{Description, FileError, GalaxyFile, HaloFile, Kind, SnapshotFile};
use crate::cosmology::{Amplitude, CRITICAL_DENSITY, Cosmology};
use crate::galaxies::Galaxies;
use crate::halos::{HaloCatalogue, HaloDefinition};
use crate::mesh::{Convention, Grid, MeshError, Scheme, Weights, deposit};
use crate::pm::Snapshot;
use crate::statistics::{Bispectrum, PowerSpectrum};
use abduce_data::hdf5::{Attribute, Hdf5File, Node, Values, write};
use abduce_kernels::Threads;
use std::path::Path;

/// Attribute of a group that holds the description of the products of this program.
const KEY: &str = "abduce";
/// log10 of the largest mass that a halo may have; larger numbers are not logarithms.
const MOST_LOG10_MASS: f64 = 18.0;

/// The name of the group of a scale factor.
pub fn group_name(a: f64) -> String {
    format!("{a:.6}")
}

/// Groups of a file that are named by a scale factor, and these.
fn groups(file: &Hdf5File) -> Result<Vec<(String, f64)>, FileError> {
    let scale = |name: String| {
        let a = name.parse::<f64>().ok().filter(|a| *a > 0.0 && *a <= 1.0)?;
        (group_name(a) == name).then_some((name, a))
    };
    let found: Vec<(String, f64)> = file.groups("/")?.into_iter().filter_map(scale).collect();
    if found.is_empty() {
        return Err(FileError::format(
            file.path(),
            "not a file of ltu-cmass' layout: no group is named by a scale factor, as `0.666667` is",
        ));
    }
    Ok(found)
}

/// Whether a file has groups named by scale factors.
pub fn is_cmass(path: &Path) -> bool {
    abduce_data::hdf5::is_hdf5(path) && Hdf5File::open(path).map_err(FileError::from).and_then(|file| groups(&file)).is_ok()
}

/// The side of the box [Mpc/h]: an attribute `boxsize`, or that of a folder `L<L>-N<N>`.
fn stated_box(file: &Hdf5File, group: &str) -> Option<f64> {
    let attribute = |object: &str| file.attributes(object).ok()?.get("boxsize").and_then(Attribute::number);
    let folder = || {
        let parts = file.path().parent()?.components();
        parts.rev().find_map(|part| {
            let (l, n) = part.as_os_str().to_str()?.strip_prefix('L')?.split_once("-N")?;
            n.parse::<u32>().ok()?;
            l.parse::<f64>().ok()
        })
    };
    attribute(group).or_else(|| attribute("/")).or_else(folder)
}

/// The cosmology that `cosmo_names` and `cosmo_params` say.
fn stated_cosmology(file: &Hdf5File, group: &str) -> Option<Cosmology> {
    let from = |object: &str| {
        let attributes = file.attributes(object).ok()?;
        let Some(Attribute::Text(names)) = attributes.get("cosmo_names") else { return None };
        let values = attributes.get("cosmo_params")?.numbers()?;
        let get = |name: &str| names.iter().position(|other| other == name).and_then(|i| values.get(i).copied());
        Some(Cosmology::lcdm(get("Omega_m")?, get("Omega_b")?, get("h")?, get("n_s")?, get("sigma8")?))
    };
    from(group).or_else(|| from("/"))
}

fn described(file: &Hdf5File, group: &str, a: f64, kind: Kind, assumed: &Assumed) -> Result<Description, FileError> {
    let path = file.path();
    if let Some(text) = file.attributes(group)?.get(KEY).and_then(Attribute::text) {
        let description: Description =
            serde_json::from_str(text).map_err(|error| FileError::format(path, format!("the description of `{group}`: {error}")))?;
        description.check(path, kind)?;
        return Ok(description);
    }
    let cosmology = stated_cosmology(file, group).unwrap_or(assumed.cosmology);
    let box_size = stated_box(file, group).unwrap_or(assumed.box_size_mpc_h);
    let mut description = Description::new(kind, cosmology, a, box_size, 0.0);
    description.made_by = serde_json::json!({ "read_from": "ltu-cmass" });
    description.check(path, kind)?;
    Ok(description)
}

fn vectors(file: &Hdf5File, group: &str, name: &str, count: Option<usize>) -> Result<Vec<[f32; 3]>, FileError> {
    let array = file.read::<f32>(&format!("{group}/{name}"))?;
    match array.shape() {
        [rows, 3] if count.is_none_or(|count| count == *rows) => Ok(array.into_data().as_chunks::<3>().0.to_vec()),
        shape => Err(FileError::format(
            file.path(),
            format!("`{group}/{name}` has the shape {shape:?}, expected ({}, 3)", count.map_or("n".into(), |n| n.to_string())),
        )),
    }
}

fn scalars<T: abduce_data::hdf5::Hdf5Value>(file: &Hdf5File, group: &str, name: &str, count: usize) -> Result<Vec<T>, FileError> {
    let (shape, values) = file.read_values::<T>(&format!("{group}/{name}"))?;
    if shape == [count] {
        Ok(values)
    } else {
        Err(FileError::format(file.path(), format!("`{group}/{name}` has the shape {shape:?}, expected ({count})")))
    }
}

fn has(file: &Hdf5File, group: &str, name: &str) -> Result<bool, FileError> {
    Ok(file.arrays(group)?.iter().any(|other| other == name))
}

/// Particles of all scale factors of an `nbody.h5`, which must hold `ppos` and `pvel`.
///
/// # Errors
/// Not such a file; no particles, only meshes; particles outside the box or not finite.
pub fn read_particles(path: &Path, assumed: &Assumed) -> Result<Vec<SnapshotFile>, FileError> {
    let file = Hdf5File::open(path)?;
    let one = |(group, a): (String, f64)| {
        let mut description = described(&file, &group, a, Kind::Snapshot, assumed)?;
        if !has(&file, &group, "ppos")? {
            return Err(FileError::format(
                path,
                format!("`{group}` holds no particles (`ppos`, `pvel`), only {}", file.arrays(&group)?.join(", ")),
            ));
        }
        let positions = vectors(&file, &group, "ppos", None)?;
        let velocities = vectors(&file, &group, "pvel", Some(positions.len()))?;
        check_positions(path, &positions, description.box_size_mpc_h)?;
        if description.particle_mass_msun_h == 0.0 {
            let matter = CRITICAL_DENSITY * description.cosmology.omega_m * description.box_size_mpc_h.powi(3);
            description.particle_mass_msun_h = matter / positions.len().max(1) as f64;
        }
        let a = description.a;
        Ok(SnapshotFile { description, snapshot: Snapshot { a, positions, velocities } })
    };
    groups(&file)?.into_iter().map(one).collect()
}

/// Haloes of all scale factors of a `halos.h5`. Their masses mean M200c.
///
/// # Errors
/// Not such a file; masses that are no logarithms; haloes outside the box or not finite.
pub fn read_halos(path: &Path, assumed: &Assumed) -> Result<Vec<HaloFile>, FileError> {
    let file = Hdf5File::open(path)?;
    let one = |(group, a): (String, f64)| {
        let mut description = described(&file, &group, a, Kind::Halos, assumed)?;
        let positions = vectors(&file, &group, "pos", None)?;
        let count = positions.len();
        let velocities = vectors(&file, &group, "vel", Some(count))?;
        check_positions(path, &positions, description.box_size_mpc_h)?;
        let logarithms = scalars::<f64>(&file, &group, "mass", count)?;
        if let Some(row) = logarithms.iter().position(|m| !m.is_finite() || *m > MOST_LOG10_MASS) {
            return Err(FileError::Mismatch {
                path: path.to_path_buf(),
                what: "the unit of masses",
                found: format!("{} in row {row} of `{group}/mass`", logarithms[row]),
                expected: "log10 M200c [Msun/h]".into(),
            });
        }
        let masses_msun_h: Vec<f64> = logarithms.iter().map(|m| 10f64.powf(*m)).collect();
        description.mass_definition.get_or_insert(HaloDefinition::M200C);
        let radii_mpc_h = sphere_radii(path, &description, &masses_msun_h)?;
        let concentrations =
            if has(&file, &group, "concentration")? { scalars(&file, &group, "concentration", count)? } else { unknown(count) };
        let parents = if has(&file, &group, "parent")? {
            scalars::<f64>(&file, &group, "parent", count)?.into_iter().map(|parent| parent as i32).collect()
        } else {
            vec![-1; count]
        };
        let catalogue = HaloCatalogue {
            positions,
            velocities,
            masses_msun_h,
            particles: vec![0; count],
            dispersions_km_s: unknown(count),
            radii_mpc_h,
            concentrations,
            parents,
            shapes: Vec::new(),
        };
        Ok(HaloFile { description, catalogue })
    };
    groups(&file)?.into_iter().map(one).collect()
}

/// Galaxies of all scale factors of a `galaxies/hodXXXXX.h5`; a `gal_type` above 0 is a satellite.
///
/// # Errors
/// Not such a file; galaxies outside the box or not finite.
pub fn read_galaxies(path: &Path, assumed: &Assumed) -> Result<Vec<GalaxyFile>, FileError> {
    let file = Hdf5File::open(path)?;
    let one = |(group, a): (String, f64)| {
        let description = described(&file, &group, a, Kind::Galaxies, assumed)?;
        let positions = vectors(&file, &group, "pos", None)?;
        let count = positions.len();
        let velocities = vectors(&file, &group, "vel", Some(count))?;
        check_positions(path, &positions, description.box_size_mpc_h)?;
        let satellites = if has(&file, &group, "gal_type")? {
            scalars::<f64>(&file, &group, "gal_type", count)?.into_iter().map(|kind| u8::from(kind > 0.0)).collect()
        } else {
            vec![0; count]
        };
        let hosts = if has(&file, &group, "hostid")? {
            scalars::<u64>(&file, &group, "hostid", count)?.into_iter().map(|host| u32::try_from(host).unwrap_or(u32::MAX)).collect()
        } else {
            vec![u32::MAX; count]
        };
        Ok(GalaxyFile { description, galaxies: Galaxies { positions, velocities, satellites, hosts } })
    };
    groups(&file)?.into_iter().map(one).collect()
}

/// What a file of this layout holds.
///
/// # Errors
/// Not such a file.
pub fn kind(path: &Path) -> Result<Kind, FileError> {
    let file = Hdf5File::open(path)?;
    let group = groups(&file)?.swap_remove(0).0;
    let names = file.arrays(&group)?;
    let has = |name: &str| names.iter().any(|other| other == name);
    match () {
        () if has("ppos") || has("rho") => Ok(Kind::Snapshot),
        () if has("mass") => Ok(Kind::Halos),
        () if has("pos") => Ok(Kind::Galaxies),
        () => Err(FileError::format(path, format!("`{group}` holds neither particles, haloes nor galaxies, but {}", names.join(", ")))),
    }
}

fn texts(values: &[&str]) -> Attribute {
    Attribute::Text(values.iter().map(|text| (*text).to_string()).collect())
}

/// The attributes that say what a group means.
fn describe(path: &Path, node: &mut Node<'_>, description: &Description) -> Result<(), FileError> {
    let text = serde_json::to_string(description).map_err(|error| FileError::format(path, error.to_string()))?;
    node.attribute(KEY, texts(&[&text]));
    node.attribute("boxsize", Attribute::Numbers(vec![description.box_size_mpc_h]));
    let c = &description.cosmology;
    let (name, amplitude) = match c.amplitude {
        Amplitude::Sigma8(sigma8) => ("sigma8", sigma8),
        Amplitude::PrimordialCurvature(a_s) => ("A_s", a_s),
    };
    node.attribute("cosmo_names", texts(&["Omega_m", "Omega_b", "h", "n_s", name]));
    node.attribute("cosmo_params", Attribute::Numbers(vec![c.omega_m, c.omega_b, c.h, c.n_s, amplitude]));
    Ok(())
}

/// Fails where two of the descriptions have the same group.
fn distinct<'a>(path: &Path, descriptions: impl Iterator<Item = &'a Description>) -> Result<(), FileError> {
    let mut names: Vec<String> = descriptions.map(|description| group_name(description.a)).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(FileError::format(path, format!("two of what is to be written have the scale factor {}", pair[0]))),
        None => Ok(()),
    }
}

/// Writes an `nbody.h5`: `rho` and `fvel` on a mesh of `cells`³ (cloud in cell; a cell without particles has no velocity), `ppos` and `pvel`.
///
/// # Errors
/// Two snapshots of one scale factor; particles outside the box; the file.
pub fn write_particles(path: &Path, snapshots: &[SnapshotFile], cells: usize, threads: &Threads) -> Result<(), FileError> {
    distinct(path, snapshots.iter().map(|file| &file.description))?;
    let mesh = |error: MeshError| FileError::format(path, error.to_string());
    let mut meshes = Vec::new();
    for file in snapshots {
        let s = &file.snapshot;
        let grid = Grid::new(cells, file.description.box_size_mpc_h).map_err(mesh)?;
        let paint = |weights: Weights<'_>| deposit(&s.positions, weights, grid, Scheme::Cic, Convention::Cells, 0.0, threads).map_err(mesh);
        let mut rho = paint(Weights::Equal)?;
        let mut fvel = vec![0.0f32; 3 * rho.len()];
        for axis in 0..3 {
            let component: Vec<f32> = s.velocities.iter().map(|v| v[axis] / file.description.a as f32).collect();
            let momentum = paint(Weights::Each(&component))?;
            for (cell, (p, n)) in momentum.iter().zip(&rho).enumerate() {
                fvel[3 * cell + axis] = if *n > 0.0 { p / n } else { 0.0 };
            }
        }
        let mean = s.positions.len() as f64 / rho.len() as f64;
        rho.iter_mut().for_each(|n| *n = (f64::from(*n) / mean - 1.0) as f32);
        meshes.push((rho, fvel));
    }
    let mut root = Node::default();
    for (file, (rho, fvel)) in snapshots.iter().zip(&meshes) {
        let mut node = Node::default();
        describe(path, &mut node, &file.description)?;
        let s = &file.snapshot;
        node.array("rho", &[cells; 3], Values::F32(rho));
        node.array("fvel", &[cells, cells, cells, 3], Values::F32(fvel));
        node.array("ppos", &[s.positions.len(), 3], Values::F32(s.positions.as_flattened()));
        node.array("pvel", &[s.velocities.len(), 3], Values::F32(s.velocities.as_flattened()));
        root.groups.push((group_name(file.description.a), node));
    }
    Ok(write(path, &root)?)
}

/// Writes a `halos.h5`; parents of subhaloes in an array of their own, `parent`.
///
/// # Errors
/// Masses that are not M200c; two catalogues of one scale factor; the file.
pub fn write_halos(path: &Path, catalogues: &[HaloFile]) -> Result<(), FileError> {
    distinct(path, catalogues.iter().map(|file| &file.description))?;
    for file in catalogues {
        let found = file.description.mass_definition;
        if found != Some(HaloDefinition::M200C) {
            return Err(FileError::Mismatch {
                path: path.to_path_buf(),
                what: "the definition of mass",
                found: found.map_or_else(|| "none".into(), |found| found.to_string()),
                expected: format!("{}, which is what `mass` means in this layout", HaloDefinition::M200C),
            });
        }
    }
    let masses: Vec<Vec<f32>> =
        catalogues.iter().map(|file| file.catalogue.masses_msun_h.iter().map(|mass| mass.log10() as f32).collect()).collect();
    let mut root = Node::default();
    for (file, masses) in catalogues.iter().zip(&masses) {
        let (c, count) = (&file.catalogue, file.catalogue.len());
        let mut node = Node::default();
        describe(path, &mut node, &file.description)?;
        node.array("pos", &[count, 3], Values::F32(c.positions.as_flattened()));
        node.array("vel", &[count, 3], Values::F32(c.velocities.as_flattened()));
        node.array("mass", &[count], Values::F32(masses));
        node.array("concentration", &[count], Values::F32(&c.concentrations));
        node.array("parent", &[count], Values::I32(&c.parents));
        root.groups.push((group_name(file.description.a), node));
    }
    Ok(write(path, &root)?)
}

/// Writes a `galaxies/hodXXXXX.h5`, with numbers of `parameters` as attributes of the file. `gal_type` is 0 for centrals and 1 for satellites.
///
/// # Errors
/// Two catalogues of one scale factor; the file.
pub fn write_galaxies(path: &Path, catalogues: &[GalaxyFile], parameters: &[(String, f64)]) -> Result<(), FileError> {
    distinct(path, catalogues.iter().map(|file| &file.description))?;
    let mut root = Node::default();
    for (name, value) in parameters {
        root.attribute(name, Attribute::Numbers(vec![*value]));
    }
    for file in catalogues {
        let (g, count) = (&file.galaxies, file.galaxies.positions.len());
        let mut node = Node::default();
        describe(path, &mut node, &file.description)?;
        node.array("pos", &[count, 3], Values::F32(g.positions.as_flattened()));
        node.array("vel", &[count, 3], Values::F32(g.velocities.as_flattened()));
        node.array("gal_type", &[count], Values::U8(&g.satellites));
        node.array("hostid", &[count], Values::U32(&g.hosts));
        root.groups.push((group_name(file.description.a), node));
    }
    Ok(write(path, &root)?)
}

/// Where the tracers of a summary were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Where they are: `Pk`, `Bk`, …
    Real,
    /// Where an observer sees them: `zPk`, `zBk`, …
    Redshift,
}

/// What was measured in one catalogue.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What it was measured in.
    pub description: Description,
    /// Number of tracers.
    pub tracers: usize,
    /// Where they were seen.
    pub space: Space,
    /// Multipoles of the power spectrum.
    pub power: PowerSpectrum,
    /// The bispectrum, where measured.
    pub bispectrum: Option<Bispectrum>,
}

/// Writes a `diag/*.h5`: `Pk_k3D` (nk), `Pk` (nk, 3) with P0, P2, P4, and of a bispectrum `Bk_k123` (n, 3), `Bk`, `Qk` (n), `bPk_k3D`, `bPk` (n, 3), all with shot
/// noise but Q; in redshift space with a `z` before the name. Without a time stamp: the same contents give the same bytes.
///
/// # Errors
/// Two summaries of one scale factor and space; the file.
pub fn write_summaries(path: &Path, summaries: &[Summary]) -> Result<(), FileError> {
    struct Columns {
        power: Vec<f64>,
        sides: Vec<f64>,
        reduced: Vec<f64>,
        powers: Vec<f64>,
    }
    let columns: Vec<Columns> = summaries
        .iter()
        .map(|s| {
            let p = &s.power;
            let b = s.bispectrum.as_ref();
            Columns {
                power: (0..p.k_h_per_mpc.len()).flat_map(|i| [p.p0[i], p.p2[i], p.p4[i]]).collect(),
                sides: b.map_or_else(Vec::new, |b| b.triangles.iter().flat_map(|triangle| triangle.sides_h_per_mpc).collect()),
                reduced: b.map_or_else(Vec::new, Bispectrum::reduced),
                powers: b.map_or_else(Vec::new, |b| b.powers.as_flattened().to_vec()),
            }
        })
        .collect();
    let mut root = Node::default();
    for (s, columns) in summaries.iter().zip(&columns) {
        let group = group_name(s.description.a);
        let place = root.groups.iter().position(|(name, _)| *name == group);
        let place = match place {
            Some(place) => place,
            None => {
                let mut node = Node::default();
                describe(path, &mut node, &s.description)?;
                let density = s.tracers as f64 / s.description.box_size_mpc_h.powi(3);
                node.attribute("Ngalaxies", Attribute::Integers(vec![s.tracers as i64]));
                node.attribute("nbar", Attribute::Numbers(vec![density]));
                node.attribute("log10nbar", Attribute::Numbers(vec![density.log10()]));
                node.attribute("high_res", Attribute::Integers(vec![0]));
                root.groups.push((group.clone(), node));
                root.groups.len() - 1
            }
        };
        let node = &mut root.groups[place].1;
        let prefix = match s.space {
            Space::Real => "",
            Space::Redshift => "z",
        };
        if summaries.iter().filter(|other| other.space == s.space && group_name(other.description.a) == group).count() > 1 {
            return Err(FileError::format(path, format!("two summaries of the scale factor {group} in the same space")));
        }
        let k = &s.power.k_h_per_mpc;
        node.array(&format!("{prefix}Pk_k3D"), &[k.len()], Values::F64(k));
        node.array(&format!("{prefix}Pk"), &[k.len(), 3], Values::F64(&columns.power));
        if let Some(b) = &s.bispectrum {
            let n = b.triangles.len();
            node.array(&format!("{prefix}Bk_k123"), &[n, 3], Values::F64(&columns.sides));
            node.array(&format!("{prefix}Bk"), &[n], Values::F64(&b.b0));
            node.array(&format!("{prefix}Qk"), &[n], Values::F64(&columns.reduced));
            node.array(&format!("{prefix}bPk_k3D"), &[n, 3], Values::F64(&columns.sides));
            node.array(&format!("{prefix}bPk"), &[n, 3], Values::F64(&columns.powers));
        }
    }
    Ok(write(path, &root)?)
}
