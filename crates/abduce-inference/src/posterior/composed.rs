//! Several independent data of one θ, by adding the scores of a vector field.

use super::{Network, Posterior, PosteriorError};
use abduce_data::Seed;
use abduce_diffusion::Langevin;
use abduce_diffusion::schedule::Marginal;
use abduce_nn::Compute;

/// Nodes of each coordinate of a noised prior.
const NODES: usize = 256;
/// Draws that its range is taken from.
const RANGE_DRAWS: usize = 4096;
/// Noise below this many spacings of the nodes is as good as none.
const RESOLVED: f64 = 1.5;

/// ∇ ln of the prior of z with noise, ∫ p(z_0) N(z; m z_0, σ²) dz_0, by a sum over nodes in each coordinate.
///
/// Of a joint prior, whose integral has as many dimensions as parameters, ∇ ln p(z) m²/(m² + σ²): the same for no noise, and for pure noise to
/// first order.
struct NoisedPrior<'a> {
    posterior: &'a Posterior,
    /// One per coordinate; none for a joint prior.
    axes: Option<Vec<Axis>>,
}

struct Axis {
    first: f64,
    spacing: f64,
    /// ln p_j at the nodes, up to a constant.
    log_density: Vec<f64>,
}

impl<'a> NoisedPrior<'a> {
    fn new(posterior: &'a Posterior) -> Self {
        if !posterior.prior.is_product() {
            return Self { posterior, axes: None };
        }
        let d = posterior.dimension();
        let draws = posterior.prior_draws(RANGE_DRAWS, Seed(0).derive("noised prior", 0));
        let axis = |j: usize| {
            let column = || draws.iter().skip(j).step_by(d).copied();
            let (low, high) = (column().fold(f64::INFINITY, f64::min), column().fold(f64::NEG_INFINITY, f64::max));
            // What 4096 draws have not reached by a quarter of their range is not worth a node.
            let (first, spacing) = (low - 0.25 * (high - low), 1.5 * (high - low) / (NODES - 1) as f64);
            let points: Vec<f64> = (0..NODES)
                .flat_map(|k| {
                    // Independent: where the others are is a constant factor.
                    let mut point = draws[..d].to_vec();
                    point[j] = first + spacing * k as f64;
                    point
                })
                .collect();
            let mut log_density = vec![0.0; NODES];
            posterior.log_prior_of_rows(&points, &mut log_density);
            Axis { first, spacing, log_density }
        };
        Self { posterior, axes: Some((0..d).map(axis).collect()) }
    }

    fn score(&self, z: &[f64], at: &Marginal, out: &mut [f64]) {
        let exact = |out: &mut [f64]| {
            let clean: Vec<f64> = z.iter().map(|z| z / at.mean).collect();
            self.posterior.prior_score_of_z(&clean, out);
        };
        let Some(axes) = &self.axes else {
            self.posterior.prior_score_of_z(z, out);
            out.iter_mut().for_each(|s| *s *= at.cos * at.cos);
            return;
        };
        let resolved = |axis: &Axis| at.std > RESOLVED * at.mean * axis.spacing;
        if !axes.iter().all(resolved) {
            exact(out);
        }
        for ((axis, &z), out) in axes.iter().zip(z).zip(out).filter(|((axis, _), _)| resolved(axis)) {
            *out = axis.score(z, at);
        }
    }
}

impl Axis {
    /// [E(m z_0 | z) − z]/σ².
    fn score(&self, z: f64, at: &Marginal) -> f64 {
        let node = |k: usize| at.mean * (self.first + self.spacing * k as f64);
        let exponent = |k: usize| self.log_density[k] - 0.5 * ((z - node(k)) / at.std).powi(2);
        let top = (0..NODES).map(exponent).fold(f64::NEG_INFINITY, f64::max);
        let (mut total, mut pull) = (0.0, 0.0);
        for k in 0..NODES {
            let share = libm::exp(exponent(k) - top);
            total += share;
            pull += share * (node(k) - z);
        }
        pull / (total * at.std * at.std)
    }
}

