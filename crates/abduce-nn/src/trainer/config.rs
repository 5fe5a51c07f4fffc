//! Batches, rates, and when training ends.

use super::Progress;
use crate::adam::AdamConfig;
use serde::{Deserialize, Serialize};

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// From the learning rate to zero along half a cosine over this many epochs; then training ends.
    Cosine {
        /// Length of the decay.
        epochs: usize,
    },
    /// Whenever early stopping would end the training, the best weights are restored and the rate is multiplied by `factor`; after `drops`
    /// drops, training ends.
    Plateau {
        /// Factor of one drop.
        factor: f32,
        /// Number of drops.
        drops: usize,
    },
}

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// Rows per mini-batch.
    pub batch_size: usize,
    /// Learning rate of Adam.
    pub learning_rate: f32,
    /// Its course.
    pub schedule: Schedule,
    /// Epochs without improvement on the validation rows after which training ends.
    pub stop_after_epochs: usize,
    /// Most epochs.
    pub max_epochs: Option<usize>,
    /// The optimiser.
    pub adam: AdamConfig,
    /// Decay d of an exponential moving average of the weights, a ← d a + (1 - d) θ after each step (early steps with (1 + t)/(10 + t) where that is
    /// smaller). Validation and the result then use the average; `None`: the weights themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f32>,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            batch_size: 50,
            learning_rate: 5e-4,
            schedule: Schedule::Constant,
            stop_after_epochs: 20,
            max_epochs: None,
            adam: AdamConfig::default(),
            ema_decay: None,
        }
    }
}

impl TrainConfig {
    /// The next epoch's learning rate; `None` when training is over.
    pub(super) fn rate_after(&self, progress: &Progress) -> Option<f32> {
        let epoch = progress.history.len();
        if progress.stalled >= self.stop_after_epochs || self.max_epochs.is_some_and(|max| epoch >= max) {
            return None;
        }
        match self.schedule {
            Schedule::Constant => Some(self.learning_rate),
            Schedule::Cosine { epochs } => {
                (epoch < epochs).then(|| self.learning_rate * 0.5 * (1.0 + (std::f32::consts::PI * epoch as f32 / epochs as f32).cos()))
            }
            Schedule::Plateau { factor, .. } => Some(self.learning_rate * factor.powi(progress.drops as i32)),
        }
    }
}
