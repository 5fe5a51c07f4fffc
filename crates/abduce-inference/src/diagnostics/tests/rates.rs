//! p-values of the exact posterior are uniform.

use super::super::bands::ecdf;
use super::super::coverage::highest_density_coverage;
use super::super::references::x_dependent_references;
use super::super::tarp::{TarpMetric, random_references, tarp};
use super::super::{Pairs, rank_histogram, sbc_ranks, uniformity};
use super::{Defect, LinearGaussian};
use abduce_data::Seed;

/// 1000 replicates of 200 pairs with only 19 draws each (few draws is where a wrong divisor shows): the rate at 5 % has a standard
/// deviation of 0.0069, at 1 % of 0.0031, and the bounds are 3.5 of them, twelve two-sided checks with a false-alarm rate of 0.6 %.
#[test]
fn every_test_rejects_the_exact_posterior_at_its_nominal_rate() {
    const REPLICATES: u64 = 1000;
    let names = ["rank KS", "rank chi2", "HPD", "TARP", "TARP from x", "TARP from x, units"];
    let mut p_values = vec![Vec::new(); names.len()];
    for r in 0..REPLICATES {
        let data = LinearGaussian::new(&[0.4, 1.0], 200, 19, Defect::None, Seed(1000 + r));
        let pairs = Pairs::new(data.inputs(), 0.0).unwrap();
        let seed = Seed(r);
        let ranks = &sbc_ranks(&pairs, seed)[0];
        let near = x_dependent_references(&pairs, seed).unwrap();
        let tarp_p = |references: &[f64], metric| tarp(&pairs, references, metric, 2, seed).coverage.ks_p;
        let p = [
            uniformity::ks_uniform_p(&ranks.iter().map(|r| r.pit).collect::<Vec<_>>()),
            rank_histogram(ranks, 19).chi2_p,
            highest_density_coverage(&pairs, seed).unwrap().ks_p,
            tarp_p(&random_references(&pairs, seed), TarpMetric::UnitBox),
            tarp_p(&near, TarpMetric::UnitBox),
            tarp_p(&near, TarpMetric::ParameterUnits),
        ];
        p_values.iter_mut().zip(p).for_each(|(all, p)| all.push(p));
    }
    for (name, p) in names.into_iter().zip(&p_values) {
        let rates = ecdf(p, 100);
        assert!((rates[5] - 0.05).abs() < 0.024, "{name} rejects at 5 % with rate {}", rates[5]);
        assert!((rates[1] - 0.01).abs() < 0.011, "{name} rejects at 1 % with rate {}", rates[1]);
        // Not too timid elsewhere: the median p-value is ½ within 4 standard errors (0.016), χ²'s being discrete only slightly.
        assert!((rates[50] - 0.5).abs() < 0.064, "{name}: {} of the p-values are below 1/2", rates[50]);
    }
}
