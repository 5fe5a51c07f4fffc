//! Galaxies in haloes, and what an observer sees of them. Start reading at [`hod`].

mod error;
pub mod hod;
pub mod nfw;
pub mod redshift_space;

pub use error::GalaxyError;
pub use hod::{Galaxies, HaloProperties, Hod, populate};
pub use redshift_space::redshift_space_from_real;
