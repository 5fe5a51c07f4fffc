//! The posterior of the observations against values from elsewhere, and the data that it predicts against the data seen.

use crate::config::{CompareScale, PredictConfig};
use crate::error::Error;
use crate::present::comparison::{Comparison, Predictive};
use crate::session::Session;
use abduce_data::{Array, ParameterInfo, Seed};
use abduce_inference::simulator::{RowSimulator, Theta, simulate_rows};

/// What to compare with.
#[derive(Clone, Debug)]
pub struct Reference<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Values, one per observation.
    pub values: Vec<f64>,
    /// Their 1σ errors, where known.
    pub errors: Option<Vec<f64>>,
    /// Column of θ.
    pub parameter: usize,
    /// Whether that is a logarithm.
    pub scale: CompareScale,
}

/// Compares posterior draws (n_obs, n, d) with a reference.
///
/// Ratios are ours/reference of the quantity itself, also where the parameter is its logarithm. Pulls are (median − reference)/error, the error
/// being our standard deviation and, where known, the reference's in quadrature: with none given, errors that both share are not counted twice.
pub fn compare(parameters: &[ParameterInfo], samples: &Array, reference: Reference<'_>) -> Result<Comparison, Error> {
    let n = samples.rows();
    for (what, length) in [("values", Some(reference.values.len())), ("errors", reference.errors.as_ref().map(Vec::len))] {
        if length.is_some_and(|length| length != n) {
            return Err(Error::failed(
                format!("{} has {} {what} for {n} observations", reference.name, length.unwrap_or(0)),
                "give one per observation, in their order",
            ));
        }
    }
    let (d, j) = (parameters.len(), reference.parameter);
    let (mut median, mut sd) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for observation in 0..n {
        let mut draws: Vec<f64> = samples.row(observation).iter().skip(j).step_by(d).copied().map(f64::from).collect();
        median.push(median_of(&mut draws));
        sd.push(sd_of(&draws));
    }
    let log10_ratio: Vec<f64> = median
        .iter()
        .zip(&reference.values)
        .map(|(ours, theirs)| match reference.scale {
            CompareScale::Log10 => ours - theirs,
            CompareScale::Linear => (ours / theirs).log10(),
        })
        .collect();
    let pulls: Vec<f64> = (0..n)
        .map(|i| {
            let theirs = reference.errors.as_ref().map_or(0.0, |errors| errors[i]);
            (median[i] - reference.values[i]) / sd[i].hypot(theirs)
        })
        .collect();
    // A linear quantity may be negative or zero somewhere: then there are no ratios to speak of.
    let finite = |value: f64| value.is_finite().then_some(value);
    Ok(Comparison {
        name: reference.name.to_string(),
        parameter: parameters[j].name.clone(),
        median_ratio: finite(10f64.powf(median_of(&mut log10_ratio.clone()))),
        scatter_dex: finite(sd_of(&log10_ratio)),
        pull_mean: finite(pulls.iter().sum::<f64>() / n as f64),
        pull_sd: finite(sd_of(&pulls)),
        reference: reference.values,
        reference_error: reference.errors.unwrap_or_default(),
        median,
        sd,
        predictive: None,
    })
}

/// Data sets that are predicted.
const REPLICATES: usize = 100;

