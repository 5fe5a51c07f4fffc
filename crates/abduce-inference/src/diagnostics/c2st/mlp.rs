//! The classifier: d → h → h → 1, ReLU, log-loss, Adam. Feature-major, so that all inner loops run over the batch.

use abduce_data::Rng;
use abduce_kernels::elementwise::{Activation, Update};
use abduce_kernels::gemm::{Into, Left, MatMul};
use abduce_kernels::optimiser::AdamStep;
use abduce_kernels::transpose::features_from_rows;
use abduce_kernels::{LANES, Simd, lanes_for};
use std::ops::Range;

/// Points of one step.
pub(super) const BATCH: usize = 200;
/// The batch padded to whole vectors. The surplus lanes carry zero gradients.
const WIDTH: usize = lanes_for(BATCH);
const LEARNING_RATE: f32 = 1e-3;
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// α of the penalty α/(2·batch) ‖W‖², on weights and not on biases.
const L2: f32 = 1e-4;

/// Points (n, d) and the class of each, 0 or 1 (n).
pub(super) struct Rows<'a> {
    pub(super) points: &'a [f32],
    pub(super) d: usize,
    pub(super) labels: &'a [f32],
}

/// Where each layer's weights (out, in) and biases lie in the flat parameter vector: all weights first, then all biases.
struct Layout {
    weights: [Range<usize>; 3],
    biases: [Range<usize>; 3],
}

impl Layout {
    fn new(d: usize, h: usize) -> Self {
        let mut end = 0;
        let mut take = |length: usize| {
            end += length;
            end - length..end
        };
        Self { weights: [take(h * d), take(h * h), take(h)], biases: [take(h), take(h), take(1)] }
    }

    fn n_weights(&self) -> usize {
        self.weights[2].end
    }
}

/// A classifier in training, with every buffer a step needs.
pub(super) struct Classifier {
    simd: Simd,
    d: usize,
    h: usize,
    layout: Layout,
    parameters: Vec<f32>,
    gradient: Vec<f32>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    steps: i32,
    rows: Vec<f32>,             // (WIDTH, padded d): the batch
    x: Vec<f32>,                // (d, WIDTH)
    labels: Vec<f32>,           // (WIDTH)
    hidden: [Vec<f32>; 2],      // (h, WIDTH), after ReLU
    hidden_rows: Vec<f32>,      // (WIDTH, padded h): the first hidden layer transposed
    hidden_grad: [Vec<f32>; 2], // (h, WIDTH), before ReLU
    scratch: Vec<f32>,          // (h, WIDTH): values before, or gradients after ReLU
    logit: Vec<f32>,            // (WIDTH), then its gradient
    probability: Vec<f32>,      // (WIDTH)
}

impl Classifier {
    /// Weights and biases uniform within ±√(6/(fan in + fan out)).
    pub(super) fn new(d: usize, h: usize, rng: &mut Rng, simd: Simd) -> Self {
        let layout = Layout::new(d, h);
        let n = layout.biases[2].end;
        let mut parameters = vec![0.0f32; n];
        for (layer, fans) in [d + h, h + h, h + 1].into_iter().enumerate() {
            let bound = (6.0 / fans as f64).sqrt();
            for i in layout.weights[layer].clone().chain(layout.biases[layer].clone()) {
                parameters[i] = (bound * (2.0 * rng.uniform() - 1.0)) as f32;
            }
        }
        let hidden = || vec![0.0; h * WIDTH];
        Self {
            simd,
            d,
            h,
            layout,
            parameters,
            gradient: vec![0.0; n],
            first_moment: vec![0.0; n],
            second_moment: vec![0.0; n],
            steps: 0,
            rows: vec![0.0; WIDTH * lanes_for(d)],
            x: vec![0.0; d * WIDTH],
            labels: vec![0.0; WIDTH],
            hidden: [hidden(), hidden()],
            hidden_rows: vec![0.0; WIDTH * lanes_for(h)],
            hidden_grad: [hidden(), hidden()],
            scratch: hidden(),
            logit: vec![0.0; WIDTH],
            probability: vec![0.0; WIDTH],
        }
    }

    /// One Adam step on the rows `batch` (at most [`BATCH`] of them); returns their mean loss, penalty included, before it.
    pub(super) fn step(&mut self, rows: &Rows<'_>, batch: &[usize]) -> f64 {
        self.forward(rows, batch);
        let loss = self.loss_and_logit_gradient(batch.len());
        self.backward(batch.len());
        self.flush_vanishing();
        self.adam();
        loss
    }

