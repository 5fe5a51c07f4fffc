//! The rules of the Metamath language and of its proofs, each broken once; the same texts are given to the C program where it is installed.

#![allow(clippy::unwrap_used)] // helpers of tests

use abduce_proof::metamath::{Database, KernelLimits, LoadError, verify};
use std::num::NonZeroUsize;

const IMPLICATION: &str = include_str!("../../../examples/proofs/implication.mm");

fn load(text: &str) -> Result<Database, LoadError> {
    Database::from_text("test.mm", text.as_bytes())
}

/// The first thing wrong with a text: of the language, or else of its proofs.
fn fault(text: &str) -> Option<String> {
    match load(text) {
        Err(error) => Some(error.to_string()),
        Ok(db) => {
            let report = verify(&db, KernelLimits::default(), NonZeroUsize::MIN);
            report.faults.first().map(|(theorem, fault)| format!("{}: {fault}", db.label(*theorem)))
        }
    }
}

#[test]
fn the_example_is_valid() {
    assert_eq!(fault(IMPLICATION), None);
    let db = load(IMPLICATION).unwrap();
    let counts = db.counts();
    assert_eq!((counts.axioms, counts.theorems, counts.floating, counts.essential, counts.disjoint), (10, 7, 6, 10, 3));
    let syl = db.find("syl").unwrap();
    let mandatory: Vec<&str> = db.mandatory(syl).map(|id| db.label(id)).collect();
    assert_eq!(mandatory, ["wph", "wps", "wch", "syl.1", "syl.2"]);
    assert_eq!(db.comment(syl).trim(), "Implication is transitive.");
    assert_eq!(db.render(db.expression(syl)), "|- ( ph -> ch )");
}

#[test]
fn each_rule_of_the_language_is_enforced() {
    let start = "$c a b |- wff $. $v x y $. wx $f wff x $. ";
    for (text, part) in [
        ("$( never closed", "no end"),
        ("$( a $( b $) $)", "neither `$(`"),
        ("$( a$) $)", "neither `$(`"),
        ("$c a $c b $.", "does not belong"),
        ("$c a", "no `$.`"),
        ("${ $c a $. $}", "outermost"),
        ("$c $.", "empty"),
        ("$v $.", "empty"),
        ("$c a a $.", "declared already"),
        ("$c a $. $v a $.", "declared already"),
        ("$v a $. $c a $.", "declared already"),
        ("${ $v a $. $} $c a $.", "declared already"),
        ("$v a $. ${ $v a $. $}", "declared already"),
        ("$c a$b $.", "`$` is not allowed"),
        ("$}", "without"),
        ("${ ", "1 scopes are still open"),
        ("l $c a $.", "takes none"),
        ("$a |- $.", "has a label"),
        ("$[ ../x.mm $]", "folder"),
        ("$[ /etc/passwd $]", "folder"),
        ("$[ x", "included"),
        ("${ $[ x.mm $] $}", "included"),
        ("$x", "does not belong"),
        ("$cc a $.", "does not belong"),
    ] {
        let found = fault(text).unwrap_or_default();
        assert!(found.contains(part), "`{text}`: `{found}` should say `{part}`");
    }
    for (rest, part) in [
        ("a* $a |- a $.", "not a label"),
        ("q $a |- z $.", "not declared"),
        ("q $a |- y $.", "no active `$f`"),
        ("q $a x a $.", "begins with a constant"),
        ("q $e x $.", "begins with a constant"),
        ("q $a $.", "empty"),
        ("wx $a |- a $.", "declared already"),
        ("a $a |- a $.", "a label and a math symbol"),
        ("q $a |- a $. $c q $.", "a label and a math symbol"),
        ("q $f wff x $.", "has an active `$f` already"),
        ("q $f wff a $.", "a constant and a variable"),
        ("q $f wff y y $.", "a constant and a variable"),
        ("q $f y y $.", "begins with a constant"),
        ("$d x $.", "at least two"),
        ("$d x x $.", "twice"),
        ("$d x a $.", "not a variable"),
        ("${ $v z $. $} $d x z $.", "not declared"),
        ("q $p |- a $.", "has a proof"),
        ("q $a |- a $= q $.", "does not belong"),
        ("q $p |- a $= q", "no `$.`"),
        ("q $p |- a $= $v $.", "does not belong"),
        ("q $p |- a $= $= $.", "does not belong"),
        ("q $p |- a $= $.", "q: the proof is empty"),
        ("q r $a |- a $.", "does not belong"),
        ("q $( c $) r", "does not belong"),
        ("q $d x y $.", "takes none"),
        ("q $a |- a", "no `$.`"),
    ] {
        let found = fault(&format!("{start}{rest}")).unwrap_or_default();
        assert!(found.contains(part), "`{rest}`: `{found}` should say `{part}`");
    }
    let bad = Database::from_text("test.mm", b"$c a $.\n  \x07").unwrap_err().to_string();
    assert_eq!(bad, "test.mm:2:3: byte 0x07 is neither printable ASCII nor white space");
    // What looks odd and is allowed.
    for fine in [
        "",
        "$( $)",
        "${ $} ${ $v x $. $} $v x $.",
        "$c $( in $) a $.",
        "$c a $. q $( here too $) $a a $.",
        "$v x y $. $d x y $. $d y x $.",
    ] {
        assert_eq!(fault(fine), None, "`{fine}`");
    }
}

