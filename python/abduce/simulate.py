"""Simulators: the built-in tasks, and callables of the user's in parallel processes."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from . import _native
from ._arrays import Numbers, float32, numbers

__all__ = ["Failure", "simulate", "simulate_rows"]

# (row, message) of a simulation that raised.
Failure = tuple[int, str]

_function: Callable[..., Any] | None = None


def simulate(task: str, n: int, seed: int = 0, threads: int | None = None) -> tuple[Numbers, Numbers]:
    """θ (n, d) and x (n, …) of a built-in task: the rows of `abduce simulate`."""
    theta, x = _native.simulate(task, n, seed, threads=threads)
    return numbers(theta), numbers(x)


def _begin(function: Callable[..., Any]) -> None:
    global _function
    _function = function


def _one(item: tuple[int, np.ndarray]) -> tuple[int, np.ndarray | None, str]:
    row, theta = item
    assert _function is not None
    try:
        return row, float32(_function(theta[None]))[0], ""
    except Exception as error:  # a simulation that raises is a failed one, and no reason to lose the others
        return row, None, f"{type(error).__name__}: {error}"


def simulate_rows(function: Callable[[np.ndarray], Any], theta: Any, workers: int = 1) -> tuple[Numbers, list[Failure]]:
    """x (n, …) of θ (n, d), row by row in `workers` processes, and the rows that raised, which are NaN.

    `function` is called with θ (1, d) and gives x (1, …). Processes are forked where that can be done, so that closures and notebooks'
    functions work.
    """
    theta = np.asarray(theta)
    items = list(enumerate(theta))
    if workers > 1:
        # Slow to import, and for few.
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(function,)) as pool:
            done = list(pool.map(_one, items, chunksize=max(1, len(items) // (8 * workers))))
    else:
        _begin(function)
        done = [_one(item) for item in items]
    shapes = [x.shape for _, x, _ in done if x is not None]
    if not shapes:
        raise RuntimeError(f"every simulation failed; the first: {done[0][2]}" if done else "there is nothing to simulate")
    out = np.full((len(items), *shapes[0]), np.nan, dtype=np.float32)
    failures: list[Failure] = []
    for row, x, message in done:
        if x is None:
            failures.append((row, message))
        elif x.shape != shapes[0]:
            failures.append((row, f"its shape is {x.shape}, that of the others {shapes[0]}"))
        else:
            out[row] = x
    return numbers(out), failures
