//! `abduce cosmology growth`: expansion, distances and growth of a model.

use super::{ModelArgs, geometric, scale_factor, write_csv};
use crate::commands::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use abduce_cosmology::background::Radiation;
use abduce_cosmology::growth::Growth;
use std::path::PathBuf;

/// Whether photons and neutrinos take part in the expansion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum RadiationChoice {
    /// As in most simulations.
    Neglected,
    /// Photons of 2.7255 K and 3.046 massless neutrinos.
    Included,
}

/// Compute expansion and growth: columns a, z, e, comoving_distance_mpc_h, age_gyr_h, d1, f1, d2, f2.
///
/// e is H/H0; d1 and d2 are the first- and second-order growth, d1 = 1 today and d2 negative; f1 and f2 their logarithmic slopes in a.
#[derive(Clone, Debug, clap::Args)]
pub struct GrowthArgs {
    /// The model; its amplitude, slope and baryons do not matter here.
    #[command(flatten)]
    pub cosmology: ModelArgs,
    /// Redshifts, separated by commas; a table from --a-min to 1 where none are given.
    #[arg(long, value_delimiter = ',', value_name = "Z", allow_negative_numbers = true)]
    pub z: Vec<f64>,
    /// First scale factor of the table.
    #[arg(long, default_value_t = 0.01)]
    pub a_min: f64,
    /// Rows of the table, at equal ratios of the scale factor.
    #[arg(long, default_value_t = 201, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub points: u32,
    /// Radiation in the expansion.
    #[arg(long, value_enum, default_value = "neglected")]
    pub radiation: RadiationChoice,
    /// File for the table; standard output by default.
    #[arg(short, long, value_name = "FILE.csv")]
    pub out: Option<PathBuf>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Redshifts that are served.
const MOST_REDSHIFT: f64 = 9999.0;

/// Runs the command.
pub fn run(session: &Session, args: &GrowthArgs) -> Result<Ending, Error> {
    let cosmology = args.cosmology.cosmology()?;
    let radiation = match args.radiation {
        RadiationChoice::Neglected => Radiation::Neglected,
        RadiationChoice::Included => Radiation::Included,
    };
    let scale_factors = if args.z.is_empty() {
        if !(args.a_min >= 1e-4 && args.a_min < 1.0) {
            return Err(Error::Usage {
                message: format!("--a-min {} is outside [1e-4, 1)", args.a_min),
                help: "the table ends at a = 1".into(),
            });
        }
        geometric(args.a_min, 1.0, args.points as usize)
    } else {
        args.z.iter().map(|&z| scale_factor(z, MOST_REDSHIFT)).collect::<Result<Vec<_>, _>>()?
    };
    let growth = Growth::new(&cosmology, radiation)?;
    let background = growth.background();
    let rows: Vec<f64> = scale_factors
        .iter()
        .flat_map(|&a| {
            let at = growth.at(a);
            let distance = background.comoving_distance_mpc_h(a);
            [a, 1.0 / a - 1.0, background.e(a), distance, background.age_gyr_h(a), at.d1, at.f1, at.d2, at.f2]
        })
        .collect();
    write_csv(session, args.out.as_deref(), "a,z,e,comoving_distance_mpc_h,age_gyr_h,d1,f1,d2,f2", &rows)?;
    Ok(Ending::Done)
}
