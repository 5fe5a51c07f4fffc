//! Golden headers are those that numpy 2.3 writes; hostile files must fail with a message, without panic or large allocation.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::array::Array;
use crate::error::{DataError, NpyProblem};

fn file(major: u8, dictionary: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend_from_slice(&[major, 0]);
    match major {
        1 => bytes.extend_from_slice(&(dictionary.len() as u16).to_le_bytes()),
        _ => bytes.extend_from_slice(&(dictionary.len() as u32).to_le_bytes()),
    }
    bytes.extend_from_slice(dictionary.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn read_file(bytes: &[u8]) -> Result<Array<f64>, DataError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, bytes).unwrap();
    let array = read::<f64>(&path);
    match (&array, &read_bytes::<f64>(Path::new("a"), bytes)) {
        (Ok(a), Ok(b)) => assert_eq!((a.shape(), bits(a)), (b.shape(), bits(b))),
        (Err(_), Err(_)) => {}
        (a, b) => panic!("a file and its bytes are read differently: {a:?} {b:?}"),
    }
    array
}

fn bits(array: &Array<f64>) -> Vec<u64> {
    array.data().iter().map(|v| v.to_bits()).collect()
}

fn problem(bytes: &[u8]) -> NpyProblem {
    match read_file(bytes) {
        Err(DataError::Npy { problem, .. }) => problem,
        other => panic!("expected a problem, got {other:?}"),
    }
}

#[test]
fn every_number_type_is_read() {
    let cases: [(&str, &[u8], [f64; 2]); 15] = [
        ("<f4", &[0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0], [1.5, -2.0]),
        (">f4", &[0x3f, 0xc0, 0, 0, 0xc0, 0, 0, 0], [1.5, -2.0]),
        ("<f8", &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0], [1.5, -2.0]),
        (">f8", &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0], [1.5, -2.0]),
        ("|i1", &[1, 0xff], [1.0, -1.0]),
        ("<i2", &[1, 2, 0xff, 0xff], [513.0, -1.0]),
        (">i2", &[1, 2, 0xff, 0xff], [258.0, -1.0]),
        ("<i4", &[1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff], [1.0, -2.0]),
        ("<i8", &[1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [1.0, -2.0]),
        ("|u1", &[1, 0xff], [1.0, 255.0]),
        ("<u2", &[1, 2, 0xff, 0xff], [513.0, 65535.0]),
        (">u4", &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff], [1.0, 4_294_967_295.0]),
        ("<u8", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80], [1.0, 9_223_372_036_854_775_808.0]),
        (">i8", &[0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], [1.0, -2.0]),
        ("|b1", &[0, 1], [0.0, 1.0]),
    ];
    for (descr, data, expected) in cases {
        for major in [1, 2, 3] {
            let dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}\n");
            assert_eq!(read_file(&file(major, &dictionary, data)).unwrap().data(), expected, "{descr}");
        }
    }
}

#[test]
fn fortran_order_is_turned_into_rows() {
    // numpy: np.asfortranarray(np.arange(24, dtype='u1').reshape(2, 3, 4)).
    let data = [0, 12, 4, 16, 8, 20, 1, 13, 5, 17, 9, 21, 2, 14, 6, 18, 10, 22, 3, 15, 7, 19, 11, 23];
    let bytes = file(1, "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3, 4), }\n", &data);
    let array = read_file(&bytes).unwrap();
    assert_eq!(array.shape(), &[2, 3, 4]);
    assert!(array.data().iter().copied().eq((0..24).map(f64::from)));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, bytes).unwrap();
    let mut second = [0f32; 12];
    RowFile::open(&path).unwrap().read_rows(1, &mut second, &mut Vec::new()).unwrap();
    assert!(second.iter().copied().eq((12u8..24).map(f32::from)));
}

#[test]
fn written_headers_are_those_of_numpy() {
    for (shape, tuple) in [(vec![], "()"), (vec![3], "(3,)"), (vec![2, 3], "(2, 3)"), (vec![10, 1000, 4], "(10, 1000, 4)")] {
        let mut bytes = Vec::new();
        write_header::<f32>(&mut bytes, &shape).unwrap();
        let expected = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple}, }}");
        assert_eq!(bytes.len() % 64, 0);
        assert_eq!(bytes[..10], [0x93, b'N', b'U', b'M', b'P', b'Y', 1, 0, (bytes.len() - 10) as u8, 0]);
        assert_eq!(std::str::from_utf8(&bytes[10..]).unwrap().trim_end(), expected);
        assert_eq!(bytes.last(), Some(&b'\n'));
    }
}

#[test]
fn ranges_of_rows_are_read_where_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    // More than one piece of the reader.
    let array = Array::new(vec![30_000, 7], (0..210_000).map(f64::from).collect()).unwrap();
    write(&path, &array).unwrap();
    let rows = RowFile::open(&path).unwrap();
    let (mut out, mut scratch) = (vec![0f64; 20_000 * 7], Vec::new());
    rows.read_rows(9_999, &mut out, &mut scratch).unwrap();
    assert_eq!(out, array.data()[9_999 * 7..29_999 * 7]);
    assert_eq!(rows.read_all::<f64>().unwrap(), array);
}

