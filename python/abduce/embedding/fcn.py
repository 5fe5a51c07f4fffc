"""Embeddings by their arguments; the nets themselves are built with the density that they serve."""

from __future__ import annotations

from typing import Any

from .._native import ConfigError

__all__ = ["CNN", "FCN", "Embedding", "ResidualMLP", "embedding_of"]

_ACTIVATIONS = ("SiLU", "ReLU", "LeakyReLU", "ELU", "GELU", "Tanh", "Sigmoid", "Softplus", "Mish")


class Embedding:
    """A section `embedding_net` of a YAML file."""

    def __init__(self, kind: str, arguments: dict[str, Any]) -> None:
        self.kind = kind
        self.arguments = arguments

    def config(self) -> dict[str, Any]:
        return {self.kind: self.arguments}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Embedding) and self.config() == other.config()

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{type(self).__name__}({arguments})"


class FCN(Embedding):
    """Fully connected layers of the widths `n_hidden`; the last one is the summary and has no activation."""

    def __init__(self, n_hidden: list[int], act_fn: str = "SiLU", n_input: int | None = None) -> None:
        arguments: dict[str, Any] = {"n_hidden": [int(n) for n in n_hidden], "act_fn": act_fn}
        if n_input is not None:
            arguments["n_input"] = int(n_input)
        super().__init__("fcn", arguments)


class ResidualMLP(Embedding):
    """Fully connected layers with skip connections; the summary has `n_output` numbers."""

    def __init__(self, hidden_features: int, n_output: int, num_blocks: int = 2, act_fn: str = "SiLU") -> None:
        super().__init__("residual_mlp", {"hidden_features": hidden_features, "num_blocks": num_blocks, "n_output": n_output, "act_fn": act_fn})


class CNN(Embedding):
    """Convolutions of an image of the shape `in_shape` (channels, height, width), then dense layers `n_hiddens`."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__("cnn", arguments)


def _linear_layers(module: Any) -> Embedding | None:
    """A torch Sequential of Flatten, Linear and one kind of activation, as an FCN."""
    layers = list(module.children()) or [module]
    widths: list[int] = []
    activations: list[str] = []
    for layer in layers:
        name = type(layer).__name__
        if name == "Linear":
            widths.append(int(layer.out_features))
        elif name in _ACTIVATIONS:
            activations.append(name)
        elif name not in ("Flatten", "Identity"):
            return None
    last_is_linear = bool(layers) and type(layers[-1]).__name__ == "Linear"
    if not widths or len(set(activations)) > 1 or not last_is_linear or len(activations) != len(widths) - 1:
        return None
    return FCN(widths, activations[0] if activations else "SiLU")


def embedding_of(value: Any) -> Embedding | None:
    """What can be one: ours, or a torch module of plain layers, which is translated (its weights start anew).

    Raises:
        ConfigError: a module that can't be translated, with the names of ours.
    """
    if value is None or isinstance(value, Embedding) or type(value).__name__ == "Identity":
        return value if isinstance(value, Embedding) else None
    if isinstance(value, dict):
        (kind, arguments), = value.items()
        return Embedding(kind, dict(arguments))
    if hasattr(value, "children"):
        translated = _linear_layers(value)
        if translated is not None:
            return translated
    raise ConfigError(
        f"an embedding of type {type(value).__module__}.{type(value).__name__} can't be used: give one of abduce.embedding (FCN, ResidualMLP, CNN), "
        "or a torch Sequential of Flatten, Linear and one kind of activation that ends with a Linear"
    )
