//! Mini-batches in an order that is a function of (seed, epoch), from memory or from files larger than memory.
//!
//! In memory every epoch is a full shuffle. From files it is a *block shuffle*: the rows lie in blocks of about 256 kB, the order of
//! all blocks is shuffled, and as many of them as the buffer holds (some 250 by default) are read and their rows shuffled together. A batch is
//! thus a mixture of rows from all over the file even where the file is sorted, and the disk sees reads of whole blocks. The order
//! depends on the buffer's size too, so a run that must be repeated keeps it.

use crate::error::{DataError, Result};
use crate::pairs::PairSource;
use crate::rng::{Rng, Seed};
use crate::rows::RowSet;

/// Default size of the buffer that rows from files are mixed in.
pub const BUFFER_BYTES: usize = 64 << 20;

const BLOCK_BYTES: usize = 256 << 10;

/// Rows of one mini-batch, reused from batch to batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Parameters (rows, d).
    pub theta: Vec<f32>,
    /// Data (rows, values per datum).
    pub x: Vec<f32>,
    /// Row numbers in the source, for quantities kept per row such as importance weights.
    pub rows: Vec<usize>,
}

/// An iteration over the given rows of a source in batches.
///
/// ```
/// use abduce_data::{Array, Batch, Batches, PairSource, Seed};
/// let theta = Array::new(vec![5, 1], vec![0.0f32, 1.0, 2.0, 3.0, 4.0])?;
/// let x = Array::new(vec![5, 2], vec![0.5f32; 10])?;
/// let source = PairSource::from_arrays(theta, x)?;
/// let mut batches = Batches::new(&source, source.kept(), 2, abduce_data::batches::BUFFER_BYTES)?;
/// let (mut batch, mut seen) = (Batch::default(), Vec::new());
/// batches.start_shuffled(Seed(1), 0);
/// while batches.next_batch(&mut batch)? > 0 {
///     seen.extend_from_slice(&batch.theta);
/// }
/// seen.sort_by(f32::total_cmp);
/// assert_eq!(seen, [0.0, 1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), abduce_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct Batches<'a> {
    source: &'a PairSource,
    rows: &'a RowSet,
    batch_size: usize,
    feed: Feed,
}

#[derive(Debug)]
enum Feed {
    /// The source is in memory: `order` holds its row numbers.
    Memory { order: Vec<u32>, next: usize },
    /// The source is in files.
    Blocks(Box<Blocks>),
}

#[derive(Debug)]
struct Blocks {
    block_rows: usize,
    /// Most rows that the pool may hold; at least one block.
    pool_rows: usize,
    /// Numbers of the blocks with at least one wanted row, in the order of this epoch.
    blocks: Vec<u32>,
    next_block: usize,
    /// Rows read and not yet handed out: `order[next..]` are slots of `pool`.
    pool: Batch,
    order: Vec<u32>,
    next: usize,
    /// `None` while rows are wanted in the order of the file.
    rng: Option<Rng>,
    scratch: Vec<u8>,
}

impl Batch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn clear(&mut self) {
        self.theta.clear();
        self.x.clear();
        self.rows.clear();
    }

    fn push(&mut self, theta: &[f32], x: &[f32], row: usize) {
        self.theta.extend_from_slice(theta);
        self.x.extend_from_slice(x);
        self.rows.push(row);
    }
}

