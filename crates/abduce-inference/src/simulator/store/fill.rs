//! Simulating what a series lacks.

use super::series::Notes;
use super::{Series, StoreError};
use crate::simulator::rows::{Completed, Ending, Failure, Progress, Request, RowSimulator, Theta};
use abduce_data::artefact::unique_name;
use abduce_data::{Array, DataError, RowSet};
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// What is wanted of a series.
#[derive(Clone, Debug)]
pub struct Fill<'a> {
    /// The items that are to be there afterwards.
    pub items: Range<u64>,
    /// Their parameters: from the prior, or given for all `items` in their order.
    pub theta: Theta<'a>,
    /// The round that new rows belong to.
    pub round: u32,
    /// What happens to items that failed before.
    pub failed: FailedItems,
    /// When rows are written.
    pub flush: Flush,
    /// Set when the work is to end early; what is there is kept.
    pub stop: &'a AtomicBool,
}

impl<'a> Fill<'a> {
    /// `items` from the prior, as round 0.
    pub fn new(items: Range<u64>, stop: &'a AtomicBool) -> Self {
        Self { items, theta: Theta::Prior, round: 0, failed: FailedItems::Keep, flush: Flush::Adaptive, stop }
    }
}

/// What happens to items that failed before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailedItems {
    /// They stay failures.
    #[default]
    Keep,
    /// They are simulated again; a success takes the failure's place.
    Again,
}

/// When rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// Often enough that a kill costs a fiftieth of the time so far and at most a minute, seldom enough that files stay few: at least half a
    /// second apart, 8 MiB at most; each row at once where rows come seconds apart.
    #[default]
    Adaptive,
    /// Every so many rows.
    Rows(usize),
}

/// What a [`Series::fill`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Whether all items are there.
    pub ending: Ending,
    /// Items that were there before.
    pub found: usize,
    /// Items that this process simulated.
    pub simulated: usize,
    /// Failures among those.
    pub failed: usize,
}

