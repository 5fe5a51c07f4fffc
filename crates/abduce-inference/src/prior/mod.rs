//! Priors over the parameters θ: drawn from, scored, and mapped to the real line.
//!
//! [`PriorSpec`] is what a user writes; [`Prior::new`] checks it; [`Prior`] is what everything else uses:
//!
//! ```
//! use abduce_data::Seed;
//! use abduce_inference::prior::{Bounds, Prior, PriorSpec};
//!
//! let prior = Prior::new(PriorSpec::Uniform(Bounds { low: [0.0, 0.0].into(), high: [1.0, 2.0].into() }))?;
//! let mut theta = [0.0; 2];
//! prior.sample(&mut Seed(1).stream("prior", 0), &mut theta);
//! assert!((prior.log_prob(&theta) - (0.5f64).ln()).abs() < 1e-15);
//! # Ok::<(), abduce_inference::prior::PriorError>(())
//! ```
//!
//! Start reading at [`Prior`]; the formulae stand at [`PriorSpec`] and in `univariate.rs`.

mod bounded;
mod build;
pub(crate) mod cholesky;
pub(crate) mod empirical;
mod error;
mod gradient;
mod multivariate;
mod spec;
pub(crate) mod special;
mod support;
mod tabulated;
mod transform;
mod univariate;

#[cfg(test)]
mod laws;

pub use error::PriorError;
pub use spec::*;
pub use support::Interval;
pub(crate) use tabulated::Tabulated;
pub use transform::{Bijection, UnconstrainedTransform};

use abduce_data::Rng;
use empirical::Empirical;
use multivariate::{MultivariateNormal, TruncatedMultivariateNormal};
use serde::{Deserialize, Serialize};
use univariate::Univariate;

/// A checked prior: a product of independent blocks of one or more parameters. Saved as its [`PriorSpec`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "PriorSpec", into = "PriorSpec")]
pub struct Prior {
    spec: PriorSpec,
    blocks: Vec<Block>,
    support: Vec<Interval>,
}

#[derive(Clone, Debug)]
enum Block {
    One(Univariate),
    Normal(MultivariateNormal),
    TruncatedNormal(TruncatedMultivariateNormal),
    Empirical(Empirical),
}

impl Block {
    fn parameters(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Normal(block) => block.parameters(),
            Self::TruncatedNormal(block) => block.parameters(),
            Self::Empirical(block) => block.parameters(),
        }
    }
}

impl Prior {
    /// Checks every argument: lengths, ranges, positive definiteness.
    pub fn new(spec: PriorSpec) -> Result<Self, PriorError> {
        let blocks = build::blocks(&spec)?;
        let support = blocks
            .iter()
            .flat_map(|block| match block {
                Block::One(one) => vec![one.support()],
                Block::Normal(normal) => vec![Interval::REAL; normal.parameters()],
                Block::TruncatedNormal(normal) => normal.support().to_vec(),
                Block::Empirical(empirical) => empirical.support().to_vec(),
            })
            .collect();
        Ok(Self { spec, blocks, support })
    }

    /// What the prior was built from.
    pub fn spec(&self) -> &PriorSpec {
        &self.spec
    }

    /// Number of parameters d.
    pub fn parameters(&self) -> usize {
        self.support.len()
    }

    /// The interval of each parameter; together the smallest box that holds the support.
    pub fn support(&self) -> &[Interval] {
        &self.support
    }

    /// Whether every parameter lies in its interval.
    pub fn contains(&self, theta: &[f64]) -> bool {
        self.check_len(theta.len());
        self.support.iter().zip(theta).all(|(interval, &value)| interval.contains(value))
    }

    /// The bijection between the support and ℝ^d.
    pub fn transform(&self) -> UnconstrainedTransform {
        UnconstrainedTransform::from_support(&self.support)
    }

    /// One draw of all d parameters, strictly inside the support, also after a cast to f32. (A draw that rounding would put on a bound, or a
    /// heavy tail beyond the range of f32, is moved to the nearest f32 inside.)
    pub fn sample(&self, rng: &mut Rng, theta: &mut [f64]) {
        self.check_len(theta.len());
        let mut rest = theta;
        for block in &self.blocks {
            let (own, next) = rest.split_at_mut(block.parameters());
            match block {
                Block::One(one) => own[0] = one.sample(rng),
                Block::Normal(normal) => normal.sample(rng, own),
                Block::TruncatedNormal(normal) => normal.sample(rng, own),
                Block::Empirical(empirical) => empirical.sample(rng, own),
            }
            rest = next;
        }
    }

    /// ln p(θ), normalised; −∞ outside the support, for NaN, and on a bound where the density diverges.
    pub fn log_prob(&self, theta: &[f64]) -> f64 {
        self.check_len(theta.len());
        let mut rest = theta;
        let mut sum = 0.0;
        for block in &self.blocks {
            let (own, next) = rest.split_at(block.parameters());
            sum += match block {
                Block::One(one) => one.log_prob(own[0]),
                Block::Normal(normal) => normal.log_prob(own),
                Block::TruncatedNormal(normal) => normal.log_prob(own),
                Block::Empirical(empirical) => empirical.log_prob(own),
            };
            rest = next;
        }
        if sum.is_nan() { f64::NEG_INFINITY } else { sum }
    }

    /// Mean of each parameter; `None` where it does not exist. Exact, but for the truncated multivariate normal (100 000 draws of a fixed
    /// stream) and the empirical prior (mean of its rows).
    pub fn mean(&self) -> Vec<Option<f64>> {
        self.moments(Univariate::mean, |normal| normal.mean().to_vec(), |truncated| truncated.mean(), |empirical| empirical.mean())
    }

    /// Standard deviation of each parameter; `None` where it does not exist. Exactness as for [`Self::mean`].
    pub fn std(&self) -> Vec<Option<f64>> {
        self.moments(Univariate::std, MultivariateNormal::std, |truncated| truncated.std(), |empirical| empirical.std())
    }

    fn moments(
        &self,
        one: impl Fn(&Univariate) -> Option<f64>,
        normal: impl Fn(&MultivariateNormal) -> Vec<f64>,
        truncated: impl Fn(&TruncatedMultivariateNormal) -> &[f64],
        empirical: impl Fn(&Empirical) -> &[f64],
    ) -> Vec<Option<f64>> {
        let mut all = Vec::with_capacity(self.parameters());
        for block in &self.blocks {
            match block {
                // An overflow (a log-normal with scale 40) is no number either.
                Block::One(block) => all.push(one(block).filter(|value| value.is_finite())),
                Block::Normal(block) => all.extend(normal(block).into_iter().map(Some)),
                Block::TruncatedNormal(block) => all.extend(truncated(block).iter().copied().map(Some)),
                Block::Empirical(block) => all.extend(empirical(block).iter().copied().map(Some)),
            }
        }
        all
    }

    fn check_len(&self, found: usize) {
        assert_eq!(found, self.parameters(), "one value per parameter");
    }
}

impl TryFrom<PriorSpec> for Prior {
    type Error = PriorError;

    fn try_from(spec: PriorSpec) -> Result<Self, PriorError> {
        Self::new(spec)
    }
}

impl From<Prior> for PriorSpec {
    fn from(prior: Prior) -> Self {
        prior.spec
    }
}
