//! What training minimises: E_t E_{θ,ε} w(t) ‖F(y, t, x) - F*‖² with F* = θ sin φ - ε cos φ, over the mean of w.
//!
//! Every loss in use is this one with its own weight, because velocity, score, noise and denoised state are affine in F with
//! coefficients that the schedule fixes (see [`Marginal`]).

use crate::edm::LogNormalLevels;
use crate::schedule::{Marginal, NoiseSchedule};
use abduce_data::Rng;
use serde::{Deserialize, Serialize};

/// How noise levels weigh, named by what multiplies which residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Weighting {
    /// ‖v - (m' θ + σ' ε)‖², flow matching's own (Lipman et al. 2022, eq. 14): w = (v φ')².
    Velocity,
    /// g² ‖s + ε/σ‖² (Song et al. 2021, arXiv:2101.09258: a bound on the likelihood): w = g² cos²φ/σ² = 2 φ' cot φ.
    MaxLikelihood,
    /// σ² ‖s + ε/σ‖² = ‖ε̂ - ε‖²: w = cos²φ.
    Variance,
    /// ‖s + ε/σ‖²: w = cos²φ/σ². Its variance explodes where σ is small.
    Identity,
    /// ‖F - F*‖² itself, the weighting of Karras et al. 2022: w = 1.
    Unit,
}

/// How training times are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum TimeLaw {
    /// Uniform over the schedule's times.
    Uniform,
    /// Density ∝ τ^`exponent` in τ = (t - t_min)/(t_max - t_min): a positive exponent favours noise. Dax et al. 2023 (arXiv:2305.17161,
    /// section 3.3) use t^{1/(1+α)} with t counted from noise to data.
    Power {
        /// More than -1.
        exponent: f64,
    },
    /// Noise levels of Karras et al. 2022, kept inside the schedule's range; for [`NoiseSchedule::Edm`] only.
    LogNormal(LogNormalLevels),
}

/// The loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Weights of the noise levels.
    pub weighting: Weighting,
    /// Law of the times.
    pub times: TimeLaw,
    /// Where σ is below this, the control variate 2 ε·s(m θ)/σ + (‖ε‖² - d)/σ² of mean zero is subtracted from the loss of the score
    /// (Wang et al. 2020, arXiv:2002.07501, in sbi's form): it removes the part of the loss that is pure noise, for one more
    /// evaluation of the network per row. `None`: nowhere.
    pub control_variate_below: Option<f64>,
}

/// An objective that does not fit its schedule.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// A power law that can't be normalised.
    #[error("training times: the exponent is {0}, expected a finite number above -1")]
    Exponent(f64),
    /// A log-normal law without a width.
    #[error("training times: ln σ has mean {mean} and standard deviation {std}, expected finite numbers and a positive deviation")]
    Levels {
        /// P_mean.
        mean: f64,
        /// P_std.
        std: f64,
    },
    /// Log-normal noise levels where time is not the noise level.
    #[error("training times: log-normal noise levels need the schedule edm, not {0}")]
    NotLevels(&'static str),
    /// A threshold that is no number.
    #[error("control variate: the threshold is {0}, expected a positive number")]
    Threshold(f64),
}

impl Objective {
    /// The usual objective of a schedule: flow matching's velocities at uniform times; for VE, VP and sub-VP the likelihood weighting with
    /// the control variate below σ = 0.3 (sbi's defaults); for EDM unit weights at log-normal levels.
    pub fn of(schedule: &NoiseSchedule) -> Self {
        match schedule {
            NoiseSchedule::FlowMatching { .. } => {
                Self { weighting: Weighting::Velocity, times: TimeLaw::Uniform, control_variate_below: None }
            }
            NoiseSchedule::Ve { .. } | NoiseSchedule::Vp { .. } | NoiseSchedule::SubVp { .. } => {
                Self { weighting: Weighting::MaxLikelihood, times: TimeLaw::Uniform, control_variate_below: Some(0.3) }
            }
            NoiseSchedule::Edm { .. } => {
                Self { weighting: Weighting::Unit, times: TimeLaw::LogNormal(LogNormalLevels::default()), control_variate_below: None }
            }
        }
    }

