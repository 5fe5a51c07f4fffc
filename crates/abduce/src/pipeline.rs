//! `abduce run`: simulate → train → sample → validate → compare → report, from one file into one run directory.
//!
//! Every stage is a function of the files of the earlier ones and is skipped when it was done before with the same fingerprint, a hash of
//! everything that it depends on. So a run that was stopped goes on where it was, and a changed option repeats only what it touches.

mod estimates;

use crate::config::{self, CompareConfig, Engine, InferConfig, Loaded, PathRules, PipelineConfig, SampleConfig, SimulateConfig};
use crate::error::Error;
use crate::present;
use crate::present::comparison::Comparison;
use crate::present::run::{COMPARISON, METRICS, NOVELTIES, OBSERVATIONS, SAMPLES, SAMPLING, TRUTH, VALIDATION};
use crate::session::{Session, warning};
use crate::stages::abc::{AbcInputs, AbcSource, train_stage as accept_stage};
use crate::stages::draw::{Drawing, Wish, draw};
use crate::stages::inputs::{self, Observation, PairFiles};
use crate::stages::model::Model;
use crate::stages::run::{self as bookkeeping, Existing, Stage, fingerprint, stage};
use crate::stages::sequential::{SequentialInputs, train_stage};
use crate::stages::train::{Training, posterior_path, train};
use crate::stages::validate::{Test, gates, validate};
use crate::stages::{compare, sample, simulate};
use abduce_data::rundir::{CONFIG, DataFile, Manifest};
use abduce_data::{Array, ParameterInfo, RunDir, Seed, npy};
use abduce_inference::diagnostics::{Gate, Metrics, Warning};
use abduce_inference::posterior::{Novelty, Posterior};
use abduce_inference::simulator::store::FailedItems;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The program's version, part of every fingerprint.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As asked.
    Done,
    /// All results are there, and a gate that was asked for does not hold.
    GateFailed,
}

/// Runs all stages into `folder` and returns how it ended and the report's path.
pub fn run(session: &Session, loaded: &Loaded<PipelineConfig>, folder: &Path, existing: Existing) -> Result<(Ending, PathBuf), Error> {
    let pipeline = Pipeline::open(session, loaded, folder, existing)?;
    let (training, test) = pipeline.simulate()?;
    if pipeline.config.model.engine.is_abc() {
        pipeline.accept(&training)?;
        return Ok((Ending::Done, pipeline.report()?));
    }
    let posterior = pipeline.train(&training)?;
    if let Some(config) = &pipeline.config.sample {
        let observed = pipeline.sample(&posterior, config)?;
        if let Some(config) = &pipeline.config.report.compare {
            pipeline.compare(&posterior, config, &observed)?;
        }
    }
    pipeline.estimate(&training)?;
    pipeline.compare_models(&training)?;
    let ending = match test {
        Some(test) => pipeline.validate(&posterior, &test)?,
        None => Ending::Done,
    };
    Ok((ending, pipeline.report()?))
}

/// Simulates what the pipeline simulates into `folder`, a run directory, unless it is there.
///
/// # Errors
/// The simulator fails, or another process works in the folder.
pub fn simulate(session: &Session, loaded: &Loaded<PipelineConfig>, folder: &Path) -> Result<(), Error> {
    Pipeline::open(session, loaded, folder, Existing::Update)?.simulate().map(drop)
}

/// The pairs that a pipeline simulates into `folder`.
pub fn simulated_files(folder: &Path, suffix: &str) -> PairFiles {
    PairFiles {
        theta: folder.join(format!("theta{suffix}.npy")),
        x: folder.join(format!("x{suffix}.npy")),
        thin: 1,
        first: None,
        nan_rows: config::NanRows::Drop,
        buffer_bytes: SIMULATED_BUFFER_BYTES,
    }
}

struct Pipeline<'a> {
    session: &'a Session,
    /// With everything that does not belong to the result, such as the output folder, taken out.
    config: PipelineConfig,
    infer: InferConfig,
    paths: &'a PathRules,
    run: RunDir,
}

