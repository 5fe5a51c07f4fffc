"""Priors: products of independent distributions of one parameter, and multivariate ones.

Every class takes its arguments as numbers or as lists with one value per parameter, and has `sample`, `log_prob` and `support`.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np

from .. import _native
from .._arrays import Numbers, float64, numbers
from .._random import seed_of

__all__ = [
    "BoxUniform",
    "Empirical",
    "Independent",
    "IndependentBeta",
    "IndependentCauchy",
    "IndependentChi2",
    "IndependentExponential",
    "IndependentFisherSnedecor",
    "IndependentGamma",
    "IndependentGumbel",
    "IndependentHalfCauchy",
    "IndependentHalfNormal",
    "IndependentLaplace",
    "IndependentLogNormal",
    "IndependentNormal",
    "IndependentPareto",
    "IndependentStudentT",
    "IndependentTruncatedNormal",
    "IndependentUniform",
    "IndependentVonMises",
    "IndependentWeibull",
    "Joint",
    "LowRankMultivariateNormal",
    "MultivariateNormal",
    "MultivariateTruncatedNormal",
    "Prior",
    "Tabulated",
    "Uniform",
]


def _plain(value: Any) -> Any:
    """Lists and numbers, as they stand in a YAML file."""
    array = np.atleast_1d(float64(value))
    words = {np.inf: "inf", -np.inf: "-inf"}
    return [words.get(v, v) for v in array.tolist()] if array.ndim == 1 else array.tolist()


class Prior:
    """p(θ) from its specification: `Prior({"uniform": {"low": [0, 0], "high": [1, 2]}})`."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self._native = _native.Prior(json.dumps(spec))

    @property
    def dimension(self) -> int:
        """Number of parameters."""
        return int(self._native.dimension)

    @property
    def support(self) -> np.ndarray:
        """Bounds of every parameter, (d, 2)."""
        return self._native.support

    def sample(self, shape: Any = (), seed: int | None = None) -> Numbers:
        """Draws (*shape, d)."""
        shape = tuple(int(n) for n in np.atleast_1d(np.asarray(shape, dtype=int)))
        draws = self._native.sample(int(np.prod(shape, dtype=int)), seed_of(seed))
        return numbers(draws.reshape(*shape, self.dimension))

    def log_prob(self, theta: Any) -> Numbers:
        """log p(θ) of θ (…, d): summed over the parameters, -∞ outside the support."""
        theta = float64(theta)
        rows = theta.reshape(-1, self.dimension) if theta.shape[-1:] == (self.dimension,) else theta
        return numbers(self._native.log_prob(np.ascontiguousarray(rows)).reshape(theta.shape[:-1]))

    def __reduce__(self) -> Any:
        return (Prior, (self.spec,))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec})"


class Independent(Prior):
    """A family by its arguments, which subclasses name."""

    family: ClassVar[str] = ""
    arguments: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, device: str = "cpu", validate_args: Any = None, **kwargs: Any) -> None:
        name = type(self).__name__
        if len(args) > len(self.arguments):
            raise TypeError(f"{name} takes the arguments {', '.join(self.arguments)}")
        given = dict(zip(self.arguments, args))
        for key, value in kwargs.items():
            key = self.aliases.get(key, key)
            if key not in self.arguments:
                raise TypeError(f"{name} has no argument `{key}`; it takes {', '.join(self.arguments)}")
            if key in given:
                raise TypeError(f"{name} was given `{key}` twice")
            given[key] = value
        super().__init__({self.family: {key: _plain(value) for key, value in given.items() if value is not None}})


def _family(name: str, family: str, arguments: tuple[str, ...], doc: str, aliases: dict[str, str] | None = None) -> type[Independent]:
    return type(name, (Independent,), {"__doc__": doc, "__module__": __name__, "family": family, "arguments": arguments, "aliases": aliases or {}})


