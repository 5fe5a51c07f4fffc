//! The store: nothing is simulated twice, and what comes out depends on nothing but the key.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use abduce_data::{ParameterInfo, Seed, npy};
use abduce_inference::prior::{Bounds, Prior, PriorSpec};
use abduce_inference::simulator::store::{FailedItems, Fill, Flush, SeriesKey, Store, StoreError};
use abduce_inference::simulator::{
    Completed, Ending, Failure, FailureKind, InProcess, Request, RowSimulator, SimulationError, Theta, named, simulate_table,
};
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static GO_ON: AtomicBool = AtomicBool::new(false);

/// x = (index, θ), counted; items divisible by 7 fail while it is `moody`.
struct Counting {
    prior: Prior,
    simulated: Mutex<Vec<u64>>,
    moody: AtomicBool,
}

impl Counting {
    fn new() -> Self {
        let prior = Prior::new(PriorSpec::Uniform(Bounds { low: [0.0].into(), high: [1.0].into() })).unwrap();
        Self { prior, simulated: Mutex::default(), moody: AtomicBool::new(true) }
    }

    /// The items simulated since the last call, sorted.
    fn taken(&self) -> Vec<u64> {
        let mut taken = std::mem::take(&mut *self.simulated.lock().unwrap());
        taken.sort_unstable();
        taken
    }
}

impl RowSimulator for Counting {
    fn identity(&self) -> Value {
        json!({"task": "counting"})
    }

    fn parameters(&self) -> Vec<ParameterInfo> {
        ParameterInfo::numbered(1)
    }

    fn prior(&self) -> &Prior {
        &self.prior
    }

    fn data_shape(&self) -> Option<Vec<usize>> {
        Some(vec![2])
    }

    fn run(&self, request: &Request<'_>, each: &mut dyn FnMut(Completed<'_>) -> ControlFlow<()>) -> Result<Ending, SimulationError> {
        for (position, &index) in request.indices.iter().enumerate() {
            if request.stop.load(Ordering::Relaxed) {
                return Ok(Ending::Stopped);
            }
            if (request.skip)(index) {
                continue;
            }
            let mut theta = [0.0];
            match request.theta {
                Theta::Prior => self.prior.sample(&mut request.seed.stream("theta", index), &mut theta),
                Theta::Given(given) => theta[0] = f64::from(given[position]),
            }
            self.simulated.lock().unwrap().push(index);
            let theta = [theta[0] as f32];
            let failure = Failure { id: index, kind: FailureKind::Reported, message: format!("no {index}"), attempts: 1 };
            let failed = self.moody.load(Ordering::Relaxed) && index % 7 == 3;
            let x = [index as f32, theta[0]];
            let x = if failed { Err(&failure) } else { Ok(&x[..]) };
            if each(Completed { position, index, theta: &theta, x }).is_break() {
                return Ok(Ending::Stopped);
            }
        }
        Ok(Ending::Complete)
    }
}

fn key(simulator: &dyn RowSimulator) -> SeriesKey {
    SeriesKey::from_prior(simulator, Seed(9)).unwrap()
}

fn exported(folder: &Path, simulator: &dyn RowSimulator, items: u64) -> [Vec<u8>; 2] {
    let (theta, x) = (folder.join("theta.npy"), folder.join("x.npy"));
    Store::open(folder).unwrap().series(&key(simulator)).unwrap().export(0..items, &theta, &x).unwrap();
    [theta, x].map(|path| std::fs::read(path).unwrap())
}

fn names(folder: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|found| found == extension));
    names.sort_unstable();
    names
}

#[test]
fn only_what_is_missing_is_simulated() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Counting::new();
    let store = Store::open(dir.path()).unwrap();
    let mut series = store.series(&key(&simulator)).unwrap();
    let filled = series.fill(&simulator, &Fill::new(10..20, &GO_ON), &mut |_| {}).unwrap();
    assert_eq!((filled.found, filled.simulated, filled.failed, filled.ending), (0, 10, 2, Ending::Complete));
    assert_eq!(simulator.taken(), (10..20).collect::<Vec<_>>());
    // In the same process and in another.
    for mut series in [series, store.series(&key(&simulator)).unwrap()] {
        let filled = series.fill(&simulator, &Fill::new(10..20, &GO_ON), &mut |_| {}).unwrap();
        assert_eq!((filled.found, filled.simulated), (10, 0));
    }
    let mut series = store.series(&key(&simulator)).unwrap();
    assert_eq!(series.leading(), 0);
    let filled = series.fill(&simulator, &Fill::new(0..25, &GO_ON), &mut |_| {}).unwrap();
    assert_eq!((filled.found, filled.simulated), (10, 15));
    assert_eq!(simulator.taken(), [(0..10).collect::<Vec<_>>(), (20..25).collect()].concat());
    assert_eq!((series.len(), series.leading()), (25, 25));
    // Another seed is another series.
    let other = SeriesKey { seed: Seed(10), ..key(&simulator) };
    assert!(store.series(&other).unwrap().is_empty());
    let mut keys = store.keys().unwrap();
    keys.sort_by_key(|key| key.seed.0);
    assert_eq!(keys, [key(&simulator), other]);
}

