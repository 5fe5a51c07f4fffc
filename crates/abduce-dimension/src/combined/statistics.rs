//! What is measured of a cloud to tell its dimension, the same on data and on simulated references.
//!
//! All statistics are dimensionless and unbiased for a uniform flat neighbourhood; how they leave that value with scale tells boundary,
//! density gradient, curvature and noise apart.

use crate::cloud::Cloud;
use crate::error::Result;
use crate::neighbours::Neighbours;
use crate::{Crew, Search};
use abduce_data::Rng;
use abduce_kernels::Simd;
use abduce_kernels::gemm::{Into, MatMul};

/// Largest neighbourhood.
const NEIGHBOURS: usize = 64;
/// Width of the inner sums.
const LANES: usize = 8;
/// Points whose neighbourhoods are looked at.
const QUERIES: usize = 600;

/// Statistics of a cloud.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Local dimension from ratios of distances r_{2s}/r_s for s = 1, 2, 4, …
    pub ratio_dimensions: Vec<f64>,
    /// All statistics on the scale on which they are regressed upon.
    pub features: Vec<f64>,
}

/// Neighbours looked at for N points: a power of two, at most N/3.
pub fn neighbourhood(points: usize) -> usize {
    let most = NEIGHBOURS.min(points / 3).max(2);
    1 << most.ilog2()
}

/// Names of the features, for a neighbourhood of `k`.
pub fn names(k: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut s = 1;
    while 2 * s <= k {
        names.push(format!("ratio_{s}"));
        s *= 2;
    }
    let mut a = 8;
    while a <= k {
        for what in ["angle", "drift", "centred", "spread", "kurtosis"] {
            names.push(format!("{what}_{a}"));
        }
        a *= 2;
    }
    names.extend(["heterogeneity", "relative_scale", "participation", "axes"].map(String::from));
    names
}

#[derive(Clone, Default)]
struct Sums {
    log_distances: Vec<f64>,
    log_scale: [f64; 2],
    /// Per neighbourhood size: cos², cos, centred tr² and tr of squares, 1/cos², cos⁴.
    angles: Vec<[f64; 6]>,
}

/// Measures `cloud`, whose variances along the principal axes are `variances`, in neighbourhoods of points that `rng` picks.
///
/// # Errors
/// None on a cloud of ten points or more; those of the search otherwise.
pub fn measure(cloud: &Cloud, variances: &[f64], rng: &mut Rng, crew: &Crew) -> Result<Statistics> {
    let n = cloud.rows();
    let k = neighbourhood(n);
    let mut order: Vec<u32> = (0..n as u32).collect();
    let m = QUERIES.min(n);
    for i in 0..m {
        let j = i + rng.below(n - i);
        order.swap(i, j);
    }
    order.truncate(m);
    let found = Neighbours::search(cloud, order, k, Search::best(n, cloud.dims()), crew)?;
    let dims = cloud.dims();
    let span = variances.len() as f64;
    let mut tasks: Vec<(usize, Sums)> = (0..m).step_by(50).map(|start| (start, Sums::default())).collect();
    crew.threads.for_each(&mut tasks, |_, (start, sums)| {
        let mut scratch = Scratch::new(k, dims, span);
        sums.log_distances = vec![0.0; k];
        sums.angles = vec![[0.0; 6]; sizes(k).count()];
        for q in *start..(*start + 50).min(m) {
            scratch.add(cloud, &found, q, crew.simd, sums);
        }
    });
    let m = m as f64;
    let total = |f: &dyn Fn(&Sums) -> f64| tasks.iter().map(|(_, s)| f(s)).sum::<f64>() / m;
    let mut features = Vec::new();
    let mut ratio_dimensions = Vec::new();
    let mut s = 1;
    while 2 * s <= k {
        let harmonic: f64 = (s..2 * s).map(|j| 1.0 / j as f64).sum();
        let mean = total(&|sums| sums.log_distances[2 * s - 1] - sums.log_distances[s - 1]);
        let dimension = harmonic / mean.max(1e-6);
        ratio_dimensions.push(dimension);
        features.push(dimension.ln());
        s *= 2;
    }
    for (i, _) in sizes(k).enumerate() {
        let mean: [f64; 6] = std::array::from_fn(|j| total(&|sums| sums.angles[i][j]));
        let floor = 0.3 / span;
        let square = mean[0].max(floor);
        features.push(-square.ln());
        features.push((mean[1] / square).max(-0.05).ln_1p());
        features.push((mean[2].max(floor) / mean[3].max(floor * mean[2].max(floor))).ln());
        features.push((mean[4] * square).ln());
        features.push((mean[5] / (square * square)).max(0.1).ln());
    }
    let all: f64 = variances.iter().sum();
    let squares: f64 = variances.iter().map(|v| v * v).sum();
    let mean = total(&|sums| sums.log_scale[0]);
    let variance = (total(&|sums| sums.log_scale[1]) - mean * mean).max(0.0);
    features.push((ratio_dimensions[ratio_dimensions.len() / 2] * variance.sqrt() + 0.05).ln());
    features.push(mean - 0.5 * all.ln());
    features.push((all * all / squares).ln());
    features.push((variances.iter().filter(|v| **v > 0.05 * variances[0]).count() as f64).ln());
    Ok(Statistics { ratio_dimensions, features })
}

