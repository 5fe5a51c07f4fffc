//! GADGET-1 and -2 binary snapshots, in one file or several (Springel 2005, astro-ph/0505010; the GADGET-2 users' guide, section 6).

use super::FileError;
use super::bytes::ByteFile;
use crate::cosmology::CRITICAL_DENSITY;
use abduce_data::artefact::write_atomic;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The unit of lengths, which binary files do not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthUnit {
    /// kpc/h, GADGET's usual one, and that of Quijote.
    KpcPerH,
    /// Mpc/h.
    MpcPerH,
}

impl LengthUnit {
    pub(super) const fn in_mpc_h(self) -> f64 {
        match self {
            Self::KpcPerH => 1e-3,
            Self::MpcPerH => 1.0,
        }
    }
}

impl std::fmt::Display for LengthUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KpcPerH => "kpc/h",
            Self::MpcPerH => "Mpc/h",
        })
    }
}

/// The unit of a file's lengths: the one that it states, or else the one in which its mass `all_mass` [10¹⁰ Msun/h] fills its box with about the mean
/// density of its Ω_m: a factor of 10⁹ lies between the two. One that was asked for must be this one, and decides where neither is known.
pub(super) fn unit_of_lengths(
    path: &Path,
    stated: Option<LengthUnit>,
    asked: Option<LengthUnit>,
    box_size: f64,
    all_mass: Option<f64>,
    omega_m: f64,
) -> Result<LengthUnit, FileError> {
    // Baryons or neutrinos that are not particles take a part of Ω_m away, and nothing a factor of two.
    let fits = |unit: &LengthUnit| {
        let expected = 1e-10 * CRITICAL_DENSITY * omega_m * (box_size * unit.in_mpc_h()).powi(3);
        all_mass.is_some_and(|mass| mass > 0.5 * expected && mass < 2.0 * expected)
    };
    let weighed = [LengthUnit::KpcPerH, LengthUnit::MpcPerH].into_iter().find(fits);
    let mismatch = |what, found: String, expected: String| Err(FileError::Mismatch { path: path.to_path_buf(), what, found, expected });
    if let (Some(mass), None, true) = (all_mass, weighed, omega_m > 0.0) {
        let found = format!("{mass:e} 1e10 Msun/h in a box of {box_size}");
        return mismatch("the mass of its particles", found, format!("that of Ω_m = {omega_m}, with lengths in kpc/h or Mpc/h"));
    }
    if let (Some(stated), Some(weighed)) = (stated, weighed)
        && stated != weighed
    {
        return mismatch("the unit of lengths", stated.to_string(), format!("{weighed}, from the density of its particles"));
    }
    match (stated.or(weighed), asked) {
        (Some(found), Some(asked)) if found != asked => mismatch("the unit of lengths", found.to_string(), asked.to_string()),
        (Some(unit), _) | (None, Some(unit)) => Ok(unit),
        (None, None) => Err(FileError::format(path, "nothing in it tells the unit of its lengths")),
    }
}

/// The one mass of all particles.
#[cfg(feature = "hdf5")]
pub(super) fn common_mass(path: &Path, masses: &[f64]) -> Result<f64, FileError> {
    match masses {
        [first, rest @ ..] if *first > 0.0 && rest.iter().all(|mass| (mass / first - 1.0).abs() < 1e-6) => Ok(*first),
        _ => Err(FileError::format(path, "particles of type 1 have no common mass, and only such are read")),
    }
}

/// Dark-matter particles (type 1) of a snapshot in this program's units.
#[derive(Clone, Debug, PartialEq)]
pub struct GadgetSnapshot {
    /// Scale factor.
    pub a: f64,
    /// Side of the box [Mpc/h].
    pub box_size_mpc_h: f64,
    /// Ω_m.
    pub omega_m: f64,
    /// h.
    pub h: f64,
    /// Mass of a particle [Msun/h].
    pub particle_mass_msun_h: f64,
    /// Positions, comoving [Mpc/h].
    pub positions: Vec<[f32; 3]>,
    /// Peculiar velocities, physical [km/s]: √a times what is stored.
    pub velocities: Vec<[f32; 3]>,
    /// Identities.
    pub ids: Vec<u64>,
}

#[derive(Clone, Copy)]
struct Header {
    counts: [u32; 6],
    masses: [f64; 6],
    a: f64,
    totals: [u32; 6],
    files: u32,
    box_size: f64,
    omega_m: f64,
    h: f64,
}

/// No snapshot is cut into more files.
pub(super) const MOST_FILES: u32 = 65_536;

