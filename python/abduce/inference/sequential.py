"""Engines for one observation, whose simulations are made while they learn."""

from __future__ import annotations

import json
from typing import Any, Callable

import numpy as np

from .. import _native
from .._arrays import float32
from ..posterior import Posterior
from .base import SBIRunner

__all__ = ["SBIRunnerSequential", "observation_of", "simulator_of"]


class _Given:
    """A proposal with given draws."""

    def __init__(self, theta: np.ndarray) -> None:
        self.theta = theta

    def sample(self, shape: Any = (), **_: Any) -> np.ndarray:
        return self.theta


def observation_of(loader: Any, what: str) -> np.ndarray:
    """The observation of a loader as one row (1, …), of the shape of its simulations where it has any."""
    x_obs = loader.get_obs_data()
    if x_obs is None:
        raise _native.ShapeError(f"{what} needs an observation: `get_obs_data` gives none")
    x_obs, x = float32(x_obs), loader.get_all_data()
    if x is not None and len(x):
        return x_obs.reshape(-1, *np.shape(x)[1:])
    return x_obs if x_obs.ndim > 1 and x_obs.shape[0] == 1 else x_obs[None]


def simulator_of(loader: Any, shape: tuple[int, ...]) -> Callable[[np.ndarray], np.ndarray]:
    """θ (n, d) → x (n, …) of a loader, which keeps what it simulates."""

    def simulate(theta: np.ndarray) -> np.ndarray:
        if hasattr(loader, "simulate_at"):
            x = float32(loader.simulate_at(theta)).reshape(len(theta), *shape)
            loader.keep(float32(theta), x)
            return x
        # Any object with `simulate(proposal) -> (theta, x)`: a proposal that gives the parameters that were asked for.
        return float32(loader.simulate(_Given(theta))[1]).reshape(len(theta), *shape)

    return simulate


class SBIRunnerSequential(SBIRunner):
    """Rounds of simulations that close in on one observation. The loader has `get_obs_data` and a simulator."""

    def __call__(self, loader: Any, seed: int | None = None, *, resume: bool = False) -> tuple[Posterior, list[dict[str, Any]]]:
        """Trains in rounds; gives the posterior, with the observation as its default, and a summary of each net."""
        x_obs = observation_of(loader, "a sequential engine")
        text = self.checked(seed, x_obs.shape[1:])
        simulations = int(getattr(loader, "num_simulations", 1000))
        simulate = simulator_of(loader, x_obs.shape[1:])
        native, summary, history = _native.train_rounds(text, simulate, x_obs, simulations, self._folder(), resume, threads=self.threads)
        posterior = Posterior(native, json.loads(history))
        return posterior.set_default_x(x_obs), json.loads(summary)
