"""Optimizers: the textbook's formulas for one step of gradient descent, each written for one array."""

from dlarray.optimizers import adam, adaptive, descent, layerwise
from dlarray.optimizers.adam import *
from dlarray.optimizers.adaptive import *
from dlarray.optimizers.base import Optimizer
from dlarray.optimizers.bfloat16_state import BFloat16State
from dlarray.optimizers.clipping import Clipped, clip_by_global_norm, clip_by_norm, clip_by_value
from dlarray.optimizers.descent import *
from dlarray.optimizers.layerwise import *
from dlarray.optimizers.rectified import RAdam

__all__ = [
    "BFloat16State",
    "Clipped",
    "Optimizer",
    "RAdam",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
]
__all__ += adam.__all__
__all__ += adaptive.__all__
__all__ += descent.__all__
__all__ += layerwise.__all__
