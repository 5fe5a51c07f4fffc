//! `abduce search STUDY.yaml`: hyper-parameters.

use super::{ComputeArgs, ExistingArgs};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use crate::stages::study::{ExistingStudy, Results, Study, StudyChanges, ensemble_folder};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Search for hyper-parameters, and make an ensemble of the best trials.
///
/// Any number of calls, on one machine or many, may work on one study: they share nothing but the journal in its folder.
#[derive(Clone, Debug, clap::Args)]
pub struct SearchArgs {
    /// What may vary: `abduce schema study`.
    pub study: PathBuf,
    /// Trials in all, those of other calls among them.
    #[arg(long, default_value = "64")]
    pub trials: NonZeroUsize,
    /// Trials at once in this call, each on one core; all cores by default.
    #[arg(long, value_name = "K")]
    pub workers: Option<NonZeroUsize>,
    /// Folder of the study; `out_dir` of the study file by default.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Seed of the proposals; `seed` of the study file by default.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Change a key of the study file: --set ensemble=3.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What to do with a study that exists: --resume works on it too.
    #[command(flatten)]
    pub existing: ExistingArgs,
    /// Print study.json.
    #[arg(long)]
    pub json: bool,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

impl SearchArgs {
    /// The study that is meant.
    ///
    /// # Errors
    /// A file is not as it should be.
    pub fn load(&self, session: &Session) -> Result<Study, Error> {
        let changes = StudyChanges { set: &self.set, out: self.out.as_deref(), seed: self.seed };
        Study::load(session, &self.study, &changes, self.trials.get())
    }

    /// What to do with one that exists.
    pub fn existing(&self) -> ExistingStudy {
        match (self.existing.resume, self.existing.restart) {
            (true, _) => ExistingStudy::Join,
            (_, true) => ExistingStudy::Restart,
            _ => ExistingStudy::Refuse,
        }
    }
}

/// Runs the command; the ensemble's run directory goes to standard output.
pub fn run(session: &Session, args: &SearchArgs) -> Result<Ending, Error> {
    let study = args.load(session)?;
    study.open(session, args.existing())?;
    study.work(session, args.workers.map_or(session.compute.threads.count(), NonZeroUsize::get))?;
    let results = study.conclude(session)?;
    if let Some(results) = &results {
        tell(session, results);
    }
    if args.json {
        print(&json(&results)?)?;
    } else {
        print(&format!("{}\n", ensemble_folder(&study.folder).display()))?;
    }
    Ok(Ending::Done)
}

/// The results in a few lines.
pub fn tell(session: &Session, results: &Results) {
    let console = session.console;
    console.note(format_args!("{} trials ended, {} were given up, {} failed", results.complete, results.pruned, results.failed));
    console.note(format_args!("best: trial {} with {:.4} nats", results.best.trial, results.best.value));
    results.best.params.iter().for_each(|(key, value)| console.note(format_args!("  {key} = {value}")));
    if !results.importance.is_empty() {
        console.note("explained part of the variance (functional ANOVA, main effects):");
        results.importance.iter().for_each(|one| console.note(format_args!("  {:5.1} %  {}", 100.0 * one.share, one.name)));
    }
    let members: Vec<String> = results.ensemble.iter().map(|(trial, weight)| format!("trial {trial} ({weight:.2})")).collect();
    console.note(format_args!(
        "ensemble: {}; held-out log-probability {:.4} nats, the best alone {:.4}",
        members.join(", "),
        results.ensemble_log_prob,
        results.best_log_prob
    ));
}
