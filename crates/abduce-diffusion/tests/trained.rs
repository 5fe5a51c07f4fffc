//! Trained estimators: normalised densities, draws that follow them, the right answer on data of known posterior, and the same bytes for
//! any number of threads.

use abduce_data::Seed;
use abduce_diffusion::{
    Architecture, FieldEstimator, NetworkSpec, NoiseRole, NoiseSchedule, NoisyRows, Objective, ReverseSde, Sampler, TimeEmbedding,
    Tolerance,
};
use abduce_nn::trainer::{RowSource, Rows, Schedule, TrainConfig, TrainState, train};
use abduce_nn::{Compute, EmbeddingSpec};
use std::ops::ControlFlow;

/// θ | x: one of two Gaussians of deviation 0.25 around ±(0.9 + 0.2 x) with equal odds, x ~ N(0, 1); further dimensions copy the first
/// with noise of deviation 0.4.
struct Bimodal {
    seed: Seed,
    features: usize,
    batch: usize,
    left: usize,
    rows: usize,
    epoch: u64,
    stream: u64,
}

const DEVIATION: f64 = 0.25;
const BLUR: f64 = 0.4;

impl Bimodal {
    fn new(features: usize, rows: usize, stream: u64) -> Self {
        Self { seed: Seed(21), features, batch: 128, left: 0, rows, epoch: 0, stream }
    }

    fn log_density(theta: f64, x: f64) -> f64 {
        let centre = 0.9 + 0.2 * x;
        let part = |c: f64| (-0.5 * ((theta - c) / DEVIATION).powi(2)).exp();
        (0.5 * (part(centre) + part(-centre)) / (DEVIATION * std::f64::consts::TAU.sqrt())).ln()
    }
}

impl RowSource for Bimodal {
    type Error = std::convert::Infallible;

    fn start(&mut self, epoch: u64) {
        (self.left, self.epoch) = (self.rows, epoch);
    }

    /// Fresh pairs every epoch: the limit of many simulations, so that what remains is the estimator's own error.
    fn next(&mut self, rows: &mut Rows) -> Result<usize, Self::Error> {
        let n = self.batch.min(self.left);
        let mut rng = self.seed.stream("pairs", self.stream << 48 | self.epoch << 24 | self.left as u64);
        self.left -= n;
        let (mut theta, mut x) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let datum = rng.normal();
            let sign = if rng.uniform() < 0.5 { 1.0 } else { -1.0 };
            let first = sign * (0.9 + 0.2 * datum) + DEVIATION * rng.normal();
            theta.push(first as f32);
            theta.extend((1..self.features).map(|_| (first + BLUR * rng.normal()) as f32));
            x.push(datum as f32);
        }
        rows.inputs = vec![theta, x];
        Ok(n)
    }
}

fn trained(schedule: NoiseSchedule, network: NetworkSpec, features: usize, epochs: usize, threads: usize) -> (FieldEstimator, Vec<f32>) {
    let architecture = Architecture { network, embedding: EmbeddingSpec::Identity, ..Architecture::score(schedule, features, 1) };
    let estimator = FieldEstimator::new(architecture).expect("a valid architecture");
    let objective = Objective::of(&schedule);
    let config =
        TrainConfig { learning_rate: 2e-3, schedule: Schedule::Cosine { epochs }, stop_after_epochs: epochs, ..TrainConfig::default() };
    let source = |rows, stream, role| NoisyRows::new(Bimodal::new(features, rows, stream), features, schedule, objective, role, Seed(4));
    let mut training = source(4096, 0, NoiseRole::Training);
    let mut validation = source(256, 1, NoiseRole::Validation { times: 8 });
    let mut state = TrainState::new(estimator.layout(), Seed(5));
    let compute = Compute::with_threads(threads);
    let graph = estimator.joint(&objective);
    train(graph, estimator.layout(), &compute, &config, (&mut training, &mut validation), &mut state, |_| ControlFlow::Continue(()))
        .expect("training converges");
    (estimator, state.best)
}

fn small(layers: usize, hidden: usize) -> NetworkSpec {
    NetworkSpec::Mlp { layers, hidden, time: TimeEmbedding { features: 16, max_frequency: 30.0 } }
}

