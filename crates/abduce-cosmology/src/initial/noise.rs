//! White noise keyed by seed and wave vector.

use super::cast;
use crate::fft::{Complex, FftNum, wave_number};
use abduce_data::{Rng, Seed};
use abduce_kernels::Threads;
use std::f64::consts::{SQRT_2, TAU};

/// How the amplitudes of modes are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amplitudes {
    /// Rayleigh: the field is Gaussian.
    Rayleigh,
    /// |g| = 1: every mode has the mean power (Angulo & Pontzen 2016, arXiv:1603.05253).
    Fixed,
}

/// Which of a pair of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phases {
    /// The phases of the seed.
    Original,
    /// Those plus π: the field with its sign changed (Pontzen et al. 2016, arXiv:1511.04090).
    Inverted,
}

/// Unit complex Gaussian modes g(n), <|g|²> = 1, g(−n) = g(n)*, as functions of the seed and the integer wave vector n alone.
///
/// The column (n_x, n_y) has a random stream of its own, from which n_z = 0, 1, … take two uniforms each: g = √(−ln u₁) e^{2πi u₂}. Where only one of
/// n and −n is free, the one with the larger (n_x, n_y) counts. So meshes of any size share their common modes but for those at a mesh's own Nyquist
/// frequency, which stand for several waves; threads change nothing.
#[derive(Clone, Copy, Debug)]
pub struct WhiteNoise {
    /// The seed.
    pub seed: Seed,
    /// How amplitudes are drawn.
    pub amplitudes: Amplitudes,
    /// Which of a pair.
    pub phases: Phases,
}

impl WhiteNoise {
    /// Gaussian noise of a seed.
    pub const fn gaussian(seed: Seed) -> Self {
        Self { seed, amplitudes: Amplitudes::Rayleigh, phases: Phases::Original }
    }

    fn column(&self, nx: i64, ny: i64) -> Rng {
        // Signed numbers to unsigned ones: 0, −1, 1, −2, … become 0, 1, 2, 3, …
        let zigzag = |n: i64| ((n << 1) ^ (n >> 63)) as u64;
        self.seed.stream("white noise", (zigzag(nx) << 32) | zigzag(ny))
    }

    fn draw(&self, rng: &mut Rng) -> Complex<f64> {
        let (amplitude, turn) = (rng.uniform_open_low(), rng.uniform());
        let (sin, cos) = libm::sincos(TAU * turn);
        let size = match self.amplitudes {
            Amplitudes::Rayleigh => (-libm::log(amplitude)).sqrt(),
            Amplitudes::Fixed => 1.0,
        };
        let size = if self.phases == Phases::Inverted { -size } else { size };
        Complex { re: size * cos, im: size * sin }
    }

    /// A mode that is its own conjugate: real, of unit variance.
    fn real(&self, g: Complex<f64>) -> Complex<f64> {
        let re = match self.amplitudes {
            Amplitudes::Rayleigh => SQRT_2 * g.re,
            Amplitudes::Fixed => 1f64.copysign(g.re),
        };
        Complex { re, im: 0.0 }
    }

    /// Writes g(n) times `amplitudes[|n|²]` to the stored modes of a cubic mesh.
    pub(super) fn fill<T: FftNum>(&self, side: usize, amplitudes: &[f64], modes: &mut [Complex<T>], threads: &Threads) {
        let width = side / 2 + 1;
        let mut planes: Vec<_> = modes.chunks_mut(side * width).collect();
        threads.for_each(&mut planes, |ix, plane| {
            let (nx, opposite_x) = (wave_number(ix, side), wave_number((side - ix) % side, side));
            for (iy, row) in plane.chunks_mut(width).enumerate() {
                let (ny, opposite_y) = (wave_number(iy, side), wave_number((side - iy) % side, side));
                let mut own = self.column(nx, ny);
                // The column of the conjugates of this one's first and last mode, where those are not free.
                let free = (nx, ny) > (opposite_x, opposite_y);
                let alone = (nx, ny) == (opposite_x, opposite_y);
                let mut conjugate = (!free && !alone).then(|| self.column(opposite_x, opposite_y));
                for (iz, mode) in row.iter_mut().enumerate() {
                    let mut g = self.draw(&mut own);
                    let partner = conjugate.as_mut().map(|rng| self.draw(rng).conj());
                    if iz == 0 || 2 * iz == side {
                        g = match partner {
                            Some(partner) => partner,
                            None if alone => self.real(g),
                            None => g,
                        };
                    }
                    let amplitude = amplitudes[super::squared([nx, ny, iz as i64])];
                    *mode = Complex { re: cast(g.re * amplitude), im: cast(g.im * amplitude) };
                }
            }
        });
    }
}
