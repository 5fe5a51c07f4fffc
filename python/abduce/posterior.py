"""Posteriors: draws, densities, maxima, pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from . import _native
from ._arrays import Numbers, float32, is_floating, numbers
from ._random import seed_of
from .figures import Figure
from .utils.distributions_pt import Prior

__all__ = ["Posterior", "load"]

# Words of sbi for what we call otherwise.
_PARAMS = {"warmup_steps": "burn_in"}
_IGNORED = {"show_progress_bars", "init_strategy", "num_workers", "mcmc_parameters", "max_sampling_batch_size"}


class Posterior:
    """A trained posterior: an ensemble of networks with weights, or one of them."""

    def __init__(self, native: _native.Posterior, training: list[dict[str, Any]] | None = None) -> None:
        self._native = native
        self._x: np.ndarray | None = None
        # Histories of the nets, where the training is known.
        self.training = training or []

    # What it is.

    @property
    def prior(self) -> Prior:
        """p(θ)."""
        return Prior(json.loads(self._native.prior_spec))

    @property
    def weights(self) -> Numbers:
        """Weights of the networks; their sum is 1."""
        return numbers(np.array(self._native.weights))

    @property
    def num_components(self) -> int:
        """Number of networks."""
        return len(self._native.weights)

    @property
    def posteriors(self) -> list[Posterior]:
        """The networks one by one."""
        return [Posterior(self._native.member(k)) for k in range(self.num_components)]

    @property
    def name(self) -> str:
        """Prefix of its files."""
        return self._native.name

    @property
    def signatures(self) -> list[str]:
        """A word for every network, as it was given."""
        return self._native.signatures

    @property
    def engine(self) -> str:
        """`NPE` (a density of θ), `NLE` (a likelihood) or `NRE` (a ratio): what the networks give."""
        return self._native.kind

    @property
    def normalised(self) -> bool:
        """Whether `log_prob` integrates to one; that of a likelihood or ratio lacks the evidence."""
        return self._native.normalised

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        return self._native.names

    @property
    def dimension(self) -> int:
        """Number of parameters."""
        return self._native.dimension

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one datum."""
        return tuple(self._native.x_shape)

    # What it knows.

    def set_default_x(self, x: Any) -> Posterior:
        """The observation that is meant where none is given."""
        self._x = self._observations(x)
        return self

    def sample(
        self,
        shape: Any = (),
        x: Any = None,
        *,
        method: str | None = None,
        seed: int | None = None,
        threads: int | None = None,
        **params: Any,
    ) -> Numbers:
        """Draws for one observation, (n, d).

        A density is drawn from exactly, whatever the method; of a likelihood or ratio by Markov chains (`method` slice, emcee, hmc or nuts; `num_chains`,
        `thin`, `burn_in` or `warmup_steps`).

        Raises:
            SamplerError: chains that can't deliver, with the numbers that show it.
        """
        x = self._observations(x)
        if len(x) != 1:
            raise _native.ShapeError(f"{len(x)} observations: `sample` is for one, `sample_batched` for several")
        return numbers(self.sample_batched(shape, x, method=method, seed=seed, threads=threads, **params)[:, 0])

    def sample_batched(
        self,
        shape: Any,
        x: Any = None,
        *,
        method: str | None = None,
        seed: int | None = None,
        threads: int | None = None,
        **params: Any,
    ) -> Numbers:
        """Draws for every observation in one call, (n, observations, d)."""
        draws = int(np.prod(np.atleast_1d(np.asarray(shape, dtype=int)), dtype=int)) if np.size(shape) else 1
        params = {_PARAMS.get(key, key): value for key, value in params.items() if key not in _IGNORED and value is not None}
        if self.normalised and method not in ("vi", "importance"):
            # Exact draws of what chains would converge to.
            method, params = None, {}
        found, report = self._native.sample(self._observations(x), draws, seed_of(seed), method, json.dumps(params), threads=threads)
        self.convergence: list[dict[str, Any]] = json.loads(report)
        return numbers(np.swapaxes(found, 0, 1))

    def log_prob(self, theta: Any, x: Any = None, *, threads: int | None = None, **_: Any) -> Numbers:
        """log q(θ|x) of θ (n, d): with one observation, or one for every row. Exact and normalised where `normalised` says so."""
        theta = float32(theta).reshape(-1, self.dimension)
        return numbers(self._native.log_prob(theta, self._observations(x), threads=threads))

    def potential(self, theta: Any, x: Any = None, **kwargs: Any) -> Numbers:
        """The same: what is known of the posterior up to a constant."""
        return self.log_prob(theta, x, **kwargs)

    def map(self, x: Any = None, *, seed: int = 0, threads: int | None = None, **_: Any) -> Numbers:
        """The most probable θ of each observation, (observations, d); (d,) for one."""
        theta, _log_prob = self._native.map(self._observations(x), seed, threads=threads)
        return numbers(theta[0] if len(theta) == 1 else theta)

    def corner(self, x: Any = None, truth: Any = None, draws: int = 5000, seed: int = 0, title: str = "") -> Figure:
        """A corner plot of the posterior of one observation."""
        values = float32(self.sample((draws,), x, seed=seed))
        truth = None if truth is None else np.asarray(truth, dtype=float).ravel().tolist()
        return Figure(*_native.corner(self._native, [(self.name or "posterior", values)], truth, title))

    # Where it is kept.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `.safetensors` file that the program reads too."""
        self._native.save(os.fspath(path))

    def __reduce__(self) -> Any:
        return (_from_bytes, (self._native.to_bytes(), self.training))

    def _observations(self, x: Any) -> np.ndarray:
        if x is None:
            if self._x is None:
                raise _native.ShapeError("there is no observation: give x, or set one with `set_default_x`")
            return self._x
        if isinstance(x, (list, tuple)) and x and is_floating(x[0]) and np.ndim(x[0]) > 0:
            x = np.stack([float32(row) for row in x])
        rows = float32(x)
        if rows.size == 0 or rows.size % int(np.prod(self.x_shape)):
            raise _native.ShapeError(f"x has shape {rows.shape}, this posterior wants data of shape {self.x_shape}")
        return rows.reshape(-1, *self.x_shape)

    def __repr__(self) -> str:
        nets = ", ".join(f"{family} ({weight:.2f})" for family, weight in zip(self._native.families, self._native.weights))
        return f"<{self.engine} posterior of {', '.join(self.names)} given data of shape {self.x_shape}: {nets}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{family}</td><td>{signature}</td><td>{weight:.3f}</td></tr>"
            for family, signature, weight in zip(self._native.families, self.signatures, self._native.weights)
        )
        table = f"<table><tr><th>net</th><th>signature</th><th>weight</th></tr>{rows}</table>"
        return f"<div><b>{self.engine} posterior</b> of {', '.join(self.names)} given data of shape {self.x_shape}{table}{_curves(self.training)}</div>"


