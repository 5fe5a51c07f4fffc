//! Shift and scale features to mean 0 and standard deviation 1, by the training rows only.

use crate::error::{DataError, Result};
use crate::pairs::PairSource;
use crate::rows::RowSet;

/// How features are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Each feature by its own mean and standard deviation.
    #[default]
    Independent,
    /// All features by one mean and one standard deviation over all rows and features: for images and series, whose relative
    /// amplitudes carry information.
    Structured,
    /// Not at all.
    None,
}

/// z = (x − mean)/std per feature.
///
/// Statistics are accumulated in f64, row after row (Welford 1962), so they depend neither on threads nor on where the rows lie.
/// The standard deviation is the sample's, with n − 1. A *constant* feature, one whose standard deviation is below the resolution
/// of a single-precision number of its size (1.2e-7 |mean|), would turn rounding into signal: it keeps std 1, so that it standardises
/// to about 0, and is listed in [`Standardiser::constant`] for the report.
///
/// ```
/// use abduce_data::{Array, Scaling, Standardiser};
/// let x = Array::new(vec![3, 2], vec![1.0f32, 5.0, 2.0, 5.0, 3.0, 5.0])?;
/// let standardiser = Standardiser::fit(Scaling::Independent, 2, x.data().chunks(2))?;
/// assert_eq!((standardiser.mean(), standardiser.std(), standardiser.constant()), (&[2.0, 5.0][..], &[1.0, 1.0][..], &[1][..]));
/// let mut rows = x.into_data();
/// standardiser.forward(&mut rows)?;
/// assert_eq!(rows, [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
/// # Ok::<(), abduce_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Saved")]
pub struct Standardiser {
    scaling: Scaling,
    mean: Vec<f64>,
    std: Vec<f64>,
    constant: Vec<usize>,
}

/// What a file says, before it is believed.
#[derive(serde::Deserialize)]
struct Saved {
    scaling: Scaling,
    mean: Vec<f64>,
    std: Vec<f64>,
    constant: Vec<usize>,
}

impl TryFrom<Saved> for Standardiser {
    type Error = String;

    fn try_from(Saved { scaling, mean, std, constant }: Saved) -> Result<Self, String> {
        if mean.len() != std.len() || constant.iter().any(|&feature| feature >= mean.len()) {
            return Err(format!("{} means, {} standard deviations and constant features {constant:?}", mean.len(), std.len()));
        }
        match std.iter().find(|&&std| !(std > 0.0 && std.is_finite())) {
            Some(std) => Err(format!("a standard deviation of {std}")),
            None => Ok(Self { scaling, mean, std, constant }),
        }
    }
}

impl Standardiser {
    /// From rows of `features` values each.
    pub fn fit<'a>(scaling: Scaling, features: usize, rows: impl Iterator<Item = &'a [f32]>) -> Result<Self> {
        let mut moments = Moments::new(features);
        for row in rows {
            moments.push(row)?;
        }
        Ok(moments.finish(scaling))
    }

    /// For theta and x of a source, from the given (training) rows, in one pass over it.
    pub fn fit_pairs(source: &PairSource, rows: &RowSet, theta: Scaling, x: Scaling) -> Result<(Self, Self)> {
        let (theta_len, x_len) = (source.theta_len(), source.x_len());
        let (mut theta_moments, mut x_moments) = (Moments::new(theta_len), Moments::new(x_len));
        source.for_each_chunk(|first_row, theta, x| {
            for row in rows.iter_in(first_row..first_row + x.len() / x_len) {
                let at = row - first_row;
                theta_moments.add(&theta[at * theta_len..(at + 1) * theta_len]);
                x_moments.add(&x[at * x_len..(at + 1) * x_len]);
            }
        })?;
        Ok((theta_moments.finish(theta), x_moments.finish(x)))
    }

    /// One that changes nothing.
    pub fn identity(features: usize) -> Self {
        Self { scaling: Scaling::None, mean: vec![0.0; features], std: vec![1.0; features], constant: Vec::new() }
    }

    /// How it scales.
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// What is subtracted, per feature.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What is divided by, per feature.
    pub fn std(&self) -> &[f64] {
        &self.std
    }

    /// The features that do not vary among the training rows.
    pub fn constant(&self) -> &[usize] {
        &self.constant
    }

    /// log |det ∂z/∂x| = −Σ ln std, to be added to a density of z to give that of x.
    pub fn log_abs_det(&self) -> f64 {
        -self.std.iter().map(|&std| libm::log(std)).sum::<f64>()
    }

    /// Standardise whole rows in place.
    pub fn forward(&self, rows: &mut [f32]) -> Result<()> {
        self.each(rows, |value, mean, std| (value - mean) / std)
    }

    /// Undo [`Self::forward`], up to rounding.
    pub fn inverse(&self, rows: &mut [f32]) -> Result<()> {
        self.each(rows, |value, mean, std| value * std + mean)
    }

    /// In f64, because a mean much larger than the spread would otherwise cost digits.
    fn each(&self, rows: &mut [f32], map: impl Fn(f64, f64, f64) -> f64) -> Result<()> {
        let features = self.mean.len();
        if features == 0 || !rows.len().is_multiple_of(features) {
            return Err(DataError::Width { what: "values to standardise", found: rows.len(), expected: features });
        }
        for row in rows.chunks_exact_mut(features) {
            for ((value, &mean), &std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *value = map(f64::from(*value), mean, std) as f32;
            }
        }
        Ok(())
    }
}

