//! Intrinsic dimension of point clouds and of ordered bottlenecks, with intervals.
//!
//! The nouns: a [`Cloud`] is the cleaned points; [`Neighbours`] the one search under all local estimators; an [`Estimate`] a dimension with its sampling error.
//! [`estimators`] holds the classical methods, [`pca`] the spectrum, [`combined`](mod@combined) the estimate that is corrected for its biases by simulation, [`bottleneck`] the
//! reading of loss curves of ordered bottlenecks, and [`survey`] asks many methods at once.
//!
//! ```
//! use abduce_data::{Array, Seed};
//! use abduce_dimension::estimators::ratios::gride;
//! use abduce_dimension::{Cloud, Crew, Neighbours};
//! // A helix in space has one dimension.
//! let mut rng = Seed(1).stream("helix", 0);
//! let t: Vec<f64> = (0..1000).map(|_| 20.0 * rng.uniform()).collect();
//! let cloud = Cloud::new(&Array::new(vec![1000, 3], t.iter().flat_map(|t| [t.cos(), t.sin(), 0.3 * t]).collect())?)?;
//! let near = Neighbours::of_all(&cloud, 2, &Crew::with_threads(2))?;
//! assert!((gride(&near, 1, 2)?.dimension - 1.0).abs() < 0.1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Start reading at [`neighbours`], then [`estimators`].

pub mod bottleneck;
pub mod cloud;
pub mod combined;
pub mod eigen;
pub mod error;
pub mod estimators;
pub mod method;
pub mod neighbours;
pub mod pca;
mod special;

pub use cloud::{Cleaning, Cloud, Crew};
pub use combined::{Combined, CombinedSettings, combined};
pub use error::{DimensionError, Result};
pub use estimators::Estimate;
pub use method::{Finding, Method, Scale, Survey, survey};
pub use neighbours::{Neighbours, Search};
pub use pca::Pca;
