//! The community REPL (`leanprover-community/repl`): JSON objects on standard input with a blank line after each. Its tactic mode accepts wrong proofs (its issue 44), so a
//! finished state is a hint, and the verdict is that of [`LeanBatch`].

use super::batch::{LeanBatch, LeanTheorem};
use super::process::{ProcessFault, ProverCommand, ProverLimits};
use super::session::{Session, errors, step_error};
use super::trust::check_text;
use crate::env::{GoalEnv, ProofEnv, StepError, StepOutcome, Verdict};
use serde_json::{Value, json};

/// The driver.
#[derive(Debug)]
pub struct LeanRepl {
    session: Session,
    /// Sent to every fresh process: imports and options; may be empty.
    header: String,
    environment: Option<u64>,
    /// Who judges whole proofs.
    pub judge: LeanBatch,
}

/// A proof in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogueState {
    /// The tactics so far: enough to come back to this state in a fresh process.
    pub tactics: Vec<String>,
    /// The open goals.
    pub goals: Vec<String>,
    generation: u64,
    number: u64,
}

impl DialogueState {
    pub(super) fn new(tactics: Vec<String>, goals: Vec<String>, generation: u64, number: u64) -> Self {
        Self { tactics, goals, generation, number }
    }

    /// The prover's number of this state, where its process is still the one that is asked.
    pub(super) fn number_in(&self, generation: u64) -> Option<u64> {
        (self.generation == generation).then_some(self.number)
    }
}

impl LeanRepl {
    /// A driver; whole proofs are judged by `judge`, whose header it shares.
    pub fn new(command: ProverCommand, limits: ProverLimits, judge: LeanBatch) -> Self {
        Self { session: Session::new(command, limits), header: judge.header.clone(), environment: None, judge }
    }

    /// The process and what is known about it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn ready(&mut self) -> Result<(), StepError> {
        if self.session.is_fresh() {
            return Ok(());
        }
        self.session.restart(None).map_err(|fault| step_error(&fault))?;
        self.environment = None;
        if self.header.trim().is_empty() {
            return Ok(());
        }
        let start = self.session.limits().start;
        let reply = self.session.ask(&json!({ "cmd": self.header }).to_string(), "\n\n", start).map_err(|fault| step_error(&fault))?;
        match (errors(&reply), reply.get("env").and_then(Value::as_u64)) {
            (None, Some(environment)) => {
                self.environment = Some(environment);
                Ok(())
            }
            (message, _) => Err(StepError { class: "header", message: message.unwrap_or_else(|| reply.to_string()) }),
        }
    }

    /// One tactic in a state that the process knows.
    fn tactic(&mut self, number: u64, tactic: &str) -> Result<(u64, Vec<String>), Result<StepError, ProcessFault>> {
        let request = json!({ "tactic": tactic, "proofState": number }).to_string();
        let step = self.session.limits().step;
        let reply = self.session.ask(&request, "\n\n", step).map_err(Err)?;
        if let Some(message) = reply.get("message").and_then(Value::as_str).map(str::to_owned).or_else(|| errors(&reply)) {
            return Err(Ok(StepError { class: "tactic", message }));
        }
        if reply.get("sorries").and_then(Value::as_array).is_some_and(|sorries| !sorries.is_empty()) {
            return Err(Ok(StepError { class: "sorry", message: "the tactic leaves a `sorry`".to_owned() }));
        }
        let number = reply.get("proofState").and_then(Value::as_u64);
        let goals = reply.get("goals").and_then(Value::as_array);
        match (number, goals) {
            (Some(number), Some(goals)) => Ok((number, goals.iter().filter_map(Value::as_str).map(str::to_owned).collect())),
            _ => Err(Ok(StepError { class: "protocol", message: reply.to_string().chars().take(300).collect() })),
        }
    }
}

impl ProofEnv for LeanRepl {
    type Theorem = LeanTheorem;
    type State = DialogueState;