/// Running means and variances of the features, row after row in f64 (Welford 1962), for statistics of rows that are not kept.
#[derive(Clone, Debug)]
pub struct Moments {
    rows: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// No rows yet.
    pub fn new(features: usize) -> Self {
        Self { rows: 0.0, mean: vec![0.0; features], squares: vec![0.0; features] }
    }

    /// Adds a row; one of another length is an error.
    pub fn push(&mut self, row: &[f32]) -> Result<()> {
        if row.len() != self.mean.len() {
            return Err(DataError::Width { what: "a row", found: row.len(), expected: self.mean.len() });
        }
        self.add(row);
        Ok(())
    }

    fn add(&mut self, row: &[f32]) {
        self.rows += 1.0;
        let weight = 1.0 / self.rows;
        for ((&value, mean), squares) in row.iter().zip(&mut self.mean).zip(&mut self.squares) {
            let value = f64::from(value);
            let deviation = value - *mean;
            *mean += deviation * weight;
            *squares += deviation * (value - *mean);
        }
    }

    /// The standardiser of the rows seen.
    pub fn finish(self, scaling: Scaling) -> Standardiser {
        let features = self.mean.len();
        let freedom = (self.rows - 1.0).max(1.0);
        let std: Vec<f64> = self.squares.iter().map(|squares| (squares / freedom).sqrt()).collect();
        let varies = |std: f64, mean: f64| std > f64::from(f32::EPSILON) * mean.abs();
        let constant = (0..features).filter(|&j| !varies(std[j], self.mean[j])).collect();
        let (mean, std) = match scaling {
            Scaling::None => (vec![0.0; features], vec![1.0; features]),
            Scaling::Independent => {
                let std = (0..features).map(|j| if varies(std[j], self.mean[j]) { std[j] } else { 1.0 }).collect();
                (self.mean, std)
            }
            Scaling::Structured => {
                let mean = self.mean.iter().sum::<f64>() / features as f64;
                let squares: f64 = (0..features).map(|j| self.squares[j] + self.rows * (self.mean[j] - mean).powi(2)).sum();
                let std = (squares / (self.rows * features as f64 - 1.0).max(1.0)).sqrt();
                (vec![mean; features], vec![if varies(std, mean) { std } else { 1.0 }; features])
            }
        };
        Standardiser { scaling, mean, std, constant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Array, Seed};

    fn sample(n: usize, features: usize) -> Vec<f32> {
        let mut rng = Seed(11).stream("x", 0);
        (0..n * features).map(|i| (1e4 * (i % features) as f64 + (1.0 + (i % features) as f64) * rng.normal()) as f32).collect()
    }

    /// Against the two-pass formula; f64 leaves 1e-12 of the mean at these sizes.
    #[test]
    fn welford_agrees_with_two_passes() {
        let (n, features) = (5000, 3);
        let x = sample(n, features);
        let standardiser = Standardiser::fit(Scaling::Independent, features, x.chunks(features)).unwrap();
        let (mut all_mean, mut all_squares) = (0.0, 0.0);
        for j in 0..features {
            let column: Vec<f64> = x.iter().skip(j).step_by(features).map(|&v| f64::from(v)).collect();
            let mean = column.iter().sum::<f64>() / n as f64;
            let std = (column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64).sqrt();
            assert!((standardiser.mean()[j] - mean).abs() < 1e-12 * mean.abs().max(1.0));
            assert!((standardiser.std()[j] / std - 1.0).abs() < 1e-9);
            all_mean += mean / features as f64;
        }
        for &v in &x {
            all_squares += (f64::from(v) - all_mean).powi(2);
        }
        let all_std = (all_squares / (n * features - 1) as f64).sqrt();
        let structured = Standardiser::fit(Scaling::Structured, features, x.chunks(features)).unwrap();
        assert!((structured.mean()[2] / all_mean - 1.0).abs() < 1e-12 && (structured.std()[0] / all_std - 1.0).abs() < 1e-9);
    }

    #[test]
    fn inverse_undoes_forward() {
        let x = sample(500, 3);
        for scaling in [Scaling::Independent, Scaling::Structured, Scaling::None] {
            let standardiser = Standardiser::fit(scaling, 3, x.chunks(3)).unwrap();
            let mut z = x.clone();
            standardiser.forward(&mut z).unwrap();
            standardiser.inverse(&mut z).unwrap();
            // Half a unit in the last place of z, which std enlarges, and another of x.
            let half_unit = 0.51 * f64::from(f32::EPSILON);
            for (i, (&a, &b)) in x.iter().zip(&z).enumerate() {
                let (a, b) = (f64::from(a), f64::from(b));
                let bound = half_unit * ((a - standardiser.mean()[i % 3]).abs() + a.abs());
                assert!((a - b).abs() <= bound, "{scaling:?}: {a} {b}");
            }
        }
    }

    #[test]
    fn constant_features_are_listed_and_harmless() {
        // The second differs by one unit in the last place, which is rounding, not data.
        let x = [1.0f32, 1e6, 7.0, 2.0, 1e6f32.next_up(), 7.0, 4.0, 1e6, 7.0];
        let standardiser = Standardiser::fit(Scaling::Independent, 3, x.chunks(3)).unwrap();
        assert_eq!(standardiser.constant(), &[1, 2]);
        assert_eq!(&standardiser.std()[1..], &[1.0, 1.0]);
        let mut z = x;
        standardiser.forward(&mut z).unwrap();
        assert!(z.iter().all(|v| v.abs() < 2.0));
        let zero = Standardiser::fit(Scaling::Structured, 2, [[0.0f32, 0.0], [0.0, 0.0]].iter().map(|row| &row[..])).unwrap();
        assert_eq!((zero.constant(), zero.std()), (&[0, 1][..], &[1.0, 1.0][..]));
    }

    #[test]
    fn only_the_given_rows_count() {
        let theta = Array::new(vec![4, 1], vec![0.0, 1.0, 2.0, 1000.0]).unwrap();
        let x = Array::new(vec![4, 2], vec![1.0, 10.0, 2.0, 20.0, 3.0, 30.0, f32::NAN, 1.0]).unwrap();
        let source = PairSource::from_arrays(theta, x).unwrap();
        let (theta, x) = Standardiser::fit_pairs(&source, source.kept(), Scaling::Independent, Scaling::Independent).unwrap();
        assert_eq!((theta.mean(), x.mean(), x.std()), (&[1.0][..], &[2.0, 20.0][..], &[1.0, 10.0][..]));
        assert!((x.log_abs_det() + 10f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same() {
        let standardiser = Standardiser::fit(Scaling::Structured, 3, sample(50, 3).chunks(3)).unwrap();
        let text = serde_json::to_string(&standardiser).unwrap();
        assert_eq!(serde_json::from_str::<Standardiser>(&text).unwrap(), standardiser);
        let load = |std: &str| {
            let text = format!(r#"{{"scaling": "independent", "mean": [0, 1], "std": {std}, "constant": []}}"#);
            serde_json::from_str::<Standardiser>(&text).map_err(|error| error.to_string())
        };
        assert!(load("[1, 2]").is_ok());
        assert!(load("[1]").unwrap_err().contains("2 means, 1 standard deviations"));
        assert!(load("[1, 0]").unwrap_err().contains("a standard deviation of 0"));
    }

    #[test]
    fn ragged_rows_are_errors() {
        assert!(Standardiser::fit(Scaling::Independent, 3, [[1.0f32, 2.0]].iter().map(|row| &row[..])).is_err());
        assert!(Standardiser::identity(3).forward(&mut [1.0; 4]).is_err());
    }
}
