//! Sections on what calibration on average can't tell: regions, corrected regions, and the observations.

use super::sections::{figure, section};
use crate::present::PresentError;
use crate::present::labels::prose_label;
use crate::present::validation::{self, Plot};
use abduce_data::ParameterInfo;
use abduce_inference::diagnostics::{MisspecificationMetrics, Region, RegionVariable, Validation};
use abduce_report::html::{Block, Cell, Section, Table, Width};

/// Rows of a table.
const MAX_ROWS: usize = 10;

/// Calibration by region and the average over all data.
pub(super) fn regions(validation: &Validation, parameters: &[ParameterInfo]) -> Result<Option<Section>, PresentError> {
    let metrics = &validation.metrics;
    let mut blocks = Vec::new();
    if let Some(regions) = &metrics.regions {
        let verdict = match regions.rejected.len() {
            0 => format!("None of {} tests finds a region where the posterior is wrong.", regions.n_tests),
            found => format!("{found} of {} tests find the posterior wrong in a region; the worst are listed.", regions.n_tests),
        };
        let text = "Errors of opposite sign in different regions cancel in the tests above. Here the same simulations are sorted by the posterior \
                    mean, and by features of the data where asked for. (Not by the true value: among the largest truths an exact posterior \
                    lies below, too.)";
        blocks.push(Block::Text(format!("{text} {verdict}")));
        if !regions.rejected.is_empty() {
            blocks.push(rejected(&regions.rejected, parameters));
        }
        let captions = [
            (Plot::RegionCoverage, "Fraction of true values inside central intervals: below the band too narrow there, above too wide."),
            (Plot::RegionBias, "Above the band the posterior is too low there, below too high."),
        ];
        for (plot, caption) in captions {
            if let Some(drawn) = validation::figure(plot, validation, parameters)? {
                blocks.push(figure(drawn, caption, if parameters.len() == 1 { Width::Half } else { Width::Full }));
            }
        }
    }
    blocks.extend(averaged(validation, parameters));
    Ok((!blocks.is_empty()).then(|| section("Calibration by region", blocks)))
}

fn rejected(regions: &[Region], parameters: &[ParameterInfo]) -> Block {
    let name = |j: usize| parameters.get(j).map_or_else(|| format!("parameter {j}"), prose_label);
    let row = |region: &Region| {
        let variable = match region.variable {
            RegionVariable::PosteriorMean(k) => format!("posterior mean of {}", name(k)),
            RegionVariable::Feature(feature) => format!("feature {feature} of the data"),
        };
        vec![
            Cell::Text(name(region.parameter)),
            Cell::Text(variable),
            Cell::Number(region.low, 4),
            Cell::Number(region.high, 4),
            Cell::Count(region.n_pairs as u64),
            Cell::Number(region.holm_p, 2),
            Cell::Number(region.z_mean, 2),
            Cell::Number(region.z_sd, 3),
        ]
    };
    Block::Table(Table {
        caption: "p-values are Holm-adjusted for all tests of all regions.".into(),
        columns: ["parameter", "region of", "from", "to", "pairs", "adjusted p", "mean z", "sd of z"].map(str::to_string).to_vec(),
        rows: regions.iter().take(MAX_ROWS).map(row).collect(),
    })
}

/// The mixture of all posteriors against the prior.
fn averaged(validation: &Validation, parameters: &[ParameterInfo]) -> Option<Block> {
    let averaged = validation.metrics.data_averaged.as_ref()?;
    let row = |(j, parameter): (usize, &ParameterInfo)| {
        let number = |values: &[f64], digits| values.get(j).map_or(Cell::Empty, |value| Cell::Number(*value, digits));
        let name = Cell::Name(parameter.label_or_name().to_string());
        vec![name, number(&averaged.ks_p, 2), number(&averaged.shift, 2), number(&averaged.sd_ratio, 3)]
    };
    let c2st = averaged
        .c2st
        .map_or_else(String::new, |score| format!(" A classifier tells them apart with a score of {score:.3} (0.5: not at all)."));
    Some(Block::Table(Table {
        caption: format!(
            "Averaged over all test data, an exact posterior is the prior. Their sliced Wasserstein distance is {:.3} standard deviations, {:.3} \
             between parts of the prior itself.{c2st}",
            averaged.sliced_w2, averaged.sliced_w2_noise
        ),
        columns: ["parameter", "KS p", "shift / prior sd", "sd / prior sd"].map(str::to_string).to_vec(),
        rows: parameters.iter().enumerate().map(row).collect(),
    }))
}

