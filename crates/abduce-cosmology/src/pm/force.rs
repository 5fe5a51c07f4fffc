//! The force of a mesh: painted, filtered in Fourier space, differenced and read at the particles.
//!
//! Kernels whose gradient is a difference of four points need one transform in each direction: the potential is differenced plane by plane while
//! particles of that plane are kicked, so that no force is ever stored for the whole mesh.

use super::PmError;
use super::kernel::{Kernel, KernelAxes, Projection, Softening};
use super::particles::{Particles, cell, half_cell, segments};
use crate::fft::{Complex, MeshFft};
use crate::mesh::deposit::{cut, fold};
use crate::mesh::{Grid, slabs};
use abduce_kernels::Threads;
use std::ops::Range;

/// A mesh with the potential of the particles, and what is needed to make it.
pub(crate) struct ForceMesh {
    grid: Grid,
    kernel: Kernel,
    axes: KernelAxes,
    fft: MeshFft<f32>,
    /// The density, then −potential [Mpc/h].
    mesh: Vec<f32>,
    modes: Vec<Complex<f32>>,
    slabs: Vec<Range<usize>>,
}

/// Bytes of a mesh of `cells` per side with its modes, and of the planes that `threads` threads hold.
pub(crate) fn mesh_bytes(cells: usize, threads: usize) -> u64 {
    let (n, plane) = (cells as u64, (cells * cells) as u64);
    let ghosts = slabs(cells, 2).len() as u64;
    4 * n * plane + 8 * plane * (n / 2 + 1) + 4 * plane * ghosts + threads as u64 * 3 * 16 * plane
}

/// What of the force a pass applies.
#[derive(Clone, Copy)]
pub(crate) struct Kick {
    /// p += factor F.
    pub(crate) factor: f64,
    /// COLA: p −= factor (d1 s1 + d2 s2), the force of perturbation theory.
    pub(crate) lpt: [f64; 2],
}

/// Neighbours of the four-point difference: [8 (f₁ − f₋₁) − (f₂ − f₋₂)]/12.
const NEAR: f32 = 2.0 / 3.0;
const FAR: f32 = -1.0 / 12.0;

impl ForceMesh {
    /// With `split_cells` the force is the long-range part of one that is split there, and `kernel` and `softening` are the defaults.
    pub(crate) fn new(grid: Grid, kernel: Kernel, softening: Softening, split_cells: Option<f64>) -> Result<Self, PmError> {
        let n = grid.cells();
        Ok(Self {
            grid,
            kernel,
            axes: match split_cells {
                Some(split) => KernelAxes::long_range(split, n),
                None => KernelAxes::new(kernel, softening, n),
            },
            fft: MeshFft::new([n; 3])?,
            mesh: vec![0.0; grid.values()],
            modes: vec![Complex::new(0.0, 0.0); grid.modes()],
            slabs: slabs(n, 2),
        })
    }

    pub(crate) fn cells(&self) -> usize {
        self.grid.cells()
    }

    /// Paints the particles, which must be sorted for this mesh, and turns their density into −potential (or its modes, for a spectral gradient).
    pub(crate) fn solve(&mut self, particles: &Particles, threads: &Threads) -> Result<(), PmError> {
        self.paint(particles, threads);
        let n = self.cells();
        // Counts over their mean, and cells to Mpc/h.
        let scale = self.grid.cell_mpc_h() * self.grid.values() as f64 / particles.len() as f64;
        let axes = &self.axes;
        let kernel = |iy: usize, iz: usize, column: &mut [Complex<f32>]| {
            let yz = |per_axis: &[f64]| per_axis[iy] + per_axis[iz];
            let (laplacian, filter) = (yz(&axes.laplacian), axes.filter[iy] * axes.filter[iz] * scale);
            if let Some(Projection { along, square }) = &axes.projection {
                let (along_yz, square_yz) = (yz(along), yz(square));
                for (ix, mode) in column.iter_mut().enumerate() {
                    let below = (laplacian + axes.laplacian[ix]) * (square_yz + square[ix]);
                    let factor = if below > 0.0 { filter * axes.filter[ix] * (along_yz + along[ix]) / below } else { 0.0 };
                    *mode = mode.scale(factor as f32);
                }
                return;
            }
            for (ix, mode) in column.iter_mut().enumerate() {
                let laplacian = axes.laplacian[ix] + laplacian;
                let factor = if laplacian > 0.0 { filter * axes.filter[ix] / laplacian } else { 0.0 };
                *mode = mode.scale(factor as f32);
            }
        };
        if self.kernel.is_spectral() {
            self.fft.forward(&self.mesh, &mut self.modes, threads)?;
            self.fft.for_each_mode_column(&mut self.modes, threads, kernel)?;
        } else {
            self.fft.filter(&mut self.mesh, &mut self.modes, threads, kernel)?;
        }
        debug_assert_eq!(self.mesh.len(), n * n * n);
        Ok(())
    }

