//! Gradients against differences, and the identities between losses.

use super::*;
use crate::environment::{Environment, Hypergrid, Ising};
use crate::policy::{Policy, PolicySpec, Trunk};
use crate::sampler::{Exploration, sample};
use abduce_data::Seed;
use abduce_nn::Compute;

/// A batch of a random policy, parents of its states among them.
fn batch_of<E: Environment>(env: &E, loss: &Loss, count: usize) -> (Batch<E::State>, Parents) {
    let spec = PolicySpec { trunk: Trunk::Mlp { hidden: vec![16] }, ..PolicySpec::default() };
    let policy = Policy::new(&spec, loss.exit(), env, &[]);
    // Far from the start, so that no score is special.
    let params: Vec<f32> = policy.layout().initialise(Seed(3)).into_iter().map(|p| 3.0 * p).collect();
    let (mut batch, mut parents) = (Batch::default(), Parents::default());
    let compute = Compute::with_threads(1);
    sample(env, &policy, &compute, &params, &Exploration::default(), (count, 0, Seed(5)), &mut batch);
    parents.find_for(loss, env, &mut batch);
    batch.score(env, &policy, &compute, &params);
    (batch, parents)
}

fn all() -> Vec<Loss> {
    vec![
        Loss::FlowMatching {},
        Loss::DetailedBalance { flow: FlowForm::Plain },
        Loss::DetailedBalance { flow: FlowForm::ForwardLooking },
        Loss::ModifiedDetailedBalance {},
        Loss::TrajectoryBalance {},
        Loss::SubTrajectoryBalance { lambda: 0.9, flow: FlowForm::Plain },
        Loss::SubTrajectoryBalance { lambda: 1.1, flow: FlowForm::ForwardLooking },
        Loss::ModifiedSubTrajectoryBalance { lambda: 0.9 },
        Loss::RelativeTrajectoryBalance { beta: 0.7 },
        Loss::Grpo { clip: 0.2, kl: 0.3 },
        Loss::ExpertIteration { fraction: 0.3 },
    ]
}

fn steps<S: Clone + Eq + Hash + Sync>(batch: &Batch<S>) -> Vec<Vec<f64>> {
    // Ratios away from 1, some of them clipped.
    let shifted = |(i, t): (usize, &Trajectory)| step_log_pf(batch, t).iter().map(|l| l + 0.15 * (i % 5) as f64 - 0.3).collect();
    batch.trajectories.iter().enumerate().map(shifted).collect()
}

/// Every score is moved by ±h. The losses are squares of sums of scores, or smooth: the error of the difference is some 1e-4 of the largest
/// entry, that of single precision in the scores below 1e-3 of h.
#[test]
fn gradients_are_the_derivatives() {
    let env = Hypergrid { dimensions: 2, height: 4, ..Hypergrid::default() };
    for loss in all() {
        let (batch, parents) = batch_of(&env, &loss, 6);
        let old = steps(&batch);
        let value = |batch: &Batch<Vec<u16>>, log_z: f64| {
            let mut ignored = Gradients::default();
            ignored.reset(batch.states.len(), batch.scores.width);
            loss.evaluate(batch, &old, log_z, &parents, &mut ignored).unwrap()
        };
        let mut found = Gradients::default();
        found.reset(batch.states.len(), batch.scores.width);
        loss.evaluate(&batch, &old, 0.4, &parents, &mut found).unwrap();
        let scores = batch.scores.clone();
        type Field = fn(&mut crate::policy::Scores) -> &mut Vec<f32>;
        let fields: [(&str, Field, &Vec<f64>); 4] = [
            ("log_pf", |s| &mut s.log_pf, &found.log_pf),
            ("logits", |s| &mut s.logits, &found.logits),
            ("log_pb", |s| &mut s.log_pb, &found.log_pb),
            ("log_flow", |s| &mut s.log_flow, &found.log_flow),
        ];
        let mut largest = 0.0f64;
        for (name, field, gradient) in fields {
            for (i, &gradient) in gradient.iter().enumerate() {
                let mut moved = batch.clone();
                let own = field(&mut moved.scores)[i];
                if name == "logits" && (i + 1) % batch.scores.width == 0 {
                    continue; // the exit's score is the reward, which is no parameter
                }
                if !own.is_finite() {
                    assert_eq!(gradient, 0.0, "{loss:?}: {name}[{i}] is no choice");
                    continue;
                }
                let h = 1.0 / 64.0;
                field(&mut moved.scores)[i] = own + h;
                let above = value(&moved, 0.4);
                field(&mut moved.scores)[i] = own - h;
                let difference = (above - value(&moved, 0.4)) / (2.0 * f64::from(h));
                largest = largest.max(gradient.abs());
                assert!(
                    (difference - gradient).abs() < 2e-3 * (1.0 + gradient.abs()),
                    "{loss:?}: {name}[{i}] {gradient}, difference {difference}"
                );
            }
        }
        assert!(largest > 0.01, "{loss:?} moves nothing");
        let h = 1e-4;
        let difference = (value(&batch, 0.4 + h) - value(&batch, 0.4 - h)) / (2.0 * h);
        assert!((difference - found.log_z).abs() < 1e-6, "{loss:?}: log Z {} {difference}", found.log_z);
        assert_eq!(scores, batch.scores);
    }
}

