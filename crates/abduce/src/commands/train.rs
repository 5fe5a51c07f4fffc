//! `abduce train INFER.yaml`: a posterior from stored simulations.

use super::{ComputeArgs, ExistingArgs, notices, train_abc, train_rounds};
use crate::config::{self, DataConfig, InferConfig, Loaded, PathRules};
use crate::error::Error;
use crate::event_files::EventFiles;
use crate::pipeline::{Ending, VERSION, training_fingerprint};
use crate::session::{Session, print};
use crate::stages::inputs::PairFiles;
use crate::stages::run::{Existing, Stage, open, stage, write_provenance};
use crate::stages::train::{CHECKPOINTS, Training, checkpoints, posterior_path, train_watched};
use abduce_data::rundir::{CONFIG, DataFile, Manifest};
use abduce_data::{RunDir, Seed};
use abduce_inference::training::{Observer, Silent};
use std::path::PathBuf;

/// Train a posterior on stored simulations.
#[derive(Clone, Debug, clap::Args)]
pub struct TrainArgs {
    /// Prior, model and training: LtU-ILI's infer file.
    pub infer: PathBuf,
    /// Where theta and x are stored: LtU-ILI's data file.
    #[arg(long)]
    pub data: PathBuf,
    /// The run directory; `out_dir` of the infer file by default.
    #[arg(short, long, value_name = "RUN")]
    pub out: Option<PathBuf>,
    /// Seed of everything random; `seed` of the infer file by default.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Change a key of the infer file: --set model.nets.0.hidden_features=64.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Write each net's scores over epochs to event files in this folder, for TensorBoard.
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
    /// What to do with a run that exists.
    #[command(flatten)]
    pub existing: ExistingArgs,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// The two files of a training, with the seed and the folder that the command line may change.
pub(super) struct TrainFiles {
    /// Prior, nets, options; `out_dir` is spent on `folder`.
    pub(super) infer: InferConfig,
    /// Where its paths lead.
    pub(super) infer_paths: PathRules,
    /// What is trained on.
    pub(super) data: Loaded<DataConfig>,
    /// The run directory.
    pub(super) folder: PathBuf,
}

impl TrainFiles {
    /// Reads both and says what in them has no effect.
    ///
    /// # Errors
    /// A file is not as it should be.
    pub(super) fn read(session: &Session, args: &TrainArgs) -> Result<Self, Error> {
        let loaded = config::load::<InferConfig>(&args.infer, &args.set, &session.working)?;
        let data = config::load::<DataConfig>(&args.data, &[], &session.working)?;
        notices(&session.console, &loaded);
        notices(&session.console, &data);
        let mut infer = loaded.config;
        infer.seed = args.seed.unwrap_or(infer.seed);
        let folder = session.path(args.out.as_deref().unwrap_or(&infer.out_dir));
        infer.out_dir = ".".into();
        Ok(Self { infer, infer_paths: loaded.paths, data, folder })
    }
}

/// A training as its files describe it.
pub struct Prepared {
    /// Prior, nets, options.
    pub infer: InferConfig,
    /// The simulations.
    pub pairs: PairFiles,
    /// A file that fixes the split.
    pub split_file: Option<PathBuf>,
    /// The run directory.
    pub folder: PathBuf,
    /// What the run depends on.
    pub manifest: Manifest,
    /// The resolved configuration.
    pub text: String,
    /// A hash of everything that training depends on.
    pub fingerprint: String,
}

impl Prepared {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is not as it should be.
    pub fn new(session: &Session, args: &TrainArgs) -> Result<Self, Error> {
        let TrainFiles { infer, infer_paths, data, folder } = TrainFiles::read(session, args)?;

        let pairs = PairFiles::new(&data.config, &data.paths)?;
        let split_file = infer.train_args.split_file.as_ref().map(|file| infer_paths.input(file));
        Self::of(session, infer, pairs, split_file, folder)
    }

    /// A training of a configuration that is read already.
    ///
    /// # Errors
    /// A data file cannot be read.
    pub fn of(
        session: &Session,
        infer: InferConfig,
        pairs: PairFiles,
        split_file: Option<PathBuf>,
        folder: PathBuf,
    ) -> Result<Self, Error> {
        if infer.model.engine.is_sequential() {
            return Err(Error::failed(
                "a sequential engine simulates while it trains, which can't be cut into parts",
                "use `abduce train` or `abduce run`",
            ));
        }
        if infer.model.engine.is_abc() {
            return Err(Error::failed("ABC trains no nets that could be cut into parts or searched", "use `abduce train` or `abduce run`"));
        }
        let text = config::to_yaml(&infer)?;
        let mut manifest = Manifest::new(VERSION, Seed(infer.seed), session.compute.simd.name(), &text);
        manifest.data = pairs.hashes()?;
        manifest.data.extend(split_file.as_ref().map(|path| DataFile::of("split", path)).transpose()?);
        let fingerprint = training_fingerprint(session, &infer, &pairs, split_file.as_deref())?;
        Ok(Self { infer, pairs, split_file, folder, manifest, text, fingerprint })
    }

    /// Opens the run directory and writes what it is.
    ///
    /// # Errors
    /// There is another run, or files.
    pub fn open(&self, session: &Session, existing: Existing) -> Result<RunDir, Error> {
        let run = open(&self.folder, &self.manifest, existing)?;
        run.write_text(CONFIG, &self.text)?;
        write_provenance(session, &run, &[self.pairs.theta.clone(), self.pairs.x.clone()])?;
        Ok(run)
    }

    /// What is to be trained.
    pub fn request(&self) -> Training<'_> {
        Training {
            infer: &self.infer,
            pairs: &self.pairs,
            split_file: self.split_file.clone(),
            parameters: None,
            fingerprint: &self.fingerprint,
        }
    }

    /// Trains into an open run, unless that was done before; gives the path of the posterior.
    ///
    /// # Errors
    /// Training fails or is stopped.
    pub fn train(&self, session: &Session, run: &RunDir, watch: &dyn Observer) -> Result<PathBuf, Error> {
        let output = posterior_path(run, &self.infer);
        let outputs = [output.clone()];
        let what = Stage { name: "train", fingerprint: &self.fingerprint, outputs: &outputs };
        stage(session, run, &what, || {
            let kept = checkpoints(&run.file(CHECKPOINTS), &self.fingerprint)?;
            train_watched(session, run, &self.request(), &kept, watch)
        })?;
        Ok(output)
    }
}

/// What happens to a run that exists.
pub(super) const fn existing(args: &TrainArgs) -> Existing {
    match (args.existing.resume, args.existing.restart) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Restart,
        _ => Existing::Refuse,
    }
}

/// Runs the command; the path of the posterior goes to standard output.
pub fn run(session: &Session, args: &TrainArgs) -> Result<Ending, Error> {
    let engine = config::load::<InferConfig>(&args.infer, &args.set, &session.working)?.config.model.engine;
    let output = if engine.is_sequential() {
        train_rounds::train(session, args)?
    } else if engine.is_abc() {
        train_abc::train(session, args)?
    } else {
        let prepared = Prepared::new(session, args)?;
        let run = prepared.open(session, existing(args))?;
        match &args.tensorboard {
            Some(folder) => prepared.train(session, &run, &EventFiles::new(session.path(folder), session.console))?,
            None => prepared.train(session, &run, &Silent)?,
        }
    };
    print(&format!("{}\n", output.display()))?;
    Ok(Ending::Done)
}
