//! Formats of others: round trips, what they mean, and hostile files.

use super::cmass::{self, Space, Summary};
use super::foreign::{kind_of, load_galaxies, load_halos, load_snapshots};
use super::gadget::{GadgetSnapshot, LengthUnit};
use super::gadget_hdf5::{is_gadget_hdf5, read_gadget_hdf5, write_gadget_hdf5};
use super::*;
use crate::Cosmology;
use crate::galaxies::Galaxies;
use crate::halos::{HaloCatalogue, HaloDefinition};
use crate::pm::Snapshot;
use crate::statistics::PowerSpectrum;
use abduce_data::Seed;
use abduce_data::hdf5::{Attribute, Hdf5File, Node, Values, write};
use abduce_kernels::Threads;
use std::path::{Path, PathBuf};

const ASSUMED: Assumed = Assumed { cosmology: Cosmology::QUIJOTE, box_size_mpc_h: 100.0, mass_definition: HaloDefinition::M200C };

/// Written by h5py and hdf5plugin: `crates/abduce-data/tests/fixtures/foreign.py`.
fn quijote_like() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../abduce-data/tests/fixtures/quijote_like.hdf5")
}

fn snapshot() -> SnapshotFile {
    let positions: Vec<[f32; 3]> =
        (0..64).map(|i| [(i / 16) as f32 * 25.0 + 1.0, (i / 4 % 4) as f32 * 25.0, (i % 4) as f32 * 25.0 + 24.0]).collect();
    let velocities: Vec<[f32; 3]> = (0..64).map(|i| [i as f32, -8.0, 2.5]).collect();
    let mass = 27.753_66e10 * 0.3175 * 1e6 / 64.0;
    let description = Description::new(Kind::Snapshot, Cosmology::QUIJOTE, 0.5, 100.0, mass);
    SnapshotFile { description, snapshot: Snapshot { a: 0.5, positions, velocities } }
}

fn gadget() -> GadgetSnapshot {
    let SnapshotFile { description: d, snapshot: s } = snapshot();
    GadgetSnapshot {
        a: d.a,
        box_size_mpc_h: d.box_size_mpc_h,
        omega_m: d.cosmology.omega_m,
        h: d.cosmology.h,
        particle_mass_msun_h: d.particle_mass_msun_h,
        positions: s.positions,
        velocities: s.velocities,
        ids: (0..64).map(|i| i + (1 << 35)).collect(),
    }
}

fn halos() -> HaloFile {
    let mut description = Description::new(Kind::Halos, Cosmology::QUIJOTE, 0.5, 100.0, 1e11);
    description.mass_definition = Some(HaloDefinition::M200C);
    description.made_by = serde_json::json!({ "by": "Größe 'quoted'" });
    let catalogue = HaloCatalogue {
        positions: vec![[1.0, 2.0, 3.0], [4.0, 5.0, 99.0]],
        velocities: vec![[10.0, 0.0, -5.0]; 2],
        masses_msun_h: vec![3e14, 2e13],
        particles: vec![3000, 200],
        dispersions_km_s: vec![300.0, 200.0],
        radii_mpc_h: vec![1.5, 0.25],
        concentrations: vec![5.0, f32::NAN],
        parents: vec![-1, 0],
        shapes: Vec::new(),
    };
    HaloFile { description, catalogue }
}

fn galaxies() -> GalaxyFile {
    let description = Description::new(Kind::Galaxies, Cosmology::QUIJOTE, 0.5, 100.0, 1e11);
    let galaxies = Galaxies {
        positions: vec![[1.0, 2.0, 3.0], [4.0, 5.0, 99.0]],
        velocities: vec![[10.0, 0.0, -5.0]; 2],
        satellites: vec![0, 1],
        hosts: vec![7, u32::MAX - 1],
    };
    GalaxyFile { description, galaxies }
}

fn error_of<T>(result: Result<T, FileError>) -> String {
    result.err().map_or_else(|| "no error".into(), |error| error.to_string())
}

