//! GADGET snapshots in HDF5, in one file or several (the GADGET-4 users' guide, section "Format of output files"), Quijote's among them.
//!
//! Attributes of `Header` say what the binary header says; `PartType1` holds `Coordinates`, `Velocities` (over √a) and `ParticleIDs`. The unit of
//! lengths is found in the file, and one that was asked for must agree with it.

use super::FileError;
use super::gadget::{GadgetSnapshot, LengthUnit, MOST_FILES, common_mass, unit_of_lengths};
use abduce_data::hdf5::{Attribute, Hdf5File, Node, Values, write};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Centimetres of a kiloparsec.
const KPC_IN_CM: f64 = 3.085_677_581e21;
/// Grams of 10¹⁰ solar masses.
const MASS_IN_G: f64 = 1.988_41e43;

struct Header {
    count: u64,
    total: u64,
    files: u32,
    a: f64,
    box_size: f64,
    omega_m: f64,
    h: f64,
    mass: f64,
    all_mass: Option<f64>,
}

impl Header {
    fn read(file: &Hdf5File) -> Result<Self, FileError> {
        let path = file.path();
        let attributes = file.attributes("Header")?;
        let missing = |name: &str| FileError::format(path, format!("not a GADGET snapshot: its header has no `{name}`"));
        let numbers = |name: &str| attributes.get(name).and_then(Attribute::numbers).ok_or_else(|| missing(name));
        let number = |name: &str| attributes.get(name).and_then(Attribute::number).ok_or_else(|| missing(name));
        let count = |value: f64, name: &str| {
            let whole = value >= 0.0 && value.fract() == 0.0 && value < 1e15;
            if whole { Ok(value as u64) } else { Err(FileError::format(path, format!("`{name}` is {value}"))) }
        };
        let counts = numbers("NumPart_ThisFile")?;
        let mut totals = numbers("NumPart_Total")?;
        if let Some(high) = attributes.get("NumPart_Total_HighWord").and_then(Attribute::numbers) {
            totals.iter_mut().zip(high).for_each(|(total, high)| *total += high * f64::from(1u32 << 31) * 2.0);
        }
        let masses = numbers("MassTable")?;
        if counts.len() < 2 || totals.len() != counts.len() || masses.len() != counts.len() {
            return Err(FileError::format(path, "the header's lists of types differ in length"));
        }
        // The mass of everything, where the header tells it.
        let told = totals.iter().zip(&masses).all(|(&n, &m)| n == 0.0 || m > 0.0);
        let all_mass = told.then(|| totals.iter().zip(&masses).map(|(n, m)| n * m).sum());
        let files = count(number("NumFilesPerSnapshot")?, "NumFilesPerSnapshot")?;
        let parameter = |names: [&str; 2]| -> Result<f64, FileError> {
            // GADGET-4 keeps the model with its parameters.
            let parameters = file.attributes("Parameters").unwrap_or_default();
            let found = names.iter().find_map(|name| attributes.get(*name).or_else(|| parameters.get(*name)).and_then(Attribute::number));
            found.ok_or_else(|| missing(names[0]))
        };
        let header = Self {
            count: count(counts[1], "NumPart_ThisFile")?,
            total: count(totals[1], "NumPart_Total")?,
            files: u32::try_from(files).unwrap_or(u32::MAX).max(1),
            a: number("Time")?,
            box_size: number("BoxSize")?,
            omega_m: parameter(["Omega0", "OmegaM"])?,
            h: parameter(["HubbleParam", "Hubble"])?,
            mass: masses[1],
            all_mass,
        };
        let sound = header.a > 0.0 && header.a <= 1.01 && header.box_size > 0.0 && header.box_size.is_finite() && header.mass >= 0.0;
        if !sound || header.files > MOST_FILES {
            let Self { a, box_size, files, .. } = header;
            return Err(FileError::format(path, format!("not a GADGET snapshot: a = {a}, a box of {box_size}, {files} files")));
        }
        Ok(header)
    }
}

