//! Sums of a central force over neighbours.

use crate::lanes::{LANES, Lanes};
use crate::simd::{Simd, dispatch};

/// F(d) = d [ (|d|² + ε²)^{−3/2} − h(2 |d|²/c² − 1) ] for |d| < c and nothing beyond, h a polynomial: an inverse-square force, softened by Plummer's
/// rule, less a smooth part.
#[derive(Clone, Debug)]
pub struct CentralForce {
    /// c².
    pub cutoff2: f32,
    /// ε², above 0.
    pub softening2: f32,
    /// Coefficients of h, the highest power first.
    pub polynomial: Vec<f32>,
}

impl Simd {
    /// `pulls[i] = Σ_j F(near_j − at_i)`. A point is no neighbour of itself: F(0) = 0.
    ///
    /// Sixteen neighbours at a time, so their number must be a multiple of 16: fill up with points far away.
    ///
    /// # Panics
    /// If coordinates of `at` and `pulls`, or those of `near`, differ in number, or the latter is not a multiple of 16.
    pub fn central_forces(self, force: &CentralForce, at: [&[f32]; 3], near: [&[f32]; 3], pulls: &mut [[f32; 3]]) {
        assert!(at.iter().all(|x| x.len() == pulls.len()), "central_forces: coordinates of another number than pulls");
        let count = near[0].len();
        assert!(count.is_multiple_of(LANES) && near.iter().all(|x| x.len() == count), "central_forces: neighbours not in sixteens");
        dispatch!(self, central_forces(force: &CentralForce, at: [&[f32]; 3], near: [&[f32]; 3], pulls: &mut [[f32; 3]]));
    }
}

#[inline(always)]
unsafe fn central_forces<S: Lanes>(force: &CentralForce, at: [&[f32]; 3], near: [&[f32]; 3], pulls: &mut [[f32; 3]]) {
    // SAFETY: the caller checked that neighbours come in whole vectors, and that there is a coordinate for every pull.
    unsafe {
        let (cutoff2, softening2, one) = (S::splat(force.cutoff2), S::splat(force.softening2), S::splat(1.0));
        let (to_t, minus_one) = (S::splat(2.0 / force.cutoff2), S::splat(-1.0));
        let [x, y, z] = near.map(<[f32]>::as_ptr);
        let (highest, rest) = force.polynomial.split_first().unwrap_or((&0.0, &[]));
        for (i, pull) in pulls.iter_mut().enumerate() {
            let [px, py, pz] = at.map(|at| S::splat(at[i]));
            let mut sums = [S::splat(0.0); 3];
            for j in (0..near[0].len()).step_by(LANES) {
                let d = [S::sub(S::load(x.add(j)), px), S::sub(S::load(y.add(j)), py), S::sub(S::load(z.add(j)), pz)];
                let d2 = S::fma(d[0], d[0], S::fma(d[1], d[1], S::mul(d[2], d[2])));
                let t = S::fma(d2, to_t, minus_one);
                let mut h = S::splat(*highest);
                for &c in rest {
                    h = S::fma(h, t, S::splat(c));
                }
                let soft = S::add(d2, softening2);
                let newton = S::div(one, S::mul(soft, S::sqrt(soft)));
                let bracket = S::select(S::lt(d2, cutoff2), S::sub(newton, h), S::splat(0.0));
                for axis in 0..3 {
                    sums[axis] = S::fma(bracket, d[axis], sums[axis]);
                }
            }
            *pull = [S::sum(sums[0]), S::sum(sums[1]), S::sum(sums[2])];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the sum in f64, at every level; far points and the point itself add nothing.
    #[test]
    fn forces_are_sums_over_pairs() {
        let force = CentralForce { cutoff2: 4.0, softening2: 0.01, polynomial: vec![0.1, -0.3, 0.4] };
        let coordinate = |i: usize, axis: usize| ((i * (7 + 4 * axis)) % 31) as f32 * 0.1 - 1.5;
        let mut near: [Vec<f32>; 3] = std::array::from_fn(|axis| (0..32).map(|i| coordinate(i, axis)).collect());
        for near in &mut near {
            near[29..].fill(1e3);
        }
        let at: [Vec<f32>; 3] = std::array::from_fn(|axis| near[axis][..5].to_vec());
        for simd in Simd::all() {
            let mut pulls = [[0.0f32; 3]; 5];
            simd.central_forces(&force, at.each_ref().map(|x| &x[..]), near.each_ref().map(|x| &x[..]), &mut pulls);
            for (i, pull) in pulls.iter().enumerate() {
                let mut expected = [0.0f64; 3];
                for j in 0..29 {
                    let d: [f64; 3] = std::array::from_fn(|axis| f64::from(near[axis][j]) - f64::from(at[axis][i]));
                    let d2: f64 = d.iter().map(|d| d * d).sum();
                    let t = d2 / 2.0 - 1.0;
                    if d2 < 4.0 {
                        let bracket = (d2 + 0.01).powf(-1.5) - (0.1 * t * t - 0.3 * t + 0.4);
                        (0..3).for_each(|axis| expected[axis] += bracket * d[axis]);
                    }
                }
                for axis in 0..3 {
                    // Terms of up to 40, each to some 1e-6 in f32.
                    assert!((f64::from(pull[axis]) - expected[axis]).abs() < 2e-4, "{simd}: {pull:?} {expected:?}");
                }
            }
        }
    }
}
