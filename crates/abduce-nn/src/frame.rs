//! The memory of one chunk of rows, planned once, and the execution of a graph in it.

use crate::Layer;
use crate::graph::Graph;
use crate::layer::{Backward, Form, Forward, GradientSlot, Noise, Slots};
use abduce_kernels::elementwise::Update;
use abduce_kernels::transpose::features_from_rows;
use abduce_kernels::{LANES, Simd, Threads, lanes_for};
use std::mem::take;
use std::sync::Arc;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Forward only: a buffer is reused as soon as its value has been read for the last time.
    Evaluate,
    /// Forward and backward: values are kept; gradient buffers are reused. Gradients of the inputs are dropped.
    Train,
    /// As `Train`, and gradients of the graph's inputs are kept.
    InputGradients,
    /// As `Train`, and the gradient of this one input is kept.
    InputGradient(usize),
}

/// Places of values and gradients, and which layer writes a gradient first.
#[derive(Debug)]
struct Plan {
    value_place: Vec<usize>,
    value_buffers: Vec<(Form, usize)>,
    /// `None`: nobody needs this value's gradient.
    gradient_place: Vec<Option<usize>>,
    gradient_buffers: Vec<(Form, usize)>,
    /// Per node: input values' buffers, output values' buffers, output gradients' buffers.
    node_places: Vec<(Vec<usize>, Vec<usize>, Vec<usize>)>,
    /// Per node and input: where its gradient goes and whether this node is the first to write it.
    node_gradients: Vec<Vec<Option<(usize, Update)>>>,
    /// Per node: output gradients that no later layer writes, to be cleared before its backward.
    cleared: Vec<Vec<usize>>,
    /// Per node: whether its backward has nothing to do.
    skipped: Vec<bool>,
}

/// A pool of buffers with first-fit reuse; sizes are in features. A buffer keeps its form.
#[derive(Default)]
struct Pool {
    sizes: Vec<(Form, usize)>,
    free: Vec<usize>,
}

impl Pool {
    fn take(&mut self, form: Form, features: usize) -> usize {
        let size = |b: usize| self.sizes[b].1;
        // Prefer a buffer that is large enough, else the largest, which grows.
        let fitting = self.free.iter().enumerate().filter(|&(_, &b)| self.sizes[b].0 == form);
        let best = fitting.min_by_key(|&(_, &b)| (size(b) < features, size(b).abs_diff(features)));
        let buffer = match best.map(|(i, _)| i) {
            Some(i) => self.free.swap_remove(i),
            None => {
                self.sizes.push((form, 0));
                self.sizes.len() - 1
            }
        };
        self.sizes[buffer].1 = self.sizes[buffer].1.max(features);
        buffer
    }
}

impl Plan {
    fn new(graph: &Graph, purpose: Purpose) -> Self {
        let values = graph.features.len();
        let mut last_read = vec![0; values];
        for (n, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|&v| last_read[v] = n);
        }
        let keep = |v: usize| purpose != Purpose::Evaluate || graph.outputs.contains(&v);

