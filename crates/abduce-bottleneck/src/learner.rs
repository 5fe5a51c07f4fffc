//! A training step: the encoder once, the decoder for one width per row or for all widths in turn.

use crate::model::Bottleneck;
use crate::schedule::Schedule;
use abduce_data::Seed;
use abduce_nn::layer::Noise;
use abduce_nn::step::Spread;
use abduce_nn::trainer::{Learner, Rows};
use abduce_nn::widths::WidthLaw;
use abduce_nn::{Compute, Frame, Purpose};

/// Epochs over which the convergence of a latent is judged.
const WINDOW: usize = 5;
/// (√5 - 1)/2: multiples of it, modulo 1, cover [0, 1) evenly.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The frames of one chunk of rows. All of a chunk's passes through the decoder run in one frame, while it is in cache: the batch of rows × widths
/// exists only chunk by chunk, so memory does not grow with the widths.
pub(crate) struct Workspace {
    front: Frame,
    back: Frame,
}

/// Steps on Σ_k ρ_k L_k; see [`Schedule`].
pub(crate) struct WidthLearner<'a> {
    model: &'a Bottleneck,
    compute: Compute,
    rho: Vec<f64>,
    schedule: Schedule,
    seed: Seed,
    steps: u64,
    /// Width and weight of each pass of the sum.
    passes: Vec<(f32, f32)>,
    law: WidthLaw,
    /// Widths of the batch's rows.
    widths: Vec<f32>,
    /// Latents that unit sweeping has frozen.
    frozen: usize,
    frozen_since: usize,
    spread: Spread<Workspace>,
    chunk_rows: usize,
    /// Parameters of encoder and decoder in the order that their layers wish.
    prepared: (Vec<f32>, Vec<f32>),
    position: u64,
    /// Σ of the held-out losses and number of rows, per width, of the pass in progress.
    sums: Vec<(f64, f64)>,
    /// Mean held-out loss per epoch and width; NaN where no row had that width.
    pub(crate) held_out: Vec<Vec<f64>>,
}

impl<'a> WidthLearner<'a> {
    pub(crate) fn new(model: &'a Bottleneck, compute: &Compute, rho: Vec<f64>, schedule: Schedule, seed: Seed) -> Self {
        let layout = model.layout();
        let chunk_rows = model.encode.chunk_rows().min(model.score.chunk_rows());
        let passes = rho.iter().enumerate().filter(|&(_, &w)| w > 0.0).map(|(k, &w)| (k as f32, w as f32)).collect();
        Self {
            law: WidthLaw::above(&rho, 0),
            sums: vec![(0.0, 0.0); rho.len()],
            spread: Spread::new(layout.len(), layout.gradient_mask(), chunk_rows, compute.simd, &compute.threads),
            chunk_rows,
            prepared: (Vec::new(), Vec::new()),
            compute: compute.clone(),
            widths: Vec::new(),
            frozen: 0,
            frozen_since: 0,
            steps: 0,
            position: 0,
            held_out: Vec::new(),
            model,
            rho,
            schedule,
            seed,
            passes,
        }
    }

    /// The widths of the batch's rows; none for the sum.
    fn draw(&mut self, n: usize) {
        let mut rng = self.seed.stream("widths", self.steps);
        self.steps += 1;
        self.widths.resize(n, 0.0);
        match self.schedule {
            Schedule::Sum => self.widths.clear(),
            Schedule::PerSample | Schedule::UnitSweep { .. } => self.law.independent(&mut rng, &mut self.widths),
            Schedule::Stratified => self.law.stratified(&mut rng, &mut self.widths),
        }
    }

