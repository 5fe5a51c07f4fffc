//! A network described once: layers in order, and the values between them.

use crate::layer::Layer;
use crate::params::{Init, Layout};
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
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
}

impl Graph {
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
            graph: Graph { nodes: Vec::new(), features: Vec::new(), inputs: Vec::new(), outputs: Vec::new() },
        }
    }

    /// An input of the network.
    pub fn input(&mut self, features: usize) -> Value {
        let value = self.value(features);
        self.graph.inputs.push(value.0);
        value
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
        let outputs: Vec<Value> = layer.output_features(&input_features).into_iter().map(|f| self.value(f)).collect();
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

    fn value(&mut self, features: usize) -> Value {
        self.graph.features.push(features);
        Value(self.graph.features.len() - 1)
    }
}
