//! The probability flow dy/dt = -φ'(t) F(y, t), solved for many rows at once.
//!
//! The embedded pair of orders 5 and 4 of Dormand & Prince (1980, J. Comp. Appl. Math. 6, 19). Every row keeps its own time and step, so its
//! result depends on nothing but its start; rows that arrive make room for the next, so that evaluations stay full.

use crate::field::{Field, POINTS, Points, Wanted};
use abduce_kernels::Threads;
use serde::{Deserialize, Serialize};

/// Error allowed per step and component: `absolute` + `relative` |y|, root mean square over the components of a row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Fraction of the component's size.
    pub relative: f64,
    /// In units of the standardised parameters.
    pub absolute: f64,
}

impl Default for Tolerance {
    /// 1e-5 for both. A network in single precision supports no less than about 1e-6.
    fn default() -> Self {
        Self { relative: 1e-5, absolute: 1e-5 }
    }
}

/// Why an equation could not be solved.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// The state of some rows stopped being finite, or their steps vanished: the network's weights are not usable.
    #[error("the vector field could not be integrated for {failed} of {rows} rows, the first of them row {first}")]
    Rows {
        /// Rows that failed.
        failed: usize,
        /// All rows.
        rows: usize,
        /// The first that failed.
        first: usize,
    },
    /// A composition of nothing.
    #[error("a posterior of several observations needs at least one")]
    NoObservation,
    /// A tolerance that no step can meet.
    #[error("tolerances must be positive numbers, not {relative} (relative) and {absolute} (absolute)")]
    Tolerance {
        /// Relative.
        relative: f64,
        /// Absolute.
        absolute: f64,
    },
}

/// Which way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the schedule's largest time to its smallest.
    ToData,
    /// From the smallest to the largest.
    ToNoise,
}

/// Steps after which a row is given up.
const MOST_STEPS: usize = 20_000;

/// Nodes and weights of the stages; the last row is the fifth-order solution, so that its slope is the first stage of the next step.
const NODES: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];
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

/// Takes the rows of `state` along the flow, in place. A row holds y (d) and, with [`Wanted::Divergence`], one more value, which grows by
/// ∫ div(dy/dt) dt: the change of -log density.
///
/// # Errors
/// See [`SolveError`]; rows that failed hold NaN.
pub fn solve<F: Field>(
    field: &F,
    threads: &Threads,
    state: &mut [f64],
    observation_of: impl Fn(usize) -> usize + Sync,
    direction: Direction,
    tolerance: Tolerance,
    wanted: Wanted,
) -> Result<(), SolveError> {
    let Tolerance { relative, absolute } = tolerance;
    if !(relative > 0.0 && absolute > 0.0 && relative.is_finite() && absolute.is_finite()) {
        return Err(SolveError::Tolerance { relative, absolute });
    }
    let width = field.features() + usize::from(wanted == Wanted::Divergence);
    let rows = state.len() / width;
    // Rows do not depend on each other, so the cut may depend on the threads.
    let per_segment = rows.div_ceil(4 * threads.count()).max(POINTS);
    let mut segments: Vec<_> = state.chunks_mut(per_segment * width).collect();
    threads.for_each(&mut segments, |s, segment| {
        Solver::new(field, direction, tolerance, wanted).run(segment, |row| observation_of(s * per_segment + row));
    });
    demand_finite(state, width)
}

/// An error that names the rows with a value that is not finite, if there are any.
pub(crate) fn demand_finite(state: &[f64], width: usize) -> Result<(), SolveError> {
    let bad = |row: &[f64]| row.iter().any(|v| !v.is_finite());
    let mut failed = state.chunks_exact(width).enumerate().filter(|(_, row)| bad(row)).map(|(r, _)| r);
    match failed.next() {
        Some(first) => Err(SolveError::Rows { failed: 1 + failed.count(), rows: state.len() / width, first }),
        None => Ok(()),
    }
}

/// A row on its way.
#[derive(Clone, Copy, Debug)]
struct Lane {
    row: usize,
    elapsed: f64,
    step: f64,
    steps: usize,
}

/// The memory of one thread.
struct Solver<'a, F: Field> {
    field: &'a F,
    work: F::Work,
    tolerance: Tolerance,
    /// First time, signed length.
    start: f64,
    sign: f64,
    span: f64,
    d: usize,
    width: usize,
    lanes: Vec<Lane>,
    observations: Vec<usize>,
    /// States at the start of the step and at the current stage (lanes, width).
    y: Vec<f64>,
    stage: Vec<f64>,
    /// Seven slopes, each (lanes, width).
    slopes: Vec<Vec<f64>>,
    times: Vec<f64>,
    points: Vec<f64>,
    f: Vec<f64>,
    divergence: Vec<f64>,
}

