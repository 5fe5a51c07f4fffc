//! L-C2ST: is the posterior right for *this* observation? (Linhart, Gramfort and Rodrigues 2023, arXiv:2306.03580).

use super::fit::{Stop, fit};
use super::mlp::{BATCH, Classifier, Rows};
use crate::diagnostics::DiagnosticsError;
use crate::diagnostics::features::FeatureScale;
use crate::diagnostics::inputs::{MIN_PAIRS, rows};
use crate::diagnostics::mmd::points;
use crate::diagnostics::predictions::mean_and_variance;
use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};

/// Arrays of a local test, row-major: n pairs (θ_i, x_i) from prior and simulator, m observations with S draws each.
#[derive(Clone, Copy, Debug)]
pub struct LocalC2stInputs<'a> {
    /// Number of parameters, d.
    pub parameters: usize,
    /// True parameters (n, d).
    pub theta: &'a [f64],
    /// One posterior draw given each pair's x (n, d).
    pub draws: &'a [f64],
    /// Features of the data (n, F).
    pub x: &'a [f64],
    /// The observations (m, F).
    pub observations: &'a [f64],
    /// Posterior draws given each observation (m, S, d).
    pub observation_draws: &'a [f64],
}

/// Choices of a local test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalC2stOptions {
    /// Relabellings that give the null distribution, at least 1; the smallest possible p-value is 1/(permutations + 1).
    pub permutations: usize,
    /// Epochs of each classifier at most, at least 1.
    pub max_epochs: usize,
}

impl Default for LocalC2stOptions {
    fn default() -> Self {
        Self { permutations: 100, max_epochs: 200 }
    }
}

/// The local test of one observation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LocalC2st {
    /// Mean of (p̂(θ, x_o) - ½)² over the posterior draws at x_o: 0 where no difference is seen, at most ¼.
    pub statistic: f64,
    /// The same after each relabelling.
    pub null: Vec<f64>,
    /// (1 + number of `null` ≥ `statistic`)/(1 + permutations).
    pub p: f64,
    /// The same, adjusted for testing all observations at once (Westfall and Young 1993): among the largest statistics of each relabelling, each in
    /// units of its observation's mean. One relabelling serves all observations, so that their number costs little power.
    pub adjusted_p: f64,
}

/// Share of the pairs held out to stop the training.
const HELD_OUT_EVERY: usize = 5;
/// Widths of the hidden layers: ten units per input as the benchmark has, within these bounds.
const HIDDEN: (usize, usize) = (20, 64);
const HIDDEN_PER_INPUT: usize = 10;

/// Local classifier two-sample tests of all observations.
///
/// A classifier learns to tell the pairs (θ_i, x_i) of the simulator from (s_i, x_i) with s_i ~ q(θ | x_i). Where q is exact it can't:
/// p̂ = ½. The statistic of an observation is the mean of (p̂(s, x_o) - ½)² over draws s ~ q(θ | x_o).
///
/// **Null distribution.** θ_i and s_i are exchangeable given x_i if q(· | x) is exact for every x, so the labels are swapped *within* pairs, each
/// with probability ½, and a classifier is trained anew: the p-value is exact for any number of pairs and any classifier. (Shuffling
/// all labels would not keep one of each class per x.) Scales are computed from both classes together. A small p at one x_o
/// therefore rejects an exact q; that the defect lies at x_o is what the size of the statistic says.
///
/// Features beyond 64 are projected to 64 at random; non-finite ones count as the mean. One classifier serves all observations, so the cost is
/// (permutations + 1) trainings of at most 64 hidden units, spread over `threads`; the result doesn't depend on their number.
///
/// # Errors
/// Lengths that don't fit, non-finite parameters or draws, fewer than 20 pairs, no permutation or epoch, a parameter that never varies.
pub fn local_c2st(
    inputs: &LocalC2stInputs<'_>,
    options: &LocalC2stOptions,
    seed: Seed,
    simd: Simd,
    threads: &Threads,
) -> Result<Vec<LocalC2st>, DiagnosticsError> {
    for (option, value) in [("permutations", options.permutations), ("max_epochs", options.max_epochs)] {
        if value == 0 {
            return Err(DiagnosticsError::Option { option, value: 0.0, expected: "at least 1" });
        }
    }
    let table = Table::new(inputs, seed)?;
    let mut statistics = vec![Vec::new(); options.permutations + 1];
    threads.for_each(&mut statistics, |replicate, found| *found = table.statistics(replicate, options.max_epochs, seed, simd));
    let given = &statistics[0];
    let replicates = statistics.len() as f64;
    let mean = |o: usize| statistics.iter().map(|found| found[o]).sum::<f64>() / replicates;
    let scales: Vec<f64> = (0..given.len()).map(|o| mean(o).max(f64::MIN_POSITIVE)).collect();
    let largest = |found: &Vec<f64>| found.iter().zip(&scales).map(|(t, scale)| t / scale).fold(0.0, f64::max);
    let null_largest: Vec<f64> = statistics[1..].iter().map(largest).collect();
    let p = |null: &[f64], value: f64| (1 + null.iter().filter(|&&t| t >= value).count()) as f64 / replicates;
    let test = |o: usize| {
        let null: Vec<f64> = statistics[1..].iter().map(|found| found[o]).collect();
        LocalC2st { statistic: given[o], p: p(&null, given[o]), adjusted_p: p(&null_largest, given[o] / scales[o]), null }
    };
    Ok((0..given.len()).map(test).collect())
}

