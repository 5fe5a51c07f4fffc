"""Small pictures and tables for notebooks."""

from __future__ import annotations

from html import escape
from typing import Any, Iterable, Sequence

import numpy as np

__all__ = ["curves", "table"]

_COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3")
_WIDTH, _HEIGHT = 280, 80


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows below a header; numbers with three places."""

    def cell(value: Any) -> str:
        return f"{value:.3f}" if isinstance(value, float) else escape(str(value))

    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def curves(lines: Sequence[Sequence[float]], low: float, high: float, caption: str) -> str:
    """Lines over evenly spaced places between `low` and `high`; nothing where there is nothing to see."""
    if high <= low or not any(len(line) > 1 for line in lines):
        return ""

    def points(line: Sequence[float]) -> str:
        step = _WIDTH / max(1, len(line) - 1)
        heights = _HEIGHT * (1 - (np.clip(line, low, high) - low) / (high - low))
        return " ".join(f"{i * step:.1f},{y:.1f}" for i, y in enumerate(heights))

    drawn = "".join(
        f'<polyline fill="none" stroke="{_COLOURS[k % len(_COLOURS)]}" points="{points(line)}"/>' for k, line in enumerate(lines)
    )
    frame = f'<svg width="{_WIDTH}" height="{_HEIGHT}" style="border-left:1px solid;border-bottom:1px solid">{drawn}</svg>'
    return f"<div>{frame}<br/><small>{escape(caption)}</small></div>"
