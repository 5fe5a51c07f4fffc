//! Flows as families of variational inference: draws, and the gradients of both Kullback–Leibler divergences by the flow's parameters.
//!
//! A flow here is unconditional and run as densities are: θ → ε = T_λ(θ), log q_λ(θ) = log N(T_λ(θ)) + log|det ∂T_λ/∂θ|. Draws θ = T_λ⁻¹(ε) have no
//! backward pass of their own and need none: at fixed noise 0 = ∂T/∂θ dθ + ∂T/∂λ dλ (implicit reparametrisation; Figurnov, Mohamed & Mnih 2018,
//! arXiv:1805.08498), so that any gradient h by θ reaches λ as -(∂T/∂λ)ᵀ J⁻ᵀ h with J = ∂T/∂θ. That needs the forward graph alone, whatever the
//! family inverts itself by, at the price of one backward pass per dimension for J.

use crate::estimator::build;
use crate::scorer::{rows_from, rows_into};
use crate::spec::{DensitySpec, Space, SpecError, check_range};
use crate::transform::{Direction, NormalBase};
use abduce_kernels::Simd;
use abduce_nn::step::CHUNK_ROWS;
use abduce_nn::{Frame, Graph, GraphBuilder, Layout, Purpose};
use std::sync::Arc;

/// An unconditional flow on ℝᴰ without its numbers: parameters come with each call.
#[derive(Clone, Debug)]
pub struct VariationalFlow {
    layout: Layout,
    features: usize,
    /// ε → θ.
    draw: Arc<Graph>,
    /// θ → (ε, log q).
    scored: Arc<Graph>,
}

impl VariationalFlow {
    /// Checks the sizes and builds the graphs.
    ///
    /// # Errors
    /// A size that is out of range, or a family that is no flow on ℝᴰ with an exact inverse: mixtures, flows of angles, `cnf`.
    pub fn new(density: &DensitySpec, features: usize) -> Result<Self, SpecError> {
        density.check()?;
        check_range(density.family(), "number of parameters", features, 1, 4096)?;
        let mixture = matches!(density, DensitySpec::Mdn { .. } | DensitySpec::Made { .. } | DensitySpec::Cnf { .. });
        if mixture || density.space() == Space::Angles {
            return Err(SpecError::NoFlow { family: density.family() });
        }
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let theta = g.input(features);
        let (noise, mut terms) = build::flow(&mut g, density, theta, None, Direction::Forward);
        terms.insert(0, noise);
        let log_q = g.apply(NormalBase, &terms);
        let scored = Arc::new(g.finish(&[noise, log_q]));
        let mut g = GraphBuilder::new(&mut layout);
        let noise = g.input(features);
        let (theta, _) = build::flow(&mut g, density, noise, None, Direction::Inverse);
        let draw = Arc::new(g.finish(&[theta]));
        Ok(Self { layout, features, draw, scored })
    }

    /// Names, shapes and starts of the parameters.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// D.
    pub const fn features(&self) -> usize {
        self.features
    }

    /// Memory of one thread.
    pub fn work(&self, simd: Simd) -> VariationalWork {
        VariationalWork {
            simd,
            features: self.features,
            draw: Frame::new(&self.draw, Purpose::Evaluate, CHUNK_ROWS),
            scored: Frame::new(&self.scored, Purpose::InputGradients, CHUNK_ROWS),
            jacobian: vec![0.0; CHUNK_ROWS * self.features * self.features],
            pull: vec![0.0; CHUNK_ROWS * self.features],
            gradient: vec![0.0; self.layout.len()],
            mask: self.layout.gradient_mask().map(<[f32]>::to_vec),
        }
    }
}

/// The memory in which one thread runs flows of one [`VariationalFlow`]; all arrays are row-major. Nothing is allocated after construction.
#[derive(Debug)]
pub struct VariationalWork {
    simd: Simd,
    features: usize,
    draw: Frame,
    scored: Frame,
    /// ∂ε/∂θ (rows, D, D).
    jacobian: Vec<f64>,
    /// h, then J⁻ᵀ h (rows, D).
    pull: Vec<f64>,
    gradient: Vec<f32>,
    mask: Option<Vec<f32>>,
}

impl VariationalWork {
    /// θ of each row of `noise` (n, D).
    pub fn draw(&mut self, params: &[f32], noise: &[f32], theta: &mut [f32]) {
        let d = self.features;
        for (noise, theta) in noise.chunks(CHUNK_ROWS * d).zip(theta.chunks_mut(CHUNK_ROWS * d)) {
            let rows = noise.len() / d;
            self.draw.begin(rows);
            rows_into(noise, d, 0..rows, &mut self.draw, 0, |r| r);
            self.draw.forward(self.simd, params);
            rows_from(self.draw.output(0), self.draw.lanes(), rows, theta);
        }
    }

