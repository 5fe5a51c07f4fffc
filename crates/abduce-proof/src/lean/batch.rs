//! `lean --json` on a file of many candidates: needs nothing but a `lean` executable, and is the only judge.
//!
//! A proof counts if, in a fresh process on the whole statement and proof: the text passes [`super::trust`]; no message of severity `error` falls into its lines, nor
//! before the first candidate; nothing says that `sorry` is used; and the line `#print axioms` behind it lists nothing outside the allow-list. That line's message has to be
//! there: silence is not consent, since a crash, a cap on messages or a failed declaration is silent, too.

use super::goal::split_goals;
use super::process::{Finished, ProcessFault, ProverCommand, ProverLimits, run_once};
use super::trust::check_text;
use crate::env::{GoalEnv, ProofEnv, StepError, StepOutcome, Verdict};
use serde::Deserialize;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// A theorem for Lean.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeanTheorem {
    /// What it is called in messages of ours; in the file it has a name of its own.
    pub name: String,
    /// Binders before the colon, such as `(p q : Prop)`; may be empty.
    pub binders: String,
    /// What is stated.
    pub statement: String,
}

impl LeanTheorem {
    /// The same with all binders in the statement.
    pub fn closed(&self) -> Self {
        let statement = if self.binders.is_empty() { self.statement.clone() } else { format!("∀ {}, {}", self.binders, self.statement) };
        Self { name: self.name.clone(), binders: String::new(), statement }
    }
}

/// A theorem and a proof that somebody believes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeanCandidate<'c> {
    /// The theorem.
    pub theorem: &'c LeanTheorem,
    /// Its tactics, each of one line or several.
    pub tactics: &'c [String],
}

/// The driver.
#[derive(Clone, Debug)]
pub struct LeanBatch {
    /// How to start `lean`; options and the name of the file are added.
    pub command: ProverCommand,
    /// First lines of every file: imports, options, `open`.
    pub header: String,
    /// Axioms that a proof may rest on.
    pub allowed_axioms: Vec<String>,
    /// Options after ours, which they override.
    pub options: Vec<String>,
    /// Bounds.
    pub limits: ProverLimits,
    /// The folder for the files.
    pub scratch: PathBuf,
    /// Files written so far, and what begins their names: drivers that share a folder have different ones.
    files: u64,
    prefix: String,
}

/// Options for every run: no message is lost or late, and nothing but the kernel is trusted.
const OPTIONS: [&str; 6] = ["--json", "-t0", "-DElab.async=false", "-Dlinter.all=false", "-DmaxErrors=1000000", "-DmaxRecDepth=512"];

/// One message of `lean --json`.
#[derive(Clone, Debug, Deserialize)]
struct Message {
    #[serde(default)]
    severity: String,
    #[serde(default)]
    data: String,
    #[serde(default)]
    kind: String,
    pos: Option<Position>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Position {
    line: usize,
}

/// Where a candidate stands in its file; lines from 1.
#[derive(Clone, Debug)]
struct Place {
    name: String,
    /// The line with `theorem … := by`.
    first: usize,
    /// The line with `#print axioms`.
    axioms: usize,
}

/// What the messages say about a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judgement {
    Accepted(Vec<String>),
    /// Right so far, with these goals left.
    Unsolved(String),
    Rejected(&'static str, String),
}

impl LeanBatch {
    /// A driver with Lean's own axioms allowed (`propext`, `Classical.choice`, `Quot.sound`); files go to `scratch`.
    pub fn new(command: ProverCommand, header: impl Into<String>, scratch: PathBuf) -> Self {
        let allowed_axioms = ["propext", "Classical.choice", "Quot.sound"].map(str::to_owned).to_vec();
        Self {
            command,
            header: header.into(),
            allowed_axioms,
            options: Vec::new(),
            limits: ProverLimits::default(),
            scratch,
            files: 0,
            prefix: String::new(),
        }
    }

    /// The same driver for another thread: its files have names of their own.
    pub fn for_worker(&self, number: usize) -> Self {
        Self { files: 0, prefix: format!("{}{number}-", self.prefix), ..self.clone() }
    }

