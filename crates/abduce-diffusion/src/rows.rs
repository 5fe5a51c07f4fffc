//! Training rows: pairs with noise and times added.

use crate::objective::Objective;
use crate::schedule::NoiseSchedule;
use abduce_data::{Rng, Seed};
use abduce_nn::trainer::{RowSource, Rows};

/// What noise and times depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseRole {
    /// On the epoch and the row's position in its pass: fresh ones every epoch.
    Training,
    /// On the position alone: every pass scores the same noisy rows, so that the validation score changes with the weights only. Each row
    /// is repeated at `times` times, one in each `1/times`-th of their law.
    Validation {
        /// Times per row; at least one.
        times: usize,
    },
}

/// A source of pairs (θ, x) turned into one for [`FieldEstimator::joint`](crate::FieldEstimator::joint).
///
/// Within a pass, times are a Kronecker sequence u_i = frac(u₀ + i (√5 - 1)/2) with u₀ uniform: any run of consecutive rows covers [0, 1)
/// evenly, which takes the variance of the times out of a batch's gradient (Kingma et al. 2021, arXiv:2107.00630, appendix I.1), and each
/// u_i alone is uniform. Noise and times are functions of (seed, role, epoch, position): they do not depend on the batches.
#[derive(Debug)]
pub struct NoisyRows<S> {
    source: S,
    schedule: NoiseSchedule,
    objective: Objective,
    /// 1/mean of w.
    scale: f64,
    role: NoiseRole,
    seed: Seed,
    features: usize,
    pairs: Rows,
    noise: Rng,
    offset: f64,
    position: u64,
}

/// (√5 - 1)/2
const GOLDEN: f64 = 0.618_033_988_749_894_9;

impl<S> NoisyRows<S> {
    /// Wraps a source whose first table is θ with `features` columns and whose second, if there is one, is x. Weights of the pairs are
    /// passed on.
    pub fn new(source: S, features: usize, schedule: NoiseSchedule, objective: Objective, role: NoiseRole, seed: Seed) -> Self {
        let noise = seed.stream("noise", 0);
        let scale = 1.0 / objective.mean_weight(&schedule);
        Self { source, schedule, objective, scale, role, seed, features, pairs: Rows::default(), noise, offset: 0.0, position: 0 }
    }

    fn write(&mut self, rows: &mut Rows, n: usize, times: usize) {
        let d = self.features;
        for table in &mut rows.inputs {
            table.clear();
        }
        // In the order of the training graph's inputs; with an x, its table comes last.
        let [state, label, target, coefficients, extra @ ..] = &mut rows.inputs[..] else { return };
        for theta in self.pairs.inputs[0][..n * d].chunks_exact(d) {
            let base = fraction(self.offset + self.position as f64 * GOLDEN);
            for k in 0..times {
                let u = (k as f64 + base) / times as f64;
                let t = self.objective.time(&self.schedule, u, &mut self.noise);
                let at = self.schedule.marginal(t);
                let weight = self.scale * self.objective.weight(&self.schedule, t);
                label.push(self.schedule.label(t) as f32);
                let controlled = self.objective.control_variate_below.is_some_and(|below| at.std < below);
                let mut offset = 0.0;
                for &theta in theta {
                    let (theta, noise) = (f64::from(theta), self.noise.normal());
                    let (y, f) = at.reflect(theta, noise);
                    state.push(y as f32);
                    target.push(f as f32);
                    if self.objective.is_controlled() {
                        // λ[2 ε·s₀/σ + (‖ε‖² - d)/σ²] with λ = w σ²/cos²φ and s₀ = (F₀ cos φ - y₀ sin φ)/σ at y₀ = θ cos φ.
                        let on = if controlled { weight / at.cos } else { 0.0 };
                        extra[0].push((at.cos * theta) as f32);
                        extra[1].push((2.0 * on * noise) as f32);
                        offset += on * (2.0 * at.sin * noise * theta - (noise * noise - 1.0) / at.cos);
                    }
                }
                coefficients.extend([weight as f32, offset as f32]);
            }
            self.position += 1;
        }
        rows.weights.clear();
        for &weight in &self.pairs.weights {
            rows.weights.extend(std::iter::repeat_n(weight, times));
        }
        let Some(x) = self.pairs.inputs.get_mut(1) else { return };
        let Some(last) = rows.inputs.last_mut() else { return };
        if times == 1 {
            // The pairs get the table's memory for their next rows.
            std::mem::swap(x, last);
        } else {
            let width = x.len() / n;
            x.chunks_exact(width).for_each(|row| (0..times).for_each(|_| last.extend_from_slice(row)));
        }
    }
}

