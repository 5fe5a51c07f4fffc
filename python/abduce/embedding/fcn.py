"""Embeddings by their arguments; the nets themselves are built with the density that they serve."""

from __future__ import annotations

from typing import Any

from .._native import ShapeError

__all__ = ["CNN", "FCN", "GNN", "IOB", "DeepSet", "Embedding", "ResNet", "ResidualMLP", "SetTransformer", "Transformer"]


class Embedding:
    """A section `embedding_net` of a YAML file; arguments that are `None` have their defaults."""

    def __init__(self, kind: str, arguments: dict[str, Any]) -> None:
        self.kind = kind
        self.arguments = {key: value for key, value in arguments.items() if value is not None}

    # Channels and axes of a grid whose extent is known with the data alone.
    grid: tuple[int | None, int] | None = None

    def config(self, x_shape: tuple[int, ...] | None = None) -> dict[str, Any]:
        """Its section; for data of the shape `x_shape`, where their extent is part of it."""
        arguments = dict(self.arguments)
        if self.grid is not None and x_shape is not None:
            channels, axes = self.grid
            shape = (1, *x_shape) if len(x_shape) == axes else x_shape
            if len(shape) != axes + 1 or shape[0] != channels:
                raise ShapeError(f"data of shape {x_shape} for convolutions over {axes} axes of {channels} channels")
            arguments["in_shape"] = list(shape)
        return {self.kind: arguments}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Embedding) and self.config() == other.config()

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{type(self).__name__}({arguments})"


class FCN(Embedding):
    """Fully connected layers of the widths `n_hidden`; the last one is the summary and has no activation."""

    def __init__(self, n_hidden: list[int], act_fn: str = "SiLU", n_input: int | None = None) -> None:
        super().__init__("fcn", {"n_hidden": [int(n) for n in n_hidden], "act_fn": act_fn, "n_input": n_input})


class ResidualMLP(Embedding):
    """Fully connected layers with skip connections; the summary has `n_output` numbers."""

    def __init__(self, hidden_features: int, n_output: int, num_blocks: int = 2, act_fn: str = "SiLU") -> None:
        super().__init__("residual_mlp", {"hidden_features": hidden_features, "num_blocks": num_blocks, "n_output": n_output, "act_fn": act_fn})


class IOB(Embedding):
    """Fully connected layers whose summaries are ordered: the first tells most, the second most of what is left (an information-ordered bottleneck).

    `weights` (linear, geometric, log_spaced) say how much each number of summaries counts, with `probability` p of `geometric`; the first `n_fixed`
    values of x are summaries of their own. `posterior.at_width(k)` is the posterior given the first k summaries. Engine NPE.
    """

    def __init__(
        self, n_hidden: list[int], act_fn: str = "SiLU", n_fixed: int | None = None, weights: str | None = None, probability: float | None = None
    ) -> None:
        arguments = {"act_fn": act_fn, "n_fixed": n_fixed, "weights": weights, "probability": probability}
        super().__init__("iob", {"n_hidden": [int(n) for n in n_hidden], **arguments})


class CNN(Embedding):
    """Convolutions of signals, images or volumes of the shape `in_shape` (channels, extent…), then dense layers `n_hiddens`.

    Lists have one entry per convolution: `n_channels`, `kernel_sizes` (3), `strides` (1), `pool_sizes` (1: none). `padding` is valid, same or
    periodic. Without `in_shape` the data are one channel.
    """

    def __init__(
        self,
        n_channels: list[int],
        n_hiddens: list[int],
        in_shape: list[int] | None = None,
        kernel_sizes: list[int] | None = None,
        strides: list[int] | None = None,
        pool_sizes: list[int] | None = None,
        act_fn: str | None = None,
        padding: str | None = None,
    ) -> None:
        lists = {"in_shape": in_shape, "kernel_sizes": kernel_sizes, "strides": strides, "pool_sizes": pool_sizes}
        super().__init__("cnn", {"n_channels": n_channels, "n_hiddens": n_hiddens, **lists, "act_fn": act_fn, "padding": padding})


class ResNet(Embedding):
    """Residual convolutions; every stage of `n_channels` after the first halves the extent. The summary has `n_output` numbers."""

    def __init__(self, n_channels: list[int], n_output: int, **arguments: Any) -> None:
        super().__init__("res_net", {"n_channels": n_channels, "n_output": n_output, **arguments})


class DeepSet(Embedding):
    """Sets (members, features), whatever their order: dense layers `n_features` on every member, pooled (mean, sum, max), and `n_hiddens` on that."""

    def __init__(self, n_features: list[int], n_hiddens: list[int], pooling: str | None = None, **arguments: Any) -> None:
        super().__init__("deep_set", {"n_features": n_features, "n_hiddens": n_hiddens, "pooling": pooling, **arguments})


class SetTransformer(Embedding):
    """Sets (members, features), whatever their order: attention between members, then `n_hiddens`."""

    def __init__(self, hidden_features: int, n_hiddens: list[int], **arguments: Any) -> None:
        super().__init__("set_transformer", {"hidden_features": hidden_features, "n_hiddens": n_hiddens, **arguments})


class Transformer(Embedding):
    """Sequences (tokens, features): attention between tokens, then `n_hiddens`."""

    def __init__(self, hidden_features: int, n_hiddens: list[int], **arguments: Any) -> None:
        super().__init__("transformer", {"hidden_features": hidden_features, "n_hiddens": n_hiddens, **arguments})


class GNN(Embedding):
    """Point clouds (points, features), of which the first `num_axes` features are coordinates: messages between neighbours, then `n_hiddens`."""

    def __init__(self, hidden_features: int, n_hiddens: list[int], **arguments: Any) -> None:
        super().__init__("gnn", {"hidden_features": hidden_features, "n_hiddens": n_hiddens, **arguments})
