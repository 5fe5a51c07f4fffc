//! `abduce cosmology power`: the linear matter power spectrum.

use super::{ModelArgs, geometric, scale_factor, write_csv};
use crate::commands::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::present::write_picture;
use crate::session::Session;
use crate::stages::inputs::make_parent;
use abduce_cosmology::background::Radiation;
use abduce_cosmology::boltzmann::{MatterTransfer, Precision};
use abduce_cosmology::growth::Growth;
use abduce_cosmology::power::{LinearPower, Oscillations, read_table};
use abduce_cosmology::{Amplitude, Cosmology};
use abduce_report::{Axis, Curve, RatioCurves};
use std::path::PathBuf;

/// Where a spectrum comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PowerModel {
    /// The Einstein-Boltzmann equations: within 0.5 % of CAMB for any parameters in the range of simulations.
    Boltzmann,
    /// The fit of Eisenstein & Hu 1998: 4 % off near the concordance model, 16 % where baryons are many.
    EisensteinHu,
    /// The same without acoustic oscillations.
    EisensteinHuSmooth,
    /// A file of CAMB or CLASS: columns k [h/Mpc] and P [(Mpc/h)^3] at z = 0.
    Table,
}

/// Compute the linear matter power spectrum: columns k_h_per_mpc, p_mpc3_h3.
#[derive(Clone, Debug, clap::Args)]
pub struct PowerArgs {
    /// Where the spectrum comes from.
    #[arg(long, value_enum, default_value = "boltzmann")]
    pub model: PowerModel,
    /// The model.
    #[command(flatten)]
    pub cosmology: ModelArgs,
    /// Redshift. Fits and tables are scaled by the growth factor without radiation, the Boltzmann equations know radiation.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub z: f64,
    /// The file of `--model table`; it is used as it is unless --sigma8 is given too.
    #[arg(long, value_name = "FILE", required_if_eq("model", "table"))]
    pub table: Option<PathBuf>,
    /// Smallest k in h/Mpc.
    #[arg(long, default_value_t = 1e-4)]
    pub k_min: f64,
    /// Largest k in h/Mpc.
    #[arg(long, default_value_t = 20.0)]
    pub k_max: f64,
    /// Number of k, at equal ratios.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub points: u32,
    /// File for the table; standard output by default.
    #[arg(short, long, value_name = "FILE.csv")]
    pub out: Option<PathBuf>,
    /// Picture of the spectrum and its ratio to the fit without oscillations.
    #[arg(long, value_name = "FILE.png|FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

/// Redshifts that are served.
const MOST_REDSHIFT: f64 = 99.0;

/// Runs the command.
pub fn run(session: &Session, args: &PowerArgs) -> Result<Ending, Error> {
    let cosmology = args.cosmology.cosmology()?;
    if args.table.is_some() && args.model != PowerModel::Table {
        return Err(Error::Usage { message: "--table goes with --model table".into(), help: "leave one of them out".into() });
    }
    if !(args.k_min > 0.0 && args.k_min < args.k_max && args.k_max <= 1e3) {
        return Err(Error::Usage {
            message: format!("k from {} to {} h/Mpc is no range", args.k_min, args.k_max),
            help: "give 0 < --k-min < --k-max <= 1000".into(),
        });
    }
    let a = scale_factor(args.z, MOST_REDSHIFT)?;
    let power = spectrum(session, args, &cosmology, a)?;
    let k = geometric(args.k_min, args.k_max, args.points as usize);
    let rows: Vec<f64> = k.iter().flat_map(|&k| [k, power.at(k)]).collect();
    write_csv(session, args.out.as_deref(), "k_h_per_mpc,p_mpc3_h3", &rows)?;
    if let Some(path) = &args.plot {
        let path = session.path(path);
        make_parent(&path)?;
        write_picture(&path, &figure(args, &cosmology, &power, k)?)?;
    }
    Ok(Ending::Done)
}

/// The spectrum at scale factor `a`.
fn spectrum(session: &Session, args: &PowerArgs, cosmology: &Cosmology, a: f64) -> Result<LinearPower, Error> {
    let threads = &session.compute.threads;
    let today = match args.model {
        PowerModel::Boltzmann => {
            let times = if a < 1.0 { vec![a, 1.0] } else { vec![1.0] };
            let spectra = MatterTransfer::new(cosmology, &times, &Precision::default(), threads)?.power()?;
            // The first time is the one asked for.
            return spectra.into_iter().next().ok_or_else(|| Error::failed("no spectrum was computed", "report this"));
        }
        PowerModel::EisensteinHu => LinearPower::eisenstein_hu(cosmology, Oscillations::Wiggles)?,
        PowerModel::EisensteinHuSmooth => LinearPower::eisenstein_hu(cosmology, Oscillations::Smooth)?,
        PowerModel::Table => table(session, args)?,
    };
    let growth = Growth::new(cosmology, Radiation::Neglected)?.at(a).d1;
    Ok(today.scaled(growth * growth)?)
}

fn table(session: &Session, args: &PowerArgs) -> Result<LinearPower, Error> {
    let Some(name) = &args.table else {
        return Err(Error::Usage { message: "--model table needs a file".into(), help: "name it with --table".into() });
    };
    let path = session.path(name);
    let text = std::fs::read_to_string(&path).map_err(|source| Error::File { action: "read", path: path.clone(), source })?;
    let in_file = |error: abduce_cosmology::CosmologyError| {
        Error::failed(format!("{}: {error}", path.display()), "columns of k in h/Mpc, rising, and of P in (Mpc/h)^3 are needed")
    };
    let (k, p) = read_table(&text).map_err(in_file)?;
    let power = LinearPower::from_table(&k, &p).map_err(in_file)?;
    match args.cosmology.sigma8 {
        Some(sigma8) => Ok(power.with_sigma8(sigma8)?),
        None => Ok(power),
    }
}

/// The spectrum over the fits, and ratios to the one without oscillations; both fits have the spectrum's own σ8.
fn figure(args: &PowerArgs, cosmology: &Cosmology, power: &LinearPower, x: Vec<f64>) -> Result<abduce_report::Figure, Error> {
    let matched = Cosmology { amplitude: Amplitude::Sigma8(power.sigma8()), ..*cosmology };
    let smooth = LinearPower::eisenstein_hu(&matched, Oscillations::Smooth)?;
    let wiggles = LinearPower::eisenstein_hu(&matched, Oscillations::Wiggles)?;
    let name = match args.model {
        PowerModel::Boltzmann => "Boltzmann equations",
        PowerModel::EisensteinHu | PowerModel::EisensteinHuSmooth => "as asked",
        PowerModel::Table => "table",
    };
    let spectra = [(name, power), ("Eisenstein & Hu 1998", &wiggles)];
    let values = |power: &LinearPower| x.iter().map(|&k| power.at(k)).collect::<Vec<f64>>();
    let figure = RatioCurves {
        title: format!("Linear matter power at z = {}", args.z),
        description: "Linear matter power spectrum, and its ratio to the fit of Eisenstein & Hu without acoustic oscillations".into(),
        x_axis: Axis::log10(r"k [h\,Mpc^{-1}]"),
        y_axis: Axis::log10(r"P [h^{-3}Mpc^3]"),
        ratio_label: r"P/P_{smooth}".into(),
        curves: spectra.iter().map(|(name, power)| Curve { name: (*name).to_owned(), y: values(power) }).collect(),
        ratios: spectra.iter().map(|(_, power)| x.iter().map(|&k| power.at(k) / smooth.at(k)).collect()).collect(),
        x,
    };
    figure.figure().map_err(|error| Error::failed(error.to_string(), "choose a range of k in which the spectrum is positive"))
}