fn fraction(x: f64) -> f64 {
    x - x.floor()
}

impl<S: RowSource> RowSource for NoisyRows<S> {
    type Error = S::Error;

    fn start(&mut self, epoch: u64) {
        self.source.start(epoch);
        let (purpose, index) = match self.role {
            NoiseRole::Training => ("training noise", epoch),
            NoiseRole::Validation { .. } => ("validation noise", 0),
        };
        self.noise = self.seed.stream(purpose, index);
        self.offset = self.noise.uniform();
        self.position = 0;
    }

    fn next(&mut self, rows: &mut Rows) -> Result<usize, S::Error> {
        let n = self.source.next(&mut self.pairs)?;
        if n == 0 {
            return Ok(0);
        }
        let times = match self.role {
            NoiseRole::Training => 1,
            NoiseRole::Validation { times } => times.max(1),
        };
        let own = if self.objective.is_controlled() { 6 } else { 4 };
        let tables = own + usize::from(self.pairs.inputs.len() > 1);
        rows.inputs.resize_with(tables, Vec::new);
        self.write(rows, n, times);
        Ok(n * times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// θ = row number /10, x = -θ, in batches of `batch`.
    struct Pairs {
        rows: usize,
        batch: usize,
        next: usize,
    }

    impl RowSource for Pairs {
        type Error = std::convert::Infallible;
        fn start(&mut self, _epoch: u64) {
            self.next = 0;
        }
        fn next(&mut self, rows: &mut Rows) -> Result<usize, Self::Error> {
            let n = self.batch.min(self.rows - self.next);
            let theta: Vec<f32> = (self.next..self.next + n).flat_map(|r| [r as f32 / 10.0, 1.0]).collect();
            let x = (self.next..self.next + n).map(|r| -(r as f32)).collect();
            rows.inputs = vec![theta, x];
            rows.weights = (self.next..self.next + n).map(|r| 1.0 + r as f32).collect();
            self.next += n;
            Ok(n)
        }
    }

    /// All rows of one pass, table by table, and the weights.
    fn pass(batch: usize, role: NoiseRole, epoch: u64) -> (Vec<Vec<f32>>, Vec<f32>) {
        let schedule = NoiseSchedule::ve();
        let source = Pairs { rows: 50, batch, next: 0 };
        let mut noisy = NoisyRows::new(source, 2, schedule, Objective::of(&schedule), role, Seed(3));
        noisy.start(epoch);
        let (mut rows, mut all, mut weights) = (Rows::default(), vec![Vec::new(); 7], Vec::new());
        while noisy.next(&mut rows).unwrap() > 0 {
            assert_eq!(rows.inputs.len(), 7);
            all.iter_mut().zip(&rows.inputs).for_each(|(all, part)| all.extend_from_slice(part));
            weights.extend_from_slice(&rows.weights);
        }
        (all, weights)
    }

    #[test]
    fn noise_is_fresh_in_training_fixed_in_validation_and_independent_of_batches() {
        let (training, validation) = (NoiseRole::Training, NoiseRole::Validation { times: 4 });
        assert_eq!(pass(7, training, 1), pass(50, training, 1));
        assert_ne!(pass(7, training, 1).0[0], pass(7, training, 2).0[0]);
        assert_eq!(pass(7, validation, 1), pass(50, validation, 2));
        assert_ne!(pass(7, training, 0).0[0][..2], pass(7, validation, 0).0[0][..2]);
        let (tables, weights) = pass(7, validation, 0);
        assert_eq!(
            (tables[1].len(), tables[6][..5].to_vec(), weights[..5].to_vec()),
            (200, vec![0.0, 0.0, 0.0, 0.0, -1.0], vec![1.0, 1.0, 1.0, 1.0, 2.0])
        );
        // VE's label is its time: one in each quarter.
        for row in tables[1].chunks(4) {
            assert!(row.iter().enumerate().all(|(k, &t)| (k as f32 / 4.0..(k + 1) as f32 / 4.0).contains(&t)), "{row:?}");
        }
    }

    /// No gap between any 21 consecutive times reaches 3/21: the mean largest gap of independent ones.
    #[test]
    fn times_of_consecutive_rows_cover_their_range() {
        let (tables, _) = pass(7, NoiseRole::Training, 5);
        for window in tables[1].windows(21) {
            let mut sorted = window.to_vec();
            sorted.sort_by(f32::total_cmp);
            let gap = sorted.windows(2).map(|w| w[1] - w[0]).fold(0.0, f32::max);
            assert!(gap < 3.0 / 21.0, "{sorted:?}");
        }
    }

    /// The tables are the reflection of (θ, ε): taking them apart again gives standard normal noise and the θ of the source.
    #[test]
    fn states_and_targets_hold_theta_and_unit_noise() {
        let (tables, _) = pass(50, NoiseRole::Training, 0);
        let schedule = NoiseSchedule::ve();
        let mut squares = 0.0;
        for row in 0..50 {
            let at = schedule.marginal(f64::from(tables[1][row]));
            for k in 0..2 {
                let (y, f) = (f64::from(tables[0][2 * row + k]), f64::from(tables[2][2 * row + k]));
                let (theta, noise) = at.reflect(y, f);
                let want = if k == 0 { row as f64 / 10.0 } else { 1.0 };
                assert!((theta - want).abs() < 1e-5, "{theta} instead of {want}");
                squares += noise * noise;
            }
        }
        // χ² with 100 degrees of freedom: mean 100, standard deviation 14.
        assert!((squares - 100.0).abs() < 63.0, "{squares}");
    }

    /// For any two values f₁, f₀ of the field, the loss that the tables stand for is the score's by its definition, s = (F cos φ - y sin φ)/σ:
    /// λ[‖s₁ + ε/σ‖² - 2 ε·s₀/σ - (‖ε‖² - d)/σ²] below the threshold and λ‖s₁ + ε/σ‖² above, over the mean weight.
    #[test]
    fn coefficients_and_control_are_those_of_the_score_loss() {
        let (tables, _) = pass(50, NoiseRole::Training, 3);
        let schedule = NoiseSchedule::ve();
        let scale = 1.0 / Objective::of(&schedule).mean_weight(&schedule);
        let mut controlled = 0;
        for row in 0..50 {
            let t = f64::from(tables[1][row]);
            let at = schedule.marginal(t);
            let value = |table: usize, k: usize| f64::from(tables[table][2 * row + k]);
            let lambda = scale * schedule.diffusion(t).powi(2);
            let (mut got, mut want, mut size) = (value(3, 1), 0.0, 0.0);
            for (k, (f1, f0)) in [(0.3, -0.7), (-1.2, 0.4)].into_iter().enumerate() {
                let (y, target) = (value(0, k), value(2, k));
                let (theta, noise) = at.reflect(y, target);
                let score = |f: f64, y: f64| (f * at.cos - y * at.sin) / at.std;
                got += value(3, 0) * (f1 - target).powi(2) - value(5, k) * f0;
                let plain = lambda * (score(f1, y) + noise / at.std).powi(2);
                want += plain;
                size += plain + lambda * (noise / at.std).powi(2) + lambda / at.std.powi(2);
                if at.std < 0.3 {
                    want -= lambda * (2.0 * noise * score(f0, at.cos * theta) / at.std + (noise * noise - 1.0) / at.std.powi(2));
                    controlled += 1;
                }
            }
            // The tables' rounding, relative to the terms that cancel.
            assert!((got - want).abs() < 2e-6 * size, "row {row}, σ {}: {got} instead of {want}", at.std);
        }
        assert!((20..100).contains(&controlled), "both cases occur");
    }
}
