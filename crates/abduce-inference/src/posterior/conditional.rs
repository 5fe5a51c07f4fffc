//! Conditional posteriors p(θ_A | θ_B = b, x): some parameters held at values, the others drawn.

use super::chains::PriorProposal;
use super::grown::run;
use super::{ChainDraws, ChainError, ChainOptions, Posterior, PosteriorError, PosteriorTarget};
use crate::sampler::{Proposal, Target};
use abduce_data::Seed;
use abduce_nn::Compute;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// The posterior as a function of the free coordinates of z, with the others at their places: p(θ_A | θ_B, x) ∝ p(θ_A, θ_B | x), and the Jacobian of
/// θ_B is a constant, since each coordinate has its own map.
struct Conditional<'a> {
    target: PosteriorTarget<'a>,
    free: &'a [usize],
    /// z with the conditions at their places (d).
    template: &'a [f64],
    /// Whole points and gradients of one call, kept for the next: samplers make one at a time.
    scratch: Mutex<(Vec<f64>, Vec<f64>)>,
}

impl Conditional<'_> {
    fn whole(&self, points: &[f64], whole: &mut Vec<f64>) {
        whole.clear();
        for point in points.chunks_exact(self.free.len()) {
            let start = whole.len();
            whole.extend_from_slice(self.template);
            self.free.iter().zip(point).for_each(|(&j, &value)| whole[start + j] = value);
        }
    }
}

impl Target for Conditional<'_> {
    fn dimension(&self) -> usize {
        self.free.len()
    }

    fn count(&self) -> usize {
        self.target.count()
    }

    fn stream(&self, target: usize) -> u64 {
        Target::stream(&self.target, target)
    }

    fn log_density(&self, points: &[f64], of: &[usize], out: &mut [f64]) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        self.whole(points, &mut scratch.0);
        self.target.evaluate(&scratch.0, of, out, None);
    }

    fn log_density_gradient(&self, points: &[f64], of: &[usize], out: &mut [f64], gradient: &mut [f64]) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let (whole, slopes) = &mut *scratch;
        self.whole(points, whole);
        slopes.resize(whole.len(), 0.0);
        self.target.evaluate(whole, of, out, Some(slopes));
        let rows = slopes.chunks_exact(self.template.len()).zip(gradient.chunks_exact_mut(self.free.len()));
        for (whole, own) in rows {
            own.iter_mut().zip(self.free).for_each(|(g, &j)| *g = whole[j]);
        }
    }
}

/// Draws of the prior with the conditions put in. Of a prior that is a product their density is the prior's there; of a joint one the starts are
/// weighted a little wrongly, which the warm-up forgets.
struct ConditionedPrior<'a> {
    prior: PriorProposal<'a>,
    free: &'a [usize],
    template: &'a [f64],
}

impl Proposal for ConditionedPrior<'_> {
    fn draw(&self, targets: &[usize], draws: usize, seed: Seed, points: &mut [f64], log_density: &mut [f64]) {
        let d = self.template.len();
        let mut whole = vec![0.0; targets.len() * draws * d];
        self.prior.draw(targets, draws, seed, &mut whole, log_density);
        for (row, point) in whole.chunks_exact_mut(d).zip(points.chunks_exact_mut(self.free.len())) {
            point.iter_mut().zip(self.free).for_each(|(p, &j)| *p = row[j]);
            row.copy_from_slice(self.template);
            self.free.iter().zip(&*point).for_each(|(&j, &p)| row[j] = p);
        }
        self.prior.posterior.log_prior_of_rows(&whole, log_density);
    }
}

impl Posterior {
    /// Draws of p(θ_A | θ_B = b, x) for each observation, `trials` independent data of which stand one after the other in the rows of `x`, by Markov
    /// chains on the exact conditional density. `given` are pairs of a parameter's index and its value.
    ///
    /// Draws have all d parameters, the given ones at their values; the report is about the others, in their order. Otherwise as
    /// [`Posterior::sample_chains`].
    ///
    /// # Errors
    /// Conditions outside the prior, of no parameter or of all of them, and those of [`Posterior::sample_chains`].
    pub fn sample_conditional(
        &self,
        compute: &Compute,
        (x, trials): (&[f32], usize),
        given: &[(usize, f64)],
        draws: usize,
        options: &ChainOptions,
        seed: Seed,
    ) -> Result<ChainDraws, ChainError> {
        let d = self.dimension();
        let fixed: BTreeSet<usize> = given.iter().map(|&(j, _)| j).filter(|&j| j < d).collect();
        if fixed.is_empty() || fixed.len() != given.len() || fixed.len() == d {
            return Err(PosteriorError::Conditions { given: given.len(), fixed: fixed.len(), parameters: d }.into());
        }
        let mut template = vec![0.0; d];
        for &(j, value) in given {
            let support = self.prior.support()[j];
            if !(value.is_finite() && support.contains(value)) {
                return Err(PosteriorError::Condition { parameter: j, value, low: support.low, high: support.high }.into());
            }
            let u = self.transform.parameters[j].unconstrained_from_theta(value);
            template[j] = (u - self.theta_scale.mean()[j]) / self.theta_scale.std()[j];
        }
        let free: Vec<usize> = (0..d).filter(|j| !fixed.contains(j)).collect();
        let datum = self.x_len() * trials.max(1);
        let together = options.together(draws, free.len());
        let mut found = ChainDraws { theta: Vec::new(), report: Vec::new() };
        for (block, x) in x.chunks(together * datum).enumerate() {
            let first = block * together;
            let target = self.target(compute, x, trials)?.numbered_from(first);
            let conditional = Conditional { target, free: &free, template: &template, scratch: Mutex::default() };
            let proposal = ConditionedPrior { prior: PriorProposal { posterior: self, first }, free: &free, template: &template };
            let (z, report) = run(&conditional, &proposal, draws, options, seed)?;
            let mut theta: Vec<f32> = Vec::with_capacity(z.len() / free.len() * d);
            for point in z.chunks_exact(free.len()) {
                let start = theta.len();
                theta.extend(template.iter().map(|&v| v as f32));
                free.iter().zip(point).for_each(|(&j, &v)| theta[start + j] = v);
            }
            self.constrain(compute, &mut theta);
            // Not the value's image of its image.
            theta.chunks_exact_mut(d).for_each(|row| given.iter().for_each(|&(j, value)| row[j] = value as f32));
            found.theta.append(&mut theta);
            found.report.extend(report);
        }
        Ok(found)
    }
}
