//! What a study came to: its table, what mattered, and the ensemble of the best trials as a run of its own.

use super::{RESULTS, Study};
use crate::commands::train::Prepared;
use crate::config::InferConfig;
use crate::error::Error;
use crate::present::run::{DATA, DataSummary, TRAINING};
use crate::present::training::NetTraining;
use crate::session::{Session, json};
use crate::stages::run::Existing;
use crate::stages::train::posterior_path;
use abduce_data::artefact::write_atomic;
use abduce_data::{RunDir, Seed, Split};
use abduce_inference::posterior::{Member, Posterior};
use abduce_inference::prior::Prior;
use abduce_inference::study::{Importance, Outcome, Params, StudyState, TrialRecord, TrialState, importance};
use abduce_inference::training::stacking_weights;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// `study.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Trials that ended by themselves, were given up, and failed.
    pub complete: usize,
    /// Those that were given up.
    pub pruned: usize,
    /// Those that failed.
    pub failed: usize,
    /// The best trial.
    pub best: BestTrial,
    /// Part of the score's variance that each key explains by itself: main effects of a random forest (functional ANOVA) over trials that ended
    /// or were given up. Empty where there are fewer than eight.
    pub importance: Vec<Importance>,
    /// Trials of the ensemble, best first, with their weights.
    pub ensemble: Vec<(usize, f64)>,
    /// Mean log-density of the held-out pairs under the ensemble: of θ itself, in nats, where `best.value` is that of the unconstrained
    /// parameters.
    pub ensemble_log_prob: f64,
    /// The same of the best trial alone.
    pub best_log_prob: f64,
}

/// The best trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestTrial {
    /// Number.
    pub trial: usize,
    /// Score.
    pub value: f64,
    /// Values.
    pub params: Params,
}

/// The run directory of the ensemble.
pub fn ensemble_folder(study: &Path) -> PathBuf {
    study.join("ensemble")
}

/// A trial of the ensemble.
struct Chosen {
    trial: usize,
    infer: InferConfig,
    posterior: Posterior,
    training: Vec<NetTraining>,
    data: DataSummary,
}

/// The ensemble of the chosen trials.
struct Stacked {
    posterior: Posterior,
    /// Of the trials.
    weights: Vec<f64>,
    /// Mean log-density of the held-out pairs.
    log_prob: f64,
    /// The same of the first trial alone.
    first_log_prob: f64,
}

impl Study {
    /// Writes trials.csv, study.json and the ensemble, once every trial is over. Nothing where another process is writing them.
    ///
    /// # Errors
    /// No trial ended by itself, or files.
    pub fn conclude(&self, session: &Session) -> Result<Option<Results>, Error> {
        let owner = format!("{}-{}-end", crate::exec::files::host(), std::process::id());
        let state = self.journal(&owner)?.refresh()?.clone();
        let ranking = state.ranking();
        let Some(&best) = ranking.first() else {
            return Err(Error::failed(
                "no trial ended by itself, so there is no posterior",
                "look at trials that failed, or ask for more --trials",
            ));
        };
        let chosen = ranking.iter().take(self.config.ensemble).map(|&trial| self.chosen(trial)).collect::<Result<Vec<_>, _>>()?;
        let split_file = self.infer(&state.trials[&best].params)?.1;
        let infer = joint_config(&chosen);
        let prepared = Prepared::of(session, infer, self.pairs.clone(), split_file.clone(), ensemble_folder(&self.folder))?;
        // Several processes end at the same time: the lock of the run chooses the one that writes.
        let run = match prepared.open(session, Existing::Update) {
            Err(Error::InUse { .. }) => {
                session.console.note("another process writes the results");
                return Ok(None);
            }
            other => other?,
        };
        let Stacked { posterior, weights, log_prob, first_log_prob } = self.stack(session, &chosen, split_file.as_deref())?;
        posterior.save(&posterior_path(&run, &prepared.infer))?;
        write_training(&run, &chosen, &posterior)?;
        run.finish_stage("train", &prepared.fingerprint)?;

        let scored: Vec<(&Params, f64)> = state.trials.values().filter_map(|record| Some((&record.params, record.value()?))).collect();
        let count = |test: fn(&TrialRecord) -> bool| state.trials.values().filter(|record| test(record)).count();
        let results = Results {
            complete: ranking.len(),
            pruned: count(|record| matches!(record.state, TrialState::Ended(Outcome::Pruned { .. }))),
            failed: count(|record| matches!(record.state, TrialState::Ended(Outcome::Failed { .. }))),
            best: BestTrial {
                trial: best,
                value: state.trials[&best].value().unwrap_or(f64::NAN),
                params: state.trials[&best].params.clone(),
            },
            importance: importance(&self.space, &scored, Seed(self.config.seed)),
            ensemble: chosen.iter().map(|one| one.trial).zip(weights).collect(),
            ensemble_log_prob: log_prob,
            best_log_prob: first_log_prob,
        };
        let table = self.table(&state);
        write_atomic(&self.folder.join("trials.csv"), |out| out.write_all(table.as_bytes()))?;
        let text = json(&results)?;
        write_atomic(&self.folder.join(RESULTS), |out| out.write_all(text.as_bytes()))?;
        Ok(Some(results))
    }