/// The text with one theorem's proof replaced.
fn with_proof(theorem: &str, proof: &str) -> String {
    let at = IMPLICATION.find(&format!("{theorem} $p ")).unwrap();
    let begin = at + IMPLICATION[at..].find("$=").unwrap() + 2;
    let end = begin + IMPLICATION[begin..].find("$.").unwrap();
    format!("{} {proof} {}", &IMPLICATION[..begin], &IMPLICATION[end..])
}

#[test]
fn each_rule_of_proofs_is_enforced() {
    for (theorem, proof, part) in [
        ("id", "?", "incomplete"),
        ("id", "( ) ?", "incomplete"),
        ("id", "( wi ) AAB?", "incomplete"),
        ("id", "wph ?", "incomplete"),
        ("id", "", "empty"),
        ("id", "( )", "empty"),
        ("id", "( wi", "the `)` is missing"),
        ("id", "nowhere", "not a label"),
        ("id", "( nowhere ) A", "not a label"),
        ("id", "wph alrimi", "does not stand before"),
        ("id", "id", "does not stand before"),
        ("id", "wph wph wph wi wph syl.1 syl", "not active"),
        ("id", "wph wph wph syl", "needs 5 entries"),
        ("id", "vx wph wi", "needs `wff` for its hypothesis `wph`"),
        ("id", "wph wph wi", "the proof proves `wff ( ph -> ph )`"),
        ("id", "wph wph", "2 expressions are left"),
        ("id", "( wi ax-1 mpd ) AAABAAACAAABC", "expressions are left"),
        ("id", "( wi ax-1 mpd ) AAAAACAACD", "hypothesis `mpd.1` of `mpd`"),
        ("id", "( wi ax-1 mpd ) AAABAAACAAABCDU", "ends within a number"),
        ("id", "( wi ax-1 mpd ) AAABAAACAAABCE", "not the number"),
        ("id", "( wi ax-1 mpd ) YYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYYY", "not the number"),
        ("id", "( wi ax-1 mpd ) ZAAABAAACAAABCD", "does not follow a step"),
        ("id", "( wi ax-1 mpd ) AZZAABAAACAAABCD", "does not follow a step"),
        ("id", "( wi ax-1 mpd ) AAABAAACAAABCd", "`d` does not belong"),
        ("id", "( wi wph ax-1 mpd ) AAABAAACAAABCD", "a mandatory hypothesis stands among the labels"),
        ("id", "wph $[ x $]", "does not belong"),
        ("alrimi", "( wal ax-5 wi ax-gen ax-4 ax-mp syl ) BBCEBCEBCFBBGZCEBCEBCEGLCBIHBBCIJK", "has `$d ph x`"),
    ] {
        let found = fault(&with_proof(theorem, proof)).unwrap_or_default();
        assert!(found.contains(part), "{theorem} `{proof}`: `{found}` should say `{part}`");
    }
    // The same proof in other clothes: blanks, a comment, marks that nobody uses, a marked step used again.
    for proof in ["( wi ax-1 mpd ) A A A\nBAA ACA $( why $) AABCD", "( wi ax-1 mpd ) AAABZAAACAECDZ"] {
        assert_eq!(fault(&with_proof("id", proof)), None, "`{proof}`");
    }
}

