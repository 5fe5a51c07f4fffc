"""The two training-step workloads in torch, as the peer of the native engine.

Both are conditional or unconditional densities q; the loss of a batch is the mean of −log q, the base is N(0, I), all in natural
logarithms. A linear layer holds `weight` (out, in) and `bias` (out) and maps x to x·weightᵀ + bias.

W1, masked autoregressive flow, 8 features, no context, batch 200
-----------------------------------------------------------------
Five transforms t = 0…4. The input of transform 0 is x; the input of transform t ≥ 1 is the output of t − 1 with its features reversed
(so odd transforms are autoregressive in the reversed order). With u the input of a transform,

    h1 = tanh(u·(W0∘M0)ᵀ + b0)      W0 (50, 8)    M0[j, i] = 1 if d_j ≥ i
    h2 = tanh(h1·(W1∘M1)ᵀ + b1)     W1 (50, 50)   M1[j, k] = 1 if d_j ≥ d_k
    o  = h2·(W2∘M2)ᵀ + b2           W2 (16, 50)   M2[i, j] = M2[i + 8, j] = 1 if i > d_j

where features carry degrees i = 1…8 and hidden unit j = 0…49 of either layer has degree d_j = 1 + floor(7 j / 50), ascending from 1 to 7.
μ = o[:8], a = o[8:], s = a / (1 + |a| / ln 1000) (so |s| < ln 1000), z = (u − μ)·exp(−s), log|det ∂z/∂u| = −Σ s.
log q(x) = Σ_i [−½ z_i² − ½ ln 2π] + Σ_t log|det|, z being the output of transform 4. Names: `t.k.weight`, `t.k.bias`, k = 0, 1, 2.
Stored weights are already zero where the mask is; their gradients are exactly zero there.

W2, sbi 0.27's default neural spline flow without its two z-scoring layers, 5 features, 10 context features, batch 200
---------------------------------------------------------------------------------------------------------------------
The flow maps θ to noise; log q(θ|c) = log N(z; 0, I) + Σ log|det| with z, det of the forward direction. Five times [coupling, LU linear],
applied in index order: modules `_transform._transforms.{0,2,4,6,8}` are couplings, `{1,3,5,7,9}` LU linears.

Coupling number n = 0…4: features with index ≡ n (mod 2) are transformed, the others are passed on and condition:
even n: transformed {0, 2, 4}, identity {1, 3}; odd n: transformed {1, 3}, identity {0, 2, 4}. The conditioner sees e = concat(identity
features in ascending order, c):

    h = initial_layer(e)                                           (50)
    for b = 0, 1:  v = linear_layers.1(relu(linear_layers.0(relu(h))))
                   h = h + v ∘ sigmoid(context_layer(c))           (a gated linear unit: the gate comes from the context alone)
    p = final_layer(h)                                             (29 per transformed feature; feature-major: (T, 29))

There is no activation between initial_layer and the first block other than the block's own leading relu, and none before final_layer.
For each transformed feature p = [w̃ (10), h̃ (10), d̃ (9)]; w̃ and h̃ are divided by √50 (the hidden width), d̃ is not.

Spline on [−B, B], B = 3, K = 10; outside, identity with log-derivative 0 (both ends belong to the inside):

    w = 10⁻³ + (1 − K·10⁻³)·softmax(w̃);  knots x_0 = −B, x_k = −B + 2B Σ_{j<k} w_j, x_K = B exactly; Δx_k = x_{k+1} − x_k
    heights, knots y_k likewise from h̃
    slopes δ_0 = δ_K = 1 (10⁻³ + softplus(ln(e^{1 − 10⁻³} − 1))), δ_k = 10⁻³ + softplus(d̃_{k−1}) for k = 1…9

With k the last bin whose left knot is ≤ u (u = B falls into bin K − 1), S = Δy_k/Δx_k, ξ = (u − x_k)/Δx_k, η = ξ(1 − ξ),
D = S + (δ_k + δ_{k+1} − 2S)·η:

    value      y_k + Δy_k·(S ξ² + δ_k η) / D
    log slope  2 ln S + ln(δ_{k+1} ξ² + 2 S η + δ_k (1 − ξ)²) − 2 ln D

The coupling's log|det| is the sum of log slopes over its transformed features.

LU linear: z = L·(U·u) + bias, i.e. first U then L. L is unit lower triangular with `lower_entries` below the diagonal, U upper triangular
with `upper_entries` above it, both filled row by row (L: (1,0), (2,0), (2,1), …; U: (0,1), (0,2), …, (1,2), …); diagonal of
U = softplus(`unconstrained_upper_diag`) + 10⁻³. log|det| = Σ ln diag U. Identity initialised: entries and bias zero, diagonal 1.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

W1_FEATURES, W1_HIDDEN, W1_TRANSFORMS = 8, 50, 5
W2_FEATURES, W2_CONTEXT, W2_HIDDEN, W2_TRANSFORMS, W2_BINS, W2_BOUND = 5, 10, 50, 5, 10, 3.0
BATCH = 200
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class MaskedLinear(nn.Linear):
    """Linear layer whose weight is multiplied by a fixed mask in every forward pass."""

    def __init__(self, mask):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.clone())
        with torch.no_grad():
            self.weight.mul_(mask)

    def forward(self, x):
        return F.linear(x, self.weight * self.mask, self.bias)


def made_masks(features, hidden):
    """The three masks of a MADE with natural input order and ascending hidden degrees."""
    i = torch.arange(1, features + 1)
    d = 1 + (torch.arange(hidden) * (features - 1)) // hidden
    out = i.repeat(2)
    return [
        (d[:, None] >= i[None, :]).float(),
        (d[:, None] >= d[None, :]).float(),
        (out[:, None] > d[None, :]).float(),
    ]


class Maf(nn.ModuleList):
    """W1: masked autoregressive flow, affine transforms with a soft-clipped log-scale."""

    def __init__(self):
        masks = made_masks(W1_FEATURES, W1_HIDDEN)
        super().__init__(nn.ModuleList([MaskedLinear(m) for m in masks]) for _ in range(W1_TRANSFORMS))

    def stages(self, x, _context):
        """Yield (output, log|det|) after every transform."""
        for t, (first, second, last) in enumerate(self):
            u = x if t == 0 else x.flip(1)
            out = last(torch.tanh(second(torch.tanh(first(u)))))
            mu, a = out[:, :W1_FEATURES], out[:, W1_FEATURES:]
            s = a / (1.0 + a.abs() / math.log(1000.0))
            x = (u - mu) * torch.exp(-s)
            yield x, -s.sum(1)

    def forward(self, x, context):
        return log_density(self, x, context)


def log_density(model, x, context):
    """log q of every row, from the stages of a model."""
    total = 0.0
    for x, logdet in model.stages(x, context):
        total = total + logdet
    return total + (-0.5 * x.square() - HALF_LOG_2PI).sum(1)


def build_w2(dense):
    """W2 from nflows, built as sbi builds it. `dense` replaces the spline's boolean indexing by torch.where, which computes the same
    numbers and lets torch.compile take the whole step as one graph."""
    from functools import partial

    from nflows import distributions, flows, transforms
    from nflows.nn import nets
    from nflows.utils.torchutils import create_alternating_binary_mask

    class DenseCoupling(transforms.PiecewiseRationalQuadraticCouplingTransform):
        def _piecewise_cdf(self, inputs, transform_params, inverse=False):
            if inverse:
                raise NotImplementedError("only the density direction is benchmarked")
            return dense_spline(inputs, transform_params, self.num_bins, self.tail_bound, self.transform_net.hidden_features)

    coupling = DenseCoupling if dense else transforms.PiecewiseRationalQuadraticCouplingTransform
    conditioner = partial(
        nets.ResidualNet,
        hidden_features=W2_HIDDEN,
        context_features=W2_CONTEXT,
        num_blocks=2,
        activation=torch.relu,
        dropout_probability=0.0,
        use_batch_norm=False,
    )
    layers = []
    for n in range(W2_TRANSFORMS):
        layers.append(
            coupling(
                mask=create_alternating_binary_mask(features=W2_FEATURES, even=(n % 2 == 0)),
                transform_net_create_fn=conditioner,
                num_bins=W2_BINS,
                tails="linear",
                tail_bound=W2_BOUND,
                apply_unconditional_transform=False,
            )
        )
        layers.append(transforms.LULinear(W2_FEATURES, identity_init=True))
    base = distributions.StandardNormal((W2_FEATURES,))
    base._log_z = base._log_z.float()  # as sbi does
    return flows.Flow(transforms.CompositeTransform(layers), base)


def dense_spline(u, params, bins, bound, hidden):
    """Rational-quadratic spline with linear tails for all inputs at once; the formulae of the module's docstring."""
    floor = 1e-3
    scale = 1.0 / math.sqrt(hidden)
    inside = (u >= -bound) & (u <= bound)
    v = u.clamp(-bound, bound)

    def knots(logits):
        share = floor + (1.0 - floor * bins) * torch.softmax(logits * scale, dim=-1)
        inner = 2.0 * bound * torch.cumsum(share, dim=-1)[..., :-1] - bound
        edge = torch.full_like(inner[..., :1], bound)
        return torch.cat((-edge, inner, edge), dim=-1)

    xk, yk = knots(params[..., :bins]), knots(params[..., bins : 2 * bins])
    inner_slopes = floor + F.softplus(params[..., 2 * bins :])
    one = torch.ones_like(inner_slopes[..., :1])
    slopes = torch.cat((one, inner_slopes, one), dim=-1)
    k = ((v[..., None] >= xk[..., :-1]).sum(-1, keepdim=True) - 1).clamp(0, bins - 1)

    def at(table, index):
        return table.gather(-1, index)[..., 0]

    x0, y0, d0, d1 = at(xk, k), at(yk, k), at(slopes, k), at(slopes, k + 1)
    dx, dy = at(xk, k + 1) - x0, at(yk, k + 1) - y0
    s = dy / dx
    xi = (v - x0) / dx
    eta = xi * (1.0 - xi)
    den = s + (d0 + d1 - 2.0 * s) * eta
    value = y0 + dy * (s * xi.square() + d0 * eta) / den
    slope = s.square() * (d1 * xi.square() + 2.0 * s * eta + d0 * (1.0 - xi).square())
    logabsdet = torch.log(slope) - 2.0 * torch.log(den)
    return torch.where(inside, value, u), torch.where(inside, logabsdet, torch.zeros_like(u))


