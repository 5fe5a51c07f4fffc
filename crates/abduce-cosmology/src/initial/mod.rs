//! Initial conditions: Gaussian linear fields whose modes do not depend on the mesh, and Lagrangian perturbation theory to first and second order.
//!
//! A [`LinearField`] holds the modes of δ extrapolated linearly to today, D = 1. [`LinearField::perturbation`] turns it into displacements, which
//! [`Perturbation::at`] scales to a starting time. Mesh value i of a side of n belongs to the centre (i + ½) L/n of its cell, where particle i starts.

mod grafic;
mod lpt;
mod noise;

pub use grafic::{WhiteNoiseCube, read_grafic, write_grafic};
pub use lpt::{Derivative, Order, Perturbation, StartingPoint};
pub use noise::{Amplitudes, Phases, WhiteNoise};

use crate::error::{Result, positive, same_length};
use crate::fft::{Complex, FftNum, MeshFft};
use crate::power::LinearPower;
use abduce_kernels::Threads;
use std::f64::consts::TAU;

/// Which modes of a mesh are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeCut {
    /// All, up to the corners of the cube of wave vectors.
    Cube,
    /// Those of |k| up to the Nyquist frequency π n/L, so that the cut is the same in all directions.
    Sphere,
}

/// The modes of the linear density of a periodic box today, for a cubic mesh.
pub struct LinearField<T: FftNum> {
    fft: MeshFft<T>,
    box_size_mpc_h: f64,
    modes: Vec<Complex<T>>,
}

impl<T: FftNum> LinearField<T> {
    /// Draws a field: δ_k = g √(P(k) n⁶/L³), with the unit modes g of `noise`.
    ///
    /// # Errors
    /// A mesh or a box that is none.
    pub fn draw(
        power: &LinearPower,
        side: usize,
        box_size_mpc_h: f64,
        noise: &WhiteNoise,
        cut: ModeCut,
        threads: &Threads,
    ) -> Result<Self> {
        let mut field = Self::empty(side, box_size_mpc_h)?;
        let amplitudes = field.amplitudes(power, cut);
        noise.fill(side, &amplitudes, &mut field.modes, threads);
        Ok(field)
    }

    /// The field of a given density today, in C order.
    ///
    /// # Errors
    /// A mesh or a box that is none, or not side³ values.
    pub fn from_density(density: &[T], side: usize, box_size_mpc_h: f64, threads: &Threads) -> Result<Self> {
        let mut field = Self::empty(side, box_size_mpc_h)?;
        field.fft.forward(density, &mut field.modes, threads)?;
        Ok(field)
    }

    /// The field of given white noise of unit variance, in C order: δ_k = w_k √(P(k) n³/L³).
    ///
    /// # Errors
    /// A mesh or a box that is none, or not side³ values.
    pub fn from_white_noise(
        noise: &[T],
        power: &LinearPower,
        side: usize,
        box_size_mpc_h: f64,
        cut: ModeCut,
        threads: &Threads,
    ) -> Result<Self> {
        let mut field = Self::from_density(noise, side, box_size_mpc_h, threads)?;
        // The noise's own modes have variance n³.
        let whitened = 1.0 / (side as f64).powi(3).sqrt();
        let amplitudes = field.amplitudes(power, cut);
        for_each_mode(&mut field.modes, side, threads, |n, mode| *mode = *mode * cast::<T>(amplitudes[squared(n)] * whitened));
        Ok(field)
    }

    fn empty(side: usize, box_size_mpc_h: f64) -> Result<Self> {
        positive("the box size", box_size_mpc_h)?;
        let fft = MeshFft::new([side; 3])?;
        let modes = vec![Complex { re: T::zero(), im: T::zero() }; fft.modes()];
        Ok(Self { fft, box_size_mpc_h, modes })
    }

    /// √(P n⁶/L³) by the square of the integer wave vector.
    fn amplitudes(&self, power: &LinearPower, cut: ModeCut) -> Vec<f64> {
        let side = self.side();
        let half = side / 2;
        let last = match cut {
            ModeCut::Cube => 3 * half * half,
            ModeCut::Sphere => half * half,
        };
        let volume_factor = (side as f64).powi(6) / self.box_size_mpc_h.powi(3);
        let mut amplitudes = vec![0.0; 3 * half * half + 1];
        for (square, amplitude) in amplitudes.iter_mut().enumerate().take(last + 1).skip(1) {
            *amplitude = (power.at(TAU / self.box_size_mpc_h * (square as f64).sqrt()) * volume_factor).sqrt();
        }
        amplitudes
    }

    /// Cells per side.
    pub fn side(&self) -> usize {
        self.fft.shape()[0]
    }

    /// Side of the box in Mpc/h.
    pub fn box_size_mpc_h(&self) -> f64 {
        self.box_size_mpc_h
    }

    /// The modes, as [`MeshFft::forward`] orders and scales them.
    pub fn modes(&self) -> &[Complex<T>] {
        &self.modes
    }

    /// The density today in real space, into side³ values in C order.
    ///
    /// # Errors
    /// `density` has another length.
    pub fn density(&self, density: &mut [T], threads: &Threads) -> Result<()> {
        same_length("the density", density.len(), self.fft.cells())?;
        self.fft.inverse(&mut self.modes.clone(), density, threads)
    }
}

/// A number of f64 in the precision of the mesh.
fn cast<T: FftNum>(value: f64) -> T {
    T::from_f64(value).unwrap_or_else(T::zero)
}

/// |n|² of an integer wave vector.
fn squared(n: [i64; 3]) -> usize {
    n.iter().map(|&i| i.unsigned_abs() as usize * i.unsigned_abs() as usize).sum()
}

/// Calls `visit(n, mode)` for every stored mode of a cubic mesh with its integer wave vector.
fn for_each_mode<T: FftNum>(modes: &mut [Complex<T>], side: usize, threads: &Threads, visit: impl Fn([i64; 3], &mut Complex<T>) + Sync) {
    let width = side / 2 + 1;
    let mut planes: Vec<_> = modes.chunks_mut(side * width).collect();
    threads.for_each(&mut planes, |ix, plane| {
        let nx = crate::fft::wave_number(ix, side);
        for (iy, row) in plane.chunks_mut(width).enumerate() {
            let ny = crate::fft::wave_number(iy, side);
            for (iz, mode) in row.iter_mut().enumerate() {
                visit([nx, ny, iz as i64], mode);
            }
        }
    });
}

#[cfg(test)]
mod tests;
