"""All layers, losses and optimizers of the library in a whole step, eager and planned."""

from __future__ import annotations

import warnings
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.core.layer import Layer
from dlarray.core.registry import classes
from dlarray.core.trees import flatten
from dlarray.device import resolve
from dlarray.layers import BatchNorm, Dense, Dropout, Embedding, LayerNorm, Residual, RMSNorm
from dlarray.losses import CategoricalCrossEntropy, Loss, MeanSquaredError, SparseCategoricalCrossEntropy
from dlarray.model import MLP, mlp
from dlarray.optimizers import (
    Adam,
    Clipped,
    GradientDescent,
    Optimizer,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
)
from dlarray.planner import compile as compile_step
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.schedules import (
    CosineDecay,
    CosineRestarts,
    Cyclic,
    ExponentialDecay,
    MultiStepDecay,
    OneCycle,
    StepDecay,
    WarmUp,
)
from dlarray.testing.loss_cases import LOSSES, case
from dlarray.training.step import Step

DTYPES = ["float32", "float64"]
STEPS = 20


def leaves(tree: Any) -> list[np.ndarray]:
    found: list[Any] = []
    flatten(tree, found)
    return [np.asarray(a) for a in found]


def batches(step: Step, dtype: str, rows: int, weighted: bool = False) -> list[Any]:
    r = np.random.default_rng(7)
    outputs = step.model.outputs
    made: list[Any] = []
    for i in range(STEPS):
        n = rows if i % 5 != 4 else rows - 2  # a shorter batch at the end of each epoch
        x = r.standard_normal((n, step.model.inputs)).astype(dtype)
        if step.model.layers[0].integers:
            x = r.integers(0, 5, x.shape).astype(np.int32)
        if step.loss.targets_are_labels:
            t = r.integers(0, outputs, n).astype(np.int32)
        else:  # rows that are distributions: valid for every other loss too
            t = r.random((n, step.loss.target_columns(outputs)))
            t = np.round(t / t.sum(axis=1, keepdims=True), 2).astype(dtype)
        made.append((x, t, r.random(n).astype(dtype) if weighted else None))
    return made


