//! The environment of tactics on the example database, and on whole libraries on request.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // helpers of tests

use abduce_data::Seed;
use abduce_proof::env::{ProofEnv as _, StepOutcome, Verdict};
use abduce_proof::mdp::{FiniteMdp as _, ProofMdp as _, Transition};
use abduce_proof::metamath::{
    ConclusionIndex, Corpus, Database, DuplicateRule, Environment, ErrorClass, FiniteTactics, GrammarError, KernelLimits, MetamathEnv,
    MetamathMdp, ParsedDatabase, ProofFormat, Prover, Ranking, StateLimits, Statistics, Trial, dependants, evaluate, near_duplicates,
    read_labels, replay, verify, with_proofs,
};
use abduce_proof::search::{Budget, Method};
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

const IMPLICATION: &str = include_str!("../../../examples/proofs/implication.mm");

fn load(text: &str) -> Database {
    Database::from_text("test.mm", text.as_bytes()).unwrap()
}

fn environment(db: &Database) -> Environment<'_> {
    Environment::new(ParsedDatabase::new(db).unwrap())
}

/// Every theorem: stored proof → script → text → script → proof as text, which the kernel accepts, in both formats; printing gives statements back.
fn round_trip(db: &Database) -> usize {
    let env = environment(db);
    let mut prover = Prover::new(&env, StateLimits::default());
    let mut steps = 0;
    for id in db.statements().filter(|&id| env.is_citable(id)) {
        assert_eq!(prover.render(env.parsed.tree(id)), db.render(&db.expression(id)[1..]));
    }
    for theorem in db.theorems().filter(|&id| env.is_citable(id)) {
        let label = db.label(theorem);
        prover.forget();
        let problem = env.problem(theorem, Arc::default());
        let graph = replay(&env.parsed, &env.patterns, prover.terms_mut(), theorem).unwrap();
        assert_eq!(graph.formulas[graph.root as usize].formula, problem.statement, "{label}");
        let script = prover.script(&problem, &graph).unwrap();
        let mut state = prover.start(&problem);
        for tactic in &script {
            let text = prover.render_tactic(tactic);
            assert_eq!(&prover.parse_tactic(&problem, &text).unwrap(), tactic, "{label}: {text}");
            prover.apply(&problem, &mut state, tactic).unwrap();
        }
        let proof = prover.finish(&problem, &state).unwrap();
        assert!(proof.dummies.is_empty() && proof.text.lines().all(|line| line.len() <= 79), "{label}");
        if script.len() < 40 {
            prover.finish_graph(&problem, &state.graph().unwrap(), ProofFormat::Normal).unwrap();
        }
        steps += script.len();
    }
    steps
}

#[test]
fn stored_proofs_survive_the_way_through_tactics() {
    assert_eq!(round_trip(&load(IMPLICATION)), 2 + 2 + 2 + 2 + 3 + 5 + 2);
}

#[test]
#[ignore = "needs Debian's databases; takes half a minute"]
fn stored_proofs_of_libraries_survive_the_way_through_tactics() {
    let Some(databases) = std::env::var_os("ABDUCE_TEST_DATABASES") else {
        println!("skipped: ABDUCE_TEST_DATABASES does not name a folder");
        return;
    };
    // Logical steps of reference/proofs.md, section 7.2; a script has fewer where a proof proves a formula twice.
    for (name, steps) in [("ql.mm", 21_156), ("hol.mm", 2_030), ("nf.mm", 58_831), ("iset.mm", 89_441), ("set.mm", 1_100_365)] {
        let db = Database::open(&Path::new(&databases).join(name)).unwrap();
        assert_eq!(Statistics::new(&environment(&db)).steps, steps, "{name}");
        let script = round_trip(&db);
        println!("{name}: {steps} steps, {script} tactics");
        assert!(script <= steps && script * 100 > steps * 90);
    }
}

