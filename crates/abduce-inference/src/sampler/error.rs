//! Why a sampler can't deliver, with the numbers that show it.

/// An error of a sampler. None of them is ever answered with other draws.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// An option outside its range.
    #[error("option {option} = {value}, expected {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The allowed range.
        expected: &'static str,
    },
    /// An array of the wrong length.
    #[error("{what} has {found} values, expected {expected}")]
    Shape {
        /// The array and its axes.
        what: &'static str,
        /// Values found.
        found: usize,
        /// Values expected.
        expected: usize,
    },
    /// A chain starts where the density is zero.
    #[error(
        "target {target}, chain {chain}: the log-density at the start is {log_density}; {bad} of {total} starts are outside the support"
    )]
    Start {
        /// The first such target.
        target: usize,
        /// Its first such chain.
        chain: usize,
        /// What the density gave: −∞ (also in place of NaN).
        log_density: f64,
        /// Starts with zero density, over all targets.
        bad: usize,
        /// All starts.
        total: usize,
    },
    /// Too few candidates have positive density to start the chains from.
    #[error("target {target}: {usable} of {candidates} candidates have a positive density, {wanted} starts are wanted")]
    TooFewStarts {
        /// The target.
        target: usize,
        /// Candidates drawn from the proposal.
        candidates: usize,
        /// Those with a finite log-density.
        usable: usize,
        /// Starts wanted.
        wanted: usize,
    },
    /// Stretch moves need an even number of at least 2d walkers.
    #[error("{num_chains} walkers in {dimension} dimensions: the stretch move needs an even number of at least {}", (2 * dimension).max(4))]
    Walkers {
        /// Walkers.
        num_chains: usize,
        /// Dimension.
        dimension: usize,
    },
    /// Walkers on a plane stay on it.
    #[error(
        "target {target}: the walkers' starts lie in a plane (parameter {parameter} is a function of the ones before it), which stretch moves never leave"
    )]
    FlatStarts {
        /// The target.
        target: usize,
        /// The first parameter that is linearly dependent.
        parameter: usize,
    },
    /// Rejection sampling reached its cap.
    #[error(
        "target {target}: {accepted} of {wanted} draws accepted after {proposed} proposals (acceptance rate {rate:.2e}); the cap of proposals is reached"
    )]
    RejectionCap {
        /// The target.
        target: usize,
        /// Draws accepted.
        accepted: usize,
        /// Draws wanted.
        wanted: usize,
        /// Proposals drawn.
        proposed: usize,
        /// accepted/proposed.
        rate: f64,
    },
    /// The stated bound of a rejection sampler isn't one.
    #[error("target {target}: log π − log q = {log_ratio} exceeds the stated bound {log_bound}; the draws would be wrong")]
    RejectionBound {
        /// The target.
        target: usize,
        /// The ratio found.
        log_ratio: f64,
        /// The bound.
        log_bound: f64,
    },
    /// No proposal had a positive weight.
    #[error("target {target}: none of {draws} proposals has a positive weight")]
    NoWeight {
        /// The target.
        target: usize,
        /// Proposals.
        draws: usize,
    },
    /// Importance weights whose tail is too heavy to be trusted.
    #[error("target {target}: the importance weights' Pareto shape is {k_hat:.2}, above {limit:.2}; {ess:.1} effective draws of {draws}")]
    Unreliable {
        /// The target.
        target: usize,
        /// k̂.
        k_hat: f64,
        /// The limit.
        limit: f64,
        /// Effective number of draws.
        ess: f64,
        /// Draws.
        draws: usize,
    },
    /// Chains that have not mixed.
    #[error(
        "target {target}, parameter {parameter}: split R-hat {r_hat:.3} (limit {r_hat_limit}), effective draws {ess_bulk:.0} in the bulk and \
         {ess_tail:.0} in the tails (wanted {ess_wanted}); {divergences} divergences"
    )]
    NotConverged {
        /// The target.
        target: usize,
        /// Its worst parameter.
        parameter: usize,
        /// Its split R̂.
        r_hat: f64,
        /// The limit.
        r_hat_limit: f64,
        /// Bulk ESS.
        ess_bulk: f64,
        /// Tail ESS.
        ess_tail: f64,
        /// The smallest that is allowed.
        ess_wanted: f64,
        /// Divergent transitions of the target.
        divergences: u64,
    },
    /// An optimisation ended without a result.
    #[error("target {target}: {what} after {steps} steps")]
    Optimiser {
        /// The target.
        target: usize,
        /// What happened.
        what: &'static str,
        /// Steps made.
        steps: usize,
    },
}

/// Ok where `value` satisfies the range.
pub(super) const fn require(holds: bool, option: &'static str, value: f64, expected: &'static str) -> Result<(), SamplerError> {
    if holds { Ok(()) } else { Err(SamplerError::Option { option, value, expected }) }
}