#[test]
fn a_snapshot_like_quijotes_is_read_in_our_units() {
    let found = read_gadget_hdf5(&quijote_like(), None).unwrap();
    assert_eq!((found.a, found.box_size_mpc_h, found.omega_m, found.h), (0.25, 1000.0, 0.3175, 0.6711));
    assert_eq!(found.ids, (1..=512).collect::<Vec<u64>>());
    for (i, (position, velocity)) in found.positions.iter().zip(&found.velocities).enumerate() {
        let lattice = [i / 64, i / 8 % 8, i % 8].map(|n| n as f32);
        // Kiloparsecs in f32 to megaparsecs in f32.
        assert!((0..3).all(|axis| (position[axis] - (lattice[axis] * 125.0 + 1.0)).abs() < 1e-4), "{i}");
        // √a = 1/2.
        assert_eq!(*velocity, lattice.map(|n| 0.5 * (n * 10.0 - 35.0)));
    }
    assert_eq!(read_gadget_hdf5(&quijote_like(), Some(LengthUnit::KpcPerH)).unwrap(), found);
    let error = error_of(read_gadget_hdf5(&quijote_like(), Some(LengthUnit::MpcPerH)));
    assert!(error.ends_with("the unit of lengths is kpc/h, expected Mpc/h"), "{error}");
    let files = load_snapshots(&quijote_like(), &ASSUMED).unwrap();
    assert_eq!((files.len(), files[0].description.box_size_mpc_h), (1, 1000.0));
    let other = Assumed { cosmology: Cosmology { omega_m: 0.3, ..Cosmology::QUIJOTE }, ..ASSUMED };
    let error = error_of(load_snapshots(&quijote_like(), &other));
    assert!(error.contains("omega_m is 0.3175, expected 0.3 (`cosmology.omega_m`)"), "{error}");
}

#[test]
fn gadget_snapshots_come_back_in_both_units_and_in_several_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snap.hdf5");
    for unit in [LengthUnit::KpcPerH, LengthUnit::MpcPerH] {
        write_gadget_hdf5(&path, &gadget(), unit).unwrap();
        let found = read_gadget_hdf5(&dir.path().join("snap"), None).unwrap();
        assert_eq!((found.ids.clone(), found.a), (gadget().ids, 0.5));
        let near = |a: f32, b: f32| (a - b).abs() <= 2e-7 * b.abs();
        let all = |a: &[[f32; 3]], b: &[[f32; 3]]| a.as_flattened().iter().zip(b.as_flattened()).all(|(a, b)| near(*a, *b));
        assert!(all(&found.positions, &gadget().positions) && all(&found.velocities, &gadget().velocities));
        assert!(
            (found.box_size_mpc_h - 100.0).abs() < 1e-12
                && (found.particle_mass_msun_h / gadget().particle_mass_msun_h - 1.0).abs() < 1e-12
        );
    }
    // Two files of one snapshot: the halves, with the header of the whole.
    std::fs::remove_file(&path).unwrap();
    for part in 0..2usize {
        let mut half = gadget();
        let keep = if part == 0 { 0..40 } else { 40..64 };
        half.positions = half.positions[keep.clone()].to_vec();
        half.velocities = half.velocities[keep.clone()].to_vec();
        half.ids = half.ids[keep].to_vec();
        let at = dir.path().join(format!("snap.{part}.hdf5"));
        write_gadget_hdf5(&at, &half, LengthUnit::MpcPerH).unwrap();
        rewritten(&at, |name, value| match name {
            "NumPart_Total" => *value = Attribute::Integers(vec![0, 64, 0, 0, 0, 0]),
            "NumFilesPerSnapshot" => *value = Attribute::Integers(vec![2]),
            _ => {}
        });
    }
    assert!(is_gadget_hdf5(&dir.path().join("snap")));
    let found = read_gadget_hdf5(&dir.path().join("snap"), None).unwrap();
    assert_eq!((found.positions, found.ids), (gadget().positions, gadget().ids));
    std::fs::remove_file(dir.path().join("snap.1.hdf5")).unwrap();
    assert!(error_of(read_gadget_hdf5(&dir.path().join("snap"), None)).contains("snap.1.hdf5"));
}