/// Neighbourhood sizes whose angles are measured.
fn sizes(k: usize) -> impl Iterator<Item = usize> {
    [8, 16, 32, 64].into_iter().filter(move |&a| a <= k)
}

struct Scratch {
    rows: Vec<f32>,
    columns: Vec<f32>,
    gram: Vec<f32>,
    row_sums: Vec<f32>,
    inverse: Vec<f32>,
    span: f64,
}

impl Scratch {
    fn new(k: usize, dims: usize, span: f64) -> Self {
        Self {
            rows: vec![0.0; k * dims],
            columns: vec![0.0; k * dims],
            gram: vec![0.0; k * k],
            row_sums: vec![0.0; k],
            inverse: vec![0.0; k],
            span,
        }
    }

    fn add(&mut self, cloud: &Cloud, found: &Neighbours, q: usize, simd: Simd, sums: &mut Sums) {
        let (dims, k) = (cloud.dims(), found.k());
        let distances = found.distances(q);
        let centre = cloud.point(found.query(q));
        let scale = distances[k - 1];
        for (j, &point) in found.indices(q).iter().enumerate() {
            for (c, (v, o)) in cloud.point(point as usize).iter().zip(centre).enumerate() {
                let value = ((v - o) / scale) as f32;
                self.rows[j * dims + c] = value;
                self.columns[c * k + j] = value;
            }
        }
        simd.matmul(MatMul { rows: k, cols: k, depth: dims }, &self.rows, &self.columns, &mut self.gram, Into::Overwrite);
        for (sum, d) in sums.log_distances.iter_mut().zip(distances) {
            *sum += d.ln();
        }
        let middle = distances[(k / 4).max(1) - 1].ln();
        sums.log_scale[0] += middle;
        sums.log_scale[1] += middle * middle;
        for i in 0..k {
            self.inverse[i] = 1.0 / self.gram[i * k + i].sqrt().max(1e-30);
        }
        // Row by row below the diagonal: each row adds its products with the nearer neighbours, and where a size is complete its sums are
        // read off. With g the Gram matrix of the a vectors and 1 a vector of ones, the centred one has trace tr g - 1ᵀg1/a and squares
        // |g|² - 2 |g1|²/a + (1ᵀg1)²/a².
        let (mut cos, mut cos2, mut cos4, mut off2, mut trace, mut diagonal2) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        self.row_sums.fill(0.0);
        let mut sizes = sizes(k).zip(&mut sums.angles).peekable();
        for i in 0..k {
            let row = &self.gram[i * k..i * k + i];
            let mut lanes = [[0.0f32; LANES]; 5];
            let mut j = 0;
            while j + LANES <= i {
                for l in 0..LANES {
                    let g = row[j + l];
                    let c = g * self.inverse[j + l] * self.inverse[i];
                    self.row_sums[j + l] += g;
                    lanes[0][l] += g;
                    lanes[1][l] += g * g;
                    lanes[2][l] += c;
                    lanes[3][l] += c * c;
                    lanes[4][l] += c * c * c * c;
                }
                j += LANES;
            }
            for j in j..i {
                let g = row[j];
                let c = g * self.inverse[j] * self.inverse[i];
                self.row_sums[j] += g;
                for (lane, v) in lanes.iter_mut().zip([g, g * g, c, c * c, c * c * c * c]) {
                    lane[0] += v;
                }
            }
            let [sum, square, c1, c2, c4] = lanes.map(|lane| f64::from(lane.iter().sum::<f32>()));
            let own = self.gram[i * k + i];
            self.row_sums[i] = sum as f32 + own;
            off2 += 2.0 * square;
            cos += c1;
            cos2 += c2;
            cos4 += c4;
            trace += f64::from(own);
            diagonal2 += f64::from(own) * f64::from(own);
            let Some((a, sum)) = sizes.next_if(|(a, _)| *a == i + 1) else { continue };
            let pairs = (a * (a - 1) / 2) as f64;
            let ones2: f64 = self.row_sums[..a].iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
            let ones: f64 = self.row_sums[..a].iter().map(|s| f64::from(*s)).sum();
            let size = a as f64;
            let squares = off2 + diagonal2 - 2.0 * ones2 / size + ones * ones / (size * size);
            let centred_trace = trace - ones / size;
            // Of a covariance estimated with f degrees of freedom from normal vectors, E tr²= t² + 2 s/f and E tr(S²) = s (1 + 1/f) + t²/f:
            // solved for t² and s.
            let f = size - 1.0;
            let share = squares / (centred_trace * centred_trace).max(1e-300);
            let s = (share - 1.0 / f) / (1.0 + 1.0 / f - 2.0 / (f * f));
            let t2 = 1.0 - 2.0 * s / f;
            let one = [cos2 / pairs, cos / pairs, t2, s, 1.0 / (cos2 / pairs).max(0.5 / self.span), cos4 / pairs];
            sum.iter_mut().zip(one).for_each(|(total, value)| *total += value);
        }
    }
}
