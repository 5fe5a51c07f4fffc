//! The most probable parameters.

use super::{Posterior, PosteriorError};
use abduce_data::Seed;
use abduce_density::Indexed;
use abduce_nn::Compute;

/// A maximum of the posterior density of θ.
#[derive(Clone, Debug, PartialEq)]
pub struct MapEstimate {
    /// θ (d).
    pub theta: Vec<f64>,
    /// log q(θ | x) there.
    pub log_prob: f64,
}

/// Draws among which the starts are chosen, and the number of starts.
const CANDIDATES: usize = 1000;
const STARTS: usize = 16;
const STEPS: usize = 300;

impl Posterior {
    /// Gradient ascent on log q(θ | x) from the best of some draws, for each row of `x`.
    ///
    /// The climb is made in z, the standardised unconstrained parameters, with steps that grow while they help and shrink where they don't;
    /// the density is that of θ (a maximum of a density depends on its coordinates).
    ///
    /// # Errors
    /// Shapes that don't fit, or a datum that is not finite.
    pub fn map(&self, compute: &Compute, x: &[f32], seed: Seed) -> Result<Vec<MapEstimate>, PosteriorError> {
        let (width, d) = (self.x_len(), self.dimension());
        let all = self.sample(compute, x, CANDIDATES, seed)?;
        x.chunks_exact(width)
            .zip(all.chunks_exact(CANDIDATES * d))
            .map(|(x, draws)| {
                let scores = self.log_prob(compute, draws, x, |_| 0)?;
                let mut order: Vec<usize> = (0..CANDIDATES).collect();
                order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
                let starts: Vec<f32> = order[..STARTS].iter().flat_map(|&i| draws[i * d..(i + 1) * d].iter().copied()).collect();
                self.climb(compute, &starts, x)
            })
            .collect()
    }

    fn climb(&self, compute: &Compute, starts: &[f32], x: &[f32]) -> Result<MapEstimate, PosteriorError> {
        let d = self.dimension();
        let input = self.network_input(x)?;
        let (mut z, _) = self.unconstrained(compute, starts)?;
        let (mut value, mut gradient) = self.objective(compute, &z, &input)?;
        let mut size = [0.05f64; STARTS];
        for _ in 0..STEPS {
            let mut trial = z.clone();
            for s in 0..STARTS {
                let g = &gradient[s * d..(s + 1) * d];
                let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt().max(1e-12);
                for j in 0..d {
                    trial[s * d + j] += (size[s] * g[j] / norm) as f32;
                }
            }
            let (next, next_gradient) = self.objective(compute, &trial, &input)?;
            for s in 0..STARTS {
                if next[s] > value[s] {
                    size[s] *= 1.3;
                    value[s] = next[s];
                    z[s * d..(s + 1) * d].copy_from_slice(&trial[s * d..(s + 1) * d]);
                    gradient[s * d..(s + 1) * d].copy_from_slice(&next_gradient[s * d..(s + 1) * d]);
                } else {
                    size[s] *= 0.4;
                }
            }
            if size.iter().all(|&s| s < 1e-6) {
                break;
            }
        }
        let best = (0..STARTS).max_by(|&a, &b| value[a].total_cmp(&value[b])).unwrap_or(0);
        let mut theta = z[best * d..(best + 1) * d].to_vec();
        self.constrain(compute, &mut theta);
        Ok(MapEstimate { theta: theta.iter().map(|&t| f64::from(t)).collect(), log_prob: value[best] })
    }

    /// log q(θ | x) as a function of z, and its gradient by z.
    fn objective(&self, compute: &Compute, z: &[f32], input: &[f32]) -> Result<(Vec<f64>, Vec<f64>), PosteriorError> {
        let (d, n) = (self.dimension(), z.len() / self.dimension());
        let parts: Vec<_> = self
            .members
            .iter()
            .map(|m| m.network.gradient(compute, &m.params, n, Indexed { table: z, row: |r| r }, Indexed { table: input, row: |_| 0 }))
            .collect::<Result<_, _>>()?;
        let (mean, std) = (self.theta_scale.mean(), self.theta_scale.std());
        let log_derivative = |j: usize, z: f64| self.transform.parameters[j].log_derivative(z * std[j] + mean[j]);
        let (mut value, mut gradient) = (vec![0.0; n], vec![0.0; n * d]);
        for r in 0..n {
            let mixed = self.mix(|k| f64::from(parts[k].0[r]));
            let jacobian: f64 = (0..d).map(|j| log_derivative(j, f64::from(z[r * d + j]))).sum();
            value[r] = mixed - jacobian + self.theta_scale.log_abs_det();
            for j in 0..d {
                let at = f64::from(z[r * d + j]);
                // The bijections are smooth on the scale of 1; the step's error is far below the climb's tolerance.
                let slope = (log_derivative(j, at + 1e-4) - log_derivative(j, at - 1e-4)) / 2e-4;
                let pull: f64 = (0..parts.len())
                    .filter(|&k| self.weights[k] > 0.0)
                    .map(|k| (self.weights[k].ln() + f64::from(parts[k].0[r]) - mixed).exp() * f64::from(parts[k].1[r * d + j]))
                    .sum();
                gradient[r * d + j] = pull - slope;
            }
        }
        Ok((value, gradient))
    }
}
