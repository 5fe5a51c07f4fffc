"""The program: `python -m abduce simulate …`."""

from __future__ import annotations

import sys

from . import _native

__all__ = ["main"]


def main() -> int:
    """Runs the program with the arguments of this process."""
    return _native.program(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
