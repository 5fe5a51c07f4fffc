//! A learned linear mixing of all features with a cheap determinant.

use super::Direction;
use abduce_nn::layer::{Backward, Forward, Layer};
use abduce_nn::{GraphBuilder, Init, Value};
use std::ops::Range;

/// Smallest diagonal element of U.
const MIN_DIAGONAL: f32 = 1e-3;

/// z = L(U x) + b with L unit lower and U upper triangular (Durkan et al. 2019, arXiv:1906.04032, section 4.3, after
/// Oliva et al. 2018); diag U = softplus(raw) + 1e-3, log|det| = Σ ln diag U.
///
/// Off-diagonal entries are stored row by row. Starts as the identity.
#[derive(Clone, Debug)]
pub struct LuLinear {
    lower: Range<usize>,
    upper: Range<usize>,
    diagonal: Range<usize>,
    bias: Range<usize>,
    features: usize,
    direction: Direction,
}

impl LuLinear {
    /// Adds the parameters and the layer; gives (z, ladj).
    pub fn apply(g: &mut GraphBuilder<'_>, x: Value, direction: Direction) -> (Value, Value) {
        let features = g.features(x);
        let off_diagonal = features * (features - 1) / 2;
        // softplus(raw) + 1e-3 = 1
        let identity = (f64::from(1.0 - MIN_DIAGONAL).exp() - 1.0).ln() as f32;
        let layer = Self {
            lower: g.parameter("lower", &[off_diagonal], Init::Constant(0.0)),
            upper: g.parameter("upper", &[off_diagonal], Init::Constant(0.0)),
            diagonal: g.parameter("diagonal", &[features], Init::Constant(identity)),
            bias: g.parameter("bias", &[features], Init::Constant(0.0)),
            features,
            direction,
        };
        let outputs = g.apply_many(layer, &[x]);
        (outputs[0], outputs[1])
    }

    fn diagonal(&self, params: &[f32], i: usize) -> f32 {
        softplus(params[self.diagonal.start + i]) + MIN_DIAGONAL
    }

    /// L[i][j], j < i.
    fn lower(&self, i: usize, j: usize) -> usize {
        self.lower.start + i * (i - 1) / 2 + j
    }

    /// U[i][j], j > i.
    fn upper(&self, i: usize, j: usize) -> usize {
        self.upper.start + i * (2 * self.features - i - 1) / 2 + (j - i - 1)
    }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// y += a x
fn add_scaled(y: &mut [f32], a: f32, x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

fn dot(x: &[f32], y: &[f32]) -> f32 {
    // Sixteen partial sums: vectorises, in a fixed order.
    let mut sums = [0.0f32; 16];
    for (x, y) in x.chunks_exact(16).zip(y.chunks_exact(16)) {
        for l in 0..16 {
            sums[l] += x[l] * y[l];
        }
    }
    sums.iter().sum()
}

impl Layer for LuLinear {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[0], self.features);
        vec![self.features, 1]
    }

    /// U x.
    fn saved_per_lane(&self) -> usize {
        self.features
    }

    /// Lᵀ grad.
    fn scratch_per_lane(&self) -> usize {
        self.features
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (x, lanes, d, params) = (at.inputs.get(0), at.lanes, self.features, at.params);
        let [z, ladj] = at.outputs else { unreachable!("two outputs") };
        let log_det: f32 = (0..d).map(|i| self.diagonal(params, i).ln()).sum();
        let saved = &mut *at.saved;
        let row = |i: usize| i * lanes..(i + 1) * lanes;
        at.simd.vectorise(
            #[inline(always)]
            || match self.direction {
                Direction::Forward => {
                    ladj.fill(log_det);
                    for i in 0..d {
                        let ux = &mut saved[row(i)];
                        let diagonal = self.diagonal(params, i);
                        ux.iter_mut().zip(&x[row(i)]).for_each(|(u, x)| *u = diagonal * x);
                        for j in i + 1..d {
                            add_scaled(ux, params[self.upper(i, j)], &x[row(j)]);
                        }
                    }
                    for i in 0..d {
                        let bias = params[self.bias.start + i];
                        z[row(i)].iter_mut().zip(&saved[row(i)]).for_each(|(z, u)| *z = u + bias);
                        for j in 0..i {
                            add_scaled(&mut z[row(i)], params[self.lower(i, j)], &saved[row(j)]);
                        }
                    }
                }
                Direction::Inverse => {
                    ladj.fill(-log_det);
                    // Forward then backward substitution.
                    for i in 0..d {
                        let bias = params[self.bias.start + i];
                        let (known, rest) = z.split_at_mut(i * lanes);
                        let own = &mut rest[..lanes];
                        own.iter_mut().zip(&x[row(i)]).for_each(|(z, x)| *z = x - bias);
                        for j in 0..i {
                            add_scaled(own, -params[self.lower(i, j)], &known[row(j)]);
                        }
                    }
                    for i in (0..d).rev() {
                        let (head, known) = z.split_at_mut((i + 1) * lanes);
                        let own = &mut head[i * lanes..];
                        for j in i + 1..d {
                            let at = (j - i - 1) * lanes;
                            add_scaled(own, -params[self.upper(i, j)], &known[at..at + lanes]);
                        }
                        let inverse = 1.0 / self.diagonal(params, i);
                        own.iter_mut().for_each(|z| *z *= inverse);
                    }
                }
            },
        );
    }

    fn backward(&self, at: &mut Backward<'_>) {
        debug_assert_eq!(self.direction, Direction::Forward, "only densities are trained");
        let (x, lanes, d, params) = (at.inputs.get(0), at.lanes, self.features, at.params);
        let (grad_z, grad_ladj, ux) = (at.grad_outputs.get(0), at.grad_outputs.get(1), at.saved);
        let row = |i: usize| i * lanes..(i + 1) * lanes;
        let (grad_ux, grad_inputs, grad_params) = (&mut *at.scratch, &mut *at.grad_inputs, &mut at.grad_params);
        at.simd.vectorise(
            #[inline(always)]
            || {
                for j in 0..d {
                    let own = &mut grad_ux[row(j)];
                    own.copy_from_slice(&grad_z[row(j)]);
                    for i in j + 1..d {
                        add_scaled(own, params[self.lower(i, j)], &grad_z[row(i)]);
                    }
                }
                if let Some(slot) = &mut grad_inputs[0] {
                    if slot.update == abduce_kernels::elementwise::Update::Overwrite {
                        slot.data.fill(0.0);
                    }
                    for j in 0..d {
                        add_scaled(&mut slot.data[row(j)], self.diagonal(params, j), &grad_ux[row(j)]);
                        for i in 0..j {
                            add_scaled(&mut slot.data[row(j)], params[self.upper(i, j)], &grad_ux[row(i)]);
                        }
                    }
                }
                if let Some(grad) = grad_params {
                    let grad_log_det: f32 = grad_ladj.iter().sum();
                    for i in 0..d {
                        let raw = params[self.diagonal.start + i];
                        let by_diagonal = dot(&grad_ux[row(i)], &x[row(i)]) + grad_log_det / self.diagonal(params, i);
                        grad[self.diagonal.start + i] += by_diagonal / (1.0 + (-raw).exp());
                        grad[self.bias.start + i] += grad_z[row(i)].iter().sum::<f32>();
                        for j in 0..i {
                            grad[self.lower(i, j)] += dot(&grad_z[row(i)], &ux[row(j)]);
                        }
                        for j in i + 1..d {
                            grad[self.upper(i, j)] += dot(&grad_ux[row(i)], &x[row(j)]);
                        }
                    }
                }
            },
        );
    }
}
