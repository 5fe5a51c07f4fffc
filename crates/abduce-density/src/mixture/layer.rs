//! The log-density of a Gaussian mixture with full covariances, and its gradient.

use super::MixtureShape;
use abduce_kernels::affine::LOG_SCALE_BOUND;
use abduce_kernels::elementwise::Update;
use abduce_nn::layer::{Backward, Forward, Layer};
use std::ops::Range;

/// (θ, raw) → log q(θ) = Σ_g log Σ_k π_k N(θ_g; m_k, (A_kᵀA_k)⁻¹): one group of all features is a mixture density network
/// (Bishop 1994), one group per feature the mixture of a MADE.
///
/// A is upper triangular with diagonal e^s, s bent to |s| < ln 1000 as in [`abduce_kernels::affine`], so densities stay finite.
/// log N = -½|v|² + Σ s - ½ d ln 2π with v = A(θ - m).
#[derive(Clone, Copy, Debug)]
pub struct GaussianMixture {
    /// Shape of one group.
    pub shape: MixtureShape,
    /// Number of groups.
    pub groups: usize,
}

/// Log-scale and 1/(1 + |a|/b), whose square is its slope.
#[inline(always)]
fn bounded(a: f32) -> (f32, f32) {
    let shrink = 1.0 / (1.0 + a.abs() * (1.0 / LOG_SCALE_BOUND));
    (a * shrink, shrink)
}

impl GaussianMixture {
    const fn raw_of(&self, group: usize, lanes: usize) -> Range<usize> {
        let p = self.shape.parameters() * lanes;
        group * p..(group + 1) * p
    }

    /// v = A(θ - m) of component k into `v` (d, lanes), given e^s.
    #[inline(always)]
    fn whiten(&self, k: usize, raw: &[f32], scales: &[f32], theta: &[f32], lanes: usize, v: &mut [f32]) {
        let d = self.shape.features;
        for i in 0..d {
            let out = &mut v[i * lanes..(i + 1) * lanes];
            let (scale, mean) = (&scales[(k * d + i) * lanes..][..lanes], &raw[self.shape.mean(k, i) * lanes..][..lanes]);
            let x = &theta[i * lanes..][..lanes];
            for l in 0..lanes {
                out[l] = scale[l] * (x[l] - mean[l]);
            }
            for j in i + 1..d {
                let (a, mean) = (&raw[self.shape.above(k, i, j) * lanes..][..lanes], &raw[self.shape.mean(k, j) * lanes..][..lanes]);
                let x = &theta[j * lanes..][..lanes];
                for l in 0..lanes {
                    out[l] += a[l] * (x[l] - mean[l]);
                }
            }
        }
    }
}

/// Replaces rows of log-values by their softmax and returns log Σ exp in `total`; `rows` (K, lanes).
fn softmax_rows(simd: abduce_kernels::Simd, rows: &mut [f32], lanes: usize, total: &mut [f32], sum: &mut [f32]) {
    let (top, sum) = (&mut total[..lanes], &mut sum[..lanes]);
    top.copy_from_slice(&rows[..lanes]);
    for row in rows.chunks_exact(lanes).skip(1) {
        top.iter_mut().zip(row).for_each(|(t, r)| *t = if *r > *t { *r } else { *t });
    }
    sum.fill(0.0);
    for row in rows.chunks_exact_mut(lanes) {
        row.iter_mut().zip(&*top).for_each(|(r, t)| *r -= t);
        let mut copy = [0.0; 256];
        for block in row.chunks_mut(256) {
            copy[..block.len()].copy_from_slice(block);
            simd.exp(&copy[..block.len()], block);
        }
        sum.iter_mut().zip(&*row).for_each(|(s, r)| *s += r);
    }
    for row in rows.chunks_exact_mut(lanes) {
        row.iter_mut().zip(&*sum).for_each(|(r, s)| *r /= s);
    }
    let mut copy = [0.0; 256];
    for (t, s) in top.chunks_mut(256).zip(sum.chunks(256)) {
        simd.ln(s, &mut copy);
        t.iter_mut().zip(&copy).for_each(|(t, l)| *t += l);
    }
}

