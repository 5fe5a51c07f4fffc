//! `abduce dimension FILE`: how many numbers describe a point?

use super::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::present::{self, write_picture};
use crate::session::{Session, json, print};
use crate::stages::dimension::{loss_curves, of_losses, of_points};
use crate::stages::inputs::read_array;
use abduce_data::Seed;
use abduce_dimension::bottleneck::{EffectSettings, LossScale};
use abduce_dimension::{CombinedSettings, Method};
use std::path::PathBuf;

/// Estimate the intrinsic dimension of points, or read it off the loss curves of an ordered bottleneck.
#[derive(Clone, Debug, clap::Args)]
pub struct DimensionArgs {
    /// Points as rows: .npy (any number of columns or trailing axes), .npz, .csv, .h5, .fits; with --method iob the .npz of loss curves.
    pub file: PathBuf,
    /// One or several methods; the first gives the answer.
    #[arg(long, value_delimiter = ',', default_value = "combined")]
    pub method: Vec<MethodName>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Draw dimension against scale (with --method iob, against tolerated loss).
    #[arg(long, value_name = "FILE.svg|png")]
    pub plot: Option<PathBuf>,
    /// Seed of the simulated manifolds and of resampling.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Simulated manifolds that `combined` compares with; its time grows in proportion.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(50..))]
    pub references: u32,
    /// Points that `combined` uses at most.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(50..))]
    pub max_points: u32,
    /// What the losses of --method iob are.
    #[arg(long, value_enum, default_value = "variance")]
    pub loss: LossName,
    /// Tolerated loss of --method iob: a share of the variance (0.01 by default), or nats (0.02).
    #[arg(long)]
    pub tolerance: Option<f64>,
    /// Number of test points that the rule of the method's authors is told (--method iob).
    #[arg(long, default_value_t = 1000.0)]
    pub effective_points: f64,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Methods by the names of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MethodName {
    /// Corrected by simulation, with an interval (the default).
    Combined,
    /// Every method but iob, `combined` first.
    All,
    /// Levina & Bickel 2004.
    Mle,
    /// Facco et al. 2017.
    #[value(name = "twonn")]
    TwoNn,
    /// Denti et al. 2022, by scale.
    Gride,
    /// Method of moments, Amsaleg et al. 2018.
    Mom,
    /// Farahmand et al. 2007.
    Mada,
    /// Rozza et al. 2012.
    #[value(name = "mind_ml")]
    MindMl,
    /// Grassberger & Procaccia 1983.
    #[value(name = "corrint")]
    CorrInt,
    /// Amsaleg et al. 2019.
    Tle,
    /// Rules on the spectrum of the covariance.
    Lpca,
    /// Albergante et al. 2019.
    #[value(name = "fishers")]
    FisherS,
    /// Ceruti et al. 2014.
    Danco,
    /// Johnsson et al. 2015.
    Ess,
    /// Loss curves of an information-ordered bottleneck.
    Iob,
}

/// What losses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LossName {
    /// Squared errors, compared with the loss at width 0.
    Variance,
    /// Negative log-likelihoods in nats.
    Nats,
}

impl LossName {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::from_str(name, true).ok()
    }

    /// How losses are compared.
    pub const fn scale(self) -> LossScale {
        match self {
            Self::Variance => LossScale::Variance,
            Self::Nats => LossScale::Nats,
        }
    }
}

/// The methods behind names, each once, in the order of the names; none behind `iob`.
pub fn methods(names: &[MethodName]) -> Vec<Method> {
    let mut methods: Vec<Method> = Vec::new();
    for method in names.iter().flat_map(|name| name.methods()) {
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    methods
}

impl MethodName {
    /// By its name on the command line.
    pub fn named(name: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::from_str(name, true).ok()
    }

    /// The names of the methods for points, with commas.
    pub fn of_points() -> String {
        let names = <Self as clap::ValueEnum>::value_variants().iter().filter(|&&method| method != Self::Iob);
        names.filter_map(clap::ValueEnum::to_possible_value).map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
    }

    fn methods(self) -> Vec<Method> {
        match self {
            Self::Combined => vec![Method::Combined],
            Self::All => Method::ALL.to_vec(),
            Self::Mle => vec![Method::Mle],
            Self::TwoNn => vec![Method::TwoNn],
            Self::Gride => vec![Method::Gride],
            Self::Mom => vec![Method::Mom],
            Self::Mada => vec![Method::Mada],
            Self::MindMl => vec![Method::MindMl],
            Self::CorrInt => vec![Method::CorrInt],
            Self::Tle => vec![Method::Tle],
            Self::Lpca => vec![Method::Lpca],
            Self::FisherS => vec![Method::FisherS],
            Self::Danco => vec![Method::Danco],
            Self::Ess => vec![Method::Ess],
            Self::Iob => Vec::new(),
        }
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &DimensionArgs) -> Result<Ending, Error> {
    let file = session.path(&args.file);
    if let Some(path) = &args.plot
        && !path.extension().is_some_and(|extension| extension == "svg" || extension == "png")
    {
        return Err(Error::Usage {
            message: format!("--plot {}: the name ends in neither .svg nor .png", path.display()),
            help: "the ending chooses the format of the picture".into(),
        });
    }
    let drawn = |source| present::PresentError::Figure { figure: "the dimension".into(), source };
    let (text, figure, warnings) = if args.method.contains(&MethodName::Iob) {
        if args.method.len() > 1 {
            return Err(Error::Usage {
                message: "--method iob reads loss curves, the other methods read points".into(),
                help: "ask for iob alone".into(),
            });
        }
        let settings = EffectSettings { seed: Seed(args.seed), ..EffectSettings::default() };
        let report = of_losses(session, &loss_curves(&file)?, args.loss.scale(), args.tolerance, args.effective_points, settings)?;
        let text = if args.json { json(&report)? } else { present::dimension::bottleneck_table(&report) };
        let figure = args.plot.as_ref().map(|_| present::dimension::bottleneck_figure(&report)).transpose().map_err(drawn)?;
        (text, figure, report.warnings)
    } else {
        let methods = methods(&args.method);
        let settings =
            CombinedSettings { references: args.references as usize, max_points: args.max_points as usize, seed: Seed(args.seed) };
        let report = of_points(session, read_array::<f64>(&file, "x")?, &methods, settings)?;
        let text = if args.json { json(&report)? } else { present::dimension::table(&report) };
        let figure = args.plot.as_ref().map(|_| present::dimension::figure(&report)).transpose().map_err(drawn)?;
        (text, figure, report.warnings)
    };
    warnings.iter().for_each(|warning| session.console.warn(warning));
    if let (Some(path), Some(figure)) = (&args.plot, &figure) {
        write_picture(&session.path(path), figure)?;
    }
    print(&text)?;
    Ok(Ending::Done)
}
