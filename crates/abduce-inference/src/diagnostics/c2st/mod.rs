//! C2ST: classifier two-sample test by the protocol of the sbi benchmark (Lueckmann et al. 2021, arXiv:2101.04653), and its local form.

mod fit;
mod local;
mod mlp;

use super::DiagnosticsError;
use super::mmd::points;
use super::predictions::mean_and_variance;
use abduce_data::Seed;
use abduce_kernels::{Simd, Threads};
use fit::{Stop, fit};
use mlp::{BATCH, Rows};

pub use local::{LocalC2st, LocalC2stInputs, LocalC2stOptions, local_c2st};

/// Folds of the cross-validation.
const FOLDS: usize = 5;
/// Width of both hidden layers per dimension of the points.
const HIDDEN_PER_DIMENSION: usize = 10;

/// A classifier two-sample test.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct C2st {
    /// Mean held-out accuracy: 0.5 when the samples can't be told apart, 1 when they are separable.
    pub score: f64,
    /// Held-out accuracy of each fold.
    pub fold_scores: Vec<f64>,
    /// Epochs trained in each fold.
    pub epochs: Vec<usize>,
    /// Points in each sample. Published scores are for 10 000; with fewer the classifier stops early and the score flatters.
    pub n_points: usize,
}

/// How well a classifier tells the points of `samples` (n, d) from those of `reference` (n, d).
///
/// Both are scaled with mean and standard deviation (n - 1) of the reference. In each of 5 shuffled folds a perceptron with two hidden
/// layers of 10 d (ReLU, Glorot-uniform weights and biases) learns with Adam, rate 1e-3, batches of 200, log-loss + 1e-4/(2·batch) ‖W‖², until
/// the epoch's training loss has failed for more than 10 epochs to fall by 1e-4: scikit-learn's `MLPClassifier` with the benchmark's
/// settings, in f32. Folds run side by side on `threads`, each on one; the result doesn't depend on their number.
/// For many scores at once, spread the scores over the threads instead and give each [`Threads::single`]: five folds don't divide evenly.
pub fn c2st(reference: &[f64], samples: &[f64], d: usize, seed: Seed, simd: Simd, threads: &Threads) -> Result<C2st, DiagnosticsError> {
    let n = points("reference (n, d)", reference, d)?;
    points("samples (n, d)", samples, d)?;
    if samples.len() != reference.len() {
        // Unequal classes would move the score of indistinguishable samples away from one half.
        return Err(DiagnosticsError::Length { array: "samples (n, d)", found: samples.len(), expected: reference.len().to_string() });
    }
    let needed = FOLDS * BATCH / 2;
    if n < needed {
        return Err(DiagnosticsError::TooFewDraws { purpose: "C2ST", found: n, needed });
    }
    let mut scaled: Vec<f32> = vec![0.0; 2 * n * d];
    for j in 0..d {
        let (mean, variance) = mean_and_variance(reference.iter().skip(j).step_by(d).copied());
        if variance <= 0.0 {
            return Err(DiagnosticsError::ConstantDimension { dimension: j });
        }
        let inverse_sd = 1.0 / variance.sqrt();
        for (to, from) in scaled.iter_mut().skip(j).step_by(d).zip(reference.iter().chain(samples).skip(j).step_by(d)) {
            *to = ((from - mean) * inverse_sd) as f32;
        }
    }
    let labels: Vec<f32> = (0..2 * n).map(|row| f32::from(u8::from(row >= n))).collect();
    let rows = Rows { points: &scaled, d, labels: &labels };
    let mut order: Vec<usize> = (0..2 * n).collect();
    seed.stream("diagnostics.c2st.folds", 0).shuffle(&mut order);

    let mut folds = [(0.0, 0); FOLDS];
    threads.for_each(&mut folds, |fold, result| {
        // The first 2n mod 5 folds hold one point more.
        let (size, extra) = (2 * n / FOLDS, 2 * n % FOLDS);
        let start = fold * size + fold.min(extra);
        let end = start + size + usize::from(fold < extra);
        let train: Vec<usize> = order[..start].iter().chain(&order[end..]).copied().collect();
        *result = train_and_score(&rows, train, &order[start..end], seed.derive("diagnostics.c2st", fold as u64), simd);
    });
    let (fold_scores, epochs): (Vec<f64>, Vec<usize>) = folds.into_iter().unzip();
    Ok(C2st { score: fold_scores.iter().sum::<f64>() / FOLDS as f64, fold_scores, epochs, n_points: n })
}

/// Held-out accuracy and number of epochs of one fold.
fn train_and_score(rows: &Rows<'_>, train: Vec<usize>, held_out: &[usize], seed: Seed, simd: Simd) -> (f64, usize) {
    let (mut classifier, epochs) = fit(rows, train, HIDDEN_PER_DIMENSION * rows.d, Stop::TrainingLoss, seed, simd);
    let correct: usize = held_out.chunks(BATCH).map(|batch| classifier.correct(rows, batch)).sum();
    (correct as f64 / held_out.len() as f64, epochs)
}

#[cfg(test)]
mod tests;
