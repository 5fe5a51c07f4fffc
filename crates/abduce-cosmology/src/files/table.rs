//! Catalogues of haloes and galaxies as FITS tables, with units on their columns and the rest of their meaning in keywords.
//!
//! Columns that are found by name: `X`, `Y`, `Z` or `POSITION`; `VX`, `VY`, `VZ` or `VELOCITY`; `MASS`; and where they are there `PARTICLES`,
//! `VELOCITY_DISPERSION`, `RADIUS`, `CONCENTRATION`, `PARENT`, `SATELLITE`, `HOST`. Keywords: `SCALEFAC` or `REDSHIFT`, `BOXSIZE` [Mpc/h], `OMEGA_M`,
//! `HUBBLE` (h or H_0), `MASSDEF` (`M200c`, `M200m`, `Mvir`, …); of this program's files also `ABDUCE`, the whole description.

use super::foreign::{Assumed, check_model, check_positions, sphere_radii, unknown};
use super::{Description, FileError, GalaxyFile, HaloFile, Kind};
use crate::galaxies::Galaxies;
use crate::halos::{HaloCatalogue, HaloDefinition};
use abduce_data::fits::{Card, FitsFile, FitsTable, Output, Values, write_table};
use std::path::Path;

const KEY: &str = "ABDUCE";
/// Spellings of units; the first is the one that is written.
const LENGTH: &[&str] =
    &["Mpc/h", "h-1 Mpc", "Mpc h-1", "h^-1 Mpc", "Mpc h^-1", "Mpc / h", "Mpc/littleh", "Mpc / littleh", "littleh-1 Mpc", "Mpc littleh-1"];
const VELOCITY: &[&str] = &["km/s", "km s-1", "km s^-1", "km / s"];
const MASS: &[&str] = &[
    "solMass/h",
    "h-1 Msun",
    "Msun h-1",
    "Msun/h",
    "Msun / h",
    "solMass / h",
    "solMass/littleh",
    "solMass / littleh",
    "littleh-1 solMass",
    "solMass littleh-1",
    "solMass h-1",
    "h-1 solMass",
];

/// A table open for reading.
struct Source<'a> {
    path: &'a Path,
    file: &'a FitsFile,
    table: &'a FitsTable,
}

fn first_table<'a>(path: &'a Path, file: &'a FitsFile) -> Result<Source<'a>, FileError> {
    let table = file.tables().first().ok_or_else(|| FileError::format(path, "it holds no table"))?;
    Ok(Source { path, file, table })
}

impl Source<'_> {
    /// A column in a unit of `units`; without any, it must be a pure number.
    fn column(&self, names: &[&str], units: &[&str], width: usize) -> Result<Vec<f64>, FileError> {
        let missing = || {
            let known: Vec<&str> = self.table.columns.iter().map(|column| column.name.as_str()).collect();
            FileError::format(self.path, format!("no column `{}`; there are {}", names.join("` or `"), known.join(", ")))
        };
        let column = self.table.column(names).ok_or_else(missing)?;
        if column.width != width {
            return Err(FileError::format(self.path, format!("`{}` has {} values per row, expected {width}", column.name, column.width)));
        }
        let fits = match &column.unit {
            Some(unit) => units.iter().any(|other| other.eq_ignore_ascii_case(unit)),
            None => units.is_empty(),
        };
        if !fits {
            return Err(FileError::Mismatch {
                path: self.path.to_path_buf(),
                what: match units.first() {
                    Some(&"Mpc/h") => "the unit of lengths",
                    Some(&"km/s") => "the unit of velocities",
                    Some(&"solMass/h") => "the unit of masses",
                    _ => "the unit of a pure number",
                },
                found: format!("{} (column `{}`)", column.unit.as_deref().unwrap_or("not given"), column.name),
                expected: units.first().unwrap_or(&"none").to_string(),
            });
        }
        Ok(self.file.read(self.table, &[&column.name])?.swap_remove(0))
    }

    fn has(&self, name: &str) -> bool {
        self.table.column(&[name]).is_some()
    }

    fn optional(&self, name: &str, units: &[&str]) -> Result<Vec<f32>, FileError> {
        if !self.has(name) {
            return Ok(unknown(self.table.rows));
        }
        Ok(self.column(&[name], units, 1)?.into_iter().map(|value| value as f32).collect())
    }

    fn vectors(&self, together: &str, apart: [&[&str]; 3], units: &[&str]) -> Result<Vec<[f32; 3]>, FileError> {
        if self.has(together) {
            let values = self.column(&[together], units, 3)?;
            return Ok(values.as_chunks::<3>().0.iter().map(|row| row.map(|value| value as f32)).collect());
        }
        let [x, y, z] = [self.column(apart[0], units, 1)?, self.column(apart[1], units, 1)?, self.column(apart[2], units, 1)?];
        Ok((0..self.table.rows).map(|i| [x[i] as f32, y[i] as f32, z[i] as f32]).collect())
    }

    fn description(&self, kind: Kind, assumed: &Assumed) -> Result<Description, FileError> {
        let cards = &self.table.cards;
        if let Some(text) = cards.text(KEY) {
            let description: Description =
                serde_json::from_str(text).map_err(|error| FileError::format(self.path, format!("its description: {error}")))?;
            description.check(self.path, kind)?;
            return Ok(description);
        }
        let a = cards.number("SCALEFAC").or_else(|| Some(1.0 / (1.0 + cards.number("REDSHIFT")?)));
        let a = a.ok_or_else(|| FileError::format(self.path, "no keyword SCALEFAC or REDSHIFT tells when it is"))?;
        let model = &assumed.cosmology;
        let omega_m = cards.number("OMEGA_M").unwrap_or(model.omega_m);
        // h, or H_0 in km/s/Mpc.
        let h = cards.number("HUBBLE").map_or(model.h, |hubble| if hubble > 10.0 { hubble / 100.0 } else { hubble });
        check_model(self.path, omega_m, h, model)?;
        let box_size = cards.number("BOXSIZE").unwrap_or(assumed.box_size_mpc_h);
        let mut description = Description::new(kind, assumed.cosmology, a, box_size, 0.0);
        description.made_by = serde_json::json!({ "read_from": "FITS" });
        if kind == Kind::Halos {
            let text = cards.text("MASSDEF");
            let text =
                text.ok_or_else(|| FileError::format(self.path, "no keyword MASSDEF tells what its masses mean (M200c, M200m, Mvir)"))?;
            let known = text.parse().map_err(|reason: String| FileError::format(self.path, format!("MASSDEF: {reason}")))?;
            description.mass_definition = Some(known);
        }
        description.check(self.path, kind)?;
        Ok(description)
    }

    fn positions(&self, of: &Description) -> Result<Vec<[f32; 3]>, FileError> {
        let positions = self.vectors("POSITION", [&["X"], &["Y"], &["Z"]], LENGTH)?;
        check_positions(self.path, &positions, of.box_size_mpc_h)?;
        Ok(positions)
    }

    fn velocities(&self) -> Result<Vec<[f32; 3]>, FileError> {
        self.vectors("VELOCITY", [&["VX"], &["VY"], &["VZ"]], VELOCITY)
    }
}

