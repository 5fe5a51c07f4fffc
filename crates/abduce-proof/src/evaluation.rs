//! What trying a list of theorems has in common, whatever checks them.

use crate::search::SearchResult;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// What a search on one theorem took.
#[derive(Clone, Debug, Default)]
pub struct Effort {
    /// Expansions used.
    pub expansions: usize,
    /// Expansions up to the first proof.
    pub expansions_to_first: Option<usize>,
    /// Tactics tried.
    pub tried: usize,
    /// Tactics that failed, by kind.
    pub failures: BTreeMap<&'static str, usize>,
    /// Whether the time ran out.
    pub out_of_time: bool,
    /// Time spent.
    pub time: Duration,
}

impl Effort {
    /// That of a search, and its proofs, the actions of each.
    pub(crate) fn of<A>(result: SearchResult<A>) -> (Self, Vec<Vec<A>>) {
        let SearchResult { proofs, expansions, expansions_to_first, tried, failures, out_of_time } = result;
        (Self { expansions, expansions_to_first, tried, failures, out_of_time, time: Duration::ZERO }, proofs)
    }
}

/// What an attempt at each of `count` items gives, in their order. Every worker makes its attempts with what `start` gives it for its number; items not
/// begun when `stop` is set are left out.
pub(crate) fn attempts<R: Send, W: FnMut(usize) -> R>(
    count: usize,
    workers: NonZeroUsize,
    stop: &AtomicBool,
    start: impl Fn(usize) -> W + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = |worker: usize| {
        let mut attempt = start(worker);
        let mut done = Vec::new();
        loop {
            let item = next.fetch_add(1, Ordering::Relaxed);
            if item >= count || stop.load(Ordering::Relaxed) {
                return done;
            }
            done.push((item, attempt(item)));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let work = &work;
        let helpers: Vec<_> = (1..workers.get()).map(|worker| scope.spawn(move || work(worker))).collect();
        let mut all = work(0);
        for helper in helpers {
            all.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        all
    });
    done.sort_by_key(|&(item, _)| item);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The names of a list: one a line, `#` begins a comment.
pub fn listed_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).filter(|line| !line.is_empty())
}

/// The Wilson score interval of a rate at 95 % (Wilson 1927): z = 1.959964.
pub fn wilson(successes: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (trials as f64, 1.959_963_984_540_054_f64);
    let p = successes as f64 / n;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_solves_its_defining_equation() {
        // The bounds are the p for which |k/n − p| = z √(p (1 − p) / n).
        for (k, n) in [(0, 10), (1, 10), (150, 300), (299, 300), (300, 300)] {
            let (low, high) = wilson(k, n);
            let rate = k as f64 / n as f64;
            for p in [low, high] {
                let residual = (rate - p).powi(2) - 1.959_963_984_540_054_f64.powi(2) * p * (1.0 - p) / n as f64;
                assert!(residual.abs() < 1e-12, "{k}/{n}: {p}");
            }
            // Where all or none succeed the rate is a bound, up to rounding.
            assert!(low <= rate + 1e-12 && rate <= high + 1e-12);
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }
}
