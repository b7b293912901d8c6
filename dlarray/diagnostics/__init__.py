"""The textbook's troubles made visible: a network is looked at in one step of training, and told what ails it.

    print(dlarray.diagnose_at(model, model.init(), x, y))  # before training
    print(dlarray.diagnose(trained, x, y))                 # after it

Vanishing and exploding gradients, dying ReLUs, saturation, equal weights, and steps of the wrong size: each is a figure
with a threshold, and each has the book's remedy.
"""

from dlarray.diagnostics.diagnose import diagnose, diagnose_at
from dlarray.diagnostics.landscape import Landscape, loss_landscape
from dlarray.diagnostics.problems import Problem
from dlarray.diagnostics.report import Diagnosis
from dlarray.diagnostics.statistics import Distribution, LayerStatistics, ParameterStatistics

__all__ = [
    "Diagnosis",
    "Distribution",
    "Landscape",
    "LayerStatistics",
    "ParameterStatistics",
    "Problem",
    "diagnose",
    "diagnose_at",
    "loss_landscape",
]
