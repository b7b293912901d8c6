"""Training problems found in the statistics: thresholds with their reasons, and the textbook's remedies.

Each problem is reported once, at its cause. No gradient passes a layer that is dead or saturated, so the layers before
it are not reported as vanishing too. If weights are equal, nothing else is reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlarray.diagnostics.statistics import LayerStatistics

__all__ = ["Problem", "find_problems"]

VANISHING = 1e-3
"""|dL/dz| of a layer relative to the last layer's, z being the output of its weights. At 1/1000, a learning rate that
suits the last layer needs a thousand times as many steps in this one. With the initial weights that suit them (He,
Glorot), ReLU and tanh keep 1/5 or more over twenty layers."""

EXPLODING = 100.0
"""The same ratio upwards. It is stricter, because steps that are too small cost time, but steps that are too large
overwrite what was learnt: a rate that suits the last layer makes steps 100 times as large here. Networks of twenty
layers with BatchNorm, which do learn, reach 35."""

DYING = 0.9
"""The share of a layer's units whose derivative is 0 for every example. Every deep ReLU network has some: three
quarters of the units in the deep layers of a network of 30 layers of 16 units with He's initial weights, because their
inputs are nearly equal. With nine of ten dead, the layer is a bottleneck for all layers after it."""

MIN_EXAMPLES = 32
"""The number of examples needed to call a unit dead: a healthy unit is off for about half of them, independently."""

SATURATION = 0.5
"""The share of a layer's outputs on the flat parts of a sigmoid or tanh. It is near 0 with initial weights scaled to
the layer. Above one half, most of the gradient is lost."""

EQUAL = 0.5
"""The share of a layer's units that have a duplicate. A few can be equal by chance, in a wide layer with one input. If
most are, the layer computes with fewer units than it has."""

TOO_SMALL = 1e-5
"""|Δθ| / |θ| of one step: 100,000 steps in one direction change the weights by their own size. About 1e-3 is usual. It
is a problem only if the loss does not fall either: near a minimum steps become small, but the loss still falls."""

STALLED = 1e-4
"""The loss counts as not falling below this relative decrease in one step: 10,000 steps for a factor of e."""

TOO_LARGE = 0.1
"""|Δθ| / |θ| of one step that replaces a tenth of the weights. It is a problem only if the loss of the same examples
rises."""


@dataclass(frozen=True)
class Problem:
    """A training problem: its kind in the textbook's words, the layers that have it, how it was found, and a remedy."""

    kind: str
    layers: tuple[str, ...]
    reason: str
    remedy: str

    def __str__(self) -> str:
        word = "layer" if len(self.layers) == 1 else "layers"
        where = f" ({word} {', '.join(self.layers)})" if self.layers else ""
        return f"{self.kind}{where}: {self.reason}. Remedy: {self.remedy}."


REMEDIES = {
    "equal weights": "random initial weights: HeUniform for ReLU and its variants, GlorotUniform for sigmoid and tanh",
    "dying": "leaky or parametrised ReLU (LeakyReLU, PReLU), a smaller learning rate, and initial biases of 0",
    "exploding": "smaller initial weights (HeUniform for ReLU, GlorotUniform for sigmoid and tanh), clipped gradients "
    "(Clipped(Adam(), clip_by_global_norm, 1.0)), a smaller learning rate",
    "saturated": "smaller initial weights (GlorotUniform), standardized inputs, or ReLU in the hidden layers",
    "vanishing": "ReLU or leaky ReLU in the hidden layers instead of sigmoid and tanh, initial weights scaled to the "
    "layer (HeUniform, GlorotUniform), and in deep networks Residual or normalisation",
    "steps too large": "a smaller learning rate, a schedule with warm-up, or clipped gradients",
    "steps too small": "a larger learning rate, or Adam, whose steps do not shrink with the gradient",
}


def find_problems(
    layers: Sequence[LayerStatistics], examples: int, loss: float, loss_after: float
) -> tuple[Problem, ...]:
    """The problems of a network, the most serious first; none if it is healthy."""
    if not_finite := _not_finite(layers, loss):
        return (not_finite,)
    if equal := _equal(layers):
        return (equal,)
    found = [_dying(layers, examples), _exploding(layers), _saturated(layers)]
    kinds = {problem.kind: problem for problem in found if problem}
    blocked = [name for kind in ("dying", "saturated") if kind in kinds for name in kinds[kind].layers]
    found.append(_vanishing(layers, blocked))
    kinds = {problem.kind: problem for problem in found if problem}
    if "exploding" not in kinds:
        found.append(_too_large(layers, loss, loss_after))
    if not kinds:
        found.append(_too_small(layers, loss, loss_after))
    return tuple(problem for problem in found if problem)


