//! Giving up early: asynchronous successive halving.

use serde::{Deserialize, Serialize};

/// Asynchronous successive halving (Li et al. 2018, arXiv:1810.05934), in the form that stops trials in place of pausing them.
///
/// At the rungs r, r η, r η², … (epochs) a trial goes on only if its best score so far is among the best 1/η of all scores that were seen at
/// that rung; the first ones at a rung go on as long as they are the best. Nobody waits for anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halving {
    /// Epochs before the first rung, r ≥ 1.
    pub min_epochs: usize,
    /// η ≥ 2.
    pub reduction: usize,
}

impl Default for Halving {
    fn default() -> Self {
        Self { min_epochs: 8, reduction: 3 }
    }
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    GoOn,
    /// No.
    GiveUp,
}

/// Scores by epoch, epochs increasing from 1.
pub type Steps = [(usize, f64)];

/// The best score up to `epoch`.
fn best_until(steps: &Steps, epoch: usize) -> f64 {
    steps.iter().filter(|(at, _)| *at <= epoch).map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max)
}

impl Halving {
    /// Whether `epoch` is a rung.
    pub fn is_rung(&self, epoch: usize) -> bool {
        let mut rung = self.min_epochs.max(1);
        while rung < epoch {
            rung = rung.saturating_mul(self.reduction.max(2));
        }
        rung == epoch
    }

    /// Judges a trial whose last epoch is in `own`, against `others`: their epochs, and whether they ended by themselves. A trial that ended
    /// before the rung counts with its best score, since it would not have become better; one that was given up or is not there yet does not.
    pub fn judge<'a>(&self, own: &Steps, others: impl Iterator<Item = (&'a Steps, bool)>) -> Verdict {
        let Some(&(epoch, _)) = own.last() else { return Verdict::GoOn };
        if !self.is_rung(epoch) {
            return Verdict::GoOn;
        }
        let score = best_until(own, epoch);
        let (mut peers, mut better) = (1, 0);
        for (steps, ended) in others {
            let reached = steps.last().is_some_and(|(last, _)| *last >= epoch || ended);
            if reached {
                peers += 1;
                better += usize::from(best_until(steps, epoch) > score);
            }
        }
        if better < (peers / self.reduction.max(2)).max(1) { Verdict::GoOn } else { Verdict::GiveUp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALVING: Halving = Halving { min_epochs: 2, reduction: 3 };

    fn curve(epochs: usize, score: f64) -> Vec<(usize, f64)> {
        (1..=epochs).map(|epoch| (epoch, score - 1.0 / epoch as f64)).collect()
    }

    #[test]
    fn rungs_are_powers() {
        let rungs: Vec<usize> = (0..60).filter(|&epoch| HALVING.is_rung(epoch)).collect();
        assert_eq!(rungs, [2, 6, 18, 54]);
    }

    #[test]
    fn the_best_third_goes_on() {
        let others: Vec<Vec<(usize, f64)>> = (0..8).map(|k| curve(6, f64::from(k))).collect();
        let judge = |own: &[(usize, f64)]| HALVING.judge(own, others.iter().map(|steps| (&steps[..], false)));
        // With nine at the rung the best three go on.
        for (score, verdict) in [(7.5, Verdict::GoOn), (5.5, Verdict::GoOn), (4.5, Verdict::GiveUp), (-1.0, Verdict::GiveUp)] {
            assert_eq!(judge(&curve(6, score)), verdict, "{score}");
            assert_eq!(judge(&curve(5, score)), Verdict::GoOn, "5 is no rung");
        }
    }

    #[test]
    fn the_first_at_a_rung_go_on_while_they_are_the_best() {
        let judge = |own: f64, others: &[f64]| {
            let others: Vec<_> = others.iter().map(|&score| curve(2, score)).collect();
            HALVING.judge(&curve(2, own), others.iter().map(|steps| (&steps[..], false)))
        };
        assert_eq!(judge(0.0, &[]), Verdict::GoOn);
        assert_eq!(judge(0.0, &[1.0]), Verdict::GiveUp);
        assert_eq!(judge(2.0, &[1.0]), Verdict::GoOn);
        assert_eq!(judge(1.0, &[1.0, 1.0]), Verdict::GoOn, "nobody is better");
    }

    #[test]
    fn only_those_that_were_there_count_and_a_late_fall_does_not_hurt() {
        let short = curve(3, 9.0);
        assert_eq!(HALVING.judge(&curve(6, 0.0), [(&short[..], false)].into_iter()), Verdict::GoOn, "given up at epoch 3");
        assert_eq!(HALVING.judge(&curve(6, 0.0), [(&short[..], true)].into_iter()), Verdict::GiveUp, "ended by itself");
        let mut fell = curve(6, 5.0);
        fell[5].1 = -100.0;
        assert_eq!(HALVING.judge(&fell, [(&curve(6, 4.0)[..], false)].into_iter()), Verdict::GoOn);
    }
}