impl<'a, F: Field> Solver<'a, F> {
    fn new(field: &'a F, direction: Direction, tolerance: Tolerance, wanted: Wanted) -> Self {
        let d = field.features();
        let width = d + usize::from(wanted == Wanted::Divergence);
        let (low, high) = field.schedule().times();
        let (start, sign) = if direction == Direction::ToNoise { (low, 1.0) } else { (high, -1.0) };
        Self {
            work: field.work(wanted),
            field,
            tolerance,
            start,
            sign,
            span: high - low,
            d,
            width,
            lanes: Vec::with_capacity(POINTS),
            observations: Vec::with_capacity(POINTS),
            y: vec![0.0; POINTS * width],
            stage: vec![0.0; POINTS * width],
            slopes: vec![vec![0.0; POINTS * width]; 7],
            times: vec![0.0; POINTS],
            points: vec![0.0; POINTS * d],
            f: vec![0.0; POINTS * d],
            divergence: vec![0.0; if wanted == Wanted::Divergence { POINTS } else { 0 }],
        }
    }

    fn run(&mut self, state: &mut [f64], observation_of: impl Fn(usize) -> usize) {
        let (rows, width) = (state.len() / self.width, self.width);
        let mut next_row = 0;
        loop {
            let first_new = self.lanes.len();
            while self.lanes.len() < POINTS && next_row < rows {
                let at = self.lanes.len() * width;
                self.y[at..at + width].copy_from_slice(&state[next_row * width..(next_row + 1) * width]);
                self.lanes.push(Lane { row: next_row, elapsed: 0.0, step: 0.01 * self.span, steps: 0 });
                self.observations.push(observation_of(next_row));
                next_row += 1;
            }
            if self.lanes.is_empty() {
                return;
            }
            self.first_slopes(first_new);
            self.stages();
            self.judge(state);
        }
    }

    /// dy/dt of the lanes from `first` on, at `self.times` and the states in `stage` (or y), into slope `k`.
    fn slope(&mut self, first: usize, k: usize) {
        let (d, width, n) = (self.d, self.width, self.lanes.len());
        for lane in first..n {
            self.points[lane * d..(lane + 1) * d].copy_from_slice(&self.stage[lane * width..lane * width + d]);
        }
        let divergence = if self.divergence.is_empty() { &mut [][..] } else { &mut self.divergence[first..n] };
        let points = Points { y: &self.points[first * d..n * d], times: &self.times[first..n], observations: &self.observations[first..n] };
        self.field.evaluate(&mut self.work, points, &mut self.f[first * d..n * d], divergence);
        for lane in first..n {
            // Per unit of elapsed time, which runs backward on the way to the data.
            let rate = -self.sign * self.field.schedule().angle_rate(self.times[lane]);
            let slope = &mut self.slopes[k][lane * width..(lane + 1) * width];
            slope[..d].iter_mut().zip(&self.f[lane * d..]).for_each(|(s, f)| *s = rate * f);
            if let Some(last) = slope.get_mut(d) {
                *last = rate * self.divergence[lane];
            }
        }
    }

    fn first_slopes(&mut self, first_new: usize) {
        let n = self.lanes.len();
        if first_new == n {
            return;
        }
        self.stage[first_new * self.width..n * self.width].copy_from_slice(&self.y[first_new * self.width..n * self.width]);
        self.times[first_new..n].fill(self.start);
        self.slope(first_new, 0);
    }

    /// The six further stages of one step of every lane; the fifth-order solution stays in `stage`.
    fn stages(&mut self) {
        let width = self.width;
        for (s, (weights, node)) in STAGES.iter().zip(NODES).enumerate() {
            for (lane, at) in self.lanes.iter().enumerate() {
                let h = at.step.min(self.span - at.elapsed);
                self.times[lane] = self.start + self.sign * (at.elapsed + node * h).min(self.span);
                for i in lane * width..(lane + 1) * width {
                    let sum: f64 = weights.iter().zip(&self.slopes).map(|(weight, slope)| weight * slope[i]).sum();
                    self.stage[i] = self.y[i] + h * sum;
                }
            }
            self.slope(0, s + 1);
        }
    }

