//! Smooth densities of samples, for drawing only: histograms convolved with a Gaussian.
//!
//! The width of the Gaussian is a multiple of Scott's rule for a normal density, chosen by least-squares cross-validation (Bowman 1984,
//! Biometrika 71, 353), so that crescents and separate modes keep their width where the plain rule would wash them out. The range of a
//! parameter ends at its prior's limits, where the histogram is mirrored: a posterior piled up against a limit keeps its height there.

/// Bins of a one-dimensional histogram.
const BINS_1D: usize = 512;
/// Bins per direction of a two-dimensional one.
const BINS_2D: usize = 128;
/// Multiples of the normal rule that are tried, largest first.
const MULTIPLES: [f64; 12] = [1.2, 1.0, 0.8, 0.62, 0.48, 0.36, 0.27, 0.2, 0.14, 0.1, 0.07, 0.05];
/// Cross-validation is noisy: among multiples whose score is this close to the best, the smoothest is taken.
const TOLERANCE: f64 = 0.02;
/// The Gaussian is cut at this many widths, where it has fallen to 3e-4 of its peak.
const REACH: f64 = 4.0;

/// Where the samples of one parameter lie: the range of its grid and their standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Support {
    pub(crate) range: [f64; 2],
    sigma: f64,
}

impl Support {
    /// The central 99.8 % of the samples with a margin for the smoothing, cut at `limits`. `sorted` must not be empty.
    pub(crate) fn of(sorted: &[f64], limits: Option<[f64; 2]>) -> Self {
        let (low, high) = (quantile(sorted, 0.001), quantile(sorted, 0.999));
        // The spread without the outermost samples: a stray draw at 1e6 must not set the scale.
        let core: Vec<f64> = sorted.iter().copied().filter(|v| (low..=high).contains(v)).collect();
        let mean = core.iter().sum::<f64>() / core.len() as f64;
        // In units of the range, whose square cannot overflow.
        let unit = if high > low { high - low } else { 1.0 };
        let sigma = unit * (core.iter().map(|v| ((v - mean) / unit).powi(2)).sum::<f64>() / core.len() as f64).sqrt();
        let margin = if sigma > 0.0 { 0.6 * sigma } else { 0.05 * mean.abs().max(1e-3) };
        let mut range = [low - margin, high + margin];
        if let Some(limits) = limits {
            // Limits that the samples themselves overstep do not hold them.
            if limits[0] <= low {
                range[0] = range[0].max(limits[0]);
            }
            if limits[1] >= high {
                range[1] = range[1].min(limits[1]);
            }
        }
        Self { range, sigma }
    }

    fn bin_width(&self, bins: usize) -> f64 {
        (self.range[1] - self.range[0]) / bins as f64
    }

    fn bin(&self, value: f64, bins: usize) -> Option<usize> {
        let place = (value - self.range[0]) / self.bin_width(bins);
        // The upper end belongs to the last bin.
        (place >= 0.0 && place <= bins as f64).then(|| (place as usize).min(bins - 1))
    }

    fn centres(&self, bins: usize) -> Vec<f64> {
        (0..bins).map(|bin| self.range[0] + (bin as f64 + 0.5) * self.bin_width(bins)).collect()
    }
}

/// Quantile `p` of sorted values, linear between order statistics.
pub(crate) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let place = p * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// Density at the centres of equal bins.
pub(crate) struct Curve {
    pub(crate) x: Vec<f64>,
    pub(crate) density: Vec<f64>,
}

pub(crate) fn smooth(values: &[f64], support: Support) -> Curve {
    let mut counts = vec![0.0; BINS_1D];
    for bin in values.iter().filter_map(|v| support.bin(*v, BINS_1D)) {
        counts[bin] += 1.0;
    }
    let width = support.bin_width(BINS_1D);
    let reference = 1.06 * support.sigma * (values.len() as f64).powf(-0.2) / width;
    let density = cross_validated(
        &counts,
        width,
        |multiple| convolve(&counts, BINS_1D, Along::Row, multiple * reference),
        |multiple| peak(multiple * reference),
    );
    Curve { x: support.centres(BINS_1D), density }
}

