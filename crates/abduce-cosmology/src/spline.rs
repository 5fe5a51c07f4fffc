//! Cubic splines through tables.

use crate::error::{CosmologyError, Result, same_length};

/// The twice continuously differentiable cubic spline through points of increasing x.
///
/// Its end slopes are those of the cubics through the four points at either end, so that cubics are reproduced and the error is of fourth order
/// up to the ends. Outside the points it goes on as a straight line.
#[derive(Clone, Debug)]
pub struct CubicSpline {
    x: Vec<f64>,
    y: Vec<f64>,
    /// Slopes at the points.
    slopes: Vec<f64>,
}

impl CubicSpline {
    /// The spline through (x, y), at least four points.
    ///
    /// # Errors
    /// Too few points, different lengths, values that are not finite, or x that do not increase.
    pub fn new(x: Vec<f64>, y: Vec<f64>) -> Result<Self> {
        let n = x.len();
        same_length("a spline's y", y.len(), n)?;
        if n < 4 {
            return Err(CosmologyError::Length { what: "a spline", found: n, expected: 4 });
        }
        for i in 0..n {
            let rises = i == 0 || x[i] > x[i - 1];
            if !rises || !x[i].is_finite() || !y[i].is_finite() {
                return Err(CosmologyError::Table { row: i + 1, x: x[i], y: y[i] });
            }
        }
        let mut slopes = vec![0.0; n];
        slopes[0] = end_slope([x[0], x[1], x[2], x[3]], [y[0], y[1], y[2], y[3]]);
        slopes[n - 1] = end_slope([x[n - 1], x[n - 2], x[n - 3], x[n - 4]], [y[n - 1], y[n - 2], y[n - 3], y[n - 4]]);
        // Continuity of the second derivative: s₋/h₋ + 2 s (1/h₋ + 1/h₊) + s₊/h₊ = 3 (Δ₋/h₋² + Δ₊/h₊²), solved by elimination from the left.
        let mut ratio = vec![0.0; n];
        for i in 1..n - 1 {
            let (left, right) = (1.0 / (x[i] - x[i - 1]), 1.0 / (x[i + 1] - x[i]));
            let target = 3.0 * ((y[i] - y[i - 1]) * left * left + (y[i + 1] - y[i]) * right * right);
            let pivot = 2.0 * (left + right) - left * ratio[i - 1];
            ratio[i] = right / pivot;
            slopes[i] = (target - left * slopes[i - 1]) / pivot;
        }
        for i in (1..n - 1).rev() {
            slopes[i] -= ratio[i] * slopes[i + 1];
        }
        Ok(Self { x, y, slopes })
    }

    /// First and last x.
    pub fn range(&self) -> (f64, f64) {
        (self.x[0], self.x[self.x.len() - 1])
    }

    /// The points' x.
    pub fn knots(&self) -> &[f64] {
        &self.x
    }

    /// Value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.value_and_slope(x).0
    }

    /// Value and slope at `x`.
    pub fn value_and_slope(&self, x: f64) -> (f64, f64) {
        let last = self.x.len() - 1;
        for end in [0, last] {
            if (end == 0 && x <= self.x[0]) || (end == last && x >= self.x[last]) {
                return (self.y[end] + self.slopes[end] * (x - self.x[end]), self.slopes[end]);
            }
        }
        let i = self.x.partition_point(|&knot| knot <= x).clamp(1, last) - 1;
        let width = self.x[i + 1] - self.x[i];
        hermite((x - self.x[i]) / width, width, [self.y[i], self.y[i + 1]], [self.slopes[i], self.slopes[i + 1]])
    }
}

/// Value and slope at fraction `t` of an interval of `width` of the cubic with these values and slopes at its ends.
pub(crate) fn hermite(t: f64, width: f64, y: [f64; 2], slopes: [f64; 2]) -> (f64, f64) {
    let rise = y[1] - y[0];
    let (a, b) = (slopes[0] * width - rise, rise - slopes[1] * width);
    let s = 1.0 - t;
    let value = s * y[0] + t * y[1] + t * s * (s * a + t * b);
    let slope = (rise + (s - t) * (s * a + t * b) + t * s * (b - a)) / width;
    (value, slope)
}

/// Slope at the first of four points of the cubic through them.
fn end_slope(x: [f64; 4], y: [f64; 4]) -> f64 {
    // Newton's divided differences.
    let mut table = y;
    for order in 1..4 {
        for i in (order..4).rev() {
            table[i] = (table[i] - table[i - 1]) / (x[i] - x[i - order]);
        }
    }
    table[1] + (x[0] - x[1]) * (table[2] + (x[0] - x[2]) * table[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubics_are_reproduced_and_lines_continue() {
        let x = vec![0.0, 0.5, 0.7, 1.5, 2.0, 3.1];
        let f = |x: f64| 1.0 - 2.0 * x + 0.5 * x * x - 0.3 * x * x * x;
        let spline = CubicSpline::new(x.clone(), x.iter().map(|&x| f(x)).collect()).unwrap();
        for x in [0.0, 0.1, 0.6, 1.2, 1.9, 3.0, 3.1] {
            let (value, slope) = spline.value_and_slope(x);
            assert!((value - f(x)).abs() < 1e-13);
            assert!((slope - (-2.0 + x - 0.9 * x * x)).abs() < 1e-12);
        }
        assert!((spline.at(-1.0) - 3.0).abs() < 1e-13, "slope −2 at 0");
    }

    #[test]
    fn tables_that_do_not_rise_are_refused() {
        assert!(CubicSpline::new(vec![0.0, 1.0, 1.0, 2.0], vec![0.0; 4]).is_err());
        assert!(CubicSpline::new(vec![0.0, 1.0, 2.0], vec![0.0; 3]).is_err());
        assert!(CubicSpline::new(vec![0.0, 1.0, 2.0, 3.0], vec![0.0, f64::NAN, 0.0, 0.0]).is_err());
    }
}
