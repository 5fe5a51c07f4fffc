"""YAML files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from . import _native

__all__ = ["from_yaml"]


def from_yaml(path: str | Path, **overrides: Any) -> dict[str, Any]:
    """The file's content with `overrides` merged into it, section by section."""
    from .utils import update

    content = json.loads(_native.yaml_to_json(Path(path).read_text(), str(path)))
    return update(content or {}, **overrides)
