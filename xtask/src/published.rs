//! What the C2ST table compares with: methods, their networks and training, and the scores that were published.

use crate::cells::median;
use abduce_density::{ClassifierSpec, DensitySpec, SplineSpec};
use abduce_diffusion::NoiseSchedule;
use abduce_inference::training::NetworkSpec;
use abduce_nn::trainer::{Schedule, TrainConfig};

/// The engines of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Method {
    Npe,
    Nle,
    Nre,
    Snpe,
    Snle,
    Snre,
    /// Not in the paper; compared with its SNPE.
    Tsnpe,
    /// Not in the paper; compared with its NPE.
    Fmpe,
    /// Not in the paper; compared with its NPE.
    Npse,
    /// Rejection ABC: the closest 100, smoothed.
    RejAbc,
    /// Sequential Monte Carlo ABC, smoothed.
    SmcAbc,
}

/// The density of NLE and SNLE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Likelihood {
    /// The paper's.
    #[default]
    Maf,
    /// Coupling splines.
    Nsf,
    /// Autoregressive splines.
    MafRqs,
    /// A mixture of 10 normals.
    Mdn,
}

impl Likelihood {
    fn density(self) -> DensitySpec {
        let (transforms, hidden, spline) = (5, vec![50, 50], SplineSpec::default());
        match self {
            Self::Maf => DensitySpec::Maf { transforms, hidden },
            Self::Nsf => DensitySpec::Nsf { transforms, hidden: 50, blocks: 2, spline },
            Self::MafRqs => DensitySpec::MafRqs { transforms, hidden, spline },
            Self::Mdn => DensitySpec::Mdn { hidden, components: 10 },
        }
    }
}

/// How networks are trained, and whose table the scores go beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Protocol {
    /// Our defaults, none of them chosen on the reference posteriors; beside Lueckmann et al. 2021, arXiv:2101.04653: means over the observations.
    Benchmark,
    /// Batches of 64, learning rate 5e-5 (ratios 1e-5); beside Ho et al. 2024, arXiv:2402.05137, figure 4: medians over the observations of slcp.
    LtuIli,
}

/// The columns of the tables.
const METHODS: [Method; 8] =
    [Method::Npe, Method::Nle, Method::Nre, Method::Snpe, Method::Snle, Method::Snre, Method::RejAbc, Method::SmcAbc];
/// Published C2ST, mean over 10 observations, at 1 000 and 10 000 simulations, in the order of [`METHODS`]; gaussian_mixture by the rerun.
const PUBLISHED: [(&str, [[f64; 8]; 2]); 5] = [
    ("two_moons", [[0.725, 0.773, 0.822, 0.643, 0.657, 0.651, 0.960, 0.922], [0.606, 0.713, 0.761, 0.554, 0.571, 0.582, 0.847, 0.707]]),
    (
        "gaussian_linear",
        [[0.694, 0.650, 0.672, 0.652, 0.628, 0.670, 0.913, 0.922], [0.552, 0.555, 0.560, 0.544, 0.548, 0.536, 0.858, 0.829]],
    ),
    (
        "gaussian_mixture",
        [[0.716, 0.740, 0.777, 0.669, 0.706, 0.673, 0.860, 0.791], [0.615, 0.723, 0.748, 0.551, 0.685, 0.578, 0.781, 0.722]],
    ),
    ("slcp", [[0.975, 0.946, 0.972, 0.965, 0.921, 0.968, 0.982, 0.982], [0.901, 0.771, 0.947, 0.845, 0.713, 0.917, 0.973, 0.969]]),
    ("sir", [[0.815, 0.761, 0.841, 0.638, 0.745, 0.637, 0.964, 0.921], [0.680, 0.748, 0.770, 0.561, 0.745, 0.646, 0.838, 0.626]]),
];

/// Published C2ST of slcp, median over 10 observations, in the order of [`METHODS`]; of two backends the better one.
const PUBLISHED_BY_LTU_ILI: [[f64; 8]; 2] =
    [[0.958, 0.952, 0.980, 0.977, 0.966, 0.978, 0.981, f64::NAN], [0.884, 0.763, 0.965, 0.874, 0.688, 0.954, 0.968, f64::NAN]];

