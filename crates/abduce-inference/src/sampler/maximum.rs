//! The highest point of each target, by quasi-Newton ascent from several starts.

use super::error::{SamplerError, require};
use super::target::{Counted, Target};

/// Options of [`maximise`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaximumOptions {
    /// Starts per target.
    pub num_starts: usize,
    /// Most evaluations per start (500).
    pub max_evaluations: usize,
    /// A climb ends when a further step promises less than this, in nats (1e-8), or the last ten brought less, as at a kink.
    pub tolerance: f64,
}

impl Default for MaximumOptions {
    fn default() -> Self {
        Self { num_starts: 16, max_evaluations: 500, tolerance: 1e-8 }
    }
}

/// A local maximum, the highest that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Maximum {
    /// Its point (d).
    pub point: Vec<f64>,
    /// log π there.
    pub log_density: f64,
    /// What a further step promised when the climb ended, in nats; above the tolerance where the density's own rounding ended it.
    pub promised: f64,
    /// Starts that ended within 0.01 nats of it. Few of many: there may be a higher one.
    pub agreeing: usize,
}

/// Ascends from `starts` (targets, num_starts, d), all at once, one batched gradient per step: BFGS with backtracking (Nocedal & Wright 2006,
/// chapter 6), whose first steps are scaled by the spread of a target's starts, coordinate by coordinate. A maximum of a density depends on the coordinates: this is one in the target's own.
///
/// # Errors
/// A start outside the support; a target whose best climb was cut off by `max_evaluations`.
pub fn maximise(target: &dyn Target, starts: &[f64], options: &MaximumOptions) -> Result<Vec<Maximum>, SamplerError> {
    let MaximumOptions { num_starts, max_evaluations, tolerance } = *options;
    require(num_starts > 0, "num_starts", num_starts as f64, "at least 1")?;
    require(max_evaluations > 0, "max_evaluations", max_evaluations as f64, "at least 1")?;
    let (targets, d) = (target.count(), target.dimension());
    let rows = targets * num_starts;
    if starts.len() != rows * d {
        return Err(SamplerError::Shape { what: "starts (targets, num_starts, d)", found: starts.len(), expected: rows * d });
    }
    let mut density = Counted::new(target);
    let mut of: Vec<usize> = (0..rows).map(|r| r / num_starts).collect();
    let (mut points, mut values, mut gradients) = (starts.to_vec(), vec![0.0; rows], vec![0.0; rows * d]);
    density.log_density_gradient(&points, &of, &mut values, &mut gradients);
    if let Some(first) = values.iter().position(|v| *v == f64::NEG_INFINITY) {
        let bad = values.iter().filter(|v| **v == f64::NEG_INFINITY).count();
        let (target, chain) = (first / num_starts, first % num_starts);
        return Err(SamplerError::Start { target, chain, log_density: values[first], bad, total: rows });
    }
    let metrics: Vec<f64> = starts.chunks_exact(num_starts * d).flat_map(|starts| (0..d).map(move |j| variance(starts, d, j))).collect();
    let mut climbs: Vec<Climb> = (0..rows)
        .map(|r| {
            let (own, metric) = (r * d..(r + 1) * d, &metrics[of[r] * d..(of[r] + 1) * d]);
            Climb::new(&starts[own.clone()], values[r], &gradients[own], metric)
        })
        .collect();
    let mut active: Vec<usize> = (0..rows).collect();
    for _ in 0..max_evaluations {
        active.retain(|&r| climbs[r].promised > tolerance);
        if active.is_empty() {
            break;
        }
        for (slot, &r) in active.iter().enumerate() {
            climbs[r].ask(&mut points[slot * d..(slot + 1) * d]);
            of[slot] = r / num_starts;
        }
        let n = active.len();
        density.log_density_gradient(&points[..n * d], &of[..n], &mut values[..n], &mut gradients[..n * d]);
        let mut slot = 0;
        active.retain(|&r| {
            let going = climbs[r].answer(tolerance, &points[slot * d..(slot + 1) * d], values[slot], &gradients[slot * d..(slot + 1) * d]);
            slot += 1;
            going
        });
    }
    climbs
        .chunks_exact(num_starts)
        .enumerate()
        .map(|(t, climbs)| {
            let above = |a: usize, b: usize| if climbs[b].value > climbs[a].value { b } else { a };
            let best = (0..num_starts).fold(0, above);
            if active.contains(&(t * num_starts + best)) && climbs[best].promised > tolerance {
                return Err(SamplerError::Optimiser { target: t, what: "the best climb has not converged", steps: max_evaluations });
            }
            let agreeing = climbs.iter().filter(|c| c.value > climbs[best].value - 0.01).count();
            let Climb { point, value: log_density, promised, .. } = &climbs[best];
            Ok(Maximum { point: point.clone(), log_density: *log_density, promised: *promised, agreeing })
        })
        .collect()
}

/// Variance of a coordinate over one target's starts; 1 where they don't differ.
fn variance(starts: &[f64], d: usize, j: usize) -> f64 {
    let column = || starts.iter().skip(j).step_by(d);
    let n = column().count() as f64;
    let mean = column().sum::<f64>() / n;
    let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    if variance > 0.0 { variance } else { 1.0 }
}

