"""Training as it is watched: one line that is written again."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import Callable, Iterator

__all__ = ["watch"]


@contextmanager
def watch(label: str = "training") -> Iterator[Callable[[int, int, float, float], None]]:
    """A callback for epochs that shows the newest one, ten times a second at most, where somebody watches; the last line stays."""
    begun, last, line = time.monotonic(), 0.0, ""
    watched = sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)

    def show(text: str) -> None:
        sys.stderr.write("\r" + text.ljust(len(line)))
        sys.stderr.flush()

    def epoch(net: int, number: int, train: float, validation: float) -> None:
        nonlocal last, line
        now = time.monotonic()
        text = f"{label}: net {net + 1}, epoch {number}, train {train:.3f}, validation {validation:.3f}, {now - begun:.0f} s"
        if watched and now - last > 0.1:
            last = now
            show(text)
            line = text

    try:
        yield epoch
    finally:
        if line:
            sys.stderr.write("\n")