/// What a table holds: haloes where it has masses, else galaxies.
///
/// # Errors
/// No table.
pub fn kind(path: &Path) -> Result<Kind, FileError> {
    let file = FitsFile::open(path)?;
    let source = first_table(path, &file)?;
    Ok(if source.has("MASS") { Kind::Halos } else { Kind::Galaxies })
}

/// Reads haloes.
///
/// # Errors
/// A column or keyword is missing or in another unit; masses that are not positive; haloes outside the box or not finite.
pub fn read_halos(path: &Path, assumed: &Assumed) -> Result<HaloFile, FileError> {
    let file = FitsFile::open(path)?;
    let source = first_table(path, &file)?;
    let description = source.description(Kind::Halos, assumed)?;
    let masses_msun_h = source.column(&["MASS"], MASS, 1)?;
    if let Some(row) = masses_msun_h.iter().position(|mass| !(mass.is_finite() && *mass > 0.0)) {
        return Err(FileError::format(path, format!("the mass in row {row} is {}", masses_msun_h[row])));
    }
    let count = source.table.rows;
    let whole = |name: &str, default: f64| {
        if source.has(name) { source.column(&[name], &[], 1) } else { Ok(vec![default; count]) }
    };
    let radii_mpc_h =
        if source.has("RADIUS") { source.optional("RADIUS", LENGTH)? } else { sphere_radii(path, &description, &masses_msun_h)? };
    let catalogue = HaloCatalogue {
        positions: source.positions(&description)?,
        velocities: source.velocities()?,
        particles: whole("PARTICLES", 0.0)?.into_iter().map(|n| n as u32).collect(),
        dispersions_km_s: source.optional("VELOCITY_DISPERSION", VELOCITY)?,
        concentrations: source.optional("CONCENTRATION", &[])?,
        parents: whole("PARENT", -1.0)?.into_iter().map(|n| n as i32).collect(),
        radii_mpc_h,
        masses_msun_h,
        shapes: Vec::new(),
    };
    Ok(HaloFile { description, catalogue })
}

/// Reads galaxies.
///
/// # Errors
/// A column or keyword is missing or in another unit; galaxies outside the box or not finite.
pub fn read_galaxies(path: &Path, assumed: &Assumed) -> Result<GalaxyFile, FileError> {
    let file = FitsFile::open(path)?;
    let source = first_table(path, &file)?;
    let description = source.description(Kind::Galaxies, assumed)?;
    let count = source.table.rows;
    let satellites = if source.has("SATELLITE") { source.column(&["SATELLITE"], &[], 1)? } else { vec![0.0; count] };
    let hosts = if source.has("HOST") { source.column(&["HOST"], &[], 1)? } else { vec![f64::from(u32::MAX); count] };
    let galaxies = Galaxies {
        positions: source.positions(&description)?,
        velocities: source.velocities()?,
        satellites: satellites.into_iter().map(|flag| u8::from(flag > 0.0)).collect(),
        hosts: hosts.into_iter().map(|host| host as u32).collect(),
    };
    Ok(GalaxyFile { description, galaxies })
}

