//! Files of theorems for Lean, with or without proofs.
//!
//! A line `name | binders | statement` begins a theorem; indented lines behind it are its proof, without the first two blanks. Empty lines and lines that begin with `#` are left
//! out.

use super::batch::LeanTheorem;

/// A theorem of a file, and its proof line by line, where the file has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeanProblem {
    /// The theorem.
    pub theorem: LeanTheorem,
    /// Its proof; empty where there is none.
    pub proof: Vec<String>,
}

/// Why a file is no list of theorems.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProblemError {
    /// A line that is neither a theorem nor a part of a proof.
    #[error("line {line}: expected `name | binders | statement`, or an indented line of a proof")]
    Line {
        /// Its number, from 1.
        line: usize,
    },
    /// A name that cannot stand in a Lean file.
    #[error("line {line}: `{name}` is not a name of letters, digits, `_`, `'` and dots")]
    Name {
        /// The line.
        line: usize,
        /// The name.
        name: String,
    },
    /// Two theorems of one name.
    #[error("line {line}: a second theorem `{name}`")]
    Twice {
        /// The line of the second.
        line: usize,
        /// The name.
        name: String,
    },
}

/// Reads a file.
///
/// # Errors
/// The first line that has no place in it.
pub fn read_problems(text: &str) -> Result<Vec<LeanProblem>, ProblemError> {
    let mut problems: Vec<LeanProblem> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        let number = number + 1;
        if let Some(tactic) = line.strip_prefix("  ") {
            problems.last_mut().ok_or(ProblemError::Line { line: number })?.proof.push(tactic.trim_end().to_owned());
            continue;
        }
        let mut parts = line.splitn(3, '|').map(str::trim);
        let (Some(name), Some(binders), Some(statement)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ProblemError::Line { line: number });
        };
        let fits = |part: &str| {
            let mut characters = part.chars();
            characters.next().is_some_and(|first| first.is_alphabetic() || first == '_')
                && characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '\''))
        };
        if statement.is_empty() {
            return Err(ProblemError::Line { line: number });
        }
        if !name.split('.').all(fits) {
            return Err(ProblemError::Name { line: number, name: name.to_owned() });
        }
        if problems.iter().any(|problem| problem.theorem.name == name) {
            return Err(ProblemError::Twice { line: number, name: name.to_owned() });
        }
        let theorem = LeanTheorem { name: name.to_owned(), binders: binders.to_owned(), statement: statement.to_owned() };
        problems.push(LeanProblem { theorem, proof: Vec::new() });
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_odd_lines_named() {
        let text = "# two\nswap | (p q : Prop) | p ∧ q → q ∧ p\n  intro h\n    exact h\n\nNat.x' |  | ∀ n, (n | n)\n";
        let problems = read_problems(text).unwrap();
        assert_eq!(problems.len(), 2);
        assert_eq!(problems[0].proof, ["intro h", "  exact h"]);
        assert_eq!((problems[1].theorem.binders.as_str(), problems[1].theorem.statement.as_str()), ("", "∀ n, (n | n)"));
        for (text, part) in [
            ("  intro h", "line 1"),
            ("a | b", "line 1: expected"),
            ("# x\na | b |", "line 2: expected"),
            ("a b | | p", "`a b` is not a name"),
            ("a. | | p", "`a.` is not a name"),
            ("1a | | p", "`1a` is not a name"),
            ("a | | p\na | | q", "line 2: a second theorem `a`"),
        ] {
            let found = read_problems(text).unwrap_err().to_string();
            assert!(found.contains(part), "{text}: {found}");
        }
    }
}