    /// Checks the constants.
    ///
    /// # Errors
    /// See [`ObjectiveError`].
    pub fn check(&self, schedule: &NoiseSchedule) -> Result<(), ObjectiveError> {
        match self.times {
            TimeLaw::Power { exponent } if !(exponent > -1.0 && exponent.is_finite()) => return Err(ObjectiveError::Exponent(exponent)),
            TimeLaw::LogNormal(LogNormalLevels { mean, std }) if !(mean.is_finite() && std > 0.0 && std.is_finite()) => {
                return Err(ObjectiveError::Levels { mean, std });
            }
            TimeLaw::LogNormal(_) if !matches!(schedule, NoiseSchedule::Edm { .. }) => {
                return Err(ObjectiveError::NotLevels(schedule.name()));
            }
            _ => {}
        }
        match self.control_variate_below {
            Some(threshold) if threshold.is_nan() || threshold <= 0.0 => Err(ObjectiveError::Threshold(threshold)),
            _ => Ok(()),
        }
    }

    /// Whether the loss needs the network at the noise-free state too.
    pub const fn is_controlled(&self) -> bool {
        self.control_variate_below.is_some()
    }

    /// w(t).
    pub fn weight(&self, schedule: &NoiseSchedule, t: f64) -> f64 {
        let Marginal { std, total, cos, sin, .. } = schedule.marginal(t);
        match self.weighting {
            Weighting::Velocity => (total * schedule.angle_rate(t)).powi(2),
            Weighting::MaxLikelihood => 2.0 * schedule.angle_rate(t) * cos / sin,
            Weighting::Variance => cos * cos,
            Weighting::Identity => (cos / std).powi(2),
            Weighting::Unit => 1.0,
        }
    }

    /// Mean of w over the law of the times, by the midpoint rule with 1024 points.
    ///
    /// Training divides the loss by it: that moves no minimum, but gives every objective gradients of the same size, so that learning rate
    /// and clipping mean the same for all.
    pub fn mean_weight(&self, schedule: &NoiseSchedule) -> f64 {
        const POINTS: usize = 1024;
        let middles = (0..POINTS).map(|i| (i as f64 + 0.5) / POINTS as f64);
        if let TimeLaw::LogNormal(levels) = self.times {
            // Six deviations to either side, weighted by the normal density.
            let (mut total, mut mass) = (0.0, 0.0);
            for z in middles.map(|u| 12.0 * u - 6.0) {
                let density = libm::exp(-0.5 * z * z);
                total += density * self.weight(schedule, levels.level(schedule, z));
                mass += density;
            }
            return total / mass;
        }
        middles.map(|u| self.weight(schedule, self.time_at(schedule, u))).sum::<f64>() / POINTS as f64
    }

    /// A time from `u` in [0, 1), or from the stream where the law has no simple inverse.
    pub(crate) fn time(&self, schedule: &NoiseSchedule, u: f64, rng: &mut Rng) -> f64 {
        match self.times {
            TimeLaw::LogNormal(levels) => levels.level(schedule, rng.normal()),
            TimeLaw::Uniform | TimeLaw::Power { .. } => self.time_at(schedule, u),
        }
    }

    /// The u-quantile of the times.
    fn time_at(&self, schedule: &NoiseSchedule, u: f64) -> f64 {
        let (low, high) = schedule.times();
        match self.times {
            TimeLaw::Power { exponent } => low + libm::pow(u, 1.0 / (1.0 + exponent)) * (high - low),
            _ => low + u * (high - low),
        }
    }
}