/// Part of the promised rise that a step must bring (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// Steps in a row that may bring less than the tolerance together.
const MAX_IDLE: u32 = 10;
/// Halvings of a step before the density's rounding is taken as the reason for failing.
const MAX_HALVINGS: u32 = 40;

/// One ascent.
struct Climb {
    point: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    /// Squares of the coordinates' scales: the metric of the first steps.
    metric: Vec<f64>,
    /// Inverse Hessian of −log π, (d, d), and whether it has been scaled yet.
    inverse: Vec<f64>,
    scaled: bool,
    direction: Vec<f64>,
    /// Slope along the direction, and half of it: the rise that a quadratic model promises.
    slope: f64,
    promised: f64,
    size: f64,
    halvings: u32,
    /// Steps in a row, and what they brought together, since one brought the tolerance.
    idle: (u32, f64),
    /// Buffers: change of the gradient, inverse Hessian times it.
    change: Vec<f64>,
    turned: Vec<f64>,
}

impl Climb {
    fn new(point: &[f64], value: f64, gradient: &[f64], metric: &[f64]) -> Self {
        let d = point.len();
        let mut climb = Self {
            point: point.to_vec(),
            value,
            gradient: gradient.to_vec(),
            metric: metric.to_vec(),
            inverse: vec![0.0; d * d],
            scaled: false,
            direction: vec![0.0; d],
            slope: 0.0,
            promised: 0.0,
            size: 1.0,
            halvings: 0,
            idle: (0, 0.0),
            change: vec![0.0; d],
            turned: vec![0.0; d],
        };
        climb.forget();
        climb.aim();
        climb
    }

    /// Steepest ascent in the metric; the first step has length 0.1 in it.
    fn forget(&mut self) {
        let norm = self.gradient.iter().zip(&self.metric).map(|(g, m)| g * g * m).sum::<f64>().sqrt();
        self.set_diagonal(if norm > 0.0 { 0.1 / norm } else { 1.0 });
        self.scaled = false;
    }

    fn set_diagonal(&mut self, factor: f64) {
        let d = self.point.len();
        self.inverse.fill(0.0);
        (0..d).for_each(|i| self.inverse[i * d + i] = factor * self.metric[i]);
    }

    fn aim(&mut self) {
        let d = self.point.len();
        for i in 0..d {
            self.direction[i] = dot(&self.inverse[i * d..(i + 1) * d], &self.gradient);
        }
        self.slope = dot(&self.direction, &self.gradient);
        self.promised = 0.5 * self.slope;
        self.size = 1.0;
        self.halvings = 0;
    }

    fn ask(&self, point: &mut [f64]) {
        for ((y, x), p) in point.iter_mut().zip(&self.point).zip(&self.direction) {
            *y = x + self.size * p;
        }
    }

    /// False when no step along a steepest ascent helps any more, or steps bring next to nothing.
    fn answer(&mut self, tolerance: f64, point: &[f64], value: f64, gradient: &[f64]) -> bool {
        let enough = value >= self.value + SUFFICIENT * self.size * self.slope;
        if !enough {
            self.size *= 0.5;
            self.halvings += 1;
            if self.halvings > MAX_HALVINGS {
                if !self.scaled {
                    return false;
                }
                self.forget();
                self.aim();
            }
            return true;
        }
        // Of −log π the gradient changes by g − g'.
        let d = point.len();
        for (i, change) in self.change.iter_mut().enumerate() {
            *change = self.gradient[i] - gradient[i];
            self.direction[i] = point[i] - self.point[i];
        }
        let curvature = dot(&self.direction, &self.change);
        let in_metric = |v: &[f64], power: i32| v.iter().zip(&self.metric).map(|(v, m)| v * v * m.powi(power)).sum::<f64>();
        let change = in_metric(&self.change, 1);
        if curvature > 1e-12 * (in_metric(&self.direction, -1) * change).sqrt() {
            if !self.scaled {
                self.set_diagonal(curvature / change);
                self.scaled = true;
            }
            let step = &self.direction;
            for i in 0..d {
                self.turned[i] = dot(&self.inverse[i * d..(i + 1) * d], &self.change);
            }
            let factor = (1.0 + dot(&self.change, &self.turned) / curvature) / curvature;
            for i in 0..d {
                for j in 0..d {
                    self.inverse[i * d + j] +=
                        factor * step[i] * step[j] - (self.turned[i] * step[j] + step[i] * self.turned[j]) / curvature;
                }
            }
        } else if !self.scaled {
            // No curvature yet: go further.
            self.inverse.iter_mut().for_each(|h| *h *= 4.0);
        }
        let brought = self.idle.1 + value - self.value;
        self.idle = if brought < tolerance { (self.idle.0 + 1, brought) } else { (0, 0.0) };
        self.point.copy_from_slice(point);
        self.value = value;
        self.gradient.copy_from_slice(gradient);
        self.aim();
        if (self.slope.is_nan() || self.slope <= 0.0) && self.scaled {
            self.forget();
            self.aim();
        }
        self.idle.0 < MAX_IDLE
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
