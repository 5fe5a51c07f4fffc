"""Nets that summarise data before the density sees them."""

from .fcn import CNN, FCN, Embedding, ResidualMLP, embedding_of

__all__ = ["CNN", "FCN", "Embedding", "ResidualMLP", "embedding_of"]