fn keywords(path: &Path, of: &Description) -> Result<Vec<(&'static str, Card)>, FileError> {
    let text = serde_json::to_string(of).map_err(|error| FileError::format(path, error.to_string()))?;
    // FITS knows ASCII alone, and in JSON other characters stand in texts only, where they can be escaped.
    let mut ascii = String::new();
    let mut units = [0u16; 2];
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            c.encode_utf16(&mut units).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}")));
        }
    }
    let mut keywords = vec![
        ("SCALEFAC", Card::Number(of.a)),
        ("BOXSIZE", Card::Number(of.box_size_mpc_h)),
        ("OMEGA_M", Card::Number(of.cosmology.omega_m)),
        ("HUBBLE", Card::Number(of.cosmology.h)),
    ];
    if let Some(definition) = of.mass_definition {
        keywords.push(("MASSDEF", Card::Text(definition.to_string())));
    }
    keywords.push((KEY, Card::Text(ascii)));
    Ok(keywords)
}

/// Writes haloes.
///
/// # Errors
/// The file.
pub fn write_halos(path: &Path, file: &HaloFile) -> Result<(), FileError> {
    let c = &file.catalogue;
    // Numbers of particles fit: a snapshot has less than 2³¹.
    let particles: Vec<i32> = c.particles.iter().map(|&n| i32::try_from(n).unwrap_or(i32::MAX)).collect();
    let columns = [
        Output { name: "POSITION", unit: LENGTH[0], width: 3, values: Values::F32(c.positions.as_flattened()) },
        Output { name: "VELOCITY", unit: VELOCITY[0], width: 3, values: Values::F32(c.velocities.as_flattened()) },
        Output { name: "MASS", unit: MASS[0], width: 1, values: Values::F64(&c.masses_msun_h) },
        Output { name: "PARTICLES", unit: "", width: 1, values: Values::I32(&particles) },
        Output { name: "VELOCITY_DISPERSION", unit: VELOCITY[0], width: 1, values: Values::F32(&c.dispersions_km_s) },
        Output { name: "RADIUS", unit: LENGTH[0], width: 1, values: Values::F32(&c.radii_mpc_h) },
        Output { name: "CONCENTRATION", unit: "", width: 1, values: Values::F32(&c.concentrations) },
        Output { name: "PARENT", unit: "", width: 1, values: Values::I32(&c.parents) },
    ];
    Ok(write_table(path, "HALOS", &keywords(path, &file.description)?, &columns)?)
}

/// Writes galaxies.
///
/// # Errors
/// The file.
pub fn write_galaxies(path: &Path, file: &GalaxyFile) -> Result<(), FileError> {
    let g = &file.galaxies;
    let hosts: Vec<f64> = g.hosts.iter().map(|&host| f64::from(host)).collect();
    let columns = [
        Output { name: "POSITION", unit: LENGTH[0], width: 3, values: Values::F32(g.positions.as_flattened()) },
        Output { name: "VELOCITY", unit: VELOCITY[0], width: 3, values: Values::F32(g.velocities.as_flattened()) },
        Output { name: "SATELLITE", unit: "", width: 1, values: Values::U8(&g.satellites) },
        Output { name: "HOST", unit: "", width: 1, values: Values::F64(&hosts) },
    ];
    Ok(write_table(path, "GALAXIES", &keywords(path, &file.description)?, &columns)?)
}

impl std::str::FromStr for HaloDefinition {
    type Err = String;

    /// Reads what `Display` writes of spheres and friends of friends: `M200c`, `M200m`, `Mvir`, `FoF b = 0.2`.
    fn from_str(text: &str) -> Result<Self, String> {
        use crate::massfunction::MassDefinition;
        let wrong = || format!("`{text}` is none of M200c, M200m, M500c, Mvir, FoF b = 0.2");
        let text = text.trim();
        if text.eq_ignore_ascii_case("mvir") {
            return Ok(Self::MVIR);
        }
        if let Some(rest) = text.strip_prefix("FoF b = ") {
            let (linking, warren) = rest.split_once(", ").map_or((rest, false), |(linking, rest)| (linking, rest == "Warren correction"));
            let linking: f64 = linking.parse().map_err(|_| wrong())?;
            return Ok(if warren { Self::FriendsOfFriendsWarren { linking } } else { Self::FriendsOfFriends { linking } });
        }
        let rest = text.strip_prefix(['M', 'm']).ok_or_else(wrong)?;
        let (number, kind) = rest.split_at(rest.len().saturating_sub(rest.chars().last().map_or(0, char::len_utf8)));
        let delta: f64 = number.parse().ok().filter(|delta: &f64| *delta > 0.0 && delta.is_finite()).ok_or_else(wrong)?;
        match kind {
            "c" | "C" => Ok(Self::Sphere(MassDefinition::Critical(delta))),
            "m" | "M" | "b" => Ok(Self::Sphere(MassDefinition::Mean(delta))),
            _ => Err(wrong()),
        }
    }
}
