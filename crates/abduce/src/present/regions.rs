//! Figures of what lies beyond calibration on average: regions, and corrected regions.

use super::labels::{axis_label, prose_label};
use abduce_data::ParameterInfo;
use abduce_inference::diagnostics::{Curves, Region, RegionVariable, Validation};
use abduce_report::{Conformal, Figure, FigureError, RegionCalibration, RegionPanel, RegionSeries, Remark};

/// Panels of a figure; with more, those of the smallest p-values are drawn.
const MAX_PANELS: usize = 12;

/// What is drawn by region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegionQuantity {
    /// Fractions inside the central 68 % and 95 % intervals.
    Coverage,
    /// Mean z.
    Bias,
}

/// Each parameter in bins of its own posterior mean and of the chosen features; `None` where there are too few pairs for regions.
pub(super) fn by_region(quantity: RegionQuantity, curves: &Curves, parameters: &[ParameterInfo]) -> Option<Result<Figure, FigureError>> {
    let own = |region: &&Region| match region.variable {
        RegionVariable::PosteriorMean(k) => k == region.parameter,
        RegionVariable::Feature(_) => true,
    };
    let mut groups: Vec<Vec<&Region>> = Vec::new();
    for region in curves.regions.iter().filter(own).filter(|region| region.parameter < parameters.len()) {
        let same = |group: &&mut Vec<&Region>| group[0].parameter == region.parameter && group[0].variable == region.variable;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(region),
            None => groups.push(vec![region]),
        }
    }
    let smallest = |group: &[&Region]| group.iter().map(|region| region.holm_p).fold(1.0, f64::min);
    if groups.len() > MAX_PANELS {
        groups.sort_by(|a, b| smallest(a).total_cmp(&smallest(b)));
        groups.truncate(MAX_PANELS);
    }
    if groups.is_empty() {
        return None;
    }
    let panel = |group: &Vec<&Region>| {
        let parameter = &parameters[group[0].parameter];
        RegionPanel {
            label: prose_label(parameter),
            variable: match group[0].variable {
                RegionVariable::PosteriorMean(_) => format!("posterior mean of {}", axis_label(parameter)),
                RegionVariable::Feature(feature) => format!("feature {feature} of the data"),
            },
            bins: group.iter().map(|region| [region.low, region.high]).collect(),
            series: series(quantity, group),
            remarks: vec![Remark::new("smallest adjusted p", smallest(group))],
        }
    };
    let (title, name) = match quantity {
        RegionQuantity::Coverage => ("Coverage by region", "fraction of true values inside"),
        RegionQuantity::Bias => ("Bias by region", "mean of (truth − mean) / sd"),
    };
    let figure = RegionCalibration {
        title: title.into(),
        quantity: name.into(),
        band: "95 % expected".into(),
        panels: groups.iter().map(panel).collect(),
    };
    Some(figure.figure())
}

fn series(quantity: RegionQuantity, group: &[&Region]) -> Vec<RegionSeries> {
    let coverage = |name: &str, level: f64, fraction: fn(&Region) -> f64| RegionSeries {
        name: name.into(),
        value: group.iter().map(|region| fraction(region)).collect(),
        error: group.iter().map(|region| region.fraction_error(fraction(region))).collect(),
        expected: level,
        lower: group.iter().map(|region| region.expected_coverage(level)[0]).collect(),
        upper: group.iter().map(|region| region.expected_coverage(level)[1]).collect(),
    };
    match quantity {
        RegionQuantity::Coverage => vec![
            coverage("68 % intervals", 0.68, |region| region.coverage_68),
            coverage("95 % intervals", 0.95, |region| region.coverage_95),
        ],
        RegionQuantity::Bias => vec![RegionSeries {
            name: String::new(),
            value: group.iter().map(|region| region.z_mean).collect(),
            error: group.iter().map(|region| region.z_error()).collect(),
            expected: 0.0,
            lower: group.iter().map(|region| region.expected_z()[0]).collect(),
            upper: group.iter().map(|region| region.expected_z()[1]).collect(),
        }],
    }
}

/// Coverage as stated and as corrected; `None` without log-probabilities of the draws.
pub(super) fn conformal(validation: &Validation) -> Option<Result<Figure, FigureError>> {
    let curves = &validation.curves;
    let (stated, conformal) = curves.hpd.as_ref().zip(curves.conformal.as_ref())?;
    let band = curves.bands.iter().find(|band| band.level == 0.95)?;
    let levels = validation.metrics.conformal.iter().flat_map(|conformal| &conformal.levels);
    let remarks = levels.filter(|level| [0.68, 0.9].contains(&level.stated));
    let figure = Conformal {
        title: "Corrected highest-density regions".into(),
        credibility: curves.alpha.clone(),
        stated: stated.ecp.clone(),
        corrected: conformal.coverage.clone(),
        correction: conformal.corrected.clone(),
        band: "95 % expected".into(),
        lower: band.lower.clone(),
        upper: band.upper.clone(),
        remarks: remarks
            .filter_map(|level| Some(Remark::new(format!("credibility for {:.0} %", 100.0 * level.stated), level.corrected?)))
            .collect(),
    };
    Some(figure.figure())
}