impl LogNormalLevels {
    /// e^{mean + std z}, kept inside the schedule's range.
    fn level(&self, schedule: &NoiseSchedule, z: f64) -> f64 {
        let (low, high) = schedule.times();
        libm::exp(self.mean + self.std * z).clamp(low, high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    /// Closed forms: for EDM's unit weights 1; for VE's likelihood weights ∫ 2 ln r/(1 + σ²) dt = ln[σ²/(1 + σ²)] between the ends; for the noise's weights on
    /// flow matching's path with a vanishing floor ∫ (1-t)²/((1-t)² + t²) dt = 1/2 by symmetry.
    #[test]
    fn mean_weights_are_those_of_the_closed_forms() {
        let close = |objective: Objective, schedule: NoiseSchedule, want: f64| {
            let got = objective.mean_weight(&schedule);
            assert!((got / want - 1.0).abs() < 1e-4, "{schedule:?}: {got} instead of {want}");
        };
        close(Objective::of(&NoiseSchedule::edm()), NoiseSchedule::edm(), 1.0);
        let share = |sigma: f64| (sigma * sigma / (1.0 + sigma * sigma)).ln();
        close(Objective::of(&NoiseSchedule::ve()), NoiseSchedule::ve(), share(10.0) - share(1e-4));
        let path = NoiseSchedule::FlowMatching { floor: 1e-9 };
        close(Objective { weighting: Weighting::Variance, ..Objective::of(&path) }, path, 0.5);
        // cos²φ = 1/(1 + σ²) under a narrow law around σ = 1.
        let narrow = TimeLaw::LogNormal(LogNormalLevels { mean: 0.0, std: 1e-3 });
        close(
            Objective { weighting: Weighting::Variance, times: narrow, ..Objective::of(&NoiseSchedule::edm()) },
            NoiseSchedule::edm(),
            0.5,
        );
    }

    /// Each weight against the residual that its name stands for, formed from its definition.
    #[test]
    fn weights_are_those_of_the_losses_they_name() {
        let schedules =
            [NoiseSchedule::flow_matching(), NoiseSchedule::ve(), NoiseSchedule::vp(), NoiseSchedule::sub_vp(), NoiseSchedule::edm()];
        let (theta, noise, f) = (0.8, -1.1, 0.35);
        for schedule in schedules {
            for t in [0.01, 0.2, 0.5, 0.9] {
                let at = schedule.marginal(t);
                let (mean_rate, std_rate) = schedule.rates(t);
                let (y, target) = at.reflect(theta, noise);
                let (denoised, noise_hat) = at.reflect(y, f);
                let residual = (f - target).powi(2);
                let velocity = (mean_rate * denoised + std_rate * noise_hat - mean_rate * theta - std_rate * noise).powi(2);
                let score = (-noise_hat / at.std + noise / at.std).powi(2);
                let losses = [
                    (Weighting::Velocity, velocity),
                    (Weighting::MaxLikelihood, schedule.diffusion(t).powi(2) * score),
                    (Weighting::Variance, (noise_hat - noise).powi(2)),
                    (Weighting::Identity, score),
                    (Weighting::Unit, residual),
                ];
                for (weighting, loss) in losses {
                    let objective = Objective { weighting, ..Objective::of(&schedule) };
                    let weighted = objective.weight(&schedule, t) * residual;
                    assert!((weighted / loss - 1.0).abs() < 1e-9, "{schedule:?} at {t}, {weighting:?}: {weighted} instead of {loss}");
                }
            }
        }
    }

    /// Means over 20 000 draws: of τ under τ² it is 3/4 with standard error 0.0014; of ln σ it is -1.2 with 0.0085. Bounds at 4.5.
    #[test]
    fn times_follow_their_laws() {
        let mut rng = Seed(2).stream("times", 0);
        let schedule = NoiseSchedule::vp();
        let law = |times| Objective { times, ..Objective::of(&schedule) };
        let n = 20_000;
        let mean = |f: &mut dyn FnMut(f64) -> f64| (0..n).map(|i| f((f64::from(i) + 0.5) / f64::from(n))).sum::<f64>() / f64::from(n);
        let square = law(TimeLaw::Power { exponent: 2.0 });
        let uniform = law(TimeLaw::Uniform);
        assert!((mean(&mut |u| square.time(&schedule, u, &mut rng)) - (1e-3 + 0.999 * 0.75)).abs() < 1e-3);
        assert!((mean(&mut |u| uniform.time(&schedule, u, &mut rng)) - 0.5005).abs() < 1e-3);
        let (edm, levels) = (NoiseSchedule::edm(), Objective::of(&NoiseSchedule::edm()));
        assert!((mean(&mut |u| levels.time(&edm, u, &mut rng).ln()) + 1.2).abs() < 0.04);
    }

    #[test]
    fn objectives_that_do_not_fit_are_errors() {
        let ve = NoiseSchedule::ve();
        let with = |times| Objective { times, ..Objective::of(&ve) }.check(&ve);
        assert_eq!(with(TimeLaw::Power { exponent: -1.0 }), Err(ObjectiveError::Exponent(-1.0)));
        assert_eq!(with(TimeLaw::LogNormal(LogNormalLevels::default())), Err(ObjectiveError::NotLevels("ve")));
        let levels = LogNormalLevels { mean: 0.0, std: 0.0 };
        assert!(
            Objective { times: TimeLaw::LogNormal(levels), ..Objective::of(&NoiseSchedule::edm()) }.check(&NoiseSchedule::edm()).is_err()
        );
        assert_eq!(Objective { control_variate_below: Some(-0.1), ..Objective::of(&ve) }.check(&ve), Err(ObjectiveError::Threshold(-0.1)));
        assert!(with(TimeLaw::Uniform).is_ok());
    }
}