    /// How many of the rows `batch` are put into their own class.
    pub(super) fn correct(&mut self, rows: &Rows<'_>, batch: &[usize]) -> usize {
        self.forward(rows, batch);
        self.logit.iter().zip(&self.labels).take(batch.len()).filter(|&(z, y)| (*z > 0.0) == (*y == 1.0)).count()
    }

    /// Mean log-loss of the rows `batch`, without the penalty.
    pub(super) fn loss(&mut self, rows: &Rows<'_>, batch: &[usize]) -> f64 {
        self.forward(rows, batch);
        let softplus = |z: f64| z.max(0.0) + libm::log1p(libm::exp(-z.abs()));
        let losses = self.logit.iter().zip(&self.labels).take(batch.len()).map(|(&z, &y)| softplus(f64::from(z)) - f64::from(y * z));
        losses.sum::<f64>() / batch.len() as f64
    }

    /// Log-odds of class 1 for the rows `batch`.
    pub(super) fn logits(&mut self, rows: &Rows<'_>, batch: &[usize]) -> &[f32] {
        self.forward(rows, batch);
        &self.logit[..batch.len()]
    }

    /// The weights and biases, to be kept.
    pub(super) fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Takes weights and biases that were kept.
    pub(super) fn set_parameters(&mut self, parameters: &[f32]) {
        self.parameters.copy_from_slice(parameters);
    }

    fn forward(&mut self, rows: &Rows<'_>, batch: &[usize]) {
        let (d, h, simd) = (self.d, self.h, self.simd);
        for (lane, &row) in batch.iter().enumerate() {
            self.rows[lane * d..][..d].copy_from_slice(&rows.points[row * d..][..d]);
            self.labels[lane] = rows.labels[row];
        }
        features_from_rows(&self.rows, batch.len(), d, &mut self.x, WIDTH);
        let parameters = &self.parameters;
        let layer = |index: usize, rows: usize, depth: usize, input: &[f32], output: &mut [f32]| {
            let (weights, biases) = (&parameters[self.layout.weights[index].clone()], &parameters[self.layout.biases[index].clone()]);
            simd.matmul(MatMul { rows, cols: WIDTH, depth }, weights, input, output, Into::Bias(biases));
        };
        let [first, second] = &mut self.hidden;
        layer(0, h, d, &self.x, &mut self.scratch);
        simd.activate(Activation::Relu, &self.scratch, first);
        layer(1, h, h, first, &mut self.scratch);
        simd.activate(Activation::Relu, &self.scratch, second);
        layer(2, 1, h, second, &mut self.logit);
    }

    /// Mean of ln(1 + eᶻ) - y z plus the penalty; leaves (σ(z) - y)/n in `logit`.
    fn loss_and_logit_gradient(&mut self, n: usize) -> f64 {
        let mut softplus = [0.0; WIDTH];
        self.simd.activate(Activation::Softplus, &self.logit, &mut softplus);
        self.simd.activate(Activation::Sigmoid, &self.logit, &mut self.probability);
        let losses = softplus.iter().zip(&self.labels).zip(&self.logit).take(n).map(|((s, y), z)| f64::from(s - y * z));
        let data: f64 = losses.sum();
        for lane in 0..WIDTH {
            self.logit[lane] = if lane < n { (self.probability[lane] - self.labels[lane]) / n as f32 } else { 0.0 };
        }
        let weights = &self.parameters[..self.layout.n_weights()];
        let squares = self.simd.vectorise(|| dot(weights, weights));
        (data + 0.5 * f64::from(L2) * f64::from(squares)) / n as f64
    }

