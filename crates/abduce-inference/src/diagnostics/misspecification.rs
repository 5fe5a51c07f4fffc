//! Does an observation look like the simulations at all?
//!
//! A posterior says nothing about data that its simulator can't give, and no test on simulated pairs can find that out. Schmitt et al. (2021,
//! arXiv:2112.08866) compare the observation with simulations by the maximum mean discrepancy, its null distribution coming from
//! further simulations. Here three such scores are each made an exact test: a part of the simulations defines the score, the rest, which it has
//! never seen, says how large scores of well-specified data are (a conformal p-value: Bates et al. 2023, arXiv:2104.08279).

use super::ellipsoid::Ellipsoid;
use super::features::FeatureScale;
use super::inputs::rows;
use super::mmd::{Mmd, median_distance, mmd2};
use super::{DiagnosticsError, uniformity};
use abduce_data::Seed;
use libm::exp;

/// Simulations that define the scores; a quarter of those given where there are fewer than four times as many.
const MAX_FIT: usize = 1000;
/// Simulations that give the null distribution.
const MAX_CALIBRATION: usize = 4000;
/// Simulations, and observations, in the joint test.
const MAX_JOINT: usize = 1000;
/// Relabellings of the joint test.
const JOINT_PERMUTATIONS: usize = 199;
/// The distance is that of the k-th nearest simulation: one odd simulation nearby doesn't make an observation usual.
const NEIGHBOURS: usize = 5;
/// Fewest simulations: the smallest p-value is then 1/151.
pub const MIN_REFERENCE: usize = 200;

/// Tests of observations against simulations.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Misspecification {
    /// Simulations that define the scores.
    pub n_fit: usize,
    /// Simulations that give the null distribution; the smallest possible p-value is 1/(`n_calibration` + 1).
    pub n_calibration: usize,
    /// One entry per observation, each tested alone.
    pub observations: Vec<ObservationCheck>,
    /// All observations together against simulations, for two or more: the MMD² sees a shift that is small in each of them.
    pub joint: Option<Mmd>,
}

/// One observation. Each p-value is uniform for an observation that is one more simulation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ObservationCheck {
    /// p-value of the squared maximum mean discrepancy between the observation and the simulations, a Gaussian kernel with their median
    /// distance as length: k(x, x) + const - 2 mean_i k(x, r_i). Sees observations far from the bulk.
    pub mmd_p: f64,
    /// p-value of the distance of the fifth-nearest simulation. Sees gaps within the bulk.
    pub neighbour_p: f64,
    /// Mahalanobis distance from mean and covariance of the simulations.
    pub mahalanobis: f64,
    /// Its p-value. Sees relations between features that the simulations don't break.
    pub mahalanobis_p: f64,
    /// p-value of the three together: of the largest of an item's three ranks, among those of all simulations and the observation.
    pub p: f64,
}

/// Tests `observations` (m, F) against simulations `reference` (n, F), n ≥ [`MIN_REFERENCE`].
///
/// The simulations must not have been used in training where F are learnt features: those of the training rows differ from those of any new
/// datum. Features are scaled to variance 1, constant ones are dropped, beyond 64 they're projected at random, and non-finite values count
/// as the mean. Cost O(n m F) with n at most 5000.
///
/// # Errors
/// Lengths that don't fit, too few simulations, no feature that varies.
pub fn misspecification(
    reference: &[f64],
    observations: &[f64],
    features: usize,
    seed: Seed,
) -> Result<Misspecification, DiagnosticsError> {
    let n = rows("reference (n, F)", reference.len(), features)?;
    let m = rows("observations (m, F)", observations.len(), features)?;
    if n < MIN_REFERENCE {
        return Err(DiagnosticsError::TooFewDraws { purpose: "a test for misspecification", found: n, needed: MIN_REFERENCE });
    }
    let mut order: Vec<usize> = (0..n).collect();
    seed.stream("diagnostics.misspecification.parts", 0).shuffle(&mut order);
    let n_fit = (n / 4).min(MAX_FIT);
    let n_calibration = (n - n_fit).min(MAX_CALIBRATION);
    let raw = |i: &usize| &reference[i * features..][..features];
    let fit_rows: Vec<&[f64]> = order[..n_fit].iter().map(raw).collect();
    let scale = FeatureScale::fit(&fit_rows, seed.derive("diagnostics.misspecification.features", 0));
    let score = Score::new(&fit_rows, scale, seed)?;

    let null = Null::new(order[n_fit..][..n_calibration].iter().map(|i| score.of(raw(i))).collect());
    let check = |row: &[f64]| null.check(score.of(row));
    let joint = (m > 1).then(|| {
        let mut chosen: Vec<usize> = (0..m).collect();
        seed.stream("diagnostics.misspecification.joint", 0).shuffle(&mut chosen);
        let observed = chosen.iter().take(MAX_JOINT).flat_map(|i| score.scale.transform(&observations[i * features..][..features]));
        let simulated = order[n_fit..].iter().take(MAX_JOINT).flat_map(|i| score.scale.transform(raw(i)));
        let (observed, simulated): (Vec<f64>, Vec<f64>) = (observed.collect(), simulated.collect());
        mmd2(&observed, &simulated, score.scale.width(), JOINT_PERMUTATIONS, seed)
    });
    Ok(Misspecification {
        n_fit,
        n_calibration,
        observations: observations.chunks_exact(features).map(check).collect(),
        joint: joint.transpose()?,
    })
}

