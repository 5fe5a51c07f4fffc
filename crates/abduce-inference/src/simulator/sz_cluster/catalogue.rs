//! The real catalogue of the example, and the exact posterior of every cluster in it.

use super::scaling::{SCATTER, mean_y0};
use super::{COSMOLOGY, LOG10_MASS, Outcome, Simulator, SzCluster};
use crate::prior::special::integrate;
use crate::simulator::simulate_table;
use abduce_data::Seed;
use std::f64::consts::LN_10;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// What the tests need of one cluster.
pub(super) struct Cluster {
    pub(super) z: f64,
    /// 1e-4.
    pub(super) y0: f64,
    pub(super) y0_error: f64,
    /// Catalogue mass corrected for the Eddington bias.
    pub(super) m500_corrected_1e14_msun: f64,
    /// Catalogue mass without that correction.
    pub(super) m500_uncorrected_1e14_msun: f64,
}

/// `examples/act-clusters/clusters.csv`.
pub(super) fn example_catalogue() -> Vec<Cluster> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/act-clusters/clusters.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    text.lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |name: &str| -> f64 { fields[header.iter().position(|column| *column == name).unwrap()].parse().unwrap() };
            Cluster {
                z: number("z"),
                y0: number("y0tilde"),
                y0_error: number("y0tilde_err"),
                m500_corrected_1e14_msun: number("M500cUPP"),
                m500_uncorrected_1e14_msun: number("M500cUnc"),
            }
        })
        .collect()
}

/// ln p(log10 M | cluster) up to a constant.
type LogPosterior<'a> = dyn Fn(f64, &Cluster) -> f64 + 'a;

/// Mode, median, mean and standard deviation of ln M on 1000 points over the range of masses.
fn summary(log_posterior: &LogPosterior, cluster: &Cluster) -> [f64; 4] {
    let n = 1000;
    let step = (LOG10_MASS.high - LOG10_MASS.low) / f64::from(n);
    let points: Vec<f64> = (0..n).map(|i| LOG10_MASS.low + step * (f64::from(i) + 0.5)).collect();
    let log_p: Vec<f64> = points.iter().map(|&m| log_posterior(m, cluster)).collect();
    let (peak, largest) = log_p.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (i, &l)| if l > best.1 { (i, l) } else { best });
    let p: Vec<f64> = log_p.iter().map(|l| (l - largest).exp()).collect();
    let total: f64 = p.iter().sum();
    let mean = points.iter().zip(&p).map(|(m, p)| m * p).sum::<f64>() / total;
    let variance = points.iter().zip(&p).map(|(m, p)| (m - mean).powi(2) * p).sum::<f64>() / total;
    let mut below = 0.0;
    let half = p
        .iter()
        .take_while(|p| {
            below += **p;
            below < 0.5 * total
        })
        .count();
    [points[peak], points[half], mean, variance.sqrt()].map(|dex| dex * LN_10)
}

