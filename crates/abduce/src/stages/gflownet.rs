//! Training of a generative flow network, judged by the exact distribution of its ends.

use super::inputs::make_folder;
use crate::config::{self, EnvironmentConfig, GflownetConfig, MiuConfig, ProofConfig};
use crate::error::Error;
use crate::present::gflownet::{Learnt, write_figures};
use crate::progress::duration;
use crate::session::{Session, json};
use abduce_data::artefact::write_atomic;
use abduce_data::rundir::CONFIG;
use abduce_data::{Array, ModelFile, Seed};
use abduce_gflownet::environment::ProofTree;
use abduce_gflownet::{Backward, Enumerable, Exact, IterationRecord, Policy, TrainConfig, TrainError, Trunk, exact, train};
use abduce_proof::mdp::FiniteMdp;
use abduce_proof::metamath::{Database, Environment, FiniteTactics, MetamathMdp, ParsedDatabase, Prover, StateLimits};
use abduce_proof::miu::Miu;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// States beyond which nothing is listed.
const MOST_STATES: f64 = 1e6;
/// Attempts at a proof beyond which a process is refused: each is a state of its own, kept whole while the tree grows.
const MOST_ATTEMPTS: usize = 100_000;
/// Time between two lines of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// A point of the curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The iteration that it follows.
    pub iteration: usize,
    /// Σ |P_T − R/Z|.
    pub l1: f64,
    /// Jensen-Shannon divergence in nats.
    pub jensen_shannon: f64,
}

/// `metrics.json` of a generative flow network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GflownetMetrics {
    /// Iterations done.
    pub iterations: usize,
    /// Estimate of log Z.
    pub log_z: Option<f64>,
    /// log Z of the target, where it could be summed.
    pub exact_log_z: Option<f64>,
    /// Σ |P_T − R/Z| in the end.
    pub l1: Option<f64>,
    /// Jensen-Shannon divergence in the end, in nats.
    pub jensen_shannon: Option<f64>,
    /// Distances on the way.
    pub evaluations: Vec<Evaluation>,
}

/// Trains, and writes `policy.safetensors`, `metrics.json`, `history.json` and the pictures into `folder`.
///
/// # Errors
/// A loss that does not suit, numbers that left the finite, or files.
pub fn run(session: &Session, config: &GflownetConfig, folder: &Path) -> Result<GflownetMetrics, Error> {
    match &config.environment {
        EnvironmentConfig::Hypergrid(env) => run_in(session, config, env, folder),
        EnvironmentConfig::BitSequence(env) => run_in(session, config, env, folder),
        EnvironmentConfig::Ising(env) => run_in(session, config, env, folder),
        EnvironmentConfig::PerfectTree(env) => run_in(session, config, env, folder),
        EnvironmentConfig::SetAddition(env) => run_in(session, config, env, folder),
        EnvironmentConfig::Proof(proof) => run_in(session, config, &proof_tree(session, proof)?, folder),
        EnvironmentConfig::Miu(miu) => run_in(session, config, &miu_tree(session, miu)?, folder),
    }
}

/// The tree of a process, told in numbers.
fn explored<M: FiniteMdp>(session: &Session, process: &mut M, beta: f64, dead_end: f64) -> Result<ProofTree, Error> {
    let reward = |done: bool, steps: usize| if done { -beta * steps as f64 } else { dead_end };
    let tree = ProofTree::explore(process, MOST_ATTEMPTS, reward)
        .map_err(|error| Error::failed(error.to_string(), "lower `max_steps`, or list less"))?;
    let finished = tree.states().iter().filter(|&&state| tree.is_done(state)).count();
    if finished == 0 {
        return Err(Error::failed(format!("no attempt of {} states ends in a proof", tree.len()), "allow more tactics or steps"));
    }
    session.console.note(format_args!("{} states, {finished} of them proofs", tree.len()));
    Ok(tree)
}

fn miu_tree(session: &Session, miu: &MiuConfig) -> Result<ProofTree, Error> {
    let process = Miu::new(&miu.target, miu.max_length, miu.max_steps);
    let mut process = process.ok_or_else(|| Error::failed(format!("`{}` is no string of M, I and U", miu.target), "use these letters"))?;
    explored(session, &mut process, miu.beta, miu.dead_end)
}

fn proof_tree(session: &Session, proof: &ProofConfig) -> Result<ProofTree, Error> {
    let failed = |what: &dyn std::fmt::Display, help: &str| Error::failed(format!("environment.proof: {what}"), help);
    let db = Database::open(&session.path(&proof.database)).map_err(|error| failed(&error, "give a Metamath database"))?;
    let parsed = ParsedDatabase::new(&db).map_err(|error| failed(&error, "tactics need a database whose syntax is a grammar"))?;
    let env = Environment::new(parsed);
    let find = |label: &String| {
        let found = db.find(label).filter(|&id| env.is_citable(id));
        found.ok_or_else(|| {
            failed(&format_args!("`{label}` is no statement to be proved or cited"), "give labels of `$a` and `$p` statements")
        })
    };
    let theorem = find(&proof.theorem)?;
    let labels = proof.labels.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let problem = env.problem(theorem, Arc::default());
    let mut prover = Prover::new(&env, StateLimits::default());
    let mut expressions = Vec::new();
    for text in &proof.expressions {
        let mut words = text.split_whitespace();
        let kind = words.next().and_then(|word| db.find_symbol(word));
        let parsed = kind
            .ok_or_else(|| "its first word is no type".to_owned())
            .and_then(|kind| prover.parse_expression(&problem, kind, &words.collect::<Vec<_>>()).map_err(|error| error.to_string()));
        expressions.push(parsed.map_err(|error| failed(&format_args!("`{text}`: {error}"), "write the type first: `wff ( ph -> ph )`"))?);
    }
    let mdp = MetamathMdp { prover: &mut prover, problem: &problem };
    let mut process = FiniteTactics { mdp, labels, expressions, max_steps: proof.max_steps };
    explored(session, &mut process, proof.beta, proof.dead_end)
}