#[test]
fn every_way_to_fail_has_its_class() {
    let text = format!(
        "{IMPLICATION} $( after $) ${{ $d x ph $. last.1 $e |- ( ph -> ps ) $. last $p |- ( ph -> A. x ( ph -> ps ) ) $= ? $. $}} later $a |- ph $."
    );
    let db = load(&text);
    let env = environment(&db);
    let last = db.find("last").unwrap();
    let excluded = Arc::new(HashSet::from([db.find("ax-3").unwrap()]));
    let problem = env.problem(last, excluded);
    let mut checker = MetamathEnv { prover: Prover::new(&env, StateLimits { formulas: 6, formula_size: 30 }) };
    let start = checker.init(&problem).unwrap();
    assert_eq!(checker.render(&problem, &start), "h last.1 ( ph -> ps )\nd ph x\ng ( ph -> A. x ( ph -> ps ) )\n");
    for (tactic, class) in [
        ("", ErrorClass::Form),
        ("syl { ps", ErrorClass::Form),
        ("syl { ps ps }", ErrorClass::Form),
        ("syl { ps := ps ; ps := ps }", ErrorClass::Form),
        ("nothing", ErrorClass::UnknownLabel),
        ("wi", ErrorClass::UnknownLabel),
        ("last.1", ErrorClass::UnknownLabel),
        ("later", ErrorClass::Position),
        ("last", ErrorClass::Position),
        ("ax-3", ErrorClass::Position),
        ("ax-gen", ErrorClass::NoMatch),
        ("syl", ErrorClass::Substitution),
        ("syl { ch := ph }", ErrorClass::Substitution),
        ("syl { ps := x }", ErrorClass::Substitution),
        ("syl { ps := ( ph }", ErrorClass::Substitution),
        ("syl { ps := nonsense }", ErrorClass::Substitution),
        ("syl { ps := ph ; ph := ph }", ErrorClass::Substitution),
        ("syl { ps := ( ph -> ph -> ph ) }", ErrorClass::Substitution),
        // The second premise is the goal itself.
        ("syl { ps := ph }", ErrorClass::Circle),
    ] {
        match checker.step(&problem, &start, tactic) {
            StepOutcome::Error(error) => assert_eq!(error.class, class.name(), "`{tactic}`: {}", error.message),
            other => panic!("`{tactic}`: {other:?}"),
        }
    }
    let all: Vec<String> = ["alrimi", "syl { ps := ps }", "ax-1"].map(str::to_owned).to_vec();
    let StepOutcome::Open(one) = checker.step(&problem, &start, &all[0]) else { panic!() };
    assert_eq!(checker.render(&problem, &one), "h last.1 ( ph -> ps )\nd ph x\ng ( ph -> ( ph -> ps ) )\n");
    // The first premise is a hypothesis, so only the second is a goal.
    let StepOutcome::Open(two) = checker.step(&problem, &one, &all[1]) else { panic!() };
    assert!(checker.render(&problem, &two).ends_with("\ng ( ps -> ( ph -> ps ) )\n"));
    let StepOutcome::Done(done) = checker.step(&problem, &two, &all[2]) else { panic!() };
    assert!(matches!(checker.step(&problem, &done, "ax-1"), StepOutcome::Error(error) if error.class == "no_goal"));
    assert_eq!(checker.verify(&problem, &all), Verdict::Proved { axioms: vec!["ax-1".to_owned()] });
    assert!(!checker.verify(&problem, &all[..2]).is_proved());
    let mut small = MetamathEnv { prover: Prover::new(&env, StateLimits { formulas: 2, formula_size: 30 }) };
    let first = small.init(&problem).unwrap();
    assert!(
        matches!(small.step(&problem, &first, "syl { ps := ps }"), StepOutcome::Error(error) if error.class == ErrorClass::Limit.name())
    );
    // `$d`: x occurs in what it must not.
    let broken = load(&text.replace("$d x ph $. last.1", "last.1"));
    let env = environment(&broken);
    let problem = env.problem(broken.find("last").unwrap(), Arc::default());
    let mut checker = MetamathEnv { prover: Prover::new(&env, StateLimits::default()) };
    let start = checker.init(&problem).unwrap();
    assert!(matches!(checker.step(&problem, &start, "alrimi"), StepOutcome::Error(error) if error.class == "disjoint"));
}

