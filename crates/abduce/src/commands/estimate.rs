//! `abduce estimate MODEL`: posterior means, medians or quantiles straight from data.

use super::{ComputeArgs, notices};
use crate::config::{self, DataConfig, QuantityConfig};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::estimate::{LearnArgs, estimates, learn_quantity, rows_for};
use crate::stages::inputs::{PairFiles, make_parent, write_array};
use abduce_data::{ParameterInfo, Seed};
use abduce_inference::estimate::Estimator;
use std::path::PathBuf;

/// Estimate parameters without a posterior: the mean and standard deviation, the median or quantiles of each, by a network trained on simulated pairs.
///
/// With --data the network is trained and written to MODEL, and what it does on the pairs held out is printed as JSON; with --x it is asked.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "work", required = true, multiple = true, args = ["data", "x"])]
pub struct EstimateArgs {
    /// The estimator's file, NAME.safetensors.
    pub model: PathBuf,
    /// Train on the pairs of this data file (LtU-ILI's).
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// What of each parameter's posterior is learnt.
    #[arg(long, value_enum, default_value_t = QuantityConfig::Moments, requires = "data")]
    pub quantity: QuantityConfig,
    /// Levels of the quantiles, increasing.
    #[arg(long, value_delimiter = ',', default_values_t = [0.025f32, 0.16, 0.5, 0.84, 0.975])]
    pub levels: Vec<f32>,
    /// Names of the parameters, in the order of the columns of theta.
    #[arg(long, value_delimiter = ',')]
    pub names: Vec<String>,
    /// How the network learns.
    #[command(flatten)]
    pub learn: LearnArgs,
    /// Observations (n_obs, …) to estimate the parameters of.
    #[arg(long, requires = "out")]
    pub x: Option<PathBuf>,
    /// File for the estimates, (n_obs, parameters, numbers) float64; the numbers are mean and sd, the median, or the quantiles.
    #[arg(short, long, value_name = "ESTIMATES.npy", requires = "x")]
    pub out: Option<PathBuf>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &EstimateArgs) -> Result<Ending, Error> {
    let path = session.path(&args.model);
    let estimator = match &args.data {
        Some(data) => {
            let data = config::load::<DataConfig>(data, &[], &session.working)?;
            notices(&session.console, &data);
            let pairs = PairFiles::new(&data.config, &data.paths)?;
            let names: Vec<ParameterInfo> = args.names.iter().map(ParameterInfo::named).collect();
            let names = (!names.is_empty()).then_some(&names[..]);
            let quantity = args.quantity.quantity(&args.levels);
            let (estimator, test, dropped) =
                learn_quantity(session, &pairs, &quantity, names, &args.learn.config(), Seed(args.learn.seed))?;
            dropped.iter().for_each(|warning| session.console.warn(warning));
            make_parent(&path)?;
            estimator.save(&path)?;
            print(&json(&test)?)?;
            estimator
        }
        None => Estimator::load(&path)?,
    };
    if let (Some(x), Some(out)) = (&args.x, &args.out) {
        let x = rows_for(&session.path(x), &estimator.x_shape)?;
        write_array(&session.path(out), &estimates(session, &estimator, &x)?)?;
        session.console.note(format_args!(
            "{} of {} parameters for {} observations",
            estimator.quantity.names().join(", "),
            estimator.parameters.len(),
            x.rows()
        ));
    }
    Ok(Ending::Done)
}
