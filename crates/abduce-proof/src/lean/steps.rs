//! A checker that speaks text as a decision process, for searches: goals are states, tactics are actions.

use super::goal::{metavariables, tag, untagged};
use crate::env::{GoalEnv, StepError, StepOutcome};
use crate::mdp::{GoalMdp, ProofMdp, Proposal, Transition};
use std::collections::HashMap;

/// A state of a search: goals of a checker's state, of which the last ones may belong to somebody else.
#[derive(Clone, Debug)]
pub struct TacticState<S> {
    prover: S,
    goals: Vec<String>,
    /// Goals of the checker behind those of this state: they are left alone.
    beyond: usize,
    last: Option<String>,
    /// Tells states apart.
    number: u64,
}

impl<S> TacticState<S> {
    /// The open goals as printed, the one that the next tactic works on first.
    pub fn goals(&self) -> &[String] {
        &self.goals
    }

    /// The last tactic, where there was one.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

/// Where a goal was met: a state of the checker, the goal's place, and how many goals belong to it.
#[derive(Clone, Debug)]
struct Witness<S> {
    prover: S,
    last: Option<String>,
    place: usize,
    count: usize,
}

/// Outcomes that are known already: the number of their state, and each tactic's.
type Ahead<S> = (u64, Vec<(String, StepOutcome<S>)>);

/// The decision process of proving one theorem by tactics.
///
/// Goals that share metavariables stand or fall together, so they count as one where goals are worked on one by one.
#[derive(Debug)]
pub struct TacticMdp<'m, E: GoalEnv> {
    env: &'m mut E,
    theorem: &'m E::Theorem,
    start: TacticState<E::State>,
    states: u64,
    ahead: Ahead<E::State>,
    met: HashMap<String, Witness<E::State>>,
}

impl<'m, E: GoalEnv> TacticMdp<'m, E> {
    /// The process; asks the checker for the first state.
    ///
    /// # Errors
    /// The checker does not take the statement.
    pub fn new(env: &'m mut E, theorem: &'m E::Theorem) -> Result<Self, StepError> {
        let prover = env.init(theorem)?;
        let goals = env.goals(&prover);
        let start = TacticState { prover, goals, beyond: 0, last: None, number: 0 };
        let mut mdp = Self { env, theorem, start: start.clone(), states: 0, ahead: (0, Vec::new()), met: HashMap::new() };
        mdp.meet(&start);
        Ok(mdp)
    }

    /// Remembers where the goals of a state were met.
    fn meet(&mut self, state: &TacticState<E::State>) {
        for (place, count, name) in groups(&state.goals) {
            let witness = || Witness { prover: state.prover.clone(), last: state.last.clone(), place, count };
            self.met.entry(name).or_insert_with(witness);
        }
    }

    /// The state after an outcome.
    fn after(&mut self, before: &TacticState<E::State>, tactic: &str, outcome: StepOutcome<E::State>) -> Transition<TacticState<E::State>> {
        let (prover, is_open) = match outcome {
            StepOutcome::Open(prover) => (prover, true),
            StepOutcome::Done(prover) => (prover, false),
            StepOutcome::Error(error) => return Transition::Failed(error.class),
            StepOutcome::Timeout => return Transition::Failed("timeout"),
        };
        self.states += 1;
        let mut goals = if is_open { self.env.goals(&prover) } else { Vec::new() };
        goals.truncate(goals.len().saturating_sub(before.beyond));
        let next = TacticState { prover, goals, beyond: before.beyond, last: Some(tactic.to_owned()), number: self.states };
        if next.goals.is_empty() {
            return Transition::Done(next);
        }
        self.meet(&next);
        Transition::Open(next)
    }
}

/// Goals in runs that share metavariables: the place of the first, how many there are, and a name without tags and the names of metavariables.
fn groups(goals: &[String]) -> Vec<(usize, usize, String)> {
    let linked = |one: &str, other: &str| {
        let names = |goal: &str, name: &str| tag(goal) == Some(name) || metavariables(goal).any(|known| known == name);
        metavariables(one).any(|name| names(other, name)) || metavariables(other).any(|name| names(one, name))
    };
    let mut groups = Vec::new();
    let mut place = 0;
    while place < goals.len() {
        let (mut at, mut end) = (place, place + 1);
        while at < end {
            let last = (end..goals.len()).rev().find(|&other| linked(&goals[at], &goals[other]));
            end = last.map_or(end, |other| other + 1);
            at += 1;
        }
        groups.push((place, end - place, name(&goals[place..end])));
        place = end;
    }
    groups
}