#[test]
fn bytes_do_not_depend_on_blocks_interruptions_and_order() {
    let simulator = Counting::new();
    let whole = tempfile::tempdir().unwrap();
    let mut series = Store::open(whole.path()).unwrap().series(&key(&simulator)).unwrap();
    series.fill(&simulator, &Fill::new(0..100, &GO_ON), &mut |_| {}).unwrap();
    let expected = exported(whole.path(), &simulator, 100);
    let x = npy::read::<f32>(&whole.path().join("x.npy")).unwrap();
    assert!((0..100).all(|row| if row % 7 == 3 { x.row(row)[0].is_nan() } else { x.row(row)[0] == row as f32 }));

    for rows in [1, 7, 30] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        // Stopped several times, in an order that starts in the middle.
        for (from, to, after) in [(40, 60, 11), (0, 50, 13), (0, 100, 17), (0, 100, usize::MAX)] {
            let stop = AtomicBool::new(false);
            let fill = Fill { flush: Flush::Rows(rows), ..Fill::new(from..to, &stop) };
            let mut series = store.series(&key(&simulator)).unwrap();
            let filled = series.fill(&simulator, &fill, &mut |at| stop.store(at.simulated >= after, Ordering::Relaxed)).unwrap();
            assert_eq!(filled.ending == Ending::Stopped, after != usize::MAX);
        }
        assert_eq!(exported(dir.path(), &simulator, 100), expected, "blocks of {rows}");
        let series = store.series(&key(&simulator)).unwrap();
        assert_eq!(series.failures(0..100).iter().map(|failure| failure.id).collect::<Vec<_>>(), (3..100).step_by(7).collect::<Vec<_>>());
        assert_eq!(series.failures(3..11).iter().map(|failure| failure.message.as_str()).collect::<Vec<_>>(), ["no 3", "no 10"]);
    }
}

#[test]
fn a_built_in_task_gives_the_rows_that_it_gives_without_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let table = simulate_table(named("slcp").unwrap().as_ref(), 300, Seed(9), NonZeroUsize::MIN);
    let simulator = InProcess::new(named("slcp").unwrap(), NonZeroUsize::new(3).unwrap());
    let mut series = Store::open(dir.path()).unwrap().series(&key(&simulator)).unwrap();
    series.fill(&simulator, &Fill { flush: Flush::Rows(70), ..Fill::new(0..300, &GO_ON) }, &mut |_| {}).unwrap();
    let rows = series.rows(0..300).unwrap();
    assert_eq!((rows.theta.data(), rows.x.data()), (&table.theta[..], &table.x[..]));
}

#[test]
fn failures_stay_or_are_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Counting::new();
    let mut series = Store::open(dir.path()).unwrap().series(&key(&simulator)).unwrap();
    series.fill(&simulator, &Fill::new(0..20, &GO_ON), &mut |_| {}).unwrap();
    simulator.taken();
    simulator.moody.store(false, Ordering::Relaxed);
    series.fill(&simulator, &Fill::new(0..20, &GO_ON), &mut |_| {}).unwrap();
    assert!(simulator.taken().is_empty());
    series.fill(&simulator, &Fill { failed: FailedItems::Again, ..Fill::new(0..20, &GO_ON) }, &mut |_| {}).unwrap();
    assert_eq!(simulator.taken(), [3, 10, 17]);
    // A success takes the failure's place, here and for whoever opens the store next.
    for series in [series, Store::open(dir.path()).unwrap().series(&key(&simulator)).unwrap()] {
        assert!(series.failures(0..20).is_empty() && series.len() == 20);
        assert_eq!(series.rows(10..11).unwrap().x.row(0)[0], 10.0);
    }
}

#[test]
fn torn_blocks_are_counted_and_simulated_again() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Counting::new();
    let store = Store::open(dir.path()).unwrap();
    let mut series = store.series(&key(&simulator)).unwrap();
    series.fill(&simulator, &Fill { flush: Flush::Rows(10), ..Fill::new(0..40, &GO_ON) }, &mut |_| {}).unwrap();
    simulator.taken();
    let expected = exported(dir.path(), &simulator, 40);
    let blocks = names(series.folder(), "block");
    assert_eq!(blocks.len(), 4);
    let bytes = std::fs::read(&blocks[1]).unwrap();
    std::fs::write(&blocks[1], &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(&blocks[2], vec![0; bytes.len()]).unwrap();
    std::fs::write(series.folder().join("000-foreign.block"), "hello").unwrap();
    // What a killed process leaves behind.
    std::fs::write(series.folder().join(".000-x.block.123.partial"), &bytes).unwrap();
    let mut series = store.series(&key(&simulator)).unwrap();
    assert_eq!((series.torn(), series.len(), series.leading()), (3, 20, 10));
    let error = series.export(0..40, &dir.path().join("t.npy"), &dir.path().join("x.npy")).unwrap_err();
    assert!(matches!(error, StoreError::Missing { missing: 20, wanted: 40, first: 10 }), "{error}");
    series.fill(&simulator, &Fill { flush: Flush::Rows(10), ..Fill::new(0..40, &GO_ON) }, &mut |_| {}).unwrap();
    assert_eq!(simulator.taken(), (10..30).collect::<Vec<_>>());
    assert_eq!(exported(dir.path(), &simulator, 40), expected);
    assert!(names(series.folder(), "active").is_empty());
}

