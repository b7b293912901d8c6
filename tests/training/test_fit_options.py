"""What ``fit`` takes: limits, weights of classes, clipping, batches from an iterable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.fits import FEW, LABELS, MODEL, NUMBERS, WEIGHTS, X, check_same, fit
from tests.support.matrix import On

# Metrics


def test_a_metric_can_have_the_name_of_a_loss() -> None:
    trained = fit(y=NUMBERS, model=dl.mlp(6, 2), metrics=["mse", "MAE", "mean_squared_error", "mean_absolute_error"])
    assert trained.history["mse"] == trained.history["mean_squared_error"]
    assert trained.history["MAE"] == trained.history["mean_absolute_error"]
    assert trained.evaluate(X, NUMBERS, metrics=["rmse"])["rmse"] == pytest.approx(trained.history["mse"][-1] ** 0.5)
    with pytest.raises(ValueError, match="unknown metric 'hinge'.*known are accuracy"):
        fit(metrics=["hinge"])


def test_a_metric_returns_a_number_of_any_kind() -> None:
    """Such as scikit-learn's, which return Python's floats and NumPy's."""

    def python(t: Any, p: Any) -> float:
        return float(np.mean(np.abs(t - p)))

    def scalar(t: Any, p: Any) -> Any:
        return np.mean(np.abs(t - p))

    def vector(t: Any, p: Any) -> Any:
        return np.mean(np.abs(t - p), keepdims=True)[0]

    for own in (python, scalar, vector):
        trained = fit(y=NUMBERS, model=dl.mlp(6, 2), metrics=["mae", own])
        np.testing.assert_allclose(trained.history[own.__name__], trained.history["mae"], rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "words"), [([1.0], "list"), (None, "NoneType"), (np.ones(3), r"ndarray of the shape \(3,\)")]
)
def test_a_metric_that_returns_no_number_is_named(wrong: Any, words: str) -> None:
    def mine(t: Any, p: Any) -> Any:
        return wrong

    with pytest.raises(TypeError, match=f"metric 'mine' must return a number or an array with one number, got {words}"):
        fit(metrics=[mine])


# Limits


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (3, 1), (5, 2), (9, 3), (99, 3)])
def test_a_limit_of_steps(steps: int, epochs: int) -> None:
    whole, part = fit(metrics=None), fit(metrics=None, max_steps=steps)
    assert part.history.steps == whole.history.steps[:steps]
    assert len(part.history.epochs) == epochs
    assert part.history.stopped == ("" if steps >= 9 else f"max_steps: {steps} steps are done")
    last = whole.history.steps[3 * (epochs - 1) : steps]
    assert part.history["loss"][-1] == pytest.approx(np.average(last, weights=[16, 16, 8][: len(last)]))
    assert part.history["accuracy"][-1] == np.float32(np.mean(part.classify(X) == LABELS))


# Weights of classes


