//! A real Lean, where `ABDUCE_TEST_LEAN` names its executable (see `TESTING.md`); skipped otherwise.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests

use abduce_data::Seed;
use abduce_proof::env::{ProofEnv as _, StepOutcome, Verdict};
use abduce_proof::lean::{
    LeanBatch, LeanCandidate, LeanProblem, LeanTheorem, LeanTrial, ProverCommand, TacticRanking, evaluate_lean, read_problems,
};
use abduce_proof::search::{Budget, Method};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;

const CORE: &str = include_str!("lean/core.lean");
const PROBLEMS: &str = include_str!("lean/problems.txt");

fn problems() -> Vec<(LeanTheorem, Vec<String>)> {
    read_problems(PROBLEMS).unwrap().into_iter().map(|problem| (problem.theorem, problem.proof)).collect()
}

/// A driver with the test's core compiled into `folder`.
fn driver(folder: &Path) -> Option<LeanBatch> {
    let Some(lean) = std::env::var_os("ABDUCE_TEST_LEAN") else {
        println!("skipped: ABDUCE_TEST_LEAN does not name a Lean 4 executable");
        return None;
    };
    std::fs::write(folder.join("Core.lean"), CORE).unwrap();
    let compiled = Command::new(&lean).args(["-DElab.async=false", "-o", "Core.olean", "Core.lean"]).current_dir(folder).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stdout));
    let command = ProverCommand {
        argv: vec![lean.into_string().unwrap()],
        folder: Some(folder.to_path_buf()),
        environment: vec![("LEAN_PATH".to_owned(), folder.display().to_string())],
    };
    Some(LeanBatch::new(command, "prelude\nimport Core", folder.to_path_buf()))
}

fn class(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Proved { .. } => "proved",
        Verdict::Rejected { class, .. } => class,
    }
}

#[test]
fn the_problem_set_is_proved_and_each_proof_stands_in_a_fresh_process() {
    let problems = problems();
    assert!(problems.len() >= 40);
    let folder = tempfile::tempdir().unwrap();
    let Some(mut lean) = driver(folder.path()) else { return };
    let candidates: Vec<LeanCandidate<'_>> = problems.iter().map(|(theorem, tactics)| LeanCandidate { theorem, tactics }).collect();
    for (verdict, (theorem, tactics)) in lean.check(&candidates).iter().zip(&problems) {
        assert!(verdict.is_proved(), "{}: {verdict:?}", theorem.name);
        assert_eq!(lean.verify(theorem, tactics), Verdict::Proved { axioms: Vec::new() }, "{}", theorem.name);
    }
    // No proof proves another statement, and none is a proof without its last line, but for problems that say the same.
    let shifted: Vec<LeanCandidate<'_>> =
        problems.iter().zip(problems.iter().skip(7)).map(|((theorem, _), (_, tactics))| LeanCandidate { theorem, tactics }).collect();
    let wrong = lean.check(&shifted).iter().filter(|verdict| verdict.is_proved()).count();
    assert!(wrong <= 2, "{wrong} proofs prove the statement seven places before them");
    let cut: Vec<Vec<String>> = problems.iter().map(|(_, tactics)| tactics[..tactics.len() - 1].to_vec()).collect();
    let cut: Vec<LeanCandidate<'_>> = problems.iter().zip(&cut).map(|((theorem, _), tactics)| LeanCandidate { theorem, tactics }).collect();
    assert!(lean.check(&cut).iter().all(|verdict| !verdict.is_proved()));
}

