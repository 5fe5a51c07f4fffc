//! A crew of worker threads that is passed down explicitly.
//!
//! One training step of a small flow takes half a millisecond, so handing out work must cost microseconds: idle workers spin
//! for a short while and then park; the caller works too, and never waits for a worker that has not picked up anything.
//! Which thread runs which item is left open; items own their outputs, so results can't depend on it.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// A handle on `count` threads: the caller and `count - 1` workers. Cheap to clone; clones share the workers.
#[derive(Clone)]
pub struct Threads {
    crew: Option<Arc<Crew>>,
    stop: Option<Arc<AtomicBool>>,
}

/// What a call unwinds with once the flag of [`Threads::stoppable`] is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").field("count", &self.count()).finish()
    }
}

impl Threads {
    /// Starts `count - 1` workers; 0 and 1 both mean the calling thread alone.
    pub fn new(count: usize) -> Self {
        Self { crew: (count > 1).then(|| Arc::new(Crew::start(count - 1))), stop: None }
    }

    /// The calling thread alone.
    pub const fn single() -> Self {
        Self { crew: None, stop: None }
    }

    /// The same crew for a computation that may be given up: once `stop` is set, [`Threads::for_each`] unwinds with [`Stopped`] instead of visiting
    /// further items, so that code which knows nothing of stopping ends soon and gives no result. For computations that leave nothing behind; the
    /// caller catches the unwinding, and no panic hook hears of it.
    pub fn stoppable(&self, stop: Arc<AtomicBool>) -> Self {
        Self { crew: self.crew.clone(), stop: Some(stop) }
    }

    /// Number of threads that work, the caller included.
    pub fn count(&self) -> usize {
        self.crew.as_ref().map_or(1, |crew| crew.workers.len() + 1)
    }

    /// Calls `f(index, item)` once for every item, spread over the threads; returns when all are done.
    ///
    /// Calls from inside `f` on the same crew run on their own thread alone.
    ///
    /// # Panics
    /// If `f` panics for some item; the others may or may not have been visited. Unwinds where it is stopped, see [`Threads::stoppable`].
    pub fn for_each<T: Send>(&self, items: &mut [T], f: impl Fn(usize, &mut T) + Sync) {
        let base = Shared(items.as_mut_ptr());
        let visit = |index: usize| {
            if self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                resume_unwind(Box::new(Stopped));
            }
            let base = &base;
            // SAFETY: `run` passes each index below `items.len()` exactly once, so the references are disjoint.
            f(index, unsafe { &mut *base.0.add(index) });
        };
        match &self.crew {
            Some(crew) if items.len() > 1 => crew.run(items.len(), &visit),
            _ => (0..items.len()).for_each(visit),
        }
    }
}

struct Shared<T>(*mut T);
// SAFETY: only used to hand out disjoint `&mut T` of `T: Send` items.
unsafe impl<T: Send> Sync for Shared<T> {}

/// Bit layout of [`Gate::state`]: threads inside, an open flag, and the number of the round.
const OPEN: u64 = 1 << 16;
const ROUND: u64 = 1 << 17;
const INSIDE: u64 = OPEN - 1;
/// Turns of the spin loop before a waiting worker parks: some tens of microseconds.
const SPINS: u32 = 4_000;

type Job = *const (dyn Fn(usize) + Sync);

struct Gate {
    state: AtomicU64,
    job: UnsafeCell<Option<(Job, usize)>>,
    next: AtomicUsize,
    stop: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    parked: Vec<AtomicBool>,
}

// SAFETY: `job` is written only by the thread that holds `Crew::turn` while the gate is closed and nobody is inside, and read only
// by threads that entered through the open gate.
unsafe impl Sync for Gate {}
// SAFETY: the pointer inside `job` is only dereferenced while `run`'s borrow is alive.
unsafe impl Send for Gate {}

struct Crew {
    gate: Arc<Gate>,
    turn: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
    wakers: Vec<Thread>,
}

