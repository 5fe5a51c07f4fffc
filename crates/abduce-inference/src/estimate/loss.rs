//! Layers that turn raw network outputs into estimates and their losses, per row.

use abduce_kernels::elementwise::Update;
use abduce_nn::layer::{Backward, Forward, GradientSlot, Layer};

/// The loss of a row with targets t (D).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Loss {
    /// Outputs: D means m, then D raw variances, v = softplus(raw). Σ_j (t - m)² + ((t - m)² - v)², the second term not moving m: the optimum is the mean
    /// and the variance of t given x.
    Moments,
    /// Outputs: D. Σ_j |t - m|.
    Absolute,
    /// Outputs: (D, L). Σ_j Σ_l max(τ_l e, (τ_l - 1) e) with e = t - q_l.
    Pinball(Vec<f32>),
    /// Outputs: D. -Σ_j t_j ln softmax_j.
    CrossEntropy,
}

impl Loss {
    /// Network outputs for D targets.
    pub(super) const fn outputs(&self, features: usize) -> usize {
        match self {
            Self::Moments => 2 * features,
            Self::Absolute | Self::CrossEntropy => features,
            Self::Pinball(levels) => levels.len() * features,
        }
    }
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn put(slot: &mut GradientSlot, at: usize, value: f32) {
    match slot.update {
        Update::Overwrite => slot.data[at] = value,
        Update::Accumulate => slot.data[at] += value,
    }
}

/// (t, outputs) → minus the loss.
#[derive(Clone, Debug)]
pub(super) struct LossLayer(pub(super) Loss);

impl Layer for LossLayer {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[1], self.0.outputs(inputs[0]));
        vec![1]
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (t, out, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let features = t.len() / lanes;
        let score = &mut at.outputs[0];
        score.fill(0.0);
        for l in 0..lanes {
            let (t, out) = (|j: usize| t[j * lanes + l], |j: usize| out[j * lanes + l]);
            score[l] = match &self.0 {
                Loss::Moments => -(0..features)
                    .map(|j| {
                        let square = (t(j) - out(j)).powi(2);
                        square + (square - softplus(out(features + j))).powi(2)
                    })
                    .sum::<f32>(),
                Loss::Absolute => -(0..features).map(|j| (t(j) - out(j)).abs()).sum::<f32>(),
                Loss::Pinball(levels) => -(0..features)
                    .flat_map(|j| levels.iter().enumerate().map(move |(k, level)| (j, k, level)))
                    .map(|(j, k, level)| {
                        let error = t(j) - out(j * levels.len() + k);
                        (level * error).max((level - 1.0) * error)
                    })
                    .sum::<f32>(),
                Loss::CrossEntropy => {
                    let top = (0..features).map(out).fold(f32::NEG_INFINITY, f32::max);
                    let log_total = top + (0..features).map(|j| (out(j) - top).exp()).sum::<f32>().ln();
                    (0..features).map(|j| t(j) * (out(j) - log_total)).sum()
                }
            };
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (t, out, lanes, gradient) = (at.inputs.get(0), at.inputs.get(1), at.lanes, at.grad_outputs.get(0));
        let features = t.len() / lanes;
        let Some(slot) = &mut at.grad_inputs[1] else { return };
        for l in 0..lanes {
            let (t, g) = (|j: usize| t[j * lanes + l], gradient[l]);
            let value = |j: usize| out[j * lanes + l];
            match &self.0 {
                Loss::Moments => {
                    for j in 0..features {
                        let error = t(j) - value(j);
                        let raw = value(features + j);
                        put(slot, j * lanes + l, 2.0 * g * error);
                        put(slot, (features + j) * lanes + l, 2.0 * g * (error * error - softplus(raw)) * sigmoid(raw));
                    }
                }
                Loss::Absolute => (0..features).for_each(|j| {
                    let error = t(j) - value(j);
                    let sign = if error == 0.0 { 0.0 } else { error.signum() };
                    put(slot, j * lanes + l, g * sign);
                }),
                Loss::Pinball(levels) => {
                    for j in 0..features {
                        for (k, level) in levels.iter().enumerate() {
                            let at = (j * levels.len() + k) * lanes + l;
                            let slope = if t(j) > out[at] { *level } else { level - 1.0 };
                            put(slot, at, g * slope);
                        }
                    }
                }
                Loss::CrossEntropy => {
                    let top = (0..features).map(value).fold(f32::NEG_INFINITY, f32::max);
                    let total = (0..features).map(|j| (value(j) - top).exp()).sum::<f32>();
                    let mass: f32 = (0..features).map(t).sum();
                    for j in 0..features {
                        put(slot, j * lanes + l, g * (t(j) - mass * (value(j) - top).exp() / total));
                    }
                }
            }
        }
    }
}

/// raw (D, L) → quantiles (D, L) that increase with the level: the middle one as it is, its neighbours further off by a softplus each.
#[derive(Clone, Debug)]
pub(super) struct Increasing {
    /// L.
    pub(super) levels: usize,
}

impl Layer for Increasing {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0]]
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (raw, lanes, middle) = (at.inputs.get(0), at.lanes, self.levels / 2);
        let out = &mut at.outputs[0];
        for first in (0..raw.len() / lanes).step_by(self.levels) {
            for l in 0..lanes {
                let place = |k: usize| (first + k) * lanes + l;
                out[place(middle)] = raw[place(middle)];
                for k in middle + 1..self.levels {
                    out[place(k)] = out[place(k - 1)] + softplus(raw[place(k)]);
                }
                for k in (0..middle).rev() {
                    out[place(k)] = out[place(k + 1)] - softplus(raw[place(k)]);
                }
            }
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (raw, gradient, lanes, middle) = (at.inputs.get(0), at.grad_outputs.get(0), at.lanes, self.levels / 2);
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        for first in (0..raw.len() / lanes).step_by(self.levels) {
            for l in 0..lanes {
                let place = |k: usize| (first + k) * lanes + l;
                // Each increment moves itself and all levels beyond.
                let (mut above, mut below) = (0.0, 0.0);
                for k in (middle + 1..self.levels).rev() {
                    above += gradient[place(k)];
                    put(slot, place(k), above * sigmoid(raw[place(k)]));
                }
                for k in 0..middle {
                    below += gradient[place(k)];
                    put(slot, place(k), -below * sigmoid(raw[place(k)]));
                }
                put(slot, place(middle), above + below + gradient[place(middle)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;
    use abduce_kernels::Simd;
    use abduce_nn::{Frame, GraphBuilder, Layout, Purpose};
    use std::sync::Arc;

    /// Central differences of step 1e-2 in f32: rounding 1e-6/1e-2 and third derivatives of order one. Of kinks none lies within a step.
    #[test]
    fn gradients_are_those_of_the_losses() {
        let levels = vec![0.1, 0.5, 0.8, 0.95];
        for loss in [Loss::Moments, Loss::Absolute, Loss::Pinball(levels), Loss::CrossEntropy] {
            let (d, rows) = (2, 5);
            let outputs = loss.outputs(d);
            let mut layout = Layout::new();
            let mut g = GraphBuilder::new(&mut layout);
            let (t, raw) = (g.input(d), g.input(outputs));
            let out = if let Loss::Pinball(levels) = &loss { g.apply(Increasing { levels: levels.len() }, &[raw]) } else { raw };
            let score = g.apply(LossLayer(loss.clone()), &[t, out]);
            let graph = Arc::new(g.finish(&[score]));
            let mut frame = Frame::new(&graph, Purpose::InputGradients, rows);
            let mut rng = Seed(3).stream("loss", 0);
            let mut tables = [vec![0.0f32; d * rows], vec![0.0f32; outputs * rows]];
            tables.iter_mut().flatten().for_each(|v| *v = rng.normal() as f32);
            if loss == Loss::CrossEntropy {
                (0..rows).for_each(|r| (0..d).for_each(|j| tables[0][j * rows + r] = f32::from(u8::from(r % d == j))));
            }
            let run = |tables: &[Vec<f32>; 2], frame: &mut Frame| {
                frame.begin(rows);
                let lanes = frame.lanes();
                for (i, table) in tables.iter().enumerate() {
                    let input = frame.input_mut(i);
                    input.fill(0.0);
                    table.chunks(rows).enumerate().for_each(|(f, row)| input[f * lanes..f * lanes + rows].copy_from_slice(row));
                }
                frame.forward(Simd::best(), &[]);
                frame.output(0)[..rows].iter().map(|&v| f64::from(v)).sum::<f64>()
            };
            run(&tables, &mut frame);
            let lanes = frame.lanes();
            let seed = frame.output_gradient_mut(0);
            seed.fill(0.0);
            seed[..rows].fill(1.0);
            frame.backward(Simd::best(), &[], None);
            let found = frame.input_gradient(1).unwrap().to_vec();
            let mut kinks = 0;
            for f in 0..outputs {
                for r in 0..rows {
                    let mut moved = tables.clone();
                    moved[1][f * rows + r] += 1e-2;
                    let up = run(&moved, &mut frame);
                    moved[1][f * rows + r] -= 2e-2;
                    let numeric = (up - run(&moved, &mut frame)) / 2e-2;
                    // The second term of the moments does not move the means, by intent: theirs is the first term's, -∂(t - m)².
                    let numeric = if loss == Loss::Moments && f < d {
                        2.0 * f64::from(tables[0][f * rows + r] - tables[1][f * rows + r])
                    } else {
                        numeric
                    };
                    let off = (numeric - f64::from(found[f * lanes + r])).abs();
                    kinks += usize::from(off > 0.01);
                    assert!(off < 0.01 || !matches!(loss, Loss::Moments | Loss::CrossEntropy), "{loss:?}: {numeric}");
                }
            }
            // A kink within one step of 0.01 around one of some tens of numbers of order one.
            assert!(kinks <= 2, "{loss:?}: {kinks} differences");
        }
    }
}
