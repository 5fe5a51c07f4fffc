//! Features of the data on one scale, for distances and linear forms.

use super::predictions::mean_and_variance;
use abduce_data::Seed;

/// Features beyond this number are projected to it at random: distances and linear forms survive (Johnson and Lindenstrauss 1984).
const MAX_FEATURES: usize = 64;

/// Standardisation of rows of features: mean 0 and variance 1 (n - 1), constant features dropped, at most [`MAX_FEATURES`] left.
///
/// A function of the rows it was fitted to alone; a non-finite feature counts as the mean.
#[derive(Clone, Debug)]
pub(super) struct FeatureScale {
    /// Index, mean and standard deviation of each feature that varies.
    scales: Vec<(usize, f64, f64)>,
    /// (MAX_FEATURES, features that vary), where there are more of them.
    projection: Option<Vec<f64>>,
}

impl FeatureScale {
    /// The scale of these rows, all of one length.
    pub(super) fn fit(rows: &[&[f64]], seed: Seed) -> Self {
        let features = rows.first().map_or(0, |row| row.len());
        let mut scales = Vec::with_capacity(features);
        for f in 0..features {
            let finite = rows.iter().map(|row| row[f]).filter(|v| v.is_finite());
            let (mean, variance) = mean_and_variance(finite);
            if variance.is_finite() && variance > 0.0 {
                scales.push((f, mean, variance.sqrt()));
            }
        }
        let projection = (scales.len() > MAX_FEATURES).then(|| {
            // The name of the stream is that of its first user: published numbers stay.
            let mut rng = seed.stream("diagnostics.tarp.projection", 0);
            let norm = 1.0 / (scales.len() as f64).sqrt();
            (0..MAX_FEATURES * scales.len()).map(|_| norm * rng.normal()).collect()
        });
        Self { scales, projection }
    }

    /// Length of a transformed row; 0 when no feature varies.
    pub(super) fn width(&self) -> usize {
        self.scales.len().min(MAX_FEATURES)
    }

    /// A row on this scale.
    pub(super) fn transform(&self, row: &[f64]) -> Vec<f64> {
        let standard = |&(f, mean, sd): &(usize, f64, f64)| if row[f].is_finite() { (row[f] - mean) / sd } else { 0.0 };
        let scaled: Vec<f64> = self.scales.iter().map(standard).collect();
        match &self.projection {
            None => scaled,
            Some(projection) => projection.chunks_exact(scaled.len()).map(|p| p.iter().zip(&scaled).map(|(a, b)| a * b).sum()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_mean_zero_and_variance_one_and_constants_go() {
        let rows = [[1.0, 7.0, f64::NAN], [3.0, 7.0, 2.0], [5.0, 7.0, 4.0]];
        let rows: Vec<&[f64]> = rows.iter().map(<[f64; 3]>::as_slice).collect();
        let scale = FeatureScale::fit(&rows, Seed(0));
        assert_eq!(scale.width(), 2);
        // Means 3 and 3, standard deviations 2 and √2.
        assert_eq!(scale.transform(rows[0]), [-1.0, 0.0]);
        assert_eq!(scale.transform(rows[2]), [1.0, 1.0 / 2f64.sqrt()]);
    }

    /// E |Px|² = (64/F) |x|² for a Gaussian projection of variance 1/F; its relative spread is √(2/64) = 0.18.
    #[test]
    fn projection_keeps_relative_distances() {
        let mut rng = Seed(1).stream("test", 0);
        let rows: Vec<Vec<f64>> = (0..200).map(|_| (0..300).map(|_| rng.normal()).collect()).collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let scale = FeatureScale::fit(&rows, Seed(2));
        assert_eq!(scale.width(), MAX_FEATURES);
        let mean = rows.iter().map(|row| scale.transform(row).iter().map(|v| v * v).sum::<f64>()).sum::<f64>() / 200.0;
        assert!((mean / 64.0 - 1.0).abs() < 0.2, "{mean}");
    }
}
