//! The hot loops on slices: matrix products, activations, splines, with run-time choice of the SIMD level.