/// What to ask the posterior for to get regions that cover what they say.
pub(super) fn corrected(validation: &Validation, parameters: &[ParameterInfo]) -> Result<Option<Section>, PresentError> {
    let Some(conformal) = &validation.metrics.conformal else { return Ok(None) };
    let text = format!(
        "Whatever is wrong with the posterior, its highest-density regions can be made to cover as often as they say: the credibility in the third \
         column, learnt from {} held-out simulations, has the coverage in the first, on average over all data that the simulator gives, up to \
         1/{} + 1/{} for the finite numbers of simulations and draws. It is no promise for a particular observation, nor for one that is unlike \
         the simulations.",
        conformal.n_pairs,
        conformal.n_pairs + 1,
        validation.metrics.n_draws + 1
    );
    let row = |level: &abduce_inference::diagnostics::ConformalLevel| {
        vec![
            Cell::Text(format!("{:.0} %", 100.0 * level.stated)),
            Cell::Text(format!("{:.1} %", 100.0 * level.coverage)),
            Cell::Text(level.corrected.map_or_else(|| "everything".into(), |corrected| format!("{:.2} %", 100.0 * corrected))),
            Cell::Text(format!("{:.1} %", 100.0 * level.corrected_coverage)),
        ]
    };
    let table = Block::Table(Table {
        caption:
            "Coverage of the corrected regions is measured on pairs that they were not learnt from: each half by the other's. The metric \
                  `conformal` saves the correction for later draws."
                .into(),
        columns: ["coverage wanted", "covered as stated", "credibility to use", "then covered"].map(str::to_string).to_vec(),
        rows: conformal.levels.iter().map(row).collect(),
    });
    let mut blocks = vec![Block::Text(text), table];
    if let Some(drawn) = validation::figure(Plot::Conformal, validation, parameters)? {
        blocks.push(figure(drawn, "Left: coverage before and after. Right: what to ask for instead of what is wanted.", Width::Full));
    }
    Ok(Some(section("Corrected credible regions", blocks)))
}

/// Whether the observations are like the simulations, and the posterior right for them.
pub(super) fn observed(validation: &Validation) -> Option<Section> {
    let metrics = &validation.metrics;
    let mut blocks = Vec::new();
    if let Some(found) = &metrics.misspecification {
        blocks.push(unlike(found));
    }
    if let Some(tests) = &metrics.local_c2st {
        let row = |test: &abduce_inference::diagnostics::LocalC2stMetrics| {
            vec![
                Cell::Count(test.observation as u64),
                Cell::Number(test.statistic, 3),
                Cell::Number(test.null_mean, 3),
                Cell::Number(test.p, 2),
                Cell::Number(test.adjusted_p, 2),
            ]
        };
        blocks.push(Block::Table(Table {
            caption: "L-C2ST: how well a classifier tells posterior draws at the observation from parameters that give such data, and how well it would \
                      by chance."
                .into(),
            columns: ["observation", "statistic", "by chance", "p", "adjusted p"].map(str::to_string).to_vec(),
            rows: tests.iter().take(MAX_ROWS).map(row).collect(),
        }));
    }
    (!blocks.is_empty()).then(|| section("Do the observations fit the simulations?", blocks))
}

fn unlike(found: &MisspecificationMetrics) -> Block {
    let mut order: Vec<usize> = (0..found.observations.len()).collect();
    order.sort_by(|&a, &b| {
        let key = |o: usize| (found.observations[o].adjusted_p, -found.observations[o].mahalanobis);
        let ((p, distance), (other_p, other_distance)) = (key(a), key(b));
        p.total_cmp(&other_p).then(distance.total_cmp(&other_distance))
    });
    let row = |&o: &usize| {
        let check = &found.observations[o];
        let mut row = vec![Cell::Count(o as u64), Cell::Number(check.mahalanobis, 3)];
        row.extend([check.mahalanobis_p, check.neighbour_p, check.mmd_p, check.adjusted_p].map(|p| Cell::Number(p, 2)));
        row
    };
    let shown = if order.len() > MAX_ROWS { format!("The strangest {MAX_ROWS} of {} observations. ", order.len()) } else { String::new() };
    let joint = found.joint_p.map_or_else(String::new, |p| format!(" All observations together: p = {p:.3}."));
    Block::Table(Table {
        caption: format!(
            "{shown}p-values say how many of {} simulations are as far from the others: by Mahalanobis distance, by the distance of their fifth neighbour, \
             by maximum mean discrepancy, and by any of the three, adjusted for all observations.{joint}",
            found.n_calibration
        ),
        columns: ["observation", "Mahalanobis distance", "its p", "neighbours p", "MMD p", "adjusted p"].map(str::to_string).to_vec(),
        rows: order.iter().take(MAX_ROWS).map(row).collect(),
    })
}