    /// Judges many candidates in one process. What comes out as accepted is accepted by the trust rule but for the freshness of the process: [`LeanBatch::verify`] adds that.
    pub fn check(&mut self, candidates: &[LeanCandidate<'_>]) -> Vec<Verdict> {
        self.judge(candidates).into_iter().map(verdict).collect()
    }

    /// Judges candidates in chunks, one process each, on several threads.
    pub fn check_parallel(&mut self, candidates: &[LeanCandidate<'_>], chunk: NonZeroUsize, threads: NonZeroUsize) -> Vec<Verdict> {
        let chunks: Vec<&[LeanCandidate<'_>]> = candidates.chunks(chunk.get()).collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        self.files += 1;
        let this = &*self;
        let mut verdicts: Vec<(usize, Vec<Verdict>)> = std::thread::scope(|scope| {
            let work = || {
                let mut done = Vec::new();
                loop {
                    let place = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(chunk) = chunks.get(place) else { return done };
                    let mut driver = Self { files: 0, prefix: format!("{}{}-{place}-", this.prefix, this.files), ..this.clone() };
                    done.push((place, driver.check(chunk)));
                }
            };
            let helpers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
            helpers.into_iter().flat_map(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        verdicts.sort_by_key(|&(place, _)| place);
        verdicts.into_iter().flat_map(|(_, verdicts)| verdicts).collect()
    }

    fn judge(&mut self, candidates: &[LeanCandidate<'_>]) -> Vec<Judgement> {
        let mut judgements: Vec<Option<Judgement>> = candidates.iter().map(|candidate| refuse(candidate).err()).collect();
        let kept: Vec<usize> = (0..candidates.len()).filter(|&place| judgements[place].is_none()).collect();
        let chosen: Vec<&LeanCandidate<'_>> = kept.iter().map(|&place| &candidates[place]).collect();
        let (text, places) = self.file(&chosen);
        let found = if chosen.is_empty() { Ok(Vec::new()) } else { self.run(&text, &places) };
        match found {
            Ok(found) => kept.iter().zip(found).for_each(|(&place, judgement)| judgements[place] = Some(judgement)),
            // One candidate can bring the process down; alone, it is to blame.
            Err(fault) if kept.len() == 1 => judgements[kept[0]] = Some(Judgement::Rejected(fault.class(), fault.to_string())),
            Err(ProcessFault::Start { program, reason }) => {
                let fault = ProcessFault::Start { program, reason };
                kept.iter().for_each(|&place| judgements[place] = Some(Judgement::Rejected(fault.class(), fault.to_string())));
            }
            Err(_) => {
                let (left, right) = kept.split_at(kept.len() / 2);
                for half in [left, right] {
                    let part: Vec<LeanCandidate<'_>> = half.iter().map(|&place| candidates[place].clone()).collect();
                    half.iter().zip(self.judge(&part)).for_each(|(&place, judgement)| judgements[place] = Some(judgement));
                }
            }
        }
        let undecided = || Judgement::Rejected("undecided", "no verdict".to_owned());
        judgements.into_iter().map(|judgement| judgement.unwrap_or_else(undecided)).collect()
    }

    /// The file, and where each candidate stands in it.
    fn file(&self, candidates: &[&LeanCandidate<'_>]) -> (String, Vec<Place>) {
        let mut text = self.header.trim_end().to_owned();
        text.push('\n');
        let mut places = Vec::new();
        let mut line = text.lines().count() + 1;
        for (number, candidate) in candidates.iter().enumerate() {
            let name = format!("abduce_candidate_{number}");
            let LeanTheorem { binders, statement, .. } = candidate.theorem;
            let head = format!("theorem {name} {binders} : {statement} := by\n");
            let first = line + head.lines().count() - 1;
            text.push_str(&head);
            for tactic in candidate.tactics.iter().flat_map(|tactic| tactic.lines()) {
                text.push_str("  ");
                text.push_str(tactic);
                text.push('\n');
            }
            let body = candidate.tactics.iter().map(|tactic| tactic.lines().count()).sum::<usize>();
            text.push_str(&format!("#print axioms {name}\n"));
            places.push(Place { name, first, axioms: first + body + 1 });
            line = first + body + 2;
        }
        (text, places)
    }

    fn run(&mut self, text: &str, places: &[Place]) -> Result<Vec<Judgement>, ProcessFault> {
        self.files += 1;
        let path = self.scratch.join(format!("abduce-{}-{}{}.lean", std::process::id(), self.prefix, self.files));
        let start =
            |reason: &dyn std::fmt::Display| ProcessFault::Start { program: path.display().to_string(), reason: reason.to_string() };
        std::fs::write(&path, text).map_err(|error| start(&error))?;
        let mut command = self.command.clone();
        command.argv.extend(OPTIONS.map(str::to_owned));
        command.argv.extend(self.options.iter().cloned());
        command.argv.push(path.display().to_string());
        let finished = run_once(&command, b"", &self.limits);
        std::fs::remove_file(&path).ok();
        self.read(&finished?, places)
    }

    fn read(&self, finished: &Finished, places: &[Place]) -> Result<Vec<Judgement>, ProcessFault> {
        if !matches!(finished.code, Some(0 | 1)) {
            let status = finished.code.map_or_else(|| "by a signal".to_owned(), |code| format!("exit code {code}"));
            return Err(ProcessFault::Crash { status: format!("{status}: {}", finished.stderr.chars().take(300).collect::<String>()) });
        }
        let mut judgements: Vec<Option<Judgement>> = vec![None; places.len()];
        // The first line of the first candidate may come after lines of its own statement.
        let owner = |line: usize| places.partition_point(|place| place.axioms < line);
        for line in finished.stdout.split(|&byte| byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace)) {
            let protocol = || ProcessFault::Protocol { what: String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned() };
            let message: Message = serde_json::from_slice(line).map_err(|_| protocol())?;
            let header_lines = self.header.trim_end().lines().count();
            let at = message.pos.map(|pos| pos.line).filter(|&line| line > header_lines);
            let Some(at) = at else {
                if message.severity == "error" {
                    return Ok(vec![Judgement::Rejected("header", message.data.chars().take(500).collect()); places.len()]);
                }
                continue;
            };
            let place = owner(at);
            if message.data.contains("maximum number of errors") {
                // Lean stops here: whatever comes later is undecided, and this one with it.
                for judgement in &mut judgements[place.min(places.len())..] {
                    *judgement = Some(Judgement::Rejected("undecided", message.data.clone()));
                }
                break;
            }
            let Some(found) = places.get(place) else { continue };
            let judgement = &mut judgements[place];
            if message.severity == "error" {
                let unsolved = message.kind == "Tactic.unsolvedGoals" && at == found.first;
                let failed = at == found.axioms && matches!(judgement, Some(Judgement::Unsolved(_)));
                *judgement = match judgement.take() {
                    None if unsolved => Some(Judgement::Unsolved(message.data.trim_start_matches("unsolved goals").trim().to_owned())),
                    // The line about axioms of a theorem that is not there yet.
                    Some(kept) if failed => Some(kept),
                    Some(kept @ Judgement::Rejected(..)) => Some(kept),
                    _ => Some(Judgement::Rejected("tactic", message.data.chars().take(2000).collect())),
                };
            } else if message.data.contains("declaration uses") && message.data.contains("sorry") {
                *judgement = Some(Judgement::Rejected("sorry", message.data));
            } else if at == found.axioms && judgement.is_none() {
                *judgement = self.axioms(&found.name, &message.data);
            }
        }
        let silent = || Judgement::Rejected("undecided", "no message about its axioms".to_owned());
        Ok(judgements.into_iter().map(|judgement| judgement.unwrap_or_else(silent)).collect())
    }

    /// What the message of `#print axioms` says.
    fn axioms(&self, name: &str, data: &str) -> Option<Judgement> {
        let rest = data.strip_prefix(&format!("'{name}' "))?;
        if rest.trim() == "does not depend on any axioms" {
            return Some(Judgement::Accepted(Vec::new()));
        }
        let list = rest.strip_prefix("depends on axioms: [")?.trim_end().strip_suffix(']')?;
        let axioms: Vec<String> = list.split(',').map(|axiom| axiom.trim().to_owned()).collect();
        match axioms.iter().find(|axiom| !self.allowed_axioms.contains(axiom)) {
            Some(axiom) => Some(Judgement::Rejected("axiom", format!("the proof rests on the axiom `{axiom}`"))),
            None => Some(Judgement::Accepted(axioms)),
        }
    }
}

fn verdict(judgement: Judgement) -> Verdict {
    match judgement {
        Judgement::Accepted(axioms) => Verdict::Proved { axioms },
        Judgement::Unsolved(goals) => Verdict::rejected("unsolved", goals),
        Judgement::Rejected(class, reason) => Verdict::rejected(class, reason),
    }
}

fn refuse(candidate: &LeanCandidate<'_>) -> Result<(), Judgement> {
    // Each tactic by itself: an open bracket of one is not closed by the next.
    for tactic in candidate.tactics {
        check_text(tactic).map_err(|error| Judgement::Rejected("text", error.to_string()))?;
    }
    if candidate.tactics.iter().all(|tactic| tactic.trim().is_empty()) {
        return Err(Judgement::Rejected("text", "the proof is empty".to_owned()));
    }
    Ok(())
}

/// A proof in progress, for drivers that run it from the start each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeanState {
    /// The tactics so far.
    pub tactics: Vec<String>,
    /// The open goals, as Lean prints them; empty before the first step and at the end.
    pub goals: String,
}

impl ProofEnv for LeanBatch {
    type Theorem = LeanTheorem;
    type State = LeanState;

    /// Runs `skip`, which leaves the goal as it is: so a wrong statement is found here.
    fn init(&mut self, theorem: &LeanTheorem) -> Result<LeanState, StepError> {
        let tactics = ["skip".to_owned()];
        match self.judge(&[LeanCandidate { theorem, tactics: &tactics }]).pop() {
            Some(Judgement::Unsolved(goals)) => Ok(LeanState { tactics: Vec::new(), goals }),
            Some(Judgement::Rejected(class, message)) => Err(StepError { class, message }),
            _ => Err(StepError { class: "statement", message: "`skip` proves this theorem".to_owned() }),
        }
    }

    fn step(&mut self, theorem: &LeanTheorem, state: &LeanState, tactic: &str) -> StepOutcome<LeanState> {
        let outcome = self.step_each(theorem, state, &[tactic.to_owned()]).pop();
        outcome.unwrap_or_else(|| StepOutcome::Error(StepError { class: "undecided", message: "no verdict".to_owned() }))
    }

    fn render(&self, _: &LeanTheorem, state: &LeanState) -> String {
        state.goals.clone()
    }

    fn verify(&mut self, theorem: &LeanTheorem, tactics: &[String]) -> Verdict {
        self.check(&[LeanCandidate { theorem, tactics }]).pop().unwrap_or_else(|| Verdict::rejected("undecided", "no verdict"))
    }
}

impl GoalEnv for LeanBatch {
    fn goals(&self, state: &LeanState) -> Vec<String> {
        split_goals(&state.goals)
    }

    /// Adds `rotate_left`, and runs nothing: the next step does.
    fn rotate(&mut self, _: &LeanTheorem, state: &LeanState, place: usize) -> Result<LeanState, StepError> {
        let mut goals = self.goals(state);
        let mut tactics = state.tactics.clone();
        if place > 0 && place < goals.len() {
            goals.rotate_left(place);
            tactics.push(format!("rotate_left {place}"));
        }
        Ok(LeanState { tactics, goals: goals.join("\n\n") })
    }

    /// All in one process, whose time is that of a start and of as many steps.
    fn step_each(&mut self, theorem: &LeanTheorem, state: &LeanState, tactics: &[String]) -> Vec<StepOutcome<LeanState>> {
        let proofs: Vec<Vec<String>> = tactics.iter().map(|tactic| state.tactics.iter().chain([tactic]).cloned().collect()).collect();
        let candidates: Vec<LeanCandidate<'_>> = proofs.iter().map(|tactics| LeanCandidate { theorem, tactics }).collect();
        let whole = self.limits.file;
        let steps = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        self.limits.file = whole.min(self.limits.start.saturating_add(self.limits.step.saturating_mul(steps)));
        let judgements = self.judge(&candidates);
        self.limits.file = whole;
        let outcome = |(judgement, tactics): (Judgement, Vec<String>)| match judgement {
            Judgement::Accepted(_) => StepOutcome::Done(LeanState { tactics, goals: String::new() }),
            Judgement::Unsolved(goals) => StepOutcome::Open(LeanState { tactics, goals }),
            Judgement::Rejected("timeout", _) => StepOutcome::Timeout,
            Judgement::Rejected(class, message) => StepOutcome::Error(StepError { class, message }),
        };
        judgements.into_iter().zip(proofs).map(outcome).collect()
    }
}
