//! The sections of the page, from the answer down to the configuration.

use super::{beyond, summaries};
use crate::present::labels::{capital, printed, prose_label};
use crate::present::posterior::{Intervals, corner, intervals};
use crate::present::run::RunFiles;
use crate::present::validation::{self, Plot};
use crate::present::{PresentError, comparison, training};
use abduce_data::npy::RowFile;
use abduce_data::{ParameterInfo, Seed};
use abduce_inference::diagnostics::Validation;
use abduce_inference::prior::Interval;
use abduce_report::Figure;
use abduce_report::html::{Block, Cell, Section, Table, Width};

/// Observations laid over each other in a corner plot.
const MAX_CORNERS: usize = 3;
/// From this many observations on, each parameter also gets a plot of intervals.
const MIN_INTERVALS: usize = 5;
/// Observations in a plot of intervals.
const MAX_INTERVALS: usize = 1000;

/// All sections that the files allow.
pub(super) fn all(files: &RunFiles) -> Result<Vec<Section>, PresentError> {
    let parameters = files.parameters();
    let mut sections = Vec::new();
    sections.extend(observations(files, &parameters)?);
    sections.extend(accepted(files, &parameters)?);
    for found in &files.comparisons {
        sections.push(compared(found, &parameters)?);
    }
    if let Some(validation) = &files.validation {
        sections.extend(beyond::observed(validation));
        sections.push(calibration(validation, &parameters)?);
        sections.extend(beyond::regions(validation, &parameters)?);
        sections.extend(beyond::corrected(validation, &parameters)?);
        sections.push(information(validation, &parameters)?);
    }
    sections.extend(files.information.as_ref().map(summaries::section).transpose()?);
    sections.extend(trained(files)?);
    sections.extend(configuration(files));
    sections.extend(missing(files));
    Ok(sections)
}

pub(super) fn section(title: &str, blocks: Vec<Block>) -> Section {
    Section { title: title.into(), blocks }
}

pub(super) fn figure(figure: Figure, caption: impl Into<String>, width: Width) -> Block {
    Block::Figure { figure, caption: caption.into(), width }
}

/// Draws of the first observations, and intervals of all.
fn observations(files: &RunFiles, parameters: &[ParameterInfo]) -> Result<Option<Section>, PresentError> {
    let (Some(samples), Some(prior)) = (&files.samples, files.prior()) else { return Ok(None) };
    let d = parameters.len();
    let n = samples.rows();
    if n == 0 || d == 0 || samples.row_len() % d != 0 {
        let what = "the number of values per observation in samples.npy";
        return Err(PresentError::Length { figure: "the posteriors".into(), what, found: samples.row_len(), expected: d });
    }
    let mut blocks = Vec::new();
    let overlaid = if d == 1 && n >= MIN_INTERVALS { 0 } else { n.min(MAX_CORNERS) };
    if overlaid > 0 {
        blocks.extend(corners(files, samples, prior.support(), parameters, overlaid)?);
    }
    if n >= MIN_INTERVALS {
        blocks.extend(interval_plots(files, samples, parameters)?);
    }
    Ok(Some(section(if n == 1 { "The observation" } else { "The observations" }, blocks)))
}

fn corners(
    files: &RunFiles,
    samples: &RowFile,
    support: &[Interval],
    parameters: &[ParameterInfo],
    overlaid: usize,
) -> Result<Vec<Block>, PresentError> {
    let d = parameters.len();
    let draws = rows(samples, 0, overlaid)?;
    let names: Vec<String> = (0..overlaid).map(|row| if overlaid == 1 { String::new() } else { format!("observation {row}") }).collect();
    let posteriors: Vec<(&str, &[f32])> = names.iter().map(String::as_str).zip(draws.chunks_exact(samples.row_len())).collect();
    // The truth is one set of lines: it belongs to a single observation, or to all of them.
    let truth = files.truth.as_ref().and_then(|truth| match truth.len() / d {
        1 => truth.get(..d),
        _ if overlaid == 1 => truth.get(..d),
        _ => None,
    });
    let first = match (samples.rows(), overlaid) {
        (1, _) => String::new(),
        (all, shown) if all == shown => String::new(),
        (all, shown) => format!("The first {shown} of {all} observations. "),
    };
    let red = if truth.is_some() { " Red: the true values." } else { "" };
    let what = if d == 1 { "Posterior density." } else { "Contours enclose 68 % and 95 % of the draws." };
    // The figure has room for the numbers of two posteriors.
    let numbers = if overlaid <= 2 { " Above: median and distances to the 16 % and 84 % quantiles." } else { "" };
    let together = corner("", parameters, support, &posteriors, truth)?;
    let mut blocks = vec![figure(together, format!("{first}{what}{numbers}{red}"), Width::Full)];
    if overlaid > 1 {
        let mut alone = Vec::new();
        for (row, (name, draws)) in posteriors.iter().enumerate() {
            let truth = files.truth.as_ref().filter(|truth| truth.len() == samples.rows() * d).map(|truth| &truth[row * d..(row + 1) * d]);
            alone.push(figure(corner(&capital(name), parameters, support, &[("", draws)], truth)?, "", Width::Full));
        }
        blocks.push(Block::Details { summary: "One by one, with medians and quantiles".into(), blocks: alone });
    }
    Ok(blocks)
}

