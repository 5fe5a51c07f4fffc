//! What is learnt, and by which loss.

use serde::{Deserialize, Serialize};

/// The engine: which conditional quantity the networks learn from pairs (θ, x).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "engine", rename_all = "snake_case", deny_unknown_fields)]
pub enum Engine {
    /// The posterior density: −mean log q(θ | x).
    #[default]
    Npe,
    /// The posterior density from simulations of a proposal, by the atomic loss of SNPE-C (Greenberg et al. 2019, arXiv:1905.07488, eq. 8):
    /// −mean[s_i − logsumexp_{θ ∈ Θ_i} s], s = log q(θ | x_i) − log p(θ), Θ_i = θ_i and `atoms` − 1 other θ of the batch.
    Atomic {
        /// |Θ_i|.
        atoms: usize,
        /// Rows of the source below this come from the prior; their plain loss is added (0: none).
        prior_rows: usize,
    },
    /// The posterior density as the flow of a vector field, by regression: flow matching (FMPE) or denoising score matching (NPSE), which the
    /// network's noise schedule decides.
    Field,
    /// The likelihood: −mean log q(x | θ) (Papamakarios et al. 2019, arXiv:1805.07226). Features of x that are whole numbers in every training row are counts:
    /// uniform noise on ±½ is added to them while training, and q at a count is its probability.
    Nle,
    /// The likelihood-to-evidence ratio p(x | θ)/p(x).
    Nre(RatioLoss),
}

/// Losses of ratio estimation; f is the network's output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "loss", rename_all = "snake_case", deny_unknown_fields)]
pub enum RatioLoss {
    /// NRE-A (Hermans et al. 2020, arXiv:1903.04057): binary cross entropy of joint against marginal pairs, mean over both. With a `balance` λ
    /// the balanced loss of BNRE (Delaunoy et al. 2022, arXiv:2208.13624): + λ (mean[σ(f_joint) + σ(f_marginal)] − 1)².
    Binary {
        /// λ; 0 for NRE-A.
        balance: f64,
    },
    /// NRE-B (Durkan et al. 2020, arXiv:2002.03712): −mean[f(θ_i, x_i) − logsumexp_{θ ∈ Θ_i} f(θ, x_i)]; a ratio up to a function of x.
    Multiclass {
        /// |Θ_i|: θ_i and so many less one others of the batch.
        atoms: usize,
    },
    /// NRE-C (Miller et al. 2022, arXiv:2210.06170, eq. 8), K classes and odds γ: an exact ratio at the optimum.
    Contrastive {
        /// K.
        classes: usize,
        /// γ.
        gamma: f64,
    },
}

impl RatioLoss {
    /// NRE-B with 10 atoms: what sbi and LtU-ILI call NRE.
    pub const DEFAULT: Self = Self::Multiclass { atoms: 10 };
}

impl Engine {
    /// Rows of the network for each pair of a batch of `pairs`: the pair itself and θ of others. A small batch has fewer others.
    pub(super) fn group(&self, pairs: usize) -> usize {
        let wanted = match *self {
            Self::Npe | Self::Field | Self::Nle => 1,
            Self::Atomic { atoms, .. } | Self::Nre(RatioLoss::Multiclass { atoms }) => atoms,
            Self::Nre(RatioLoss::Binary { .. }) => 2,
            Self::Nre(RatioLoss::Contrastive { classes, .. }) => classes + 1,
        };
        wanted.clamp(1, pairs.max(1))
    }
}