#[test]
fn variables_that_must_differ_do() {
    let start = "$c wff setvar class |- A. = ( ) $. $v ph x y z $. wph $f wff ph $. vx $f setvar x $. vy $f setvar y $. vz $f setvar z $.
        wal $a wff A. x ph $. weq $a wff x = y $. ${ $d x ph $. ax5 $a |- A. x ph $. $} ";
    let theorem = |d: &str, statement: &str, proof: &str| fault(&format!("{start} ${{ {d} t $p {statement} $= {proof} $. $}}"));
    // x occurs in its own formula.
    let found = theorem("", "|- A. x x = x", "vx vx weq vx ax5");
    assert!(found.is_some_and(|found| found.contains("`$d")));
    // y and x are not said to differ, then they are, then only some pairs are.
    let proof = "vy vz weq vx ax5";
    assert!(theorem("", "|- A. x y = z", proof).is_some_and(|found| found.contains("`$d")));
    assert_eq!(theorem("$d x y z $.", "|- A. x y = z", proof), None);
    assert_eq!(theorem("$d x y $. $d x z $.", "|- A. x y = z", proof), None);
    assert!(theorem("$d x y $. $d y z $.", "|- A. x y = z", proof).is_some());
    // A `$d` of a scope that has closed is none.
    assert!(theorem("${ $d x y z $. $}", "|- A. x y = z", proof).is_some());
}

#[test]
fn a_short_proof_of_a_huge_expression_is_stopped() {
    // Each marked step doubles the expression: forty of them ask for 2⁴⁰ symbols.
    let mut text = "$c wff |- ( ) $. $v a b $. wa $f wff a $. wb $f wff b $. wab $a wff ( a b ) $. t $p wff a $= ( wab ) AABZ".to_owned();
    // The mandatory hypothesis is A, wab is B; the marked steps are C, D, …
    let letter = |number: u32| char::from_u32('A' as u32 + number).unwrap();
    for k in 0..18 {
        text.push_str(&format!("{0}{0}BZ", letter(2 + k)));
    }
    for k in 20..40u32 {
        let name = format!("{}{}", char::from_u32('U' as u32 + k / 20 - 1).unwrap(), letter(k % 20));
        text.push_str(&format!("{name}{name}BZ"));
    }
    text.push_str(" $.");
    let db = load(&text).unwrap();
    let report = verify(&db, KernelLimits { symbols: 1 << 20, steps: 1 << 20 }, NonZeroUsize::MIN);
    assert!(report.faults[0].1.to_string().starts_with("undecided"), "{:?}", report.faults);
}

#[test]
fn files_are_included_once_and_only_from_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("main.mm");
    std::fs::write(&main, "$[ a.mm $] $[ ./a.mm $] $[ main.mm $] q $a |- a $.").unwrap();
    std::fs::write(folder.path().join("a.mm"), "$c |- a $.\n").unwrap();
    let db = Database::open(&main).unwrap();
    assert_eq!((db.sources().len(), db.len()), (2, 1));
    std::fs::write(folder.path().join("a.mm"), "$c |- a $.\n ?? ").unwrap();
    let error = Database::open(&main).unwrap_err().to_string();
    assert!(error.ends_with("a.mm:2:2: `??` is not a label: only letters, digits, `.`, `-` and `_` are allowed"), "{error}");
    assert!(Database::open(folder.path()).unwrap_err().to_string().contains("not a regular file"));
    assert!(Database::open(&folder.path().join("none.mm")).is_err());
}

#[test]
fn reports_do_not_depend_on_threads() {
    let mut text = IMPLICATION.to_owned();
    for k in 0..300 {
        let proof = if k % 7 == 0 { "wph wph wi" } else { "wph id" };
        text.push_str(&format!("t{k} $p |- ( ph -> ph ) $= {proof} $.\n"));
    }
    let db = load(&text).unwrap();
    let one = verify(&db, KernelLimits::default(), NonZeroUsize::MIN);
    let four = verify(&db, KernelLimits::default(), NonZeroUsize::new(4).unwrap());
    assert_eq!(one.faults.len(), 43);
    assert_eq!((one.faults, one.steps, one.checked), (four.faults, four.steps, four.checked));
}