/// The tasks.
pub(crate) fn tasks() -> impl Iterator<Item = &'static str> {
    PUBLISHED.iter().map(|(task, _)| *task)
}

impl Protocol {
    /// The score of a cell that has these ones for its observations.
    pub(crate) fn score(self, observations: &[f64]) -> f64 {
        match self {
            Self::Benchmark => observations.iter().sum::<f64>() / observations.len() as f64,
            Self::LtuIli => median(observations.iter().copied()),
        }
    }

    /// What was published; not a number where nothing was.
    pub(crate) fn published(self, method: Method, task: &str, n: usize) -> f64 {
        let own = match method {
            Method::Tsnpe => Method::Snpe,
            Method::Fmpe | Method::Npse => Method::Npe,
            method => method,
        };
        let rows = match self {
            Self::Benchmark => PUBLISHED.iter().find(|(name, _)| *name == task).map(|(_, rows)| rows),
            Self::LtuIli => (task == "slcp").then_some(&PUBLISHED_BY_LTU_ILI),
        };
        let row = match n {
            1000 => 0,
            10_000 => 1,
            _ => return f64::NAN,
        };
        rows.zip(METHODS.iter().position(|m| *m == own)).map_or(f64::NAN, |(rows, column)| rows[row][column])
    }

    /// Batches and rates of the last (or only) training on `n` pairs.
    pub(crate) fn training(self, n: usize, method: Method) -> TrainConfig {
        let default = TrainConfig::default();
        match self {
            Self::Benchmark => {
                TrainConfig { batch_size: (n / 50).clamp(50, 512), schedule: Schedule::Plateau { factor: 0.2, drops: 2 }, ..default }
            }
            Self::LtuIli => {
                let learning_rate = if matches!(method, Method::Nre | Method::Snre) { 1e-5 } else { 5e-5 };
                TrainConfig { batch_size: 64, learning_rate, ..default }
            }
        }
    }

    /// The rounds before the last one only have to find where to simulate: half the patience, and no lower rates.
    pub(crate) fn training_before(self, n: usize, method: Method) -> TrainConfig {
        let last = self.training(n, method);
        match self {
            Self::Benchmark => TrainConfig { stop_after_epochs: 10, schedule: Schedule::Constant, ..last },
            Self::LtuIli => last,
        }
    }
}

impl Method {
    pub(crate) fn is_abc(self) -> bool {
        matches!(self, Self::RejAbc | Self::SmcAbc)
    }

    pub(crate) fn is_sequential(self) -> bool {
        matches!(self, Self::Snpe | Self::Snle | Self::Snre | Self::Tsnpe)
    }

    pub(crate) const fn is_field(self) -> bool {
        matches!(self, Self::Fmpe | Self::Npse)
    }

    /// The network of the comparison: a coupling NSF (5 transforms, 50 hidden, 10 bins), a MAF (5 × 50) or another likelihood, a residual classifier (2 blocks of 50).
    pub(crate) fn network(self, likelihood: Likelihood) -> NetworkSpec {
        match self {
            Self::Npe | Self::Snpe | Self::Tsnpe => {
                NetworkSpec::Density(DensitySpec::Nsf { transforms: 5, hidden: 50, blocks: 2, spline: SplineSpec::default() })
            }
            Self::Nle | Self::Snle => NetworkSpec::Density(likelihood.density()),
            Self::Fmpe => {
                NetworkSpec::Field { schedule: NoiseSchedule::flow_matching(), network: abduce_diffusion::NetworkSpec::default() }
            }
            Self::Npse => NetworkSpec::Field { schedule: NoiseSchedule::ve(), network: abduce_diffusion::NetworkSpec::default() },
            // Trains none.
            Self::RejAbc | Self::SmcAbc => NetworkSpec::Classifier(ClassifierSpec::Linear {}),
            Self::Nre | Self::Snre => NetworkSpec::Classifier(ClassifierSpec::Resnet { hidden: 50, blocks: 2 }),
        }
    }

    pub(crate) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}
