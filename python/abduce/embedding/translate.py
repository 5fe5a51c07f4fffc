"""Torch modules of plain layers as embeddings of ours. Weights start anew: what is taken over is the architecture.

Torch itself is not needed: layers are known by the names of their classes and the attributes that torch documents.
"""

from __future__ import annotations

from typing import Any

from .._native import ConfigError
from .fcn import CNN, FCN, Embedding

__all__ = ["embedding_of"]

# Activations, with the settings that ours have.
_ACTIVATIONS: dict[str, dict[str, Any]] = {
    "SiLU": {},
    "ReLU": {},
    "LeakyReLU": {"negative_slope": 0.01},
    "ELU": {"alpha": 1.0},
    "GELU": {"approximate": "none"},
    "Tanh": {},
    "Sigmoid": {},
    "Softplus": {"beta": 1, "threshold": 20},
    "Mish": {},
}
_CONVOLUTIONS = ("Conv1d", "Conv2d", "Conv3d")
_POOLS = ("MaxPool1d", "MaxPool2d", "MaxPool3d")
_OURS = "FCN, ResidualMLP, IOB, CNN (1 to 3 axes), ResNet, DeepSet, SetTransformer, Transformer, GNN"


class _Untranslatable(Exception):
    """Why a module has no equivalent."""


def _flat(module: Any) -> list[Any]:
    """Layers in their order: of a Sequential, whose order is its meaning, and of a single layer. What another module does with its parts is unknown."""
    if type(module).__name__ == "Sequential":
        return [layer for child in module.children() for layer in _flat(child)]
    return [module]


def _one(value: Any, what: str) -> int:
    """A number that is the same along all axes."""
    values = set(value) if isinstance(value, (tuple, list)) else {value}
    if len(values) != 1:
        raise _Untranslatable(f"its {what} {tuple(value)} differs between axes")
    return int(values.pop())


def _activation(found: set[str]) -> str:
    if len(found) > 1:
        raise _Untranslatable(f"it has several kinds of activation: {', '.join(sorted(found))}")
    return found.pop() if found else "SiLU"


def _plain(layer: Any, settings: dict[str, Any]) -> None:
    for key, expected in settings.items():
        value = getattr(layer, key, expected)
        if value != expected:
            raise _Untranslatable(f"{type(layer).__name__} has {key}={value}, where ours have {expected}")


def _padding(layer: Any, kernel: int, stride: int) -> str:
    """valid, same or periodic."""
    given = getattr(layer, "padding", 0)
    width = {"valid": 0, "same": (kernel - 1) // 2}[given] if isinstance(given, str) else _one(given, "padding")
    if width == 0 and kernel > 1:
        return "valid"
    if 2 * width != kernel - 1 or stride != 1:
        raise _Untranslatable(f"{type(layer).__name__} pads by {width} with a kernel of {kernel} and a stride of {stride}: ours keep the extent or trim it")
    mode = getattr(layer, "padding_mode", "zeros")
    if mode not in ("zeros", "circular"):
        raise _Untranslatable(f"{type(layer).__name__} has padding_mode={mode!r}")
    return "same" if mode == "zeros" else "periodic"


def _translated(module: Any) -> Embedding:
    """Convolutions, each with an activation and perhaps a pool, then Linear layers with activations between them."""
    channels: list[int] = []
    kernels: list[int] = []
    strides: list[int] = []
    pools: list[int] = []
    paddings: set[str] = set()
    widths: list[int] = []
    activations: set[str] = set()
    inputs: int | None = None
    axes = 0
    # What the last layer was: an activation belongs to the one before it.
    last = ""
    for layer in _flat(module):
        name = type(layer).__name__
        if name in ("Flatten", "Identity"):
            continue
        if name in _CONVOLUTIONS:
            if widths:
                raise _Untranslatable("a convolution stands behind a Linear layer")
            if channels and last == "convolution":
                raise _Untranslatable("two convolutions follow each other without an activation")
            _plain(layer, {"groups": 1, "transposed": False})
            kernel, stride = _one(layer.kernel_size, "kernel_size"), _one(getattr(layer, "stride", 1), "stride")
            if _one(getattr(layer, "dilation", 1), "dilation") != 1:
                raise _Untranslatable("a convolution is dilated")
            paddings.add(_padding(layer, kernel, stride))
            axes = int(name[4])
            inputs = int(layer.in_channels) if inputs is None else inputs
            channels.append(int(layer.out_channels))
            kernels.append(kernel)
            strides.append(stride)
            pools.append(1)
            last = "convolution"
        elif name in _POOLS:
            if last != "convolution activation" or pools[-1] != 1:
                raise _Untranslatable("a MaxPool stands elsewhere than behind the activation of a convolution")
            pool = _one(layer.kernel_size, "kernel_size")
            step = getattr(layer, "stride", None)
            _plain(layer, {"dilation": 1, "padding": 0, "ceil_mode": False})
            if step is not None and _one(step, "stride") != pool:
                raise _Untranslatable("the patches of a MaxPool overlap")
            pools[-1] = pool
            last = "convolution activation pool"
        elif name in ("Linear", "LazyLinear"):
            if last in ("linear", "convolution"):
                raise _Untranslatable(f"a Linear layer follows a {last} without an activation")
            if not channels and not widths:
                inputs = int(getattr(layer, "in_features", 0)) or None
            widths.append(int(layer.out_features))
            last = "linear"
        elif name in _ACTIVATIONS:
            if last not in ("linear", "convolution"):
                raise _Untranslatable(f"{name} stands elsewhere than behind a Linear layer or a convolution")
            _plain(layer, _ACTIVATIONS[name])
            activations.add(name)
            last += " activation"
        else:
            raise _Untranslatable(f"there is no {name} here")
        if name in ("Linear", *_CONVOLUTIONS) and getattr(layer, "bias", None) is None:
            raise _Untranslatable(f"a {name} has no bias, and ours have")
    if last != "linear":
        raise _Untranslatable("its last layer is no Linear, which gives the summary")
    activation = _activation(activations)
    if not channels:
        return FCN(widths, activation, inputs)
    if len(paddings) > 1:
        raise _Untranslatable(f"its convolutions pad in several ways: {', '.join(sorted(paddings))}")
    network = CNN(channels, widths, None, kernels, strides, pools, activation, paddings.pop())
    # The extent is that of the data, known with them: (channels, extent…).
    network.grid = (inputs, axes)
    return network


def embedding_of(value: Any) -> Embedding | None:
    """What can be one: ours, or a torch module of plain layers, which is translated (its weights start anew).

    Raises:
        ConfigError: a module that can't be translated, why, and the names of ours.
    """
    if value is None or type(value).__name__ == "Identity":
        return None
    if isinstance(value, Embedding):
        return value
    if isinstance(value, dict):
        (kind, arguments), = value.items()
        return Embedding(kind, dict(arguments))
    name = f"{type(value).__module__}.{type(value).__name__}"
    try:
        return _translated(value)
    except _Untranslatable as reason:
        raise ConfigError(
            f"an embedding of type {name} can't be used: {reason}. Give one of abduce.embedding ({_OURS}), or a torch Sequential of convolutions "
            "and Linear layers with one kind of activation between them, MaxPool and Flatten, which ends with a Linear"
        ) from None
