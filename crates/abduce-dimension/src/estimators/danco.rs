//! Dimension from distances and angles, calibrated on balls.

use super::{
    Estimate,
    distances::{check, mind_ml},
};
use crate::cloud::{Cloud, Crew};
use crate::error::{DimensionError, Result};
use crate::neighbours::{Neighbours, Search};
use crate::special::{bessel_ratio, harmonic, log_bessel_i0};
use abduce_data::Seed;
use statrs::function::gamma::digamma;

/// Points of a calibration ball whose neighbourhoods are looked at.
const QUERIES: usize = 2000;

/// What DANCo compares.
#[derive(Clone, Copy, Debug)]
struct Signature {
    /// MiND_ML with k neighbours.
    dimension: f64,
    /// Mean direction of the pairwise angles of neighbours, averaged over the points.
    direction: f64,
    /// Their mean concentration.
    concentration: f64,
}

/// DANCo (Ceruti et al. 2014, *Pattern Recognition* 47, 2569; arXiv:1206.3881): the Kullback-Leibler divergences of the laws of normalised nearest distances and of the angles
/// between neighbours, each to that of a uniform ball of the same number of points, are added, and the dimension minimises their sum over balls of
/// d = 1, 2, …; between whole d by the parabola through the smallest three.
///
/// Balls are drawn here from `seed`, one per d between half and three times the MiND_ML estimate, at most D. (scikit-dimension 0.5.0 caps the
/// calibration's own estimate at k by a slip; this does not.)
///
/// # Errors
/// `Setting` unless k + 1 neighbours are known.
pub fn danco(cloud: &Cloud, neighbours: &Neighbours, k: usize, seed: Seed, crew: &Crew) -> Result<Estimate> {
    check(neighbours, "DANCo neighbours", k + 1, 4)?;
    let dims = cloud.dims();
    let data = signature(cloud, neighbours, k, 2.0 * dims as f64 + 5.0, crew)?;
    let first = (0.5 * data.dimension).floor().max(1.0) as usize;
    let last = ((3.0 * data.dimension).ceil() as usize + 2).min(dims).max(first);
    let mut scores = Vec::new();
    for d in first..=last {
        let ball = ball(cloud.rows(), d, seed);
        let rows = ball.rows() as u32;
        let queries = (0..rows.min(QUERIES as u32)).collect();
        let near = Neighbours::search(&ball, queries, k + 1, Search::best(ball.rows(), d), crew)?;
        let calibration = signature(&ball, &near, k, 2.0 * d as f64 + 5.0, crew)?;
        let score = distance_divergence(data.dimension, calibration.dimension, k) + angle_divergence(data, calibration);
        scores.push(if score.is_finite() { score } else { f64::INFINITY });
    }
    let best = (0..scores.len()).fold(0, |best, i| if scores[i] < scores[best] { i } else { best });
    if !scores[best].is_finite() {
        return Err(DimensionError::NoAnswer { method: "DANCo", reason: "no ball is at a finite divergence".into() });
    }
    let mut dimension = (first + best) as f64;
    if best > 0 && best + 1 < scores.len() {
        let [a, b, c] = [scores[best - 1], scores[best], scores[best + 1]];
        let bend = a - 2.0 * b + c;
        if bend > 0.0 && bend.is_finite() {
            dimension += 0.5 * (a - c) / bend;
        }
    }
    Estimate::finite("DANCo", dimension)
}

/// `rows` points uniform in the unit ball of R^d.
fn ball(rows: usize, d: usize, seed: Seed) -> Cloud {
    let mut rng = seed.stream("danco-ball", d as u64);
    let mut values = Vec::with_capacity(rows * d);
    for _ in 0..rows {
        let start = values.len();
        values.extend((0..d).map(|_| rng.normal()));
        let length = values[start..].iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-300);
        let radius = rng.uniform_open_low().powf(1.0 / d as f64) / length;
        values[start..].iter_mut().for_each(|v| *v *= radius);
    }
    Cloud::of_simulated(d, values)
}

