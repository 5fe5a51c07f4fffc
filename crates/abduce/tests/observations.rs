//! What a trained posterior says about observations beyond draws: conditions, maxima, calibrated regions, predicted data, several data.

mod program;

use program::Workplace;
use serde_json::Value;

const PRIOR: &str = "prior: {uniform: {low: [-1, -1], high: [1, 1]}}\n";

#[allow(clippy::unwrap_used)] // a helper of tests
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// A network each of density, likelihood and ratio, some epochs long.
fn trained(engines: &[(&str, &str)]) -> Workplace {
    let place = Workplace::simulated();
    for (engine, net) in engines {
        let model = format!("model: {{engine: {engine}, nets: [{{model: {net}, hidden_features: 16}}]}}\n");
        place.write("engine.yaml", format!("{PRIOR}{model}train_args: {{max_num_epochs: 5}}\n"));
        place.ok(&["train", "engine.yaml", "--data", "data.yaml", "-o", engine, "--quiet"]);
    }
    place.save("one.npy", &[2], |_| 0.1);
    place.save("two.npy", &[2, 2], |i| 0.1 * i as f32);
    place
}

/// Given parameters stay, the others are drawn, for every engine; the maximum is at least as high as every draw.
#[test]
fn conditions_and_maxima_for_every_engine() {
    let place = trained(&[("NPE", "maf"), ("NLE", "maf"), ("NRE", "resnet")]);
    for engine in ["NPE", "NLE", "NRE"] {
        place.ok(&["sample", engine, "--x", "two.npy", "-n", "300", "--given", "theta_0=0.25", "-o", "s.npy", "--convergence", "c.json"]);
        let draws = place.array("s.npy");
        assert_eq!(draws.shape(), [2, 300, 2]);
        assert!(draws.data().chunks_exact(2).all(|t| t[0] == 0.25 && t[1].abs() < 1.0), "{engine}");
        let spread = draws.data().iter().skip(1).step_by(2).fold([1.0f32, -1.0], |[a, b], t| [a.min(*t), b.max(*t)]);
        assert!(spread[1] - spread[0] > 0.1, "{engine}: {spread:?}");
        place.ok(&["sample", engine, "--x", "two.npy", "-n", "50", "--given", "theta_0=0.25", "--threads", "1", "-o", "t.npy"]);
        place.ok(&["sample", engine, "--x", "two.npy", "-n", "50", "--given", "theta_0=0.25", "--threads", "2", "-o", "u.npy"]);
        assert_eq!(place.array("t.npy").data(), place.array("u.npy").data());

        let maxima = json(&place.ok(&["sample", engine, "--x", "one.npy", "--map"]));
        place.ok(&["sample", engine, "--x", "one.npy", "-n", "400", "-o", "s.npy"]);
        let flat = place.array("s.npy");
        let theta = abduce_data::Array::new(vec![400, 2], flat.into_data()).unwrap_or_else(|error| panic!("{error}"));
        abduce_data::npy::write(&place.path("theta.npy"), &theta).unwrap_or_else(|error| panic!("{error}"));
        place.ok(&["log-prob", engine, "--theta", "theta.npy", "--x", "one.npy", "-o", "lp.npy"]);
        let log_prob = abduce_data::npy::read::<f64>(&place.path("lp.npy")).unwrap_or_else(|error| panic!("{error}")).into_data();
        // Within 2 % of a bound a density's spike is not what is meant.
        let inner = theta.data().chunks_exact(2).map(|t| t.iter().all(|v| v.abs() < 0.95));
        let highest = log_prob.into_iter().zip(inner).filter(|(_, inner)| *inner).fold(f64::NEG_INFINITY, |top, (l, _)| top.max(l));
        // The climb ends 1e-5 nats below the top.
        assert!(number(&maxima[0]["log_prob"]) > highest - 1e-3, "{engine}: {maxima} against {highest}");
        assert!(number(&maxima[0]["climbs_agreeing"]) >= 1.0);
    }
    let given = |what: &str, status: i32, parts: &[&str]| {
        place.fails(status, &["sample", "NPE", "--x", "one.npy", "--given", what, "-o", "s.npy"], parts)
    };
    given("theta_7=0", 2, &["there is no parameter `theta_7`"]);
    given("theta_0=3", 1, &["parameter 0 can't be 3: the prior's support is (-1, 1)"]);
    given("theta_0", 2, &["expected NAME=VALUE"]);
    let twice = ["sample", "NPE", "--x", "one.npy", "--given", "theta_0=0", "--given", "theta_1=0", "-o", "s.npy"];
    place.fails(1, &twice, &["one left"]);
    place.fails(2, &["sample", "NPE", "-o", "s.npy"], &["give --x"]);
}