    /// One step with widths given; for the tests against golden numbers too.
    fn run(&mut self, params: &[f32], rows: &Rows, n: usize, seed: Seed) -> (f64, f64) {
        let (simd, model, chunk_rows) = (self.compute.simd, self.model, self.chunk_rows);
        model.encode.prepare(simd, &self.compute.threads, params, &mut self.prepared.0);
        model.score.prepare(simd, &self.compute.threads, params, &mut self.prepared.1);
        let (of_encoder, of_decoder) = (&self.prepared.0[..], &self.prepared.1[..]);
        let (passes, widths, frozen) = (&self.passes[..], &self.widths[..], self.frozen);
        let spec = model.spec();
        let x = &rows.inputs[0];
        let y = rows.inputs.get(1).unwrap_or(x);
        let make = || Workspace {
            front: Frame::new(&model.encode, Purpose::Train, chunk_rows),
            // Of (y, code, width) only the code wants its gradient.
            back: Frame::new(&model.score, Purpose::InputGradient(1), chunk_rows),
        };
        self.spread.run(n, make, |range, Workspace { front, back }, gradient| {
            front.begin(range.len());
            back.begin(range.len());
            front.set_noise(Noise { seed, first_row: range.start });
            back.set_noise(Noise { seed: seed.derive("decoder", 0), first_row: range.start });
            let lanes = front.lanes();
            front.fill_input(0, &x[range.start * spec.features..]);
            front.forward_prepared(simd, params, of_encoder);
            front.output_gradient_mut(0).fill(0.0);
            back.fill_input(0, &y[range.start * spec.targets..]);
            back.input_mut(1).copy_from_slice(front.output(0));
            let mut loss = 0.0;
            let mut pass = |set_width: &dyn Fn(&mut [f32]), weight: f32| {
                set_width(back.input_mut(2));
                back.forward_prepared(simd, params, of_decoder);
                let score: f64 = back.output(0)[..range.len()].iter().map(|&s| f64::from(s)).sum();
                loss -= f64::from(weight) * score / n as f64;
                let seed = back.output_gradient_mut(0);
                seed.fill(0.0);
                seed[..range.len()].fill(-weight / n as f32);
                back.backward_prepared(simd, params, of_decoder, Some(gradient));
                if let Some(by_code) = back.input_gradient(1) {
                    let total = front.output_gradient_mut(0);
                    simd.vectorise(
                        #[inline(always)]
                        || total.iter_mut().zip(by_code).for_each(|(t, g)| *t += g),
                    );
                }
            };
            if widths.is_empty() {
                passes.iter().for_each(|&(width, weight)| pass(&|to| to.fill(width), weight));
            } else {
                pass(
                    &|to| {
                        to.fill(0.0);
                        to[..range.len()].copy_from_slice(&widths[range.clone()]);
                    },
                    1.0,
                );
            }
            front.output_gradient_mut(0)[..frozen * lanes].fill(0.0);
            front.backward_prepared(simd, params, of_encoder, Some(gradient));
            loss
        })
    }
}

impl Learner for WidthLearner<'_> {
    fn step(&mut self, params: &[f32], rows: &Rows, n: usize, seed: Seed) -> (f64, f64) {
        self.draw(n);
        self.run(params, rows, n, seed)
    }

    fn gradient(&self) -> &[f32] {
        self.spread.gradient()
    }

    /// With the sum, every row at every width. Otherwise every row at one width, the same in every epoch: a decoder pass per row and width would cost
    /// more than the training.
    fn score(&mut self, params: &[f32], rows: &Rows, n: usize) -> (f64, f64) {
        let x = &rows.inputs[0][..n * self.model.spec().features];
        let y = rows.inputs.get(1).map_or(x, |y| &y[..n * self.model.spec().targets]);
        if self.schedule == Schedule::Sum {
            let widths: Vec<usize> = (self.model.spec().always_open..self.rho.len()).collect();
            let losses = self.model.losses(&self.compute, params, crate::Rows { x, y: Some(y) }, &widths);
            let mut total = 0.0;
            for row in losses.chunks_exact(widths.len()) {
                for (&k, &loss) in widths.iter().zip(row) {
                    let loss = f64::from(loss);
                    self.sums[k].0 += loss;
                    self.sums[k].1 += 1.0;
                    // A width without weight may have learnt nothing: 0 · NaN must not spoil the score.
                    total -= if self.rho[k] > 0.0 { self.rho[k] * loss } else { 0.0 };
                }
            }
            return (total, n as f64);
        }
        let law = WidthLaw::above(&self.rho, 0);
        let width = |r: usize| {
            let at = (self.position + r as u64) as f64 * GOLDEN + 0.5;
            law.quantile(at - at.floor())
        };
        let codes = self.model.encode(&self.compute, params, x);
        let losses = self.model.pair_losses(&self.compute, params, &codes, y, n, |r| (r, width(r) as f32));
        let mut total = 0.0;
        for (r, &loss) in losses.iter().enumerate() {
            let sum = &mut self.sums[width(r)];
            *sum = (sum.0 + f64::from(loss), sum.1 + 1.0);
            total -= f64::from(loss);
        }
        self.position += n as u64;
        (total, n as f64)
    }

    fn end_epoch(&mut self) {
        self.position = 0;
        self.held_out.push(self.sums.iter().map(|&(sum, n)| sum / n).collect());
        self.sums.fill((0.0, 0.0));
        let Schedule::UnitSweep { tolerance } = self.schedule else { return };
        let epoch = self.held_out.len();
        let last = self.rho.iter().rposition(|&w| w > 0.0).unwrap_or(0);
        if self.frozen + 1 < last && epoch > self.frozen_since + WINDOW {
            let at = |back: usize| self.held_out[epoch - 1 - back][self.frozen + 1];
            let (before, now) = (at(WINDOW), at(0));
            // No held-out row had this width: nothing can be said, and waiting would not change that.
            if before.is_nan() || now.is_nan() || before - now < tolerance * before.abs() {
                self.frozen += 1;
                self.frozen_since = epoch;
                self.law = WidthLaw::above(&self.rho, self.frozen);
            }
        }
    }
}

#[cfg(test)]
mod tests;
