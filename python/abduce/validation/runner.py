"""A posterior through several metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import _native
from .._config import from_yaml
from ..posterior import Posterior
from ..runs import load
from .metrics import PlotRankStatistics, PlotSinglePosterior, PosteriorCoverage, PosteriorSamples, TARP

__all__ = ["ValidationRunner"]

_METRICS = {c.__name__: c for c in (PlotRankStatistics, PlotSinglePosterior, PosteriorCoverage, PosteriorSamples, TARP)}


class ValidationRunner:
    """Calls every metric with the posterior, or with each of its nets where `ensemble_mode` is false."""

    def __init__(
        self,
        posterior: Posterior,
        metrics: dict[str, Any],
        out_dir: str | Path | None = None,
        ensemble_mode: bool = True,
        name: str | None = "",
        signatures: list[str] | None = None,
    ) -> None:
        self.posterior, self.metrics, self.ensemble_mode = posterior, metrics, ensemble_mode
        self.out_dir = None if out_dir is None else Path(out_dir)
        self.name = f"{name.rstrip('_')}_" if name else ""
        self.signatures = signatures or posterior.signatures

    @classmethod
    def from_config(cls, config_path: str | Path, **overrides: Any) -> ValidationRunner:
        """From a val YAML file; overrides are merged into it, section by section."""
        config = from_yaml(config_path, **overrides)
        out_dir = Path(config.get("out_dir", config.get("output_path", ".")))
        file = Path(str(config.get("posterior_file", config.get("posterior_path", "posterior.safetensors"))))
        stem = file.with_suffix(".safetensors") if file.suffix == ".pkl" else file
        found = next((path for path in (out_dir / stem, stem) if path.exists()), None)
        if found is None:
            raise FileNotFoundError(f"there is neither {out_dir / stem} nor {stem}")
        labels = config.get("labels")
        metrics = {}
        for key, metric in config.get("metrics", {}).items():
            if metric["class"] not in _METRICS:
                raise _native.ConfigError(f"metrics.{key}: there is no metric `{metric['class']}`; there are {', '.join(_METRICS)}")
            metrics[key] = _METRICS[metric["class"]](**{"labels": labels, "out_dir": out_dir, **metric.get("args", {})})
        posterior = load(found)
        return cls(posterior, metrics, out_dir, config.get("ensemble_mode", True), posterior.name)

    def __call__(self, loader: Any, seed: int | None = None, **kwargs: Any) -> dict[str, Any]:
        """What every metric gives, by its name; of nets one by one, lists."""
        x, theta = loader.get_all_data(), loader.get_all_parameters()
        x_obs, theta_fid = loader.get_obs_data(), loader.get_fid_parameters()
        if seed is not None:
            np.random.seed(seed % 2**32)

        def call(metric: Any, posterior: Posterior, signature: str) -> Any:
            return metric(posterior=posterior, x=x, theta=theta, x_obs=x_obs, theta_fid=theta_fid, signature=signature, **kwargs)

        if self.ensemble_mode:
            signature = self.name + "".join(f"{signature}_" for signature in self.signatures if signature)
            return {key: call(metric, self.posterior, signature) for key, metric in self.metrics.items()}
        members = self.posterior.posteriors

        def own(k: int) -> str:
            return f"{self.name}net{k}_" + (f"{self.signatures[k]}_" if self.signatures[k] else "")

        return {key: [call(metric, member, own(k)) for k, member in enumerate(members)] for key, metric in self.metrics.items()}
