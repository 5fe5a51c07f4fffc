//! Goals as Lean prints them: hypotheses, a turnstile, what is to be shown.

/// A printed goal, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// Hypotheses and variables in order: name and type. Names that end in `✝` cannot be written in a tactic.
    pub hypotheses: Vec<(String, String)>,
    /// What is to be shown.
    pub target: String,
}

/// The outermost symbol of a formula, in Lean's notation or by the name of its constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `p → q`, `∀ x, p x`, `(x : α) → p x`.
    Arrow,
    /// `¬p`.
    Not,
    /// `p ∧ q`.
    And,
    /// `p ∨ q`.
    Or,
    /// `p ↔ q`.
    Iff,
    /// `a = b`.
    Eq,
    /// `∃ x, p x`.
    Exists,
    /// `False`.
    False,
    /// `True`.
    True,
    /// Anything else.
    Other,
}

/// The goals of a text in which an empty line stands between them.
pub fn split_goals(text: &str) -> Vec<String> {
    text.split("\n\n").map(str::trim_end).filter(|goal| !goal.is_empty()).map(str::to_owned).collect()
}

/// A goal without its `case` line: what tells goals apart.
pub fn untagged(goal: &str) -> &str {
    match goal.strip_prefix("case ") {
        Some(rest) => rest.split_once('\n').map_or("", |(_, rest)| rest),
        None => goal,
    }
}

/// The name in its `case` line.
pub fn tag(goal: &str) -> Option<&str> {
    goal.strip_prefix("case ").map(|rest| rest.lines().next().unwrap_or_default().trim())
}

/// The open metavariables of a goal, such as `?w`, without the question marks.
pub fn metavariables(goal: &str) -> impl Iterator<Item = &str> {
    let is_name = |character: char| character.is_alphanumeric() || matches!(character, '_' | '.' | '\'' | '✝');
    goal.split('?').skip(1).filter_map(move |rest| {
        let name = &rest[..rest.find(|character| !is_name(character)).unwrap_or(rest.len())];
        (!name.is_empty()).then_some(name)
    })
}

impl Goal {
    /// Takes a goal apart. What is not in the expected form is left out; a text without a turnstile has an empty target.
    pub fn parse(text: &str) -> Self {
        let mut logical: Vec<String> = Vec::new();
        for line in untagged(text).lines() {
            // Long types are broken; what follows is indented.
            match logical.last_mut() {
                Some(last) if line.starts_with(' ') => {
                    last.push(' ');
                    last.push_str(line.trim());
                }
                _ => logical.push(line.trim_end().to_owned()),
            }
        }
        let mut goal = Self::default();
        for line in &logical {
            if let Some(target) = line.strip_prefix("⊢ ") {
                goal.target = target.trim().to_owned();
            } else if let Some((names, kind)) = line.split_once(" : ") {
                let kind = kind.split(" := ").next().unwrap_or(kind).trim();
                goal.hypotheses.extend(names.split_whitespace().map(|name| (name.to_owned(), kind.to_owned())));
            }
        }
        goal
    }

    /// A name that no hypothesis has: the base, or the base and a number.
    pub fn fresh(&self, base: &str, taken: &[String]) -> String {
        let is_free = |name: &str| self.hypotheses.iter().all(|(known, _)| known != name) && taken.iter().all(|known| known != name);
        let numbered = (1..).map(|number| format!("{base}{number}"));
        std::iter::once(base.to_owned()).chain(numbered).find(|name| is_free(name)).unwrap_or_default()
    }

    /// The hypotheses whose names can be written.
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.hypotheses.iter().filter(|(name, _)| !name.contains('✝')).map(|(name, kind)| (name.as_str(), kind.as_str()))
    }
}

/// The parts of a formula outside all brackets: places of its characters, up to a binder, whose body reaches to the end.
fn outermost(formula: &str) -> impl Iterator<Item = (usize, char)> {
    let mut depth = 0usize;
    let mut bound = false;
    let mut word_before = false;
    formula.char_indices().filter(move |&(at, character)| {
        let starts_binder = matches!(character, '∃' | '∀' | 'λ') || (!word_before && formula[at..].starts_with("fun "));
        word_before = character.is_alphanumeric() || character == '_';
        bound |= starts_binder && depth == 0 && at > 0;
        match character {
            '(' | '[' | '{' | '⟨' => depth += 1,
            ')' | ']' | '}' | '⟩' => depth = depth.saturating_sub(1),
            _ => return depth == 0 && !bound,
        }
        false
    })
}

/// A formula without the brackets around all of it.
pub fn unbracketed(formula: &str) -> &str {
    let formula = formula.trim();
    match formula.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        // Nothing stands outside of them, and the first one is closed by the last one.
        Some(inner) if outermost(formula).next().is_none() && !inner.is_empty() => unbracketed(inner),
        _ => formula,
    }
}

/// The places of a symbol outside all brackets.
fn find(formula: &str, symbol: char) -> Option<usize> {
    outermost(formula).find(|&(_, character)| character == symbol).map(|(at, _)| at)
}

