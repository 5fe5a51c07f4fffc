//! Pooling: the largest or the mean value of each patch, or of the whole tensor.

use crate::graph::GraphBuilder;
use crate::layer::{Backward, Form, Forward, Layer};
use crate::layers::conv::ShapeError;
use crate::layers::grid::Grid;
use abduce_kernels::elementwise::Update;

/// What a patch is reduced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Its largest value; among equals the gradient goes to the first.
    Max,
    /// Its mean.
    Mean,
    /// Its sum.
    Sum,
}

impl Pooling {
    /// Factor on the sum of a patch.
    fn scale(self, patch: usize) -> f32 {
        if self == Self::Mean { 1.0 / patch as f32 } else { 1.0 }
    }
}

/// Non-overlapping patches of `size` positions along each axis; what is left at the far edge is dropped, as torch does.
#[derive(Clone, Debug)]
pub struct Pool {
    pooling: Pooling,
    channels: usize,
    input: [usize; 3],
    output: [usize; 3],
    size: [usize; 3],
}

impl Pool {
    /// Adds the layer.
    ///
    /// # Errors
    /// The patch is longer than an axis, or empty.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, x: &Grid, pooling: Pooling, size: usize) -> Result<Grid, ShapeError> {
        if size == 0 {
            return Err(ShapeError::Zero { layer: name.to_owned(), what: "the patch" });
        }
        if !(1..=3).contains(&x.extent.len()) {
            return Err(ShapeError::Axes(x.extent.len()));
        }
        if let Some(&extent) = x.extent.iter().find(|&&n| n < size) {
            return Err(ShapeError::KernelTooLong { layer: name.to_owned(), kernel: size, extent, pad: 0 });
        }
        let lead = 3 - x.extent.len();
        let input: [usize; 3] = std::array::from_fn(|d| if d < lead { 1 } else { x.extent[d - lead] });
        let size = std::array::from_fn(|d| if d < lead { 1 } else { size });
        let output = std::array::from_fn(|d| input[d] / size[d]);
        let value = g.apply(Self { pooling, channels: x.channels, input, output, size }, &[x.value]);
        Ok(Grid { value, extent: output[lead..].to_vec(), channels: x.channels })
    }

    /// Calls `visit(output offset, input offset)` for every position of every patch, patch by patch.
    #[inline(always)]
    fn for_each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (n, m, s, c) = (self.input, self.output, self.size, self.channels);
        for z in 0..m[0] {
            for y in 0..m[1] {
                for x in 0..m[2] {
                    let to = ((z * m[1] + y) * m[2] + x) * c;
                    let mut member = 0;
                    for dz in 0..s[0] {
                        for dy in 0..s[1] {
                            for dx in 0..s[2] {
                                let from = (((z * s[0] + dz) * n[1] + y * s[1] + dy) * n[2] + x * s[2] + dx) * c;
                                visit(to, from, member);
                                member += 1;
                            }
                        }
                    }
                }
            }
        }
    }

    fn input_len(&self) -> usize {
        self.input.iter().product::<usize>() * self.channels
    }

    fn output_len(&self) -> usize {
        self.output.iter().product::<usize>() * self.channels
    }
}

