//! A hyper-parameter study: workers that claim trials from a shared journal, and the ensemble of the best.

mod base;
mod record;
mod results;
mod trial;

pub use results::{Results, ensemble_folder};

use super::inputs::{PairFiles, make_folder};
use super::run::fingerprint;
use crate::config::{self, InferConfig, StudyConfig};
use crate::error::Error;
use crate::exec::files::host;
use crate::pipeline::VERSION;
use crate::session::{Console, Session, Talk};
use abduce_data::artefact::write_atomic;
use abduce_data::rundir::{CONFIG, DataFile};
use abduce_data::{DataError, Seed};
use abduce_inference::study::{Params, Sampler, Space, StudyHeader, TrialRecord};
use base::Base;
use record::{Place, Shared};
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The record of a study, in its folder.
pub const JOURNAL: &str = "journal.jsonl";
/// What a finished study came to, in its folder.
pub const RESULTS: &str = "study.json";
/// Folder of the runs of the trials, in that of the study.
const TRIALS: &str = "trials";
/// Time between two looks at trials that others are working on.
const POLL: Duration = Duration::from_millis(200);
/// Sign of a study that cannot work: so many trials failed and none did anything else.
const HOPELESS: usize = 3;

/// A study, read and checked.
#[derive(Debug)]
pub struct Study {
    /// Its file.
    pub config: StudyConfig,
    /// Where its runs and results go.
    pub folder: PathBuf,
    /// Trials in all.
    pub trials: usize,
    /// A hash of everything that scores depend on.
    pub hash: String,
    base: Base,
    pairs: PairFiles,
    space: Space,
    sampler: Sampler,
}

/// What to do where there is a study already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExistingStudy {
    /// An error.
    Refuse,
    /// Work on it too.
    Join,
    /// Forget it.
    Restart,
}

/// The changes of the command line to a study file.
#[derive(Clone, Debug, Default)]
pub struct StudyChanges<'a> {
    /// `--set`.
    pub set: &'a [String],
    /// Folder.
    pub out: Option<&'a Path>,
    /// Seed.
    pub seed: Option<u64>,
}

impl Study {
    /// Reads the study file and the files that it names.
    ///
    /// # Errors
    /// A file is not as it should be, or a key cannot vary.
    pub fn load(session: &Session, file: &Path, changes: &StudyChanges<'_>, trials: usize) -> Result<Self, Error> {
        let loaded = config::load::<StudyConfig>(file, changes.set, &session.working)?;
        loaded.notices.iter().for_each(|notice| session.console.note(notice));
        let mut loaded = loaded;
        loaded.config.seed = changes.seed.unwrap_or(loaded.config.seed);
        let folder = session.path(changes.out.unwrap_or(&loaded.config.out_dir));
        loaded.config.out_dir = ".".into();
        let (base, infer, pairs) = Base::load(session, &loaded, &folder)?;
        let study = loaded.config;
        if infer.config.model.nets.len() > 1 && study.search == config::SearchConfig::default() {
            return Err(Error::Usage {
                message: "`search: default` varies one net, and the base file has several".into(),
                help: "leave one net in the base file, or name the keys under `search`".into(),
            });
        }
        // The check of the file has built it before.
        let space = study.space().map_err(|(key, reason)| Error::failed(format!("{key}: {reason}"), "see `abduce explain search`"))?;
        let split = infer.config.train_args.split_file.as_ref().map(|file| DataFile::of("split", &infer.paths.input(file))).transpose()?;
        let sampler = study.sampler();
        let scored = json!([
            VERSION,
            session.compute.simd.name(),
            infer.config,
            base.identity(session, &pairs, &folder)?,
            [json!(pairs.thin), json!(pairs.first), json!(pairs.nan_rows), json!(pairs.buffer_bytes)],
            split,
            space,
            sampler,
            study.halving(),
            study.seed
        ]);
        let hash = fingerprint(&scored)?;
        Ok(Self { config: study, folder, trials, hash, base, pairs, space, sampler })
    }

    /// Makes the folder of the study, or finds it made, and the simulations of a pipeline in it.
    ///
    /// # Errors
    /// There is a study and it was not to be joined, or it is another one; or the simulator fails.
    pub fn open(&self, session: &Session, existing: ExistingStudy) -> Result<(), Error> {
        make_folder(&self.folder)?;
        let place = self.place()?;
        match existing {
            ExistingStudy::Refuse if place.exists()? => return Err(DataError::RunExists { path: self.folder.clone() }.into()),
            ExistingStudy::Restart => {
                place.forget()?;
                record::remove(&self.folder.join(RESULTS))?;
            }
            _ => {}
        }
        let mut journal = self.journal(&format!("{}-{}-open", host(), std::process::id()))?;
        journal.begin(&self.header())?;
        drop(journal);
        // Several processes may open the study at once: each writes under a name of its own, and the last rename wins.
        let text = config::to_yaml(&self.config)?;
        let (target, own) = (self.folder.join(CONFIG), self.folder.join(format!(".config-{}-{}", host(), std::process::id())));
        write_atomic(&own, |out| out.write_all(text.as_bytes()))?;
        std::fs::rename(&own, &target).map_err(|source| Error::File { action: "write", path: target, source })?;
        self.base.simulate(session, &self.folder)
    }

    fn header(&self) -> StudyHeader {
        StudyHeader::new("npe", &self.hash)
    }

    fn place(&self) -> Result<Place, Error> {
        Place::new(&self.config.storage, &self.folder)
    }

    fn journal(&self, owner: &str) -> Result<Shared, Error> {
        self.place()?.open(owner, Duration::from_secs_f64(self.config.heartbeat))
    }

    /// The training of a trial: the base file with its values.
    fn infer(&self, params: &Params) -> Result<(InferConfig, Option<PathBuf>), Error> {
        self.base.infer(&self.config.overrides(params))
    }

    fn trial_folder(&self, trial: usize) -> PathBuf {
        self.folder.join(TRIALS).join(format!("{trial:05}"))
    }

    /// Works with `workers` threads, each of which trains one network at a time on a core of its own, until every trial is over: here or
    /// elsewhere.
    ///
    /// # Errors
    /// The request to stop; a trial whose configuration cannot be used; trials that all fail.
    pub fn work(&self, session: &Session, workers: usize) -> Result<(), Error> {
        // Nothing is said of the epochs of a trial, but of its end.
        let quiet = Console { talk: Talk::Quiet, ..session.console };
        let single = Session { compute: session.compute.single(), console: quiet, ..session.clone() };
        let results: Vec<Result<(), Error>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers.max(1))
                .map(|thread| {
                    let single = &single;
                    scope.spawn(move || self.one_worker(session, single, &format!("{}-{}-{thread}", host(), std::process::id())))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        results.into_iter().collect()
    }

    fn one_worker(&self, session: &Session, single: &Session, worker: &str) -> Result<(), Error> {
        let mut journal = self.journal(worker)?;
        journal.begin(&self.header())?;
        let journal = Mutex::new(journal);
        loop {
            if session.is_stopping() {
                return Err(Error::Interrupted { run: self.folder.clone() });
            }
            let claim = locked(&journal).claim(worker, self.trials, &mut |state, trial| {
                self.sampler.propose(&self.space, Seed(self.config.seed), trial, &state.observations(trial))
            })?;
            match claim {
                Some(claim) => trial::run(self, session, single, &journal, &claim)?,
                None if locked(&journal).refresh()?.trials.values().all(TrialRecord::is_over) => return Ok(()),
                None => std::thread::sleep(POLL),
            }
        }
    }
}

/// The record, whatever happened to another thread that held it: its content is in its place.
fn locked(journal: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}
