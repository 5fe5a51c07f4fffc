"""Metrics: called with a posterior and test pairs, they give figures or draws and write what they are asked to."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _native
from .._arrays import Numbers, float32, numbers
from .._random import seed_of
from ..figures import Figure
from ..posterior import Posterior

__all__ = ["PlotRankStatistics", "PlotSinglePosterior", "PosteriorCoverage", "PosteriorSamples", "TARP"]

# What the entries of `plot_list` stand for, by the names of the files.
_FIGURES = {
    "coverage": ["plot_coverage"],
    "histogram": ["ranks_histogram"],
    "predictions": ["plot_predictions"],
    "tarp": ["plot_TARP"],
    "logprob": ["plot_true_logprobs"],
}


def _matplotlib(figure: Figure) -> Any:
    """A matplotlib figure where matplotlib is there, and the drawing itself where not."""
    try:
        return figure.matplotlib()
    except ImportError as error:
        warnings.warn(str(error), stacklevel=3)
        return figure


@dataclass(eq=False)
class _Metric:
    """What all metrics are told; fields are LtU-ILI's arguments, in its order, and those of subclasses follow."""

    num_samples: int
    sample_method: str = "emcee"
    sample_params: dict[str, Any] | None = None
    labels: list[str] | None = None
    out_dir: str | Path | None = None

    def __post_init__(self) -> None:
        self.num_samples = int(self.num_samples)
        self._params = dict(self.sample_params or {})

    def _draws(self, posterior: Posterior, x: np.ndarray, seed: int) -> Numbers:
        return posterior.sample_batched((self.num_samples,), x, method=self.sample_method, seed=seed, **self._params)

    def _save(self, name: str, write: Any) -> None:
        if self.out_dir is not None:
            folder = Path(self.out_dir)
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / name)


@dataclass(eq=False)
class PosteriorSamples(_Metric):
    """Draws for every test row, (num_samples, n_data, d)."""

    def __call__(
        self, posterior: Posterior, x: Any, theta: Any = None, signature: str = "", x_obs: Any = None, theta_fid: Any = None, seed: int | None = None
    ) -> Numbers:
        samples = self._draws(posterior, float32(x), seed_of(seed))
        self._save(f"{signature}posterior_samples.npy", lambda path: np.save(path, np.asarray(samples)))
        return samples


@dataclass(eq=False)
class PlotSinglePosterior(_Metric):
    """A corner plot of the posterior of one observation: `x_obs`, or a random test row with its truth."""

    save_samples: bool = False
    seed: int | None = None

    def __call__(
        self,
        posterior: Posterior,
        x: Any = None,
        theta: Any = None,
        x_obs: Any = None,
        theta_fid: Any = None,
        signature: str = "",
        lower: Any = None,
        upper: Any = None,
        plot_kws: dict[str, Any] | None = None,
        grid: Any = None,
        name: str | None = None,
        **grid_kws: Any,
    ) -> Any:
        """The figure; pass it back as `grid` to draw another posterior over it."""
        seed = seed_of(self.seed)
        if x_obs is None:
            if x is None:
                raise _native.ShapeError("there is neither an observation nor test data")
            row = int(np.random.default_rng(seed).integers(len(x)))
            x_obs, theta_fid = np.asarray(x)[row], None if theta is None else np.asarray(theta)[row]
        samples = posterior.sample((self.num_samples,), x_obs, method=self.sample_method, seed=seed, **self._params)
        drawn: list[tuple[str, np.ndarray]] = list(getattr(grid, "abduce_draws", []))
        drawn.append((name or posterior.name or f"posterior {len(drawn) + 1}" if drawn else name or posterior.name or "posterior", float32(samples)))
        truth = getattr(grid, "abduce_truth", None) if theta_fid is None else np.asarray(theta_fid, dtype=float).ravel().tolist()
        figure = posterior._corner(drawn, truth, labels=self.labels)
        self._save(f"{signature}plot_single_posterior.png", figure.save)
        if self.save_samples:
            self._save(f"{signature}single_samples.npy", lambda path: np.save(path, np.asarray(samples)[:, None]))
        shown = _matplotlib(figure)
        shown.abduce_draws, shown.abduce_truth, shown.abduce_figure = drawn, truth, figure
        return shown


class PosteriorCoverage(PosteriorSamples):
    """Calibration over all test rows: ranks, coverage, predictions, TARP, log-probabilities; numbers in `metrics`.

    `plot_list` chooses among them, all where it is not given; the other arguments are those of `PosteriorSamples`.
    """

    def __init__(self, plot_list: list[str] | None = None, save_samples: bool = False, **arguments: Any) -> None:
        super().__init__(**arguments)
        unknown = [plot for plot in plot_list or [] if plot not in _FIGURES]
        if unknown:
            raise _native.ConfigError(f"there is no plot `{unknown[0]}`; there are {', '.join(_FIGURES)}")
        self.plot_list = list(plot_list or _FIGURES)
        self.save_samples = save_samples
        # Every number of the last call, as in metrics.json.
        self.metrics: dict[str, Any] = {}

    def __call__(  # type: ignore[override]
        self,
        posterior: Posterior,
        x: Any,
        theta: Any,
        x_obs: Any = None,
        theta_fid: Any = None,
        signature: str = "",
        references: str = "random",
        metric: str = "euclidean",
        num_alpha_bins: int | None = None,
        num_bootstrap: int = 100,
        norm: bool = True,
        bootstrap: bool = True,
        seed: int | None = None,
    ) -> list[Any]:
        """The figures of `plot_list`."""
        seed = seed_of(seed)
        draws = {"num_samples": self.num_samples, "sample_method": self.sample_method, "sample_params": self._params}
        config = {"metrics": {"coverage": {"posterior_coverage": {**draws, "plot_list": self.plot_list}}}}
        metrics, curves, notes = _native.validate(posterior._native, float32(theta), float32(x), json.dumps(config), seed)
        self.metrics = json.loads(metrics)
        for note in notes:
            warnings.warn(note, stacklevel=2)
        figures = []
        for plot in self.plot_list:
            for name in _FIGURES[plot]:
                drawn = _native.validation_figure(posterior._labelled(self.labels), metrics, curves, name)
                if drawn is not None:
                    figure = Figure(*drawn)
                    self._save(f"{signature}{name}.png", figure.save)
                    figures.append(_matplotlib(figure))
        self._save(f"{signature}metrics.json", lambda path: path.write_text(metrics))
        if "logprob" in self.plot_list:
            values = posterior.log_prob(float32(theta), float32(x)) if posterior.normalised else None
            if values is not None:
                self._save(f"{signature}true_logprobs.npy", lambda path: np.save(path, np.asarray(values)))
        if self.save_samples:
            samples = self._draws(posterior, float32(x), seed)
            self._save(f"{signature}posterior_samples.npy", lambda path: np.save(path, np.asarray(samples)))
        return figures


class PlotRankStatistics(PosteriorCoverage):
    """Older name: ranks, coverage and predictions."""

    def __init__(self, num_samples: int, **arguments: Any) -> None:
        super().__init__(["coverage", "histogram", "predictions"], num_samples=num_samples, **arguments)


class TARP(PosteriorCoverage):
    """Older name: TARP coverage alone."""

    def __init__(self, num_samples: int, **arguments: Any) -> None:
        super().__init__(["tarp"], num_samples=num_samples, **arguments)
