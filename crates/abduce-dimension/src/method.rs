//! All methods under their names, with usual settings and one search for neighbours.

use crate::cloud::{Cloud, Crew};
use crate::combined::{Combined, CombinedSettings, combined};
use crate::error::Result;
use crate::estimators::Estimate;
use crate::estimators::danco::danco;
use crate::estimators::distances::{Bias, correlation, mada, mind_ml, mle, mom};
use crate::estimators::ess::ess;
use crate::estimators::fisher_s::{FisherSettings, fisher_s};
use crate::estimators::ratios::{TwoNnFit, gride, gride_scales, two_nn};
use crate::estimators::spectrum::{spectrum_dimension, usual_rules};
use crate::estimators::tle::tle;
use crate::neighbours::Neighbours;
use crate::pca::Pca;

/// A method that estimates the dimension of a cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// [`combined`]: corrected by simulation, with an interval.
    Combined,
    /// [`mle`] with 20 neighbours.
    Mle,
    /// [`two_nn`] without the largest tenth.
    TwoNn,
    /// [`gride`] with neighbours 1 and 2.
    Gride,
    /// [`mom`] with 100 neighbours.
    Mom,
    /// [`mada`] with 20 neighbours.
    Mada,
    /// [`mind_ml`] with 20 neighbours, at most 2 D + 5.
    MindMl,
    /// [`correlation`] between neighbours 10 and 20.
    CorrInt,
    /// [`tle`] with 20 neighbours.
    Tle,
    /// Rule FO of [`spectrum`](crate::estimators::spectrum); all rules come along.
    Lpca,
    /// [`fisher_s`].
    FisherS,
    /// [`danco`] with 10 neighbours.
    Danco,
    /// [`ess`] with 100 neighbours.
    Ess,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 13] = [
        Self::Combined,
        Self::Mle,
        Self::TwoNn,
        Self::Gride,
        Self::Mom,
        Self::Mada,
        Self::MindMl,
        Self::CorrInt,
        Self::Tle,
        Self::Lpca,
        Self::FisherS,
        Self::Danco,
        Self::Ess,
    ];

    /// Its name as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Mle => "MLE",
            Self::TwoNn => "TwoNN",
            Self::Gride => "GRIDE",
            Self::Mom => "MOM",
            Self::Mada => "MADA",
            Self::MindMl => "MiND_ML",
            Self::CorrInt => "CorrInt",
            Self::Tle => "TLE",
            Self::Lpca => "lPCA",
            Self::FisherS => "FisherS",
            Self::Danco => "DANCo",
            Self::Ess => "ESS",
        }
    }

    /// Neighbours of every point that it reads.
    fn neighbours(self) -> usize {
        match self {
            Self::Combined | Self::Lpca | Self::FisherS => 0,
            Self::TwoNn => 2,
            // The scale curve goes with it.
            Self::Gride => 64,
            Self::Danco => 11,
            Self::Mle | Self::Mada | Self::CorrInt | Self::Tle => 20,
            Self::MindMl => 21,
            Self::Mom | Self::Ess => 100,
        }
    }
}

/// What one method found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The method.
    pub method: Method,
    /// Its answer, or why it has none here.
    pub estimate: Result<Estimate>,
    /// The farthest neighbour of each point that it reads; `None` of the combined estimate and of global methods.
    pub neighbours: Option<usize>,
    /// Mean distance to that neighbour, in the units of the data.
    pub radius: Option<f64>,
    /// Its interval of 95 %, where it has one: of the combined estimate all errors that it knows of, of the others sampling alone.
    pub interval: Option<[f64; 2]>,
}

/// The uncorrected dimension at one scale.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Scale {
    /// The farther of the two neighbours, n2 = 2 n1.
    pub neighbours: usize,
    /// Mean distance to it, in the units of the data.
    pub radius: f64,
    /// GRIDE's dimension.
    pub dimension: f64,
    /// Its standard error, from sampling alone.
    pub standard_error: f64,
}

