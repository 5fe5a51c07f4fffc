//! Networks that score states: log P_F of every action, log P_B, log F.

use crate::environment::Environment;
use abduce_nn::layers::{Activate, Linear};
use abduce_nn::step::CHUNK_ROWS;
use abduce_nn::{ActivationName, Compute, Frame, Graph, GraphBuilder, Layout, Purpose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// What lies between a state's features and its scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trunk {
    /// Fully connected layers with ReLU.
    Mlp {
        /// Widths.
        #[schemars(length(max = 16), inner(range(min = 1, max = 8192)))]
        hidden: Vec<usize>,
    },
    /// A row of numbers per state, for environments whose states are listed.
    Table,
}

impl Default for Trunk {
    fn default() -> Self {
        Self::Mlp { hidden: vec![256, 256] }
    }
}

/// How trajectories are taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backward {
    /// Every parent alike.
    Uniform,
    /// As the network says, from the same trunk as P_F.
    #[default]
    Learned,
    /// ∝ the number of ways from the source to the parent, so that all trajectories to an end are equally probable (maximum entropy; Mohammadpour et al. 2024,
    /// arXiv:2312.14331); for environments whose states are listed.
    MaxEntropy,
}

/// What the score of the exit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// One of the network.
    Scored,
    /// log R, as flow matching has it.
    Reward,
}

/// A policy and its size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySpec {
    /// Between features and scores.
    pub trunk: Trunk,
    /// P_B.
    pub backward: Backward,
}

/// A policy without its numbers: parameters come with each call.
#[derive(Clone, Debug)]
pub struct Policy<S> {
    spec: PolicySpec,
    exit: Exit,
    actions: usize,
    features: usize,
    /// Rows of a table by state.
    index: HashMap<S, usize>,
    /// ln of the number of ways from the source, by state: for [`Backward::MaxEntropy`].
    log_ways: HashMap<S, f64>,
    layout: Layout,
    graph: Arc<Graph>,
}

/// Scores of states, row by row. Scores of actions that are not allowed are −∞.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores {
    /// Forward actions, the exit among them.
    pub width: usize,
    /// Unnormalised forward scores (n, width): log edge flows of flow matching.
    pub logits: Vec<f32>,
    /// log P_F (n, width).
    pub log_pf: Vec<f32>,
    /// log P_B (n, width − 1).
    pub log_pb: Vec<f32>,
    /// log F (n), free of scale.
    pub log_flow: Vec<f32>,
    /// Which forward actions are allowed (n, width).
    pub forward: Vec<bool>,
    /// Which backward actions (n, width − 1).
    pub backward: Vec<bool>,
}

impl Scores {
    /// Number of states.
    pub fn len(&self) -> usize {
        self.log_flow.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.log_flow.is_empty()
    }

    /// log P_F(action | state r).
    pub fn pf(&self, r: usize, action: usize) -> f64 {
        f64::from(self.log_pf[r * self.width + action])
    }

    /// log P_F(exit | state r).
    pub fn exit(&self, r: usize) -> f64 {
        self.pf(r, self.width - 1)
    }

    /// log P_B of the parent from which `action` leads to state r.
    pub fn pb(&self, r: usize, action: usize) -> f64 {
        f64::from(self.log_pb[r * (self.width - 1) + action])
    }
}

/// Log-softmax over the allowed entries; −∞ for the others.
pub(crate) fn log_softmax(logits: &[f32], allowed: &[bool], out: &mut [f32]) {
    let chosen = || logits.iter().zip(allowed).filter(|(_, allowed)| **allowed).map(|(&logit, _)| logit);
    let top = chosen().fold(f32::NEG_INFINITY, f32::max);
    let norm = f64::from(top) + chosen().map(|logit| f64::from(logit - top).exp()).sum::<f64>().ln();
    for ((out, &logit), &allowed) in out.iter_mut().zip(logits).zip(allowed) {
        *out = if allowed { (f64::from(logit) - norm) as f32 } else { f32::NEG_INFINITY };
    }
}

