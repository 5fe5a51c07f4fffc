//! The kernels of CUDA devices against those of the CPU: as C++ on the CPU wherever a compiler of it is, and on a device where there is one.

use abduce_kernels::Simd;
use abduce_kernels::elementwise::{Activation, Update};
use abduce_kernels::norm::{Affine, RowNorm};
use abduce_kernels::optimiser::AdamStep;
use std::path::Path;
use std::process::Command;

const ACTIVATIONS: [Activation; 9] = [
    Activation::Tanh,
    Activation::Relu,
    Activation::LeakyRelu,
    Activation::Elu,
    Activation::Silu,
    Activation::Gelu,
    Activation::Sigmoid,
    Activation::Softplus,
    Activation::Mish,
];
const STEP: AdamStep = AdamStep {
    learning_rate: 0.01,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-6,
    correction1: 1.5,
    correction2: 1.25,
    gradient_scale: 0.5,
    weight_decay: 0.1,
};

/// The numbers of host_grid.cpp: in [-2, 2].
fn numbers(n: usize, salt: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(salt.wrapping_mul(40_503)) >> 8) % 2001) as f32 / 500.0 - 2.0)
        .collect()
}

/// What the CPU makes of the numbers, in the order of host_grid.cpp.
fn expected(rows: usize, cols: usize) -> Vec<(&'static str, Vec<f32>)> {
    let (simd, n) = (Simd::best(), rows * cols);
    let (x, grad, gain, shift) = (numbers(n, 1), numbers(n, 2), numbers(cols, 3), numbers(cols, 4));
    let mut out = Vec::new();
    for (kind, f) in ACTIVATIONS.into_iter().enumerate() {
        let mut y = vec![0.0; n];
        simd.activate(f, &x, &mut y);
        out.push(("activate", y));
        let mut to = numbers(n, 5);
        simd.activate_backward(f, &x, &grad, &mut to, if kind % 2 == 1 { Update::Accumulate } else { Update::Overwrite });
        out.push(("activate_backward", to));
    }
    for kind in [RowNorm::RootMeanSquare, RowNorm::Layer] {
        let affine = Affine { gain: &gain, shift: &shift, activation: None };
        let (mut y, mut to, mut by_gain, mut by_shift) = (vec![0.0; n], numbers(n, 5), numbers(cols, 6), numbers(cols, 7));
        simd.row_norm(kind, &x, affine, &mut y);
        let by = Some((&mut by_gain[..], &mut by_shift[..]));
        simd.row_norm_backward(kind, &x, affine, &grad, Some((&mut to, Update::Accumulate)), by, &mut vec![0.0; 3 * cols]);
        out.extend([("row_norm", y), ("row_norm_backward", to), ("row_norm_gain", by_gain), ("row_norm_shift", by_shift)]);
    }
    let (mut y, mut to) = (Vec::new(), Vec::new());
    for (x, grad) in x.chunks_exact(cols).zip(grad.chunks_exact(cols)) {
        let top = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = x.iter().map(|&v| f64::from(v - top).exp()).collect();
        let total: f64 = powers.iter().sum();
        let dot: f64 = powers.iter().zip(grad).map(|(p, &g)| p / total * f64::from(g)).sum();
        y.extend(powers.iter().map(|p| (p / total) as f32));
        to.extend(powers.iter().zip(grad).map(|(p, &g)| (p / total * (f64::from(g) - dot)) as f32));
    }
    out.extend([("softmax", y), ("softmax_backward", to)]);
    out.push(("fill_rows", shift.iter().copied().cycle().take(n).collect()));
    let mut sums = gain;
    simd.add_column_sums(&x, &mut sums);
    out.push(("add_column_sums", sums));
    let (mut theta, mut m, mut v) = (numbers(n, 8), numbers(n, 9), numbers(n, 10));
    v.iter_mut().for_each(|v| *v *= *v);
    simd.adam(&STEP, &mut theta, &grad, &mut m, &mut v);
    out.extend([("adam_theta", theta), ("adam_m", m), ("adam_v", v)]);
    out
}

