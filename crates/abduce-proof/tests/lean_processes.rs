//! Lean's protocols against stand-ins written in shell, and provers that hang, flood, crash or talk nonsense: limits hold and the run goes on.

#![allow(clippy::unwrap_used)] // helpers of tests
#![cfg(unix)]

use abduce_proof::env::{ProofEnv as _, StepOutcome, Verdict};
use abduce_proof::lean::{
    LeanBatch, LeanCandidate, LeanRepl, LeanTheorem, Pantograph, ProcessFault, ProverCommand, ProverLimits, run_once,
};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant};

fn shell(script: &str) -> ProverCommand {
    ProverCommand { argv: ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec(), ..ProverCommand::default() }
}

fn limits() -> ProverLimits {
    let short = Duration::from_millis(700);
    ProverLimits { start: Duration::from_secs(5), step: short, file: short, reply_bytes: 100_000, memory_mb: None, calls: 1000 }
}

fn theorem() -> LeanTheorem {
    LeanTheorem { name: "swap".to_owned(), binders: "(p q : Prop)".to_owned(), statement: "p ∧ q → q ∧ p".to_owned() }
}

fn batch(script: &str, folder: &Path) -> LeanBatch {
    let mut batch = LeanBatch::new(shell(script), "prelude\nimport Core", folder.to_path_buf());
    batch.limits = limits();
    batch
}

/// What `lean` prints on a file, played back by a script that finds the lines of the `#print axioms` by itself. `$f` is the file.
fn lean_says(body: &str) -> String {
    format!("for f; do :; done; {body}")
}

const ACCEPT_ALL: &str = r#"grep -n '^#print axioms' "$f" | while IFS=: read -r n rest; do
  printf '{"severity":"information","kind":"[anonymous]","pos":{"line":%s,"column":0},"data":"'"'"'%s'"'"' does not depend on any axioms"}\n' "$n" "${rest##* }"
done"#;

fn one(script: &str, tactics: &[&str]) -> Verdict {
    let folder = tempfile::tempdir().unwrap();
    let tactics: Vec<String> = tactics.iter().map(|&tactic| tactic.to_owned()).collect();
    batch(&lean_says(script), folder.path()).verify(&theorem(), &tactics)
}

fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Proved { .. } => "proved",
        Verdict::Rejected { class, .. } => class,
    }
}

