"""Losses: the distance of predictions from targets, and its gradient. Their interface is ``Loss``."""

from dlarray.losses import binary, categorical, regression
from dlarray.losses.base import Loss
from dlarray.losses.binary import *
from dlarray.losses.categorical import *
from dlarray.losses.regression import *

__all__ = ["Loss"]
__all__ += binary.__all__
__all__ += categorical.__all__
__all__ += regression.__all__
