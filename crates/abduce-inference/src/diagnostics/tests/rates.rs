//! p-values of the exact posterior are uniform.

use super::super::bands::ecdf;
use super::super::coverage::highest_density_coverage;
use super::super::references::x_dependent_references;
use super::super::tarp::{TarpMetric, random_references, tarp};
use super::super::{
    Pairs, PriorSpread, RegionOptions, RegionVariable, ValidationInputs, data_averaged_posterior, misspecification, predictions,
    predictive_check, rank_histogram, regions, sbc_ranks, uniformity,
};
use super::{Defect, LinearGaussian, prior_draws};
use abduce_data::Seed;

/// 1000 replicates of 200 pairs with only 19 draws each (few draws is where a wrong divisor shows): the rate at 5 % has a standard
/// deviation of 0.0069, at 1 % of 0.0031, and the bounds are 3.5 of them, 34 two-sided checks with a false-alarm rate of 1.6 %. The smallest of
/// several p-values, Holm-adjusted, is a p-value whose median need not be ½.
#[test]
fn every_test_rejects_the_exact_posterior_at_its_nominal_rate() {
    const REPLICATES: u64 = 1000;
    let names = [
        "rank KS",
        "rank chi2",
        "HPD",
        "TARP",
        "TARP from x",
        "TARP from x, units",
        "region of a posterior mean",
        "region of a feature",
        "smallest of the regions",
        "data-averaged KS",
        "predictive feature",
        "predictive Mahalanobis",
        "predictive median distance",
        "unlike by MMD",
        "unlike by neighbours",
        "unlike by Mahalanobis",
        "unlike by any of the three",
    ];
    let mut p_values = vec![Vec::new(); names.len()];
    for r in 0..REPLICATES {
        let data = LinearGaussian::new(&[0.4, 1.0], 200, 19, Defect::None, Seed(1000 + r));
        // 503 is coprime to 200: the two-sample distance takes many values.
        let prior = prior_draws(503, 2, Seed(5000 + r));
        let pairs = Pairs::new(ValidationInputs { prior: PriorSpread::Draws(&prior), ..data.inputs() }, 0.0).unwrap();
        let seed = Seed(r);
        let all_ranks = sbc_ranks(&pairs, seed);
        let options = RegionOptions { bins: 4, features: vec![1] };
        let regions = regions(&pairs, &all_ranks, &predictions(&pairs).unwrap(), &options).unwrap();
        let of = |variable| regions.iter().find(|region| region.variable == variable).unwrap().ks_p;
        // The last of the x is one more draw of the law of the others.
        let x = LinearGaussian::new(&[0.4, 1.0], 401, 0, Defect::None, Seed(9000 + r)).x;
        let (x_o, others) = (&x[800..], &x[..800]);
        let predictive = predictive_check(&others[..398], x_o, seed).unwrap();
        let unlike = misspecification(others, x_o, 2, seed).unwrap().observations[0];
        let ranks = &all_ranks[0];
        let near = x_dependent_references(&pairs, seed).unwrap();
        let tarp_p = |references: &[f64], metric| tarp(&pairs, references, metric, 2, seed).coverage.ks_p;
        let p = [
            uniformity::ks_uniform_p(&ranks.iter().map(|r| r.pit).collect::<Vec<_>>()),
            rank_histogram(ranks, 19).chi2_p,
            highest_density_coverage(&pairs, seed).unwrap().ks_p,
            tarp_p(&random_references(&pairs, seed), TarpMetric::UnitBox),
            tarp_p(&near, TarpMetric::UnitBox),
            tarp_p(&near, TarpMetric::ParameterUnits),
            of(RegionVariable::PosteriorMean(1)),
            of(RegionVariable::Feature(1)),
            regions.iter().map(|region| region.holm_p).fold(1.0, f64::min),
            data_averaged_posterior(&pairs, seed).unwrap().unwrap().parameters[0].ks_p,
            predictive.features[0].p,
            predictive.mahalanobis_p,
            predictive.median_distance_p,
            unlike.mmd_p,
            unlike.neighbour_p,
            unlike.mahalanobis_p,
            unlike.p,
        ];
        p_values.iter_mut().zip(p).for_each(|(all, p)| all.push(p));
    }
    for (name, p) in names.into_iter().zip(&p_values) {
        let rates = ecdf(p, 100);
        assert!((rates[5] - 0.05).abs() < 0.024, "{name} rejects at 5 % with rate {}", rates[5]);
        assert!((rates[1] - 0.01).abs() < 0.011, "{name} rejects at 1 % with rate {}", rates[1]);
        // Not too timid elsewhere: the median p-value is ½ within 4 standard errors (0.016), χ²'s being discrete only slightly.
        assert!(
            (rates[50] - 0.5).abs() < 0.064 || name == "smallest of the regions",
            "{name}: {} of the p-values are below 1/2",
            rates[50]
        );
    }
}

/// The pitfall that the regions avoid: among pairs of large θ the truth lies high in its exact posterior, so bins of the truth reject it.
#[test]
fn bins_of_the_truth_would_reject_the_exact_posterior() {
    let data = LinearGaussian::new(&[1.0], 1000, 99, Defect::None, Seed(70));
    let pairs = Pairs::new(data.inputs(), 0.0).unwrap();
    let ranks = &sbc_ranks(&pairs, Seed(71))[0];
    let large: Vec<f64> = ranks.iter().zip(&data.theta).filter(|(_, theta)| **theta > 0.8).map(|(rank, _)| rank.pit).collect();
    assert!(uniformity::ks_uniform_p(&large) < 1e-9);
    let options = RegionOptions { bins: 5, features: vec![0] };
    let found = regions(&pairs, std::slice::from_ref(ranks), &predictions(&pairs).unwrap(), &options).unwrap();
    assert!(found.len() == 10 && found.iter().all(|region| region.holm_p > 0.05), "{found:#?}");
}
