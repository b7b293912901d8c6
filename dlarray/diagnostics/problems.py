"""What figures mean: thresholds with their reasons, and the book's remedies.

A trouble is a cause, not each of its effects: no gradient comes through a layer that is dead or saturated, so the
layers before it are not called vanishing besides; where weights are equal, nothing else is judged until they are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlarray.diagnostics.statistics import LayerStatistics

__all__ = ["Problem", "find_problems"]

VANISHING = 1e-3
"""|dL/dz| of a layer against that of the last one, z being the output of its weights. At a thousandth, a learning rate
that suits the last layer would take a thousand times as long in the other. At their own starts (He, Glorot) ReLU and
tanh keep a fifth or more over twenty layers."""

EXPLODING = 100.0
"""The same upwards, and earlier: too small a step costs time, too large a one what was learnt. A rate that suits the
last layer makes steps of the other a hundred times as large. Twenty layers of BatchNorm, which learn, reach 35."""

DYING = 0.9
"""The share of a layer's units whose slope is 0 for every example. Some are dead in every deep ReLU network: three
quarters of them far down in 30 layers of 16 units at He's start, whose inputs have become alike. With nine of ten gone
a layer is a bottleneck that nothing widens again."""

SEEN = 32
"""So many examples must have been seen before a unit that was silent for all of them is called dead: a healthy one is
off for half of them, one by one."""

SATURATION = 0.5
"""The share of a layer's numbers on the flat parts of a sigmoid or of tanh. At a start scaled to the layer it is near
0; above a half, most of the gradient is lost there."""

EQUAL = 0.5
"""The share of a layer's units that have a twin. A few may meet by chance, in a wide layer of one input; where most do,
the layer has fewer units than it says."""

SMALL = 1e-5
"""|Δθ| / |θ| of one step: at this pace 100,000 steps in one direction change the weights by as much as they are. About
1e-3 is usual. It is called too small where the loss hardly falls either: near a minimum steps grow small by themselves,
and the loss goes on falling."""

LITTLE = 1e-4
"""The part of itself by which the loss falls in one step, below which it hardly does: 10,000 steps to a third of it."""

LARGE = 0.1
"""The same upwards: a step that replaces a tenth of the weights. It is called too large where the loss of the very
examples it was made for rises with it."""


@dataclass(frozen=True)
class Problem:
    """One trouble: its kind in the book's word, the layers that have it, how it is known, and what helps."""

    kind: str
    layers: tuple[str, ...]
    reason: str
    remedy: str

    def __str__(self) -> str:
        where = f" (layer {', '.join(self.layers)})" if self.layers else ""
        return f"{self.kind}{where}: {self.reason}. Remedy: {self.remedy}."


REMEDIES = {
    "equal weights": "start from random weights: HeUniform for ReLU and its kin, GlorotUniform for sigmoid and tanh",
    "dying": "leaky or parametrised ReLU (LeakyReLU, PReLU), a smaller learning rate, and biases that start at 0",
    "exploding": "smaller initial weights (HeUniform for ReLU, GlorotUniform for sigmoid and tanh), clipped gradients "
    "(Clipped(Adam(), clip_by_global_norm, 1.0)), a smaller learning rate",
    "saturated": "smaller initial weights (GlorotUniform), standardised inputs, or ReLU in the hidden layers",
    "vanishing": "ReLU or leaky ReLU in the hidden layers instead of sigmoid and tanh, initial weights scaled to the "
    "layer (HeUniform, GlorotUniform), and in deep networks Residual or a normalisation",
    "steps too large": "a smaller learning rate, a schedule that warms up, or clipped gradients",
    "steps too small": "a larger learning rate, or Adam, whose steps do not shrink with the gradient",
}


def find_problems(
    layers: Sequence[LayerStatistics], examples: int, loss: float, loss_after: float
) -> tuple[Problem, ...]:
    """The troubles of a network, the gravest first; none where it is healthy."""
    if endless := _endless(layers, loss):
        return (endless,)
    if equal := _equal(layers):
        return (equal,)
    found = [_dying(layers, examples), _exploding(layers), _saturated(layers)]
    kinds = {trouble.kind: trouble for trouble in found if trouble}
    blocked = [name for kind in ("dying", "saturated") if kind in kinds for name in kinds[kind].layers]
    found.append(_vanishing(layers, blocked))
    kinds = {trouble.kind: trouble for trouble in found if trouble}
    if "exploding" not in kinds:
        found.append(_too_large(layers, loss, loss_after))
    if not kinds:
        found.append(_too_small(layers, loss, loss_after))
    return tuple(trouble for trouble in found if trouble)


