//! The scale factors that a run stops at.

use super::PmError;
use serde::{Deserialize, Serialize};

/// How steps are spaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-kind" = "spacing"))]
pub enum Spacing {
    /// Equal steps of a: most of them late, where haloes form.
    #[default]
    Linear,
    /// Equal steps of ln a: more of them early.
    Logarithmic,
}

/// The scale factors between which particles are moved, rising.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    a: Vec<f64>,
}

/// The earliest start: growth factors are exact from 1e-4 on, and nobody starts a mesh before z = 999.
const EARLIEST: f64 = 1e-3;

impl Schedule {
    /// A schedule through these scale factors.
    ///
    /// # Errors
    /// Fewer than two, not rising, or outside [0.001, 1].
    pub fn new(a: Vec<f64>) -> Result<Self, PmError> {
        let (first, last) = (a.first().copied().unwrap_or(0.0), a.last().copied().unwrap_or(0.0));
        if a.len() < 2 || !(EARLIEST..=1.0).contains(&first) || !(EARLIEST..=1.0).contains(&last) {
            return Err(PmError::Schedule { before: first, after: last });
        }
        // Not-a-number is neither above nor below.
        if let Some(pair) = a.windows(2).find(|pair| pair[1].partial_cmp(&pair[0]) != Some(std::cmp::Ordering::Greater)) {
            return Err(PmError::Schedule { before: pair[0], after: pair[1] });
        }
        Ok(Self { a })
    }

    /// `steps` steps from `first` to `last`; `outputs` between them become stops of their own, in place of the nearest stop where that is within a
    /// quarter of a step.
    ///
    /// # Errors
    /// No steps, or scale factors that do not rise within [0.001, 1]; an output outside them.
    pub fn spaced(first: f64, last: f64, steps: usize, spacing: Spacing, outputs: &[f64]) -> Result<Self, PmError> {
        if !(1..=100_000).contains(&steps) {
            return Err(PmError::Range { name: "steps", value: steps as f64, range: "1 to 100000" });
        }
        if !(first >= EARLIEST && last > first && last <= 1.0) {
            return Err(PmError::Schedule { before: first, after: last });
        }
        let at = |i: usize| {
            let t = i as f64 / steps as f64;
            match spacing {
                _ if i == 0 => first,
                _ if i == steps => last,
                Spacing::Linear => first + (last - first) * t,
                Spacing::Logarithmic => first * libm::pow(last / first, t),
            }
        };
        let mut a: Vec<f64> = (0..=steps).map(at).collect();
        for &output in outputs {
            if !(first..=last).contains(&output) {
                return Err(PmError::Range { name: "output", value: output, range: "the scale factors of the run" });
            }
            let nearest = (0..a.len()).min_by(|&i, &j| (a[i] - output).abs().total_cmp(&(a[j] - output).abs())).unwrap_or(0);
            let step = a[(nearest + 1).min(a.len() - 1)] - a[nearest.saturating_sub(1)];
            let inside = nearest > 0 && nearest + 1 < a.len() && !outputs.contains(&a[nearest]);
            if a[nearest] == output {
                continue;
            }
            if inside && (a[nearest] - output).abs() < 0.125 * step {
                a[nearest] = output;
            } else {
                a.push(output);
                a.sort_by(f64::total_cmp);
            }
        }
        Self::new(a)
    }

    /// The scale factors.
    pub fn scale_factors(&self) -> &[f64] {
        &self.a
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.a.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_become_stops_and_ends_are_exact() {
        let schedule = Schedule::spaced(0.1, 1.0, 10, Spacing::Linear, &[2.0 / 3.0, 0.5]).unwrap();
        let a = schedule.scale_factors();
        assert!(a.contains(&(2.0 / 3.0)) && a.contains(&0.5));
        assert_eq!((a[0], *a.last().unwrap()), (0.1, 1.0));
        assert!(a.windows(2).all(|pair| pair[1] > pair[0]), "{a:?}");
        assert_eq!(Schedule::spaced(0.1, 1.0, 10, Spacing::Linear, &[]).unwrap().steps(), 10);
    }

    #[test]
    fn nonsense_is_refused() {
        for a in [vec![], vec![0.5], vec![0.1, 0.1], vec![0.1, f64::NAN, 1.0], vec![1e-4, 1.0], vec![0.1, 1.1]] {
            assert!(Schedule::new(a.clone()).is_err(), "{a:?}");
        }
        assert!(Schedule::spaced(0.1, 1.0, 0, Spacing::Linear, &[]).is_err());
        assert!(Schedule::spaced(0.1, 0.5, 5, Spacing::Linear, &[0.7]).is_err());
    }
}
