//! The embedded Runge-Kutta pair of orders 5 and 4 (Dormand & Prince 1980, J. Comp. Appl. Math. 6, 19) with step control.

/// Error allowed per step and component: absolute + relative |y|.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerance {
    pub(super) relative: f64,
    pub(super) absolute: f64,
}

/// Steps after which an integration is given up.
const MOST_STEPS: usize = 100_000;

/// Stage weights a_ij; the last row is the fifth-order solution, so that its slope is the first stage of the next step.
const STAGES: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19_372.0 / 6561.0, -25_360.0 / 2187.0, 64_448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46_732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18_656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];

/// Fifth-order minus fourth-order weights.
const ERROR: [f64; 7] = [71.0 / 57_600.0, 0.0, -71.0 / 16_695.0, 71.0 / 1920.0, -17_253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0];

/// y(`span`) of the autonomous system y' = `rates`(y), y(0) = `start`; `None` where a value stops being finite or the step vanishes.
pub(super) fn integrate<const N: usize>(
    rates: impl Fn([f64; N]) -> [f64; N],
    start: [f64; N],
    span: f64,
    tolerance: Tolerance,
) -> Option<[f64; N]> {
    let mut y = start;
    let mut slopes = [[0.0; N]; 7];
    slopes[0] = rates(y);
    let mut elapsed = 0.0;
    let mut step = 0.01 * span;
    for _ in 0..MOST_STEPS {
        let last = elapsed + step >= span;
        let h = if last { span - elapsed } else { step };
        let mut next = y;
        for (stage, weights) in STAGES.iter().enumerate() {
            next = std::array::from_fn(|i| y[i] + h * weights.iter().zip(&slopes).map(|(weight, slope)| weight * slope[i]).sum::<f64>());
            slopes[stage + 1] = rates(next);
        }
        // Root mean square of the error in units of the tolerance.
        let square: f64 = (0..N)
            .map(|i| {
                let error = h * ERROR.iter().zip(&slopes).map(|(weight, slope)| weight * slope[i]).sum::<f64>();
                let allowed = tolerance.absolute + tolerance.relative * y[i].abs().max(next[i].abs());
                (error / allowed) * (error / allowed)
            })
            .sum();
        let error = (square / N as f64).sqrt();
        // NaN and infinity shrink the step like any other large error.
        let factor = if error > 0.0 {
            (0.9 * libm::pow(error, -0.2)).clamp(0.2, 5.0)
        } else if error == 0.0 {
            5.0
        } else {
            0.2
        };
        if error <= 1.0 {
            y = next;
            slopes[0] = slopes[6];
            elapsed += h;
            if last {
                return y.iter().all(|value| value.is_finite()).then_some(y);
            }
        }
        step = h * factor;
        if step < 1e-14 * span {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The harmonic oscillator over three periods; the global error of order 5 follows the tolerance.
    #[test]
    fn the_oscillator_returns_to_its_start() {
        let end = |relative| {
            let tolerance = Tolerance { relative, absolute: relative };
            let [x, v] = integrate(|[x, v]| [v, -x], [1.0, 0.0], 6.0 * std::f64::consts::PI, tolerance).unwrap();
            (x - 1.0).hypot(v)
        };
        assert!(end(1e-6) < 1e-4, "{}", end(1e-6));
        assert!(end(1e-10) < 1e-8, "{}", end(1e-10));
    }

    #[test]
    fn an_explosion_is_reported() {
        assert!(integrate(|[x]: [f64; 1]| [x * x], [1.0], 2.0, Tolerance { relative: 1e-6, absolute: 1e-9 }).is_none());
    }
}
