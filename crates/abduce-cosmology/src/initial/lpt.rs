//! Lagrangian perturbation theory to second order.
//!
//! With ∇²φ₁ = δ(D = 1) and ∇²φ₂ = Σ_{i<j} (φ₁,ii φ₁,jj − φ₁,ij²) (Bouchet et al. 1995; Scoccimarro 1998, astro-ph/9711187, Appendix D):
//!
//!   x = q − D ∇φ₁ + D2 ∇φ₂,   p = a² dx/dt/H0 = a² E (−f1 D ∇φ₁ + f2 D2 ∇φ₂),   D2 < 0.

use super::{LinearField, cast, for_each_mode};
use crate::error::{Result, same_length};
use crate::fft::{Complex, FftNum};
use crate::growth::Growth;
use abduce_kernels::Threads;
use std::f64::consts::TAU;

/// Order of the perturbation theory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Zel'dovich 1970.
    First,
    /// Second-order terms as well.
    Second,
}

/// How derivatives are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derivative {
    /// Exact, ik; 0 at the Nyquist frequency, whose derivative a mesh cannot hold.
    Spectral,
    /// The four-point difference [8 sin(kh) − sin(2kh)]/6h of the particle-mesh force.
    FourPoint,
}

/// Displacement fields today, in Mpc/h, at the cells of the mesh in C order.
#[derive(Clone, Debug)]
pub struct Perturbation<T> {
    /// s₁ = −∇φ₁.
    pub first: Vec<[T; 3]>,
    /// s₂ = ∇φ₂; empty in first order.
    pub second: Vec<[T; 3]>,
}

/// Particles at one time, relative to the lattice they started from.
#[derive(Clone, Debug)]
pub struct StartingPoint<T> {
    /// x − q in Mpc/h.
    pub displacements: Vec<[T; 3]>,
    /// p = a² dx/dt/H0 in Mpc/h.
    pub momenta: Vec<[T; 3]>,
}

impl<T: FftNum> LinearField<T> {
    /// The displacement fields of the linear density.
    ///
    /// Memory: 3 meshes and 2 sets of modes besides the result in second order.
    ///
    /// # Errors
    /// None that the field's construction has not excluded.
    pub fn perturbation(&self, order: Order, derivative: Derivative, threads: &Threads) -> Result<Perturbation<T>> {
        let side = self.side();
        let unit = TAU / self.box_size_mpc_h;
        let cell = self.box_size_mpc_h / side as f64;
        let d = move |n: i64| match derivative {
            Derivative::Spectral if 2 * n.unsigned_abs() as usize == side => 0.0,
            Derivative::Spectral => unit * n as f64,
            Derivative::FourPoint => {
                let angle = TAU * n as f64 / side as f64;
                (8.0 * libm::sin(angle) - libm::sin(2.0 * angle)) / (6.0 * cell)
            }
        };
        let laplacian = move |n: [i64; 3]| -unit * unit * super::squared(n) as f64;
        let mut work = self.modes.clone();
        let mut first = vec![[T::zero(); 3]; self.fft.cells()];
        let mut mesh = vec![T::zero(); self.fft.cells()];
        // −∇φ₁.
        self.gradient(&self.modes, &mut work, &mut mesh, &mut first, threads, |n, axis| divide(-d(n[axis]), laplacian(n)))?;
        if order == Order::First {
            return Ok(Perturbation { first, second: Vec::new() });
        }

        let mut shear = |i: usize, j: usize, mesh: &mut [T]| {
            work.copy_from_slice(&self.modes);
            for_each_mode(&mut work, side, threads, |n, mode| *mode = *mode * cast::<T>(divide(-d(n[i]) * d(n[j]), laplacian(n))));
            self.fft.inverse(&mut work, mesh, threads)
        };
        let mut source = vec![T::zero(); self.fft.cells()];
        let mut trace = vec![T::zero(); self.fft.cells()];
        // φ₁₁φ₂₂ + φ₃₃(φ₁₁ + φ₂₂), then minus the squares of the others.
        shear(0, 0, &mut trace)?;
        shear(1, 1, &mut mesh)?;
        combine(&mut source, &trace, &mesh, threads, |s, a, b| s + a * b);
        add(&mut trace, &mesh, threads);
        shear(2, 2, &mut mesh)?;
        combine(&mut source, &trace, &mesh, threads, |s, a, b| s + a * b);
        drop(trace);
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            shear(i, j, &mut mesh)?;
            combine(&mut source, &mesh, &mesh, threads, |s, a, b| s - a * b);
        }
        let mut second_modes = self.modes.clone();
        self.fft.forward(&source, &mut second_modes, threads)?;
        drop(source);
        let mut second = vec![[T::zero(); 3]; self.fft.cells()];
        self.gradient(&second_modes, &mut work, &mut mesh, &mut second, threads, |n, axis| divide(d(n[axis]), laplacian(n)))?;
        Ok(Perturbation { first, second })
    }

    /// Writes the meshes of `modes` times i·factor(n, axis).
    fn gradient(
        &self,
        modes: &[Complex<T>],
        work: &mut [Complex<T>],
        mesh: &mut [T],
        gradient: &mut [[T; 3]],
        threads: &Threads,
        factor: impl Fn([i64; 3], usize) -> f64 + Sync,
    ) -> Result<()> {
        for axis in 0..3 {
            work.copy_from_slice(modes);
            for_each_mode(work, self.side(), threads, |n, mode| {
                let factor = cast::<T>(factor(n, axis));
                *mode = Complex { re: T::zero() - mode.im * factor, im: mode.re * factor };
            });
            self.fft.inverse(work, mesh, threads)?;
            let mut parts: Vec<_> = gradient.chunks_mut(CHUNK).zip(mesh.chunks(CHUNK)).collect();
            threads.for_each(&mut parts, |_, (to, from)| to.iter_mut().zip(*from).for_each(|(to, from)| to[axis] = *from));
        }
        Ok(())
    }
}

