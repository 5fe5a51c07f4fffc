//! Positions that have a meaning of their own: learned tensors, tables of tokens, and dropout.

use crate::graph::GraphBuilder;
use crate::layer::{Backward, Form, Forward, Layer};
use crate::layers::grid::Grid;
use crate::params::Init;
use abduce_kernels::elementwise::Update;
use std::ops::Range;

/// A trained tensor, the same for every row: where positions are told apart (added to a sequence), or the queries of a pooling by attention.
#[derive(Clone, Debug)]
pub struct Learned {
    values: Range<usize>,
}

impl Learned {
    /// Adds the parameter `name` (positions, channels), from U(-1/√channels, 1/√channels), and the layer.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, extent: &[usize], channels: usize) -> Grid {
        let shape = [extent, &[channels]].concat();
        let values = g.parameter(name, &shape, Init::fan_in(channels));
        Grid { value: g.apply(Self { values }, &[]), extent: extent.to_vec(), channels }
    }
}

impl Layer for Learned {
    fn output_features(&self, _inputs: &[usize]) -> Vec<usize> {
        vec![self.values.len()]
    }

    fn output_form(&self, _inputs: &[Form]) -> Form {
        Form::Rows
    }

    fn forward(&self, at: &mut Forward<'_>) {
        for row in at.outputs[0].chunks_exact_mut(self.values.len()) {
            row.copy_from_slice(&at.params[self.values.clone()]);
        }
    }

    fn backward(&self, at: &mut Backward<'_>) {
        if let Some(grad) = at.grad_params.as_deref_mut() {
            let grad = &mut grad[self.values.clone()];
            for row in at.grad_outputs.get(0).chunks_exact(self.values.len()) {
                grad.iter_mut().zip(row).for_each(|(d, g)| *d += g);
            }
        }
    }
}

/// A table of vectors: each position holds the number of a token, 0 to `tokens` - 1 (others count as the nearest of these), and gets its vector.
#[derive(Clone, Debug)]
pub struct Lookup {
    table: Range<usize>,
    tokens: usize,
    channels: usize,
}

impl Lookup {
    /// Adds the parameter `name.weight` (tokens, channels), from U(-1, 1), and the layer on a tensor of one channel.
    pub fn apply(g: &mut GraphBuilder<'_>, name: &str, x: &Grid, tokens: usize, channels: usize) -> Grid {
        let table = g.scoped(name, |g| g.parameter("weight", &[tokens.max(1), channels], Init::Uniform(1.0)));
        let layer = Self { table, tokens: tokens.max(1), channels };
        Grid { value: g.apply(layer, &[x.value]), extent: x.extent.clone(), channels }
    }

    fn place(&self, token: f32) -> usize {
        (token.max(0.0) as usize).min(self.tokens - 1) * self.channels
    }
}

impl Layer for Lookup {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        vec![inputs[0] * self.channels]
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "a table of tokens takes a tensor");
        Form::Rows
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let table = &at.params[self.table.clone()];
        for (&token, y) in at.inputs.get(0).iter().zip(at.outputs[0].chunks_exact_mut(self.channels)) {
            y.copy_from_slice(&table[self.place(token)..][..self.channels]);
        }
    }

    /// Numbers of tokens have no gradient: it is zero.
    fn backward(&self, at: &mut Backward<'_>) {
        if let Some(grad) = at.grad_params.as_deref_mut() {
            let table = &mut grad[self.table.clone()];
            for (&token, dy) in at.inputs.get(0).iter().zip(at.grad_outputs.get(0).chunks_exact(self.channels)) {
                table[self.place(token)..][..self.channels].iter_mut().zip(dy).for_each(|(d, g)| *d += g);
            }
        }
        if let Some(slot) = &mut at.grad_inputs[0]
            && slot.update == Update::Overwrite
        {
            slot.data.fill(0.0);
        }
    }
}

/// In training each element is zero with probability `rate` and else divided by 1 - rate; otherwise the identity (Srivastava et al. 2014).
///
/// It draws only where the frame was given [`Noise`](crate::layer::Noise), as the trainer does; element i of a row is a function of the step, the layer's
/// number, the row's place in the batch and i.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    rate: f32,
    number: u64,
    len: usize,
}

impl Dropout {
    /// Adds the layer with a rate in [0, 1) (others count as the nearest of these); `number` tells the dropouts of one network apart.
    pub fn apply(g: &mut GraphBuilder<'_>, x: &Grid, rate: f32, number: u64) -> Grid {
        let layer = Self { rate: rate.clamp(0.0, 0.999), number, len: g.features(x.value) };
        x.with(g.apply(layer, &[x.value]))
    }

    /// Factors of one row.
    fn factors(&self, noise: crate::layer::Noise, row: usize, factors: &mut [f32]) {
        let mut rng = noise.seed.derive("dropout", self.number).stream("row", (noise.first_row + row) as u64);
        let keep = 1.0 / (1.0 - self.rate);
        // Four elements from one draw: 16 bits tell a rate to 1.5e-5.
        let threshold = (f64::from(self.rate) * 65536.0).round() as u64;
        for four in factors.chunks_mut(4) {
            let mut bits = rng.next_u64();
            for factor in four {
                *factor = if bits & 0xffff < threshold { 0.0 } else { keep };
                bits >>= 16;
            }
        }
    }
}

impl Layer for Dropout {
    fn output_features(&self, inputs: &[usize]) -> Vec<usize> {
        inputs.to_vec()
    }

    fn output_form(&self, inputs: &[Form]) -> Form {
        assert_eq!(inputs, [Form::Rows], "dropout takes a tensor");
        Form::Rows
    }

    fn has_parameters(&self) -> bool {
        false
    }

    fn scratch_len(&self) -> usize {
        self.len
    }

    fn forward(&self, at: &mut Forward<'_>) {
        let (x, y) = (at.inputs.get(0), &mut at.outputs[0]);
        let Some(noise) = at.noise else {
            y.copy_from_slice(x);
            return;
        };
        for (r, (x, y)) in x.chunks_exact(self.len).zip(y.chunks_exact_mut(self.len)).enumerate() {
            self.factors(noise, r, y);
            y.iter_mut().zip(x).for_each(|(y, x)| *y *= x);
        }
    }

    /// The factors are drawn again: nothing is kept.
    fn backward(&self, at: &mut Backward<'_>) {
        let Some(slot) = &mut at.grad_inputs[0] else { return };
        let dy = at.grad_outputs.get(0);
        let Some(noise) = at.noise else {
            crate::layer::pass_on(at.simd, dy, &mut slot.data, slot.update);
            return;
        };
        for (r, (dx, dy)) in slot.data.chunks_exact_mut(self.len).zip(dy.chunks_exact(self.len)).enumerate() {
            let factors = &mut at.scratch[..self.len];
            self.factors(noise, r, factors);
            for ((d, g), f) in dx.iter_mut().zip(dy).zip(factors) {
                *d = if slot.update == Update::Overwrite { g * *f } else { *d + g * *f };
            }
        }
    }
}