impl Posterior {
    /// `draws` draws for each observation, `trials` independent data of which stand one after the other in the rows of `x` (m · trials, …), of networks
    /// that are scores (NPSE): (m, draws, d).
    ///
    /// p(θ | x_1, …, x_n) ∝ p(θ)^{1−n} Π_i p(θ | x_i) by annealed Langevin steps along the sum of the scores (Geffner et al. 2022, arXiv:2209.14249);
    /// errors of the scores add up, so n in the tens is the most that a network trained on single data bears. Each draw is one network's, chosen by
    /// its weight. The same seed gives the same draws for any number of threads, and an observation's draws do not depend on the others.
    ///
    /// # Errors
    /// Shapes that don't fit, a datum that is not finite, networks of another kind, or steps that leave the range of numbers.
    pub fn sample_composed(
        &self,
        compute: &Compute,
        (x, trials): (&[f32], usize),
        draws: usize,
        method: &Langevin,
        seed: Seed,
    ) -> Result<Vec<f32>, PosteriorError> {
        let (d, rows) = (self.dimension(), self.network_input(x)?);
        let data = rows.len() / self.x_len();
        if trials == 0 || !data.is_multiple_of(trials) {
            return Err(PosteriorError::Trials { rows: data, trials });
        }
        if !self.composes() {
            return Err(PosteriorError::OneDatum { trials });
        }
        let prior = NoisedPrior::new(self);
        let score = |z: &[f64], at: &Marginal, out: &mut [f64]| prior.score(z, at, out);
        let mut out = vec![0.0f32; data / trials * draws * d];
        for (i, (x, out)) in rows.chunks_exact(trials * self.x_len()).zip(out.chunks_exact_mut(draws * d)).enumerate() {
            let own = seed.derive("observation", i as u64);
            let mut rng = own.stream("member", 0);
            let choices: Vec<usize> = (0..draws).map(|_| if self.members.len() > 1 { self.choose(rng.uniform()) } else { 0 }).collect();
            for (k, member) in self.members.iter().enumerate() {
                let Network::Field(field) = &member.network else { return Err(PosteriorError::OneDatum { trials }) };
                let count = choices.iter().filter(|&&m| m == k).count();
                let z = field.sample_composed(compute, &member.params, x, count, &score, method, own.derive("net", k as u64))?;
                let mut next = z.chunks_exact(d);
                for (out, _) in out.chunks_exact_mut(d).zip(&choices).filter(|(_, m)| **m == k) {
                    if let Some(z) = next.next() {
                        out.copy_from_slice(z);
                    }
                }
            }
        }
        self.constrain(compute, &mut out);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N(0, s²) with noise: −z/(m² s² + σ²); a box [−1, 1]: the ratio of the Gaussian's difference at the edges to its mass between them. Tolerances are
    /// those of a rule of spacing h < σ/1.5 on a Gaussian: exp(−2π²/1.5²) = 2e-4, and of the box's edges, which fall between nodes.
    #[test]
    fn nodes_give_the_score_of_the_noised_prior() {
        let node = |k: usize| -6.0 + 12.0 * k as f64 / (NODES - 1) as f64;
        let normal =
            Axis { first: -6.0, spacing: 12.0 / (NODES - 1) as f64, log_density: (0..NODES).map(|k| -0.5 * node(k).powi(2)).collect() };
        for (mean, std) in [(1.0, 0.08), (1.0, 3.0), (0.3, 0.9)] {
            let at = Marginal::new(mean, std);
            for z in [-2.0, 0.1, 1.5] {
                let exact = -z / (mean * mean + std * std);
                assert!((normal.score(z, &at) - exact).abs() < 1e-3 * (1.0 + exact.abs()), "{mean} {std} {z}");
            }
        }
        let inside = |z: f64| if z.abs() < 1.0 { 0.0 } else { f64::NEG_INFINITY };
        let uniform = Axis { log_density: (0..NODES).map(|k| inside(node(k))).collect(), ..normal };
        let phi = |t: f64| (-0.5 * t * t).exp() / std::f64::consts::TAU.sqrt();
        let mass = |t: f64| 0.5 * libm::erfc(-t / 2f64.sqrt());
        for (std, z) in [(0.3, 1.4), (0.3, 0.9), (2.0, -3.0)] {
            let (a, b) = ((-1.0 - z) / std, (1.0 - z) / std);
            let exact = (phi(a) - phi(b)) / (std * (mass(b) - mass(a)));
            let found = uniform.score(z, &Marginal::new(1.0, std));
            assert!((found - exact).abs() < 0.03 * (1.0 + exact.abs()), "{std} {z}: {found} instead of {exact}");
        }
    }
}
