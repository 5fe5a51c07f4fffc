//! How noise is mixed in: θ_t = m(t) θ + σ(t) ε with ε ~ N(0, I).
//!
//! Every Gaussian path is the marginal of a linear stochastic differential equation dθ = f(t) θ dt + g(t) dw, since m and σ fix
//! f = m'/m and g² = (σ²)' - 2 f σ² (Song et al. 2021, arXiv:2011.13456; Kingma et al. 2021, arXiv:2107.00630). Flow matching's straight
//! path (Lipman et al. 2022, arXiv:2210.02747) is one of them, so flows and scores differ only in the schedule and in how the times weigh.
//!
//! For data of unit variance (standardised ones) the natural coordinates are the scaled state y = θ_t/√(m² + σ²) and the angle
//! φ = arctan(σ/m): y = θ cos φ + ε sin φ. See [`Marginal`].

use serde::{Deserialize, Serialize};

/// A path from data to noise. Its serialised form is part of the model file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum NoiseSchedule {
    /// The straight path of flow matching: m = 1 - t, σ = t + `floor`, t ∈ [0, 1].
    FlowMatching {
        /// σ at t = 0.
        floor: f64,
    },
    /// Variance exploding (Song et al. 2021): m = 1, σ = σ_min (σ_max/σ_min)^t, t ∈ [0, 1]. The process starts from data blurred by
    /// σ_min, so that σ² is exact: from sharp data the variance would be σ(t)² - σ_min².
    Ve {
        /// σ at t = 0.
        sigma_min: f64,
        /// σ at t = 1.
        sigma_max: f64,
    },
    /// Variance preserving: β = β_min + t (β_max - β_min), B = ∫β, m = e^{-B/2}, σ² = 1 - e^{-B}, t ∈ [`start`, 1].
    Vp {
        /// β at t = 0.
        beta_min: f64,
        /// β at t = 1.
        beta_max: f64,
        /// Smallest time: σ vanishes at 0.
        start: f64,
    },
    /// Sub-variance preserving: as VP with σ = 1 - e^{-B}.
    SubVp {
        /// β at t = 0.
        beta_min: f64,
        /// β at t = 1.
        beta_max: f64,
        /// Smallest time: σ vanishes at 0.
        start: f64,
    },
    /// Karras et al. 2022 (arXiv:2206.00364): m = 1 and time is the noise level itself, σ = t ∈ [σ_min, σ_max].
    Edm {
        /// Smallest noise level.
        sigma_min: f64,
        /// Largest noise level.
        sigma_max: f64,
    },
}

/// A schedule that makes no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("noise schedule {schedule}: {field} is {value}, expected {expected}")]
pub struct ScheduleError {
    /// Its kind.
    pub schedule: &'static str,
    /// The offending field.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What would be right.
    pub expected: &'static str,
}

/// The law of θ_t given θ at one time, as a scale v = √(m² + σ²) and the angle φ with m = v cos φ, σ = v sin φ.
///
/// The pairs (θ, ε) and (y, F) with y = θ cos φ + ε sin φ (the scaled noisy state) and F = θ sin φ - ε cos φ are reflections of each
/// other, so one function converts both ways. A network that sees y and estimates E[F | y] estimates with it, all exactly:
/// the denoised state E[θ | y] = y cos φ + F sin φ, the noise E[ε | y] = y sin φ - F cos φ, the score -E[ε | y]/σ, and the
/// probability flow, which is dy/dφ = -F for *every* schedule. Inputs and targets have unit variance at every noise level; for the
/// schedules with m = 1 this is the preconditioning of Karras et al. 2022 with σ_data = 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Marginal {
    /// m: what is left of the data.
    pub mean: f64,
    /// σ: standard deviation of the noise.
    pub std: f64,
    /// v = √(m² + σ²): standard deviation of θ_t for data of unit variance.
    pub total: f64,
    /// cos φ = m/v.
    pub cos: f64,
    /// sin φ = σ/v.
    pub sin: f64,
}

