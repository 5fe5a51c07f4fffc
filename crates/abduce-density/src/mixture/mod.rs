//! Gaussian mixtures whose weights, means and precision factors come from a network.

mod draw;
mod layer;

pub use draw::{draw_component, normal_cdf, normal_quantile};
pub use layer::GaussianMixture;

/// Raw parameters of one group of a [`GaussianMixture`]: K logits, then K·d means, K·d diagonals, K·d(d-1)/2 entries above them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixtureShape {
    /// Number of components K.
    pub components: usize,
    /// Dimension d of one group.
    pub features: usize,
}

impl MixtureShape {
    /// Raw parameters of one group.
    pub const fn parameters(&self) -> usize {
        let (k, d) = (self.components, self.features);
        k * (1 + 2 * d + d * (d - 1) / 2)
    }

    const fn mean(&self, k: usize, i: usize) -> usize {
        self.components + k * self.features + i
    }

    const fn diagonal(&self, k: usize, i: usize) -> usize {
        self.components * (1 + self.features) + k * self.features + i
    }

    /// A[i][j], j > i.
    const fn above(&self, k: usize, i: usize, j: usize) -> usize {
        let d = self.features;
        self.components * (1 + 2 * d) + k * (d * (d - 1) / 2) + i * (2 * d - i - 1) / 2 + (j - i - 1)
    }
}
