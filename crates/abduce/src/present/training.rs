//! Loss per epoch.

use super::PresentError;
use abduce_nn::trainer::EpochRecord;
use abduce_report::{Figure, NetHistory, TrainingCurves};
use serde::{Deserialize, Serialize};

/// One net of `training.json`, which holds a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetTraining {
    /// A word that tells the net from the others; may be empty.
    pub signature: String,
    /// Kind of the density, as in the configuration: `nsf`.
    pub model: String,
    /// One record per epoch; scores are log-densities of the unconstrained parameters, in nats.
    pub history: Vec<EpochRecord>,
    /// Index of the epoch whose weights were kept.
    pub best_epoch: Option<usize>,
    /// Weight in the ensemble.
    pub weight: f64,
}

impl NetTraining {
    /// `nsf`, or `nsf, SIGNATURE`.
    pub fn title(&self) -> String {
        if self.signature.is_empty() { self.model.clone() } else { format!("{}, {}", self.model, self.signature) }
    }
}

/// Training and validation loss of every net, weights in the legend where there are several. `None` when no net has finished an epoch.
///
/// # Errors
/// Scores that are not finite.
pub fn curves(nets: &[NetTraining]) -> Result<Option<Figure>, PresentError> {
    let history = |(index, net): (usize, &NetTraining)| {
        let name = match nets.len() {
            1 => net.title(),
            _ => format!("{}: {} (weight {:.2})", index + 1, net.title(), net.weight),
        };
        let loss = |score: fn(&EpochRecord) -> f64| net.history.iter().map(|epoch| -score(epoch)).collect::<Vec<_>>();
        Some(NetHistory { name, train: loss(|e| e.train), validation: loss(|e| e.validation), best_epoch: net.best_epoch? })
    };
    let nets: Vec<NetHistory> = nets.iter().enumerate().filter_map(history).collect();
    if nets.is_empty() {
        return Ok(None);
    }
    let curves = TrainingCurves { title: "Training".into(), loss: r"loss $-\log q$ [nat]".into(), nets };
    curves.figure().map(Some).map_err(|source| PresentError::Figure { figure: "the training curves".into(), source })
}