impl Marginal {
    /// From m ≥ 0 and σ > 0.
    pub fn new(mean: f64, std: f64) -> Self {
        let total = libm::hypot(mean, std);
        Self { mean, std, total, cos: mean / total, sin: std / total }
    }

    /// (a, b) → (a cos φ + b sin φ, a sin φ - b cos φ), its own inverse: (θ, ε) ↔ (y, F).
    pub fn reflect(&self, a: f64, b: f64) -> (f64, f64) {
        (self.cos * a + self.sin * b, self.sin * a - self.cos * b)
    }
}

impl NoiseSchedule {
    /// Flow matching with sbi's floor of 1e-3.
    pub const fn flow_matching() -> Self {
        Self::FlowMatching { floor: 1e-3 }
    }

    /// VE with sbi's σ ∈ [1e-4, 10].
    pub const fn ve() -> Self {
        Self::Ve { sigma_min: 1e-4, sigma_max: 10.0 }
    }

    /// VP with sbi's β ∈ [0.01, 10]. At t = 1, m = 0.08: draws start from N(0, I) though 8 % of the posterior's mean is left in them.
    pub const fn vp() -> Self {
        Self::Vp { beta_min: 0.01, beta_max: 10.0, start: 1e-3 }
    }

    /// Sub-VP with sbi's β ∈ [0.01, 10].
    pub const fn sub_vp() -> Self {
        Self::SubVp { beta_min: 0.01, beta_max: 10.0, start: 1e-3 }
    }

    /// Noise levels of Karras et al. 2022: [0.002, 80].
    pub const fn edm() -> Self {
        Self::Edm { sigma_min: 0.002, sigma_max: 80.0 }
    }

