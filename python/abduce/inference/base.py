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

__all__ = ["DelfiRunner", "InferenceRunner", "LampeRunner", "Runner", "SBIRunner", "SBIRunnerSequential"]

_SEQUENTIAL = {"SNPE", "SNPE_A", "SNPE_B", "SNLE", "SNRE", "TSNPE", "SNPE_C", "APT", "SNL", "SNLE_A", "SRE", "SNRE_A", "SNRE_B", "SNRE_C", "AALR", "CNRE"}


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
    ) -> None:
        self.prior, self.engine, self.proposal, self.name = prior, engine, proposal, (name or "").rstrip("_")
        self.nets = [net for net in _flat(nets) if net is not None] if nets is not None else []
        self.train_args = dict(train_args or {})
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.threads = threads
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

    def config(self, seed: int | None = None) -> dict[str, Any]:
        """The runner as the section of a YAML file."""
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
            config["embedding_net"] = self.embedding.config()
        return config

    def checked(self, seed: int | None = None) -> str:
        """The configuration as text, checked; what there is to note becomes a warning."""
        text = json.dumps(self.config(seed))
        _resolved, notices = _native.check_infer(text)
        for notice in notices:
            warnings.warn(notice, stacklevel=3)
        return text

    def _folder(self) -> str | None:
        return None if self.out_dir is None else os.fspath(self.out_dir)

    @classmethod
    def from_config(cls, config_path: str | Path, **overrides: Any) -> Any:
        """From an infer YAML file; overrides are merged into it, section by section."""
        return _from_config(cls, from_yaml(config_path, **overrides))

    def __call__(self, loader: Any, seed: int | None = None) -> tuple[Posterior, list[dict[str, Any]]]:
        """Trains on what the loader has; gives the posterior and a summary of each net."""
        text = self.checked(seed)
        x, theta = loader.get_all_data(), loader.get_all_parameters()
        if x is None or theta is None:
            raise _native.ShapeError("the loader has no simulations")
        theta = float32(theta)
        theta = theta.reshape(len(theta), -1)
        if len(theta) != len(x):
            raise _native.ShapeError(f"x has {len(x)} rows and theta has {len(theta)}")
        native, summary, history = _native.train(
            self._with_split(text, loader), theta, float32(x), folder=self._folder(), threads=self.threads, progress=watch(self.name or self.engine)
        )
        return Posterior(native, json.loads(history)), json.loads(summary)

    def _with_split(self, text: str, loader: Any) -> str:
        """A loader's own split, handed over in a file."""
        split = getattr(loader, "split", None)
        if split is None:
            return text
        import tempfile

        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump(split, file)
        config = json.loads(text)
        config["train_args"]["split_file"] = file.name
        return json.dumps(config)


def _from_config(cls: type[Runner], config: dict[str, Any]) -> Any:
    """A runner of a YAML file's content."""
    from ..utils import load_from_config

    model = dict(config.get("model", {}))
    model = {**model, "backend": str(model.pop("module", model.get("backend", "sbi"))).split(".")[0], "engine": model.pop("class", model.get("engine", "NPE"))}

    def prior_of(section: str) -> Prior | None:
        spec = config.get(section)
        if spec is None:
            return None
        found = load_from_config(spec) if "class" in spec else Prior(spec)
        return found if isinstance(found, Prior) else None

    prior = prior_of("prior")
    if prior is None:
        raise _native.ConfigError("the configuration has no prior")
    embedding = config.get("embedding_net")
    if embedding is not None and "class" in embedding:
        embedding = load_from_config({**embedding, "module": "abduce.embedding"})
    nets = [Net(str(net.get("model", "nsf")).lower(), {k: v for k, v in net.items() if k not in ("model", "signature", "repeats")},
                signature=net.get("signature", "")) for net in model.get("nets", []) for _ in range(int(net.get("repeats", 1)))]
    runner = InferenceRunner.load(
        model["backend"],
        model["engine"],
        prior,
        out_dir=config.get("out_dir", config.get("output_path")),
        device=config.get("device", "cpu"),
        name=model.get("name", ""),
        nets=nets or None,
        train_args=config.get("train_args", {}),
        proposal=prior_of("proposal"),
        embedding_net=embedding,
    )
    if not isinstance(runner, cls):
        raise _native.ConfigError(f"the configuration is that of a {type(runner).__name__}, not of a {cls.__name__}")
    return runner