    /// log q of each row of `theta` (n, D).
    pub fn log_prob(&mut self, params: &[f32], theta: &[f32], log_q: &mut [f32]) {
        for (theta, log_q) in theta.chunks(CHUNK_ROWS * self.features).zip(log_q.chunks_mut(CHUNK_ROWS)) {
            self.score(params, theta);
            log_q.copy_from_slice(&self.scored.output(1)[..log_q.len()]);
        }
    }

    /// As [`VariationalWork::log_prob`] for the flow whose noise has the variance `temperature` in place of 1: a density that is narrower where that is below 1.
    pub fn cooled_log_prob(&mut self, params: &[f32], theta: &[f32], temperature: f64, log_q: &mut [f32]) {
        let d = self.features;
        for (theta, log_q) in theta.chunks(CHUNK_ROWS * d).zip(log_q.chunks_mut(CHUNK_ROWS)) {
            self.score(params, theta);
            let (noise, score, lanes) = (self.scored.output(0), self.scored.output(1), self.scored.lanes());
            for (r, log_q) in log_q.iter_mut().enumerate() {
                let square: f64 = (0..d).map(|k| f64::from(noise[k * lanes + r]).powi(2)).sum();
                let change = 0.5 * square * (1.0 - 1.0 / temperature) - 0.5 * d as f64 * libm::log(temperature);
                *log_q = (f64::from(score[r]) + change) as f32;
            }
        }
    }

    /// The gradient of -Σ_r w_r log q(θ_r) by the parameters, the θ_r being fixed: maximum likelihood, and KL(π ‖ q) where w ∝ π/q. Writes log q and
    /// returns the gradient's Euclidean norm.
    pub fn likelihood_gradient(&mut self, params: &[f32], theta: &[f32], weights: &[f32], log_q: &mut [f32]) -> f64 {
        let d = self.features;
        self.gradient.fill(0.0);
        for ((theta, weights), log_q) in theta.chunks(CHUNK_ROWS * d).zip(weights.chunks(CHUNK_ROWS)).zip(log_q.chunks_mut(CHUNK_ROWS)) {
            self.score(params, theta);
            log_q.copy_from_slice(&self.scored.output(1)[..log_q.len()]);
            self.scored.output_gradient_mut(0).fill(0.0);
            let seed = self.scored.output_gradient_mut(1);
            seed.fill(0.0);
            seed.iter_mut().zip(weights).for_each(|(seed, w)| *seed = -w);
            self.scored.backward(self.simd, params, Some(&mut self.gradient));
        }
        self.masked_norm()
    }

    /// The gradient of Σ_r w_r [log q(θ_r) - log π(θ_r)] by the parameters, the θ_r being draws that move with them: KL(q ‖ π) where w = 1/n. `slope` (n, D)
    /// is ∇ log π(θ_r).
    ///
    /// This is the path derivative: the dependence of log q on the parameters at fixed θ, whose expectation is zero, is left out (Roeder, Wu & Duvenaud
    /// 2017, arXiv:1703.09194), so that no noise is left where q = π. Writes log q and returns the gradient's Euclidean norm. Rows of weight 0 may hold
    /// anything.
    pub fn path_gradient(&mut self, params: &[f32], theta: &[f32], slope: &[f32], weights: &[f32], log_q: &mut [f32]) -> f64 {
        let d = self.features;
        self.gradient.fill(0.0);
        let blocks = theta.chunks(CHUNK_ROWS * d).zip(slope.chunks(CHUNK_ROWS * d)).zip(weights.chunks(CHUNK_ROWS));
        for (((theta, slope), weights), log_q) in blocks.zip(log_q.chunks_mut(CHUNK_ROWS)) {
            let rows = weights.len();
            self.score(params, theta);
            log_q.copy_from_slice(&self.scored.output(1)[..rows]);
            let lanes = self.scored.lanes();
            // h = ∇ log π - ∇ log q.
            self.scored.output_gradient_mut(0).fill(0.0);
            let seed = self.scored.output_gradient_mut(1);
            seed.fill(0.0);
            seed[..rows].fill(1.0);
            self.scored.backward(self.simd, params, None);
            let by_theta = self.scored.input_gradient(0).unwrap_or(&[]);
            for r in 0..rows {
                for k in 0..d {
                    self.pull[r * d + k] = f64::from(slope[r * d + k]) - f64::from(by_theta[k * lanes + r]);
                }
            }
            for k in 0..d {
                self.scored.output_gradient_mut(1).fill(0.0);
                let seed = self.scored.output_gradient_mut(0);
                seed.fill(0.0);
                seed[k * lanes..k * lanes + rows].fill(1.0);
                self.scored.backward(self.simd, params, None);
                let by_theta = self.scored.input_gradient(0).unwrap_or(&[]);
                for r in 0..rows {
                    for j in 0..d {
                        // Transposed: row j holds ∂ε_k/∂θ_j for all k.
                        self.jacobian[(r * d + j) * d + k] = f64::from(by_theta[j * lanes + r]);
                    }
                }
            }
            self.scored.output_gradient_mut(1).fill(0.0);
            let seed = self.scored.output_gradient_mut(0);
            seed.fill(0.0);
            let systems = self.jacobian.chunks_exact_mut(d * d).zip(self.pull.chunks_exact_mut(d));
            for (r, ((matrix, pull), &weight)) in systems.zip(weights).enumerate() {
                if weight == 0.0 {
                    continue;
                }
                solve(matrix, pull);
                // The loss has -log π + log q: the sign of h is turned once more.
                for k in 0..d {
                    seed[k * lanes + r] = weight * pull[k] as f32;
                }
            }
            self.scored.backward(self.simd, params, Some(&mut self.gradient));
        }
        self.masked_norm()
    }

