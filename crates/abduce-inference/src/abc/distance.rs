//! How far a simulation is from the observation.

/// Distances of simulations from one observation.
pub(super) struct Distance {
    /// Summaries of the observation (trials, width).
    pub(super) observed: Vec<f64>,
    /// One per summary.
    pub(super) scales: Vec<f64>,
    /// Mean distance of the observed data from each other, each pair twice and each datum from itself counted.
    own: f64,
}

impl Distance {
    /// Scales are the standard deviations over the `summaries` (n, width) of simulations from the prior.
    pub(super) fn new(observed: Vec<f64>, summaries: &[f64], width: usize) -> Self {
        let scales = scales(summaries, width);
        let own = mean_distance(&observed, &observed, &scales);
        Self { observed, scales, own }
    }

    /// Of each row (n, trials, width). Of one datum the Euclidean distance; of several the square root of the energy distance
    /// 2 mean|x_i − y_j| − mean|x_i − x_j| − mean|y_i − y_j| ≥ 0, zero for equal sets alone (Székely and Rizzo 2013; as a distance of ABC
    /// Nguyen et al. 2020, arXiv:1905.05884).
    pub(super) fn of_rows(&self, summaries: &[f64]) -> Vec<f64> {
        let one = |row: &[f64]| {
            if row.len() == self.scales.len() {
                return between(row, &self.observed, &self.scales);
            }
            let cross = mean_distance(row, &self.observed, &self.scales);
            (2.0 * cross - self.own - mean_distance(row, row, &self.scales)).max(0.0).sqrt()
        };
        summaries.chunks_exact(self.observed.len()).map(one).collect()
    }
}

fn between(a: &[f64], b: &[f64], scales: &[f64]) -> f64 {
    a.iter().zip(b).zip(scales).map(|((a, b), scale)| ((a - b) / scale).powi(2)).sum::<f64>().sqrt()
}

fn mean_distance(a: &[f64], b: &[f64], scales: &[f64]) -> f64 {
    let width = scales.len();
    let pairs = (a.len() / width * (b.len() / width)) as f64;
    a.chunks_exact(width).flat_map(|a| b.chunks_exact(width).map(move |b| between(a, b, scales))).sum::<f64>() / pairs
}

/// Standard deviation of each summary over the rows; 1 for a constant one, which then counts nothing.
fn scales(summaries: &[f64], width: usize) -> Vec<f64> {
    let n = summaries.len() / width;
    (0..width)
        .map(|j| {
            let values = || summaries.iter().skip(j).step_by(width);
            let mean = values().sum::<f64>() / n as f64;
            let sd = (values().map(|v| (v - mean).powi(2)).sum::<f64>() / n.max(2) as f64).sqrt();
            if sd > 0.0 { sd } else { 1.0 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: sets {0, 2} and {1, 1} with unit scale: 2·1 − 1 − 0 = 1; and equal sets in another order are at distance 0.
    #[test]
    fn energy_distances_are_their_definition() {
        let distance = Distance { observed: vec![0.0, 2.0], scales: vec![1.0], own: mean_distance(&[0.0, 2.0], &[0.0, 2.0], &[1.0]) };
        assert_eq!(distance.of_rows(&[1.0, 1.0, 2.0, 0.0]), [1.0, 0.0]);
        let plain = Distance::new(vec![0.0], &[-1.0, 1.0], 1);
        assert_eq!(plain.of_rows(&[3.0]), [3.0]);
    }
}
