//! Fields in Fourier space.

use super::StatisticsError;
use crate::fft::{Complex, MeshFft};
use crate::mesh::{Convention, Grid, MeshError, Scheme, Weights, compensate, density_contrast, deposit};
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// Modes δ_k = Σ_x δ(x) e^{−ik·x} of a real field: N² (N/2 + 1) values, z fastest, without normalisation; P = |δ_k|² L³/N⁶.
#[derive(Clone, Debug)]
pub struct Modes {
    /// The mesh.
    pub grid: Grid,
    /// δ_k.
    pub values: Vec<Complex<f32>>,
    /// The window that estimators divide out: that of the mass assignment, or nothing.
    pub window: Option<Scheme>,
    /// Power of the shot noise, L³ Σw²/(Σw)² [(Mpc/h)³]; 0 for a field.
    pub shot_noise: f64,
}

/// Whether points are painted a second time, shifted by half a cell, to take out odd alias images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "interlacing"))]
pub enum Interlacing {
    /// Two meshes: an N = 128 TSC mesh is then right to 0.5 % up to 0.95 of the Nyquist wave number, against 20 % without.
    #[default]
    On,
    /// One mesh: half the time, for comparisons and where k stays below half the Nyquist wave number.
    Off,
}

impl Modes {
    /// The inverse window along each index of an axis; ones where there is nothing to divide out.
    pub(crate) fn inverse_window(&self) -> Vec<f64> {
        match self.window {
            Some(scheme) => compensate::Axes::new(self.grid, scheme).inverse_window,
            None => vec![1.0; self.grid.cells()],
        }
    }
}

/// The modes of the density contrast of points, painted with `scheme`, whose window is noted for the estimators to divide out.
///
/// `fft` must be planned for the mesh. Points (n, 3) [Mpc/h] lie in [0, L].
///
/// # Errors
/// As [`deposit()`]; no points; a plan for another mesh.
pub fn modes_of_points(
    points: &[[f32; 3]],
    weights: Weights<'_>,
    grid: Grid,
    scheme: Scheme,
    interlacing: Interlacing,
    fft: &MeshFft<f32>,
    threads: &Threads,
) -> Result<Modes, StatisticsError> {
    let transform = |shift: f64| -> Result<Vec<Complex<f32>>, StatisticsError> {
        let mut mesh = deposit(points, weights, grid, scheme, Convention::Cells, shift, threads)?;
        density_contrast(&mut mesh, threads)?;
        let mut modes = vec![Complex::new(0.0, 0.0); grid.modes()];
        fft.forward(&mesh, &mut modes, threads)?;
        Ok(modes)
    };
    let mut values = transform(0.0)?;
    if interlacing == Interlacing::On {
        compensate::interlace(&mut values, &transform(0.5)?, grid, threads);
    }
    let (sum, squares) = match weights {
        Weights::Equal => (points.len() as f64, points.len() as f64),
        Weights::Each(w) => w.iter().fold((0.0, 0.0), |(s, q), &w| (s + f64::from(w), q + f64::from(w) * f64::from(w))),
    };
    let shot_noise = grid.box_size_mpc_h().powi(3) * squares / (sum * sum);
    Ok(Modes { grid, values, window: Some(scheme), shot_noise })
}

/// The modes of a field given on the mesh, such as a density contrast: N³ values, z fastest.
///
/// # Errors
/// The field has another shape, or a value that is not finite; a plan for another mesh.
pub fn modes_of_field(
    field: &[f32],
    grid: Grid,
    window: Option<Scheme>,
    fft: &MeshFft<f32>,
    threads: &Threads,
) -> Result<Modes, StatisticsError> {
    grid.check("field", field.len())?;
    if let Some(index) = field.iter().position(|value| !value.is_finite()) {
        return Err(MeshError::NotFiniteCell { index, value: field[index] }.into());
    }
    let mut values = vec![Complex::new(0.0, 0.0); grid.modes()];
    fft.forward(field, &mut values, threads)?;
    Ok(Modes { grid, values, window, shot_noise: 0.0 })
}
