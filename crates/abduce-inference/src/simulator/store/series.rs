//! One series: which rows there are and where they lie.

use super::{SeriesKey, StoreError};
use crate::simulator::rows::Failure;
use abduce_data::block::{self, Block, BlockFile};
use abduce_data::{Array, DataError, Seed};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The rows of one key.
#[derive(Debug)]
pub struct Series {
    pub(super) folder: PathBuf,
    pub(super) parameters: usize,
    pub(super) seed: Seed,
    pub(super) data_shape: Option<Vec<usize>>,
    pub(super) blocks: Vec<StoredBlock>,
    /// One entry per item, by index; a success comes before a failure of the same item.
    pub(super) places: Vec<Place>,
    /// Names that have been read, torn ones included.
    known: HashSet<OsString>,
    torn: usize,
}

#[derive(Debug)]
pub(super) struct StoredBlock {
    pub(super) file: BlockFile,
    pub(super) notes: Notes,
}

/// What a block keeps besides its rows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Notes {
    pub(super) round: u32,
    /// By increasing id.
    pub(super) failures: Vec<Failure>,
}

/// Where an item lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u64,
    pub(super) failed: bool,
    pub(super) block: u32,
    pub(super) row: u32,
}

impl Series {
    pub(super) fn open(folder: PathBuf, key: &SeriesKey) -> Result<Self, StoreError> {
        let mut series = Self {
            folder,
            parameters: key.parameters,
            seed: key.seed,
            data_shape: None,
            blocks: Vec::new(),
            places: Vec::new(),
            known: HashSet::new(),
            torn: 0,
        };
        series.refresh()?;
        Ok(series)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Number of items stored, failures included.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Files that were not written to the end, or changed: they count for nothing.
    pub fn torn(&self) -> usize {
        self.torn
    }

    /// Shape of one datum; none while nothing is stored.
    pub fn data_shape(&self) -> Option<&[usize]> {
        self.data_shape.as_deref()
    }

    /// Whether an item is stored, as a datum or as a failure.
    pub fn contains(&self, index: u64) -> bool {
        self.place(index).is_some()
    }

    /// Number of items from 0 on without a gap.
    pub fn leading(&self) -> u64 {
        (0u64..).zip(&self.places).take_while(|(expected, place)| place.index == *expected).count() as u64
    }

    /// The failures among `items`, by id.
    pub fn failures(&self, items: Range<u64>) -> Vec<Failure> {
        let failed = self.within(items).iter().filter(|place| place.failed);
        failed
            .filter_map(|place| {
                let failures = &self.blocks[place.block as usize].notes.failures;
                failures.binary_search_by_key(&place.index, |failure| failure.id).ok().map(|at| failures[at].clone())
            })
            .collect()
    }

    /// Looks for blocks that others have written since. Returns the number of blocks found.
    pub fn refresh(&mut self) -> Result<usize, StoreError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(DataError::io(&self.folder, "read"))? {
            let name = entry.map_err(DataError::io(&self.folder, "read"))?.file_name();
            if Path::new(&name).extension().is_some_and(|extension| extension == block::EXTENSION) && !self.known.contains(&name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        let mut found = 0;
        for name in names {
            match BlockFile::open(&self.folder.join(&name)) {
                Ok(file) => {
                    self.take(file)?;
                    found += 1;
                }
                Err(DataError::Block { .. }) => self.torn += 1,
                // Somebody has removed it meanwhile.
                Err(DataError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
            self.known.insert(name);
        }
        if found > 0 {
            self.sort();
        }
        Ok(found)
    }

    /// Writes rows as a block of their own. `items` are their global indices, x is NaN where there is a failure.
    pub(super) fn write(&mut self, items: &[u64], theta: &Array, x: &Array, notes: &Notes) -> Result<(), StoreError> {
        let unwritable = |error: serde_json::Error| DataError::Json { path: self.folder.clone(), reason: error.to_string() };
        let notes = serde_json::to_value(notes).map_err(unwritable)?;
        let path = block::write(&self.folder, &Block { indices: items, theta, x, notes })?;
        // Read back: what counts is what is on disk.
        self.take(BlockFile::open(&path)?)?;
        self.known.extend(path.file_name().map(OsString::from));
        self.sort();
        Ok(())
    }

    fn take(&mut self, file: BlockFile) -> Result<(), StoreError> {
        let shape = self.data_shape.get_or_insert_with(|| file.data_shape().to_vec());
        if shape != file.data_shape() || file.parameters() != self.parameters {
            return Err(StoreError::Block {
                path: file.path().to_path_buf(),
                parameters: file.parameters(),
                shape: file.data_shape().to_vec(),
                expected_parameters: self.parameters,
                expected: shape.clone(),
            });
        }
        let damaged = |error: serde_json::Error| DataError::Block { path: file.path().to_path_buf(), reason: error.to_string() };
        let notes: Notes = serde_json::from_value(file.notes().clone()).map_err(damaged)?;
        let failed = |index| notes.failures.binary_search_by_key(&index, |failure| failure.id).is_ok();
        let block = self.blocks.len() as u32;
        self.places.extend((0..).zip(file.indices()).map(|(row, &index)| Place { index, failed: failed(index), block, row }));
        self.blocks.push(StoredBlock { file, notes });
        Ok(())
    }

    fn sort(&mut self) {
        // Nearly sorted already, which this sort is quick on.
        self.places.sort_by_key(|place| (place.index, place.failed, place.block));
        self.places.dedup_by_key(|place| place.index);
    }

    pub(super) fn place(&self, index: u64) -> Option<&Place> {
        self.places.binary_search_by_key(&index, |place| place.index).ok().map(|at| &self.places[at])
    }

    /// The places of the stored items in a range of indices.
    pub(super) fn within(&self, items: Range<u64>) -> &[Place] {
        let start = self.places.partition_point(|place| place.index < items.start);
        let end = self.places.partition_point(|place| place.index < items.end.max(items.start));
        &self.places[start..end]
    }
}