/// Scaled points: row i is (θ_i, x_i), row n + i is (s_i, x_i).
struct Table {
    pairs: usize,
    width: usize,
    points: Vec<f32>,
    /// Draws at the observations (m·S, width), and S.
    queries: Vec<f32>,
    draws: usize,
}

impl Table {
    fn new(inputs: &LocalC2stInputs<'_>, seed: Seed) -> Result<Self, DiagnosticsError> {
        let d = inputs.parameters;
        let n = points("theta (n, d)", inputs.theta, d)?;
        let drawn = points("draws (n, d)", inputs.draws, d)?;
        if drawn != n {
            return Err(DiagnosticsError::Length { array: "draws (n, d)", found: inputs.draws.len(), expected: (n * d).to_string() });
        }
        if n < MIN_PAIRS {
            return Err(DiagnosticsError::TooFewPairs { purpose: "L-C2ST", found: n, needed: MIN_PAIRS });
        }
        let features = rows("x (n, F)", inputs.x.len(), n)?;
        let m = rows("observations (m, F)", inputs.observations.len(), features)?;
        let draws = rows("observation_draws (m, S, d)", inputs.observation_draws.len(), m * d)?;
        points("observation_draws (m, S, d)", inputs.observation_draws, d)?;

        let both = || inputs.theta.chunks_exact(d).chain(inputs.draws.chunks_exact(d));
        let mut scales = Vec::with_capacity(d);
        for j in 0..d {
            let (mean, variance) = mean_and_variance(both().map(|theta| theta[j]));
            if variance <= 0.0 {
                return Err(DiagnosticsError::ConstantDimension { dimension: j });
            }
            scales.push((mean, variance.sqrt()));
        }
        let x_rows: Vec<&[f64]> = inputs.x.chunks_exact(features).collect();
        let scale = FeatureScale::fit(&x_rows, seed.derive("diagnostics.local_c2st.features", 0));
        let width = d + scale.width();
        let push = |to: &mut Vec<f32>, theta: &[f64], x: &[f64]| {
            to.extend(theta.iter().zip(&scales).map(|(t, (mean, sd))| ((t - mean) / sd) as f32));
            to.extend(x.iter().map(|&v| v as f32));
        };
        let scaled_x: Vec<Vec<f64>> = x_rows.iter().map(|x| scale.transform(x)).collect();
        let (mut table, mut queries) = (Vec::with_capacity(2 * n * width), Vec::with_capacity(m * draws * width));
        for (theta, x) in both().zip(scaled_x.iter().chain(&scaled_x)) {
            push(&mut table, theta, x);
        }
        for (x, thetas) in inputs.observations.chunks_exact(features).zip(inputs.observation_draws.chunks_exact(draws * d)) {
            let x = scale.transform(x);
            thetas.chunks_exact(d).for_each(|theta| push(&mut queries, theta, &x));
        }
        Ok(Self { pairs: n, width, points: table, queries, draws })
    }

    /// The statistic of every observation; replicate 0 has the labels as given, the others swapped ones.
    fn statistics(&self, replicate: usize, max_epochs: usize, seed: Seed, simd: Simd) -> Vec<f64> {
        let n = self.pairs;
        let mut labels = vec![0.0f32; 2 * n];
        let mut rng = seed.stream("diagnostics.local_c2st.swap", replicate as u64);
        for pair in 0..n {
            let swapped = replicate > 0 && rng.below(2) == 1;
            labels[if swapped { pair } else { n + pair }] = 1.0;
        }
        let rows = Rows { points: &self.points, d: self.width, labels: &labels };
        // Whole pairs are held out, the same ones in every replicate.
        let (held_out, train): (Vec<usize>, Vec<usize>) = (0..2 * n).partition(|row| (row % n).is_multiple_of(HELD_OUT_EVERY));
        let stop = Stop::HeldOut { rows: &held_out, max_epochs };
        let hidden = (HIDDEN_PER_INPUT * self.width).clamp(HIDDEN.0, HIDDEN.1);
        let seed = seed.derive("diagnostics.local_c2st", 0);
        let (mut classifier, _) = fit(&rows, train, hidden, stop, seed, simd);
        self.queries.chunks_exact(self.draws * self.width).map(|queries| self.distance_from_half(&mut classifier, queries)).collect()
    }

    fn distance_from_half(&self, classifier: &mut Classifier, queries: &[f32]) -> f64 {
        let labels = vec![0.0f32; self.draws];
        let rows = Rows { points: queries, d: self.width, labels: &labels };
        let all: Vec<usize> = (0..self.draws).collect();
        let square = |z: &f32| (1.0 / (1.0 + libm::exp(-f64::from(*z))) - 0.5).powi(2);
        let sum: f64 = all.chunks(BATCH).map(|batch| classifier.logits(&rows, batch).iter().map(square).sum::<f64>()).sum();
        sum / self.draws as f64
    }
}
