//! Weights of an ensemble by stacking.

use super::encode::{Encoder, PairRows};
use super::{Engine, TrainingError};
use crate::diagnostics::InformationCurve;
use crate::posterior::{Member, Network};
use crate::prior::special::log_mean_exp;
use abduce_data::{PairSource, RowSet, Seed};
use abduce_density::Indexed;
use abduce_nn::Compute;
use abduce_nn::trainer::{RowSource, Rows};

/// Weights w on the simplex that maximise Σ_i v_i log Σ_k w_k e^{s_ik}, by expectation-maximisation (Yao et al. 2018,
/// arXiv:1704.02030). `scores[k][i]` are held-out log-densities, `rows[i]` weights of the rows (empty: all 1).
///
/// The objective is concave and each iteration increases it; a hundred of them from equal weights are plenty. With one member or no
/// finite score the weights are equal.
pub fn stacking_weights(scores: &[Vec<f64>], rows: &[f64]) -> Vec<f64> {
    let members = scores.len();
    let mut weights = vec![1.0 / members as f64; members];
    if members == 1 {
        return weights;
    }
    let mut shares = vec![0.0; members];
    for _ in 0..200 {
        let mut next = vec![0.0; members];
        let mut total = 0.0;
        for i in 0..scores[0].len() {
            let top = scores.iter().map(|s| s[i]).fold(f64::NEG_INFINITY, f64::max);
            if !top.is_finite() {
                continue;
            }
            for k in 0..members {
                shares[k] = weights[k] * (scores[k][i] - top).exp();
            }
            let sum: f64 = shares.iter().sum();
            let row = rows.get(i).copied().unwrap_or(1.0);
            if sum > 0.0 {
                next.iter_mut().zip(&shares).for_each(|(n, s)| *n += row * s / sum);
                total += row;
            }
        }
        if total == 0.0 {
            break;
        }
        next.iter_mut().for_each(|n| *n /= total);
        weights = next;
    }
    weights
}

/// Stacking weights of trained members on the validation rows.
pub(super) fn weigh(
    engine: Engine,
    members: &[Member],
    source: &PairSource,
    validation: &RowSet,
    compute: &Compute,
    converter: Option<&Encoder>,
    encoder: &Encoder,
) -> Result<Vec<f64>, TrainingError> {
    if members.len() == 1 {
        return Ok(vec![1.0]);
    }
    let mut pass = PairRows::new(source, validation, 4096, abduce_data::batches::BUFFER_BYTES, Seed(0), converter, encoder)?.in_order();
    let mut rows = Rows::default();
    let (mut scores, mut weights) = (vec![Vec::new(); members.len()], Vec::new());
    pass.start(0);
    while pass.next(&mut rows)? > 0 {
        for (scores, member) in scores.iter_mut().zip(members) {
            scores.extend(held_out_scores(engine, member, compute, &rows, encoder)?);
        }
        weights.extend(rows.weights.iter().map(|&w| f64::from(w)));
    }
    Ok(stacking_weights(&scores, &weights))
}

