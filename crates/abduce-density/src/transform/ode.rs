//! The flow of an ordinary differential equation (continuous normalising flow).

use super::Direction;
use abduce_kernels::Simd;
use abduce_kernels::elementwise::{Activation, Update};
use abduce_kernels::gemm::{Into, Left, MatMul};
use abduce_nn::layer::{Backward, Forward, Layer};
use abduce_nn::{GraphBuilder, Init, Value};
use std::ops::Range;

/// Shape of an [`OdeFlow`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OdeShape {
    /// Width H of both hidden layers.
    pub hidden: usize,
    /// Frequencies F of the time.
    pub frequencies: usize,
    /// Steps of the integration.
    pub steps: usize,
}

/// (x, context) → (z, ladj): z = y(1) of dy/dt = v(y, t, c), y(0) = x, ladj = ∫ tr(∂v/∂y) dt (Chen et al. 2018, arXiv:1806.07366, Eq. 8; Grathwohl
/// et al. 2018, arXiv:1810.01367).
///
/// v = W₂ tanh(W₁ tanh(W₀ y + C c + T φ(t) + b₀) + b₁) + b₂ with φ(t) = (cos πkt, sin πkt), k = 1..=F. Both integrals are taken by the classical
/// Runge-Kutta method with fixed steps, and the gradient is that of the discrete sums, exactly. Against the log-determinant of the discrete map
/// the integrated trace errs by O(steps⁻⁴).
///
/// With two hidden layers the exact trace needs no derivative per feature: tr = Σ_ji s₂ⱼ K_ji s₁ᵢ, where s = 1 - tanh² of the hidden layers and
/// K_ji = W₁_ji Σ_d W₀_id W₂_dj depends on no row.
#[derive(Clone, Debug)]
pub struct OdeFlow {
    shape: OdeShape,
    features: usize,
    context: usize,
    direction: Direction,
    input: Range<usize>,
    from_context: Option<Range<usize>>,
    from_time: Range<usize>,
    bias: [Range<usize>; 3],
    middle: Range<usize>,
    output: Range<usize>,
}

/// Weights of a step's four stages, times 6.
const STAGES: [f32; 4] = [1.0, 2.0, 2.0, 1.0];
/// Where a stage starts from the one before, in steps.
const REACH: [f32; 4] = [0.0, 0.5, 0.5, 1.0];
/// Fixed-point iterations that turn a backward step into the inverse of the forward one; each multiplies the error by the step times |∂v/∂y|.
const CORRECTIONS: usize = 2;

/// Buffers of one evaluation of v.
struct Work<'a> {
    /// C c + b₀ (H, lanes)
    offset: &'a mut [f32],
    /// (H, lanes)
    sum: &'a mut [f32],
    h1: &'a mut [f32],
    h2: &'a mut [f32],
    s1: &'a mut [f32],
    /// K s₁ (H, lanes)
    ks: &'a mut [f32],
    /// K (H, H)
    trace: &'a mut [f32],
    /// φ(t) (2F)
    waves: &'a mut [f32],
}

/// Cuts the first `count` elements off.
fn cut<'a>(rest: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    let (head, tail) = std::mem::take(rest).split_at_mut(count);
    *rest = tail;
    head
}

/// y = a + s x
fn shifted(simd: Simd, a: &[f32], s: f32, x: &[f32], y: &mut [f32]) {
    simd.vectorise(
        #[inline(always)]
        || y.iter_mut().zip(a).zip(x).for_each(|((y, a), x)| *y = a + s * x),
    );
}

/// y += s x
fn add_scaled(simd: Simd, s: f32, x: &[f32], y: &mut [f32]) {
    simd.vectorise(
        #[inline(always)]
        || y.iter_mut().zip(x).for_each(|(y, x)| *y += s * x),
    );
}

/// Sixteen floats to a vector: lanes are never fewer.
const fn rows_for(floats: usize) -> usize {
    floats.div_ceil(abduce_kernels::LANES)
}

