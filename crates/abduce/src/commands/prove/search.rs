//! `abduce prove search FILE`: proofs by search, without a network. Those of Lean are in `search_lean.rs`.

use super::results::{EffortReport, Totals};
use super::search_lean::{self, LeanArgs};
use super::{environment, labels, open, threads};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use abduce_data::Seed;
use abduce_data::artefact::write_atomic;
use abduce_proof::metamath::{
    Attempt, ConclusionIndex, Corpus, Database, KernelLimits, Ranking, StatementId, StatementKind, Trial, evaluate, near_duplicates,
    verify, with_proofs,
};
use abduce_proof::search::{Budget, Method};
use serde::Serialize;
use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How assertions or tactics are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PolicyName {
    /// A random choice of those that match.
    Uniform,
    /// By how often other proofs use them.
    Frequency,
    /// By how often other proofs use them at the same premise of the same assertion; in Lean, after the same tactic.
    Ngram,
    /// Metamath: by what the proofs of similar earlier theorems cite.
    Bm25,
    /// Lean: by a fixed list.
    Ranked,
}

/// Which search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MethodName {
    /// The most probable path first.
    BestFirst,
    /// The best states of each depth.
    Beam,
    /// The last state first.
    Dfs,
    /// Monte Carlo tree search.
    Mcts,
    /// AND/OR search over goals.
    Hypertree,
}

/// Search for proofs of theorems of a Metamath database, each from what stands before it, or of a list of theorems in Lean. Every proof found is checked as a whole, as
/// written: Metamath by the kernel, Lean by a fresh process.
#[derive(Clone, Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("theorems").required(true).multiple(true).args(["labels", "theorem", "lean"])))]
pub struct SearchArgs {
    /// The database; with --lean a file of lines `name | binders | statement`.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Prove the theorems of this list: one label a line. Their stored proofs are not learnt from.
    #[arg(long, value_name = "LABELS.txt", conflicts_with = "theorem")]
    pub labels: Option<PathBuf>,
    /// Prove this theorem; may be given several times.
    #[arg(long, value_name = "LABEL")]
    pub theorem: Vec<String>,
    /// Lean and how it is asked.
    #[command(flatten)]
    pub lean: LeanArgs,
    /// How assertions or tactics are ranked: bm25 by default, with --lean ranked.
    #[arg(long, value_enum)]
    pub policy: Option<PolicyName>,
    /// Which search.
    #[arg(long, value_enum, default_value = "best-first")]
    pub method: MethodName,
    /// States that are expanded, per theorem.
    #[arg(long, default_value_t = 128)]
    pub expansions: usize,
    /// Tactics tried per state.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub branch: u32,
    /// Most steps of a proof: 8 by default, with --lean 24.
    #[arg(long)]
    pub depth: Option<usize>,
    /// Most seconds per theorem; results then depend on the machine.
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Different proofs to look for, per theorem.
    #[arg(long, default_value_t = 1)]
    pub proofs: usize,
    /// States kept per depth by --method beam.
    #[arg(long, default_value_t = 16)]
    pub width: usize,
    /// Forbid proofs to cite near-duplicates of the theorems.
    #[arg(long, conflicts_with = "lean")]
    pub without_near_duplicates: bool,
    /// Seed of random choices.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// File for the database with the proofs found in place of the stored ones; with --lean a file of the theorems proved.
    #[arg(short, long, value_name = "PROVED")]
    pub out: Option<PathBuf>,
    /// File for what came of each theorem.
    #[arg(long, value_name = "RESULTS.json")]
    pub json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Results<'r> {
    database: String,
    #[serde(flatten)]
    totals: &'r Totals,
    attempts: Vec<AttemptReport<'r>>,
}

#[derive(Serialize)]
struct AttemptReport<'r> {
    label: &'r str,
    proved: bool,
    steps: Option<usize>,
    #[serde(flatten)]
    effort: EffortReport<'r>,
    proofs: Vec<ProofReport<'r>>,
}

#[derive(Serialize)]
struct ProofReport<'r> {
    proof: &'r str,
    distinct: String,
    cites: Vec<&'r str>,
}

impl SearchArgs {
    /// What a search may spend, with this depth where none is given.
    pub(super) fn budget(&self, depth: usize) -> Result<Budget, Error> {
        let time = self.seconds.map(Duration::try_from_secs_f64).transpose();
        let time =
            time.map_err(|error| Error::Usage { message: format!("--seconds: {error}"), help: "give a positive number".to_owned() })?;
        let depth = self.depth.unwrap_or(depth);
        Ok(Budget { expansions: self.expansions, branch: self.branch as usize, depth, time, proofs: self.proofs })
    }

