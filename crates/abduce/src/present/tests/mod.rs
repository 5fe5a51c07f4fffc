//! Pictures and pages of posteriors known in closed form.

mod fixture;

use super::run::{self, RunFiles};
use super::validation::{Plot, PlotSelection, write_plots};
use super::{PresentError, posterior, report};
use crate::config::CoveragePlot;
use crate::error::Error;
use abduce_data::ParameterInfo;
use abduce_inference::prior::Interval;
use fixture::{Claim, Model, comparison, novelty, warning, write_json};
use std::fs;
use std::path::Path;

fn page(run: &Path) -> String {
    fs::read_to_string(report::write(run).unwrap()).unwrap()
}

/// Text of the element that opens with `<p class="headline">`.
fn headline(page: &str) -> &str {
    let start = page.find("<p class=\"headline\">").unwrap() + 20;
    &page[start..start + page[start..].find("</p>").unwrap()]
}

#[test]
fn every_plot_is_written_as_svg_and_png_under_the_names_of_ltu_ili() {
    let model = Model::new(2);
    let folder = tempfile::tempdir().unwrap();
    let which = PlotSelection { prefix: "toy_".into(), ..PlotSelection::default() };
    let paths = write_plots(&folder.path().join("val"), &model.validation(100, 50, Claim::Exact), &model.parameters, &which).unwrap();
    assert_eq!(paths.len(), 2 * Plot::ALL.len());
    for stem in ["ranks_histogram", "plot_coverage", "plot_predictions", "plot_TARP", "plot_true_logprobs"] {
        let svg = fs::read_to_string(folder.path().join(format!("val/toy_{stem}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("</svg>"), "{stem}");
        assert!(fs::read(folder.path().join(format!("val/toy_{stem}.png"))).unwrap().starts_with(b"\x89PNG"), "{stem}");
    }
}

#[test]
fn a_plot_list_selects_figures_in_the_order_of_the_report() {
    let which = PlotSelection::of("", &[CoveragePlot::Tarp, CoveragePlot::Histogram]);
    assert_eq!(which.plots, [Plot::Ranks, Plot::Ecdf, Plot::Tarp, Plot::TarpX]);
    assert_eq!(PlotSelection::of("", &CoveragePlot::ALL), PlotSelection::default());
}

#[test]
fn parameters_of_another_posterior_are_refused() {
    let model = Model::new(2);
    let folder = tempfile::tempdir().unwrap();
    let three = ParameterInfo::numbered(3);
    let error = write_plots(folder.path(), &model.validation(50, 20, Claim::Exact), &three, &PlotSelection::default()).unwrap_err();
    assert!(matches!(error, Error::Present(PresentError::Length { found: 3, expected: 2, .. })), "{error}");
}

#[test]
fn a_corner_plot_checks_its_draws() {
    let parameters = ParameterInfo::numbered(2);
    let draws: Vec<f32> = (0..200).map(|i| (i % 17) as f32).collect();
    let limits = [Interval::REAL; 2];
    assert!(posterior::corner("", &parameters, &limits, &[("", &draws)], Some(&[1.0, 2.0])).is_ok());
    assert!(posterior::corner("", &parameters, &limits[..1], &[("", &draws)], None).is_err());
    assert!(posterior::corner("", &parameters, &limits, &[("", &[f32::NAN; 100])], None).is_err());
}

#[test]
fn quantiles_of_draws() {
    let draws: Vec<f32> = (0..=1000).flat_map(|i| [i as f32, -(i as f32)]).collect();
    let found = posterior::Intervals::of_draws(&draws, 2);
    assert_eq!(found, [[25.0, 160.0, 500.0, 840.0, 975.0], [-975.0, -840.0, -500.0, -160.0, -25.0]]);
}

#[test]
fn the_headline_says_what_is_wrong() {
    let cases = [
        (Claim::Exact, "Calibrated: stated and true uncertainties agree"),
        (Claim::Scaled(1, 0.5), "Use with care: posterior too narrow in Ω<sub><i>m</i></sub>"),
        (Claim::Prior, "Do not use this posterior: the posterior ignores the data"),
    ];
    for (claim, expected) in cases {
        let run = tempfile::tempdir().unwrap();
        Model::new(2).write_run(run.path(), 500, 1, claim);
        let page = page(run.path());
        assert!(headline(&page).starts_with(expected), "{}", headline(&page));
    }
}

#[test]
fn the_page_is_the_same_wherever_the_run_lies_and_holds_no_path() {
    let model = Model::new(3);
    let runs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let pages: Vec<String> = runs
        .iter()
        .map(|run| {
            model.write_run(run.path(), 100, 6, Claim::Exact);
            page(run.path())
        })
        .collect();
    // The configuration's hash is that of the text with the folder in it, which the fixture writes on purpose.
    let without_hash = |page: &str| page.lines().filter(|line| !line.contains("<dt>configuration</dt>")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_hash(&pages[0]), without_hash(&pages[1]));
    assert!(!pages[0].contains(&*runs[0].path().to_string_lossy()));
    assert!(!pages[0].contains("a-host-name"));
    assert_eq!(pages[0], page(runs[0].path()));
}

#[test]
fn what_is_missing_is_named_with_the_command_that_adds_it() {
    let run = tempfile::tempdir().unwrap();
    Model::new(2).write_posterior(run.path());
    let page = page(run.path());
    assert!(headline(&page).starts_with("Not validated"));
    for command in ["abduce validate RUN --data test.yaml", "abduce sample RUN"] {
        assert!(page.contains(command), "{command}");
    }
    assert!(!page.contains("<svg"));
}

#[test]
fn observations_outside_the_simulations_are_said_in_words() {
    let run = tempfile::tempdir().unwrap();
    let model = Model::new(1);
    model.write_run(run.path(), 500, 1, Claim::Exact);
    write_json(&run.path().join(run::NOVELTIES), &[novelty(0, 3, 12.3)]);
    write_json(&run.path().join(run::WARNINGS), &[warning("12 of 10000 simulations held NaN and were left out")]);
    let one = page(run.path());
    assert!(one.contains("This observation lies 12 standard deviations outside the simulations in feature 3."));
    assert!(one.contains("12 of 10000 simulations held NaN and were left out."));
    assert!(headline(&one).starts_with("Calibrated on simulations, but the observation lies outside them"), "{}", headline(&one));

    model.write_run(run.path(), 500, 40, Claim::Exact);
    let many: Vec<_> = (0..5).map(|row| novelty(row, row, 1.0 + row as f64)).collect();
    write_json(&run.path().join(run::NOVELTIES), &many);
    let many = page(run.path());
    assert!(many.contains("5 of 40 observations lie outside the simulations; the farthest is observation 4, 5.0 standard deviations"));
}

#[test]
fn many_observations_of_one_parameter_become_intervals() {
    let run = tempfile::tempdir().unwrap();
    let model = Model::new(1);
    model.write_run(run.path(), 100, 30, Claim::Exact);
    write_json(&run.path().join(run::COMPARISON), &comparison(&model));
    let page = page(run.path());
    assert!(page.contains("all 30 observations") && page.contains("Compared with the catalogue"));
}

#[test]
fn damaged_files_and_folders_without_a_run_are_named() {
    let run = tempfile::tempdir().unwrap();
    assert!(matches!(RunFiles::read(run.path()).unwrap_err(), PresentError::NoRun { .. }));
    Model::new(1).write_run(run.path(), 50, 1, Claim::Exact);
    fs::write(run.path().join(run::TRAINING), "[{").unwrap();
    let error = report::write(run.path()).unwrap_err().to_string();
    assert!(error.contains("training.json"), "{error}");
    assert!(!run.path().join(report::REPORT).exists(), "nothing half-written");
}

#[test]
#[ignore = "writes pages to look at, into the system's temporary folder"]
fn pages_to_look_at() {
    let folder = std::env::temp_dir().join("abduce-pages");
    for (d, pairs, observations, claim) in [(1, 1000, 182, Claim::Exact), (3, 1000, 8, Claim::Scaled(2, 0.6)), (10, 500, 1, Claim::Exact)] {
        let run = folder.join(format!("run-{d}"));
        let model = Model::new(d);
        model.write_run(&run, pairs, observations, claim);
        if d == 1 {
            write_json(&run.join(run::COMPARISON), &comparison(&model));
        }
        if d == 3 {
            write_json(&run.join(run::NOVELTIES), &[novelty(2, 3, 12.0), novelty(5, 0, 0.8)]);
        }
        report::write(&run).unwrap();
        let validation = model.validation(pairs, 99, claim);
        write_plots(&run.join("plots"), &validation, &model.parameters, &PlotSelection::default()).unwrap();
    }
}
