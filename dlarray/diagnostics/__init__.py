"""The textbook's troubles made visible: a network is looked at in one step of training, and told what ails it.

    print(dlarray.diagnose_at(model, model.init(), x, y))  # before training
    print(dlarray.diagnose(trained, x, y))                 # after it

Vanishing and exploding gradients, dying ReLUs, saturation, equal weights, and steps of the wrong size: each is a figure
with a threshold, and each has the book's remedy.
"""

from dlarray.diagnostics.diagnose import diagnose, diagnose_at
from dlarray.diagnostics.figures import LayerFigures, ParameterFigures, Spread
from dlarray.diagnostics.landscape import Landscape, loss_landscape
from dlarray.diagnostics.report import Diagnosis
from dlarray.diagnostics.verdicts import Trouble

__all__ = [
    "Diagnosis",
    "Landscape",
    "LayerFigures",
    "ParameterFigures",
    "Spread",
    "Trouble",
    "diagnose",
    "diagnose_at",
    "loss_landscape",
]
