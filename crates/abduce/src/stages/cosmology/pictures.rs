//! Pictures of a simulated universe: a slice of its density, and its power spectrum against linear theory.

use super::summary::Measured;
use crate::config::SpaceConfig;
use crate::error::Error;
use abduce_cosmology::background::Radiation;
use abduce_cosmology::files::{Description, HaloFile, Kind, SnapshotFile};
use abduce_cosmology::growth::Growth;
use abduce_cosmology::mesh::{Convention, Grid, Scheme, Weights, deposit};
use abduce_cosmology::pm::PmError;
use abduce_cosmology::power::LinearPower;
use abduce_data::artefact::write_atomic;
use abduce_kernels::Threads;
use abduce_report::{Axis, Curve, DensityMap, Figure, RatioCurves};
use std::io::Write as _;
use std::path::Path;

/// Cells of a picture's mesh.
const CELLS: usize = 256;
/// Depth of a slice, as a fraction of the box.
const DEPTH: f64 = 0.1;
/// Pixels of a slice.
const PIXELS: u32 = 1024;

/// Writes a picture of the first tenth of the box along z: lg(1 + δ) of the projected density, x to the right and y upwards, with the haloes in it
/// as circles of their radius.
///
/// # Errors
/// Particles outside the box, or the file.
pub fn slice(path: &Path, file: &SnapshotFile, halos: Option<&HaloFile>, threads: &Threads) -> Result<(), Error> {
    let d = &file.description;
    let box_size = d.box_size_mpc_h;
    let particles = file.snapshot.positions.len();
    // A finer mesh than the particles' own would show their lattice and not their density.
    let cells = CELLS.min((particles as f64).cbrt().round() as usize).max(16);
    let depth = (DEPTH * box_size) as f32;
    let inside: Vec<[f32; 3]> = file.snapshot.positions.iter().filter(|p| !p[2].is_finite() || p[2] < depth).copied().collect();
    // A mesh of cells³ would be mostly empty: the slice is flattened onto its first plane along z.
    let flat: Vec<[f32; 3]> = inside.iter().map(|p| [p[0], p[1], 0.5 * (box_size / cells as f64) as f32]).collect();
    let grid = Grid::new(cells, box_size).map_err(PmError::from)?;
    let mesh = deposit(&flat, Weights::Equal, grid, Scheme::Tsc, Convention::Cells, 0.0, threads).map_err(PmError::from)?;
    let column = |i: usize, j: usize| mesh[(i * cells + j) * cells..(i * cells + j + 1) * cells].iter().map(|&v| f64::from(v)).sum::<f64>();
    let mean = (inside.len() as f64 / (cells * cells) as f64).max(1e-12);
    let values = (0..cells * cells).map(|at| (0.1 + column(at % cells, at / cells) / mean).log10()).collect();
    let circles = halos.map_or_else(Vec::new, |halos| {
        let c = &halos.catalogue;
        let unit = |x: f32| f64::from(x) / box_size;
        // The rms radius of a group is about half of what one would call its size.
        (0..c.len())
            .filter(|&i| c.positions[i][2] < depth)
            .map(|i| [unit(c.positions[i][0]), unit(c.positions[i][1]), 2.0 * unit(c.radii_mpc_h[i])])
            .collect()
    });
    let png = DensityMap { values, side: cells, circles }.png(PIXELS).map_err(figure_error)?;
    Ok(write_atomic(path, |out| out.write_all(&png))?)
}

/// The monopole that was measured of `count` tracers in this space, and that of linear theory in real space, with their ratio.
///
/// # Errors
/// Nothing was measured that can be drawn.
pub fn power(count: usize, of: &Description, space: SpaceConfig, measured: &Measured, linear: &LinearPower) -> Result<Figure, Error> {
    let growth = Growth::new(&of.cosmology, Radiation::Neglected)?.at(of.a).d1.powi(2);
    let p = &measured.power;
    let theory: Vec<f64> = p.k_h_per_mpc.iter().map(|&k| growth * linear.at(k)).collect();
    let (tracers, signal) = match of.kind {
        // Particles start on a lattice: their noise is below a Poisson process's, and taking that off would take power away.
        Kind::Snapshot => ("particles", p.p0.clone()),
        Kind::Halos => ("haloes", p.p0_without_shot_noise()),
        Kind::Galaxies => ("galaxies", p.p0_without_shot_noise()),
    };
    let space = match space {
        SpaceConfig::Real => "real",
        SpaceConfig::Redshift => "redshift",
    };
    let ratio = |values: &[f64]| values.iter().zip(&theory).map(|(p, t)| p / t).collect::<Vec<f64>>();
    let figure = RatioCurves {
        title: format!("{count} {tracers} in {} Mpc/h, {space} space, z = {:.2}", of.box_size_mpc_h, 1.0 / of.a - 1.0),
        description: "Monopole of the power spectrum as it is measured, and linear theory in real space, by wave number; below, their ratio, for haloes and galaxies without shot noise".into(),
        x_axis: Axis::log10(r"k [h\,Mpc^{-1}]"),
        y_axis: Axis::log10(r"P_0 [h^{-3}Mpc^3]"),
        ratio_label: "P_0/P_{lin}".into(),
        x: p.k_h_per_mpc.clone(),
        curves: vec![
            Curve { name: "measured".into(), y: p.p0.clone() },
            Curve { name: "linear theory, real space".into(), y: theory.clone() },
        ],
        // A logarithmic axis above has no place for what may be negative without shot noise.
        ratios: vec![ratio(&signal), vec![1.0; theory.len()]],
    };
    figure.figure().map_err(figure_error)
}

fn figure_error(error: abduce_report::FigureError) -> Error {
    Error::Failed { message: error.to_string(), help: None }
}
