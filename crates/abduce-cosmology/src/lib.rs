//! Cosmology without networks: from parameters to linear power, initial conditions, particle-mesh runs, haloes and their statistics.
//!
//! The nouns: a [`Cosmology`] is its parameters; a [`Background`](background::Background) its expansion; [`fft`] turns meshes into modes.
//!
//! **Units** everywhere: comoving Mpc/h, Msun/h, km/s, wave numbers in h/Mpc, power in (Mpc/h)³, unless a name says otherwise.
//!
//! ```
//! use abduce_cosmology::{Cosmology, background::{Background, Radiation}};
//!
//! let background = Background::new(&Cosmology::QUIJOTE, Radiation::Neglected)?;
//! let distance = background.comoving_distance_mpc_h(0.5);
//! assert!((2200.0..2330.0).contains(&distance), "{distance}");
//! # Ok::<(), abduce_cosmology::CosmologyError>(())
//! ```
//! Start reading at [`cosmology`].

pub mod background;
pub mod boltzmann;
pub mod cosmology;
pub mod design;
pub mod error;
pub mod fft;
pub mod files;
pub mod galaxies;
#[cfg(test)]
mod golden;
pub mod growth;
pub mod halos;
pub mod initial;
pub mod massfunction;
pub mod mesh;
pub mod pm;
pub mod power;
pub mod quadrature;
pub mod spline;
pub mod statistics;

pub use cosmology::{Amplitude, Cosmology};
pub use error::{CosmologyError, Result};
