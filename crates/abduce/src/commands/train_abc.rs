//! `abduce train` with an ABC engine: LtU-ILI's infer file, and a data file with a simulator or with stored simulations.

use super::train::{TrainArgs, TrainFiles, existing};
use crate::config;
use crate::error::Error;
use crate::pipeline::VERSION;
use crate::session::Session;
use crate::stages::abc::{AbcInputs, AbcSource, train_stage};
use crate::stages::inputs::PairFiles;
use crate::stages::run::{open, write_provenance};
use crate::stages::simulate::{parameter_names, rows_of};
use abduce_data::Seed;
use abduce_data::rundir::{CONFIG, DataFile, Manifest};
use std::path::PathBuf;

/// Folder for the files that a simulator exchanges, inside the run.
const SCRATCH: &str = "simulations";

/// Accepts simulations and gives the path of the posterior. With `save_simulated` what was simulated is then written to `theta_file` and `x_file`.
pub(super) fn train(session: &Session, args: &TrainArgs) -> Result<PathBuf, Error> {
    let TrainFiles { infer, data, folder, .. } = TrainFiles::read(session, args)?;

    let config = &data.config;
    let x_obs = config
        .xobs_file
        .as_ref()
        .ok_or_else(|| Error::failed("ABC compares simulations with an observation, and the data file names none", "add `xobs_file`"))?;
    let x_obs = data.paths.input(&config.file(x_obs));
    let mut simulator = config.simulator.clone();
    if let Some(simulator) = simulator.as_mut().filter(|simulator| simulator.task.is_none()) {
        simulator.prior = Some(infer.prior.clone());
    }
    let stored = if simulator.is_none() { Some(PairFiles::new(config, &data.paths)?) } else { None };

    let text = config::to_yaml(&infer)?;
    let mut manifest = Manifest::new(VERSION, Seed(infer.seed), session.compute.simd.name(), &text);
    manifest.data = vec![DataFile::of("x_obs", &x_obs)?];
    if let Some(stored) = &stored {
        manifest.data.extend(stored.hashes()?);
    }
    let run = open(&folder, &manifest, existing(args))?;
    run.write_text(CONFIG, &text)?;
    let files = stored.as_ref().map(|stored| vec![stored.theta.clone(), stored.x.clone()]).unwrap_or_default();
    write_provenance(session, &run, &[vec![x_obs.clone()], files].concat())?;

    let rows = simulator.as_ref().map(|simulator| rows_of(session, simulator, &data.paths, &run.file(SCRATCH))).transpose()?;
    let parameters = simulator.as_ref().map(parameter_names).transpose()?;
    let source = match (&rows, &stored) {
        (Some(rows), _) => AbcSource::Simulator(rows.as_ref()),
        (None, Some(stored)) => AbcSource::Stored(stored),
        (None, None) => return Err(Error::failed("there are no simulations", "name a `simulator`, or `theta_file` and `x_file`")),
    };
    let file = |name: &Option<PathBuf>| name.as_ref().map(|name| data.paths.output(&config.file(name)));
    let keep = file(&config.theta_file).zip(file(&config.x_file)).filter(|_| config.save_simulated).map(|(theta, x)| [theta, x]);
    train_stage(session, &run, &AbcInputs { infer: &infer, parameters, source, x_obs: &x_obs, simulations: None, keep })
}