def _problem(
    kind: str, layers: Sequence[LayerStatistics], severity: Callable[[LayerStatistics], float], reason: str
) -> Problem | None:
    """The problem of these layers. ``reason`` is about the worst of them: it gets that layer's name and severity."""
    if not layers:
        return None
    worst = max(layers, key=severity)
    return Problem(
        kind,
        tuple(f.name for f in layers),
        reason.format(layer=f"layer {worst.name} ({worst.kind})", value=severity(worst)),
        REMEDIES[kind],
    )


def _equal(layers: Sequence[LayerStatistics]) -> Problem | None:
    def duplicates(f: LayerStatistics) -> float:
        return (f.weights and f.weights.duplicates) or 0.0

    reason = "{value:.0%} of the units of {layer} have the same weights and gradient as another unit, and stay equal"
    return _problem("equal weights", [f for f in layers if duplicates(f) > EQUAL], duplicates, reason)


def _dying(layers: Sequence[LayerStatistics], examples: int) -> Problem | None:
    def dead(f: LayerStatistics) -> float:
        return f.dead or 0.0

    found = [f for f in layers if dead(f) > DYING] if examples >= MIN_EXAMPLES else []
    reason = f"{{value:.0%}} of the units of {{layer}} have derivative 0 for all {examples} examples and do not learn"
    return _problem("dying", found, dead, reason)


def _saturated(layers: Sequence[LayerStatistics]) -> Problem | None:
    def saturated(f: LayerStatistics) -> float:
        return f.saturated or 0.0

    found = [f for f in layers[:-1] if saturated(f) > SATURATION]  # a saturated output layer is only a sure prediction
    reason = "{value:.0%} of the outputs of {layer} are where its derivative is nearly 0, so little gradient passes"
    return _problem("saturated", found, saturated, reason)


def _flow(layers: Sequence[LayerStatistics]) -> list[tuple[int, LayerStatistics, float]]:
    """Each layer with weights except the last: its index, and its |dL/dz| divided by the last one's."""
    weighted = [(i, f) for i, f in enumerate(layers) if f.weights]
    if not weighted or weighted[-1][1].gradient == 0:
        return []
    last = weighted[-1][1].gradient
    return [(i, f, f.gradient / last) for i, f in weighted[:-1]]


def _not_finite(layers: Sequence[LayerStatistics], loss: float) -> Problem | None:
    """Exploding to infinity or NaN: no other statistic is meaningful then."""
    found = [f for f in layers if not math.isfinite(f.gradient) or not math.isfinite(f.output.std)]
    if not found and math.isfinite(loss):
        return None
    names = tuple(f.name for f in found)
    return Problem("exploding", names, "numbers have become infinite or NaN", REMEDIES["exploding"])


def _exploding(layers: Sequence[LayerStatistics]) -> Problem | None:
    flow = {f.name: ratio for _, f, ratio in _flow(layers)}
    found = [f for _, f, ratio in _flow(layers) if ratio > EXPLODING]
    reason = "the gradient at {layer} is {value:.3g} times that of the last layer"
    return _problem("exploding", found, lambda f: flow[f.name], reason)


def _vanishing(layers: Sequence[LayerStatistics], blocked: Sequence[str]) -> Problem | None:
    last = max((i for i, f in enumerate(layers) if f.name in blocked), default=-1)
    small = {f.name: ratio for i, f, ratio in _flow(layers) if ratio < VANISHING and i > last}
    found = [f for f in layers if f.name in small]
    reason = "the gradient at {layer} is {value:.3g} times smaller than that of the last layer: it hardly learns"
    return _problem("vanishing", found, lambda f: 1 / small[f.name] if small[f.name] else math.inf, reason)


def _update(f: LayerStatistics) -> float:
    return (f.weights and f.weights.update) or 0.0


def _too_large(layers: Sequence[LayerStatistics], loss: float, loss_after: float) -> Problem | None:
    if loss_after <= loss:
        return None
    rises = f"the loss rises from {loss:.3g} to {loss_after:.3g}"
    reason = f"one step changes the weights of {{layer}} by {{value:.3g}} of their size, and {rises}"
    return _problem("steps too large", [f for f in layers if _update(f) > TOO_LARGE], _update, reason)


def _too_small(layers: Sequence[LayerStatistics], loss: float, loss_after: float) -> Problem | None:
    weighted = [f for f in layers if f.weights]
    if not weighted or max(map(_update, weighted)) >= TOO_SMALL or abs(loss - loss_after) >= STALLED * abs(loss):
        return None
    reason = "one step changes the weights by at most {value:.1e} of their size, in {layer}, and the loss hardly falls"
    return _problem("steps too small", weighted, _update, reason)
