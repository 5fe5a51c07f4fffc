"""Training as it is watched: one line that is written again, in terminals and in notebooks."""

from __future__ import annotations

import importlib
import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator

__all__ = ["watch"]


def _shower() -> Callable[[str], None] | None:
    """Where the line goes; nothing where nobody watches."""
    if "ipykernel" in sys.modules:
        # An output of its own that is replaced: what is written to a stream would stay, line after line.
        notebook: Any = importlib.import_module("IPython.display")
        handle = notebook.display(notebook.HTML(""), display_id=True)
        return None if handle is None else lambda line: handle.update(notebook.HTML(f"<small>{line}</small>"))
    if sys.stderr is None or not sys.stderr.isatty():
        return None

    def show(line: str) -> None:
        sys.stderr.write(f"\r{line}\x1b[K")
        sys.stderr.flush()

    return show


@contextmanager
def watch(label: str = "training") -> Iterator[Callable[[int, int, float, float], None]]:
    """A callback for epochs that shows the newest one, ten times a second at most; the last line stays."""
    show = _shower()
    begun, last, line = time.monotonic(), 0.0, ""

    def epoch(net: int, number: int, train: float, validation: float) -> None:
        nonlocal last, line
        now = time.monotonic()
        line = f"{label}: net {net + 1}, epoch {number}, train {train:.3f}, validation {validation:.3f}, {now - begun:.0f} s"
        if show is not None and now - last > 0.1:
            last = now
            show(line)

    try:
        yield epoch
    finally:
        if show is not None and line:
            show(line)
            if "ipykernel" not in sys.modules:
                sys.stderr.write("\n")
