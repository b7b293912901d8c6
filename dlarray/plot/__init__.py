"""Pictures with matplotlib: ``pip install "dlarray[plot]"``. Functions draw on the Axes ``ax`` and return it.

The colours are those of Okabe and Ito, which can be distinguished with any colour vision. Where colour shows a sign,
blue is positive and orange negative. Nothing is shown or saved automatically: ``plot.save(ax.figure, path)``.
"""

from dlarray.plot.canvas import AMBER, BLUE, GREEN, GREY, ORANGE, PALETTE, PINK, SKY, pyplot, save
from dlarray.plot.curves import learning_curves, metric_curves
from dlarray.plot.diagram import network
from dlarray.plot.functions import activation, activations
from dlarray.plot.health import activation_distributions, diagnosis, gradient_flow, inactive_units, update_ratios
from dlarray.plot.live_plot import LivePlot
from dlarray.plot.lr_finder import lr_finder
from dlarray.plot.matrices import feature_weights, weight_histograms, weights
from dlarray.plot.plan import plan_picture
from dlarray.plot.predictions import confusion, confusion_percent, misclassified, truth_and_prediction
from dlarray.plot.regions import decision_boundary
from dlarray.plot.report import training_report
from dlarray.plot.surface import loss_landscape

__all__ = [
    "AMBER",
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PALETTE",
    "PINK",
    "SKY",
    "LivePlot",
    "activation",
    "activation_distributions",
    "activations",
    "confusion",
    "confusion_percent",
    "decision_boundary",
    "diagnosis",
    "feature_weights",
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
    "truth_and_prediction",
    "update_ratios",
    "weight_histograms",
    "weights",
]
