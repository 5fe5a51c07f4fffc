//! Work without the interpreter: on a thread of its own, while the calling thread hands progress over and looks for Ctrl-C.

use abduce::error::Error;
use abduce::session::{Audience, Console, Session, Talk};
use abduce_inference::training::Observer;
use abduce_kernels::{Simd, Threads};
use abduce_nn::Compute;
use abduce_nn::trainer::TrainState;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time between two looks for Ctrl-C.
const TICK: Duration = Duration::from_millis(50);

/// Crews by their size. To start one takes longer than a density of one row; idle ones sleep, and a forked process, in which they are dead, works
/// alone.
static CREWS: Mutex<BTreeMap<usize, Threads>> = Mutex::new(BTreeMap::new());

/// Instruction set and threads, all cores where `None`.
pub(crate) fn compute(threads: Option<usize>) -> Compute {
    let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let count = threads.unwrap_or_else(cores);
    let mut crews = CREWS.lock().unwrap_or_else(PoisonError::into_inner);
    Compute { simd: Simd::best(), threads: crews.entry(count).or_insert_with(|| Threads::new(count)).clone() }
}

/// A call from Python: nothing is said on standard error but warnings.
pub(crate) fn session(threads: Option<usize>) -> PyResult<Session> {
    let console = Console { talk: Talk::Quiet, audience: Audience::File };
    Ok(Session { working: std::env::current_dir()?, compute: compute(threads), console, stop: Arc::default() })
}

/// What happened to a network: (net, epoch, training score, validation score).
pub(crate) type Epoch = (usize, usize, f64, f64);

/// Hands epochs over.
pub(crate) struct Watch(Mutex<Sender<Epoch>>);

impl Observer for Watch {
    fn epoch(&self, net: usize, state: &TrainState) -> ControlFlow<()> {
        if let Some(last) = state.progress.history.last() {
            let epoch = (net, state.progress.history.len(), last.train, last.validation);
            // Nobody listens once Ctrl-C was pressed.
            self.0.lock().unwrap_or_else(PoisonError::into_inner).send(epoch).ok();
        }
        ControlFlow::Continue(())
    }
}

/// Does `work` and calls `progress` with every epoch. Ctrl-C asks the work to stop, waits for it, and is raised then: what was finished is kept.
pub(crate) fn run<T: Send>(
    py: Python<'_>,
    session: &Session,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Watch) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let (sender, receiver) = channel();
    let watch = Watch(Mutex::new(sender));
    std::thread::scope(|scope| {
        // The watch goes with the work: when it is dropped the channel ends, and with it the loop below.
        let thread = scope.spawn(move || work(&watch));
        let heard = listen(py, receiver, progress);
        if heard.is_err() {
            session.stop.store(true, Ordering::Relaxed);
        }
        let done = py.detach(|| thread.join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        heard?;
        done.map_err(crate::error::of)
    })
}

/// Until the work ends.
fn listen(py: Python<'_>, epochs: Receiver<Epoch>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
    // A receiver can be used by one thread at a time, which this is.
    let epochs = Mutex::new(epochs);
    loop {
        let heard = py.detach(|| epochs.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK));
        match (heard, progress) {
            (Ok(epoch), Some(progress)) => drop(progress.call1(epoch)?),
            (Ok(_), None) | (Err(RecvTimeoutError::Timeout), _) => {}
            (Err(RecvTimeoutError::Disconnected), _) => return Ok(()),
        }
        py.check_signals()?;
    }
}
