//! The sections `estimate` and `models` of a pipeline.

use super::{Pipeline, VERSION, observation_files};
use crate::config::{EstimateConfig, ModelsConfig, SimulateConfig};
use crate::error::Error;
use crate::session::json;
use crate::stages::estimate::{estimates, learn_models, learn_quantity, rows_for};
use crate::stages::inputs::{PairFiles, make_folder, read_array, write_array};
use crate::stages::run::{Stage, fingerprint, stage};
use crate::stages::simulate;
use abduce_data::artefact::write_atomic;
use abduce_data::rundir::DataFile;
use abduce_data::{Array, ParameterInfo};
use abduce_inference::estimate::{Estimator, ModelComparison};
use abduce_inference::simulator::store::FailedItems;
use serde_json::json as value;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Folder of the estimators, their tests and their values for the observations.
const ESTIMATES: &str = "estimates";
/// The comparison of models: file, test and answers.
const MODELS: [&str; 2] = ["models.safetensors", "models.json"];

impl Pipeline<'_> {
    /// Learns what the section `estimate` names, and asks for the observations.
    pub(super) fn estimate(&self, pairs: &PairFiles) -> Result<(), Error> {
        if self.config.estimate.is_empty() {
            return Ok(());
        }
        make_folder(&self.run.file(ESTIMATES))?;
        let observations = self.observations()?;
        let names = match &self.config.simulate {
            _ if !self.config.parameters.is_empty() => Some(self.config.parameters.iter().map(ParameterInfo::from).collect()),
            Some(config) => Some(simulate::parameter_names(&config.simulator)?),
            None => None,
        };
        for (name, config) in &self.config.estimate {
            self.one_estimate(name, config, pairs, names.as_deref(), observations.as_deref())?;
        }
        Ok(())
    }

    fn one_estimate(
        &self,
        name: &str,
        config: &EstimateConfig,
        pairs: &PairFiles,
        names: Option<&[ParameterInfo]>,
        observations: Option<&Path>,
    ) -> Result<(), Error> {
        let seed = self.seed().derive("estimate", 0);
        let [model, tested, values] = ["safetensors", "json", "npy"].map(|kind| self.run.file(&format!("{ESTIMATES}/{name}.{kind}")));
        let x = observations.map(|file| DataFile::of("x_obs", file)).transpose()?;
        let depends = value!([VERSION, config, pairs.hashes()?, names, x, seed, self.session.compute.simd.name()]);
        let mut outputs = vec![model.clone(), tested.clone()];
        outputs.extend(observations.map(|_| values.clone()));
        let what = format!("estimate-{name}");
        stage(self.session, &self.run, &Stage { name: &what, fingerprint: &fingerprint(&depends)?, outputs: &outputs }, || {
            let quantity = config.quantity.quantity(&config.levels);
            let (estimator, test, dropped) = learn_quantity(self.session, pairs, &quantity, names, &config.learn, seed)?;
            estimator.save(&model)?;
            write_json(&tested, &test)?;
            if let Some(file) = observations {
                let estimator = Estimator::load(&model)?;
                write_array(&values, &estimates(self.session, &estimator, &rows_for(file, &estimator.x_shape)?)?)?;
            }
            Ok(dropped.into_iter().collect())
        })
    }

    /// Learns which of the section `models` made a datum, and asks for the observations.
    pub(super) fn compare_models(&self, pairs: &PairFiles) -> Result<(), Error> {
        let (Some(config), Some(own)) = (&self.config.models, &self.config.simulate) else { return Ok(()) };
        let observations = self.observations()?;
        let x = observations.as_deref().map(|file| DataFile::of("x_obs", file)).transpose()?;
        let seed = self.seed().derive("models", 0);
        let depends = value!([VERSION, config, own.n, pairs.hashes()?, x, seed, self.session.compute.simd.name()]);
        let outputs = MODELS.map(|name| self.run.file(name));
        stage(self.session, &self.run, &Stage { name: "models", fingerprint: &fingerprint(&depends)?, outputs: &outputs }, || {
            let mut data = vec![read_array(&pairs.x, "x")?];
            for (at, name) in config.others.keys().enumerate() {
                data.push(self.data_of_model(config, own, (at, name))?);
            }
            let names = config.names();
            let (comparison, test, doubt) = learn_models(self.session, &names, &data, &config.learn, seed)?;
            comparison.save(&outputs[0])?;
            let found = match &observations {
                None => Vec::new(),
                Some(file) => {
                    // From the file, as whoever asks later.
                    let comparison = ModelComparison::load(&outputs[0])?;
                    let x = rows_for(file, &comparison.x_shape)?;
                    comparison.compare(&self.session.compute, x.data(), &config.priors())?
                }
            };
            write_json(&outputs[1], &value!({"models": names, "test": test, "observations": found}))?;
            Ok(doubt.into_iter().collect())
        })
    }

    /// Data of another simulator, with parameters from its own prior: `models/NAME` in the folder of the simulations.
    fn data_of_model(&self, config: &ModelsConfig, own: &SimulateConfig, (at, name): (usize, &str)) -> Result<Array, Error> {
        let folder = self.run.file(&own.out.to_string_lossy()).join("models").join(name);
        let simulator = simulate::rows_of(self.session, &config.others[name], self.paths, &folder)?;
        let seed = own.seed.map_or(self.seed(), abduce_data::Seed).derive("model", at as u64);
        let rows = config.n.unwrap_or(own.n);
        self.session.console.note(format_args!("simulating {rows} data of the model {name}"));
        let wanted = simulate::Wanted { rows, seed, store: None, failed: FailedItems::Keep, folder: &folder, suffix: "" };
        let made = simulate::simulate_items(self.session, simulator.as_ref(), &wanted)?;
        if made.rows < rows {
            return Err(Error::Interrupted { run: self.run.path().to_path_buf() });
        }
        made.warnings.iter().for_each(|found| self.session.console.warn(found));
        read_array(&made.x, "x")
    }

    /// The observations of `sample`, where there are any.
    fn observations(&self) -> Result<Option<PathBuf>, Error> {
        self.config.sample.as_ref().map(|sample| Ok(observation_files(&self.config, sample, self.paths)?.0)).transpose()
    }
}

fn write_json(path: &Path, content: &impl serde::Serialize) -> Result<(), Error> {
    let text = json(content)?;
    Ok(write_atomic(path, |out| out.write_all(text.as_bytes()))?)
}