impl Header {
    fn parse(bytes: &[u8; 256]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let double = |at: usize| f64::from_bits(u64::from(word(at)) | u64::from(word(at + 4)) << 32);
        Self {
            counts: std::array::from_fn(|i| word(4 * i)),
            masses: std::array::from_fn(|i| double(24 + 8 * i)),
            a: double(72),
            totals: std::array::from_fn(|i| word(96 + 4 * i)),
            files: word(124),
            box_size: double(128),
            omega_m: double(136),
            h: double(152),
        }
    }

    /// The mass of everything [10¹⁰ Msun/h], where the header tells it.
    fn all_mass(&self) -> Option<f64> {
        let told = self.totals.iter().zip(&self.masses).all(|(&n, &mass)| n == 0 || mass > 0.0);
        let sum = self.totals.iter().zip(&self.masses).map(|(&n, mass)| f64::from(n) * mass).sum();
        (told && sum > 0.0).then_some(sum)
    }

    fn check(&self, file: &ByteFile) -> Result<(), FileError> {
        let sound = self.a > 0.0 && self.a <= 1.01 && self.box_size > 0.0 && self.box_size.is_finite() && self.masses[1] >= 0.0;
        if !sound || self.files > MOST_FILES {
            return Err(file.wrong(format!("not a GADGET snapshot: a = {}, a box of {}, {} files", self.a, self.box_size, self.files)));
        }
        Ok(())
    }
}

/// A block of Fortran's: its length before and behind, and in GADGET-2's format a label before that.
fn block(file: &mut ByteFile, expected: u64, what: &str) -> Result<(), FileError> {
    let mut length = file.u32()?;
    // Format 2: a block of 8 bytes with a name of four letters.
    if length == 8 && expected != 8 {
        file.skip(8)?;
        file.u32()?;
        length = file.u32()?;
    }
    // Blocks beyond 4 GB write their length modulo 2³².
    if u64::from(length) != expected & 0xffff_ffff {
        return Err(file.wrong(format!("the block of {what} says {length} bytes, its header means {expected}")));
    }
    file.needs(expected.saturating_add(4))
}

fn close(file: &mut ByteFile, expected: u64, what: &str) -> Result<(), FileError> {
    let length = file.u32()?;
    if u64::from(length) == expected & 0xffff_ffff {
        Ok(())
    } else {
        Err(file.wrong(format!("the block of {what} does not end where it should")))
    }
}

/// Whether a file begins as such snapshots do: with a header of 256 bytes between two words that say so.
pub fn is_gadget(path: &Path) -> bool {
    let framed = |path: &Path| -> Result<(), FileError> {
        let mut file = ByteFile::open(path)?;
        block(&mut file, 256, "the header")?;
        file.skip(256)?;
        close(&mut file, 256, "the header")
    };
    let mut first = path.as_os_str().to_owned();
    first.push(".0");
    let path = if path.is_file() { path.to_path_buf() } else { PathBuf::from(first) };
    framed(&path).is_ok()
}