/// For every schedule: the density integrates to one; draws of the flow and of the reverse equation follow it; it is close to the
/// posterior.
#[test]
fn a_bimodal_posterior_is_learned_by_every_schedule() {
    let schedules =
        [NoiseSchedule::flow_matching(), NoiseSchedule::ve(), NoiseSchedule::vp(), NoiseSchedule::sub_vp(), NoiseSchedule::edm()];
    for schedule in schedules {
        let (estimator, params) = trained(schedule, small(3, 32), 1, 16, 2);
        let (compute, x) = (Compute::with_threads(2), [0.5f32]);
        let points = 401;
        let grid: Vec<f32> = (0..points).map(|i| -4.0 + 8.0 * i as f32 / (points - 1) as f32).collect();
        let log_q = estimator.log_prob(&compute, &params, &grid, &x, |_| 0, Tolerance::default()).unwrap();
        let (mut cumulative, mut divergence) = (vec![0.0], 0.0);
        for i in 1..points {
            // The trapezium: its error is h²/12 ∫q'' ≈ 0 for a density that vanishes at both ends.
            let q = |i: usize| f64::from(log_q[i]).exp();
            cumulative.push(cumulative[i - 1] + 0.01 * (q(i) + q(i - 1)));
            let p = Bimodal::log_density(f64::from(grid[i]), 0.5);
            divergence += 0.02 * p.exp() * (p - f64::from(log_q[i]));
        }
        let total = cumulative[points - 1];
        // Densities of about 0.7 err by the tolerance times the score.
        assert!((total - 1.0).abs() < 1e-3, "{schedule:?}: ∫ q = {total}");
        // KL(p|q) in nats: 16 epochs of a small network leave 0.03 to 0.07; a single Gaussian of the same moments has 0.7.
        assert!(divergence < 0.12, "{schedule:?}: KL = {divergence}");
        let distance = |sampler: &Sampler| {
            let mut draws = estimator.sample(&compute, &params, &x, &[2000], sampler, Seed(6)).unwrap();
            draws.sort_by(f32::total_cmp);
            let cdf = |theta: f32| {
                let at = (f64::from(theta) + 4.0) / 0.02;
                let i = (at.floor() as usize).min(points - 2);
                cumulative[i] + (at - i as f64) * (cumulative[i + 1] - cumulative[i])
            };
            draws.iter().enumerate().map(|(i, &t)| (cdf(t) - (i as f64 + 0.5) / 2000.0).abs()).fold(0.0, f64::max)
        };
        // Kolmogorov-Smirnov at 1e-3: 1.95/√2000 = 0.044. The reverse equation differs from the flow where the network is not exactly a
        // score, and by its steps.
        let flow = distance(&Sampler::default());
        assert!(flow < 0.044, "{schedule:?}: KS {flow} for the flow");
        let stochastic = distance(&Sampler::Sde(ReverseSde { steps: 200, ..ReverseSde::default() }));
        assert!(stochastic < 0.044 + 0.04, "{schedule:?}: KS {stochastic} for the reverse equation");
    }
}

/// Two dimensions and the network with adaptive normalisation: ∫∫ q = 1 on a grid of 0.1.
#[test]
fn a_density_of_two_dimensions_is_normalised() {
    let network = NetworkSpec::AdaMlp { layers: 2, hidden: 24, time: TimeEmbedding { features: 16, max_frequency: 30.0 } };
    let (estimator, params) = trained(NoiseSchedule::flow_matching(), network, 2, 8, 2);
    let (compute, side) = (Compute::with_threads(2), 71);
    let at = |i: usize| -3.5 + 0.1 * i as f32;
    let grid: Vec<f32> = (0..side * side).flat_map(|p| [at(p / side), at(p % side)]).collect();
    let tolerance = Tolerance { relative: 1e-4, absolute: 1e-4 };
    let log_q = estimator.log_prob(&compute, &params, &grid, &[-0.3], |_| 0, tolerance).unwrap();
    let total: f64 = log_q.iter().map(|&l| 0.01 * f64::from(l).exp()).sum();
    // Modes of deviation 0.25 on a grid of 0.1: the sum is exact to e^{-2 (π·0.25/0.1)²} < 1e-50; the tails beyond 3.5 hold 1e-4.
    assert!((total - 1.0).abs() < 2e-3, "∫∫ q = {total}");
    // The modes are where they belong: the mean of |θ₁| is 0.9 - 0.06 = 0.84.
    let draws = estimator.sample(&compute, &params, &[-0.3], &[2000], &Sampler::Ode(tolerance), Seed(1)).unwrap();
    let mean = draws.chunks_exact(2).map(|row| f64::from(row[0].abs())).sum::<f64>() / 2000.0;
    assert!((mean - 0.84).abs() < 0.05, "{mean}");
}

