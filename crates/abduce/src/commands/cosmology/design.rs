//! `abduce cosmology design`: points in parameter space for a set of simulations.

use super::write_csv;
use crate::commands::ComputeArgs;
use crate::error::Error;
use crate::pipeline::Ending;
use crate::session::Session;
use crate::stages::inputs::write_array;
use abduce_cosmology::design::{Interval, Placement, design, quijote_ranges};
use abduce_data::{Array, Seed};
use std::path::PathBuf;

/// How points are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DesignKind {
    /// Each parameter takes each n-th of its range once.
    LatinHypercube,
    /// A Latin hypercube whose points keep far from each other.
    Maximin,
    /// A scrambled Sobol sequence; a longer one begins with the shorter.
    Sobol,
    /// Independent uniform points; a longer list begins with the shorter.
    Uniform,
}

/// Choose points in parameter space, by default over the range of the Quijote Latin hypercube.
#[derive(Clone, Debug, clap::Args)]
pub struct DesignArgs {
    /// How points are placed.
    #[arg(long, value_enum, default_value = "latin-hypercube")]
    pub kind: DesignKind,
    /// Number of points.
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub n: u32,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// A parameter and its range, once for each; instead of omega_m, omega_b, h, n_s and sigma8 over Quijote's ranges.
    #[arg(long, value_name = "NAME:LOW:HIGH", value_parser = interval, allow_hyphen_values = true)]
    pub parameter: Vec<Interval>,
    /// File for the points: a CSV table with the parameters' names, or a float32 array (n, d) for a name that ends in .npy. Standard output by default.
    #[arg(short, long, value_name = "FILE.csv|FILE.npy")]
    pub out: Option<PathBuf>,
    /// Threads and talk.
    #[command(flatten)]
    pub compute: ComputeArgs,
}

fn interval(text: &str) -> Result<Interval, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let [name, low, high] = parts[..] else { return Err("write NAME:LOW:HIGH, for example omega_m:0.1:0.5".into()) };
    if name.is_empty() || name.contains([',', '"', '\n']) {
        return Err("a parameter needs a name without commas and quotes".into());
    }
    let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is not a number"));
    Ok(Interval { name: name.to_owned(), low: number(low)?, high: number(high)? })
}

/// Most points of a maximin design: its search takes the square of their number.
const MOST_MAXIMIN: u32 = 20_000;

/// Runs the command.
pub fn run(session: &Session, args: &DesignArgs) -> Result<Ending, Error> {
    let intervals = if args.parameter.is_empty() { quijote_ranges() } else { args.parameter.clone() };
    let placement = match args.kind {
        DesignKind::LatinHypercube => Placement::LatinHypercube,
        DesignKind::Maximin if args.n > MOST_MAXIMIN => {
            return Err(Error::Usage {
                message: format!("a maximin design of {} points would be searched for too long", args.n),
                help: format!("ask for at most {MOST_MAXIMIN}, or use --kind latin-hypercube or sobol"),
            });
        }
        DesignKind::Maximin => Placement::Maximin,
        DesignKind::Sobol => Placement::Sobol,
        DesignKind::Uniform => Placement::Uniform,
    };
    let points = design(placement, args.n as usize, &intervals, Seed(args.seed), &session.compute.threads)?;
    if let Some(out) = args.out.as_deref().filter(|out| out.extension().is_some_and(|extension| extension == "npy")) {
        let array = Array::new(vec![args.n as usize, intervals.len()], points.iter().map(|&value| value as f32).collect())?;
        write_array(&session.path(out), &array)?;
        return Ok(Ending::Done);
    }
    let names: Vec<&str> = intervals.iter().map(|interval| interval.name.as_str()).collect();
    write_csv(session, args.out.as_deref(), &names.join(","), &points)?;
    Ok(Ending::Done)
}