/// Everything that was asked of a cloud.
#[derive(Clone, Debug)]
pub struct Survey {
    /// In the order asked for.
    pub findings: Vec<Finding>,
    /// The combined estimate in full, where it was asked for and found.
    pub combined: Option<Combined>,
    /// GRIDE against scale.
    pub scales: Vec<Scale>,
    /// Every rule on the spectrum, where lPCA was asked for.
    pub rules: Vec<(&'static str, Result<f64>)>,
}

/// Asks a cloud for its dimension by several methods. Numbers of neighbours shrink to N - 1 where the points are few.
///
/// # Errors
/// Those of the search for neighbours; a method without an answer says so in its finding.
pub fn survey(cloud: &Cloud, methods: &[Method], settings: CombinedSettings, crew: &Crew) -> Result<Survey> {
    let most = cloud.rows() - 1;
    let k = methods.iter().map(|m| m.neighbours()).fold(64, usize::max).min(most);
    let near = Neighbours::of_all(cloud, k, crew)?;
    let at_most = |k: usize| k.min(most);
    let scales = gride_scales(&near)
        .map(|scales| {
            let scale = |(i, (radius, estimate)): (usize, (f64, Estimate))| Scale {
                neighbours: 2 << i,
                radius: radius * cloud.unit(),
                dimension: estimate.dimension,
                standard_error: estimate.standard_error.unwrap_or(f64::NAN),
            };
            scales.into_iter().enumerate().map(scale).collect()
        })
        .unwrap_or_default();
    let mut survey = Survey { findings: Vec::new(), combined: None, scales, rules: Vec::new() };
    for &method in methods {
        let estimate = match method {
            Method::Combined => combined(cloud, settings, crew).map(|found| {
                let estimate = Estimate { dimension: found.dimension, standard_error: Some(found.log_error * found.regression) };
                survey.combined = Some(found);
                estimate
            }),
            Method::Mle => mle(&near, at_most(20), Bias::Plain),
            Method::TwoNn => two_nn(&near, 0.1, TwoNnFit::Linear),
            Method::Gride => gride(&near, 1, 2),
            Method::Mom => mom(&near, at_most(100)),
            Method::Mada => mada(&near, at_most(20)),
            Method::MindMl => mind_ml(&near, at_most(21) - 1, 2.0 * cloud.dims() as f64 + 5.0),
            Method::CorrInt => correlation(cloud, &near, at_most(20) / 2, at_most(20), crew),
            Method::Tle => tle(cloud, &near, at_most(20), crew),
            Method::Lpca => {
                let pca = Pca::fit(cloud.dims(), cloud.values(), &crew.threads);
                let apply = |rule| spectrum_dimension(rule, cloud.dims(), cloud.values(), &pca, &crew.threads);
                survey.rules = usual_rules(settings.seed).into_iter().map(|(name, rule)| (name, apply(rule))).collect();
                survey.rules[0].1.clone().map(|dimension| Estimate { dimension, standard_error: None })
            }
            Method::FisherS => fisher_s(cloud, FisherSettings::default(), crew),
            Method::Danco => danco(cloud, &near, at_most(11) - 1, settings.seed, crew),
            Method::Ess => ess(cloud, &near, at_most(100), crew),
        };
        let interval = match (method, &survey.combined) {
            (Method::Combined, Some(found)) => Some(found.interval),
            _ => estimate.as_ref().ok().and_then(Estimate::interval),
        };
        let farthest = at_most(if method == Method::Gride { 2 } else { method.neighbours() });
        let neighbours = (farthest > 0).then_some(farthest);
        let radius = neighbours.map(|k| near.rows().map(|r| r[k - 1]).sum::<f64>() / near.queries() as f64 * cloud.unit());
        survey.findings.push(Finding { method, estimate, neighbours, radius, interval });
    }
    Ok(survey)
}