BINARY = (LABELS == 1).astype(int)
CASES: dict[str, Any] = {
    "labels": (MODEL, LABELS, None, LABELS),
    "one-hot": (MODEL, np.eye(3)[LABELS], "categorical_cross_entropy", LABELS),
    "one output": (dl.mlp(6, 8, 1), BINARY, None, BINARY),
    "hinge": (dl.mlp(6, 8, 1), 2 * BINARY - 1, "hinge", BINARY),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_class_weight_is_a_weight_of_each_example(case: str, weighted: bool, on: On) -> None:
    if on.name not in FEW:
        pytest.skip("a few devices are enough: the weights are made on the host")
    model, y, loss, labels = CASES[case]
    c = np.asarray([0.5, 2.0, 3.0])[: labels.max() + 1]
    own = WEIGHTS if weighted else np.ones(40)
    where = {"model": model, "loss": loss, "device": on.device, "dtype": on.dtype}
    expected = fit(y=y, weight=on.host(own) * on.host(c[labels]), **where)
    for given in (c.tolist(), dict(enumerate(c.tolist())), c):
        check_same(fit(y=y, weight=WEIGHTS if weighted else None, class_weight=given, **where), expected)


def test_balanced_is_scikit_learn_s() -> None:
    compute = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    balanced = compute("balanced", classes=np.arange(3), y=LABELS)
    check_same(fit(class_weight="balanced"), fit(class_weight=balanced))
    with_four = dl.mlp(6, 8, 4)  # a class that has no example changes nothing
    check_same(fit(model=with_four, class_weight="balanced"), fit(model=with_four, class_weight=[*balanced, 1.0]))


def test_classes_that_a_mapping_leaves_out_weigh_one_and_validation_is_not_weighted() -> None:
    check_same(fit(class_weight={1: 2.0}), fit(class_weight=[1.0, 2.0, 1.0]))
    data = (X[:10], LABELS[:10])
    trained = fit(class_weight=[9.0, 1.0, 0.1], validation=data)
    assert trained.history["validation_loss"][-1] == pytest.approx(trained.evaluate(*data)["loss"])
    part = fit(class_weight=[9.0, 1.0, 0.1], validation=0.25)
    plain = fit(validation=0.25, epochs=1, theta=part.theta, optimizer=dl.GradientDescent(1e-12))
    assert part.history["validation_loss"][-1] == pytest.approx(plain.history["validation_loss"][-1], rel=1e-5)


# Clipping


def test_clipping_is_an_optimizer_around_the_optimizer() -> None:
    sgd = dl.GradientDescent(0.5)
    check_same(fit(optimizer=sgd, clip_norm=0.1), fit(optimizer=dl.Clipped(sgd, dl.clip_by_global_norm, 0.1)))
    check_same(fit(optimizer=sgd, clip_value=0.01), fit(optimizer=dl.Clipped(sgd, dl.clip_by_value, 0.01)))
    assert fit(optimizer=sgd, clip_norm=0.1).history != fit(optimizer=sgd).history


# Batches from an iterable


def batches(weight: Any = None, x: Any = X, y: Any = LABELS) -> list[Any]:
    parts = (x, y) if weight is None else (x, y, weight)
    return [tuple(part[i : i + 16] for part in parts) for i in range(0, 40, 16)]


class Loader:
    """What can be gone through again, batches as lists, like a data loader's."""

    def __iter__(self) -> Iterator[Any]:
        return map(list, batches())


def test_batches_are_the_arrays_in_parts(on: On) -> None:
    if on.name not in FEW | {"jax-float32"}:
        pytest.skip("a few devices are enough for the loop, which is the same code on all")
    where = {"device": on.device, "dtype": on.dtype}
    expected = fit(shuffle=False, **where)
    for given in (batches(), Loader(), lambda: iter(batches())) if not on.jit else (batches(),):
        check_same(fit(given, None, **where), expected)


def test_batches_bring_their_weights_and_may_have_any_size() -> None:
    check_same(fit(batches(WEIGHTS), None), fit(weight=WEIGHTS, shuffle=False))
    check_same(fit(batches(), None, class_weight=[1, 2, 3]), fit(class_weight=[1, 2, 3], shuffle=False))
    trained = fit([(X[:1], LABELS[:1]), (X[1:], LABELS[1:])], None, validation=(X, LABELS), metrics=None)
    assert trained.history.names == ["loss", "validation_loss", "validation_accuracy"]
    assert len(trained.history.steps) == 6


def test_a_generator_is_good_for_one_epoch() -> None:
    check_same(fit(iter(batches()), None, epochs=1), fit(epochs=1, shuffle=False))
    with pytest.raises(ValueError, match=r"used only once, and epochs is 3.*give a function"):
        fit(iter(batches()), None)
    trained = fit(iter(batches() * 2), None, epochs=3, steps_per_epoch=2)
    assert trained.history.steps == fit(shuffle=False, epochs=2).history.steps
    with pytest.raises(ValueError, match=r"x is exhausted after 3 batches, and more are needed"):
        fit(iter(batches()), None, epochs=2, steps_per_epoch=2)


def test_an_endless_iterable_has_epochs_of_so_many_steps() -> None:
    def endless() -> Iterator[Any]:
        while True:
            yield from batches()

    trained = fit(endless, None, epochs=3, steps_per_epoch=3)
    check_same(trained, fit(shuffle=False))
    around = fit(batches(), None, epochs=3, steps_per_epoch=2)
    assert around.history.steps == fit(shuffle=False, epochs=2).history.steps
    assert len(fit(endless, None, max_steps=7).history.steps) == 7


def test_bad_batches_are_refused_as_arrays_are() -> None:
    bad = X.copy()
    bad[20, 1] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite, got nan in row 4, column 1"):
        fit(batches(x=bad), None)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got 7"):
        fit(batches(y=np.where(np.arange(40) == 39, 7, LABELS)), None)
    with pytest.raises(TypeError, match=r"each batch must be a tuple \(x, y\) or \(x, y, weight\), got a ndarray"):
        fit(lambda: iter([X]), None)
