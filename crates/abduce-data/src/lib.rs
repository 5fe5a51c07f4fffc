//! Arrays in and out, datasets, splits, standardisation, run directories and random streams.
//!
//! The nouns: an [`Array`] has rows; a [`PairSource`] holds the rows of theta and x, in memory or in their files; a [`RowSet`] says
//! which of them are meant; a [`Split`] is two such sets; a [`Standardiser`] scales features; [`Batches`] hands rows out in an order
//! that depends on the [`Seed`] and the epoch alone. Start reading at [`pairs`].
//!
//! ```
//! use abduce_data::{Array, Batch, Batches, PairSource, Scaling, Seed, Split, Standardiser};
//!
//! let seed = Seed(42);
//! let mut rng = seed.stream("example", 0);
//! let theta = Array::new(vec![100, 2], (0..200).map(|_| rng.uniform() as f32).collect())?;
//! let x = Array::new(vec![100, 3], (0..300).map(|_| rng.normal() as f32).collect())?;
//!
//! let source = PairSource::from_arrays(theta, x)?;
//! let split = Split::by_fraction(source.kept(), 0.1, seed)?;
//! let (theta_scale, _) = Standardiser::fit_pairs(&source, &split.train, Scaling::Independent, Scaling::Independent)?;
//!
//! let mut batches = Batches::new(&source, &split.train, 32, abduce_data::batches::BUFFER_BYTES)?;
//! let mut batch = Batch::default();
//! for epoch in 0..2 {
//!     batches.start_shuffled(seed, epoch);
//!     while batches.next_batch(&mut batch)? > 0 {
//!         theta_scale.forward(&mut batch.theta)?;
//!     }
//! }
//! # Ok::<(), abduce_data::DataError>(())
//! ```

pub mod array;
pub mod artefact;
pub mod batches;
pub mod block;
pub mod error;
pub mod fits;
#[cfg(feature = "hdf5")]
pub mod hdf5;
pub mod idx;
pub mod member;
pub mod model;
pub mod npy;
pub mod npz;
pub mod pair_files;
pub mod pairs;
pub mod parameter;
pub mod rng;
pub mod rows;
pub mod rundir;
pub mod split;
pub mod standardise;
pub mod table;

pub use array::Array;
pub use batches::{Batch, Batches};
pub use error::{DataError, ModelProblem, NpyProblem, Result};
pub use model::{ModelFile, read_tensors};
pub use pairs::{NanReport, PairSource};
pub use parameter::ParameterInfo;
pub use rng::{Rng, Seed};
pub use rows::RowSet;
pub use rundir::RunDir;
pub use split::Split;
pub use standardise::{Moments, Scaling, Standardiser};
pub use table::Table;
