//! HDF5 files: arrays, groups and attributes in and out (feature `hdf5`).
//!
//! Groups, attributes and the places of chunks come from `hdf5-pure`; the values themselves are read and decoded here, because the library has no
//! place for filters of others (Blosc, of which the Quijote snapshots are made) and because nothing may be allocated that a file merely claims:
//! shapes, chunks and packed sizes are compared with each other and with the size of the file first.
//!
//! Readable are f4, f8, i1–i8, u1–u8 and enumerations over them, of either byte order, stored whole, compact or in chunks that went through deflate,
//! shuffle, LZF, Fletcher's checksum or Blosc with byte or bit shuffle over blosclz, LZ4, zlib or Zstandard. A chunk that is not there is an error:
//! it would read as zeros. Files in the newest form of HDF5 2 (`libver="latest"` there) are refused, since the library does not know it yet.
//!
//! ```
//! use abduce_data::hdf5::{Attribute, Hdf5File, Node, Values, write};
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("sims.h5");
//! let mut root = Node::default();
//! root.attributes.push(("unit".into(), Attribute::Text(vec!["Mpc/h".into()])));
//! root.array("theta", &[2, 3], Values::F32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
//! write(&path, &root)?;
//! let file = Hdf5File::open(&path)?;
//! let theta = file.read::<f64>("theta")?;
//! assert_eq!((theta.shape(), theta.row(1)), (&[2, 3][..], &[4.0, 5.0, 6.0][..]));
//! assert_eq!(file.attributes("/")?["unit"].text(), Some("Mpc/h"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blosc;
mod filters;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{Hdf5File, Hdf5Value, is_hdf5};
pub use write::{Node, Values, write};

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// One or more numbers; integers beyond 2⁵³ are rounded.
    Numbers(Vec<f64>),
    /// One or more integers, which stay so when they are written.
    Integers(Vec<i64>),
    /// One or more texts.
    Text(Vec<String>),
}

impl Attribute {
    /// The numbers, where it has any.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        match self {
            Self::Numbers(values) => Some(values.clone()),
            Self::Integers(values) => Some(values.iter().map(|&value| value as f64).collect()),
            Self::Text(_) => None,
        }
    }

    /// The only number.
    pub fn number(&self) -> Option<f64> {
        self.numbers().filter(|values| values.len() == 1).map(|values| values[0])
    }

    /// The first text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(values) => values.first().map(String::as_str),
            _ => None,
        }
    }
}