fn interval_plots(files: &RunFiles, samples: &RowFile, parameters: &[ParameterInfo]) -> Result<Vec<Block>, PresentError> {
    let d = parameters.len();
    let n = samples.rows().min(MAX_INTERVALS);
    let mut found = vec![Intervals::default(); d];
    for row in 0..n {
        let quantiles = Intervals::of_draws(&rows(samples, row, 1)?, d);
        found.iter_mut().zip(quantiles).for_each(|(found, quantiles)| found.quantiles.push(quantiles));
    }
    if let Some(truth) = files.truth.as_ref().filter(|truth| truth.len() == samples.rows() * d) {
        for (j, found) in found.iter_mut().enumerate() {
            found.truth = Some(truth.iter().skip(j).step_by(d).take(n).copied().collect());
        }
    }
    let shown =
        if n < samples.rows() { format!("the first {n} of {} observations", samples.rows()) } else { format!("all {n} observations") };
    let caption = |parameter: &ParameterInfo| format!("{} of {shown}.", prose_label(parameter));
    let plots = parameters.iter().zip(&found).map(|(parameter, found)| {
        Ok(figure(intervals(parameter, found)?, caption(parameter), if d == 1 { Width::Full } else { Width::Half }))
    });
    let plots: Vec<Block> = plots.collect::<Result<_, PresentError>>()?;
    Ok(if d == 1 { plots } else { vec![Block::Details { summary: format!("Each parameter for {shown}"), blocks: plots }] })
}

/// Draws of `count` observations from row `first` on.
fn rows(samples: &RowFile, first: usize, count: usize) -> Result<Vec<f32>, PresentError> {
    let mut out = vec![0f32; count * samples.row_len()];
    samples.read_rows(first, &mut out, &mut Vec::new())?;
    Ok(out)
}

fn compared(found: &comparison::Comparison, parameters: &[ParameterInfo]) -> Result<Section, PresentError> {
    let caption = format!("Each point is one object of {}; a perfect agreement lies on the line.", found.name);
    let numbers = [
        ("objects", Some(found.reference.len().to_string())),
        ("median of ours / reference", found.median_ratio.map(|ratio| format!("{ratio:.3}"))),
        ("scatter of the ratio", found.scatter_dex.map(|scatter| format!("{scatter:.3} dex"))),
        ("mean of (ours − reference) / error", found.pull_mean.map(|pull| printed(&format!("{pull:.2}")))),
        ("standard deviation of the same", found.pull_sd.map(|sd| format!("{sd:.2}"))),
    ];
    let numbers = numbers.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect();
    let mut blocks = vec![Block::Pairs(numbers), figure(comparison::scatter(found, parameters)?, caption, Width::Half)];
    if let Some(predictive) = &found.predictive {
        let caption = "Counts that the posterior predicts for a survey like the observed one, and the observed ones.";
        blocks.push(figure(comparison::counts(&found.name, predictive)?, caption, Width::Half));
    }
    Ok(section(&format!("Compared with {}", found.name), blocks))
}

