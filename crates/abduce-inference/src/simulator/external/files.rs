//! A process per exchange, which reads θ from one file and writes x to another.

use super::answer::Datum;
use super::exchange::{Answered, Break, Clock, Halt, Task};
use super::process::Process;
use crate::simulator::rows::FailureKind;
use abduce_data::npy::RowFile;
use abduce_data::{Array, DataError, npy};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes of an npy file besides its values, at most: the header of any sensible shape.
const HEADER_BYTES: u64 = 4096;

/// Folders for the files of exchanges, below one that this process has for itself; removed with what is in them.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    count: AtomicU64,
}

impl Scratch {
    /// A new folder below `parent`, which is made where it does not exist.
    pub(super) fn new(parent: &Path) -> Result<Self, DataError> {
        fs::create_dir_all(parent).map_err(DataError::io(parent, "create the folder"))?;
        for attempt in 0u32.. {
            let folder = parent.join(format!("simulator-{}-{attempt}", std::process::id()));
            match fs::create_dir(&folder) {
                // Absolute, since the program runs elsewhere.
                Ok(()) => {
                    let folder = fs::canonicalize(&folder).map_err(DataError::io(&folder, "find"))?;
                    return Ok(Self { folder, count: AtomicU64::new(0) });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(DataError::io(&folder, "create the folder")(error)),
            }
        }
        Err(DataError::io(parent, "create a folder in")(std::io::ErrorKind::AlreadyExists.into()))
    }

    fn exchange(&self) -> Result<Folder, DataError> {
        let folder = self.folder.join(self.count.fetch_add(1, Ordering::Relaxed).to_string());
        fs::create_dir(&folder).map_err(DataError::io(&folder, "create the folder"))?;
        Ok(Folder(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// The folder of one exchange.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// How the command is built and what it may write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form<'a> {
    /// Program and arguments; those that hold `{theta}` and the like are filled in.
    pub(super) command: &'a [String],
    pub(super) folder: &'a Path,
    /// One simulation: θ (d,), x of a datum's shape. Otherwise θ (n, d), x (n, …).
    pub(super) batched: bool,
    /// Largest x per simulation.
    pub(super) limit: usize,
}

/// Runs the command once for `tasks`.
pub(super) fn exchange(
    form: &Form<'_>,
    scratch: &Scratch,
    tasks: &[Task],
    clock: &mut Clock<'_>,
    answered: &mut dyn FnMut(usize, Answered),
) -> Result<(), Break> {
    let folder = scratch.exchange().map_err(Halt::Data)?;
    let [theta, x, seeds] = ["theta.npy", "x.npy", "seeds.npy"].map(|name| folder.0.join(name));
    write_inputs(form, tasks, &theta, &seeds).map_err(Halt::Data)?;
    let first = &tasks[0];
    let text = |path: &Path| path.display().to_string();
    let values = [
        ("{theta}", text(&theta)),
        ("{x}", text(&x)),
        ("{seeds}", text(&seeds)),
        ("{dir}", text(&folder.0)),
        ("{seed}", first.seed.to_string()),
        ("{id}", first.index.to_string()),
    ];
    let filled: Vec<String> =
        form.command.iter().map(|part| values.iter().fold(part.clone(), |part, (name, value)| part.replace(name, value))).collect();
    let mut command = super::command(&filled, form.folder);
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::null())).map_err(Halt::Start)?;
    let begun = Instant::now();
    loop {
        match process.poll() {
            Ok(Some(status)) if status.success() => break,
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return Err(Break::Broken(FailureKind::Crashed, process.last_words())),
        }
        let slice = match clock.slice() {
            Ok(slice) => slice,
            Err(Break::Broken(kind, message)) => {
                process.kill();
                return Err(Break::Broken(kind, with_tail(message, &process.tail())));
            }
            Err(stopped) => return Err(stopped),
        };
        // Asking about each sixteenth of the time that it has run costs neither the processor nor the user anything.
        std::thread::sleep((begun.elapsed() / 16).clamp(Duration::from_micros(300), slice.max(Duration::from_micros(300))));
    }
    let broken = |kind, message: String| Break::Broken(kind, with_tail(message, &process.tail()));
    let bytes = match fs::metadata(&x) {
        // A pipe or device would be read for ever.
        Ok(found) if found.is_file() => found.len(),
        Ok(_) | Err(_) => return Err(broken(FailureKind::Unreadable, "it ended without a file for x".into())),
    };
    if bytes > (form.limit as u64).saturating_mul(tasks.len() as u64).saturating_add(HEADER_BYTES) {
        return Err(broken(FailureKind::TooLarge, format!("x.npy has {bytes} bytes, more than allowed")));
    }
    let read = RowFile::open(&x).and_then(|file| file.read_all::<f32>());
    let read = read.map_err(|error| broken(FailureKind::Unreadable, error.to_string()))?;
    if read.data().is_empty() {
        return Err(broken(FailureKind::Unreadable, "x.npy is empty".into()));
    }
    let shape_of = |shape: &[usize]| if shape.is_empty() { vec![1] } else { shape.to_vec() };
    if !form.batched {
        answered(0, Ok(Datum { shape: shape_of(read.shape()), values: read.into_data() }));
        return Ok(());
    }
    if read.shape().first() != Some(&tasks.len()) {
        let message = format!("x.npy has shape {:?} for {} simulations", read.shape(), tasks.len());
        return Err(broken(FailureKind::Unreadable, message));
    }
    for place in 0..tasks.len() {
        answered(place, Ok(Datum { shape: shape_of(read.row_shape()), values: read.row(place).to_vec() }));
    }
    Ok(())
}

fn write_inputs(form: &Form<'_>, tasks: &[Task], theta: &Path, seeds: &Path) -> Result<(), DataError> {
    let d = tasks[0].theta.len();
    let shape = if form.batched { vec![tasks.len(), d] } else { vec![d] };
    let values = tasks.iter().flat_map(|task| &task.theta).copied().map(f64::from).collect();
    npy::write(theta, &Array::new(shape, values)?)?;
    // Below 2^53, so exact.
    let numbers = tasks.iter().map(|task| task.seed as f64).collect();
    npy::write(seeds, &Array::new(vec![tasks.len()], numbers)?)
}

fn with_tail(message: String, tail: &str) -> String {
    if tail.is_empty() { message } else { format!("{message}; it said: {tail}") }
}