impl Layer for GaussianMixture {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[0], self.groups * self.shape.features);
        debug_assert_eq!(inputs[1], self.groups * self.shape.parameters());
        vec![1]
    }

    /// Per group: e^s (K d), responsibilities (K), weights (K).
    fn saved_per_lane(&self) -> usize {
        self.groups * self.shape.components * (self.shape.features + 2)
    }

    /// v (d), A·v gradients (d), and two rows for sums.
    fn scratch_per_lane(&self) -> usize {
        2 * self.shape.features + 2
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (lanes, simd) = (at.lanes, at.simd);
        let (kk, d) = (self.shape.components, self.shape.features);
        let (theta_all, raw_all) = (at.inputs.get(0), at.inputs.get(1));
        let log_q = &mut at.outputs[0];
        log_q.fill(0.0);
        for group in 0..self.groups {
            let raw = &raw_all[self.raw_of(group, lanes)];
            let theta = &theta_all[group * d * lanes..(group + 1) * d * lanes];
            let saved = &mut at.saved[group * kk * (d + 2) * lanes..(group + 1) * kk * (d + 2) * lanes];
            let (scales, rest) = saved.split_at_mut(kk * d * lanes);
            let (joint, weights) = rest.split_at_mut(kk * lanes);
            let (v, rows) = at.scratch.split_at_mut(2 * d * lanes);
            let (total, sum) = rows.split_at_mut(lanes);
            let diagonals = &raw[self.shape.diagonal(0, 0) * lanes..][..kk * d * lanes];
            // Joint starts as Σ s - ½ d ln 2π.
            simd.vectorise(
                #[inline(always)]
                || {
                    joint.fill(-0.5 * d as f32 * std::f32::consts::TAU.ln());
                    for k in 0..kk {
                        for i in 0..d {
                            let own = (k * d + i) * lanes;
                            for l in 0..lanes {
                                let (s, _) = bounded(diagonals[own + l]);
                                scales[own + l] = s;
                                joint[k * lanes + l] += s;
                            }
                        }
                    }
                },
            );
            let mut copy = [0.0; 256];
            for block in scales.chunks_mut(256) {
                copy[..block.len()].copy_from_slice(block);
                simd.exp(&copy[..block.len()], block);
            }
            weights.copy_from_slice(&raw[..kk * lanes]);
            softmax_rows(simd, weights, lanes, total, sum);
            simd.vectorise(
                #[inline(always)]
                || {
                    for k in 0..kk {
                        self.whiten(k, raw, scales, theta, lanes, v);
                        let own = &mut joint[k * lanes..(k + 1) * lanes];
                        for l in 0..lanes {
                            own[l] += raw[k * lanes + l] - total[l];
                        }
                        for row in v.chunks_exact(lanes).take(d) {
                            for l in 0..lanes {
                                own[l] -= 0.5 * row[l] * row[l];
                            }
                        }
                    }
                },
            );
            softmax_rows(simd, joint, lanes, total, sum);
            log_q.iter_mut().zip(&*total).for_each(|(q, t)| *q += t);
        }
    }

    /// With responsibilities r and weights π: ∂/∂logit = r - π; ∂/∂m_j = r Σ_i v_i A_ij = -∂/∂θ_j's part; ∂/∂A_ij = -r v_i (θ_j - m_j);
    /// ∂/∂s_i = r(1 - v_i e^{s_i}(θ_i - m_i)).
    fn backward(&self, at: &mut Backward<'_>) {
        let (lanes, simd) = (at.lanes, at.simd);
        let (kk, d) = (self.shape.components, self.shape.features);
        let (theta_all, raw_all, grad) = (at.inputs.get(0), at.inputs.get(1), at.grad_outputs.get(0));
        let [grad_theta, Some(grad_raw)] = at.grad_inputs else { unreachable!("raw parameters are computed by a network") };
        debug_assert_eq!(grad_raw.update, Update::Overwrite, "raw parameters feed this layer alone");
        if let Some(slot) = grad_theta
            && slot.update == Update::Overwrite
        {
            slot.data.fill(0.0);
        }
        for group in 0..self.groups {
            let raw = &raw_all[self.raw_of(group, lanes)];
            let out = &mut grad_raw.data[self.raw_of(group, lanes)];
            let theta = &theta_all[group * d * lanes..(group + 1) * d * lanes];
            let saved = &at.saved[group * kk * (d + 2) * lanes..(group + 1) * kk * (d + 2) * lanes];
            let (scales, rest) = saved.split_at(kk * d * lanes);
            let (shares, weights) = rest.split_at(kk * lanes);
            let (v, av) = at.scratch.split_at_mut(d * lanes);
            let shape = &self.shape;
            simd.vectorise(
                #[inline(always)]
                || {
                    for k in 0..kk {
                        self.whiten(k, raw, scales, theta, lanes, v);
                        let share = &shares[k * lanes..(k + 1) * lanes];
                        for l in 0..lanes {
                            out[k * lanes + l] = grad[l] * (share[l] - weights[k * lanes + l]);
                        }
                        for j in 0..d {
                            let pull = &mut av[j * lanes..(j + 1) * lanes];
                            let (mean, x) = (&raw[shape.mean(k, j) * lanes..][..lanes], &theta[j * lanes..][..lanes]);
                            let (scale, own) = (&scales[(k * d + j) * lanes..][..lanes], &v[j * lanes..][..lanes]);
                            let (diagonal, at_diagonal) = (&raw[shape.diagonal(k, j) * lanes..][..lanes], shape.diagonal(k, j) * lanes);
                            for l in 0..lanes {
                                pull[l] = own[l] * scale[l];
                                let (_, shrink) = bounded(diagonal[l]);
                                let slope = 1.0 - own[l] * scale[l] * (x[l] - mean[l]);
                                out[at_diagonal + l] = grad[l] * share[l] * slope * shrink * shrink;
                            }
                            for i in 0..j {
                                let (above, upper) = (shape.above(k, i, j) * lanes, &v[i * lanes..][..lanes]);
                                for l in 0..lanes {
                                    pull[l] += upper[l] * raw[above + l];
                                    out[above + l] = -grad[l] * share[l] * upper[l] * (x[l] - mean[l]);
                                }
                            }
                            let at_mean = shape.mean(k, j) * lanes;
                            for l in 0..lanes {
                                out[at_mean + l] = grad[l] * share[l] * pull[l];
                            }
                            if let Some(slot) = grad_theta {
                                let to = &mut slot.data[(group * d + j) * lanes..][..lanes];
                                for l in 0..lanes {
                                    to[l] -= out[at_mean + l];
                                }
                            }
                        }
                    }
                },
            );
        }
    }
}
