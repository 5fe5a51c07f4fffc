//! The commands of the program, one module each.

pub mod completions;
pub mod compress;
pub mod explain;
pub mod log_prob;
pub mod merge;
pub mod report;
pub mod run;
pub mod sample;
pub mod schema;
pub mod search;
pub mod simulate;
pub mod status;
pub mod submit;
pub mod train;
mod train_rounds;
pub mod validate;
pub mod worker;

use crate::config::{Loaded, PathRules};
use crate::error::Error;
use crate::session::{Console, Session};
use abduce_inference::posterior::Posterior;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Options of every command that computes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ComputeArgs {
    /// Threads; all cores by default. Results do not depend on it.
    #[arg(long, value_name = "T")]
    pub threads: Option<NonZeroUsize>,
    /// Say nothing but warnings and errors.
    #[arg(long, short)]
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

/// The posterior of a run directory, or in a file of its own.
fn load_posterior(session: &Session, run: &Path) -> Result<Posterior, Error> {
    let rules = PathRules::new(&session.working, Path::new(""));
    let found = rules.posterior(Path::new(""), run);
    load_found(found)
}

fn load_found(found: Result<PathBuf, Vec<PathBuf>>) -> Result<Posterior, Error> {
    let path = found.map_err(|places| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        Error::failed(
            format!("there is no trained posterior at {}", places.join(" or ")),
            "give the run directory that `abduce train` or `abduce run` wrote to, or its posterior.safetensors",
        )
    })?;
    Ok(Posterior::load(&path)?)
}