impl Layer for Pool {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.output_len()]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "pooling takes a tensor");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn scratch_len(&self) -> usize {
        self.channels
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (c, scale) = (self.channels, self.pooling.scale(self.size.iter().product()));
        let rows = at.inputs.get(0).chunks_exact(self.input_len()).zip(at.outputs[0].chunks_exact_mut(self.output_len()));
        for (x, y) in rows {
            at.simd.vectorise(
                #[inline(always)]
                || {
                    self.for_each(
                        #[inline(always)]
                        |to, from, member| {
                            let (to, from) = (&mut y[to..to + c], &x[from..from + c]);
                            match (self.pooling, member) {
                                (_, 0) => to.copy_from_slice(from),
                                (Pooling::Max, _) => to.iter_mut().zip(from).for_each(|(t, f)| *t = if *f > *t { *f } else { *t }),
                                _ => to.iter_mut().zip(from).for_each(|(t, f)| *t += f),
                            }
                        },
                    );
                    if scale != 1.0 {
                        y.iter_mut().for_each(|v| *v *= scale);
                    }
                },
            );
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        if slot.update == Update::Overwrite {
            slot.data.fill(0.0);
        }
        let (c, scale) = (self.channels, self.pooling.scale(self.size.iter().product()));
        let (x, y, dy) = (at.inputs.get(0), at.outputs.get(0), at.grad_outputs.get(0));
        let (n, m) = (self.input_len(), self.output_len());
        for (r, dx) in slot.data.chunks_exact_mut(n).enumerate() {
            let (x, y, dy) = (&x[r * n..][..n], &y[r * m..][..m], &dy[r * m..][..m]);
            let open = &mut at.scratch[..c];
            self.for_each(|to, from, member| {
                let (dx, dy) = (&mut dx[from..from + c], &dy[to..to + c]);
                if self.pooling == Pooling::Max {
                    // What is still to be given away of this patch's gradient.
                    if member == 0 {
                        open.copy_from_slice(dy);
                    }
                    for k in 0..c {
                        if x[from + k] == y[to + k] {
                            dx[k] += open[k];
                            open[k] = 0.0;
                        }
                    }
                } else {
                    dx.iter_mut().zip(dy).for_each(|(d, g)| *d += scale * g);
                }
            });
        }
    }
}

/// The largest, mean or sum of each channel over all positions: a tensor becomes one position. On a set it is the symmetric function of a deep set.
#[derive(Clone, Copy, Debug)]
pub struct GlobalPool {
    pooling: Pooling,
    channels: usize,
    positions: usize,
}

impl GlobalPool {
    /// Adds the layer.
    pub fn apply(g: &mut GraphBuilder<'_>, x: &Grid, pooling: Pooling) -> Grid {
        let value = g.apply(Self { pooling, channels: x.channels, positions: x.positions() }, &[x.value]);
        Grid { value, extent: vec![1], channels: x.channels }
    }
}

impl Layer for GlobalPool {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.channels]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "pooling takes a tensor");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn scratch_len(&self) -> usize {
        self.channels
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let scale = self.pooling.scale(self.positions);
        let rows = at.inputs.get(0).chunks_exact(self.positions * self.channels).zip(at.outputs[0].chunks_exact_mut(self.channels));
        for (x, y) in rows {
            if self.pooling == Pooling::Max {
                y.copy_from_slice(&x[..self.channels]);
                for from in x.chunks_exact(self.channels) {
                    y.iter_mut().zip(from).for_each(|(t, f)| *t = if *f > *t { *f } else { *t });
                }
            } else {
                y.fill(0.0);
                at.simd.add_column_sums(x, y);
                y.iter_mut().for_each(|v| *v *= scale);
            }
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        if slot.update == Update::Overwrite {
            slot.data.fill(0.0);
        }
        let (c, scale) = (self.channels, self.pooling.scale(self.positions));
        let (n, x) = (self.positions * c, at.inputs.get(0));
        let rows = at.outputs.get(0).chunks_exact(c).zip(at.grad_outputs.get(0).chunks_exact(c));
        for (r, ((y, dy), dx)) in rows.zip(slot.data.chunks_exact_mut(n)).enumerate() {
            let open = &mut at.scratch[..c];
            open.copy_from_slice(dy);
            for (dx, x) in dx.chunks_exact_mut(c).zip(x[r * n..].chunks_exact(c)) {
                if self.pooling == Pooling::Max {
                    for k in 0..c {
                        if x[k] == y[k] {
                            dx[k] += open[k];
                            open[k] = 0.0;
                        }
                    }
                } else {
                    dx.iter_mut().zip(dy).for_each(|(d, g)| *d += scale * g);
                }
            }
        }
    }
}