class Nsf(nn.Module):
    """W2 behind the same interface as `Maf`."""

    def __init__(self, dense=False):
        super().__init__()
        self.flow = build_w2(dense)

    def stages(self, x, context):
        """Yield (output, log|det|) after every coupling and every LU linear."""
        for transform in self.flow._transform._transforms:
            x, logdet = transform(x, context)
            yield x, logdet

    def forward(self, x, context):
        return self.flow.log_prob(x, context)


def build(workload, seed, dense=False):
    """Model, inputs and context of a workload, float32, reproducible from the seed with one torch version.

    Parameters are the library's initial values plus noise, so that the splines, the gates and the linear maps are all away from
    the special points at which they start (identity maps, nearly zero blocks)."""
    torch.manual_seed(seed)
    if workload == "W1":
        model = Maf()
        mix = torch.eye(W1_FEATURES) + 0.3 * torch.randn(W1_FEATURES, W1_FEATURES)
        x, context = torch.randn(BATCH, W1_FEATURES) @ mix, None
    elif workload == "W2":
        model = Nsf(dense)
        with torch.no_grad():
            for name, p in model.named_parameters():
                spread = 0.2 if "final_layer" in name or "entries" in name or "diag" in name else 0.05
                p.add_(spread * torch.randn_like(p))
        mix = torch.eye(W2_FEATURES) + 0.3 * torch.randn(W2_FEATURES, W2_FEATURES)
        context = torch.randn(BATCH, W2_CONTEXT)
        # Wide enough that a few values of every feature lie outside the spline's interval.
        x = torch.randn(BATCH, W2_FEATURES) @ mix + 0.5 * context[:, :W2_FEATURES]
    else:
        raise ValueError(f"unknown workload {workload!r}: W1 or W2")
    return model, x, context


def parameter_names(model):
    """Names as torch knows them, without the wrapper's own prefix."""
    return [(name.removeprefix("flow."), p) for name, p in model.named_parameters()]
