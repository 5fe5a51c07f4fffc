//! Pantograph (`lenianiva/Pantograph`): one command a line, `command {json}`, answered by one JSON object, after a line `ready.`. Finished states are hints here, too; whole
//! proofs are judged by [`LeanBatch`] on the statement with all binders behind the colon, which is how the goal is given to Pantograph.

use super::batch::{LeanBatch, LeanTheorem};
use super::process::{ProcessFault, ProverCommand, ProverLimits};
use super::repl::{DialogueState, outcome, rotate};
use super::session::{Session, errors, step_error};
use super::trust::check_text;
use crate::env::{GoalEnv, ProofEnv, StepError, StepOutcome, Verdict};
use serde_json::{Value, json};

/// The driver.
#[derive(Debug)]
pub struct Pantograph {
    session: Session,
    /// Who judges whole proofs.
    pub judge: LeanBatch,
}

impl Pantograph {
    /// A driver; the modules to import are arguments of the command.
    pub fn new(command: ProverCommand, limits: ProverLimits, judge: LeanBatch) -> Self {
        Self { session: Session::new(command, limits), judge }
    }

    /// The process and what is known about it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn ready(&mut self) -> Result<(), StepError> {
        if self.session.is_fresh() {
            return Ok(());
        }
        self.session.restart(Some("ready.")).map_err(|fault| step_error(&fault))?;
        // All open goals are then part of every answer.
        let start = self.session.limits().start;
        self.session.ask("options.set {\"automaticMode\":true}", "\n", start).map_err(|fault| step_error(&fault))?;
        Ok(())
    }

    fn tactic(&mut self, number: u64, tactic: &str) -> Result<(u64, Vec<String>), Result<StepError, ProcessFault>> {
        let request = format!("goal.tactic {}", json!({ "stateId": number, "goalId": 0, "tactic": tactic }));
        let step = self.session.limits().step;
        let reply = self.session.ask(&request, "\n", step).map_err(Err)?;
        if let Some(message) = refusal(&reply) {
            return Err(Ok(StepError { class: "tactic", message }));
        }
        let flag = |name: &str| reply.get(name).and_then(Value::as_bool) == Some(true);
        if flag("hasSorry") || flag("hasUnsafe") {
            return Err(Ok(StepError { class: "sorry", message: "the tactic leaves a `sorry` or something unsafe".to_owned() }));
        }
        match (reply.get("nextStateId").and_then(Value::as_u64), reply.get("goals").and_then(Value::as_array)) {
            (Some(number), Some(goals)) => Ok((number, goals.iter().map(goal_text).collect())),
            _ => Err(Ok(StepError { class: "tactic", message: reply.to_string().chars().take(300).collect() })),
        }
    }
}

/// Why a command was refused.
fn refusal(reply: &Value) -> Option<String> {
    let text = |name: &str| reply.get(name).and_then(Value::as_str);
    if let Some(error) = text("error") {
        return Some(format!("{error}: {}", text("desc").unwrap_or_default()));
    }
    text("parseError").map(str::to_owned).or_else(|| errors(reply))
}

/// A goal as Lean prints it.
fn goal_text(goal: &Value) -> String {
    let pretty = |value: Option<&Value>| value.and_then(|value| value.get("pp")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut text = String::new();
    for variable in goal.get("vars").and_then(Value::as_array).into_iter().flatten() {
        let name = variable.get("userName").and_then(Value::as_str).unwrap_or("_");
        text.push_str(&format!("{name} : {}\n", pretty(variable.get("type"))));
    }
    text + "⊢ " + &pretty(goal.get("target"))
}

impl ProofEnv for Pantograph {
    type Theorem = LeanTheorem;
    type State = DialogueState;

    fn init(&mut self, theorem: &LeanTheorem) -> Result<DialogueState, StepError> {
        self.ready()?;
        let statement = theorem.closed().statement;
        let request = format!("goal.start {}", json!({ "expr": statement }));
        let start = self.session.limits().start;
        let reply = self.session.ask(&request, "\n", start).map_err(|fault| step_error(&fault))?;
        match (refusal(&reply), reply.get("stateId").and_then(Value::as_u64)) {
            (None, Some(number)) => Ok(DialogueState::new(Vec::new(), vec![format!("⊢ {statement}")], self.session.generation(), number)),
            (message, _) => Err(StepError { class: "statement", message: message.unwrap_or_else(|| reply.to_string()) }),
        }
    }

    /// Where the process that made the state is gone, a fresh one is led to it first.
    fn step(&mut self, theorem: &LeanTheorem, state: &DialogueState, tactic: &str) -> StepOutcome<DialogueState> {
        if let Err(error) = check_text(tactic) {
            return StepOutcome::Error(StepError { class: "text", message: error.to_string() });
        }
        let known = state.number_in(self.session.generation()).filter(|_| self.session.is_fresh());
        let number = match known {
            Some(number) => number,
            None => {
                let fresh = match self.init(theorem) {
                    Ok(fresh) => fresh,
                    Err(error) => return StepOutcome::Error(error),
                };
                let mut number = fresh.number_in(self.session.generation()).unwrap_or_default();
                for tactic in &state.tactics {
                    match self.tactic(number, tactic) {
                        Ok((next, _)) => number = next,
                        Err(error) => return outcome(error),
                    }
                }
                number
            }
        };
        match self.tactic(number, tactic) {
            Ok((number, goals)) => {
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
        self.judge.verify(&theorem.closed(), tactics)
    }
}

impl GoalEnv for Pantograph {
    fn goals(&self, state: &DialogueState) -> Vec<String> {
        state.goals.clone()
    }

    fn rotate(&mut self, theorem: &LeanTheorem, state: &DialogueState, place: usize) -> Result<DialogueState, StepError> {
        rotate(self, theorem, state, place)
    }
}
