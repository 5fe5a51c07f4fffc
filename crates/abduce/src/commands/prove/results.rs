//! What a search reports in JSON, whatever checks its proofs.

use abduce_proof::evaluation::{Effort, wilson};
use serde::Serialize;
use std::collections::BTreeMap;

/// All theorems together.
#[derive(Serialize)]
pub(super) struct Totals {
    theorems: usize,
    pub(super) proved: usize,
    rate: f64,
    wilson_95: (f64, f64),
    expansions: usize,
    tactics_tried: usize,
}

impl Totals {
    /// Of attempts: whether each found a proof, and what it took.
    pub(super) fn new<'a>(attempts: impl Iterator<Item = (bool, &'a Effort)> + Clone) -> Self {
        let theorems = attempts.clone().count();
        let proved = attempts.clone().filter(|(proved, _)| *proved).count();
        Self {
            theorems,
            proved,
            rate: proved as f64 / theorems.max(1) as f64,
            wilson_95: wilson(proved, theorems),
            expansions: attempts.clone().map(|(_, effort)| effort.expansions).sum(),
            tactics_tried: attempts.map(|(_, effort)| effort.tried).sum(),
        }
    }

    /// One line.
    pub(super) fn line(&self) -> String {
        let (low, high) = self.wilson_95;
        format!("{} of {} proved ({low:.3} to {high:.3}, Wilson 95 %)\n", self.proved, self.theorems)
    }
}

/// One theorem.
#[derive(Serialize)]
pub(super) struct EffortReport<'r> {
    expansions: usize,
    expansions_to_first: Option<usize>,
    tactics_tried: usize,
    failures: &'r BTreeMap<&'static str, usize>,
    out_of_time: bool,
    seconds: f64,
}

impl<'r> From<&'r Effort> for EffortReport<'r> {
    fn from(effort: &'r Effort) -> Self {
        Self {
            expansions: effort.expansions,
            expansions_to_first: effort.expansions_to_first,
            tactics_tried: effort.tried,
            failures: &effort.failures,
            out_of_time: effort.out_of_time,
            seconds: effort.time.as_secs_f64(),
        }
    }
}
