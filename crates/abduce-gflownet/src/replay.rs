//! Ends that were reached before, for trajectories that are made again.

use abduce_data::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::hash::Hash;

/// Which ends are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Every end that is kept alike.
    #[default]
    Uniform,
    /// ∝ rank^(−alpha), the best having rank 1.
    Rank {
        /// Exponent.
        #[schemars(range(min = 0.0))]
        alpha: f64,
    },
    /// One of ten classes of the reward alike, then an end in it alike.
    Stratified,
}

/// A memory of ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayConfig {
    /// Ends that are kept; the least rewarding goes first. 0: no memory.
    pub capacity: usize,
    /// Part of every batch whose ends come from memory; their trajectories are drawn anew by P_B.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub fraction: f64,
    /// Which ends are drawn.
    pub priority: Priority,
    /// Ends that are nearer to each other than this do not stay both: the better one does. The distance is Σ |a − b| / Σ (|a| + |b|) over their features, between 0 and
    /// 1. 0: every distinct end is kept.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_distance: f64,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self { capacity: 0, fraction: 0.5, priority: Priority::Uniform, min_distance: 0.0 }
    }
}

/// Distinct ends with their log-rewards, best first.
#[derive(Clone, Debug)]
pub struct Replay<S> {
    config: ReplayConfig,
    ends: Vec<(f64, S)>,
    /// Features of the ends, in the same order, where distances count.
    features: Vec<Vec<f32>>,
    known: HashSet<S>,
}

/// Σ |a − b| / Σ (|a| + |b|): 0 for equal features, 1 for those that share nothing.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    let sums = a.iter().zip(b).map(|(&a, &b)| (f64::from((a - b).abs()), f64::from(a.abs() + b.abs())));
    let (apart, total) = sums.fold((0.0, 0.0), |(apart, total), (part, whole)| (apart + part, total + whole));
    if total > 0.0 { apart / total } else { 0.0 }
}

impl<S: Clone + Eq + Hash> Replay<S> {
    /// An empty memory.
    pub fn new(config: ReplayConfig) -> Self {
        Self { config, ends: Vec::new(), features: Vec::new(), known: HashSet::new() }
    }

    /// Ends that are kept, best first.
    pub fn ends(&self) -> &[(f64, S)] {
        &self.ends
    }

    /// Keeps an end, unless it is known, or worse than all of a full memory or than one that it is too near to. `features` writes what distances are measured by.
    pub fn add(&mut self, end: &S, log_reward: f64, features: impl FnOnce() -> Vec<f32>) {
        if self.config.capacity == 0 || self.known.contains(end) {
            return;
        }
        let place = self.ends.partition_point(|(reward, _)| *reward >= log_reward);
        if place >= self.config.capacity {
            return;
        }
        if self.config.min_distance > 0.0 {
            let own = features();
            let is_near = |other: &Vec<f32>| distance(&own, other) < self.config.min_distance;
            // Those before its place are at least as good.
            if self.features[..place].iter().any(is_near) {
                return;
            }
            for other in (place..self.ends.len()).rev().filter(|&other| is_near(&self.features[other])).collect::<Vec<_>>() {
                self.known.remove(&self.ends.remove(other).1);
                self.features.remove(other);
            }
            self.features.insert(place, own);
        }
        self.ends.insert(place, (log_reward, end.clone()));
        self.known.insert(end.clone());
        if self.ends.len() > self.config.capacity
            && let Some((_, worst)) = self.ends.pop()
        {
            self.known.remove(&worst);
            self.features.truncate(self.ends.len());
        }
    }

    /// How many trajectories of a batch come from memory: none while it is empty.
    pub fn share(&self, batch: usize) -> usize {
        if self.ends.is_empty() { 0 } else { (self.config.fraction * batch as f64).round() as usize }
    }

