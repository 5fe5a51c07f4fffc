//! Searches over tactics on a stand-in for the REPL that knows one theorem, hangs, crashes and lies.

#![allow(clippy::unwrap_used)] // helpers of tests
#![cfg(unix)]

use abduce_data::Seed;
use abduce_proof::lean::{
    LeanAttempt, LeanBatch, LeanProblem, LeanRepl, LeanTheorem, LeanTrial, ProverCommand, ProverLimits, TacticRanking, evaluate_lean,
};
use abduce_proof::search::{Budget, Method};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

fn shell(script: &str) -> ProverCommand {
    ProverCommand { argv: ["/bin/sh", "-c", script, "sh"].map(str::to_owned).to_vec(), ..ProverCommand::default() }
}

/// Knows `p ∧ q → q ∧ p`: state 1 after `intro`, 2 after `cases`, 3 with two goals after `constructor`, 4 with the second, 5 with the goals turned round, 6 with the first.
/// `assumption` at the start never answers, at 1 it crashes, and at 2 it claims to be done.
const REPL: &str = r#"open='a : p\nb : q\n'
while IFS= read -r line; do
  state=${line##*'"proofState":'}; state=${state%%[,\}]*}
  case "$line" in
    '') continue ;;
    *'"cmd"'*) printf '{"sorries":[{"proofState":0,"goal":"p q : Prop\\n⊢ p ∧ q → q ∧ p"}],"env":1}\n\n' ;;
    *'"intro h"'*) [ "$state" = 0 ] && printf '{"proofState":1,"goals":["p q : Prop\\nh : p ∧ q\\n⊢ q ∧ p"]}\n\n' || printf '{"message":"no"}\n\n' ;;
    *'"cases h with | intro a b => ?_"'*) [ "$state" = 1 ] && printf '{"proofState":2,"goals":["case intro\\na : p\\nb : q\\n⊢ q ∧ p"]}\n\n' || printf '{"message":"no"}\n\n' ;;
    *'"constructor"'*) [ "$state" = 2 ] && printf '{"proofState":3,"goals":["a : p\\nb : q\\n⊢ q","a : p\\nb : q\\n⊢ p"]}\n\n' || printf '{"message":"no"}\n\n' ;;
    *'"rotate_left 1"'*) printf '{"proofState":5,"goals":["a : p\\nb : q\\n⊢ p","a : p\\nb : q\\n⊢ q"]}\n\n' ;;
    *'"assumption"'*) case "$state" in
        0) sleep 100 ;;
        1) kill -SEGV $$ ;;
        2) if [ "$LIES" = yes ]; then printf '{"proofState":9,"goals":[]}\n\n'; else printf '{"message":"no"}\n\n'; fi ;;
        3) printf '{"proofState":4,"goals":["a : p\\nb : q\\n⊢ p"]}\n\n' ;;
        5) printf '{"proofState":6,"goals":["a : p\\nb : q\\n⊢ q"]}\n\n' ;;
        *) printf '{"proofState":9,"goals":[]}\n\n' ;;
      esac ;;
    *) printf '{"message":"unknown tactic"}\n\n' ;;
  esac
done"#;

/// Accepts proofs in which `assumption` stands twice.
const JUDGE: &str = r#"for f; do :; done
if [ "$(grep -c assumption "$f")" = 2 ]; then
  n=$(grep -n '^#print axioms' "$f"); n=${n%%:*}
  printf '{"severity":"information","pos":{"line":%s,"column":0},"data":"'"'"'abduce_candidate_0'"'"' does not depend on any axioms"}\n' "$n"
else
  printf '{"severity":"error","pos":{"line":2,"column":0},"data":"no proof"}\n'
fi"#;

fn run(folder: &Path, method: Method, lies: bool, workers: usize) -> Vec<LeanAttempt> {
    let swap = |name: &str, statement: &str| LeanProblem {
        theorem: LeanTheorem { name: name.to_owned(), binders: "(p q : Prop)".to_owned(), statement: statement.to_owned() },
        proof: Vec::new(),
    };
    let problems = [swap("one", "p ∧ q → q ∧ p"), swap("two", "p ∧ q → q ∧ p")];
    let trial = LeanTrial {
        ranking: TacticRanking::Ranked,
        lemmas: Vec::new(),
        method,
        budget: Budget { expansions: 30, depth: 10, ..Budget::default() },
        seed: Seed(0),
    };
    let short = Duration::from_millis(500);
    let limits = ProverLimits { start: Duration::from_secs(5), step: short, file: Duration::from_secs(5), ..ProverLimits::default() };
    let checker = |worker| {
        let judge = LeanBatch::new(shell(JUDGE), "", folder.to_path_buf()).for_worker(worker);
        let lies = if lies { "yes" } else { "no" };
        let command = ProverCommand { environment: vec![("LIES".to_owned(), lies.to_owned())], ..shell(REPL) };
        LeanRepl::new(command, limits, judge)
    };
    evaluate_lean(&problems, &[0, 1], &trial, NonZeroUsize::new(workers).unwrap(), &AtomicBool::new(false), checker)
}

#[test]
fn every_search_gets_past_hanging_and_crashing_tactics() {
    let folder = tempfile::tempdir().unwrap();
    for method in [
        Method::BestFirst,
        Method::Beam { width: 4 },
        Method::DepthFirst,
        Method::Mcts { exploration: 1.0 },
        Method::Hypertree { exploration: 1.0 },
    ] {
        for attempt in run(folder.path(), method, false, 2) {
            let proof = attempt.proofs.first().unwrap_or_else(|| panic!("{method:?}: {attempt:?}"));
            let expected = ["intro h", "cases h with | intro a b => ?_", "constructor", "assumption", "assumption"];
            assert_eq!(proof.tactics, expected, "{method:?}");
            assert!(attempt.refused.is_empty() && attempt.fault.is_none());
            assert_eq!((attempt.effort.failures.get("timeout"), attempt.effort.failures.get("crash")), (Some(&1), Some(&1)), "{method:?}");
        }
    }
}

#[test]
fn a_lie_is_not_a_proof() {
    let folder = tempfile::tempdir().unwrap();
    let attempts = run(folder.path(), Method::BestFirst, true, 1);
    for attempt in &attempts {
        assert!(attempt.proofs.is_empty() && attempt.effort.expansions_to_first.is_none());
        assert_eq!(attempt.refused.len(), 1);
        assert!(attempt.refused[0].1.contains("no proof"), "{:?}", attempt.refused);
    }
    assert_eq!(attempts.len(), 2);
}
