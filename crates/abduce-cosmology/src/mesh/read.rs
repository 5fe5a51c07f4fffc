//! Reading a mesh at points: the transpose of painting.

use super::stencil::Stencil;
use super::{Convention, Grid, MeshError, Scheme};
use abduce_kernels::Threads;

/// Points per item of work.
const CHUNK: usize = 1 << 14;

/// The values of a mesh at points, with the weights that [`super::deposit()`] would spread them by: Σ_c w_c(x) f_c.
///
/// `points` (n, 3) in Mpc/h may lie anywhere; the box repeats.
///
/// # Errors
/// The mesh does not hold N³ values, or a coordinate is not finite.
pub fn interpolate(
    mesh: &[f32],
    grid: Grid,
    scheme: Scheme,
    convention: Convention,
    points: &[[f32; 3]],
    threads: &Threads,
) -> Result<Vec<f32>, MeshError> {
    grid.check("mesh", mesh.len())?;
    if let Some(index) = points.iter().position(|point| !point.iter().all(|x| x.is_finite())) {
        return Err(MeshError::NotFinite { index, position: points[index] });
    }
    let mut values = vec![0.0f32; points.len()];
    let mut parts: Vec<(&mut [f32], &[[f32; 3]])> = values.chunks_mut(CHUNK).zip(points.chunks(CHUNK)).collect();
    let offset = convention.offset();
    threads.for_each(&mut parts, |_, (values, points)| match scheme {
        Scheme::Ngp => gather::<1>(mesh, grid, offset, points, values),
        Scheme::Cic => gather::<2>(mesh, grid, offset, points, values),
        Scheme::Tsc => gather::<3>(mesh, grid, offset, points, values),
        Scheme::Pcs => gather::<4>(mesh, grid, offset, points, values),
    });
    Ok(values)
}

fn gather<const P: usize>(mesh: &[f32], grid: Grid, offset: f64, points: &[[f32; 3]], values: &mut [f32]) {
    let n = grid.cells();
    let box_size = grid.box_size_mpc_h();
    let scale = n as f64 / box_size;
    for (value, point) in values.iter_mut().zip(points) {
        let mut first = [0; 3];
        let mut w = [[0.0; P]; 3];
        for axis in 0..3 {
            let x = f64::from(point[axis]).rem_euclid(box_size);
            let (i, weights) = Stencil::weights::<P>(x * scale - offset);
            first[axis] = Stencil::wrap(i, n);
            w[axis] = weights;
        }
        let mut sum = 0.0;
        for a in 0..P {
            for b in 0..P {
                let row = ((first[0] + a) % n * n + (first[1] + b) % n) * n;
                let mut along = 0.0;
                for c in 0..P {
                    along += w[2][c] * mesh[row + (first[2] + c) % n];
                }
                sum += w[0][a] * w[1][b] * along;
            }
        }
        *value = sum;
    }
}
