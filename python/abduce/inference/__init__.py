"""Runners: a loader in, a posterior and the summaries of its nets out."""

from .base import DelfiRunner, InferenceRunner, LampeRunner, SBIRunner, SBIRunnerSequential

__all__ = ["DelfiRunner", "InferenceRunner", "LampeRunner", "SBIRunner", "SBIRunnerSequential"]
