//! Activation functions as types: a kernel that ends in an activation is compiled once for each.

use crate::lanes::Lanes;
use crate::math::{erf, exp, sigmoid, softplus, tanh};

/// A function of one variable over lanes, and its derivative.
pub(crate) trait Curve {
    unsafe fn value<S: Lanes>(x: S::V) -> S::V;
    unsafe fn slope<S: Lanes>(x: S::V) -> S::V;
}

macro_rules! curves {
    ($($(#[$meta:meta])* $name:ident($x:ident): $value:expr, $slope:expr;)*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy)]
            pub(crate) struct $name;

            impl Curve for $name {
                #[inline(always)]
                unsafe fn value<S: Lanes>($x: S::V) -> S::V {
                    unsafe { $value }
                }
                #[inline(always)]
                unsafe fn slope<S: Lanes>($x: S::V) -> S::V {
                    unsafe { $slope }
                }
            }
        )*
    };
}

curves! {
    /// x
    Identity(x): S::mul(x, S::splat(1.0)), {
        let _unused = x;
        S::splat(1.0)
    };
    /// tanh x
    Tanh(x): tanh::<S>(x), {
        let y = tanh::<S>(x);
        S::sub(S::splat(1.0), S::mul(y, y))
    };
    /// max(x, 0)
    Relu(x): S::max(S::splat(0.0), x), S::select(S::lt(S::splat(0.0), x), S::splat(1.0), S::splat(0.0));
    /// x or 0.01 x
    LeakyRelu(x):
        S::select(S::lt(S::splat(0.0), x), x, S::mul(x, S::splat(0.01))),
        S::select(S::lt(S::splat(0.0), x), S::splat(1.0), S::splat(0.01));
    /// x or eˣ - 1
    Elu(x):
        S::select(S::lt(S::splat(0.0), x), x, S::sub(exp::<S>(x), S::splat(1.0))),
        S::select(S::lt(S::splat(0.0), x), S::splat(1.0), exp::<S>(x));
    /// x σ(x)
    Silu(x): S::mul(x, sigmoid::<S>(x)), {
        let gate = sigmoid::<S>(x);
        S::mul(gate, S::fma(x, S::sub(S::splat(1.0), gate), S::splat(1.0)))
    };
    /// x Φ(x)
    Gelu(x): S::mul(x, normal_cdf::<S>(x)), {
        let density = S::mul(S::splat(0.398_942_3), exp::<S>(S::mul(S::splat(-0.5), S::mul(x, x))));
        S::fma(x, density, normal_cdf::<S>(x))
    };
    /// σ(x)
    Sigmoid(x): sigmoid::<S>(x), {
        let y = sigmoid::<S>(x);
        S::mul(y, S::sub(S::splat(1.0), y))
    };
    /// ln(1 + eˣ)
    Softplus(x): softplus::<S>(x), sigmoid::<S>(x);
    /// x tanh(softplus x)
    Mish(x): S::mul(x, tanh::<S>(softplus::<S>(x))), {
        let t = tanh::<S>(softplus::<S>(x));
        S::fma(S::mul(x, sigmoid::<S>(x)), S::sub(S::splat(1.0), S::mul(t, t)), t)
    };
}

#[inline(always)]
unsafe fn normal_cdf<S: Lanes>(x: S::V) -> S::V {
    unsafe { S::fma(erf::<S>(S::mul(x, S::splat(std::f32::consts::FRAC_1_SQRT_2))), S::splat(0.5), S::splat(0.5)) }
}

/// Runs `$body` with `$curve` naming the type of the activation `$f`.
macro_rules! with_curve {
    ($f:expr, $curve:ident => $body:expr) => {
        match $f {
            $crate::elementwise::Activation::Tanh => {
                type $curve = $crate::curves::Tanh;
                $body
            }
            $crate::elementwise::Activation::Relu => {
                type $curve = $crate::curves::Relu;
                $body
            }
            $crate::elementwise::Activation::LeakyRelu => {
                type $curve = $crate::curves::LeakyRelu;
                $body
            }
            $crate::elementwise::Activation::Elu => {
                type $curve = $crate::curves::Elu;
                $body
            }
            $crate::elementwise::Activation::Silu => {
                type $curve = $crate::curves::Silu;
                $body
            }
            $crate::elementwise::Activation::Gelu => {
                type $curve = $crate::curves::Gelu;
                $body
            }
            $crate::elementwise::Activation::Sigmoid => {
                type $curve = $crate::curves::Sigmoid;
                $body
            }
            $crate::elementwise::Activation::Softplus => {
                type $curve = $crate::curves::Softplus;
                $body
            }
            $crate::elementwise::Activation::Mish => {
                type $curve = $crate::curves::Mish;
                $body
            }
        }
    };
}
pub(crate) use with_curve;