impl<'a> Batches<'a> {
    /// Batches of `batch_size` of the given rows; the last one of an epoch may be smaller. A source in files takes `buffer_bytes` of
    /// memory (but at least one block) per iteration, one in memory 4 bytes per row.
    pub fn new(source: &'a PairSource, rows: &'a RowSet, batch_size: usize, buffer_bytes: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(DataError::Batches("the batch size must be at least 1".to_owned()));
        }
        if rows.is_empty() || rows.universe() != source.rows() {
            let reason = format!("{} rows selected of {}, while the data have {}", rows.len(), rows.universe(), source.rows());
            return Err(DataError::Batches(reason));
        }
        if u32::try_from(source.rows()).is_err() {
            return Err(DataError::Batches(format!("{} rows are more than the 4294967295 supported", source.rows())));
        }
        let feed = match source.arrays() {
            Some(_) => Feed::Memory { order: Vec::with_capacity(rows.len()), next: 0 },
            None => Feed::Blocks(Box::new(Blocks::new(source, rows, buffer_bytes))),
        };
        let mut batches = Self { source, rows, batch_size, feed };
        batches.start_in_order();
        Ok(batches)
    }

    /// Batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.rows.len().div_ceil(self.batch_size)
    }

    /// Begin an epoch in shuffled order.
    pub fn start_shuffled(&mut self, seed: Seed, epoch: u64) {
        self.start(Some(seed.stream("shuffle", epoch)));
    }

    /// Begin a pass in the order of the rows, as for validation.
    pub fn start_in_order(&mut self) {
        self.start(None);
    }

    fn start(&mut self, rng: Option<Rng>) {
        match &mut self.feed {
            Feed::Memory { order, next } => {
                order.clear();
                order.extend(self.rows.iter().map(|row| row as u32));
                *next = 0;
                if let Some(mut rng) = rng {
                    rng.shuffle(order);
                }
            }
            Feed::Blocks(blocks) => blocks.start(rng),
        }
    }

    /// Fill `batch` with the next rows and return their number; 0 once the epoch is over. Allocates nothing once the buffers of
    /// `batch` have grown to their size.
    pub fn next_batch(&mut self, batch: &mut Batch) -> Result<usize> {
        batch.clear();
        match &mut self.feed {
            Feed::Memory { order, next } => {
                let taken = &order[*next..(*next + self.batch_size).min(order.len())];
                *next += taken.len();
                if let Some((theta, x)) = self.source.arrays() {
                    taken.iter().for_each(|&row| batch.push(theta.row(row as usize), x.row(row as usize), row as usize));
                }
            }
            Feed::Blocks(blocks) => {
                while batch.len() < self.batch_size && blocks.fill(self.source, self.rows)? {
                    blocks.take(self.batch_size - batch.len(), self.source, batch);
                }
            }
        }
        Ok(batch.len())
    }
}

impl Blocks {
    fn new(source: &PairSource, rows: &RowSet, buffer_bytes: usize) -> Self {
        let (theta_len, x_len) = (source.theta_len(), source.x_len());
        let values_bytes = (theta_len + x_len) * size_of::<f32>();
        let block_rows = (BLOCK_BYTES / values_bytes).max(1);
        // A row in the pool costs its values, its number and its place in the order.
        let pool_rows =
            (buffer_bytes / (values_bytes + size_of::<usize>() + size_of::<u32>())).min(rows.len() + block_rows).max(block_rows);
        let count = source.rows().div_ceil(block_rows) as u32;
        let blocks = (0..count).filter(|&block| rows.iter_in(range_of(block, block_rows)).next().is_some()).collect();
        let pool = Batch {
            // While a block is read its unwanted rows are there too.
            theta: Vec::with_capacity((pool_rows + block_rows) * theta_len),
            x: Vec::with_capacity((pool_rows + block_rows) * x_len),
            rows: Vec::with_capacity(pool_rows),
        };
        let order = Vec::with_capacity(pool_rows);
        Self { block_rows, pool_rows, blocks, next_block: 0, pool, order, next: 0, rng: None, scratch: Vec::new() }
    }

    fn start(&mut self, rng: Option<Rng>) {
        self.blocks.sort_unstable();
        self.rng = rng;
        if let Some(rng) = &mut self.rng {
            rng.shuffle(&mut self.blocks);
        }
        (self.next_block, self.next) = (0, 0);
        self.order.clear();
    }

    /// Make sure that a row is waiting in the pool; false at the end of the epoch.
    fn fill(&mut self, source: &PairSource, rows: &RowSet) -> Result<bool> {
        if self.next < self.order.len() {
            return Ok(true);
        }
        self.pool.clear();
        // Without a shuffle there is nothing to mix: block after block, in memory that stays in the cache.
        let most = if self.rng.is_some() { self.pool_rows } else { self.block_rows };
        while self.next_block < self.blocks.len() && self.pool.len() + self.block_rows <= most {
            self.read_block(self.blocks[self.next_block], source, rows)?;
            self.next_block += 1;
        }
        self.order.clear();
        self.order.extend(0..self.pool.len() as u32);
        self.next = 0;
        if let Some(rng) = &mut self.rng {
            rng.shuffle(&mut self.order);
        }
        Ok(!self.order.is_empty())
    }

