"""The loss of an epoch is that of its examples, however they are cut into batches, and so is a step in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.matrix import On

rng = np.random.default_rng(5)
X = rng.normal(size=(21, 4))
LABELS = rng.integers(0, 3, 21)
NUMBERS = rng.normal(size=(21, 2))
WEIGHT = rng.uniform(0, 3, 21)
STILL = dl.GradientDescent(1e-30)
"""A rate that moves nothing: what an epoch's loss is to be can then be computed from all examples at once."""
MODEL = {2: dl.mlp(4, 2), 3: dl.mlp(4, 3)}

LOSSES: dict[str, tuple[dl.losses.Loss, np.ndarray]] = {
    "numbers": (dl.MeanSquaredError(), NUMBERS),
    "a sum": (dl.MeanSquaredError(reduction="sum"), NUMBERS),
    "a root": (dl.RootMeanSquaredError(), NUMBERS),
    "labels": (dl.SparseCategoricalCrossEntropy(), LABELS),
    "class weights": (dl.SparseCategoricalCrossEntropy(class_weight=(1.0, 9.0, 0.5)), LABELS),
    "a sum with class weights": (
        dl.SparseCategoricalCrossEntropy(class_weight=(1.0, 9.0, 0.5), reduction="sum"),
        LABELS,
    ),
    "class weights of rows": (dl.CategoricalCrossEntropy(class_weight=(1.0, 9.0, 0.5)), np.eye(3)[LABELS]),
    "yes and no": (dl.BinaryCrossEntropy(class_weight=(1.0, 9.0)), (NUMBERS > 0).astype(float)),
    "a class without weight": (dl.SparseCategoricalCrossEntropy(class_weight=(0.0, 0.0, 1.0)), LABELS),
    "hinge": (dl.Hinge(class_weight=(3.0, 0.5)), 2.0 * (NUMBERS > 0) - 1),
}
EACH = pytest.mark.parametrize("name", LOSSES)
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])


def fit(x: Any, y: Any, loss: Any, **options: Any) -> dl.Trained:
    model = MODEL[3 if isinstance(loss, dl.CategoricalCrossEntropy) else 2]
    given: dict[str, Any] = {"batch_size": 8, "epochs": 1, "optimizer": STILL, "dtype": "float64", "metrics": []}
    given |= {"compile": False, "progress": False, "device": "cpu"} | options
    return dl.fit(model, x, y, loss=loss, **given)


def whole(trained: dl.Trained, y: np.ndarray, weight: np.ndarray | None) -> float:
    return float(trained.loss.forward(trained.outputs(X), y, weight)[0])


@EACH
@WEIGHTED
def test_an_epoch_s_loss_is_that_of_all_its_examples(name: str, weighted: bool) -> None:
    loss, y = LOSSES[name]
    weight = WEIGHT if weighted else None
    trained = fit(X, y, loss, weight=weight)
    assert len(trained.history.steps) == 3
    np.testing.assert_allclose(trained.history["loss"], [whole(trained, y, weight)], rtol=1e-12)


@pytest.mark.parametrize("name", ["numbers", "class weights"])
def test_batches_from_an_iterable_count_by_their_weights(name: str) -> None:
    loss, y = LOSSES[name]
    batches = [(X[i : i + 8], y[i : i + 8], WEIGHT[i : i + 8]) for i in (0, 8, 16)]
    trained = fit(batches, None, loss)
    np.testing.assert_allclose(trained.history["loss"], [whole(trained, y, WEIGHT)], rtol=1e-12)


@WEIGHTED
def test_so_do_steps_that_are_taken_at_once(on: On, weighted: bool) -> None:
    if on.name not in {"jax-x64", "jax-float64", "numpy-float64"}:
        pytest.skip("JAX alone takes several steps in one call here; NumPy is there to be compared with")
    loss, y = LOSSES["class weights"]
    weight = WEIGHT if weighted else None
    for shuffle in (False, True):
        options: dict[str, Any] = {"device": on.device, "dtype": on.dtype, "shuffle": shuffle}
        trained = fit(X, y, loss, weight=weight, steps_per_execution=2, **options)
        np.testing.assert_allclose(trained.history["loss"], [whole(trained, y, weight)], rtol=on.rtol * 10)


def test_what_watches_the_loss_sees_that_of_all_examples() -> None:
    """A last batch of one example, far off, is one example among many: the second epoch is the better one."""
    x, y = np.zeros((33, 1)), np.append(np.zeros(32), 10.0)
    seen: list[float] = []

    class Looks(dl.Callback):
        def on_epoch(self, run: dl.training.Run) -> None:
            seen.append(run.metrics["loss"])

    model = dl.MLP(1, [dl.Dense(1, weight=dl.Zeros())])
    options: dict[str, Any] = {"optimizer": STILL, "shuffle": False, "progress": False, "dtype": "float64"}
    trained = dl.fit(model, x, y, batch_size=32, epochs=2, callbacks=[Looks(), dl.EarlyStopping("loss")], **options)
    assert seen == trained.history["loss"] == [100 / 33] * 2


