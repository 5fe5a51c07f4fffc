//! What estimators of parameters and models share: options of learning, training, and data that fit.

use super::inputs::{PairFiles, dropped_rows, read_array, rows_of};
use crate::config::LearnConfig;
use crate::error::Error;
use crate::session::{Session, warning};
use abduce_data::{Array, ParameterInfo, Seed, Split};
use abduce_inference::diagnostics::Warning;
use abduce_inference::estimate::{
    EstimateTask, EstimateTest, Estimator, ModelComparison, ModelTest, Quantity, train_estimator, train_models,
};
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
    /// The same as in a file.
    pub fn config(&self) -> LearnConfig {
        LearnConfig {
            hidden: self.hidden.clone(),
            nets: self.nets,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size.map(|n| n as usize),
            max_epochs: self.max_epochs,
            validation_fraction: self.validation_fraction,
        }
    }
}

/// Says what is about to be learnt.
fn announce(session: &Session, targets: usize, what: &str, x_len: usize, (train, held_out): (usize, usize)) {
    session.console.note(format_args!("learning {targets} {what} from {x_len} numbers on {train} simulations ({held_out} held out)"));
}

/// Learns a functional of each parameter's posterior; also what it does on the pairs held out.
///
/// # Errors
/// Pairs that can't be read or learnt from.
pub fn learn_quantity(
    session: &Session,
    pairs: &PairFiles,
    quantity: &Quantity,
    names: Option<&[ParameterInfo]>,
    learn: &LearnConfig,
    seed: Seed,
) -> Result<(Estimator, EstimateTest, Option<Warning>), Error> {
    let source = pairs.open()?;
    let split = Split::by_fraction(source.kept(), learn.validation_fraction, seed)?;
    announce(session, source.theta_len(), "parameters", source.x_len(), (split.train.len(), split.validation.len()));
    let parameters = names.map_or_else(|| ParameterInfo::numbered(source.theta_len()), <[ParameterInfo]>::to_vec);
    let train = learn.train(split.train.len());
    let task = EstimateTask { source: &source, split: &split, spec: learn.spec(), nets: learn.nets, train, seed };
    let (estimator, _, test) = train_estimator(quantity, &parameters, &task, &session.compute)?;
    Ok((estimator, test, dropped_rows(&source)))
}

/// The estimates for observations, (n_obs, parameters, numbers).
///
/// # Errors
/// Observations that don't fit.
pub fn estimates(session: &Session, estimator: &Estimator, x: &Array) -> Result<Array<f64>, Error> {
    let values = estimator.estimate(&session.compute, x.data())?;
    Ok(Array::new(vec![x.rows(), estimator.parameters.len(), estimator.quantity.names().len()], values)?)
}

/// A larger expected calibration error is worth a warning.
const CALIBRATED: f64 = 0.05;

/// Learns which of some simulators made a datum, from data of each; also what it does on those held out.
///
/// # Errors
/// Data of different shapes, fewer than two models, or data that can't be learnt from.
pub fn learn_models(
    session: &Session,
    names: &[String],
    data: &[Array],
    learn: &LearnConfig,
    seed: Seed,
) -> Result<(ModelComparison, ModelTest, Option<Warning>), Error> {
    let rows: usize = data.iter().map(Array::rows).sum();
    let held_out = (rows as f64 * learn.validation_fraction) as usize;
    announce(session, names.len(), "models", data.first().map_or(0, Array::row_len), (rows - held_out, held_out));
    let parts = (learn.spec(), learn.nets, learn.train(rows));
    let (comparison, _, test) = train_models(names, data, learn.validation_fraction, parts, &session.compute, seed)?;
    let doubt = (test.calibration_error > CALIBRATED).then(|| {
        warning(
            format!("the probabilities of the models are off by {:.3} on average", test.calibration_error),
            "train on more simulations, or with more nets",
        )
    });
    Ok((comparison, test, doubt))
}

/// Data of this shape; a file of exactly one datum's shape is one row.
pub fn rows_for(path: &Path, x_shape: &[usize]) -> Result<Array, Error> {
    rows_of(path, read_array(path, "x")?, x_shape, "datum")
}
