"""The walk: the step, the loop, and what comes out of it."""

from dlarray.training.checkpoint import CheckpointError
from dlarray.training.data import Examples
from dlarray.training.first import first_step
from dlarray.training.fit import Diverged, fit
from dlarray.training.history import History
from dlarray.training.step import Step
from dlarray.training.trained import Trained, load, load_with_notes

__all__ = [
    "CheckpointError",
    "Diverged",
    "Examples",
    "History",
    "Step",
    "Trained",
    "first_step",
    "fit",
    "load",
    "load_with_notes",
]