    fn backward(&mut self, n: usize) {
        let (d, h, simd) = (self.d, self.h, self.simd);
        let Self { layout, parameters, gradient, hidden, hidden_grad, scratch, logit, .. } = self;
        let ([first, second], [first_grad, second_grad]) = (&*hidden, hidden_grad);
        let weights = |index: usize| &parameters[layout.weights[index].clone()];
        // Output layer: dW₃ = δ₃ a₂ᵀ.
        for (grad, a) in gradient[layout.weights[2].clone()].iter_mut().zip(second.chunks_exact(WIDTH)) {
            *grad = simd.vectorise(|| dot(logit, a));
        }
        // δ₂ = W₃ᵀ δ₃ where a₂ > 0, δ₁ = W₂ᵀ δ₂ where a₁ > 0.
        simd.matmul_transposed_left(MatMul { rows: h, cols: WIDTH, depth: 1 }, weights(2), logit, scratch, Into::Overwrite);
        simd.activate_backward(Activation::Relu, second, scratch, second_grad, Update::Overwrite);
        simd.matmul_transposed_left(MatMul { rows: h, cols: WIDTH, depth: h }, weights(1), second_grad, scratch, Into::Overwrite);
        simd.activate_backward(Activation::Relu, first, scratch, first_grad, Update::Overwrite);
        for (index, delta) in [&*first_grad, &*second_grad, &*logit].into_iter().enumerate() {
            let biases = &mut gradient[layout.biases[index].clone()];
            biases.fill(0.0);
            simd.add_row_sums(delta, WIDTH, biases);
        }
        // dW₂ = δ₂ a₁ᵀ, dW₁ = δ₁ xᵀ: products over the batch with the right side transposed.
        simd.rows_from_features(first, h, WIDTH, &mut self.hidden_rows, lanes_for(h));
        simd.rows_from_features(&self.x, d, WIDTH, &mut self.rows, lanes_for(d));
        for (index, delta, right, inputs) in [(1, &*second_grad, &self.hidden_rows, h), (0, &*first_grad, &self.rows, d)] {
            let shape = MatMul { rows: h, cols: inputs, depth: WIDTH };
            let left = Left { data: delta, row_stride: WIDTH, depth_stride: 1 };
            let grad = &mut gradient[layout.weights[index].clone()];
            simd.matmul_strided(shape, left, right, lanes_for(inputs), grad, inputs, Into::Overwrite);
        }
        let (decay, n_weights) = (L2 / n as f32, layout.n_weights());
        simd.vectorise(|| gradient[..n_weights].iter_mut().zip(&parameters[..n_weights]).for_each(|(g, w)| *g += decay * w));
    }

    /// Sets vanishing gradients and moments to zero. Units that never fire have nothing but the penalty, which takes their weights and moments
    /// into the subnormal numbers, where arithmetic is several times slower. A moment of 1e-17 moves a weight by less than
    /// 1e-3 · 1e-17/1e-8 = 1e-12.
    fn flush_vanishing(&mut self) {
        let Self { simd, gradient, first_moment, second_moment, .. } = self;
        simd.vectorise(|| flush_below(gradient, 1e-17));
        simd.vectorise(|| flush_below(first_moment, 1e-17));
        simd.vectorise(|| flush_below(second_moment, 1e-34));
    }

    fn adam(&mut self) {
        self.steps += 1;
        let (correction1, correction2) = (1.0 / (1.0 - BETA1.powi(self.steps)), 1.0 / (1.0 - BETA2.powi(self.steps)));
        let step = AdamStep {
            learning_rate: LEARNING_RATE,
            beta1: BETA1 as f32,
            beta2: BETA2 as f32,
            // scikit-learn adds ε to the root of the uncorrected second moment.
            epsilon: (EPSILON * correction2.sqrt()) as f32,
            correction1: correction1 as f32,
            correction2: correction2 as f32,
            gradient_scale: 1.0,
            weight_decay: 0.0,
        };
        self.simd.adam(&step, &mut self.parameters, &self.gradient, &mut self.first_moment, &mut self.second_moment);
    }
}

#[inline(always)]
fn flush_below(values: &mut [f32], least: f32) {
    for v in values {
        *v = if v.abs() < least { 0.0 } else { *v };
    }
}

