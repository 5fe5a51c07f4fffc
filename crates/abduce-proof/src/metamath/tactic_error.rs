//! Why a tactic does not apply, in words and in kinds.

use super::grammar::FormulaFault;

/// Why a tactic does not apply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message says what its data are")]
pub enum TacticError {
    #[error("a tactic is `LABEL` or `LABEL {{ v := expression ; w := expression }}`: {reason}")]
    Form { reason: &'static str },
    #[error("`{label}` is not the label of an assertion")]
    UnknownLabel { label: String },
    #[error("`{label}` does not stand before the theorem")]
    NotEarlier { label: String },
    #[error("`{label}` is excluded from proofs of this theorem")]
    Excluded { label: String },
    #[error("the conclusion of `{label}` does not match the goal")]
    NoMatch { label: String },
    #[error("`{label}` needs an expression for `{variable}`")]
    Missing { label: String, variable: String },
    #[error("`{label}` takes no expression for `{variable}`")]
    Unneeded { label: String, variable: String },
    #[error("`{variable}`: {fault}")]
    Formula { variable: String, fault: FormulaFault },
    #[error("`{label}` has `$d {x} {y}`, which what replaces them breaks")]
    Disjoint { label: String, x: String, y: String },
    #[error("a premise of `{label}` rests on the goal itself")]
    Circle { label: String },
    #[error("the proof is larger than {what} allow: at most {limit}")]
    Limit { what: &'static str, limit: usize },
    #[error("no goal is open")]
    NoGoal,
}

/// The kinds of [`TacticError`], for counts and rewards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Not a tactic.
    Form,
    /// No such label.
    UnknownLabel,
    /// A label that stands too late or is excluded.
    Position,
    /// The conclusion does not match.
    NoMatch,
    /// Expressions missing, not needed, or not of the type.
    Substitution,
    /// `$d`.
    Disjoint,
    /// A goal that rests on itself.
    Circle,
    /// Too large.
    Limit,
    /// Nothing to be done.
    NoGoal,
}

impl ErrorClass {
    /// A short name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::UnknownLabel => "unknown_label",
            Self::Position => "position",
            Self::NoMatch => "no_match",
            Self::Substitution => "substitution",
            Self::Disjoint => "disjoint",
            Self::Circle => "circle",
            Self::Limit => "limit",
            Self::NoGoal => "no_goal",
        }
    }
}

impl TacticError {
    /// Its kind.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Form { .. } => ErrorClass::Form,
            Self::UnknownLabel { .. } => ErrorClass::UnknownLabel,
            Self::NotEarlier { .. } | Self::Excluded { .. } => ErrorClass::Position,
            Self::NoMatch { .. } => ErrorClass::NoMatch,
            Self::Missing { .. } | Self::Unneeded { .. } | Self::Formula { .. } => ErrorClass::Substitution,
            Self::Disjoint { .. } => ErrorClass::Disjoint,
            Self::Circle { .. } => ErrorClass::Circle,
            Self::Limit { .. } => ErrorClass::Limit,
            Self::NoGoal => ErrorClass::NoGoal,
        }
    }
}