def _trouble(
    kind: str, layers: Sequence[LayerStatistics], worst: Callable[[LayerStatistics], float], reason: str
) -> Problem | None:
    """The trouble of these layers; ``reason`` is told of the worst of them, with its name and figure filled in."""
    if not layers:
        return None
    layer = max(layers, key=worst)
    return Problem(
        kind,
        tuple(f.name for f in layers),
        reason.format(layer=f"layer {layer.name}, {layer.kind},", figure=worst(layer)),
        REMEDIES[kind],
    )


def _equal(layers: Sequence[LayerStatistics]) -> Problem | None:
    def duplicates(f: LayerStatistics) -> float:
        return (f.weights and f.weights.duplicates) or 0.0

    reason = "{figure:.0%} of the units of {layer} have the weights and the gradient of another, and will keep them"
    return _trouble("equal weights", [f for f in layers if duplicates(f) > EQUAL], duplicates, reason)


def _dying(layers: Sequence[LayerStatistics], examples: int) -> Problem | None:
    def dead(f: LayerStatistics) -> float:
        return f.dead or 0.0

    found = [f for f in layers if dead(f) > DYING] if examples >= SEEN else []
    reason = (
        f"{{figure:.0%}} of the units of {{layer}} have slope 0 for each of the {examples} examples: they never learn"
    )
    return _trouble("dying", found, dead, reason)


def _saturated(layers: Sequence[LayerStatistics]) -> Problem | None:
    def saturated(f: LayerStatistics) -> float:
        return f.saturated or 0.0

    found = [
        f for f in layers[:-1] if saturated(f) > SATURATION
    ]  # the last layer's is an answer that is sure of itself
    reason = "{figure:.0%} of the outputs of {layer} lie where its slope is nearly 0, and little gradient comes through"
    return _trouble("saturated", found, saturated, reason)


def _flow(layers: Sequence[LayerStatistics]) -> list[tuple[int, LayerStatistics, float]]:
    """Each layer with weights but the last: its place, and its |dL/dz| against the last one's."""
    weighted = [(i, f) for i, f in enumerate(layers) if f.weights]
    if not weighted or weighted[-1][1].gradient == 0:
        return []
    last = weighted[-1][1].gradient
    return [(i, f, f.gradient / last) for i, f in weighted[:-1]]


def _endless(layers: Sequence[LayerStatistics], loss: float) -> Problem | None:
    """Exploding beyond all numbers: no other figure can be trusted then."""
    found = [f for f in layers if not math.isfinite(f.gradient) or not math.isfinite(f.output.std)]
    if not found and math.isfinite(loss):
        return None
    names = tuple(f.name for f in found)
    return Problem("exploding", names, "numbers have become infinite or NaN", REMEDIES["exploding"])


def _exploding(layers: Sequence[LayerStatistics]) -> Problem | None:
    flow = {f.name: part for _, f, part in _flow(layers)}
    found = [f for _, f, part in _flow(layers) if part > EXPLODING]
    reason = "the gradient that comes back to {layer} is {figure:.3g} times that of the last layer"
    return _trouble("exploding", found, lambda f: flow[f.name], reason)


def _vanishing(layers: Sequence[LayerStatistics], blocked: Sequence[str]) -> Problem | None:
    last = max((i for i, f in enumerate(layers) if f.name in blocked), default=-1)
    small = {f.name: part for i, f, part in _flow(layers) if part < VANISHING and i > last}
    found = [f for f in layers if f.name in small]
    reason = "only 1 part in {figure:.3g} of the last layer's gradient comes back to {layer} which hardly learns"
    return _trouble("vanishing", found, lambda f: 1 / small[f.name] if small[f.name] else math.inf, reason)


def _too_large(layers: Sequence[LayerStatistics], loss: float, loss_after: float) -> Problem | None:
    def update(f: LayerStatistics) -> float:
        return (f.weights and f.weights.update) or 0.0

    if loss_after <= loss:
        return None
    rises = f"the loss rises from {loss:.3g} to {loss_after:.3g}"
    reason = f"one step moves the weights of {{layer}} by {{figure:.3g}} of their size, and {rises}"
    return _trouble("steps too large", [f for f in layers if update(f) > LARGE], update, reason)


def _too_small(layers: Sequence[LayerStatistics], loss: float, loss_after: float) -> Problem | None:
    def update(f: LayerStatistics) -> float:
        return (f.weights and f.weights.update) or 0.0

    weighted = [f for f in layers if f.weights]
    if not weighted or max(map(update, weighted)) >= SMALL or abs(loss - loss_after) >= LITTLE * abs(loss):
        return None
    reason = "one step moves the weights of {layer} which move most, by {figure:.1e} of their size, and the loss hardly"
    return _trouble("steps too small", weighted, update, reason)
