"""Training: the step, the loop, and the trained model."""

from dlarray.training.callback import Callback, Run
from dlarray.training.checkpoint import CheckpointError
from dlarray.training.data import Examples
from dlarray.training.errors import DivergedError, Interrupted
from dlarray.training.first_step import first_step
from dlarray.training.fit import fit
from dlarray.training.history import History
from dlarray.training.lr_finder import LRFinderResult, find_learning_rate
from dlarray.training.memory_estimate import MemoryEstimate, memory_estimate
from dlarray.training.saved import load, load_with_notes
from dlarray.training.step import Step
from dlarray.training.trained import Trained

__all__ = [
    "Callback",
    "CheckpointError",
    "DivergedError",
    "Examples",
    "History",
    "Interrupted",
    "LRFinderResult",
    "MemoryEstimate",
    "Run",
    "Step",
    "Trained",
    "find_learning_rate",
    "first_step",
    "fit",
    "load",
    "load_with_notes",
    "memory_estimate",
]
