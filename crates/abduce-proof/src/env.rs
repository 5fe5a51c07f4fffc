//! One interface for all checkers, in which states and tactics are text: what a language model sees.

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// The kind, by a short name that does not change between runs: for counts and rewards.
    pub class: &'static str,
    /// What the checker says.
    pub message: String,
}

/// What a step leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepOutcome<S> {
    /// Goals are left.
    Open(S),
    /// None is left. This is a hint: only [`ProofEnv::verify`] decides.
    Done(S),
    /// The tactic does not apply.
    Error(StepError),
    /// The checker did not answer in time; it was stopped.
    Timeout,
}

/// Whether a proof is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The checker accepts the whole proof, as written, from the beginning.
    Proved {
        /// The axioms it rests on, as far as the checker names them.
        axioms: Vec<String>,
    },
    /// It does not.
    Rejected {
        /// The kind, by a short name.
        class: &'static str,
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// Whether the proof was accepted.
    pub fn is_proved(&self) -> bool {
        matches!(self, Self::Proved { .. })
    }

    pub(crate) fn rejected(class: &'static str, reason: impl Into<String>) -> Self {
        Self::Rejected { class, reason: reason.into() }
    }
}

/// A checker that can be asked step by step.
pub trait ProofEnv {
    /// What is to be proved.
    type Theorem;
    /// An unfinished proof.
    type State: Clone;

    /// The state before the first step.
    ///
    /// # Errors
    /// The checker does not know the theorem or does not take its statement.
    fn init(&mut self, theorem: &Self::Theorem) -> Result<Self::State, StepError>;
    /// Applies a tactic.
    fn step(&mut self, theorem: &Self::Theorem, state: &Self::State, tactic: &str) -> StepOutcome<Self::State>;
    /// The text of a state.
    fn render(&self, theorem: &Self::Theorem, state: &Self::State) -> String;
    /// Whether a whole proof is one, judged afresh.
    fn verify(&mut self, theorem: &Self::Theorem, tactics: &[String]) -> Verdict;
}

/// A checker whose states are lists of printed goals, of which a tactic works on the first.
pub trait GoalEnv: ProofEnv {
    /// The open goals, one text each.
    fn goals(&self, state: &Self::State) -> Vec<String>;

    /// The state with its goals in another order: the one at `place` (from 0) comes first, those before it last.
    ///
    /// # Errors
    /// The checker cannot do it.
    fn rotate(&mut self, theorem: &Self::Theorem, state: &Self::State, place: usize) -> Result<Self::State, StepError>;

    /// The outcomes of several tactics in the same state, in order.
    fn step_each(&mut self, theorem: &Self::Theorem, state: &Self::State, tactics: &[String]) -> Vec<StepOutcome<Self::State>> {
        tactics.iter().map(|tactic| self.step(theorem, state, tactic)).collect()
    }
}
