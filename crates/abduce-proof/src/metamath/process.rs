//! Metamath behind the traits of decision processes and of checkers.

use super::database::{StatementId, StatementKind};
use super::environment::{Problem, Tactic};
use super::prover::Prover;
use super::state::ProofState;
use super::terms::TermId;
use crate::env::{ProofEnv, StepError, StepOutcome, Verdict};
use crate::mdp::{FiniteMdp, GoalMdp, ProofMdp, Transition};

/// The decision process of proving one theorem.
#[derive(Debug)]
pub struct MetamathMdp<'m, 'e, 'd> {
    /// The prover.
    pub prover: &'m mut Prover<'e, 'd>,
    /// What is to be proved.
    pub problem: &'m Problem,
}

impl ProofMdp for MetamathMdp<'_, '_, '_> {
    type State = ProofState;
    type Action = Tactic;
    /// The open goals in order.
    type Key = Vec<TermId>;

    fn initial(&mut self) -> ProofState {
        self.prover.start(self.problem)
    }

    fn step(&mut self, state: &ProofState, action: &Tactic) -> Transition<ProofState> {
        let mut next = state.clone();
        match self.prover.apply(self.problem, &mut next, action) {
            Ok(()) if next.is_done() => Transition::Done(next),
            Ok(()) => Transition::Open(next),
            Err(error) => Transition::Failed(error.class().name()),
        }
    }

    fn is_done(&self, state: &ProofState) -> bool {
        state.is_done()
    }

    fn key(&self, state: &ProofState) -> Vec<TermId> {
        state.goals().collect()
    }
}

impl GoalMdp for MetamathMdp<'_, '_, '_> {
    type Goal = TermId;

    fn goals(&self, state: &ProofState) -> Vec<TermId> {
        state.goals().collect()
    }

    fn state_of(&mut self, goal: &TermId) -> ProofState {
        self.prover.start_at(self.problem, *goal)
    }
}

/// The process with a finite list of tactics: assertions, and trees for the variables that a conclusion does not fix. In every state the actions are the tactics
/// made of these that apply, in the order of the lists. States beyond `max_steps` steps have no actions.
#[derive(Debug)]
pub struct FiniteTactics<'m, 'e, 'd> {
    /// The process.
    pub mdp: MetamathMdp<'m, 'e, 'd>,
    /// Assertions that may be cited.
    pub labels: Vec<StatementId>,
    /// Trees that may replace variables, of any types.
    pub expressions: Vec<TermId>,
    /// Most steps of a proof.
    pub max_steps: usize,
}

impl ProofMdp for FiniteTactics<'_, '_, '_> {
    type State = ProofState;
    type Action = Tactic;
    /// Steps made, and the open goals in order.
    type Key = (usize, Vec<TermId>);

    fn initial(&mut self) -> ProofState {
        self.mdp.initial()
    }

    fn step(&mut self, state: &ProofState, action: &Tactic) -> Transition<ProofState> {
        if state.steps() >= self.max_steps { Transition::Failed("limit") } else { self.mdp.step(state, action) }
    }

    fn is_done(&self, state: &ProofState) -> bool {
        state.is_done()
    }

    fn key(&self, state: &ProofState) -> (usize, Vec<TermId>) {
        (state.steps(), self.mdp.key(state))
    }
}

impl FiniteMdp for FiniteTactics<'_, '_, '_> {
    fn actions(&mut self, state: &ProofState, actions: &mut Vec<Tactic>) {
        actions.clear();
        if state.is_done() || state.steps() >= self.max_steps {
            return;
        }
        for &label in &self.labels {
            let prover = &mut *self.mdp.prover;
            let env = prover.environment();
            let Some(free) = env.free_variables(label) else { continue };
            // Every choice of trees of the right types, the last variable running fastest.
            let choices: Vec<Vec<TermId>> = free
                .iter()
                .map(|&floating| {
                    let typecode = env.db().typecode(floating);
                    self.expressions.iter().copied().filter(|&tree| env.db().typecode(prover.terms().head(tree)) == typecode).collect()
                })
                .collect();
            if choices.iter().any(Vec::is_empty) {
                continue;
            }
            let mut places = vec![0; free.len()];
            loop {
                let given = free.iter().zip(&choices).zip(&places).map(|((&floating, trees), &place)| (floating, trees[place]));
                let tactic = Tactic { label, given: given.collect() };
                if prover.apply(self.mdp.problem, &mut state.clone(), &tactic).is_ok() {
                    actions.push(tactic);
                }
                let Some(last) = (0..places.len()).rev().find(|&place| places[place] + 1 < choices[place].len()) else { break };
                places[last] += 1;
                places[last + 1..].fill(0);
            }
        }
    }
}

/// Metamath as a checker that speaks text.
#[derive(Debug)]
pub struct MetamathEnv<'e, 'd> {
    /// The prover.
    pub prover: Prover<'e, 'd>,
}

impl ProofEnv for MetamathEnv<'_, '_> {
    type Theorem = Problem;
    type State = ProofState;

    fn init(&mut self, theorem: &Problem) -> Result<ProofState, StepError> {
        Ok(self.prover.start(theorem))
    }

    fn step(&mut self, theorem: &Problem, state: &ProofState, tactic: &str) -> StepOutcome<ProofState> {
        let mut next = state.clone();
        let applied = self.prover.parse_tactic(theorem, tactic).and_then(|tactic| self.prover.apply(theorem, &mut next, &tactic));
        match applied {
            Ok(()) if next.is_done() => StepOutcome::Done(next),
            Ok(()) => StepOutcome::Open(next),
            Err(error) => StepOutcome::Error(StepError { class: error.class().name(), message: error.to_string() }),
        }
    }

    fn render(&self, theorem: &Problem, state: &ProofState) -> String {
        self.prover.render_state(theorem, state)
    }

    /// Replays the tactics from the first state, writes the proof and has the kernel check the text. The axioms named are those
    /// that the proof cites itself.
    fn verify(&mut self, theorem: &Problem, tactics: &[String]) -> Verdict {
        let mut state = self.prover.start(theorem);
        for tactic in tactics {
            match self.step(theorem, &state, tactic) {
                StepOutcome::Open(next) | StepOutcome::Done(next) => state = next,
                StepOutcome::Error(error) => return Verdict::rejected(error.class, error.message),
                StepOutcome::Timeout => return Verdict::rejected("timeout", "no answer in time"),
            }
        }
        match self.prover.finish(theorem, &state) {
            Ok(proof) => {
                let db = self.prover.environment().db();
                let axioms = proof.cites.iter().filter(|&&id| db.kind(id) == StatementKind::Axiom).map(|&id| db.label(id).to_owned());
                Verdict::Proved { axioms: axioms.collect() }
            }
            Err(error) => Verdict::rejected("unfinished", error.to_string()),
        }
    }
}
