//! Three-dimensional Fourier transforms between real meshes and their independent modes, on threads.
//!
//! A mesh of shape (nx, ny, nz) in C order (z fastest) has modes of shape (nx, ny, nz/2 + 1) in the same order: those of negative kz are complex
//! conjugates. Forward transforms are unnormalised, δ_k = Σ_x δ(x) e^{−ik·x}; inverse ones divide by the number of cells, so that one undoes the other.
//!
//! Rows along z are contiguous; the other two axes are transformed in blocks of columns that are gathered into cache, so memory is swept three
//! times in each direction. [`MeshFft::filter`] multiplies modes by a kernel while their columns along x are in cache and saves two sweeps.
//! Every row and column is computed alone and by the same code whoever does it: results do not depend on the number of threads.

use crate::error::{CosmologyError, Result, same_length};
use abduce_kernels::Threads;
use abduce_kernels::slabs::Slab;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};
use std::sync::{Arc, Mutex, PoisonError};

pub use realfft::FftNum;
pub use rustfft::num_complex::Complex;

/// Columns that are gathered at a time: 256 bytes of each row in f32, four cache lines.
const BLOCK: usize = 32;

/// Plans and scratch for the transforms of meshes of one shape. Cheap to share by reference; several may run at once.
pub struct MeshFft<T: FftNum> {
    shape: [usize; 3],
    z_forward: Arc<dyn RealToComplex<T>>,
    z_inverse: Arc<dyn ComplexToReal<T>>,
    y: Pair<T>,
    x: Pair<T>,
    scratch: Mutex<Vec<Scratch<T>>>,
}

struct Pair<T> {
    forward: Arc<dyn Fft<T>>,
    inverse: Arc<dyn Fft<T>>,
}

/// What one thread works in.
struct Scratch<T> {
    row: Vec<T>,
    columns: Vec<Complex<T>>,
    inner: Vec<Complex<T>>,
}

/// A set of rows, far apart or not.
trait Rows<T> {
    fn row(&self, index: usize) -> &[Complex<T>];
    fn row_mut(&mut self, index: usize) -> &mut [Complex<T>];
}

impl<T> Rows<T> for Slab<'_, Complex<T>> {
    fn row(&self, index: usize) -> &[Complex<T>] {
        Self::row(self, index)
    }
    fn row_mut(&mut self, index: usize) -> &mut [Complex<T>] {
        Self::row_mut(self, index)
    }
}

/// Contiguous rows of one width.
struct Plane<'a, T> {
    data: &'a mut [Complex<T>],
    width: usize,
}

impl<T> Rows<T> for Plane<'_, T> {
    fn row(&self, index: usize) -> &[Complex<T>] {
        &self.data[index * self.width..][..self.width]
    }
    fn row_mut(&mut self, index: usize) -> &mut [Complex<T>] {
        &mut self.data[index * self.width..][..self.width]
    }
}

/// Distance between columns in scratch: an odd number of cache lines, so that columns do not fall onto the same sets of the cache.
fn pitch(rows: usize) -> usize {
    (rows.div_ceil(8) | 1) * 8
}

/// Gathers the columns of `rows` × `width` values block by block, hands each to `visit(column, values, scratch)` and writes it back.
fn for_each_column<T: FftNum>(
    rows: &mut impl Rows<T>,
    count: usize,
    width: usize,
    columns: &mut [Complex<T>],
    mut visit: impl FnMut(usize, &mut [Complex<T>]),
) {
    let pitch = pitch(count);
    for start in (0..width).step_by(BLOCK) {
        let block = BLOCK.min(width - start);
        for r in 0..count {
            for (c, value) in rows.row(r)[start..start + block].iter().enumerate() {
                columns[c * pitch + r] = *value;
            }
        }
        for c in 0..block {
            visit(start + c, &mut columns[c * pitch..][..count]);
        }
        for r in 0..count {
            for (c, value) in rows.row_mut(r)[start..start + block].iter_mut().enumerate() {
                *value = columns[c * pitch + r];
            }
        }
    }
}

