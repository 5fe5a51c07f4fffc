//! Universes through files of others: ltu-cmass' layout, GADGET in HDF5, FITS; and arrays in HDF5 and FITS.

#![cfg(feature = "hdf5")]

mod program;

use abduce_cosmology::files::HaloFile;
use abduce_data::fits::{self, FitsFile};
use abduce_data::hdf5::{self, Hdf5File};
use program::Workplace;

const UNIVERSE: &str = "\
simulation: {box_size: 60, particles: 32, mesh_factor: 2, steps: 12, redshifts: [1, 0]}
halos: {min_particles: 10}
galaxies: {log10_m_min: 12.5, log10_m1: 13.5, log10_m0: 12}
summary: {multipoles: [0, 2], bispectrum: {width: 0.25, k_max: 0.6}}
";

#[test]
fn stages_pass_files_of_ltu_cmass_gadget_and_fits_to_each_other() {
    let place = Workplace::new();
    place.write("universe.yaml", UNIVERSE);
    let ok = |args: &[&str]| place.ok(&[&["cosmology"], args, &["-c", "universe.yaml", "--quiet"]].concat());
    for out in ["sim", "nbody.h5", "snap.hdf5"] {
        place.ok(&["cosmology", "simulate", "universe.yaml", "-o", out, "--quiet"]);
    }
    // The same haloes, whatever the particles came through: ltu-cmass' file exactly, GADGET's in kpc/h to their rounding.
    ok(&["halos", "sim/snapshot-a1.000000.safetensors", "nbody.h5", "snap_001.hdf5"]);
    let halos = |name: &str| HaloFile::load(&place.path(name)).unwrap().catalogue;
    let expected = halos("sim/halos-a1.000000.safetensors");
    assert!(expected.len() > 10);
    assert_eq!(halos("halos-nbody-a1.000000.safetensors").positions, expected.positions);
    assert!(halos("halos-nbody-a0.500000.safetensors").len() < expected.len());
    // Friends at the very linking length may part.
    let through_gadget = halos("halos-snap_001.safetensors");
    assert!(through_gadget.len().abs_diff(expected.len()) <= 1);
    assert!((through_gadget.masses_msun_h[0] / expected.masses_msun_h[0] - 1.0).abs() < 0.05);

    // Haloes of M200c into ltu-cmass' file and a FITS table, galaxies from both, and summaries of them.
    let finder = ["--set", "halos.finder=m200c"];
    ok(&[&["halos", "nbody.h5", "-o", "halos.h5"], &finder[..]].concat());
    ok(&[&["halos", "snap_001.hdf5", "-o", "tables/halos.fits"], &finder[..]].concat());
    let file = Hdf5File::open(&place.path("halos.h5")).unwrap();
    assert_eq!(file.groups("/").unwrap(), ["0.500000", "1.000000"]);
    assert!(place.read("tables/halos.png").starts_with(b"\x89PNG"));
    let table = FitsFile::open(&place.path("tables/halos.fits")).unwrap();
    assert_eq!(table.tables()[0].cards.text("MASSDEF"), Some("M200c"));
    assert!(table.tables()[0].rows.abs_diff(file.shape("1.000000/mass").unwrap()[0]) <= 1);
    ok(&[&["galaxies", "halos.h5", "-o", "galaxies/hod00000.h5"], &finder[..]].concat());
    ok(&[&["galaxies", "tables/halos.fits", "-o", "tables/galaxies.fits"], &finder[..]].concat());
    let galaxies = Hdf5File::open(&place.path("galaxies/hod00000.h5")).unwrap();
    assert_eq!(galaxies.attributes("/").unwrap()["log10_m_min"].number(), Some(12.5));
    ok(&["summary", "galaxies/hod00000.h5", "-o", "diag/hod00000.h5"]);
    ok(&["summary", "tables/galaxies.fits", "nbody.h5", "snap_001.hdf5"]);
    let diag = Hdf5File::open(&place.path("diag/hod00000.h5")).unwrap();
    let names = diag.arrays("1.000000").unwrap();
    assert!(["zPk_k3D", "zPk", "zBk_k123", "zBk", "zQk"].iter().all(|name| names.iter().any(|other| other == name)), "{names:?}");
    let summary: serde_json::Value = serde_json::from_slice(&place.read("summary-nbody-a1.000000.json")).unwrap();
    assert!(summary["measured"]["power"]["p0"].as_array().unwrap().len() > 3);
    assert!(place.read("tables/summary-galaxies.json").len() > 100 && place.read("summary-snap_001.json").len() > 100);

    // What a format can't hold, and what means something else.
    let fails = |status: i32, args: &[&str], words: &[&str]| place.fails(status, &[&["cosmology"], args].concat(), words);
    fails(2, &["simulate", "universe.yaml", "-o", "x.fits"], &["can't hold particles"]);
    fails(2, &["halos", "nbody.h5", "-o", "x.hdf5"], &["can't hold catalogues"]);
    fails(2, &["halos", "nbody.h5", "-o", "x.h5"], &["mean M200c, and these would be FoF b = 0.2", "halos.finder=m200c"]);
    fails(2, &["galaxies", "halos.h5", "-o", "x.fits"], &["can't hold more than one catalogue"]);
    fails(1, &["galaxies", "tables/halos.fits", "--set", "halos.finder=mvir"], &["the definition of mass is M200c, expected Mvir"]);
    fails(1, &["halos", "snap_001.hdf5", "--set", "cosmology.omega_m=0.3"], &["omega_m is 0.3175, expected 0.3"]);
    fails(1, &["halos", "halos.h5"], &["its content is a halo catalogue, expected a snapshot"]);
    let bytes = place.read("nbody.h5");
    place.write("cut.h5", &bytes[..bytes.len() / 2]);
    fails(1, &["halos", "cut.h5"], &["cut.h5"]);
    assert!(!place.path("x.h5").exists() && place.read("nbody.h5") == bytes);
}

#[test]
fn arrays_in_hdf5_and_fits_are_read_as_those_in_npy() {
    let place = Workplace::new();
    let value = |i: usize| ((i * 7919 % 1000) as f32) / 100.0;
    place.save("points.npy", &[400, 3], value);
    let values: Vec<f32> = (0..1200).map(value).collect();
    let mut group = hdf5::Node::default();
    group.array("points", &[400, 3], hdf5::Values::F32(&values));
    let mut root = hdf5::Node::default();
    root.groups.push(("train".into(), group));
    hdf5::write(&place.path("points.h5"), &root).unwrap();
    let column = fits::Output { name: "POINTS", unit: "", width: 3, values: fits::Values::F32(&values) };
    fits::write_table(&place.path("points.fits"), "T", &[], &[column]).unwrap();
    let dimension = |file: &str| place.run(&["dimension", file, "--quiet"]);
    let expected = dimension("points.npy");
    assert_eq!(expected.status, 0, "{}", expected.stderr);
    for file in ["points.h5:/train/points", "points.h5:train/points", "points.fits", "points.fits:POINTS"] {
        let found = dimension(file);
        assert_eq!((found.status, found.stdout == expected.stdout), (0, true), "{file}: {}", found.stderr);
    }
    place.fails(1, &["dimension", "points.h5:/train/pints"], &["no array `train/pints`; it holds points"]);
    place.fails(1, &["dimension", "points.fits:MASS"], &["no array `MASS`; it holds POINTS"]);
    place.write("bad.h5", b"not HDF5");
    place.fails(1, &["dimension", "bad.h5:/x"], &["not a usable HDF5 file"]);
}
