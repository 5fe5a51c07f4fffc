//! The interval that one parameter lives on.

/// A closed interval [low, high]; either bound may be infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// The whole real line.
    pub const REAL: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
    /// θ ≥ 0.
    pub const POSITIVE: Self = Self { low: 0.0, high: f64::INFINITY };

    /// Whether `low` ≤ `theta` ≤ `high`; NaN is nowhere.
    pub fn contains(&self, theta: f64) -> bool {
        self.low <= theta && theta <= self.high
    }

    /// Whether some number of the interval rounds to `theta` in single precision: the right question for a θ read from an f32 file, where
    /// 0.1 is stored as 0.10000000149.
    pub fn contains_rounded(&self, theta: f32) -> bool {
        self.low as f32 <= theta && theta <= self.high as f32
    }

    /// The smallest and the largest single-precision number strictly inside the interval (finite; next to 0 the smallest *normal* number,
    /// since some hardware flushes smaller ones to 0).
    ///
    /// Rounding to f32 is monotonic and keeps these two, so an f64 clamped between them stays strictly inside when it is cast.
    pub fn interior_f32(&self) -> (f32, f32) {
        let mut low = if self.low == f64::NEG_INFINITY { f32::MIN } else { self.low as f32 };
        if f64::from(low) <= self.low {
            low = low.next_up();
        }
        let mut high = if self.high == f64::INFINITY { f32::MAX } else { self.high as f32 };
        if f64::from(high) >= self.high {
            high = high.next_down();
        }
        if low > 0.0 && low < f32::MIN_POSITIVE {
            low = f32::MIN_POSITIVE;
        }
        if high < 0.0 && high > -f32::MIN_POSITIVE {
            high = -f32::MIN_POSITIVE;
        }
        (low, high)
    }

    /// `theta` moved to the nearest value between the two of [`Self::interior_f32`] where it lies beyond them.
    pub fn clamp_inside(&self, theta: f64) -> f64 {
        let (low, high) = self.interior_f32();
        theta.max(f64::from(low)).min(f64::from(high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interior_is_strictly_inside_and_survives_the_cast() {
        for (low, high) in [(0.0, 1.0), (0.1, 0.2), (-0.3, 0.0), (1e6, 1e6 + 1.0), (f64::NEG_INFINITY, 0.1), (0.7, f64::INFINITY)] {
            let interval = Interval { low, high };
            let (inner_low, inner_high) = interval.interior_f32();
            assert!(low < f64::from(inner_low) && f64::from(inner_high) < high, "{interval:?}");
            assert!(inner_low.is_finite() && inner_high.is_finite() && inner_low.is_normal() && inner_high.is_normal());
            for theta in [low, high, low - 1.0, high + 1.0] {
                let stored = f64::from(interval.clamp_inside(theta) as f32);
                assert!(low < stored && stored < high, "{theta} stored as {stored} in {interval:?}");
            }
        }
    }

    #[test]
    fn a_bound_rounded_to_single_precision_counts_as_inside() {
        let interval = Interval { low: 0.0, high: 0.1 };
        assert!(!interval.contains(f64::from(0.1f32)), "0.1f32 is above 0.1");
        assert!(interval.contains_rounded(0.1f32));
        assert!(!interval.contains_rounded(0.1f32.next_up()));
    }
}