/// Σ a b in sixteen partial sums: one vector register, and the same order at every SIMD level.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_whole, a_rest) = a.as_chunks::<LANES>();
    let (b_whole, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// The mean loss, penalty included, and its gradient, written out in f64 point by point.
    fn reference(classifier: &Classifier, rows: &Rows<'_>, batch: &[usize]) -> (f64, Vec<f64>) {
        let (d, h, layout) = (classifier.d, classifier.h, &classifier.layout);
        let p: Vec<f64> = classifier.parameters.iter().map(|&v| f64::from(v)).collect();
        let ([w1, w2, w3], [b1, b2, b3]) = (layout.weights.clone().map(|r| r.start), layout.biases.clone().map(|r| r.start));
        let n = batch.len() as f64;
        let alpha = f64::from(L2) / n;
        let mut loss = p[..layout.n_weights()].iter().map(|w| 0.5 * alpha * w * w).sum::<f64>();
        let mut gradient: Vec<f64> = p.iter().enumerate().map(|(i, w)| if i < layout.n_weights() { alpha * w } else { 0.0 }).collect();
        for &row in batch {
            let x: Vec<f64> = rows.points[row * d..][..d].iter().map(|&v| f64::from(v)).collect();
            let a1: Vec<f64> = (0..h).map(|o| (p[b1 + o] + (0..d).map(|i| p[w1 + o * d + i] * x[i]).sum::<f64>()).max(0.0)).collect();
            let a2: Vec<f64> = (0..h).map(|o| (p[b2 + o] + (0..h).map(|i| p[w2 + o * h + i] * a1[i]).sum::<f64>()).max(0.0)).collect();
            let z = p[b3] + (0..h).map(|i| p[w3 + i] * a2[i]).sum::<f64>();
            let y = f64::from(rows.labels[row]);
            loss += ((1.0 + z.exp()).ln() - y * z) / n;
            let dz = (1.0 / (1.0 + (-z).exp()) - y) / n;
            let d2: Vec<f64> = (0..h).map(|i| if a2[i] > 0.0 { p[w3 + i] * dz } else { 0.0 }).collect();
            let d1: Vec<f64> = (0..h).map(|i| if a1[i] > 0.0 { (0..h).map(|o| p[w2 + o * h + i] * d2[o]).sum() } else { 0.0 }).collect();
            gradient[b3] += dz;
            for o in 0..h {
                gradient[w3 + o] += dz * a2[o];
                gradient[b2 + o] += d2[o];
                gradient[b1 + o] += d1[o];
                (0..h).for_each(|i| gradient[w2 + o * h + i] += d2[o] * a1[i]);
                (0..d).for_each(|i| gradient[w1 + o * d + i] += d1[o] * x[i]);
            }
        }
        (loss, gradient)
    }

    /// f32 against f64 at every level: sums of some hundred terms round to about 1e-6.
    #[test]
    fn loss_and_gradient_are_their_formulae() {
        let (d, h, n) = (3, 30, 150);
        let mut rng = Seed(1).stream("points", 0);
        let points: Vec<f32> = (0..n * d).map(|_| rng.normal() as f32).collect();
        let labels: Vec<f32> = (0..n).map(|row| f32::from(u8::from(row >= 70))).collect();
        let rows = Rows { points: &points, d, labels: &labels };
        let batch: Vec<usize> = (0..n).collect();
        for simd in Simd::all() {
            let mut classifier = Classifier::new(d, h, &mut Seed(2).stream("weights", 0), simd);
            classifier.forward(&rows, &batch);
            let loss = classifier.loss_and_logit_gradient(n);
            classifier.backward(n);
            let (expected_loss, expected) = reference(&classifier, &rows, &batch);
            assert!((loss - expected_loss).abs() < 1e-5, "{simd}: {loss}, expected {expected_loss}");
            let weights = &classifier.parameters[..classifier.layout.n_weights()];
            let penalty = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() * f64::from(L2) / (2 * n) as f64;
            assert!((classifier.loss(&rows, &batch) + penalty - expected_loss).abs() < 1e-5);
            for (i, (found, expected)) in classifier.gradient.iter().zip(&expected).enumerate() {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{simd}, parameter {i}: {found}, expected {expected}");
            }
        }
    }

    /// A short last batch must not see the lanes left over from a longer one before it.
    #[test]
    fn steps_on_a_short_batch_forget_the_longer_one_before() {
        let mut rng = Seed(3).stream("points", 0);
        let points: Vec<f32> = (0..400).map(|_| rng.normal() as f32).collect();
        let labels: Vec<f32> = (0..200).map(|row| f32::from(u8::from(row >= 100))).collect();
        let rows = Rows { points: &points, d: 2, labels: &labels };
        let fresh = || Classifier::new(2, 20, &mut Seed(4).stream("weights", 0), Simd::best());
        let (mut used, mut clean) = (fresh(), fresh());
        used.forward(&rows, &(0..200).collect::<Vec<_>>());
        let batch: Vec<usize> = (90..130).collect();
        assert_eq!(used.step(&rows, &batch), clean.step(&rows, &batch));
        assert_eq!(used.parameters, clean.parameters);
    }
}
