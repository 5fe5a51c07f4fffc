//! `abduce prove search FILE --lean PROGRAM`: searches over Lean's tactics.

use super::results::{EffortReport, Totals};
use super::search::{PolicyName, SearchArgs};
use super::{read_text, threads};
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::{Session, json, print};
use abduce_data::Seed;
use abduce_data::artefact::write_atomic;
use abduce_proof::env::GoalEnv;
use abduce_proof::evaluation::listed_names;
use abduce_proof::lean::{
    LeanAttempt, LeanBatch, LeanProblem, LeanRepl, LeanTheorem, LeanTrial, Pantograph, ProverCommand, ProverLimits, TacticRanking,
    evaluate_lean, read_problems,
};
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Lean and how it is asked.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct LeanArgs {
    /// Prove theorems of Lean 4 with this command, such as `lean` or `lake env lean`: it checks every proof, and tries every tactic unless --repl or --pantograph does.
    #[arg(long, value_name = "COMMAND")]
    pub lean: Option<String>,
    /// Try tactics with the community REPL, started by this command.
    #[arg(long, value_name = "COMMAND", requires = "lean", conflicts_with = "pantograph")]
    pub repl: Option<String>,
    /// Try tactics with Pantograph, started by this command; the modules to import belong to it.
    #[arg(long, value_name = "COMMAND", requires = "lean")]
    pub pantograph: Option<String>,
    /// First lines of every Lean file: imports, options.
    #[arg(long, value_name = "HEADER.lean", requires = "lean")]
    pub header: Option<PathBuf>,
    /// The folder in which Lean runs, such as that of a project.
    #[arg(long, value_name = "DIR", requires = "lean")]
    pub project: Option<PathBuf>,
    /// A theorem that tactics may apply and rewrite with; may be given several times.
    #[arg(long, value_name = "NAME", requires = "lean")]
    pub lemma: Vec<String>,
    /// Most seconds per tactic.
    #[arg(long, value_name = "S", default_value_t = 10.0, requires = "lean")]
    pub step_seconds: f64,
}

#[derive(Serialize)]
struct Results<'r> {
    problems: String,
    #[serde(flatten)]
    totals: &'r Totals,
    attempts: Vec<AttemptReport<'r>>,
}

#[derive(Serialize)]
struct AttemptReport<'r> {
    name: &'r str,
    proved: bool,
    steps: Option<usize>,
    #[serde(flatten)]
    effort: EffortReport<'r>,
    /// Why Lean does not take the statement.
    fault: Option<String>,
    /// Proofs in the eyes of the stepwise checker that Lean itself refuses, and why.
    refused: &'r [(Vec<String>, String)],
    proofs: Vec<ProofReport<'r>>,
}

#[derive(Serialize)]
struct ProofReport<'r> {
    tactics: &'r [String],
    axioms: &'r [String],
}

/// Runs the command.
pub(super) fn run(session: &Session, args: &SearchArgs, lean: &str) -> Result<Ending, Error> {
    let ranking = match args.policy {
        Some(PolicyName::Uniform) => TacticRanking::Uniform,
        Some(PolicyName::Frequency) => TacticRanking::Frequency,
        Some(PolicyName::Ngram) => TacticRanking::Ngram,
        Some(PolicyName::Ranked) | None => TacticRanking::Ranked,
        Some(PolicyName::Bm25) => {
            return Err(Error::Usage {
                message: "`bm25` ranks theorems of a Metamath database".to_owned(),
                help: "with --lean: ranked, uniform, frequency or ngram".to_owned(),
            });
        }
    };
    let step = Duration::try_from_secs_f64(args.lean.step_seconds)
        .map_err(|error| Error::Usage { message: format!("--step-seconds: {error}"), help: "give a positive number".to_owned() })?;
    let trial =
        LeanTrial { ranking, lemmas: args.lean.lemma.clone(), method: args.method(), budget: args.budget(24)?, seed: Seed(args.seed) };
    let (problems, chosen) = problems(session, args)?;
    let problems = Problems { all: &problems, chosen: &chosen };
    let header = args.lean.header.as_ref().map(|path| read_text(session, path)).transpose()?.unwrap_or_default();
    let scratch = tempfile::tempdir().map_err(|source| Error::File { action: "create", path: std::env::temp_dir(), source })?;
    let folder = args.lean.project.as_ref().map(|project| session.path(project));
    let limits = ProverLimits { step, ..ProverLimits::default() };
    let command = |line: &str| ProverCommand {
        argv: line.split_whitespace().map(str::to_owned).collect(),
        folder: folder.clone(),
        environment: Vec::new(),
    };
    let mut judge = LeanBatch::new(command(lean), header.clone(), scratch.path().to_path_buf());
    judge.limits = limits;
    let attempts = match (&args.lean.repl, &args.lean.pantograph) {
        (Some(repl), _) => evaluate(session, problems, &trial, |worker| LeanRepl::new(command(repl), limits, judge.for_worker(worker))),
        (_, Some(pantograph)) => {
            evaluate(session, problems, &trial, |worker| Pantograph::new(command(pantograph), limits, judge.for_worker(worker)))
        }
        _ => evaluate(session, problems, &trial, |worker| judge.for_worker(worker)),
    };
    // Where no statement is taken it is not the statements.
    if let Some(fault) = attempts.iter().find_map(|attempt| attempt.fault.as_ref())
        && attempts.iter().all(|attempt| attempt.fault.is_some())
    {
        let help = match fault.class {
            "start" => "--lean, --repl and --pantograph take commands that can be started from here, or from --project",
            _ => "--lean and --header have to fit: try a file with the header alone",
        };
        return Err(Error::failed(
            format!("Lean takes none of the {} statements: {}: {}", attempts.len(), fault.class, fault.message),
            help,
        ));
    }
    report(session, args, problems.all, &attempts, &header)?;
    if attempts.len() < chosen.len() {
        return Err(Error::Unfinished {
            message: format!("stopped after {} of {} theorems", attempts.len(), chosen.len()),
            help: "run the command again".to_owned(),
        });
    }
    Ok(Ending::Done)
}