/// The unit that a file states, in `UnitLength_in_cm` or in the powers of h of its coordinates.
fn stated_unit(file: &Hdf5File) -> Result<Option<LengthUnit>, FileError> {
    let mismatch = |what: &'static str, found: String, expected: &str| {
        Err(FileError::Mismatch { path: file.path().to_path_buf(), what, found, expected: expected.into() })
    };
    let mut all: BTreeMap<String, Attribute> = file.attributes("Header")?;
    for group in ["Parameters", "Units"] {
        all.extend(file.attributes(group).unwrap_or_default());
    }
    if let Some(velocity) = all.get("UnitVelocity_in_cm_per_s").and_then(Attribute::number)
        && (velocity / 1e5 - 1.0).abs() > 1e-3
    {
        return mismatch("the unit of velocities", format!("{velocity} cm/s"), "1e5 cm/s");
    }
    if let Some(mass) = all.get("UnitMass_in_g").and_then(Attribute::number)
        && (mass / MASS_IN_G - 1.0).abs() > 5e-3
    {
        return mismatch("the unit of masses", format!("{mass} g"), "1e10 Msun/h");
    }
    if let Some(power) = file.attributes("PartType1/Coordinates")?.get("h_scaling").and_then(Attribute::number)
        && power != -1.0
    {
        return mismatch("the power of h in the unit of lengths", power.to_string(), "-1");
    }
    let Some(length) = all.get("UnitLength_in_cm").and_then(Attribute::number) else { return Ok(None) };
    match [LengthUnit::KpcPerH, LengthUnit::MpcPerH]
        .into_iter()
        .find(|unit| (length / (unit.in_mpc_h() * 1e3 * KPC_IN_CM) - 1.0).abs() < 1e-3)
    {
        Some(unit) => Ok(Some(unit)),
        None => mismatch("the unit of lengths", format!("{length} cm"), "kpc/h or Mpc/h"),
    }
}

/// The files of a snapshot: the one that is there, or `BASE.hdf5`, `BASE.0.hdf5`.
fn first_file(path: &Path) -> PathBuf {
    let with = |ending: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    [path.to_path_buf(), with(".hdf5"), with(".0.hdf5"), with(".0.h5")]
        .into_iter()
        .find(|file| file.is_file())
        .unwrap_or_else(|| path.to_path_buf())
}

/// Whether there is such a snapshot at `path`, which may lack `.hdf5` or `.0.hdf5`.
pub fn is_gadget_hdf5(path: &Path) -> bool {
    let first = first_file(path);
    abduce_data::hdf5::is_hdf5(&first)
        && Hdf5File::open(&first).and_then(|file| file.groups("/")).is_ok_and(|groups| groups.iter().any(|g| g == "Header"))
}

/// Reads a snapshot; of several files `X.0.hdf5`, `X.1.hdf5`, … give the first, or `X`.
///
/// Without `unit`, lengths are in the unit that the file states, or else in the one with which its particles have the mean density of its Ω_m.
///
/// # Errors
/// A file is missing, truncated or not a snapshot; its unit can't be found or is another than `unit`; particles without a common mass; files of different
/// snapshots; arrays that contradict the header.
pub fn read_gadget_hdf5(path: &Path, unit: Option<LengthUnit>) -> Result<GadgetSnapshot, FileError> {
    let first = first_file(path);
    let name = first.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let part = |i: u32| -> Option<PathBuf> {
        let (base, ending) = name.rsplit_once(".0.")?;
        Some(first.with_file_name(format!("{base}.{i}.{ending}")))
    };
    let mut snapshot: Option<GadgetSnapshot> = None;
    let (mut files, mut total, mut index, mut found_unit) = (1, 0, 0, LengthUnit::KpcPerH);
    while index < files {
        let at = match index {
            0 => first.clone(),
            i => {
                part(i).ok_or_else(|| FileError::format(&first, format!("one of {files} files, but its name does not end in `.0.hdf5`")))?
            }
        };
        let file = Hdf5File::open(&at)?;
        let header = Header::read(&file)?;
        if index == 0 {
            (files, total) = (header.files, header.total);
        }
        let count = header.count as usize;
        let vectors = |name: &str| -> Result<Vec<[f32; 3]>, FileError> {
            let array = file.read::<f32>(&format!("PartType1/{name}"))?;
            if array.shape() != [count, 3] {
                let shape = array.shape();
                return Err(FileError::format(
                    &at,
                    format!("`PartType1/{name}` has the shape {shape:?}, the header says {count} particles"),
                ));
            }
            Ok(array.into_data().as_chunks::<3>().0.to_vec())
        };
        let (mut positions, mut velocities) =
            if count == 0 { (Vec::new(), Vec::new()) } else { (vectors("Coordinates")?, vectors("Velocities")?) };
        let ids = match file.arrays("PartType1") {
            Ok(names) if count > 0 && names.iter().any(|name| name == "ParticleIDs") => file.read_values::<u64>("PartType1/ParticleIDs")?.1,
            _ => Vec::new(),
        };
        if !ids.is_empty() && ids.len() != count {
            return Err(FileError::format(&at, format!("{} identities, the header says {count} particles", ids.len())));
        }
        let mass = if header.mass > 0.0 || count == 0 {
            header.mass
        } else {
            common_mass(&at, &file.read::<f64>("PartType1/Masses")?.into_data())?
        };
        if index == 0 {
            let all_mass = header.all_mass.or_else(|| (header.count == header.total && files == 1).then_some(mass * count as f64));
            found_unit = unit_of_lengths(&at, stated_unit(&file)?, unit, header.box_size, all_mass, header.omega_m)?;
        }
        // In f64: 10⁵ kpc/h must not become more than 100 Mpc/h.
        let (scale, to_km_s) = (found_unit.in_mpc_h(), header.a.sqrt());
        positions.as_flattened_mut().iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
        velocities.as_flattened_mut().iter_mut().for_each(|v| *v = (f64::from(*v) * to_km_s) as f32);
        let box_size_mpc_h = header.box_size * found_unit.in_mpc_h();
        match &mut snapshot {
            None => {
                let (a, omega_m, h) = (header.a, header.omega_m, header.h);
                let particle_mass_msun_h = mass * 1e10;
                snapshot = Some(GadgetSnapshot { a, box_size_mpc_h, omega_m, h, particle_mass_msun_h, positions, velocities, ids });
            }
            Some(before) => {
                if (before.a, before.box_size_mpc_h) != (header.a, box_size_mpc_h) {
                    return Err(FileError::format(&at, "it belongs to another snapshot than the files before it"));
                }
                if before.particle_mass_msun_h == 0.0 {
                    before.particle_mass_msun_h = mass * 1e10;
                }
                before.positions.append(&mut positions);
                before.velocities.append(&mut velocities);
                before.ids.extend(ids);
            }
        }
        index += 1;
    }
    let snapshot = snapshot.filter(|snapshot| !snapshot.positions.is_empty());
    let snapshot = snapshot.ok_or_else(|| FileError::format(&first, "no particles of type 1"))?;
    if snapshot.positions.len() as u64 != total {
        let found = snapshot.positions.len();
        return Err(FileError::format(&first, format!("{found} particles in all files, the header says {total}")));
    }
    Ok(snapshot)
}