/// Changes attributes of the header of a snapshot of this program.
fn rewritten(path: &Path, change: impl Fn(&str, &mut Attribute)) {
    let file = Hdf5File::open(path).unwrap();
    let mut header = Node::default();
    for (name, mut value) in file.attributes("Header").unwrap() {
        change(&name, &mut value);
        header.attribute(&name, value);
    }
    let [x, v] = ["Coordinates", "Velocities"].map(|name| file.read::<f32>(&format!("PartType1/{name}")).unwrap());
    let ids = file.read_values::<u64>("PartType1/ParticleIDs").unwrap().1;
    let mut particles = Node::default();
    particles.array("Coordinates", x.shape(), Values::F32(x.data()));
    particles.array("Velocities", v.shape(), Values::F32(v.data()));
    particles.array("ParticleIDs", &[ids.len()], Values::U64(&ids));
    let mut root = Node::default();
    root.groups.push(("Header".into(), header));
    root.groups.push(("PartType1".into(), particles));
    write(path, &root).unwrap();
}

#[test]
fn snapshots_that_contradict_themselves_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snap.hdf5");
    let number = |value: f64| Attribute::Numbers(vec![value]);
    for (key, value, words) in [
        ("UnitLength_in_cm", number(3.085_678e24), "the unit of lengths is Mpc/h, expected kpc/h, from the density of its particles"),
        ("UnitLength_in_cm", number(1.0), "the unit of lengths is 1 cm, expected kpc/h or Mpc/h"),
        ("UnitVelocity_in_cm_per_s", number(1.0), "the unit of velocities is 1 cm/s"),
        ("UnitMass_in_g", number(1.99e33), "the unit of masses is"),
        ("BoxSize", number(1e7), "the mass of its particles is"),
        ("BoxSize", number(f64::NAN), "not a GADGET snapshot"),
        ("Time", number(0.0), "not a GADGET snapshot: a = 0"),
        (
            "NumPart_ThisFile",
            Attribute::Integers(vec![0, 1 << 40, 0, 0, 0, 0]),
            "has the shape [64, 3], the header says 1099511627776 particles",
        ),
        ("NumPart_ThisFile", Attribute::Integers(vec![0, -1, 0, 0, 0, 0]), "`NumPart_ThisFile` is -1"),
        ("NumPart_Total", Attribute::Integers(vec![0, 65, 0, 0, 0, 0]), "64 particles in all files, the header says 65"),
        ("NumFilesPerSnapshot", Attribute::Integers(vec![1 << 30]), "1073741824 files"),
        ("NumFilesPerSnapshot", Attribute::Integers(vec![2]), "its name does not end in `.0.hdf5`"),
        ("MassTable", Attribute::Text(vec!["heavy".into()]), "its header has no `MassTable`"),
    ] {
        write_gadget_hdf5(&path, &gadget(), LengthUnit::KpcPerH).unwrap();
        rewritten(&path, |name, old| {
            if name == key {
                *old = value.clone();
            }
        });
        let error = error_of(read_gadget_hdf5(&path, None));
        assert!(error.contains(words), "{key}: {error}");
    }
    for (value, words) in
        [(f32::NAN, "the position in row 3 is"), (101.0, "row 3 lies outside the box of 100 Mpc/h"), (-0.5, "lies outside")]
    {
        let mut bad = gadget();
        bad.positions[3][1] = value;
        write_gadget_hdf5(&path, &bad, LengthUnit::MpcPerH).unwrap();
        let error = error_of(load_snapshots(&path, &ASSUMED));
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn ltu_cmass_files_come_back_and_say_what_they_mean() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let threads = Threads::new(1);
    let mut later = snapshot();
    (later.description.a, later.snapshot.a) = (1.0, 1.0);
    cmass::write_particles(&at("nbody.h5"), &[snapshot(), later.clone()], 4, &threads).unwrap();
    assert_eq!(load_snapshots(&at("nbody.h5"), &ASSUMED).unwrap(), [snapshot(), later]);
    assert_eq!(kind_of(&at("nbody.h5")).unwrap(), Kind::Snapshot);
    let file = Hdf5File::open(&at("nbody.h5")).unwrap();
    assert_eq!(file.groups("/").unwrap(), ["0.500000", "1.000000"]);
    // One particle per cell of 25 Mpc/h on average: the contrast has mean 0, and the momentum is conserved.
    let rho = file.read::<f64>("0.500000/rho").unwrap();
    assert_eq!(rho.shape(), [4, 4, 4]);
    assert!(rho.data().iter().sum::<f64>().abs() < 1e-4);
    let fvel = file.read::<f64>("0.500000/fvel").unwrap();
    assert_eq!(fvel.shape(), [4, 4, 4, 3]);
    for (axis, mean) in [31.5, -8.0, 2.5].into_iter().enumerate() {
        let momentum: f64 = rho.data().iter().enumerate().map(|(cell, rho)| (1.0 + rho) * fvel.data()[3 * cell + axis]).sum();
        // Divided by a = 1/2; in single precision.
        assert!((momentum / 64.0 - 2.0 * mean).abs() < 1e-4 * mean.abs(), "{axis}: {momentum}");
    }
    // Cells, not nodes: all of a particle at the centre of cell (1, 0, 3) is in it, with 64 times the mean density.
    let mut one = snapshot();
    (one.snapshot.positions, one.snapshot.velocities) = (vec![[37.5, 12.5, 87.5]], vec![[3.0, -1.0, 0.5]]);
    cmass::write_particles(&at("one.h5"), &[one], 4, &threads).unwrap();
    let file = Hdf5File::open(&at("one.h5")).unwrap();
    let (rho, fvel) = (file.read::<f64>("0.500000/rho").unwrap(), file.read::<f64>("0.500000/fvel").unwrap());
    assert!(rho.data().iter().enumerate().all(|(cell, &rho)| rho == if cell == 16 + 3 { 63.0 } else { -1.0 }), "{:?}", rho.data());
    assert_eq!(fvel.data()[3 * (16 + 3)..][..3], [6.0, -2.0, 1.0]);

    cmass::write_halos(&at("halos.h5"), &[halos()]).unwrap();
    let found = load_halos(&at("halos.h5"), &ASSUMED).unwrap().remove(0);
    assert_eq!((found.description.clone(), found.catalogue.positions), (halos().description, halos().catalogue.positions));
    // Logarithms in single precision: 10^(1e-6).
    assert!(found.catalogue.masses_msun_h.iter().zip(halos().catalogue.masses_msun_h).all(|(a, b)| (a / b - 1.0).abs() < 1e-5));
    // R200c of 3e14 Msun/h: M = 4π/3 200 ρ_c(z) r³, in comoving Mpc/h.
    let rho = 27.753_66e10 * (0.3175 / 0.125 + 0.6825) * 0.125;
    let radius = (3e14 / (4.0 / 3.0 * std::f64::consts::PI * 200.0 * rho)).cbrt();
    assert!((f64::from(found.catalogue.radii_mpc_h[0]) / radius - 1.0).abs() < 1e-3, "{radius} {:?}", found.catalogue.radii_mpc_h);
    assert_eq!((found.catalogue.parents, found.catalogue.concentrations[0]), (vec![-1, 0], 5.0));
    let mut groups = halos();
    groups.description.mass_definition = Some(HaloDefinition::FriendsOfFriends { linking: 0.2 });
    let error = error_of(cmass::write_halos(&at("fof.h5"), &[groups]));
    assert!(error.contains("the definition of mass is FoF b = 0.2, expected M200c") && !at("fof.h5").exists(), "{error}");
    assert!(error_of(cmass::write_halos(&at("twice.h5"), &[halos(), halos()])).contains("the scale factor 0.500000"));

    cmass::write_galaxies(&at("hod00001.h5"), &[galaxies()], &[("alpha".into(), 0.76)]).unwrap();
    assert_eq!(load_galaxies(&at("hod00001.h5"), &ASSUMED).unwrap(), [galaxies()]);
    assert_eq!((kind_of(&at("halos.h5")).unwrap(), kind_of(&at("hod00001.h5")).unwrap()), (Kind::Halos, Kind::Galaxies));
    assert_eq!(Hdf5File::open(&at("hod00001.h5")).unwrap().attributes("/").unwrap()["alpha"].number(), Some(0.76));
    assert!(error_of(load_snapshots(&at("halos.h5"), &ASSUMED)).contains("its content is a halo catalogue, expected a snapshot"));

    let power = PowerSpectrum {
        k_h_per_mpc: vec![0.1, 0.2],
        modes: vec![3.0, 9.0],
        p0: vec![5.0, 4.0],
        p2: vec![0.5, 0.4],
        p4: vec![0.0, 0.1],
        shot_noise: 1.0,
    };
    let summary = Summary { description: galaxies().description, tracers: 2, space: Space::Redshift, power, bispectrum: None };
    cmass::write_summaries(&at("diag.h5"), &[summary.clone(), Summary { space: Space::Real, ..summary.clone() }]).unwrap();
    let file = Hdf5File::open(&at("diag.h5")).unwrap();
    assert_eq!(file.arrays("0.500000").unwrap(), ["Pk", "Pk_k3D", "zPk", "zPk_k3D"]);
    assert_eq!(file.read::<f64>("0.500000/zPk").unwrap().row(1), [4.0, 0.4, 0.1]);
    let attributes = file.attributes("0.500000").unwrap();
    assert_eq!((attributes["Ngalaxies"].number(), attributes["nbar"].number()), (Some(2.0), Some(2e-6)));
    assert!(error_of(cmass::write_summaries(&at("diag.h5"), &[summary.clone(), summary])).contains("in the same space"));
}

