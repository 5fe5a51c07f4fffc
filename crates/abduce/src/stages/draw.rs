//! Draws of a posterior, by whatever method it takes.

use crate::config::{SampleMethod, SampleParams, VariationalDivergence};
use crate::error::Error;
use crate::session::{Session, warning};
use abduce_data::{Array, Seed};
use abduce_diffusion::Langevin;
use abduce_inference::diagnostics::Warning;
use abduce_inference::posterior::{ChainOptions, FitReport, Kind, Posterior, VariationalFamily, VariationalOptions};
use abduce_inference::sampler::{Convergence, Divergence, HmcOptions, Method, NutsOptions, StretchOptions, WeightReport};
use serde::Serialize;

/// How draws are made.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawing {
    /// Exactly and independently.
    Direct,
    /// By Markov chains.
    Chains(ChainOptions),
    /// From a distribution fitted to each observation.
    Variational(VariationalOptions),
}

/// Whether a method stands in a file, where LtU-ILI needs one, or was asked for just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// In a file: a posterior that can be drawn from exactly is.
    Written,
    /// On the command line: done as asked.
    Asked,
}

impl Drawing {
    /// What the posterior takes where nothing else is asked for.
    pub fn of(posterior: &Posterior) -> Self {
        if posterior.kind() == Kind::Npe { Self::Direct } else { Self::Chains(ChainOptions::default()) }
    }

    /// The method asked for.
    ///
    /// # Errors
    /// Direct draws of a likelihood or ratio.
    pub fn choose(
        session: &Session,
        posterior: &Posterior,
        method: Option<SampleMethod>,
        params: &SampleParams,
        wish: Wish,
    ) -> Result<Self, Error> {
        let exact = posterior.kind() == Kind::Npe;
        let method = match method {
            Some(method) if exact && wish == Wish::Written => {
                if method != SampleMethod::Direct {
                    session.console.note("a density of the parameters is drawn from directly: exact draws of what other methods approach");
                }
                return Ok(Self::Direct);
            }
            Some(method) => method,
            None if exact => return Ok(Self::Direct),
            None => SampleMethod::Slice,
        };
        match method {
            SampleMethod::Direct if exact => Ok(Self::Direct),
            SampleMethod::Direct => {
                let what = if posterior.kind() == Kind::Nle { "a likelihood" } else { "a ratio" };
                Err(Error::failed(
                    format!("the method `direct` draws from a density of the parameters, and these networks give {what}"),
                    "use slice, emcee, hmc, nuts or vi",
                ))
            }
            SampleMethod::Vi => Ok(Self::Variational(variational(params))),
            SampleMethod::Importance => Err(Error::failed(
                "the method `importance` weighs draws of a posterior density by a likelihood, and none is named here",
                "use `abduce sample` with --method importance and --likelihood or --proposal",
            )),
            _ => Ok(Self::Chains(chain_options(posterior.dimension(), method, params))),
        }
    }

    /// Its name, as in configuration files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Chains(options) => match options.method {
                Method::Slice(_) => "slice",
                Method::Stretch(_) => "emcee",
                Method::Hmc(_) => "hmc",
                Method::Nuts(_) => "nuts",
            },
            Self::Variational(_) => "vi",
        }
    }
}

fn variational(params: &SampleParams) -> VariationalOptions {
    let defaults = VariationalOptions::default();
    VariationalOptions {
        family: params.dist.and_then(|dist| VariationalFamily::named(dist.name())).unwrap_or(defaults.family),
        divergence: match params.divergence.unwrap_or_default() {
            VariationalDivergence::Reverse => Divergence::Reverse,
            VariationalDivergence::Forward => Divergence::Forward,
        },
        n_particles: params.n_particles.unwrap_or(defaults.n_particles),
        learning_rate: params.learning_rate.or(defaults.learning_rate),
        gamma: params.gamma.unwrap_or(defaults.gamma),
        max_num_iters: params.max_num_iters.unwrap_or(defaults.max_num_iters),
        min_num_iters: params.min_num_iters.unwrap_or(defaults.min_num_iters),
        clip_value: params.clip_value.unwrap_or(defaults.clip_value),
        warm_up_rounds: params.warm_up_rounds.unwrap_or(defaults.warm_up_rounds),
    }
}