/// What a sampling stage leaves for the comparison.
struct Observed {
    x: PathBuf,
    samples: PathBuf,
    fingerprint: String,
}

impl<'a> Pipeline<'a> {
    fn open(session: &'a Session, loaded: &'a Loaded<PipelineConfig>, folder: &Path, existing: Existing) -> Result<Self, Error> {
        let mut config = loaded.config.clone();
        config.out_dir = Some(".".into());
        let infer = config.infer().ok_or_else(|| Error::failed("there is no prior", "add a section `prior` or `simulate`"))?;
        let text = config::to_yaml(&config)?;
        let mut manifest = Manifest::new(VERSION, Seed(config.seed), session.compute.simd.name(), &text);
        let files = input_files(&config, &loaded.paths)?;
        for (role, path) in &files {
            manifest.data.push(DataFile::of(role, path)?);
        }
        let run = bookkeeping::open(folder, &manifest, existing)?;
        run.write_text(CONFIG, &text)?;
        let paths: Vec<PathBuf> = files.into_iter().map(|(_, path)| path).collect();
        bookkeeping::write_provenance(session, &run, &paths)?;
        Ok(Self { session, config, infer, paths: &loaded.paths, run })
    }

    fn seed(&self) -> Seed {
        Seed(self.config.seed)
    }

    /// Training pairs and, where there are any, test pairs: simulated, or as stored.
    fn simulate(&self) -> Result<(PairFiles, Option<PairFiles>), Error> {
        let engine = self.config.model.engine;
        // An ABC sample says nothing about other data.
        let validating = !(engine.is_abc() || self.config.validate.metrics.is_empty() && self.config.validate.gates.is_empty());
        let test = self.config.validate.data.as_ref().filter(|_| validating);
        let test = test.map(|data| PairFiles::new(data, self.paths)).transpose()?;
        match (&self.config.simulate, &self.config.data) {
            (Some(config), _) => {
                let (training, simulated_test) = self.simulate_pairs(config)?;
                Ok((training, test.or(simulated_test.filter(|_| validating))))
            }
            (None, Some(data)) => Ok((PairFiles::new(data, self.paths)?, test)),
            (None, None) => Err(Error::failed("there is nothing to train on", "add a section `simulate` or `data`")),
        }
    }

    fn simulate_pairs(&self, config: &SimulateConfig) -> Result<(PairFiles, Option<PairFiles>), Error> {
        let seed = config.seed.map_or(self.seed(), Seed);
        let folder = self.run.file(&config.out.to_string_lossy());
        let engine = self.config.model.engine;
        let n = if engine.is_sequential() || self.simulates_for_abc() { 0 } else { config.n };
        let n_test = if engine.is_abc() { 0 } else { config.n_test };
        let sets = [("", n, seed), ("_test", n_test, seed.derive("test", 0))];
        let sets: Vec<_> = sets.into_iter().filter(|(_, rows, _)| *rows > 0).collect();
        let files = |suffix: &str| simulated_files(&folder, suffix);
        let outputs: Vec<PathBuf> = sets.iter().flat_map(|(suffix, ..)| [files(suffix).theta, files(suffix).x]).collect();
        // A changed program is another simulator; the number of its processes is not.
        let simulator = simulate::rows_of(self.session, &config.simulator, self.paths, &folder)?;
        let depends = fingerprint(&json!([VERSION, simulator.identity(), config.simulator.prior(), n, n_test, seed]))?;
        stage(self.session, &self.run, &Stage { name: "simulate", fingerprint: &depends, outputs: &outputs }, || {
            let mut warnings = Vec::new();
            for (suffix, rows, seed) in &sets {
                self.session.console.note(format_args!("simulating {rows} pairs of {}", config.simulator.name()));
                let made = match (&config.simulator.task, self.store(config, &folder)) {
                    (Some(task), None) => {
                        simulate::simulate(self.session, simulate::simulator(task)?.as_ref(), *rows, *seed, (&folder, suffix))?
                    }
                    (_, store) => {
                        let failed = FailedItems::Keep;
                        let wanted =
                            simulate::Wanted { rows: *rows, seed: *seed, store: store.as_deref(), failed, folder: &folder, suffix };
                        simulate::simulate_items(self.session, simulator.as_ref(), &wanted)?
                    }
                };
                if made.rows < *rows {
                    return Err(Error::Interrupted { run: self.run.path().to_path_buf() });
                }
                warnings.extend(made.warnings);
            }
            Ok(warnings)
        })?;
        Ok((files(""), (n_test > 0).then(|| files("_test"))))
    }

