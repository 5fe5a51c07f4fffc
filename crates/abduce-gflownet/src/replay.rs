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
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self { capacity: 0, fraction: 0.5, priority: Priority::Uniform }
    }
}

/// Distinct ends with their log-rewards, best first.
#[derive(Clone, Debug)]
pub struct Replay<S> {
    config: ReplayConfig,
    ends: Vec<(f64, S)>,
    known: HashSet<S>,
}

impl<S: Clone + Eq + Hash> Replay<S> {
    /// An empty memory.
    pub fn new(config: ReplayConfig) -> Self {
        Self { config, ends: Vec::new(), known: HashSet::new() }
    }

    /// Ends that are kept, best first.
    pub fn ends(&self) -> &[(f64, S)] {
        &self.ends
    }

    /// Keeps an end, unless it is known or worse than all of a full memory.
    pub fn add(&mut self, end: &S, log_reward: f64) {
        if self.config.capacity == 0 || self.known.contains(end) {
            return;
        }
        let place = self.ends.partition_point(|(reward, _)| *reward >= log_reward);
        if place >= self.config.capacity {
            return;
        }
        self.ends.insert(place, (log_reward, end.clone()));
        self.known.insert(end.clone());
        if self.ends.len() > self.config.capacity
            && let Some((_, worst)) = self.ends.pop()
        {
            self.known.remove(&worst);
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
            replay.add(&end, reward);
        }
        assert_eq!(replay.ends(), [(3.0, 5), (2.0, 2), (1.0, 3)]);
        assert_eq!(replay.share(10), 5);
        replay.add(&4, 0.5);
        assert_eq!(replay.ends().len(), 3, "what was forgotten may come back, if it is good enough");
    }

    #[test]
    fn draws_follow_the_priority() {
        let mut rng = Seed(1).stream("test", 0);
        let frequency = |priority, rng: &mut Rng| {
            let mut replay = Replay::new(ReplayConfig { capacity: 9, priority, ..ReplayConfig::default() });
            (0..4).for_each(|end| replay.add(&end, if end == 0 { 10.0 } else { 0.01 * f64::from(end) }));
            (0..4000).filter(|_| *replay.draw(rng) == 0).count() as f64 / 4000.0
        };
        // Four standard errors are 0.03.
        assert!((frequency(Priority::Uniform, &mut rng) - 0.25).abs() < 0.03);
        assert!((frequency(Priority::Rank { alpha: 1.0 }, &mut rng) - 1.0 / (1.0 + 0.5 + 1.0 / 3.0 + 0.25)).abs() < 0.03);
        assert!((frequency(Priority::Stratified, &mut rng) - 0.5).abs() < 0.03);
    }
}