impl Misspecification {
    /// The observations' [`ObservationCheck::p`], adjusted by the method of Benjamini and Hochberg, which holds for p-values that share
    /// their simulations (Bates et al. 2023: they depend on each other positively).
    pub fn adjusted(&self) -> Vec<f64> {
        uniformity::benjamini_hochberg(&self.observations.iter().map(|o| o.p).collect::<Vec<_>>())
    }
}

/// Scores of simulations that the scores have never seen.
struct Null {
    scores: Vec<[f64; 3]>,
    sorted: [Vec<f64>; 3],
    /// Of each simulation and score: how many simulations score no more.
    ranks: Vec<[usize; 3]>,
}

impl Null {
    fn new(scores: Vec<[f64; 3]>) -> Self {
        let sorted = [0, 1, 2].map(|k| {
            let mut column: Vec<f64> = scores.iter().map(|s| s[k]).collect();
            column.sort_by(f64::total_cmp);
            column
        });
        let rank = |s: &[f64; 3]| [0, 1, 2].map(|k| sorted[k].partition_point(|v| *v <= s[k]));
        let ranks = scores.iter().map(rank).collect();
        Self { scores, sorted, ranks }
    }

    fn check(&self, observed: [f64; 3]) -> ObservationCheck {
        let n = self.scores.len();
        let p_of = |reached: usize| (1 + reached) as f64 / (1 + n) as f64;
        let [mmd_p, neighbour_p, mahalanobis_p] = [0, 1, 2].map(|k| p_of(n - self.sorted[k].partition_point(|v| *v < observed[k])));
        // Ranks among the n simulations and the observation, a symmetric function of all of them.
        let own = (0..3).map(|k| 1 + self.sorted[k].partition_point(|v| *v <= observed[k])).max().unwrap_or(0);
        let with_observed =
            |(scores, ranks): (&[f64; 3], &[usize; 3])| (0..3).map(|k| ranks[k] + usize::from(observed[k] <= scores[k])).max().unwrap_or(0);
        let reached = self.scores.iter().zip(&self.ranks).filter(|item| with_observed((item.0, item.1)) >= own).count();
        ObservationCheck { mmd_p, neighbour_p, mahalanobis: observed[2], mahalanobis_p, p: p_of(reached) }
    }
}

/// The three scores, larger for stranger data.
struct Score {
    scale: FeatureScale,
    width: usize,
    /// Scaled simulations (n_fit, width).
    points: Vec<f64>,
    ellipsoid: Ellipsoid,
    gamma: f64,
}

impl Score {
    fn new(fit_rows: &[&[f64]], scale: FeatureScale, seed: Seed) -> Result<Self, DiagnosticsError> {
        let width = scale.width();
        if width == 0 {
            return Err(DiagnosticsError::NoScale);
        }
        let points: Vec<f64> = fit_rows.iter().flat_map(|row| scale.transform(row)).collect();
        let ellipsoid = Ellipsoid::of(&points.chunks_exact(width).collect::<Vec<_>>())?;
        let bandwidth = median_distance(&points, width, seed).ok_or(DiagnosticsError::NoScale)?;
        Ok(Self { scale, width, points, ellipsoid, gamma: 0.5 / (bandwidth * bandwidth) })
    }

