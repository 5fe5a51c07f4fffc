//! Friends-of-friends catalogues of the Quijote simulations: `groups_XXX/group_tab_XXX.N` (Villaescusa-Navarro et al. 2020, arXiv:1909.05273).

use super::FileError;
use super::bytes::ByteFile;
use std::path::Path;

/// Groups in this program's units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuijoteGroups {
    /// Particles.
    pub particles: Vec<u32>,
    /// Masses [Msun/h], with b = 0.2.
    pub masses_msun_h: Vec<f64>,
    /// Positions, comoving [Mpc/h].
    pub positions: Vec<[f32; 3]>,
    /// Peculiar velocities, physical [km/s].
    pub velocities: Vec<[f32; 3]>,
}

const MOST_FILES: u32 = 65_536;

/// Reads all files of snapshot `number` below `folder`, which is at redshift `z`: numbers 0 to 4 are z = 3, 2, 1, 0.5 and 0.
///
/// Positions are stored in kpc/h, masses in 10¹⁰ Msun/h, velocities in km/s over 1 + z.
///
/// # Errors
/// A file is missing or truncated, or the files do not hold the number of groups that they say.
pub fn read_quijote_fof(folder: &Path, number: u32, z: f64) -> Result<QuijoteGroups, FileError> {
    let mut all = QuijoteGroups::default();
    let (mut files, mut index, mut total) = (1, 0, 0);
    while index < files {
        let path = folder.join(format!("groups_{number:03}/group_tab_{number:03}.{index}"));
        let mut file = ByteFile::open(&path)?;
        let (count, in_all, _ids) = (file.u32()?, file.u32()?, file.u32()?);
        file.u64()?;
        let found = file.u32()?;
        if found == 0 || found > MOST_FILES || count > in_all {
            return Err(file.wrong(format!("not a table of groups: {count} of {in_all} groups, {found} files")));
        }
        if index == 0 {
            (files, total) = (found, in_all);
        }
        // Length, offset and mass, position and velocity, six lengths and six masses by type.
        file.needs(u64::from(count) * (12 + 24 + 48))?;
        all.particles.extend(file.numbers(u64::from(count), u32::from_le_bytes)?);
        file.skip(4 * u64::from(count))?;
        all.masses_msun_h.extend(file.numbers(u64::from(count), |bytes| 1e10 * f64::from(f32::from_le_bytes(bytes)))?);
        all.positions.extend(file.vectors(u64::from(count))?.into_iter().map(|x| x.map(|x| x / 1e3)));
        all.velocities.extend(file.vectors(u64::from(count))?.into_iter().map(|v| v.map(|v| v * (1.0 + z) as f32)));
        index += 1;
    }
    if all.particles.len() != total as usize {
        let found = all.particles.len();
        return Err(FileError::format(folder, format!("{found} groups in all files, the header says {total}")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_several_files_in_our_units() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("groups_002");
        std::fs::create_dir(&folder).unwrap();
        let mut written = Vec::new();
        for part in 0..2u32 {
            let mut bytes = Vec::new();
            for word in [1u32, 2, 0] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.extend(0u64.to_le_bytes());
            bytes.extend(2u32.to_le_bytes());
            bytes.extend((100 + part).to_le_bytes());
            bytes.extend(0u32.to_le_bytes());
            for value in [6500.0f32, 1e3, 2e3, 3e3 + part as f32, 10.0, 0.0, -20.0] {
                bytes.extend(value.to_le_bytes());
            }
            bytes.extend([0u8; 48]);
            std::fs::write(folder.join(format!("group_tab_002.{part}")), &bytes).unwrap();
            written = bytes;
        }
        let found = read_quijote_fof(dir.path(), 2, 1.0).unwrap();
        assert_eq!((found.particles, found.masses_msun_h), (vec![100, 101], vec![6.5e13; 2]));
        assert_eq!((found.positions[0], found.velocities[1]), ([1.0, 2.0, 3.0], [20.0, 0.0, -40.0]));
        for length in 0..written.len() {
            std::fs::write(folder.join("group_tab_002.1"), &written[..length]).unwrap();
            assert!(read_quijote_fof(dir.path(), 2, 1.0).is_err(), "{length}");
        }
    }
}