#[test]
fn only_a_clean_answer_about_the_axioms_is_a_proof() {
    assert_eq!(class(&one(ACCEPT_ALL, &["intro h", "exact ⟨h.2, h.1⟩"])), "proved");
    // The file of two tactics: header 2 lines, theorem on 3, tactics on 4 and 5, axioms on 6.
    let line = |severity: &str, kind: &str, at: u32, data: &str| {
        format!("echo '{{\"severity\":\"{severity}\",\"kind\":\"{kind}\",\"pos\":{{\"line\":{at},\"column\":0}},\"data\":\"{data}\"}}'; ")
    };
    let ok = "printf \"{\\\"severity\\\":\\\"information\\\",\\\"pos\\\":{\\\"line\\\":6},\\\"data\\\":\\\"'abduce_candidate_0' does not depend on any axioms\\\"}\\n\"; ";
    let axioms = |list: &str| {
        format!(
            "printf \"{{\\\"severity\\\":\\\"information\\\",\\\"pos\\\":{{\\\"line\\\":6}},\\\"data\\\":\\\"'abduce_candidate_0' depends on axioms: [{list}]\\\"}}\\n\"; "
        )
    };
    for (script, expected) in [
        (ok.to_owned(), "proved"),
        (axioms("propext, Quot.sound"), "proved"),
        (axioms("propext, cheat"), "axiom"),
        (axioms("sorryAx"), "axiom"),
        (axioms("Lean.ofReduceBool"), "axiom"),
        (line("error", "x", 4, "unknown tactic") + ok, "tactic"),
        (line("error", "Tactic.unsolvedGoals", 3, "unsolved goals") + ok, "unsolved"),
        (line("error", "Tactic.unsolvedGoals", 5, "unsolved goals") + ok, "tactic"),
        (line("warning", "x", 3, "declaration uses `sorry`") + ok, "sorry"),
        (ok.to_owned() + &line("warning", "x", 3, "declaration uses sorry"), "sorry"),
        (ok.to_owned() + &line("error", "x", 4, "late"), "tactic"),
        // A message of the right words at the wrong place, printed by a tactic.
        (ok.replace("\\\"line\\\":6", "\\\"line\\\":4"), "undecided"),
        (line("error", "x", 1, "unknown module"), "header"),
        ("echo '{\"severity\":\"error\",\"pos\":null,\"data\":\"no\"}'; ".to_owned() + ok, "header"),
        (line("error", "x", 6, "maximum number of errors (100; from option maxErrors) reached, exiting"), "undecided"),
        (String::new(), "undecided"),
        (ok.to_owned() + "exit 139", "crash"),
        (ok.to_owned() + "kill -SEGV $$", "crash"),
        ("echo panic".to_owned(), "protocol"),
        ("sleep 100".to_owned(), "timeout"),
        ("yes".to_owned(), "flood"),
        ("head -c 1000000 /dev/zero".to_owned(), "flood"),
        // A line of 2 GB, of which no more than the limit is ever kept; arrays in arrays; a number, a string and a key of their own.
        ("head -c 2147483648 /dev/zero | tr '\\0' x".to_owned(), "flood"),
        ("head -c 90000 /dev/zero | tr '\\0' '['".to_owned(), "protocol"),
        (format!("echo '{{\"severity\":\"error\",\"pos\":{}}}'", "[".repeat(5000)), "protocol"),
        (line("error", "x", 4, "late").replace("\"data\":\"late\"", "\"data\":{\"deep\":[]}") + ok, "protocol"),
        ("printf '\\377\\376\\n'".to_owned(), "protocol"),
        ("yes >&2 & sleep 100".to_owned(), "timeout"),
    ] {
        let start = Instant::now();
        let verdict = one(&script, &["intro h", "exact ⟨h.2, h.1⟩"]);
        assert_eq!(class(&verdict), expected, "{script}: {verdict:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{script}");
    }
    assert_eq!(class(&one(ACCEPT_ALL, &["sorry"])), "text");
    assert_eq!(class(&one(ACCEPT_ALL, &["exact (h", ")"])), "text");
    assert_eq!(class(&one(ACCEPT_ALL, &[])), "text");
    let folder = tempfile::tempdir().unwrap();
    let mut missing = LeanBatch::new(
        ProverCommand { argv: vec!["/no/such/lean".to_owned()], ..ProverCommand::default() },
        "",
        folder.path().to_path_buf(),
    );
    assert_eq!(class(&missing.verify(&theorem(), &["skip".to_owned()])), "start");
}

#[test]
fn messages_go_to_their_candidates_and_a_crash_to_the_one_that_causes_it() {
    let folder = tempfile::tempdir().unwrap();
    // Fails where a proof says `boom` (by a signal), `wrong` (an error in its line); accepts the others.
    let script = lean_says(&format!(
        "if grep -q boom \"$f\"; then kill -KILL $$; fi; grep -n wrong \"$f\" | while IFS=: read -r n rest; do printf '{{\"severity\":\"error\",\"pos\":{{\"line\":%s}},\"data\":\"no\"}}\\n' \"$n\"; done; {ACCEPT_ALL}"
    ));
    let theorem = theorem();
    let proofs: Vec<Vec<String>> = (0..23)
        .map(|k| match k {
            5 | 17 => vec!["wrong".to_owned()],
            11 => vec!["skip".to_owned(), "boom\nmore".to_owned()],
            12 => vec!["sorry".to_owned()],
            _ => vec!["intro h\nexact h".to_owned(); k % 3 + 1],
        })
        .collect();
    let candidates: Vec<LeanCandidate<'_>> = proofs.iter().map(|tactics| LeanCandidate { theorem: &theorem, tactics }).collect();
    let expected = |k: usize| match k {
        5 | 17 => "tactic",
        11 => "crash",
        12 => "text",
        _ => "proved",
    };
    let mut driver = batch(&script, folder.path());
    let together = driver.check(&candidates);
    let parallel = driver.check_parallel(&candidates, NonZeroUsize::new(4).unwrap(), NonZeroUsize::new(3).unwrap());
    for (k, verdict) in together.iter().enumerate() {
        assert_eq!(class(verdict), expected(k), "{k}: {verdict:?}");
    }
    assert_eq!(together, parallel);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files are left");
}

