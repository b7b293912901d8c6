"""How long a step takes when several processes, the ranks, share its batch: a model, its fit and a simulation.

Each rank computes the gradient of its part of the batch, the gradients are summed over the ranks, and each rank makes
the same update. ``predict`` gives the time of such a step from the time of the step on one rank (``StepCost``) and from
the cost of messages (``Link``). ``fit_cost`` and ``fit_link`` find both by least squares in measured times.
``simulate`` draws steps whose ranks are not equally fast. ``docs/scaling.md`` explains the formulas, and
``benchmarks/scaling.py`` compares them with measurements.

Examples
--------
A step of 784-256-128-10 on one core takes 0.1 ms and 8 µs for each example; the machines are connected by 1 Gbit/s:

>>> from dlarray.bench import scaling
>>> link = scaling.Link(latency=50e-6, bandwidth=1e9 / 8)
>>> cost = scaling.StepCost(fixed=1e-4, per_example=8e-6, update=1e-4)
>>> step = scaling.predict(scaling.layers((784, 256, 128, 10)), cost, link, batch=4096, ranks=8)
>>> round(1e3 * step.seconds, 1), round(step.speedup, 1)
(17.8, 1.9)
"""

from dlarray.bench.scaling.fitting import Fitted, Timing, fit_contention, fit_cost, fit_link
from dlarray.bench.scaling.messages import Link, Traffic, all_gather, all_reduce, reduce_scatter, ring
from dlarray.bench.scaling.simulation import simulate
from dlarray.bench.scaling.step import LayerWork, Prediction, StepCost, layers, predict

__all__ = [
    "Fitted",
    "LayerWork",
    "Link",
    "Prediction",
    "StepCost",
    "Timing",
    "Traffic",
    "all_gather",
    "all_reduce",
    "fit_contention",
    "fit_cost",
    "fit_link",
    "layers",
    "predict",
    "reduce_scatter",
    "ring",
    "simulate",
]