#[test]
fn ltu_cmass_files_of_others_take_box_and_model_from_attributes_folders_or_the_user() {
    let dir = tempfile::tempdir().unwrap();
    let (positions, velocities) = ([1.0f32, 2.0, 3.0, 50.0, 60.0, 70.0], [0.0f32; 6]);
    let mut node = Node::default();
    node.array("pos", &[2, 3], Values::F32(&positions));
    node.array("vel", &[2, 3], Values::F32(&velocities));
    node.array("mass", &[2], Values::F32(&[14.0, 13.5]));
    let mut root = Node::default();
    root.groups.push(("0.666667".into(), node.clone()));
    let folder = dir.path().join("L80-N64/7");
    std::fs::create_dir_all(&folder).unwrap();
    for (path, expected) in [(dir.path().join("halos.h5"), 100.0), (folder.join("halos.h5"), 80.0)] {
        write(&path, &root).unwrap();
        let found = load_halos(&path, &ASSUMED).unwrap().remove(0);
        assert_eq!((found.description.box_size_mpc_h, found.description.a), (expected, 0.666667));
        assert_eq!((found.description.mass_definition, found.description.cosmology), (Some(HaloDefinition::M200C), Cosmology::QUIJOTE));
        assert!((found.catalogue.masses_msun_h[0] / 1e14 - 1.0).abs() < 1e-12);
    }
    let path = dir.path().join("more.h5");
    root.attribute("boxsize", Attribute::Numbers(vec![90.0]));
    root.attribute("cosmo_names", Attribute::Text(["Omega_m", "Omega_b", "h", "n_s", "sigma8"].map(String::from).to_vec()));
    root.attribute("cosmo_params", Attribute::Numbers(vec![0.3, 0.05, 0.7, 0.96, 0.8]));
    write(&path, &root).unwrap();
    let found = load_halos(&path, &ASSUMED).unwrap().remove(0).description;
    assert_eq!((found.box_size_mpc_h, found.cosmology), (90.0, Cosmology::lcdm(0.3, 0.05, 0.7, 0.96, 0.8)));
    root.attributes[0].1 = Attribute::Numbers(vec![60.0]);
    write(&path, &root).unwrap();
    assert!(error_of(load_halos(&path, &ASSUMED)).contains("row 1 lies outside the box of 60 Mpc/h"));
    // Masses that are no logarithms.
    let mut linear = Node::default();
    linear.array("pos", &[2, 3], Values::F32(&positions));
    linear.array("vel", &[2, 3], Values::F32(&velocities));
    linear.array("mass", &[2], Values::F32(&[1e14, 1e13]));
    let mut root = Node::default();
    root.groups.push(("0.666667".into(), linear));
    write(&path, &root).unwrap();
    let error = error_of(load_halos(&path, &ASSUMED));
    assert!(error.contains("the unit of masses is 1000000") && error.contains("log10 M200c [Msun/h]"), "{error}");
}