/// Fraction of the samples in each bin of a grid, `values[j * x.len() + i]` at `(x[i], y[j])`.
pub(crate) struct Surface {
    pub(crate) x_range: [f64; 2],
    pub(crate) y_range: [f64; 2],
    pub(crate) x: Vec<f64>,
    pub(crate) y: Vec<f64>,
    pub(crate) values: Vec<f64>,
}

pub(crate) fn smooth_pair(x: &[f64], y: &[f64], x_support: Support, y_support: Support) -> Surface {
    let mut counts = vec![0.0; BINS_2D * BINS_2D];
    for (x, y) in x.iter().zip(y) {
        if let (Some(i), Some(j)) = (x_support.bin(*x, BINS_2D), y_support.bin(*y, BINS_2D)) {
            counts[j * BINS_2D + i] += 1.0;
        }
    }
    let (width_x, width_y) = (x_support.bin_width(BINS_2D), y_support.bin_width(BINS_2D));
    let scott = (x.len() as f64).powf(-1.0 / 6.0);
    let (bins_x, bins_y) = (x_support.sigma * scott / width_x, y_support.sigma * scott / width_y);
    let values = cross_validated(
        &counts,
        1.0,
        |multiple| {
            let rows = convolve(&counts, BINS_2D, Along::Row, multiple * bins_x);
            convolve(&rows, BINS_2D, Along::Column, multiple * bins_y)
        },
        |multiple| peak(multiple * bins_x) * peak(multiple * bins_y),
    );
    Surface { x_range: x_support.range, y_range: y_support.range, x: x_support.centres(BINS_2D), y: y_support.centres(BINS_2D), values }
}

impl Surface {
    /// Density at a point, bilinear between bin centres and constant beyond the outermost; 0 outside the grid.
    pub(crate) fn at(&self, x: f64, y: f64) -> f64 {
        let inside = |v: f64, range: [f64; 2]| (range[0]..=range[1]).contains(&v);
        if !inside(x, self.x_range) || !inside(y, self.y_range) {
            return 0.0;
        }
        let cell = |v: f64, range: [f64; 2], bins: usize| {
            let place = ((v - range[0]) / (range[1] - range[0]) * bins as f64 - 0.5).clamp(0.0, (bins - 1) as f64);
            let low = (place as usize).min(bins - 2);
            (low, place - low as f64)
        };
        let nx = self.x.len();
        let (i, u) = cell(x, self.x_range, nx);
        let (j, v) = cell(y, self.y_range, self.y.len());
        let row = |j: usize| self.values[j * nx + i] * (1.0 - u) + self.values[j * nx + i + 1] * u;
        row(j) * (1.0 - v) + row(j + 1) * v
    }

    /// For each fraction, the density above which that fraction of the samples lies (Hyndman 1996, The American Statistician 50, 120):
    /// the contour at this level encloses the promised part of the samples themselves, whatever the smoothing did to the heights.
    pub(crate) fn enclosing_levels(&self, x: &[f64], y: &[f64], fractions: &[f64]) -> Vec<f64> {
        let mut heights: Vec<f64> = x.iter().zip(y).map(|(x, y)| self.at(*x, *y)).collect();
        heights.sort_by(|a, b| b.total_cmp(a));
        fractions.iter().map(|fraction| heights[((fraction * heights.len() as f64) as usize).min(heights.len() - 1)]).collect()
    }
}

/// Among the multiples, the smoothest whose score is as good as the best, as the fraction of samples per bin over `cell`.
///
/// CV(h) = ∫ f̂² − 2/n Σᵢ f̂₋ᵢ(xᵢ), with f̂₋ᵢ = (n f̂ − K(0))/(n − 1); its expectation is the integrated squared error up to a constant.
fn cross_validated(counts: &[f64], cell: f64, convolved: impl Fn(f64) -> Vec<f64>, peak: impl Fn(f64) -> f64) -> Vec<f64> {
    let n: f64 = counts.iter().sum::<f64>().max(2.0);
    let mut tried: Vec<(f64, Vec<f64>)> = Vec::with_capacity(MULTIPLES.len());
    for multiple in MULTIPLES {
        let smooth = convolved(multiple);
        let square: f64 = smooth.iter().map(|v| v * v).sum::<f64>() / (n * n);
        let own: f64 = counts.iter().zip(&smooth).map(|(c, v)| c * v).sum::<f64>();
        tried.push((square - 2.0 * (own - n * peak(multiple)) / (n * (n - 1.0)), smooth));
    }
    let best = tried.iter().map(|(score, _)| *score).fold(f64::INFINITY, f64::min);
    let chosen = tried.into_iter().find(|(score, _)| *score <= best + TOLERANCE * best.abs());
    let mut density = chosen.map(|(_, smooth)| smooth).unwrap_or_default();
    for value in &mut density {
        *value /= n * cell;
    }
    density
}

