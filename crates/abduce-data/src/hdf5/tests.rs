use super::*;
use crate::Seed;
use std::path::{Path, PathBuf};

/// Files of h5py and hdf5plugin, written by `tests/fixtures/foreign.py`.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// What `foreign.py` calls `positions`.
fn positions() -> Vec<f32> {
    (0..900).map(|i| (i * 37 % 64000) as f32 / 64.0).collect()
}

#[test]
fn files_of_h5py_are_read_whatever_their_layout_and_filters() {
    for (file, names) in [
        ("h5py.h5", &["gzip_shuffle", "lzf", "big_endian"][..]),
        ("latest.h5", &["fixed_array", "extensible", "single"]),
        ("blosc_blosclz.h5", &["none", "byte", "bit"]),
        ("blosc_lz4.h5", &["none", "byte", "bit"]),
        ("blosc_lz4hc.h5", &["none", "byte", "bit"]),
        ("blosc_zlib.h5", &["none", "byte", "bit"]),
        ("blosc_zstd.h5", &["none", "byte", "bit"]),
    ] {
        let opened = Hdf5File::open(&fixture(file)).unwrap();
        for name in names {
            let found = opened.read::<f32>(name).unwrap();
            assert_eq!(found.shape(), [300, 3], "{file}:{name}");
            assert!(found.data() == positions(), "{file}:{name}");
            if file.starts_with("blosc") {
                let (shape, ids) = opened.read_values::<u64>(&format!("{name}_ids")).unwrap();
                assert_eq!((shape, ids), (vec![300], (0..300).map(|i| i + (1 << 40)).collect()), "{file}:{name}");
            }
        }
    }
    let file = Hdf5File::open(&fixture("h5py.h5")).unwrap();
    let (_, wrapped) = file.read_values::<u64>("chunked").unwrap();
    assert_eq!(wrapped, (0..300).collect::<Vec<u64>>());
    let flags = file.read::<f64>("flags").unwrap();
    assert!(flags.data().iter().enumerate().all(|(i, &flag)| flag == f64::from(u8::from(i % 3 == 0))));
    let scalar = file.read::<f64>("scalar").unwrap();
    assert_eq!((scalar.shape(), scalar.data()), (&[][..], &[2.5][..]));
    assert_eq!(file.groups("/").unwrap(), ["deep"]);
    assert_eq!(
        (file.arrays("deep/er").unwrap(), file.read::<f32>("/deep/er/x").unwrap().data()),
        (vec!["x".to_string()], &positions()[..6])
    );
    let attributes = file.attributes("deep/er").unwrap();
    assert_eq!(attributes["BoxSize"].number(), Some(1000.0));
    assert_eq!(attributes["NumPart_Total"], Attribute::Integers(vec![0, 512, 0, 0, 0, 0]));
    assert_eq!(attributes["unit"].text(), Some("Mpc/h"));
    assert_eq!(attributes["names"], Attribute::Text(vec!["Omega_m".into(), "sigma8".into()]));
}

