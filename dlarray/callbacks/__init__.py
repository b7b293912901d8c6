"""Callbacks: objects whose methods ``fit`` calls during training. A custom one is a class with the methods it needs."""

from dlarray.callbacks import (
    averaging,
    checkpoint,
    early_stopping,
    logs,
    non_finite,
    reduce_lr_on_plateau,
    tensorboard,
)
from dlarray.callbacks.averaging import *
from dlarray.callbacks.checkpoint import *
from dlarray.callbacks.early_stopping import *
from dlarray.callbacks.logs import *
from dlarray.callbacks.non_finite import *
from dlarray.callbacks.reduce_lr_on_plateau import *
from dlarray.callbacks.tensorboard import *
from dlarray.training.time_limit import TimeLimit

__all__ = ["TimeLimit"]
__all__ += averaging.__all__
__all__ += checkpoint.__all__
__all__ += early_stopping.__all__
__all__ += logs.__all__
__all__ += non_finite.__all__
__all__ += reduce_lr_on_plateau.__all__
__all__ += tensorboard.__all__
