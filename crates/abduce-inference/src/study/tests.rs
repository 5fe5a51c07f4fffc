//! One suite for every storage, and what is particular to the file.

use super::*;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const HEADER: (&str, &str) = ("npe", "ab12");

fn quick() -> Patience {
    Patience { interval: Duration::from_millis(40), max_attempts: 2 }
}

fn params(k: usize) -> Params {
    [("k".to_string(), json!(k))].into()
}

fn propose(_: &StudyState, trial: usize) -> Params {
    params(trial)
}

/// What every storage does. `open` gives a new user of the same record, patient or not.
pub(super) fn suite(open: &dyn Fn(&str, Patience) -> Box<dyn Storage>) {
    let header = StudyHeader::new(HEADER.0, HEADER.1);
    let mut a = open("a", Patience::default());
    a.begin(&header).unwrap();
    let mut b = open("b", Patience::default());
    b.begin(&header).unwrap();
    for (name, hash, what) in [("npe", "ff", "what its scores depend on"), ("other", "ab12", "the name")] {
        let error = open("c", Patience::default()).begin(&StudyHeader::new(name, hash)).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }

    // Numbers are given out once, in order, up to the budget.
    let first = a.claim("a", 3, &mut propose).unwrap().unwrap();
    let second = b.claim("b", 3, &mut propose).unwrap().unwrap();
    let third = a.claim("a", 3, &mut propose).unwrap().unwrap();
    assert_eq!([first.trial, second.trial, third.trial], [0, 1, 2]);
    assert_eq!((second.params.clone(), second.attempt), (params(1), 1));
    assert_eq!(b.claim("b", 3, &mut propose).unwrap(), None);

    // Steps in any order and twice, an end, and nothing after it.
    for (step, value) in [(2, 1.5), (1, 1.0), (2, 1.25), (3, f64::NAN)] {
        assert!(a.step(&first, step, value).unwrap());
    }
    assert!(a.end(&first, Outcome::Complete { value: 1.25 }).unwrap());
    assert!(!a.step(&first, 4, 9.0).unwrap() && !a.end(&first, Outcome::Complete { value: 9.0 }).unwrap());
    let state = b.refresh().unwrap();
    assert_eq!(state.trials[&0].steps, [(1, 1.0), (2, 1.25)]);
    assert_eq!(state.trials[&0].value(), Some(1.25));

    // The pessimistic value of those that are running and of those that failed.
    assert!(b.end(&second, Outcome::Pruned { value: -4.0 }).unwrap());
    let seen: Vec<f64> = a.refresh().unwrap().observations(9).iter().map(|seen| seen.score).collect();
    assert_eq!(seen, [1.25, -4.0, -4.0]);

    // Released: the next one goes on at once, with the same values.
    assert!(a.end(&third, Outcome::Released).unwrap());
    let taken = b.claim("b", 3, &mut propose).unwrap().unwrap();
    assert_eq!((taken.trial, taken.attempt, &taken.params), (2, 2, &params(2)));
    assert!(!a.beat(&third).unwrap(), "the former owner is fenced");
    assert!(b.end(&taken, Outcome::Failed { error: "diverged".into() }).unwrap());
    assert_eq!(a.refresh().unwrap().ranking(), [0], "only complete trials are ranked");

    // A worker that says nothing loses its trial to whoever has waited long enough; its result comes too late.
    let silent = a.claim("a", 4, &mut propose).unwrap().unwrap();
    let mut waiter = open("w", quick());
    assert_eq!(waiter.claim("w", 4, &mut propose).unwrap(), None, "just seen");
    std::thread::sleep(quick().interval * 3);
    let taken = waiter.claim("w", 4, &mut propose).unwrap().unwrap();
    assert_eq!((taken.trial, taken.attempt), (silent.trial, 2));
    assert!(!a.end(&silent, Outcome::Complete { value: 99.0 }).unwrap());
    assert!(waiter.beat(&taken).unwrap());
    // After the last attempt it fails.
    std::thread::sleep(quick().interval * 3);
    assert_eq!(waiter.claim("w", 4, &mut propose).unwrap(), None);
    let record = &a.refresh().unwrap().trials[&3];
    assert!(
        matches!(&record.state, TrialState::Ended(Outcome::Failed { error }) if error.contains("no sign of life from w")),
        "{record:?}"
    );
}

fn journal(folder: &Path, owner: &str, patience: Patience) -> JournalFile {
    JournalFile::open(&folder.join("journal.jsonl"), owner, patience).unwrap()
}

#[test]
fn the_journal_is_a_storage() {
    let dir = tempfile::tempdir().unwrap();
    suite(&|owner, patience| Box::new(journal(dir.path(), owner, patience)));
}

#[test]
fn a_sign_of_life_keeps_a_trial() {
    let dir = tempfile::tempdir().unwrap();
    let mut a = journal(dir.path(), "a", quick());
    let claim = a.claim("a", 1, &mut propose).unwrap().unwrap();
    let mut waiter = journal(dir.path(), "w", quick());
    for _ in 0..6 {
        std::thread::sleep(quick().interval);
        assert!(a.beat(&claim).unwrap());
        assert_eq!(waiter.claim("w", 1, &mut propose).unwrap(), None);
    }
}

