"""Layers: one formula forward and its chain rule backward, with trainable parameters.

``y, saved = layer.forward(x, **p)``, ``dx = layer.backward(saved, dy, **p)`` and ``dp = layer.gradient(saved, dy)``.
"""

from dlarray.core.layer import Layer
from dlarray.layers import chain, normalization
from dlarray.layers.chain import *
from dlarray.layers.dense import Dense
from dlarray.layers.dropout import Dropout
from dlarray.layers.embedding import Embedding
from dlarray.layers.normalization import *

__all__ = ["Dense", "Dropout", "Embedding", "Layer"]
__all__ += chain.__all__
__all__ += normalization.__all__
