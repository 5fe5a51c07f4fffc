//! What is measured in particles, haloes and galaxies.

use crate::config::{SpaceConfig, SummaryConfig, SummaryScale};
use crate::error::Error;
use abduce_cosmology::background::{Background, Radiation};
use abduce_cosmology::fft::MeshFft;
use abduce_cosmology::files::Description;
use abduce_cosmology::galaxies::redshift_space_from_real;
use abduce_cosmology::mesh::{Grid, Weights};
use abduce_cosmology::statistics::{
    Binning, Bispectrum, BispectrumPlan, PowerOptions, PowerSpectrum, Triangle, modes_of_points, power_spectrum,
};
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// Everything that is measured in a box, before anything is measured: meshes, bins, triangles.
pub struct Estimators {
    config: SummaryConfig,
    grid: Grid,
    fft: MeshFft<f32>,
    bispectrum: Option<BispectrumPlan>,
    k_max: f64,
    options: PowerOptions,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Multipoles of the power spectrum up to `k_max`.
    pub power: PowerSpectrum,
    /// The bispectrum, where wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bispectrum: Option<Bispectrum>,
}

/// A column of a summary vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummaryColumn {
    /// What it is: `ln P0`, `P2/P0`, `Q`, `P0`, `B0`.
    pub name: String,
    /// Wave number, or the three sides of a triangle [h/Mpc].
    pub k_h_per_mpc: Vec<f64>,
}

impl Estimators {
    /// Estimators for boxes of `box_size` with `default_mesh` cells per side where the configuration has none.
    ///
    /// # Errors
    /// Bins, a mesh or triangles that cannot be had.
    pub fn new(config: &SummaryConfig, box_size: f64, default_mesh: usize, threads: &Threads) -> Result<Self, Error> {
        let grid = Grid::new(config.mesh.unwrap_or(default_mesh), box_size).map_err(abduce_cosmology::pm::PmError::from)?;
        let fft = MeshFft::new([grid.cells(); 3])?;
        let fundamental = grid.fundamental_h_per_mpc();
        let width = config.k_width.unwrap_or(fundamental);
        let binning = Binning::in_h_per_mpc(if config.k_width.is_some() { width } else { fundamental }, width, grid);
        let line_of_sight = config.line_of_sight;
        let bispectrum = config
            .bispectrum
            .map(|b| {
                let triangles = Triangle::all(b.width, b.k_max);
                BispectrumPlan::new(grid, triangles, 0.5 * b.width, None, threads)
            })
            .transpose()?;
        let k_max = config.k_max.unwrap_or(0.95 * grid.nyquist_h_per_mpc());
        let options = PowerOptions { binning, line_of_sight, ..PowerOptions::default() };
        Ok(Self { config: config.clone(), grid, fft, bispectrum, k_max, options })
    }

    /// Measures tracers at positions [Mpc/h] with velocities [km/s].
    ///
    /// # Errors
    /// Tracers outside the box or not finite, or none at all.
    pub fn measure(&self, positions: &[[f32; 3]], velocities: &[[f32; 3]], of: &Description, threads: &Threads) -> Result<Measured, Error> {
        if positions.is_empty() {
            return Err(Error::failed(
                format!("at a = {:.6} there is nothing to measure: the catalogue is empty", of.a),
                "resolve or populate smaller haloes, enlarge the box, or leave this epoch out",
            ));
        }
        let seen;
        let positions = match self.config.space {
            SpaceConfig::Real => positions,
            SpaceConfig::Redshift => {
                let background = Background::new(&of.cosmology, Radiation::Neglected)?;
                seen = redshift_space_from_real(positions, velocities, of.box_size_mpc_h, &background, of.a, self.config.line_of_sight)?;
                &seen
            }
        };
        let c = &self.config;
        let modes = modes_of_points(positions, Weights::Equal, self.grid, c.scheme, c.interlacing, &self.fft, threads)?;
        let power = power_spectrum(&modes, &self.options, threads)?.below(self.k_max);
        let bispectrum = self.bispectrum.as_ref().map(|plan| plan.measure(&modes, threads)).transpose()?;
        Ok(Measured { power, bispectrum })
    }

    /// The numbers for a network, and what they are.
    pub fn vector(&self, measured: &Measured) -> (Vec<f32>, Vec<SummaryColumn>) {
        let (mut values, mut columns) = (Vec::new(), Vec::new());
        let p = &measured.power;
        let ratio = self.config.scale == SummaryScale::Ratio;
        for &l in &self.config.multipoles {
            let multipole = match l {
                0 => &p.p0,
                2 => &p.p2,
                _ => &p.p4,
            };
            for (i, &k) in p.k_h_per_mpc.iter().enumerate() {
                let (value, name) = match (ratio, l) {
                    (true, 0) => (multipole[i].ln(), "ln P0".to_string()),
                    (true, l) => (multipole[i] / p.p0[i], format!("P{l}/P0")),
                    (false, l) => (multipole[i], format!("P{l}")),
                };
                values.push(value as f32);
                columns.push(SummaryColumn { name, k_h_per_mpc: vec![k] });
            }
        }
        if let Some(b) = &measured.bispectrum {
            let numbers = if ratio { b.reduced() } else { b.b0_without_shot_noise() };
            for (value, triangle) in numbers.iter().zip(&b.triangles) {
                values.push(*value as f32);
                let name = if ratio { "Q" } else { "B0" };
                columns.push(SummaryColumn { name: name.into(), k_h_per_mpc: triangle.sides_h_per_mpc.to_vec() });
            }
        }
        (values, columns)
    }
}
