//! FITS files (FITS Standard 4.0, Pence et al. 2010 and the IAU working group 2018): binary tables in and out, images in.
//!
//! A file is a sequence of headers of 80-byte cards and data, both in blocks of 2880 bytes. Every size that a header claims is compared with the size
//! of the file before anything is allocated. Readable columns are L, B, I, J, K, E and D with any repeat count, with TSCAL, TZERO and TNULL; texts,
//! complex numbers and columns of variable length are skipped. An own reader, since the one in the registry neither scales columns nor bounds what
//! it allocates, and asks for two dozen crates.
//!
//! ```
//! use abduce_data::fits::{FitsFile, Output, Values, write_table};
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("halos.fits");
//! let positions = Output { name: "POSITION", unit: "Mpc/h", width: 3, values: Values::F32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) };
//! write_table(&path, "HALOS", &[], &[positions])?;
//! let file = FitsFile::open(&path)?;
//! let table = &file.tables()[0];
//! assert_eq!((table.rows, table.columns[0].unit.as_deref()), (2, Some("Mpc/h")));
//! assert_eq!(file.read(table, &["POSITION"])?[0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod header;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use header::{Card, Cards};
pub use read::{FitsColumn, FitsFile, FitsTable, is_fits};
pub use write::{Output, Values, write_table};

/// Headers and data are padded to multiples of this.
const BLOCK: u64 = 2880;
/// Bytes per card.
const CARD: usize = 80;
