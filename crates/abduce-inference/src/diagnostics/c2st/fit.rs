//! Training of the classifier, and when it ends.

use super::mlp::{BATCH, Classifier, Rows};
use abduce_data::Seed;
use abduce_kernels::Simd;

/// Epochs at most when the training loss decides.
const MAX_EPOCHS: usize = 10_000;
/// A training loss that isn't this much below the best so far…
const TOLERANCE: f64 = 1e-4;
/// …or a held-out loss that is no new best, for more than so many epochs in a row ends the training.
pub(super) const PATIENCE: usize = 10;

/// When training ends.
#[derive(Clone, Copy)]
pub(super) enum Stop<'a> {
    /// The training loss no longer falls: scikit-learn's rule, the benchmark's. The last weights are kept.
    TrainingLoss,
    /// The loss of `rows` no longer falls, or `max_epochs` are over. The weights of the best epoch are kept.
    HeldOut {
        /// Rows that are not trained on.
        rows: &'a [usize],
        /// Epochs at most.
        max_epochs: usize,
    },
}

/// A classifier with two hidden layers of `hidden` units trained on the rows `train`, and the number of epochs.
pub(super) fn fit(rows: &Rows<'_>, train: Vec<usize>, hidden: usize, stop: Stop<'_>, seed: Seed, simd: Simd) -> (Classifier, usize) {
    let mut classifier = Classifier::new(rows.d, hidden, &mut seed.stream("initialise", 0), simd);
    let mut order = train;
    let mut shuffle = seed.stream("shuffle", 0);
    let mut epoch = |classifier: &mut Classifier| {
        shuffle.shuffle(&mut order);
        let total: f64 = order.chunks(BATCH).map(|batch| classifier.step(rows, batch) * batch.len() as f64).sum();
        total / order.len() as f64
    };
    let (mut best, mut failures, mut epochs) = (f64::INFINITY, 0, 0);
    match stop {
        Stop::TrainingLoss => {
            while epochs < MAX_EPOCHS && failures <= PATIENCE {
                let loss = epoch(&mut classifier);
                // scikit-learn's rule: measured against the best loss, which small gains lower too.
                failures = if loss > best - TOLERANCE { failures + 1 } else { 0 };
                best = best.min(loss);
                epochs += 1;
            }
        }
        Stop::HeldOut { rows: held_out, max_epochs } => {
            let mut kept = classifier.parameters().to_vec();
            while epochs < max_epochs && failures <= PATIENCE {
                epoch(&mut classifier);
                let total: f64 = held_out.chunks(BATCH).map(|batch| classifier.loss(rows, batch) * batch.len() as f64).sum();
                epochs += 1;
                if total < best {
                    (best, failures) = (total, 0);
                    kept.copy_from_slice(classifier.parameters());
                } else {
                    failures += 1;
                }
            }
            classifier.set_parameters(&kept);
        }
    }
    (classifier, epochs)
}