    fn paint(&mut self, particles: &Particles, threads: &Threads) {
        let n = self.cells();
        let half = half_cell(n);
        let mut painted = cut(&mut self.mesh, &self.slabs, n, 2);
        let slabs = &self.slabs;
        threads.for_each(&mut painted, |s, slab| {
            slab.planes.fill(0.0);
            for chunk in &particles.chunks {
                for x in &chunk.x[chunk.starts[slabs[s].start] as usize..chunk.starts[slabs[s].end] as usize] {
                    let mut first = [0; 3];
                    let mut w = [[0.0f32; 2]; 3];
                    for axis in 0..3 {
                        let (i, f) = cell(x[axis], half, n);
                        first[axis] = i;
                        w[axis] = [1.0 - f, f];
                    }
                    slab.add(n, first, &w, 1.0);
                }
            }
        });
        fold(painted, threads);
    }

    /// Kicks all particles with the force of the last [`Self::solve`].
    pub(crate) fn kick(&mut self, particles: &mut Particles, kick: Kick, threads: &Threads) -> Result<(), PmError> {
        if !self.kernel.is_spectral() {
            self.kick_by_differences(particles, kick, threads);
            return Ok(());
        }
        for axis in 0..3 {
            let mut component = self.modes.clone();
            let gradient = &self.axes.gradient;
            self.fft.for_each_mode_column(&mut component, threads, |iy, iz, column| {
                for (ix, mode) in column.iter_mut().enumerate() {
                    let w = gradient[[ix, iy, iz][axis]] as f32;
                    *mode = Complex::new(-mode.im * w, mode.re * w);
                }
            })?;
            self.fft.inverse(&mut component, &mut self.mesh, threads)?;
            // The force of perturbation theory goes with the first component.
            let kick = Kick { lpt: if axis == 0 { kick.lpt } else { [0.0; 2] }, ..kick };
            self.kick_component(particles, axis, kick, threads);
        }
        Ok(())
    }

    fn kick_by_differences(&self, particles: &mut Particles, kick: Kick, threads: &Threads) {
        let n = self.cells();
        let half = half_cell(n);
        let mut by_slab = segments(particles, &self.slabs);
        threads.for_each(&mut by_slab, |s, segments| {
            let range = self.slabs[s].clone();
            let mut scratch = vec![0.0f32; n];
            let mut planes = [vec![[0.0f32; 4]; n * n], vec![[0.0f32; 4]; n * n]];
            self.difference(range.start, &mut planes[0], &mut scratch);
            for (at, plane) in range.enumerate() {
                self.difference((plane + 1) % n, &mut planes[1], &mut scratch);
                let [this, next] = &planes;
                for segment in segments.iter_mut() {
                    let first = segment.starts[0];
                    for i in (segment.starts[at] - first) as usize..(segment.starts[at + 1] - first) as usize {
                        let x = &segment.x[i];
                        let (_, fx) = cell(x[0], half, n);
                        let (j, fy) = cell(x[1], half, n);
                        let (k, fz) = cell(x[2], half, n);
                        let (row, next_row) = (j * n, if j + 1 == n { 0 } else { (j + 1) * n });
                        let next_k = if k + 1 == n { 0 } else { k + 1 };
                        let mut force = [0.0f32; 4];
                        for (plane, wx) in [(this, 1.0 - fx), (next, fx)] {
                            for (row, wy) in [(row, 1.0 - fy), (next_row, fy)] {
                                let w = wx * wy;
                                let (left, right) = (w * (1.0 - fz), w * fz);
                                let (a, b) = (&plane[row + k], &plane[row + next_k]);
                                for c in 0..4 {
                                    force[c] += left * a[c] + right * b[c];
                                }
                            }
                        }
                        let p = &mut segment.p[i];
                        let factor = kick.factor as f32;
                        for axis in 0..3 {
                            p[axis] += factor * force[axis];
                        }
                        if let Some(s) = segment.lpt.get(i) {
                            subtract(p, s, kick);
                        }
                    }
                }
                planes.swap(0, 1);
            }
        });
    }

