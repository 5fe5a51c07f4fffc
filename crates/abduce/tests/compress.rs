//! `abduce compress` as a user meets it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod program;

use abduce_bottleneck::Compressor;
use abduce_data::npz::Npz;
use abduce_data::{Array, Seed, npy};
use program::Workplace;

/// Rows on a plane in R⁴, with a little noise.
fn plane(place: &Workplace, name: &str) -> Array {
    let mut rng = Seed(1).stream("plane", 0);
    let row = |_| {
        let (a, b) = (2.0 * rng.normal(), rng.normal());
        [a, b, a + b, a - b].map(|v| (v + 0.01 * rng.normal()) as f32)
    };
    let array = Array::new(vec![400, 4], (0..400).flat_map(row).collect()).unwrap();
    npy::write(&place.path(name), &array).unwrap();
    array
}

const TRAIN: &str = "compress train x.npy -o code -k 3 --hidden none --epochs 60 --learning-rate 0.02 --batch 60 --separate 2";

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

#[test]
fn one_training_serves_every_width() {
    let place = Workplace::new();
    let x = plane(&place, "x.npy");
    place.ok(&words(TRAIN));
    let losses: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(place.path("code/losses.json")).unwrap()).unwrap();
    let at = |k: usize| losses["ordered"][0][k].as_f64().unwrap() / losses["mean"].as_f64().unwrap();
    assert!(at(0) > 0.95 && at(1) < 0.6 && at(2) < 0.01, "{losses}");
    let principal = losses["principal"][2].as_f64().unwrap();
    assert!(principal <= 1.01 * losses["ordered"][0][2].as_f64().unwrap());
    // Row by row, for whoever wants more than means.
    let mut rows = Npz::open(&place.path("code/losses.npz")).unwrap();
    assert_eq!(rows.read::<f64>("losses").unwrap().shape(), [1, 4, 40]);
    assert_eq!(rows.read::<f64>("rows").unwrap().shape(), [40]);

    place.ok(&words("compress encode code x.npy -k 2 -o z.npy"));
    place.ok(&words("compress decode code z.npy -o back.npy"));
    let back = npy::read::<f32>(&place.path("back.npy")).unwrap();
    assert_eq!(back.shape(), x.shape());
    let error: f32 = back.data().iter().zip(x.data()).map(|(a, b)| (a - b).powi(2)).sum::<f32>() / x.data().len() as f32;
    assert!(error < 0.03, "{error}");
    place.ok(&words("compress truncate code -k 2 -o small.safetensors"));
    assert_eq!(Compressor::load(&place.path("small.safetensors")).unwrap().latents(), 2);
    place.ok(&words("compress encode small.safetensors x.npy -o z2.npy"));
    assert_eq!(std::fs::read(place.path("z.npy")).unwrap(), std::fs::read(place.path("z2.npy")).unwrap());

    place.ok(&words("compress report code x.npy"));
    let page = std::fs::read_to_string(place.path("code/report.html")).unwrap();
    for part in
        ["Loss against width", "What each width keeps", "Walks along the latents", "What the latents mean", "principal axes", "Dimension"]
    {
        assert!(page.contains(part), "{part}");
    }
    // Same bytes, whatever the threads.
    let first = std::fs::read(place.path("code/model.safetensors")).unwrap();
    place.ok(&[&words(TRAIN)[..], &["--threads", "3"]].concat());
    assert_eq!(first, std::fs::read(place.path("code/model.safetensors")).unwrap());
}