/// The chains of a method over `d` free parameters; of methods without chains those of slice sampling.
pub fn chain_options(d: usize, method: SampleMethod, params: &SampleParams) -> ChainOptions {
    let defaults = ChainOptions::default();
    let walkers = 2 * d.max(16);
    let options = match method {
        SampleMethod::Direct | SampleMethod::Slice | SampleMethod::Vi | SampleMethod::Importance => defaults,
        SampleMethod::Emcee => {
            let method = Method::Stretch(StretchOptions::default());
            ChainOptions { method, num_chains: Some(walkers), warmup_steps: 200, thin: 10, ..defaults }
        }
        SampleMethod::Hmc => {
            ChainOptions { method: Method::Hmc(HmcOptions::default()), num_chains: None, warmup_steps: 300, thin: 1, ..defaults }
        }
        SampleMethod::Nuts => {
            ChainOptions { method: Method::Nuts(NutsOptions::default()), num_chains: None, warmup_steps: 300, thin: 1, ..defaults }
        }
    };
    let asked = usize::try_from(params.num_chains).ok().filter(|&n| n > 0).or(options.num_chains);
    // A stretch move needs two halves that each span the space.
    let (least, multiple) = if method == SampleMethod::Emcee { (2 * d, 2) } else { (1, 1) };
    ChainOptions {
        num_chains: asked.map(|n| n.max(least).next_multiple_of(multiple)),
        warmup_steps: params.burn_in.unwrap_or(options.warmup_steps),
        thin: params.thin.unwrap_or(options.thin),
        extensions: params.extensions.unwrap_or(options.extensions),
        ..options
    }
}

/// Draws and how far they can be trusted.
#[derive(Clone, Debug)]
pub struct Draws {
    /// θ (n_obs, draws, d).
    pub samples: Array,
    /// What is known about each observation's draws.
    pub quality: Quality,
}

/// What is known about draws, with one entry per observation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quality {
    /// Exact and independent: nothing to say.
    Exact([(); 0]),
    /// Of chains.
    Chains(Vec<Convergence>),
    /// Of fitted distributions.
    Fits(Vec<FitReport>),
    /// Of weighted draws.
    Weights(Vec<Weighed>),
}

/// What the weights of one observation are worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Weighed {
    /// Draws that were weighed.
    pub proposals: usize,
    /// Their worth.
    #[serde(flatten)]
    pub weights: WeightReport,
}

impl Quality {
    /// That of further observations, whose draws were made in the same way.
    pub fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Chains(own), Self::Chains(other)) => own.extend(other),
            (Self::Fits(own), Self::Fits(other)) => own.extend(other),
            (Self::Weights(own), Self::Weights(other)) => own.extend(other),
            (own, other) => *own = other,
        }
    }

    /// One line, where there is anything to say.
    pub fn note(&self, method: &str) -> Option<String> {
        match self {
            Self::Exact(_) => None,
            Self::Chains(convergence) => SamplingSummary::of(convergence).map(|summary| summary.note(method)),
            Self::Fits(fits) => {
                let weights: Vec<WeightReport> = fits.iter().map(|fit| fit.weights).collect();
                let steps = fits.iter().map(|fit| fit.steps).max().unwrap_or(0);
                let share = fits.iter().map(|fit| fit.weights.ess / fit.draws as f64).fold(f64::INFINITY, f64::min);
                Some(format!(
                    "{method}: Pareto k at most {:.2}, weights worth at least {:.0} % of the draws, at most {steps} steps",
                    largest_k(&weights),
                    100.0 * share
                ))
            }
            Self::Weights(weighed) => {
                let weights: Vec<WeightReport> = weighed.iter().map(|w| w.weights).collect();
                let least = weights.iter().map(|w| w.ess).fold(f64::INFINITY, f64::min);
                let proposals = weighed.first().map_or(0, |w| w.proposals);
                Some(format!(
                    "{method}: Pareto k at most {:.2}, at least {least:.0} effective draws of {proposals}{}",
                    largest_k(&weights),
                    match &weights[..] {
                        [one] => format!(", log-evidence {:.3} ± {:.3}", one.log_evidence, one.log_evidence_error),
                        _ => String::new(),
                    }
                ))
            }
        }
    }

    /// What to say about draws that can't be trusted.
    pub fn warning(&self) -> Option<Warning> {
        match self {
            Self::Exact(_) => None,
            Self::Chains(convergence) => SamplingSummary::of(convergence)?.warning(convergence.len()),
            Self::Fits(fits) => {
                let weights: Vec<WeightReport> = fits.iter().map(|fit| fit.weights).collect();
                let poor = unreliable(&weights, fits.first().map_or(0, |fit| fit.draws));
                (poor > 0).then(|| {
                    warning(
                        format!(
                            "the fits of {poor} of {} observations miss parts of their posteriors: Pareto k up to {:.2}, above {K_HAT}",
                            fits.len(),
                            largest_k(&weights)
                        ),
                        "take another `dist` (nsf), `divergence: forward`, more steps, or Markov chains",
                    )
                })
            }
            Self::Weights(weighed) => {
                let weights: Vec<WeightReport> = weighed.iter().map(|w| w.weights).collect();
                let poor = unreliable(&weights, weighed.first().map_or(0, |w| w.proposals));
                (poor > 0).then(|| {
                    warning(
                        format!(
                            "the weights of {poor} of {} observations can't be trusted: Pareto k up to {:.2}, above {K_HAT}",
                            weights.len(),
                            largest_k(&weights)
                        ),
                        "the density misses parts of the posterior: train it better, or use Markov chains on the likelihood",
                    )
                })
            }
        }
    }
}

