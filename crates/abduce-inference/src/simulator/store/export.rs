//! Rows out of a store, by index: into memory, or into npy files of any size.

use super::series::Place;
use super::{Series, StoreError};
use crate::simulator::rows::Failure;
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, DataError, npy};
use std::io;
use std::ops::Range;
use std::path::Path;

/// Rows read at a time.
const PIECE: usize = 4096;

/// Rows of a store in memory.
#[derive(Clone, Debug)]
pub struct StoredRows {
    /// Global indices, increasing.
    pub indices: Vec<u64>,
    /// θ (n, d).
    pub theta: Array,
    /// x (n, …), NaN throughout a failed row.
    pub x: Array,
    /// The round of each row.
    pub rounds: Vec<u32>,
    /// Failures by id.
    pub failures: Vec<Failure>,
}

/// Which of a row's two arrays.
#[derive(Clone, Copy)]
enum Part {
    Theta,
    X,
}

impl Series {
    /// The stored rows among `items`; those that are not stored are left out.
    pub fn rows(&self, items: Range<u64>) -> Result<StoredRows, StoreError> {
        let places = self.within(items.clone());
        let shape = self.data_shape.clone().unwrap_or_else(|| vec![1]);
        let theta = self.read(places, Part::Theta, self.parameters)?;
        let x = self.read(places, Part::X, shape.iter().product())?;
        Ok(StoredRows {
            indices: places.iter().map(|place| place.index).collect(),
            theta: Array::new(vec![places.len(), self.parameters], theta)?,
            x: Array::new(std::iter::once(places.len()).chain(shape).collect(), x)?,
            rounds: places.iter().map(|place| self.blocks[place.block as usize].notes.round).collect(),
            failures: self.failures(items),
        })
    }

    /// Writes the rows of all `items` to two npy files, θ (n, d) and x (n, …), each complete or not at all. All of them must be stored.
    ///
    /// The bytes depend on the rows alone, not on the blocks that they lie in. Memory is that of a few thousand rows.
    pub fn export(&self, items: Range<u64>, theta: &Path, x: &Path) -> Result<(), StoreError> {
        let wanted = usize::try_from(items.end.saturating_sub(items.start)).unwrap_or(usize::MAX);
        let places = self.within(items.clone());
        if places.len() != wanted {
            let gap = items.clone().zip(places).find(|(index, place)| place.index != *index).map(|(index, _)| index);
            let first = gap.unwrap_or(items.start + places.len() as u64);
            return Err(StoreError::Missing { missing: wanted - places.len(), wanted, first });
        }
        let shape = self.data_shape.clone().unwrap_or_else(|| vec![1]);
        let features = shape.iter().product();
        let x_shape: Vec<usize> = std::iter::once(wanted).chain(shape).collect();
        for (path, part, width, shape) in
            [(theta, Part::Theta, self.parameters, vec![wanted, self.parameters]), (x, Part::X, features, x_shape)]
        {
            let mut failed = None;
            let written = write_atomic(path, |out| {
                npy::write_header::<f32>(out, &shape)?;
                self.for_each_run(places, part, width, |rows| npy::write_values(out, rows).map_err(DataError::io(path, "write"))).map_err(
                    |error| {
                        failed = Some(error);
                        io::Error::other("see the first error")
                    },
                )
            });
            // The store's own error names the file that is at fault.
            failed.map_or(Ok(()), Err)?;
            written?;
        }
        Ok(())
    }

    /// Indices and θ (n, d) of the stored rows among `items`.
    pub(super) fn stored_theta(&self, items: Range<u64>) -> Result<(Vec<u64>, Array), StoreError> {
        let places = self.within(items);
        let theta = self.read(places, Part::Theta, self.parameters)?;
        Ok((places.iter().map(|place| place.index).collect(), Array::new(vec![places.len(), self.parameters], theta)?))
    }

    fn read(&self, places: &[Place], part: Part, width: usize) -> Result<Vec<f32>, DataError> {
        let mut values = Vec::with_capacity(places.len() * width);
        self.for_each_run(places, part, width, |rows| {
            values.extend_from_slice(rows);
            Ok(())
        })?;
        Ok(values)
    }

    /// Reads rows that follow each other in a block together.
    fn for_each_run(
        &self,
        places: &[Place],
        part: Part,
        width: usize,
        mut each: impl FnMut(&[f32]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut values = Vec::new();
        for run in places.chunk_by(|a, b| a.block == b.block && a.row + 1 == b.row).flat_map(|run| run.chunks(PIECE)) {
            let file = &self.blocks[run[0].block as usize].file;
            let first = run[0].row as usize;
            values.resize(run.len() * width, 0.0);
            match part {
                Part::Theta => file.read_theta(first, &mut values)?,
                Part::X => file.read_x(first, &mut values)?,
            }
            each(&values)?;
        }
        Ok(())
    }
}
