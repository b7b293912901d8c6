"""Pictures. Needs matplotlib: ``pip install "dlarray[plot]"``. Functions draw on the Axes given and return it.

Colours are those of Okabe and Ito, which people see apart whatever their colour vision: where signs are told by colour,
blue is positive and orange negative. Nothing is shown or saved before it is asked for: ``plot.save(ax.figure, path)``.
"""

from dlarray.plot.canvas import BLUE, GREY, ORANGE, PALETTE, pyplot, save
from dlarray.plot.curves import learning_curves, metric_curves
from dlarray.plot.diagram import network
from dlarray.plot.functions import activation, activations
from dlarray.plot.health import activation_distributions, diagnosis, gradient_flow, inactive_units, update_ratios
from dlarray.plot.live_plot import LivePlot
from dlarray.plot.lr_finder import lr_finder
from dlarray.plot.matrices import weight_histograms, weights
from dlarray.plot.plan import plan_picture
from dlarray.plot.predictions import confusion, confusion_percent, misclassified
from dlarray.plot.regions import decision_boundary
from dlarray.plot.report import training_report
from dlarray.plot.surface import loss_landscape

__all__ = [
    "BLUE",
    "GREY",
    "ORANGE",
    "PALETTE",
    "LivePlot",
    "activation",
    "activation_distributions",
    "activations",
    "confusion",
    "confusion_percent",
    "decision_boundary",
    "diagnosis",
    "gradient_flow",
    "inactive_units",
    "learning_curves",
    "loss_landscape",
    "lr_finder",
    "metric_curves",
    "misclassified",
    "network",
    "plan_picture",
    "pyplot",
    "save",
    "training_report",
    "update_ratios",
    "weight_histograms",
    "weights",
]
