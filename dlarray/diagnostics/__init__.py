"""Find training problems: the network is measured during one training step, and each problem is named.

    print(dlarray.diagnose_at(model, model.init(), x, y))  # before training
    print(dlarray.diagnose(trained, x, y))                 # after training

Vanishing and exploding gradients, dying ReLUs, saturation, equal weights, and steps that are too large or too small:
each problem is a statistic with a threshold, and each has the textbook's remedy.
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
