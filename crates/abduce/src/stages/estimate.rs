//! What estimators of parameters and models share: options of learning, and data that fit.

use super::inputs::{read_array, rows_of};
use crate::error::Error;
use crate::session::Session;
use abduce_data::Array;
use abduce_inference::estimate::EstimatorSpec;
use abduce_nn::trainer::{Schedule, TrainConfig};
use std::path::Path;

/// How an estimator's network learns.
#[derive(Clone, Debug, clap::Args)]
pub struct LearnArgs {
    /// Widths of the hidden layers.
    #[arg(long, value_delimiter = ',', default_values_t = [64usize, 64, 64])]
    pub hidden: Vec<usize>,
    /// Networks whose answers are averaged.
    #[arg(long, default_value_t = 1)]
    pub nets: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 1e-3)]
    pub learning_rate: f32,
    /// Rows per step; by default a fiftieth of the training rows, between 50 and 512.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: Option<u32>,
    /// Most epochs.
    #[arg(long)]
    pub max_epochs: Option<usize>,
    /// Share of the simulations held out.
    #[arg(long, default_value_t = 0.1)]
    pub validation_fraction: f64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl LearnArgs {
    /// The network.
    pub fn spec(&self) -> EstimatorSpec {
        EstimatorSpec { hidden: self.hidden.clone(), ..EstimatorSpec::default() }
    }

    /// The training on so many rows: the rate drops twice where progress ends.
    pub fn train(&self, rows: usize) -> TrainConfig {
        TrainConfig {
            batch_size: self.batch_size.map_or((rows / 50).clamp(50, 512), |n| n as usize),
            learning_rate: self.learning_rate,
            schedule: Schedule::Plateau { factor: 0.2, drops: 2 },
            stop_after_epochs: 10,
            max_epochs: self.max_epochs,
            ..TrainConfig::default()
        }
    }
}

/// Says what is about to be learnt.
pub fn announce(session: &Session, targets: usize, what: &str, x_len: usize, (train, held_out): (usize, usize)) {
    session.console.note(format_args!("learning {targets} {what} from {x_len} numbers on {train} simulations ({held_out} held out)"));
}

/// Data of this shape; a file of exactly one datum's shape is one row.
pub fn rows_for(path: &Path, x_shape: &[usize]) -> Result<Array, Error> {
    rows_of(path, read_array(path, "x")?, x_shape, "datum")
}