def compare(step: Step, dtype: str = "float64", rows: int = 7, weighted: bool = False, exact: bool = True) -> Any:
    """Train eagerly and planned, and compare every loss and every array of the state."""
    device = resolve("cpu")

    def start() -> Any:
        return step.init(step.model.init(0, device, dtype), step.model.init_buffers(device, dtype), 0, device)

    plain, planned, fast = start(), start(), compile_step(step, partial(ufuncs, small=0) if exact else "ufuncs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i, batch in enumerate(batches(step, dtype, rows, weighted)):
            plain, expected = step(plain, batch)
            planned, loss = fast(planned, batch)
            for k, (a, b) in enumerate(zip(leaves((plain, expected)), leaves((planned, loss)), strict=True)):
                assert a.dtype == b.dtype
                assert a.shape == b.shape
                if exact:
                    np.testing.assert_array_equal(b, a, err_msg=f"step {i}, leaf {k}")
                else:
                    np.testing.assert_allclose(
                        b, a, rtol=1e-13 if dtype == "float64" else 1e-5, atol=1e-14 if dtype == "float64" else 1e-6
                    )
    assert len(fast.programs) == 2
    assert all(program is not None for program in fast.programs.values()), "it fell back to the eager step"
    return fast


def default(kind: type[Any]) -> Any:
    """An instance with its defaults, and a small number for each field without a default."""
    if kind is Residual:
        return Residual([Dense(8), "tanh"])
    needed = {f.name: 6 for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    return kind(**needed)


LAYERS = [c for c in classes(Layer).values() if c.__module__.startswith("dlarray") and c.__name__ != "Chain"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", LAYERS, ids=lambda c: c.__name__)
def test_every_layer_and_activation(kind, dtype):
    if kind is Embedding:
        model = MLP(4, [Embedding(5, 3), Dense(6), "relu", Dense(4)])
    else:
        model = MLP(6, [Dense(8), default(kind), Dense(4)])
    compare(Step(model, SparseCategoricalCrossEntropy(), Adam()), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "kind", [c for c in classes(Loss).values() if c.__module__.startswith("dlarray")], ids=lambda c: c.__name__
)
def test_every_loss(kind, weighted, dtype):
    compare(Step(MLP(6, [Dense(8), "tanh", Dense(4)]), kind(), Adam()), dtype, weighted=weighted)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if getattr(loss, "reduction", "mean") != "none"], ids=repr)
def test_a_loss_in_a_step_of_the_users_own(loss):
    """It checks targets, but reads no values of them while the step is traced."""

    def step(state, batch):
        value, saved = loss.forward(*batch)
        return state + value, loss.backward(saved)

    z, t, weight = case(loss)
    fast = compile_step(step)
    _, slopes = fast(np.zeros(()), (z, t, weight))
    assert fast.latest()
    np.testing.assert_allclose(slopes, step(np.zeros(()), (z, t, weight))[1], rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "kind", [c for c in classes(Optimizer).values() if c.__module__.startswith("dlarray")], ids=lambda c: c.__name__
)
def test_every_optimizer(kind, dtype):
    compare(Step(MLP(6, [Dense(8), "tanh", Dense(4)]), MeanSquaredError(), kind(weight_decay=0.01)), dtype)


SCHEDULES = [
    StepDecay(0.01, 3),
    ExponentialDecay(0.01, 0.9),
    MultiStepDecay(0.01, (2, 4)),
    Cyclic(0.01, 0.02, 3, factor=0.5),
    CosineDecay(0.01, 10),
    CosineRestarts(0.01, 3, 2),
    OneCycle(0.01, 20),
    WarmUp(3, CosineDecay(0.01, 10)),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_schedules(schedule):
    compare(Step(MLP(6, [Dense(8), "tanh", Dense(4)]), MeanSquaredError(), GradientDescent(schedule)), exact=False)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("clip", [clip_by_value, clip_by_global_norm, "norm"])
def test_clipping(clip, dtype):
    model = MLP(6, [Dense(8), "tanh", Dense(4)])
    f = partial(clip_by_norm, layout=model.layout) if clip == "norm" else clip
    compare(Step(model, MeanSquaredError(), Clipped(Adam(), f, 0.01)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3, 12])
def test_dropout_norms_clipping_and_parts_together(rows, dtype):
    layers = [Dense(8), LayerNorm(), "gelu", Dropout(0.3), Dense(8), RMSNorm(), "swish", Dropout(0.2), Dense(4)]
    step = Step(
        MLP(6, layers),
        CategoricalCrossEntropy(label_smoothing=0.1),
        Clipped(Adam(weight_decay=0.1), clip_by_global_norm, 1.0),
    )
    compare(step, dtype, rows=max(rows, 3))
    compare(Step(step.model, step.loss, step.optimizer, accumulate=2), dtype, rows=max(rows, 3))


def test_a_batch_and_an_output_of_one():
    compare(Step(MLP(1, [Dense(1), "tanh", Dense(1)]), MeanSquaredError(), Adam()), rows=3)


@dataclass(frozen=True)
class Squares(Layer):
    """A user's layer: y = x² s + softmax-like rows, a parameter and operations of several kinds."""

    def shapes(self, inputs: int) -> dict[str, tuple[int, ...]]:
        return {"s": (inputs,)}

    def initializers(self) -> dict[str, Any]:
        from dlarray.initializers import Ones

        return {"s": Ones()}

    def forward(self, x: Any, s: Any) -> tuple[Any, Any]:
        xp = array_namespace(x)
        total = xp.cumulative_sum(x, axis=1)  # an eager call in the plan
        return x**2 * s + total / (1 + xp.max(xp.abs(x), axis=-1, keepdims=True)) + x.sum(axis=1, keepdims=True), x

    def backward(self, x: Any, dy: Any, s: Any) -> Any:
        return 2 * x * s * dy

    def gradient(self, x: Any, dy: Any, /) -> dict[str, Any]:
        return {"s": np.sum(dy * x**2, axis=0)}  # even NumPy's own functions


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_users_layer_is_planned_as_it_is(dtype):
    compare(Step(MLP(6, [Dense(8), Squares(), Dense(4)]), MeanSquaredError(), Adam()), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_wide_layers_in_several_blocks(dtype):
    """Sums over several blocks round differently."""
    step = Step(
        mlp(30, 300, 20, 10, dropout=0.1),
        SparseCategoricalCrossEntropy(),
        Clipped(GradientDescent(), clip_by_global_norm, 1.0),
    )
    compare(step, dtype, rows=300, exact=False)
    compare(
        Step(MLP(6, [Dense(300), BatchNorm(), "tanh", Dense(4)]), MeanSquaredError(), GradientDescent()),
        dtype,
        rows=300,
        exact=False,
    )
