//! Activations, gates and the affine map at every SIMD level against f64 formulae, values and gradients.

use abduce_kernels::Simd;
use abduce_kernels::elementwise::{Activation, Update};

const ALL: [Activation; 9] = [
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

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Φ(x) by Simpson's rule on the density, exact to 1e-12 for |x| < 40.
fn normal_cdf(x: f64) -> f64 {
    let density = |t: f64| (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
    let (end, n) = (x.clamp(-9.0, 9.0), 2000);
    let h = end / f64::from(n);
    let inner: f64 = (1..n).map(|i| density(h * f64::from(i)) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
    0.5 + h / 3.0 * (density(0.0) + inner + density(end))
}

fn exact(f: Activation, x: f64) -> f64 {
    match f {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::LeakyRelu => x.max(0.01 * x),
        Activation::Elu => {
            if x > 0.0 {
                x
            } else {
                x.exp_m1()
            }
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Gelu => x * normal_cdf(x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Softplus => softplus(x),
        Activation::Mish => x * softplus(x).tanh(),
    }
}

/// Dense around zero and out to saturation; not zero itself, where some have a kink. 999 points: the last vector is partial.
fn arguments() -> Vec<f32> {
    (0..999).map(|i| (i - 499) as f32 / 499.0).map(|t| t * t.abs() * 30.0 + 1e-3 * t + 1e-5).collect()
}

/// A few ulp of the largest intermediate (1 for the saturating ones), and erf's 4e-7 for GELU times x.
fn tolerance(x: f64) -> f64 {
    4e-7 + 5e-7 * x.abs()
}

#[test]
fn activations_and_their_slopes_are_those_of_the_formulae() {
    let x = arguments();
    let grad_y: Vec<f32> = (0..x.len()).map(|i| 0.25 + (i % 7) as f32 / 4.0).collect();
    for simd in Simd::all() {
        for f in ALL {
            let mut y = vec![f32::NAN; x.len()];
            simd.activate(f, &x, &mut y);
            let mut grad = vec![f32::NAN; x.len()];
            simd.activate_backward(f, &x, &grad_y, &mut grad, Update::Overwrite);
            let mut grown = vec![1.5; x.len()];
            simd.activate_backward(f, &x, &grad_y, &mut grown, Update::Accumulate);
            for i in 0..x.len() {
                let at = f64::from(x[i]);
                let (got, want) = (f64::from(y[i]), exact(f, at));
                assert!((got - want).abs() < tolerance(at), "{f:?}({at}) at {simd}: {got}, {want}");
                // Differences of f64 functions: truncation and rounding below 1e-9; no kink lies within the step.
                let step = 1e-6;
                let slope = (exact(f, at + step) - exact(f, at - step)) / (2.0 * step);
                let want = f64::from(grad_y[i]) * slope;
                assert!((f64::from(grad[i]) - want).abs() < 3.0 * tolerance(at), "{f:?}'({at}) at {simd}: {}, {want}", grad[i]);
                assert!((f64::from(grown[i]) - 1.5 - want).abs() < 3.0 * tolerance(at) + 5e-7, "{f:?}'({at}) accumulated at {simd}");
            }
        }
    }
}

#[test]
fn activations_are_finite_at_extremes_and_keep_nan() {
    let x = [-1e30, -1e4, -100.0, 0.0, 100.0, 1e4, f32::NAN];
    for simd in Simd::all() {
        for f in ALL {
            let (mut y, mut grad) = ([0.0; 7], [0.0; 7]);
            simd.activate(f, &x, &mut y);
            simd.activate_backward(f, &x, &[1.0; 7], &mut grad, Update::Overwrite);
            assert!(y[..6].iter().chain(&grad[..6]).all(|v| v.is_finite()), "{f:?} at {simd}: {y:?} {grad:?}");
            assert!(y[6].is_nan(), "{f:?} at {simd} swallows NaN");
        }
    }
}

fn sequence(n: usize, salt: u32, spread: f32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| spread * (((i.wrapping_mul(2_654_435_761) ^ salt.wrapping_mul(40_503)) >> 8) as f32 / 8_388_608.0 - 1.0))
        .collect()
}

/// Lengths that fill vectors and that do not.
const LENGTHS: [usize; 4] = [1, 16, 33, 200];

#[test]
fn gated_sums_and_their_gradients_are_those_of_the_formula() {
    for simd in Simd::all() {
        for n in LENGTHS {
            let (h, t, g, grad_y) = (sequence(n, 1, 2.0), sequence(n, 2, 3.0), sequence(n, 3, 8.0), sequence(n, 4, 1.0));
            let (mut y, mut grad_t, mut grad_g) = (vec![f32::NAN; n], vec![f32::NAN; n], vec![f32::NAN; n]);
            simd.gated_add(&h, &t, &g, &mut y);
            simd.gated_add_backward(&t, &g, &grad_y, &mut grad_t, &mut grad_g);
            for i in 0..n {
                let (h, t, g, grad) = (f64::from(h[i]), f64::from(t[i]), f64::from(g[i]), f64::from(grad_y[i]));
                let gate = sigmoid(g);
                // Numbers up to 5, a few roundings each.
                assert!((f64::from(y[i]) - (h + t * gate)).abs() < 2e-6, "{simd}, {i} of {n}");
                assert!((f64::from(grad_t[i]) - grad * gate).abs() < 1e-6, "{simd}, {i} of {n}");
                assert!((f64::from(grad_g[i]) - grad * t * gate * (1.0 - gate)).abs() < 1e-6, "{simd}, {i} of {n}");
            }
        }
    }
}

/// y and ladj of the affine map: s = a/(1 + |a|/ln 1000), y = (x - m) e^{-s}, ladj = -s.
fn affine(x: f64, m: f64, a: f64) -> (f64, f64) {
    let s = a / (1.0 + a.abs() / 1000f64.ln());
    ((x - m) * (-s).exp(), -s)
}

#[test]
fn affine_maps_their_inverses_and_gradients_are_those_of_the_formula() {
    const STEP: f64 = 1e-6;
    for simd in Simd::all() {
        for n in LENGTHS {
            let (x, shift, raw) = (sequence(n, 5, 2.0), sequence(n, 6, 2.0), sequence(n, 7, 4.0));
            let (grad_y, grad_ladj) = (sequence(n, 8, 1.0), sequence(n, 9, 1.0));
            let (mut y, mut ladj) = (vec![f32::NAN; n], vec![0.75; n]);
            simd.affine_forward(&x, &shift, &raw, &mut y, &mut ladj);
            let (mut back, mut ladj_back) = (vec![f32::NAN; n], vec![0.0; n]);
            simd.affine_inverse(&y, &shift, &raw, &mut back, &mut ladj_back);
            let (mut by_x, mut by_shift, mut by_raw) = (vec![f32::NAN; n], vec![f32::NAN; n], vec![f32::NAN; n]);
            simd.affine_backward(&y, &raw, (&grad_y, &grad_ladj), (&mut by_x, Update::Overwrite), &mut by_shift, &mut by_raw);
            let mut grown = vec![2.0; n];
            simd.affine_backward(&y, &raw, (&grad_y, &grad_ladj), (&mut grown, Update::Accumulate), &mut by_shift, &mut by_raw);
            for i in 0..n {
                let (x, m, a) = (f64::from(x[i]), f64::from(shift[i]), f64::from(raw[i]));
                let near = |got: f32, want: f64, what: &str| {
                    assert!((f64::from(got) - want).abs() < 2e-6 * (1.0 + want.abs()), "{what} at {simd}, {i} of {n}: {got}, {want}");
                };
                let (want_y, want_ladj) = affine(x, m, a);
                near(y[i], want_y, "y");
                near(ladj[i], 0.75 + want_ladj, "ladj");
                near(back[i], x, "inverse");
                near(ladj_back[i], -want_ladj, "inverse ladj");
                let loss = |x: f64, m: f64, a: f64| {
                    let (y, ladj) = affine(x, m, a);
                    f64::from(grad_y[i]) * y + f64::from(grad_ladj[i]) * ladj
                };
                let slope = |f: &dyn Fn(f64) -> f64| (f(STEP) - f(-STEP)) / (2.0 * STEP);
                near(by_x[i], slope(&|d| loss(x + d, m, a)), "gradient by x");
                near(grown[i], 2.0 + slope(&|d| loss(x + d, m, a)), "accumulated gradient by x");
                near(by_shift[i], slope(&|d| loss(x, m + d, a)), "gradient by the shift");
                near(by_raw[i], slope(&|d| loss(x, m, a + d)), "gradient by the raw scale");
            }
        }
    }
}

/// A network may say anything: scales stay within 1/1000 and 1000.
#[test]
fn affine_maps_are_finite_for_any_raw_scale() {
    let raw = [-1e30, -1e4, -50.0, 0.0, 50.0, 1e4, 1e30];
    let (x, shift) = ([1e4; 7], [-1e4; 7]);
    for simd in Simd::all() {
        let (mut y, mut ladj, mut back) = ([0.0; 7], [0.0; 7], [0.0; 7]);
        simd.affine_forward(&x, &shift, &raw, &mut y, &mut ladj);
        assert!(y.iter().chain(&ladj).all(|v| v.is_finite()), "{y:?} {ladj:?}");
        assert!(y.iter().all(|&y| (19.99..2.001e7).contains(&y)), "{y:?}");
        simd.affine_inverse(&x, &shift, &raw, &mut back, &mut ladj);
        assert!(back.iter().all(|v| v.is_finite()), "{back:?}");
    }
}