    /// Where simulations are kept: where the user says so, and a program's in any case.
    fn store(&self, config: &SimulateConfig, folder: &Path) -> Option<PathBuf> {
        let named = config.store.as_ref().map(|store| self.paths.output(store));
        named.or_else(|| config.simulator.task.is_none().then(|| folder.join("store")))
    }

    fn train(&self, pairs: &PairFiles) -> Result<Posterior, Error> {
        if self.config.model.engine.is_sequential() {
            return self.train_in_rounds();
        }
        let split_file = self.infer.train_args.split_file.as_ref().map(|file| self.paths.input(file));
        let simulate = self.config.simulate.as_ref();
        let parameters: Option<Vec<ParameterInfo>> = simulate.map(|config| simulate::parameter_names(&config.simulator)).transpose()?;
        let depends = training_fingerprint(self.session, &self.infer, pairs, split_file.as_deref())?;
        let output = posterior_path(&self.run, &self.infer);
        let request = Training { infer: &self.infer, pairs, split_file, parameters, fingerprint: &depends };
        let outputs = [output.clone()];
        stage(self.session, &self.run, &Stage { name: "train", fingerprint: &depends, outputs: &outputs }, || {
            train(self.session, &self.run, &request)
        })?;
        Ok(Posterior::load(&output)?)
    }

    fn train_in_rounds(&self) -> Result<Posterior, Error> {
        // The check of the file has asked for both.
        let (Some(simulate), Some(sample)) = (&self.config.simulate, &self.config.sample) else {
            return Err(Error::failed("a sequential engine needs a simulator and an observation", "add sections `simulate` and `sample`"));
        };
        let (x_obs, _) = observation_files(&self.config, sample, self.paths)?;
        let scratch = self.run.file(&simulate.out.to_string_lossy());
        let simulator = simulate::rows_of(self.session, &simulate.simulator, self.paths, &scratch)?;
        let inputs = SequentialInputs {
            infer: &self.infer,
            parameters: Some(simulate::parameter_names(&simulate.simulator)?),
            simulator: simulator.as_ref(),
            simulations: simulate.n,
            x_obs: &x_obs,
        };
        Ok(Posterior::load(&train_stage(self.session, &self.run, &inputs)?)?)
    }

    /// Whether ABC asks the simulator as it goes: for populations, and for several data of each parameter. Otherwise it takes what the stage before made.
    fn simulates_for_abc(&self) -> bool {
        let several = self.infer.train_args.abc.num_iid_samples.is_some_and(|n| n > 1);
        match self.config.model.engine {
            Engine::Smcabc => true,
            Engine::Mcabc => several,
            _ => false,
        }
    }