    /// The instruction set.
    pub const fn simd(&self) -> Simd {
        self.simd
    }

    /// The gradient last computed.
    pub fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    fn score(&mut self, params: &[f32], theta: &[f32]) {
        let rows = theta.len() / self.features;
        self.scored.begin(rows);
        rows_into(theta, self.features, 0..rows, &mut self.scored, 0, |r| r);
        self.scored.forward(self.simd, params);
    }

    fn masked_norm(&mut self) -> f64 {
        if let Some(mask) = &self.mask {
            self.gradient.iter_mut().zip(mask).for_each(|(g, m)| *g *= m);
        }
        self.gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt()
    }
}

/// Overwrites `b` with the solution of A x = b by elimination with row pivots; A (D, D) row-major is destroyed. A singular A gives numbers that are not
/// finite.
fn solve(a: &mut [f64], b: &mut [f64]) {
    let d = b.len();
    for column in 0..d {
        let pivot = (column..d).max_by(|&i, &j| a[i * d + column].abs().total_cmp(&a[j * d + column].abs())).unwrap_or(column);
        if pivot != column {
            (0..d).for_each(|k| a.swap(pivot * d + k, column * d + k));
            b.swap(pivot, column);
        }
        for row in column + 1..d {
            let factor = a[row * d + column] / a[column * d + column];
            (column..d).for_each(|k| a[row * d + k] -= factor * a[column * d + k]);
            b[row] -= factor * b[column];
        }
    }
    for row in (0..d).rev() {
        let known: f64 = (row + 1..d).map(|k| a[row * d + k] * b[k]).sum();
        b[row] = (b[row] - known) / a[row * d + row];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SplineSpec;
    use abduce_data::Seed;

    fn families() -> Vec<DensitySpec> {
        vec![
            DensitySpec::Maf { transforms: 3, hidden: vec![8, 8] },
            DensitySpec::Nsf { transforms: 2, hidden: 8, blocks: 1, spline: SplineSpec { bins: 5, bound: 4.0 } },
            DensitySpec::Nice { transforms: 2, hidden: vec![8] },
            DensitySpec::Gf { transforms: 2, hidden: vec![8], components: 4 },
            DensitySpec::Sospf { transforms: 2, hidden: vec![8], polynomials: 2, degree: 2, bound: 8.0 },
            DensitySpec::Naf { transforms: 1, hidden: vec![8], signal: 6 },
            DensitySpec::Unaf { transforms: 1, hidden: vec![8], signal: 6, bound: 8.0 },
        ]
    }

    /// N(1, ¼) in each coordinate, coupled by a product: any smooth log π will do.
    fn log_pi(x: &[f64]) -> f64 {
        x.iter().map(|x| -2.0 * (x - 1.0).powi(2)).sum::<f64>() - 0.3 * x.iter().product::<f64>()
    }

    /// Mean of log π over draws of fixed noise as a function of one parameter, by central differences, against -(path gradient) with log q's part taken
    /// out: a gradient with slope ∇log π + ∇log q has h = ∇log π. Draws in f32 carry errors of 1e-6, a step of 0.01 makes 1e-4 of them, and its third
    /// derivative as much.
    #[test]
    fn gradients_reach_the_parameters_through_draws() {
        let (d, rows) = (3, 40);
        for density in families() {
            let flow = VariationalFlow::new(&density, d).unwrap();
            let mut rng = Seed(5).stream("variational", 0);
            let mut params = flow.layout().initialise(Seed(4));
            let mask = flow.layout().gradient_mask().map(<[f32]>::to_vec);
            for (i, p) in params.iter_mut().enumerate() {
                *p += 0.1 * rng.normal() as f32 * mask.as_ref().map_or(1.0, |m| m[i]);
            }
            let noise: Vec<f32> = (0..rows * d).map(|_| rng.normal() as f32).collect();
            let mut work = flow.work(Simd::best());
            let mut theta = vec![0.0; rows * d];
            let mut value = |work: &mut VariationalWork, params: &[f32]| {
                work.draw(params, &noise, &mut theta);
                let wide: Vec<f64> = theta.iter().map(|&t| f64::from(t)).collect();
                wide.chunks(d).map(log_pi).sum::<f64>() / rows as f64
            };
            value(&mut work, &params);
            let mut theta = vec![0.0; rows * d];
            work.draw(&params, &noise, &mut theta);
            let mut log_q = vec![0.0; rows];
            // ∇ log q by differences of the score itself.
            let mut slope = vec![0.0f32; rows * d];
            for r in 0..rows {
                for k in 0..d {
                    let at = |h: f32, work: &mut VariationalWork| {
                        let mut moved = theta[r * d..(r + 1) * d].to_vec();
                        moved[k] += h;
                        let mut out = [0.0];
                        work.log_prob(&params, &moved, &mut out);
                        f64::from(out[0])
                    };
                    let x: Vec<f64> = theta[r * d..(r + 1) * d].iter().map(|&t| f64::from(t)).collect();
                    let rest: f64 = (0..d).filter(|&j| j != k).map(|j| x[j]).product();
                    let of_pi = -4.0 * (x[k] - 1.0) - 0.3 * rest;
                    let of_q =
                        (at(5e-3, &mut work) - at(-5e-3, &mut work)) / f64::from((theta[r * d + k] + 5e-3) - (theta[r * d + k] - 5e-3));
                    slope[r * d + k] = (of_pi + of_q) as f32;
                }
            }
            work.path_gradient(&params, &theta, &slope, &vec![1.0 / rows as f32; rows], &mut log_q);
            let gradient = work.gradient().to_vec();
            let scale = gradient.iter().map(|g| g.abs()).fold(0.0, f32::max);
            let mut checked = 0;
            for i in (0..params.len()).step_by(1 + params.len() / 40) {
                if mask.as_ref().is_some_and(|m| m[i] == 0.0) {
                    continue;
                }
                let mut moved = params.clone();
                moved[i] = params[i] + 0.01;
                let up = value(&mut work, &moved);
                moved[i] = params[i] - 0.01;
                let down = value(&mut work, &moved);
                let numeric = -(up - down) / 0.02;
                let found = f64::from(gradient[i]);
                assert!((numeric - found).abs() < 0.01 * f64::from(scale) + 1e-3, "{}: {found} instead of {numeric}", density.family());
                checked += 1;
            }
            assert!(checked > 10 && scale > 0.01, "{}: {checked} parameters, scale {scale}", density.family());
        }
    }

    /// Against differences of the weighted log-likelihood.
    #[test]
    fn likelihood_gradients_are_those_of_the_density() {
        let (d, rows) = (2, 70);
        for density in families() {
            let flow = VariationalFlow::new(&density, d).unwrap();
            let mut rng = Seed(6).stream("variational", 0);
            let params = flow.layout().initialise(Seed(4));
            let theta: Vec<f32> = (0..rows * d).map(|_| rng.normal() as f32).collect();
            let weights: Vec<f32> = (0..rows).map(|_| rng.uniform() as f32 / rows as f32).collect();
            let (mut work, mut log_q) = (flow.work(Simd::best()), vec![0.0; rows]);
            work.likelihood_gradient(&params, &theta, &weights, &mut log_q);
            let gradient = work.gradient().to_vec();
            let mut value = |params: &[f32]| {
                work.log_prob(params, &theta, &mut log_q);
                -log_q.iter().zip(&weights).map(|(q, w)| f64::from(*q) * f64::from(*w)).sum::<f64>()
            };
            let mask = flow.layout().gradient_mask();
            for i in (0..params.len()).step_by(1 + params.len() / 20).filter(|&i| mask.is_none_or(|m| m[i] != 0.0)) {
                let mut moved = params.clone();
                moved[i] += 0.01;
                let up = value(&moved);
                moved[i] -= 0.02;
                let numeric = (up - value(&moved)) / 0.02;
                assert!((numeric - f64::from(gradient[i])).abs() < 2e-3, "{}: {} instead of {numeric}", density.family(), gradient[i]);
            }
        }
    }

    #[test]
    fn families_without_an_exact_inverse_are_refused() {
        let mixture = DensitySpec::Mdn { hidden: vec![8], components: 2 };
        let angles = DensitySpec::Ncsf { transforms: 1, hidden: vec![8], bins: 4 };
        for density in [mixture, angles] {
            assert!(matches!(VariationalFlow::new(&density, 2), Err(SpecError::NoFlow { .. })));
        }
    }
}
