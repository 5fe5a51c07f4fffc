"""Nets that summarise data before the density sees them."""

from .fcn import CNN, FCN, GNN, IOB, DeepSet, Embedding, ResidualMLP, ResNet, SetTransformer, Transformer
from .translate import embedding_of

__all__ = ["CNN", "FCN", "GNN", "IOB", "DeepSet", "Embedding", "ResNet", "ResidualMLP", "SetTransformer", "Transformer", "embedding_of"]