    /// ABC in place of training, and draws of its sample.
    fn accept(&self, pairs: &PairFiles) -> Result<(), Error> {
        // The check of the file has asked for it.
        let Some(config) = &self.config.sample else {
            return Err(Error::failed("ABC needs an observation", "add a section `sample`"));
        };
        let (x_obs, truth) = observation_files(&self.config, config, self.paths)?;
        let simulate = self.config.simulate.as_ref();
        let scratch = |config: &SimulateConfig| self.run.file(&config.out.to_string_lossy());
        let live = simulate.filter(|_| self.simulates_for_abc());
        let simulator = live.map(|config| simulate::rows_of(self.session, &config.simulator, self.paths, &scratch(config))).transpose()?;
        let source = simulator.as_deref().map_or(AbcSource::Stored(pairs), AbcSource::Simulator);
        let parameters = simulate.map(|config| simulate::parameter_names(&config.simulator)).transpose()?;
        let simulations = simulate.map(|config| config.n);
        let inputs = AbcInputs { infer: &self.infer, parameters, source, x_obs: &x_obs, simulations, keep: None };
        let model = accept_stage(self.session, &self.run, &inputs)?;
        let seed = self.seed().derive("sample", 0);
        let depends = fingerprint(&json!([VERSION, DataFile::of("posterior", &model)?, config.n, seed]))?;
        let [x_path, samples_path] = [OBSERVATIONS, SAMPLES].map(|name| self.run.file(name));
        let outputs = [samples_path.clone(), x_path.clone()];
        stage(self.session, &self.run, &Stage { name: "sample", fingerprint: &depends, outputs: &outputs }, || {
            let Model::Sample(abc) = Model::load(&model)? else {
                return Err(Error::failed("the model of this run is no ABC sample", "begin anew with --restart"));
            };
            let x_shape = std::iter::once(abc.trials()).chain(abc.x_shape.iter().copied()).collect();
            npy::write(&x_path, &Array::new(x_shape, abc.x_obs.clone())?)?;
            npy::write(&samples_path, &Array::new(vec![1, config.n, abc.dimension()], abc.draw(config.n, seed)?)?)?;
            if let Some(truth) = &truth {
                npy::write(&self.run.file(TRUTH), &inputs::theta_rows(truth, abc.dimension())?)?;
            }
            Ok(Vec::new())
        })
    }

    fn sample(&self, posterior: &Posterior, config: &SampleConfig) -> Result<Observed, Error> {
        let (file, truth) = observation_files(&self.config, config, self.paths)?;
        let seed = self.seed().derive("sample", 0);
        let model = DataFile::of("posterior", &posterior_path(&self.run, &self.infer))?;
        let depends = fingerprint(&json!([VERSION, model, DataFile::of("x_obs", &file)?, config, seed, self.session.compute.simd.name()]))?;
        let [x_path, samples_path] = [OBSERVATIONS, SAMPLES].map(|name| self.run.file(name));
        let outputs = [samples_path.clone(), x_path.clone()];
        stage(self.session, &self.run, &Stage { name: "sample", fingerprint: &depends, outputs: &outputs }, || {
            let x = inputs::observations(&file, posterior)?;
            let novelties: Vec<Novelty> = posterior.novelties(x.data())?;
            let drawing = Drawing::choose(self.session, posterior, config.sample_method, &config.sample_params, Wish::Written)?;
            let drawn = draw(self.session, posterior, &x, config.trials, config.n, &drawing, seed)?;
            let warnings: Vec<Warning> = drawn.quality.warning().into_iter().collect();
            self.run.write_json(SAMPLING, &drawn.quality)?;
            npy::write(&x_path, &x)?;
            npy::write(&samples_path, &drawn.samples)?;
            if let Some(truth) = &truth {
                npy::write(&self.run.file(TRUTH), &inputs::parameters(truth, posterior)?)?;
            }
            self.run.write_json(NOVELTIES, &novelties)?;
            // The report tells them from `novelties.json`.
            sample::novelty_warnings(&novelties, x.rows()).iter().for_each(|found| self.session.console.warn(found));
            Ok(warnings)
        })?;
        Ok(Observed { x: x_path, samples: samples_path, fingerprint: depends })
    }

