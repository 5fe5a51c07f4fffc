//! Information-ordered bottlenecks (Ho, Zhao and Wandelt 2023, arXiv:2305.11213): an encoder x → z ∈ R^K and a decoder that are trained at
//! all widths k = 0..K at once, so that z₁ carries the most information, z₂ the next most, and the code can be cut to any width
//! after training.
//!
//! ```text
//! b_k(z)_j = z_j for j ≤ k, else 0        L = Σ_k ρ_k E[ -log p(y | decoder(b_k(encoder(x)))) ]
//! ```
//!
//! The nouns: [`ModelSpec`] says what is built; a [`Bottleneck`] is the networks without their numbers; [`Weights`] are the ρ_k and a [`Schedule`] says
//! which widths a training step sees; [`fit`] trains; a [`Compressor`] is a trained model in the units of the data, and one file. [`baseline`]
//! holds what it is to be compared with: principal axes, autoencoders trained for one width each, and autoencoders grown latent by latent.
//!
//! Nested dropout (Rippel et al. 2014, arXiv:1402.0915) is [`Weights::Geometric`] with [`Schedule::PerSample`] or [`Schedule::UnitSweep`];
//! triangular dropout (Staley and Markowitz 2022, arXiv:2205.01235) is [`Weights::Linear`] with [`Schedule::Stratified`]; a Matryoshka
//! representation (Kusupati et al. 2022, arXiv:2205.13147, its form with one shared classifier) is [`Weights::LogSpaced`] with [`Schedule::Sum`],
//! a linear decoder and [`Head::CrossEntropy`]; a linear encoder and decoder with [`Head::Mse`] become the principal axes, in order.
//!
//! ```
//! use abduce_bottleneck::{Bottleneck, Head, ModelSpec, Net, Plan, Rows, fit};
//! use abduce_data::Seed;
//! use abduce_nn::Compute;
//! let mut rng = Seed(1).stream("line", 0);
//! let x: Vec<f32> = (0..200).flat_map(|_| { let t = rng.normal() as f32; [t, 2.0 * t] }).collect();   // one dimension in the plane
//! let model = Bottleneck::new(ModelSpec::autoencoder(2, 2, Net::linear(), Net::linear(), Head::Mse))?;
//! let mut plan = Plan::default();
//! plan.train.learning_rate = 0.05;
//! let compute = Compute::with_threads(1);
//! let all: Vec<usize> = (0..200).collect();
//! let fitted = fit(&model, &compute, &plan, Rows { x: &x, y: None }, (&all[..160], &all[160..]), |_| std::ops::ControlFlow::Continue(()))?;
//! let losses = model.losses(&compute, &fitted.params, Rows { x: &x, y: None }, &[0, 1, 2]);            // (200, 3)
//! let mean = |k: usize| losses.iter().skip(k).step_by(3).sum::<f32>() / 200.0;
//! assert!(mean(1) < 0.05 * mean(0));
//! # Ok::<(), abduce_bottleneck::BottleneckError>(())
//! ```
//! Start reading at [`model`], then `learner.rs`.

mod affine;
pub mod baseline;
mod compressor;
mod error;
mod fit;
mod head;
mod learner;
pub mod model;
mod moments;
mod schedule;
mod spec;

pub use abduce_nn::widths::Weights;
pub use compressor::{Compressor, Summary};
pub use error::BottleneckError;
pub use fit::{Fit, Plan, fit};
pub use model::{Bottleneck, Rows};
pub use schedule::Schedule;
pub use spec::{Head, ModelSpec, Net};
