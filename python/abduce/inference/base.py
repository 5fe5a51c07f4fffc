"""Runners of every backend: they differ in their defaults alone."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .. import _native
from .._arrays import float32
from .._config import from_yaml
from .._progress import watch
from ..embedding import Embedding, embedding_of
from ..posterior import Posterior
from ..utils.distributions_pt import Prior
from ..utils.ndes_pt import Net

__all__ = ["DelfiRunner", "LampeRunner", "Runner", "SBIRunner", "simulations_of"]


def _flat(nets: Any) -> list[Any]:
    """Lists of lists of nets as one list."""
    if isinstance(nets, (list, tuple)):
        return [net for entry in nets for net in _flat(entry)]
    return [nets]


class Runner:
    """Trains an ensemble of nets."""

    backend: ClassVar[str] = "sbi"

    def __init__(
        self,
        prior: Prior,
        engine: str,
        nets: Any = None,
        train_args: dict[str, Any] | None = None,
        out_dir: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        proposal: Prior | None = None,
        name: str | None = "",
        signatures: list[str] | None = None,
        embedding_net: Any = None,
        threads: int | None = None,
        parameters: list[str | dict[str, str]] | None = None,
    ) -> None:
        self.prior, self.engine, self.proposal, self.name = prior, engine, proposal, (name or "").rstrip("_")
        self.nets = [net for net in _flat(nets) if net is not None] if nets is not None else []
        self.train_args = dict(train_args or {})
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.threads = threads
        # Names, or {name, label, unit}.
        self.parameters = [{"name": entry} if isinstance(entry, str) else dict(entry) for entry in parameters or []]
        if device != "cpu":
            warnings.warn(f"device `{device}` is not built in; running on the CPU", stacklevel=3)
        embeddings: list[Embedding] = []
        for net in self.nets:
            if not isinstance(net, (Net, dict)):
                raise _native.ConfigError(f"a net of type {type(net).__name__} can't be used: build nets with `load_nde_sbi` or `load_nde_lampe`")
            own = net.embedding if isinstance(net, Net) else None
            if own is not None and own not in embeddings:
                embeddings.append(own)
        given = embedding_of(embedding_net)
        if given is not None and given not in embeddings:
            embeddings.append(given)
        if len(embeddings) > 1:
            raise _native.ConfigError("the nets of an ensemble share one embedding, and these have several")
        self.embedding = embeddings[0] if embeddings else None
        if signatures is not None:
            if len(signatures) != len(self.nets):
                raise _native.ConfigError(f"{len(signatures)} signatures for {len(self.nets)} nets")
            for net, signature in zip(self.nets, signatures):
                if isinstance(net, Net):
                    net.signature = signature
                else:
                    net["signature"] = signature

    def config(self, seed: int | None = None, x_shape: tuple[int, ...] | None = None) -> dict[str, Any]:
        """The runner as the section of a YAML file, for data of the shape `x_shape`."""
        config: dict[str, Any] = {
            "prior": self.prior.spec,
            "model": {"backend": self.backend, "engine": self.engine, "name": self.name},
            "train_args": self.train_args,
            "seed": 0 if seed is None else int(seed),
        }
        if self.nets:
            config["model"]["nets"] = [net.config() if isinstance(net, Net) else net for net in self.nets]
        if self.proposal is not None:
            config["proposal"] = self.proposal.spec
        if self.embedding is not None:
            config["embedding_net"] = self.embedding.config(x_shape)
        if self.parameters:
            config["parameters"] = self.parameters
        return config

    def checked(self, seed: int | None = None, x_shape: tuple[int, ...] | None = None) -> str:
        """The configuration as text, checked; what there is to note becomes a warning."""
        text = json.dumps(self.config(seed, x_shape))
        _resolved, notices = _native.check_infer(text)
        for notice in notices:
            warnings.warn(notice, stacklevel=3)
        return text

    def _folder(self) -> str | None:
        return None if self.out_dir is None else os.fspath(self.out_dir)

    @classmethod
    def from_config(cls, config_path: str | Path, **overrides: Any) -> Any:
        """From an infer YAML file; overrides are merged into it, section by section."""
        from .runner import of_config

        return of_config(cls, from_yaml(config_path, **overrides))

    def __call__(self, loader: Any, seed: int | None = None, *, resume: bool = False) -> Any:
        """Trains on what the loader has, or goes on with the run in `out_dir`; gives the posterior and a summary of each net."""
        import tempfile

        x, theta = simulations_of(loader)
        text = self.checked(seed, x.shape[1:])
        with tempfile.TemporaryDirectory() as passing, watch(self.name or self.engine) as progress:
            # The name of the file is part of the configuration: in a run directory it stays the same.
            text = _with_split(text, loader, Path(passing) if self.out_dir is None else self.out_dir / "data")
            native, summary, history = _native.train(text, theta, x, self._folder(), resume, threads=self.threads, progress=progress)
        return Posterior(native, json.loads(history)), json.loads(summary)


def _with_split(text: str, loader: Any, folder: Path) -> str:
    """A loader's own split, handed over in a file."""
    split = getattr(loader, "split", None)
    if split is None:
        return text
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "split.json").absolute()
    file.write_text(json.dumps(split))
    config = json.loads(text)
    config["train_args"]["split_file"] = os.fspath(file)
    return json.dumps(config)


def simulations_of(loader: Any) -> tuple[np.ndarray, np.ndarray]:
    """x (n, …) and θ (n, d) of a loader."""
    x, theta = loader.get_all_data(), loader.get_all_parameters()
    if x is None or theta is None:
        raise _native.ShapeError("the loader has no simulations")
    x, theta = float32(x), float32(theta)
    theta = theta.reshape(len(theta), -1)
    if len(theta) != len(x):
        raise _native.ShapeError(f"x has {len(x)} rows and theta has {len(theta)}")
    return x, theta


class SBIRunner(Runner):
    """sbi's engines and defaults: NPE, NLE, NRE."""

    backend = "sbi"


class LampeRunner(Runner):
    """NPE with lampe's defaults."""

    backend = "lampe"

    def __init__(
        self,
        prior: Prior,
        nets: Any = None,
        engine: str = "NPE",
        train_args: dict[str, Any] | None = None,
        out_dir: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        proposal: Prior | None = None,
        name: str | None = "",
        signatures: list[str] | None = None,
        **own: Any,
    ) -> None:
        super().__init__(prior, engine, nets, train_args, out_dir, device, proposal, name, signatures, **own)


class DelfiRunner(Runner):
    """NLE with pydelfi's defaults."""

    backend = "pydelfi"

    def __init__(
        self,
        prior: Prior,
        config_ndes: Any = None,
        engine: str = "NLE",
        engine_kwargs: dict[str, Any] | None = None,
        train_args: dict[str, Any] | None = None,
        out_dir: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        name: str | None = "",
        **own: Any,
    ) -> None:
        if engine_kwargs:
            warnings.warn("`engine_kwargs` have no effect here", stacklevel=2)
        super().__init__(prior, engine, own.pop("nets", config_ndes), train_args, out_dir, device, name=name, **own)
