//! Networks as static graphs: explicit layers, planned memory, flat parameters.
//!
//! The nouns: a [`Layout`] names the ranges of one flat parameter vector; a [`Graph`] lists [`Layer`]s and the values between
//! them; a [`Frame`] is the planned memory of one chunk of rows and runs the graph in it; a [`Step`] spreads the chunks
//! of a batch over threads and adds up their gradients in a fixed order; a [`Trainer`](trainer) turns steps into epochs.
//! Parameters never hide in layers, so optimisers, checkpoints and ensembles are loops over slices.
//!
//! Values are feature-major chunks (see `abduce_kernels`). A layer whose natural layout is another one (an image, a sequence)
//! keeps it inside and converts at its border.
//!
//! Start reading at [`layer`], then [`frame`].

pub mod adam;
pub mod embedding;
pub mod evaluate;
pub mod frame;
pub mod graph;
pub mod layer;
pub mod layers;
pub mod nets;
pub mod params;
pub mod step;
pub mod trainer;
pub mod width_rows;
pub mod widths;

pub use embedding::{ActivationName, EmbeddingSpec};
pub use evaluate::{Compute, evaluate};
pub use frame::{Frame, Purpose};
pub use graph::{Graph, GraphBuilder, Value};
pub use layer::Layer;
pub use params::{Init, Layout, Parameter};
pub use step::Step;
