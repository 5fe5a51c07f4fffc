//! Kernels between density and force.

use serde::{Deserialize, Serialize};

/// The discrete −∇∇⁻², by the names of FastPM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(extend("x-kind" = "kernel"))]
pub enum Kernel {
    /// Potential −1/k², gradient by differences of four points, exact to fourth order.
    #[default]
    #[serde(rename = "1_4")]
    ExactFour,
    /// Laplacian of three points, gradient of four.
    #[serde(rename = "3_4")]
    ThreeFour,
    /// Laplacian of five points, gradient of four.
    #[serde(rename = "5_4")]
    FiveFour,
    /// Potential −1/k², gradient of four points, the window of painting and reading divided out.
    #[serde(rename = "gadget")]
    Gadget,
    /// Gradient of four points, and the potential that brings the force between two particles closest to −1/k², images of the mesh counted (Hockney &
    /// Eastwood 1988, Eq. 8-22). Sharper than `1_4`, without the noise that `gadget` amplifies: for haloes on a mesh of twice the particles.
    #[serde(rename = "optimal")]
    Optimal,
    /// Potential −1/k², gradient i k. Three transforms back in place of one.
    #[serde(rename = "naive")]
    Naive,
    /// As `naive`, with the window of painting and reading divided out.
    #[serde(rename = "eastwood")]
    Eastwood,
}

/// Damping of the force at the scale of the mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Softening {
    /// None.
    #[default]
    None,
    /// exp(−k² r²/2) with r in cells.
    Gaussian {
        /// r.
        cells: f64,
    },
    /// Nothing beyond two thirds of the Nyquist wave number along any axis.
    TwoThirds,
}

impl Kernel {
    /// Whether the gradient is i k, which only Fourier space can do.
    pub(crate) const fn is_spectral(self) -> bool {
        matches!(self, Self::Naive | Self::Eastwood)
    }

    const fn is_compensated(self) -> bool {
        matches!(self, Self::Gadget | Self::Eastwood)
    }

    /// One axis's share of −∇² for w = 2π n/N radians per cell.
    fn laplacian(self, w: f64) -> f64 {
        match self {
            Self::ThreeFour => {
                let s = 2.0 * libm::sin(0.5 * w);
                s * s
            }
            // −f'' ≈ (5/2) f₀ − (4/3)(f₁ + f₋₁) + (1/12)(f₂ + f₋₂)
            Self::FiveFour => 2.5 - 8.0 / 3.0 * libm::cos(w) + libm::cos(2.0 * w) / 6.0,
            _ => w * w,
        }
    }
}

/// Factors along one axis, the same for all three: they multiply to what a mode of the density is multiplied by to give −potential.
#[derive(Clone, Debug)]
pub(crate) struct KernelAxes {
    /// Share of −∇², by index.
    pub(crate) laplacian: Vec<f64>,
    /// Compensation and softening, by index.
    pub(crate) filter: Vec<f64>,
    /// w for a spectral gradient, 0 at the Nyquist index.
    pub(crate) gradient: Vec<f64>,
    /// For an optimal kernel: how the difference of four points lies to the gradient.
    pub(crate) projection: Option<Projection>,
}

/// The four-point difference D = [8 sin w − sin 2w]/6 against w along one axis, by index.
#[derive(Clone, Debug)]
pub(crate) struct Projection {
    /// D w.
    pub(crate) along: Vec<f64>,
    /// D².
    pub(crate) square: Vec<f64>,
}

impl KernelAxes {
    pub(crate) fn new(kernel: Kernel, softening: Softening, n: usize) -> Self {
        let mut axes = Self::plain(kernel, softening, n);
        if kernel == Kernel::Optimal {
            axes.optimise(n);
        }
        axes
    }

    /// The long-range part of a force that is split at `split` cells, R = w/w² exp(−w² r_s²), by [`Kernel::Optimal`].
    pub(crate) fn long_range(split: f64, n: usize) -> Self {
        Self::new(Kernel::Optimal, Softening::Gaussian { cells: std::f64::consts::SQRT_2 * split }, n)
    }

    fn plain(kernel: Kernel, softening: Softening, n: usize) -> Self {
        let wave = |i: usize| crate::fft::wave_number(i, n) as f64;
        let w = |i: usize| std::f64::consts::TAU * wave(i) / n as f64;
        let filter = |i: usize| {
            let half = 0.5 * w(i);
            // Cloud in cell, once for painting and once for reading: sinc² each.
            let window = if i == 0 { 1.0 } else { (libm::sin(half) / half).powi(4) };
            let compensation = if kernel.is_compensated() { 1.0 / window } else { 1.0 };
            compensation
                * match softening {
                    Softening::None => 1.0,
                    Softening::Gaussian { cells } => libm::exp(-0.5 * (w(i) * cells).powi(2)),
                    Softening::TwoThirds => f64::from(u8::from(3.0 * wave(i).abs() < n as f64)),
                }
        };
        Self {
            laplacian: (0..n).map(|i| kernel.laplacian(w(i))).collect(),
            filter: (0..n).map(filter).collect(),
            gradient: (0..n).map(|i| if 2 * i == n { 0.0 } else { w(i) }).collect(),
            projection: None,
        }
    }

    /// Makes the least mean square error of the force for a reference R = w/w² times the softening, with clouds in cells to paint and read and
    /// differences of four points, D:
    ///
    /// G = D·Σ_m U²(w_m) R(w_m) / (|D|² [Σ_m U²(w_m)]²),   U² = Π sinc⁴(w/2),   Σ_m U² = Π (1 − ⅔ sin²(w/2)).
    ///
    /// R ends at the Nyquist wave number: of the sum above only m = 0 is left.
    fn optimise(&mut self, n: usize) {
        let w = |i: usize| std::f64::consts::TAU * crate::fft::wave_number(i, n) as f64 / n as f64;
        let difference = |i: usize| if 2 * i == n { 0.0 } else { (8.0 * libm::sin(w(i)) - libm::sin(2.0 * w(i))) / 6.0 };
        for (i, filter) in self.filter.iter_mut().enumerate() {
            let sine = libm::sin(0.5 * w(i));
            let window = if i == 0 { 1.0 } else { (sine / (0.5 * w(i))).powi(4) };
            *filter *= window / (1.0 - 2.0 / 3.0 * sine * sine).powi(2);
        }
        let along = (0..n).map(|i| difference(i) * w(i)).collect();
        self.projection = Some(Projection { along, square: (0..n).map(|i| difference(i).powi(2)).collect() });
    }
}
