"""Posteriors: draws, densities, maxima, pictures."""

from __future__ import annotations

import json
import math
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _html, _native
from ._arrays import Numbers, float32, float64, numbers
from ._random import seed_of
from .chains import to_arviz, to_getdist
from .figures import Figure
from .utils.distributions_pt import Prior

if TYPE_CHECKING:
    from ._native import AbcPosterior as _Sample
    from ._native import Parameter as _Parameter
    from ._native import Posterior as _Networks

__all__ = ["AbcPosterior", "Distribution", "Posterior"]

# Words of sbi for what we call otherwise.
_PARAMS = {"warmup_steps": "burn_in"}
_IGNORED = {"show_progress_bars", "init_strategy", "num_workers", "mcmc_parameters", "max_sampling_batch_size"}


def draws_of(shape: Any) -> int:
    """The number of draws in a shape of sbi's: an int, a tuple, or a `torch.Size`; of nothing, one."""
    return int(shape) if isinstance(shape, (int, np.integer)) else math.prod(int(n) for n in shape)


class Distribution:
    """What every posterior is: parameters with names and a prior, and draws of them."""

    _native: _Networks | _Sample

    @property
    def prior(self) -> Prior:
        """p(θ)."""
        return Prior(json.loads(self._native.prior_spec))

    @property
    def name(self) -> str:
        """Prefix of its files."""
        return self._native.name

    @property
    def names(self) -> list[str]:
        """Names of the parameters."""
        return [name for name, _unit, _label in self._native.parameters]

    @property
    def labels(self) -> list[str]:
        """LaTeX of the parameters, without dollar signs; the name where there is none."""
        return [label or name for name, _unit, label in self._native.parameters]

    @property
    def dimension(self) -> int:
        """Number of parameters."""
        return self._native.dimension

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one datum."""
        return tuple(self._native.x_shape)

    def sample(self, shape: Any = (), x: Any = None, *, seed: int | None = None, **params: Any) -> Numbers:
        """Draws for one observation, (n, d)."""
        raise NotImplementedError

    def corner(self, x: Any = None, truth: Any = None, draws: int = 5000, seed: int = 0, title: str = "", labels: list[str] | None = None) -> Figure:
        """A corner plot of the posterior of one observation."""
        return self._corner([(self.name or "posterior", float32(self.sample((draws,), x, seed=seed)))], truth, title, labels)

    def getdist(self, x: Any = None, draws: int = 10_000, seed: int = 0, **params: Any) -> Any:
        """Draws as `getdist.MCSamples`, with names, labels and the prior's ranges."""
        return to_getdist(self.sample((draws,), x, seed=seed, **params), self.names, self.labels, self.prior.support, self.name)

    def arviz(self, x: Any = None, draws: int = 10_000, seed: int = 0, **params: Any) -> Any:
        """Draws as `arviz.InferenceData`, a variable per parameter; labels and the prior's ranges are its attributes."""
        samples = self.sample((draws,), x, seed=seed, **params)
        return to_arviz(samples, self.names, self.labels, self.prior.support, getattr(self, "convergence", []))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a `.safetensors` file that the program reads too."""
        self._native.save(os.fspath(path))

    def _labelled(self, labels: list[str] | None) -> list[_Parameter]:
        """The parameters with other labels; LaTeX comes with dollar signs or without."""
        if labels is None:
            return self._native.parameters
        if len(labels) != self.dimension:
            raise _native.ShapeError(f"{len(labels)} labels for {self.dimension} parameters")
        return [(name, unit, str(label)) for (name, unit, _), label in zip(self._native.parameters, labels)]

    def _corner(self, draws: list[tuple[str, np.ndarray]], truth: Any, title: str = "", labels: list[str] | None = None) -> Figure:
        """A corner plot of named draws."""
        truth = None if truth is None else float64(truth).ravel().tolist()
        limits = [(float(low), float(high)) for low, high in self.prior.support]
        return Figure(*_native.corner(self._labelled(labels), limits, draws, truth, title))


class Posterior(Distribution):
    """A trained posterior: an ensemble of networks with weights, or one of them."""

    _native: _Networks

    def __init__(self, native: _Networks, training: list[dict[str, Any]] | None = None) -> None:
        self._native = native
        self._x: np.ndarray | None = None
        # Histories of the nets, where the training is known.
        self.training = training or []
        # R-hat and effective draws of the last chains, one entry per observation.
        self.convergence: list[dict[str, Any]] = []

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
        return [Posterior(self._native.member(k), self.training[k : k + 1]) for k in range(self.num_components)]

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

    def set_default_x(self, x: Any) -> Posterior:
        """The observation that is meant where none is given."""
        self._x = self._observations(x)
        return self

    def at_width(self, width: int) -> Posterior:
        """The posterior given the first `width` summaries of an ordered embedding ([`IOB`][abduce.embedding.IOB])."""
        return Posterior(self._native.at_width(width), self.training)

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
        `thin`, `burn_in` or `warmup_steps`), or from a flow fitted to it (`vi`).

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
        params = {_PARAMS.get(key, key): value for key, value in params.items() if key not in _IGNORED and value is not None}
        if self.normalised and method not in ("vi", "importance"):
            # Exact draws of what chains would converge to.
            method, params = None, {}
        found, report = self._native.sample(self._observations(x), draws_of(shape), seed_of(seed), method, json.dumps(params), threads=threads)
        self.convergence = json.loads(report)
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

    def __reduce__(self) -> Any:
        return (_networks_of, (self._native.to_bytes(), self.training))

    def _observations(self, x: Any) -> np.ndarray:
        if x is None:
            if self._x is None:
                raise _native.ShapeError("there is no observation: give x, or set one with `set_default_x`")
            return self._x
        rows = float32(x)
        if rows.size == 0 or rows.size % math.prod(self.x_shape):
            raise _native.ShapeError(f"x has shape {rows.shape}, this posterior wants data of shape {self.x_shape}")
        return rows.reshape((-1, *self.x_shape))

    def __repr__(self) -> str:
        nets = ", ".join(f"{family} ({weight:.2f})" for family, weight in zip(self._native.families, self._native.weights))
        return f"<{self.engine} posterior of {', '.join(self.names)} given data of shape {self.x_shape}: {nets}>"

    def _repr_html_(self) -> str:
        nets = _html.table(("net", "signature", "weight"), zip(self._native.families, self.signatures, self._native.weights))
        head = f"<b>{self.engine} posterior</b> of {escape(', '.join(self.names))} given data of shape {self.x_shape}"
        return f"<div>{head}{nets}{_training_curves(self.training)}</div>"


class AbcPosterior(Distribution):
    """The approximate posterior of one observation: parameters whose simulations came close to it, with weights."""

    _native: _Sample

    def __init__(self, native: _Sample) -> None:
        self._native = native

    @property
    def theta(self) -> Numbers:
        """Accepted parameters (n, d), corrected by the regression where `lra` was asked for."""
        return numbers(self._native.theta)

    @property
    def weights(self) -> Numbers:
        """Their weights; their sum is 1."""
        return numbers(self._native.weights)

    @property
    def distances(self) -> Numbers:
        """Distances of their simulations from the observation."""
        return numbers(self._native.distances)

    @property
    def x_obs(self) -> Numbers:
        """The observation (data, …): of no other is anything known."""
        return numbers(self._native.x_obs)

    @property
    def summary(self) -> dict[str, Any]:
        """What ABC came to: epsilon, accepted, simulations, effective_draws, the course of the populations, …."""
        found: dict[str, Any] = json.loads(self._native.summary)
        return found

    def sample(self, shape: Any = (), x: Any = None, *, seed: int | None = None, **_: Any) -> Numbers:
        """Draws (n, d): of the kernels where the training was asked for them (`kde=True`), and else the accepted parameters resampled by weight."""
        if x is not None and not np.array_equal(float32(x).ravel(), self.x_obs.ravel()):
            raise _native.ShapeError("an ABC sample knows the posterior of its own observation alone, and this is another")
        return numbers(self._native.sample(draws_of(shape), seed_of(seed)))

    def log_prob(self, theta: Any, x: Any = None, **_: Any) -> Numbers:
        """ln of the kernels' density at θ (n, d).

        Raises:
            SamplerError: the training was not asked for kernels.
        """
        return numbers(self._native.log_prob(float64(theta).reshape(-1, self.dimension)))

    def __reduce__(self) -> Any:
        return (_sample_of, (self._native.to_bytes(),))

    def __repr__(self) -> str:
        found = self.summary
        counts = f"{found['accepted']} of {found['simulations']} simulations, worth {found['effective_draws']:.0f} draws"
        return f"<ABC posterior of {', '.join(self.names)}: {counts}>"

    def _repr_html_(self) -> str:
        found = self.summary
        rows = [(key, found[key]) for key in ("epsilon", "accepted", "simulations", "failed", "effective_draws")]
        return f"<div><b>ABC posterior</b> of {escape(', '.join(self.names))}{_html.table(('', ''), rows)}</div>"


def _networks_of(content: bytes, training: list[dict[str, Any]]) -> Posterior:
    native = _native.from_bytes(content)
    assert isinstance(native, _native.Posterior)
    return Posterior(native, training)


def _sample_of(content: bytes) -> AbcPosterior:
    native = _native.from_bytes(content)
    assert isinstance(native, _native.AbcPosterior)
    return AbcPosterior(native)


def _training_curves(training: list[dict[str, Any]]) -> str:
    """Validation scores by epoch."""
    lines = [[epoch["validation"] for epoch in net["history"] if np.isfinite(epoch["validation"])] for net in training]
    values = [value for line in lines for value in line]
    if len(values) < 2:
        return ""
    # The first epochs would leave the rest flat.
    low, high = float(np.quantile(values, 0.05)), max(values)
    return _html.curves(lines, low, high, f"held-out score by epoch, up to {high:.3f}")


def of_file(path: Path, training: list[dict[str, Any]]) -> Any:
    """The model in a `.safetensors` file: networks, the sample of ABC, or a compressor."""
    from .codes import Compressor

    native = _native.load(os.fspath(path))
    if isinstance(native, _native.Posterior):
        return Posterior(native, training)
    return AbcPosterior(native) if isinstance(native, _native.AbcPosterior) else Compressor(native, path.parent)
