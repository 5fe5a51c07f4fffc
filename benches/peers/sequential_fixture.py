"""sequential_fixture.py OUT.safetensors: two plain torch networks with inputs and outputs, for the test of weight imports.

  python benches/peers/sequential_fixture.py crates/abduce-nn/tests/fixtures/sequential.safetensors
"""

import json
import struct
import sys

import torch
from torch import nn


def write(path, tensors):
    """The safetensors container: length of the header, header, data."""
    header, data = {}, b""
    for name, t in tensors.items():
        raw = t.detach().contiguous().float().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


torch.manual_seed(3)
networks = {
    "a.": (
        nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
            nn.GroupNorm(3, 3),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16, 5),
            nn.LayerNorm(5),
            nn.GELU(),
            nn.Dropout(),
            nn.Linear(5, 2, bias=False),
        ),
        torch.randn(3, 2, 8, 8),
    ),
    "b.": (
        nn.Sequential(
            nn.Linear(5, 12),
            nn.Tanh(),
            nn.Unflatten(1, (3, 4)),
            nn.ConvTranspose1d(3, 2, 3, stride=2, padding=1, output_padding=1),
            nn.AvgPool1d(3),
            nn.Conv1d(2, 2, 2),
            nn.AdaptiveAvgPool1d(1),
        ),
        torch.randn(3, 5),
    ),
}
tensors = {}
for prefix, (net, x) in networks.items():
    net.eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if p.dim() == 1:
                p.add_(0.3 * torch.randn(p.shape))
            tensors[prefix + name] = p
        tensors[f"input {prefix}"], tensors[f"output {prefix}"] = x, net(x)
write(sys.argv[1], tensors)
