//! Dimension from the losses of an ordered bottleneck: how many latents a model needs before the rest of the loss is tolerable.
//!
//! A bottleneck of widths k = 0 … K gives each held-out point a loss per width; several trainings give several. The answer is a curve, dimension against
//! tolerated loss, with intervals from a bootstrap over trainings and points, never one bare number: "significant" is not "intrinsic", since with enough
//! test points every direction of noise is significant, so an effect size has to be named.
//!
//! **File.** `abduce compress` writes, and `abduce dimension --method iob` reads, an npz archive of two arrays:
//!
//! | array | shape | meaning |
//! |---|---|---|
//! | `widths` | (W,) | the widths, ascending; 0 first where the loss without any latent is known |
//! | `losses` | (S, W, N) | held-out loss of each training (seed), width and point; (W, N) for one training |
//!
//! Squared errors may be sums or means over the columns: only ratios matter. Logarithmic losses are in nats.
//!
//! A closed manifold (a sphere, a torus, the surface of a cube) has no continuous chart in its own dimension d: an autoencoder needs the dimension of an
//! embedding, d + 1 or more, and that is what this estimates.

use crate::cloud::Crew;
use crate::error::{DimensionError, Result};
use abduce_data::{Array, Seed};
use statrs::distribution::{ChiSquared, ContinuousCDF as _};

/// Held-out losses of every width.
#[derive(Clone, Debug, PartialEq)]
pub struct LossCurves {
    widths: Vec<usize>,
    seeds: usize,
    points: usize,
    /// (seeds, widths, points).
    losses: Vec<f64>,
}

/// What a tolerated loss is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossScale {
    /// Losses are squared errors: tolerances are shares of the loss at width 0, the variance of the data.
    Variance,
    /// Losses are -log q in nats: tolerances are nats.
    Nats,
}

/// Settings of [`effect`].
#[derive(Clone, Debug, PartialEq)]
pub struct EffectSettings {
    /// Tolerated losses, the curve's abscissae.
    pub tolerances: Vec<f64>,
    /// What they are a share of.
    pub scale: LossScale,
    /// Bootstrap replicates.
    pub replicates: usize,
    /// Level of the intervals.
    pub level: f64,
    /// Seed of the bootstrap.
    pub seed: Seed,
}

impl Default for EffectSettings {
    fn default() -> Self {
        let tolerances = vec![0.1, 0.07, 0.05, 0.03, 0.02, 0.015, 0.01, 0.007, 0.005, 0.003, 0.002, 0.001];
        Self { tolerances, scale: LossScale::Variance, replicates: 1000, level: 0.95, seed: Seed(0) }
    }
}

/// The dimension at one tolerated loss.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct EffectPoint {
    /// The tolerated loss.
    pub tolerance: f64,
    /// Smallest width from which on the mean remaining gain stays below it.
    pub dimension: usize,
    /// Quantiles of the same over bootstrap replicates.
    pub interval: [usize; 2],
    /// Smallest width from which on the upper confidence bound of the remaining gain stays below it: "no more latents are worth having" holds with confidence.
    pub sufficient: usize,
    /// Whether `sufficient` is the largest width trained, so that the truth may be larger.
    pub capped: bool,
}

/// Points are bootstrapped in at most this many groups, which leaves the variance of means as it is and bounds the work.
const GROUPS: usize = 2000;

impl LossCurves {
    /// Curves from an array (S, W, N), or (W, N) for one training.
    ///
    /// # Errors
    /// `Losses` unless the widths ascend, are two or more and match the array, and all losses are finite.
    pub fn new(widths: Vec<usize>, losses: &Array<f64>) -> Result<Self> {
        let (seeds, rows, points) = match *losses.shape() {
            [rows, points] => (1, rows, points),
            [seeds, rows, points] => (seeds, rows, points),
            _ => return Err(DimensionError::Losses(format!("expected shape (seeds, widths, points), found {:?}", losses.shape()))),
        };
        if rows != widths.len() || rows < 2 || seeds == 0 || points == 0 {
            return Err(DimensionError::Losses(format!("{} widths do not fit losses of shape {:?}", widths.len(), losses.shape())));
        }
        if !widths.windows(2).all(|w| w[0] < w[1]) {
            return Err(DimensionError::Losses("the widths do not ascend".into()));
        }
        if let Some(at) = losses.data().iter().position(|l| !l.is_finite()) {
            let (seed, width, point) = (at / points / rows, widths[at / points % rows], at % points);
            return Err(DimensionError::Losses(format!("training {seed}, width {width}, point {point} is {}", losses.data()[at])));
        }
        Ok(Self { widths, seeds, points, losses: losses.data().to_vec() })
    }

    /// The widths.
    pub fn widths(&self) -> &[usize] {
        &self.widths
    }

