use super::*;
use crate::Seed;
use std::path::{Path, PathBuf};

/// Files of astropy, written by `tests/fixtures/foreign.py`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn tables_of_astropy_are_read_with_units_and_scales() {
    let file = FitsFile::open(&fixture("astropy.fits")).unwrap();
    let table = &file.tables()[0];
    assert_eq!(table.rows, 40);
    let units: Vec<Option<&str>> = table.columns.iter().map(|column| column.unit.as_deref()).collect();
    // What astropy makes of Mpc/h, km/s and Msun/h.
    let lengths = [Some("Mpc h-1"); 3];
    assert_eq!(units, [&lengths[..], &[Some("km s-1"), Some("solMass h-1"), None, None, None]].concat());
    assert_eq!((table.cards.text("MASSDEF"), table.cards.number("BOXSIZE")), (Some("M200c"), Some(1000.0)));
    let long = format!("it's {}", "a long text ".repeat(30));
    assert_eq!(table.cards.text("LONGTEXT"), Some(long.trim_end()));
    let found = file.read(table, &["x", "V", "MASS", "unsigned", "FLAG"]).unwrap();
    for row in 0..40 {
        assert_eq!(found[0][row], f64::from(3 * row as u32 * 37 % 64000) / 64.0);
        assert_eq!(found[1][3 * row + 1], (3 * row + 1) as f64 - 50.0);
        assert_eq!(found[2][row], 1e13 * (1.0 + row as f64));
        // Stored as i32 with TZERO = 2³¹.
        assert_eq!(found[3][row], row as f64 + 4e9);
        assert_eq!(found[4][row], f64::from(u8::from(row % 2 == 0)));
    }
    assert!(!table.column(&["NAME"]).unwrap().is_numeric());
    let error = file.read(table, &["NAME"]).unwrap_err().to_string();
    assert!(error.contains("holds no real numbers"), "{error}");
    let error = file.read(table, &["RADIUS"]).unwrap_err().to_string();
    assert!(error.contains("no array `RADIUS`; it holds X, Y, Z"), "{error}");
    assert_eq!(file.array().unwrap().shape(), [40, 9]);

    let file = FitsFile::open(&fixture("scaled.fits")).unwrap();
    let table = &file.tables()[0];
    assert_eq!(table.name.as_deref(), Some("SCALED"));
    let raw = file.read(table, &["RAW"]).unwrap().remove(0);
    assert!(raw.iter().enumerate().all(|(i, &value)| if i == 3 { value.is_nan() } else { value == 100.0 + 0.5 * i as f64 }));

    let image = FitsFile::open(&fixture("image.fits")).unwrap().array().unwrap();
    assert_eq!(image.shape(), [2, 3, 4]);
    assert!(image.data().iter().enumerate().all(|(i, &value)| value == i as f64));
}

fn write_example(path: &Path) {
    let positions: Vec<f32> = (0..30).map(|i| i as f32 / 3.0).collect();
    let masses: Vec<f64> = (0..10).map(|i| 1e14 / f64::from(i + 1)).collect();
    let parents: Vec<i32> = (0..10).map(|i| i - 1).collect();
    let flags: Vec<u8> = (0..10).collect();
    let columns = [
        Output { name: "POSITION", unit: "Mpc/h", width: 3, values: Values::F32(&positions) },
        Output { name: "MASS", unit: "Msun/h", width: 1, values: Values::F64(&masses) },
        Output { name: "PARENT", unit: "", width: 1, values: Values::I32(&parents) },
        Output { name: "FLAG", unit: "", width: 1, values: Values::U8(&flags) },
    ];
    let long = "it's 'quoted' and long, ".repeat(20);
    let keywords = [
        ("MASSDEF", Card::Text("M200c".into())),
        ("LONGTEXT", Card::Text(long)),
        ("SCALEFAC", Card::Number(2.0 / 3.0)),
        ("BOXSIZE", Card::Number(1000.0)),
        ("EMPTY", Card::Text(String::new())),
    ];
    write_table(path, "HALOS", &keywords, &columns).unwrap();
}

#[test]
fn what_is_written_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.fits");
    write_example(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().len() % BLOCK, 0);
    let file = FitsFile::open(&path).unwrap();
    let table = &file.tables()[0];
    assert_eq!((table.name.as_deref(), table.rows), (Some("HALOS"), 10));
    assert_eq!(table.cards.text("LONGTEXT"), Some("it's 'quoted' and long, ".repeat(20).trim_end()));
    assert_eq!((table.cards.number("SCALEFAC"), table.cards.number("BOXSIZE")), (Some(2.0 / 3.0), Some(1000.0)));
    let found = file.read(table, &["POSITION", "MASS", "PARENT", "FLAG"]).unwrap();
    assert_eq!((found[0][7], found[1][4], found[2][0], found[3][9]), (f64::from(7.0f32 / 3.0), 2e13, -1.0, 9.0));

    for (keywords, words) in [
        (vec![("too long a key", Card::Number(1.0))], "is no keyword"),
        (vec![("KEY", Card::Text("ä".into()))], "characters that FITS does not know"),
        (vec![("KEY", Card::Number(f64::NAN))], "FITS can't say"),
    ] {
        let error = write_table(&path, "T", &keywords, &[]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(FitsFile::open(&path).is_ok(), "what was there stays");
}

#[test]
fn truncated_and_mutated_files_are_errors_or_tables_but_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mutated.fits");
    write_example(&path);
    let ours = std::fs::read(&path).unwrap();
    let data = 10 * (12 + 8 + 4 + 1);
    for length in (0..ours.len()).step_by(7) {
        std::fs::write(&path, &ours[..length]).unwrap();
        let found = FitsFile::open(&path).ok().is_some_and(|file| !file.tables().is_empty());
        // The padding behind the last data may be missing.
        assert_eq!(found, length >= ours.len() - 2880 + data, "{length}");
    }
    for (which, bytes) in
        [ours, std::fs::read(fixture("astropy.fits")).unwrap(), std::fs::read(fixture("image.fits")).unwrap()].iter().enumerate()
    {
        for round in 0..250 {
            let mut rng = Seed(which as u64).stream("mutation", round);
            let mut mutated = bytes.clone();
            for _ in 0..1 + round % 6 {
                let at = rng.below(bytes.len());
                // Digits make headers that are sound but lie.
                mutated[at] = [b'9', b'0', b' ', b'-', b'E', 0xff][rng.below(6)];
            }
            std::fs::write(&path, &mutated).unwrap();
            let Ok(file) = FitsFile::open(&path) else { continue };
            if let Ok(array) = file.array() {
                assert!(array.data().len() <= 8 * bytes.len());
            }
        }
    }
    // Headers that promise more than is there, with sizes that overflow.
    for (from, to) in [
        ("NAXIS2  =                   10", "NAXIS2  =     9000000000000000"),
        ("GCOUNT  =                    1", "GCOUNT  =     9000000000000000"),
    ] {
        write_example(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let error = FitsFile::open(&path).unwrap_err().to_string();
        assert!(error.contains("truncated") || error.contains("data of shape"), "{error}");
    }
}
