//! What warm-up learns: the step size and the scale of each coordinate.

/// Nesterov's dual averaging of log ε towards a wanted acceptance (Hoffman & Gelman 2014, J. Mach. Learn. Res. 15, 1593, section 3.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct DualAveraging {
    /// Point towards which log ε is drawn: log 10 ε₀.
    centre: f64,
    /// Mean of the errors δ − α.
    error: f64,
    log_step: f64,
    log_average: f64,
    count: f64,
}

/// The constants of that paper.
const GAMMA: f64 = 0.05;
const DELAY: f64 = 10.0;
const KAPPA: f64 = 0.75;

impl DualAveraging {
    pub(super) fn new(step: f64) -> Self {
        let log_step = libm::log(step);
        Self { centre: log_step + std::f64::consts::LN_10, error: 0.0, log_step, log_average: log_step, count: 0.0 }
    }

    /// Takes the mean acceptance of one step.
    pub(super) fn update(&mut self, acceptance: f64, wanted: f64) {
        self.count += 1.0;
        let gain = 1.0 / (self.count + DELAY);
        self.error += (wanted - acceptance - self.error) * gain;
        self.log_step = self.centre - self.count.sqrt() / GAMMA * self.error;
        let forget = libm::pow(self.count, -KAPPA);
        self.log_average += (self.log_step - self.log_average) * if self.count == 1.0 { 1.0 } else { forget };
    }

    /// The step to try next.
    pub(super) fn step(&self) -> f64 {
        libm::exp(self.log_step)
    }

    /// The averaged step, for use after warm-up.
    pub(super) fn average(&self) -> f64 {
        libm::exp(self.log_average)
    }
}

/// Where warm-up's windows end (after that many steps): draws of a window set the scales of the next. The first `begin` steps only find the
/// typical set and the last part only the step size; the windows between double in length (as in Stan; Carpenter et al. 2017, J. Stat.
/// Softw. 76, 1).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Windows {
    pub(super) begin: usize,
    pub(super) ends: Vec<usize>,
}

impl Windows {
    pub(super) fn new(warmup: usize) -> Self {
        if warmup < 20 {
            return Self { begin: warmup, ends: Vec::new() };
        }
        let (begin, last, mut length) =
            if warmup >= 150 { (75, warmup - 50, 25) } else { (warmup * 15 / 100, warmup - warmup / 10, warmup) };
        let mut ends = Vec::new();
        let mut start = begin;
        while start < last {
            // A window that would leave too little for a next one of twice its length takes the rest.
            let end = if start + 3 * length > last { last } else { start + length };
            ends.push(end);
            start = end;
            length *= 2;
        }
        Self { begin, ends }
    }
}

/// Running means and sums of squares of d coordinates over draws of all chains of one target (Welford 1962).
#[derive(Clone, Debug)]
pub(super) struct Spread {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Spread {
    pub(super) fn new(d: usize) -> Self {
        Self { count: 0.0, mean: vec![0.0; d], squares: vec![0.0; d] }
    }

    pub(super) fn add(&mut self, point: &[f64]) {
        self.count += 1.0;
        for ((&x, mean), squares) in point.iter().zip(&mut self.mean).zip(&mut self.squares) {
            let off = x - *mean;
            *mean += off / self.count;
            *squares += off * (x - *mean);
        }
    }

    /// Moves `variance` to the observed one and starts anew. The geometric mean with five pseudo-draws of the old value keeps a short window
    /// from setting absurd scales, whatever the parameters' units.
    pub(super) fn settle(&mut self, variance: &mut [f64]) {
        let trust = self.count / (self.count + 5.0);
        for (variance, squares) in variance.iter_mut().zip(&mut self.squares) {
            let observed = *squares / (self.count - 1.0);
            if observed.is_finite() && observed > f64::MIN_POSITIVE {
                *variance = libm::exp(trust * libm::log(observed) + (1.0 - trust) * libm::log(*variance));
            }
            *squares = 0.0;
        }
        self.mean.fill(0.0);
        self.count = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With acceptance 1/(1 + ε) and δ = 0.8 the root is ε = 1/4.
    #[test]
    fn dual_averaging_finds_the_wanted_acceptance() {
        let mut dual = DualAveraging::new(3.0);
        for _ in 0..2000 {
            let step = dual.step();
            dual.update(1.0 / (1.0 + step), 0.8);
        }
        // The running average forgets like n^{-0.75}; after 2000 steps it is within a per cent.
        assert!((dual.average() - 0.25).abs() < 0.005, "{}", dual.average());
    }

    #[test]
    fn windows_cover_warm_up_without_gaps() {
        assert_eq!(Windows::new(1000), Windows { begin: 75, ends: vec![100, 150, 250, 450, 950] });
        assert_eq!(Windows::new(200), Windows { begin: 75, ends: vec![100, 150] });
        assert_eq!(Windows::new(100), Windows { begin: 15, ends: vec![90] });
        assert_eq!(Windows::new(10), Windows { begin: 10, ends: vec![] });
    }

    #[test]
    fn spread_is_the_sample_variance() {
        let mut spread = Spread::new(1);
        [1.0, 2.0, 3.0, 4.0].iter().for_each(|&x| spread.add(&[x]));
        let mut variance = [1.0];
        spread.settle(&mut variance);
        // Sample variance 5/3, weight 4/9 against the old value 1.
        assert!((variance[0] - (5.0f64 / 3.0).powf(4.0 / 9.0)).abs() < 1e-14);
    }
}