    /// The kind's name, as in configuration files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FlowMatching { .. } => "flow_matching",
            Self::Ve { .. } => "ve",
            Self::Vp { .. } => "vp",
            Self::SubVp { .. } => "sub_vp",
            Self::Edm { .. } => "edm",
        }
    }

    /// Checks the constants.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), ScheduleError> {
        let demand = |ok: bool, field, value, expected| {
            if ok { Ok(()) } else { Err(ScheduleError { schedule: self.name(), field, value, expected }) }
        };
        let positive = |field, value: f64| demand(value > 0.0 && value.is_finite(), field, value, "a positive number");
        match *self {
            Self::FlowMatching { floor } => {
                positive("floor", floor)?;
                demand(floor < 1.0, "floor", floor, "less than 1")
            }
            Self::Ve { sigma_min, sigma_max } | Self::Edm { sigma_min, sigma_max } => {
                positive("sigma_min", sigma_min)?;
                positive("sigma_max", sigma_max)?;
                demand(sigma_max > sigma_min, "sigma_max", sigma_max, "more than sigma_min")
            }
            Self::Vp { beta_min, beta_max, start } | Self::SubVp { beta_min, beta_max, start } => {
                positive("beta_min", beta_min)?;
                positive("beta_max", beta_max)?;
                demand(beta_max >= beta_min, "beta_max", beta_max, "at least beta_min")?;
                positive("start", start)?;
                demand(start < 1.0, "start", start, "less than 1")
            }
        }
    }

    /// Smallest and largest time.
    pub const fn times(&self) -> (f64, f64) {
        match *self {
            Self::FlowMatching { .. } | Self::Ve { .. } => (0.0, 1.0),
            Self::Vp { start, .. } | Self::SubVp { start, .. } => (start, 1.0),
            Self::Edm { sigma_min, sigma_max } => (sigma_min, sigma_max),
        }
    }

    /// m(t) and σ(t).
    pub fn marginal(&self, t: f64) -> Marginal {
        match *self {
            Self::FlowMatching { floor } => Marginal::new(1.0 - t, t + floor),
            Self::Ve { sigma_min, sigma_max } => Marginal::new(1.0, sigma_min * libm::pow(sigma_max / sigma_min, t)),
            // 1 - e^{-B} without cancellation near t = 0.
            Self::Vp { .. } => Marginal::new(libm::exp(-0.5 * self.integrated_beta(t)), (-libm::expm1(-self.integrated_beta(t))).sqrt()),
            Self::SubVp { .. } => Marginal::new(libm::exp(-0.5 * self.integrated_beta(t)), -libm::expm1(-self.integrated_beta(t))),
            Self::Edm { .. } => Marginal::new(1.0, t),
        }
    }

    /// m'(t) and σ'(t).
    pub fn rates(&self, t: f64) -> (f64, f64) {
        self.rates_at(t, &self.marginal(t))
    }

    fn rates_at(&self, t: f64, &Marginal { mean, std, .. }: &Marginal) -> (f64, f64) {
        match *self {
            Self::FlowMatching { .. } => (-1.0, 1.0),
            Self::Ve { sigma_min, sigma_max } => (0.0, std * libm::log(sigma_max / sigma_min)),
            Self::Vp { .. } => (-0.5 * self.beta(t) * mean, 0.5 * self.beta(t) * mean * mean / std),
            Self::SubVp { .. } => (-0.5 * self.beta(t) * mean, self.beta(t) * mean * mean),
            Self::Edm { .. } => (0.0, 1.0),
        }
    }

    /// The drift's coefficient f of dθ = f θ dt + g dw; -∞ at the end of flow matching's path.
    pub fn drift(&self, t: f64) -> f64 {
        match *self {
            Self::FlowMatching { .. } => -1.0 / (1.0 - t),
            Self::Ve { .. } | Self::Edm { .. } => 0.0,
            Self::Vp { .. } | Self::SubVp { .. } => -0.5 * self.beta(t),
        }
    }

    /// The diffusion's coefficient g; ∞ at the end of flow matching's path.
    pub fn diffusion(&self, t: f64) -> f64 {
        let Marginal { std, .. } = self.marginal(t);
        let square = match *self {
            Self::FlowMatching { .. } => 2.0 * std * (1.0 + std / (1.0 - t)),
            Self::Ve { sigma_min, sigma_max } => 2.0 * libm::log(sigma_max / sigma_min) * std * std,
            Self::Vp { .. } => self.beta(t),
            Self::SubVp { .. } => -self.beta(t) * libm::expm1(-2.0 * self.integrated_beta(t)),
            Self::Edm { .. } => 2.0 * t,
        };
        square.sqrt()
    }

    /// dφ/dt = (σ' m - m' σ)/v² with φ = arctan(σ/m): positive and finite, so the probability flow dy/dt = -φ'(t) F has no singularity.
    pub fn angle_rate(&self, t: f64) -> f64 {
        let marginal = self.marginal(t);
        let (mean_rate, std_rate) = self.rates_at(t, &marginal);
        (std_rate * marginal.mean - mean_rate * marginal.std) / (marginal.total * marginal.total)
    }

    /// What the network sees as time: t, or ln(σ)/4 where time is the noise level (Karras et al. 2022, table 1).
    pub fn label(&self, t: f64) -> f64 {
        match self {
            Self::Edm { .. } => 0.25 * libm::log(t),
            _ => t,
        }
    }

    /// `steps + 1` times from the largest to the smallest, for fixed-step samplers: uniform, or the power law of exponent 7 of
    /// [`edm::grid`](crate::edm::grid) where time is the noise level.
    pub fn grid(&self, steps: usize) -> Vec<f64> {
        let steps = steps.max(1);
        let (low, high) = self.times();
        match self {
            Self::Edm { sigma_min, sigma_max } => crate::edm::grid(steps + 1, *sigma_min, *sigma_max, crate::edm::RHO),
            _ => (0..=steps).map(|i| high + (low - high) * (i as f64 / steps as f64)).collect(),
        }
    }

    /// The forward kernel from time `s` to a later time `t`, θ_t = a θ_s + √q z: (a, q) = (m_t/m_s, σ_t² - a² σ_s²).
    pub fn kernel(&self, s: f64, t: f64) -> (f64, f64) {
        let (from, to) = (self.marginal(s), self.marginal(t));
        let a = to.mean / from.mean;
        let b = a * from.std;
        (a, (to.std - b) * (to.std + b))
    }

    fn beta(&self, t: f64) -> f64 {
        match *self {
            Self::Vp { beta_min, beta_max, .. } | Self::SubVp { beta_min, beta_max, .. } => beta_min + t * (beta_max - beta_min),
            _ => 0.0,
        }
    }

    fn integrated_beta(&self, t: f64) -> f64 {
        match *self {
            Self::Vp { beta_min, beta_max, .. } | Self::SubVp { beta_min, beta_max, .. } => {
                t * (beta_min + 0.5 * t * (beta_max - beta_min))
            }
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [NoiseSchedule; 5] =
        [NoiseSchedule::flow_matching(), NoiseSchedule::ve(), NoiseSchedule::vp(), NoiseSchedule::sub_vp(), NoiseSchedule::edm()];

    /// 97 times inside the range, geometric for the noise levels of EDM.
    fn inside(schedule: &NoiseSchedule) -> impl Iterator<Item = f64> {
        let (low, high) = schedule.times();
        let geometric = matches!(schedule, NoiseSchedule::Edm { .. });
        (1..98).map(move |i| {
            let u = f64::from(i) / 98.0;
            if geometric { low * (high / low).powf(u) } else { low + u * (high - low) }
        })
    }

    /// dm/dt = f m and dσ²/dt = 2 f σ² + g² (Särkkä & Solin 2019, eq. 5.50-5.51), derivatives by central differences of fourth order
    /// with steps of 1e-3 t or of the distance to the end: truncation 1e-11, rounding 1e-13/1e-3, relative to the terms.
    #[test]
    fn marginals_solve_the_moment_equations() {
        for schedule in ALL {
            let (_, high) = schedule.times();
            for t in inside(&schedule) {
                let h = 1e-3 * t.min(high - t);
                let slope = |f: &dyn Fn(f64) -> f64| (8.0 * (f(t + h) - f(t - h)) - (f(t + 2.0 * h) - f(t - 2.0 * h))) / (12.0 * h);
                let at = schedule.marginal(t);
                let (mean_rate, std_rate) = schedule.rates(t);
                let (f, g) = (schedule.drift(t), schedule.diffusion(t));
                let close = |what: &str, a: f64, b: f64, size: f64| {
                    assert!((a - b).abs() < 1e-8 * size, "{schedule:?} at {t}: {what} {a} instead of {b}");
                };
                close("m'", mean_rate, slope(&|t| schedule.marginal(t).mean), 1.0 + mean_rate.abs());
                close("σ'", std_rate, slope(&|t| schedule.marginal(t).std), at.std / t.min(1.0) + std_rate);
                close("f m", f * at.mean, mean_rate, 1.0 + mean_rate.abs());
                let variance_rate = 2.0 * at.std * std_rate;
                let terms = (2.0 * f * at.std * at.std).abs() + g * g;
                close("2fσ² + g²", 2.0 * f * at.std * at.std + g * g, variance_rate, terms);
                let angle = slope(&|t| schedule.marginal(t).std.atan2(schedule.marginal(t).mean));
                close("φ'", schedule.angle_rate(t), angle, 1.0 + angle);
                assert!(schedule.angle_rate(t) > 0.0);
            }
        }
    }

    #[test]
    fn ends_are_those_of_the_definitions() {
        let at = |schedule: NoiseSchedule, t: f64| (schedule.marginal(t).mean, schedule.marginal(t).std);
        assert_eq!(at(NoiseSchedule::flow_matching(), 0.0), (1.0, 1e-3));
        assert_eq!(at(NoiseSchedule::flow_matching(), 1.0), (0.0, 1.001));
        let ve = NoiseSchedule::ve();
        assert_eq!(at(ve, 0.0), (1.0, 1e-4));
        assert!((at(ve, 1.0).1 - 10.0).abs() < 1e-12);
        // Halfway in time is halfway in the logarithm: √(1e-4 · 10).
        assert!((at(ve, 0.5).1 - 1e-3f64.sqrt()).abs() < 1e-14);
        // α(1) = e^{-(β_max + β_min)/4}: Song's schedule, not a cosine or e^{t² ln α}.
        let (mean, std) = at(NoiseSchedule::vp(), 1.0);
        assert!((mean - (-10.01f64 / 4.0).exp()).abs() < 1e-15 && (std * std + mean * mean - 1.0).abs() < 1e-15);
        let (mean, std) = at(NoiseSchedule::sub_vp(), 1.0);
        assert!((std - (1.0 - mean * mean)).abs() < 1e-15);
        assert_eq!(at(NoiseSchedule::edm(), 80.0), (1.0, 80.0));
        // Near 0 the noise of VP and sub-VP keeps its digits: B = 1e-10 β_min.
        let b: f64 = 1e-10 * 0.01;
        assert!((at(NoiseSchedule::vp(), 1e-10).1 / b.sqrt() - 1.0).abs() < 1e-6);
        assert!((at(NoiseSchedule::sub_vp(), 1e-10).1 / b - 1.0).abs() < 1e-6);
        for schedule in ALL {
            let (low, high) = schedule.times();
            assert!(schedule.marginal(low).std > 0.0 && schedule.angle_rate(low).is_finite() && schedule.angle_rate(high).is_finite());
            assert!(schedule.check().is_ok());
        }
    }

    /// Kernels compose: from s to t to u is from s to u, and a² σ_s² + q is σ_t².
    #[test]
    fn kernels_compose() {
        for schedule in ALL {
            let times: Vec<f64> = inside(&schedule).step_by(16).collect();
            for w in times.windows(3) {
                let ((a1, q1), (a2, q2), (a, q)) = (schedule.kernel(w[0], w[1]), schedule.kernel(w[1], w[2]), schedule.kernel(w[0], w[2]));
                assert!((a1 * a2 - a).abs() < 1e-13 && (a2 * a2 * q1 + q2 - q).abs() < 1e-12 * q, "{schedule:?}");
                assert!(q1 > 0.0);
            }
        }
    }

    #[test]
    fn the_reflection_is_its_own_inverse_and_an_isometry() {
        let at = NoiseSchedule::vp().marginal(0.3);
        let (y, f) = at.reflect(0.7, -1.3);
        let (theta, noise) = at.reflect(y, f);
        assert!((theta - 0.7).abs() < 1e-15 && (noise + 1.3).abs() < 1e-15);
        assert!((at.total * y - (at.mean * 0.7 - at.std * 1.3)).abs() < 1e-15);
    }

    #[test]
    fn grids_run_from_noise_to_data() {
        for schedule in ALL {
            let (low, high) = schedule.times();
            let grid = schedule.grid(10);
            assert_eq!(grid.len(), 11);
            assert!((grid[0] - high).abs() < 1e-12 * high && (grid[10] - low).abs() < 1e-12, "{schedule:?}: {grid:?}");
            assert!(grid.windows(2).all(|w| w[1] < w[0]));
        }
    }

    #[test]
    fn senseless_constants_are_errors() {
        for schedule in [
            NoiseSchedule::FlowMatching { floor: 0.0 },
            NoiseSchedule::Ve { sigma_min: 1.0, sigma_max: 1.0 },
            NoiseSchedule::Vp { beta_min: 0.1, beta_max: 0.01, start: 1e-3 },
            NoiseSchedule::SubVp { beta_min: 0.1, beta_max: 10.0, start: 0.0 },
            NoiseSchedule::Edm { sigma_min: f64::NAN, sigma_max: 1.0 },
        ] {
            assert!(schedule.check().is_err(), "{schedule:?}");
        }
        let error = NoiseSchedule::FlowMatching { floor: 2.0 }.check().unwrap_err();
        assert_eq!(error.to_string(), "noise schedule flow_matching: floor is 2, expected less than 1");
    }
}
