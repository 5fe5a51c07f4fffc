//! Halo catalogues of Rockstar and consistent-trees: `out_N.list`, `out_N_pid.list`, `hlist_A.list` (Behroozi et al. 2013, arXiv:1110.4372).

use super::FileError;
use crate::halos::{HaloCatalogue, HaloDefinition};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// A catalogue and what its comments say.
#[derive(Clone, Debug, PartialEq)]
pub struct RockstarCatalogue {
    /// Haloes in the order of the file; `parents` holds rows of this catalogue.
    pub catalogue: HaloCatalogue,
    /// What the masses mean, as asked for.
    pub mass_definition: HaloDefinition,
    /// Scale factor, where a comment tells it.
    pub a: Option<f64>,
    /// Side of the box [Mpc/h], where a comment tells it.
    pub box_size_mpc_h: Option<f64>,
}

/// Longer lines are not of a catalogue.
const MOST_BYTES: usize = 1 << 16;

/// Reads a catalogue with the masses of `definition`: the column `mvir`, `m200c` or `m200b`.
///
/// Positions are in Mpc/h, velocities in km/s, masses in Msun/h, radii in kpc/h (stored here in Mpc/h); concentrations are R_vir/R_s.
///
/// # Errors
/// Not such a file, no column for that mass (the error lists those that are there), a number that can't be read, a position that is not finite.
pub fn read_rockstar(path: &Path, definition: HaloDefinition) -> Result<RockstarCatalogue, FileError> {
    let wanted = match definition {
        HaloDefinition::MVIR => "mvir",
        HaloDefinition::M200C => "m200c",
        HaloDefinition::M200M => "m200b",
        other => {
            return Err(FileError::Mismatch {
                path: path.to_path_buf(),
                what: "the definition of mass",
                found: "Mvir, M200c or M200m".into(),
                expected: other.to_string(),
            });
        }
    };
    let file = File::open(path).map_err(FileError::io("read", path))?;
    let mut reader = BufReader::new(file);
    let (mut names, mut line, mut number): (Vec<String>, Vec<u8>, usize) = (Vec::new(), Vec::new(), 0);
    let mut out = RockstarCatalogue { catalogue: HaloCatalogue::default(), mass_definition: definition, a: None, box_size_mpc_h: None };
    let mut identities: Vec<(i64, i64)> = Vec::new();
    let mut columns = None;
    loop {
        line.clear();
        let some = std::io::Read::take(&mut reader, MOST_BYTES as u64).read_until(b'\n', &mut line).map_err(FileError::io("read", path))?;
        if some == 0 {
            break;
        }
        number += 1;
        let wrong = |reason: String| FileError::format(path, format!("line {number}: {reason}"));
        if some == MOST_BYTES {
            return Err(wrong("longer than any line of a catalogue".into()));
        }
        let text = std::str::from_utf8(&line).map_err(|_| wrong("not text".into()))?.trim();
        if let Some(comment) = text.strip_prefix('#') {
            if names.is_empty() {
                names = comment.split_whitespace().map(|name| name.split('(').next().unwrap_or(name).to_lowercase()).collect();
            }
            let value = |after: &str| comment.trim().strip_prefix(after)?.split_whitespace().next()?.parse::<f64>().ok();
            out.a = out.a.or_else(|| value("a = "));
            out.box_size_mpc_h = out.box_size_mpc_h.or_else(|| value("Box size: "));
            continue;
        }
        if text.is_empty() {
            continue;
        }
        if columns.is_none() {
            let find = |name: &str| names.iter().position(|other| other == name);
            let needed = |name: &str| {
                find(name).ok_or_else(|| FileError::format(path, format!("no column `{name}`; there are {}", names.join(", "))))
            };
            let required = ["x", "y", "z", "vx", "vy", "vz", wanted].map(needed);
            let mut places = [0; 7];
            for (place, found) in places.iter_mut().zip(required) {
                *place = found?;
            }
            columns = Some((places, ["rvir", "rs", "np", "id", "pid"].map(find)));
        }
        let Some((required, optional)) = columns else { continue };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let read = |place: usize| -> Result<f64, FileError> {
            let field = fields.get(place).ok_or_else(|| wrong(format!("{} columns, {} are named", fields.len(), names.len())))?;
            field.parse().map_err(|_| wrong(format!("`{field}` is no number")))
        };
        let mut values = [0.0; 7];
        for (value, place) in values.iter_mut().zip(required) {
            *value = read(place)?;
            if !value.is_finite() {
                return Err(wrong(format!("`{}` is {value}", names[place])));
            }
        }
        let c = &mut out.catalogue;
        c.positions.push(std::array::from_fn(|axis| values[axis] as f32));
        c.velocities.push(std::array::from_fn(|axis| values[axis + 3] as f32));
        c.masses_msun_h.push(values[6]);
        let at = |place: Option<usize>, default: f64| place.map_or(Ok(default), read);
        let (radius, scale) = (at(optional[0], f64::NAN)?, at(optional[1], f64::NAN)?);
        c.radii_mpc_h.push((radius * 1e-3) as f32);
        c.concentrations.push((radius / scale) as f32);
        c.particles.push(at(optional[2], 0.0)? as u32);
        c.dispersions_km_s.push(f32::NAN);
        identities.push((at(optional[3], -1.0)? as i64, at(optional[4], -1.0)? as i64));
    }
    if names.is_empty() {
        return Err(FileError::format(path, "no line of column names: a catalogue begins with `#` and its columns"));
    }
    let rows: std::collections::HashMap<i64, i32> =
        identities.iter().enumerate().filter(|(_, (id, _))| *id >= 0).map(|(row, (id, _))| (*id, row as i32)).collect();
    out.catalogue.parents = identities.iter().map(|(_, parent)| rows.get(parent).copied().unwrap_or(-1)).collect();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#ID DescID Mvir Vmax Rvir Rs Np X Y Z VX VY VZ M200b M200c PID\n#a = 0.500000\n#Om = 0.3; Ol = 0.7; h = 0.7\n\
        #Box size: 250.000000 Mpc/h\n7 -1 2e14 900 1200 200 1500 1.5 2.5 3.5 10 -20 30 2.1e14 1.7e14 -1\n9 -1 1e12 100 200 20 10 1.6 2.5 3.5 0 0 0 1e12 9e11 7\n";

    #[test]
    fn columns_are_found_by_name_and_mass_by_its_meaning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out_1_pid.list");
        std::fs::write(&path, TEXT).unwrap();
        let found = read_rockstar(&path, HaloDefinition::M200C).unwrap();
        assert_eq!((found.a, found.box_size_mpc_h), (Some(0.5), Some(250.0)));
        let c = &found.catalogue;
        assert_eq!((c.masses_msun_h.clone(), c.parents.clone(), c.particles.clone()), (vec![1.7e14, 9e11], vec![-1, 0], vec![1500, 10]));
        assert_eq!(
            (c.positions[0], c.velocities[0], c.radii_mpc_h[0], c.concentrations[0]),
            ([1.5, 2.5, 3.5], [10.0, -20.0, 30.0], 1.2, 6.0)
        );
        assert_eq!(read_rockstar(&path, HaloDefinition::MVIR).unwrap().catalogue.masses_msun_h[0], 2e14);
        let error =
            read_rockstar(&path, HaloDefinition::Sphere(crate::massfunction::MassDefinition::Critical(500.0))).unwrap_err().to_string();
        assert!(error.contains("expected M500c"), "{error}");
        for (from, to, words) in [
            ("M200c", "M500c", "no column `m200c`"),
            ("1.5 2.5", "x 2.5", "line 5: `x` is no number"),
            ("1.5 2.5", "nan 2.5", "`x` is NaN"),
        ] {
            std::fs::write(&path, TEXT.replacen(from, to, 1)).unwrap();
            let error = read_rockstar(&path, HaloDefinition::M200C).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
