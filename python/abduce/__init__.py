"""Amortised inference with generative models in science.

`npe`, `nle`, `nre`, `fmpe`, `npse` train; a posterior has `sample`, `log_prob`, `map` and `corner`; `validate` judges it; `load` opens a run of the
program; `compress` and `dimension` are about data alone. With `import abduce as ili`
notebooks of LtU-ILI run: `ili.dataloaders`, `ili.inference`, `ili.utils`, `ili.validation`, `ili.embedding`.
"""

from __future__ import annotations

from . import cosmology, dataloaders, embedding, inference, utils, validation
from ._native import ConfigError, NumericsError, SamplerError, ShapeError, __version__
from .api import MAF, MDN, NSF, ResNet, Training, Validation, fmpe, net, nle, npe, npse, nre, validate
from .codes import Compressor, compress
from .dataloaders import NumpyLoader, SBISimulator, StaticNumpyLoader, SummarizerDatasetLoader, TorchLoader
from .embedding import CNN, FCN, GNN, IOB, DeepSet, ResidualMLP
from .figures import Figure
from .inference import ABCRunner, DelfiRunner, InferenceRunner, LampeRunner, SBIRunner, SBIRunnerSequential
from .intrinsic import Dimension, dimension
from .posterior import AbcPosterior, Posterior
from .runs import load, report
from .simulate import simulate, simulate_rows
from .utils import *  # noqa: F403
from .utils import __all__ as _utils
from .validation import PlotSinglePosterior, PosteriorCoverage, PosteriorSamples, ValidationRunner

__all__ = [
    *_utils,
    "ABCRunner",
    "AbcPosterior",
    "CNN",
    "Compressor",
    "ConfigError",
    "DeepSet",
    "DelfiRunner",
    "Dimension",
    "FCN",
    "Figure",
    "GNN",
    "IOB",
    "InferenceRunner",
    "LampeRunner",
    "MAF",
    "MDN",
    "NSF",
    "NumericsError",
    "NumpyLoader",
    "PlotSinglePosterior",
    "Posterior",
    "PosteriorCoverage",
    "PosteriorSamples",
    "ResNet",
    "ResidualMLP",
    "SBIRunner",
    "SBIRunnerSequential",
    "SBISimulator",
    "SamplerError",
    "ShapeError",
    "StaticNumpyLoader",
    "SummarizerDatasetLoader",
    "TorchLoader",
    "Training",
    "Validation",
    "ValidationRunner",
    "__version__",
    "compress",
    "cosmology",
    "dataloaders",
    "dimension",
    "embedding",
    "fmpe",
    "inference",
    "load",
    "net",
    "nle",
    "npe",
    "npse",
    "nre",
    "report",
    "simulate",
    "simulate_rows",
    "utils",
    "validate",
    "validation",
]