    fn compare(&self, posterior: &Posterior, config: &CompareConfig, observed: &Observed) -> Result<(), Error> {
        let [file, errors] = [Some(&config.file), config.error_file.as_ref()].map(|file| file.map(|file| self.paths.input(file)));
        let hashes = [&file, &errors].into_iter().flatten().map(|path| DataFile::of("reference", path)).collect::<Result<Vec<_>, _>>()?;
        let depends = fingerprint(&json!([VERSION, config, observed.fingerprint, hashes]))?;
        let outputs = [self.run.file(COMPARISON)];
        stage(self.session, &self.run, &Stage { name: "compare", fingerprint: &depends, outputs: &outputs }, || {
            let names: Vec<&str> = posterior.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            let wanted = config.parameter.as_deref().unwrap_or(names[0]);
            let parameter = names.iter().position(|name| *name == wanted).ok_or_else(|| {
                Error::failed(
                    format!("report.compare: there is no parameter `{wanted}`"),
                    format!("the parameters are {}", names.join(", ")),
                )
            })?;
            let values = |path: &Path| -> Result<Vec<f64>, Error> {
                Ok(inputs::read_array::<f32>(path, "values")?.into_data().into_iter().map(f64::from).collect())
            };
            let reference = compare::Reference {
                name: &config.name,
                values: file.as_deref().map_or_else(|| Ok(Vec::new()), values)?,
                errors: errors.as_deref().map(values).transpose()?,
                parameter,
                scale: config.scale,
            };
            let samples: Array = npy::read(&observed.samples)?;
            let mut found = compare::compare(&posterior.parameters, &samples, reference)?;
            if let (Some(predict), Some(simulate)) = (&config.predict, &self.config.simulate) {
                let simulator = simulate::rows_of(self.session, &simulate.simulator, self.paths, self.run.path())?;
                let seed = self.seed().derive("predict", 0);
                let x = npy::read(&observed.x)?;
                found.predictive = Some(compare::predict(self.session, simulator.as_ref(), predict, &x, &samples, seed)?);
            }
            self.run.write_json(COMPARISON, &found)?;
            Ok(Vec::new())
        })?;
        let found: Comparison = self.run.read_json(COMPARISON)?;
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_string(), |value| format!("{value:.3}"));
        self.session.console.note(format_args!(
            "against {} ({} objects): median ratio {}, scatter {} dex, pulls {} ± {}",
            found.name,
            found.reference.len(),
            number(found.median_ratio),
            number(found.scatter_dex),
            number(found.pull_mean),
            number(found.pull_sd)
        ));
        Ok(())
    }

    fn validate(&self, posterior: &Posterior, pairs: &PairFiles) -> Result<Ending, Error> {
        let config = &self.config.validate;
        let seed = config.seed.map_or_else(|| self.seed().derive("validation", 0), Seed);
        let folder = self.run.file(VALIDATION);
        let model = DataFile::of("posterior", &posterior_path(&self.run, &self.infer))?;
        let (observed, observation) = self.test_observation(posterior)?.unzip();
        let depends = fingerprint(&json!([VERSION, config, model, pairs.hashes()?, observed, seed, self.session.compute.simd.name()]))?;
        let output = folder.join(if config.ensemble_mode { METRICS.to_string() } else { format!("net0_{METRICS}") });
        stage(self.session, &self.run, &Stage { name: "validate", fingerprint: &depends, outputs: std::slice::from_ref(&output) }, || {
            let source = pairs.open()?;
            let test = Test { posterior, source: &source, config, observation, gates: config.gates.clone(), seed, measured: Vec::new() };
            Ok(validate(self.session, &test, &folder)?.warnings)
        })?;
        let metrics: Vec<Metrics> = if config.ensemble_mode {
            vec![self.run.read_json(&format!("{VALIDATION}/{METRICS}"))?]
        } else {
            let read = |k: usize| self.run.read_json(&format!("{VALIDATION}/net{k}_{METRICS}"));
            (0..posterior.members.len()).map(read).collect::<Result<_, _>>()?
        };
        Ok(judge(self.session, &metrics, &config.gates))
    }

    /// The observation of the test data, or else the one that is sampled for, with the hash of its file.
    fn test_observation(&self, posterior: &Posterior) -> Result<Option<(DataFile, Observation)>, Error> {
        let data = self.config.validate.data.as_ref().filter(|data| data.xobs_file.is_some());
        let (file, truth) = match (data, &self.config.sample) {
            (Some(data), _) => {
                let path = |name: &Option<PathBuf>| name.as_ref().map(|name| self.paths.input(&data.file(name)));
                (path(&data.xobs_file), path(&data.thetafid_file))
            }
            (None, Some(config)) => {
                let (x, truth) = observation_files(&self.config, config, self.paths)?;
                (Some(x), truth)
            }
            (None, None) => (None, None),
        };
        let Some(file) = file else { return Ok(None) };
        let truth = truth.map(|truth| inputs::parameters(&truth, posterior)).transpose()?;
        let first = |theta: Array| theta.row(0).iter().copied().map(f64::from).collect();
        Ok(Some((DataFile::of("x_obs", &file)?, (inputs::observations(&file, posterior)?, truth.map(first)))))
    }

    fn report(&self) -> Result<PathBuf, Error> {
        let begun = Instant::now();
        let path = present::report::write(self.run.path())?;
        self.run.add_timing("report", begun.elapsed().as_secs_f64())?;
        self.session.console.note(format_args!("report: {}", path.display()));
        Ok(path)
    }
}

