//! Undoing mass assignment in Fourier space, and interlacing.
//!
//! Interlacing (Hockney & Eastwood 1988, section 7-8; Sefusatti et al. 2016, arXiv:1512.07295) paints the points a second time, shifted by
//! half a cell along every axis. Both meshes see the same field but alias images of odd order with opposite signs, so that their mean has
//! none of them.

use super::{Grid, Scheme};
use abduce_kernels::Threads;
use rustfft::num_complex::Complex;

/// How the two meshes of interlacing are put together, and what is divided out; one factor per axis.
pub(crate) struct Axes {
    /// 1/W along an axis, by index 0..N.
    pub(crate) inverse_window: Vec<f64>,
}

impl Axes {
    pub(crate) fn new(grid: Grid, scheme: Scheme) -> Self {
        let n = grid.cells();
        Self { inverse_window: (0..n).map(|i| 1.0 / scheme.window(grid.wave(i), n)).collect() }
    }
}

/// Replaces the modes of a mesh by the mean of both meshes of interlacing: `modes` of the points themselves, `shifted` of the points moved
/// by + h/2 along each axis.
///
/// A shift of the points by s multiplies their modes by e^{−i k·s}; its inverse is e^{i π (n_x + n_y + n_z)/N}. At a Nyquist index +N/2 and
/// −N/2 are one mode, but have opposite phases: such modes are left as they are, so that the field stays real.
pub(crate) fn interlace(modes: &mut [Complex<f32>], shifted: &[Complex<f32>], grid: Grid, threads: &Threads) {
    let n = grid.cells();
    let half = n / 2 + 1;
    let phase: Vec<Complex<f64>> = (0..n)
        .map(|i| {
            let (sin, cos) = libm::sincos(std::f64::consts::PI * grid.wave(i) as f64 / n as f64);
            Complex::new(cos, sin)
        })
        .collect();
    let mut planes: Vec<_> = modes.chunks_mut(n * half).zip(shifted.chunks(n * half)).collect();
    threads.for_each(&mut planes, |x, (plane, shifted)| {
        // Half an index is no Nyquist index where N is odd.
        let nyquist = if n.is_multiple_of(2) { n / 2 } else { usize::MAX };
        if x == nyquist {
            return;
        }
        for y in (0..n).filter(|&y| y != nyquist) {
            let xy = phase[x] * phase[y];
            let row = y * half..(y * half + half).min(y * half + nyquist);
            for ((mode, &other), &z) in plane[row.clone()].iter_mut().zip(&shifted[row]).zip(&phase) {
                let turn = xy * z;
                let turn = Complex::new(turn.re as f32, turn.im as f32);
                *mode = (*mode + other * turn).scale(0.5);
            }
        }
    });
}
