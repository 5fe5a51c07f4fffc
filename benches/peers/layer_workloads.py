"""The networks of `cargo xtask verify layers` in torch. Each takes x and is trained on mean((net(x) - target)²).

CNN      auto-encoder of 32 x 32 images with 1 channel, batch 64 (the 2-disk network of the information-ordered bottleneck): convolutions 1-12-24-48
         (kernel 4, stride 2, padding 1, ReLU), flattened as (positions, channels), dense 768-256-128-16, dense 16-128-256-768 with ReLU, and
         transposed convolutions 48-24-12-1 (kernel 4, stride 2, padding 1, ReLU between)
W3       8 x (convolution 3 x 3 of 32 channels, GroupNorm(8), SiLU) on 16 x 32 x 32 x 32
W4       conv3d 1-32-32 (3 x 3 x 3, SiLU between), 32³, batch 4
W5       4 transformer blocks (normalised before; width 256, 4 heads, inner width 1024, GELU) and a LayerNorm, on 8 x 128 tokens
CONV512  two convolutions 3 x 3 of 512 channels with SiLU between, 8 x 512 x 16 x 16

`small` gives narrow forms of the same networks for the fixtures of the tests.
"""

import torch
from torch import nn
from torch.nn import functional as F


class ChannelsLast(nn.Module):
    """(batch, channels, extent...) -> (batch, extent... · channels)"""

    def forward(self, x):
        return x.movedim(1, -1).flatten(1)


class ToImage(nn.Module):
    """(batch, size · size · channels) -> (batch, channels, size, size)"""

    def __init__(self, size, channels):
        super().__init__()
        self.size, self.channels = size, channels

    def forward(self, x):
        return x.view(-1, self.size, self.size, self.channels).movedim(-1, 1)


class Block(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        # In the order of our parameters.
        self.norm0 = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm1 = nn.LayerNorm(width)
        self.feed0, self.feed1 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, h):
        def split(x):
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        a = self.norm0(h)
        o = F.scaled_dot_product_attention(split(self.query(a)), split(self.key(a)), split(self.value(a)))
        h = h + self.out(o.transpose(1, 2).flatten(2))
        return h + self.feed1(F.gelu(self.feed0(self.norm1(h))))


def build(name, small=False):
    """The network, a batch and its target, from the seed 1."""
    torch.manual_seed(1)
    if name == "CNN":
        # Channels, size, dense widths, batch.
        c, size, dense, batch = ((3, 4, 6), 16, (12, 8, 4), 5) if small else ((12, 24, 48), 32, (256, 128, 16), 64)
        flat = c[2] * (size // 8) ** 2
        half = [nn.Conv2d(a, b, 4, 2, 1) for a, b in zip((1, *c), c)]
        up = [nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(c[::-1], (*c[1::-1], 1))]
        widths = (flat, *dense, *dense[1::-1], flat)
        layers = [m for conv in half for m in (conv, nn.ReLU())] + [ChannelsLast()]
        for k, (a, b) in enumerate(zip(widths, widths[1:])):
            layers += [nn.Linear(a, b)] + ([] if k == 2 else [nn.ReLU()])
        layers += [ToImage(size // 8, c[2])] + [m for conv in up for m in (conv, nn.ReLU())][:-1]
        shape = (batch, 1, size, size)
    elif name == "W3":
        c, g, n, size, batch = (6, 3, 3, 5, 2) if small else (32, 8, 8, 32, 16)
        layers = [m for _ in range(n) for m in (nn.Conv2d(c, c, 3, 1, 1), nn.GroupNorm(g, c), nn.SiLU())]
        shape = (batch, c, size, size)
    elif name == "W4":
        c, size, batch = (5, 4, 2) if small else (32, 32, 4)
        layers = [nn.Conv3d(1, c, 3, 1, 1), nn.SiLU(), nn.Conv3d(c, c, 3, 1, 1)]
        shape = (batch, 1, size, size, size)
    elif name == "W5":
        width, heads, inner, n, batch, tokens = (8, 2, 12, 2, 2, 7) if small else (256, 4, 1024, 4, 8, 128)
        layers = [Block(width, heads, inner) for _ in range(n)] + [nn.LayerNorm(width)]
        shape = (batch, tokens, width)
    elif name == "CONV512":
        c, size, batch = (10, 4, 2) if small else (512, 16, 8)
        layers = [nn.Conv2d(c, c, 3, 1, 1), nn.SiLU(), nn.Conv2d(c, c, 3, 1, 1)]
        shape = (batch, c, size, size)
    else:
        raise SystemExit(f"no workload {name}")
    net = nn.Sequential(*layers)
    x = torch.randn(shape)
    with torch.no_grad():
        target = torch.randn(net(x).shape)
        # Gains and shifts off their starts, so that a confusion of the two shows.
        for p in net.parameters():
            if p.dim() == 1:
                p.add_(0.2 * torch.randn(p.shape))
    return net, x, target


def loss_of(net, x, target):
    return ((net(x) - target) ** 2).mean()


def channels_last(x):
    """An array (batch, channels, extent...) as (batch, extent..., channels); sequences are so already."""
    return x.movedim(1, -1).contiguous() if x.dim() != 3 else x


def in_our_order(net):
    """(name, parameter, its permutation to our order) for all parameters: weights of convolutions and of linear maps of tokens channels last."""
    tokens = any(isinstance(m, Block) for m in net)
    for name, module in net.named_modules():
        for key, p in module.named_parameters(recurse=False):
            axes = tuple(range(p.dim()))
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)) and key == "weight":
                axes = (*axes[2:], 1, 0)
            elif isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)) and key == "weight":
                axes = (*axes[2:], 1, 0)
            elif tokens and isinstance(module, nn.Linear) and key == "weight":
                axes = (1, 0)
            yield f"{name}.{key}", p, axes
