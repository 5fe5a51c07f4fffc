//! The combined estimate: statistics of the cloud compared with those of simulated manifolds of known dimension, as many points each.
//!
//! Every local estimator is biased on samples of finite size: edges and density gradients make it fall short, curvature and noise make it overshoot, and
//! in twenty dimensions a neighbourhood spans half the cloud. These biases depend on N, d and the shape alone, and simulations have them too. So the
//! estimate is amortised inference of one parameter, d, by regression on summary statistics:
//!
//! 1. [`statistics`]: local dimensions from ratios of distances at six scales, second and fourth moments of the angles between neighbours and the
//!    participation of their covariance at four, how neighbours drift to one side, how the density varies, and three numbers of the global spectrum.
//! 2. [`reference`](mod@reference): some hundred manifolds, flat and curved, open and closed, evenly and unevenly sampled, drawn at the cloud's N and
//!    spanning as many axes, with d between about half the least and twice the largest local estimate.
//! 3. A local ridge regression and a Gaussian process of ln d on the statistics, weighted by their errors when references are left out.
//! 4. Whole dimensions are favoured nine to one over others, which decides between 1.98 and 2 and leaves 1.58 alone.
//!
//! The interval holds the error of the regression over the prior of manifolds. It can't know of shapes that no reference resembles.

mod posterior;
pub mod reference;
mod regression;
pub mod statistics;

use crate::cloud::{Cloud, Crew};
use crate::error::{DimensionError, Result};
use crate::pca::Pca;
use abduce_data::Seed;
use abduce_kernels::Threads;
use posterior::Posterior;
use regression::{References, regress};
use statistics::{Statistics, measure};

/// Settings of [`combined`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CombinedSettings {
    /// Simulated manifolds.
    pub references: usize,
    /// Clouds of more points are thinned to this many, at random.
    pub max_points: usize,
    /// Seed of the references, of the thinning and of the points whose neighbourhoods are looked at.
    pub seed: Seed,
}

impl Default for CombinedSettings {
    fn default() -> Self {
        Self { references: 300, max_points: 10_000, seed: Seed(0) }
    }
}

/// The combined estimate.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Combined {
    /// Mean of the posterior.
    pub dimension: f64,
    /// Its central interval of 95 %.
    pub interval: [f64; 2],
    /// The regression's own answer, before whole numbers are favoured, and the standard error of its logarithm.
    pub regression: f64,
    /// Standard error of ln d.
    pub log_error: f64,
    /// The most probable whole dimension.
    pub whole: usize,
    /// Probability that the dimension is a whole number.
    pub probability_whole: f64,
    /// Dimension of the linear span, which bounds the answer.
    pub span: usize,
    /// Dimensions of the references.
    pub searched: [usize; 2],
    /// Points used.
    pub points: usize,
    /// Local dimension of the cloud at its scales, uncorrected: neighbours 2, 4, 8, ….
    pub uncorrected: Vec<f64>,
    /// Largest distance of a statistic from the mean of the references, in their standard deviations: beyond 4 the cloud looks like none of them.
    pub novelty: f64,
}

/// Rows that the global spectrum is taken from, and columns beyond which fewer serve.
const SPECTRUM_ROWS: usize = 2000;
const SPECTRUM_ROWS_WIDE: usize = 800;
/// Axes with less than this share of the largest variance are rounding, of f32 data too: its relative error of 6e-8 has a variance of 1e-15.
const NO_VARIANCE: f64 = 1e-12;