fn calibration(validation: &Validation, parameters: &[ParameterInfo]) -> Result<Section, PresentError> {
    let metrics = &validation.metrics;
    let text = format!(
        "Each test uses the same {} held-out simulations, whose true parameters are known, and {} draws for each.",
        metrics.n_pairs, metrics.n_draws
    );
    let mut blocks = vec![Block::Text(text), numbers(validation, parameters)];
    let captions = [
        (Plot::Ranks, Width::Full, "Flat is calibrated. A ∪ shape means too narrow, a ∩ shape too wide, a slope biased."),
        (Plot::Coverage, Width::Half, "Fraction of true values below each posterior quantile; calibrated curves stay in the bands."),
        (Plot::Hpd, Width::Half, "Fraction of truths inside the densest regions: below the diagonal too narrow, above too wide."),
        (Plot::Tarp, Width::Half, "Coverage of regions around random points: below the diagonal too narrow or biased."),
        (Plot::TarpX, Width::Half, "The same around points predicted from the data, which also notices information left unused."),
    ];
    for (plot, width, caption) in captions {
        if let Some(drawn) = validation::figure(plot, validation, parameters)? {
            blocks.push(figure(drawn, caption, width));
        }
    }
    Ok(section("Calibration", blocks))
}

/// The numbers of every parameter.
fn numbers(validation: &Validation, parameters: &[ParameterInfo]) -> Block {
    let columns = ["parameter", "rank KS p", "rank χ² p", "mean z", "sd of z", "contraction", "RMSE", "NRMSE", "R²"];
    let row = |(parameter, found): (&ParameterInfo, &abduce_inference::diagnostics::ParameterMetrics)| {
        let mut row = vec![Cell::Name(parameter.label_or_name().to_string())];
        row.extend([found.sbc_ks_p, found.sbc_chi2_p].map(|p| Cell::Number(p, 2)));
        row.extend([found.z_mean, found.z_sd, found.contraction].map(thousandths));
        row.push(Cell::Number(found.rmse, 3));
        row.extend([found.nrmse, found.r2].map(thousandths));
        row
    };
    Block::Table(Table {
        caption: "z = (truth − mean)/sd has mean 0 and sd 1 when calibrated. Of many p-values some are small by chance: the verdict allows for that."
            .into(),
        columns: columns.map(str::to_string).to_vec(),
        rows: parameters.iter().zip(&validation.metrics.parameters).map(row).collect(),
    })
}

/// Three decimals: the digits after them are noise in numbers of order one.
fn thousandths(value: f64) -> Cell {
    let rounded = (1000.0 * value).round() / 1000.0;
    let decade = if rounded == 0.0 { 0.0 } else { rounded.abs().log10().floor() };
    Cell::Number(rounded, (4.0 + decade).max(1.0) as usize)
}

fn information(validation: &Validation, parameters: &[ParameterInfo]) -> Result<Section, PresentError> {
    let alone = parameters.len() == 1;
    let captions = [
        (Plot::Predictions, if alone { Width::Half } else { Width::Full }, "Posterior mean against the true value, for up to 500 pairs."),
        (Plot::LogProb, Width::Half, "Log-probability of the true parameters; the prior's mean is what ignoring the data would reach."),
        (Plot::Contraction, Width::Half, "To the right the data tell more; z beyond the dotted lines should be rare (1 in 20)."),
    ];
    let mut blocks = Vec::new();
    // Of one parameter the table says as much as the last figure would.
    for (plot, width, caption) in captions.into_iter().take(if alone { 2 } else { 3 }) {
        if let Some(drawn) = validation::figure(plot, validation, parameters)? {
            blocks.push(figure(drawn, caption, width));
        }
    }
    Ok(section("What the data tell", blocks))
}