/// The problems of a file, and those to be proved.
#[derive(Clone, Copy)]
struct Problems<'p> {
    all: &'p [LeanProblem],
    chosen: &'p [usize],
}

fn evaluate<E: GoalEnv<Theorem = LeanTheorem>>(
    session: &Session,
    problems: Problems<'_>,
    trial: &LeanTrial,
    checker: impl Fn(usize) -> E + Sync,
) -> Vec<LeanAttempt> {
    evaluate_lean(problems.all, problems.chosen, trial, threads(session), &session.stop, checker)
}

/// The problems of the file, whose proofs are counted, and the places of those of --theorem or --labels, or of all.
fn problems(session: &Session, args: &SearchArgs) -> Result<(Vec<LeanProblem>, Vec<usize>), Error> {
    let of_file = |path: &Path, error: &dyn std::fmt::Display| {
        Error::failed(format!("{}: {error}", path.display()), "one line `name | binders | statement` a theorem, proofs indented below")
    };
    let all = read_problems(&read_text(session, &args.file)?).map_err(|error| of_file(&args.file, &error))?;
    let listed = match &args.labels {
        Some(path) => listed_names(&read_text(session, path)?).map(str::to_owned).collect(),
        None => args.theorem.clone(),
    };
    if let Some(unknown) = listed.iter().find(|name| all.iter().all(|problem| problem.theorem.name != **name)) {
        return Err(Error::Usage {
            message: format!("`{unknown}` is not a theorem of {}", args.file.display()),
            help: "give names that begin its lines".to_owned(),
        });
    }
    let is_chosen = |&place: &usize| listed.is_empty() || listed.contains(&all[place].theorem.name);
    let chosen: Vec<usize> = (0..all.len()).filter(is_chosen).collect();
    if chosen.is_empty() {
        return Err(of_file(&args.file, &"no theorems"));
    }
    Ok((all, chosen))
}

fn report(session: &Session, args: &SearchArgs, problems: &[LeanProblem], attempts: &[LeanAttempt], header: &str) -> Result<(), Error> {
    let totals = Totals::new(attempts.iter().map(|attempt| (!attempt.proofs.is_empty(), &attempt.effort)));
    let theorem = |attempt: &LeanAttempt| &problems[attempt.place].theorem;
    if let Some(out) = &args.out {
        let mut text = header.trim_end().to_owned();
        for attempt in attempts {
            let LeanTheorem { name, binders, statement } = theorem(attempt);
            if let Some(proof) = attempt.proofs.first() {
                let tactics: String = proof.tactics.iter().flat_map(|tactic| tactic.lines()).map(|line| format!("  {line}\n")).collect();
                text.push_str(&format!("\n\ntheorem {name} {binders} : {statement} := by\n{tactics}"));
            }
        }
        write_atomic(&session.path(out), |file| file.write_all(text.trim_start().as_bytes()))?;
    }
    if let Some(path) = &args.json {
        let report = |attempt| attempt_report(&theorem(attempt).name, attempt);
        let results =
            Results { problems: args.file.display().to_string(), totals: &totals, attempts: attempts.iter().map(report).collect() };
        let text = json(&results)?;
        write_atomic(&session.path(path), |file| file.write_all(text.as_bytes()))?;
    }
    for (tactics, reason) in attempts.iter().flat_map(|attempt| &attempt.refused) {
        session.console.note(format_args!("refused by Lean ({reason}): {}", tactics.join("; ")));
    }
    let mut text = String::new();
    for attempt in attempts {
        let name = &theorem(attempt).name;
        match (attempt.proofs.first(), &attempt.fault) {
            (Some(proof), _) if attempts.len() <= 20 => {
                text.push_str(&format!("{name}: proved in {} steps\n  {}\n", proof.tactics.len(), proof.tactics.join("\n  ")));
            }
            (Some(_), _) => {}
            (None, Some(fault)) => text.push_str(&format!("{name}: not taken: {}: {}\n", fault.class, fault.message)),
            (None, None) => text.push_str(&format!("{name}: not proved\n")),
        }
    }
    text.push_str(&totals.line());
    print(&text)
}

fn attempt_report<'r>(name: &'r str, attempt: &'r LeanAttempt) -> AttemptReport<'r> {
    AttemptReport {
        name,
        proved: !attempt.proofs.is_empty(),
        steps: attempt.proofs.first().map(|proof| proof.tactics.len()),
        effort: (&attempt.effort).into(),
        fault: attempt.fault.as_ref().map(|fault| format!("{}: {}", fault.class, fault.message)),
        refused: &attempt.refused,
        proofs: attempt.proofs.iter().map(|proof| ProofReport { tactics: &proof.tactics, axioms: &proof.axioms }).collect(),
    }
}