#[test]
fn dummy_variables_get_their_own_conditions_in_the_written_file() {
    let db = load(&format!("{IMPLICATION} ${{ k.1 $e |- ph $. k $p |- ( ps -> ph ) $= ? $. $}}"));
    let env = environment(&db);
    let theorem = db.find("k").unwrap();
    let problem = env.problem(theorem, Arc::default());
    let mut prover = Prover::new(&env, StateLimits::default());
    let mut state = prover.start(&problem);
    // A detour over ( ch -> A. x ch ), whose variables the theorem does not have: `ax-5` wants x and ch apart.
    for line in ["syl { ps := ( ch -> A. x ch ) }", "a1i", "ax-5", "a1i"] {
        let tactic = prover.parse_tactic(&problem, line).unwrap();
        prover.apply(&problem, &mut state, &tactic).unwrap();
    }
    let proof = prover.finish(&problem, &state).unwrap();
    assert_eq!(abduce_proof::metamath::distinct(&db, &proof.dummies), "$d ch x $.");
    let text = with_proofs(&db, &[(theorem, proof)].into()).unwrap();
    let written = Database::from_text("written.mm", &text).unwrap();
    assert!(verify(&written, KernelLimits::default(), NonZeroUsize::MIN).faults.is_empty());
    let (old, new) = (db.find("k").unwrap(), written.find("k").unwrap());
    assert_eq!(db.render(db.expression(old)), written.render(written.expression(new)));
    assert!(written.mandatory(new).map(|id| written.label(id)).eq(["wph", "wps", "k.1"]));
}

#[test]
fn grammars_that_cannot_be_used_are_refused() {
    let start = "$c wff |- ( ) + $. $v a b $. wa $f wff a $. wb $f wff b $. ";
    for (rest, part) in [
        ("p $a wff a + b $. t $a |- a + a + a $.", "in more than one way"),
        ("p $a wff ( a + b ) $. t $a |- a + b $.", "is no wff"),
        ("p $a wff ( a + b ) $. t $a |- ( a + b ) $. u $a |- ( a + $.", "is no wff"),
        ("p $a wff $. t $a |- a $.", "derives nothing"),
        ("p $a wff ( a + a ) $.", "repeats a variable"),
        ("p $a wff ( a + b ) $. q $a wff ( b + a ) $.", "repeats another one"),
        ("${ e $e |- a $. p $a wff ( a + b ) $. $}", "has premises"),
    ] {
        let db = load(&format!("{start}{rest}"));
        let error = ParsedDatabase::new(&db).map(|_| ()).map_err(|error: GrammarError| error.to_string()).unwrap_err();
        assert!(error.contains(part), "{rest}: {error}");
    }
    // Postfix and infix without brackets are fine where they are unambiguous; a thousand nested brackets are no recursion.
    let deep = format!("{}a{}", "( ".repeat(20_000), " + b )".repeat(20_000));
    let db = load(&format!("{start} p $a wff ( a + b ) $. q $a wff a ( ) $. t $a |- {deep} ( ) ( ) $."));
    let env = environment(&db);
    let prover = Prover::new(&env, StateLimits::default());
    assert_eq!(prover.render(env.parsed.tree(db.find("t").unwrap())), format!("{deep} ( ) ( )"));
}

#[test]
fn the_finite_process_is_exact() {
    let db = load(IMPLICATION);
    let env = environment(&db);
    let problem = env.problem(db.find("id").unwrap(), Arc::default());
    let mut prover = Prover::new(&env, StateLimits::default());
    let labels = ["ax-1", "mpd", "a1i", "ax-mp"].map(|label| db.find(label).unwrap()).to_vec();
    let wff = db.find_symbol("wff").unwrap();
    let expressions =
        ["ph", "( ph -> ph )"].map(|text| prover.parse_expression(&problem, wff, &text.split(' ').collect::<Vec<_>>()).unwrap()).to_vec();
    let mut mdp = FiniteTactics { mdp: MetamathMdp { prover: &mut prover, problem: &problem }, labels, expressions, max_steps: 3 };
    // Depth first over all trajectories: every listed action applies, and what is not listed does not.
    let (mut proofs, mut open, mut actions) = (0, 0, Vec::new());
    let mut stack = vec![mdp.initial()];
    while let Some(state) = stack.pop() {
        mdp.actions(&state, &mut actions);
        if mdp.is_done(&state) {
            assert!(actions.is_empty());
            proofs += 1;
        } else if actions.is_empty() {
            open += 1;
        }
        for action in actions.clone() {
            match mdp.step(&state, &action) {
                Transition::Open(next) | Transition::Done(next) => stack.push(next),
                Transition::Failed(class) => panic!("{class}"),
            }
        }
    }
    // The textbook's proof, mpd { ps := ( ph -> ph ) } ax-1 ax-1, is one of them.
    assert!(proofs >= 1 && open >= 1, "{proofs} {open}");
    let start = mdp.initial();
    mdp.actions(&start, &mut actions);
    let names: HashSet<&str> = actions.iter().map(|action| db.label(action.label)).collect();
    assert!(names.contains("mpd") && !names.contains("ax-1"));
}