        let mut pool = Pool::default();
        let mut value_place = vec![usize::MAX; values];
        for &v in &graph.inputs {
            value_place[v] = pool.take(graph.forms[v], graph.features[v]);
        }
        for (n, node) in graph.nodes.iter().enumerate() {
            for &v in &node.outputs {
                value_place[v] = pool.take(graph.forms[v], graph.features[v]);
            }
            for &v in &node.inputs {
                if last_read[v] == n && !keep(v) && !pool.free.contains(&value_place[v]) {
                    pool.free.push(value_place[v]);
                }
            }
        }
        let mut plan = Self {
            value_buffers: pool.sizes,
            gradient_place: vec![None; values],
            gradient_buffers: Vec::new(),
            node_places: Vec::new(),
            node_gradients: vec![Vec::new(); graph.nodes.len()],
            cleared: vec![Vec::new(); graph.nodes.len()],
            skipped: vec![false; graph.nodes.len()],
            value_place,
        };
        if purpose != Purpose::Evaluate {
            plan.place_gradients(graph, purpose);
        }
        for node in &graph.nodes {
            let values = |v: &[usize]| v.iter().map(|&v| plan.value_place[v]).collect::<Vec<_>>();
            let gradients = node.outputs.iter().map(|&v| plan.gradient_place[v].unwrap_or(0)).collect();
            plan.node_places.push((values(&node.inputs), values(&node.outputs), gradients));
        }
        plan
    }

    /// Walks the nodes backward: an input's gradient buffer is taken at its first writer and freed after its own producer.
    fn place_gradients(&mut self, graph: &Graph, purpose: Purpose) {
        let mut pool = Pool::default();
        for &v in &graph.outputs {
            self.gradient_place[v] = Some(pool.take(graph.forms[v], graph.features[v]));
        }
        // A gradient is wanted where a wanted input or a layer with parameters lies before it.
        let mut wanted = vec![false; graph.features.len()];
        let asked = |input: usize| purpose == Purpose::InputGradients || purpose == Purpose::InputGradient(input);
        graph.inputs.iter().enumerate().for_each(|(input, &v)| wanted[v] = asked(input));
        for node in &graph.nodes {
            let leads_on = node.layer.has_parameters() || node.inputs.iter().any(|&v| wanted[v]);
            node.outputs.iter().for_each(|&v| wanted[v] = leads_on);
        }
        let wanted = |v: usize| wanted[v];
        for (n, node) in graph.nodes.iter().enumerate().rev() {
            self.skipped[n] = !node.outputs.iter().any(|&v| wanted(v));
            if self.skipped[n] {
                continue;
            }
            for &v in &node.outputs {
                if self.gradient_place[v].is_none() {
                    let place = pool.take(graph.forms[v], graph.features[v]);
                    self.gradient_place[v] = Some(place);
                    self.cleared[n].push(place);
                }
            }
            self.node_gradients[n] = node
                .inputs
                .iter()
                .map(|&v| {
                    wanted(v).then(|| match self.gradient_place[v] {
                        Some(place) => (place, Update::Accumulate),
                        None => {
                            let place = pool.take(graph.forms[v], graph.features[v]);
                            self.gradient_place[v] = Some(place);
                            (place, Update::Overwrite)
                        }
                    })
                })
                .collect();
            pool.free.extend(node.outputs.iter().filter_map(|&v| self.gradient_place[v]));
        }
        self.gradient_buffers = pool.sizes;
    }
}

/// Buffers for one chunk of at most `capacity` rows. Nothing is allocated after construction.
#[derive(Debug)]
pub struct Frame {
    graph: Arc<Graph>,
    plan: Plan,
    capacity: usize,
    lanes: usize,
    rows: usize,
    values: Vec<Vec<f32>>,
    gradients: Vec<Vec<f32>>,
    saved: Vec<Vec<f32>>,
    scratch: Vec<f32>,
    outputs_on_loan: Vec<Vec<f32>>,
    gradients_on_loan: Vec<Option<GradientSlot>>,
    /// Prepared parameters of passes that were not given any.
    prepared: Vec<f32>,
    noise: Option<Noise>,
}

impl Frame {
    /// Plans and allocates.
    pub fn new(graph: &Arc<Graph>, purpose: Purpose, capacity: usize) -> Self {
        let plan = Plan::new(graph, purpose);
        let lanes = lanes_for(capacity.max(1));
        // Rows of images are not padded, so a frame for them holds no more than was asked for.
        let capacity = if graph.forms.contains(&Form::Rows) { capacity.max(1) } else { lanes };
        let sized = |sizes: &[(Form, usize)]| sizes.iter().map(|&(form, f)| Vec::with_capacity(form.len(f, capacity, lanes))).collect();
        let saved = |layer: &dyn Layer| layer.saved_per_lane() * lanes + layer.saved_per_row() * capacity;
        let scratch = |layer: &dyn Layer| layer.scratch_per_lane() * lanes + layer.scratch_len();
        let keeps = purpose != Purpose::Evaluate;
        Self {
            values: sized(&plan.value_buffers),
            gradients: sized(&plan.gradient_buffers),
            // A forward pass writes what it saves even if no backward follows.
            saved: graph.nodes.iter().map(|n| vec![0.0; saved(&*n.layer)]).collect(),
            scratch: vec![0.0; graph.nodes.iter().map(|n| scratch(&*n.layer)).max().unwrap_or(0)],
            outputs_on_loan: Vec::with_capacity(4),
            gradients_on_loan: Vec::with_capacity(if keeps { 8 } else { 0 }),
            prepared: Vec::new(),
            noise: None,
            capacity,
            lanes: 0,
            rows: 0,
            graph: Arc::clone(graph),
            plan,
        }
    }