/// Writes a snapshot as one file, with its units.
///
/// # Errors
/// Columns of different lengths, or the file.
pub fn write_gadget_hdf5(path: &Path, snapshot: &GadgetSnapshot, unit: LengthUnit) -> Result<(), FileError> {
    let count = snapshot.positions.len();
    if snapshot.velocities.len() != count || !(snapshot.ids.is_empty() || snapshot.ids.len() == count) {
        return Err(FileError::format(path, "positions, velocities and identities differ in number"));
    }
    let (scale, from_km_s) = ((1.0 / unit.in_mpc_h()) as f32, (1.0 / snapshot.a.sqrt()) as f32);
    let scaled = |values: &[[f32; 3]], factor: f32| values.as_flattened().iter().map(|value| value * factor).collect::<Vec<f32>>();
    let positions = scaled(&snapshot.positions, scale);
    let velocities = scaled(&snapshot.velocities, from_km_s);
    let ids: Vec<u64> = if snapshot.ids.is_empty() { (1..=count as u64).collect() } else { snapshot.ids.clone() };
    let integers = |values: [i64; 6]| Attribute::Integers(values.to_vec());
    let number = |value: f64| Attribute::Numbers(vec![value]);
    let counts = [0, count as i64, 0, 0, 0, 0];
    let mut header = Node::default();
    for (name, value) in [
        ("NumPart_ThisFile", integers(counts)),
        ("NumPart_Total", integers(counts.map(|n| n & 0xffff_ffff))),
        ("NumPart_Total_HighWord", integers(counts.map(|n| n >> 32))),
        ("MassTable", Attribute::Numbers(vec![0.0, snapshot.particle_mass_msun_h * 1e-10, 0.0, 0.0, 0.0, 0.0])),
        ("Time", number(snapshot.a)),
        ("Redshift", number(1.0 / snapshot.a - 1.0)),
        ("BoxSize", number(snapshot.box_size_mpc_h / unit.in_mpc_h())),
        ("NumFilesPerSnapshot", Attribute::Integers(vec![1])),
        ("Omega0", number(snapshot.omega_m)),
        ("OmegaLambda", number(1.0 - snapshot.omega_m)),
        ("HubbleParam", number(snapshot.h)),
        ("Flag_DoublePrecision", Attribute::Integers(vec![0])),
        ("UnitLength_in_cm", number(unit.in_mpc_h() * 1e3 * KPC_IN_CM)),
        ("UnitMass_in_g", number(MASS_IN_G)),
        ("UnitVelocity_in_cm_per_s", number(1e5)),
    ] {
        header.attribute(name, value);
    }
    let mut particles = Node::default();
    particles.array("Coordinates", &[count, 3], Values::F32(&positions));
    particles.array("Velocities", &[count, 3], Values::F32(&velocities));
    particles.array("ParticleIDs", &[count], Values::U64(&ids));
    let mut root = Node::default();
    root.groups.push(("Header".into(), header));
    root.groups.push(("PartType1".into(), particles));
    Ok(write(path, &root)?)
}