def _from_bytes(content: bytes, training: list[dict[str, Any]]) -> Posterior:
    return Posterior(_native.Posterior.from_bytes(content), training)


def load(path: str | os.PathLike[str]) -> Posterior:
    """The posterior of a run directory or of a `.safetensors` file, made here or by the program."""
    path = Path(path)
    training: list[dict[str, Any]] = []
    if path.is_dir():
        found = sorted(path.glob("*posterior.safetensors"))
        if len(found) != 1:
            raise FileNotFoundError(f"{path} holds {len(found)} posteriors, not one")
        history = path / "training.json"
        training = json.loads(history.read_text()) if history.exists() else []
        path = found[0]
    return Posterior(_native.Posterior.load(os.fspath(path)), training)


def _points(scores: Iterator[float], low: float, high: float, width: int, height: int) -> str:
    values = list(scores)
    step = width / max(1, len(values) - 1)
    return " ".join(f"{i * step:.1f},{height - height * (min(max(v, low), high) - low) / (high - low):.1f}" for i, v in enumerate(values))


def _curves(training: list[dict[str, Any]]) -> str:
    """Validation scores by epoch, as a small picture."""
    curves = [[epoch["validation"] for epoch in net["history"] if np.isfinite(epoch["validation"])] for net in training]
    values = np.array([v for curve in curves for v in curve])
    if len(values) < 2:
        return ""
    # The first epochs would leave the rest flat.
    low, high = float(np.quantile(values, 0.05)), float(values.max())
    if high <= low:
        return ""
    width, height, colours = 280, 80, ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3")
    lines = "".join(
        f'<polyline fill="none" stroke="{colours[k % len(colours)]}" points="{_points(iter(curve), low, high, width, height)}"/>'
        for k, curve in enumerate(curves)
    )
    caption = f"held-out score by epoch, up to {high:.3f}"
    return f'<div><svg width="{width}" height="{height}" style="border-left:1px solid;border-bottom:1px solid">{lines}</svg><br/><small>{caption}</small></div>'
