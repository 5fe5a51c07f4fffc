//! The learnt harmonic mean against known evidences.

use super::*;
use crate::prior::special::HALF_LN_TAU;
use abduce_kernels::Simd;

/// Independent draws of N(m, s²) in each coordinate times e^5, rotated by a shear, and of a banana: the errors are those stated, times four; the mean of 5 000
/// ratios of some tens of per cent spread is good to a per cent.
#[test]
fn evidences_of_known_densities_are_found() {
    let mut rng = Seed(1).stream("draws", 0);
    let n = 10_000;
    let (mut draws, mut log_density) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let (a, b, c) = (rng.normal(), rng.normal(), rng.normal());
        draws.extend([100.0 + 3.0 * a, 0.01 * (b + 5.0 * a), c]);
        log_density.push(5.0 - 0.5 * (a * a + b * b + c * c) - 3.0 * HALF_LN_TAU - libm::log(3.0 * 0.01));
    }
    let found = harmonic_evidence(&draws, &log_density, &HarmonicOptions::default(), Simd::best(), Seed(2)).unwrap();
    assert!((found.log_evidence - 5.0).abs() < 4.0 * found.log_evidence_error && found.log_evidence_error < 0.02, "{found:?}");
    assert!(found.k_hat < 0.5 && found.draws == n / 2, "{found:?}");

    let (mut draws, mut log_density) = (Vec::new(), Vec::new());
    for _ in 0..n {
        let (a, b) = (rng.normal(), rng.normal());
        draws.extend([a, a * a + 0.3 * b]);
        log_density.push(-7.0 - 0.5 * (a * a + b * b) - 2.0 * HALF_LN_TAU - libm::log(0.3));
    }
    let options = HarmonicOptions { temperature: 0.6, ..HarmonicOptions::default() };
    let found = harmonic_evidence(&draws, &log_density, &options, Simd::best(), Seed(2)).unwrap();
    assert!((found.log_evidence + 7.0).abs() < 4.0 * found.log_evidence_error && found.log_evidence_error < 0.05, "{found:?}");
}

#[test]
fn what_can_not_be_averaged_is_refused() {
    let refused = |draws: &[f64], log_density: &[f64], temperature: f64| {
        let options = HarmonicOptions { temperature, ..HarmonicOptions::default() };
        harmonic_evidence(draws, log_density, &options, Simd::best(), Seed(2)).unwrap_err().to_string()
    };
    assert!(refused(&[0.0; 100], &[0.0; 100], 0.8).contains("at least 200"));
    assert!(refused(&[0.0; 400], &[0.0; 400], 1.2).contains("temperature"));
    assert!(refused(&[0.0; 400], &[0.0; 400], 0.8).contains("plane"));
    assert!(refused(&[0.0; 401], &[0.0; 400], 0.8).contains("draws (n, d)"));
    assert!(refused(&[0.0; 400], &[f64::NEG_INFINITY; 400], 0.8).contains("-inf"));
}
