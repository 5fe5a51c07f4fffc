//! Finer grids without parameters, and tensors side by side.

use crate::graph::GraphBuilder;
use crate::layer::{Backward, Form, Forward, Layer};
use crate::layers::conv::{Border, ShapeError};
use crate::layers::grid::Grid;
use abduce_kernels::elementwise::Update;

/// How new positions get their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// From the position that contains them.
    Nearest,
    /// Linearly along each axis between the centres of the two nearest positions (torch's `align_corners=False`); beyond the outermost centres the
    /// value is constant, or that of the other side.
    Linear(Border),
}

/// Up-sampling: each axis becomes `factor` times as long.
#[derive(Clone, Debug)]
pub struct Upsample {
    channels: usize,
    input: [usize; 3],
    output: [usize; 3],
    /// Per axis and output position: two source positions and the weight of the second.
    sources: [Vec<(usize, usize, f32)>; 3],
}

impl Upsample {
    /// Adds the layer.
    ///
    /// # Errors
    /// The factor is zero, or the grid has more than three axes.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, x: &Grid, factor: usize, interpolation: Interpolation) -> Result<Grid, ShapeError> {
        if factor == 0 {
            return Err(ShapeError::Zero { layer: name.to_owned(), what: "the factor" });
        }
        if !(1..=3).contains(&x.extent.len()) {
            return Err(ShapeError::Axes(x.extent.len()));
        }
        let lead = 3 - x.extent.len();
        let input: [usize; 3] = std::array::from_fn(|d| if d < lead { 1 } else { x.extent[d - lead] });
        let factors: [usize; 3] = std::array::from_fn(|d| if d < lead { 1 } else { factor });
        let output: [usize; 3] = std::array::from_fn(|d| input[d] * factors[d]);
        let sources = std::array::from_fn(|d| (0..output[d]).map(|q| source(q, input[d], factors[d], interpolation)).collect());
        let value = g.apply(Self { channels: x.channels, input, output, sources }, &[x.value]);
        Ok(Grid { value, extent: output[lead..].to_vec(), channels: x.channels })
    }

    fn input_len(&self) -> usize {
        self.input.iter().product::<usize>() * self.channels
    }

    fn output_len(&self) -> usize {
        self.output.iter().product::<usize>() * self.channels
    }

    /// Calls `visit(output offset, input offset, weight)` for every pair that has a weight.
    #[inline(always)]
    fn for_each(&self, mut visit: impl FnMut(usize, usize, f32)) {
        let (n, m, c) = (self.input, self.output, self.channels);
        let ends = |s: &(usize, usize, f32)| [(s.0, 1.0 - s.2), (s.1, s.2)];
        for (z, zs) in self.sources[0].iter().enumerate() {
            for (y, ys) in self.sources[1].iter().enumerate() {
                for (x, xs) in self.sources[2].iter().enumerate() {
                    let to = ((z * m[1] + y) * m[2] + x) * c;
                    for (z, a) in ends(zs) {
                        for (y, b) in ends(ys) {
                            for (x, w) in ends(xs) {
                                let weight = a * b * w;
                                if weight != 0.0 {
                                    visit(to, ((z * n[1] + y) * n[2] + x) * c, weight);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn source(q: usize, n: usize, factor: usize, interpolation: Interpolation) -> (usize, usize, f32) {
    match interpolation {
        Interpolation::Nearest => (q / factor, q / factor, 0.0),
        Interpolation::Linear(border) => {
            // Centres: output q sits at (q + ½)/factor - ½ in units of input positions.
            let at = (q as f64 + 0.5) / factor as f64 - 0.5;
            let low = at.floor();
            let place = |i: f64| match border {
                Border::Zeros => i.clamp(0.0, (n - 1) as f64) as usize,
                Border::Periodic => (i as isize).rem_euclid(n as isize) as usize,
            };
            (place(low), place(low + 1.0), (at - low) as f32)
        }
    }
}

impl Layer for Upsample {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.output_len()]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "up-sampling takes a tensor");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let c = self.channels;
        for (x, y) in at.inputs.get(0).chunks_exact(self.input_len()).zip(at.outputs[0].chunks_exact_mut(self.output_len())) {
            y.fill(0.0);
            self.for_each(|to, from, w| y[to..to + c].iter_mut().zip(&x[from..from + c]).for_each(|(t, f)| *t += w * f));
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        if slot.update == Update::Overwrite {
            slot.data.fill(0.0);
        }
        let c = self.channels;
        for (dx, dy) in slot.data.chunks_exact_mut(self.input_len()).zip(at.grad_outputs.get(0).chunks_exact(self.output_len())) {
            self.for_each(|to, from, w| dx[from..from + c].iter_mut().zip(&dy[to..to + c]).for_each(|(d, g)| *d += w * g));
        }
    }
}

/// The channels of several tensors of one extent, one after the other: a skip connection.
#[derive(Clone, Debug)]
pub struct Concat {
    channels: Vec<usize>,
    positions: usize,
}

impl Concat {
    /// Adds the layer.
    ///
    /// # Errors
    /// The extents differ.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, parts: &[&Grid]) -> Result<Grid, ShapeError> {
        let Some((first, rest)) = parts.split_first() else {
            return Err(ShapeError::Zero { layer: name.to_owned(), what: "the number of tensors" });
        };
        if let Some(other) = rest.iter().find(|p| p.extent != first.extent) {
            return Err(ShapeError::Join { layer: name.to_owned(), left: first.extent.clone(), right: other.extent.clone() });
        }
        let channels: Vec<usize> = parts.iter().map(|p| p.channels).collect();
        let total = channels.iter().sum();
        let values: Vec<_> = parts.iter().map(|p| p.value).collect();
        let value = g.apply(Self { channels, positions: first.positions() }, &values);
        Ok(Grid { value, extent: first.extent.clone(), channels: total })
    }
}

impl Layer for Concat {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.positions * self.channels.iter().sum::<usize>()]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert!(inputs.iter().all(|&f| f == Form::Rows), "concatenation takes tensors");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (width, mut first) = (self.channels.iter().sum(), 0);
        for (i, &c) in self.channels.iter().enumerate() {
            for (to, from) in at.outputs[0].chunks_exact_mut(width).zip(at.inputs.get(i).chunks_exact(c)) {
                to[first..first + c].copy_from_slice(from);
            }
            first += c;
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let (width, mut first) = (self.channels.iter().sum(), 0);
        for (slot, &c) in at.grad_inputs.iter_mut().zip(&self.channels) {
            if let Some(slot) = slot {
                for (dx, dy) in slot.data.chunks_exact_mut(c).zip(at.grad_outputs.get(0).chunks_exact(width)) {
                    let dy = &dy[first..first + c];
                    match slot.update {
                        Update::Overwrite => dx.copy_from_slice(dy),
                        Update::Accumulate => dx.iter_mut().zip(dy).for_each(|(d, g)| *d += g),
                    }
                }
            }
            first += c;
        }
    }
}

/// Some of the channels of every position.
#[derive(Clone, Debug)]
pub struct Channels {
    range: std::ops::Range<usize>,
    channels: usize,
}

impl Channels {
    /// Adds the layer; `None` where the range is empty.
    ///
    /// # Errors
    /// The range ends beyond the channels.
    pub fn apply(g: &mut GraphBuilder<'_>, x: &Grid, range: std::ops::Range<usize>) -> Result<Option<Grid>, ShapeError> {
        if range.end > x.channels {
            return Err(ShapeError::Entries { what: "channels", found: x.channels, expected: range.end });
        }
        if range.is_empty() {
            return Ok(None);
        }
        let channels = range.len();
        let value = g.apply(Self { range, channels: x.channels }, &[x.value]);
        Ok(Some(Grid { value, extent: x.extent.clone(), channels }))
    }
}

impl Layer for Channels {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0] / self.channels * self.range.len()]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "channels are those of a tensor");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn forward(&self, at: &mut Forward<'_>) {
        for (x, y) in at.inputs.get(0).chunks_exact(self.channels).zip(at.outputs[0].chunks_exact_mut(self.range.len())) {
            y.copy_from_slice(&x[self.range.clone()]);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        if slot.update == Update::Overwrite {
            slot.data.fill(0.0);
        }
        for (dx, dy) in slot.data.chunks_exact_mut(self.channels).zip(at.grad_outputs.get(0).chunks_exact(self.range.len())) {
            dx[self.range.clone()].iter_mut().zip(dy).for_each(|(d, g)| *d += g);
        }
    }
}