/// The signed wave number of index `i` on a side of `n` cells, in units of 2π over the side: 0, 1, …, n/2, −(n − 1)/2, …, −1.
pub fn wave_number(i: usize, n: usize) -> i64 {
    if i <= n / 2 { i as i64 } else { i as i64 - n as i64 }
}

impl<T: FftNum> MeshFft<T> {
    /// Plans the transforms of meshes of `shape` (nx, ny, nz).
    ///
    /// # Errors
    /// A side below 2, or more cells than can be counted.
    pub fn new(shape: [usize; 3]) -> Result<Self> {
        let countable = shape.iter().try_fold(16usize, |product, &side| product.checked_mul(side)).is_some();
        if shape.iter().any(|&side| side < 2) || !countable {
            return Err(CosmologyError::Mesh(shape));
        }
        let (mut real, mut complex) = (RealFftPlanner::new(), FftPlanner::new());
        let mut pair = |n| Pair { forward: complex.plan_fft_forward(n), inverse: complex.plan_fft_inverse(n) };
        Ok(Self {
            shape,
            z_forward: real.plan_fft_forward(shape[2]),
            z_inverse: real.plan_fft_inverse(shape[2]),
            y: pair(shape[1]),
            x: pair(shape[0]),
            scratch: Mutex::new(Vec::new()),
        })
    }

    /// Shape (nx, ny, nz) of the mesh.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Shape (nx, ny, nz/2 + 1) of the modes.
    pub fn modes_shape(&self) -> [usize; 3] {
        [self.shape[0], self.shape[1], self.shape[2] / 2 + 1]
    }