impl<S: Clone + Eq + std::hash::Hash> Policy<S> {
    /// A policy for `env`. A table needs its `states`, in any order; a backward policy of maximum entropy needs them with parents before their children.
    pub fn new<E: Environment<State = S>>(spec: &PolicySpec, exit: Exit, env: &E, states: &[S]) -> Self {
        let actions = env.actions();
        let log_ways = if spec.backward == Backward::MaxEntropy { log_ways(env, states) } else { HashMap::new() };
        let (features, index) = match spec.trunk {
            Trunk::Mlp { .. } => (env.features(), HashMap::new()),
            Trunk::Table => (states.len(), states.iter().cloned().zip(0..).collect()),
        };
        let mut layout = Layout::new();
        let mut g = GraphBuilder::new(&mut layout);
        let mut h = g.input(features);
        if let Trunk::Mlp { hidden } = &spec.trunk {
            for (k, &width) in hidden.iter().enumerate() {
                let linear = Linear::apply(&mut g, &format!("trunk.{k}"), &[h], width);
                h = g.apply(Activate(ActivationName::ReLU.activation()), &[linear]);
            }
        }
        let backward = if spec.backward == Backward::Learned { actions } else { 0 };
        let scores = Linear::apply(&mut g, "scores", &[h], actions + 1 + backward + 1);
        let graph = Arc::new(g.finish(&[scores]));
        Self { spec: spec.clone(), exit, actions, features, index, log_ways, layout, graph }
    }

    /// Its size.
    pub const fn spec(&self) -> &PolicySpec {
        &self.spec
    }

    /// Names, shapes and starts of the parameters.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) const fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// Whether P_B has scores of its own.
    pub(crate) fn learns_backward(&self) -> bool {
        self.spec.backward == Backward::Learned
    }

    /// Whether P_B takes every parent alike.
    pub(crate) fn is_uniform_backward(&self) -> bool {
        self.spec.backward == Backward::Uniform
    }

    /// Writes the features of a state.
    fn encode<E: Environment<State = S>>(&self, env: &E, state: &S, out: &mut [f32]) {
        match self.spec.trunk {
            Trunk::Mlp { .. } => env.encode(state, out),
            Trunk::Table => {
                out.fill(0.0);
                if let Some(&row) = self.index.get(state) {
                    out[row] = 1.0;
                }
            }
        }
    }

    /// Fills the input of a frame with the states of a chunk.
    pub(crate) fn fill<E: Environment<State = S>>(&self, env: &E, states: &[S], row: &mut Vec<f32>, frame: &mut Frame) {
        row.resize(self.features, 0.0);
        let lanes = frame.lanes();
        let input = frame.input_mut(0);
        for (r, state) in states.iter().enumerate() {
            self.encode(env, state, row);
            row.iter().enumerate().for_each(|(f, &value)| input[f * lanes + r] = value);
        }
        (states.len()..lanes).for_each(|r| (0..row.len()).for_each(|f| input[f * lanes + r] = 0.0));
    }

    /// Scores `states` and appends them to `scores`.
    pub fn score<E: Environment<State = S>>(&self, env: &E, compute: &Compute, params: &[f32], states: &[S], scores: &mut Scores)
    where
        S: Sync,
    {
        let (width, backward) = (self.actions + 1, self.actions);
        scores.width = width;
        let first = scores.len();
        let n = first + states.len();
        scores.logits.resize(n * width, f32::NEG_INFINITY);
        scores.log_pf.resize(n * width, f32::NEG_INFINITY);
        scores.log_pb.resize(n * backward, f32::NEG_INFINITY);
        scores.log_flow.resize(n, 0.0);
        scores.forward.resize(n * width, false);
        scores.backward.resize(n * backward, false);
        type Part<'a, S> = (&'a [S], [&'a mut [f32]; 4], [&'a mut [bool]; 2]);
        let mut parts: Vec<Part<'_, S>> = states
            .chunks(CHUNK_ROWS)
            .zip(scores.logits[first * width..].chunks_mut(CHUNK_ROWS * width))
            .zip(scores.log_pf[first * width..].chunks_mut(CHUNK_ROWS * width))
            .zip(scores.log_pb[first * backward..].chunks_mut((CHUNK_ROWS * backward).max(1)))
            .zip(scores.log_flow[first..].chunks_mut(CHUNK_ROWS))
            .zip(scores.forward[first * width..].chunks_mut(CHUNK_ROWS * width))
            .zip(scores.backward[first * backward..].chunks_mut((CHUNK_ROWS * backward).max(1)))
            .map(|((((((states, logits), pf), pb), flow), forward), back)| (states, [logits, pf, pb, flow], [forward, back]))
            .collect();
        let per_segment = parts.len().div_ceil(compute.threads.count()).max(1);
        let mut segments: Vec<_> = parts.chunks_mut(per_segment).collect();
        compute.threads.for_each(&mut segments, |_, segment| {
            let mut frame = Frame::new(&self.graph, Purpose::Evaluate, CHUNK_ROWS.min(segment[0].0.len()));
            let (mut row, mut raw) = (Vec::new(), vec![0.0f32; backward]);
            for (states, [logits, pf, pb, flow], [forward, back]) in segment.iter_mut() {
                frame.begin(states.len());
                self.fill(env, states, &mut row, &mut frame);
                frame.forward(compute.simd, params);
                let (out, lanes) = (frame.output(0), frame.lanes());
                for (r, state) in states.iter().enumerate() {
                    let (own, own_back) = (r * width..(r + 1) * width, r * backward..(r + 1) * backward);
                    env.forward(state, &mut forward[own.clone()]);
                    env.backward(state, &mut back[own_back.clone()]);
                    logits[own.clone()].iter_mut().enumerate().for_each(|(a, logit)| *logit = out[a * lanes + r]);
                    if self.exit == Exit::Reward && forward[own.end - 1] {
                        logits[own.end - 1] = env.log_reward(state) as f32;
                    }
                    log_softmax(&logits[own.clone()], &forward[own.clone()], &mut pf[own]);
                    match self.spec.backward {
                        Backward::Uniform => raw.fill(0.0),
                        Backward::Learned => raw.iter_mut().enumerate().for_each(|(a, raw)| *raw = out[(width + a) * lanes + r]),
                        Backward::MaxEntropy => raw.iter_mut().zip(&back[own_back.clone()]).enumerate().for_each(|(a, (raw, &allowed))| {
                            let ways = allowed.then(|| self.log_ways.get(&env.undo(state, a)).copied()).flatten();
                            *raw = ways.unwrap_or(0.0) as f32;
                        }),
                    }
                    log_softmax(&raw, &back[own_back.clone()], &mut pb[own_back]);
                    flow[r] = out[(out.len() / lanes - 1) * lanes + r];
                }
            }
        });
    }
}

