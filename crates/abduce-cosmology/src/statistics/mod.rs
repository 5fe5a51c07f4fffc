//! Summaries of fields and catalogues: power spectra, bispectra, two-point functions, wavelet scattering.
//!
//! The noun is [`Modes`], a field in Fourier space that knows what is still to be divided out of it. Start reading at [`modes`].

pub mod bispectrum;
mod error;
pub mod modes;
pub mod power;
pub mod scattering;
mod shells;
pub mod two_point;

pub use bispectrum::{Bispectrum, BispectrumPlan, Triangle};
pub use error::StatisticsError;
pub use modes::{Interlacing, Modes, modes_of_field, modes_of_points};
pub use power::{Binning, CrossPower, PowerOptions, PowerSpectrum, cross_power, power_spectrum};
pub use scattering::{Scattering, ScatteringOptions, scattering};
pub use two_point::{TwoPoint, two_point};