#[test]
fn searches_prove_the_example_again_and_do_not_depend_on_threads() {
    let db = load(IMPLICATION);
    let env = environment(&db);
    let theorems: Vec<_> = db.theorems().filter(|&id| db.label(id) != "idal").collect();
    let (index, corpus) = (ConclusionIndex::new(&env), Corpus::new(&env, &theorems.iter().copied().collect()));
    for ranking in [Ranking::Uniform, Ranking::Frequency, Ranking::Ngram, Ranking::Bm25] {
        for method in [Method::BestFirst, Method::Beam { width: 8 }, Method::Hypertree { exploration: 1.0 }] {
            let trial = Trial {
                ranking,
                method,
                budget: Budget { expansions: 200, depth: 10, ..Budget::default() },
                seed: Seed(3),
                excluded: Arc::default(),
            };
            let run = |threads| evaluate(&env, &index, &corpus, &theorems, &trial, NonZeroUsize::new(threads).unwrap(), &false.into());
            let (one, three) = (run(1), run(3));
            assert!(
                one.iter().zip(&three).all(|(a, b)| a.proofs == b.proofs && a.effort.expansions == b.effort.expansions),
                "{ranking:?} {method:?}"
            );
            assert!(one.iter().all(|attempt| attempt.refused.is_empty()));
            let proved: Vec<&str> =
                one.iter().filter(|attempt| !attempt.proofs.is_empty()).map(|attempt| db.label(attempt.theorem)).collect();
            assert!(proved.contains(&"a1i") && proved.contains(&"a2i"), "{ranking:?} {method:?}: {proved:?}");
        }
    }
}

#[test]
fn planted_copies_of_held_out_theorems_are_found() {
    let planted = format!(
        "{IMPLICATION} ${{ s.1 $e |- ( ch -> th ) $. s.2 $e |- ( ps -> ch ) $. renamed $p |- ( ps -> th ) $= ( syl ) ABCEDF $. $}}
         ${{ d.1 $e |- ( ph -> ( ps -> ch ) ) $. d.2 $e |- ( ph -> ( ch -> th ) ) $. deduction $p |- ( ph -> ( ps -> th ) ) $= ? $. $}}
         closed $p |- ( ( ps -> ch ) -> ( ( ph -> ps ) -> ( ph -> ch ) ) ) $= ? $.
         sylOLD $p |- ( ph -> ( ps -> ph ) ) $= ? $.
         other $p |- ( -. -. ph -> ph ) $= ? $.
         uses $p |- ( ph -> ph ) $= ( id syl ) ? $. usesuses $p |- ( ph -> ph ) $= ( uses ) AB $."
    );
    let db = load(&planted);
    let env = environment(&db);
    let heldout = read_labels(&db, "# one\nsyl # a rule\n\n").unwrap();
    let found: Vec<(&str, DuplicateRule)> = near_duplicates(&env, &heldout).into_iter().map(|(id, rule)| (db.label(id), rule)).collect();
    assert_eq!(
        found,
        [
            ("renamed", DuplicateRule::Renaming),
            ("deduction", DuplicateRule::Form),
            ("closed", DuplicateRule::Form),
            ("sylOLD", DuplicateRule::Label)
        ]
    );
    let resting: Vec<&str> = dependants(&db, &heldout).into_iter().map(|id| db.label(id)).collect();
    assert_eq!(resting, ["alrimi", "renamed", "uses", "usesuses"]);
    assert_eq!(read_labels(&db, "syl\nnope\nax-1").unwrap_err(), ["nope", "ax-1"]);
}