/// Simulated pairs are loaded up to this size.
const SIMULATED_BUFFER_BYTES: usize = 128 << 20;

/// Says which gates hold.
pub fn judge(session: &Session, metrics: &[Metrics], asked: &[Gate]) -> Ending {
    let mut ending = Ending::Done;
    for (gate, found) in gates(metrics, asked) {
        match found {
            Some(found) if found.pass => session.console.note(format_args!("gate {gate}: holds")),
            _ => {
                let value = found.and_then(|found| found.value).map_or_else(|| "none".to_string(), |value| format!("{value:.3e}"));
                let threshold = found.map_or(f64::NAN, |found| found.threshold);
                session.console.warn(&warning(format!("gate {gate} does not hold: {value}, above {threshold} was asked for"), ""));
                ending = Ending::GateFailed;
            }
        }
    }
    ending
}

/// A hash of everything that training depends on.
pub fn training_fingerprint(session: &Session, infer: &InferConfig, pairs: &PairFiles, split: Option<&Path>) -> Result<String, Error> {
    let split = split.map(|path| DataFile::of("split", path)).transpose()?;
    let rows = json!([pairs.thin, pairs.first, pairs.nan_rows, pairs.buffer_bytes]);
    fingerprint(&json!([VERSION, session.compute.simd.name(), infer, pairs.hashes()?, rows, split]))
}

/// Every file that the user gives, by its role.
fn input_files(config: &PipelineConfig, paths: &PathRules) -> Result<Vec<(&'static str, PathBuf)>, Error> {
    let mut files = Vec::new();
    for (data, roles) in [(&config.data, ["theta", "x"]), (&config.validate.data, ["test_theta", "test_x"])] {
        if let Some(data) = data {
            let pairs = PairFiles::new(data, paths)?;
            files.extend(roles.into_iter().zip([pairs.theta, pairs.x]));
        }
    }
    if let Some(sample) = &config.sample
        && let Ok((x, truth)) = observation_files(config, sample, paths)
    {
        files.push(("x_obs", x));
        files.extend(truth.map(|truth| ("theta_fid", truth)));
    }
    if let Some(compare) = &config.report.compare {
        files.push(("reference", paths.input(&compare.file)));
        files.extend(compare.error_file.as_ref().map(|file| ("reference_error", paths.input(file))));
    }
    files.extend(config.train_args.split_file.as_ref().map(|file| ("split", paths.input(file))));
    Ok(files)
}

/// Where the observations are, and their true parameters.
fn observation_files(config: &PipelineConfig, sample: &SampleConfig, paths: &PathRules) -> Result<(PathBuf, Option<PathBuf>), Error> {
    let stored = config.data.as_ref();
    let of_data = stored.and_then(|data| Some((paths.input(&data.file(data.xobs_file.as_ref()?)), data)));
    match (&sample.x_file, of_data) {
        (Some(file), _) => Ok((paths.input(file), None)),
        (None, Some((x, data))) => Ok((x, data.thetafid_file.as_ref().map(|file| paths.input(&data.file(file))))),
        (None, None) => Err(Error::failed("there is no observation to sample for", "add `x_file` to `sample`")),
    }
}
