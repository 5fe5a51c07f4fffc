//! Programs of every kind as simulators: honest ones give the same rows however the work is cut, and the hostile ones cost one item.
//!
//! The programs are shell scripts. An honest one answers with x = (id, seed, 2 id); a case in it may do otherwise for item 3.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use abduce_data::{ParameterInfo, Seed};
use abduce_inference::prior::{Bounds, Prior, PriorSpec};
use abduce_inference::simulator::external::{Exchange, ExternalProgram, MOST_FAILURES_AT_FIRST, ProgramSpec};
use abduce_inference::simulator::{Ending, Failure, FailureKind, RowSimulator, Rows, SimulationError, Theta, simulate_rows};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn prior(d: usize) -> Prior {
    Prior::new(PriorSpec::Uniform(Bounds { low: vec![0.0; d].into(), high: vec![1.0; d].into() })).unwrap()
}

fn program_of(spec: ProgramSpec, d: usize) -> ExternalProgram {
    ExternalProgram::new(spec, prior(d), ParameterInfo::numbered(d)).unwrap()
}

/// A script that answers each line; `case` is run first, with $id and $seed set, and may `continue`.
fn script(case: &str) -> String {
    format!(
        r#"while read -r line; do
            id=${{line#*\"id\":}}; id=${{id%%[,\}}]*}}
            seed=${{line#*\"seed\":}}; seed=${{seed%%[,\}}]*}}
            {case}
            echo "{{\"id\": $id, \"x\": [$id, $seed, $((2 * id))]}}"
        done"#
    )
}

fn spec(case: &str) -> ProgramSpec {
    ProgramSpec {
        timeout: Some(Duration::from_secs(1)),
        start_allowance: Duration::from_millis(500),
        ..ProgramSpec::json_lines(&["sh", "-c", &script(case)])
    }
}

fn files(command: &str) -> ProgramSpec {
    ProgramSpec {
        exchange: Exchange::NpyFiles,
        scratch: std::env::temp_dir(),
        ..ProgramSpec { command: ["sh", "-c", command, "sh", "{theta}", "{x}", "{seeds}"].map(str::to_owned).to_vec(), ..spec("") }
    }
}

fn rows(spec: ProgramSpec, count: usize) -> Rows {
    simulate_rows(&program_of(spec, 2), Theta::Prior, 0, count, Seed(5), &AtomicBool::new(false)).unwrap()
}

fn fails(spec: ProgramSpec) -> SimulationError {
    simulate_rows(&program_of(spec, 2), Theta::Prior, 0, 20, Seed(5), &AtomicBool::new(false)).unwrap_err()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// All rows are those of the honest program but for item 3, which failed as expected.
#[track_caller]
fn only_item_3_failed(found: &Rows, kind: FailureKind, attempts: u32, part: &str) {
    let [Failure { id: 3, kind: seen, message, attempts: tried }] = found.failures.as_slice() else { panic!("{:?}", found.failures) };
    assert_eq!((*seen, *tried), (kind, attempts), "{message}");
    assert!(message.contains(part), "{message}");
    let honest = rows(spec(""), found.x.rows());
    assert_eq!(honest.theta, found.theta);
    for row in 0..found.x.rows() {
        if row == 3 {
            assert!(found.x.row(row).iter().all(|value| value.is_nan()));
        } else {
            assert_eq!(honest.x.row(row), found.x.row(row));
        }
    }
}

fn item_3(action: &str) -> ProgramSpec {
    spec(&format!("if [ $id = 3 ]; then {action}; fi"))
}

#[test]
fn rows_depend_on_theta_seed_and_index_alone() {
    let reference = rows(spec(""), 40);
    assert!(reference.failures.is_empty() && reference.leading() == 40);
    assert!((0..40).all(|row| reference.x.row(row)[0] == row as f32 && reference.x.row(row)[2] == 2.0 * row as f32));
    let seeds: std::collections::HashSet<u32> = (0..40).map(|row| reference.x.row(row)[1].to_bits()).collect();
    assert_eq!(seeds.len(), 40);
    for (workers, batch) in [(1, 7), (4, 1), (3, 5)] {
        // Every third answer takes longer, so the order of completion differs.
        let slow = spec("if [ $((id % 3)) = 0 ]; then sleep 0.01; fi");
        let slow = ProgramSpec { workers: NonZeroUsize::new(workers).unwrap(), batch: NonZeroUsize::new(batch).unwrap(), ..slow };
        let found = rows(slow, 40);
        assert_eq!((found.theta, found.x), (reference.theta.clone(), reference.x.clone()), "{workers} workers, batches of {batch}");
    }
    // A part of the items gives the same rows, with θ given or drawn.
    let program = program_of(spec(""), 2);
    let stop = AtomicBool::new(false);
    let part = simulate_rows(&program, Theta::Prior, 10, 5, Seed(5), &stop).unwrap();
    let given = simulate_rows(&program, Theta::Given(part.theta.data()), 10, 5, Seed(5), &stop).unwrap();
    assert_eq!(part.x, reference.x.select_rows(10..15));
    assert_eq!((given.theta, given.x), (part.theta, part.x));
}

#[test]
fn theta_arrives_as_it_is_stored() {
    // The line is sent back in a message, from which θ is read.
    let echo = spec(r#"echo "{\"id\": $id, \"error\": \"$(echo "$line" | tr -d '"')\"}"; continue"#);
    let found = rows(ProgramSpec { data_shape: Some(vec![1]), ..echo }, 5);
    for (row, failure) in found.failures.iter().enumerate() {
        let list = failure.message.split_once("theta:[").unwrap().1.split(']').next().unwrap();
        let received: Vec<f64> = list.split(',').map(|value| value.parse().unwrap()).collect();
        let stored: Vec<f64> = found.theta.row(row).iter().copied().map(f64::from).collect();
        assert_eq!(received, stored);
        assert_eq!((failure.kind, failure.attempts), (FailureKind::Reported, 1));
    }
    assert_eq!(found.failures.len(), 5);
}

#[test]
fn answers_in_any_order_and_images() {
    // Answers are held back and given in reverse, three at a time.
    let reverse = r#"held="{\"id\": $id, \"x\": [[$id, 1], [2, null]]}
$held"; n=$((n + 1)); if [ $n = 3 ]; then printf '%s' "$held"; held=; n=0; fi; continue"#;
    let spec = ProgramSpec { batch: NonZeroUsize::new(3).unwrap(), data_shape: Some(vec![2, 2]), ..spec(reverse) };
    let program = program_of(spec, 1);
    let found = simulate_rows(&program, Theta::Prior, 0, 6, Seed(1), &AtomicBool::new(false));
    // The last batches are smaller than three and would wait for ever: they are what time-outs are for.
    let found = found.unwrap();
    assert_eq!(found.x.shape(), [6, 2, 2]);
    assert!((0..3).all(|row| found.x.row(row)[0] == row as f32 && found.x.row(row)[3].is_nan()), "{found:?}");
}

#[test]
fn garbage() {
    only_item_3_failed(&rows(item_3("echo 'Loading tables'; continue"), 8), FailureKind::Unreadable, 2, "\"Loading tables\"");
    only_item_3_failed(&rows(item_3(r"head -c 3000 /dev/urandom; echo; continue"), 8), FailureKind::Unreadable, 2, "in the line");
}

#[test]
fn too_much_output() {
    let flood = ProgramSpec { max_answer_bytes: 10_000, ..item_3("yes | tr -d '\\n'") };
    only_item_3_failed(&rows(flood, 8), FailureKind::TooLarge, 2, "longer than allowed");
    // Many lines, each a proper answer: the first counts, and what follows belongs to nobody.
    let lines = ProgramSpec { retries: 0, ..item_3(r#"yes "{\"id\": 3, \"x\": [3, $seed, 6]}""#) };
    let found = rows(lines, 8);
    assert!(found.failures.is_empty() && found.x == rows(spec(""), 8).x, "{found:?}");
    let errors = item_3("yes 'a long complaint' >&2");
    let found = rows(errors, 5);
    only_item_3_failed(&found, FailureKind::TimedOut, 2, "a long complaint");
    assert!(found.failures[0].message.len() < 3000);
}

#[test]
fn wrong_ids() {
    only_item_3_failed(&rows(item_3("id=99"), 8), FailureKind::Unreadable, 2, "answered for id 99");
    // The answer to an earlier item again.
    only_item_3_failed(&rows(item_3("id=2"), 8), FailureKind::Unreadable, 2, "answered for id 2");
}

#[test]
fn wrong_lengths() {
    let short = item_3(r#"echo '{"id": 3, "x": [1, 2]}'; continue"#);
    only_item_3_failed(&rows(short, 8), FailureKind::WrongShape, 1, "shape [2], expected [3]");
    let nested = item_3(r#"echo '{"id": 3, "x": [[1, 2, 3]]}'; continue"#);
    only_item_3_failed(&rows(nested, 8), FailureKind::WrongShape, 1, "shape [1, 3], expected [3]");
}

#[test]
fn death() {
    let dies = item_3("echo 'no such table: halofit' >&2; exit 7");
    only_item_3_failed(&rows(dies.clone(), 8), FailureKind::Crashed, 2, "exit status: 7; it said: no such table: halofit");
    // In a batch nobody else is blamed, and the others are not tried too often.
    let batch = NonZeroUsize::new(8).unwrap();
    only_item_3_failed(&rows(ProgramSpec { batch, retries: 0, ..dies }, 16), FailureKind::Crashed, 1, "status: 7");
    only_item_3_failed(&rows(item_3("kill -9 $$"), 8), FailureKind::Crashed, 2, "signal: 9");
    // Output closed, process alive.
    only_item_3_failed(&rows(item_3("exec >&-; sleep 100"), 5), FailureKind::Crashed, 2, "");
}

#[test]
fn a_used_worker_may_die_at_any_time() {
    // After two answers each worker ends: nobody's fault, and no item may suffer from it even without retries.
    let tired = ProgramSpec { retries: 0, ..spec("n=$((n + 1)); if [ $n = 3 ]; then exit 1; fi") };
    assert!(rows(tired, 20).failures.is_empty());
}

#[test]
fn hanging_ends_with_all_that_was_started() {
    let dir = tempfile::tempdir().unwrap();
    let marker = dir.path().join("alive");
    // A grandchild that would write to the marker two seconds later.
    let hangs = item_3(&format!("(sleep 2; echo > '{}') & sleep 100", marker.display()));
    let hangs = ProgramSpec { timeout: Some(Duration::from_millis(400)), start_allowance: Duration::ZERO, retries: 0, ..hangs };
    let begun = Instant::now();
    only_item_3_failed(&rows(hangs, 8), FailureKind::TimedOut, 1, "no answer within 0.4 s");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    std::thread::sleep(Duration::from_millis(2200));
    assert!(!marker.exists(), "a grandchild outlived its group");
}

#[test]
fn standard_input_that_is_never_read() {
    // A line of 20 000 numbers is larger than any pipe.
    let deaf = ProgramSpec {
        timeout: Some(Duration::from_millis(200)),
        start_allowance: Duration::ZERO,
        retries: 0,
        data_shape: Some(vec![1]),
        ..ProgramSpec::json_lines(&["sleep", "100"])
    };
    let program = program_of(deaf, 20_000);
    let found = simulate_rows(&program, Theta::Prior, 0, 2, Seed(1), &AtomicBool::new(false)).unwrap();
    assert!(found.failures.len() == 2 && found.failures.iter().all(|failure| failure.kind == FailureKind::TimedOut));
}

#[test]
fn a_program_that_never_works_is_an_error_at_once() {
    let error = fails(ProgramSpec::json_lines(&["sh", "-c", "echo 'ModuleNotFoundError: camb' >&2; exit 1"])).to_string();
    assert!(error.contains(&format!("none of the first {MOST_FAILURES_AT_FIRST} simulations worked")), "{error}");
    assert!(error.contains("ModuleNotFoundError: camb"), "{error}");
    let error = fails(ProgramSpec::json_lines(&["no-such-program-anywhere"]));
    assert!(matches!(&error, SimulationError::Start { program, .. } if program == "no-such-program-anywhere"), "{error}");
    let error = fails(ProgramSpec { data_shape: Some(vec![3]), ..ProgramSpec::json_lines(&["./absent.sh"]) });
    assert!(error.to_string().starts_with("cannot start `./absent.sh` in ."), "{error}");
}

#[test]
fn early_failures_do_not_hide_the_shape() {
    let found = rows(spec(r#"if [ $id -lt 4 ]; then echo "{\"id\": $id, \"error\": \"early\"}"; continue; fi"#), 8);
    assert_eq!(found.failures.iter().map(|failure| failure.id).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(found.x.shape(), [8, 3]);
}

#[test]
fn a_stop_ends_the_work_at_once_and_keeps_what_is_there() {
    let stop = AtomicBool::new(false);
    let program = program_of(spec("if [ $id = 5 ]; then sleep 100; fi"), 2);
    let begun = Instant::now();
    let (ending, done) = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            stop.store(true, Ordering::Relaxed);
        });
        let indices: Vec<u64> = (0..20).collect();
        let mut done = Vec::new();
        let request = abduce_inference::simulator::Request::new(&indices, Theta::Prior, Seed(5), &stop);
        let ending = program.run(&request, &mut |item| {
            done.push(item.index);
            std::ops::ControlFlow::Continue(())
        });
        (ending.unwrap(), done)
    });
    assert_eq!(ending, Ending::Stopped);
    assert_eq!(done, [0, 1, 2, 3, 4]);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn the_receiver_may_end_the_work() {
    let indices: Vec<u64> = (0..1000).collect();
    let stop = AtomicBool::new(false);
    let program = program_of(ProgramSpec { workers: NonZeroUsize::new(3).unwrap(), ..spec("") }, 2);
    let mut seen = 0;
    let request = abduce_inference::simulator::Request::new(&indices, Theta::Prior, Seed(5), &stop);
    let ending = program.run(&request, &mut |_| {
        seen += 1;
        if seen == 10 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    assert_eq!((ending.unwrap(), seen), (Ending::Stopped, 10));
}

#[test]
fn npy_files() {
    // x is a copy of θ, in double precision as it was written.
    let copied = rows(files(r#"cp "$1" "$2""#), 6);
    assert_eq!((copied.x.shape(), bits(copied.x.data())), (&[6, 2][..], bits(copied.theta.data())));
    let batch = NonZeroUsize::new(4).unwrap();
    let batched = rows(ProgramSpec { batch, workers: NonZeroUsize::new(2).unwrap(), ..files(r#"cp "$1" "$2""#) }, 11);
    assert_eq!(bits(batched.x.data()), bits(batched.theta.data()));
    // The seeds are those of the lines of JSON.
    let seeds = rows(ProgramSpec { batch, ..files(r#"cp "$3" "$2""#) }, 6);
    let honest = rows(spec(""), 6);
    assert!((0..6).all(|row| seeds.x.row(row)[0] == honest.x.row(row)[1]));
}

#[test]
fn npy_files_that_go_wrong() {
    let known = |command: &str| ProgramSpec {
        data_shape: Some(vec![2]),
        retries: 0,
        timeout: Some(Duration::from_millis(300)),
        max_answer_bytes: 1000,
        ..files(command)
    };
    let cases = [
        ("echo 'cannot converge' >&2; exit 3", FailureKind::Crashed, "exit status: 3; it said: cannot converge"),
        ("sleep 100", FailureKind::TimedOut, "no answer within 0.3 s"),
        ("true", FailureKind::Unreadable, "without a file for x"),
        (r#"echo hello > "$2""#, FailureKind::Unreadable, "not an npy file"),
        (r#"head -c 100000 /dev/zero > "$2""#, FailureKind::TooLarge, "100000 bytes"),
        (r#"cp "$3" "$2""#, FailureKind::WrongShape, "shape [1], expected [2]"),
        (r#"mkfifo "$2""#, FailureKind::Unreadable, "without a file for x"),
    ];
    for (command, kind, part) in cases {
        let found = rows(known(command), 2);
        assert_eq!(found.failures.len(), 2, "{command}");
        assert!(found.failures[0].kind == kind && found.failures[0].message.contains(part), "{command}: {:?}", found.failures[0]);
    }
    // In a batch, one that breaks costs nobody else.
    let picky = r#"if [ $(wc -c < "$3") -gt 136 ]; then exit 1; fi; cp "$1" "$2""#;
    let found = rows(ProgramSpec { batch: NonZeroUsize::new(3).unwrap(), ..known(picky) }, 7);
    assert!(found.failures.is_empty(), "{:?}", found.failures);
}

#[test]
fn descriptions_that_cannot_be_right() {
    let refused = |spec: ProgramSpec| ExternalProgram::new(spec, prior(2), ParameterInfo::numbered(2)).err().unwrap().to_string();
    let with = |command: &[&str]| ProgramSpec { exchange: Exchange::NpyFiles, ..ProgramSpec::json_lines(command) };
    assert!(refused(with(&[])).contains("the command is empty"));
    assert!(refused(with(&["prog", "{theta}"])).contains("where `{x}` goes"));
    let batched = ProgramSpec { batch: NonZeroUsize::new(2).unwrap(), ..with(&["prog", "{theta}", "{x}", "{seed}"]) };
    assert!(refused(batched).contains("`{seed}` belongs to a single simulation"));
    assert!(refused(ProgramSpec { data_shape: Some(vec![2, 0]), ..spec("") }).contains("at least 1"));
    let names = ExternalProgram::new(spec(""), prior(2), ParameterInfo::numbered(3)).err().unwrap().to_string();
    assert!(names.contains("3 parameters are named, the prior has 2"), "{names}");
    let program = program_of(spec(""), 2);
    let error = simulate_rows(&program, Theta::Given(&[0.5; 3]), 0, 2, Seed(1), &AtomicBool::new(false)).unwrap_err();
    assert!(error.to_string().contains("3 values of theta do not make 2 rows of 2 parameters"), "{error}");
}

#[test]
fn a_changed_script_is_another_simulator() {
    let dir = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(dir.path().join("sim.sh"), text).unwrap();
    let identity = || {
        let spec = ProgramSpec { folder: dir.path().to_path_buf(), ..ProgramSpec::json_lines(&["sh", "sim.sh"]) };
        program_of(spec, 2).identity()
    };
    write(&script(""));
    let first = identity();
    assert_eq!(first, identity());
    write(&script("true"));
    assert_ne!(first, identity());
}