/// What each summary of ordered embeddings adds about θ: ln Σ_m w_m q_m(z | s_1..s_k) − ln p(z) of the validation rows at every width k that all members
/// have; `None` where a member has none.
pub(super) fn information(
    members: &[Member],
    weights: &[f64],
    source: &PairSource,
    (validation, seed): (&RowSet, Seed),
    compute: &Compute,
    converter: Option<&Encoder>,
    encoder: &Encoder,
) -> Result<Option<InformationCurve>, TrainingError> {
    let latents = |member: &Member| match &member.network {
        Network::Posterior(estimator) => estimator.ordered_latents(),
        _ => None,
    };
    let Some(common) = members.iter().map(latents).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().min()) else {
        return Ok(None);
    };
    let mut pass = PairRows::new(source, validation, 4096, abduce_data::batches::BUFFER_BYTES, Seed(0), converter, encoder)?.in_order();
    let mut rows = Rows::default();
    let (mut gains, mut row_weights) = (vec![Vec::new(); common + 1], Vec::new());
    pass.start(0);
    let scale = encoder.theta_scale.log_abs_det();
    while pass.next(&mut rows)? > 0 {
        let (z, x) = (&rows.inputs[0], &rows.inputs[1]);
        let n = z.len() / encoder.theta_scale.mean().len();
        // ln p(z) = ln p(u) + ln |du/dz|.
        let prior: Vec<f64> = z.chunks_exact(z.len() / n).map(|z| f64::from(encoder.log_prior(z)) - scale).collect();
        for (k, gains) in gains.iter_mut().enumerate() {
            let mut scores = Vec::new();
            for member in members {
                let Network::Posterior(estimator) = &member.network else { continue };
                // `common` is no larger than any member's K.
                let Some(cut) = estimator.at_width(k) else { continue };
                scores.push(cut.log_prob(compute, &member.params, z, x, |r| r));
            }
            for (r, prior) in prior.iter().enumerate() {
                let terms = || scores.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(s, w)| w.ln() + f64::from(s[r]));
                let top = terms().fold(f64::NEG_INFINITY, f64::max);
                gains.push(top + terms().map(|t| (t - top).exp()).sum::<f64>().ln() - prior);
            }
        }
        row_weights.extend(rows.weights.iter().map(|&w| f64::from(w)));
    }
    Ok(InformationCurve::new(&gains, &row_weights, seed.derive("information", 0)))
}

/// θ that a ratio is normalised over.
const CONTRAST: usize = 128;

/// ln of the density of each encoded pair by one member. What is known up to a function of x, or learnt under a proposal, counts relative to its
/// mean over θ of other pairs: how much more probable it makes the true θ than those.
fn held_out_scores(engine: Engine, member: &Member, compute: &Compute, rows: &Rows, encoder: &Encoder) -> Result<Vec<f64>, TrainingError> {
    let (z, x) = (&rows.inputs[0], &rows.inputs[1]);
    let d = encoder.theta_scale.mean().len();
    let n = z.len() / d;
    let same = |table| Indexed { table, row: |r: usize| r };
    let scores = member.network.score(compute, &member.params, n, same(z), same(x))?;
    if matches!(engine, Engine::Npe | Engine::Nle | Engine::Field) {
        return Ok(scores.into_iter().map(f64::from).collect());
    }
    let offsets: Vec<f32> = match engine {
        Engine::Atomic { .. } => z.chunks_exact(d).map(|z| encoder.log_prior(z)).collect(),
        _ => vec![0.0; n],
    };
    let others = CONTRAST.min(n);
    let other = |pair: usize| (pair / others + pair % others) % n;
    let theirs = Indexed { table: z, row: other };
    let own = Indexed { table: x, row: |r: usize| r / others };
    let contrast = member.network.score(compute, &member.params, n * others, theirs, own)?;
    let one = (0..n).map(|i| {
        let values = || (i * others..(i + 1) * others).map(|pair| f64::from(contrast[pair] - offsets[other(pair)]));
        f64::from(scores[i] - offsets[i]) - log_mean_exp(values())
    });
    Ok(one.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacking_finds_the_mixture_that_made_the_data() {
        // Rows from 0.7 N(-1, 1) + 0.3 N(2, 1); members are the two components and a third that is far off.
        let mut rng = Seed(9).stream("stacking", 0);
        let n = 20_000;
        let x: Vec<f64> = (0..n).map(|_| if rng.uniform() < 0.7 { rng.normal() - 1.0 } else { rng.normal() + 2.0 }).collect();
        let score = |mean: f64| x.iter().map(|x| -0.5 * (x - mean).powi(2)).collect::<Vec<_>>();
        let weights = stacking_weights(&[score(-1.0), score(2.0), score(30.0)], &[]);
        // The standard error of the fitted fraction is about 0.005.
        assert!((weights[0] - 0.7).abs() < 0.02 && weights[2] < 1e-3, "{weights:?}");
    }
}
