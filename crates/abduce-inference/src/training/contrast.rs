//! Losses that compare each θ_i with the θ of other pairs. In a group of rows the first is (θ_i, x_i), the others are (θ_j, x_i).

use super::engine::{Engine, RatioLoss};
use abduce_nn::trainer::{CoupledLoss, Rows};

/// The loss of an engine whose rows come in groups; see [`Engine`] for the formulae.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLoss(pub(super) Engine);

impl CoupledLoss for GroupLoss {
    fn loss(&self, outputs: &[f32], rows: &Rows, gradient: &mut [f32]) -> f64 {
        let groups = outputs.chunks_exact(rows.group).zip(gradient.chunks_exact_mut(rows.group));
        let n = (outputs.len() / rows.group) as f64;
        match self.0 {
            Engine::Nre(RatioLoss::Binary { balance }) => binary(groups, n, balance),
            Engine::Nre(RatioLoss::Contrastive { gamma, .. }) => groups.map(|(f, g)| contrastive(f, g, gamma, n)).sum(),
            Engine::Atomic { .. } => {
                let mut offsets = rows.offsets.chunks_exact(rows.group);
                let mut weights = rows.weights.iter();
                groups
                    .map(|(f, g)| {
                        let atomic = multiclass(f, offsets.next().unwrap_or(&[]), g, n);
                        // The weight of a pair's plain loss −log q(θ_i | x_i).
                        let plain = weights.next().copied().unwrap_or(0.0);
                        g[0] -= plain / n as f32;
                        atomic - f64::from(plain) * f64::from(f[0]) / n
                    })
                    .sum()
            }
            _ => groups.map(|(f, g)| multiclass(f, &[], g, n)).sum(),
        }
    }
}

/// (lse − s_0)/n with s = f − offset, and its gradient (softmax(s) − 1 at 0)/n.
fn multiclass(f: &[f32], offsets: &[f32], gradient: &mut [f32], n: f64) -> f64 {
    let s = |k: usize| f64::from(f[k]) - offsets.get(k).copied().map_or(0.0, f64::from);
    let top = (0..f.len()).map(s).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = (0..f.len()).map(|k| (s(k) - top).exp()).sum();
    for (k, g) in gradient.iter_mut().enumerate() {
        let own = if k == 0 { 1.0 } else { 0.0 };
        *g = (((s(k) - top).exp() / sum - own) / n) as f32;
    }
    (top + sum.ln() - s(0)) / n
}

/// Mean of softplus(−f_joint) and softplus(f_marginal) over both, plus λ (mean[σ(f_joint) + σ(f_marginal)] − 1)². With a single pair there is no
/// marginal one and nothing to learn.
fn binary<'a>(groups: impl Iterator<Item = (&'a [f32], &'a mut [f32])>, n: f64, balance: f64) -> f64 {
    let (mut loss, mut sum, mut all) = (0.0, 0.0, Vec::new());
    for (f, gradient) in groups {
        let &[joint, marginal] = f else { return 0.0 };
        let (joint, marginal) = (f64::from(joint), f64::from(marginal));
        loss += softplus(-joint) + softplus(marginal);
        let (joint, marginal) = (sigmoid(joint), sigmoid(marginal));
        sum += joint + marginal;
        gradient[0] = (-(1.0 - joint) / (2.0 * n)) as f32;
        gradient[1] = (marginal / (2.0 * n)) as f32;
        if balance > 0.0 {
            all.push((gradient, [joint * (1.0 - joint), marginal * (1.0 - marginal)]));
        }
    }
    let excess = sum / n - 1.0;
    for (gradient, slopes) in all {
        gradient.iter_mut().zip(slopes).for_each(|(g, slope)| *g += (2.0 * balance * excess * slope / n) as f32);
    }
    loss / (2.0 * n) + balance * excess * excess
}

