//! Run directories of a linear Gaussian, whose posterior is known in closed form.

use crate::present::comparison::{Comparison, Predictive};
use crate::present::run;
use crate::present::training::NetTraining;
use abduce_data::rundir::{CONFIG, MANIFEST, Manifest};
use abduce_data::{Array, ParameterInfo, Rng, Scaling, Seed, Standardiser, npy};
use abduce_density::{Architecture, DensitySpec, Estimator};
use abduce_inference::diagnostics::{PriorSpread, Severity, Validation, ValidationInputs, ValidationOptions, Warning, validate};
use abduce_inference::posterior::{FeatureRange, Member, Network, Novelty, Posterior};
use abduce_inference::prior::Prior;
use abduce_nn::EmbeddingSpec;
use abduce_nn::trainer::EpochRecord;
use serde::Serialize;
use serde_json::json;
use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

/// θ_j = centre_j + width_j u_j with u_j ~ N(0, 1), x_j = u_j + N(0, σ_j²): u_j | x_j ~ N(x_j/(1 + σ_j²), σ_j²/(1 + σ_j²)).
pub(super) struct Model {
    pub(super) parameters: Vec<ParameterInfo>,
    centre: Vec<f64>,
    width: Vec<f64>,
    noise: Vec<f64>,
}

/// What the posterior claims.
#[derive(Clone, Copy)]
pub(super) enum Claim {
    Exact,
    /// Standard deviations of parameter `.0` times `.1`.
    Scaled(usize, f64),
    /// The prior.
    Prior,
}

impl Model {
    pub(super) fn new(d: usize) -> Self {
        let named = |name: &str, label: &str, unit: Option<&str>| ParameterInfo {
            name: name.into(),
            label: Some(label.into()),
            unit: unit.map(str::to_string),
        };
        let known = [
            (named("log10_m500", r"\log_{10} M_{500}", Some("Msun")), 14.5, 0.3, 0.4),
            (named("omega_m", r"\Omega_m", None), 0.31, 0.05, 0.5),
            (named("sigma_8", r"\sigma_8", None), 0.81, 0.08, 1.0),
            (named("h0", "H_0", Some("km/s Mpc^-1")), 68.0, 6.0, 2.0),
        ];
        let numbered = ParameterInfo::numbered(d);
        let all: Vec<_> = (0..d)
            .map(|j| {
                known.get(j).cloned().unwrap_or_else(|| (numbered[j].clone(), 0.0, 10f64.powi(j as i32 % 5 - 2), 0.3 + 0.2 * j as f64))
            })
            .collect();
        Self {
            parameters: all.iter().map(|p| p.0.clone()).collect(),
            centre: all.iter().map(|p| p.1).collect(),
            width: all.iter().map(|p| p.2).collect(),
            noise: all.iter().map(|p| p.3).collect(),
        }
    }

    pub(super) fn d(&self) -> usize {
        self.parameters.len()
    }

    fn pair(&self, rng: &mut Rng) -> (Vec<f64>, Vec<f64>) {
        let u: Vec<f64> = (0..self.d()).map(|_| rng.normal()).collect();
        let x = u.iter().zip(&self.noise).map(|(u, s)| u + s * rng.normal()).collect();
        (u, x)
    }

    /// Mean and standard deviation of u_j.
    fn posterior(&self, j: usize, x: f64, claim: Claim) -> (f64, f64) {
        let variance = self.noise[j].powi(2);
        let (mean, sd) = (x / (1.0 + variance), (variance / (1.0 + variance)).sqrt());
        match claim {
            Claim::Exact => (mean, sd),
            Claim::Scaled(which, by) => (mean, if which == j { by * sd } else { sd }),
            Claim::Prior => (0.0, 1.0),
        }
    }

    fn theta(&self, j: usize, u: f64) -> f64 {
        self.centre[j] + self.width[j] * u
    }