    /// Accepts or rejects each lane's step; arrived rows leave.
    fn judge(&mut self, state: &mut [f64]) {
        let (width, tolerance) = (self.width, self.tolerance);
        for lane in (0..self.lanes.len()).rev() {
            let own = lane * width..(lane + 1) * width;
            let Lane { row, elapsed, step, steps } = self.lanes[lane];
            let h = step.min(self.span - elapsed);
            let square: f64 = own
                .clone()
                .map(|i| {
                    let error = h * ERROR.iter().zip(&self.slopes).map(|(weight, slope)| weight * slope[i]).sum::<f64>();
                    let allowed = tolerance.absolute + tolerance.relative * self.y[i].abs().max(self.stage[i].abs());
                    (error / allowed) * (error / allowed)
                })
                .sum();
            let error = (square / width as f64).sqrt();
            // NaN and infinity shrink the step like any other large error.
            let factor = match error {
                e if e > 0.0 && e.is_finite() => (0.9 * libm::pow(e, -0.2)).clamp(0.2, 5.0),
                0.0 => 5.0,
                _ => 0.2,
            };
            let lane_state = &mut self.lanes[lane];
            lane_state.steps += 1;
            lane_state.step = h * factor;
            if error <= 1.0 {
                lane_state.elapsed = elapsed + h;
                self.y[own.clone()].copy_from_slice(&self.stage[own.clone()]);
                let (first, rest) = self.slopes.split_at_mut(1);
                first[0][own.clone()].copy_from_slice(&rest[5][own.clone()]);
            }
            let arrived = error <= 1.0 && (elapsed + h >= self.span || h < step);
            let lost = !arrived && (steps + 1 >= MOST_STEPS || h * factor < 1e-13 * self.span);
            if arrived || lost {
                let out = &mut state[row * width..(row + 1) * width];
                if arrived {
                    out.copy_from_slice(&self.y[own])
                } else {
                    out.fill(f64::NAN)
                }
                self.remove(lane);
            }
        }
    }

    /// The last lane takes the place of a finished one.
    fn remove(&mut self, lane: usize) {
        let (last, width) = (self.lanes.len() - 1, self.width);
        self.lanes.swap_remove(lane);
        self.observations.swap_remove(lane);
        self.y.copy_within(last * width..(last + 1) * width, lane * width);
        self.slopes[0].copy_within(last * width..(last + 1) * width, lane * width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::NoiseSchedule;

    /// F(y) = rate(t) y + 1: a linear equation in the angle φ.
    struct Linear {
        schedule: NoiseSchedule,
        slope: f64,
    }

    impl Field for Linear {
        type Work = usize;
        fn features(&self) -> usize {
            2
        }
        fn schedule(&self) -> &NoiseSchedule {
            &self.schedule
        }
        fn work(&self, _: Wanted) -> usize {
            0
        }
        fn evaluate(&self, calls: &mut usize, points: Points<'_>, f: &mut [f64], divergence: &mut [f64]) {
            *calls += 1;
            f.iter_mut().zip(points.y).for_each(|(f, y)| *f = self.slope * y);
            divergence.fill(2.0 * self.slope);
        }
    }

    /// dy/dφ = -s y over Δφ: y e^{-sΔφ}, and the divergence integrates to -2 s Δφ. The error follows the tolerance.
    #[test]
    fn a_linear_flow_is_solved_to_its_tolerance_both_ways() {
        for schedule in [NoiseSchedule::flow_matching(), NoiseSchedule::ve(), NoiseSchedule::vp(), NoiseSchedule::edm()] {
            let field = Linear { schedule, slope: 1.5 };
            let (low, high) = schedule.times();
            let angle = |t: f64| schedule.marginal(t).std.atan2(schedule.marginal(t).mean);
            let turn = angle(high) - angle(low);
            for (direction, sign) in [(Direction::ToNoise, 1.0), (Direction::ToData, -1.0)] {
                for tolerance in [1e-4, 1e-8] {
                    let mut state = vec![1.0, -2.0, 0.0, 0.5, 0.25, 0.0];
                    let tolerance = Tolerance { relative: tolerance, absolute: tolerance };
                    solve(&field, &Threads::single(), &mut state, |_| 0, direction, tolerance, Wanted::Divergence).unwrap();
                    let (growth, volume) = ((-sign * 1.5 * turn).exp(), -sign * 3.0 * turn);
                    for (got, want) in state.iter().zip([growth, -2.0 * growth, volume, 0.5 * growth, 0.25 * growth, volume]) {
                        // Some dozen steps, each within the tolerance.
                        assert!(
                            (got - want).abs() < 30.0 * tolerance.relative * (1.0 + want.abs()),
                            "{schedule:?}: {got} instead of {want}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_that_cannot_be_solved_are_reported() {
        let field = Linear { schedule: NoiseSchedule::ve(), slope: f64::NAN };
        let mut state = vec![1.0; 6];
        let solved = solve(&field, &Threads::single(), &mut state, |_| 0, Direction::ToData, Tolerance::default(), Wanted::Value);
        assert_eq!(solved, Err(SolveError::Rows { failed: 3, rows: 3, first: 0 }));
        assert!(state.iter().all(|v| v.is_nan()));
        let zero = Tolerance { relative: 0.0, absolute: 1e-5 };
        let solved = solve(&field, &Threads::single(), &mut state, |_| 0, Direction::ToData, zero, Wanted::Value);
        assert_eq!(solved, Err(SolveError::Tolerance { relative: 0.0, absolute: 1e-5 }));
    }
}
