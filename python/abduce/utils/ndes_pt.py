"""Nets by their names: what runners take as `nets`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from ..embedding import Embedding, embedding_of

__all__ = ["Net", "load_nde_lampe", "load_nde_pydelfi", "load_nde_sbi"]


@dataclass
class Net:
    """One net of an ensemble: a model with its arguments, in the words of the YAML files."""

    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    embedding: Embedding | None = None
    signature: str = ""
    engine: str = "NPE"
    backend: str = "sbi"

    def config(self) -> dict[str, Any]:
        """Its entry in `model.nets`."""
        entry = {"model": self.model, **self.arguments}
        return {**entry, "signature": self.signature} if self.signature else entry


def _nets(backend: str, engine: str, model: str, embedding_net: Any, repeats: int, arguments: dict[str, Any]) -> list[Net]:
    embedding = embedding_of(embedding_net)
    return [Net(model.lower(), dict(arguments), embedding, engine=engine, backend=backend) for _ in range(int(repeats))]


def load_nde_sbi(engine: str, model: str, embedding_net: Any = None, repeats: int = 1, **model_args: Any) -> list[Net]:
    """`repeats` nets of the model `mdn`, `maf`, `nsf`, `made`, … (engines NPE, NLE) or `linear`, `mlp`, `resnet` (NRE), with sbi's defaults."""
    return _nets("sbi", engine, model, embedding_net, repeats, model_args)


def load_nde_lampe(
    model: str,
    embedding_net: Any = None,
    device: str = "cpu",
    x_normalize: bool = True,
    theta_normalize: bool = True,
    engine: str = "NPE",
    repeats: int = 1,
    **model_args: Any,
) -> list[Net]:
    """`repeats` nets with lampe's defaults."""
    if not (x_normalize and theta_normalize):
        warnings.warn("data and parameters are always normalised, by the training rows", stacklevel=2)
    return _nets("lampe", engine, model, embedding_net, repeats, model_args)


def load_nde_pydelfi(n_params: int, n_data: int, model: str, index: int = 0, engine: str = "NLE", **model_args: Any) -> list[Net]:
    """A net with pydelfi's defaults; sizes come from the data."""
    return _nets("pydelfi", engine, model, None, 1, model_args)
