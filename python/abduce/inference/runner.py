"""The runner of a backend and an engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .. import _native
from .._config import from_yaml
from ..utils.distributions_pt import Prior
from ..utils.ndes_pt import Net
from .abc import ABCRunner
from .base import DelfiRunner, LampeRunner, Runner, SBIRunner
from .sequential import SBIRunnerSequential

__all__ = ["InferenceRunner", "of_config"]

_SEQUENTIAL = {"SNPE", "SNPE_A", "SNPE_B", "SNLE", "SNRE", "TSNPE", "SNPE_C", "APT", "SNL", "SNLE_A", "SRE", "SNRE_A", "SNRE_B", "SNRE_C", "AALR", "CNRE"}
_ABC = {"MCABC", "SMCABC", "ABC", "SMC"}


def of_config(cls: type[Runner], config: dict[str, Any]) -> Any:
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
        parameters=config.get("parameters"),
    )
    if not isinstance(runner, cls):
        raise _native.ConfigError(f"the configuration is that of a {type(runner).__name__}, not of a {cls.__name__}")
    return runner


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
        if engine.upper() in _ABC:
            # A file's nets have no meaning without networks.
            given = {key: value for key, value in kwargs.items() if value is not None and key not in ("nets", "embedding_net", "signatures")}
            return ABCRunner(prior, engine, **given, **common)
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
        return of_config(Runner, from_yaml(config_path, **overrides))