fn evaluated<S: Clone + Eq + Hash + Sync>(loss: Loss, batch: &Batch<S>, log_z: f64) -> (f64, Gradients) {
    let mut gradients = Gradients::default();
    gradients.reset(batch.states.len(), batch.scores.width);
    let value = loss.evaluate(batch, &[], log_z, &Parents::default(), &mut gradients).unwrap();
    (value, gradients)
}

fn close(a: &[f64], b: &[f64], scale: f64) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - scale * b).abs() < 1e-9 * (1.0 + a.abs()))
}

#[test]
fn var_grad_is_trajectory_balance_at_the_best_log_z() {
    let (batch, _) = batch_of(&Ising::default(), &Loss::VarGrad {}, 12);
    let (value, gradients) = evaluated(Loss::VarGrad {}, &batch, 0.0);
    let best: f64 = batch.trajectories.iter().map(|t| Loss::VarGrad {}.log_z_of(&batch, t)).sum::<f64>() / 12.0;
    let (of_tb, of_tb_gradients) = evaluated(Loss::TrajectoryBalance {}, &batch, best);
    assert!((value - of_tb).abs() < 1e-9 && close(&gradients.log_pf, &of_tb_gradients.log_pf, 1.0));
    assert!(of_tb_gradients.log_z.abs() < 1e-9);
    for other in [best - 0.1, best + 0.1] {
        assert!(evaluated(Loss::TrajectoryBalance {}, &batch, other).0 > value);
    }
}

/// λ → 0 leaves the single steps, whose weights are then 1/(number of steps); λ → ∞ leaves the whole trajectory with log F(s_0) as log Z.
#[test]
fn sub_trajectory_balance_lies_between_steps_and_the_whole() {
    let env = Ising::default();
    let (batch, _) = batch_of(&env, &Loss::VarGrad {}, 1);
    let steps = batch.trajectories[0].actions.len() as f64 + 1.0;
    let flow = FlowForm::Plain;
    let (detailed, by_step) = evaluated(Loss::DetailedBalance { flow }, &batch, 0.0);
    let (parts, by_part) = evaluated(Loss::SubTrajectoryBalance { lambda: 1e-9, flow }, &batch, 0.0);
    assert!((detailed - steps * parts).abs() < 1e-5 * detailed);
    assert!(by_step.log_pf.iter().zip(&by_part.log_pf).all(|(a, b)| (a - steps * b).abs() < 1e-5 * (1.0 + a.abs())));
    let source = f64::from(batch.scores.log_flow[batch.trajectories[0].rows[0] as usize]);
    let (whole, by_whole) = evaluated(Loss::TrajectoryBalance {}, &batch, source);
    let (parts, by_part) = evaluated(Loss::SubTrajectoryBalance { lambda: 1e7, flow }, &batch, 0.0);
    assert!((whole - parts).abs() < 1e-5 * whole);
    assert!(by_whole.log_pf.iter().zip(&by_part.log_pf).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + a.abs())));
}

#[test]
fn losses_without_flows_refuse_states_that_may_not_end_and_numbers_are_checked() {
    let loss = Loss::ModifiedDetailedBalance {};
    let (batch, parents) = batch_of(&Ising::default(), &loss, 2);
    let mut gradients = Gradients::default();
    gradients.reset(batch.states.len(), batch.scores.width);
    let error = loss.evaluate(&batch, &[], 0.0, &parents, &mut gradients).unwrap_err();
    assert_eq!(error.to_string(), "modified_detailed_balance needs an environment in which every state may end");
    for (loss, words) in [
        (Loss::SubTrajectoryBalance { lambda: 0.0, flow: FlowForm::Plain }, "lambda is 0, expected a positive number"),
        (Loss::Grpo { clip: 2.0, kl: 0.0 }, "clip is 2, expected more than 0, at most 1"),
        (Loss::ExpertIteration { fraction: f64::NAN }, "fraction is NaN"),
    ] {
        assert!(loss.check().unwrap_err().to_string().starts_with(words));
    }
}
