//! `abduce train` with a sequential engine: LtU-ILI's infer file and the data file of its SBISimulator.

use super::train::{TrainArgs, TrainFiles, existing};
use crate::config;
use crate::error::Error;
use crate::pipeline::VERSION;
use crate::session::Session;
use crate::stages::run::{open, write_provenance};
use crate::stages::sequential::{SequentialInputs, all_rounds, train_stage};
use crate::stages::simulate::{parameter_names, rows_of};
use abduce_data::rundir::{CONFIG, DataFile, Manifest};
use abduce_data::{Seed, pair_files};
use std::path::PathBuf;

/// Folder for the files that a simulator exchanges, inside the run.
const SCRATCH: &str = "simulations";

/// Runs the rounds and gives the path of the posterior. With `save_simulated` the simulations of all rounds are then written to `theta_file` and
/// `x_file`.
pub(super) fn train(session: &Session, args: &TrainArgs) -> Result<PathBuf, Error> {
    let TrainFiles { infer, data, folder, .. } = TrainFiles::read(session, args)?;

    let missing = |what: &str, help: &str| Error::failed(format!("a sequential engine needs {what}, and the data file names none"), help);
    let config = &data.config;
    let simulator = config.simulator.clone();
    let mut simulator = simulator.ok_or_else(|| missing("a simulator", "add `simulator: {task: …}` or `simulator: {command: […]}`"))?;
    let simulations = config.num_simulations.ok_or_else(|| missing("`num_simulations`", "add how many each round simulates"))?;
    let x_obs = config.xobs_file.as_ref().ok_or_else(|| missing("an observation", "add `xobs_file`"))?;
    let x_obs = data.paths.input(&config.file(x_obs));
    if simulator.task.is_none() {
        simulator.prior = Some(infer.prior.clone());
    }

    let text = config::to_yaml(&infer)?;
    let mut manifest = Manifest::new(VERSION, Seed(infer.seed), session.compute.simd.name(), &text);
    manifest.data = vec![DataFile::of("x_obs", &x_obs)?];
    let run = open(&folder, &manifest, existing(args))?;
    run.write_text(CONFIG, &text)?;
    write_provenance(session, &run, std::slice::from_ref(&x_obs))?;
    let rows = rows_of(session, &simulator, &data.paths, &run.file(SCRATCH))?;
    let parameters = Some(parameter_names(&simulator)?);
    let inputs = SequentialInputs { infer: &infer, parameters, simulator: rows.as_ref(), simulations, x_obs: &x_obs };
    let posterior = train_stage(session, &run, &inputs)?;
    if let (true, Some(theta_file), Some(x_file)) = (config.save_simulated, &config.theta_file, &config.x_file) {
        let (theta, x) = all_rounds(&run, infer.train_args.num_round)?;
        pair_files::write(&data.paths.output(&config.file(theta_file)), &data.paths.output(&config.file(x_file)), &theta, &x)?;
    }
    Ok(posterior)
}
