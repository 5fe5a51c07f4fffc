//! Databases that are made to break readers: nested, long, endless. Each is answered, in time and without overflowing the stack.

#![allow(clippy::unwrap_used)] // helpers of tests

use abduce_proof::metamath::{Database, KernelLimits, ParsedDatabase, Prover, StateLimits, verify};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

const IMPLICATION: &str = include_str!("../../../examples/proofs/implication.mm");

/// What is said about a text: the number of valid proofs, or the first fault.
fn judge(text: &str) -> Result<usize, String> {
    let start = Instant::now();
    let database = Database::from_text("hostile.mm", text.as_bytes());
    let said = database.map_err(|error| error.to_string()).and_then(|db| {
        let report = verify(&db, KernelLimits::default(), NonZeroUsize::MIN);
        report.faults.first().map_or(Ok(report.checked), |(_, fault)| Err(fault.to_string()))
    });
    // Each takes well under a second; a loaded machine is given time.
    assert!(start.elapsed() < Duration::from_secs(60));
    said
}

#[test]
fn scopes_may_be_nested_deeply_and_have_to_end() {
    let nested = |deep: usize| {
        let (open, close) = ("${ ".repeat(deep), "$} ".repeat(deep));
        judge(&format!("$c |- x $. {open} a $a |- x $. {close} b $p |- x $= a $."))
    };
    assert_eq!(nested(9000), Ok(1));
    assert!(nested(1_000_000).unwrap_err().contains("at most"));
    assert!(judge(&format!("$c |- x $. {}", "${ ".repeat(5000))).unwrap_err().contains("5000 scopes are still open"));
    assert!(judge("$c |- x $. $} $}").unwrap_err().contains("`$}` without `${`"));
    // Hypotheses of every scope belong to what stands inside.
    let scopes: String = (0..2000).map(|k| format!("${{ e{k} $e |- x $. ")).collect();
    assert_eq!(judge(&format!("$c |- x $. {scopes} b $p |- x $= e7 $. {}", "$} ".repeat(2000))), Ok(1));
}

#[test]
fn long_words_lines_and_comments_are_read() {
    let long = "x".repeat(8_000_000);
    assert_eq!(judge(&format!("$( {long} $) $c |- {long} $. a $a |- {long} $. b $p |- {long} $= a $.")), Ok(1));
    assert!(judge(&format!("$c |- x $. {long} $a |- x $. b $p |- x $= {long} {long} $.")).unwrap_err().contains("stack"));
    assert!(judge(&format!("$c |- x $. a $a |- x $. b $p |- x $= {long} $.")).is_err());
    assert!(judge(&format!("$( {long}")).unwrap_err().contains("this comment has no end"));
    assert!(judge(&"$( ".repeat(100_000)).is_err());
    // Numbers of compressed proofs that no machine can hold, and steps without end.
    assert!(judge(&format!("$c |- x $. a $a |- x $. b $p |- x $= ( a ) {}A $.", "U".repeat(1_000_000))).is_err());
    assert!(judge(&format!("$c |- x $. a $a |- x $. b $p |- x $= ( a ) {} $.", "A".repeat(4_000_000))).is_err());
    assert!(judge(&format!("$c |- x $. a $a |- x $. b $p |- x $= ( a ) A{} $.", "Z".repeat(1_000_000))).is_err());
}

/// The tree of a formula is as deep as the formula: nothing that works on it may use the stack.
#[test]
fn deep_formulas_are_parsed_and_printed() {
    let deep = 3000;
    let left = format!("{} ph {}", "( ".repeat(deep), " -> ph )".repeat(deep));
    let right = format!("{} ph {}", "( ph -> ".repeat(deep), " )".repeat(deep));
    let not = format!("{} ph", "-. ".repeat(deep));
    let spaced = |formula: &str| formula.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = format!("{IMPLICATION}\nd1 $p |- {left} $= ? $.\nd2 $p |- {right} $= ? $.\nd3 $p |- {not} $= ? $.\n");
    let db = Database::from_text("deep.mm", text.as_bytes()).unwrap();
    let env = abduce_proof::metamath::Environment::new(ParsedDatabase::new(&db).unwrap());
    let mut prover = Prover::new(&env, StateLimits::default());
    for (label, formula) in [("d1", &left), ("d2", &right), ("d3", &not)] {
        let theorem = db.find(label).unwrap();
        let problem = env.problem(theorem, Arc::default());
        assert_eq!(prover.render(problem.statement), spaced(formula), "{label}");
        let mut state = prover.start(&problem);
        let tactic = prover.parse_tactic(&problem, &format!("ax-mp {{ ph := -. {} }}", spaced(formula))).unwrap();
        prover.apply(&problem, &mut state, &tactic).unwrap();
        assert_eq!(state.goals().len(), 2);
    }
    assert_eq!(verify(&db, KernelLimits::default(), NonZeroUsize::MIN).faults.len(), 3, "a `?` is no proof");
    // Brackets that do not close.
    let broken = format!("{IMPLICATION}\nd $p |- {} $= ? $.\n", "( ".repeat(20_000));
    let db = Database::from_text("broken.mm", broken.as_bytes()).unwrap();
    assert!(ParsedDatabase::new(&db).is_err());
}