    /// Number of trainings.
    pub fn seeds(&self) -> usize {
        self.seeds
    }

    /// Number of held-out points.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Mean loss at each width, over trainings and points.
    pub fn means(&self) -> Vec<f64> {
        let w = self.widths.len();
        let mean = |row: usize| self.losses[row * self.points..(row + 1) * self.points].iter().sum::<f64>() / self.points as f64;
        (0..w).map(|k| (0..self.seeds).map(|s| mean(s * w + k)).sum::<f64>() / self.seeds as f64).collect()
    }

    /// Means over groups of points (seeds, widths, groups); group g holds the points g, g + groups, ….
    fn grouped(&self) -> (usize, Vec<f64>) {
        let groups = self.points.min(GROUPS);
        let mut sums = vec![0.0; self.losses.len() / self.points * groups];
        for (row, sum) in self.losses.chunks_exact(self.points).zip(sums.chunks_exact_mut(groups)) {
            for (i, loss) in row.iter().enumerate() {
                sum[i % groups] += loss;
            }
            for (g, sum) in sum.iter_mut().enumerate() {
                *sum /= ((self.points - g).div_ceil(groups)) as f64;
            }
        }
        (groups, sums)
    }
}

/// What is left to gain at each width: its loss less that of the largest width, over `unit`.
///
/// Where a wider model is worse than a narrower one, which training noise does, the least loss from there on counts, so that gains are never negative.
fn remaining_gains(losses: &[f64], unit: f64) -> Vec<f64> {
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    losses.iter().map(|l| (l - least) / unit).collect()
}

/// Position of the smallest width from which on all gains are below the tolerance.
fn first_below(gains: &[f64], tolerance: f64) -> usize {
    gains.iter().rposition(|g| *g >= tolerance).map_or(0, |last| (last + 1).min(gains.len() - 1))
}

/// Dimension against tolerated loss (the default estimator).
///
/// With L_k the mean held-out loss, the remaining gain at width k is (L_k - min L)/L_0 (`Variance`) or L_k - min L (`Nats`), and the dimension at tolerance τ
/// is the smallest k with a remaining gain below τ at every width from k on. Trainings and points are resampled with replacement, the points alike for all widths and
/// trainings, so that the common difficulty of a point cancels.
///
/// # Errors
/// `Losses` where `Variance` is asked for without width 0 or with a loss of 0 there; `Setting` for tolerances, a level or a number of replicates out of range.
pub fn effect(curves: &LossCurves, settings: &EffectSettings, crew: &Crew) -> Result<Vec<EffectPoint>> {
    if let Some(bad) = settings.tolerances.iter().find(|t| !(t.is_finite() && **t > 0.0)) {
        return Err(DimensionError::Setting { name: "tolerance", value: *bad, must: "positive".into() });
    }
    if !(0.5..1.0).contains(&settings.level) {
        return Err(DimensionError::Setting { name: "level", value: settings.level, must: "in [0.5, 1)".into() });
    }
    if settings.replicates < 20 {
        return Err(DimensionError::Setting { name: "replicates", value: settings.replicates as f64, must: "at least 20".into() });
    }
    let means = curves.means();
    let unit = |means: &[f64]| match settings.scale {
        LossScale::Variance => means[0],
        LossScale::Nats => 1.0,
    };
    if settings.scale == LossScale::Variance && (curves.widths[0] != 0 || means[0] <= 0.0) {
        let found = format!("the first width is {}, its loss {}", curves.widths[0], means[0]);
        return Err(DimensionError::Losses(format!("shares of the variance need the loss at width 0: {found}")));
    }
    let (groups, grouped) = curves.grouped();
    let w = curves.widths.len();
    let mut replicates: Vec<Vec<f64>> = vec![Vec::new(); settings.replicates];
    crew.threads.for_each(&mut replicates, |index, gains| {
        let mut rng = settings.seed.stream("bottleneck-bootstrap", index as u64);
        let mut counts = vec![0.0f64; groups];
        (0..groups).for_each(|_| counts[rng.below(groups)] += 1.0);
        let mut means = vec![0.0; w];
        for _ in 0..curves.seeds {
            let seed = rng.below(curves.seeds);
            for (k, mean) in means.iter_mut().enumerate() {
                let row = &grouped[(seed * w + k) * groups..(seed * w + k + 1) * groups];
                *mean += row.iter().zip(&counts).map(|(l, c)| l * c).sum::<f64>() / (groups * curves.seeds) as f64;
            }
        }
        *gains = remaining_gains(&means, unit(&means));
    });
    let gains = remaining_gains(&means, unit(&means));
    let upper: Vec<f64> = (0..w)
        .map(|k| {
            let mut column: Vec<f64> = replicates.iter().map(|gains| gains[k]).collect();
            column.sort_unstable_by(f64::total_cmp);
            crate::special::quantile(&column, settings.level)
        })
        .collect();
    let tails = [0.5 * (1.0 - settings.level), 0.5 * (1.0 + settings.level)];
    let at = |tolerance: f64| {
        let mut found: Vec<usize> = replicates.iter().map(|gains| first_below(gains, tolerance)).collect();
        found.sort_unstable();
        let [low, high] = tails.map(|p| found[((p * found.len() as f64) as usize).min(found.len() - 1)]);
        let sufficient = first_below(&upper, tolerance);
        EffectPoint {
            tolerance,
            dimension: curves.widths[first_below(&gains, tolerance)],
            interval: [curves.widths[low], curves.widths[high]],
            sufficient: curves.widths[sufficient],
            capped: sufficient == w - 1,
        }
    };
    Ok(settings.tolerances.iter().map(|&tolerance| at(tolerance)).collect())
}