    pub(super) fn validation(&self, pairs: usize, draws: usize, claim: Claim) -> Validation {
        let log_normal = |j: usize, u: f64, mean: f64, sd: f64| -0.5 * ((u - mean) / sd).powi(2) - (sd * self.width[j] * TAU.sqrt()).ln();
        let (mut theta, mut samples, mut xs) = (vec![], vec![], vec![]);
        let (mut log_q, mut log_q_draws, mut log_p) = (vec![], vec![], vec![]);
        for i in 0..pairs {
            let mut rng = Seed(11).stream("pairs", i as u64);
            let (u, x) = self.pair(&mut rng);
            let moments: Vec<_> = (0..self.d()).map(|j| self.posterior(j, x[j], claim)).collect();
            let density = |u: &[f64]| -> f64 { u.iter().enumerate().map(|(j, &u)| log_normal(j, u, moments[j].0, moments[j].1)).sum() };
            log_q.push(density(&u));
            log_p.push(u.iter().enumerate().map(|(j, &u)| log_normal(j, u, 0.0, 1.0)).sum());
            theta.extend(u.iter().enumerate().map(|(j, &u)| self.theta(j, u)));
            for _ in 0..draws {
                let drawn: Vec<f64> = moments.iter().map(|(mean, sd)| mean + sd * rng.normal()).collect();
                log_q_draws.push(density(&drawn));
                samples.extend(drawn.iter().enumerate().map(|(j, &u)| self.theta(j, u)));
            }
            xs.extend(x);
        }
        let names: Vec<String> = self.parameters.iter().map(|p| p.name.clone()).collect();
        let variance: Vec<f64> = self.width.iter().map(|w| w * w).collect();
        let inputs = ValidationInputs {
            parameters: &names,
            theta: &theta,
            samples: &samples,
            log_prob_theta: &log_q,
            log_prob_samples: Some(&log_q_draws),
            prior_log_prob: &log_p,
            prior: PriorSpread::Variance(&variance),
            x: Some(&xs),
        };
        let options = ValidationOptions { bootstrap_resamples: 100, ..ValidationOptions::default() };
        validate(&inputs, Seed(8), &options).unwrap()
    }

    /// An untrained flow under the model's prior: the report reads its names, limits and sizes alone.
    pub(super) fn write_posterior(&self, run: &Path) {
        let d = self.d();
        let density = DensitySpec::Maf { transforms: 1, hidden: vec![4] };
        let estimator = Estimator::new(Architecture { density, embedding: EmbeddingSpec::default(), features: d, context: d }).unwrap();
        let member =
            Member { params: vec![0.0; estimator.layout().len()], network: Network::Posterior(estimator), signature: String::new() };
        let low: Vec<f64> = (0..d).map(|j| self.theta(j, -6.0)).collect();
        let high: Vec<f64> = (0..d).map(|j| self.theta(j, 6.0)).collect();
        let spec = json!({"truncated_normal": {"loc": self.centre, "scale": self.width, "low": low, "high": high}});
        let prior = Prior::new(serde_json::from_value(spec).unwrap()).unwrap();
        let identity = Standardiser::fit(Scaling::Independent, d, [vec![-1.0f32; d], vec![1.0; d]].iter().map(Vec::as_slice)).unwrap();
        let posterior = Posterior {
            name: String::new(),
            transform: prior.transform(),
            prior,
            parameters: self.parameters.clone(),
            x_shape: vec![d],
            theta_scale: identity.clone(),
            x_scale: identity,
            x_range: FeatureRange { low: vec![-3.0; d], high: vec![3.0; d] },
            members: vec![member.clone(), member],
            weights: vec![0.7, 0.3],
        };
        posterior.save(&run.join("posterior.safetensors")).unwrap();
    }

    /// Draws for `observations` observations, with the parameters that they were simulated from.
    fn write_observations(&self, run: &Path, observations: usize, draws: usize) {
        let d = self.d();
        let (mut samples, mut truth, mut xs) = (vec![], vec![], vec![]);
        for i in 0..observations {
            let mut rng = Seed(9).stream("observations", i as u64);
            let (u, x) = self.pair(&mut rng);
            truth.extend((0..d).map(|j| self.theta(j, u[j]) as f32));
            for _ in 0..draws {
                for (j, &x) in x.iter().enumerate() {
                    let (mean, sd) = self.posterior(j, x, Claim::Exact);
                    samples.push(self.theta(j, mean + sd * rng.normal()) as f32);
                }
            }
            xs.extend(x.iter().map(|&x| x as f32));
        }
        npy::write(&run.join(run::SAMPLES), &Array::new(vec![observations, draws, d], samples).unwrap()).unwrap();
        npy::write(&run.join(run::OBSERVATIONS), &Array::new(vec![observations, d], xs).unwrap()).unwrap();
        npy::write(&run.join(run::TRUTH), &Array::new(vec![observations, d], truth).unwrap()).unwrap();
    }