/// Both are f32 of size 10 at most, the longest sum has some hundred terms: 1e-4 is generous for rounding and far below any slip.
fn compare(ours: &[(impl AsRef<str>, Vec<f32>)], expected: &[(&str, Vec<f32>)], what: &str) {
    assert_eq!(ours.len(), expected.len(), "{what}");
    for ((name, ours), (want_name, want)) in ours.iter().zip(expected) {
        assert_eq!((name.as_ref(), ours.len()), (*want_name, want.len()), "{what}");
        for (i, (a, b)) in ours.iter().zip(want).enumerate() {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{what}, {want_name}[{i}]: {a} instead of {b}");
        }
    }
}

#[test]
fn the_kernels_as_plain_code_agree_with_the_cpu() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join("host_grid");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host_grid.cpp");
    let built = Command::new("g++").args(["-std=c++20", "-O1", "-pthread", "-o"]).arg(&program).arg(&source).output();
    let Ok(built) = built else {
        eprintln!("skipped: no g++");
        return;
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // Rows shorter and longer than a block of 4 threads.
    for (rows, cols) in [(2, 3), (3, 4), (5, 83)] {
        let output = Command::new(&program).args([rows.to_string(), cols.to_string()]).output().expect("it was just built");
        let text = String::from_utf8(output.stdout).expect("numbers");
        let ours: Vec<(String, Vec<f32>)> = text
            .lines()
            .map(|line| {
                let mut words = line.split(' ');
                (words.next().expect("a name").to_owned(), words.map(|w| w.parse().expect("a number")).collect())
            })
            .collect();
        compare(&ours, &expected(rows, cols), &format!("{rows} x {cols}"));
    }
}

#[cfg(feature = "cuda")]
mod device {
    use super::{ACTIVATIONS, STEP, compare, expected, numbers};
    use abduce_kernels::cuda::{Device, DeviceError, LinearShape};
    use abduce_kernels::elementwise::Update;
    use abduce_kernels::norm::RowNorm;

    fn layers(device: &Device, rows: usize, cols: usize) -> Result<Vec<(&'static str, Vec<f32>)>, DeviceError> {
        let n = rows * cols;
        let put = |n: usize, salt: u32| device.upload(&numbers(n, salt));
        let (x, grad, gain, shift) = (put(n, 1)?, put(n, 2)?, put(cols, 3)?, put(cols, 4)?);
        let mut y = device.zeros(n)?;
        let mut out = Vec::new();
        for (kind, f) in ACTIVATIONS.into_iter().enumerate() {
            device.activate(f, &x, &mut y)?;
            out.push(("activate", device.download(&y)?));
            let mut to = put(n, 5)?;
            let update = if kind % 2 == 1 { Update::Accumulate } else { Update::Overwrite };
            device.activate_backward(f, &x, &grad, (&mut to, update))?;
            out.push(("activate_backward", device.download(&to)?));
        }
        let mut statistics = device.zeros(2 * rows)?;
        for kind in [RowNorm::RootMeanSquare, RowNorm::Layer] {
            let (mut to, mut by_gain, mut by_shift) = (put(n, 5)?, put(cols, 6)?, put(cols, 7)?);
            device.row_norm(kind, (&gain, &shift), &x, &mut y, &mut statistics)?;
            let by_x = Some((&mut to, Update::Accumulate));
            device.row_norm_backward(kind, &gain, (&x, &statistics), &grad, by_x, (&mut by_gain, &mut by_shift))?;
            let names = ["row_norm", "row_norm_backward", "row_norm_gain", "row_norm_shift"];
            for (name, buffer) in names.into_iter().zip([&y, &to, &by_gain, &by_shift]) {
                out.push((name, device.download(buffer)?));
            }
        }
        device.softmax(cols, &x, &mut y)?;
        out.push(("softmax", device.download(&y)?));
        let mut to = put(n, 5)?;
        device.softmax_backward(cols, &y, &grad, (&mut to, Update::Overwrite))?;
        out.push(("softmax_backward", device.download(&to)?));
        // A linear map of nothing but its bias.
        let shape = LinearShape { rows, inputs: cols, outputs: cols };
        device.linear(shape, &device.zeros(cols * cols)?, &shift, &x, &mut y)?;
        out.push(("fill_rows", device.download(&y)?));
        let mut sums = put(cols, 3)?;
        device.add_column_sums(&x, &mut sums)?;
        out.push(("add_column_sums", device.download(&sums)?));
        let squares: Vec<f32> = numbers(n, 10).iter().map(|v| v * v).collect();
        let (mut theta, mut m, mut v) = (put(n, 8)?, put(n, 9)?, device.upload(&squares)?);
        device.adam(&STEP, &mut theta, &grad, (&mut m, &mut v))?;
        for (name, buffer) in ["adam_theta", "adam_m", "adam_v"].into_iter().zip([&theta, &m, &v]) {
            out.push((name, device.download(buffer)?));
        }
        Ok(out)
    }