#[test]
fn what_a_killed_prover_has_started_is_killed_too() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("alive");
    let script = format!("(sleep 1.5; touch {}) & sleep 100", mark.display());
    assert!(matches!(run_once(&shell(&script), b"", &limits()), Err(ProcessFault::Timeout { .. })));
    std::thread::sleep(Duration::from_millis(1600));
    assert!(!mark.exists());
}

#[test]
fn memory_is_limited() {
    let limits = ProverLimits { memory_mb: Some(300), file: Duration::from_secs(20), ..limits() };
    // `tail` of an endless line has to keep it: without a limit it would take what there is.
    let finished = run_once(&shell("tail -n 1 /dev/zero; echo code $?"), b"", &limits).unwrap();
    let said = String::from_utf8_lossy(&finished.stdout).into_owned();
    assert!(said.contains("code ") && !said.contains("code 0"), "{said}");
}

/// A REPL that knows one proof: `intro h`, then `exact good`; and many ways to be bad.
const REPL: &str = r#"n=0
while IFS= read -r line; do
  case "$line" in
    '') continue ;;
    *'"cmd":"import'*) printf '{"env":0}\n\n' ;;
    *'"cmd":"theorem'*) case "$line" in *'"env":0'*) printf '{"sorries":\n [{"proofState":0,"goal":"p q : Prop\\n⊢ p ∧ q → q ∧ p"}],\n "env":1}\n\n' ;; *) printf '{"message":"no env"}\n\n' ;; esac ;;
    *'"tactic":"intro h"'*) n=$((n+1)); printf '{"proofState":%s,"goals":["h : p ∧ q\\n⊢ q ∧ p"]}\n\n' "$n" ;;
    *'"tactic":"exact good"'*) case "$line" in *'"proofState":1'*|*'"proofState":2'*) printf '{"proofState":9,"goals":[]}\n\n' ;; *) printf '{"message":"unknown state"}\n\n' ;; esac ;;
    *'"tactic":"warn"'*) printf '{"proofState":8,"goals":[],"messages":[{"severity":"error","data":"bad"}]}\n\n' ;;
    *'"tactic":"hole"'*) printf '{"proofState":8,"goals":[],"sorries":[{"proofState":1}]}\n\n' ;;
    *hang*) sleep 100 ;;
    *flood*) yes '{' ;;
    *endless*) head -c 2147483648 /dev/zero | tr '\0' 'x' ;;
    *long*) head -c 3000000 /dev/zero | tr '\0' 'x' ;;
    *crash*) kill -SEGV $$ ;;
    *nonsense*) echo 'PANIC at foo' ;;
    *deep*) printf '%s\n\n' "$(printf '[%.0s' 1 2 3)" | tr -d '\n'; head -c 50000 /dev/zero | tr '\0' '{'; printf '}\n\n' ;;
    *) printf '{"message":"unknown tactic"}\n\n' ;;
  esac
done"#;

#[test]
fn the_repl_is_spoken_to_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut judge = batch(&lean_says(ACCEPT_ALL), folder.path());
    judge.header = "import Core".to_owned();
    let mut repl = LeanRepl::new(shell(REPL), limits(), judge);
    let theorem = theorem();
    let start = repl.init(&theorem).unwrap();
    assert_eq!(start.goals, ["p q : Prop\n⊢ p ∧ q → q ∧ p"]);
    let StepOutcome::Open(open) = repl.step(&theorem, &start, "intro h") else { panic!() };
    assert_eq!(repl.render(&theorem, &open), "h : p ∧ q\n⊢ q ∧ p");
    let error = |repl: &mut LeanRepl, tactic: &str| match repl.step(&theorem, &open, tactic) {
        StepOutcome::Error(error) => error.class,
        StepOutcome::Timeout => "timeout",
        StepOutcome::Done(_) => "done",
        StepOutcome::Open(_) => "open",
    };
    assert_eq!(repl.session().generation(), 1);
    // Errors of tactics leave the process alone; faults replace it, and the state is led to again.
    for (tactic, class, processes) in [
        ("what", "tactic", 1),
        ("warn", "tactic", 1),
        ("hole", "sorry", 1),
        ("exact sorry", "text", 1),
        ("hang", "timeout", 1),
        ("exact good", "done", 2),
        ("crash", "crash", 2),
        ("exact good", "done", 3),
        ("flood", "flood", 3),
        ("long", "flood", 4),
        ("nonsense", "protocol", 5),
        ("deep", "protocol", 6),
        ("endless", "flood", 7),
        ("exact good", "done", 8),
    ] {
        assert_eq!((error(&mut repl, tactic), repl.session().generation()), (class, processes), "{tactic}");
    }
    let faults: Vec<(&str, usize)> = repl.session().faults().iter().map(|(&class, &count)| (class, count)).collect();
    assert_eq!(faults, [("crash", 1), ("flood", 3), ("protocol", 2), ("timeout", 1)]);
    assert!(repl.session().transcript().iter().any(|exchange| exchange.request.contains("intro h") && exchange.answer.is_ok()));
    assert!(repl.verify(&theorem, &["intro h".to_owned(), "exact good".to_owned()]).is_proved());
    // A process answers only so many calls.
    let mut judge = batch(&lean_says(ACCEPT_ALL), folder.path());
    judge.header = "import Core".to_owned();
    let mut short = LeanRepl::new(shell(REPL), ProverLimits { calls: 3, ..limits() }, judge);
    let start = short.init(&theorem).unwrap();
    for _ in 0..3 {
        assert!(matches!(short.step(&theorem, &start, "intro h"), StepOutcome::Open(_)));
    }
    assert_eq!(short.session().generation(), 3);
}