    /// The search.
    pub(super) const fn method(&self) -> Method {
        match self.method {
            MethodName::BestFirst => Method::BestFirst,
            MethodName::Beam => Method::Beam { width: self.width },
            MethodName::Dfs => Method::DepthFirst,
            MethodName::Mcts => Method::Mcts { exploration: 1.0 },
            MethodName::Hypertree => Method::Hypertree { exploration: 1.0 },
        }
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &SearchArgs) -> Result<Ending, Error> {
    if let Some(lean) = &args.lean.lean {
        return search_lean::run(session, args, lean);
    }
    let ranking = match args.policy {
        Some(PolicyName::Uniform) => Ranking::Uniform,
        Some(PolicyName::Frequency) => Ranking::Frequency,
        Some(PolicyName::Ngram) => Ranking::Ngram,
        Some(PolicyName::Bm25) | None => Ranking::Bm25,
        Some(PolicyName::Ranked) => {
            return Err(Error::Usage {
                message: "`ranked` is a list of Lean's tactics".to_owned(),
                help: "give --lean, or one of uniform, frequency, ngram and bm25".to_owned(),
            });
        }
    };
    let budget = args.budget(8)?;
    let db = open(session, &args.file)?;
    let env = environment(&db)?;
    let theorems = match &args.labels {
        Some(path) => labels(session, &db, path)?,
        None => named(&db, &args.theorem)?,
    };
    if let Some(&odd) = theorems.iter().find(|&&id| !env.is_citable(id)) {
        return Err(Error::Usage {
            message: format!("`{}` is a statement of syntax", db.label(odd)),
            help: "proofs are searched for statements that begin with `|-`".to_owned(),
        });
    }
    let heldout: HashSet<StatementId> = theorems.iter().copied().collect();
    let excluded: HashSet<StatementId> =
        if args.without_near_duplicates { near_duplicates(&env, &theorems).into_keys().collect() } else { HashSet::new() };
    let corpus = Corpus::new(&env, &heldout);
    let index = ConclusionIndex::new(&env);
    let trial = Trial { ranking, method: args.method(), budget, seed: Seed(args.seed), excluded: Arc::new(excluded) };
    let attempts = evaluate(&env, &index, &corpus, &theorems, &trial, threads(session), &session.stop);
    if let Some(refused) = attempts.iter().flat_map(|attempt| &attempt.refused).next() {
        return Err(Error::failed(
            format!("a proof that was found is not valid: {refused}"),
            "this is a defect of the program: please report it",
        ));
    }
    report(session, args, &db, &attempts)?;
    if attempts.len() < theorems.len() {
        return Err(Error::Unfinished {
            message: format!("stopped after {} of {} theorems", attempts.len(), theorems.len()),
            help: "run the command again".to_owned(),
        });
    }
    Ok(Ending::Done)
}

fn report(session: &Session, args: &SearchArgs, db: &Database, attempts: &[Attempt]) -> Result<(), Error> {
    let proved: Vec<&Attempt> = attempts.iter().filter(|attempt| !attempt.proofs.is_empty()).collect();
    if let Some(out) = &args.out {
        let proofs = proved.iter().filter_map(|attempt| Some((attempt.theorem, attempt.proofs.first()?.clone()))).collect();
        let text = with_proofs(db, &proofs).map_err(|error| Error::Failed { message: error.to_string(), help: None })?;
        // The verdict is that of the written text.
        let written = Database::from_text(&out.display().to_string(), &text)
            .map_err(|error| Error::Failed { message: error.to_string(), help: None })?;
        let verdict = verify(&written, KernelLimits::default(), threads(session));
        if let Some((theorem, fault)) = verdict.faults.first() {
            return Err(Error::failed(
                format!("{}: {fault}", written.label(*theorem)),
                "check the database itself with `abduce prove verify`",
            ));
        }
        write_atomic(&session.path(out), |file| file.write_all(&text))?;
        session.console.note(format_args!(
            "{}: {} new proofs; all {} proofs of the file are valid",
            out.display(),
            proved.len(),
            verdict.checked
        ));
    }
    let totals = Totals::new(attempts.iter().map(|attempt| (!attempt.proofs.is_empty(), &attempt.effort)));
    if let Some(path) = &args.json {
        let results = Results {
            database: args.file.display().to_string(),
            totals: &totals,
            attempts: attempts.iter().map(|attempt| attempt_report(db, attempt)).collect(),
        };
        let text = json(&results)?;
        write_atomic(&session.path(path), |file| file.write_all(text.as_bytes()))?;
    }
    let mut text = String::new();
    if attempts.len() <= 20 {
        for attempt in attempts {
            match attempt.proofs.first() {
                Some(proof) => text.push_str(&format!(
                    "{}: proved in {} steps\n{}\n",
                    db.label(attempt.theorem),
                    attempt.steps.unwrap_or(0),
                    proof.text
                )),
                None => text.push_str(&format!("{}: not proved\n", db.label(attempt.theorem))),
            }
        }
    }
    text.push_str(&totals.line());
    print(&text)
}

fn attempt_report<'r>(db: &'r Database, attempt: &'r Attempt) -> AttemptReport<'r> {
    let proof = |proof: &'r abduce_proof::metamath::VerifiedProof| ProofReport {
        proof: proof.text.as_str(),
        distinct: abduce_proof::metamath::distinct(db, &proof.dummies),
        cites: proof.cites.iter().map(|&id| db.label(id)).collect(),
    };
    AttemptReport {
        label: db.label(attempt.theorem),
        proved: !attempt.proofs.is_empty(),
        steps: attempt.steps,
        effort: (&attempt.effort).into(),
        proofs: attempt.proofs.iter().map(proof).collect(),
    }
}

fn named(db: &Database, names: &[String]) -> Result<Vec<StatementId>, Error> {
    names
        .iter()
        .map(|name| {
            db.find(name).filter(|&id| db.kind(id) == StatementKind::Theorem).ok_or_else(|| Error::Usage {
                message: format!("`{name}` is not a theorem of the database"),
                help: "give the label of a `$p` statement".to_owned(),
            })
        })
        .collect()
}
