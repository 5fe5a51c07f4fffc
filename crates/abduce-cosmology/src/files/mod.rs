//! Files: this program's own products, and the formats of the field.
//!
//! A product carries its cosmology, scale factor, box, units and definition of mass; reading one that means something else is an error, never a
//! silent conversion. Files of others are told apart by their contents in [`foreign`], which asks the caller for what they leave out. Start reading
//! at [`product`].

pub mod bigfile;
mod bytes;
#[cfg(feature = "hdf5")]
pub mod cmass;
pub mod container;
mod error;
pub mod foreign;
pub mod gadget;
#[cfg(feature = "hdf5")]
pub mod gadget_hdf5;
pub mod product;
pub mod quijote_fof;
pub mod rockstar;
pub mod table;

#[cfg(test)]
#[cfg(feature = "hdf5")]
mod tests;

pub use error::FileError;
pub use foreign::Assumed;
pub use product::{Description, GalaxyFile, HaloFile, Kind, SnapshotFile};