    /// Append a block to the pool and close the gaps that unwanted rows leave.
    fn read_block(&mut self, block: u32, source: &PairSource, rows: &RowSet) -> Result<()> {
        let Batch { theta, x, rows: numbers } = &mut self.pool;
        let (theta_len, x_len) = (source.theta_len(), source.x_len());
        let mut range = range_of(block, self.block_rows);
        range.end = range.end.min(source.rows());
        let first = numbers.len();
        source.append_range(range.clone(), theta, x, &mut self.scratch)?;
        for row in rows.iter_in(range.clone()) {
            let (from, to) = (first + row - range.start, numbers.len());
            if from != to {
                theta.copy_within(from * theta_len..(from + 1) * theta_len, to * theta_len);
                x.copy_within(from * x_len..(from + 1) * x_len, to * x_len);
            }
            numbers.push(row);
        }
        theta.truncate(numbers.len() * theta_len);
        x.truncate(numbers.len() * x_len);
        Ok(())
    }

    fn take(&mut self, most: usize, source: &PairSource, batch: &mut Batch) {
        let (theta_len, x_len) = (source.theta_len(), source.x_len());
        let end = (self.next + most).min(self.order.len());
        for &slot in &self.order[self.next..end] {
            let slot = slot as usize;
            let theta = &self.pool.theta[slot * theta_len..(slot + 1) * theta_len];
            batch.push(theta, &self.pool.x[slot * x_len..(slot + 1) * x_len], self.pool.rows[slot]);
        }
        self.next = end;
    }
}