/// Estimates the dimension of a cloud.
///
/// # Errors
/// `Setting` with fewer than 50 references or a bound on the points below 50.
pub fn combined(cloud: &Cloud, settings: CombinedSettings, crew: &Crew) -> Result<Combined> {
    for (name, value) in [("references", settings.references), ("max_points", settings.max_points)] {
        if value < 50 {
            return Err(DimensionError::Setting { name, value: value as f64, must: "at least 50".into() });
        }
    }
    let seed = settings.seed;
    let thinned = (cloud.rows() > settings.max_points).then(|| {
        let mut order: Vec<usize> = (0..cloud.rows()).collect();
        seed.stream("thin", 0).shuffle(&mut order);
        order.truncate(settings.max_points);
        order.sort_unstable();
        cloud.subset(&order)
    });
    let cloud = thinned.as_ref().unwrap_or(cloud);
    let variances = spectrum(cloud, seed, &crew.threads);
    let span = variances.len();
    let Statistics { ratio_dimensions, features } = measure(cloud, &variances, &mut seed.stream("queries", 0), crew)?;
    let searched = range(&ratio_dimensions, span);
    let mut items: Vec<(f64, Result<Vec<f64>>)> = vec![(0.0, Ok(Vec::new())); settings.references];
    crew.threads.for_each(&mut items, |index, item| {
        let mut rng = seed.stream("reference", index as u64);
        let d = draw_dimension(searched, span, rng.uniform(), rng.uniform());
        let (width, values) = reference::simulate(cloud.rows(), d, span, &mut rng);
        let cloud = Cloud::of_simulated(width, values);
        let alone = Crew { simd: crew.simd, threads: Threads::single() };
        let variances = spectrum(&cloud, seed, &alone.threads);
        *item = ((d as f64).ln(), measure(&cloud, &variances, &mut rng, &alone).map(|statistics| statistics.features));
    });
    let (mut references, mut log_dimensions) = (Vec::new(), Vec::new());
    for (log_dimension, statistics) in items {
        let statistics = statistics?;
        // A reference can be degenerate, for instance when heavy tails swallow its other axes; it says nothing.
        if statistics.iter().all(|v| v.is_finite()) {
            references.push(statistics);
            log_dimensions.push(log_dimension);
        }
    }
    if references.len() < settings.references / 2 || features.iter().any(|v| !v.is_finite()) {
        return Err(DimensionError::NoAnswer {
            method: "the combined estimate",
            reason: "the statistics of the cloud are not finite".into(),
        });
    }
    let novelty = novelty(&references, &features);
    let log = regress(&References { features: references, log_dimensions }, &features);
    let posterior = Posterior::new(log, span);
    let whole = posterior.whole.iter().enumerate().take(span).fold(0, |best, (i, p)| if *p > posterior.whole[best] { i } else { best }) + 1;
    Ok(Combined {
        dimension: posterior.mean(),
        interval: posterior.interval(0.95),
        regression: log.mean.exp(),
        log_error: log.sd,
        whole,
        probability_whole: posterior.is_whole,
        span,
        searched,
        points: cloud.rows(),
        uncorrected: ratio_dimensions,
        novelty,
    })
}

/// Variances along the principal axes that have any.
fn spectrum(cloud: &Cloud, seed: Seed, threads: &Threads) -> Vec<f64> {
    let most = if cloud.dims() > SPECTRUM_ROWS_WIDE { SPECTRUM_ROWS_WIDE } else { SPECTRUM_ROWS };
    let pca = if cloud.rows() > most {
        // Rows may be ordered, so these are spread by chance.
        let mut rng = seed.stream("spectrum", 0);
        let rows: Vec<usize> = (0..most).map(|_| rng.below(cloud.rows())).collect();
        let values: Vec<f64> = rows.iter().flat_map(|&i| cloud.point(i).iter().copied()).collect();
        Pca::fit(cloud.dims(), &values, threads)
    } else {
        Pca::fit(cloud.dims(), cloud.values(), threads)
    };
    pca.variances()[..pca.rank(NO_VARIANCE).max(1)].to_vec()
}

/// Whole dimensions worth simulating: from 0.55 times the least local estimate to 2.1 times the largest and one more, within the span.
///
/// A uniform cube of 70 dimensions looks like 38 at 2 500 points; a group of rotations of 15 dimensions in 36 axes looks like 21.
fn range(local: &[f64], span: usize) -> [usize; 2] {
    let (low, high) = local.iter().fold((f64::INFINITY, 0.0f64), |(l, h), d| (l.min(*d), h.max(*d)));
    let low = ((0.55 * low).floor() as usize).clamp(1, span);
    [low, ((2.1 * high).ceil() as usize).saturating_add(1).clamp(low, span)]
}

/// A dimension, uniform in its logarithm over the range, but for three in ten that fill the span and one and a half in ten that lack one dimension of it: a cloud that
/// fills its axes, or is a surface in them, is no accident.
fn draw_dimension([low, high]: [usize; 2], span: usize, kind: f64, u: f64) -> usize {
    if kind < 0.3 && span <= high {
        return span;
    }
    if kind < 0.45 && (low..=high).contains(&(span - 1)) {
        return span - 1;
    }
    let (start, end) = ((low as f64 - 0.5).max(0.6), high as f64 + 0.5);
    ((start * (end / start).powf(u)).round() as usize).clamp(low, high)
}

fn novelty(references: &[Vec<f64>], features: &[f64]) -> f64 {
    (0..features.len())
        .map(|c| {
            let column: Vec<f64> = references.iter().map(|row| row[c]).collect();
            let (mean, sd) = crate::special::mean_and_sd(&column);
            (features[c] - mean).abs() / (sd + 1e-3)
        })
        .fold(0.0, f64::max)
}
