"""Approximate Bayesian computation: no nets, one observation."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from .. import _native
from .._arrays import Numbers, float32, numbers
from ..posterior import AbcPosterior
from ..utils.distributions_pt import Prior
from .base import Runner, simulations_of
from .sequential import observation_of, simulator_of

__all__ = ["ABCRunner"]


class ABCRunner(Runner):
    """Engines MCABC (rejection) and SMCABC (populations that close in), with sbi's `train_args`.

    Simulations are made by the loader's simulator; MCABC also takes those that a loader without one has.
    """

    def __init__(
        self,
        prior: Prior,
        engine: str = "MCABC",
        train_args: dict[str, Any] | None = None,
        out_dir: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        name: str | None = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(prior, engine, None, train_args, out_dir, device, name=name, **kwargs)
        # That of the last call, with weights, distances and, where `kde` is asked for, a density.
        self.posterior: AbcPosterior | None = None

    def __call__(self, loader: Any, seed: int | None = None, *, resume: bool = False) -> Numbers:
        """The accepted parameters, (n, d): resampled by weight where the weights differ, draws of the kernels where `kde` is asked for.

        Nothing is kept of an unfinished run that `resume` could go on with.
        """
        trials = int(self.train_args.get("num_iid_samples", 1))
        x_obs = observation_of(loader, "ABC")
        if trials > 1:
            x_obs = x_obs.reshape(trials, *x_obs.shape[2:] if len(x_obs) == 1 else x_obs.shape[1:])
        simulated = getattr(loader, "simulator", None) is not None or not hasattr(loader, "simulate_at") and hasattr(loader, "simulate")
        if simulated and "num_simulations" not in self.train_args and hasattr(loader, "num_simulations"):
            self.train_args["num_simulations"] = int(loader.num_simulations)
        text = self.checked(seed)
        if simulated:
            simulate = simulator_of(loader, x_obs.shape[1:])
            native = _native.train_abc(text, x_obs, simulate, None, folder=self._folder(), threads=self.threads)
        else:
            x, theta = simulations_of(loader)
            native = _native.train_abc(text, x_obs, None, (theta, x), folder=self._folder(), threads=self.threads)
        self.posterior = AbcPosterior(native)
        weights = self.posterior.weights
        if json.loads(native.summary)["bandwidth"] is None and np.ptp(weights) <= 1e-6 * float(weights.max()):
            return numbers(float32(self.posterior.theta))
        return self.posterior.sample((len(weights),), seed=0 if seed is None else seed)