/// ln of the number of ways from the source to each state, parents being listed before their children.
fn log_ways<E: Environment>(env: &E, states: &[E::State]) -> HashMap<E::State, f64> {
    let mut ways: HashMap<E::State, f64> = HashMap::with_capacity(states.len());
    let mut allowed = vec![false; env.actions()];
    let mut parents: Vec<f64> = Vec::new();
    for state in states {
        env.backward(state, &mut allowed);
        parents.clear();
        let possible = allowed.iter().enumerate().filter(|(_, allowed)| **allowed);
        parents.extend(possible.filter_map(|(action, _)| ways.get(&env.undo(state, action)).copied()));
        let top = parents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let own = if parents.is_empty() { 0.0 } else { top + parents.iter().map(|way| (way - top).exp()).sum::<f64>().ln() };
        ways.insert(state.clone(), own);
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{Enumerable as _, Hypergrid};

    #[test]
    fn at_maximum_entropy_all_ways_to_an_end_are_alike() {
        let env = Hypergrid { dimensions: 2, height: 5, ..Hypergrid::default() };
        let states = env.states();
        let spec = PolicySpec { trunk: Trunk::Mlp { hidden: vec![4] }, backward: Backward::MaxEntropy };
        let policy = Policy::new(&spec, Exit::Scored, &env, &states);
        let params = policy.layout().initialise(abduce_data::Seed(1));
        let mut scores = Scores::default();
        policy.score(&env, &Compute::with_threads(1), &params, &states, &mut scores);
        let row = |state: &[u16]| states.iter().position(|known| known == state).unwrap();
        let binomial = |n: u64, k: u64| (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64);
        for (x, y) in [(1u16, 1u16), (4, 2), (3, 4)] {
            // Of the C(x+y, x) ways to (x, y), C(x+y−1, x−1) come from the left.
            let left = binomial(u64::from(x + y) - 1, u64::from(x) - 1) / binomial(u64::from(x + y), u64::from(x));
            let found = scores.pb(row(&[x, y]), 0).exp();
            assert!((found - left).abs() < 1e-6, "({x}, {y}): {found} for {left}");
            // Two ways, along one border first and along the other.
            let along = |order: [usize; 2]| {
                let (mut state, mut log_pb) = (vec![x, y], 0.0);
                for axis in order {
                    while state[axis] > 0 {
                        log_pb += scores.pb(row(&state), axis);
                        state[axis] -= 1;
                    }
                }
                log_pb
            };
            assert!((along([0, 1]) - along([1, 0])).abs() < 1e-5);
            assert!((along([0, 1]) + binomial(u64::from(x + y), u64::from(x)).ln()).abs() < 1e-5);
        }
    }
}
