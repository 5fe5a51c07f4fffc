//! Workers side by side: who gets which items, and who is to blame when one of them breaks.

use super::answer::Datum;
use super::exchange::{Answered, Break, Clock, Halt, Task};
use super::worker::Worker;
use super::{Exchange, ExternalProgram, MOST_FAILURES_AT_FIRST, command, files};
use crate::simulator::rows::{Completed, Ending, Failure, FailureKind, Request, SimulationError, Theta};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A task with its result.
type Settled = (Task, Result<Vec<f32>, Failure>);

/// Simulates the items of `request`.
pub(super) fn run(
    program: &ExternalProgram,
    request: &Request<'_>,
    each: &mut dyn FnMut(Completed<'_>) -> ControlFlow<()>,
) -> Result<Ending, SimulationError> {
    let shared = Shared { program, request, next: AtomicUsize::new(0), halted: AtomicBool::new(false) };
    let mut settled = |(task, result): Settled| {
        let x = result.as_ref().map(Vec::as_slice);
        if each(Completed { position: task.position, index: task.index, theta: &task.theta, x }).is_break() {
            shared.halted.store(true, Ordering::Relaxed);
        }
    };
    if let Err(halt) = shared.find_shape(&mut settled) {
        return shared.ending(halt);
    }
    let workers = program.spec.workers.get().min(request.indices.len());
    let (sender, receiver) = sync_channel(2 * workers.max(1));
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (sender, shared, failed) = (sender.clone(), &shared, &failed);
            scope.spawn(move || {
                if let Err(halt) = shared.work(&sender) {
                    shared.halted.store(true, Ordering::Relaxed);
                    // The first reason counts: the others stop because of it.
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(halt);
                }
            });
        }
        drop(sender);
        for result in receiver {
            if !shared.halted.load(Ordering::Relaxed) {
                settled(result);
            }
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(halt) => shared.ending(halt),
        None if shared.stopping() => Ok(Ending::Stopped),
        None => Ok(Ending::Complete),
    }
}

struct Shared<'a> {
    program: &'a ExternalProgram,
    request: &'a Request<'a>,
    /// The next position to be handed out.
    next: AtomicUsize,
    halted: AtomicBool,
}

impl Shared<'_> {
    fn stopping(&self) -> bool {
        self.halted.load(Ordering::Relaxed) || self.request.stop.load(Ordering::Relaxed)
    }

    fn ending(&self, halt: Halt) -> Result<Ending, SimulationError> {
        let spec = &self.program.spec;
        match halt {
            Halt::Stopped => Ok(Ending::Stopped),
            Halt::Start(source) => Err(SimulationError::Start { program: spec.command[0].clone(), folder: spec.folder.clone(), source }),
            Halt::Data(error) => Err(error.into()),
            Halt::NoneWorked(tried, first) => Err(SimulationError::NoneWorked { tried, first }),
        }
    }

    /// Where nobody knows the shape of a datum, simulates one item after the other until one succeeds: so the shape does not depend on the
    /// order of completion.
    fn find_shape(&self, settled: &mut dyn FnMut(Settled)) -> Result<(), Halt> {
        if self.program.shape.get().is_some() || self.request.indices.is_empty() {
            return Ok(());
        }
        let mut seat = Seat { shared: self, worker: None, fresh: true };
        let mut failed: Vec<Settled> = Vec::new();
        while let [task] = self.take(1).as_slice() {
            let mut first = None;
            seat.alone(task.clone(), &mut |result| first = Some(result))?;
            let Some(result) = first else { break };
            failed.push(result);
            let works = failed.last().is_some_and(|(_, result)| result.is_ok());
            if works {
                failed.into_iter().for_each(settled);
                return Ok(());
            }
            if failed.len() == MOST_FAILURES_AT_FIRST {
                break;
            }
        }
        let tried = failed.len();
        match failed.into_iter().find_map(|(_, result)| result.err()) {
            Some(first) => Err(Halt::NoneWorked(tried, Box::new(first))),
            None => Ok(()),
        }
    }

    fn work(&self, sender: &SyncSender<Settled>) -> Result<(), Halt> {
        let mut seat = Seat { shared: self, worker: None, fresh: true };
        loop {
            if self.stopping() {
                return Err(Halt::Stopped);
            }
            let tasks = self.take(self.program.spec.batch.get());
            if tasks.is_empty() {
                return Ok(());
            }
            // The receiver lives until all seats have ended.
            seat.settle(tasks, &mut |result| _ = sender.send(result).ok())?;
        }
    }

    /// The next `most` items, fewer towards the end so that all workers end together.
    fn take(&self, most: usize) -> Vec<Task> {
        let indices = self.request.indices;
        let left = indices.len().saturating_sub(self.next.load(Ordering::Relaxed));
        let most = most.min(left.div_ceil(2 * self.program.spec.workers.get())).max(1);
        let mut tasks = Vec::with_capacity(most);
        while tasks.len() < most {
            let position = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(&index) = indices.get(position) else { break };
            if !(self.request.skip)(index) {
                tasks.push(self.task(position, index));
            }
        }
        tasks
    }

    fn task(&self, position: usize, index: u64) -> Task {
        let d = self.program.prior.parameters();
        let theta = match self.request.theta {
            Theta::Given(theta) => theta[position * d..][..d].to_vec(),
            Theta::Prior => {
                let mut exact = vec![0.0; d];
                self.program.prior.sample(&mut self.request.seed.stream("theta", index), &mut exact);
                exact.into_iter().map(|value| value as f32).collect()
            }
        };
        // 53 bits: exact where numbers are doubles.
        let seed = self.request.seed.derive("simulator", index).0 >> 11;
        Task { position, index, seed, theta }
    }

    /// The values of a datum of the right shape; a flat list of the right length is one, too. The first datum of all sets the shape.
    fn checked(&self, datum: Datum) -> Result<Vec<f32>, String> {
        let shape = self.program.shape.get_or_init(|| datum.shape.clone());
        let flat = datum.shape.len() == 1 && datum.values.len() == shape.iter().product::<usize>();
        if *shape == datum.shape || flat {
            Ok(datum.values)
        } else {
            Err(format!("its datum has shape {:?}, expected {shape:?}", datum.shape))
        }
    }
}