#[test]
fn what_is_planted_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut lean) = driver(folder.path()) else { return };
    let theorem =
        |statement: &str| LeanTheorem { name: "planted".to_owned(), binders: "(p q : Prop)".to_owned(), statement: statement.to_owned() };
    let swap = theorem("Or p q → p");
    let verify =
        |lean: &mut LeanBatch, tactics: &[&str]| lean.verify(&swap, &tactics.iter().map(|&tactic| tactic.to_owned()).collect::<Vec<_>>());
    assert_eq!(class(&verify(&mut lean, &["intro h", "sorry"])), "text");
    // An axiom of the header, and the term behind `sorry` by another name.
    lean.header.push_str("\naxiom cheat : False\ndef hole (p : Prop) : p := sorryAx p Bool.true");
    assert_eq!(class(&verify(&mut lean, &["cases cheat"])), "axiom");
    assert!(!verify(&mut lean, &["intro h", "exact hole p"]).is_proved());
    assert_eq!(class(&verify(&mut lean, &["intro h", "cases h", "assumption", "skip"])), "unsolved");
    assert_eq!(class(&verify(&mut lean, &["intro h", "cases h with", "| inl a => exact a", "| inr a => skip"])), "tactic");
    // An error that the cap on messages hides: with a cap of 3 the fourth failure is silent, and so are the good ones after it.
    let good = theorem("p → p");
    let (bad, fine) = (["exact nothing".to_owned()], ["intro h".to_owned(), "exact h".to_owned()]);
    let candidates: Vec<LeanCandidate<'_>> = (0..12)
        .map(
            |k| if k % 4 == 3 { LeanCandidate { theorem: &good, tactics: &fine } } else { LeanCandidate { theorem: &swap, tactics: &bad } },
        )
        .collect();
    lean.options = vec!["-DmaxErrors=3".to_owned()];
    let capped: Vec<&str> = lean.check(&candidates).iter().map(class).collect();
    assert!(capped.iter().enumerate().all(|(k, &class)| class != "proved" || k % 4 == 3), "{capped:?}");
    assert!(capped[4..].iter().all(|&class| class == "undecided"), "{capped:?}");
    lean.options.clear();
    let free: Vec<&str> = lean.check(&candidates).iter().map(class).collect();
    assert!(free.iter().enumerate().all(|(k, &class)| (class == "proved") == (k % 4 == 3)), "{free:?}");
    // A statement that is none.
    assert!(lean.init(&theorem("Or p")).is_err());
}

#[test]
fn steps_show_goals() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut lean) = driver(folder.path()) else { return };
    let theorem = LeanTheorem { name: "swap".to_owned(), binders: "(p q : Prop)".to_owned(), statement: "And p q → And q p".to_owned() };
    let start = lean.init(&theorem).unwrap();
    assert!(start.goals.contains("⊢ And p q → And q p"), "{}", start.goals);
    let StepOutcome::Open(one) = lean.step(&theorem, &start, "intro h") else { panic!() };
    assert!(one.goals.contains("h : And p q\n⊢ And q p"), "{}", one.goals);
    assert!(matches!(lean.step(&theorem, &one, "exact h"), StepOutcome::Error(error) if error.class == "tactic"));
    let StepOutcome::Open(two) = lean.step(&theorem, &one, "refine And.intro ?_ ?_") else { panic!() };
    assert!(two.goals.contains("⊢ q") && two.goals.contains("⊢ p"), "{}", two.goals);
    assert!(matches!(lean.step(&theorem, &one, "cases h with\n| intro a b => exact And.intro b a"), StepOutcome::Done(_)));
}

