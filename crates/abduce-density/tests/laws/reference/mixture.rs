//! Gaussian mixtures.

/// Bends a raw log-scale into (-ln 1000, ln 1000).
pub(super) fn bent(raw: f64) -> f64 {
    raw / (1.0 + raw.abs() / 1000f64.ln())
}

/// log Σ_k π_k N(θ; m_k, (A_kᵀA_k)⁻¹). Raw: K logits, K·d means, K·d diagonals ln A_ii before bending, K·d(d-1)/2 entries above, row by row.
pub(super) fn log_density(components: usize, raw: &[f64], theta: &[f64]) -> f64 {
    let d = theta.len();
    let (logits, rest) = raw.split_at(components);
    let (means, rest) = rest.split_at(components * d);
    let (diagonals, above) = rest.split_at(components * d);
    assert_eq!(above.len(), components * d * (d - 1) / 2, "all raw parameters have a meaning");
    let terms: Vec<f64> = (0..components)
        .map(|k| {
            let delta: Vec<f64> = (0..d).map(|i| theta[i] - means[k * d + i]).collect();
            let mut upper = above[k * d * (d - 1) / 2..].iter();
            let mut log_n = -0.5 * d as f64 * std::f64::consts::TAU.ln();
            for i in 0..d {
                let s = bent(diagonals[k * d + i]);
                let mut v = s.exp() * delta[i];
                for delta in &delta[i + 1..] {
                    v += upper.next().expect("an entry above the diagonal") * delta;
                }
                log_n += s - 0.5 * v * v;
            }
            logits[k] + log_n
        })
        .collect();
    log_sum_exp(&terms) - log_sum_exp(logits)
}

fn log_sum_exp(terms: &[f64]) -> f64 {
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln()
}