    /// The gradient of plane `i` by four-point differences; the fourth component is padding that makes a vector of it.
    fn difference(&self, i: usize, out: &mut [[f32; 4]], scratch: &mut [f32]) {
        let n = self.cells();
        let plane = |step: usize| &self.mesh[(i + step) % n * n * n..][..n * n];
        // n − 1 steps forward is one back; meshes have at least two planes, so 2n − 2 is never negative.
        let (below2, below, own, above, above2) = (plane(2 * n - 2), plane(n - 1), plane(0), plane(1), plane(2));
        for j in 0..n {
            let row = |plane: &'_ [f32], step: usize| -> Range<usize> {
                let start = (j + step) % n * n;
                debug_assert!(start < plane.len());
                start..start + n
            };
            let here = row(own, 0);
            let out = &mut out[here.clone()];
            let (x0, x1, x2, x3) = (&below2[here.clone()], &below[here.clone()], &above[here.clone()], &above2[here.clone()]);
            let (y0, y1, y2, y3) = (&own[row(own, 2 * n - 2)], &own[row(own, n - 1)], &own[row(own, 1)], &own[row(own, 2)]);
            let z = &own[here];
            for k in 2..n.saturating_sub(2) {
                scratch[k] = NEAR * (z[k + 1] - z[k - 1]) + FAR * (z[k + 2] - z[k - 2]);
            }
            for k in (0..2.min(n)).chain(n.saturating_sub(2).max(2)..n) {
                let at = |step: usize| z[(k + step) % n];
                scratch[k] = NEAR * (at(1) - at(n - 1)) + FAR * (at(2) - at(2 * n - 2));
            }
            for k in 0..n {
                let dx = NEAR * (x2[k] - x1[k]) + FAR * (x3[k] - x0[k]);
                let dy = NEAR * (y2[k] - y1[k]) + FAR * (y3[k] - y0[k]);
                out[k] = [dx, dy, scratch[k], 0.0];
            }
        }
    }

    fn kick_component(&self, particles: &mut Particles, axis: usize, kick: Kick, threads: &Threads) {
        let n = self.cells();
        let half = half_cell(n);
        let mesh = &self.mesh;
        threads.for_each(&mut particles.chunks, |_, chunk| {
            for (i, (x, p)) in chunk.x.iter().zip(&mut chunk.p).enumerate() {
                let mut first = [0; 3];
                let mut f = [0.0f32; 3];
                for axis in 0..3 {
                    (first[axis], f[axis]) = cell(x[axis], half, n);
                }
                let mut sum = 0.0;
                for corner in 0..8 {
                    let mut weight = 1.0;
                    let mut index = 0;
                    for axis in 0..3 {
                        let up = corner >> axis & 1;
                        weight *= if up == 1 { f[axis] } else { 1.0 - f[axis] };
                        index = index * n + (first[axis] + up) % n;
                    }
                    sum += weight * mesh[index];
                }
                p[axis] += kick.factor as f32 * sum;
                if let Some(s) = chunk.lpt.get(i) {
                    subtract(p, s, kick);
                }
            }
        });
    }
}

/// Takes the kick of perturbation theory off.
#[inline(always)]
fn subtract(p: &mut [f32; 3], s: &[f32; 6], kick: Kick) {
    for axis in 0..3 {
        let lpt = f64::from(s[axis]) * kick.lpt[0] + f64::from(s[axis + 3]) * kick.lpt[1];
        p[axis] -= (kick.factor * lpt) as f32;
    }
}
