//! Networks: perceptrons, masked perceptrons, gated residual networks, embeddings.

use super::Reference;
use abduce_nn::{ActivationName, EmbeddingSpec};

pub(super) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn activation(name: ActivationName, x: f64) -> f64 {
    match name {
        ActivationName::SiLU => x * sigmoid(x),
        ActivationName::ReLU => x.max(0.0),
        ActivationName::GELU => x * 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
        other => panic!("no f64 formula for {other:?}: add one"),
    }
}

/// Degrees of the hidden units of a masked network: ascending blocks over 0..D with a context, over 1..D without.
fn hidden_degree(unit: usize, width: usize, features: usize, conditional: bool) -> usize {
    if conditional { unit * features / width } else { 1 + unit * (features - 1) / width }
}

impl Reference<'_> {
    /// W x + b.
    fn linear(&self, path: &str, x: &[f64]) -> Vec<f64> {
        self.masked_linear(path, x, |_, _| true)
    }

    fn masked_linear(&self, path: &str, x: &[f64], connected: impl Fn(usize, usize) -> bool) -> Vec<f64> {
        let (weight, bias) = (self.tensor(&format!("{path}.weight")), self.tensor(&format!("{path}.bias")));
        let row = |o: usize| (0..x.len()).filter(|&i| connected(o, i)).map(|i| weight[o * x.len() + i] * x[i]).sum::<f64>();
        bias.iter().enumerate().map(|(o, b)| b + row(o)).collect()
    }

    /// Hidden layers with activation, then a linear output; `scope` is empty or ends in a dot.
    pub(super) fn perceptron(&self, scope: &str, x: &[f64], hidden: &[usize], f: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut h = x.to_vec();
        for k in 0..hidden.len() {
            h = self.linear(&format!("{scope}{k}"), &h).into_iter().map(&f).collect();
        }
        self.linear(&format!("{scope}{}", hidden.len()), &h)
    }

    /// Masked perceptron with tanh (Germain et al. 2015): unit of degree m sees features of degree ≤ m and all the context; raw parameter o
    /// belongs to feature `owner(o)` and sees units of smaller degree. `seen` holds one or more numbers of all features in turn. `degree` gives each feature's 1-based place in the order.
    pub(super) fn masked_perceptron(
        &self,
        scope: &str,
        seen: &[f64],
        c: &[f64],
        hidden: &[usize],
        degree: impl Fn(usize) -> usize,
        owner: impl Fn(usize) -> usize,
        features: usize,
    ) -> Vec<f64> {
        let mut h = [seen, c].concat();
        let mut below: Vec<usize> = (0..seen.len()).map(|i| degree(i % features)).chain(c.iter().map(|_| 0)).collect();
        for (k, &width) in hidden.iter().enumerate() {
            let own: Vec<usize> = (0..width).map(|j| hidden_degree(j, width, features, !c.is_empty())).collect();
            h = self.masked_linear(&format!("{scope}{k}"), &h, |o, i| own[o] >= below[i]).into_iter().map(f64::tanh).collect();
            below = own;
        }
        self.masked_linear(&format!("{scope}{}", hidden.len()), &h, |o, i| degree(owner(o)) > below[i])
    }

    /// One mixture of `components` Gaussians per feature, in the natural order.
    pub(super) fn made(&self, theta: &[f64], c: &[f64], hidden: &[usize], components: usize) -> Vec<f64> {
        self.masked_perceptron("", theta, c, hidden, |f| f + 1, |o| o / (3 * components), theta.len())
    }

    /// h = W₀[x, c]; h += (W₂ relu(W₁ relu(h))) σ(W_c c); W h.
    pub(super) fn residual(&self, scope: &str, x: &[f64], c: &[f64], blocks: usize) -> Vec<f64> {
        let relu = |h: &[f64]| h.iter().map(|v| v.max(0.0)).collect::<Vec<_>>();
        let mut h = self.linear(&format!("{scope}initial"), &[x, c].concat());
        for b in 0..blocks {
            let branch = self.linear(&format!("{scope}blocks.{b}.0"), &relu(&h));
            let branch = self.linear(&format!("{scope}blocks.{b}.1"), &relu(&branch));
            let gate = if c.is_empty() { vec![1.0; h.len()] } else { self.gate(&format!("{scope}blocks.{b}.context"), c) };
            h.iter_mut().zip(branch.iter().zip(&gate)).for_each(|(h, (t, g))| *h += t * g);
        }
        self.linear(&format!("{scope}final"), &h)
    }

    /// W₂ tanh(W₁ tanh(W₀ y + C c + T φ(t) + b₀) + b₁) + b₂ and the trace of its derivative by y, column by column.
    pub(super) fn velocity(&self, scope: &str, y: &[f64], t: f64, c: &[f64]) -> (Vec<f64>, f64) {
        let waves = self.tensor(&format!("{scope}time.weight")).len() / self.tensor(&format!("{scope}0.bias")).len();
        let phi: Vec<f64> = (0..waves)
            .map(|f| {
                let angle = std::f64::consts::PI * (f / 2 + 1) as f64 * t;
                if f % 2 == 0 { angle.cos() } else { angle.sin() }
            })
            .collect();
        let product = |name: &str, x: &[f64]| -> Vec<f64> {
            if x.is_empty() {
                return vec![0.0; self.tensor(&format!("{scope}0.bias")).len()];
            }
            self.tensor(&format!("{scope}{name}.weight")).chunks(x.len()).map(|w| w.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
        };
        let (own, told) = (self.linear(&format!("{scope}0"), y), (product("context", c), product("time", &phi)));
        let h1: Vec<f64> = (0..own.len()).map(|j| (own[j] + told.0[j] + told.1[j]).tanh()).collect();
        let h2: Vec<f64> = self.linear(&format!("{scope}1"), &h1).into_iter().map(f64::tanh).collect();
        let trace = (0..y.len()).map(|f| {
            let unit: Vec<f64> = (0..y.len()).map(|i| f64::from(u8::from(i == f))).collect();
            let slope = |h: &[f64], column: Vec<f64>| h.iter().zip(column).map(|(h, d)| (1.0 - h * h) * d).collect::<Vec<_>>();
            let first = slope(&h1, product("0", &unit));
            let second = slope(&h2, product("1", &first));
            product("2", &second)[f]
        });
        let trace = trace.sum();
        (self.linear(&format!("{scope}2"), &h2), trace)
    }

    fn gate(&self, path: &str, c: &[f64]) -> Vec<f64> {
        self.linear(path, c).into_iter().map(sigmoid).collect()
    }

    pub(super) fn embed(&self, spec: &EmbeddingSpec, x: &[f64]) -> Vec<f64> {
        match spec {
            EmbeddingSpec::Identity => x.to_vec(),
            EmbeddingSpec::Fcn { hidden, activation: name } => {
                self.perceptron("embedding.", x, &hidden[..hidden.len() - 1], |v| activation(*name, v))
            }
            EmbeddingSpec::Residual { blocks, activation: name, .. } => {
                let f = |h: &[f64]| h.iter().map(|&v| activation(*name, v)).collect::<Vec<_>>();
                let mut h = self.linear("embedding.initial", x);
                for b in 0..*blocks {
                    let branch = self.linear(&format!("embedding.blocks.{b}.0"), &f(&h));
                    let branch = self.linear(&format!("embedding.blocks.{b}.1"), &f(&branch));
                    h.iter_mut().zip(branch).for_each(|(h, t)| *h += t);
                }
                self.linear("embedding.final", &f(&h))
            }
            other => panic!("no f64 formula for {other:?}: add one"),
        }
    }
}