impl OdeFlow {
    /// Adds the parameters and the layer; gives (z, ladj).
    pub fn apply(g: &mut GraphBuilder<'_>, shape: OdeShape, x: Value, context: Option<Value>, direction: Direction) -> (Value, Value) {
        let (d, h) = (g.features(x), shape.hidden);
        let c = context.map_or(0, |c| g.features(c));
        let first = Init::fan_in(d + c);
        // The velocity starts small: the flow starts near the identity.
        let last = Init::Uniform(0.1 / (h as f32).sqrt());
        let layer = Self {
            shape,
            features: d,
            context: c,
            direction,
            input: g.parameter("0.weight", &[h, d], first.clone()),
            from_context: (c > 0).then(|| g.parameter("context.weight", &[h, c], first.clone())),
            from_time: g.parameter("time.weight", &[h, 2 * shape.frequencies], Init::fan_in(2 * shape.frequencies)),
            bias: [
                g.parameter("0.bias", &[h], first),
                g.parameter("1.bias", &[h], Init::fan_in(h)),
                g.parameter("2.bias", &[d], last.clone()),
            ],
            middle: g.parameter("1.weight", &[h, h], Init::fan_in(h)),
            output: g.parameter("2.weight", &[d, h], last),
        };
        let inputs: Vec<Value> = [x].into_iter().chain(context).collect();
        let outputs = g.apply_many(layer, &inputs);
        (outputs[0], outputs[1])
    }

    /// Rows of `lanes` floats that [`OdeFlow::work`] takes.
    fn work_rows(&self) -> usize {
        let h = self.shape.hidden;
        6 * h + rows_for(h * h) + rows_for(2 * self.shape.frequencies)
    }

    /// Cuts the buffers and fills what depends on the parameters and the context alone.
    fn work<'a>(&self, simd: Simd, params: &[f32], c: Option<&[f32]>, lanes: usize, rest: &mut &'a mut [f32]) -> Work<'a> {
        let (h, d) = (self.shape.hidden, self.features);
        let own = Work {
            offset: cut(rest, h * lanes),
            sum: cut(rest, h * lanes),
            h1: cut(rest, h * lanes),
            h2: cut(rest, h * lanes),
            s1: cut(rest, h * lanes),
            ks: cut(rest, h * lanes),
            trace: cut(rest, rows_for(h * h) * abduce_kernels::LANES),
            waves: cut(rest, rows_for(2 * self.shape.frequencies) * abduce_kernels::LANES),
        };
        for (row, bias) in own.offset.chunks_exact_mut(lanes).zip(&params[self.bias[0].clone()]) {
            row.fill(*bias);
        }
        if let (Some(weight), Some(c)) = (&self.from_context, c) {
            let shape = MatMul { rows: h, cols: lanes, depth: self.context };
            simd.matmul(shape, &params[weight.clone()], c, own.offset, Into::Accumulate);
        }
        // Wiring: Σ_d W₂_dj W₀_id, then times W₁_ji.
        let (input, output) = (&params[self.input.clone()], &params[self.output.clone()]);
        for (j, row) in own.trace.chunks_exact_mut(h).take(h).enumerate() {
            for (i, k) in row.iter_mut().enumerate() {
                let wired: f32 = (0..d).map(|f| output[f * h + j] * input[i * d + f]).sum();
                *k = wired * params[self.middle.start + j * h + i];
            }
        }
        own
    }

    /// v(y, t) and its trace; leaves the hidden layers in `own`.
    fn velocity(&self, simd: Simd, params: &[f32], y: &[f32], t: f32, own: &mut Work<'_>, v: &mut [f32], trace: &mut [f32]) {
        let (h, d, lanes) = (self.shape.hidden, self.features, trace.len());
        for (k, pair) in own.waves.chunks_exact_mut(2).take(self.shape.frequencies).enumerate() {
            let (sin, cos) = (std::f32::consts::PI * (k + 1) as f32 * t).sin_cos();
            pair.copy_from_slice(&[cos, sin]);
        }
        let from_time = params[self.from_time.clone()].chunks_exact(2 * self.shape.frequencies);
        for ((row, offset), weights) in own.sum.chunks_exact_mut(lanes).zip(own.offset.chunks_exact(lanes)).zip(from_time) {
            let shift: f32 = weights.iter().zip(&*own.waves).map(|(w, p)| w * p).sum();
            row.iter_mut().zip(offset).for_each(|(s, o)| *s = o + shift);
        }
        let weight = |range: &Range<usize>| &params[range.clone()];
        simd.matmul(MatMul { rows: h, cols: lanes, depth: d }, weight(&self.input), y, own.sum, Into::Accumulate);
        simd.activate(Activation::Tanh, own.sum, own.h1);
        let square = MatMul { rows: h, cols: lanes, depth: h };
        simd.matmul(square, weight(&self.middle), own.h1, own.sum, Into::Bias(weight(&self.bias[1])));
        simd.activate(Activation::Tanh, own.sum, own.h2);
        simd.matmul(MatMul { rows: d, cols: lanes, depth: h }, weight(&self.output), own.h2, v, Into::Bias(weight(&self.bias[2])));
        simd.vectorise(
            #[inline(always)]
            || own.s1.iter_mut().zip(&*own.h1).for_each(|(s, h)| *s = 1.0 - h * h),
        );
        simd.matmul(square, &own.trace[..h * h], own.s1, own.ks, Into::Overwrite);
        trace.fill(0.0);
        let (h2, ks) = (&*own.h2, &*own.ks);
        simd.vectorise(
            #[inline(always)]
            || {
                for (h2, ks) in h2.chunks_exact(lanes).zip(ks.chunks_exact(lanes)) {
                    for l in 0..lanes {
                        trace[l] += (1.0 - h2[l] * h2[l]) * ks[l];
                    }
                }
            },
        );
    }

    /// One step of length `h` (of either sign) from `y` at `t`: its increment, and that of the trace's integral. `keep` receives the stages' points
    /// (4 D, lanes).
    fn step(
        &self,
        simd: Simd,
        params: &[f32],
        (y, t, h): (&[f32], f32, f32),
        own: &mut Work<'_>,
        (v, trace): (&mut [f32], &mut [f32]),
        (rise, gain): (&mut [f32], &mut [f32]),
        keep: &mut [f32],
    ) {
        rise.fill(0.0);
        gain.fill(0.0);
        for (stage, point) in keep.chunks_exact_mut(y.len()).enumerate() {
            if stage == 0 {
                point.copy_from_slice(y);
            } else {
                shifted(simd, y, h * REACH[stage], v, point);
            }
            self.velocity(simd, params, point, t + h * REACH[stage], own, v, trace);
            add_scaled(simd, h * STAGES[stage] / 6.0, v, rise);
            add_scaled(simd, h * STAGES[stage] / 6.0, trace, gain);
        }
    }
}