/// With rows 0 (joint) and 1..=K (marginal), p_m = 1/(1 + γ), p_j = γ/(1 + γ), A(S) = ln(K + γ Σ_{k ∈ S} e^{f_k}):
/// −p_m [ln K − A(1..=K)] − p_j [ln γ + f_0 − A(0..K)].
fn contrastive(f: &[f32], gradient: &mut [f32], gamma: f64, n: f64) -> f64 {
    let k = f.len() - 1;
    if k == 0 {
        gradient.fill(0.0);
        return 0.0;
    }
    let classes = k as f64;
    let (p_marginal, p_joint) = (1.0 / (1.0 + gamma), gamma / (1.0 + gamma));
    let log_sum = |set: &[f32]| {
        let top = set.iter().map(|&v| f64::from(v) + gamma.ln()).fold(classes.ln(), f64::max);
        let sum: f64 = set.iter().map(|&v| (f64::from(v) + gamma.ln() - top).exp()).sum();
        top + (sum + (classes.ln() - top).exp()).ln()
    };
    let (marginal, joint) = (log_sum(&f[1..]), log_sum(&f[..k]));
    for (index, g) in gradient.iter_mut().enumerate() {
        let term = |log_sum: f64| (f64::from(f[index]) + gamma.ln() - log_sum).exp();
        let by_marginal = if index > 0 { p_marginal * term(marginal) } else { 0.0 };
        let by_joint = if index < k { p_joint * term(joint) } else { 0.0 };
        let own = if index == 0 { p_joint } else { 0.0 };
        *g = ((by_marginal + by_joint - own) / n) as f32;
    }
    (p_marginal * (marginal - classes.ln()) + p_joint * (joint - gamma.ln() - f64::from(f[0]))) / n
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abduce_data::Seed;

    const ENGINES: [Engine; 6] = [
        Engine::Atomic { atoms: 4, prior_rows: 3 },
        Engine::Nre(RatioLoss::Binary { balance: 0.0 }),
        Engine::Nre(RatioLoss::Binary { balance: 100.0 }),
        Engine::Nre(RatioLoss::Multiclass { atoms: 4 }),
        Engine::Nre(RatioLoss::Contrastive { classes: 3, gamma: 1.0 }),
        Engine::Nre(RatioLoss::Contrastive { classes: 3, gamma: 0.2 }),
    ];

    /// Central differences of step 1e-2 in f32 outputs: third derivatives of the losses are of order λ/n, rounding 1e-7/1e-2.
    #[test]
    fn gradients_are_the_losses_derivatives() {
        for engine in ENGINES {
            let mut rng = Seed(3).stream("outputs", 0);
            let group = engine.group(5);
            let outputs: Vec<f32> = (0..5 * group).map(|_| rng.normal() as f32).collect();
            let offsets = if matches!(engine, Engine::Atomic { .. }) { outputs.iter().map(|v| 0.3 * v).collect() } else { Vec::new() };
            let weights = if matches!(engine, Engine::Atomic { .. }) { vec![1.0, 1.0, 0.0, 1.0, 0.0] } else { Vec::new() };
            let rows = Rows { group, offsets, weights, ..Rows::default() };
            let mut gradient = vec![0.0; outputs.len()];
            GroupLoss(engine).loss(&outputs, &rows, &mut gradient);
            for i in 0..outputs.len() {
                let at = |step: f32| {
                    let mut moved = outputs.clone();
                    moved[i] += step;
                    GroupLoss(engine).loss(&moved, &rows, &mut vec![0.0; outputs.len()])
                };
                let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
                let scale = if matches!(engine, Engine::Nre(RatioLoss::Binary { balance }) if balance > 0.0) { 1e-3 } else { 2e-5 };
                assert!((slope - f64::from(gradient[i])).abs() < scale, "{engine:?}, output {i}: {} against {slope}", gradient[i]);
            }
        }
    }

    /// Equal outputs know nothing: ln 2 for the binary loss, ln K for the multi-class one, and NRE-C's with f = 0 in closed form.
    #[test]
    fn ignorance_costs_what_it_should() {
        let loss = |engine: Engine| {
            let group = engine.group(8);
            let rows = Rows { group, ..Rows::default() };
            GroupLoss(engine).loss(&vec![0.0; 8 * group], &rows, &mut vec![0.0; 8 * group])
        };
        let expected = |k: f64, g: f64| {
            let level = (k + k * g).ln();
            (level - k.ln()) / (1.0 + g) + g / (1.0 + g) * (level - g.ln())
        };
        assert!((loss(ENGINES[0]) - 4.0f64.ln()).abs() < 1e-12);
        assert!((loss(ENGINES[1]) - 2.0f64.ln()).abs() < 1e-12);
        assert!((loss(ENGINES[2]) - 2.0f64.ln()).abs() < 1e-12);
        assert!((loss(ENGINES[3]) - 4.0f64.ln()).abs() < 1e-12);
        assert!((loss(ENGINES[5]) - expected(3.0, 0.2)).abs() < 1e-12);
    }
}
