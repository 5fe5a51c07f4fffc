"""Draws for other packages: getdist and ArviZ, with names, labels and ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["to_arviz", "to_getdist"]


def _latex(name: str, label: str) -> str:
    """A label, or a name set upright: an underscore in it is no subscript."""
    return label if label != name else r"\mathrm{" + name.replace("_", r"\_") + "}"


def to_getdist(samples: Any, names: list[str], labels: list[str], support: np.ndarray, root: str = "") -> Any:
    """Draws (n, d) as `getdist.MCSamples`: `labels` are LaTeX without dollar signs, `support` (d, 2) are the ranges, open where infinite.

    Raises:
        ImportError: getdist is not installed.
    """
    try:
        from getdist import MCSamples
    except ImportError as error:
        raise ImportError("chains for getdist need the package: `pip install getdist`") from error
    ranges = {name: tuple(None if np.isinf(bound) else float(bound) for bound in bounds) for name, bounds in zip(names, support)}
    latex = [_latex(name, label) for name, label in zip(names, labels)]
    # Independent draws, or thinned chains: getdist must not thin or drop any.
    values = np.asarray(samples, dtype=np.float64)
    return MCSamples(samples=values, names=names, labels=latex, ranges=ranges, name_tag=root or None, sampler="uncorrelated", ignore_rows=0)


def to_arviz(samples: Any, names: list[str], labels: list[str], support: np.ndarray, convergence: list[dict[str, Any]] | None = None) -> Any:
    """Draws (n, d) as `arviz.InferenceData` (with ArviZ 1 and later a `DataTree`): one chain, for draws come mixed over the chains.

    What our own chains reached, R-hat and effective draws, stands in the attributes of each variable, as do label and range.

    Raises:
        ImportError: ArviZ is not installed.
    """
    try:
        import arviz
    except ImportError as error:
        raise ImportError("chains for ArviZ need the package: `pip install arviz`") from error
    values = np.asarray(samples, dtype=np.float64)
    variables = {name: values[None, :, k] for k, name in enumerate(names)}
    make: Any = arviz.from_dict
    data = make(posterior=variables) if hasattr(arviz, "InferenceData") else make({"posterior": variables})
    for k, name in enumerate(names):
        attributes = data["posterior"][name].attrs
        attributes.update(label=_latex(name, labels[k]), range=[float(bound) for bound in support[k]])
        if convergence and "r_hat" in convergence[0]:
            attributes.update(r_hat=convergence[0]["r_hat"][k], ess_bulk=convergence[0]["ess_bulk"][k], ess_tail=convergence[0]["ess_tail"][k])
    return data
