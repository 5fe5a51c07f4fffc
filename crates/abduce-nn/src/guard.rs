//! Against numbers that stop being finite: the last good state, and when to go back to it.
//!
//! A single step whose loss or gradient is not finite is left out; that is enough if one batch was bad. Where several follow each other, the weights are
//! to blame: the state before them is put back and the learning rate halved.

use crate::adam::Adam;

/// Bad steps in a row that are blamed on the weights.
const PATIENCE: usize = 4;

/// Good steps between copies of the state, which is three times the size of the weights.
const INTERVAL: usize = 256;

/// Halvings of the learning rate after which training gives up: a factor of 10³.
pub(crate) const MOST_HALVINGS: usize = 10;

/// What a bad step leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is left out.
    Skip,
    /// The state goes back.
    Back,
}

/// The last copy of a good state.
#[derive(Debug)]
pub(crate) struct Guard {
    params: Vec<f32>,
    moments: (Vec<f32>, Vec<f32>),
    steps: u64,
    bad: usize,
    good: usize,
}

impl Guard {
    /// Room for a model of this many parameters.
    pub(crate) fn new(parameters: usize) -> Self {
        let zeros = || vec![0.0; parameters];
        Self { params: zeros(), moments: (zeros(), zeros()), steps: 0, bad: 0, good: 0 }
    }

    /// Takes the state at the beginning of an epoch.
    pub(crate) fn start(&mut self, params: &[f32], adam: &Adam) {
        let (m, v, steps) = adam.state();
        self.params.copy_from_slice(params);
        self.moments.0.copy_from_slice(m);
        self.moments.1.copy_from_slice(v);
        (self.steps, self.bad, self.good) = (steps, 0, 0);
    }

    /// A step was taken. The copy is renewed only after many good ones: the steps right before a run of bad ones may be those that spoilt it.
    pub(crate) fn good(&mut self, params: &[f32], adam: &Adam) {
        self.bad = 0;
        self.good += 1;
        if self.good == INTERVAL {
            self.start(params, adam);
        }
    }

    /// A step was left out.
    pub(crate) const fn bad(&mut self) -> Verdict {
        self.bad += 1;
        if self.bad < PATIENCE { Verdict::Skip } else { Verdict::Back }
    }

    /// Puts the copy back.
    pub(crate) fn put_back(&mut self, params: &mut [f32], adam: &mut Adam) {
        params.copy_from_slice(&self.params);
        adam.restore(&self.moments.0, &self.moments.1, self.steps);
        (self.bad, self.good) = (0, 0);
    }
}
