"""The native interface: nets, engines, validation."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from . import _html, _native
from ._arrays import float32
from ._random import seed_of
from .dataloaders import NumpyLoader
from .figures import Figure
from .inference.base import Runner
from .posterior import Posterior
from .utils.distributions_pt import Prior
from .utils.ndes_pt import Net

__all__ = ["MAF", "MDN", "NSF", "ResNet", "Training", "Validation", "fmpe", "net", "nle", "npe", "npse", "nre", "validate"]


def net(model: str, embedding: Any = None, signature: str = "", **arguments: Any) -> Net:
    """Any net by its name: `net("naf", hidden_features=32)`."""
    from .embedding import embedding_of

    return Net(model, arguments, embedding_of(embedding), signature)


def NSF(transforms: int = 5, hidden: int = 50, bins: int = 10, **kwargs: Any) -> Net:
    """Neural spline flow with couplings."""
    return net("nsf", num_transforms=transforms, hidden_features=hidden, num_bins=bins, **kwargs)


def MAF(transforms: int = 5, hidden: int = 50, **kwargs: Any) -> Net:
    """Masked autoregressive flow."""
    return net("maf", num_transforms=transforms, hidden_features=hidden, **kwargs)


def MDN(components: int = 10, hidden: int = 50, **kwargs: Any) -> Net:
    """Mixture density network."""
    return net("mdn", num_components=components, hidden_features=hidden, **kwargs)


def ResNet(blocks: int = 2, hidden: int = 50, **kwargs: Any) -> Net:
    """Residual classifier for ratios."""
    return net("resnet", num_blocks=blocks, hidden_features=hidden, **kwargs)


class Training:
    """An engine with its data, ready to be trained."""

    def __init__(
        self,
        engine: str,
        theta: Any,
        x: Any,
        prior: Prior,
        nets: list[Net] | None,
        ensemble: int,
        embedding: Any,
        out: str | os.PathLike[str] | None,
        seed: int | None,
        threads: int | None,
        parameters: list[str | dict[str, str]] | None,
        train_args: dict[str, Any],
    ) -> None:
        many = [Net(**vars(entry)) for entry in nets or [] for _ in range(ensemble)]
        if not nets and ensemble > 1:
            default = {"NPE": "nsf", "NLE": "maf"}.get(engine, "mlp" if engine in ("FMPE", "NPSE") else "resnet")
            many = [Net(default) for _ in range(ensemble)]
        self.seed = seed_of(seed)
        self.loader = NumpyLoader(x=float32(x), theta=float32(theta))
        self.runner = Runner(prior, engine, many or None, train_args, out, embedding_net=embedding, threads=threads, parameters=parameters)
        # What is wrong with the configuration is said now.
        self.runner.checked(self.seed, self.loader.get_all_data().shape[1:])
        self.summary: list[dict[str, Any]] = []

    def train(self, resume: bool = False) -> Posterior:
        """Trains; Ctrl-C ends it within a second, and a run directory (`out`) keeps what was reached: `resume` goes on from there, to the same result."""
        posterior: Posterior
        posterior, self.summary = self.runner(self.loader, seed=self.seed, resume=resume)
        return posterior

    def __repr__(self) -> str:
        return f"<{self.runner.engine} of {len(self.loader)} simulations, {max(1, len(self.runner.nets))} nets>"


def _engine(name: str, doc: str) -> Any:
    def engine(
        theta: Any,
        x: Any,
        prior: Prior,
        nets: list[Net] | None = None,
        ensemble: int = 1,
        embedding: Any = None,
        out: str | os.PathLike[str] | None = None,
        seed: int | None = None,
        threads: int | None = None,
        parameters: list[str | dict[str, str]] | None = None,
        **train_args: Any,
    ) -> Training:
        return Training(name, theta, x, prior, nets, ensemble, embedding, out, seed, threads, parameters, train_args)

    engine.__name__ = engine.__qualname__ = name.lower()
    engine.__doc__ = f"""{doc}

    `nets` times `ensemble` networks are trained on θ (n, d) and x (n, …); `train_args` are those of the YAML files: learning_rate,
    training_batch_size, stop_after_epochs, …. `parameters` are names, or dictionaries of `name`, `label` (LaTeX) and `unit`. With `out` the run directory is kept, and is one of the program.
    """
    return engine


npe = _engine("NPE", "Neural posterior estimation: a density q(θ|x).")
nle = _engine("NLE", "Neural likelihood estimation: a density q(x|θ).")
nre = _engine("NRE", "Neural ratio estimation: p(x|θ)/p(x).")
fmpe = _engine("FMPE", "Flow matching posterior estimation.")
npse = _engine("NPSE", "Neural posterior score estimation.")


@dataclass
class Validation:
    """How a posterior does on pairs that it has not seen."""

    metrics: dict[str, Any]
    warnings: list[str]
    _posterior: Posterior = field(repr=False)
    _texts: tuple[str, str] = field(repr=False)

    def figure(self, name: str) -> Figure | None:
        """A figure by the name of its file: plot_coverage, plot_hpd, ranks_histogram, plot_TARP, plot_predictions, …; none where there are no numbers for it."""
        drawn = _native.validation_figure(self._posterior._native.parameters, *self._texts, name)
        return None if drawn is None else Figure(*drawn)

    def _repr_html_(self) -> str:
        numbers = [(p["name"], float(p["sbc_ks_p"]), float(p["contraction"]), float(p["r2"])) for p in self.metrics["parameters"]]
        gates = [(gate, "holds" if found["pass"] else "does not hold") for gate, found in self.metrics["gates"].items()]
        coverage = self.figure("plot_coverage")
        head = f"<b>Validation</b> on {self.metrics['n_pairs']} pairs, {self.metrics['n_draws']} draws each"
        notes = "".join(f"<li>{escape(warning)}</li>" for warning in self.warnings)
        tables = _html.table(("parameter", "rank p", "contraction", "R²"), numbers) + _html.table(("gate", ""), gates)
        return f"<div>{head}{tables}<ul>{notes}</ul>{coverage.svg if coverage is not None else ''}</div>"

    def __str__(self) -> str:
        lines = [f"{self.metrics['n_pairs']} pairs, {self.metrics['n_draws']} draws each"]
        for parameter in self.metrics["parameters"]:
            lines.append(f"  {parameter['name']}: rank p {parameter['sbc_ks_p']:.3f}, contraction {parameter['contraction']:.2f}, R² {parameter['r2']:.2f}")
        for gate, found in self.metrics["gates"].items():
            lines.append(f"  gate {gate}: {'holds' if found['pass'] else 'does not hold'}")
        return "\n".join([*lines, *(f"  ! {warning}" for warning in self.warnings)])


def validate(
    posterior: Posterior,
    theta: Any,
    x: Any,
    draws: int = 1000,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    threads: int | None = None,
    **config: Any,
) -> Validation:
    """Ranks, coverage, TARP, log-probability and more on pairs (θ, x) that were not trained on; with `out` plots and metrics.json are written there."""
    coverage = {"num_samples": draws, "plot_list": ["coverage", "histogram", "predictions", "tarp", "logprob"]}
    text = json.dumps({"metrics": {"coverage": {"posterior_coverage": coverage}}, **config})
    folder = None if out is None else os.fspath(Path(out))
    metrics, curves, notes = _native.validate(posterior._native, float32(theta), float32(x), text, seed, folder=folder, threads=threads)
    return Validation(json.loads(metrics), notes, posterior, (metrics, curves))
