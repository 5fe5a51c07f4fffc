//! `abduce prove`, as a user calls it.

mod program;

use program::Workplace;

const DATABASE: &str = "\
$c ( ) -> wff |- $.
$v p q $.
wp $f wff p $.
wq $f wff q $.
wi $a wff ( p -> q ) $.
ax1 $a |- ( p -> ( q -> p ) ) $.
${
  mp.1 $e |- p $.
  mp.2 $e |- ( p -> q ) $.
  mp $a |- q $.
$}
${
  a1.1 $e |- p $.
  a1 $p |- ( q -> p ) $= wp wq wp wi a1.1 wp wq ax1 mp $.
$}
th $p |- ( p -> ( p -> p ) ) $= ( ax1 ) AAB $.
";

fn place() -> Workplace {
    let place = Workplace::new();
    place.write("good.mm", DATABASE);
    place
}

#[test]
fn databases_are_verified_for_any_number_of_threads() {
    let place = place();
    for threads in ["1", "2"] {
        assert_eq!(place.ok(&["prove", "verify", "good.mm", "--threads", threads]), "all 2 proofs are valid\n");
    }
    // The same option before the file and behind the first word.
    assert_eq!(place.ok(&["prove", "--threads", "2", "verify", "--quiet", "good.mm"]), "all 2 proofs are valid\n");
    for (proof, reason) in [
        ("( ax1 ) AAA", "3 expressions are left on the stack"),
        ("?", "the proof is incomplete"),
        ("( ax1 ) A?B", "the proof is incomplete"),
        ("wp wq ax1", "|- ( p -> ( q -> p ) )"),
        ("wp wp th", "th"),
        ("nowhere", "nowhere"),
    ] {
        place.write("bad.mm", DATABASE.replace("( ax1 ) AAB", proof));
        let ended = place.run(&["prove", "verify", "bad.mm", "--threads", "2"]);
        assert_eq!(ended.status, 3, "{proof}: {}", ended.stdout);
        let first = ended.stdout.lines().next().unwrap();
        assert!(first.contains("bad.mm:16: th: ") && first.contains(reason), "{proof}: {first}");
        assert!(ended.stdout.ends_with("1 of 2 proofs are invalid\n"), "{}", ended.stdout);
    }
    place.write("both.mm", DATABASE.replace("( ax1 ) AAB", "?").replace("wp wq ax1 mp", "wp wq ax1"));
    let shortened = place.run(&["prove", "verify", "both.mm", "--show", "1"]);
    assert!(shortened.stdout.contains("both.mm:14: a1: ") && shortened.stdout.contains("… and 1 more"), "{}", shortened.stdout);
    assert!(!shortened.stdout.contains("th:") && shortened.stdout.ends_with("2 of 2 proofs are invalid\n"));
}

#[test]
fn what_is_no_database_is_said() {
    let place = place();
    std::fs::create_dir(place.path("folder.mm")).unwrap();
    place.write("bytes.mm", b"\x00\x01");
    place.write("twice.mm", DATABASE.replace("th $p", "a1 $p"));
    place.write("cut.mm", &DATABASE[..200]);
    place.write("scope.mm", DATABASE.replacen("$}", "", 1));
    place.write("words.mm", "These are words.");
    place.write("include.mm", "$[ nowhere.mm $]");
    for (file, parts) in [
        ("nowhere.mm", ["nowhere.mm", "No such file"]),
        ("folder.mm", ["folder.mm", "not a regular file"]),
        ("bytes.mm", ["bytes.mm:1:1", "neither printable ASCII"]),
        ("twice.mm", ["twice.mm:16:1", "`a1` is declared already"]),
        ("cut.mm", ["cut.mm:", "$"]),
        ("scope.mm", ["scope.mm:", "1 scopes are still open"]),
        ("words.mm", ["words.mm:1:7", "`are` does not belong here"]),
        ("include.mm", ["nowhere.mm", "No such file"]),
    ] {
        for command in ["verify", "stats"] {
            place.fails(1, &["prove", command, file], &parts);
        }
    }
    place.fails(2, &["prove", "verify"], &["FILE.mm"]);
    // Verified without a grammar, but not taken apart.
    place.write("flat.mm", "$c |- x $. a $a |- x $. b $p |- x $= a $.");
    assert_eq!(place.ok(&["prove", "verify", "flat.mm"]), "all 1 proofs are valid\n");
    place.fails(1, &["prove", "stats", "flat.mm"], &["grammar"]);
}

