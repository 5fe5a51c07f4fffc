"""How many numbers describe a point? Intrinsic dimension of points and of ordered codes."""

from __future__ import annotations

import json
from typing import Any, Sequence

from . import _html, _native
from ._arrays import float64
from .codes import Compressor
from .figures import Figure

__all__ = ["Dimension", "dimension"]


class Dimension:
    """An estimate: `value`, `interval` of 95 % where the method has one, and everything else in `report`."""

    def __init__(self, report: dict[str, Any], text: str, figure: Figure) -> None:
        self.report = report
        self._text, self._figure = text, figure

    @property
    def value(self) -> float:
        """The answer of the first method asked for."""
        return float(self.report["dimension"])

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 %; none where the method gives none."""
        found = self.report["interval"]
        return None if found is None else (float(found[0]), float(found[1]))

    @property
    def estimates(self) -> dict[str, float | None]:
        """Of every method asked for; none where one has no answer."""
        return {entry["method"]: entry["dimension"] for entry in self.report.get("estimates", [self.report])}

    @property
    def warnings(self) -> list[str]:
        """What to mind."""
        return [f"{warning['text']} ({warning['hint']})" for warning in self.report["warnings"]]

    def figure(self) -> Figure:
        """Dimension against scale; of ordered codes, against the tolerated loss."""
        return self._figure

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        within = "" if self.interval is None else f", 95 % in {self.interval[0]:.2f} to {self.interval[1]:.2f}"
        return f"<Dimension {self.value:.2f} by {self.report['method']}{within}>"

    def _repr_html_(self) -> str:
        rows = [(name, "–" if value is None else float(value)) for name, value in self.estimates.items()]
        return f"<div><b>Intrinsic dimension</b>{_html.table(('method', 'dimension'), rows)}{self._figure.svg}</div>"


def dimension(
    points: Any,
    method: str | Sequence[str] = "combined",
    *,
    references: int = 300,
    max_points: int = 10_000,
    loss: str = "variance",
    tolerance: float | None = None,
    effective_points: float = 1000.0,
    seed: int = 0,
    threads: int | None = None,
) -> Dimension:
    """The intrinsic dimension of points (n, …), or of a [`Compressor`][abduce.Compressor] by its loss curves (`method="iob"`).

    `method` is one of `abduce dimension --help`, or several, of which the first gives the answer; `all` are all. `references` simulated manifolds
    stand behind the combined estimate, whose time grows with them. `loss` (variance or nats), `tolerance` and `effective_points` are for iob.
    """
    if isinstance(points, Compressor) or method == "iob":
        if not isinstance(points, Compressor):
            raise _native.ConfigError("the method `iob` reads the loss curves of a Compressor: give one, as `abduce.compress` does")
        if method not in ("iob", "combined"):
            raise _native.ConfigError(f"a Compressor has loss curves, which the method `iob` reads, and no points for `{method}`")
        curves = points.row_losses()
        if curves is None:
            raise _native.ConfigError("this Compressor comes without its losses: load the folder of its training")
        widths = [int(width) for width in curves["widths"]]
        found = _native.dimension_of_losses(float64(curves["losses"]), widths, loss, tolerance, effective_points, seed, threads=threads)
    else:
        names = [method] if isinstance(method, str) else list(method)
        found = _native.dimension(float64(points), names, references, max_points, seed, threads=threads)
    report, text, picture = found
    return Dimension(json.loads(report), text, Figure(*picture))