    /// A run directory with everything in it.
    pub(super) fn write_run(&self, run: &Path, pairs: usize, observations: usize, claim: Claim) {
        fs::create_dir_all(run.join(run::VALIDATION)).unwrap();
        self.write_posterior(run);
        self.write_observations(run, observations, 2000);
        let validation = self.validation(pairs, 99, claim);
        write_json(&run.join(run::VALIDATION).join(run::METRICS), &validation.metrics);
        write_json(&run.join(run::VALIDATION).join(run::CURVES), &validation.curves);
        write_json(&run.join(run::TRAINING), &training());
        let data = run::DataSummary {
            rows: 10_000,
            dropped: 12,
            train: 8989,
            validation: 999,
            x_shape: vec![self.d()],
            constant_features: vec![],
            parameters: self.parameters.clone(),
        };
        write_json(&run.join(run::DATA), &data);
        let config = config(run);
        write_json(&run.join(MANIFEST), &Manifest::new("0.1.0", Seed(42), "avx2", &config));
        fs::write(run.join(CONFIG), config).unwrap();
        write_json(&run.join("provenance.json"), &json!({"host": "a-host-name"}));
    }
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) {
    fs::write(path, serde_json::to_vec_pretty(value).unwrap()).unwrap();
}

/// A resolved configuration in LtU-ILI's form, its output folder an absolute path.
fn config(run: &Path) -> String {
    format!(
        "prior: {{uniform: {{low: [0, 0, 0], high: [1, 1, 1]}}}}\nout_dir: {}\nmodel:\n  nets:\n    - {{model: maf, repeats: 2}}\nseed: 42\n",
        run.display()
    )
}

pub(super) fn training() -> Vec<NetTraining> {
    let net = |k: usize| {
        let mut rng = Seed(3).stream("net", k as u64);
        let epochs = 60 + 20 * k;
        let history: Vec<EpochRecord> = (0..epochs)
            .map(|epoch| {
                let t = epoch as f64;
                let score = 2.0 - 4.0 * (-t / 8.0).exp() + 0.002 * t;
                EpochRecord {
                    train: score + 0.01 * rng.normal(),
                    validation: score - 0.1 - 0.004 * t + 0.03 * rng.normal(),
                    learning_rate: 5e-4,
                    skipped_steps: 0,
                    rollbacks: 0,
                }
            })
            .collect();
        let best_epoch = (0..epochs).max_by(|&a, &b| history[a].validation.total_cmp(&history[b].validation));
        NetTraining { signature: String::new(), model: "maf".into(), history, best_epoch, weight: [0.7, 0.3][k] }
    };
    vec![net(0), net(1)]
}

pub(super) fn novelty(row: usize, feature: usize, distance: f64) -> Novelty {
    Novelty { row, feature, distance, features_outside: 1 }
}

pub(super) fn warning(text: &str) -> Warning {
    Warning { severity: Severity::Warning, text: text.into(), hint: String::new() }
}

/// 180 objects with a catalogue that agrees within the errors, and counts in ten bins.
pub(super) fn comparison(model: &Model) -> Comparison {
    let mut rng = Seed(5).stream("catalogue", 0);
    let reference: Vec<f64> = (0..180).map(|_| model.theta(0, rng.normal())).collect();
    let median = reference.iter().map(|r| r + 0.06 * rng.normal()).collect();
    let mean: Vec<f64> = (0..10).map(|b| 40.0 * (-0.5 * (f64::from(b) - 4.0).powi(2) / 5.0).exp()).collect();
    Comparison {
        name: "the catalogue".into(),
        parameter: model.parameters[0].name.clone(),
        reference_error: vec![0.05; 180],
        reference,
        median,
        sd: vec![0.06; 180],
        median_ratio: Some(1.012),
        scatter_dex: Some(0.06),
        pull_mean: Some(0.03),
        pull_sd: Some(0.98),
        predictive: Some(Predictive {
            quantity: r"$\tilde y_0$ [$10^{-4}$]".into(),
            observed: mean.iter().map(|m| (m + m.sqrt() * rng.normal()).round().max(0.0)).collect(),
            edges: (0..=10).map(|b| 0.4 + 0.2 * f64::from(b)).collect(),
            low: mean.iter().map(|m| (m - m.sqrt()).max(0.0)).collect(),
            high: mean.iter().map(|m| m + m.sqrt()).collect(),
            mean,
        }),
    }
}