    fn chosen(&self, trial: usize) -> Result<Chosen, Error> {
        let run = RunDir::open(&self.trial_folder(trial))?;
        let infer: InferConfig = crate::config::parse("config.yaml", &run.read_text(abduce_data::rundir::CONFIG)?, &[])?.config;
        let posterior = Posterior::load(&posterior_path(&run, &infer))?;
        Ok(Chosen { trial, posterior, training: run.read_json(TRAINING)?, data: run.read_json(DATA)?, infer })
    }

    /// The mixture of the trials that is best on the held-out pairs.
    fn stack(&self, session: &Session, chosen: &[Chosen], split_file: Option<&Path>) -> Result<Stacked, Error> {
        let source = self.pairs.open()?;
        let infer = &chosen[0].infer;
        let split = match split_file {
            Some(path) => Split::from_file(path, source.kept())?,
            None => Split::by_fraction(source.kept(), infer.train_args.validation_fraction, Seed(infer.seed))?,
        };
        let rows: Vec<usize> = split.validation.iter().collect();
        let (theta, x) = source.select(&rows)?;
        let score = |posterior: &Posterior| posterior.log_prob_paired(&session.compute, theta.data(), x.data());
        let scores = chosen.iter().map(|one| score(&one.posterior)).collect::<Result<Vec<_>, _>>()?;
        let importance = match &infer.proposal {
            None => Vec::new(),
            Some(spec) => {
                let bad =
                    |error: abduce_inference::prior::PriorError| Error::failed(format!("proposal: {error}"), "see `abduce explain prior`");
                let (prior, proposal) = (&chosen[0].posterior.prior, Prior::new(spec.clone()).map_err(bad)?);
                let theta = theta.to_f64();
                (0..theta.rows()).map(|row| (prior.log_prob(theta.row(row)) - proposal.log_prob(theta.row(row))).exp()).collect()
            }
        };
        let weights = stacking_weights(&scores, &importance);
        let first = &chosen[0].posterior;
        let mut joint = Posterior { members: Vec::new(), weights: Vec::new(), ..first.clone() };
        for (one, &weight) in chosen.iter().zip(&weights) {
            // All trials share data and split, so that they see the same standardised numbers; a mixture of others would be wrong.
            let scales = |posterior: &Posterior| {
                (posterior.theta_scale.mean().to_vec(), posterior.x_scale.mean().to_vec(), posterior.x_scale.std().to_vec())
            };
            if scales(&one.posterior) != scales(first) {
                return Err(Error::failed(
                    format!("trial {} was trained on other data than trial {}", one.trial, chosen[0].trial),
                    "begin the study anew with --restart",
                ));
            }
            for (member, share) in one.posterior.members.iter().zip(&one.posterior.weights) {
                joint.members.push(Member { signature: signature(one.trial, &member.signature), ..member.clone() });
                joint.weights.push(weight * share);
            }
        }
        let mean = |values: &[f64]| {
            let weight = |row: usize| importance.get(row).copied().unwrap_or(1.0);
            let sum: f64 = values.iter().enumerate().map(|(row, value)| weight(row) * value).sum();
            sum / (0..values.len()).map(weight).sum::<f64>()
        };
        let log_prob = mean(&score(&joint)?);
        Ok(Stacked { posterior: joint, weights, log_prob, first_log_prob: mean(&scores[0]) })
    }

    /// One row per trial.
    fn table(&self, state: &StudyState) -> String {
        let names: Vec<&str> = self.space.dimensions().iter().map(|dimension| dimension.name.as_str()).collect();
        let quoted = |text: String| if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text };
        let mut lines = vec![format!("trial,state,value,{}", names.join(","))];
        for (number, record) in &state.trials {
            let word = match record.state {
                TrialState::Running | TrialState::Ended(Outcome::Released) => "running",
                TrialState::Ended(Outcome::Complete { .. }) => "complete",
                TrialState::Ended(Outcome::Pruned { .. }) => "pruned",
                TrialState::Ended(Outcome::Failed { .. }) => "failed",
            };
            let mut cells = vec![number.to_string(), word.to_string(), record.value().map_or_else(String::new, |value| value.to_string())];
            cells.extend(names.iter().map(|name| record.params.get(*name).map_or_else(String::new, |value| quoted(plain(value)))));
            lines.push(cells.join(","));
        }
        lines.join("\n") + "\n"
    }
}

/// A text without quotation marks, anything else as JSON.
fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn signature(trial: usize, own: &str) -> String {
    if own.is_empty() { format!("trial{trial}") } else { format!("trial{trial}_{own}") }
}

/// The best trial's configuration with the nets of all.
fn joint_config(chosen: &[Chosen]) -> InferConfig {
    let mut joint = chosen[0].infer.clone();
    let nets = chosen.iter().flat_map(|one| {
        let renamed =
            |net: &crate::config::NetConfig| crate::config::NetConfig { signature: signature(one.trial, &net.signature), ..net.clone() };
        one.infer.model.nets.iter().map(renamed)
    });
    joint.model.nets = nets.collect();
    joint
}

fn write_training(run: &RunDir, chosen: &[Chosen], posterior: &Posterior) -> Result<(), Error> {
    let histories = chosen.iter().flat_map(|one| one.training.iter().map(|net| (one.trial, net)));
    let histories: Vec<NetTraining> = histories
        .zip(&posterior.weights)
        .map(|((trial, net), &weight)| NetTraining { signature: signature(trial, &net.signature), weight, ..net.clone() })
        .collect();
    run.write_json(TRAINING, &histories)?;
    Ok(run.write_json(DATA, &chosen[0].data)?)
}
