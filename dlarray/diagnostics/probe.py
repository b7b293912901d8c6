"""The layers of a model, each wrapped in a probe that measures what passes through it, forward and backward.

Probes replace the innermost layers only. Chains, residual connections and everything else that is made of layers
compute as before, so no formula is written twice. All measurements are 0-d arrays on the device.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Activation, Layer, Wrapped
from dlarray.diagnostics.formulas import distribution, norm, share
from dlarray.diagnostics.saturation import saturation
from dlarray.layers import Chain

__all__ = ["Probe", "innermost_layers", "with_probes"]

SATURATED = 0.05
"""A derivative below this fraction of the steepest one counts as saturated: |z| > 4.4 for a sigmoid, |z| > 2.2 for
tanh. Learning takes twenty times as many steps there as in the middle."""


class Probe(Wrapped):
    """A layer and its measurements: ``measured`` holds 0-d arrays by name after forward and backward have run."""

    abstract = True

    def __init__(self, name: str, layer: Layer) -> None:
        super().__init__(layer)
        self.name = name
        self.saturation = saturation(layer) if isinstance(layer, Activation) else None
        self.measured: dict[str, Array] = {}

    def forward(self, x: Array, **p: Array) -> tuple[Array, Any]:
        y, saved = self.layer.forward(x, **p)
        self.measured |= distribution(y) | {"zeros": share(y == 0, y)}
        if self.saturation is not None and self.saturation.flat_sides:
            xp = array_namespace(y)
            slope = xp.abs(self.layer.backward(saved, xp.ones_like(y), **p))
            if self.saturation.flat_sides == 1:
                self.measured["dead"] = share(xp.all(slope == 0, axis=0), y)
            else:
                self.measured["saturated"] = share(slope < SATURATED * self.saturation.steepest, y)
        return y, saved

    def pullback(self, saved: Any, dy: Array, /, **p: Array) -> tuple[Array, dict[str, Array]]:
        dx, dp = self.layer.pullback(saved, dy, **p)
        self.measured["gradient"], self.measured["input_gradient"] = norm(dy), norm(dx)
        return dx, dp

    def gradient(self, saved: Any, dy: Array, /) -> dict[str, Array]:
        self.measured["gradient"] = norm(dy)
        return self.layer.gradient(saved, dy)


def with_probes(chain: Chain, prefix: str = "") -> tuple[Chain, list[Probe]]:
    """The same chain with a probe around each innermost layer, and the probes in forward order."""
    wrapped: list[Layer] = []
    probes: list[Probe] = []
    for i, f in enumerate(chain.layers):
        name = f"{prefix}{i}"
        if isinstance(f, Chain):
            layer, found = with_probes(f, f"{name}.")
        else:
            layer = Probe(name, f)
            found = [layer]
        wrapped.append(layer)
        probes += found
    return replace(chain, layers=wrapped), probes


def innermost_layers(chain: Chain, inputs: int, prefix: str = "") -> list[tuple[str, Layer, int]]:
    """The innermost layers in the same order, each with its name and the number of its outputs."""
    found: list[tuple[str, Layer, int]] = []
    widths = chain.widths(inputs)
    for i, f in enumerate(chain.layers):
        name = f"{prefix}{i}"
        found += innermost_layers(f, widths[i], f"{name}.") if isinstance(f, Chain) else [(name, f, widths[i + 1])]
    return found