const PANTOGRAPH: &str = r#"echo 'loading'; echo 'ready.'
while IFS= read -r line; do
  case "$line" in
    options.set*) printf '{}\n' ;;
    goal.start*'∀ (p q : Prop), p ∧ q → q ∧ p'*) printf '{"stateId":0,"root":"_uniq.1"}\n' ;;
    goal.start*) printf '{"error":"elab","desc":"no such thing"}\n' ;;
    goal.tactic*intro*) printf '{"nextStateId":1,"goals":[{"name":"_uniq.9","fragment":"tactic","target":{"pp":"q ∧ p"},"vars":[{"userName":"h","type":{"pp":"p ∧ q"}}]}],"messages":[],"hasSorry":false,"hasUnsafe":false}\n' ;;
    goal.tactic*good*) printf '{"nextStateId":2,"goals":[],"hasSorry":false}\n' ;;
    goal.tactic*hole*) printf '{"nextStateId":2,"goals":[],"hasSorry":true}\n' ;;
    goal.tactic*garbled*) printf '{"parseError":"expected token"}\n' ;;
    goal.tactic*hang*) sleep 100 ;;
    goal.tactic*) printf '{"messages":[{"severity":"error","data":"tactic failed"}]}\n' ;;
  esac
done"#;

#[test]
fn pantograph_is_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut driver = Pantograph::new(shell(PANTOGRAPH), limits(), batch(&lean_says(ACCEPT_ALL), folder.path()));
    let theorem = theorem();
    let start = driver.init(&theorem).unwrap();
    assert_eq!(start.goals, ["⊢ ∀ (p q : Prop), p ∧ q → q ∧ p"]);
    let StepOutcome::Open(open) = driver.step(&theorem, &start, "intro p q h") else { panic!() };
    assert_eq!(driver.render(&theorem, &open), "h : p ∧ q\n⊢ q ∧ p");
    for (tactic, class) in [("hole", "sorry"), ("garbled", "tactic"), ("fail", "tactic"), ("exact (", "text")] {
        assert!(matches!(driver.step(&theorem, &open, tactic), StepOutcome::Error(error) if error.class == class), "{tactic}");
    }
    assert!(matches!(driver.step(&theorem, &open, "hang"), StepOutcome::Timeout));
    assert!(matches!(driver.step(&theorem, &open, "exact good"), StepOutcome::Done(_)));
    assert_eq!(driver.session().generation(), 2);
    let other = LeanTheorem { statement: "q".to_owned(), ..theorem.clone() };
    assert_eq!(driver.init(&other).unwrap_err().class, "statement");
    assert!(driver.verify(&theorem, &["intro p q h".to_owned()]).is_proved());
    // A program that is not Pantograph.
    let mut wrong = Pantograph::new(shell("echo hello; exit 3"), limits(), batch("exit 0", folder.path()));
    assert_eq!(wrong.init(&theorem).unwrap_err().class, "crash");
}