    /// Bytes of the buffers of one frame.
    pub fn bytes(&self) -> usize {
        let total = |sets: &[Vec<f32>]| sets.iter().map(Vec::capacity).sum::<usize>();
        4 * (total(&self.values) + total(&self.gradients) + total(&self.saved) + self.scratch.len())
    }

    /// Most rows that fit.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Padded rows of the current chunk.
    pub const fn lanes(&self) -> usize {
        self.lanes
    }

    /// Rows of the current chunk.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Starts a chunk of `rows` rows.
    ///
    /// # Panics
    /// If it exceeds the capacity.
    pub fn begin(&mut self, rows: usize) {
        assert!(rows <= self.capacity, "a frame for {} rows can't hold {rows}", self.capacity);
        self.rows = rows;
        self.lanes = rows.div_ceil(LANES).max(1) * LANES;
        self.noise = None;
    }

    /// Gives the current chunk its random numbers; until the next [`Frame::begin`] layers that draw in training do so.
    pub const fn set_noise(&mut self, noise: Noise) {
        self.noise = Some(noise);
    }

    /// The i-th input, to be filled: `(features, lanes)`, or `(rows, features)` where its form is [`Form::Rows`].
    pub fn input_mut(&mut self, i: usize) -> &mut [f32] {
        let value = self.graph.inputs[i];
        let buffer = &mut self.values[self.plan.value_place[value]];
        buffer.resize(self.graph.forms[value].len(self.graph.features[value], self.rows, self.lanes), 0.0);
        buffer
    }

    /// Features of the i-th input.
    pub fn input_features(&self, i: usize) -> usize {
        self.graph.features[self.graph.inputs[i]]
    }

    /// Fills the i-th input from a row-major table of the chunk's rows, whatever its form is.
    ///
    /// # Panics
    /// If the table is shorter than the rows.
    pub fn fill_input(&mut self, i: usize, table: &[f32]) {
        let value = self.graph.inputs[i];
        let (rows, lanes, width) = (self.rows, self.lanes, self.graph.features[value]);
        let form = self.graph.forms[value];
        let input = self.input_mut(i);
        match form {
            Form::Lanes => features_from_rows(table, rows, width, input, lanes),
            Form::Rows => input.copy_from_slice(&table[..rows * width]),
        }
    }

    /// The i-th output, `(features, lanes)`, or `(rows, features)` where its form is [`Form::Rows`].
    pub fn output(&self, i: usize) -> &[f32] {
        &self.values[self.plan.value_place[self.graph.outputs[i]]]
    }

    /// The gradient of the i-th output, to be filled before [`Frame::backward`]; padding lanes must be zero.
    pub fn output_gradient_mut(&mut self, i: usize) -> &mut [f32] {
        let value = self.graph.outputs[i];
        let place = self.plan.gradient_place[value].unwrap_or(0);
        let buffer = &mut self.gradients[place];
        buffer.resize(self.graph.forms[value].len(self.graph.features[value], self.rows, self.lanes), 0.0);
        buffer
    }

    /// The gradient of the i-th input after [`Frame::backward`], for frames that keep it.
    pub fn input_gradient(&self, i: usize) -> Option<&[f32]> {
        self.plan.gradient_place[self.graph.inputs[i]].map(|place| self.gradients[place].as_slice())
    }