/// The texts of goals with metavariables numbered in the order in which they occur, and without other tags.
fn name(goals: &[String]) -> String {
    let mut known: Vec<&str> = Vec::new();
    for found in goals.iter().flat_map(|goal| metavariables(untagged(goal))) {
        if !known.contains(&found) {
            known.push(found);
        }
    }
    let rename = |text: &str| {
        let mut parts = text.split('?');
        let mut renamed = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            // The longest name that the text goes on with.
            let found = known.iter().enumerate().filter(|(_, name)| part.starts_with(**name)).max_by_key(|(_, name)| name.len());
            match found {
                Some((number, name)) => renamed.push_str(&format!("?{number}{}", &part[name.len()..])),
                None => renamed.push_str(&format!("?{part}")),
            }
        }
        renamed
    };
    let mut text = String::new();
    for goal in goals {
        if let Some(number) = tag(goal).and_then(|tag| known.iter().position(|name| *name == tag)) {
            text.push_str(&format!("case ?{number}\n"));
        }
        text.push_str(&rename(untagged(goal)));
        text.push_str("\n\n");
    }
    text
}

impl<E: GoalEnv> ProofMdp for TacticMdp<'_, E> {
    type State = TacticState<E::State>;
    type Action = String;
    /// The open goals, by name.
    type Key = String;

    fn initial(&mut self) -> Self::State {
        self.start.clone()
    }

    fn step(&mut self, state: &Self::State, tactic: &String) -> Transition<Self::State> {
        let known = self.ahead.1.iter().position(|(known, _)| known == tactic).filter(|_| self.ahead.0 == state.number);
        let outcome = match known {
            Some(place) => self.ahead.1.swap_remove(place).1,
            None => self.env.step(self.theorem, &state.prover, tactic),
        };
        self.after(state, tactic, outcome)
    }

    fn is_done(&self, state: &Self::State) -> bool {
        state.goals.is_empty()
    }

    fn key(&self, state: &Self::State) -> String {
        name(&state.goals)
    }

    fn prepare(&mut self, state: &Self::State, proposals: &[Proposal<String>]) {
        let tactics: Vec<String> = proposals.iter().map(|proposal| proposal.action.clone()).collect();
        let outcomes = if tactics.is_empty() { Vec::new() } else { self.env.step_each(self.theorem, &state.prover, &tactics) };
        self.ahead = (state.number, tactics.into_iter().zip(outcomes).collect());
    }
}

impl<E: GoalEnv> GoalMdp for TacticMdp<'_, E> {
    /// The name of a goal, or of goals that share metavariables.
    type Goal = String;

    fn goals(&self, state: &Self::State) -> Vec<String> {
        groups(&state.goals).into_iter().map(|(_, _, name)| name).collect()
    }

    /// The state in which the goal was met first, with the goal in front; where the checker fails at that, a state without goals, in which nothing can be done.
    fn state_of(&mut self, goal: &String) -> Self::State {
        self.states += 1;
        let nothing = TacticState { goals: Vec::new(), number: self.states, ..self.start.clone() };
        let Some(witness) = self.met.get(goal).cloned() else { return nothing };
        match self.env.rotate(self.theorem, &witness.prover, witness.place) {
            Ok(prover) => {
                let mut goals = self.env.goals(&prover);
                let beyond = goals.len().saturating_sub(witness.count);
                goals.truncate(witness.count);
                TacticState { prover, goals, beyond, last: witness.last, number: self.states }
            }
            Err(_) => nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_that_share_metavariables_stand_together() {
        let goals = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let apart = groups(&goals(&["case inl\na : p\n⊢ q", "case inr\n⊢ q"]));
        assert_eq!(apart.iter().map(|&(place, count, _)| (place, count)).collect::<Vec<_>>(), [(0, 1), (1, 1)]);
        assert_eq!(apart[1].2, "⊢ q\n\n");
        let shared = groups(&goals(&["⊢ r", "case x.h\n⊢ p ?x.w ?y", "⊢ s", "case x.w\n⊢ Nat", "case inr\n⊢ q"]));
        assert_eq!(shared.iter().map(|&(place, count, _)| (place, count)).collect::<Vec<_>>(), [(0, 1), (1, 3), (4, 1)]);
        assert_eq!(shared[1].2, "⊢ p ?0 ?1\n\n⊢ s\n\ncase ?0\n⊢ Nat\n\n");
        // The tag first, and another name for the same.
        let turned = groups(&goals(&["case w\n⊢ Nat", "case h\n⊢ p ?w"]));
        assert_eq!(turned.iter().map(|&(place, count, _)| (place, count)).collect::<Vec<_>>(), [(0, 2)]);
        // Equal tags alone do not make goals one.
        assert_eq!(groups(&goals(&["case a\n⊢ p", "case a\n⊢ q"])).len(), 2);
    }
}