    /// An end; there is one.
    pub fn draw(&self, rng: &mut Rng) -> &S {
        let n = self.ends.len();
        let place = match self.config.priority {
            Priority::Uniform => rng.below(n),
            Priority::Rank { alpha } => crate::sampler::pick((0..n).map(|rank| (rank as f64 + 1.0).powf(-alpha)), rng),
            Priority::Stratified => {
                let (best, worst) = (self.ends[0].0, self.ends[n - 1].0);
                let class = |reward: f64| if best > worst { (10.0 * (best - reward) / (best - worst)).min(9.0) as usize } else { 0 };
                let mut classes: Vec<Vec<usize>> = vec![Vec::new(); 10];
                self.ends.iter().enumerate().for_each(|(place, (reward, _))| classes[class(*reward)].push(place));
                classes.retain(|class| !class.is_empty());
                let chosen = &classes[rng.below(classes.len())];
                chosen[rng.below(chosen.len())]
            }
        };
        &self.ends[place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    #[test]
    fn the_best_distinct_ends_are_kept_in_order() {
        let mut replay = Replay::new(ReplayConfig { capacity: 3, ..ReplayConfig::default() });
        assert_eq!(replay.share(10), 0);
        for (end, reward) in [(1, 0.0), (2, 2.0), (1, 0.0), (3, 1.0), (4, -1.0), (5, 3.0)] {
            replay.add(&end, reward, Vec::new);
        }
        assert_eq!(replay.ends(), [(3.0, 5), (2.0, 2), (1.0, 3)]);
        assert_eq!(replay.share(10), 5);
        replay.add(&4, 0.5, Vec::new);
        assert_eq!(replay.ends().len(), 3, "what was forgotten may come back, if it is good enough");
    }

    #[test]
    fn of_ends_that_are_too_near_the_better_one_stays() {
        // Bits as features: the distance of two numbers is the bits that differ over the bits that are set.
        let features = |end: u8| move || (0..8).map(|bit| f32::from(end >> bit & 1)).collect::<Vec<f32>>();
        assert_eq!(distance(&features(0b11)(), &features(0b110)()), 0.5);
        let mut replay = Replay::new(ReplayConfig { capacity: 3, min_distance: 0.5, ..ReplayConfig::default() });
        let mut add = |end: u8, reward: f64| {
            replay.add(&end, reward, features(end));
            replay.ends().to_vec()
        };
        add(0b1111, 1.0);
        assert_eq!(add(0b0111, 0.5), [(1.0, 0b1111)], "nearer than half, and worse");
        assert_eq!(add(0b0111, 2.0), [(2.0, 0b0111)], "and better");
        assert_eq!(add(0b1111_0000, 1.0), [(2.0, 0b0111), (1.0, 0b1111_0000)]);
        add(0b1100_0001, 0.7);
        // Better than two that it is near to.
        assert_eq!(add(0b1110_0001, 3.0), [(3.0, 0b1110_0001), (2.0, 0b0111)]);
        assert_eq!(replay.features.len(), 2);
    }

    #[test]
    fn draws_follow_the_priority() {
        let mut rng = Seed(1).stream("test", 0);
        let frequency = |priority, rng: &mut Rng| {
            let mut replay = Replay::new(ReplayConfig { capacity: 9, priority, ..ReplayConfig::default() });
            (0..4).for_each(|end| replay.add(&end, if end == 0 { 10.0 } else { 0.01 * f64::from(end) }, Vec::new));
            (0..4000).filter(|_| *replay.draw(rng) == 0).count() as f64 / 4000.0
        };
        // Four standard errors are 0.03.
        assert!((frequency(Priority::Uniform, &mut rng) - 0.25).abs() < 0.03);
        assert!((frequency(Priority::Rank { alpha: 1.0 }, &mut rng) - 1.0 / (1.0 + 0.5 + 1.0 / 3.0 + 0.25)).abs() < 0.03);
        assert!((frequency(Priority::Stratified, &mut rng) - 0.5).abs() < 0.03);
    }
}