/// Largest Pareto shape of some weights; NaN counts as infinite.
pub fn largest_k(weights: &[WeightReport]) -> f64 {
    weights.iter().map(|w| if w.k_hat.is_nan() { f64::INFINITY } else { w.k_hat }).fold(f64::NEG_INFINITY, f64::max)
}

/// How many of the weights are not to be trusted, `draws` of each. Those that hardly vary are, whatever the shape of what little there is.
pub fn unreliable(weights: &[WeightReport], draws: usize) -> usize {
    weights.iter().filter(|w| (w.k_hat.is_nan() || w.k_hat > K_HAT) && w.ess < CONSTANT * draws as f64).count()
}

/// The worst of the chains of all observations.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingSummary {
    /// Largest rank-normalised split R̂.
    pub r_hat_max: f64,
    /// Smallest effective number of draws, bulk.
    pub ess_bulk_min: f64,
    /// Smallest effective number of draws, tails.
    pub ess_tail_min: f64,
    /// Observations, counted from 0, whose chains have not converged ([`Convergence::has_converged`]).
    pub unconverged: Vec<usize>,
    /// Observations whose chains were made longer than asked for.
    pub extended: usize,
    /// Draws of the longest chains of one observation, together.
    pub longest: usize,
    /// Evaluations of the density, all observations together.
    pub evaluations: u64,
}

impl SamplingSummary {
    /// Of the chains of several observations; nothing where there are none.
    pub fn of(convergence: &[Convergence]) -> Option<Self> {
        let shortest = convergence.iter().map(|c| c.draws).min()?;
        let smallest =
            |of: fn(&Convergence) -> &Vec<f64>| convergence.iter().flat_map(|c| of(c).iter().copied()).fold(f64::INFINITY, f64::min);
        Some(Self {
            r_hat_max: convergence.iter().map(|c| c.worst().1).fold(0.0, f64::max),
            ess_bulk_min: smallest(|c| &c.ess_bulk),
            ess_tail_min: smallest(|c| &c.ess_tail),
            unconverged: (0..convergence.len()).filter(|&i| !convergence[i].has_converged()).collect(),
            extended: convergence.iter().filter(|c| c.draws > shortest).count(),
            longest: convergence.iter().map(|c| c.draws).max()?,
            evaluations: convergence.iter().map(|c| c.evaluations).sum(),
        })
    }

    /// One line.
    fn note(&self, method: &str) -> String {
        let extended = match self.extended {
            0 => String::new(),
            n => format!("; chains of {n} observations went on, to {} draws at most", self.longest),
        };
        format!(
            "{method}: R-hat at most {:.3}, at least {:.0} effective draws, {} evaluations of the density{extended}",
            self.r_hat_max,
            self.ess_bulk_min.min(self.ess_tail_min),
            self.evaluations
        )
    }