/// The arguments of a constant: `And p (q r)` has `p` and `(q r)`.
pub fn arguments(formula: &str) -> Vec<&str> {
    let formula = unbracketed(formula);
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, None);
    for (at, character) in formula.char_indices() {
        match character {
            '(' | '[' | '{' | '⟨' => depth += 1,
            ')' | ']' | '}' | '⟩' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if character == ' ' && depth == 0 {
            parts.extend(start.take().map(|start| &formula[start..at]));
        } else {
            start.get_or_insert(at);
        }
    }
    parts.extend(start.map(|start| &formula[start..]));
    if parts.is_empty() { parts } else { parts.split_off(1) }
}

/// The two sides of a formula with an outermost infix symbol or constant of two arguments.
pub fn sides(formula: &str, symbol: char) -> Option<(&str, &str)> {
    let formula = unbracketed(formula);
    if let Some(at) = find(formula, symbol) {
        return Some((unbracketed(&formula[..at]), unbracketed(&formula[at + symbol.len_utf8()..])));
    }
    match arguments(formula)[..] {
        [left, right] => Some((unbracketed(left), unbracketed(right))),
        _ => None,
    }
}

/// The outermost symbol of a formula, by Lean's precedences (↔ binds less than →, then ∨, ∧, ¬, =).
pub fn shape(formula: &str) -> Shape {
    let formula = unbracketed(formula);
    for (start, shape) in [('∀', Shape::Arrow), ('∃', Shape::Exists)] {
        if formula.starts_with(start) {
            return shape;
        }
    }
    for (symbol, shape) in [('↔', Shape::Iff), ('→', Shape::Arrow), ('∨', Shape::Or), ('∧', Shape::And)] {
        if find(formula, symbol).is_some() {
            return shape;
        }
    }
    if formula.starts_with('¬') {
        return Shape::Not;
    }
    if find(formula, '=').is_some() {
        return Shape::Eq;
    }
    let head = formula.split([' ', '(']).next().unwrap_or_default();
    match head {
        "Not" => Shape::Not,
        "And" => Shape::And,
        "Or" => Shape::Or,
        "Iff" => Shape::Iff,
        "Eq" => Shape::Eq,
        "Exists" => Shape::Exists,
        "False" => Shape::False,
        "True" => Shape::True,
        _ => Shape::Other,
    }
}

/// What a formula says when all that it asks for is given: the part behind the last outermost arrow or binder.
pub fn conclusion(formula: &str) -> &str {
    let formula = unbracketed(formula);
    if shape(formula) != Shape::Arrow {
        return formula;
    }
    let body = if formula.starts_with('∀') {
        formula.split_once(',').map(|(_, body)| body)
    } else {
        find(formula, '→').map(|at| &formula[at + '→'.len_utf8()..])
    };
    body.map_or(formula, conclusion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_taken_apart() {
        let text = "case inr.h\np q : Prop\nf : p →\n    q\nn✝ : Nat := 3\n⊢ And p\n    q";
        let goal = Goal::parse(text);
        let hypotheses: Vec<(&str, &str)> = goal.hypotheses.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
        assert_eq!(hypotheses, [("p", "Prop"), ("q", "Prop"), ("f", "p → q"), ("n✝", "Nat")]);
        assert_eq!(goal.target, "And p q");
        assert_eq!((tag(text), goal.named().count()), (Some("inr.h"), 3));
        assert_eq!(goal.fresh("p", &["p1".to_owned()]), "p2");
        assert_eq!(split_goals("case a\n⊢ p\n\n⊢ q\n").len(), 2);
        assert_eq!(metavariables("⊢ p ?a.w ∧ (?m✝) ? ").collect::<Vec<_>>(), ["a.w", "m✝"]);
        for odd in ["", "⊢ ", "\n\n", "case ", "case x", " : ", "((((", "⊢ )("] {
            let goal = Goal::parse(odd);
            assert_eq!(shape(&goal.target), Shape::Other, "{odd}");
            assert!(conclusion(odd).len() <= odd.len() && arguments(odd).len() < 2 && sides(odd, '∧').is_none(), "{odd}");
        }
    }

    #[test]
    fn shapes_follow_precedence() {
        for (formula, expected) in [
            ("p → q", Shape::Arrow),
            ("(n : Nat) → p n", Shape::Arrow),
            ("∀ (p : Prop), p ∧ p", Shape::Arrow),
            ("p ∧ q → r", Shape::Arrow),
            ("p → q ↔ r", Shape::Iff),
            ("p ∧ q ∨ r", Shape::Or),
            ("(p ∨ q) ∧ r", Shape::And),
            ("p ∧ ∃ x, q x → r", Shape::And),
            ("Exists fun x => p x → q", Shape::Exists),
            ("¬p ∧ q", Shape::And),
            ("¬(p ∧ q)", Shape::Not),
            ("Not (And p q)", Shape::Not),
            ("a + b = c", Shape::Eq),
            ("((Or p (q → r)))", Shape::Or),
            ("False", Shape::False),
            ("Falsehood", Shape::Other),
            ("p n", Shape::Other),
            ("(a) (b)", Shape::Other),
        ] {
            assert_eq!(shape(formula), expected, "{formula}");
        }
        assert_eq!(conclusion("(p → q) → ∀ (n : Nat), r n → And s (t → u)"), "And s (t → u)");
        assert_eq!(sides("(p → q) ∧ r", '∧'), Some(("p → q", "r")));
        assert_eq!(sides("Or (p q) r", '∨'), Some(("p q", "r")));
        assert_eq!(unbracketed("(a) ∧ (b)"), "(a) ∧ (b)");
    }
}