    /// Runs all layers forward.
    pub fn forward(&mut self, simd: Simd, params: &[f32]) {
        let mut prepared = take(&mut self.prepared);
        Arc::clone(&self.graph).prepare(simd, &Threads::single(), params, &mut prepared);
        self.forward_prepared(simd, params, &prepared);
        self.prepared = prepared;
    }

    /// Runs all layers backward from the outputs' gradients, after [`Frame::forward`]; adds to `grad_params` where given.
    pub fn backward(&mut self, simd: Simd, params: &[f32], grad_params: Option<&mut [f32]>) {
        let prepared = take(&mut self.prepared);
        self.backward_prepared(simd, params, &prepared, grad_params);
        self.prepared = prepared;
    }

    /// Runs all layers forward with what [`Graph::prepare`] made of the parameters, which many frames can share.
    pub fn forward_prepared(&mut self, simd: Simd, params: &[f32], prepared: &[f32]) {
        let graph = Arc::clone(&self.graph);
        for (n, node) in graph.nodes.iter().enumerate() {
            let (inputs, outputs, _) = &self.plan.node_places[n];
            for (&place, &value) in outputs.iter().zip(&node.outputs) {
                let mut buffer = take(&mut self.values[place]);
                buffer.resize(graph.forms[value].len(graph.features[value], self.rows, self.lanes), 0.0);
                self.outputs_on_loan.push(buffer);
            }
            node.layer.forward(&mut Forward {
                simd,
                lanes: self.lanes,
                rows: self.rows,
                params,
                prepared: &prepared[graph.prepared[n].clone()],
                noise: self.noise,
                inputs: Slots { buffers: &self.values, places: inputs },
                outputs: &mut self.outputs_on_loan,
                saved: &mut self.saved[n],
                scratch: &mut self.scratch,
            });
            for (buffer, &place) in self.outputs_on_loan.drain(..).zip(outputs) {
                self.values[place] = buffer;
            }
        }
    }

    /// As [`Frame::backward`], after [`Frame::forward_prepared`] with the same prepared parameters.
    pub fn backward_prepared(&mut self, simd: Simd, params: &[f32], prepared: &[f32], mut grad_params: Option<&mut [f32]>) {
        let graph = Arc::clone(&self.graph);
        for (n, node) in graph.nodes.iter().enumerate().rev() {
            if self.plan.skipped[n] {
                continue;
            }
            let (inputs, outputs, grad_outputs) = &self.plan.node_places[n];
            for (&place, &value) in grad_outputs.iter().zip(&node.outputs) {
                let len = graph.forms[value].len(graph.features[value], self.rows, self.lanes);
                if self.plan.cleared[n].contains(&place) {
                    self.gradients[place].clear();
                }
                self.gradients[place].resize(len, 0.0);
            }
            for (target, &value) in self.plan.node_gradients[n].iter().zip(&node.inputs) {
                self.gradients_on_loan.push(target.map(|(place, update)| {
                    let mut data = take(&mut self.gradients[place]);
                    data.resize(graph.forms[value].len(graph.features[value], self.rows, self.lanes), 0.0);
                    GradientSlot { data, update }
                }));
            }
            node.layer.backward(&mut Backward {
                simd,
                lanes: self.lanes,
                rows: self.rows,
                params,
                prepared: &prepared[graph.prepared[n].clone()],
                noise: self.noise,
                inputs: Slots { buffers: &self.values, places: inputs },
                outputs: Slots { buffers: &self.values, places: outputs },
                grad_outputs: Slots { buffers: &self.gradients, places: grad_outputs },
                grad_inputs: &mut self.gradients_on_loan,
                grad_params: grad_params.as_deref_mut(),
                saved: &self.saved[n],
                scratch: &mut self.scratch,
            });
            for (loan, target) in self.gradients_on_loan.drain(..).zip(&self.plan.node_gradients[n]) {
                if let (Some(slot), Some((place, _))) = (loan, target) {
                    self.gradients[*place] = slot.data;
                }
            }
        }
    }
}