impl Crew {
    fn start(workers: usize) -> Self {
        let gate = Arc::new(Gate {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            panic: Mutex::new(None),
            parked: (0..workers).map(|_| AtomicBool::new(false)).collect(),
        });
        let workers: Vec<_> = (0..workers)
            .map(|index| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || gate.serve(index))
            })
            .collect();
        let wakers = workers.iter().map(|w| w.thread().clone()).collect();
        Self { gate, turn: Mutex::new(()), workers, wakers }
    }

    fn run(&self, items: usize, visit: &(dyn Fn(usize) + Sync)) {
        let Ok(_turn) = self.turn.try_lock() else {
            // The crew is busy (a nested or concurrent call): work alone rather than wait.
            (0..items).for_each(visit);
            return;
        };
        let gate = &*self.gate;
        // SAFETY: the lifetime is erased, but this function returns only after the gate is closed and everyone has left.
        let job: Job = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(visit) };
        // SAFETY: the gate is closed, nobody is inside, and `turn` is held.
        unsafe { *gate.job.get() = Some((job, items)) };
        gate.next.store(0, Ordering::Relaxed);
        let round = gate.state.load(Ordering::Relaxed) / ROUND + 1;
        gate.state.store((round * ROUND) | OPEN, Ordering::SeqCst);
        for (parked, waker) in gate.parked.iter().zip(&self.wakers) {
            if parked.load(Ordering::SeqCst) {
                waker.unpark();
            }
        }
        gate.work(visit, items);
        gate.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        while gate.state.load(Ordering::Acquire) & INSIDE != 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { thread::yield_now() }
        }
        let panic = gate.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            drop(_turn);
            resume_unwind(panic);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.gate.stop.store(true, Ordering::SeqCst);
        for (worker, waker) in self.workers.drain(..).zip(&self.wakers) {
            waker.unpark();
            // A worker never panics: jobs are caught.
            let _ended = worker.join();
        }
    }
}

impl Gate {
    /// Takes items until none is left; a panic is kept for the caller of `run`.
    fn work(&self, visit: &(dyn Fn(usize) + Sync), items: usize) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= items {
                    break;
                }
                visit(index);
            }
        }));
        if let Err(panic) = result {
            self.next.store(items, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }

    fn serve(&self, index: usize) {
        let mut last_round = 0;
        let mut spins = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let state = self.state.load(Ordering::Acquire);
            let round = state / ROUND;
            if state & OPEN != 0 && round != last_round {
                if self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    // SAFETY: we are inside an open gate, so the job is set and its closure outlives our stay.
                    if let Some((job, items)) = unsafe { *self.job.get() } {
                        self.work(unsafe { &*job }, items);
                    }
                    self.state.fetch_sub(1, Ordering::AcqRel);
                    last_round = round;
                    spins = 0;
                }
                continue;
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            self.parked[index].store(true, Ordering::SeqCst);
            if self.state.load(Ordering::SeqCst) == state && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.parked[index].store(false, Ordering::SeqCst);
            spins = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_visited_once_for_any_crew() {
        for count in [0, 1, 2, 3, 8] {
            let threads = Threads::new(count);
            for n in [0, 1, 2, 7, 100] {
                for _ in 0..50 {
                    let mut items = vec![0usize; n];
                    threads.for_each(&mut items, |i, item| *item += i + 1);
                    assert!(items.iter().enumerate().all(|(i, &item)| item == i + 1));
                }
            }
        }
    }

    #[test]
    fn nested_calls_and_parked_workers_still_finish() {
        let threads = Threads::new(2);
        let mut outer = vec![0u64; 4];
        for pause in [0, 3] {
            thread::sleep(std::time::Duration::from_millis(pause));
            threads.for_each(&mut outer, |_, total| {
                let mut inner = [1u64; 10];
                threads.for_each(&mut inner, |i, x| *x += i as u64);
                *total += inner.iter().sum::<u64>();
            });
        }
        assert_eq!(outer, [110; 4]);
    }

    #[test]
    fn what_is_stopped_unwinds_and_the_crew_survives() {
        for count in [1, 2] {
            let threads = Threads::new(count);
            let stop = Arc::new(AtomicBool::new(false));
            let visited = AtomicUsize::new(0);
            let stoppable = threads.stoppable(Arc::clone(&stop));
            let endless = || {
                loop {
                    stoppable.for_each(&mut [0; 4], |_, _| {
                        let so_far = visited.fetch_add(1, Ordering::Relaxed);
                        stop.fetch_or(so_far == 41, Ordering::Relaxed);
                    });
                }
            };
            let ended: Result<(), _> = catch_unwind(AssertUnwindSafe(endless));
            assert_eq!(ended.expect_err("an endless loop").downcast_ref(), Some(&Stopped));
            // One item more at most, which another thread had begun.
            assert!((42..=43).contains(&visited.load(Ordering::Relaxed)));
            threads.for_each(&mut [0; 4], |_, _| {
                visited.fetch_add(1, Ordering::Relaxed);
            });
            assert!((46..=47).contains(&visited.load(Ordering::Relaxed)));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_crew_survives() {
        let threads = Threads::new(2);
        let mut items = [0; 8];
        let result = catch_unwind(AssertUnwindSafe(|| threads.for_each(&mut items, |i, _| assert!(i != 5, "item five"))));
        assert!(result.is_err());
        threads.for_each(&mut items, |_, item| *item = 1);
        assert_eq!(items, [1; 8]);
    }
}
