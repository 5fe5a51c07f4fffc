//! Tactics that may help with a printed goal, without a network: a list of forms, each filled with the names of the goal.
//!
//! Only the syntax is looked at; Lean decides whether a tactic applies. All of them are single lines of core Lean, and give names to whatever they introduce, so that later ones
//! can use it.

use super::goal::{Goal, Shape, conclusion, shape, sides, unbracketed};

/// A tactic and what it costs on a fixed list, in nats: less is tried earlier.
#[derive(Clone, Debug, PartialEq)]
pub struct Suggestion {
    /// The tactic.
    pub tactic: String,
    /// The cost.
    pub cost: f64,
}

/// Terms that stand for the variable of an `∃`, per goal: without a bound the successors of successors would never end.
const MOST_TERMS: usize = 8;

/// The tactics for a goal, the cheapest first; `lemmas` are theorems that may be applied and used for rewriting.
pub fn suggestions(goal: &Goal, lemmas: &[String]) -> Vec<Suggestion> {
    let mut list = Vec::new();
    let mut add = |cost: f64, tactic: String| list.push(Suggestion { tactic, cost });
    let target = unbracketed(&goal.target);
    let says = |wanted: &str| goal.hypotheses.iter().any(|(_, kind)| unbracketed(kind) == wanted);
    add(if says(target) { 0.0 } else { 2.5 }, "assumption".to_owned());
    for (_, kind) in &goal.hypotheses {
        let denied = denied(kind).is_some_and(says);
        if denied || shape(kind) == Shape::False {
            add(0.1, "contradiction".to_owned());
            break;
        }
    }
    for_target(goal, target, &says, &mut add);
    for (name, kind) in goal.named() {
        for_hypothesis(goal, target, (name, kind), &mut add);
    }
    for lemma in lemmas {
        add(1.6, format!("rewrite [{lemma}]"));
        add(1.8, format!("apply {lemma}"));
    }
    // A stable sort: of equal costs the form that is listed first.
    list.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    list
}

/// What a formula denies.
fn denied(formula: &str) -> Option<&str> {
    let formula = unbracketed(formula);
    let rest = formula.strip_prefix('¬').or_else(|| formula.strip_prefix("Not "));
    rest.filter(|_| shape(formula) == Shape::Not).map(unbracketed)
}

/// The predicate of `Exists p`.
fn predicate(formula: &str) -> Option<&str> {
    let formula = unbracketed(formula);
    let head = formula.strip_prefix("Exists ")?;
    head.chars().all(|character| character.is_alphanumeric() || character == '_').then_some(head)
}

/// Whether a formula begins with a predicate.
fn is_about(formula: &str, head: &str) -> bool {
    unbracketed(formula).strip_prefix(head).is_some_and(|rest| rest.starts_with(' '))
}

/// The words of a formula.
fn words(formula: &str) -> impl Iterator<Item = &str> {
    formula.split(|character: char| !character.is_alphanumeric() && !matches!(character, '_' | '\'')).filter(|word| !word.is_empty())
}

fn for_target(goal: &Goal, target: &str, says: &dyn Fn(&str) -> bool, add: &mut dyn FnMut(f64, String)) {
    match shape(target) {
        Shape::Arrow => add(0.2, format!("intro {}", goal.fresh(bound_name(target).unwrap_or("h"), &[]))),
        Shape::Not => add(0.2, format!("intro {}", goal.fresh("h", &[]))),
        Shape::And | Shape::Iff => add(0.6, "constructor".to_owned()),
        Shape::True => add(0.0, "constructor".to_owned()),
        Shape::Or => {
            let (left, right) = sides(target, '∨').unwrap_or_default();
            let near =
                |side: &str| says(side) || predicate(side).is_some_and(|head| goal.hypotheses.iter().any(|(_, kind)| is_about(kind, head)));
            add(if near(left) { 0.4 } else { 1.5 }, "left".to_owned());
            add(if near(right) { 0.4 } else { 1.5 }, "right".to_owned());
        }
        Shape::Eq => {
            let same = sides(target, '=').is_some_and(|(left, right)| left == right);
            add(if same { 0.0 } else { 1.0 }, "exact rfl".to_owned());
            add(2.4, "apply congrArg".to_owned());
        }
        Shape::Exists => {
            for term in terms(goal) {
                let instance = predicate(target).map(|head| format!("{head} {term}"));
                let known = instance.is_some_and(|instance| says(&instance));
                add(if known { 0.2 } else { 1.5 }, format!("refine Exists.intro {term} ?_"));
            }
        }
        Shape::False | Shape::Other => {}
    }
}

fn for_hypothesis(goal: &Goal, target: &str, (name, kind): (&str, &str), add: &mut dyn FnMut(f64, String)) {
    let kind = unbracketed(kind);
    let end = conclusion(kind);
    match shape(kind) {
        Shape::Eq => {
            add(1.1, format!("subst {name}"));
            add(1.4, format!("rewrite [{name}]"));
            add(1.3, format!("injection {name}"));
        }
        Shape::Arrow => {
            let cost = if end == target { 0.7 } else { 1.4 };
            let fits = end == target || shape(end) == shape(target) || denied(end).is_some() && shape(target) == Shape::False;
            if fits {
                add(cost, format!("apply {name}"));
            }
            if let Some(cases) = cases(goal, shape(end)) {
                terms(goal).iter().for_each(|term| add(1.2, format!("cases {name} {term}{cases}")));
            }
        }
        Shape::Not if shape(target) == Shape::False => add(1.0, format!("apply {name}")),
        Shape::Not => add(2.2, format!("refine False.elim ({name} ?_)")),
        Shape::Other if kind == "Nat" => {
            let (before, hypothesis) = (goal.fresh("k", &[]), goal.fresh("ih", &[]));
            // Taking apart a number that the goal does not speak of seldom helps.
            let is_mentioned = words(target).any(|word| word == name);
            let cost = if is_mentioned { 1.9 } else { 4.0 };
            add(cost, format!("induction {name} with | zero => ?_ | succ {before} {hypothesis} => ?_"));
            add(cost + 0.1, format!("cases {name} with | zero => ?_ | succ {before} => ?_"));
        }
        other => {
            if let Some(cases) = cases(goal, other) {
                add(if other == Shape::Or { 0.8 } else { 0.3 }, format!("cases {name}{cases}"));
            }
        }
    }
}