#[test]
fn fits_tables_come_back_and_units_and_masses_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("halos.fits");
    table::write_halos(&path, &halos()).unwrap();
    let found = load_halos(&path, &ASSUMED).unwrap().remove(0);
    assert_eq!(found.description, halos().description);
    assert_eq!((found.catalogue.masses_msun_h, found.catalogue.particles), (vec![3e14, 2e13], vec![3000, 200]));
    assert!(found.catalogue.concentrations[1].is_nan() && found.catalogue.parents == [-1, 0] && found.catalogue.radii_mpc_h == [1.5, 0.25]);
    table::write_galaxies(&path, &galaxies()).unwrap();
    assert_eq!(load_galaxies(&path, &ASSUMED).unwrap(), [galaxies()]);
    assert_eq!(kind_of(&path).unwrap(), Kind::Galaxies);

    use abduce_data::fits::{Card, Output, Values, write_table};
    let written = |length: &str, mass: &str, definition: &str, positions: &[f32], keywords: &[(&str, Card)]| {
        let columns = [
            Output { name: "pos", unit: "", width: 1, values: Values::F32(&[1.0, 2.0]) },
            Output { name: "POSITION", unit: length, width: 3, values: Values::F32(positions) },
            Output { name: "VELOCITY", unit: "km/s", width: 3, values: Values::F32(&[0.0; 6]) },
            Output { name: "MASS", unit: mass, width: 1, values: Values::F64(&[1e14, 1e13]) },
        ];
        let mut all = vec![("REDSHIFT", Card::Number(0.5)), ("MASSDEF", Card::Text(definition.into()))];
        all.extend_from_slice(keywords);
        write_table(&path, "T", &all, &columns).unwrap();
        load_halos(&path, &ASSUMED).map(|mut files| files.remove(0))
    };
    let good = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let found = written("h-1 Mpc", "solMass/h", "M200m", &good, &[]).unwrap();
    assert_eq!((found.description.a, found.description.mass_definition), (1.0 / 1.5, Some(HaloDefinition::M200M)));
    for (length, mass, definition, positions, words) in [
        ("kpc/h", "Msun/h", "M200c", good, "the unit of lengths is kpc/h (column `POSITION`), expected Mpc/h"),
        ("Mpc", "Msun/h", "M200c", good, "the unit of lengths is Mpc (column"),
        ("", "Msun/h", "M200c", good, "the unit of lengths is not given"),
        ("Mpc/h", "Msun", "M200c", good, "the unit of masses is Msun"),
        ("Mpc/h", "Msun/h", "heavy", good, "MASSDEF: `heavy` is none of M200c"),
        ("Mpc/h", "Msun/h", "M200c", [1.0, f32::NAN, 3.0, 4.0, 5.0, 6.0], "the position in row 0 is"),
        ("Mpc/h", "Msun/h", "M200c", [1.0, 2.0, 3.0, 4.0, 5.0, 600.0], "row 1 lies outside the box"),
    ] {
        let error = error_of(written(length, mass, definition, &positions, &[]));
        assert!(error.contains(words), "{words}: {error}");
    }
    let error = error_of(written("Mpc/h", "Msun/h", "M200c", &good, &[("BOXSIZE", Card::Number(3.0))]));
    assert!(error.contains("outside the box of 3 Mpc/h"), "{error}");
    let model = |omega_m, hubble| [("OMEGA_M", Card::Number(omega_m)), ("HUBBLE", Card::Number(hubble))];
    let Cosmology { omega_m, h, .. } = ASSUMED.cosmology;
    assert!(written("Mpc/h", "Msun/h", "M200c", &good, &model(omega_m, 100.0 * h)).is_ok());
    let error = error_of(written("Mpc/h", "Msun/h", "M200c", &good, &model(0.25, h)));
    assert!(error.contains("omega_m is 0.25, expected"), "{error}");
}