fn signature(cloud: &Cloud, neighbours: &Neighbours, k: usize, most: f64, crew: &Crew) -> Result<Signature> {
    let mut parts: Vec<(usize, [f64; 2])> = (0..neighbours.queries()).step_by(64).map(|start| (start, [0.0; 2])).collect();
    crew.threads.for_each(&mut parts, |_, (start, sums)| {
        let dims = cloud.dims();
        let mut unit = vec![0.0; k * dims];
        for q in *start..(*start + 64).min(neighbours.queries()) {
            let centre = cloud.point(neighbours.query(q));
            for (row, (&point, distance)) in unit.chunks_exact_mut(dims).zip(neighbours.indices(q)[..k].iter().zip(neighbours.distances(q)))
            {
                let pairs = cloud.point(point as usize).iter().zip(centre);
                row.iter_mut().zip(pairs).for_each(|(u, (v, c))| *u = (v - c) / distance);
            }
            let (mut sin, mut cos) = (0.0, 0.0);
            for i in 0..k {
                for j in 0..i {
                    let (a, b) = (&unit[i * dims..(i + 1) * dims], &unit[j * dims..(j + 1) * dims]);
                    let c = a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0);
                    cos += c;
                    sin += (1.0 - c * c).sqrt();
                }
            }
            let pairs = (k * (k - 1) / 2) as f64;
            sums[0] += (sin / cos).atan();
            sums[1] += concentration((sin / pairs).hypot(cos / pairs));
        }
    });
    let m = neighbours.queries() as f64;
    Ok(Signature {
        dimension: mind_ml(neighbours, k, most)?.dimension,
        direction: parts.iter().map(|(_, s)| s[0]).sum::<f64>() / m,
        concentration: parts.iter().map(|(_, s)| s[1]).sum::<f64>() / m,
    })
}

/// Concentration of the von Mises law with this mean resultant length (Fisher 1993, *Statistical Analysis of Circular Data*, Eq. 4.40).
fn concentration(eta: f64) -> f64 {
    if eta < 0.53 {
        2.0 * eta + eta.powi(3) + 5.0 * eta.powi(5) / 6.0
    } else if eta < 0.85 {
        -0.4 + 1.39 * eta + 0.43 / (1.0 - eta)
    } else {
        // At η = 1 (all angles equal, as on a line) the law is a point.
        1.0 / (eta.powi(3) - 4.0 * eta * eta + 3.0 * eta).max(1e-6)
    }
}

/// KL divergence of the law of ρ = R_1/R_{k+1} at the data's dimension from that at the calibration's, q their ratio:
/// H_k q - ln q - (k-1) Σ_{i=0..k} (-1)^i C(k,i) ψ(1+i/q).
fn distance_divergence(data: f64, calibration: f64, k: usize) -> f64 {
    let q = calibration / data;
    let mut binomial = 1.0;
    let mut sum = 0.0;
    for i in 0..=k {
        sum += binomial * digamma(1.0 + i as f64 / q);
        binomial *= -((k - i) as f64) / (i + 1) as f64;
    }
    harmonic(k) * q - q.ln() - (k as f64 - 1.0) * sum
}

/// KL divergence of two von Mises laws.
fn angle_divergence(data: Signature, calibration: Signature) -> f64 {
    let (tau, tau_c) = (data.concentration, calibration.concentration);
    log_bessel_i0(tau_c) - log_bessel_i0(tau) + bessel_ratio(tau) * (tau - tau_c * (data.direction - calibration.direction).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Array;

    /// Both divergences are zero between equal laws. At q = 1 the first is H_k - (k-1) Σ (-1)^i C(k,i) ψ(1+i), and Σ_i (-1)^i C(k,i) ψ(1+i) = -1/k:
    /// H_k + (k-1)/k, which is the constant that the published formula leaves in; only differences over d matter.
    #[test]
    fn divergences_of_equal_laws() {
        let k = 10;
        assert!((distance_divergence(7.0, 7.0, k) - harmonic(k) - 0.9).abs() < 1e-9);
        let equal = Signature { dimension: 5.0, direction: 1.5, concentration: 3.0 };
        assert!(angle_divergence(equal, equal).abs() < 1e-12);
        let other = Signature { concentration: 6.0, ..equal };
        assert!(angle_divergence(equal, other) > 0.01 && angle_divergence(other, equal) > 0.01);
    }

    /// Other balls of the same law come out at their own dimension: the calibration's and the sample's scatter are below half a dimension up to d = 8.
    #[test]
    fn balls_are_recognised() {
        let crew = Crew::with_threads(2);
        for d in [2, 5, 8] {
            let cloud = ball(700, d, Seed(99));
            // In more columns than needed, so that more dimensions are on offer.
            let wide: Vec<f64> = (0..700).flat_map(|i| (0..2 * d).map(move |j| (i, j))).map(|(i, j)| cloud.point(i)[j % d]).collect();
            let cloud = Cloud::new(&Array::new(vec![700, 2 * d], wide).unwrap()).unwrap();
            let near = Neighbours::of_all(&cloud, 11, &crew).unwrap();
            let found = danco(&cloud, &near, 10, Seed(1), &crew).unwrap().dimension;
            assert!((found - d as f64).abs() < 0.5, "{d}: {found}");
        }
    }
}
