//! Sliced Wasserstein-2 distance between two samples (Bonneel et al. 2015, J. Math. Imaging Vis. 51, 22).

use super::DiagnosticsError;
use super::mmd::points;
use super::predictions::mean_and_variance;
use abduce_data::Seed;

/// A distance and what it would be for samples of one law.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SlicedWasserstein {
    /// The distance, in standard deviations of the reference.
    pub distance: f64,
    /// The same between two parts of the reference, as large as the parts compared above: the noise floor. Distances near it mean nothing.
    pub noise_floor: f64,
    /// Points per part.
    pub n_points: usize,
}

/// Sliced W₂ between `samples` (m, d) and `reference` (n, d), over `projections` random directions u:
///
/// SW₂² = mean_u W₂²(u·a, u·b), with W₂² = mean_i (a_(i) - b_(i))² of the sorted projections.
///
/// Each dimension is scaled to the reference's standard deviation 1 first, so units don't matter. The reference is split into two random
/// halves of h = min(m, n/2) points; the distance is the root mean square of those to each half, and the noise floor is the distance between them. For
/// normal laws that differ by a shift δ, SW₂ = |δ|/√d, and for N(0, s² I) against N(0, I) it's |s - 1|.
///
/// # Errors
/// Lengths that don't fit, non-finite values, fewer than 4 reference points, a dimension without spread, no projection.
pub fn sliced_wasserstein2(
    reference: &[f64],
    samples: &[f64],
    d: usize,
    projections: usize,
    seed: Seed,
) -> Result<SlicedWasserstein, DiagnosticsError> {
    let (n, m) = (points("reference (n, d)", reference, d)?, points("samples (m, d)", samples, d)?);
    if n < 4 {
        return Err(DiagnosticsError::TooFewDraws { purpose: "a noise floor", found: n, needed: 4 });
    }
    if projections == 0 {
        return Err(DiagnosticsError::Option { option: "projections", value: 0.0, expected: "at least 1" });
    }
    let mut scales = Vec::with_capacity(d);
    for j in 0..d {
        let variance = mean_and_variance(reference.iter().skip(j).step_by(d).copied()).1;
        if variance <= 0.0 {
            return Err(DiagnosticsError::ConstantDimension { dimension: j });
        }
        scales.push(1.0 / variance.sqrt());
    }
    let h = m.min(n / 2);
    let shuffled = |count: usize, which: u64| {
        let mut order: Vec<usize> = (0..count).collect();
        seed.stream("diagnostics.wasserstein.parts", which).shuffle(&mut order);
        order
    };
    let (of_reference, of_samples) = (shuffled(n, 0), shuffled(m, 1));
    let (mut first, mut second, mut sampled) = (Vec::with_capacity(h), Vec::with_capacity(h), Vec::with_capacity(h));
    let (mut between, mut within) = (0.0, 0.0);
    let mut rng = seed.stream("diagnostics.wasserstein.directions", 0);
    for _ in 0..projections {
        let mut direction: Vec<f64> = (0..d).map(|_| rng.normal()).collect();
        let norm = direction.iter().map(|u| u * u).sum::<f64>().sqrt();
        direction.iter_mut().zip(&scales).for_each(|(u, scale)| *u *= scale / norm);
        let project = |to: &mut Vec<f64>, from: &[f64], rows: &[usize]| {
            to.clear();
            to.extend(rows.iter().map(|row| from[row * d..][..d].iter().zip(&direction).map(|(v, u)| v * u).sum::<f64>()));
            to.sort_by(f64::total_cmp);
        };
        project(&mut first, reference, &of_reference[..h]);
        project(&mut second, reference, &of_reference[h..2 * h]);
        project(&mut sampled, samples, &of_samples[..h]);
        within += mean_square_difference(&first, &second);
        between += 0.5 * (mean_square_difference(&sampled, &first) + mean_square_difference(&sampled, &second));
    }
    let root_mean = |sum: f64| (sum / projections as f64).sqrt();
    Ok(SlicedWasserstein { distance: root_mean(between), noise_floor: root_mean(within), n_points: h })
}

fn mean_square_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normals(n: usize, d: usize, sd: f64, shift: f64, stream: u64) -> Vec<f64> {
        let mut rng = Seed(7).stream("test", stream);
        (0..n * d).map(|i| sd * rng.normal() + if i % d == 0 { shift } else { 0.0 }).collect()
    }

    /// 5000 points per part: the floor is about 0.02 for normals, and adds in squares. 200 directions in 3 dimensions give mean u₁² = 1/3 to 0.022.
    #[test]
    fn distances_of_normals_are_the_closed_forms() {
        let (d, reference) = (3, normals(10_000, 3, 1.0, 0.0, 0));
        let run = |sd, shift| sliced_wasserstein2(&reference, &normals(5000, d, sd, shift, 1), d, 200, Seed(1)).unwrap();
        let same = run(1.0, 0.0);
        assert!(same.noise_floor < 0.04 && (same.distance / same.noise_floor - 1.0).abs() < 0.4, "{same:?}");
        assert_eq!(same.n_points, 5000);
        let shifted = run(1.0, 0.6);
        assert!((shifted.distance - 0.6 / 3f64.sqrt()).abs() < 0.025, "{shifted:?}");
        let wide = run(1.5, 0.0);
        assert!((wide.distance - 0.5).abs() < 0.025, "{wide:?}");
    }

    #[test]
    fn units_do_not_matter_and_bad_inputs_are_errors() {
        let (a, b) = (normals(400, 2, 1.0, 0.0, 2), normals(300, 2, 1.0, 0.3, 3));
        let stretch = |v: &[f64]| v.iter().enumerate().map(|(i, v)| v * [1.0, 1_048_576.0][i % 2]).collect::<Vec<_>>();
        let run = |a: &[f64], b: &[f64]| sliced_wasserstein2(a, b, 2, 20, Seed(1));
        let (plain, stretched) = (run(&a, &b).unwrap(), run(&stretch(&a), &stretch(&b)).unwrap());
        assert!((plain.distance - stretched.distance).abs() < 1e-12);
        assert!(matches!(run(&a[..4], &b), Err(DiagnosticsError::TooFewDraws { found: 2, .. })));
        assert!(matches!(run(&[1.0; 20], &b), Err(DiagnosticsError::ConstantDimension { dimension: 0 })));
    }
}
