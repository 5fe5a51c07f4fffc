//! Chains for other programs: getdist's text files, and named arrays for ArviZ.

use super::inputs::make_parent;
use crate::error::Error;
use abduce_data::artefact::write_atomic;
use abduce_data::{Array, ParameterInfo, npz};
use abduce_inference::prior::Interval;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What the columns of draws are.
#[derive(Clone, Copy, Debug)]
pub struct Columns<'a> {
    /// Names, units and labels.
    pub parameters: &'a [ParameterInfo],
    /// The prior's support.
    pub support: &'a [Interval],
}

/// Writes `PREFIX_1.txt` (weight, −log q, θ…), `PREFIX.paramnames` and `PREFIX.ranges` for each observation of `samples` (n_obs, n, d); with
/// several observations the prefix of observation i is `PREFIX_obsI`.
///
/// Every weight is 1. `log_prob` gives log q of the draws of an observation; of an unnormalised posterior that is log of likelihood times prior.
pub fn getdist(
    prefix: &Path,
    columns: Columns<'_>,
    samples: &Array,
    log_prob: impl Fn(usize, &[f32]) -> Result<Vec<f64>, Error>,
) -> Result<(), Error> {
    make_parent(prefix)?;
    let d = columns.parameters.len();
    for observation in 0..samples.rows() {
        let draws = samples.row(observation);
        let log_prob = log_prob(observation, draws)?;
        let name = |suffix: &str| -> PathBuf {
            let mut path = prefix.as_os_str().to_os_string();
            if samples.rows() > 1 {
                path.push(format!("_obs{observation}"));
            }
            path.push(suffix);
            path.into()
        };
        write_atomic(&name("_1.txt"), |out| {
            for (theta, log_prob) in draws.chunks_exact(d).zip(&log_prob) {
                write!(out, "1 {}", -log_prob)?;
                theta.iter().try_for_each(|value| write!(out, " {value}"))?;
                writeln!(out)?;
            }
            Ok(())
        })?;
        write_atomic(&name(".paramnames"), |out| {
            columns.parameters.iter().try_for_each(|p| writeln!(out, "{}\t{}", p.name.replace(char::is_whitespace, "_"), p.label_or_name()))
        })?;
        let bound = |value: f64| if value.is_finite() { value.to_string() } else { "N".to_string() };
        write_atomic(&name(".ranges"), |out| {
            let mut named = columns.parameters.iter().zip(columns.support);
            named.try_for_each(|(p, s)| writeln!(out, "{} {} {}", p.name.replace(char::is_whitespace, "_"), bound(s.low), bound(s.high)))
        })?;
    }
    Ok(())
}

/// Writes a `.npz` with one array per parameter, of shape (chain, draw) for one observation and (chain, draw, observation) for several, where
/// chain is 1: in Python `arviz.from_dict({"posterior": dict(numpy.load(file))})`.
pub fn arviz(path: &Path, columns: Columns<'_>, samples: &Array) -> Result<(), Error> {
    make_parent(path)?;
    let (observations, d) = (samples.rows(), columns.parameters.len());
    let draws = samples.row_len() / d;
    let mut shape = vec![1, draws];
    if observations > 1 {
        shape.push(observations);
    }
    let array = |j: usize| {
        let at = |draw: usize, observation: usize| samples.row(observation)[draw * d + j];
        let values = (0..draws).flat_map(|draw| (0..observations).map(move |observation| at(draw, observation))).collect();
        Array::new(shape.clone(), values)
    };
    let arrays = (0..d).map(array).collect::<Result<Vec<_>, _>>()?;
    let named: Vec<(&str, &Array)> = columns.parameters.iter().map(|p| p.name.as_str()).zip(&arrays).collect();
    Ok(npz::write(path, &named)?)
}
