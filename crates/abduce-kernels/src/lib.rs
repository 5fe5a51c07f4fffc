//! The hot loops of `abduce` on plain slices, with the SIMD level chosen at run time.
//!
//! **Layout.** A batch lives *feature-major*: a value of `f` features over a chunk of rows is an `(f, lanes)` matrix whose
//! contiguous axis runs over the rows, padded to a multiple of [`LANES`]. Sixteen rows then sit in one vector register, and
//! splines, softmaxes, log-determinants and triangular solves, which couple the few features of one row, are element-wise
//! loops. Feature counts need no padding, permutations and couplings are choices of rows, and weights stay in their natural
//! `(out, in)` order.
//!
//! The nouns: [`Simd`], the instruction set in use, whose methods are the kernels; [`Threads`], a crew of workers that is
//! passed down explicitly. All `unsafe` code of the workspace is here, behind functions that check lengths first.
//!
//! ```
//! use abduce_kernels::{Simd, gemm::{Into, MatMul}};
//! let simd = Simd::best();
//! // y (2, 16) = w (2, 3) · x (3, 16)
//! let (w, x) = ([1.0, 0.0, 0.0, 1.0, 1.0, 1.0], [2.0f32; 48]);
//! let mut y = [0.0f32; 32];
//! simd.matmul(MatMul { rows: 2, cols: 16, depth: 3 }, &w, &x, &mut y, Into::Overwrite);
//! assert_eq!((y[0], y[16]), (2.0, 6.0));
//! ```
//! Start reading at [`gemm`].
#![allow(unsafe_code)] // the one crate that may: intrinsics, the worker crew's borrowed closures, and launches of kernels

pub mod affine;
#[cfg(feature = "cuda")]
pub mod cuda;
pub(crate) mod curves;
pub mod elementwise;
pub mod gather;
pub mod gemm;
pub(crate) mod lanes;
pub(crate) mod math;
pub mod monotone;
pub mod norm;
pub mod optimiser;
pub mod pairs;
pub mod select;
pub mod simd;
pub mod slabs;
pub mod spline;
pub mod threads;
pub(crate) mod tile;
pub mod transpose;

pub use lanes::LANES;
pub use simd::{Simd, SimdError};
pub use threads::{Stopped, Threads};

/// Number of lanes that hold `rows` rows: the next multiple of [`LANES`].
pub const fn lanes_for(rows: usize) -> usize {
    rows.div_ceil(LANES) * LANES
}