    fn init(&mut self, theorem: &LeanTheorem) -> Result<DialogueState, StepError> {
        self.ready()?;
        let LeanTheorem { binders, statement, .. } = theorem;
        let mut request = json!({ "cmd": format!("theorem abduce_goal {binders} : {statement} := by sorry") });
        if let Some(environment) = self.environment {
            request["env"] = environment.into();
        }
        let start = self.session.limits().start;
        let reply = self.session.ask(&request.to_string(), "\n\n", start).map_err(|fault| step_error(&fault))?;
        if let Some(message) = reply.get("message").and_then(Value::as_str).map(str::to_owned).or_else(|| errors(&reply)) {
            return Err(StepError { class: "statement", message });
        }
        let sorry = reply.get("sorries").and_then(|sorries| sorries.get(0));
        let number = sorry.and_then(|sorry| sorry.get("proofState")).and_then(Value::as_u64);
        let goal = sorry.and_then(|sorry| sorry.get("goal")).and_then(Value::as_str);
        match (number, goal) {
            (Some(number), Some(goal)) => Ok(DialogueState::new(Vec::new(), vec![goal.to_owned()], self.session.generation(), number)),
            _ => Err(StepError { class: "protocol", message: reply.to_string().chars().take(300).collect() }),
        }
    }

    /// Where the process that made the state is gone, a fresh one is led to it first.
    fn step(&mut self, theorem: &LeanTheorem, state: &DialogueState, tactic: &str) -> StepOutcome<DialogueState> {
        if let Err(error) = check_text(tactic) {
            return StepOutcome::Error(StepError { class: "text", message: error.to_string() });
        }
        let known = state.number_in(self.session.generation()).filter(|_| self.session.is_fresh());
        let mut number = match known {
            Some(number) => number,
            None => match self.init(theorem).map(|fresh| fresh.number) {
                Ok(mut number) => {
                    for tactic in &state.tactics {
                        match self.tactic(number, tactic) {
                            Ok((next, _)) => number = next,
                            Err(error) => return outcome(error),
                        }
                    }
                    number
                }
                Err(error) => return StepOutcome::Error(error),
            },
        };
        match self.tactic(number, tactic) {
            Ok((next, goals)) => {
                number = next;
                let tactics = state.tactics.iter().cloned().chain([tactic.to_owned()]).collect();
                let done = goals.is_empty();
                let next = DialogueState::new(tactics, goals, self.session.generation(), number);
                if done { StepOutcome::Done(next) } else { StepOutcome::Open(next) }
            }
            Err(error) => outcome(error),
        }
    }

    fn render(&self, _: &LeanTheorem, state: &DialogueState) -> String {
        state.goals.join("\n\n")
    }

    fn verify(&mut self, theorem: &LeanTheorem, tactics: &[String]) -> Verdict {
        self.judge.verify(theorem, tactics)
    }
}

impl GoalEnv for LeanRepl {
    fn goals(&self, state: &DialogueState) -> Vec<String> {
        state.goals.clone()
    }

    fn rotate(&mut self, theorem: &LeanTheorem, state: &DialogueState, place: usize) -> Result<DialogueState, StepError> {
        rotate(self, theorem, state, place)
    }
}

/// Rotates the goals by a tactic of Lean.
pub(super) fn rotate<E: ProofEnv<Theorem = LeanTheorem, State = DialogueState>>(
    env: &mut E,
    theorem: &LeanTheorem,
    state: &DialogueState,
    place: usize,
) -> Result<DialogueState, StepError> {
    if place == 0 {
        return Ok(state.clone());
    }
    match env.step(theorem, state, &format!("rotate_left {place}")) {
        StepOutcome::Open(next) => Ok(next),
        StepOutcome::Error(error) => Err(error),
        StepOutcome::Done(_) => Err(StepError { class: "protocol", message: "goals went by being put in order".to_owned() }),
        StepOutcome::Timeout => Err(StepError { class: "timeout", message: "no answer in time".to_owned() }),
    }
}

pub(super) fn outcome<S>(error: Result<StepError, ProcessFault>) -> StepOutcome<S> {
    match error {
        Ok(error) => StepOutcome::Error(error),
        Err(ProcessFault::Timeout { .. }) => StepOutcome::Timeout,
        Err(fault) => StepOutcome::Error(step_error(&fault)),
    }
}