/// Reads a snapshot: `path` itself, or `path.0`, `path.1`, …. Without `unit`, lengths are in the one with which the particles have the mean density
/// of the header's Ω_m.
///
/// # Errors
/// A file is missing, truncated or not a snapshot; its particles have another density than `unit` would give them; its blocks contradict its header; files of different snapshots; no particles of type 1; masses in
/// a block of their own.
pub fn read_gadget(path: &Path, unit: Option<LengthUnit>) -> Result<GadgetSnapshot, FileError> {
    let part = |i: u32| -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{i}"));
        name.into()
    };
    let first = if path.is_file() { path.to_path_buf() } else { part(0) };
    let mut snapshot: Option<GadgetSnapshot> = None;
    let mut files = 1;
    let mut total = 0u64;
    let mut index = 0;
    let mut found_unit = LengthUnit::KpcPerH;
    while index < files {
        let at = if index == 0 { first.clone() } else { part(index) };
        let mut file = ByteFile::open(&at)?;
        block(&mut file, 256, "the header")?;
        let header = Header::parse(&file.array()?);
        close(&mut file, 256, "the header")?;
        header.check(&file)?;
        if header.masses[1] == 0.0 {
            return Err(file.wrong("particles of type 1 have no common mass: masses in a block of their own are not read"));
        }
        if index == 0 {
            files = if path.is_file() { 1 } else { header.files.max(1) };
            total = u64::from(header.totals[1]);
            found_unit = unit_of_lengths(&at, None, unit, header.box_size, header.all_mass(), header.omega_m)?;
        }
        // In f64: 10⁵ kpc/h must not become more than 100 Mpc/h.
        let (scale, to_km_s) = (found_unit.in_mpc_h(), header.a.sqrt());
        let all: u64 = header.counts.iter().map(|&n| u64::from(n)).sum();
        let (before, own) = (u64::from(header.counts[0]), u64::from(header.counts[1]));
        let vectors = |file: &mut ByteFile, what: &str, scale: f64| -> Result<Vec<[f32; 3]>, FileError> {
            block(file, 12 * all, what)?;
            file.skip(12 * before)?;
            let mut values = file.vectors(own)?;
            file.skip(12 * (all - before - own))?;
            close(file, 12 * all, what)?;
            values.as_flattened_mut().iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
            Ok(values)
        };
        let positions = vectors(&mut file, "positions", scale)?;
        let velocities = vectors(&mut file, "velocities", to_km_s)?;
        let mut ids = Vec::new();
        if !file.is_at_end() {
            // Identities have 4 or 8 bytes: the length of their block tells.
            let mut length = file.u32()?;
            if length == 8 && all > 2 {
                file.skip(8)?;
                file.u32()?;
                length = file.u32()?;
            }
            let wide = u64::from(length) == (8 * all) & 0xffff_ffff && (all == 0 || u64::from(length) != (4 * all) & 0xffff_ffff);
            let width = if wide { 8 } else { 4 };
            file.skip(width * before)?;
            ids = if wide {
                file.numbers(own, u64::from_le_bytes)?
            } else {
                file.numbers(own, |bytes| u64::from(u32::from_le_bytes(bytes)))?
            };
        }
        let found = GadgetSnapshot {
            a: header.a,
            box_size_mpc_h: header.box_size * found_unit.in_mpc_h(),
            omega_m: header.omega_m,
            h: header.h,
            particle_mass_msun_h: header.masses[1] * 1e10,
            positions,
            velocities,
            ids,
        };
        snapshot = Some(match snapshot {
            None => found,
            Some(mut before) => {
                if (before.a, before.box_size_mpc_h) != (found.a, found.box_size_mpc_h) {
                    return Err(file.wrong("it belongs to another snapshot than the files before it"));
                }
                before.positions.extend(found.positions);
                before.velocities.extend(found.velocities);
                before.ids.extend(found.ids);
                before
            }
        });
        index += 1;
    }
    let snapshot = snapshot.filter(|snapshot| !snapshot.positions.is_empty());
    let snapshot = snapshot.ok_or_else(|| FileError::format(&first, "no particles of type 1"))?;
    if total != 0 && files > 1 && snapshot.positions.len() as u64 != total {
        let found = snapshot.positions.len();
        return Err(FileError::format(&first, format!("{found} particles in all files, the header says {total}")));
    }
    Ok(snapshot)
}