/// Weights of the Gaussian at 0, 1, 2… bins, summing to 1 over both sides. Never narrower than 0.7 bins, below which bins would show.
fn weights(sigma_bins: f64) -> Vec<f64> {
    let sigma = sigma_bins.max(0.7);
    let mut weights: Vec<f64> = (0..=(REACH * sigma).ceil() as usize).map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp()).collect();
    let total = 2.0 * weights.iter().sum::<f64>() - weights[0];
    for weight in &mut weights {
        *weight /= total;
    }
    weights
}

fn peak(sigma_bins: f64) -> f64 {
    weights(sigma_bins)[0]
}

/// Which neighbours a convolution mixes in a grid whose rows are `length` long.
#[derive(Clone, Copy)]
enum Along {
    /// Neighbours in a row.
    Row,
    /// Neighbours in a column.
    Column,
}

/// Convolution with the Gaussian in rows of `length` bins, or in their columns, mirrored at the ends.
fn convolve(values: &[f64], length: usize, along: Along, sigma_bins: f64) -> Vec<f64> {
    let weights = weights(sigma_bins);
    let rows = values.len() / length;
    let mut result: Vec<f64> = values.iter().map(|value| value * weights[0]).collect();
    for (distance, weight) in weights.iter().enumerate().skip(1) {
        match along {
            Along::Row => {
                for (row, target) in values.chunks_exact(length).zip(result.chunks_exact_mut(length)) {
                    for i in 0..length {
                        target[i] += weight
                            * (row[mirrored(i as isize - distance as isize, length)] + row[mirrored((i + distance) as isize, length)]);
                    }
                }
            }
            Along::Column => {
                for (j, target) in result.chunks_exact_mut(length).enumerate() {
                    let below = mirrored(j as isize - distance as isize, rows) * length;
                    let above = mirrored((j + distance) as isize, rows) * length;
                    for i in 0..length {
                        target[i] += weight * (values[below + i] + values[above + i]);
                    }
                }
            }
        }
    }
    result
}