fn range_of(block: u32, block_rows: usize) -> std::ops::Range<usize> {
    block as usize * block_rows..(block as usize + 1) * block_rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, npy};

    /// Pairs whose values tell their row: theta = row, x = (row, -row), in files of `dtype` f64.
    fn files(rows: usize) -> (tempfile::TempDir, [std::path::PathBuf; 2]) {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["theta.npy", "x.npy"].map(|name| dir.path().join(name));
        npy::write(&paths[0], &Array::new(vec![rows, 1], (0..rows).map(|row| row as f64).collect()).unwrap()).unwrap();
        let x = (0..rows).flat_map(|row| [row as f32, -(row as f32)]).collect();
        npy::write(&paths[1], &Array::new(vec![rows, 2], x).unwrap()).unwrap();
        (dir, paths)
    }

    fn epoch(batches: &mut Batches<'_>) -> (Vec<usize>, Vec<usize>) {
        let (mut batch, mut rows, mut sizes) = (Batch::default(), Vec::new(), Vec::new());
        while batches.next_batch(&mut batch).unwrap() > 0 {
            for (at, &row) in batch.rows.iter().enumerate() {
                assert_eq!((batch.theta[at], &batch.x[2 * at..2 * at + 2]), (row as f32, &[row as f32, -(row as f32)][..]));
            }
            sizes.push(batch.len());
            rows.extend_from_slice(&batch.rows);
        }
        (rows, sizes)
    }

    #[test]
    fn every_wanted_row_comes_once_and_the_last_batch_is_kept() {
        let n = 100_000;
        let (_dir, [theta, x]) = files(n);
        let mut wanted = RowSet::all(n);
        (0..n).filter(|row| row % 7 == 0 || (30_000..60_000).contains(row)).for_each(|row| {
            wanted.remove(row);
        });
        for (memory_bytes, buffer_bytes) in [(usize::MAX, 0), (0, 0), (0, 1 << 20), (0, 1 << 30)] {
            let source = PairSource::open(&theta, &x, memory_bytes).unwrap();
            let mut batches = Batches::new(&source, &wanted, 64, buffer_bytes).unwrap();
            let (in_order, sizes) = epoch(&mut batches);
            assert!(in_order.iter().copied().eq(wanted.iter()));
            assert_eq!(sizes.len(), batches.batches_per_epoch());
            assert!(sizes[..sizes.len() - 1].iter().all(|&size| size == 64));
            assert_eq!(sizes.last(), Some(&(wanted.len() % 64)));
            batches.start_shuffled(Seed(4), 0);
            let (first, _) = epoch(&mut batches);
            batches.start_shuffled(Seed(4), 1);
            let (second, _) = epoch(&mut batches);
            for shuffled in [&first, &second] {
                let mut sorted = shuffled.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, in_order);
            }
            assert_ne!(first, second);
            // The order forgets what came before: a resumed run sees the same epoch.
            let mut resumed = Batches::new(&source, &wanted, 64, buffer_bytes).unwrap();
            resumed.start_shuffled(Seed(4), 1);
            assert_eq!(epoch(&mut resumed).0, second);
            // Stopped in the middle and started again it is the same too.
            resumed.start_shuffled(Seed(4), 0);
            resumed.next_batch(&mut Batch::default()).unwrap();
            resumed.start_shuffled(Seed(4), 0);
            assert_eq!(epoch(&mut resumed).0, first);
        }
    }

    /// A file sorted by its rows is the worst case. Buffer of 1/4 of the data, 20 blocks mixed: the mean row of a batch of 500 must be
    /// close to that of all. It spreads by n/sqrt(12) · sqrt(1/500 + 1/20) = 0.066 n, of which 4.5 are 0.3 n; the unshuffled file reaches 0.5 n.
    #[test]
    fn a_sorted_file_is_mixed() {
        let n = 1_700_000;
        let (_dir, [theta, x]) = files(n);
        let source = PairSource::open(&theta, &x, 0).unwrap();
        let mut batches = Batches::new(&source, source.kept(), 500, n / 4 * 24).unwrap();
        batches.start_shuffled(Seed(9), 0);
        let mut batch = Batch::default();
        while batches.next_batch(&mut batch).unwrap() > 0 {
            let mean = batch.rows.iter().sum::<usize>() as f64 / batch.len() as f64 / n as f64;
            assert!((mean - 0.5).abs() < 0.3, "{mean}");
        }
    }

    #[test]
    fn nothing_is_allocated_after_the_first_epoch() {
        let (_dir, [theta, x]) = files(50_000);
        let source = PairSource::open(&theta, &x, 0).unwrap();
        let mut batches = Batches::new(&source, source.kept(), 100, 1 << 19).unwrap();
        let mut batch = Batch::default();
        let mut capacities = Vec::new();
        for number in 0..3 {
            batches.start_shuffled(Seed(0), number);
            while batches.next_batch(&mut batch).unwrap() > 0 {}
            let Feed::Blocks(blocks) = &batches.feed else { unreachable!() };
            let pool = &blocks.pool;
            let all = [pool.theta.capacity(), pool.x.capacity(), pool.rows.capacity(), blocks.order.capacity(), blocks.scratch.capacity()];
            capacities.push((all, [batch.theta.capacity(), batch.x.capacity(), batch.rows.capacity()]));
        }
        assert!(capacities.iter().all(|c| *c == capacities[0]), "{capacities:?}");
    }

    #[test]
    fn impossible_batches_are_errors() {
        let one = |n: usize| Array::new(vec![n], vec![0.0f32; n]).unwrap();
        let source = PairSource::from_arrays(one(3), one(3)).unwrap();
        assert!(Batches::new(&source, source.kept(), 0, 0).is_err());
        assert!(Batches::new(&source, &RowSet::none(3), 1, 0).is_err());
        let error = Batches::new(&source, &RowSet::all(4), 1, 0).unwrap_err();
        assert_eq!(error.to_string(), "batches: 4 rows selected of 4, while the data have 3");
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_is_an_error() {
        let (_dir, [theta, x]) = files(200_000);
        let source = PairSource::open(&theta, &x, 0).unwrap();
        let mut batches = Batches::new(&source, source.kept(), 100, 1 << 18).unwrap();
        std::fs::OpenOptions::new().write(true).open(&x).unwrap().set_len(1000).unwrap();
        batches.start_shuffled(Seed(0), 0);
        let error = std::iter::repeat_with(|| batches.next_batch(&mut Batch::default())).find_map(Result::err).unwrap();
        assert!(error.to_string().contains("x.npy: cannot read"), "{error}");
    }
}
