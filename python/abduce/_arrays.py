"""Arrays in and out: whatever has numbers comes in, numpy arrays go out."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Numbers", "float32", "float64", "is_floating", "numbers"]


class Numbers(np.ndarray):
    """A numpy array with the methods of a torch tensor that notebooks call on draws and log-probabilities: all of them do nothing."""

    def cpu(self) -> Numbers:
        return self

    def detach(self) -> Numbers:
        return self

    def numpy(self) -> np.ndarray:
        return self.view(np.ndarray)

    def __array_finalize__(self, obj: Any) -> None:
        pass


def numbers(values: Any) -> Numbers:
    """`values` as [`Numbers`][], without a copy."""
    return np.asarray(values).view(Numbers)


def _array(values: Any) -> np.ndarray:
    # A tensor that requires a gradient, or lives elsewhere, says what has to be done first.
    if hasattr(values, "detach") and not isinstance(values, np.ndarray):
        values = values.detach()
    if hasattr(values, "cpu") and not isinstance(values, np.ndarray):
        values = values.cpu()
    if not isinstance(values, np.ndarray) and hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        values = np.from_dlpack(values)
    return np.asarray(values)


def float32(values: Any) -> np.ndarray:
    """C-contiguous single precision; no copy where it is that already."""
    return np.ascontiguousarray(_array(values), dtype=np.float32)


def float64(values: Any) -> np.ndarray:
    """C-contiguous double precision; no copy where it is that already."""
    return np.ascontiguousarray(_array(values), dtype=np.float64)


def is_floating(values: Any) -> bool:
    """Whether `values` is an array of numbers with fractions."""
    return bool(np.issubdtype(_array(values).dtype, np.floating))
