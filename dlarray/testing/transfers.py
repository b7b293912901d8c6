"""No implicit transfer: a step reads no value, sends nothing, and leaves every array on its device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dlarray.activations import GELU, Tanh
from dlarray.core.array import Array
from dlarray.core.trees import leaves
from dlarray.layers import BatchNorm, Dense, Dropout, LayerNorm, Residual
from dlarray.losses import Loss, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.model import MLP
from dlarray.optimizers import Adam, Clipped, Optimizer, clip_by_global_norm
from dlarray.testing import activations, loss_cases, optimizers
from dlarray.testing.check import Check, NotApplicable
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.watch import watching
from dlarray.training.step import Batch, Step, TrainState

__all__ = ["checks", "one_of_each", "step_of"]


def checks() -> list[Check]:
    """The checks of this part, which say nothing about a library whose arrays are NumPy's."""
    given: dict[str, Callable[[Column], None]] = {
        "steps read and send nothing": _steps,
        "activations read and send nothing": _activations,
        "losses read and send nothing": _losses,
        "results stay on the device": _results,
        "arrays of the host are refused": _refused,
    }
    return [Check("transfers", name, partial(_with_device, run), BASIC) for name, run in given.items()]


def step_of(column: Column, model: MLP | None = None) -> tuple[Step, TrainState, Batch]:
    """A step of the model, by default one with most layers, the initial state and a batch, on the column's device."""
    if model is None:
        backend = column.backend
        dropout = [Dropout(0.2)] if backend.int32_wraps and backend.bit_operations else []
        model = MLP(6, [Dense(8), BatchNorm(), GELU(), *dropout, Residual([LayerNorm(), Dense(8), Tanh()]), Dense(3)])
    step = Step(model, SparseCategoricalCrossEntropy(), Clipped(Adam(), clip_by_global_norm, 1.0))
    theta = model.init(0, column.target, column.dtype)
    state = step.init(theta, model.init_buffers(column.target, column.dtype), 0, column.target)
    rng = np.random.default_rng(9)
    x, t, weight = rng.normal(size=(7, 6)), rng.integers(0, 3, 7), rng.uniform(0.5, 1.5, 7)
    return step, state, (column.array(x), column.array(t), column.array(weight))


def _with_device(run: Callable[[Column], None], column: Column) -> None:
    if column.backend.uses_numpy_arrays:
        raise NotApplicable("the arrays of this library are those of the host")
    run(column)


def _quiet(column: Column, what: str, run: Callable[[], Any]) -> None:
    """Assert that a function reads and sends nothing when it is called again: at first a library may set itself up."""
    column.backend.settle(run())
    with watching(column) as seen:
        run()
    assert not seen, f"{what}: {'; '.join(dict.fromkeys(seen))}"


def _steps(column: Column) -> None:
    """A whole step, and that of each optimizer."""
    step, state, batch = step_of(column)
    state, _ = column.backend.settle(step(state, batch))
    with watching(column) as seen:
        step(state, batch)
    assert not seen, "; ".join(dict.fromkeys(seen))
    for optimizer in one_of_each(optimizers.cases()):
        theta, (g, *_) = optimizers.numbers()

        def run(optimizer: Optimizer = optimizer, theta: np.ndarray = theta, g: np.ndarray = g) -> Callable[[], Any]:
            here = column.array(theta)
            state, g_here = optimizer.init(here), column.array(g)
            return lambda: optimizer.step(here, g_here, state)

        column.backend.settle(run()())
        prepared = run()
        with watching(column) as seen:
            prepared()
        assert not seen, f"{optimizer!r}: {'; '.join(dict.fromkeys(seen))}"


def one_of_each(things: list[Any]) -> list[Any]:
    """The first of each class."""
    found: dict[str, Any] = {type(thing).__name__: thing for thing in reversed(things)}
    return list(found.values())[::-1]


def _activations(column: Column) -> None:
    for f in one_of_each(activations.cases()):
        z, dy = map(column.array, activations.numbers((4, 5)))
        p = {name: column.array(x) for name, x in activations.parameters(f, 5).items()}

        def both(f: Any = f, z: Array = z, dy: Array = dy, p: dict[str, Array] = p) -> tuple[Array, Array]:
            y, saved = f.forward(z, **p)
            return y, f.backward(saved, dy, **p)

        _quiet(column, repr(f), both)


def _losses(column: Column) -> None:
    """Targets have been checked before training; a step uses losses that read none."""
    for loss in one_of_each([loss for loss in loss_cases.LOSSES if loss.reduction == "mean"]):
        z, t, weight = map(column.array, loss_cases.case(loss))
        both = loss_cases.value_and_slope(loss.unchecked())
        _quiet(column, repr(loss), partial(both, z, t, weight))


def _results(column: Column) -> None:
    """The new state and the loss have the types, the dtypes and the device of the old state."""
    step, state, batch = step_of(column)
    before = list(leaves(state))
    after, loss = column.backend.settle(step(state, batch))
    kind: type[Any] = batch[0].__class__
    device = column.target.name
    for x, y in zip([*leaves(after), loss], [*before, batch[0]], strict=True):
        assert type(x) is kind, f"a step returns a {type(x).__name__}, not a {kind.__name__}"
        assert x.dtype == y.dtype, f"a step makes {x.dtype} of {y.dtype}"
        where = column.backend.device_of(x)
        assert where == column.backend.device_of(batch[0]), f"a step on {device} returns an array on {where}"


def _refused(column: Column) -> None:
    """A formula does not send an array of NumPy to the device, and does not read one of the device for it."""
    z, t, _ = loss_cases.case(MeanSquaredError())
    pairs: list[tuple[str, Loss, Any, Any]] = [
        ("targets", MeanSquaredError(), column.array(z), column.host(t)),
        ("outputs", MeanSquaredError(), column.host(z), column.array(t)),
    ]
    for what, loss, a, b in pairs:
        with watching(column) as seen:
            try:
                loss.forward(a, b)
            except TypeError:
                continue
            finally:
                assert not seen, f"{what} on the host: {'; '.join(seen)}"
        raise AssertionError(f"{what} on the host are taken beside arrays of the device")
