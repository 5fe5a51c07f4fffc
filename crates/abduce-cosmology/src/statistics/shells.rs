//! Fields that keep one shell of modes, on the smallest mesh that holds all products of three of them without aliasing.

use super::{Modes, StatisticsError};
use crate::fft::{Complex, MeshFft};
use crate::mesh::Grid;
use abduce_kernels::Threads;

/// A shell low ≤ |n| < high of integer wave vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shell {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Shell {
    /// The largest component of a wave vector in the shell.
    pub(crate) fn reach(self) -> usize {
        (self.high.ceil() as usize).saturating_sub(1)
    }

    fn holds(self, n2: f64) -> bool {
        let n = n2.sqrt();
        self.low <= n && n < self.high && n2 > 0.0
    }
}

/// The smallest even number of the form 2^a 3^b 5^c that is at least `least`: sides whose transforms are fast.
pub(crate) fn fast_side(least: usize) -> usize {
    let mut side = least.max(2).next_multiple_of(2);
    loop {
        let mut rest = side;
        for factor in [2, 3, 5] {
            while rest.is_multiple_of(factor) {
                rest /= factor;
            }
        }
        if rest == 1 {
            return side;
        }
        side += 2;
    }
}

/// Which leg a mode's weight is for: a multipole about an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Leg {
    /// 1.
    Plain,
    /// L₂(μ) about the axis.
    Quadrupole(usize),
}

/// What is put into the shell.
pub(crate) enum Content<'a> {
    /// δ_k with the window divided out, and the inverse window by index.
    Field(&'a Modes, &'a [f64]),
    /// Ones: their transform counts triangles.
    Ones,
}

/// Σ_{k in shell} c_k e^{ik·x} on a mesh of `side` cells, together with Σ |c_k|² and the number of modes (both signs).
pub(crate) fn shell_field(
    content: &Content<'_>,
    shell: Shell,
    leg: Leg,
    side: usize,
    fft: &MeshFft<f32>,
    work: &mut Vec<Complex<f32>>,
    threads: &Threads,
) -> Result<(Vec<f32>, f64, f64), StatisticsError> {
    let half = side / 2 + 1;
    let reach = shell.reach() as i64;
    let wave = |i: usize| if i <= side / 2 { i as i64 } else { i as i64 - side as i64 };
    work.clear();
    work.resize(side * side * half, Complex::new(0.0, 0.0));
    let mut planes: Vec<(&mut [Complex<f32>], [f64; 2])> = work.chunks_mut(side * half).map(|plane| (plane, [0.0; 2])).collect();
    threads.for_each(&mut planes, |x, (plane, sums)| {
        let nx = wave(x);
        if nx.abs() > reach {
            return;
        }
        for y in 0..side {
            let ny = wave(y);
            if ny.abs() > reach {
                continue;
            }
            for nz in 0..=reach {
                let n2 = (nx * nx + ny * ny + nz * nz) as f64;
                if !shell.holds(n2) {
                    continue;
                }
                let value = match content {
                    Content::Ones => Complex::new(1.0, 0.0),
                    Content::Field(modes, window) => {
                        let n = modes.grid.cells();
                        let index = |k: i64| if k < 0 { (k + n as i64) as usize } else { k as usize };
                        let (i, j, k) = (index(nx), index(ny), nz as usize);
                        modes.values[(i * n + j) * (n / 2 + 1) + k].scale((window[i] * window[j] * window[k]) as f32)
                    }
                };
                let weight = if nz == 0 { 1.0 } else { 2.0 };
                sums[0] += weight * f64::from(value.norm_sqr());
                sums[1] += weight;
                plane[y * half + nz as usize] = match leg {
                    Leg::Plain => value,
                    Leg::Quadrupole(axis) => {
                        let mu2 = [nx, ny, nz][axis].pow(2) as f64 / n2;
                        value.scale((1.5 * mu2 - 0.5) as f32)
                    }
                };
            }
        }
    });
    let (squares, count) = planes.iter().fold((0.0, 0.0), |(s, c), (_, sums)| (s + sums[0], c + sums[1]));
    drop(planes);
    let mut field = vec![0.0f32; side * side * side];
    fft.inverse(work, &mut field, threads)?;
    Ok((field, squares, count))
}

/// Checks that all modes of a shell are on the mesh, with both signs.
pub(crate) fn check(shell: Shell, grid: Grid) -> Result<(), StatisticsError> {
    if 2 * shell.reach() < grid.cells() && shell.high > shell.low && shell.low.is_finite() {
        return Ok(());
    }
    let unit = grid.fundamental_h_per_mpc();
    Err(StatisticsError::Shell { high_h_per_mpc: shell.high * unit, nyquist_h_per_mpc: grid.nyquist_h_per_mpc() })
}