/// Writes a snapshot as one file in GADGET's first format.
///
/// # Errors
/// Columns of different lengths, more than 357 913 941 particles (a block of 4 GB), or the file.
pub fn write_gadget(path: &Path, snapshot: &GadgetSnapshot, unit: LengthUnit) -> Result<(), FileError> {
    let count = snapshot.positions.len();
    let bytes =
        u32::try_from(12 * count as u64).map_err(|_| FileError::format(path, format!("{count} particles do not fit into one file")))?;
    if snapshot.velocities.len() != count || snapshot.ids.len() != count {
        return Err(FileError::format(path, "positions, velocities and identities differ in number"));
    }
    let mut header = [0u8; 256];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(4, &(count as u32).to_le_bytes());
    put(32, &(snapshot.particle_mass_msun_h * 1e-10).to_le_bytes());
    put(72, &snapshot.a.to_le_bytes());
    put(80, &(1.0 / snapshot.a - 1.0).to_le_bytes());
    put(100, &(count as u32).to_le_bytes());
    put(124, &1u32.to_le_bytes());
    put(128, &(snapshot.box_size_mpc_h / unit.in_mpc_h()).to_le_bytes());
    put(136, &snapshot.omega_m.to_le_bytes());
    put(144, &(1.0 - snapshot.omega_m).to_le_bytes());
    put(152, &snapshot.h.to_le_bytes());
    let (scale, from_km_s) = ((1.0 / unit.in_mpc_h()) as f32, (1.0 / snapshot.a.sqrt()) as f32);
    write_atomic(path, |out| {
        out.write_all(&256u32.to_le_bytes())?;
        out.write_all(&header)?;
        out.write_all(&256u32.to_le_bytes())?;
        for (values, factor) in [(&snapshot.positions, scale), (&snapshot.velocities, from_km_s)] {
            out.write_all(&bytes.to_le_bytes())?;
            for value in values.as_flattened() {
                out.write_all(&(value * factor).to_le_bytes())?;
            }
            out.write_all(&bytes.to_le_bytes())?;
        }
        // Eight bytes per identity; the length of a block counts modulo 2³².
        let bytes = (8 * count as u64) as u32;
        out.write_all(&bytes.to_le_bytes())?;
        for id in &snapshot.ids {
            out.write_all(&id.to_le_bytes())?;
        }
        out.write_all(&bytes.to_le_bytes())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> GadgetSnapshot {
        GadgetSnapshot {
            a: 0.25,
            box_size_mpc_h: 1000.0,
            omega_m: 0.3175,
            h: 0.6711,
            // Seven particles of the mean density.
            particle_mass_msun_h: 27.753_66e10 * 0.3175 * 1e9 / 7.0,
            positions: (0..7).map(|i| [i as f32, 0.5 * i as f32, 999.0]).collect(),
            velocities: (0..7).map(|i| [100.0 * i as f32, -8.0, 2.0]).collect(),
            ids: (0..7).map(|i| i + (1 << 40)).collect(),
        }
    }

    #[test]
    fn what_is_written_comes_back_in_any_unit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snap_003");
        for unit in [LengthUnit::KpcPerH, LengthUnit::MpcPerH] {
            write_gadget(&path, &snapshot(), unit).unwrap();
            let found = read_gadget(&path, Some(unit)).unwrap();
            assert_eq!((found.a, found.ids.clone(), found.velocities.clone()), (0.25, snapshot().ids, snapshot().velocities));
            // Kiloparsecs and back: two roundings of f32.
            let near = |a: &[f32; 3], b: &[f32; 3]| (0..3).all(|axis| (a[axis] - b[axis]).abs() <= 2e-7 * b[axis].abs());
            assert!(found.positions.iter().zip(&snapshot().positions).all(|(a, b)| near(a, b)));
            assert!(
                (found.particle_mass_msun_h / snapshot().particle_mass_msun_h - 1.0).abs() < 1e-12
                    && (found.box_size_mpc_h - 1000.0).abs() < 1e-9
            );
            // The density tells the unit, and contradicts the other one.
            assert_eq!(read_gadget(&path, None).unwrap(), found);
            let other = if unit == LengthUnit::KpcPerH { LengthUnit::MpcPerH } else { LengthUnit::KpcPerH };
            let error = read_gadget(&path, Some(other)).unwrap_err().to_string();
            assert!(error.ends_with(&format!("the unit of lengths is {unit}, expected {other}")), "{error}");
        }
        assert!(is_gadget(&path) && !is_gadget(dir.path()));
        // √a = 1/2: what stands in the file is twice the velocity.
        let bytes = std::fs::read(&path).unwrap();
        let at = 264 + 4 + 84 + 4 + 4 + 12;
        assert_eq!(f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()), 200.0);
    }

    #[test]
    fn several_files_are_one_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("snap_004");
        for part in 0..2 {
            let mut some = snapshot();
            some.positions.truncate(3 + part);
            some.velocities.truncate(3 + part);
            some.ids.truncate(3 + part);
            let path = dir.path().join(format!("snap_004.{part}"));
            write_gadget(&path, &some, LengthUnit::MpcPerH).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[4 + 100..4 + 104].copy_from_slice(&7u32.to_le_bytes());
            bytes[4 + 124..4 + 128].copy_from_slice(&2u32.to_le_bytes());
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(read_gadget(&base, Some(LengthUnit::MpcPerH)).unwrap().positions.len(), 7);
        std::fs::remove_file(dir.path().join("snap_004.1")).unwrap();
        assert!(read_gadget(&base, Some(LengthUnit::MpcPerH)).is_err());
    }

    #[test]
    fn damaged_files_are_errors_before_memory_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("snap");
        write_gadget(&path, &snapshot(), LengthUnit::MpcPerH).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() - (4 + 56 + 4) {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read_gadget(&path, Some(LengthUnit::MpcPerH)).is_err(), "{length}");
        }
        // Every byte of the header turned over: an error or a snapshot, never a panic or gigabytes.
        for at in 0..264 {
            let mut hostile = bytes.clone();
            hostile[at] ^= 0xff;
            std::fs::write(&path, &hostile).unwrap();
            read_gadget(&path, Some(LengthUnit::MpcPerH)).ok();
        }
        let mut hostile = bytes;
        hostile[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        std::fs::write(&path, &hostile).unwrap();
        assert!(read_gadget(&path, Some(LengthUnit::MpcPerH)).unwrap_err().to_string().contains("the block of positions says"));
    }
}
