//! The end of the training of affine codes: steps that are exact.
//!
//! With an affine encoder E and decoder D and squared errors, the loss over all widths needs no more of the data than their mean and covariance C:
//!
//! ```text
//! Σ_k ρ_k E‖x - D M_k E x‖² = tr C - 2 tr(D W E C) + tr(D G Dᵀ)
//! W = diag(w), w_j = Σ_(k ≥ j) ρ_k        G_ij = w_max(i,j) (E C Eᵀ)_ij        M_k: the first k latents open, x centred
//! ```
//!
//! It is quadratic in D for a given E, and in E for a given D: D G = C Eᵀ W and H E = W Dᵀ with H_ij = w_max(i,j) (Dᵀ D)_ij. Solving the two in turn never
//! raises the loss. Gradient steps leave the axes of least variance behind, since their share of the gradient is as small as that variance;
//! these steps don't know steep and flat directions.

use crate::model::Bottleneck;
use crate::moments::Moments;
use crate::spec::{Head, Net};
use abduce_dimension::eigen::{self, Eigen};
use abduce_kernels::Simd;
use std::ops::Range;

/// Most pairs of exact steps.
const SWEEPS: usize = 5000;
/// Most multiplications in all, about: some seconds.
const WORK: usize = 10_000_000_000;
/// A sweep that lowers the loss by less than this fraction is the last one. Errors shrink by a few thousandths in a sweep where eigenvalues lie close
/// together, so what is left then is below a millionth of the loss.
const SETTLED: f64 = 1e-10;
/// Directions of a normal matrix below this fraction of its largest eigenvalue hold rounding alone.
const NOTHING: f64 = 1e-13;

/// Parameters after exact steps on the training rows `rows` from `params` on, with weights `rho` of the widths 0..K. `None` where the model is not affine, does not
/// give back its data with squared errors, or is so large that not even a hundred sweeps would be worth their time.
pub(crate) fn settle<'a>(
    model: &Bottleneck,
    simd: Simd,
    rho: &[f64],
    rows: impl Iterator<Item = &'a [f32]> + Clone,
    params: &[f32],
) -> Option<Vec<f32>> {
    let spec = model.spec();
    let affine = |net: &Net| matches!(net, Net::Dense { hidden, .. } if hidden.is_empty());
    if !(affine(&spec.encoder) && affine(&spec.decoder) && matches!(spec.head, Head::Mse)) {
        return None;
    }
    let (d, latents) = (spec.features, spec.latents);
    let sweeps = SWEEPS.min(WORK / (d * d * latents).max(1));
    // Latents that no width with weight opens stay as they are.
    let weights: Vec<f64> = (1..=latents).map(|j| rho[j..].iter().sum()).take_while(|&w| w > 0.0).collect();
    if sweeps < 100 || weights.is_empty() {
        return None;
    }
    let moments = Moments::of(simd, rows, d)?;
    let find = |name: &str| model.layout().parameters().iter().find(|p| p.name == name).map(|p| p.range.clone());
    let at: [Range<usize>; 4] =
        [find("encoder.code.weight")?, find("encoder.code.bias")?, find("decoder.open.weight")?, find("decoder.open.bias")?];
    let k = weights.len();
    let mut encoder: Vec<f64> = params[at[0].clone()][..k * d].iter().map(|&v| f64::from(v)).collect();
    let decoder = alternate(&moments.covariance, &weights, &mut encoder, sweeps);

    let mut out = params.to_vec();
    out[at[0].clone()][..k * d].iter_mut().zip(&encoder).for_each(|(to, &v)| *to = v as f32);
    for (to, row) in out[at[1].clone()].iter_mut().zip(encoder.chunks_exact(d)) {
        *to = -row.iter().zip(&moments.mean).map(|(e, m)| e * m).sum::<f64>() as f32;
    }
    for (i, to) in out[at[2].clone()].chunks_exact_mut(latents).enumerate() {
        to.iter_mut().zip(decoder.chunks_exact(d)).for_each(|(to, column)| *to = column[i] as f32);
    }
    out[at[3].clone()].iter_mut().zip(&moments.mean).for_each(|(to, &m)| *to = m as f32);
    out.iter().all(|v| v.is_finite()).then_some(out)
}

/// Solves for decoder and encoder in turn, from `encoder` (K, D) on; gives the decoder transposed, (K, D).
fn alternate(covariance: &[f64], weights: &[f64], encoder: &mut [f64], sweeps: usize) -> Vec<f64> {
    let k = weights.len();
    let d = encoder.len() / k;
    let total: f64 = (0..d).map(|i| covariance[i * d + i]).sum();
    let (mut along, mut decoder, mut normal) = (vec![0.0; k * d], vec![0.0; k * d], vec![0.0; k * k]);
    let mut before = f64::INFINITY;
    for _ in 0..sweeps {
        // E C, then W E C, the right-hand side.
        along.fill(0.0);
        for (to, row) in along.chunks_exact_mut(d).zip(encoder.chunks_exact(d)) {
            for (e, of) in row.iter().zip(covariance.chunks_exact(d)) {
                to.iter_mut().zip(of).for_each(|(t, c)| *t += e * c);
            }
        }
        weighted_products(&along, encoder, weights, &mut normal);
        along.chunks_exact_mut(d).zip(weights).for_each(|(row, w)| row.iter_mut().for_each(|v| *v *= w));
        solve(&normal, &along, &mut decoder);
        // The loss, for D G = C Eᵀ W: tr C - tr(D W E C).
        let loss = total - decoder.iter().zip(&along).map(|(d, r)| d * r).sum::<f64>();
        weighted_products(&decoder, &decoder, weights, &mut normal);
        along.copy_from_slice(&decoder);
        along.chunks_exact_mut(d).zip(weights).for_each(|(row, w)| row.iter_mut().for_each(|v| *v *= w));
        if before - loss <= SETTLED * loss.abs() {
            break;
        }
        before = loss;
        solve(&normal, &along, encoder);
    }
    decoder
}

/// w_max(i,j) a_i · b_j for the rows of two (K, D) matrices whose products are symmetric.
fn weighted_products(a: &[f64], b: &[f64], weights: &[f64], out: &mut [f64]) {
    let k = weights.len();
    let d = a.len() / k;
    for (i, a) in a.chunks_exact(d).enumerate() {
        for (j, b) in b.chunks_exact(d).enumerate().take(i + 1) {
            let product = weights[i] * a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            (out[i * k + j], out[j * k + i]) = (product, product);
        }
    }
}

/// The X (K, D) of least size with N X = B for a symmetric positive semi-definite N (K, K).
fn solve(normal: &[f64], b: &[f64], x: &mut [f64]) {
    let k = (normal.len() as f64).sqrt() as usize;
    let d = b.len() / k;
    let Eigen { values, vectors } = eigen::symmetric(k, normal);
    let smallest = NOTHING * values[0];
    let mut along = vec![0.0; d];
    x.fill(0.0);
    for (value, vector) in values.iter().zip(vectors.chunks_exact(k)).filter(|(value, _)| **value > smallest) {
        along.fill(0.0);
        for (v, row) in vector.iter().zip(b.chunks_exact(d)) {
            along.iter_mut().zip(row).for_each(|(to, b)| *to += v * b / value);
        }
        for (v, row) in vector.iter().zip(x.chunks_exact_mut(d)) {
            row.iter_mut().zip(&along).for_each(|(to, a)| *to += v * a);
        }
    }
}
