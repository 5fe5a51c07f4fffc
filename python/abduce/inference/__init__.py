"""Runners: a loader in, a posterior and the summaries of its nets out."""

from .abc import ABCRunner
from .base import DelfiRunner, LampeRunner, SBIRunner
from .runner import InferenceRunner
from .sequential import SBIRunnerSequential

__all__ = ["ABCRunner", "DelfiRunner", "InferenceRunner", "LampeRunner", "SBIRunner", "SBIRunnerSequential"]
