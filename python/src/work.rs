//! Work without the interpreter: on a thread of its own, while the calling thread shows progress, calls what is Python's, and looks for Ctrl-C.

use crate::{arrays, error};
use abduce::error::Error;
use abduce::session::{Audience, Console, Session, Talk};
use abduce_data::Array;
use abduce_inference::training::Observer;
use abduce_kernels::{Simd, Threads};
use abduce_nn::Compute;
use abduce_nn::trainer::TrainState;
use numpy::{PyArrayDyn, PyArrayMethods as _};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Deref};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks for Ctrl-C.
const TICK: Duration = Duration::from_millis(50);
/// How long a training may take to end an epoch once Ctrl-C was pressed; then it is given up, and its last checkpoint counts.
const PATIENCE: Duration = Duration::from_millis(500);

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

/// A session that can be stopped: first it is asked to, then its computation is given up.
pub(crate) struct Work {
    session: Session,
    halt: Arc<AtomicBool>,
    patience: Duration,
}

impl Deref for Work {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

/// A call that keeps what it reaches: nothing is said on standard error but warnings.
pub(crate) fn session(threads: Option<usize>) -> PyResult<Work> {
    let console = Console { talk: Talk::Quiet, audience: Audience::File };
    let halt = Arc::<AtomicBool>::default();
    let mut compute = compute(threads);
    compute.threads = compute.threads.stoppable(Arc::clone(&halt));
    let session = Session { working: std::env::current_dir()?, compute, console, stop: Arc::default() };
    Ok(Work { session, halt, patience: PATIENCE })
}

/// A call that leaves nothing behind: Ctrl-C ends it where it is.
pub(crate) fn passing(threads: Option<usize>) -> PyResult<Work> {
    Ok(Work { patience: Duration::ZERO, ..session(threads)? })
}

/// What happened to a network: (net, epoch, training score, validation score).
pub(crate) type Epoch = (usize, usize, f64, f64);

/// θ (rows, d) for the user's simulator, and where its data go.
pub(crate) struct Call {
    pub(crate) theta: Vec<f64>,
    pub(crate) rows: usize,
    pub(crate) reply: Sender<Array>,
}

/// What the work has for the calling thread.
pub(crate) enum Event {
    Epoch(Epoch),
    Call(Call),
}

/// What is done with it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Listeners<'a, 'py> {
    /// Called with every epoch.
    pub(crate) progress: Option<&'a Bound<'py, PyAny>>,
    /// Called with θ (n, d), gives x (n, …): on the calling thread, as users expect of their code.
    pub(crate) simulate: Option<&'a Bound<'py, PyAny>>,
}

/// Hands events over.
pub(crate) struct Watch(Mutex<Sender<Event>>);

impl Watch {
    /// For somebody else who has events.
    pub(crate) fn sender(&self) -> Sender<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for Watch {
    fn epoch(&self, net: usize, state: &TrainState) -> ControlFlow<()> {
        if let Some(last) = state.progress.history.last() {
            let epoch = (net, state.progress.history.len(), last.train, last.validation);
            // Nobody listens once Ctrl-C was pressed.
            self.0.lock().unwrap_or_else(PoisonError::into_inner).send(Event::Epoch(epoch)).ok();
        }
        ControlFlow::Continue(())
    }
}

/// Does `work` and serves its events. Ctrl-C, or an exception of the user's code, asks the work to stop, waits for it, and is raised then: what was
/// finished is kept.
pub(crate) fn run<'py, T: Send>(
    py: Python<'py>,
    session: &Work,
    listeners: Listeners<'_, 'py>,
    work: impl FnOnce(&Watch) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let (sender, receiver) = channel();
    let watch = Watch(Mutex::new(sender));
    std::thread::scope(|scope| {
        // The watch goes with the work: when it is dropped the channel ends, and with it the loop below.
        let thread = scope.spawn(move || work(&watch));
        let heard = listen(py, receiver, listeners);
        let done = py.detach(|| {
            if heard.is_err() {
                session.stop.store(true, Ordering::Relaxed);
                wait(&thread, session.patience);
                session.halt.store(true, Ordering::Relaxed);
            }
            thread.join()
        });
        // What was given up has unwound: nothing is lost.
        heard?;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(error::of)
    })
}

/// Until the thread ends, but no longer than `patience`.
fn wait<T>(thread: &ScopedJoinHandle<'_, T>, patience: Duration) {
    let until = Instant::now() + patience;
    while !thread.is_finished() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Until the work ends.
fn listen(py: Python<'_>, events: Receiver<Event>, listeners: Listeners<'_, '_>) -> PyResult<()> {
    // A receiver can be used by one thread at a time, which this is.
    let events = Mutex::new(events);
    loop {
        let heard = py.detach(|| events.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(TICK));
        match heard {
            Ok(Event::Epoch(epoch)) => {
                if let Some(progress) = listeners.progress {
                    progress.call1(epoch)?;
                }
            }
            Ok(Event::Call(call)) => {
                if let Some(simulate) = listeners.simulate {
                    // The work may have ended meanwhile.
                    call.reply.send(simulated(simulate, call.theta, call.rows)?).ok();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        py.check_signals()?;
    }
}

/// x (rows, …) of θ (rows, d) by the user's function.
fn simulated(simulate: &Bound<'_, PyAny>, theta: Vec<f64>, rows: usize) -> PyResult<Array> {
    let theta = arrays::array(simulate.py(), &[rows, theta.len() / rows.max(1)], theta)?;
    let x = simulate.call1((theta,))?;
    let x: Bound<'_, PyArrayDyn<f32>> = x.extract().map_err(|_| error::shape("the simulator must give an array of float32"))?;
    arrays::owned(&x.readonly())
}
