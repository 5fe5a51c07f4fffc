//! Bookkeeping of a run directory: what is done, what was said, how long it took.

use crate::error::Error;
use crate::present::run::WARNINGS;
use crate::progress::duration;
use crate::session::Session;
use crate::stages::train::CHECKPOINTS;
use abduce_data::RunDir;
use abduce_data::artefact::sha256;
use abduce_data::rundir::{Manifest, PROVENANCE, STATE};
use abduce_inference::diagnostics::Warning;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What to do where a run may exist already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// A run there is an error, unless it came to nothing.
    #[default]
    Refuse,
    /// Go on with it; an error if there is none, or if anything it depends on has changed.
    Resume,
    /// Begin anew.
    Restart,
    /// Keep the stages that depend on nothing that has changed.
    Update,
}

/// Opens `path` for the run that `manifest` describes.
pub fn open(path: &Path, manifest: &Manifest, existing: Existing) -> Result<RunDir, Error> {
    let run = match existing {
        // A run that failed before it had a result, say for a mistyped file, is no reason to look for another folder.
        Existing::Refuse if RunDir::is_run(path) && came_to_nothing(path) => RunDir::restart(path)?,
        Existing::Refuse => RunDir::create(path)?,
        Existing::Restart => RunDir::restart(path)?,
        Existing::Resume => {
            let run = RunDir::resume(path)?;
            manifest.check_resumes(&run.manifest()?)?;
            run
        }
        Existing::Update if RunDir::is_run(path) => {
            let run = RunDir::resume(path)?;
            // Reading it refuses the run of a newer version before anything is changed.
            run.manifest()?;
            run
        }
        Existing::Update => RunDir::create(path)?,
    };
    run.write_manifest(manifest)?;
    Ok(run)
}

/// Whether no stage was finished and no network saved.
fn came_to_nothing(path: &Path) -> bool {
    let saved = std::fs::read_dir(path.join(CHECKPOINTS)).into_iter().flatten().flatten();
    !path.join(STATE).exists() && !saved.into_iter().any(|entry| entry.path().extension().is_some_and(|e| e == "safetensors"))
}

/// A hash of everything that a stage depends on.
pub fn fingerprint(parts: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(parts);
    let text = text.map_err(|error| Error::Failed { message: format!("cannot write JSON: {error}"), help: None })?;
    Ok(sha256(text.as_bytes()))
}

/// One stage of a run.
#[derive(Clone, Debug)]
pub struct Stage<'a> {
    /// Its name in `state.json` and `timings.json`.
    pub name: &'a str,
    /// A hash of everything that it depends on.
    pub fingerprint: &'a str,
    /// What it writes; done means that these exist.
    pub outputs: &'a [PathBuf],
}

/// Runs a stage, unless it was done before with the same fingerprint.
pub fn stage(session: &Session, run: &RunDir, stage: &Stage<'_>, work: impl FnOnce() -> Result<Vec<Warning>, Error>) -> Result<(), Error> {
    if run.is_stage_done(stage.name, stage.fingerprint)? && stage.outputs.iter().all(|path| path.exists()) {
        session.console.note(format_args!("{}: done before", stage.name));
        return Ok(());
    }
    perform(session, run, stage, work)
}

/// Runs a stage. Its warnings are shown, and kept for the report.
pub fn perform(
    session: &Session,
    run: &RunDir,
    stage: &Stage<'_>,
    work: impl FnOnce() -> Result<Vec<Warning>, Error>,
) -> Result<(), Error> {
    if session.is_stopping() {
        return Err(Error::Interrupted { run: run.path().to_path_buf() });
    }
    let begun = Instant::now();
    let warnings = work();
    let seconds = begun.elapsed().as_secs_f64();
    run.add_timing(stage.name, seconds)?;
    let warnings = warnings?;
    warnings.iter().for_each(|warning| session.console.warn(warning));
    keep_warnings(run, stage.name, warnings)?;
    run.finish_stage(stage.name, stage.fingerprint)?;
    session.console.note(format_args!("{}: {}", stage.name, duration(seconds)));
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct StageWarning {
    stage: String,
    #[serde(flatten)]
    warning: Warning,
}

/// Replaces what the stage said before.
fn keep_warnings(run: &RunDir, stage: &str, warnings: Vec<Warning>) -> Result<(), Error> {
    let mut all: Vec<StageWarning> = if run.file(WARNINGS).exists() { run.read_json(WARNINGS)? } else { Vec::new() };
    all.retain(|warning| warning.stage != stage);
    all.extend(warnings.into_iter().map(|warning| StageWarning { stage: stage.to_string(), warning }));
    Ok(run.write_json(WARNINGS, &all)?)
}

/// Writes where and how the run was made: the one file with times and paths besides `timings.json`.
pub fn write_provenance(session: &Session, run: &RunDir, inputs: &[PathBuf]) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let provenance = json!({
        "command": std::env::args().collect::<Vec<_>>(),
        "working_directory": session.working,
        "inputs": inputs,
        "host": host.trim(),
        "system": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        "threads": session.compute.threads.count(),
        "unix_time": now,
    });
    Ok(run.write_json(PROVENANCE, &provenance)?)
}
