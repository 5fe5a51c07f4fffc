//! `abduce train INFER.yaml`: a posterior from stored simulations.

use super::{ComputeArgs, ExistingArgs, notices};
use crate::config::{self, DataConfig, InferConfig};
use crate::error::Error;
use crate::pipeline::{Ending, VERSION, training_fingerprint};
use crate::session::{Session, print};
use crate::stages::inputs::PairFiles;
use crate::stages::run::{Existing, Stage, open, stage, write_provenance};
use crate::stages::train::{Training, posterior_path, train};
use abduce_data::Seed;
use abduce_data::rundir::{CONFIG, DataFile, Manifest};
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
    /// What to do with a run that exists.
    #[command(flatten)]
    pub existing: ExistingArgs,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Runs the command; the path of the posterior goes to standard output.
pub fn run(session: &Session, args: &TrainArgs) -> Result<Ending, Error> {
    let loaded = config::load::<InferConfig>(&args.infer, &args.set, &session.working)?;
    let data = config::load::<DataConfig>(&args.data, &[], &session.working)?;
    notices(&session.console, &loaded);
    notices(&session.console, &data);
    let mut infer = loaded.config;
    infer.seed = args.seed.unwrap_or(infer.seed);
    let folder = session.path(args.out.as_deref().unwrap_or(&infer.out_dir));
    infer.out_dir = ".".into();

    let pairs = PairFiles::new(&data.config, &data.paths)?;
    let split_file = infer.train_args.split_file.as_ref().map(|file| loaded.paths.input(file));
    let text = config::to_yaml(&infer)?;
    let mut manifest = Manifest::new(VERSION, Seed(infer.seed), session.compute.simd.name(), &text);
    manifest.data = pairs.hashes()?;
    manifest.data.extend(split_file.as_ref().map(|path| DataFile::of("split", path)).transpose()?);
    let existing = match (args.existing.resume, args.existing.restart) {
        (true, _) => Existing::Resume,
        (_, true) => Existing::Restart,
        _ => Existing::Refuse,
    };
    let run = open(&folder, &manifest, existing)?;
    run.write_text(CONFIG, &text)?;
    write_provenance(session, &run, &[pairs.theta.clone(), pairs.x.clone()])?;

    let fingerprint = training_fingerprint(session, &infer, &pairs, split_file.as_deref())?;
    let output = posterior_path(&run, &infer);
    let request = Training { infer: &infer, pairs: &pairs, split_file, parameters: None, fingerprint: &fingerprint };
    let outputs = [output.clone()];
    stage(session, &run, &Stage { name: "train", fingerprint: &fingerprint, outputs: &outputs }, || train(session, &run, &request))?;
    print(&format!("{}\n", output.display()))?;
    Ok(Ending::Done)
}
