//! A residual network whose blocks the context can gate.

use abduce_kernels::elementwise::Activation;
use abduce_nn::layers::{Activate, Add, GatedAdd, Linear};
use abduce_nn::{GraphBuilder, Init, Value};

/// Shape of [`residual_net`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResidualShape {
    /// Width of the trunk.
    pub hidden: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Activation inside the blocks.
    pub activation: Activation,
}

/// h = W₀ inputs; per block h += (W₂ f(W₁ f(h))) σ(W_c c), the factor only where there is a gate c; output W h.
///
/// The second linear map of each block starts near zero, so that the network starts nearly linear. This is the conditioner of
/// the coupling flows of nflows and sbi (Durkan et al. 2019, arXiv:1906.04032, appendix B.1).
pub fn residual_net(g: &mut GraphBuilder<'_>, inputs: &[Value], gate: Option<Value>, shape: ResidualShape, out: usize) -> Value {
    let mut h = Linear::apply(g, "initial", inputs, shape.hidden);
    for b in 0..shape.blocks {
        h = g.scoped(format!("blocks.{b}"), |g| {
            let a = g.apply(Activate(shape.activation), &[h]);
            let a = Linear::apply(g, "0", &[a], shape.hidden);
            let a = g.apply(Activate(shape.activation), &[a]);
            let small = Init::Uniform(1e-3);
            let branch = Linear::apply_with(g, "1", &[a], shape.hidden, small.clone(), small, None);
            match gate {
                Some(c) => {
                    let gate = Linear::apply(g, "context", &[c], shape.hidden);
                    g.apply(GatedAdd, &[h, branch, gate])
                }
                None => g.apply(Add, &[h, branch]),
            }
        });
    }
    Linear::apply(g, "final", &[h], out)
}