/// A place for one worker.
struct Seat<'a> {
    shared: &'a Shared<'a>,
    worker: Option<Worker>,
    /// Whether the last exchange was its worker's first.
    fresh: bool,
}

impl Seat<'_> {
    /// Tries all tasks in one exchange, and those that a break left open one by one.
    fn settle(&mut self, tasks: Vec<Task>, settled: &mut dyn FnMut(Settled)) -> Result<(), Halt> {
        let mut open: Vec<Option<Task>> = tasks.iter().cloned().map(Some).collect();
        if tasks.len() > 1 {
            let shared = self.shared;
            let ended = self.exchange(&tasks, &mut |place, answer| {
                settled((tasks[place].clone(), judge(shared, &tasks[place], answer, 1)));
                open[place] = None;
            });
            match ended {
                Ok(()) | Err(Break::Broken(..)) => {}
                Err(Break::Halt(halt)) => return Err(halt),
            }
        }
        for task in open.into_iter().flatten() {
            self.alone(task, settled)?;
        }
        Ok(())
    }

    /// Tries one task until it is answered or has used up its attempts.
    fn alone(&mut self, task: Task, settled: &mut dyn FnMut(Settled)) -> Result<(), Halt> {
        let shared = self.shared;
        let mut attempts = 0;
        loop {
            let mut answer = None;
            match self.exchange(std::slice::from_ref(&task), &mut |_, found| answer = Some(found)) {
                Ok(()) => {}
                Err(Break::Broken(kind, message)) => {
                    if self.fresh || kind == FailureKind::TimedOut {
                        attempts += 1;
                    }
                    if attempts > shared.program.spec.retries {
                        let failure = Failure { id: task.index, kind, message, attempts };
                        settled((task, Err(failure)));
                        return Ok(());
                    }
                    continue;
                }
                Err(Break::Halt(halt)) => return Err(halt),
            }
            if let Some(answer) = answer {
                let result = judge(shared, &task, answer, attempts + 1);
                settled((task, result));
                return Ok(());
            }
        }
    }

    /// One exchange with whatever process it takes; a broken one is not used again.
    fn exchange(&mut self, tasks: &[Task], answered: &mut dyn FnMut(usize, Answered)) -> Result<(), Break> {
        let shared = self.shared;
        let spec = &shared.program.spec;
        let stopping = || shared.stopping();
        if let (Exchange::NpyFiles, Some(scratch)) = (spec.exchange, &shared.program.scratch) {
            let form =
                files::Form { command: &spec.command, folder: &spec.folder, batched: spec.batch.get() > 1, limit: spec.max_answer_bytes };
            let whole = spec.timeout.map(|timeout| timeout.saturating_mul(u32::try_from(tasks.len()).unwrap_or(u32::MAX)));
            self.fresh = true;
            let mut clock = Clock::start(whole, spec.start_allowance, &stopping);
            return files::exchange(&form, scratch, tasks, &mut clock, answered);
        }
        let mut worker = self.worker()?;
        self.fresh = worker.is_fresh();
        let extra = if self.fresh { spec.start_allowance } else { Duration::ZERO };
        let ended = worker.exchange(tasks, &mut Clock::start(spec.timeout, extra, &stopping), answered);
        match ended {
            Ok(()) => {
                self.worker = Some(worker);
                Ok(())
            }
            Err(Break::Broken(kind, message)) => {
                let tail = worker.give_up();
                // A crash has told its last words already.
                let message = if tail.is_empty() || message.contains(&tail) { message } else { format!("{message}; it said: {tail}") };
                Err(Break::Broken(kind, message))
            }
            Err(other) => {
                worker.give_up();
                Err(other)
            }
        }
    }

    /// The worker of this seat, one that an earlier call left, or a new one.
    fn worker(&mut self) -> Result<Worker, Halt> {
        let program = self.shared.program;
        loop {
            let Some(mut worker) = self.worker.take().or_else(|| program.idle().pop()) else { break };
            // What it said unasked, or its end, belongs to no item.
            if worker.is_at_rest() {
                return Ok(worker);
            }
            worker.give_up();
        }
        Worker::start(&mut command(&program.spec.command, &program.spec.folder), program.spec.max_answer_bytes).map_err(Halt::Start)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.shared.program.idle().extend(self.worker.take());
    }
}

/// An answer is final, also where it is a refusal or no datum of ours.
fn judge(shared: &Shared<'_>, task: &Task, answer: Answered, attempts: u32) -> Result<Vec<f32>, Failure> {
    let (kind, message) = match answer {
        Ok(datum) => match shared.checked(datum) {
            Ok(values) => return Ok(values),
            Err(message) => (FailureKind::WrongShape, message),
        },
        Err(message) => (FailureKind::Reported, message),
    };
    Err(Failure { id: task.index, kind, message, attempts })
}
