//! Networks as static graphs: explicit layers, planned memory, flat parameters.
//!
//! The nouns: a [`Layout`] names the ranges of one flat parameter vector; a [`Graph`] lists [`Layer`]s and the values between
//! them; a [`Frame`] is the planned memory of one chunk of rows and runs the graph in it; a [`Step`] spreads the chunks
//! of a batch over threads and adds up their gradients in a fixed order; a [`Trainer`](trainer) turns steps into epochs.
//! Parameters never hide in layers, so optimisers, checkpoints and ensembles are loops over slices.
//!
//! Values are feature-major chunks (see `abduce_kernels`), or tensors: images, volumes, sequences and sets that lie row after row with channels last
//! ([`layer::Form`]). [`layers::Grid`] is the handle of a tensor while a graph is built; it says where the two meet. [`nets`] holds whole networks and shows how
//! encoders and decoders are built from layers; [`import`] takes weights of torch networks over.
//!
//! Start reading at [`layer`], then [`frame`].

pub mod adam;
pub mod embedding;
pub mod evaluate;
pub mod events;
pub mod frame;
pub mod graph;
pub(crate) mod guard;
pub mod import;
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