#[test]
fn refusals_say_what_is_wrong() {
    let plain = |descr: &str, shape: &str| file(1, &format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"), &[0; 8]);
    assert_eq!(problem(b"hello, world"), NpyProblem::Magic);
    assert_eq!(problem(b""), NpyProblem::Magic);
    assert_eq!(problem(b"\x93NUMPY\x04\x00\x10\x00          "), NpyProblem::Version(4, 0));
    assert_eq!(problem(&plain("'|O'", "(1,)")), NpyProblem::Objects("|O".into()));
    assert_eq!(problem(&plain("[('a', '<f4'), ('b', '<f4')]", "(1,)")), NpyProblem::Structured);
    for descr in ["<c8", "<f2", "<U3", "|S8", "<M8[s]", "f4", "<f16", "|V8", "<i3", ""] {
        assert_eq!(problem(&plain(&format!("'{descr}'"), "(1,)")), NpyProblem::Dtype(descr.into()));
    }
    let absurd = "(4611686018427387904, 4611686018427387904)";
    assert_eq!(
        problem(&plain("'<f4'", absurd)).to_string(),
        "shape [4611686018427387904, 4611686018427387904] is absurd: its size overflows"
    );
    assert!(matches!(problem(&plain("'<f4'", "(99999999999999999999999,)")), NpyProblem::Overflow(_)));
    assert!(matches!(problem(&plain("'<f4'", "(0, 99999999999999999, 99999999999999999)")), NpyProblem::Overflow(_)));
    assert_eq!(
        problem(&plain("'<f4'", "(1000000000000,)")).to_string(),
        "truncated: shape [1000000000000] of 4-byte values needs 4000000000000 bytes of data, the file has 8"
    );
    assert_eq!(problem(&plain("'<f4'", "(1,)")), NpyProblem::TooLong { shape: vec![1], needed: 4, found: 8 });
    for shape in ["(-1,)", "(1.5,)", "1", "(1", "(1 2)", "(,)", "None"] {
        assert!(matches!(problem(&plain("'<f4'", shape)), NpyProblem::Header(_)), "{shape}");
    }
    for dictionary in ["", "{", "{}", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': 0, 'shape': ()}", "[1]"] {
        assert!(matches!(problem(&file(1, dictionary, &[0; 4])), NpyProblem::Header(_)), "{dictionary}");
    }
    let huge_header = [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes(), &[b' '; 100]].concat();
    assert!(problem(&huge_header).to_string().contains("it claims 4294967295 bytes"));
    let error = read::<f32>(Path::new("/no/such.npy")).unwrap_err().to_string();
    assert!(error.starts_with("/no/such.npy: cannot read: No such file"), "{error}");
}

#[test]
fn a_full_disk_is_an_error() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        eprintln!("skipped: no /dev/full here");
        return;
    }
    let error = write(full, &Array::new(vec![4], vec![0f32; 4]).unwrap()).unwrap_err();
    assert!(error.to_string().contains("/dev/full: cannot write: No space left"), "{error}");
}

proptest! {
    #[test]
    fn what_is_written_is_read(shape in prop::collection::vec(0usize..5, 0..4), seed in any::<u64>()) {
        let mut rng = crate::Seed(seed).stream("values", 0);
        let count = shape.iter().product();
        let array = Array::new(shape, (0..count).map(|_| rng.normal()).collect()).unwrap();
        let mut bytes = Vec::new();
        write_array(&mut bytes, &array).unwrap();
        prop_assert_eq!(read_file(&bytes).unwrap(), array.clone());
        let mut bytes = Vec::new();
        write_array(&mut bytes, &array.to_f32()).unwrap();
        prop_assert_eq!(read_bytes::<f32>(Path::new("a"), &bytes).unwrap(), array.to_f32());
    }

    #[test]
    fn random_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..200), start in 0usize..12) {
        let mut bytes = b"\x93NUMPY\x01\x00\x40\x00{'"[..start].to_vec();
        bytes.extend(tail);
        read_file(&bytes).ok();
    }

    /// A file with some bytes of its header changed is refused or read within its own size.
    #[test]
    fn mutated_headers_never_panic(edits in prop::collection::vec((0usize..128, any::<u8>()), 1..4), cut in 0usize..200) {
        let mut bytes = Vec::new();
        write_array(&mut bytes, &Array::new(vec![3, 4], vec![1f32; 12]).unwrap()).unwrap();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len() - cut.saturating_sub(100));
        if let Ok(array) = read_file(&bytes) {
            prop_assert!(array.data().len() <= bytes.len());
        }
    }

    #[test]
    fn mutated_text_never_panics(text in "[ -~]{0,12}", at in 0usize..60) {
        let mut dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }".to_owned();
        dictionary.replace_range(at.min(dictionary.len())..(at + text.len()).min(dictionary.len()), &text);
        read_file(&file(1, &dictionary, &[0; 48])).ok();
    }
}
