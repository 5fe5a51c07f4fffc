//! A plain multi-layer perceptron.

use abduce_kernels::elementwise::Activation;
use abduce_nn::layers::{Activate, Linear};
use abduce_nn::{GraphBuilder, Init, Value};

/// Linear + activation per hidden width, then a linear output whose weights start small, so that a flow starts near the identity.
pub fn mlp(g: &mut GraphBuilder<'_>, inputs: &[Value], hidden: &[usize], activation: Activation, out: usize) -> Value {
    let mut h = inputs.to_vec();
    for (k, &width) in hidden.iter().enumerate() {
        let linear = Linear::apply(g, &k.to_string(), &h, width);
        h = vec![g.apply(Activate(activation), &[linear])];
    }
    let width: usize = h.iter().map(|&v| g.features(v)).sum();
    let start = |scale: f32| Init::Uniform(scale / (width.max(1) as f32).sqrt());
    Linear::apply_with(g, &hidden.len().to_string(), &h, out, start(0.1), start(0.1), None)
}
