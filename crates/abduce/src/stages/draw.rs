//! Draws of a posterior, by whatever method it takes.

use crate::config::{SampleMethod, SampleParams};
use crate::error::Error;
use crate::session::{Session, warning};
use abduce_data::{Array, Seed};
use abduce_diffusion::Langevin;
use abduce_inference::diagnostics::Warning;
use abduce_inference::posterior::{ChainOptions, Kind, Posterior};
use abduce_inference::sampler::{Convergence, HmcOptions, Method, NutsOptions, StretchOptions};
use serde::{Deserialize, Serialize};

/// How draws are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drawing {
    /// Exactly and independently.
    Direct,
    /// By Markov chains.
    Chains(ChainOptions),
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
                    session
                        .console
                        .note("a density of the parameters is drawn from directly: exact draws of what chains would converge to");
                }
                return Ok(Self::Direct);
            }
            Some(method) => method,
            None if exact => return Ok(Self::Direct),
            None => SampleMethod::Slice,
        };
        if method == SampleMethod::Direct {
            if exact {
                return Ok(Self::Direct);
            }
            let what = if posterior.kind() == Kind::Nle { "a likelihood" } else { "a ratio" };
            return Err(Error::failed(
                format!("the method `direct` draws from a density of the parameters, and these networks give {what}"),
                "use slice, emcee, hmc or nuts",
            ));
        }
        Ok(Self::Chains(chain_options(posterior.dimension(), method, params)))
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
        }
    }
}

/// The chains of a method over `d` free parameters; of `direct`, which has none, those of slice sampling.
pub fn chain_options(d: usize, method: SampleMethod, params: &SampleParams) -> ChainOptions {
    let defaults = ChainOptions::default();
    let walkers = 2 * d.max(16);
    let options = match method {
        SampleMethod::Direct | SampleMethod::Slice => defaults,
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
        ..options
    }
}

/// Draws and how far they can be trusted.
#[derive(Clone, Debug)]
pub struct Draws {
    /// θ (n_obs, draws, d).
    pub samples: Array,
    /// One entry per observation where the draws are those of chains.
    pub convergence: Vec<Convergence>,
}

/// The worst of the chains of all observations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SamplingSummary {
    /// Largest rank-normalised split R̂.
    pub r_hat_max: f64,
    /// Smallest effective number of draws, bulk.
    pub ess_bulk_min: f64,
    /// Smallest effective number of draws, tails.
    pub ess_tail_min: f64,
    /// Observations with R̂ above 1.01 or an effective number below 400.
    pub unconverged: usize,
    /// Divergent trajectories.
    pub divergences: u64,
    /// Evaluations of the density, all observations together.
    pub evaluations: u64,
}

impl SamplingSummary {
    /// Of the chains of several observations; nothing where there are none.
    pub fn of(convergence: &[Convergence]) -> Option<Self> {
        if convergence.is_empty() {
            return None;
        }
        let smallest =
            |of: fn(&Convergence) -> &Vec<f64>| convergence.iter().flat_map(|c| of(c).iter().copied()).fold(f64::INFINITY, f64::min);
        let worst = |c: &Convergence| c.r_hat.iter().copied().fold(0.0f64, f64::max);
        Some(Self {
            r_hat_max: convergence.iter().map(worst).fold(0.0, f64::max),
            ess_bulk_min: smallest(|c| &c.ess_bulk),
            ess_tail_min: smallest(|c| &c.ess_tail),
            unconverged: convergence.iter().filter(|c| worst(c) > R_HAT || c.min_ess() < ESS).count(),
            divergences: convergence.iter().map(|c| c.divergences).sum(),
            evaluations: convergence.iter().map(|c| c.evaluations).sum(),
        })
    }

    /// What to say about chains that have not converged.
    pub fn warning(&self, observations: usize) -> Option<Warning> {
        (self.unconverged > 0).then(|| {
            warning(
                format!(
                    "the chains of {} of {observations} observations have not converged: R-hat up to {:.3}, effective draws down to {:.0}",
                    self.unconverged, self.r_hat_max, self.ess_bulk_min
                ),
                "take more draws, a larger `thin` or `burn_in`, or another method",
            )
        })
    }
}

/// Vehtari et al. 2021 (arXiv:1903.08008): chains with a larger R̂ are not to be used…
const R_HAT: f64 = 1.01;
/// …nor fewer effective draws than these.
const ESS: f64 = 400.0;

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
    let (values, convergence) = match drawing {
        Drawing::Direct if trials == 1 => (posterior.sample(&session.compute, x.data(), draws, seed)?, Vec::new()),
        // Networks that can't compose say so.
        Drawing::Direct => {
            (posterior.sample_composed(&session.compute, (x.data(), trials), draws, &Langevin::default(), seed)?, Vec::new())
        }
        Drawing::Chains(options) => {
            let drawn = posterior.sample_chains(&session.compute, x.data(), trials, draws, options, seed)?;
            (drawn.theta, drawn.report)
        }
    };
    Ok(Draws { samples: Array::new(vec![observations, draws, posterior.dimension()], values)?, convergence })
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
    Ok(Draws { samples: Array::new(vec![observations, draws, posterior.dimension()], drawn.theta)?, convergence: drawn.report })
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