/// Regions that a validation has corrected hold 80 % of the truths of 400 new observations, whatever five epochs have learnt: the binomial standard
/// deviation and that of a calibration on 400 pairs are 2 % each, so 71 to 89 % are three of them together.
#[test]
fn corrected_regions_cover_new_observations() {
    let place = trained(&[("NPE", "maf")]);
    for (seed, name) in [("2", "held"), ("3", "new")] {
        place.ok(&["simulate", "two_moons", "-n", "400", "--seed", seed, "-o", name, "--quiet"]);
    }
    place.write("held.yaml", "{in_dir: held, theta_file: theta.npy, x_file: x.npy}");
    place.write("val.yaml", "metrics: {c: {posterior_coverage: {num_samples: 100, plot_list: [coverage]}}, d: {conformal: {}}}\n");
    place.fails(1, &["sample", "NPE", "--x", "new/x.npy", "--calibrated", "0.8"], &["there is no calibration of regions", "conformal"]);
    place.ok(&["validate", "NPE", "--data", "held.yaml", "--metrics", "val.yaml", "--quiet"]);
    let sample = ["sample", "NPE", "--x", "new/x.npy", "-n", "100", "--calibrated", "0.5,0.8", "--inside", "in.npy", "-o", "s.npy"];
    let regions = json(&place.ok(&sample));
    let regions = regions.as_array().cloned().unwrap_or_default();
    assert_eq!(regions.len(), 800);
    assert_eq!(place.array("in.npy").shape(), [400, 2, 100]);
    place.ok(&["log-prob", "NPE", "--theta", "new/theta.npy", "--x", "new/x.npy", "-o", "lp.npy"]);
    let log_prob = abduce_data::npy::read::<f64>(&place.path("lp.npy")).unwrap_or_else(|error| panic!("{error}")).into_data();
    let mut covered = 0;
    for (i, region) in regions.iter().enumerate().filter(|(i, _)| i % 2 == 1) {
        assert_eq!((number(&region["observation"]), number(&region["wanted"])), ((i / 2) as f64, 0.8));
        let least = region["log_prob_min"].as_f64().unwrap_or(f64::NEG_INFINITY);
        covered += usize::from(log_prob[i / 2] >= least);
        let inside = place_row(&place, i);
        assert!((inside / 100.0 - number(&region["credibility"])).abs() < 1e-6);
    }
    let covered = covered as f64 / 400.0;
    assert!((0.71..0.89).contains(&covered), "{covered}");
    place.fails(2, &["sample", "NPE", "--x", "new/x.npy", "-n", "50", "--calibrated", "0.8"], &["learnt with 100 draws", "-n 100"]);
    place.fails(2, &["sample", "NPE", "--x", "new/x.npy", "--calibrated", "1.5"], &["between 0 and 1"]);
    place.fails(2, &["sample", "NPE", "--x", "new/x.npy", "--inside", "in.npy", "-o", "s.npy"], &["--calibrated"]);
}

/// Draws inside the region of row `i` of (observation, level).
fn place_row(place: &Workplace, i: usize) -> f64 {
    place.array("in.npy").data()[i * 100..(i + 1) * 100].iter().map(|&v| f64::from(v)).sum()
}

/// Data predicted with draws of the posterior: an observation like the simulations passes, one with a broken value is found out, and a picture shows it.
#[test]
fn predicted_data_are_compared_with_those_observed() {
    let place = trained(&[("NPE", "maf")]);
    let two = place.array("sims/x.npy").select_rows([3]);
    abduce_data::npy::write(&place.path("like.npy"), &two).unwrap_or_else(|error| panic!("{error}"));
    let path = place.ok(&["predict", "NPE", "--x", "like.npy", "--simulator", "two_moons", "-n", "200"]);
    assert!(path.trim().ends_with("NPE/predictive/predictive.json"), "{path}");
    let found = json(&String::from_utf8(place.read("NPE/predictive/predictive.json")).unwrap_or_default());
    assert!(number(&found[0]["mahalanobis_p"]) > 0.01, "{found}");
    assert_eq!(found[0]["features"].as_array().map(Vec::len), Some(2));
    assert_eq!(place.array("NPE/predictive/x_rep.npy").shape(), [1, 200, 1, 2]);
    assert!(place.path("NPE/predictive/predictive_obs0.png").exists());
    // A datum that no parameter gives.
    place.save("strange.npy", &[1, 2], |i| if i == 0 { 0.1 } else { 9.0 });
    let ended = place.run(&["predict", "NPE", "--x", "strange.npy", "--simulator", "two_moons", "-n", "200", "-o", "strange"]);
    assert!(ended.status == 0 && ended.stderr.contains("observation 0 is unlike data that the model gives"), "{}", ended.stderr);
    assert!(number(&json(&String::from_utf8(place.read("strange/predictive.json")).unwrap_or_default())[0]["mahalanobis_p"]) < 0.01);
    place.fails(2, &["predict", "NPE", "--x", "like.npy"], &["does not say which simulator", "--simulator"]);
    place.fails(1, &["predict", "NPE", "--x", "like.npy", "--simulator", "gaussian_linear"], &["has 10 parameters, the posterior 2"]);
    place.fails(2, &["predict", "NPE", "--x", "like.npy", "--simulator", "moons"], &["no built-in task `moons`"]);
}

/// Several data go through a score model, and are refused by a flow.
#[test]
fn scores_take_several_data() {
    let place = Workplace::simulated();
    let net = "{model: mlp, hidden_features: 8, hidden_layers: 1}";
    place.write("field.yaml", format!("{PRIOR}model: {{engine: NPSE, sde_type: vp, nets: [{net}]}}\ntrain_args: {{max_num_epochs: 2}}\n"));
    place.ok(&["train", "field.yaml", "--data", "data.yaml", "-o", "f", "--quiet"]);
    place.save("three.npy", &[3, 2], |i| 0.05 * i as f32);
    place.ok(&["sample", "f", "--x", "three.npy", "-n", "20", "--trials", "3", "-o", "s.npy"]);
    assert_eq!(place.array("s.npy").shape(), [1, 20, 2]);
    assert!(place.array("s.npy").data().iter().all(|t| t.abs() < 1.0));
    place.ok(&["train", "infer.yaml", "--data", "data.yaml", "-o", "n", "--quiet"]);
    place.fails(1, &["sample", "n", "--x", "three.npy", "--trials", "3", "-o", "s.npy"], &["3 independent data per observation"]);
}
