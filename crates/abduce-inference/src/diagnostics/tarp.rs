//! TARP: tests of accuracy with random points (Lemos et al. 2023, arXiv:2302.03026).

use super::coverage::{ALPHA_STEPS, Coverage};
use super::{Pairs, Rank, bands, coverage::area_to_calibrated};
use abduce_data::Seed;

/// How far a draw is from a reference point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TarpMetric {
    /// Euclidean after scaling each parameter's range of true values to [0, 1]: no parameter dominates.
    #[default]
    UnitBox,
    /// Euclidean in the parameters' own units: the parameter with the widest range dominates, and a defect in it isn't diluted.
    ParameterUnits,
}

/// Coverage of balls around reference points, with its uncertainty over the test pairs.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Tarp {
    /// Levels f_i and the curve ECP(α) with its summaries.
    pub coverage: Coverage,
    /// Bootstrap interval of ECP at each α holding 68.3 % of the resamples: (lower, upper).
    pub one_sigma: (Vec<f64>, Vec<f64>),
    /// The same for 95.4 %.
    pub two_sigma: (Vec<f64>, Vec<f64>),
    /// Bootstrap standard deviation of the area to the calibrated curve.
    pub atc_sd: f64,
}

/// Range of the true parameters over the usable pairs: where reference points live.
#[derive(Clone, Debug, PartialEq)]
pub struct ThetaBox {
    /// Smallest true value per parameter.
    pub low: Vec<f64>,
    /// Largest minus smallest; positive, [`Pairs`] has no constant parameters.
    pub width: Vec<f64>,
}

impl ThetaBox {
    /// The box of these pairs.
    pub fn of(pairs: &Pairs<'_>) -> Self {
        let d = pairs.parameters();
        let (mut low, mut high) = (vec![f64::INFINITY; d], vec![f64::NEG_INFINITY; d]);
        for i in 0..pairs.len() {
            for (j, &t) in pairs.theta(i).iter().enumerate() {
                low[j] = low[j].min(t);
                high[j] = high[j].max(t);
            }
        }
        let width = high.iter().zip(&low).map(|(h, l)| h - l).collect();
        Self { low, width }
    }
}

/// One reference per pair, uniform in the box of the true values and independent of everything else (n, d).
///
/// With these, TARP **passes the prior used as posterior**: see [`super::references`] for the ones that catch it.
pub fn random_references(pairs: &Pairs<'_>, seed: Seed) -> Vec<f64> {
    let theta_box = ThetaBox::of(pairs);
    (0..pairs.len())
        .flat_map(|i| {
            let mut rng = seed.stream("diagnostics.tarp.references", pairs.row(i) as u64);
            theta_box.low.iter().zip(&theta_box.width).map(|(low, width)| low + width * rng.uniform()).collect::<Vec<_>>()
        })
        .collect()
}

/// TARP with the given `references` (n, d), one per usable pair, in the parameters' units.
///
/// f_i = fraction of draws closer to r_i than θ_i is, as the randomised rank (#closer + ties·U + U)/(S + 1), which is exactly uniform for
/// an exact posterior at any S; ECP(α) = #{f_i ≤ α}/n on the fixed grid α ∈ {0, 0.01, …, 1}.
///
/// The bootstrap resamples whole pairs with replacement, `resamples` times. Each pair has a reference of its own, so the bands hold the
/// spread of the references too.
pub fn tarp(pairs: &Pairs<'_>, references: &[f64], metric: TarpMetric, resamples: usize, seed: Seed) -> Tarp {
    let d = pairs.parameters();
    let weights: Vec<f64> = match metric {
        TarpMetric::UnitBox => ThetaBox::of(pairs).width.iter().map(|w| 1.0 / w).collect(),
        TarpMetric::ParameterUnits => vec![1.0; d],
    };
    let distance = |point: &[f64], reference: &[f64]| -> f64 {
        point.iter().zip(reference).zip(&weights).map(|((p, r), w)| ((p - r) * w).powi(2)).sum()
    };
    let level = |(i, reference): (usize, &[f64])| {
        let truth = distance(pairs.theta(i), reference);
        let (mut closer, mut ties) = (0, 0);
        for draw in pairs.samples(i).chunks_exact(d) {
            let drawn = distance(draw, reference);
            closer += usize::from(drawn < truth);
            ties += usize::from(drawn == truth);
        }
        let mut rng = seed.stream("diagnostics.tarp.ties", pairs.row(i) as u64);
        Rank::randomised(closer, ties, pairs.draws(), &mut rng).pit
    };
    let coverage = Coverage::from_levels(references.chunks_exact(d).enumerate().take(pairs.len()).map(level).collect());

    let n = coverage.levels.len();
    let mut curves = vec![Vec::new(); ALPHA_STEPS + 1];
    let mut areas = Vec::with_capacity(resamples);
    let mut resampled = vec![0.0; n];
    for b in 0..resamples {
        let mut rng = seed.stream("diagnostics.tarp.bootstrap", b as u64);
        resampled.fill_with(|| coverage.levels[rng.below(n)]);
        let ecp = bands::ecdf(&resampled, ALPHA_STEPS);
        areas.push(area_to_calibrated(&ecp));
        curves.iter_mut().zip(&ecp).for_each(|(column, &e)| column.push(e));
    }
    curves.iter_mut().for_each(|column| column.sort_by(f64::total_cmp));
    // Two-sided tail probabilities of one and two standard deviations of a normal law.
    let interval =
        |tail: f64| -> (Vec<f64>, Vec<f64>) { curves.iter().map(|column| (quantile(column, tail), quantile(column, 1.0 - tail))).unzip() };
    let (one_sigma, two_sigma) = (interval(0.158_655), interval(0.022_750));
    let atc_sd = super::predictions::mean_and_variance(areas.iter().copied()).1.sqrt();
    Tarp { coverage, one_sigma, two_sigma, atc_sd }
}

/// Linear interpolation between order statistics of sorted, non-empty values.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, fraction) = (position as usize, position.fract());
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + fraction * (sorted[above] - sorted[below])
}
