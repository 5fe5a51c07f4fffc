//! NumPy's `.npy` format, versions 1 to 3 (NEP 1 and `numpy/lib/format.py`), read and written without trusting the file.
//!
//! Readable are little- and big-endian floats (f4, f8), integers (i1-i8, u1-u8) and booleans in C or Fortran order; values are
//! converted to the wanted precision on the way, and rows are always handed out in C order. The size a header claims is compared
//! with the size of the file before anything is allocated.
//!
//! ```
//! use abduce_data::{Array, npy};
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("theta.npy");
//! npy::write(&path, &Array::new(vec![2, 3], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])?)?;
//! let theta = npy::read::<f64>(&path)?;
//! assert_eq!(theta.shape(), &[2, 3]);
//! assert_eq!(theta.row(1), &[4.0, 5.0, 6.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod header;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use decode::Element;
pub use header::{DType, Header, Kind, Order};
pub(crate) use read::read_bytes;
pub use read::{RowFile, read};
pub use write::{write, write_array, write_header, write_values};
