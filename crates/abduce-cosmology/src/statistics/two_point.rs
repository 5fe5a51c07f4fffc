//! The two-point correlation function by counting pairs in a periodic box.

use super::StatisticsError;
use crate::halos::rows::Rows;
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// ξ(r, μ) and its multipoles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TwoPoint {
    /// Edges of the bins of separation [Mpc/h].
    pub edges_mpc_h: Vec<f64>,
    /// Bins of |μ| over [0, 1].
    pub mu_bins: usize,
    /// Pairs by separation and |μ|, |μ| fastest.
    pub pairs: Vec<u64>,
    /// ξ of each of them.
    pub xi: Vec<f64>,
    /// Monopole by separation.
    pub xi0: Vec<f64>,
    /// Quadrupole.
    pub xi2: Vec<f64>,
    /// Hexadecapole.
    pub xi4: Vec<f64>,
}

/// Counts pairs of points: ξ = DD/RR − 1, where RR = ½ N (N − 1) V(r, μ)/L³ is exact in a periodic box. μ is the cosine to the axis `line_of_sight`.
///
/// ξ_l = (2l + 1) Σ_μ ξ(r, μ) ⟨L_l⟩ Δμ, with the mean of the Legendre polynomial over each bin of μ.
///
/// # Errors
/// Edges that do not rise from 0 or more to less than a third of the box; no bins of μ; no such axis; points that can't be used.
pub fn two_point(
    points: &[[f32; 3]],
    box_size_mpc_h: f64,
    edges_mpc_h: &[f64],
    mu_bins: usize,
    line_of_sight: usize,
    threads: &Threads,
) -> Result<TwoPoint, StatisticsError> {
    let argument = |name: &'static str, value: f64, reason: &'static str| Err(StatisticsError::Argument { name, value, reason });
    if line_of_sight > 2 {
        return argument("line_of_sight", line_of_sight as f64, "an axis is 0, 1 or 2");
    }
    if mu_bins == 0 || mu_bins > 10_000 {
        return argument("mu_bins", mu_bins as f64, "1 to 10000 are possible");
    }
    let rising = edges_mpc_h.windows(2).all(|pair| pair[1] > pair[0]);
    let (first, last) = (edges_mpc_h.first().copied().unwrap_or(f64::NAN), edges_mpc_h.last().copied().unwrap_or(f64::NAN));
    // Below a third of the box, so that every pair is met once.
    if edges_mpc_h.len() < 2 || !rising || !(first >= 0.0 && last * (1.0 + 1e-5) < box_size_mpc_h / 3.0) {
        return argument("edges_mpc_h", last, "edges rise from 0 or more to less than a third of the box");
    }
    if u32::try_from(points.len()).is_err() {
        return argument("points", points.len() as f64, "fewer than 2^32 can be told apart");
    }
    let rows = Rows::new(points, box_size_mpc_h, last, 2048, threads)?;
    let bins = edges_mpc_h.len() - 1;
    let squares: Vec<f64> = edges_mpc_h.iter().map(|edge| edge * edge).collect();
    let mut counts = vec![vec![0u64; bins * mu_bins]; rows.per_axis];
    threads.for_each(&mut counts, |plane, counts| {
        rows.pairs_of_plane(
            plane,
            last,
            |_, _| false,
            |a, b, d2| {
                if d2 < squares[0] || d2 >= squares[bins] || d2 == 0.0 {
                    return;
                }
                let bin = squares.partition_point(|&edge| edge <= d2) - 1;
                let d = f64::from(rows.points[b][line_of_sight]) - f64::from(rows.points[a][line_of_sight]);
                let along = d - box_size_mpc_h * (d / box_size_mpc_h).round();
                let mu = (along * along / d2).sqrt();
                counts[bin * mu_bins + ((mu * mu_bins as f64) as usize).min(mu_bins - 1)] += 1;
            },
        );
    });
    let mut pairs = vec![0u64; bins * mu_bins];
    for plane in &counts {
        pairs.iter_mut().zip(plane).for_each(|(total, count)| *total += count);
    }
    let n = points.len() as f64;
    let density = 0.5 * n * (n - 1.0) / box_size_mpc_h.powi(3) / mu_bins as f64;
    let mut found = TwoPoint { edges_mpc_h: edges_mpc_h.to_vec(), mu_bins, xi: Vec::new(), pairs, xi0: vec![], xi2: vec![], xi4: vec![] };
    let width = 1.0 / mu_bins as f64;
    for bin in 0..bins {
        let shell = 4.0 / 3.0 * std::f64::consts::PI * (edges_mpc_h[bin + 1].powi(3) - edges_mpc_h[bin].powi(3));
        let (mut xi0, mut xi2, mut xi4) = (0.0, 0.0, 0.0);
        for j in 0..mu_bins {
            let xi = found.pairs[bin * mu_bins + j] as f64 / (density * shell) - 1.0;
            found.xi.push(xi);
            let (low, high) = (j as f64 * width, (j + 1) as f64 * width);
            // ∫ L₂ = (μ³ − μ)/2, ∫ L₄ = (7μ⁵ − 10μ³ + 3μ)/8.
            let l2 = |mu: f64| 0.5 * (mu.powi(3) - mu);
            let l4 = |mu: f64| 0.125 * (7.0 * mu.powi(5) - 10.0 * mu.powi(3) + 3.0 * mu);
            xi0 += xi * width;
            xi2 += 5.0 * xi * (l2(high) - l2(low));
            xi4 += 9.0 * xi * (l4(high) - l4(low));
        }
        found.xi0.push(xi0);
        found.xi2.push(xi2);
        found.xi4.push(xi4);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    #[test]
    fn counts_are_those_of_all_pairs() {
        let l = 50.0;
        let mut rng = Seed(4).stream("points", 0);
        let points: Vec<[f32; 3]> = (0..700).map(|_| std::array::from_fn(|_| (rng.uniform() * l) as f32)).collect();
        let edges = [0.0, 2.0, 5.0, 9.0, 16.0];
        for line_of_sight in 0..3 {
            let found = two_point(&points, l, &edges, 5, line_of_sight, &Threads::new(2)).unwrap();
            let mut expected = vec![0u64; 20];
            for a in 0..points.len() {
                for b in 0..a {
                    let d: [f64; 3] = std::array::from_fn(|axis| {
                        let d = f64::from(points[a][axis]) - f64::from(points[b][axis]);
                        d - l * (d / l).round()
                    });
                    let r = d.iter().map(|d| d * d).sum::<f64>().sqrt();
                    if r < 16.0 {
                        let bin = edges.iter().filter(|&&edge| edge <= r).count() - 1;
                        expected[bin * 5 + ((d[line_of_sight].abs() / r * 5.0) as usize).min(4)] += 1;
                    }
                }
            }
            assert_eq!(found.pairs, expected);
            // A constant ξ is a monopole alone, and sums over bins undo the split.
            let total: u64 = found.pairs[15..].iter().sum();
            let shell = 4.0 / 3.0 * std::f64::consts::PI * (16f64.powi(3) - 9f64.powi(3));
            let xi = total as f64 / (0.5 * 700.0 * 699.0 * shell / l.powi(3)) - 1.0;
            assert!((found.xi0[3] - xi).abs() < 1e-12);
        }
        assert!(two_point(&points, l, &[0.0, 17.0], 1, 2, &Threads::single()).is_err());
        assert!(two_point(&points, l, &[2.0, 1.0], 1, 2, &Threads::single()).is_err());
    }
}
