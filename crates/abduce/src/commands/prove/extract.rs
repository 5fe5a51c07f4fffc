//! `abduce prove extract FILE.mm`: stored proofs as states and tactics, to learn from.

use super::{environment, labels, open};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use abduce_data::artefact::write_atomic;
use abduce_proof::metamath::{DuplicateRule, Prover, StateLimits, StatementId, dependants, near_duplicates, replay};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Write the stored proofs of a Metamath database as states and tactics, one theorem a line (JSON). Every script is replayed and its proof checked first.
#[derive(Clone, Debug, clap::Args)]
pub struct ExtractArgs {
    /// The database.
    #[arg(value_name = "FILE.mm")]
    pub database: PathBuf,
    /// File for the scripts.
    #[arg(short, long, value_name = "SCRIPTS.jsonl")]
    pub out: PathBuf,
    /// Only the theorems of this list: one label a line.
    #[arg(long, value_name = "LABELS.txt")]
    pub labels: Option<PathBuf>,
    /// Leave out the theorems of this list and their near-duplicates.
    #[arg(long, value_name = "LABELS.txt")]
    pub heldout: Option<PathBuf>,
    /// Leave out, too, whatever rests on a held-out theorem.
    #[arg(long, requires = "heldout")]
    pub exclude_dependants: bool,
    /// Leave out scripts with more tactics.
    #[arg(long, value_name = "N")]
    pub max_steps: Option<usize>,
}

#[derive(Serialize)]
struct Script<'s> {
    label: &'s str,
    statement: String,
    hypotheses: Vec<(&'s str, String)>,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    state: String,
    tactic: String,
}

/// Runs the command.
pub fn run(session: &Session, args: &ExtractArgs) -> Result<Ending, Error> {
    let db = open(session, &args.database)?;
    let env = environment(&db)?;
    let heldout = args.heldout.as_ref().map(|path| labels(session, &db, path)).transpose()?.unwrap_or_default();
    let mut left_out: HashSet<StatementId> = heldout.iter().copied().collect();
    if !heldout.is_empty() {
        let duplicates = near_duplicates(&env, &heldout);
        let mut by_rule: BTreeMap<DuplicateRule, usize> = BTreeMap::new();
        duplicates.values().for_each(|&rule| *by_rule.entry(rule).or_default() += 1);
        session.console.note(format_args!("{} held out; near-duplicates left out by rule: {by_rule:?}", heldout.len()));
        left_out.extend(duplicates.into_keys());
    }
    if args.exclude_dependants {
        let found = dependants(&db, &heldout);
        session.console.note(format_args!("{} dependants left out", found.len()));
        left_out.extend(found);
    }
    let chosen = match &args.labels {
        Some(path) => labels(session, &db, path)?,
        None => db.theorems().filter(|&id| env.is_citable(id)).collect(),
    };
    let mut prover = Prover::new(&env, StateLimits::default());
    let nothing = Arc::default();
    let (mut written, mut steps) = (0, 0);
    let mut lines = Vec::new();
    for theorem in chosen.into_iter().filter(|theorem| !left_out.contains(theorem)) {
        prover.forget();
        let problem = env.problem(theorem, Arc::clone(&nothing));
        let failed = |error: &dyn std::fmt::Display| {
            Error::failed(format!("{}: {error}", db.label(theorem)), "check the database with `abduce prove verify`")
        };
        let graph = replay(&env.parsed, &env.patterns, prover.terms_mut(), theorem).map_err(|fault| failed(&fault))?;
        let script = prover.script(&problem, &graph).map_err(|fault| failed(&fault))?;
        if args.max_steps.is_some_and(|limit| script.len() > limit) {
            continue;
        }
        let mut state = prover.start(&problem);
        let mut told = Vec::with_capacity(script.len());
        for tactic in &script {
            told.push(Step { state: prover.render_state(&problem, &state), tactic: prover.render_tactic(tactic) });
            prover.apply(&problem, &mut state, tactic).map_err(|fault| failed(&fault))?;
        }
        prover.finish(&problem, &state).map_err(|fault| failed(&fault))?;
        steps += told.len();
        written += 1;
        let hypotheses = problem.hypotheses.iter().map(|&(id, tree)| (db.label(id), prover.render(tree))).collect();
        let script = Script { label: db.label(theorem), statement: prover.render(problem.statement), hypotheses, steps: told };
        serde_json::to_writer(&mut lines, &script).map_err(|fault| failed(&fault))?;
        lines.push(b'\n');
    }
    write_atomic(&session.path(&args.out), |out| out.write_all(&lines))?;
    session.console.note(format_args!("{written} theorems with {steps} tactics; every proof checked"));
    Ok(Ending::Done)
}