/// Images from IDX bytes, classes to predict, drawn widths.
#[test]
fn images_and_classes_are_taken() {
    let place = Workplace::new();
    let mut rng = Seed(2).stream("images", 0);
    let (mut pixels, mut classes) = (vec![0u8, 0, 8, 3, 0, 0, 0, 200, 0, 0, 0, 6, 0, 0, 0, 6], Vec::new());
    for _ in 0..200 {
        let class = rng.below(2);
        classes.push(class as f32);
        pixels.extend((0..36).map(|p| if (p % 6 < 3) == (class == 0) { 200 } else { rng.below(50) as u8 }));
    }
    std::fs::write(place.path("images-idx3-ubyte"), pixels).unwrap();
    npy::write(&place.path("classes.npy"), &Array::new(vec![200], classes).unwrap()).unwrap();
    place.ok(&words("compress train images-idx3-ubyte -o images -k 4 --hidden 16 --epochs 30 --schedule stratified --weights log-spaced"));
    place.ok(&words("compress train images-idx3-ubyte -o conv -k 2 --conv 4 --hidden 8 --epochs 2 --schedule per-sample"));
    place.ok(&words("compress report conv images-idx3-ubyte"));
    place.ok(&words("compress report images images-idx3-ubyte"));
    let page = std::fs::read_to_string(place.path("images/report.html")).unwrap();
    assert!(page.contains("Reconstructions by open latents") && page.contains("Walks along the latents"));
    let train = "compress train images-idx3-ubyte --target classes.npy --head cross-entropy -o classes -k 2 --hidden 16 --epochs 30 --batch 10 --learning-rate 0.01";
    place.ok(&words(train));
    let losses: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(place.path("classes/losses.json")).unwrap()).unwrap();
    // Two classes that a single pixel tells: ln 2 without the code, nothing with it.
    let at = |k: usize| losses["ordered"][0][k].as_f64().unwrap();
    assert!((at(0) - std::f64::consts::LN_2).abs() < 0.05 && at(1) < 0.05, "{losses}");
    place.ok(&words("compress encode classes images-idx3-ubyte -o z.npy"));
    place.ok(&words("compress decode classes z.npy -k 1 -o p.npy"));
    let p = npy::read::<f32>(&place.path("p.npy")).unwrap();
    assert_eq!(p.shape(), [200, 2]);
    assert!(p.data().chunks(2).all(|p| (p[0] + p[1] - 1.0).abs() < 1e-5));
}

#[test]
fn wrong_input_is_named() {
    let place = Workplace::new();
    plane(&place, "x.npy");
    npy::write(&place.path("narrow.npy"), &Array::new(vec![3, 2], vec![0.0f32; 6]).unwrap()).unwrap();
    npy::write(&place.path("nan.npy"), &Array::new(vec![3, 2], vec![0.0f32, 1.0, f32::NAN, 0.0, 1.0, 2.0]).unwrap()).unwrap();
    place.ok(&words("compress train x.npy -o code -k 2 --hidden none --epochs 1"));
    for (line, said) in [
        ("compress train none.npy -o other", "none.npy"),
        ("compress train x.npy -o other --weights steep", "log-spaced"),
        ("compress train x.npy -o other --schedule all", "per-sample"),
        ("compress train x.npy -o other --weights 1,1", "2 numbers are given for the 9 widths"),
        ("compress train x.npy -o other -k 0", "1..=4096"),
        ("compress train x.npy -o other -k 2 --separate 3", "no width from 1 to 2"),
        ("compress train x.npy -o other --head cross-entropy", "--target"),
        ("compress train x.npy -o other --head bce", "between 0 and 1"),
        ("compress train x.npy -o other --target narrow.npy", "400 rows of data but 3"),
        ("compress train nan.npy -o other", "finite"),
        ("compress train x.npy -o other --conv 4,4,4", "can't be halved 3 times"),
        ("compress encode code narrow.npy -o z.npy", "rows of shape [4]"),
        ("compress encode code x.npy -k 5 -o z.npy", "between 1 and 2"),
        ("compress encode x.npy x.npy -o z.npy", "x.npy"),
        ("compress decode code x.npy -o b.npy", "codes have 4 values per row"),
        ("compress truncate code -k 3 -o s.safetensors", "between 0 and 2"),
        ("compress report code narrow.npy", "rows of shape [4]"),
        ("compress report code x.npy --columns narrow.npy", "3 rows with 0 names"),
    ] {
        let ended = place.run(&words(line));
        // Lines are broken where they are long.
        let text = ended.stderr.split_whitespace().filter(|word| *word != "|").collect::<Vec<_>>().join(" ");
        assert!([1, 2].contains(&ended.status) && text.contains(said), "{line}: {}", ended.stderr);
    }
}
