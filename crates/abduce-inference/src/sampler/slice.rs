//! Slice sampling, coordinate by coordinate (Neal 2003, Ann. Statist. 31, 705).

use super::chains::{Chains, Run, Schedule};
use super::error::{SamplerError, require};
use super::target::Target;
use abduce_data::{Rng, Seed};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of [`slice()`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SliceOptions {
    /// First width of the bracket for all coordinates (sbi: 0.01). Absent: twice the standard deviation of a target's starts, coordinate
    /// by coordinate.
    pub init_width: Option<f64>,
    /// Most widths that a bracket may grow to (Neal's m); the limit keeps an improper density from running away and does not bias.
    pub max_step_out: usize,
}

impl Default for SliceOptions {
    fn default() -> Self {
        Self { init_width: None, max_step_out: 64 }
    }
}

/// Each step updates all coordinates of a chain once in random order: a height y = log π(x) − E, E ~ Exp(1), is drawn; a bracket of width w
/// placed at random around x_j steps out until both ends lie below the height (at most `max_step_out` widths, shared at random
/// between the sides); points are drawn from it uniformly, shrinking it towards x_j, until one lies above the height.
///
/// Every chain of every target is a machine of its own that asks for one evaluation at a time, and one batched call serves them all; a
/// chain that is done drops out of the batch. `starts` is (targets, num_chains, d).
///
/// During warm-up each chain adapts its widths to 3 E|x'_j − x_j|, the length of a slice over which x' and x are uniform; recent moves
/// count more. Widths are then frozen, so the chain proper is reversible.
///
/// # Errors
/// Starts outside the support; options out of range.
pub fn slice(target: &dyn Target, starts: &[f64], schedule: &Schedule, options: &SliceOptions, seed: Seed) -> Result<Chains, SamplerError> {
    let width = options.init_width.unwrap_or(1.0);
    require(width > 0.0 && width.is_finite(), "init_width", width, "a positive number")?;
    let limit = options.max_step_out;
    require(limit > 0 && limit <= u32::MAX as usize, "max_step_out", limit as f64, "at least 1")?;
    let mut run = Run::new(target, starts, schedule)?;
    let d = run.dimension;
    let mut widths = first_widths(starts, d, schedule.num_chains, options.init_width);
    let mut orders: Vec<u32> = (0..starts.len()).map(|i| (i % d) as u32).collect();
    let mut cursors: Vec<Cursor> = run
        .streams(target, "sampler.slice", seed)
        .into_iter()
        .zip(&run.start_log_density)
        .map(|(rng, &log_density)| Cursor::new(rng, log_density))
        .collect();

    // Row `slot` of `points` is the point that chain `active[slot]` asks about: its position with one coordinate replaced.
    let mut points = starts.to_vec();
    let mut of = run.of.clone();
    let mut values = vec![0.0; of.len()];
    let mut active: Vec<usize> = (0..of.len()).collect();
    for (c, cursor) in cursors.iter_mut().enumerate() {
        let span = c * d..(c + 1) * d;
        cursor.begin_sweep(&mut orders[span.clone()]);
        cursor.begin(&mut points[span.clone()], &orders[span.clone()], &widths[span], limit as u32);
    }
    while !active.is_empty() {
        let rows = active.len();
        run.density.log_density(&points[..rows * d], &of[..rows], &mut values[..rows]);
        let mut left = 0;
        for slot in 0..rows {
            let c = active[slot];
            let span = c * d..(c + 1) * d;
            let (order, widths) = (&mut orders[span.clone()], &mut widths[span]);
            let point = &mut points[slot * d..(slot + 1) * d];
            let cursor = &mut cursors[c];
            let mut finished = false;
            if cursor.answer(values[slot], point, order, widths) {
                // The coordinate is done.
                cursor.adapt(order, widths, schedule.warmup_steps);
                cursor.place += 1;
                if cursor.place == d {
                    cursor.sweeps += 1;
                    run.keep(c, cursor.sweeps, point, cursor.log_density);
                    finished = cursor.sweeps == schedule.steps();
                    cursor.begin_sweep(order);
                }
                if !finished {
                    cursor.begin(point, order, widths, limit as u32);
                }
            }
            if !finished {
                if left < slot {
                    points.copy_within(slot * d..(slot + 1) * d, left * d);
                    of[left] = of[slot];
                    active[left] = c;
                }
                left += 1;
            }
        }
        active.truncate(left);
    }
    Ok(run.finish(|_| (None, 0)))
}

/// The widths that chains begin with, (targets, chains, d).
fn first_widths(starts: &[f64], d: usize, chains: usize, given: Option<f64>) -> Vec<f64> {
    let mut widths = vec![given.unwrap_or(0.0); starts.len()];
    if given.is_none() {
        let n = chains as f64;
        for (starts, widths) in starts.chunks_exact(chains * d).zip(widths.chunks_exact_mut(chains * d)) {
            for j in 0..d {
                let column = || starts.iter().skip(j).step_by(d);
                let mean = column().sum::<f64>() / n;
                let deviation = (column().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
                // Equal starts say nothing about the scale; a small bracket grows fast.
                let width = if deviation > 0.0 { 2.0 * deviation } else { 0.01 * mean.abs().max(1.0) };
                widths.iter_mut().skip(j).step_by(d).for_each(|w| *w = width);
            }
        }
    }
    widths
}

/// What the evaluation that a chain waits for will tell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Question {
    /// Is the bracket's lower end below the height?
    Low,
    /// Is its upper end?
    High,
    /// Is the point inside above the height?
    Inside,
}

/// One chain's state.
struct Cursor {
    rng: Rng,
    /// log π of the chain's position.
    log_density: f64,
    /// Height of the slice.
    height: f64,
    /// The coordinate's value in the chain's position.
    origin: f64,
    low: f64,
    high: f64,
    /// Steps that the lower and the upper end may still take.
    low_steps: u32,
    high_steps: u32,
    question: Question,
    /// Place in the order of coordinates.
    place: usize,
    /// Finished sweeps.
    sweeps: usize,
    /// Length of the last move.
    moved: f64,
}

impl Cursor {
    fn new(rng: Rng, log_density: f64) -> Self {
        let zero = 0.0;
        Self {
            rng,
            log_density,
            height: zero,
            origin: zero,
            low: zero,
            high: zero,
            low_steps: 0,
            high_steps: 0,
            question: Question::Inside,
            place: 0,
            sweeps: 0,
            moved: zero,
        }
    }

    fn begin_sweep(&mut self, order: &mut [u32]) {
        self.place = 0;
        self.rng.shuffle(order);
    }

    /// Draws height and bracket for the next coordinate and writes the first question into `point`.
    fn begin(&mut self, point: &mut [f64], order: &[u32], widths: &[f64], limit: u32) {
        let j = order[self.place] as usize;
        self.origin = point[j];
        self.height = self.log_density - self.rng.exponential();
        self.low = self.origin - widths[j] * self.rng.uniform();
        self.high = self.low + widths[j];
        self.low_steps = self.rng.below(limit as usize) as u32;
        self.high_steps = limit - 1 - self.low_steps;
        self.ask(&mut point[j]);
    }

    /// The next question of the bracket.
    fn ask(&mut self, coordinate: &mut f64) {
        (self.question, *coordinate) = if self.low_steps > 0 {
            (Question::Low, self.low)
        } else if self.high_steps > 0 {
            (Question::High, self.high)
        } else {
            (Question::Inside, self.low + (self.high - self.low) * self.rng.uniform())
        };
    }

    /// Takes the answer; true when the coordinate has its new value, which then stands in `point`.
    fn answer(&mut self, value: f64, point: &mut [f64], order: &[u32], widths: &[f64]) -> bool {
        let j = order[self.place] as usize;
        let above = value > self.height;
        match self.question {
            Question::Low if above => {
                self.low -= widths[j];
                self.low_steps -= 1;
            }
            Question::Low => self.low_steps = 0,
            Question::High if above => {
                self.high += widths[j];
                self.high_steps -= 1;
            }
            Question::High => self.high_steps = 0,
            Question::Inside if above => {
                self.moved = (point[j] - self.origin).abs();
                self.log_density = value;
                return true;
            }
            Question::Inside if point[j] < self.origin => self.low = point[j],
            Question::Inside if point[j] > self.origin => self.high = point[j],
            Question::Inside => {
                // The bracket has shrunk onto the position itself (the height rounds to log π): stay.
                self.moved = 0.0;
                return true;
            }
        }
        self.ask(&mut point[j]);
        false
    }

    /// Moves of sweep n count with weight ∝ n, and the width that the chain began with not at all.
    fn adapt(&self, order: &[u32], widths: &mut [f64], warmup: usize) {
        if self.sweeps < warmup && self.moved > 0.0 {
            let width = &mut widths[order[self.place] as usize];
            *width += (3.0 * self.moved - *width) * 2.0 / (self.sweeps + 2) as f64;
        }
    }
}
