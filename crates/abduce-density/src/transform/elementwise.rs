//! A univariate bijection for each of some features, with parameters computed elsewhere.

use super::Direction;
use abduce_kernels::Simd;
use abduce_kernels::elementwise::Update;
use abduce_kernels::monotone::Monotone;
use abduce_kernels::spline::Spline;
use abduce_nn::layer::{Backward, Forward, Layer};

/// A monotone map of one feature and the layout of its raw parameters, for T transformed features.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Univariate {
    /// z = x - shift. Raw: (T).
    Shift,
    /// z = (x - shift) e^{-s}, s bounded (see [`abduce_kernels::affine`]). Raw: T shifts, then T scales.
    Affine,
    /// Monotonic rational-quadratic spline (see [`abduce_kernels::spline`]). Raw: (T, its parameters).
    Spline(Spline),
    /// A monotone map without an inverse in closed form (see [`abduce_kernels::monotone`]). Raw: (T, its parameters).
    Monotone(Monotone),
}

impl Univariate {
    /// Raw parameters per feature.
    pub const fn parameters(&self) -> usize {
        match self {
            Self::Shift => 1,
            Self::Affine => 2,
            Self::Spline(spline) => spline.parameters(),
            Self::Monotone(map) => map.parameters(),
        }
    }

    /// Rows of the raw parameters that belong to transformed feature `t` of `count`.
    pub fn rows_of(&self, t: usize, count: usize) -> Vec<usize> {
        let p = self.parameters();
        match self {
            Self::Shift => vec![t],
            Self::Affine => vec![t, count + t],
            Self::Spline(_) | Self::Monotone(_) => (t * p..(t + 1) * p).collect(),
        }
    }

    /// Maps one feature; `raw` holds all raw parameters of `count` features, `ladj` grows by the log-slope of this direction.
    pub fn map(
        &self,
        simd: Simd,
        direction: Direction,
        raw: &[f32],
        (t, count): (usize, usize),
        from: &[f32],
        to: &mut [f32],
        ladj: &mut [f32],
    ) {
        let lanes = from.len();
        let row = |r: usize| &raw[r * lanes..(r + 1) * lanes];
        match (self, direction) {
            (Self::Shift, _) => {
                let sign = if direction == Direction::Forward { -1.0 } else { 1.0 };
                to.iter_mut().zip(from).zip(row(t)).for_each(|((to, from), shift)| *to = from + sign * shift);
            }
            (Self::Affine, Direction::Forward) => simd.affine_forward(from, row(t), row(count + t), to, ladj),
            (Self::Affine, Direction::Inverse) => simd.affine_inverse(from, row(t), row(count + t), to, ladj),
            (Self::Spline(spline), _) => {
                let p = spline.parameters();
                let raw = &raw[t * p * lanes..(t + 1) * p * lanes];
                match direction {
                    Direction::Forward => simd.spline_forward(spline, raw, from, to, ladj),
                    Direction::Inverse => simd.spline_inverse(spline, raw, from, to, ladj),
                }
            }
            (Self::Monotone(map), _) => {
                let p = map.parameters();
                let raw = &raw[t * p * lanes..(t + 1) * p * lanes];
                match direction {
                    Direction::Forward => simd.monotone_forward(map, raw, from, to, ladj),
                    Direction::Inverse => simd.monotone_inverse(map, raw, from, to, ladj),
                }
            }
        }
    }
}

/// (x, raw) → (z, ladj): the features in `transformed` are mapped, the others pass.
#[derive(Clone, Debug)]
pub struct Elementwise {
    /// The map.
    pub univariate: Univariate,
    /// Mapped features, in the order of the raw parameters.
    pub transformed: Vec<usize>,
    /// Which way.
    pub direction: Direction,
}

impl Layer for Elementwise {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        debug_assert_eq!(inputs[1], self.transformed.len() * self.univariate.parameters());
        vec![inputs[0], 1]
    }

    /// The gradient of one feature of x, before it is added to earlier contributions.
    fn scratch_per_lane(&self) -> usize {
        1
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (x, raw, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let [z, ladj] = at.outputs else { unreachable!("two outputs") };
        ladj.fill(0.0);
        if self.transformed.len() * lanes < x.len() {
            z.copy_from_slice(x);
        }
        let count = self.transformed.len();
        for (t, &f) in self.transformed.iter().enumerate() {
            let span = f * lanes..(f + 1) * lanes;
            self.univariate.map(at.simd, self.direction, raw, (t, count), &x[span.clone()], &mut z[span], ladj);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        debug_assert_eq!(self.direction, Direction::Forward, "only densities are trained");
        let (x, raw, lanes) = (at.inputs.get(0), at.inputs.get(1), at.lanes);
        let (z, grad_z, grad_ladj) = (at.outputs.get(0), at.grad_outputs.get(0), at.grad_outputs.get(1));
        let count = self.transformed.len();
        let [grad_x, Some(grad_raw)] = at.grad_inputs else { unreachable!("raw parameters are computed by a network") };
        debug_assert_eq!(grad_raw.update, Update::Overwrite, "raw parameters feed this layer alone");
        if let Some(slot) = grad_x {
            // Passing features; the transformed ones are overwritten below, or added to what was there before.
            for f in (0..x.len() / lanes).filter(|f| !self.transformed.contains(f)) {
                let span = f * lanes..(f + 1) * lanes;
                abduce_nn::layer::pass_on(at.simd, &grad_z[span.clone()], &mut slot.data[span], slot.update);
            }
        }
        for (t, &f) in self.transformed.iter().enumerate() {
            let span = f * lanes..(f + 1) * lanes;
            let (gz, own) = (&grad_z[span.clone()], &mut at.scratch[..lanes]);
            match &self.univariate {
                Univariate::Shift => {
                    grad_raw.data[t * lanes..(t + 1) * lanes].iter_mut().zip(gz).for_each(|(g, gz)| *g = -gz);
                    own.copy_from_slice(gz);
                }
                Univariate::Affine => {
                    let (shifts, scales) = grad_raw.data.split_at_mut(count * lanes);
                    let row = t * lanes..(t + 1) * lanes;
                    at.simd.affine_backward(
                        &z[span.clone()],
                        &raw[(count + t) * lanes..(count + t + 1) * lanes],
                        (gz, grad_ladj),
                        (own, Update::Overwrite),
                        &mut shifts[row.clone()],
                        &mut scales[row],
                    );
                }
                Univariate::Spline(spline) => {
                    let p = spline.parameters() * lanes;
                    let row = t * p..(t + 1) * p;
                    at.simd.spline_backward(spline, &raw[row.clone()], &x[span.clone()], (gz, grad_ladj), &mut grad_raw.data[row], own);
                }
                Univariate::Monotone(map) => {
                    let p = map.parameters() * lanes;
                    let row = t * p..(t + 1) * p;
                    at.simd.monotone_backward(map, &raw[row.clone()], &x[span.clone()], (gz, grad_ladj), &mut grad_raw.data[row], own);
                }
            }
            if let Some(slot) = grad_x {
                abduce_nn::layer::pass_on(at.simd, own, &mut slot.data[span], slot.update);
            }
        }
    }
}