#[test]
fn definitions_of_mass_are_read_as_they_are_written() {
    use crate::massfunction::MassDefinition;
    for definition in [
        HaloDefinition::M200C,
        HaloDefinition::M200M,
        HaloDefinition::MVIR,
        HaloDefinition::Sphere(MassDefinition::Critical(500.0)),
        HaloDefinition::FriendsOfFriends { linking: 0.168 },
        HaloDefinition::FriendsOfFriendsWarren { linking: 0.2 },
    ] {
        assert_eq!(definition.to_string().parse::<HaloDefinition>().as_ref(), Ok(&definition));
    }
    assert_eq!("M200b".parse::<HaloDefinition>(), Ok(HaloDefinition::M200M));
    for text in ["", "M", "M200", "200c", "M-200c", "Mnanc", "FoF b = x", "Mé"] {
        assert!(text.parse::<HaloDefinition>().is_err(), "{text}");
    }
}

#[test]
fn rockstar_and_quijote_catalogues_through_one_door() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out_1.list");
    let text = "#ID Mvir Rvir Rs Np X Y Z VX VY VZ M200c PID\n#a = 0.500000\n#Box size: 250.000000 Mpc/h\n7 2e14 1200 200 1500 1.5 2.5 3.5 10 -20 30 1.7e14 -1\n";
    std::fs::write(&path, text).unwrap();
    let found = load_halos(&path, &ASSUMED).unwrap().remove(0);
    assert_eq!((found.description.box_size_mpc_h, found.description.mass_definition), (250.0, Some(HaloDefinition::M200C)));
    // By its contents, whatever it is called.
    let renamed = dir.path().join("halos.txt");
    std::fs::copy(&path, &renamed).unwrap();
    assert_eq!(kind_of(&renamed).unwrap(), Kind::Halos);
    // Radius and concentration are those of the mass that was asked for; r_s stays 0.2 Mpc/h.
    let (radius, concentration) = (found.catalogue.radii_mpc_h[0], found.catalogue.concentrations[0]);
    assert!((radius / concentration - 0.2).abs() < 1e-6 && radius > 1.15 && radius < 1.3, "{radius}");
    let fof = Assumed { mass_definition: HaloDefinition::FriendsOfFriends { linking: 0.2 }, ..ASSUMED };
    assert!(error_of(load_halos(&path, &fof)).contains("expected FoF b = 0.2"));
    std::fs::write(&path, text.replace("1.5 2.5", "1.5 251")).unwrap();
    assert!(error_of(load_halos(&path, &ASSUMED)).contains("outside the box of 250"));

    // A thousand groups in a tenth of the assumed box: it is another one.
    let folder = dir.path().join("groups_004");
    std::fs::create_dir(&folder).unwrap();
    let n = 1000u32;
    let mut bytes: Vec<u8> = [n, n, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(0u64.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    (0..n).for_each(|_| bytes.extend(100u32.to_le_bytes()));
    bytes.extend(vec![0u8; 4 * n as usize]);
    (0..n).for_each(|_| bytes.extend(6500.0f32.to_le_bytes()));
    (0..3 * n).for_each(|i| bytes.extend((i as f32 * 10e3 / 3000.0).to_le_bytes()));
    bytes.extend(vec![0u8; (12 + 48) * n as usize]);
    std::fs::write(folder.join("group_tab_004.0"), &bytes).unwrap();
    let found = load_halos(&folder, &Assumed { box_size_mpc_h: 10.0, ..ASSUMED }).unwrap().remove(0);
    assert_eq!((found.description.a, found.description.particle_mass_msun_h), (1.0, 6.5e11));
    let error = error_of(load_halos(&folder, &ASSUMED));
    assert!(error.contains("the side of the box is 9.9") && error.contains("expected 100 Mpc/h"), "{error}");
    assert!(error_of(load_halos(dir.path(), &ASSUMED)).contains("is called `groups_XXX`"));
}

#[test]
fn damaged_files_of_every_format_are_errors_and_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let threads = Threads::new(1);
    write_gadget_hdf5(&at("a.hdf5"), &gadget(), LengthUnit::KpcPerH).unwrap();
    gadget::write_gadget(&at("b.snap"), &gadget(), LengthUnit::KpcPerH).unwrap();
    cmass::write_particles(&at("c.h5"), &[snapshot()], 4, &threads).unwrap();
    cmass::write_halos(&at("d.h5"), &[halos()]).unwrap();
    cmass::write_galaxies(&at("e.h5"), &[galaxies()], &[]).unwrap();
    table::write_halos(&at("f.fits"), &halos()).unwrap();
    table::write_galaxies(&at("g.fits"), &galaxies()).unwrap();
    let names = ["a.hdf5", "b.snap", "c.h5", "d.h5", "e.h5", "f.fits", "g.fits"];
    let files: Vec<Vec<u8>> =
        names.iter().map(|name| std::fs::read(at(name)).unwrap()).chain([std::fs::read(quijote_like()).unwrap()]).collect();
    for (which, bytes) in files.iter().enumerate() {
        for round in 0..120 {
            let mut rng = Seed(which as u64).stream("mutation", round);
            let mut mutated = bytes.clone();
            if round % 4 == 0 {
                mutated.truncate(rng.below(bytes.len()));
            } else {
                for _ in 0..1 + rng.below(6) {
                    let place = rng.below(bytes.len());
                    mutated[place] = [0, 0xff, b'9', rng.below(256) as u8][rng.below(4)];
                }
            }
            let path = at("mutated");
            std::fs::write(&path, &mutated).unwrap();
            kind_of(&path).ok();
            load_snapshots(&path, &ASSUMED).ok();
            load_halos(&path, &ASSUMED).ok();
            load_galaxies(&path, &ASSUMED).ok();
        }
    }
}

