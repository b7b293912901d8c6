"""Unusual input that is no error: other types, views, read-only arrays, large batches."""

from __future__ import annotations

import re

import numpy as np
import pytest

import dlarray as dl
from tests.book.test_bad_predictions import TRAINED
from tests.support.bad_input import LABELS, MODEL, NORMED, NUMBERS, REGRESSION, SINGLE, X, fit, same, torch, with_one
from tests.support.matrix import On


def test_a_read_only_theta_is_copied(on: On) -> None:
    theta = tuple(on.array(dl.to_numpy(v)) for v in MODEL.init(3, on.device, on.dtype))
    for vector in theta:
        if isinstance(vector, np.ndarray):
            vector.flags.writeable = False
    before = [on.numpy(v).copy() for v in theta]
    trained = fit(theta=theta, device=on.device, dtype=on.dtype)
    for vector, old in zip(theta, before, strict=True):
        np.testing.assert_array_equal(on.numpy(vector), old)
    assert any(not np.array_equal(on.numpy(a), b) for a, b in zip(trained.theta, before, strict=True))


def test_training_leaves_its_examples_alone(on: On) -> None:
    x, y, w = on.array(X), on.array(LABELS), on.array(np.linspace(1, 2, 8))
    fit(x, y, NORMED, weight=w, dtype=on.dtype, device=on.device, validation=(x, y))
    for now, before in ((x, on.host(X)), (y, LABELS), (w, on.host(np.linspace(1, 2, 8)))):
        np.testing.assert_array_equal(on.numpy(now), before)


@pytest.mark.parametrize(
    ("x", "cast"),
    [
        (X, X.astype("f4")),
        (X.astype(">f8"), X.astype("f4")),
        (X.astype("f2"), X.astype("f2").astype("f4")),
        ((9 * X).astype(int), (9 * X).astype(int).astype("f4")),
        (abs(9 * X).astype("u1"), abs(9 * X).astype("u1").astype("f4")),
        (X > 0, (X > 0).astype("f4")),
    ],
    ids=["float64", "big-endian", "float16", "int64", "uint8", "bool"],
)
def test_inputs_are_cast_to_the_model_s_type(x: np.ndarray, cast: np.ndarray) -> None:
    trained = fit(x)
    assert same(trained, fit(cast))
    np.testing.assert_array_equal(trained.predict(x), trained.predict(cast))
    assert trained.predict(x).dtype == trained.theta[0].dtype == np.float32


def test_targets_are_cast_too() -> None:
    for y in (LABELS.astype("u1"), LABELS.astype(">i8"), LABELS.astype("i2")):
        assert same(fit(y=y), TRAINED)
    numbers = fit(y=NUMBERS.astype("f4"), model=REGRESSION)
    assert same(fit(y=NUMBERS, model=REGRESSION), numbers)
    yes = fit(y=LABELS > 0, model=SINGLE)
    assert same(yes, fit(y=(LABELS > 0).astype(int), model=SINGLE))
    assert same(yes, fit(y=(LABELS > 0)[:, None] * 1.0, model=SINGLE, loss="binary_cross_entropy"))


def test_a_double_precision_model_keeps_double_precision() -> None:
    trained = fit(with_one(X, 1e39), dtype="float64", model=dl.MLP(4, [dl.LayerNorm(), dl.Dense(3)]))
    assert trained.predict(X).dtype == trained.theta[0].dtype == np.float64
    assert trained.dtype == "float64"


def test_views_of_any_kind_work(on: On) -> None:
    """Negative strides, columns, a step; on the host, from where they go to the device."""
    wide = np.zeros((16, 8))
    wide[::2, ::2] = X
    weights = np.linspace(1, 2, 8)
    straight = fit(weight=weights, device=on.device, dtype=on.dtype)
    for x in (X[::-1].copy()[::-1], X[:, ::-1].copy()[:, ::-1], np.asfortranarray(X), wide[::2, ::2]):
        again = fit(x, LABELS[::-1].copy()[::-1], weight=weights[::-1].copy()[::-1], device=on.device, dtype=on.dtype)
        assert again.history.steps == straight.history.steps
        np.testing.assert_array_equal(straight.predict(x), straight.predict(X))


def test_a_batch_larger_than_all_examples_is_a_warning_and_all_of_them() -> None:
    with pytest.warns(UserWarning, match="batch_size 100 is more than the 8 examples: all of them are used") as warned:
        large = fit(batch_size=100)
    assert warned[0].filename == fit.__code__.co_filename  # where the user wrote it, not inside dlarray
    assert same(large, fit(batch_size=None))
    with pytest.warns(UserWarning, match="more than the 6 examples"):
        fit(batch_size=7, validation=0.25)


def test_batch_norm_and_a_last_batch_of_two_is_fine() -> None:
    assert len(fit(model=NORMED, batch_size=3).history.steps) == 3
    assert len(fit(model=NORMED, accumulate=2).history.steps) == 2


@pytest.mark.slow
def test_the_batch_size_that_is_recommended_would_do() -> None:
    for n in range(2, 9):
        for size in range(1, n + 1):
            for parts in (1, 2, 3):
                try:
                    fit(X[:n], LABELS[:n], NORMED, batch_size=size, accumulate=parts, metrics=[])
                except ValueError as error:
                    if advised := re.search(r"use batch_size=(\d+)", str(error)):
                        fit(X[:n], LABELS[:n], NORMED, batch_size=int(advised[1]), accumulate=parts, metrics=[])
                    else:
                        assert n < 2 * parts


def test_a_batch_whose_weights_are_all_0_teaches_nothing() -> None:
    weight = np.array([0.0] * 4 + [1.0] * 4)
    for parts in (1, 2, 3):
        trained = fit(weight=weight, shuffle=False, accumulate=parts)
        assert trained.history.steps[0] == 0
        assert np.isfinite(trained.history.steps[1])
        assert trained.history.steps[1] > 0


@pytest.mark.parametrize(
    "kind", [dl.BatchNorm, dl.LayerNorm, dl.RMSNorm, dl.Dropout, dl.ELU, dl.LeakyReLU, dl.Swish, dl.CELU]
)
def test_numpy_s_numbers_in_a_configuration_do_not_promote(kind: type[dl.Layer]) -> None:
    layer = kind(np.float64(0.5))
    trained = fit(model=dl.MLP(4, [dl.Dense(4), layer, dl.Dense(3)]))
    assert trained.theta[0].dtype == trained.predict(X).dtype == np.float32
    assert layer == kind(0.5)


def test_tensors_that_ask_for_gradients_are_numbers_like_others() -> None:
    x = torch(X).requires_grad_()
    trained = fit(x, torch(LABELS))
    assert not trained.theta[0].requires_grad
    assert not trained.predict(x).requires_grad
    assert x.requires_grad
    assert trained.history == fit(torch(X), torch(LABELS)).history
