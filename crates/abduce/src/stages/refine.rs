//! Draws of a posterior density that the weights of a likelihood correct.

use super::draw::{Draws, Quality, Weighed};
use super::inputs::make_parent;
use crate::config::SampleMethod;
use crate::error::Error;
use crate::session::Session;
use abduce_data::{Array, Seed, npz};
use abduce_inference::posterior::{Kind, Posterior, Refined, Refinement};
use abduce_inference::simulator::{self, Simulator};
use std::path::{Path, PathBuf};

/// Options of `--method importance`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ImportanceArgs {
    /// Built-in task whose known likelihood and prior weigh the draws of RUN, a posterior density.
    #[arg(long, value_name = "TASK", conflicts_with = "proposal")]
    pub likelihood: Option<String>,
    /// Run of a posterior density (engine NPE) whose draws RUN, a likelihood or ratio, weighs.
    #[arg(long, value_name = "RUN")]
    pub proposal: Option<PathBuf>,
    /// Draws of the density per observation, which the weights choose from; ten times `-n` by default.
    #[arg(long, value_parser = clap::value_parser!(u32).range(25..))]
    pub proposals: Option<u32>,
    /// File for all proposals: `theta` (n_obs, proposals, d) and `log_weights` (n_obs, proposals).
    #[arg(long, value_name = "WEIGHTED.npz")]
    pub weighted: Option<PathBuf>,
}

/// Proposals per draw.
pub const PROPOSALS: usize = 10;

const HELP: &str = "--method importance takes --likelihood TASK (RUN gives the draws) or --proposal RUN (RUN gives the weights)";

impl ImportanceArgs {
    /// Whether the options go together with the method.
    ///
    /// # Errors
    /// `importance` without anything to weigh by, or its options with another method.
    pub fn check(&self, method: Option<SampleMethod>) -> Result<(), Error> {
        let asked = self.likelihood.is_some() || self.proposal.is_some();
        if method == Some(SampleMethod::Importance) && !asked {
            return Err(Self::nothing_to_weigh_by());
        }
        if method != Some(SampleMethod::Importance) && (asked || self.proposals.is_some() || self.weighted.is_some()) {
            let message = "--likelihood, --proposal, --proposals and --weighted belong to `--method importance`".into();
            return Err(Error::Usage { message, help: HELP.into() });
        }
        Ok(())
    }

    /// The error of a method without its likelihood.
    pub fn nothing_to_weigh_by() -> Error {
        let message = "`--method importance` needs a likelihood to weigh by and a density to draw from".into();
        Error::Usage { message, help: HELP.into() }
    }
}

/// Where the weights or the proposals come from, beside the run itself.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The run is a density, and this built-in task has the likelihood.
    Task(&'a str),
    /// The run is a likelihood or ratio, and this is the density.
    Proposal(&'a Posterior),
}

/// `draws` draws for each observation of `x`, chosen among `proposals` by their weights; all of these go to the file `weighted`.
///
/// # Errors
/// Runs that have the other's part, a task without a known likelihood or with other parameters, or weights that are all zero.
pub fn refine(
    session: &Session,
    posterior: &Posterior,
    source: &Source<'_>,
    x: &Array,
    (proposals, draws): (usize, usize),
    weighted: Option<&Path>,
    seed: Seed,
) -> Result<Draws, Error> {
    let (observations, d) = (x.rows(), posterior.dimension());
    let found: Refined = match source {
        Source::Task(name) => {
            let task = known(name, posterior)?;
            let log_likelihood = |theta: &[f64], x: &[f64]| task.log_likelihood(theta, x).unwrap_or(f64::NAN);
            let target = Refinement::Likelihood { prior: task.prior(), log_likelihood: &log_likelihood };
            posterior.refine(&session.compute, target, x.data(), (proposals, draws), seed)?
        }
        Source::Proposal(density) => {
            if posterior.kind() == Kind::Npe || density.kind() != Kind::Npe {
                return Err(Error::failed(
                    "with --proposal the first run is to be a likelihood or ratio (NLE, NRE), and that of --proposal a posterior density (NPE)",
                    "exchange the two, or give the likelihood of a built-in task by --likelihood",
                ));
            }
            if density.x_shape != posterior.x_shape || density.dimension() != d {
                return Err(Error::failed(
                    format!(
                        "the proposal has {} parameters and data of shape {:?}, the run {d} and {:?}",
                        density.dimension(),
                        density.x_shape,
                        posterior.x_shape
                    ),
                    "train both on simulations of one kind",
                ));
            }
            density.refine(&session.compute, Refinement::Networks(posterior), x.data(), (proposals, draws), seed)?
        }
    };
    if let Some(path) = weighted {
        make_parent(path)?;
        let theta = Array::new(vec![observations, proposals, d], found.proposals)?.to_f64();
        let log_weights = Array::new(vec![observations, proposals], found.log_weights)?;
        npz::write(path, &[("theta", &theta), ("log_weights", &log_weights)])?;
    }
    let quality = Quality::Weights(found.report.into_iter().map(|weights| Weighed { proposals, weights }).collect());
    Ok(Draws { samples: Array::new(vec![observations, draws, d], found.theta)?, quality })
}

/// The built-in task of that name, if its likelihood is known and it is about the posterior's parameters and data.
fn known(name: &str, posterior: &Posterior) -> Result<Box<dyn Simulator>, Error> {
    let known: Vec<&str> = simulator::names()
        .iter()
        .copied()
        .filter(|name| {
            simulator::named(name).is_some_and(|task| {
                let (theta, x) = (vec![0.5; task.prior().parameters()], vec![0.5; task.data_shape().iter().product()]);
                task.log_likelihood(&theta, &x).is_some()
            })
        })
        .collect();
    let task = known.contains(&name).then(|| simulator::named(name)).flatten().ok_or_else(|| Error::Usage {
        message: format!("no likelihood is known of a task `{name}`"),
        help: format!("it is of {}", known.join(", ")),
    })?;
    if task.prior().parameters() != posterior.dimension() || task.data_shape() != posterior.x_shape {
        return Err(Error::failed(
            format!(
                "the task {name} has {} parameters and data of shape {:?}, the posterior {} and {:?}",
                task.prior().parameters(),
                task.data_shape(),
                posterior.dimension(),
                posterior.x_shape
            ),
            "name the task that the run was trained on",
        ));
    }
    Ok(task)
}
