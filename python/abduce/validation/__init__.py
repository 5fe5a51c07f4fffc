"""Is the posterior right? Metrics that draw, and a runner for many of them."""

from .metrics import PlotSinglePosterior, PosteriorCoverage, PosteriorSamples
from .runner import ValidationRunner

__all__ = ["PlotSinglePosterior", "PosteriorCoverage", "PosteriorSamples", "ValidationRunner"]
