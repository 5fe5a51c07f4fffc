//! What the trials of a study change: an infer file with its data, or a pipeline, which brings data or a simulator.

use crate::config::{self, DataConfig, InferConfig, Loaded, Parameter, PipelineConfig, StudyConfig, ValConfig};
use crate::error::Error;
use crate::pipeline;
use crate::session::Session;
use crate::stages::inputs::PairFiles;
use crate::stages::simulate;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Folder of the simulations that all trials share, in that of the study.
const SIMULATIONS: &str = "simulations";
/// Time between two looks at simulations that another process makes.
const POLL: Duration = Duration::from_millis(200);

/// The file that every trial changes.
#[derive(Debug)]
pub(super) struct Base {
    file: PathBuf,
    working: PathBuf,
    source: Source,
}

/// Where the pairs are from.
#[derive(Debug)]
enum Source {
    /// The study's data file; the base is an infer file.
    Data,
    /// The data of a pipeline, or what it simulates.
    Pipeline(Box<Loaded<PipelineConfig>>),
}

impl Base {
    /// Reads what the study file names, and says where the pairs are, or will be once they are simulated.
    ///
    /// # Errors
    /// A file is not as it should be, or a pipeline whose engine simulates while it trains.
    pub(super) fn load(
        session: &Session,
        study: &Loaded<StudyConfig>,
        folder: &Path,
    ) -> Result<(Self, Loaded<InferConfig>, PairFiles), Error> {
        let (file, working) = (study.paths.input(&study.config.base), session.working.clone());
        let note = |notices: &[config::Notice]| notices.iter().for_each(|notice| session.console.note(notice));
        if let Some(data) = &study.config.data {
            let infer = config::load::<InferConfig>(&file, &[], &working)?;
            let data = config::load::<DataConfig>(&study.paths.input(data), &[], &working)?;
            note(&data.notices);
            note(&infer.notices);
            let pairs = PairFiles::new(&data.config, &data.paths)?;
            return Ok((Self { file, working, source: Source::Data }, infer, pairs));
        }
        let mut loaded = config::load::<PipelineConfig>(&file, &[], &working)?;
        note(&loaded.notices);
        // Trials are judged by the pairs held out of the training pairs: nothing else of the pipeline runs.
        loaded.config.validate = ValConfig { metrics: std::collections::BTreeMap::new(), ..ValConfig::default() };
        loaded.config.sample = None;
        loaded.config.report = config::ReportConfig::default();
        if let Some(simulate) = &mut loaded.config.simulate {
            simulate.n_test = 0;
        }
        let infer = Loaded { config: training(&loaded.config)?, notices: Vec::new(), paths: loaded.paths.clone() };
        let pairs = match (&loaded.config.simulate, &loaded.config.data) {
            (Some(config), _) => pipeline::simulated_files(&folder.join(SIMULATIONS).join(&config.out), ""),
            (None, Some(data)) => PairFiles::new(data, &loaded.paths)?,
            (None, None) => return Err(Error::failed("there is nothing to train on", "add a section `simulate` or `data`")),
        };
        Ok((Self { file, working, source: Source::Pipeline(Box::new(loaded)) }, infer, pairs))
    }

    /// What the pairs are: hashes of files, or what is simulated.
    ///
    /// # Errors
    /// Files can't be read; the simulator is not there.
    pub(super) fn identity(&self, session: &Session, pairs: &PairFiles, folder: &Path) -> Result<Value, Error> {
        if let Source::Pipeline(loaded) = &self.source
            && let Some(config) = &loaded.config.simulate
        {
            let scratch = folder.join(SIMULATIONS).join(&config.out);
            let simulator = simulate::rows_of(session, &config.simulator, &loaded.paths, &scratch)?;
            return Ok(json!([simulator.identity(), config.simulator.prior(), config.n, config.seed, loaded.config.seed]));
        }
        Ok(json!(pairs.hashes()?))
    }

    /// Simulates the pairs that all trials share, unless they are there; several processes may ask at once.
    ///
    /// # Errors
    /// The simulator fails, or a request to stop.
    pub(super) fn simulate(&self, session: &Session, folder: &Path) -> Result<(), Error> {
        let Source::Pipeline(loaded) = &self.source else { return Ok(()) };
        if loaded.config.simulate.is_none() {
            return Ok(());
        }
        loop {
            match pipeline::simulate(session, loaded, &folder.join(SIMULATIONS)) {
                Err(Error::InUse { .. }) if !session.is_stopping() => std::thread::sleep(POLL),
                other => return other,
            }
        }
    }

    /// The training with changes, as `--set` has them, and the file of its split.
    ///
    /// # Errors
    /// A change that the file does not take.
    pub(super) fn infer(&self, overrides: &[String]) -> Result<(InferConfig, Option<PathBuf>), Error> {
        let (mut infer, paths) = match &self.source {
            Source::Data => {
                let loaded = config::load::<InferConfig>(&self.file, overrides, &self.working)?;
                (loaded.config, loaded.paths)
            }
            Source::Pipeline(_) => {
                let loaded = config::load::<PipelineConfig>(&self.file, overrides, &self.working)?;
                (training(&loaded.config)?, loaded.paths)
            }
        };
        infer.out_dir = ".".into();
        let split_file = infer.train_args.split_file.as_ref().map(|file| paths.input(file));
        Ok((infer, split_file))
    }
}

/// The training part of a pipeline, with the names of the task's parameters.
fn training(config: &PipelineConfig) -> Result<InferConfig, Error> {
    let engine = config.model.engine;
    if engine.is_sequential() || engine.is_abc() {
        return Err(Error::failed(
            "a study compares trainings on the same simulations, and this engine simulates as it goes or trains nothing",
            "name another engine in the pipeline",
        ));
    }
    let mut infer = config.infer().ok_or_else(|| Error::failed("there is no prior", "add a section `prior` or `simulate`"))?;
    if let (true, Some(simulate)) = (infer.parameters.is_empty(), &config.simulate) {
        let names = simulate::parameter_names(&simulate.simulator)?;
        infer.parameters = names.into_iter().map(|p| Parameter { name: p.name, unit: p.unit, label: p.label }).collect();
    }
    Ok(infer)
}