#[test]
fn databases_are_counted_and_taken_apart() {
    let place = place();
    let stats: serde_json::Value = serde_json::from_str(&place.ok(&["prove", "stats", "good.mm"])).unwrap();
    assert_eq!((stats["theorems"].as_u64(), stats["steps"].as_u64()), (Some(2), Some(3)));
    assert_eq!((stats["counts"]["axioms"].as_u64(), stats["steps_median"].as_f64()), (Some(3), Some(1.5)));
    let extract = |options: &[&str]| {
        place.ok(&[&["prove", "extract", "good.mm", "-o", "scripts.jsonl", "--quiet"], options].concat());
        let text = String::from_utf8(place.read("scripts.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    let all = extract(&[]);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["hypotheses"], serde_json::json!([["a1.1", "p"]]));
    assert_eq!(all[0]["steps"][0], serde_json::json!({"state": "h a1.1 p\ng ( q -> p )\n", "tactic": "mp { p := p }"}));
    assert_eq!(extract(&["--max-steps", "1"]).len(), 1);
    place.write("labels.txt", "# one\n\nth # a theorem\n");
    assert_eq!(extract(&["--labels", "labels.txt"])[0]["label"], "th");
    assert_eq!(extract(&["--heldout", "labels.txt"]).iter().filter(|script| script["label"] == "th").count(), 0);
    place.write("unknown.txt", "th\nnone\n");
    place.fails(
        1,
        &["prove", "extract", "good.mm", "-o", "x", "--heldout", "unknown.txt"],
        &["unknown.txt: 1 labels are no theorems", "`none`"],
    );
    place.fails(2, &["prove", "extract", "good.mm", "-o", "x", "--exclude-dependants"], &["--heldout"]);
    place.fails(1, &["prove", "extract", "good.mm", "-o", "x", "--labels", "nowhere.txt"], &["nowhere.txt"]);
}

#[test]
fn one_proof_is_checked() {
    let place = place();
    let check = |option: &str, text: &str| {
        place.write("given.txt", text);
        let ended = place.run(&["prove", "check-proof", "good.mm", "th", option, "given.txt", "--quiet"]);
        (ended.status, ended.stdout)
    };
    assert_eq!(check("--proof", "wp wp ax1"), (0, "th: valid\n".to_owned()));
    assert_eq!(check("--script", "ax1\n"), (0, "th: valid\n      ( ax1 ) AAB\n".to_owned()));
    for (option, text, reason) in [
        ("--proof", "( ax1 ) AAA", "th: 3 expressions are left"),
        ("--proof", "?", "incomplete"),
        ("--proof", "", "th: "),
        ("--script", "mp", "th: line 1: `mp` needs an expression for `p`"),
        ("--script", "mp { p := ( }", "th: line 1: "),
        ("--script", "nothing", "th: line 1: "),
        ("--script", "", "1 goals are open"),
        ("--script", "ax1\nax1", "th: line 2: "),
    ] {
        let (status, said) = check(option, text);
        assert!(status == 3 && said.contains(reason), "{option} `{text}`: {status} {said}");
    }
    place.fails(2, &["prove", "check-proof", "good.mm", "ax1", "--proof", "given.txt"], &["`ax1` is not a theorem", "`$p`"]);
    place.fails(2, &["prove", "check-proof", "good.mm", "th"], &["--proof"]);
    place.fails(1, &["prove", "check-proof", "good.mm", "th", "--proof", "nowhere.txt"], &["nowhere.txt"]);
}

#[test]
fn every_policy_and_search_proves_and_writes_what_stands() {
    let place = place();
    let search = |options: &[&str]| {
        let fixed = ["prove", "search", "good.mm", "--theorem", "th", "--theorem", "a1", "-o", "new.mm", "--json", "new.json", "--quiet"];
        let printed = place.ok(&[&fixed, options].concat());
        assert!(printed.ends_with("2 of 2 proved (0.342 to 1.000, Wilson 95 %)\n"), "{options:?}: {printed}");
        assert_eq!(place.ok(&["prove", "verify", "new.mm"]), "all 2 proofs are valid\n", "{options:?}");
        let results: serde_json::Value = serde_json::from_slice(&place.read("new.json")).unwrap();
        assert_eq!((results["proved"].as_u64(), results["attempts"][0]["steps"].as_u64()), (Some(2), Some(1)));
    };
    for policy in ["uniform", "frequency", "ngram", "bm25"] {
        search(&["--policy", policy]);
    }
    for method in ["best-first", "beam", "dfs", "mcts", "hypertree"] {
        search(&["--method", method, "--threads", "2"]);
    }
    // Nothing is spent, nothing is found; and what is wrong is said.
    let none = place.ok(&["prove", "search", "good.mm", "--theorem", "th", "--expansions", "0"]);
    assert!(none.contains("th: not proved\n0 of 1 proved"), "{none}");
    for (options, status, parts) in [
        (vec!["--theorem", "ax1"], 2, ["`ax1` is not a theorem", "`$p`"]),
        (vec!["--theorem", "th", "--policy", "ranked"], 2, ["`ranked` is a list of Lean's tactics", "bm25"]),
        (vec!["--theorem", "th", "--seconds=-1"], 2, ["--seconds", "positive"]),
        (vec!["--theorem", "th", "--branch", "0"], 2, ["--branch", "0"]),
        (vec!["--theorem", "th", "--lemma", "x"], 2, ["--lean", "--lemma"]),
        (vec![], 2, ["--labels", "--theorem"]),
        (vec!["--labels", "nowhere.txt"], 1, ["nowhere.txt", "No such file"]),
    ] {
        place.fails(status, &[&["prove", "search", "good.mm"], &options[..]].concat(), &parts);
    }
}

/// A stand-in for the REPL that knows `p ∧ q → q ∧ p`, and one for Lean that accepts proofs with two lines `assumption` and nothing else.
#[cfg(unix)]
#[test]
fn lean_is_searched_and_believed_only_as_a_whole() {
    let place = Workplace::new();
    place.write("repl.sh", REPL);
    place.write("lean.sh", JUDGE);
    place.write(
        "problems.txt",
        "# one\nswap | (p q : Prop) | p ∧ q → q ∧ p\n  intro h\n  exact ⟨h.2, h.1⟩\nother | (p q : Prop) | p ∧ q → q ∧ p\n",
    );
    place.write("header.lean", "-- a header\n");
    let fixed = ["prove", "search", "problems.txt", "--lean", "/bin/sh lean.sh", "--repl", "/bin/sh repl.sh", "--quiet"];
    let printed = place.ok(&[&fixed[..], &["--header", "header.lean", "-o", "proved.lean", "--json", "new.json"]].concat());
    assert!(printed.contains("swap: proved in 5 steps\n  intro h\n") && printed.contains("2 of 2 proved"), "{printed}");
    let written = String::from_utf8(place.read("proved.lean")).unwrap();
    assert!(written.starts_with("-- a header\n\ntheorem swap (p q : Prop) : p ∧ q → q ∧ p := by\n  intro h\n"), "{written}");
    let results: serde_json::Value = serde_json::from_slice(&place.read("new.json")).unwrap();
    assert_eq!(results["attempts"][1]["name"], "other");
    assert_eq!(results["attempts"][1]["proofs"][0]["tactics"][4], "assumption");
    let one = place.ok(&[&fixed[..], &["--theorem", "other", "--policy", "frequency"]].concat());
    assert!(!one.contains("swap") && one.contains("of 1 proved"), "{one}");
    // Without the REPL the stand-in for Lean has to take the statement, which it does not: `skip` leaves no goal behind.
    let whole = ["prove", "search", "problems.txt", "--lean", "/bin/sh lean.sh"];
    place.fails(1, &whole, &["Lean takes none of the 2 statements", "--header"]);
    place.fails(1, &["prove", "search", "problems.txt", "--lean", "/no/such/lean"], &["cannot start /no/such/lean"]);
    place.fails(2, &[&whole[..], &["--policy", "bm25"]].concat(), &["`bm25` ranks theorems of a Metamath database"]);
    place.fails(2, &[&whole[..], &["--theorem", "third"]].concat(), &["`third` is not a theorem of problems.txt"]);
    place.write("wrong.txt", "swap | p\n");
    place.fails(1, &["prove", "search", "wrong.txt", "--lean", "lean"], &["wrong.txt: line 1: expected `name | binders | statement`"]);
    place.write("empty.txt", "# nothing\n");
    place.fails(1, &["prove", "search", "empty.txt", "--lean", "lean"], &["empty.txt: no theorems"]);
}

const REPL: &str = r#"while IFS= read -r line; do
  state=${line##*'"proofState":'}; state=${state%%[,\}]*}
  case "$line" in
    '') continue ;;
    *'"cmd":"--'*) printf '{"env":0}\n\n' ;;
    *'"cmd"'*) printf '{"sorries":[{"proofState":0,"goal":"p q : Prop\\n⊢ p ∧ q → q ∧ p"}],"env":1}\n\n' ;;
    *'"intro h"'*) printf '{"proofState":1,"goals":["p q : Prop\\nh : p ∧ q\\n⊢ q ∧ p"]}\n\n' ;;
    *'"cases h with'*) printf '{"proofState":2,"goals":["case intro\\na : p\\nb : q\\n⊢ q ∧ p"]}\n\n' ;;
    *'"constructor"'*) [ "$state" = 2 ] && printf '{"proofState":3,"goals":["a : p\\nb : q\\n⊢ q","a : p\\nb : q\\n⊢ p"]}\n\n' || printf '{"message":"no"}\n\n' ;;
    *'"assumption"'*) case "$state" in
        3) printf '{"proofState":4,"goals":["a : p\\nb : q\\n⊢ p"]}\n\n' ;;
        4) printf '{"proofState":9,"goals":[]}\n\n' ;;
        *) printf '{"message":"no"}\n\n' ;;
      esac ;;
    *) printf '{"message":"unknown tactic"}\n\n' ;;
  esac
done"#;

const JUDGE: &str = r#"for f; do :; done
if [ "$(grep -c assumption "$f")" = 2 ]; then
  n=$(grep -n '^#print axioms' "$f"); n=${n%%:*}
  printf '{"severity":"information","pos":{"line":%s,"column":0},"data":"'"'"'abduce_candidate_0'"'"' does not depend on any axioms"}\n' "$n"
else
  printf '{"severity":"error","pos":{"line":3,"column":0},"data":"no proof"}\n'
fi"#;
