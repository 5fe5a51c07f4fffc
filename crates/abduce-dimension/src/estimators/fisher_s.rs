//! Dimension from the linear separability of points.

use super::Estimate;
use crate::cloud::{Cloud, Crew};
use crate::error::{DimensionError, Result};
use crate::pca::Pca;
use crate::special::lambert_w;
use abduce_kernels::gemm::{Into, Left, MatMul};

/// Settings of [`fisher_s`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FisherSettings {
    /// Components whose variance is below the largest over this are dropped.
    pub condition_number: f64,
}

impl Default for FisherSettings {
    fn default() -> Self {
        Self { condition_number: 10.0 }
    }
}

/// The thresholds α = 0.60, 0.62, …, 0.98.
const ALPHAS: usize = 20;

fn alpha(i: usize) -> f64 {
    0.6 + 0.02 * i as f64
}

/// FisherS (Albergante, Bac & Zinovyev 2019, arXiv:1901.06328): after centring, PCA, whitening and projection to the unit sphere, the mean
/// share p(α) of other points y with x·y > α, compared with that of the sphere:
///
/// n(α) = W(-w/(2π p² α² (1-α²)))/(-w), w = ln(1-α²), W Lambert's function, at the α nearest to 0.9 of the largest with p > 0.
///
/// # Errors
/// `NoAnswer` where all points are separable at every α: too few points for their dimension.
pub fn fisher_s(cloud: &Cloud, settings: FisherSettings, crew: &Crew) -> Result<Estimate> {
    const QUERIES: usize = 48;
    const POINTS: usize = 1024;
    let pca = Pca::fit(cloud.dims(), cloud.values(), &crew.threads);
    let rank = pca.rank(1.0 / settings.condition_number).max(1);
    let mut rows = pca.project(cloud.values(), rank);
    for row in rows.chunks_exact_mut(rank) {
        row.iter_mut().zip(pca.variances()).for_each(|(v, l)| *v /= l.sqrt());
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-300);
        row.iter_mut().for_each(|v| *v /= length);
    }
    let n = cloud.rows();
    let rows: Vec<f32> = rows.iter().map(|v| *v as f32).collect();
    // Negated, so that what is picked out lies below a limit.
    let mut blocks = vec![0.0f32; n * rank];
    for (b, block) in blocks.chunks_mut(POINTS * rank).enumerate() {
        let width = block.len() / rank;
        for column in 0..width {
            for c in 0..rank {
                block[c * width + column] = -rows[(b * POINTS + column) * rank + c];
            }
        }
    }
    let mut tasks: Vec<(&[f32], [u64; ALPHAS])> = rows.chunks(QUERIES * rank).map(|q| (q, [0; ALPHAS])).collect();
    let (blocks, simd) = (&blocks, crew.simd);
    crew.threads.for_each(&mut tasks, |task, (queries, counts)| {
        let mut product = vec![0.0; QUERIES * POINTS];
        let mut hits = Vec::with_capacity(POINTS);
        let count = queries.len() / rank;
        for (b, block) in blocks.chunks(POINTS * rank).enumerate() {
            let width = block.len() / rank;
            let left = Left { data: queries, row_stride: rank, depth_stride: 1 };
            let shape = MatMul { rows: count, cols: width, depth: rank };
            simd.matmul_strided(shape, left, block, width, &mut product, POINTS, Into::Overwrite);
            for q in 0..count {
                hits.clear();
                simd.select_below(&product[q * POINTS..q * POINTS + width], -(alpha(0) as f32), (b * POINTS) as u32, &mut hits);
                for &(value, point) in &hits {
                    if point as usize != task * QUERIES + q {
                        // α_i < x·y for the first so many i.
                        let reach = ((-f64::from(value) - alpha(0)) / 0.02).ceil().clamp(0.0, ALPHAS as f64) as usize;
                        counts[..reach].iter_mut().for_each(|c| *c += 1);
                    }
                }
            }
        }
    });
    let share = |i: usize| tasks.iter().map(|(_, counts)| counts[i]).sum::<u64>() as f64 / (n as f64 * (n - 1) as f64);
    let shares: Vec<f64> = (0..ALPHAS).map(share).collect();
    let Some(last) = (0..ALPHAS).rev().find(|&i| shares[i] > 0.0) else {
        return Err(DimensionError::NoAnswer { method: "FisherS", reason: "every point is linearly separable from all others".into() });
    };
    let target = 0.9 * alpha(last);
    // Of two at equal distance the larger α, which is also what rounding does in scikit-dimension.
    let nearest = (0..=last).fold(0, |best, i| if (alpha(i) - target).abs() < (alpha(best) - target).abs() + 1e-9 { i } else { best });
    let (a, p) = (alpha(nearest), shares[nearest]);
    let w = (-a * a).ln_1p();
    let dimension = lambert_w(-w / (std::f64::consts::TAU * p * p * a * a * (1.0 - a * a))) / -w;
    Estimate::finite("FisherS", dimension)
}
