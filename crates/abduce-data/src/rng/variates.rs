//! Samplers of named distributions on a random stream.
//!
//! All are exact (inversion, rejection or a transformation of exact draws), use the `libm` crate for elementary functions so that
//! draws do not depend on the system's C library. The caller has checked the parameters: outside the stated ranges nothing is promised.

use super::Rng;
use std::f64::consts::{PI, SQRT_2, TAU};

impl Rng {
    /// Exponential with rate 1: −ln U.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(self.uniform_open_low())
    }

    /// Gamma with the given `shape` > 0 and rate 1 (Marsaglia & Tsang 2000, ACM TOMS 26, 363).
    ///
    /// A shape below 1 draws Gamma(shape + 1) U^{1/shape}; for shapes below about 1e-3 that may underflow to 0.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        libm::exp(self.log_gamma_variate(shape))
    }

    /// The logarithm of a Gamma(`shape`, 1) draw: finite where the draw itself would underflow.
    fn log_gamma_variate(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let log_boost = libm::log(self.uniform_open_low()) / shape;
            return self.log_gamma_variate(shape + 1.0) + log_boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let z = self.normal();
            let root = 1.0 + c * z;
            if root.is_nan() {
                return f64::NAN;
            }
            if root <= 0.0 {
                continue;
            }
            let log_v = 3.0 * libm::log(root);
            let v = root * root * root;
            if libm::log(self.uniform_open_low()) < 0.5 * z * z + d * (1.0 - v + log_v) {
                return libm::log(d) + log_v;
            }
        }
    }

    /// Beta(a, b), both > 0, as X/(X + Y) of two gamma draws, formed from their logarithms so that small shapes do not give 0/0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let log_x = self.log_gamma_variate(a);
        let log_y = self.log_gamma_variate(b);
        1.0 / (1.0 + libm::exp(log_y - log_x))
    }

    /// χ² with `df` > 0 degrees of freedom.
    pub fn chi2(&mut self, df: f64) -> f64 {
        2.0 * self.gamma(0.5 * df)
    }

    /// Student's t with `df` > 0 degrees of freedom: Z / √(χ²_df / df).
    pub fn student_t(&mut self, df: f64) -> f64 {
        let z = self.normal();
        let log_chi2_over_df = self.log_gamma_variate(0.5 * df) + libm::log(2.0 / df);
        z * libm::exp(-0.5 * log_chi2_over_df)
    }

    /// Standard Cauchy: tan(π(U − ½)).
    pub fn cauchy(&mut self) -> f64 {
        libm::tan(PI * (self.uniform_open_low() - 0.5))
    }

    /// Standard normal restricted to [`low`, `high`], low < high, either of them possibly infinite.
    ///
    /// Rejection from the best of three envelopes (Robert 1995, Statistics and Computing 5, 121): the normal itself, a uniform, or in
    /// a tail an exponential. The acceptance rate stays above about 0.3 wherever the interval lies.
    pub fn truncated_normal(&mut self, low: f64, high: f64) -> f64 {
        if low >= 0.0 {
            return self.truncated_normal_right(low, high);
        }
        if high <= 0.0 {
            return -self.truncated_normal_right(-high, -low);
        }
        // The interval holds 0, where the density peaks.
        if high - low > SQRT_2 * PI.sqrt() {
            loop {
                let z = self.normal();
                if z.is_nan() || (low <= z && z <= high) {
                    return z;
                }
            }
        }
        loop {
            let z = low + (high - low) * self.uniform();
            if libm::log(self.uniform_open_low()) <= -0.5 * z * z {
                return z;
            }
        }
    }

    /// The case 0 ≤ `low` < `high`.
    fn truncated_normal_right(&mut self, low: f64, high: f64) -> f64 {
        // Rate of the best exponential envelope of the tail beyond `low`; a uniform is better where the interval is shorter than
        // about its scale.
        let rate = 0.5 * (low + (low * low + 4.0).sqrt());
        if (high - low) * rate < 1.5 {
            loop {
                let z = low + (high - low) * self.uniform();
                if !(z - low).is_finite() || libm::log(self.uniform_open_low()) <= -0.5 * (z - low) * (z + low) {
                    return z;
                }
            }
        }
        loop {
            let z = low + self.exponential() / rate;
            if z > high {
                continue;
            }
            let miss = z - rate;
            if miss.is_nan() || libm::log(self.uniform_open_low()) <= -0.5 * miss * miss {
                return z;
            }
        }
    }

    /// Von Mises angle in [−π, π] about 0 with `concentration` > 0 (Best & Fisher 1979, Applied Statistics 28, 152).
    ///
    /// With r = (1 + √(1 + 4κ²))/(2κ) and a wrapped-Cauchy proposal of cosine f = (1 + r c)/(r + c), c = cos πU. The angle is formed from
    /// 1 − f, and r − 1 without cancellation, so that any κ up to 1e15 is as accurate as κ = 1.
    pub fn von_mises(&mut self, concentration: f64) -> f64 {
        let root = (1.0 + 4.0 * concentration * concentration).sqrt();
        let r_minus_1 = (1.0 + 1.0 / (root + 2.0 * concentration)) / (2.0 * concentration);
        if !r_minus_1.is_finite() || r_minus_1 > 1e12 {
            // κ < 1e-12: the density differs from the uniform by less than 1e-12.
            return TAU * (self.uniform() - 0.5);
        }
        loop {
            let c = libm::cos(PI * self.uniform());
            let one_minus_f = r_minus_1 * (1.0 - c) / (1.0 + r_minus_1 + c);
            let y = concentration * (r_minus_1 + one_minus_f);
            // Accept with probability (y e^{1−y}), y e^{1-y} ≤ 1.
            if libm::log(self.uniform_open_low()) <= libm::log(y) + 1.0 - y {
                let angle = 2.0 * libm::asin((0.5 * one_minus_f).sqrt().min(1.0));
                return if self.next_u64() & 1 == 0 { angle } else { -angle };
            }
        }
    }

    /// Poisson with mean `mean` ≥ 0: products of uniforms below 10, else transformed rejection PTRS (Hörmann 1993, Insurance:
    /// Mathematics and Economics 12, 39).
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean < 10.0 {
            let bound = libm::exp(-mean);
            let mut product = self.uniform_open_low();
            let mut count = 0;
            while product > bound {
                product *= self.uniform_open_low();
                count += 1;
            }
            return count;
        }
        let log_mean = libm::log(mean);
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let v_r = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.uniform() - 0.5;
            let v = self.uniform_open_low();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= v_r {
                return k as u64;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let left = libm::log(v * inverse_alpha / (a / (us * us) + b));
            if left.is_nan() || left <= k * log_mean - mean - libm::lgamma(k + 1.0) {
                return k as u64;
            }
        }
    }

    /// Binomial: successes among `trials` of probability `p` in [0, 1]. Inversion where the mean is below 10, else transformed rejection
    /// BTRS (Hörmann 1993, Journal of Statistical Computation and Simulation 46, 101).
    pub fn binomial(&mut self, trials: u64, p: f64) -> u64 {
        if p <= 0.0 || trials == 0 {
            return 0;
        }
        if p >= 1.0 {
            return trials;
        }
        if p > 0.5 {
            return trials - self.binomial(trials, 1.0 - p);
        }
        let n = trials as f64;
        if n * p < 10.0 { self.binomial_by_inversion(trials, p) } else { self.binomial_by_rejection(n, p) }
    }

    /// Walks the cumulative distribution from 0; the mean is below 10, so the first term is above e^{-14}.
    fn binomial_by_inversion(&mut self, trials: u64, p: f64) -> u64 {
        let odds = p / (1.0 - p);
        let mut term = libm::exp(trials as f64 * libm::log1p(-p));
        let mut rest = self.uniform();
        let mut k = 0;
        while rest >= term && k < trials {
            rest -= term;
            k += 1;
            term *= odds * (trials - k + 1) as f64 / k as f64;
            if term == 0.0 {
                break;
            }
        }
        k
    }

    fn binomial_by_rejection(&mut self, n: f64, p: f64) -> u64 {
        let q = 1.0 - p;
        let spq = (n * p * q).sqrt();
        let b = 1.15 + 2.53 * spq;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let c = n * p + 0.5;
        let v_r = 0.92 - 4.2 / b;
        let alpha = (2.83 + 5.1 / b) * spq;
        let log_odds = libm::log(p / q);
        let mode = ((n + 1.0) * p).floor();
        let h = libm::lgamma(mode + 1.0) + libm::lgamma(n - mode + 1.0);
        loop {
            let u = self.uniform() - 0.5;
            let v = self.uniform_open_low();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + c).floor();
            if us >= 0.07 && v <= v_r {
                return k as u64;
            }
            if !(0.0..=n).contains(&k) {
                continue;
            }
            let left = libm::log(v * alpha / (a / (us * us) + b));
            if left <= h - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0) + (k - mode) * log_odds {
                return k as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rng::Seed;

    /// Draws against mean and variance: with `n` draws the mean's standard error is √(var/n), the variance's √((kurtosis − 1)/n) var.
    /// Bounds are 5 standard errors (false alarm 6e-7 each) with a generous kurtosis of 15.
    fn check_moments(name: &str, mean: f64, variance: f64, mut draw: impl FnMut(&mut super::Rng) -> f64) {
        let n = 200_000;
        let mut rng = Seed(11).stream(name, 0);
        let draws: Vec<f64> = (0..n).map(|_| draw(&mut rng)).collect();
        let n = f64::from(n);
        let m = draws.iter().sum::<f64>() / n;
        let v = draws.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / n;
        assert!((m - mean).abs() < 5.0 * (variance / n).sqrt(), "{name}: mean {m}, expected {mean}");
        assert!((v / variance - 1.0).abs() < 5.0 * (14.0 / n).sqrt(), "{name}: variance {v}, expected {variance}");
    }

    #[test]
    fn moments_are_those_of_the_distribution() {
        check_moments("exponential", 1.0, 1.0, |r| r.exponential());
        check_moments("gamma 0.7", 0.7, 0.7, |r| r.gamma(0.7));
        check_moments("gamma 5", 5.0, 5.0, |r| r.gamma(5.0));
        check_moments("beta", 2.0 / 5.0, 6.0 / (25.0 * 6.0), |r| r.beta(2.0, 3.0));
        check_moments("chi2", 4.0, 8.0, |r| r.chi2(4.0));
        check_moments("student", 0.0, 10.0 / 8.0, |r| r.student_t(10.0));
        check_moments("poisson 3", 3.0, 3.0, |r| r.poisson(3.0) as f64);
        check_moments("poisson 50", 50.0, 50.0, |r| r.poisson(50.0) as f64);
        check_moments("binomial small", 3.0, 3.0 * 0.97, |r| r.binomial(100, 0.03) as f64);
        check_moments("binomial large", 300.0, 210.0, |r| r.binomial(1000, 0.3) as f64);
        check_moments("binomial mirrored", 900.0, 90.0, |r| r.binomial(1000, 0.9) as f64);
        // Large κ: a normal of variance 1/κ (1 + 1/(2κ)) to this order.
        check_moments("von Mises", 0.0, 1e-4, |r| r.von_mises(1e4));
        check_moments("half normal", (2.0 / std::f64::consts::PI).sqrt(), 1.0 - 2.0 / std::f64::consts::PI, |r| {
            r.truncated_normal(0.0, f64::INFINITY)
        });
    }

    /// Pearson χ² of the counts against the probability mass function, for both branches of both samplers.
    #[test]
    fn discrete_draws_follow_the_probability_mass_function() {
        let n = 100_000;
        let log_choose = |n: f64, k: f64| libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
        type Case = (&'static str, Box<dyn FnMut(&mut super::Rng) -> u64>, Box<dyn Fn(f64) -> f64>);
        let poisson = |mean: f64| -> Case {
            (
                "poisson",
                Box::new(move |r: &mut super::Rng| r.poisson(mean)),
                Box::new(move |k| libm::exp(k * libm::log(mean) - mean - libm::lgamma(k + 1.0))),
            )
        };
        let binomial = |trials: u64, p: f64| -> Case {
            (
                "binomial",
                Box::new(move |r: &mut super::Rng| r.binomial(trials, p)),
                Box::new(move |k| {
                    let n = trials as f64;
                    if k > n { 0.0 } else { libm::exp(log_choose(n, k) + k * libm::log(p) + (n - k) * libm::log1p(-p)) }
                }),
            )
        };
        for (case, (name, mut draw, mass)) in
            [poisson(2.5), poisson(30.0), binomial(20, 0.2), binomial(200, 0.25), binomial(60, 0.8)].into_iter().enumerate()
        {
            let mut rng = Seed(2).stream(name, case as u64);
            let mut counts = vec![0u32; 400];
            for _ in 0..n {
                counts[draw(&mut rng) as usize] += 1;
            }
            let (mut chi2, mut cells) = (0.0, 0.0);
            for (k, &count) in counts.iter().enumerate() {
                let expected = f64::from(n) * mass(k as f64);
                if expected > 10.0 {
                    chi2 += (f64::from(count) - expected).powi(2) / expected;
                    cells += 1.0;
                }
            }
            // Mean `cells`, standard deviation √(2 cells): 5 of them.
            assert!(chi2 < cells + 5.0 * f64::sqrt(2.0 * cells), "{name} case {case}: chi2 {chi2} over {cells} cells");
        }
    }

    #[test]
    fn truncated_normal_stays_inside_in_every_regime() {
        let mut rng = Seed(4).stream("truncated", 0);
        let inf = f64::INFINITY;
        for (low, high) in [(-1.0, 1.0), (-5.0, 0.1), (3.0, inf), (-inf, -30.0), (40.0, 40.001), (-0.2, inf), (8.0, 20.0)] {
            for _ in 0..2000 {
                let z = rng.truncated_normal(low, high);
                assert!(low <= z && z <= high, "{z} outside [{low}, {high}]");
            }
        }
        // Far tail: mean of the excess beyond 30 is 1/30 (1 − 1/900 + …).
        let mean = (0..50_000).map(|_| rng.truncated_normal(30.0, inf) - 30.0).sum::<f64>() / 50_000.0;
        assert!((mean - 0.033_296).abs() < 5.0 * 0.0333 / 223.0, "{mean}");
    }

    #[test]
    fn small_beta_shapes_give_numbers() {
        let mut rng = Seed(8).stream("beta", 0);
        for _ in 0..1000 {
            let x = rng.beta(1e-4, 1e-4);
            assert!((0.0..=1.0).contains(&x));
        }
    }
}
