//! The commands of the program, one module each.

pub mod completions;
pub mod compress;
pub mod cosmology;
pub mod dimension;
pub mod estimate;
pub mod evidence;
pub mod explain;
pub mod gflownet;
pub mod log_prob;
pub mod merge;
pub mod models;
pub mod predict;
pub mod prove;
pub mod report;
pub mod run;
pub mod sample;
pub mod schema;
pub mod search;
pub mod simulate;
pub mod status;
pub mod submit;
pub mod train;
mod train_abc;
mod train_rounds;
pub mod validate;
pub mod worker;

use crate::config::{Loaded, PathRules};
use crate::error::Error;
use crate::session::{Console, Session};
use crate::stages::inputs::data_rows;
use crate::stages::model::Model;
use abduce_data::Array;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Options of every command that computes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ComputeArgs {
    /// Threads; all cores by default. Results do not depend on it.
    #[arg(long, value_name = "T", global = true)]
    pub threads: Option<NonZeroUsize>,
    /// Say nothing but warnings and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// What to do with a run directory that exists.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct ExistingArgs {
    /// Go on with the run in the output folder; refused when anything it depends on has changed.
    #[arg(long)]
    pub resume: bool,
    /// Begin anew where the output folder holds a run.
    #[arg(long)]
    pub restart: bool,
}

/// Says what in a configuration is not as written.
fn notices<T>(console: &Console, loaded: &Loaded<T>) {
    loaded.notices.iter().for_each(|notice| console.note(notice));
}

/// What a run directory holds, or a file of its own.
fn load_model(session: &Session, run: &Path) -> Result<Model, Error> {
    let rules = PathRules::new(&session.working, Path::new(""));
    load_found(rules.posterior(Path::new(""), run))
}

fn load_found(found: Result<PathBuf, Vec<PathBuf>>) -> Result<Model, Error> {
    let path = found.map_err(|places| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        Error::failed(
            format!("there is no trained posterior at {}", places.join(" or ")),
            "give the run directory that `abduce train` or `abduce run` wrote to, or its posterior.safetensors",
        )
    })?;
    Model::load(&path)
}

/// The observations of a file, as the model wants them; an ABC sample has one of its own, and accepts no other.
fn model_observations(session: &Session, model: &Model, file: Option<&Path>) -> Result<Array, Error> {
    let given = file.map(|file| data_rows(&session.path(file), model.x_shape())).transpose()?;
    match (model, given) {
        (Model::Networks(_), Some(x)) => Ok(x),
        (Model::Networks(_), None) => {
            Err(Error::Usage { message: "there are no observations".into(), help: "give --x a file of them".into() })
        }
        (Model::Sample(abc), Some(x)) if x.data() != abc.x_obs => Err(Error::failed(
            "an ABC sample is for the observation that it was made for, and --x holds another one",
            "leave --x out, or run ABC for that observation",
        )),
        (Model::Sample(abc), _) => {
            let shape = std::iter::once(abc.trials()).chain(abc.x_shape.iter().copied()).collect();
            Ok(Array::new(shape, abc.x_obs.clone())?)
        }
    }
}