impl Series {
    /// Simulates the items that are missing and stores them. Ends early when asked to, or with the first error; what was simulated until then is
    /// stored in both cases.
    ///
    /// Several processes may fill the same series: each skips what it sees that others have done, and starts elsewhere when it sees others at
    /// work. An item may still be simulated twice where two of them reach it within the time between two writes; both rows are the same.
    pub fn fill(
        &mut self,
        simulator: &dyn RowSimulator,
        fill: &Fill<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Filled, StoreError> {
        self.refresh()?;
        let again = |failed: bool| failed && fill.failed == FailedItems::Again;
        let mut missing: Vec<u64> = fill.items.clone().filter(|&index| self.place(index).is_none_or(|place| again(place.failed))).collect();
        let wanted = missing.len();
        let all = usize::try_from(fill.items.end.saturating_sub(fill.items.start)).unwrap_or(usize::MAX);
        if let Theta::Given(theta) = fill.theta {
            self.check_theta(fill.items.clone(), theta)?;
        }
        let presence = Presence::announce(&self.folder)?;
        // The shape of a datum is found with the first item, so elsewhere only once it is known.
        if presence.others > 0 && wanted > 1 && (self.data_shape.is_some() || simulator.data_shape().is_some()) {
            missing.rotate_left(presence.place(wanted));
        }
        let given = match fill.theta {
            Theta::Prior => None,
            Theta::Given(theta) => Some(
                missing
                    .iter()
                    .flat_map(|index| &theta[(index - fill.items.start) as usize * self.parameters..][..self.parameters])
                    .copied()
                    .collect::<Vec<f32>>(),
            ),
        };
        let elsewhere = RwLock::new(RowSet::none(all));
        let first = fill.items.start;
        let skip = |index: u64| elsewhere.read().unwrap_or_else(PoisonError::into_inner).contains((index - first) as usize);
        let shape = self.data_shape.clone();
        let request = Request {
            indices: &missing,
            theta: given.as_deref().map_or(Theta::Prior, Theta::Given),
            seed: self.seed,
            data_shape: shape.as_deref(),
            stop: fill.stop,
            skip: &skip,
        };
        let mut pending = Pending::new(fill);
        let mut broken = None;
        let ended = simulator.run(&request, &mut |item| {
            pending.push(item);
            progress(Progress { simulated: pending.simulated, wanted, failed: pending.failed });
            if !pending.is_due() {
                return ControlFlow::Continue(());
            }
            let written = pending.write(self, simulator).and_then(|()| {
                presence.renew();
                let before = self.blocks.len();
                self.refresh()?;
                let mut elsewhere = elsewhere.write().unwrap_or_else(PoisonError::into_inner);
                for index in self.blocks[before..].iter().flat_map(|block| block.file.indices()) {
                    // A failure found elsewhere is no reason to skip an item that is to be tried again.
                    if fill.items.contains(index) && self.place(*index).is_some_and(|place| !again(place.failed)) {
                        elsewhere.insert((index - first) as usize);
                    }
                }
                Ok(())
            });
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        let written = if broken.is_none() { pending.write(self, simulator) } else { Ok(()) };
        broken.map_or(Ok(()), Err)?;
        written?;
        let ending = ended?;
        self.refresh()?;
        Ok(Filled { ending, found: all - wanted, simulated: pending.simulated, failed: pending.failed })
    }

    /// Refuses stored rows that were made from another θ than the given one.
    fn check_theta(&self, items: Range<u64>, theta: &[f32]) -> Result<(), StoreError> {
        let (indices, stored) = self.stored_theta(items.clone())?;
        let d = self.parameters;
        let differs = |row: usize, index: u64| {
            let given = theta.get((index - items.start) as usize * d..).and_then(|rest| rest.get(..d));
            given.is_none_or(|given| given.iter().zip(stored.row(row)).any(|(a, b)| a.to_bits() != b.to_bits()))
        };
        match (0..).zip(&indices).find(|(row, index)| differs(*row, **index)) {
            Some((_, &index)) => Err(StoreError::Theta { index }),
            None => Ok(()),
        }
    }
}

/// Rows that are not written yet.
struct Pending {
    flush: Flush,
    round: u32,
    indices: Vec<u64>,
    theta: Vec<f32>,
    /// The data, one after the other; nothing for a failure.
    x: Vec<f32>,
    failures: Vec<Failure>,
    simulated: usize,
    failed: usize,
    begun: Instant,
    last_write: Instant,
}

/// Bytes of a block at most, about.
const BLOCK_BYTES: usize = 8 << 20;
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// Rows this far apart are written at once.
const SPARSE: Duration = Duration::from_secs(5);

impl Pending {
    fn new(fill: &Fill<'_>) -> Self {
        let now = Instant::now();
        Self {
            flush: fill.flush,
            round: fill.round,
            indices: Vec::new(),
            theta: Vec::new(),
            x: Vec::new(),
            failures: Vec::new(),
            simulated: 0,
            failed: 0,
            begun: now,
            last_write: now,
        }
    }

    fn push(&mut self, item: Completed<'_>) {
        self.indices.push(item.index);
        self.theta.extend_from_slice(item.theta);
        self.simulated += 1;
        match item.x {
            Ok(x) => self.x.extend_from_slice(x),
            Err(failure) => {
                self.failures.push(failure.clone());
                self.failed += 1;
            }
        }
    }

    fn is_due(&self) -> bool {
        match self.flush {
            Flush::Rows(rows) => self.indices.len() >= rows,
            Flush::Adaptive => {
                let so_far = self.begun.elapsed();
                let interval = (so_far / 50).clamp(SHORTEST, LONGEST);
                let spacing = so_far / u32::try_from(self.simulated).unwrap_or(u32::MAX).max(1);
                self.last_write.elapsed() >= interval || spacing >= SPARSE || (self.theta.len() + self.x.len()) * 4 >= BLOCK_BYTES
            }
        }
    }

    fn write(&mut self, series: &mut Series, simulator: &dyn RowSimulator) -> Result<(), StoreError> {
        // Where nobody has seen a datum there is no row to write: then the run fails anyway.
        let Some(shape) = series.data_shape.clone().or_else(|| simulator.data_shape()).filter(|_| !self.indices.is_empty()) else {
            return Ok(());
        };
        let rows = self.indices.len();
        let width: usize = shape.iter().product();
        // Within a block rows stand in the order of their indices, whoever was first.
        let mut failed = self.failures.iter().map(|failure| failure.id).collect::<Vec<_>>();
        failed.sort_unstable();
        let mut data = self.x.chunks_exact(width.max(1));
        let missing = vec![f32::NAN; width];
        let data: Vec<&[f32]> = self
            .indices
            .iter()
            .map(|index| if failed.binary_search(index).is_ok() { &missing[..] } else { data.next().unwrap_or(&missing) })
            .collect();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_unstable_by_key(|&row| self.indices[row]);
        let indices: Vec<u64> = order.iter().map(|&row| self.indices[row]).collect();
        let d = series.parameters;
        let theta = order.iter().flat_map(|&row| &self.theta[row * d..][..d]).copied().collect();
        let x = order.iter().flat_map(|&row| data[row]).copied().collect();
        let theta = Array::new(vec![rows, d], theta)?;
        let x = Array::new(std::iter::once(rows).chain(shape).collect(), x)?;
        self.failures.sort_by_key(|failure| failure.id);
        let notes = Notes { round: self.round, failures: std::mem::take(&mut self.failures) };
        series.write(&indices, &theta, &x, &notes)?;
        self.indices.clear();
        self.theta.clear();
        self.x.clear();
        self.last_write = Instant::now();
        Ok(())
    }
}

/// A sign for other processes that this one is at work, so that they begin elsewhere. Nothing depends on it but the time that is spent on doing
/// things twice; one that a killed process leaves behind goes stale.
struct Presence {
    path: PathBuf,
    others: usize,
}

const PRESENCE: &str = "active";
/// A sign that was not renewed for so long belongs to nobody any more.
const STALE: Duration = Duration::from_secs(600);

impl Presence {
    fn announce(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(format!("{}.{PRESENCE}", unique_name()));
        fs::write(&path, "").map_err(DataError::io(&path, "write"))?;
        let mut others = 0;
        for entry in fs::read_dir(folder).map_err(DataError::io(folder, "read"))?.flatten() {
            let other = entry.path();
            if other == path || other.extension().is_none_or(|extension| extension != PRESENCE) {
                continue;
            }
            let age = entry.metadata().and_then(|found| found.modified()).ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age > STALE) {
                fs::remove_file(&other).ok();
            } else {
                others += 1;
            }
        }
        Ok(Self { path, others })
    }

    fn renew(&self) {
        fs::write(&self.path, "").ok();
    }

    /// A place below `count` that another process is unlikely to take, too.
    fn place(&self, count: usize) -> usize {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let digits = &abduce_data::artefact::sha256(name.as_bytes())[..15];
        u64::from_str_radix(digits, 16).map_or(0, |number| (number % count as u64) as usize)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}
