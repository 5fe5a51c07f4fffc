"""Samplers of a posterior: `sample(nsteps, x)` gives (nsteps, d)."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DirectSampler", "EmceeSampler", "PyroSampler", "VISampler"]


class _Sampler:
    method: str | None = None

    def __init__(self, posterior: Any, **params: Any) -> None:
        self.posterior = posterior
        self.params = params

    def sample(self, nsteps: int, x: Any, progress: bool = False, **_: Any) -> np.ndarray:
        """`nsteps` draws for the observation x."""
        return np.asarray(self.posterior.sample((nsteps,), x, method=self.method, **self.params))


class EmceeSampler(_Sampler):
    """Affine-invariant stretch moves of an ensemble of walkers."""

    method = "emcee"

    def __init__(self, posterior: Any, num_chains: int = -1, thin: int = 10, burn_in: int = 100) -> None:
        super().__init__(posterior, num_chains=num_chains, thin=thin, burn_in=burn_in)


class PyroSampler(_Sampler):
    """Markov chains by `method`: slice_np, slice_np_vectorized, hmc or nuts."""

    def __init__(self, posterior: Any, num_chains: int = -1, thin: int = 10, burn_in: int = 100, method: str = "slice_np_vectorized") -> None:
        super().__init__(posterior, num_chains=num_chains, thin=thin, burn_in=burn_in)
        self.method = method


class DirectSampler(_Sampler):
    """Exact draws of a density."""

    method = "direct"


class VISampler(_Sampler):
    """A variational posterior, fitted anew to every observation."""

    method = "vi"

    def __init__(self, posterior: Any, dist: str = "maf", **train_kwargs: Any) -> None:
        super().__init__(posterior, dist=dist, **train_kwargs)
