//! A network described once: layers in order, and the values between them.

use crate::layer::{Form, Layer};
use crate::params::{Init, Layout};
use abduce_kernels::{Simd, Threads};
use std::ops::Range;
use std::sync::Arc;

/// A value of a graph: the input of the network or the output of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value(pub(crate) usize);

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) layer: Arc<dyn Layer>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
}

/// A static graph. It owns no numbers: parameters come with each call, and values live in a [`Frame`](crate::Frame).
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    /// Features of each value.
    pub(crate) features: Vec<usize>,
    /// Form of each value.
    pub(crate) forms: Vec<Form>,
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    /// Per node: where its prepared parameters lie.
    pub(crate) prepared: Vec<Range<usize>>,
}

/// Rows that a worker takes through forward and backward at once, where all values are feature-major: few enough that all values of a small
/// flow stay in the second-level cache, enough that weights are reused (four vectors of sixteen rows fill a tile of the matrix product).
pub const CHUNK_ROWS: usize = 64;

/// Floats of images and sequences in a chunk, about: 2 MB.
const CHUNK_FLOATS: usize = 512 * 1024;

impl Graph {
    /// Rows of a chunk: [`CHUNK_ROWS`], and fewer the more floats a row takes in [`Form::Rows`], down to a single large image. A power of two;
    /// it depends on the graph alone.
    pub fn chunk_rows(&self) -> usize {
        let per_row: usize = self.features.iter().zip(&self.forms).filter(|(_, form)| **form == Form::Rows).map(|(f, _)| f).sum();
        if per_row == 0 {
            return CHUNK_ROWS;
        }
        let fit = (CHUNK_FLOATS / per_row).clamp(1, CHUNK_ROWS);
        1 << fit.ilog2()
    }

    /// Form of each input, in order.
    pub fn input_forms(&self) -> Vec<Form> {
        self.inputs.iter().map(|&v| self.forms[v]).collect()
    }

    /// Form of each output, in order.
    pub fn output_forms(&self) -> Vec<Form> {
        self.outputs.iter().map(|&v| self.forms[v]).collect()
    }

    /// Floats of prepared parameters.
    pub fn prepared_len(&self) -> usize {
        self.prepared.last().map_or(0, |r| r.end)
    }

    /// Brings the parameters of all layers that wish it into their order, once per change of `params`.
    pub fn prepare(&self, simd: Simd, threads: &Threads, params: &[f32], prepared: &mut Vec<f32>) {
        prepared.resize(self.prepared_len(), 0.0);
        if prepared.is_empty() {
            return;
        }
        let mut rest = &mut prepared[..];
        let mut parts: Vec<(&Node, &mut [f32])> = Vec::with_capacity(self.nodes.len());
        for (node, range) in self.nodes.iter().zip(&self.prepared) {
            let (own, tail) = rest.split_at_mut(range.len());
            if !own.is_empty() {
                parts.push((node, own));
            }
            rest = tail;
        }
        threads.for_each(&mut parts, |_, (node, own)| node.layer.prepare(simd, params, own));
    }

    /// Features of each input, in order.
    pub fn input_features(&self) -> Vec<usize> {
        self.inputs.iter().map(|&v| self.features[v]).collect()
    }

    /// Features of each output, in order.
    pub fn output_features(&self) -> Vec<usize> {
        self.outputs.iter().map(|&v| self.features[v]).collect()
    }
}

/// Builds a [`Graph`] on a [`Layout`] of parameters.
#[derive(Debug)]
pub struct GraphBuilder<'a> {
    layout: &'a mut Layout,
    scope: Vec<String>,
    graph: Graph,
}

impl<'a> GraphBuilder<'a> {
    /// A graph without layers.
    pub const fn new(layout: &'a mut Layout) -> Self {
        Self {
            layout,
            scope: Vec::new(),
            graph: Graph {
                nodes: Vec::new(),
                features: Vec::new(),
                forms: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                prepared: Vec::new(),
            },
        }
    }

    /// An input of the network, feature-major.
    pub fn input(&mut self, features: usize) -> Value {
        self.input_of(Form::Lanes, features)
    }

    /// An input of the network in a given form.
    pub fn input_of(&mut self, form: Form, features: usize) -> Value {
        let value = self.value(features, form);
        self.graph.inputs.push(value.0);
        value
    }

    /// Form of a value.
    pub fn form(&self, value: Value) -> Form {
        self.graph.forms[value.0]
    }

    /// Features of a value.
    pub fn features(&self, value: Value) -> usize {
        self.graph.features[value.0]
    }

    /// Names the parameters added inside `build` with the prefix `name.`
    pub fn scoped<R>(&mut self, name: impl Into<String>, build: impl FnOnce(&mut Self) -> R) -> R {
        self.scope.push(name.into());
        let result = build(self);
        self.scope.pop();
        result
    }

    /// A parameter in the current scope.
    pub fn parameter(&mut self, name: &str, shape: &[usize], init: Init) -> Range<usize> {
        let path = self.scope.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        self.layout.parameter(&path, shape, init)
    }

    /// See [`Layout::mask`].
    pub fn mask(&mut self, range: &Range<usize>, mask: &[f32]) {
        self.layout.mask(range, mask);
    }

    /// Appends a layer with several outputs.
    pub fn apply_many(&mut self, layer: impl Layer + 'static, inputs: &[Value]) -> Vec<Value> {
        debug_assert!(
            inputs.iter().enumerate().all(|(i, a)| inputs[..i].iter().all(|b| a != b)),
            "a layer must not take one value twice: its gradient slots would overlap"
        );
        let input_features: Vec<usize> = inputs.iter().map(|&v| self.features(v)).collect();
        let input_forms: Vec<Form> = inputs.iter().map(|&v| self.form(v)).collect();
        let form = layer.output_form(&input_forms);
        let outputs: Vec<Value> = layer.output_features(&input_features).into_iter().map(|f| self.value(f, form)).collect();
        let start = self.graph.prepared_len();
        self.graph.prepared.push(start..start + layer.prepared_len());
        self.graph.nodes.push(Node {
            layer: Arc::new(layer),
            inputs: inputs.iter().map(|v| v.0).collect(),
            outputs: outputs.iter().map(|v| v.0).collect(),
        });
        outputs
    }

    /// Appends a layer with one output.
    pub fn apply(&mut self, layer: impl Layer + 'static, inputs: &[Value]) -> Value {
        self.apply_many(layer, inputs)[0]
    }

    /// The finished graph with the values that are read from it.
    pub fn finish(mut self, outputs: &[Value]) -> Graph {
        self.graph.outputs = outputs.iter().map(|v| v.0).collect();
        self.graph
    }

    fn value(&mut self, features: usize, form: Form) -> Value {
        self.graph.features.push(features);
        self.graph.forms.push(form);
        Value(self.graph.features.len() - 1)
    }
}
