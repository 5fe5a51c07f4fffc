//! Pictures of a simulated universe: a slice of its density, and its power spectrum against linear theory.

use super::summary::Measured;
use crate::error::Error;
use abduce_cosmology::background::Radiation;
use abduce_cosmology::files::{HaloFile, SnapshotFile};
use abduce_cosmology::growth::Growth;
use abduce_cosmology::mesh::{Convention, Grid, Scheme, Weights, deposit};
use abduce_cosmology::pm::PmError;
use abduce_cosmology::power::LinearPower;
use abduce_data::artefact::write_atomic;
use abduce_kernels::Threads;
use abduce_report::{Axis, Dash, DensityMap, Figure, Layer, Stacked, Tone};
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
    let cells = CELLS.min(((particles as f64).cbrt() as usize * 2).max(16));
    let depth = (DEPTH * box_size) as f32;
    let inside: Vec<[f32; 3]> = file.snapshot.positions.iter().filter(|p| !p[2].is_finite() || p[2] < depth).copied().collect();
    // A mesh of cells³ would be mostly empty: the slice is flattened onto its first plane along z.
    let flat: Vec<[f32; 3]> = inside.iter().map(|p| [p[0], p[1], 0.5 * (box_size / cells as f64) as f32]).collect();
    let grid = Grid::new(cells, box_size).map_err(PmError::from)?;
    let mesh = deposit(&flat, Weights::Equal, grid, Scheme::Cic, Convention::Cells, 0.0, threads).map_err(PmError::from)?;
    let column = |i: usize, j: usize| mesh[(i * cells + j) * cells..(i * cells + j + 1) * cells].iter().map(|&v| f64::from(v)).sum::<f64>();
    let mean = (inside.len() as f64 / (cells * cells) as f64).max(1e-12);
    let values = (0..cells * cells).map(|at| (0.1 + column(at % cells, at / cells) / mean).log10()).collect();
    let circles = halos.map_or_else(Vec::new, |halos| {
        let c = &halos.catalogue;
        let unit = |x: f32| f64::from(x) / box_size;
        // The rms radius of a group is about half of what one would call its size.
        (0..c.len()).filter(|&i| c.positions[i][2] < depth).map(|i| [unit(c.positions[i][0]), unit(c.positions[i][1]), 2.0 * unit(c.radii_mpc_h[i])]).collect()
    });
    let png = DensityMap { values, side: cells, circles }.png(PIXELS).map_err(figure_error)?;
    Ok(write_atomic(path, |out| out.write_all(&png))?)
}

/// The multipoles that were measured, and the monopole over that of linear theory in real space.
///
/// # Errors
/// Nothing was measured that can be drawn.
pub fn power(title: &str, measured: &Measured, linear: &LinearPower, cosmology: &abduce_cosmology::Cosmology, a: f64) -> Result<Figure, Error> {
    let growth = Growth::new(cosmology, Radiation::Neglected)?.at(a).d1.powi(2);
    let p = &measured.power;
    let k = &p.k_h_per_mpc;
    let theory: Vec<f64> = k.iter().map(|&k| growth * linear.at(k)).collect();
    let line = |name: &str, y: Vec<f64>, tone: Tone, dash: Dash| Layer::Line { name: Some(name.into()), x: k.clone(), y, tone, dash };
    let clean = p.p0_without_shot_noise();
    let mut upper = vec![line("linear theory", theory.clone(), Tone::Neutral, Dash::Dashed), line("P_0", p.p0.clone(), Tone::Series(0), Dash::Solid)];
    // A logarithmic axis has no place for what is not positive.
    for (name, values, tone) in [("|P_2|", &p.p2, Tone::Series(1)), ("|P_4|", &p.p4, Tone::Series(2))] {
        let floor = p.p0.iter().copied().fold(f64::INFINITY, f64::min) * 1e-3;
        upper.push(line(name, values.iter().map(|p| p.abs().max(floor)).collect(), tone, Dash::Solid));
    }
    // Gaussian errors: two modes per independent pair.
    let error: Vec<f64> = p.modes.iter().map(|&n| 1.0 / n.sqrt()).collect();
    let ratio: Vec<f64> = clean.iter().zip(&theory).map(|(p, t)| p / t).collect();
    let band = |sign: f64| ratio.iter().zip(&error).map(|(r, e)| r * (1.0 + sign * e)).collect::<Vec<f64>>();
    let figure = Stacked {
        title: title.into(),
        subtitle: format!("z = {:.3}  ·  shot noise {:.3} taken off below, not above", 1.0 / a - 1.0, p.shot_noise),
        description: "Multipoles of the power spectrum by wave number, and the monopole over linear theory".into(),
        x: Axis::log10("k [h/Mpc]"),
        upper: Axis::log10("P_l [(Mpc/h)^3]"),
        lower: Axis::linear("P_0/P_{lin}"),
        upper_layers: upper,
        lower_layers: vec![
            Layer::Band { name: None, x: k.clone(), lower: band(-1.0), upper: band(1.0), tone: Tone::Series(0) },
            Layer::Line { name: None, x: k.clone(), y: ratio.clone(), tone: Tone::Series(0), dash: Dash::Solid },
            Layer::Line { name: None, x: k.clone(), y: vec![1.0; k.len()], tone: Tone::Neutral, dash: Dash::Dashed },
        ],
    };
    figure.figure().map_err(figure_error)
}

/// Writes a figure as PNG and SVG beside each other.
///
/// # Errors
/// The files.
pub fn write_figure(path: &Path, figure: &Figure) -> Result<(), Error> {
    let (png, svg) = (figure.png(2.0).map_err(figure_error)?, figure.svg().map_err(figure_error)?);
    write_atomic(&path.with_extension("png"), |out| out.write_all(&png))?;
    write_atomic(&path.with_extension("svg"), |out| out.write_all(svg.as_bytes()))?;
    Ok(())
}

fn figure_error(error: abduce_report::FigureError) -> Error {
    Error::Failed { message: error.to_string(), help: None }
}
