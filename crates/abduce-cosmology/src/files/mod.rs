//! Files: this program's own products, and the formats of the field.
//!
//! A product carries its cosmology, scale factor, box, units and definition of mass; reading one that means something else is an error, never a
//! silent conversion. Start reading at [`product`].

pub mod bigfile;
mod bytes;
pub mod container;
mod error;
pub mod gadget;
pub mod product;
pub mod quijote_fof;
pub mod rockstar;

pub use error::FileError;
pub use product::{Description, GalaxyFile, HaloFile, Kind, SnapshotFile};