impl Layer for OdeFlow {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[0], self.features);
        vec![self.features, 1]
    }

    /// The points of all stages.
    fn saved_per_lane(&self) -> usize {
        4 * self.features * self.shape.steps
    }

    /// Work, v and traces; backward besides: five buffers of H rows, gradients by points, a transposed value, the gradient by K.
    fn scratch_per_lane(&self) -> usize {
        let (d, h) = (self.features, self.shape.hidden);
        let transposed = h.max(d).max(self.context).div_ceil(abduce_kernels::LANES) * abduce_kernels::LANES;
        self.work_rows() + 5 * d + 3 + 5 * h + transposed + rows_for(h * h) + rows_for(h)
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (lanes, simd, params, d) = (at.lanes, at.simd, at.params, self.features);
        let (x, c) = (at.inputs.get(0), (at.inputs.len() > 1).then(|| at.inputs.get(1)));
        let [z, ladj] = at.outputs else { unreachable!("two outputs") };
        let mut rest = &mut *at.scratch;
        let mut own = self.work(simd, params, c, lanes, &mut rest);
        let (v, rise, goal) = (cut(&mut rest, d * lanes), cut(&mut rest, d * lanes), cut(&mut rest, d * lanes));
        let (trace, gain) = (cut(&mut rest, lanes), cut(&mut rest, lanes));
        let h = 1.0 / self.shape.steps as f32;
        let z = &mut z[..];
        z.copy_from_slice(x);
        ladj.fill(0.0);
        for n in 0..self.shape.steps {
            let keep = &mut at.saved[4 * d * lanes * n..4 * d * lanes * (n + 1)];
            match self.direction {
                Direction::Forward => {
                    self.step(simd, params, (z, h * n as f32, h), &mut own, (v, trace), (rise, gain), keep);
                    add_scaled(simd, 1.0, rise, z);
                    add_scaled(simd, 1.0, gain, ladj);
                }
                Direction::Inverse => {
                    let start = h * (self.shape.steps - 1 - n) as f32;
                    goal.copy_from_slice(z);
                    self.step(simd, params, (goal, start + h, -h), &mut own, (v, trace), (rise, gain), keep);
                    add_scaled(simd, 1.0, rise, z);
                    for _ in 0..CORRECTIONS {
                        self.step(simd, params, (z, start, h), &mut own, (v, trace), (rise, gain), keep);
                        shifted(simd, goal, -1.0, rise, z);
                    }
                    add_scaled(simd, -1.0, gain, ladj);
                }
            }
        }
    }

    /// Stage by stage backwards: with G the gradient by the point after a step, stage s has the gradient h (w_s/6) G + h r_{s+1} g_{s+1} by its velocity,
    /// where g_{s+1} is that by the point of the stage after it.
    fn backward(&self, at: &mut Backward<'_>) {
        debug_assert_eq!(self.direction, Direction::Forward, "only densities are trained");
        let (lanes, simd, params, d, h) = (at.lanes, at.simd, at.params, self.features, self.shape.hidden);
        let c = (at.inputs.len() > 1).then(|| at.inputs.get(1));
        let (grad_z, grad_ladj) = (at.grad_outputs.get(0), at.grad_outputs.get(1));
        let mut rest = &mut *at.scratch;
        let mut own = self.work(simd, params, c, lanes, &mut rest);
        let (v, trace) = (cut(&mut rest, d * lanes), cut(&mut rest, lanes));
        let (after, before) = (cut(&mut rest, d * lanes), cut(&mut rest, d * lanes));
        let (by_v, by_point) = (cut(&mut rest, d * lanes), cut(&mut rest, d * lanes));
        let by_trace = cut(&mut rest, lanes);
        let (by_offset, by_a2) = (cut(&mut rest, h * lanes), cut(&mut rest, h * lanes));
        let (pulled, by_s1, by_a1) = (cut(&mut rest, h * lanes), cut(&mut rest, h * lanes), cut(&mut rest, h * lanes));
        let by_k = cut(&mut rest, rows_for(h * h) * abduce_kernels::LANES);
        let sums = cut(&mut rest, rows_for(h) * abduce_kernels::LANES);
        let transposed = rest;
        let rows = at.rows;
        let mut grad = at.grad_params.as_deref_mut();
        let square = MatMul { rows: h, cols: lanes, depth: h };
        // `Σ_rows left rightᵀ` added to a weight's gradient.
        let outer = |left: &[f32], (right, columns): (&[f32], usize), transposed: &mut [f32], into: &mut [f32]| {
            let width = columns.div_ceil(abduce_kernels::LANES) * abduce_kernels::LANES;
            simd.rows_from_features(right, columns, lanes, transposed, width);
            let left_rows = into.len() / columns;
            let left = Left { data: left, row_stride: lanes, depth_stride: 1 };
            let shape = MatMul { rows: left_rows, cols: columns, depth: rows };
            simd.matmul_strided(shape, left, transposed, width, into, columns, Into::Accumulate);
        };
        let step = 1.0 / self.shape.steps as f32;
        after.copy_from_slice(grad_z);
        by_offset.fill(0.0);
        by_k.fill(0.0);
        for n in (0..self.shape.steps).rev() {
            before.copy_from_slice(after);
            for stage in (0..4).rev() {
                let weight = step * STAGES[stage] / 6.0;
                by_v.fill(0.0);
                add_scaled(simd, weight, after, by_v);
                if stage < 3 {
                    add_scaled(simd, step * REACH[stage + 1], by_point, by_v);
                }
                by_trace.fill(0.0);
                add_scaled(simd, weight, grad_ladj, by_trace);

                let point = &at.saved[(4 * n + stage) * d * lanes..(4 * n + stage + 1) * d * lanes];
                let t = step * (n as f32 + REACH[stage]);
                self.velocity(simd, params, point, t, &mut own, v, trace);
                // Through W₂, and through the trace's s₂.
                simd.matmul_transposed_left(
                    MatMul { rows: h, cols: lanes, depth: d },
                    &params[self.output.clone()],
                    by_v,
                    by_a2,
                    Into::Overwrite,
                );
                let (h1, h2, s1, ks) = (&*own.h1, &*own.h2, &*own.s1, &*own.ks);
                simd.vectorise(
                    #[inline(always)]
                    || {
                        for j in 0..h {
                            for l in 0..lanes {
                                let at = j * lanes + l;
                                let s2 = 1.0 - h2[at] * h2[at];
                                by_a2[at] = (by_a2[at] - 2.0 * by_trace[l] * ks[at] * h2[at]) * s2;
                                pulled[at] = by_trace[l] * s2;
                            }
                        }
                    },
                );
                simd.matmul_transposed_left(square, &own.trace[..h * h], pulled, by_s1, Into::Overwrite);
                simd.matmul_transposed_left(square, &params[self.middle.clone()], by_a2, by_a1, Into::Overwrite);
                simd.vectorise(
                    #[inline(always)]
                    || {
                        for at in 0..h * lanes {
                            by_a1[at] = (by_a1[at] - 2.0 * h1[at] * by_s1[at]) * s1[at];
                            by_offset[at] += by_a1[at];
                        }
                    },
                );
                simd.matmul_transposed_left(
                    MatMul { rows: d, cols: lanes, depth: h },
                    &params[self.input.clone()],
                    by_a1,
                    by_point,
                    Into::Overwrite,
                );
                add_scaled(simd, 1.0, by_point, before);
                if let Some(grad) = grad.as_deref_mut() {
                    outer(by_v, (h2, h), transposed, &mut grad[self.output.clone()]);
                    simd.add_row_sums(by_v, lanes, &mut grad[self.bias[2].clone()]);
                    outer(by_a2, (h1, h), transposed, &mut grad[self.middle.clone()]);
                    simd.add_row_sums(by_a2, lanes, &mut grad[self.bias[1].clone()]);
                    outer(by_a1, (point, d), transposed, &mut grad[self.input.clone()]);
                    outer(pulled, (s1, h), transposed, &mut by_k[..h * h]);
                    sums[..h].fill(0.0);
                    simd.add_row_sums(by_a1, lanes, &mut sums[..h]);
                    let by_time = grad[self.from_time.clone()].chunks_exact_mut(2 * self.shape.frequencies);
                    for (weights, sum) in by_time.zip(&*sums) {
                        weights.iter_mut().zip(&*own.waves).for_each(|(w, wave)| *w += sum * wave);
                    }
                }
            }
            after.copy_from_slice(before);
        }
        if let Some(grad) = grad {
            simd.add_row_sums(by_offset, lanes, &mut grad[self.bias[0].clone()]);
            if let (Some(weight), Some(c)) = (&self.from_context, c) {
                outer(by_offset, (c, self.context), transposed, &mut grad[weight.clone()]);
            }
            self.through_trace(params, &by_k[..h * h], grad);
        }
        if let Some(slot) = &mut at.grad_inputs[0] {
            abduce_nn::layer::pass_on(simd, after, &mut slot.data, slot.update);
        }
        if let (Some(weight), Some(Some(slot))) = (&self.from_context, at.grad_inputs.get_mut(1)) {
            let into = if slot.update == Update::Overwrite { Into::Overwrite } else { Into::Accumulate };
            let shape = MatMul { rows: self.context, cols: lanes, depth: h };
            simd.matmul_transposed_left(shape, &params[weight.clone()], by_offset, &mut slot.data, into);
        }
    }
}

impl OdeFlow {
    /// From the gradient by K_ji = W₁_ji Σ_d W₀_id W₂_dj to those by the weights.
    fn through_trace(&self, params: &[f32], by_k: &[f32], grad: &mut [f32]) {
        let (h, d) = (self.shape.hidden, self.features);
        for j in 0..h {
            for i in 0..h {
                let (g, middle) = (by_k[j * h + i], params[self.middle.start + j * h + i]);
                let mut wired = 0.0;
                for f in 0..d {
                    let (input, output) = (self.input.start + i * d + f, self.output.start + f * h + j);
                    wired += params[input] * params[output];
                    grad[input] += g * middle * params[output];
                    grad[output] += g * middle * params[input];
                }
                grad[self.middle.start + j * h + i] += g * wired;
            }
        }
    }
}