class SBIRunner(Runner):
    """sbi's engines and defaults: NPE, NLE, NRE."""

    backend = "sbi"


class LampeRunner(Runner):
    """NPE with lampe's defaults."""

    backend = "lampe"

    def __init__(self, prior: Prior, nets: Any = None, engine: str = "NPE", train_args: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(prior, engine, nets, train_args, **kwargs)


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
        **kwargs: Any,
    ) -> None:
        if engine_kwargs:
            warnings.warn("`engine_kwargs` have no effect here", stacklevel=2)
        super().__init__(prior, engine, kwargs.pop("nets", config_ndes), train_args, **kwargs)


class SBIRunnerSequential(SBIRunner):
    """Rounds of simulations that close in on one observation. The loader has `get_obs_data` and a simulator."""

    def __call__(self, loader: Any, seed: int | None = None) -> tuple[Posterior, list[dict[str, Any]]]:
        text = self.checked(seed)
        x_obs = loader.get_obs_data()
        if x_obs is None:
            raise _native.ShapeError("a sequential engine needs an observation: `get_obs_data` gives none")
        x_obs = float32(x_obs)
        shape = self._datum_shape(loader, x_obs)
        x_obs = x_obs.reshape(1, *shape)
        simulations = int(getattr(loader, "num_simulations", 1000))

        def simulate(theta: np.ndarray) -> np.ndarray:
            if hasattr(loader, "simulate_at"):
                x = float32(loader.simulate_at(theta)).reshape(len(theta), *shape)
                loader.keep(float32(theta), x)
                return x
            # Any object with `simulate(proposal) -> (theta, x)`: a proposal that gives the parameters that were asked for.
            return float32(loader.simulate(_Given(theta))[1]).reshape(len(theta), *shape)

        native, summary, history = _native.train_rounds(
            text, simulate, np.ascontiguousarray(x_obs), simulations, folder=self._folder(), threads=self.threads
        )
        posterior = Posterior(native, json.loads(history))
        return posterior.set_default_x(x_obs), json.loads(summary)

    @staticmethod
    def _datum_shape(loader: Any, x_obs: np.ndarray) -> tuple[int, ...]:
        x = loader.get_all_data()
        if x is not None and len(x):
            return tuple(np.shape(x)[1:])
        return tuple(x_obs.shape[1:]) if x_obs.ndim > 1 and x_obs.shape[0] == 1 else tuple(x_obs.shape)


class _Given:
    """A proposal with given draws."""

    def __init__(self, theta: np.ndarray) -> None:
        self.theta = theta

    def sample(self, shape: Any = (), **_: Any) -> np.ndarray:
        return self.theta


class InferenceRunner:
    """Finds the runner of a backend and an engine."""

    @classmethod
    def load(
        cls,
        backend: str,
        engine: str,
        prior: Prior,
        out_dir: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        name: str | None = "",
        **kwargs: Any,
    ) -> Any:
        """The runner; `kwargs` are nets, train_args, proposal, signatures, and for pydelfi config_ndes and engine_kwargs."""
        common: dict[str, Any] = {"out_dir": out_dir, "device": device, "name": name}
        backends = ("sbi", "lampe", "pydelfi")
        if backend not in backends:
            raise _native.ConfigError(f"there is no backend `{backend}`; there are {', '.join(backends)}")
        if engine.upper() in _SEQUENTIAL:
            return SBIRunnerSequential(prior, engine, **kwargs, **common)
        if backend == "lampe":
            return LampeRunner(prior, engine=engine, **kwargs, **common)
        if backend == "pydelfi":
            return DelfiRunner(prior, engine=engine, **kwargs, **common)
        return SBIRunner(prior, engine, **kwargs, **common)

    @classmethod
    def from_config(cls, config_path: str | Path, **overrides: Any) -> Any:
        """From an infer YAML file; overrides are merged into it, section by section."""
        return _from_config(Runner, from_yaml(config_path, **overrides))