/// Index `i` of an array mirrored about the outer edges of its first and last bins, again and again.
fn mirrored(i: isize, length: usize) -> usize {
    let period = 2 * length as isize;
    let folded = i.rem_euclid(period);
    (if folded < length as isize { folded } else { period - 1 - folded }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contour::rings;

    /// Halton points through Box–Muller: an even normal sample without a random number generator.
    pub(super) fn normals(n: usize) -> (Vec<f64>, Vec<f64>) {
        let radical = |mut index: usize, base: usize| {
            let (mut value, mut digit) = (0.0, 1.0 / base as f64);
            while index > 0 {
                value += digit * (index % base) as f64;
                index /= base;
                digit /= base as f64;
            }
            value
        };
        (1..=n)
            .map(|i| {
                let (radius, angle) = ((-2.0 * radical(i, 2).ln()).sqrt(), std::f64::consts::TAU * radical(i, 3));
                (radius * angle.cos(), radius * angle.sin())
            })
            .unzip()
    }

    fn sorted(values: &[f64]) -> Vec<f64> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    fn surface(x: &[f64], y: &[f64], limits: Option<[f64; 2]>) -> Surface {
        smooth_pair(x, y, Support::of(&sorted(x), limits), Support::of(&sorted(y), limits))
    }

    /// Even-odd rule over all rings.
    fn is_inside(rings: &[Vec<[f64; 2]>], x: f64, y: f64) -> bool {
        rings
            .iter()
            .flat_map(|ring| ring.iter().zip(ring.iter().cycle().skip(1)))
            .fold(false, |inside, (a, b)| inside ^ ((a[1] > y) != (b[1] > y) && x < a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0])))
    }

    #[test]
    fn a_normal_sample_gives_a_normal_curve() {
        let (x, _) = normals(20_000);
        let curve = smooth(&x, Support::of(&sorted(&x), None));
        let width = curve.x[1] - curve.x[0];
        assert!((curve.density.iter().sum::<f64>() * width - 1.0).abs() < 0.01);
        for (x, density) in curve.x.iter().zip(&curve.density) {
            let exact = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            // Smoothing with h = 0.15 σ lowers the peak by h²/2 = 1 % of 0.4; counting noise doubles that.
            assert!((density - exact).abs() < 0.012, "{x}: {density} against {exact}");
        }
    }

    #[test]
    fn a_density_piled_up_against_the_prior_keeps_its_height() {
        let half: Vec<f64> = normals(20_000).0.into_iter().map(f64::abs).collect();
        let curve = smooth(&half, Support::of(&sorted(&half), Some([0.0, 10.0])));
        let exact = 2.0 / std::f64::consts::TAU.sqrt();
        assert!((curve.density[0] - exact).abs() < 0.03, "{} against {exact}", curve.density[0]);
    }

    #[test]
    fn separate_narrow_modes_are_not_washed_out() {
        let x: Vec<f64> =
            normals(4000).0.iter().enumerate().map(|(i, v)| if i % 2 == 0 { 0.02 * v - 1.0 } else { 0.02 * v + 1.0 }).collect();
        let curve = smooth(&x, Support::of(&sorted(&x), None));
        let peak = curve.density.iter().copied().fold(0.0, f64::max);
        // Exact peak 0.5/(0.02 √2π) = 9.97; Scott's rule alone would give 1.
        assert!(peak > 8.5, "{peak}");
    }

    #[test]
    fn contours_enclose_the_promised_part_of_the_samples() {
        let (x, z) = normals(20_000);
        let correlated: Vec<f64> = x.iter().zip(&z).map(|(x, z)| 0.9 * x + 0.43 * z).collect();
        let crescent: Vec<f64> = x.iter().zip(&z).map(|(x, z)| x * x + 0.1 * z).collect();
        let piled: Vec<f64> = z.iter().map(|z| z.abs()).collect();
        for (name, y, limits) in [("correlated", correlated, None), ("crescent", crescent, None), ("piled", piled, Some([-10.0, 10.0]))] {
            let surface = surface(&x, &y, limits);
            let fractions = [0.68, 0.95];
            for (level, fraction) in surface.enclosing_levels(&x, &y, &fractions).into_iter().zip(fractions) {
                let rings = rings(&surface, level);
                let enclosed = x.iter().zip(&y).filter(|(x, y)| is_inside(&rings, **x, **y)).count() as f64 / x.len() as f64;
                // Levels are exact for bilinear cells; straight contour pieces cut their corners.
                assert!((enclosed - fraction).abs() < 0.004, "{name}: {enclosed} instead of {fraction}");
            }
        }
    }

    #[test]
    fn the_68_percent_contour_of_a_normal_has_its_radius() {
        let (x, y) = normals(20_000);
        let surface = surface(&x, &y, None);
        let level = surface.enclosing_levels(&x, &y, &[0.68])[0];
        let rings = rings(&surface, level);
        assert_eq!(rings.len(), 1);
        let radius = (-2.0 * 0.32_f64.ln()).sqrt();
        for point in &rings[0] {
            // Counting noise of 20 000 samples moves the contour by a few per cent.
            assert!((point[0].hypot(point[1]) / radius - 1.0).abs() < 0.06, "{point:?}");
        }
    }

    #[test]
    fn identical_samples_are_a_spike_not_a_fault() {
        let x = vec![2.5; 100];
        let curve = smooth(&x, Support::of(&x, None));
        assert!(curve.density.iter().all(|v| v.is_finite()) && curve.density.iter().any(|v| *v > 0.0));
    }
}
