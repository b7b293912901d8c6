"""Losses: the distance of predictions from targets, and its gradient. Their interface is ``Loss``."""

from dlarray.losses import binary, categorical, deviances, margins, regression, relative
from dlarray.losses.base import Loss
from dlarray.losses.binary import *
from dlarray.losses.categorical import *
from dlarray.losses.deviances import *
from dlarray.losses.gaussian import GaussianNLL
from dlarray.losses.margins import *
from dlarray.losses.regression import *
from dlarray.losses.relative import *

__all__ = ["GaussianNLL", "Loss"]
__all__ += binary.__all__
__all__ += categorical.__all__
__all__ += deviances.__all__
__all__ += margins.__all__
__all__ += regression.__all__
__all__ += relative.__all__