    /// Number of cells of the mesh.
    pub fn cells(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of stored modes.
    pub fn modes(&self) -> usize {
        self.modes_shape().iter().product()
    }

    /// Modes of `mesh`: Σ_x mesh(x) e^{−ik·x}.
    ///
    /// # Errors
    /// A slice does not have the length of its shape.
    pub fn forward(&self, mesh: &[T], modes: &mut [Complex<T>], threads: &Threads) -> Result<()> {
        self.check(mesh.len(), modes.len())?;
        self.forward_planes(mesh, modes, threads);
        self.x_columns(modes, threads, |_, column, inner| self.x.forward.process_with_scratch(column, inner));
        Ok(())
    }

    /// The mesh of `modes`: (1/cells) Σ_k modes(k) e^{ik·x}. `modes` is used as work space and holds nothing useful afterwards.
    ///
    /// Imaginary parts that a real mesh cannot have are dropped.
    ///
    /// # Errors
    /// A slice does not have the length of its shape.
    pub fn inverse(&self, modes: &mut [Complex<T>], mesh: &mut [T], threads: &Threads) -> Result<()> {
        self.check(mesh.len(), modes.len())?;
        self.x_columns(modes, threads, |_, column, inner| self.x.inverse.process_with_scratch(column, inner));
        self.inverse_planes(modes, mesh, threads);
        Ok(())
    }

    /// Replaces `mesh` by itself with its modes multiplied by a kernel: `kernel(iy, iz, column)` changes the modes (0..nx, iy, iz) in place.
    ///
    /// `modes` is work space. [`wave_number`] turns indices into wave numbers; the kernel may be called from any thread.
    ///
    /// # Errors
    /// A slice does not have the length of its shape.
    pub fn filter(
        &self,
        mesh: &mut [T],
        modes: &mut [Complex<T>],
        threads: &Threads,
        kernel: impl Fn(usize, usize, &mut [Complex<T>]) + Sync,
    ) -> Result<()> {
        self.check(mesh.len(), modes.len())?;
        self.forward_planes(mesh, modes, threads);
        self.x_columns(modes, threads, |[iy, iz], column, inner| {
            self.x.forward.process_with_scratch(column, inner);
            kernel(iy, iz, column);
            self.x.inverse.process_with_scratch(column, inner);
        });
        self.inverse_planes(modes, mesh, threads);
        Ok(())
    }

    /// Calls `visit(iy, iz, column)` for the modes (0..nx, iy, iz) of every (iy, iz), spread over the threads.
    ///
    /// # Errors
    /// `modes` does not have the length of its shape.
    pub fn for_each_mode_column(
        &self,
        modes: &mut [Complex<T>],
        threads: &Threads,
        visit: impl Fn(usize, usize, &mut [Complex<T>]) + Sync,
    ) -> Result<()> {
        same_length("the modes", modes.len(), self.modes())?;
        self.x_columns(modes, threads, |[iy, iz], column, _| visit(iy, iz, column));
        Ok(())
    }

    fn check(&self, mesh: usize, modes: usize) -> Result<()> {
        same_length("the mesh", mesh, self.cells())?;
        same_length("the modes", modes, self.modes())
    }

    fn forward_planes(&self, mesh: &[T], modes: &mut [Complex<T>], threads: &Threads) {
        let [_, ny, nz] = self.shape;
        let width = nz / 2 + 1;
        let mut planes: Vec<_> = mesh.chunks_exact(ny * nz).zip(modes.chunks_exact_mut(ny * width)).collect();
        threads.for_each(&mut planes, |_, (mesh, modes)| {
            self.with_scratch(|Scratch { row, columns, inner }| {
                for (from, to) in mesh.chunks_exact(nz).zip(modes.chunks_exact_mut(width)) {
                    // The transform overwrites its input.
                    row.copy_from_slice(from);
                    let done = self.z_forward.process_with_scratch(row, to, inner);
                    debug_assert!(done.is_ok(), "lengths are those of the plan");
                }
                let mut plane = Plane { data: modes, width };
                for_each_column(&mut plane, ny, width, columns, |_, column| self.y.forward.process_with_scratch(column, inner));
            });
        });
    }

    fn inverse_planes(&self, modes: &mut [Complex<T>], mesh: &mut [T], threads: &Threads) {
        let [_, ny, nz] = self.shape;
        let width = nz / 2 + 1;
        let cells = T::from_usize(self.cells()).unwrap_or_else(T::one);
        let scale = T::one() / cells;
        let mut planes: Vec<_> = mesh.chunks_exact_mut(ny * nz).zip(modes.chunks_exact_mut(ny * width)).collect();
        threads.for_each(&mut planes, |_, (mesh, modes)| {
            self.with_scratch(|Scratch { columns, inner, .. }| {
                let mut plane = Plane { data: modes, width };
                for_each_column(&mut plane, ny, width, columns, |_, column| self.y.inverse.process_with_scratch(column, inner));
                for (to, from) in mesh.chunks_exact_mut(nz).zip(modes.chunks_exact_mut(width)) {
                    from[0].im = T::zero();
                    if nz % 2 == 0 {
                        from[width - 1].im = T::zero();
                    }
                    let done = self.z_inverse.process_with_scratch(from, to, inner);
                    debug_assert!(done.is_ok(), "lengths are those of the plan");
                    to.iter_mut().for_each(|value| *value = *value * scale);
                }
            });
        });
    }

    fn x_columns(
        &self,
        modes: &mut [Complex<T>],
        threads: &Threads,
        visit: impl Fn([usize; 2], &mut [Complex<T>], &mut [Complex<T>]) + Sync,
    ) {
        let shape = self.modes_shape();
        threads.for_each_slab(modes, shape, |iy, slab| {
            self.with_scratch(|Scratch { columns, inner, .. }| {
                for_each_column(slab, shape[0], shape[2], columns, |iz, column| visit([iy, iz], column, inner));
            });
        });
    }

    /// Lends scratch that outlives the call, so that transforms after the first allocate none.
    fn with_scratch(&self, work: impl FnOnce(&mut Scratch<T>)) {
        let lent = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = lent.unwrap_or_else(|| {
            let zero = Complex { re: T::zero(), im: T::zero() };
            let inner = [
                self.z_forward.get_scratch_len(),
                self.z_inverse.get_scratch_len(),
                self.y.forward.get_inplace_scratch_len(),
                self.y.inverse.get_inplace_scratch_len(),
                self.x.forward.get_inplace_scratch_len(),
                self.x.inverse.get_inplace_scratch_len(),
            ];
            Scratch {
                row: vec![T::zero(); self.shape[2]],
                columns: vec![zero; BLOCK * pitch(self.shape[0].max(self.shape[1]))],
                inner: vec![zero; inner.into_iter().max().unwrap_or(0)],
            }
        });
        work(&mut scratch);
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;
    use std::f64::consts::TAU;

    fn random_mesh(shape: [usize; 3]) -> Vec<f64> {
        let mut rng = Seed(1).stream("mesh", 0);
        (0..shape.iter().product()).map(|_| rng.normal()).collect()
    }

    fn zeros<T: FftNum>(n: usize) -> Vec<Complex<T>> {
        vec![Complex { re: T::zero(), im: T::zero() }; n]
    }

    /// Against the sum that defines it, on sides that are even, odd, prime and longer than a block.
    #[test]
    fn forward_is_the_defining_sum() {
        for shape in [[4, 6, 8], [3, 5, 7], [2, 3, 70]] {
            let fft = MeshFft::new(shape).unwrap();
            let mesh = random_mesh(shape);
            let mut modes = zeros(fft.modes());
            fft.forward(&mesh, &mut modes, &Threads::new(2)).unwrap();
            let [nx, ny, width] = fft.modes_shape();
            for (index, mode) in modes.iter().enumerate() {
                let k = [index / (ny * width), index / width % ny, index % width];
                let mut sum = Complex { re: 0.0, im: 0.0 };
                for (cell, value) in mesh.iter().enumerate() {
                    let x = [cell / (ny * shape[2]), cell / shape[2] % ny, cell % shape[2]];
                    let turns = (0..3).map(|i| (k[i] * x[i] % shape[i]) as f64 / shape[i] as f64).sum::<f64>();
                    sum += Complex::from_polar(*value, -TAU * turns);
                }
                assert!((sum - mode).norm() < 1e-11 * (nx * ny * shape[2]) as f64, "{shape:?} {k:?}");
            }
        }
    }

    /// Rounding of f32 after three passes: some 1e-7 of values of order 1.
    #[test]
    fn inverse_undoes_forward_and_threads_change_nothing() {
        let shape = [12, 40, 66];
        let fft = MeshFft::<f32>::new(shape).unwrap();
        let mesh: Vec<f32> = random_mesh(shape).into_iter().map(|value| value as f32).collect();
        let mut first = None;
        for count in [1, 3] {
            let threads = Threads::new(count);
            let (mut modes, mut back) = (zeros(fft.modes()), vec![0.0; fft.cells()]);
            fft.forward(&mesh, &mut modes, &threads).unwrap();
            fft.inverse(&mut modes, &mut back, &threads).unwrap();
            assert!(mesh.iter().zip(&back).all(|(a, b)| (a - b).abs() < 3e-6));
            assert_eq!(first.get_or_insert_with(|| back.clone()), &back);
        }
    }

    /// A shift by one cell along each axis is a phase on every mode.
    #[test]
    fn a_filter_of_phases_shifts_the_mesh() {
        let shape = [9, 10, 12];
        let fft = MeshFft::new(shape).unwrap();
        let mesh = random_mesh(shape);
        let (mut shifted, mut work) = (mesh.clone(), zeros(fft.modes()));
        fft.filter(&mut shifted, &mut work, &Threads::new(2), |iy, iz, column| {
            for (ix, mode) in column.iter_mut().enumerate() {
                let turns = [ix, iy, iz].iter().zip(shape).map(|(&i, n)| wave_number(i, n) as f64 / n as f64).sum::<f64>();
                *mode *= Complex::from_polar(1.0, -TAU * turns);
            }
        })
        .unwrap();
        for (cell, value) in mesh.iter().enumerate() {
            let to = [cell / 120, cell / 12 % 10, cell % 12].map(|i| i + 1);
            let index = (to[0] % 9 * 10 + to[1] % 10) * 12 + to[2] % 12;
            assert!((shifted[index] - value).abs() < 1e-12);
        }
    }

    #[test]
    fn wrong_shapes_are_refused() {
        assert!(MeshFft::<f32>::new([0, 4, 4]).is_err());
        assert!(MeshFft::<f32>::new([usize::MAX, 4, 4]).is_err());
        let fft = MeshFft::<f32>::new([2, 2, 2]).unwrap();
        assert!(fft.forward(&[0.0; 7], &mut zeros(8), &Threads::single()).is_err());
    }
}