/// The factor in front of a difference of log-likelihoods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LikelihoodRatio {
    /// As published: D_k = N (err_k - err_{k+1})/2, without the 2 of Wilks' theorem.
    #[default]
    Halved,
    /// With it: D_k = N (err_k - err_{k+1}).
    Full,
}

/// The rule of the method's authors (Ho, Zhao & Wandelt 2023, arXiv:2305.11213): the smallest k with D_k below the 95 % quantile of χ²_1, D_k the gain in Gaussian
/// log-likelihood when the residual variance is taken to be that of the data. `None` where no width qualifies.
///
/// Offered for comparison. Its defects: the factor 2 of Wilks is missing; with the data's variance in place of the residual's it is a threshold on explained variance in
/// disguise, 7.68/N, so that the answer grows with the number of test points (hence `effective_points`, 1 000 by default, in its place); it has no error.
///
/// # Errors
/// `Losses` unless the widths are 0, 1, 2, … and the loss at 0 is positive.
pub fn authors_rule(curves: &LossCurves, effective_points: f64, ratio: LikelihoodRatio) -> Result<Option<usize>> {
    if !curves.widths.iter().enumerate().all(|(i, w)| i == *w) {
        return Err(DimensionError::Losses("the authors' rule compares widths 0, 1, 2, … without gaps".into()));
    }
    let means = curves.means();
    if means[0] <= 0.0 {
        return Err(DimensionError::Losses(format!("the loss at width 0 is {}, no variance", means[0])));
    }
    let factor = match ratio {
        LikelihoodRatio::Halved => 0.5,
        LikelihoodRatio::Full => 1.0,
    };
    let gain = |k: usize| factor * effective_points * (means[k] - means[k + 1]) / means[0];
    Ok((0..means.len() - 1).find(|&k| gain(k) < CHI2_1_95))
}

/// 95 % quantile of χ² with one degree of freedom.
const CHI2_1_95: f64 = 3.841_458_820_694_124;