/// Cells that a thread takes at a time.
const CHUNK: usize = 1 << 14;

/// The mean mode has no potential.
fn divide(numerator: f64, laplacian: f64) -> f64 {
    if laplacian == 0.0 { 0.0 } else { numerator / laplacian }
}

fn combine<T: FftNum>(sum: &mut [T], a: &[T], b: &[T], threads: &Threads, f: impl Fn(T, T, T) -> T + Sync) {
    let mut parts: Vec<_> = sum.chunks_mut(CHUNK).zip(a.chunks(CHUNK)).zip(b.chunks(CHUNK)).collect();
    threads.for_each(&mut parts, |_, ((sum, a), b)| {
        for ((sum, a), b) in sum.iter_mut().zip(*a).zip(*b) {
            *sum = f(*sum, *a, *b);
        }
    });
}

fn add<T: FftNum>(sum: &mut [T], other: &[T], threads: &Threads) {
    combine(sum, other, other, threads, |s, a, _| s + a);
}

impl<T: FftNum> Perturbation<T> {
    /// Displacements and momenta at scale factor `a` with the growth of the model that particles will be moved in.
    ///
    /// # Errors
    /// The two fields do not have the same length.
    pub fn at(&self, growth: &Growth, a: f64, threads: &Threads) -> Result<StartingPoint<T>> {
        if !self.second.is_empty() {
            same_length("the second-order field", self.second.len(), self.first.len())?;
        }
        let at = growth.at(a);
        let momentum = a * a * growth.background().e(a);
        let sum = |d1: f64, d2: f64| {
            let (d1, d2) = (cast::<T>(d1), cast::<T>(d2));
            let mut sum = self.first.clone();
            let mut parts: Vec<_> = sum.chunks_mut(CHUNK).collect();
            threads.for_each(&mut parts, |chunk, part| {
                for (i, value) in part.iter_mut().enumerate() {
                    let second = self.second.get(chunk * CHUNK + i);
                    for axis in 0..3 {
                        value[axis] = value[axis] * d1 + second.map_or_else(T::zero, |s| s[axis] * d2);
                    }
                }
            });
            sum
        };
        Ok(StartingPoint { displacements: sum(at.d1, at.d2), momenta: sum(momentum * at.f1 * at.d1, momentum * at.f2 * at.d2) })
    }
}
