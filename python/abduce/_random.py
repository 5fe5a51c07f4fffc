"""Seeds: what is not given is drawn from numpy's global generator, so that `np.random.seed` makes a notebook repeatable."""

from __future__ import annotations

import numpy as np

__all__ = ["seed_of"]


def seed_of(seed: int | None) -> int:
    """The seed given (0 is one), or a new one."""
    return int(np.random.randint(0, 2**31 - 1)) if seed is None else int(seed)