@WEIGHTED
def test_a_run_that_is_resumed_within_an_epoch_has_its_loss(tmp_path: Path, weighted: bool) -> None:
    loss, y = LOSSES["class weights"]
    options: dict[str, Any] = {"weight": WEIGHT if weighted else None, "epochs": 2, "optimizer": "adam"}
    path = tmp_path / "run"
    fit(X, y, loss, callbacks=[dl.Checkpoint(path)], max_steps=2, **options)
    assert fit(X, y, loss, resume=path, **options).history == fit(X, y, loss, **options).history


# A batch in parts


def planned(step: Any) -> Any:
    from dlarray.planner import compile as plan

    return plan(step, executor="ufuncs")


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "a root"])
@WEIGHTED
def test_a_step_in_parts_is_the_whole_batch_s(on: On, name: str, weighted: bool) -> None:
    if on.name not in {"numpy-float64", "numpy-float32", "torch-float64", "strict-2025.12", "jax-x64", "jax-float64"}:
        pytest.skip("a few devices are enough: one of each library")
    if on.jit and name not in ("class weights", "yes and no"):
        pytest.skip("JAX takes its time to compile")
    loss, y = LOSSES[name]
    options: dict[str, Any] = {"optimizer": dl.GradientDescent(0.1), "device": on.device, "dtype": on.dtype}
    options |= {"weight": WEIGHT if weighted else None, "compile": planned if on.name == "numpy-float64" else on.jit}
    a, b = (fit(X, y, loss, accumulate=parts, **options) for parts in (1, 3))
    rtol = 1e-12 if on.dtype == "float64" else 1e-5
    np.testing.assert_allclose(b.history.steps, a.history.steps, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(dl.to_numpy(b.outputs(X)), dl.to_numpy(a.outputs(X)), rtol=rtol, atol=rtol)


def test_what_is_no_sum_over_examples_is_refused_in_parts() -> None:
    with pytest.raises(ValueError, match="RootMeanSquaredError is no sum over examples: give accumulate=1, or an add"):
        fit(X, NUMBERS, dl.RootMeanSquaredError(), accumulate=2)
    with pytest.raises(ValueError, match="is no sum over examples"):
        dl.memory_estimate(MODEL[2], "cpu", loss="rmse", accumulate=2)


# Weights at the ends of the range


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", LOSSES)
def test_weights_whose_sum_is_beyond_the_dtype(name: str, dtype: str) -> None:
    """Two examples of weight 2e38 weigh as two of weight 1; so do two of the smallest number that there is."""
    loss, y = LOSSES[name]
    if getattr(loss, "reduction", "") == "sum":
        pytest.skip("a sum is what overflows, and says so")
    outputs = rng.normal(size=(21, 3 if isinstance(loss, dl.CategoricalCrossEntropy) else 2)).astype(dtype)
    targets = y if y.dtype.kind == "i" else y.astype(dtype)

    def value_and_slope(weight: Any) -> tuple[np.ndarray, np.ndarray]:
        value, saved = loss.forward(outputs, targets, np.asarray(weight, dtype=dtype))
        return value, loss.backward(saved)

    expected = value_and_slope(np.ones(21))
    assert expected[0] > 0
    for weight in (np.finfo(dtype).max, float(np.finfo(dtype).smallest_normal)):
        for found, right in zip(value_and_slope(np.full(21, weight)), expected, strict=True):
            np.testing.assert_allclose(found, right, rtol=8 * float(np.finfo(dtype).eps))


def test_so_many_examples_of_half_precision_that_their_number_is_beyond_it() -> None:
    z, t = np.full((70_000, 1), 2, dtype="float16"), np.zeros((70_000, 1), dtype="float16")
    value, _ = dl.MeanAbsoluteError().forward(z, t, np.ones(70_000, dtype="float16"))
    np.testing.assert_allclose(value, 2, rtol=1e-2)


def test_an_epoch_of_large_weights() -> None:
    large = np.full(21, 3e38)
    loss, y = LOSSES["numbers"]
    trained = fit(X, y, loss, weight=large, dtype="float32")
    np.testing.assert_allclose(trained.history["loss"], [whole(trained, y, None)], rtol=1e-6)
    a, b = (
        fit(X, y, loss, weight=large, dtype="float32", optimizer=dl.GradientDescent(0.1), accumulate=q) for q in (1, 3)
    )
    np.testing.assert_allclose(b.outputs(X), a.outputs(X), rtol=1e-5, atol=1e-6)