    /// What to say about chains that have not converged.
    pub fn warning(&self, observations: usize) -> Option<Warning> {
        if self.unconverged.is_empty() {
            return None;
        }
        let mut which = self.unconverged.iter().take(LISTED).map(usize::to_string).collect::<Vec<_>>().join(", ");
        if self.unconverged.len() > LISTED {
            which.push_str(", …");
        }
        let of = if observations > 1 { format!(" (numbers {which}, from 0)") } else { String::new() };
        Some(warning(
            format!(
                "the chains of {} of {observations} observations have not converged: R-hat up to {:.3}, effective draws down to {:.0}{of}",
                self.unconverged.len(),
                self.r_hat_max,
                self.ess_bulk_min.min(self.ess_tail_min)
            ),
            "take more draws, a larger `extensions`, `thin` or `burn_in`, or another method",
        ))
    }
}

/// Observations that a warning names.
const LISTED: usize = 10;
/// Vehtari et al. 2015 (arXiv:1507.02646): weights with a larger Pareto shape are not to be used.
pub const K_HAT: f64 = 0.7;
/// Share of effective draws above which weights count as constant.
const CONSTANT: f64 = 0.99;

/// Draws beyond this size are a mistake in a number.
const MOST_BYTES: usize = 1 << 37;

/// `draws` draws for each observation of `x` (n_obs · trials, …), whose independent data stand one after the other.
///
/// # Errors
/// Observations that don't fit, too many draws for any memory, or a sampler that can't deliver.
pub fn draw(
    session: &Session,
    posterior: &Posterior,
    x: &Array,
    trials: usize,
    draws: usize,
    drawing: &Drawing,
    seed: Seed,
) -> Result<Draws, Error> {
    let observations = x.rows() / trials.max(1);
    check_memory(observations, draws, posterior.dimension())?;
    let (values, quality) = match drawing {
        Drawing::Direct if trials == 1 => (posterior.sample(&session.compute, x.data(), draws, seed)?, Quality::Exact([])),
        // Networks that can't compose say so.
        Drawing::Direct => {
            (posterior.sample_composed(&session.compute, (x.data(), trials), draws, &Langevin::default(), seed)?, Quality::Exact([]))
        }
        Drawing::Chains(options) => {
            let drawn = posterior.sample_chains(&session.compute, x.data(), trials, draws, options, seed)?;
            (drawn.theta, Quality::Chains(drawn.report))
        }
        Drawing::Variational(options) => {
            let drawn = posterior.sample_variational(&session.compute, x.data(), trials, draws, options, seed)?;
            (drawn.theta, Quality::Fits(drawn.report))
        }
    };
    Ok(Draws { samples: Array::new(vec![observations, draws, posterior.dimension()], values)?, quality })
}

/// Draws of some parameters with others held at values; see [`Posterior::sample_conditional`].
///
/// # Errors
/// As [`draw`], and conditions that can't be.
pub fn draw_conditional(
    session: &Session,
    posterior: &Posterior,
    (x, trials): (&Array, usize),
    given: &[(usize, f64)],
    draws: usize,
    options: &ChainOptions,
    seed: Seed,
) -> Result<Draws, Error> {
    let observations = x.rows() / trials.max(1);
    check_memory(observations, draws, posterior.dimension())?;
    let drawn = posterior.sample_conditional(&session.compute, (x.data(), trials), given, draws, options, seed)?;
    Ok(Draws {
        samples: Array::new(vec![observations, draws, posterior.dimension()], drawn.theta)?,
        quality: Quality::Chains(drawn.report),
    })
}

fn check_memory(observations: usize, draws: usize, d: usize) -> Result<(), Error> {
    let bytes = observations.checked_mul(draws).and_then(|n| n.checked_mul(d * size_of::<f32>()));
    if bytes.is_none_or(|bytes| bytes > MOST_BYTES) {
        return Err(Error::failed(
            format!("{observations} observations × {draws} draws × {d} parameters do not fit into memory"),
            "ask for fewer draws, or sample the observations in parts",
        ));
    }
    Ok(())
}