/// Each search proves problems of each kind; what it proves stands in a fresh process, and its own work does not depend on the number of workers.
#[test]
fn searches_prove_problems() {
    let folder = tempfile::tempdir().unwrap();
    let Some(lean) = driver(folder.path()) else { return };
    let chosen = ["and_swap", "or_swap", "exists_succ", "eq_symm", "zero_add"];
    let problems: Vec<LeanProblem> =
        read_problems(PROBLEMS).unwrap().into_iter().filter(|problem| chosen.contains(&problem.theorem.name.as_str())).collect();
    assert_eq!(problems.len(), chosen.len());
    let trial = |ranking, method| LeanTrial {
        ranking,
        lemmas: ["add_zero", "add_succ"].map(str::to_owned).to_vec(),
        method,
        budget: Budget { expansions: 40, branch: 8, depth: 24, time: None, proofs: 1 },
        seed: Seed(1),
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let run = |ranking, method, workers: usize, problems: &[LeanProblem]| {
        evaluate_lean(
            problems,
            &Vec::from_iter(0..problems.len()),
            &trial(ranking, method),
            NonZeroUsize::new(workers).unwrap(),
            &stop,
            |worker| lean.for_worker(worker),
        )
    };
    for (method, problems) in [
        (Method::BestFirst, &problems[..]),
        (Method::Beam { width: 4 }, &problems[..2]),
        (Method::DepthFirst, &problems[..2]),
        (Method::Mcts { exploration: 1.0 }, &problems[..2]),
        (Method::Hypertree { exploration: 1.0 }, &problems[..2]),
    ] {
        for attempt in run(TacticRanking::Ranked, method, 2, problems) {
            let theorem = &problems[attempt.place].theorem;
            let proof = attempt.proofs.first().unwrap_or_else(|| panic!("{method:?}: {}: {attempt:?}", theorem.name));
            assert!(attempt.refused.is_empty() && proof.axioms.is_empty());
            assert!(lean.clone().verify(theorem, &proof.tactics).is_proved());
        }
    }
    let proofs = |workers| {
        run(TacticRanking::Ngram, Method::BestFirst, workers, &problems[..2])
            .into_iter()
            .map(|attempt| (attempt.proofs, attempt.effort.tried))
            .collect::<Vec<_>>()
    };
    assert_eq!(proofs(1), proofs(2));
    // A statement that is none, and one that is false.
    let wrong = read_problems("wrong | (p : Prop) | Or p\nfalse | (p q : Prop) | p → q").unwrap();
    let attempts = run(TacticRanking::Ranked, Method::BestFirst, 1, &wrong);
    assert!(attempts[0].fault.is_some() && attempts[0].proofs.is_empty());
    assert!(attempts[1].fault.is_none() && attempts[1].proofs.is_empty() && attempts[1].effort.expansions < 40);
}

/// How many problems each policy and search proves, by expansions: the table of `VERIFICATION.md`. `ABDUCE_TEST_LEAN_ONLY` chooses lines by a part of their name.
#[test]
#[ignore = "takes many minutes"]
fn the_problem_set_is_searched() {
    let folder = tempfile::tempdir().unwrap();
    let Some(lean) = driver(folder.path()) else { return };
    let problems = read_problems(PROBLEMS).unwrap();
    let only = std::env::var("ABDUCE_TEST_LEAN_ONLY").unwrap_or_default();
    let best = Method::BestFirst;
    for (name, ranking, method) in [
        ("ranked, best first", TacticRanking::Ranked, best),
        ("frequency, best first", TacticRanking::Frequency, best),
        ("ngram, best first", TacticRanking::Ngram, best),
        ("uniform, best first", TacticRanking::Uniform, best),
        ("ranked, depth first", TacticRanking::Ranked, Method::DepthFirst),
        ("ranked, beam of 16", TacticRanking::Ranked, Method::Beam { width: 16 }),
        ("ranked, MCTS", TacticRanking::Ranked, Method::Mcts { exploration: 1.0 }),
        ("ranked, hypertree", TacticRanking::Ranked, Method::Hypertree { exploration: 1.0 }),
    ] {
        if !name.contains(only.as_str()) {
            continue;
        }
        let trial = LeanTrial {
            ranking,
            lemmas: ["add_zero", "add_succ"].map(str::to_owned).to_vec(),
            method,
            budget: Budget { expansions: 128, branch: 8, depth: 24, time: None, proofs: 1 },
            seed: Seed(1),
        };
        let stop = std::sync::atomic::AtomicBool::new(false);
        let attempts =
            evaluate_lean(&problems, &Vec::from_iter(0..problems.len()), &trial, NonZeroUsize::new(2).unwrap(), &stop, |worker| {
                lean.for_worker(worker)
            });
        let found =
            |most: usize| attempts.iter().filter(|attempt| attempt.effort.expansions_to_first.is_some_and(|used| used <= most)).count();
        let line: Vec<String> = [8, 32, 128].iter().map(|&most| format!("{}", found(most))).collect();
        let (low, high) = abduce_proof::evaluation::wilson(found(128), problems.len());
        println!("| {name} | {} | {low:.3} to {high:.3} |", line.join(" | "));
        let open = attempts.iter().filter(|attempt| attempt.proofs.is_empty());
        let missing: Vec<&str> = open.map(|attempt| problems[attempt.place].theorem.name.as_str()).collect();
        println!("  not proved: {missing:?}; refused: {}", attempts.iter().map(|attempt| attempt.refused.len()).sum::<usize>());
        // The proof of each is a proof of the whole file again.
        let proofs: Vec<(&LeanTheorem, &Vec<String>)> =
            attempts.iter().filter_map(|attempt| Some((&problems[attempt.place].theorem, &attempt.proofs.first()?.tactics))).collect();
        let candidates: Vec<LeanCandidate<'_>> = proofs.iter().map(|&(theorem, tactics)| LeanCandidate { theorem, tactics }).collect();
        assert!(lean.clone().check(&candidates).iter().all(Verdict::is_proved));
    }
}