#[test]
fn a_torn_line_is_closed_and_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.jsonl");
    let mut a = journal(dir.path(), "a", Patience::default());
    a.begin(&StudyHeader::new("s", "h")).unwrap();
    let claim = a.claim("a", 9, &mut propose).unwrap().unwrap();
    let torn = br#"{"op":"end","trial":0,"worker":"a","attempt":1,"state":"comp"#;
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(torn).unwrap();
    let mut b = journal(dir.path(), "b", Patience::default());
    assert_eq!(b.refresh().unwrap().unreadable, 0, "an unfinished line may still be finished");
    assert!(a.step(&claim, 1, 0.5).unwrap());
    for user in [&mut a, &mut b] {
        let state = user.refresh().unwrap();
        assert_eq!((state.unreadable, state.trials[&0].steps.as_slice()), (1, &[(1, 0.5)][..]));
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().nth(2).unwrap().ends_with("comp") && text.ends_with("}\n"), "{text}");
}

#[test]
fn the_first_claim_holds_whatever_follows() {
    let mut state = StudyState::default();
    let claim = |worker: &str, attempt| Operation::Trial { trial: 0, params: params(7), worker: worker.into(), attempt, time: 0 };
    for operation in [claim("a", 1), claim("b", 1), claim("b", 3)] {
        state.apply(operation);
    }
    assert!(state.is_owned(0, "a", 1) && state.fenced == 2);
    state.apply(claim("b", 2));
    assert!(state.is_owned(0, "b", 2) && !state.is_owned(0, "a", 1));
    state.apply(Operation::End { trial: 0, worker: "a".into(), attempt: 1, outcome: Outcome::Complete { value: 1.0 } });
    assert!(state.is_owned(0, "b", 2) && state.fenced == 3);
}

#[test]
fn a_lock_of_the_dead_is_broken_and_one_of_the_living_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("journal.lock");
    std::fs::write(&lock, "n1-4711 12.0\n").unwrap();
    let mut a = journal(dir.path(), "a", Patience::default()).with_stale_lock(Duration::from_millis(50));
    a.begin(&StudyHeader::new("s", "h")).unwrap();
    assert_eq!((a.broken_locks(), lock.exists()), (1, false));
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["journal.jsonl"], "nothing is left aside");

    std::fs::write(&lock, "alive").unwrap();
    let remover = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        std::fs::remove_file(lock).unwrap();
    });
    let mut b = journal(dir.path(), "b", Patience::default());
    b.claim("b", 1, &mut propose).unwrap().unwrap();
    assert_eq!(b.broken_locks(), 0);
    remover.join().unwrap();
}

#[test]
fn many_workers_claim_every_trial_once() {
    let dir = tempfile::tempdir().unwrap();
    many_workers(&|owner| Box::new(journal(dir.path(), owner, Patience::default())), 240);

    // A snapshot was made on the way: whoever begins with it sees what the whole journal says.
    let snapshot = dir.path().join("journal.snapshot.json");
    assert!(snapshot.exists());
    let compacted = journal(dir.path(), "c", Patience::default()).refresh().unwrap().clone();
    std::fs::remove_file(&snapshot).unwrap();
    let whole = journal(dir.path(), "d", Patience::default()).refresh().unwrap().clone();
    assert_eq!(compacted, whole);
    // One that does not belong to the journal is not used.
    std::fs::write(&snapshot, r#"{"v":1,"offset":99999999,"state":{"header":null,"trials":{},"fenced":0,"unreadable":0}}"#).unwrap();
    assert_eq!(*journal(dir.path(), "e", Patience::default()).refresh().unwrap(), whole);
}

/// Four at once: every trial has one claim.
pub(super) fn many_workers(open: &(dyn Fn(&str) -> Box<dyn Storage> + Sync), budget: usize) {
    let claims: Vec<Vec<usize>> = std::thread::scope(|scope| {
        let work = |name: String| {
            let mut journal = open(&name);
            journal.begin(&StudyHeader::new("s", "h")).unwrap();
            let mut mine = Vec::new();
            while let Some(claim) = journal.claim(&name, budget, &mut propose).unwrap() {
                assert!(journal.end(&claim, Outcome::Complete { value: claim.trial as f64 }).unwrap());
                mine.push(claim.trial);
            }
            mine
        };
        let threads: Vec<_> = (0..4).map(|k| scope.spawn(move || work(format!("w{k}")))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all: Vec<usize> = claims.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..budget).collect::<Vec<_>>());
}

#[test]
fn a_newer_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("journal.jsonl"), "{\"op\":\"study\",\"v\":9,\"name\":\"s\",\"config_hash\":\"h\"}\n").unwrap();
    let error = JournalFile::open(&dir.path().join("journal.jsonl"), "a", Patience::default()).unwrap_err();
    assert!(error.to_string().contains("its format is 9"), "{error}");
}
