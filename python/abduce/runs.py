"""Run directories: those of the program and those of this module are the same."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from . import _native
from ._arrays import float32
from .posterior import of_file

__all__ = ["load", "report"]


def load(path: str | os.PathLike[str]) -> Any:
    """What a run directory or a `.safetensors` file holds, made here or by the program.

    A [`Posterior`][abduce.Posterior] of a training, an [`AbcPosterior`][abduce.AbcPosterior] of ABC, a [`Compressor`][abduce.Compressor] of
    `abduce compress train`.

    Raises:
        FileNotFoundError: there is no model, or more than one.
    """
    path = Path(path)
    if not path.is_dir():
        return of_file(path, [])
    found = sorted(path.glob("*posterior.safetensors")) or sorted(path.glob("model.safetensors"))
    if len(found) != 1:
        raise FileNotFoundError(f"{path} holds {len(found)} models, not one")
    history = path / "training.json"
    return of_file(found[0], json.loads(history.read_text()) if history.exists() else [])


def report(run: str | os.PathLike[str], data: Any = None, columns: str | os.PathLike[str] | None = None) -> Path:
    """Writes `report.html` of a run directory; gives its path.

    That of a compression shows rows of `data`, a file or an array, and compares the latents with the named columns of a table.
    """
    folder = Path(run)
    if not (folder / "model.safetensors").exists():
        return Path(_native.report(os.fspath(folder)))
    if data is None:
        raise _native.ConfigError("the report of a compression shows data: give `data`, the rows trained on or others")
    table = None if columns is None else os.fspath(columns)
    if isinstance(data, (str, os.PathLike)):
        return Path(_native.report_compressor(os.fspath(folder), os.fspath(data), table))
    import tempfile

    with tempfile.TemporaryDirectory() as passing:
        file = Path(passing) / "data.npy"
        np.save(file, float32(data))
        return Path(_native.report_compressor(os.fspath(folder), os.fspath(file), table))
