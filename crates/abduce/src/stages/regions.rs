//! Regions of later draws that cover what they say, by the correction that a validation has learnt.

use super::calibrate::CONFORMAL;
use super::draw::Draws;
use crate::error::Error;
use crate::present::run::VALIDATION;
use crate::session::Session;
use abduce_data::Array;
use abduce_inference::diagnostics::ConformalCalibration;
use abduce_inference::posterior::Posterior;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A region of one observation with a promised coverage.
#[derive(Clone, Debug, Serialize)]
pub struct CalibratedRegion {
    /// Row of the observation.
    pub observation: usize,
    /// Coverage that was asked for.
    pub wanted: f64,
    /// Coverage that is promised over observations to come, the smallest possible one above.
    pub coverage: f64,
    /// Part of the draws inside: the credibility that the posterior itself would state.
    pub credibility: f64,
    /// θ is inside if its log-density, as `abduce log-prob` gives it, is at least this; null where every θ is.
    pub log_prob_min: Option<f64>,
    /// Smallest and largest value of each parameter among the draws inside; none where no draw is.
    pub range: BTreeMap<String, [f64; 2]>,
}

/// Regions of all observations, and which draws are inside (n_obs, levels, n).
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// By observation, then by coverage.
    pub regions: Vec<CalibratedRegion>,
    /// 1 for a draw inside.
    pub inside: Array,
}

/// The saved correction of a run, or of a file.
///
/// # Errors
/// There is none, or it can't be read.
pub fn calibration(run: &Path, file: Option<PathBuf>) -> Result<ConformalCalibration, Error> {
    let path = file.unwrap_or_else(|| run.join(VALIDATION).join(CONFORMAL));
    let text = std::fs::read_to_string(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => Error::failed(
            format!("there is no calibration of regions at {}", path.display()),
            "`abduce validate RUN --data test.yaml --metrics val.yaml` learns one where val.yaml has `metrics: {c: {conformal: {}}}`; \
             --conformal names a file elsewhere",
        ),
        _ => Error::File { action: "read", path: path.clone(), source },
    })?;
    serde_json::from_str(&text)
        .map_err(|error| Error::failed(format!("{}: {error}", path.display()), "expected the conformal.json that `abduce validate` wrote"))
}

/// Regions with these coverages for `drawn`, the draws of observations `x` (n_obs, …).
///
/// # Errors
/// Fewer draws than the calibration was learnt with, or a coverage that is none.
pub fn calibrated(
    session: &Session,
    posterior: &Posterior,
    x: &Array,
    drawn: &Draws,
    calibration: &ConformalCalibration,
    coverages: &[f64],
) -> Result<Calibrated, Error> {
    let (observations, d) = (drawn.samples.rows(), posterior.dimension());
    let draws = drawn.samples.row_len() / d;
    let log_prob = posterior.log_prob(&session.compute, drawn.samples.data(), x.data(), |row| row / draws)?;
    let (mut regions, mut inside) = (Vec::new(), Vec::with_capacity(observations * coverages.len() * draws));
    for observation in 0..observations {
        let theta = drawn.samples.row(observation);
        for &wanted in coverages {
            let region = calibration.apply(&log_prob[observation * draws..(observation + 1) * draws], wanted)?;
            let mut range = BTreeMap::new();
            for (j, parameter) in posterior.parameters.iter().enumerate() {
                let mut ends = [f64::INFINITY, f64::NEG_INFINITY];
                for (row, _) in theta.chunks_exact(d).zip(&region.inside).filter(|(_, inside)| **inside) {
                    ends = [ends[0].min(f64::from(row[j])), ends[1].max(f64::from(row[j]))];
                }
                if ends[0] <= ends[1] {
                    range.insert(parameter.name.clone(), ends);
                }
            }
            inside.extend(region.inside.iter().map(|&inside| if inside { 1.0f32 } else { 0.0 }));
            regions.push(CalibratedRegion {
                observation,
                wanted,
                coverage: region.coverage,
                credibility: region.credibility,
                // A region without any θ is that of coverage 0, which is not asked for.
                log_prob_min: region.log_prob_min.filter(|least| least.is_finite()),
                range,
            });
        }
    }
    Ok(Calibrated { regions, inside: Array::new(vec![observations, coverages.len(), draws], inside)? })
}
