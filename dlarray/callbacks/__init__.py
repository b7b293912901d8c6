"""Callbacks: what ``fit`` calls on its way. Each is a short file; one's own is a class with the hooks that it needs."""

from dlarray.callbacks import averaging, logs, non_finite
from dlarray.callbacks.averaging import *
from dlarray.callbacks.checkpoint import Checkpoint
from dlarray.callbacks.early_stopping import EarlyStopping
from dlarray.callbacks.logs import *
from dlarray.callbacks.non_finite import *
from dlarray.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau
from dlarray.callbacks.tensorboard import TensorBoard
from dlarray.training.time_limit import TimeLimit

__all__ = ["Checkpoint", "EarlyStopping", "ReduceLROnPlateau", "TensorBoard", "TimeLimit"]
__all__ += averaging.__all__
__all__ += logs.__all__
__all__ += non_finite.__all__
