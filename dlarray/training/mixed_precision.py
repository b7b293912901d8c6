"""Mixed precision: θ, losses and the optimizer in float32, matrix products in a 16-bit dtype.

Micikevicius et al. 2018, "Mixed Precision Training". Each Dense layer rounds its inputs, its weights and dy to 16 bits
and multiplies these. Everything else, including sums over the examples, stays in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.check import one_of
from dlarray.core.layer import Layer
from dlarray.core.layout import Theta
from dlarray.core.trees import copy_tree, leaves, map_leaves
from dlarray.device import Device
from dlarray.device import backend as backends
from dlarray.layers import Chain, Dense
from dlarray.model import MLP
from dlarray.training.step import Batch, Step, TrainState

__all__ = ["mixed_precision"]

HALF = ("bfloat16", "float16")
FIRST_SCALE, PATIENCE = 2.0**16, 2000
"""As in torch's GradScaler: the initial scale, and the number of finite steps after which it is doubled."""


def mixed_precision(step: Step, precision: str | None, device: Device, dtype: str) -> Step:
    """The step with its matrix products in this dtype; the step itself if that is its dtype.

    Raises ValueError for an unknown dtype, for a 16-bit dtype if θ is not float32, and on a device whose library has no
    such products; the message lists those that have.
    """
    if precision is None or one_of("precision", precision, ("float32", "float64", *HALF)) == dtype:
        return step
    if precision not in HALF:
        raise ValueError(f"precision {precision!r} needs weights of the same dtype: give dtype={precision!r}")
    if dtype != "float32":
        raise ValueError(f"precision {precision!r} needs weights of float32, got dtype {dtype!r}")
    if precision not in device.backend.half_types:
        able = [
            f"{(*b.short_names, b.name)[0]} ({', '.join(b.half_types)})" for b in backends.importable() if b.half_types
        ]
        raise ValueError(
            f"{device} has no fast matrix products in {precision}; give precision=None, or a device that has: "
            f"{', '.join(able)}"
        )
    halved = MLP(step.model.inputs, [_halved(f, precision) for f in step.model.layers])
    kind = _ScaledStep if precision == "float16" else Step
    return kind(halved, step.loss, step.optimizer, step.accumulate)


def _halved(f: Layer, precision: str) -> Layer:
    if type(f) is Dense:
        return _HalfDense(f.units, f.weight, f.bias, precision)
    return replace(f, layers=[_halved(g, precision) for g in f.layers]) if isinstance(f, Chain) else f


@dataclass(frozen=True)
class _HalfDense(Dense):
    """Dense with its three products in 16 bits."""

    precision: str = "bfloat16"

    def forward(self, x: Array, W: Array, b: Array | None = None) -> tuple[Array, Array]:
        x_half = self._half(x)
        y = _whole(x_half @ self._half(W), W)
        if b is not None:
            y += b
        return y, x_half

    def backward(self, x: Array, dy: Array, W: Array, b: Array | None = None) -> Array:
        xp = array_namespace(W)
        return _whole(self._half(dy) @ xp.matrix_transpose(self._half(W)), W)

    def gradient(self, x: Array, dy: Array, /) -> dict[str, Array]:
        xp = array_namespace(dy)
        dW = _whole(xp.matrix_transpose(x) @ self._half(dy), dy)
        return {"W": dW} if self.bias is False else {"W": dW, "b": xp.sum(dy, axis=0)}

    def _half(self, x: Array) -> Array:
        xp = array_namespace(x)
        return xp.astype(x, getattr(xp, self.precision))


def _whole(x: Array, like: Array) -> Array:
    return array_namespace(x).astype(x, like.dtype)


@dataclass(frozen=True)
class _ScaledStep(Step):
    """A step whose loss is multiplied by a scale, because small gradients would become 0 in float16.

    The scale is a 0-d array of the state. If a gradient overflows, the scale is halved and the step is skipped. It is
    doubled after 2000 finite steps in a row. Only array operations are used, so nothing waits for the device.
    """

    def init(self, theta: Theta, buffers: Theta, seed: int, device: Device) -> TrainState:
        state = super().init(theta, buffers, seed, device)
        scale, finite_steps = np.asarray(FIRST_SCALE, dtype=np.float32), np.asarray(0, dtype=np.int32)
        state["scaling"] = {"scale": device.asarray(scale), "finite_steps": device.asarray(finite_steps)}
        return state

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Array]:
        assert "scaling" in state
        scale, finite_steps = state["scaling"]["scale"], state["scaling"]["finite_steps"]
        xp = array_namespace(scale)
        value, g, buffers = self.gradient(state, batch, scale)
        g = tuple(v / scale for v in g)
        finite = xp.all(xp.stack([xp.all(xp.isfinite(v)) for v in g]))
        if self.ranks.size > 1:  # each rank may have its own gradient until it is scattered
            finite = self.ranks.sum(xp.astype(~finite, scale.dtype)) == 0
        g = tuple(xp.where(finite, v, 0.0) for v in g)
        old = leaves(copy_tree((state["theta"], state["optimizer"], state["buffers"])))
        layout = self.model.layout_of(state["theta"])
        theta, optimizer = self.optimizer.step_parameters(state["theta"], g, state["optimizer"], layout)
        new = (theta, optimizer, buffers)
        theta, optimizer, buffers = map_leaves(new, lambda x: xp.where(finite, x, next(old)))
        enough = finite_steps >= PATIENCE - 1
        scaling = {
            "scale": xp.where(finite, xp.where(enough, scale * 2, scale), scale / 2),
            "finite_steps": xp.where(finite & ~enough, finite_steps + 1, xp.zeros_like(finite_steps)),
        }
        steps = state["steps"]
        steps += 1
        moved = TrainState(theta=theta, optimizer=optimizer, buffers=buffers, steps=steps, key=state["key"])
        return {**moved, "scaling": scaling}, value