/// The course of ABC, and its sample where there are no other draws.
fn accepted(files: &RunFiles, parameters: &[ParameterInfo]) -> Result<Option<Section>, PresentError> {
    let Some(abc) = &files.abc else { return Ok(None) };
    let text = "No network was trained: these are parameters whose simulations came close to the observation. The posterior is that of the distance,                 wider than the exact one by as much as the accepted simulations still differ from the observation.";
    let mut blocks = vec![Block::Text(text.into())];
    if files.samples.is_none() && abc.sample.weights.len() >= MIN_ACCEPTED {
        let draws = abc.draw(abc.sample.weights.len().max(MIN_DRAWN), Seed(0))?;
        let caption = if abc.dimension() == 1 { "Posterior density." } else { "Contours enclose 68 % and 95 % of the draws." };
        blocks.push(figure(corner("", parameters, abc.prior.support(), &[("", &draws)], None)?, caption, Width::Full));
    }
    if !abc.course.is_empty() {
        let row = |(index, population): (usize, &abduce_inference::abc::Population)| {
            vec![
                Cell::Count(index as u64 + 1),
                Cell::Number(population.epsilon, 4),
                Cell::Count(population.simulations as u64),
                Cell::Number(population.effective_size, 3),
            ]
        };
        blocks.push(Block::Table(Table {
            caption: "Populations close in on the observation. Distances are in standard deviations of the simulated data.".into(),
            columns: ["population", "largest distance", "simulations", "effective particles"].map(str::to_string).to_vec(),
            rows: abc.course.iter().enumerate().map(row).collect(),
        }));
    }
    Ok(Some(section("Approximate Bayesian computation", blocks)))
}

/// Fewest parameters that a corner plot is drawn of.
const MIN_ACCEPTED: usize = 20;
/// Draws of a smaller sample's corner plot.
const MIN_DRAWN: usize = 2000;

fn trained(files: &RunFiles) -> Result<Option<Section>, PresentError> {
    let Some(curves) = training::curves(&files.training)? else { return Ok(None) };
    let mut blocks =
        vec![figure(curves, "Validation loss is measured on pairs that training never sees; the disc is what was kept.", Width::Full)];
    if files.training.len() > 1 {
        let row = |(index, net): (usize, &training::NetTraining)| {
            let best = net.best_epoch.and_then(|epoch| Some((epoch, net.history.get(epoch)?)));
            vec![
                Cell::Text((index + 1).to_string()),
                Cell::Text(format!("`{}`", net.title())),
                Cell::Number(net.weight, 3),
                Cell::Count(net.history.len() as u64),
                best.map_or(Cell::Empty, |(epoch, _)| Cell::Count(epoch as u64 + 1)),
                best.map_or(Cell::Empty, |(_, record)| Cell::Number(record.validation, 4)),
            ]
        };
        blocks.push(Block::Table(Table {
            caption: "Weights maximise the log-probability of the validation part under the mixture of all nets.".into(),
            columns: ["net", "density", "weight", "epochs", "epoch kept", "validation log q"].map(str::to_string).to_vec(),
            rows: files.training.iter().enumerate().map(row).collect(),
        }));
    }
    Ok(Some(section("Training", blocks)))
}

/// Keys whose values are folders, which differ between repeated runs.
const FOLDERS: [&str; 2] = ["out_dir", "in_dir"];

fn configuration(files: &RunFiles) -> Option<Section> {
    let text = files.config_text.as_ref()?;
    let kept = text.lines().filter(|line| !FOLDERS.iter().any(|key| line.trim_start().starts_with(&format!("{key}:"))));
    let verbatim = Block::Verbatim(kept.collect::<Vec<_>>().join("\n"));
    let hidden = Block::Details { summary: "The resolved configuration, every default written out".into(), blocks: vec![verbatim] };
    Some(section("Configuration", vec![hidden]))
}

/// What the page doesn't show, and how to get it.
fn missing(files: &RunFiles) -> Option<Section> {
    let absent = [
        (files.posterior.is_none() && files.abc.is_none(), "No posterior: `abduce train infer.yaml --data data.yaml -o RUN` trains one."),
        (
            files.validation.is_none() && files.abc.is_none(),
            "No validation: `abduce validate RUN --data test.yaml` adds calibration, predictions and a verdict.",
        ),
        (
            files.samples.is_none() && files.abc.is_none(),
            "No observation: `abduce sample RUN --x x_obs.npy -n 10000 -o RUN/samples.npy` adds its posterior.",
        ),
        (files.training.is_empty() && files.abc.is_none(), "No training history: `abduce train` and `abduce run` write `training.json`."),
        (files.data.is_none() && files.abc.is_none(), "No summary of the simulations: `abduce train` and `abduce run` write `data.json`."),
    ];
    let blocks: Vec<Block> = absent.into_iter().filter(|(absent, _)| *absent).map(|(_, text)| Block::Text(text.into())).collect();
    (!blocks.is_empty()).then(|| section("Not in this report", blocks))
}