/// How a hypothesis of this shape is taken apart, with names for its parts.
fn cases(goal: &Goal, shape: Shape) -> Option<String> {
    let one = goal.fresh("a", &[]);
    let two = goal.fresh("b", std::slice::from_ref(&one));
    let witness = goal.fresh("w", &[]);
    Some(match shape {
        Shape::And | Shape::Iff => format!(" with | intro {one} {two} => ?_"),
        Shape::Or => format!(" with | inl {one} => ?_ | inr {two} => ?_"),
        Shape::Exists => format!(" with | intro {witness} {one} => ?_"),
        Shape::False => String::new(),
        _ => return None,
    })
}

/// The name that a `∀` or `(x : α) →` gives to its variable.
fn bound_name(target: &str) -> Option<&str> {
    let binder = target.strip_prefix('∀').unwrap_or(target).trim_start();
    let inside = binder.trim_start_matches(['(', '{', '[', '⦃']);
    let is_binder = target.starts_with('∀') || inside.len() < binder.len() && inside.split(' ').nth(1) == Some(":");
    let name = inside.split([' ', ',', ':']).next().unwrap_or_default();
    let is_name = name.chars().all(|character| character.is_alphanumeric() || character == '_' || character == '\'');
    (is_binder && is_name && !name.is_empty() && !name.starts_with('_')).then_some(name)
}

/// Terms for a variable that may be of any type: variables of the goal that are neither types nor proofs, and numbers where there are numbers.
fn terms(goal: &Goal) -> Vec<String> {
    let is_variable = |word: &str| goal.hypotheses.iter().any(|(name, _)| name == word);
    let is_data = |kind: &str| !kind.contains(' ') && !is_variable(kind) && !matches!(kind, "Prop" | "Type" | "Sort" | "False" | "True");
    let of: Vec<(&str, &str)> = goal.named().filter(|(_, kind)| is_data(kind)).collect();
    let mut terms: Vec<String> = of.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mentions_numbers = goal.hypotheses.iter().any(|(_, kind)| kind.contains("Nat")) || goal.target.contains("Nat");
    if mentions_numbers {
        terms.push("Nat.zero".to_owned());
        terms.extend(of.iter().filter(|(_, kind)| *kind == "Nat").map(|(name, _)| format!("(Nat.succ {name})")));
    }
    terms.truncate(MOST_TERMS);
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lean::trust::check_text;

    fn tactics(goal: &str) -> Vec<String> {
        suggestions(&Goal::parse(goal), &["add_succ".to_owned()]).into_iter().map(|suggestion| suggestion.tactic).collect()
    }

    #[test]
    fn forms_are_filled_with_the_names_of_the_goal() {
        let first = |goal: &str| tactics(goal).remove(0);
        assert_eq!(first("p : Prop\n⊢ p → p"), "intro h");
        assert_eq!(first("p : Nat → Prop\nn : Nat\n⊢ ∀ n, p n"), "intro n1");
        assert_eq!(first("p : Nat → Prop\n⊢ (n : Nat) → p n"), "intro n");
        assert_eq!(first("p q : Prop\nh : (p)\n⊢ p"), "assumption");
        assert_eq!(first("p q : Prop\nh : And p q\n⊢ q"), "cases h with | intro a b => ?_");
        assert_eq!(first("p q : Prop\na : p ∨ q\n⊢ q ∨ p"), "cases a with | inl a1 => ?_ | inr b => ?_");
        assert_eq!(first("p q : Prop\nh : p\nk : Not p\n⊢ q"), "contradiction");
        assert_eq!(first("p q : Prop\nf : p → q\n⊢ q"), "apply f");
        assert_eq!(first("p q : Prop\nh : q\n⊢ Or p q"), "right");
        assert_eq!(first("n : Nat\n⊢ n = n"), "exact rfl");
        let some = tactics("p : Nat → Prop\nh : (n : Nat) → And (p n) (p n)\nn : Nat\nq : Prop\nk : q\nx✝ : Nat\n⊢ Exists p");
        for expected in
            ["refine Exists.intro n ?_", "refine Exists.intro (Nat.succ n) ?_", "cases h n with | intro a b => ?_", "rewrite [add_succ]"]
        {
            assert!(some.iter().any(|tactic| tactic == expected), "{expected}: {some:?}");
        }
        assert!(some.iter().all(|tactic| !tactic.contains('✝') && !tactic.contains("intro k ?_")), "{some:?}");
    }

    #[test]
    fn every_form_is_allowed_in_a_proof() {
        let goal = "p q : Prop\nr : Nat → Prop\nn m : Nat\na : Or p q\nb : Iff p q\nc : Exists r\nd : n = m\ne : ¬p\nf : p → q\ng : False";
        for target in ["p → q", "¬p", "p ∧ q", "p ∨ q", "p ↔ q", "n = m", "∃ x, r x", "False", "True", "r n"] {
            for tactic in tactics(&format!("{goal}\n⊢ {target}")) {
                assert_eq!(check_text(&tactic), Ok(()), "{tactic}");
            }
        }
    }
}
