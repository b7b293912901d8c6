"""Callbacks: what ``fit`` calls on its way. Each is a short file; one's own is a class with the hooks that it needs."""

from dlarray.callbacks import averaging
from dlarray.callbacks.averaging import *
from dlarray.callbacks.checkpoint import Checkpoint
from dlarray.callbacks.early_stopping import EarlyStopping
from dlarray.callbacks.monitor import Monitored
from dlarray.callbacks.plateau import Plateau
from dlarray.callbacks.time_limit import TimeLimit

__all__ = ["Checkpoint", "EarlyStopping", "Monitored", "Plateau", "TimeLimit"]
__all__ += averaging.__all__
