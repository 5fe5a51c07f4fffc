//! From a law of ln d to a dimension: manifolds have whole dimensions, fractals need not.

use super::regression::LogDimension;

/// Prior probability that the dimension is not a whole number.
const FRACTAL: f64 = 0.1;

/// The posterior of the dimension: atoms at 1, 2, …, weighted by the likelihood, and a smooth part of prior probability 0.1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Posterior {
    /// Probability of each whole dimension, from 1 on, given that it is whole.
    pub whole: Vec<f64>,
    /// Probability that it is whole.
    pub is_whole: f64,
    log: LogDimension,
    most: f64,
}

impl Posterior {
    /// The posterior below `most`, the dimension of the linear span. The references already respect that bound, so it moves no probability; it only
    /// caps what is reported.
    pub(super) fn new(log: LogDimension, most: usize) -> Self {
        let LogDimension { mean, sd } = log;
        let top = (mean + 6.0 * sd).exp().ceil() as usize + 2;
        // The prior is 1/k per whole number, that is, uniform in ln d as the smooth part is.
        let weights: Vec<f64> = (1..=top).map(|k| (-0.5 * (((k as f64).ln() - mean) / sd).powi(2)).exp() / k as f64).collect();
        let sum: f64 = weights.iter().sum();
        let smooth = (std::f64::consts::TAU.sqrt()) * sd * FRACTAL / (1.0 - FRACTAL);
        let whole = if sum > 0.0 { weights.iter().map(|w| w / sum).collect() } else { weights };
        Self { whole, is_whole: sum / (sum + smooth), log, most: most as f64 }
    }

    pub(super) fn mean(&self) -> f64 {
        let whole: f64 = self.whole.iter().enumerate().map(|(i, p)| p * (i + 1) as f64).sum();
        (self.is_whole * whole + (1.0 - self.is_whole) * self.log.mean.exp()).min(self.most)
    }

    /// P(d <= x).
    fn below(&self, x: f64) -> f64 {
        let atoms: f64 = self.whole.iter().take(x.max(0.0) as usize).sum();
        let smooth = 0.5 * libm::erfc(-(x.ln() - self.log.mean) / (self.log.sd * std::f64::consts::SQRT_2));
        self.is_whole * atoms + (1.0 - self.is_whole) * smooth
    }

    /// The interval between the quantiles (1 - level)/2 and (1 + level)/2, capped as the mean is.
    pub(super) fn interval(&self, level: f64) -> [f64; 2] {
        [0.5 * (1.0 - level), 0.5 * (1.0 + level)].map(|p| {
            let (mut low, mut high) = (1e-3, (self.log.mean + 9.0 * self.log.sd).exp() + 2.0);
            for _ in 0..80 {
                let middle = 0.5 * (low + high);
                if self.below(middle) >= p { high = middle } else { low = middle }
            }
            // Quantiles at an atom are reached from above only.
            let rounded = high.round();
            (if (high - rounded).abs() < 1e-9 { rounded } else { high }).min(self.most)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sharp_law_near_a_whole_number_is_that_number() {
        let posterior = Posterior::new(LogDimension { mean: 1.98f64.ln(), sd: 0.03 }, 3);
        assert!((posterior.mean() - 2.0).abs() < 0.005);
        assert_eq!(posterior.interval(0.95)[1], 2.0);
    }

    #[test]
    fn a_sharp_law_between_whole_numbers_stays_there() {
        let posterior = Posterior::new(LogDimension { mean: 1.585f64.ln(), sd: 0.02 }, 3);
        assert!((posterior.mean() - 1.585).abs() < 0.02, "{}", posterior.mean());
        assert!(posterior.is_whole < 0.01);
    }

    /// Far from 1 the atoms are dense, so quantiles are those of the lognormal law to half a unit.
    #[test]
    fn a_wide_law_keeps_its_quantiles_and_the_span_caps_them() {
        let log = LogDimension { mean: 40f64.ln(), sd: 0.1 };
        let [low, high] = Posterior::new(log, 1000).interval(0.95);
        assert!((low - 40.0 * (-0.196f64).exp()).abs() < 1.0 && (high - 40.0 * 0.196f64.exp()).abs() < 1.0, "{low} {high}");
        let capped = Posterior::new(log, 38);
        assert_eq!((capped.mean(), capped.interval(0.95)[1]), (38.0, 38.0));
    }
}