_LOWER = {"lower": "low", "upper": "high"}
IndependentUniform = _family("IndependentUniform", "uniform", ("low", "high"), "1/(high − low) on [low, high].", _LOWER)
Uniform = IndependentUniform
BoxUniform = IndependentUniform
IndependentNormal = _family("IndependentNormal", "normal", ("loc", "scale"), "Normal with mean `loc` and standard deviation `scale`.")
IndependentLogNormal = _family("IndependentLogNormal", "log_normal", ("loc", "scale"), "ln θ is normal with mean `loc` and standard deviation `scale`.")
IndependentTruncatedNormal = _family(
    "IndependentTruncatedNormal", "truncated_normal", ("loc", "scale", "low", "high"), "Normal(`loc`, `scale`) restricted to [low, high].", _LOWER
)
IndependentBeta = _family("IndependentBeta", "beta", ("concentration1", "concentration0"), "∝ θ^(concentration1 − 1) (1 − θ)^(concentration0 − 1).")
IndependentCauchy = _family("IndependentCauchy", "cauchy", ("loc", "scale"), "Cauchy.")
IndependentChi2 = _family("IndependentChi2", "chi2", ("df",), "χ² with `df` degrees of freedom.")
IndependentExponential = _family("IndependentExponential", "exponential", ("rate",), "rate e^(−rate θ).")
IndependentFisherSnedecor = _family("IndependentFisherSnedecor", "fisher_snedecor", ("df1", "df2"), "F distribution.")
IndependentGamma = _family("IndependentGamma", "gamma", ("concentration", "rate"), "∝ θ^(concentration − 1) e^(−rate θ).")
IndependentGumbel = _family("IndependentGumbel", "gumbel", ("loc", "scale"), "Gumbel distribution of maxima.")
IndependentHalfCauchy = _family("IndependentHalfCauchy", "half_cauchy", ("scale",), "|Cauchy(0, scale)|.")
IndependentHalfNormal = _family("IndependentHalfNormal", "half_normal", ("scale",), "|Normal(0, scale)|.")
IndependentLaplace = _family("IndependentLaplace", "laplace", ("loc", "scale"), "e^(−|θ − loc|/scale)/(2 scale).")
IndependentPareto = _family("IndependentPareto", "pareto", ("scale", "alpha"), "alpha scale^alpha θ^(−alpha − 1), θ > scale.")
IndependentStudentT = _family("IndependentStudentT", "student_t", ("df", "loc", "scale"), "`loc` + `scale` t with `df` degrees of freedom.")
IndependentVonMises = _family("IndependentVonMises", "von_mises", ("loc", "concentration"), "∝ e^(concentration cos(θ − loc)) on [−π, π].")
IndependentWeibull = _family("IndependentWeibull", "weibull", ("scale", "concentration"), "Weibull.")
LowRankMultivariateNormal = _family(
    "LowRankMultivariateNormal", "low_rank_multivariate_normal", ("loc", "cov_factor", "cov_diag"), "Covariance `cov_factor` `cov_factor`ᵀ + diag(`cov_diag`)."
)
MultivariateNormal = _family(
    "MultivariateNormal",
    "multivariate_normal",
    ("loc", "covariance_matrix", "precision_matrix", "scale_tril"),
    "Normal with mean `loc` and one of three forms of the covariance.",
)
MultivariateTruncatedNormal = _family(
    "MultivariateTruncatedNormal",
    "multivariate_truncated_normal",
    ("loc", "covariance_matrix", "low", "high"),
    "Normal restricted to the box [low, high].",
    _LOWER,
)
Tabulated = _family("Tabulated", "tabulated", ("theta", "density"), "One parameter whose density is linear between the points of a table.")


class Empirical(Prior):
    """A kernel density estimate from draws of θ (n, d)."""

    def __init__(self, samples: Any, **kwargs: Any) -> None:
        super().__init__({"empirical": {"samples": float64(samples).tolist(), **kwargs}})


class Joint(Prior):
    """Independent priors of different families, their parameters one after the other."""

    def __init__(self, *priors: Prior) -> None:
        super().__init__({"joint": [prior.spec for prior in priors]})
