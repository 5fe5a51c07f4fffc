//! Calibration by region: a posterior can be right on average and wrong for large masses and for small ones, in opposite directions.
//!
//! **Which regions.** Ranks of an exact posterior are uniform given anything that is a function of x, and *not* given the true θ: among
//! pairs of large true mass the truth lies high in its posterior, because the prior pulls every posterior to the middle (regression to the mean). So
//! regions of a parameter are bins of its posterior mean; a nuisance that is known, such as a redshift, is a feature of x, and has bins of its own.
//!
//! **Exactness.** The mean is taken over the S draws and θ together, of which θ is any one with equal probability when q is exact. Bins and
//! their edges are then functions of these sets alone, and given them the ranks in every bin are independent and uniform.

use super::bands::binomial_interval;
use super::inputs::MIN_PAIRS;
use super::{DiagnosticsError, Pairs, Predictions, Rank, uniformity};
use schemars::JsonSchema;

/// Pairs per bin below which fewer bins are taken.
const PAIRS_PER_BIN: usize = 50;

/// Choices of the regions.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegionOptions {
    /// Bins per variable, of equal numbers of pairs; fewer where a bin would hold less than 50.
    pub bins: usize,
    /// Features of x, counted from 0, that bins are made of besides the posterior means.
    pub features: Vec<usize>,
}

impl Default for RegionOptions {
    fn default() -> Self {
        Self { bins: 5, features: Vec::new() }
    }
}

/// What a region is a range of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegionVariable {
    /// Posterior mean of the parameter of this index.
    PosteriorMean(usize),
    /// Feature of x of this index.
    Feature(usize),
}

/// Calibration of one parameter in one region.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize, JsonSchema)]
pub struct Region {
    /// Index of the parameter whose posterior is tested.
    pub parameter: usize,
    /// What the region is a range of.
    pub variable: RegionVariable,
    /// Its smallest value in the region.
    pub low: f64,
    /// Its largest value in the region.
    pub high: f64,
    /// Pairs in the region.
    pub n_pairs: usize,
    /// Kolmogorov-Smirnov p-value of the ranks in the region.
    pub ks_p: f64,
    /// The same, adjusted by Holm's method for all regions of all parameters.
    pub holm_p: f64,
    /// Mean of z = (truth - posterior mean)/(posterior sd).
    pub z_mean: f64,
    /// Standard deviation of z.
    pub z_sd: f64,
    /// Fraction of truths between the 16 % and 84 % posterior quantiles.
    pub coverage_68: f64,
    /// Fraction of truths between the 2.5 % and 97.5 % posterior quantiles.
    pub coverage_95: f64,
}

impl Region {
    /// Standard error of a fraction of this region's pairs.
    pub fn fraction_error(&self, fraction: f64) -> f64 {
        (fraction * (1.0 - fraction) / self.n_pairs as f64).sqrt()
    }

    /// Where the fraction inside an exact `level` interval lies with 95 % probability, from the binomial law.
    pub fn expected_coverage(&self, level: f64) -> [f64; 2] {
        let (lower, upper) = binomial_interval(self.n_pairs, level, 0.05);
        [lower, upper].map(|count| count as f64 / self.n_pairs as f64)
    }

    /// Standard error of the mean z.
    pub fn z_error(&self) -> f64 {
        self.z_sd / (self.n_pairs as f64).sqrt()
    }

    /// Where the mean z of an exact posterior lies with 95 % probability: its z has mean 0 and variance 1.
    pub fn expected_z(&self) -> [f64; 2] {
        let reach = NORMAL_95 / (self.n_pairs as f64).sqrt();
        [-reach, reach]
    }
}

/// 95 % of a standard normal variable lie within ± this.
const NORMAL_95: f64 = 1.959_964;