    /// MMD² up to a constant, distance of the k-th neighbour, Mahalanobis distance.
    fn of(&self, row: &[f64]) -> [f64; 3] {
        let row = self.scale.transform(row);
        let mut kernels = 0.0;
        let mut nearest = [f64::INFINITY; NEIGHBOURS];
        for point in self.points.chunks_exact(self.width) {
            let squared: f64 = point.iter().zip(&row).map(|(p, r)| (p - r).powi(2)).sum();
            kernels += exp(-self.gamma * squared);
            if squared < nearest[NEIGHBOURS - 1] {
                let place = nearest.partition_point(|&other| other <= squared);
                nearest.copy_within(place..NEIGHBOURS - 1, place + 1);
                nearest[place] = squared;
            }
        }
        [-kernels, nearest[NEIGHBOURS - 1].sqrt(), self.ellipsoid.distance(&row)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulations(n: usize, stream: u64) -> Vec<f64> {
        let mut rng = Seed(5).stream("simulations", stream);
        // Two features on a thin ring around 0.
        let point = |rng: &mut abduce_data::Rng| {
            let (sin, cos) = libm::sincos(std::f64::consts::TAU * rng.uniform());
            let radius = 1.0 + 0.05 * rng.normal();
            [radius * cos, radius * sin]
        };
        (0..n).flat_map(|_| point(&mut rng)).collect()
    }

    #[test]
    fn each_score_sees_its_kind_of_strangeness() {
        let reference = simulations(3000, 0);
        let found = misspecification(&reference, &[3.0, 3.0, 0.0, 0.0, 0.0, -1.0], 2, Seed(1)).unwrap();
        assert_eq!((found.n_fit, found.n_calibration), (750, 2250));
        let smallest = 1.0 / 2251.0;
        let [far, centre, usual] = found.observations[..] else { panic!("three observations") };
        assert_eq!([far.mmd_p, far.neighbour_p, far.mahalanobis_p], [smallest; 3]);
        // The middle of the ring is nearest to the mean, and no simulation is near.
        assert!(centre.neighbour_p == smallest && centre.mahalanobis_p > 0.99, "{centre:?}");
        assert!(usual.p > 0.05, "{usual:?}");
        // First of all in every score; the centre shares its first place with the firsts of the other two.
        assert!(far.p == smallest && centre.p <= 3.0 * smallest, "{far:?} {centre:?}");
        // Variance ½(1 + 0.05²) per feature, uncorrelated: D² = 2·9/0.501; 750 points give it to some per cent.
        assert!((far.mahalanobis / (18.0f64 / 0.50125).sqrt() - 1.0).abs() < 0.06, "{}", far.mahalanobis);
    }

    /// 100 observations shifted by half a standard deviation: none is strange, all together are.
    #[test]
    fn joint_test_sees_what_no_single_one_does() {
        let mut rng = Seed(6).stream("test", 0);
        let reference: Vec<f64> = (0..2000).map(|_| rng.normal()).collect();
        let usual: Vec<f64> = (0..100).map(|_| rng.normal()).collect();
        let shifted: Vec<f64> = usual.iter().map(|x| x + 0.5).collect();
        let joint = |observations: &[f64]| misspecification(&reference, observations, 1, Seed(2)).unwrap();
        assert_eq!(joint(&shifted).joint.unwrap().permutation_p, Some(1.0 / 200.0));
        assert!(joint(&usual).joint.unwrap().permutation_p > Some(0.05));
        let adjusted = joint(&shifted).adjusted();
        assert_eq!(adjusted.len(), 100);
        assert!(adjusted.iter().all(|&p| p > 0.05), "{adjusted:?}");
    }

    #[test]
    fn too_few_or_constant_simulations_are_errors() {
        assert!(matches!(misspecification(&[0.0; 100], &[0.0], 1, Seed(0)), Err(DiagnosticsError::TooFewDraws { found: 100, .. })));
        assert!(matches!(misspecification(&[1.0; 400], &[0.0; 2], 2, Seed(0)), Err(DiagnosticsError::NoScale)));
        assert!(matches!(misspecification(&[1.0; 400], &[0.0; 3], 2, Seed(0)), Err(DiagnosticsError::Length { found: 3, .. })));
    }
}