    /// A linear map and its gradients, by plain loops in f64.
    fn linear(device: &Device) -> Result<(), DeviceError> {
        let shape = LinearShape { rows: 5, inputs: 7, outputs: 3 };
        let LinearShape { rows, inputs, outputs } = shape;
        let (w, b, x, g) = (numbers(inputs * outputs, 1), numbers(outputs, 2), numbers(rows * inputs, 3), numbers(rows * outputs, 4));
        let (wd, bd, xd, gd) = (device.upload(&w)?, device.upload(&b)?, device.upload(&x)?, device.upload(&g)?);
        let (mut y, mut by_x) = (device.zeros(rows * outputs)?, device.upload(&numbers(rows * inputs, 5))?);
        let (mut by_w, mut by_b) = (device.upload(&numbers(inputs * outputs, 6))?, device.upload(&numbers(outputs, 7))?);
        device.linear(shape, &wd, &bd, &xd, &mut y)?;
        device.linear_backward(shape, &wd, &xd, &gd, Some((&mut by_x, Update::Accumulate)), (&mut by_w, &mut by_b))?;
        let sum = |n: usize, term: &dyn Fn(usize) -> f64| (0..n).map(term).sum::<f64>();
        let at = |v: &[f32], i: usize| f64::from(v[i]);
        let grid = |rows: usize, cols: usize, start: &dyn Fn(usize, usize) -> f64, of: &dyn Fn(usize, usize) -> f64| {
            (0..rows * cols).map(|i| (start(i / cols, i % cols) + of(i / cols, i % cols)) as f32).collect::<Vec<f32>>()
        };
        let (x0, w0, b0) = (numbers(rows * inputs, 5), numbers(inputs * outputs, 6), numbers(outputs, 7));
        let want = [
            ("y", grid(rows, outputs, &|_, o| at(&b, o), &|r, o| sum(inputs, &|i| at(&x, r * inputs + i) * at(&w, o * inputs + i)))),
            (
                "by x",
                grid(rows, inputs, &|r, i| at(&x0, r * inputs + i), &|r, i| {
                    sum(outputs, &|o| at(&g, r * outputs + o) * at(&w, o * inputs + i))
                }),
            ),
            (
                "by W",
                grid(outputs, inputs, &|o, i| at(&w0, o * inputs + i), &|o, i| {
                    sum(rows, &|r| at(&g, r * outputs + o) * at(&x, r * inputs + i))
                }),
            ),
            ("by b", grid(1, outputs, &|_, o| at(&b0, o), &|_, o| sum(rows, &|r| at(&g, r * outputs + o)))),
        ];
        let ours = [
            ("y", device.download(&y)?),
            ("by x", device.download(&by_x)?),
            ("by W", device.download(&by_w)?),
            ("by b", device.download(&by_b)?),
        ];
        compare(&ours, &want, "linear");
        Ok(())
    }

    #[test]
    fn layers_of_a_device_agree_with_the_cpu() {
        let device = match Device::open(0) {
            Ok(device) => device,
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return;
            }
        };
        for (rows, cols) in [(3, 5), (7, 256), (5, 700)] {
            compare(&layers(&device, rows, cols).expect("a device that works"), &expected(rows, cols), &format!("{rows} x {cols}"));
        }
        linear(&device).expect("a device that works");
    }
}