#[test]
fn what_can_not_be_read_says_why() {
    let file = Hdf5File::open(&fixture("h5py.h5")).unwrap();
    let error = |name: &str| file.read::<f32>(name).unwrap_err().to_string();
    assert!(error("text").contains("`text`: values of type"), "{}", error("text"));
    assert!(error("half").contains("are not read"));
    assert!(error("holes").contains("truncated: 1 of 4 chunks are there"), "{}", error("holes"));
    assert!(error("lzg").contains("no array `lzg`; it holds big_endian"), "{}", error("lzg"));
    assert!(file.read_values::<u64>("lzf").unwrap_err().to_string().contains("where integers are expected"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no.h5");
    std::fs::write(&path, b"\x93NUMPY and more than that").unwrap();
    assert!(!is_hdf5(&path) && Hdf5File::open(&path).unwrap_err().to_string().contains("not a usable HDF5 file"));
}

#[test]
fn what_is_written_comes_back_and_the_same_contents_are_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ours.h5");
    let (singles, doubles, ids) = ([0.5f32, f32::NAN, -1.0, 3.0], [1e300, -2.0], [u64::MAX, 7]);
    let write_it = || {
        let mut root = Node::default();
        root.attribute("text", Attribute::Text(vec!["a text beyond sixty-four kilobytes ".repeat(3000)]));
        root.attribute("one", Attribute::Numbers(vec![2.5]));
        let mut group = Node::default();
        group.attribute("several", Attribute::Integers(vec![1, -2]));
        group.array("singles", &[2, 2], Values::F32(&singles));
        group.array("doubles", &[2], Values::F64(&doubles));
        group.array("ids", &[2], Values::U64(&ids));
        group.array("none", &[0, 3], Values::F32(&[]));
        root.groups.push(("0.666667".into(), group));
        write(&path, &root).unwrap();
        std::fs::read(&path).unwrap()
    };
    assert!(write_it() == write_it());
    let file = Hdf5File::open(&path).unwrap();
    let found = file.read::<f32>("0.666667/singles").unwrap();
    assert!(found.shape() == [2, 2] && found.data()[1].is_nan() && found.data()[3] == 3.0);
    assert_eq!(file.read::<f64>("0.666667/doubles").unwrap().data(), doubles);
    assert_eq!(file.read_values::<u64>("0.666667/ids").unwrap().1, ids);
    assert_eq!(file.read::<f32>("0.666667/none").unwrap().shape(), [0, 3]);
    assert_eq!(file.attributes("/").unwrap()["text"].text().map(str::len), Some(35 * 3000));
    assert_eq!(file.attributes("0.666667").unwrap()["several"].numbers(), Some(vec![1.0, -2.0]));

    let mut root = Node::default();
    root.array("wrong", &[3], Values::F64(&doubles));
    assert!(write(&path, &root).is_err());
    assert_eq!(file.path(), path, "the file that was there stays");
    assert!(Hdf5File::open(&path).unwrap().read::<f64>("0.666667/doubles").is_ok());
}

/// Everything that can be read in a file; the number of values.
fn read_all(path: &Path) -> usize {
    fn walk(file: &Hdf5File, group: &str, depth: usize) -> usize {
        file.attributes(group).ok();
        let mut count = 0;
        for name in file.arrays(group).unwrap_or_default() {
            let name = format!("{group}/{name}");
            count += file.read::<f32>(&name).map_or(0, |array| array.data().len());
            count += file.read_values::<u64>(&name).map_or(0, |(_, values)| values.len());
        }
        if depth < 4 {
            for name in file.groups(group).unwrap_or_default() {
                count += walk(file, &format!("{group}/{name}"), depth + 1);
            }
        }
        count
    }
    Hdf5File::open(path).map_or(0, |file| walk(&file, "", 0))
}

/// Damage of files never panics, and nothing larger than the files could hold is made of them.
#[test]
fn mutated_files_are_errors_or_arrays_but_never_panics() {
    mutate(0..150);
}

#[test]
#[ignore = "slow: minutes of mutations"]
fn very_many_mutated_files_are_errors_or_arrays_but_never_panics() {
    mutate(150..20_000);
}

fn mutate(rounds: std::ops::Range<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mutated.h5");
    for (which, name) in
        ["h5py.h5", "latest.h5", "blosc_zstd.h5", "blosc_lz4.h5", "blosc_blosclz.h5", "quijote_like.hdf5"].iter().enumerate()
    {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let intact = read_all(&fixture(name));
        for round in rounds.clone() {
            let mut rng = Seed(which as u64).stream("mutation", round);
            let mut mutated = bytes.clone();
            match round % 8 {
                0 => mutated.truncate(rng.below(bytes.len())),
                kind => {
                    for _ in 0..kind {
                        // Half of them where the headers are.
                        let reach = if rng.below(2) == 0 { 4096.min(bytes.len()) } else { bytes.len() };
                        let at = rng.below(reach);
                        let value = [0, 1, 0xff, 0x7f, rng.below(256) as u8][rng.below(5)];
                        let run = 1 + rng.below(8);
                        let end = (at + run).min(mutated.len());
                        mutated[at..end].fill(value);
                    }
                }
            }
            std::fs::write(&path, &mutated).unwrap();
            let found = read_all(&path);
            // Twice 64 MiB of bytes, for each of few arrays, are what small files may say.
            assert!(found <= intact.max(1 << 28), "{name} {round}: {found}");
        }
    }
}

#[test]
fn truncation_at_any_place_is_an_error_or_the_whole_array() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cut.h5");
    let mut root = Node::default();
    let values: Vec<f32> = (0..64).map(|i| i as f32).collect();
    root.array("x", &[64], Values::F32(&values));
    write(&path, &root).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        if let Ok(found) = Hdf5File::open(&path).and_then(|file| file.read::<f32>("x")) {
            assert!(found.data() == values, "{length}");
        }
    }
}

#[test]
fn bombs_are_refused_before_memory_is_taken() {
    // A chunk of a Blosc frame that claims four gigabytes, and one whose blocks point into its own table.
    let mut out = [0u8; 64];
    let mut frame = vec![2, 1, 0x91, 4];
    for word in [u32::MAX, 1 << 18, 40u32] {
        frame.extend(word.to_le_bytes());
    }
    frame.extend([0u8; 24]);
    assert!(blosc::unpack(&frame, &mut out).unwrap_err().contains("are expected"));
    frame[4..8].copy_from_slice(&64u32.to_le_bytes());
    frame[8..12].copy_from_slice(&64u32.to_le_bytes());
    frame[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(blosc::unpack(&frame, &mut out).unwrap_err().contains("cut off"));
    frame[8..12].copy_from_slice(&0u32.to_le_bytes());
    assert!(blosc::unpack(&frame, &mut out).unwrap_err().contains("blocks of 0"));
    // Zlib streams that are longer or shorter than what the chunk should hold.
    let mut packed = Vec::new();
    let mut encoder = flate2::write::ZlibEncoder::new(&mut packed, flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &[0u8; 1 << 16]).unwrap();
    encoder.finish().unwrap();
    for size in [1 << 10, 1 << 20] {
        assert!(filters::undo(packed.clone(), &[(1, None)], 0, 4, size).is_err());
    }
    assert_eq!(filters::undo(packed, &[(1, None)], 0, 4, 1 << 16).unwrap(), vec![0u8; 1 << 16]);
}