/// Calibration of every parameter in bins of every parameter's posterior mean and of the chosen features.
///
/// `ranks` and `predictions` are those of the pairs. Empty where the pairs are too few for two bins of 50. Bins are never cut between equal
/// values; those with fewer than 20 pairs are left out, as are pairs without a finite feature.
///
/// # Errors
/// Fewer than 2 bins asked for, or a feature that x doesn't have.
pub fn regions(
    pairs: &Pairs<'_>,
    ranks: &[Vec<Rank>],
    predictions: &[Predictions],
    options: &RegionOptions,
) -> Result<Vec<Region>, DiagnosticsError> {
    if options.bins < 2 {
        return Err(DiagnosticsError::Option { option: "bins", value: options.bins as f64, expected: "at least 2" });
    }
    let features = pairs.x(0).map_or(0, <[f64]>::len);
    if let Some(&feature) = options.features.iter().find(|&&f| f >= features) {
        return Err(DiagnosticsError::Option { option: "features", value: feature as f64, expected: "indices of features of x" });
    }
    let bins = options.bins.min(pairs.len() / PAIRS_PER_BIN);
    if bins < 2 {
        return Ok(Vec::new());
    }
    let variables = (0..pairs.parameters()).map(RegionVariable::PosteriorMean);
    let mut found = Vec::new();
    for variable in variables.chain(options.features.iter().copied().map(RegionVariable::Feature)) {
        let values: Vec<f64> = (0..pairs.len()).map(|i| value(pairs, predictions, variable, i)).collect();
        for members in quantile_bins(&values, bins) {
            let (low, high) = (values[members[0]], values[members[members.len() - 1]]);
            let of = |parameter: usize| region(&ranks[parameter], &predictions[parameter], &members, parameter, variable, (low, high));
            found.extend((0..pairs.parameters()).map(of));
        }
    }
    let adjusted = uniformity::holm(&found.iter().map(|region| region.ks_p).collect::<Vec<_>>());
    found.iter_mut().zip(adjusted).for_each(|(region, p)| region.holm_p = p);
    Ok(found)
}

/// The variable's value for pair `i`; for a posterior mean that of draws and truth together.
fn value(pairs: &Pairs<'_>, predictions: &[Predictions], variable: RegionVariable, i: usize) -> f64 {
    match variable {
        RegionVariable::PosteriorMean(j) => {
            let draws = pairs.draws() as f64;
            (draws * predictions[j].mean[i] + predictions[j].truth[i]) / (draws + 1.0)
        }
        RegionVariable::Feature(f) => pairs.x(i).map_or(f64::NAN, |x| x[f]),
    }
}

/// Indices of the finite values in bins of nearly equal number, ascending by value.
fn quantile_bins(values: &[f64], bins: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..values.len()).filter(|&i| values[i].is_finite()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    let mut found = Vec::with_capacity(bins);
    let mut start = 0;
    for bin in 1..=bins {
        let mut end = (bin * order.len() / bins).max(start);
        while end > 0 && end < order.len() && values[order[end]] == values[order[end - 1]] {
            end += 1;
        }
        if end - start >= MIN_PAIRS {
            found.push(order[start..end].to_vec());
        }
        start = end;
    }
    found
}

fn region(
    ranks: &[Rank],
    predictions: &Predictions,
    members: &[usize],
    parameter: usize,
    variable: RegionVariable,
    (low, high): (f64, f64),
) -> Region {
    let pit: Vec<f64> = members.iter().map(|&i| ranks[i].pit).collect();
    let (z_mean, z_variance) = super::predictions::mean_and_variance(members.iter().map(|&i| predictions.z[i]));
    let n_pairs = members.len();
    let within = |tail: f64| pit.iter().filter(|&&u| u >= tail && u <= 1.0 - tail).count() as f64 / n_pairs as f64;
    let ks_p = uniformity::ks_uniform_p(&pit);
    Region {
        parameter,
        variable,
        low,
        high,
        n_pairs,
        ks_p,
        holm_p: ks_p,
        z_mean,
        z_sd: z_variance.sqrt(),
        coverage_68: within(0.16),
        coverage_95: within(0.025),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_even_and_never_cut_equal_values() {
        let even: Vec<f64> = (0..100).rev().map(f64::from).collect();
        let bins = quantile_bins(&even, 4);
        assert_eq!(bins.iter().map(Vec::len).collect::<Vec<_>>(), [25; 4]);
        assert_eq!((even[bins[0][0]], even[bins[3][24]]), (0.0, 99.0));
        // 0 for 70 rows, then 30 different ones and a NaN: the first bin takes all zeros, what is left of the second is too small.
        let tied: Vec<f64> = (0..101)
            .map(|i| {
                if i < 70 {
                    0.0
                } else if i < 100 {
                    f64::from(i)
                } else {
                    f64::NAN
                }
            })
            .collect();
        assert_eq!(quantile_bins(&tied, 2).iter().map(Vec::len).collect::<Vec<_>>(), [70, 30]);
        assert_eq!(quantile_bins(&tied, 4).iter().map(Vec::len).collect::<Vec<_>>(), [70, 25]);
    }
}