fn run_in<E: Enumerable>(session: &Session, config: &GflownetConfig, env: &E, folder: &Path) -> Result<GflownetMetrics, Error> {
    make_folder(folder)?;
    let text = config::to_yaml(&GflownetConfig { out_dir: ".".into(), ..config.clone() })?;
    write_atomic(&folder.join(CONFIG), |out| out.write_all(text.as_bytes()))?;
    let listed = env.count() <= MOST_STATES;
    let (table, entropy) = (config.policy.trunk == Trunk::Table, config.policy.backward == Backward::MaxEntropy);
    if !listed && (table || entropy) {
        return Err(Error::failed(
            format!("a table of {:.1e} states does not fit", env.count()),
            "use an mlp as `trunk`, another `backward`, or a smaller environment",
        ));
    }
    let states = if table || entropy { env.states() } else { Vec::new() };
    if !listed {
        session.console.note(format_args!("{:.1e} states: too many for the exact distribution", env.count()));
    }
    let policy = Policy::new(&config.policy, config.loss.exit(), env, &states);
    let TrainConfig { iterations, batch, .. } = config.train;
    session.console.note(format_args!("{}: {iterations} batches of {batch} trajectories", config.loss.name()));
    let mut evaluations = Vec::new();
    let every = iterations.div_ceil(config.evaluations).max(1);
    let (begun, mut last_line) = (Instant::now(), Instant::now());
    let mut each = |record: &IterationRecord, params: &[f32]| {
        if listed && (record.iteration.is_multiple_of(every) || record.iteration == iterations) {
            let found = exact(env, &policy, &session.compute, params);
            evaluations.push(Evaluation { iteration: record.iteration, l1: found.l1, jensen_shannon: found.jensen_shannon });
        }
        if last_line.elapsed() > LINE_INTERVAL {
            last_line = Instant::now();
            let rate = record.iteration as f64 / begun.elapsed().as_secs_f64();
            let l1 = evaluations.last().map_or_else(String::new, |found| format!("  L1 {:.4}", found.l1));
            let left = duration((iterations - record.iteration) as f64 / rate);
            session.console.note(format_args!("iteration {}  loss {:.4}{l1}  {left} left", record.iteration, record.loss));
        }
        if session.is_stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let trained = train(env, &policy, &config.loss, &config.train, &session.compute, Seed(config.seed), &mut each);
    let trained = trained.map_err(|error| match error {
        TrainError::NotFinite { .. } => Error::failed(error.to_string(), "lower `learning_rate`, or bound the rewards"),
        other => Error::failed(other.to_string(), "choose another loss"),
    })?;
    let found: Option<Exact> = listed.then(|| exact(env, &policy, &session.compute, &trained.params));
    let metrics = GflownetMetrics {
        iterations: trained.history.len(),
        log_z: trained.log_z.or_else(|| trained.history.last().and_then(|record| record.log_z)),
        exact_log_z: found.as_ref().map(|found| found.log_z),
        l1: found.as_ref().map(|found| found.l1),
        jensen_shannon: found.as_ref().map(|found| found.jensen_shannon),
        evaluations,
    };
    save(&policy, &trained.params, config, &folder.join("policy.safetensors"))?;
    for (name, text) in [("metrics.json", json(&metrics)?), ("history.json", json(&trained.history)?)] {
        write_atomic(&folder.join(name), |out| out.write_all(text.as_bytes()))?;
    }
    let learnt =
        found.map(|found| Learnt { learnt: found.learnt, target: found.target, samples_the_reward: config.loss.samples_the_reward() });
    write_figures(folder, &trained.history, &metrics.evaluations, learnt.as_ref())?;
    Ok(metrics)
}

/// The network as safetensors, with the configuration that builds it.
fn save<S: Clone + Eq + std::hash::Hash>(policy: &Policy<S>, params: &[f32], config: &GflownetConfig, path: &Path) -> Result<(), Error> {
    let tensors = policy.layout().parameters().iter().map(|parameter| {
        let values = params[parameter.range.clone()].to_vec();
        Ok((parameter.name.clone(), Array::new(parameter.shape.clone(), values)?))
    });
    let metadata = serde_json::json!({"kind": "gflownet", "format_version": 1, "config": config});
    Ok(ModelFile { metadata, tensors: tensors.collect::<Result<_, Error>>()? }.save(path)?)
}