/// Smallest width whose squared residuals are no larger than known noise explains: Σ|x - x̂|²/σ² at most the quantile 1 - p of χ² with N (D - k) degrees of
/// freedom. Losses must be sums of squares over the D columns. `None` where no width qualifies.
///
/// # Errors
/// `Setting` unless σ > 0, 0 < p < 1 and every width is below D.
pub fn known_noise(curves: &LossCurves, columns: usize, sigma: f64, p: f64) -> Result<Option<usize>> {
    for (name, value, ok) in [("sigma", sigma, sigma > 0.0 && sigma.is_finite()), ("p", p, p > 0.0 && p < 1.0)] {
        if !ok {
            return Err(DimensionError::Setting { name, value, must: "positive, and p below 1".into() });
        }
    }
    for (&width, mean) in curves.widths.iter().zip(curves.means()) {
        if width >= columns {
            break;
        }
        let freedom = (curves.points * (columns - width)) as f64;
        let law = ChiSquared::new(freedom).map_err(|_| DimensionError::Losses(format!("{freedom} degrees of freedom")))?;
        if law.sf(mean * curves.points as f64 / (sigma * sigma)) >= p {
            return Ok(Some(width));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses around known means: a common difficulty per point, independent noise, and a shift per training.
    fn curves(means: &[f64], seeds: usize, points: usize, draw: u64) -> LossCurves {
        let mut rng = Seed(draw).stream("losses", 0);
        let difficulty: Vec<f64> = (0..points).map(|_| rng.gamma(2.0) / 2.0).collect();
        let mut losses = Vec::new();
        for _ in 0..seeds {
            for mean in means {
                let shift = 1.0 + 0.02 * rng.normal();
                losses.extend(difficulty.iter().map(|d| mean * shift * (d + 0.1 * rng.normal()).max(0.0)));
            }
        }
        let array = Array::new(vec![seeds, means.len(), points], losses).expect("matching shape");
        LossCurves::new((0..means.len()).collect(), &array).expect("valid curves")
    }

    #[test]
    fn a_sharp_elbow_is_found_at_every_tolerance_and_test_size() {
        for points in [100, 1000, 5000] {
            let curves = curves(&[1.0, 0.4, 0.12, 0.0004, 0.0004, 0.0004], 4, points, 1);
            for point in effect(&curves, &EffectSettings::default(), &Crew::with_threads(2)).unwrap() {
                if point.tolerance <= 0.1 {
                    assert_eq!((point.dimension, point.interval, point.sufficient), (3, [3, 3], 3), "{points}: {point:?}");
                }
            }
        }
    }

    /// Remaining gains 0.052 and 0.045 about a tolerance of 0.05: the dimension is 3 when the first is seen to exceed it, else 2. Over 60 data sets the
    /// interval of 95 % misses the truth at most 8 times (binomial: 3 expected, more than 8 has probability 0.4 %; the bootstrap over five trainings is
    /// somewhat short, which the bound allows for).
    #[test]
    fn intervals_cover_the_truth_of_a_close_call() {
        let mut misses = 0;
        for draw in 0..60 {
            let curves = curves(&[1.0, 0.3, 0.053, 0.046, 0.001, 0.001], 5, 300, 100 + draw);
            let settings = EffectSettings { tolerances: vec![0.05], replicates: 200, ..EffectSettings::default() };
            let found = effect(&curves, &settings, &Crew::with_threads(2)).unwrap()[0];
            misses += usize::from(!(found.interval[0] <= 3 && 3 <= found.interval[1]));
        }
        assert!(misses <= 8, "{misses} of 60");
    }

    /// The published example: err .1315 .0066 .0017 gives 2 below 1 570 test points, 3 above (factor as published).
    #[test]
    fn the_authors_rule_grows_with_the_test_size() {
        let array = Array::new(vec![5, 1], vec![1.0, 0.1315, 0.0066, 0.0017, 0.0016]).unwrap();
        let curves = LossCurves::new((0..5).collect(), &array).unwrap();
        let rule = |n: f64, ratio| authors_rule(&curves, n, ratio).unwrap();
        assert_eq!(rule(1000.0, LikelihoodRatio::Halved), Some(2));
        assert_eq!(rule(1567.0, LikelihoodRatio::Halved), Some(2));
        assert_eq!(rule(1569.0, LikelihoodRatio::Halved), Some(3));
        assert_eq!(rule(76_000.0, LikelihoodRatio::Halved), Some(3));
        assert_eq!(rule(77_000.0, LikelihoodRatio::Halved), None);
        assert_eq!(rule(800.0, LikelihoodRatio::Full), Some(3));
    }

    /// Residuals of pure noise in D - k columns, drawn as such.
    #[test]
    fn known_noise_stops_at_the_true_dimension() {
        let (points, columns, sigma) = (400, 12, 0.3);
        let mut rng = Seed(3).stream("noise", 0);
        let mut losses = Vec::new();
        for k in 0..8usize {
            let signal = [4.0, 2.0, 0.5].get(k).copied().unwrap_or(0.0);
            losses.extend((0..points).map(|_| signal * rng.chi2(1.0) + sigma * sigma * rng.chi2((columns - k) as f64)));
        }
        let curves = LossCurves::new((0..8).collect(), &Array::new(vec![8, points], losses).unwrap()).unwrap();
        assert_eq!(known_noise(&curves, columns, sigma, 0.01).unwrap(), Some(3));
        assert_eq!(known_noise(&curves, columns, 0.01, 0.01).unwrap(), None);
    }

    #[test]
    fn unusable_losses_are_told() {
        let array = |shape: Vec<usize>, value: f64| Array::filled(&shape, value).unwrap();
        for (widths, losses) in [
            (vec![0, 1, 2], array(vec![2, 5], 1.0)),
            (vec![0, 0], array(vec![2, 5], 1.0)),
            (vec![0, 1], array(vec![2, 5], f64::NAN)),
            (vec![0], array(vec![1, 5], 1.0)),
            (vec![0, 1], array(vec![10], 1.0)),
        ] {
            assert!(matches!(LossCurves::new(widths, &losses), Err(DimensionError::Losses(_))));
        }
        let no_zero = LossCurves::new(vec![1, 2], &array(vec![2, 5], 1.0)).unwrap();
        assert!(effect(&no_zero, &EffectSettings::default(), &Crew::with_threads(1)).is_err());
        let nats = EffectSettings { scale: LossScale::Nats, ..EffectSettings::default() };
        assert!(effect(&no_zero, &nats, &Crew::with_threads(1)).is_ok());
    }
}