/// Median of the ratio, and scatter of its logarithm.
fn median_and_scatter(mut log_ratios: Vec<f64>) -> (f64, f64) {
    log_ratios.sort_by(f64::total_cmp);
    let n = log_ratios.len() as f64;
    let mean = log_ratios.iter().sum::<f64>() / n;
    (log_ratios[log_ratios.len() / 2].exp(), (log_ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt())
}

/// The catalogue's corrected masses are modes of a posterior in log M that treats the noise as log-normal, of width σ/y0. So treated, ours agree
/// with them (the mass function and the relation are right) within 1 % in the median and 1.5 % in scatter, the posterior's own width being 20 %.
/// With Gaussian noise, as the simulator has it, the modes lie 3.5 % lower and the medians 6.3 %; both are recorded here, as is the size of the
/// correction itself.
#[test]
fn exact_masses_reproduce_the_corrected_catalogue() {
    let simulator = SzCluster::new();
    let datum = |cluster: &Cluster| [cluster.y0.ln(), cluster.y0_error.ln(), cluster.z];
    let gaussian = |m: f64, cluster: &Cluster| simulator.log_posterior(m, datum(cluster));
    let log_normal = |m: f64, cluster: &Cluster| {
        let miss = cluster.y0.ln() - mean_y0(&COSMOLOGY, 10f64.powf(m), cluster.z).ln();
        let variance = SCATTER * SCATTER + (cluster.y0_error / cluster.y0).powi(2);
        simulator.log_mass_function(m, cluster.z) - 0.5 * miss * miss / variance
    };
    let clusters = example_catalogue();
    let catalogue: Vec<f64> = clusters.iter().map(|cluster| (cluster.m500_corrected_1e14_msun * 1e14).ln()).collect();
    let summaries = |log_posterior: &LogPosterior| -> Vec<[f64; 4]> {
        clusters
            .iter()
            .zip(&catalogue)
            .map(|(cluster, ln_m)| {
                let [mode, median, mean, std] = summary(log_posterior, cluster);
                [mode - ln_m, median - ln_m, mean - ln_m, std]
            })
            .collect()
    };
    let column = |rows: &[[f64; 4]], i: usize| median_and_scatter(rows.iter().map(|row| row[i]).collect());
    let uncorrected =
        median_and_scatter(clusters.iter().zip(&catalogue).map(|(c, ln_m)| (c.m500_uncorrected_1e14_msun * 1e14).ln() - ln_m).collect());
    let log_normal_mode = column(&summaries(&log_normal), 0);
    let ours = summaries(&gaussian);
    let (mode, median) = (column(&ours, 0), column(&ours, 1));
    let pull: f64 = ours.iter().map(|[.., mean, std]| mean / std).sum();
    eprintln!(
        "M/M500cUPP (median, scatter): log-normal noise, mode {log_normal_mode:.4?}; Gaussian noise, mode {mode:.4?}, median {median:.4?}; \
         uncorrected {uncorrected:.4?}; mean pull {:.3}",
        pull / clusters.len() as f64
    );
    assert!((log_normal_mode.0 - 1.0).abs() < 0.01 && log_normal_mode.1 < 0.015, "{log_normal_mode:?}");
    assert!((mode.0 - 0.966).abs() < 0.005 && mode.1 < 0.03, "{mode:?}");
    assert!((median.0 - 0.938).abs() < 0.005 && median.1 < 0.05, "{median:?}");
    assert!(uncorrected.0 > 1.1, "{uncorrected:?}");
}

/// Simulated catalogues look like the real one: the distributions of y0 and z of 20 000 simulated detections against the 182 clusters.
/// Kolmogorov-Smirnov distances of y0 and σ below 0.145, a p-value of 1e-3. Redshifts only below 0.2: the real ones are those of optically
/// confirmed clusters, a selection by redshift that the simulator does not have (and that drops out of a posterior at known redshift).
#[test]
fn simulated_catalogues_look_like_the_real_one() {
    let table = simulate_table(&SzCluster::new(), 20_000, Seed(1), NonZeroUsize::MIN);
    let column = |i: usize| {
        let mut values: Vec<f64> = table.x.iter().skip(i).step_by(3).map(|&v| f64::from(v)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let clusters = example_catalogue();
    let real: [Vec<f64>; 3] = [
        clusters.iter().map(|cluster| cluster.y0.ln()).collect(),
        clusters.iter().map(|cluster| cluster.y0_error.ln()).collect(),
        clusters.iter().map(|cluster| cluster.z).collect(),
    ];
    for (i, (name, mut real)) in ["ln y0", "ln sigma", "z"].into_iter().zip(real).enumerate() {
        real.sort_by(f64::total_cmp);
        let simulated = column(i);
        let distance = real.iter().enumerate().fold(0.0f64, |largest, (rank, &value)| {
            let cdf = simulated.partition_point(|&s| s <= value) as f64 / simulated.len() as f64;
            largest.max((cdf - rank as f64 / 182.0).abs()).max((cdf - (rank + 1) as f64 / 182.0).abs())
        });
        eprintln!("{name}: KS distance {distance:.3}, medians {:.3} simulated, {:.3} real", simulated[simulated.len() / 2], real[91]);
        assert!(distance < if name == "z" { 0.2 } else { 0.145 }, "{name}: {distance}");
    }
}

/// `draw` and "θ from the prior, then simulate" are the same joint distribution: means of θ, of x and of their products over 20 000 rows of each,
/// within 5 standard errors; and the marginal of θ follows the stated prior (KS, false alarm 1e-4).
#[test]
fn drawing_jointly_is_drawing_from_the_selected_prior() {
    let simulator = SzCluster::new();
    let n = 20_000;
    let mut joint = Vec::new();
    let mut chained = Vec::new();
    let mut masses = Vec::new();
    for index in 0..n {
        let (mut theta, mut x) = ([0.0], [0.0f32; 3]);
        let mut rng = Seed(2).stream("joint", index);
        assert_eq!(simulator.draw(&mut rng, &mut theta, &mut x), Outcome::Done);
        masses.push(theta[0]);
        joint.push(moments(theta[0], x));
        let mut rng = Seed(2).stream("chained", index);
        simulator.prior().sample(&mut rng, &mut theta);
        assert_eq!(simulator.simulate(&theta, &mut rng, &mut x), Outcome::Done);
        chained.push(moments(theta[0], x));
    }
    for i in 0..joint[0].len() {
        let mean_and_error = |rows: &[[f64; 7]]| {
            let mean = rows.iter().map(|row| row[i]).sum::<f64>() / n as f64;
            (mean, rows.iter().map(|row| (row[i] - mean).powi(2)).sum::<f64>() / (n as f64 * n as f64))
        };
        let ((a, a_error), (b, b_error)) = (mean_and_error(&joint), mean_and_error(&chained));
        assert!((a - b).abs() < 5.0 * (a_error + b_error).sqrt(), "moment {i}: {a} against {b}");
    }
    masses.sort_by(f64::total_cmp);
    let mut below = 0.0;
    let mut at = LOG10_MASS.low;
    let largest = masses.iter().enumerate().fold(0.0f64, |largest, (rank, &mass)| {
        below += integrate(at, mass, 1, |m| simulator.prior().log_prob(&[m]).exp());
        at = mass;
        largest.max((below - rank as f64 / n as f64).abs())
    });
    assert!(largest < 2.23 / (n as f64).sqrt(), "KS distance {largest}");
}

fn moments(log10_mass: f64, x: [f32; 3]) -> [f64; 7] {
    let m = log10_mass - 14.5;
    let [y, sigma, z] = x.map(f64::from);
    [m, y, sigma, z, m * y, m * sigma, m * z]
}
