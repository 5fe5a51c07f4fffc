"""Priors, nets, samplers, and classes by their names."""

from __future__ import annotations

import importlib
from typing import Any

from .distributions_pt import *  # noqa: F403
from .distributions_pt import __all__ as _priors
from .ndes_pt import Net, load_nde_lampe, load_nde_pydelfi, load_nde_sbi
from .samplers import DirectSampler, EmceeSampler, PyroSampler, VISampler

__all__ = [
    *_priors,
    "DirectSampler",
    "EmceeSampler",
    "Net",
    "PyroSampler",
    "VISampler",
    "load_class",
    "load_from_config",
    "load_nde_lampe",
    "load_nde_pydelfi",
    "load_nde_sbi",
    "update",
]


def load_class(module_name: str, class_name: str) -> Any:
    """The class of a module of ours; `ili.…` and `sbi.utils` stand for ours."""
    name = module_name.replace("ili", "abduce", 1) if module_name.split(".")[0] == "ili" else module_name
    name = "abduce.utils" if name == "sbi.utils" else name
    if name.split(".")[0] != "abduce":
        raise ImportError(f"classes are loaded from abduce (or ili) alone, not from `{module_name}`")
    return getattr(importlib.import_module(name), class_name)


def load_from_config(config: dict[str, Any]) -> Any:
    """`{module, class, args}` as an object."""
    return load_class(config["module"], config["class"])(**config.get("args", {}))


def update(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`changes` merged into `config`, section by section."""
    merged = dict(config)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = update(merged[key], **value) if both else value
    return merged