/// Weights, draws and densities are the same bytes for any number of threads, and no draw depends on its company.
#[test]
fn threads_and_company_leave_the_bytes_alone() {
    let run = |threads: usize| {
        let (estimator, params) = trained(NoiseSchedule::ve(), small(2, 16), 2, 2, threads);
        let compute = Compute::with_threads(threads);
        let x = [0.1, -0.8, 1.4];
        let samplers = [Sampler::default(), Sampler::Sde(ReverseSde { steps: 20, corrections: 1, ..ReverseSde::default() })];
        let draws = samplers.map(|s| estimator.sample(&compute, &params, &x, &[70, 3, 200], &s, Seed(2)).unwrap());
        let log_q = estimator.log_prob(&compute, &params, &draws[0], &x, |r| r % 3, Tolerance::default()).unwrap();
        (params, draws, log_q)
    };
    let (params, draws, log_q) = run(1);
    for threads in [2, 3] {
        let (other_params, other_draws, other_log_q) = run(threads);
        assert_eq!(params, other_params);
        assert_eq!(draws, other_draws);
        assert_eq!(log_q, other_log_q);
    }
    let estimator = FieldEstimator::new(Architecture { network: small(2, 16), ..Architecture::score(NoiseSchedule::ve(), 2, 1) }).unwrap();
    let compute = Compute::with_threads(2);
    for (sampler, draws) in
        [Sampler::default(), Sampler::Sde(ReverseSde { steps: 20, corrections: 1, ..ReverseSde::default() })].iter().zip(&draws)
    {
        let few = estimator.sample(&compute, &params, &[0.1, -0.8], &[5, 3], sampler, Seed(2)).unwrap();
        assert_eq!(few[..10], draws[..10]);
        assert_eq!(few[10..], draws[140..146]);
    }
    let alone = estimator.log_prob(&compute, &params, &draws[0][4..6], &[1.4], |_| 0, Tolerance::default()).unwrap();
    assert_eq!(alone, log_q[2..3]);
}

/// The control variate changes the loss of a batch but not its mean, and makes the gradient less noisy: over 64 batches the mean
/// difference is zero within 4 standard errors while the variance of the gradient falls.
#[test]
fn the_control_variate_is_unbiased_and_quiets_the_gradient() {
    use abduce_kernels::Threads;
    use abduce_kernels::transpose::features_from_rows;
    use abduce_nn::Step;
    let schedule = NoiseSchedule::ve();
    let (estimator, params) = trained(schedule, small(2, 16), 1, 3, 1);
    let collect = |objective: Objective| {
        let graph = estimator.joint(&objective);
        let widths = graph.input_features();
        let mut step = Step::new(graph, params.len(), None, Compute::with_threads(1).simd, &Threads::single());
        let mut source = NoisyRows::new(Bimodal::new(1, 64 * 128, 0), 1, schedule, objective, NoiseRole::Training, Seed(9));
        source.start(0);
        let (mut rows, mut losses, mut gradients) = (Rows::default(), Vec::new(), Vec::new());
        while source.next(&mut rows).unwrap() > 0 {
            let (loss, _) = step.fused(
                &params,
                128,
                |range, frame| {
                    let lanes = frame.lanes();
                    for (i, (table, &w)) in rows.inputs.iter().zip(&widths).enumerate() {
                        features_from_rows(&table[range.start * w..], range.len(), w, frame.input_mut(i), lanes);
                    }
                },
                |range, frame| {
                    let total: f64 = frame.output(0)[..range.len()].iter().map(|&v| f64::from(v)).sum();
                    let seed = frame.output_gradient_mut(0);
                    seed.fill(0.0);
                    seed[..range.len()].fill(-1.0 / 128.0);
                    -total / 128.0
                },
            );
            losses.push(loss);
            gradients.push(step.gradient().to_vec());
        }
        (losses, gradients)
    };
    let controlled = Objective::of(&schedule);
    let (with, gradients_with) = collect(controlled);
    let (without, gradients_without) = collect(Objective { control_variate_below: None, ..controlled });
    let differences: Vec<f64> = with.iter().zip(&without).map(|(a, b)| a - b).collect();
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let error = (differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / n / n).sqrt();
    assert!(mean.abs() < 4.0 * error && error > 0.0, "{mean} ± {error}");
    let spread = |all: &[Vec<f32>]| -> f64 {
        (0..params.len())
            .map(|p| {
                let mean = all.iter().map(|g| f64::from(g[p])).sum::<f64>() / n;
                all.iter().map(|g| (f64::from(g[p]) - mean).powi(2)).sum::<f64>() / n
            })
            .sum()
    };
    let (quiet, loud) = (spread(&gradients_with), spread(&gradients_without));
    assert!(quiet < 0.25 * loud, "variance of the gradient: {quiet} with, {loud} without");
}
