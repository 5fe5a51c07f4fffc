//! Tight local estimation.

use super::{
    Estimate,
    distances::{check, mean_of},
};
use crate::cloud::{Cloud, Crew};
use crate::error::Result;
use crate::neighbours::Neighbours;

/// Terms below this share of the neighbourhood's radius are dropped. (scikit-dimension takes the same number in the units of the data, which makes
/// its answer depend on them.)
const TINY: f64 = 1e-4;

/// Tight local intrinsic dimension (Amsaleg et al. 2019, SDM, doi 10.1137/1.9781611975673.21): a maximum-likelihood estimate from all pairs of neighbours i, j of a point.
///
/// With u_i the distances to the point, r = u_k, v_ij the mutual ones and z² = 2u_i² + 2u_j² - v²,
///
/// s_ij = r [√((u_i² + v² - u_j²)² + 4v²(r² - u_i²)) - (u_i² + v² - u_j²)] / (2(r² - u_i²)), t_ij the same with z for v, and
/// d = -2 (k² - dropped)/(Σ ln(t/r) + Σ ln(s/r) + 2 Σ ln(u/r)); mean over the points.
///
/// # Errors
/// `Setting` unless 3 <= k <= k of the neighbours.
pub fn tle(cloud: &Cloud, neighbours: &Neighbours, k: usize, crew: &Crew) -> Result<Estimate> {
    check(neighbours, "TLE neighbours", k, 3)?;
    let mut each: Vec<f64> = vec![0.0; neighbours.queries()];
    let mut tasks: Vec<&mut [f64]> = each.chunks_mut(64).collect();
    crew.threads.for_each(&mut tasks, |task, slots| {
        let mut mutual = vec![0.0; k * k];
        for (slot, value) in slots.iter_mut().enumerate() {
            let q = 64 * task + slot;
            *value = one(cloud, &neighbours.indices(q)[..k], &neighbours.distances(q)[..k], &mut mutual);
        }
    });
    mean_of("TLE", each.into_iter())
}

fn one(cloud: &Cloud, points: &[u32], u: &[f64], mutual: &mut [f64]) -> f64 {
    let k = points.len();
    let r = u[k - 1];
    for i in 0..k {
        for j in 0..i {
            let square = cloud.squared_distance(points[i] as usize, points[j] as usize);
            mutual[i * k + j] = square;
            mutual[j * k + i] = square;
        }
    }
    let tiny = TINY * r;
    let (mut sum, mut dropped) = (0.0, 0usize);
    for i in 0..k {
        for j in (0..k).filter(|&j| j != i) {
            let v2 = mutual[i * k + j];
            let (s, t) = if v2 == 0.0 {
                (0.0, 0.0)
            } else {
                let z2 = 2.0 * u[i] * u[i] + 2.0 * u[j] * u[j] - v2;
                (tight(r, u[i], u[j], v2), tight(r, u[i], u[j], z2))
            };
            if s < tiny || t < tiny || !s.is_finite() || !t.is_finite() {
                dropped += 2;
            } else {
                sum += (s / r).ln() + (t / r).ln();
            }
        }
        if u[i] < tiny {
            dropped += 1;
        } else {
            sum += 2.0 * (u[i] / r).ln();
        }
    }
    -2.0 * ((k * k) as f64 - dropped as f64) / sum
}

/// Distance at which the sphere through the neighbours i and j meets the ball of radius r.
fn tight(r: f64, ui: f64, uj: f64, v2: f64) -> f64 {
    if ui == 0.0 {
        return uj;
    }
    if uj == 0.0 {
        let v = v2.sqrt();
        return r * v / (r + v);
    }
    let a = ui * ui + v2 - uj * uj;
    if ui == r {
        return r * v2 / (r * r + v2 - uj * uj);
    }
    let rest = r * r - ui * ui;
    r * ((a * a + 4.0 * v2 * rest).sqrt() - a) / (2.0 * rest)
}