#[test]
fn several_may_fill_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let alone = tempfile::tempdir().unwrap();
    let simulator = InProcess::new(named("two_moons").unwrap(), NonZeroUsize::MIN);
    let fill = |folder: &Path, rows| {
        let mut series = Store::open(folder).unwrap().series(&key(&simulator)).unwrap();
        series.fill(&simulator, &Fill { flush: Flush::Rows(rows), ..Fill::new(0..3000, &GO_ON) }, &mut |_| {}).unwrap()
    };
    fill(alone.path(), 5000);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let folder = dir.path();
            scope.spawn(move || fill(folder, 40 + writer));
        }
    });
    assert_eq!(exported(dir.path(), &simulator, 3000), exported(alone.path(), &simulator, 3000));
    assert_eq!(Store::open(dir.path()).unwrap().series(&key(&simulator)).unwrap().torn(), 0);
}

#[test]
fn what_others_have_done_meanwhile_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let (slow, quick) = (Counting::new(), Counting::new());
    let open = || Store::open(dir.path()).unwrap().series(&key(&slow)).unwrap();
    let (mut series, mut other) = (open(), open());
    let fill = Fill { flush: Flush::Rows(5), ..Fill::new(0..100, &GO_ON) };
    let filled = series.fill(&slow, &fill, &mut |at| {
        // After four items somebody else does half of the work.
        if at.simulated == 4 {
            other.fill(&quick, &Fill::new(50..100, &GO_ON), &mut |_| {}).unwrap();
        }
    });
    assert_eq!((filled.unwrap().simulated, slow.taken().len(), series.len()), (50, 50, 100));
}

#[test]
fn rounds_with_given_theta() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Counting::new();
    let sequential = SeriesKey { proposal: json!("run 7"), ..key(&simulator) };
    let mut series = Store::open(dir.path()).unwrap().series(&sequential).unwrap();
    let (first, second) = ([0.1f32, 0.2, 0.3], [0.4f32, 0.5]);
    series.fill(&simulator, &Fill { theta: Theta::Given(&first), ..Fill::new(0..3, &GO_ON) }, &mut |_| {}).unwrap();
    series.fill(&simulator, &Fill { theta: Theta::Given(&second), round: 1, ..Fill::new(3..5, &GO_ON) }, &mut |_| {}).unwrap();
    let rows = series.rows(0..9).unwrap();
    assert_eq!((rows.indices, rows.rounds), (vec![0, 1, 2, 3, 4], vec![0, 0, 0, 1, 1]));
    assert_eq!(rows.theta.data(), [0.1, 0.2, 0.3, 0.4, 0.5]);
    simulator.taken();
    series.fill(&simulator, &Fill { theta: Theta::Given(&second), ..Fill::new(3..5, &GO_ON) }, &mut |_| {}).unwrap();
    assert!(simulator.taken().is_empty());
    let changed = [0.4f32, 0.6];
    let error = series.fill(&simulator, &Fill { theta: Theta::Given(&changed), ..Fill::new(3..5, &GO_ON) }, &mut |_| {}).unwrap_err();
    assert!(matches!(error, StoreError::Theta { index: 4 }), "{error}");
}

#[test]
fn stores_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let simulator = Counting::new();
    let store = Store::open(dir.path()).unwrap();
    let series = store.series(&key(&simulator)).unwrap();
    let manifest = series.folder().join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"format_version\": 1", "\"format_version\": 2")).unwrap();
    let error = store.series(&key(&simulator)).unwrap_err().to_string();
    assert!(error.contains("written by a newer version: its format is 2"), "{error}");
    std::fs::write(&manifest, text.replace("counting", "other")).unwrap();
    assert!(matches!(store.series(&key(&simulator)), Err(StoreError::Foreign { .. })));
    std::fs::write(&manifest, "{").unwrap();
    assert!(store.series(&key(&simulator)).unwrap_err().to_string().contains("damaged JSON"));
    // A write that fails is an error that names the folder, and ends the work.
    std::fs::write(&manifest, text).unwrap();
    let mut series = store.series(&key(&simulator)).unwrap();
    std::fs::remove_dir_all(series.folder()).unwrap();
    assert!(series.fill(&simulator, &Fill::new(0..5, &GO_ON), &mut |_| {}).unwrap_err().to_string().contains("cannot read"));
}