/// Counts of one feature in replicated data sets: every observation once, simulated from a draw of its posterior.
///
/// `x` are the observations (n_obs, …), `samples` their draws (n_obs, n, d).
pub fn predict(
    session: &Session,
    simulator: &dyn RowSimulator,
    config: &PredictConfig,
    x: &Array,
    samples: &Array,
    seed: Seed,
) -> Result<Predictive, Error> {
    let (features, d) = (x.row_len(), simulator.prior().parameters());
    if config.feature >= features {
        return Err(Error::failed(
            format!("report.compare.predict: there is no feature {}, a datum has {features} values", config.feature),
            format!("features count from 0 to {}", features - 1),
        ));
    }
    let observed: Vec<f64> = (0..x.rows()).map(|row| f64::from(x.row(row)[config.feature])).collect();
    let draws = samples.row_len() / d;
    let theta: Vec<f32> = (0..REPLICATES)
        .flat_map(|replicate| (0..x.rows()).flat_map(move |row| &samples.row(row)[replicate % draws * d..][..d]))
        .copied()
        .collect();
    let made = simulate_rows(simulator, Theta::Given(&theta), 0, REPLICATES * x.rows(), seed, &session.stop)?;
    let reached = made.done.len();
    if reached < REPLICATES * x.rows() {
        let message = format!("stopped; {reached} of {} predicted data were simulated", REPLICATES * x.rows());
        return Err(Error::Unfinished { message, help: "the same command simulates them again".into() });
    }
    if made.x.row_len() != features {
        return Err(Error::failed(
            format!("report.compare.predict: the simulator makes {} values, an observation has {features}", made.x.row_len()),
            "observations and simulations must be of one kind",
        ));
    }
    let replicates: Vec<Vec<f64>> = (0..REPLICATES)
        .map(|replicate| {
            let values = (0..x.rows()).map(|row| f64::from(made.x.row(replicate * x.rows() + row)[config.feature]));
            // Failed simulations predict nothing.
            values.filter(|value| value.is_finite()).collect()
        })
        .collect();
    let edges = edges(&observed, &replicates, config.bins);
    let counts: Vec<Vec<f64>> = replicates.iter().map(|values| histogram(values, &edges)).collect();
    let column = |bin: usize| {
        let mut counts: Vec<f64> = counts.iter().map(|counts| counts[bin]).collect();
        counts.sort_by(f64::total_cmp);
        counts
    };
    let columns: Vec<Vec<f64>> = (0..config.bins).map(column).collect();
    let rank = |column: &Vec<f64>, p: f64| column[((p * REPLICATES as f64) as usize).min(REPLICATES - 1)];
    Ok(Predictive {
        quantity: config.quantity.clone(),
        observed: histogram(&observed, &edges),
        mean: columns.iter().map(|column| column.iter().sum::<f64>() / REPLICATES as f64).collect(),
        low: columns.iter().map(|column| rank(column, 0.16)).collect(),
        high: columns.iter().map(|column| rank(column, 0.84)).collect(),
        edges,
    })
}

/// Bins over all that was seen or predicted.
fn edges(observed: &[f64], replicates: &[Vec<f64>], bins: usize) -> Vec<f64> {
    let all = || observed.iter().chain(replicates.iter().flatten()).copied();
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let width = (high - low).max(f64::EPSILON * high.abs()).max(f64::MIN_POSITIVE);
    (0..=bins).map(|edge| low + width * edge as f64 / bins as f64).collect()
}

fn histogram(values: &[f64], edges: &[f64]) -> Vec<f64> {
    let bins = edges.len() - 1;
    let mut counts = vec![0.0; bins];
    for value in values {
        counts[edges[1..bins].partition_point(|edge| edge <= value)] += 1.0;
    }
    counts
}

fn median_of(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n.is_multiple_of(2) { 0.5 * (values[n / 2 - 1] + values[n / 2]) } else { values[n / 2] }
}

/// The sample's standard deviation, n − 1.
fn sd_of(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_of_a_logarithm_are_those_of_the_quantity() {
        // Draws around 1 and 2, references 0.1 dex lower: the ratio is 10^0.1, and pulls are 0.1/σ.
        let samples = Array::new(vec![2, 3, 1], vec![0.9f32, 1.0, 1.1, 1.9, 2.0, 2.1]).unwrap();
        let parameters = [ParameterInfo::named("log10_m")];
        let reference = |scale, values: Vec<f64>, errors| Reference { name: "them", values, errors, parameter: 0, scale };
        let found = compare(&parameters, &samples, reference(CompareScale::Log10, vec![0.9, 1.9], None)).unwrap();
        // Single-precision draws: 1e-6.
        assert!((found.median_ratio.unwrap() - 10f64.powf(0.1)).abs() < 1e-6 && found.scatter_dex.unwrap() < 1e-6);
        assert!((found.pull_mean.unwrap() - 1.0).abs() < 1e-5, "{found:?}");
        let found = compare(&parameters, &samples, reference(CompareScale::Linear, vec![0.5, 1.0], Some(vec![0.1, 0.1]))).unwrap();
        assert!((found.median_ratio.unwrap() - 2.0).abs() < 1e-6);
        assert!((found.pull_mean.unwrap() - 0.75 / 0.02f64.sqrt()).abs() < 1e-4);
        let error = compare(&parameters, &samples, reference(CompareScale::Linear, vec![0.5], None)).unwrap_err();
        assert!(error.to_string().contains("1 values for 2 observations"), "{error}");
    }

    #[test]
    fn every_value_is_counted_once() {
        let edges = [0.0, 1.0, 2.0];
        assert_eq!(histogram(&[0.0, 0.5, 1.0, 2.0], &edges), [2.0, 2.0]);
        assert_eq!(super::edges(&[1.0], &[vec![3.0]], 2), [1.0, 2.0, 3.0]);
    }
}