#[test]
fn folders_of_fastpm_are_snapshots() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("fastpm_0.5000");
    let s = snapshot();
    let block = |name: &str, values: &[[f32; 3]]| {
        let place = folder.join("1").join(name);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("header"), "DTYPE: <f4\nNMEMB: 3\nNFILE: 1\n000000: 64 : 0 : 0\n").unwrap();
        let bytes: Vec<u8> = values.as_flattened().iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(place.join("000000"), bytes).unwrap();
    };
    block("Position", &s.snapshot.positions);
    block("Velocity", &s.snapshot.velocities);
    let header = |box_size: f64, peculiar: f64| {
        let hex =
            |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).map(|byte| format!("{byte:02X}")).collect::<String>();
        let mass = s.description.particle_mass_msun_h * 1e-10;
        let lines = [
            ("BoxSize", vec![box_size; 3]),
            ("Time", vec![0.5]),
            ("OmegaM", vec![0.3175]),
            ("HubbleParam", vec![0.6711]),
            ("UsePeculiarVelocity", vec![peculiar]),
            ("MassTable", vec![0.0, mass, 0.0, 0.0, 0.0, 0.0]),
        ];
        let text: String = lines.iter().map(|(name, values)| format!("{name} <f8 {} {} #HUMAN [ ]\n", values.len(), hex(values))).collect();
        std::fs::create_dir_all(folder.join("Header")).unwrap();
        std::fs::write(folder.join("Header/attr-v2"), text).unwrap();
    };
    header(100.0, 1.0);
    let found = load_snapshots(&folder, &ASSUMED).unwrap().remove(0);
    assert_eq!(found.snapshot, s.snapshot);
    assert!((found.description.particle_mass_msun_h / s.description.particle_mass_msun_h - 1.0).abs() < 1e-12);
    assert_eq!(kind_of(&folder).unwrap(), Kind::Snapshot);
    for (box_size, peculiar, words) in
        [(100.0, 0.0, "the kind of velocity is canonical"), (50.0, 1.0, "the mass of its particles is"), (f64::NAN, 1.0, "the mass of")]
    {
        header(box_size, peculiar);
        let error = error_of(load_snapshots(&folder, &ASSUMED));
        assert!(error.contains(words), "{error}");
    }
}
