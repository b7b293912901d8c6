"""Metrics with weights of examples, F-beta and divisions by zero, against scikit-learn on every device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from dlarray import metrics as m
from tests.book.test_metrics import BINARY, CHOSEN, GUESSES, LABELS, NUMBERS, PROBABILITIES, SCORE, SCORES, YES, K, N
from tests.support.matrix import On

sk = pytest.importorskip("sklearn.metrics")
_rng = np.random.default_rng(14)
WEIGHT = np.where(_rng.random(N) < 0.2, 0.0, _rng.uniform(0.1, 3, N))
POSITIVE, NEAR = _rng.uniform(0.1, 9, (N, 2)), _rng.uniform(0.1, 9, (N, 2))
AVERAGES = [None, "macro", "micro", "weighted"]
SHARES = {
    "precision": (m.precision, sk.precision_score),
    "recall": (m.recall, sk.recall_score),
    "f1": (m.f1, sk.f1_score),
    "fbeta": (m.fbeta, partial(sk.fbeta_score, beta=2)),
    "fbeta of a half": (partial(m.fbeta, beta=0.5), partial(sk.fbeta_score, beta=0.5)),
}


def wide(on: On, x: np.ndarray) -> np.ndarray:
    """What the device sees, in float64."""
    return on.host(x).astype(np.float64)


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("zero_division", [0.0, 1.0, float("nan")])
def test_weighted_shares(on: On, name: str, average: Any, zero_division: float) -> None:
    if on.jit and zero_division:
        pytest.skip("JAX compiles every case anew: one is enough")
    ours, theirs = SHARES[name]
    how = {"average": average, "zero_division": zero_division}
    for weight in (None, WEIGHT):
        expected = theirs(
            LABELS, CHOSEN, labels=range(K), sample_weight=None if weight is None else wide(on, weight), **how
        )
        w = None if weight is None else on.array(weight)
        found = on.run(lambda y, p, w: ours(y, p, weight=w, **how), on.array(LABELS), on.array(SCORES), w)
        on.close(found, expected)


@pytest.mark.parametrize("name", SHARES)
def test_weighted_shares_of_two_classes(on: On, name: str) -> None:
    ours, theirs = SHARES[name]
    y, p, w = on.array(BINARY), on.array(SCORE), on.array(WEIGHT)
    expected = theirs(BINARY, YES, sample_weight=wide(on, WEIGHT))
    on.close(on.run(lambda y, p, w: ours(y, p, weight=w), y, p, w), expected)
    nothing = on.run(lambda y, p: ours(y, p, zero_division=0.5), on.array(0 * BINARY), on.array(0 * SCORE))
    on.close(nothing, 0.5)


def test_f1_is_fbeta_of_one() -> None:
    for average in AVERAGES:
        np.testing.assert_allclose(
            m.fbeta(LABELS, SCORES, 1.0, average=average), m.f1(LABELS, SCORES, average=average), rtol=1e-15
        )


def test_weighted_accuracy_and_counts(on: On) -> None:
    y, p, w = on.array(LABELS), on.array(SCORES), on.array(WEIGHT)
    seen = wide(on, WEIGHT)
    on.close(
        on.run(lambda y, p, w: m.accuracy(y, p, weight=w), y, p, w),
        sk.accuracy_score(LABELS, CHOSEN, sample_weight=seen),
    )
    found = on.run(lambda y, p, w: m.top_k_accuracy(y, p, 2, weight=w), y, p, w)
    on.close(found, sk.top_k_accuracy_score(LABELS, SCORES, k=2, labels=range(K), sample_weight=seen))
    counts = on.run(lambda y, p, w: m.confusion_matrix(y, p, weight=w), y, p, w)
    on.close(counts, sk.confusion_matrix(LABELS, CHOSEN, labels=range(K), sample_weight=seen), scale=8)


def test_weighted_log_loss(on: On) -> None:
    seen = wide(on, WEIGHT)
    probabilities = wide(on, PROBABILITIES)
    expected = -np.sum(seen * np.log(probabilities[np.arange(N), LABELS])) / np.sum(seen)
    np.testing.assert_allclose(
        expected, sk.log_loss(LABELS, PROBABILITIES, labels=range(K), sample_weight=WEIGHT), rtol=1e-5
    )
    found = on.run(
        lambda y, p, w: m.log_loss(y, p, weight=w), on.array(LABELS), on.array(PROBABILITIES), on.array(WEIGHT)
    )
    on.close(found, expected)
    score = wide(on, SCORE)
    expected = -np.sum(seen * np.log(np.where(BINARY == 1, score, 1 - score))) / np.sum(seen)
    on.close(
        on.run(lambda y, p, w: m.log_loss(y, p, weight=w), on.array(BINARY), on.array(SCORE), on.array(WEIGHT)),
        expected,
    )


NUMERIC: list[tuple[Callable[..., Any], Callable[..., Any]]] = [
    (m.mean_squared_error, sk.mean_squared_error),
    (m.mean_absolute_error, sk.mean_absolute_error),
    (m.root_mean_squared_error, lambda y, p, **w: np.sqrt(sk.mean_squared_error(y, p, **w))),
    (m.mean_absolute_percentage_error, sk.mean_absolute_percentage_error),
    (m.mean_squared_logarithmic_error, sk.mean_squared_log_error),
    (m.r2, sk.r2_score),
]


@pytest.mark.parametrize(("ours", "theirs"), NUMERIC)
def test_weighted_numbers(on: On, ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    y, p = (POSITIVE, NEAR) if "log" in ours.__name__ else (NUMBERS, GUESSES)
    for columns in ((y, p), (y[:, 0], p[:, 0])):
        seen_y, seen_p = (wide(on, x) for x in columns)
        arrays = tuple(map(on.array, columns))
        on.close(on.run(ours, *arrays), theirs(seen_y, seen_p))
        found = on.run(lambda y, p, w: ours(y, p, weight=w), *arrays, on.array(WEIGHT))
        on.close(found, theirs(seen_y, seen_p, sample_weight=wide(on, WEIGHT)))


def test_r2_of_what_is_constant_where_it_counts(on: On) -> None:
    y, p, w = on.array([0.1, 0.1, 5.0]), on.array([0.1, 0.1, 2.0]), on.array([1.0, 2.0, 0.0])
    on.close(on.run(lambda y, p, w: m.r2(y, p, weight=w), y, p, w), 1.0)


@pytest.mark.parametrize("name", [name for name in m.__all__ if name != "mean_squared_logarithmic_error"])
def test_what_weights_are_refused(name: str) -> None:
    metric = getattr(m, name)
    y, p = (
        (BINARY, SCORE)
        if name in ("accuracy", "log_loss", "roc_auc", *SHARES, "confusion_matrix")
        else (NUMBERS, GUESSES)
    )
    if name == "top_k_accuracy":
        y, p = LABELS, SCORES
    with pytest.raises(ValueError, match=rf"one number per example, shape \({N},\), got \({N - 1},\)"):
        metric(y, p, weight=WEIGHT[1:])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.accuracy(LABELS, SCORES, weight=-WEIGHT), ValueError, "weights must be at least 0, got -"),
        (lambda: m.fbeta(BINARY, SCORE, -1), ValueError, "beta must be at least 0, got -1"),
        (lambda: m.precision(BINARY, SCORE, zero_division="warn"), TypeError, "zero_division must be a real number"),
        (lambda: m.mean_squared_logarithmic_error(POSITIVE, -NEAR), ValueError, "predictions must be above -1, got -"),
        (lambda: m.mean_squared_logarithmic_error(-POSITIVE, NEAR), ValueError, "targets must be above -1, got -"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("metric", [m.r2, m.mean_squared_error, m.mean_absolute_error, m.accuracy, m.f1, m.roc_auc])
def test_weights_of_0_everywhere_are_refused(metric: Any) -> None:
    with pytest.raises(ValueError, match="weight: weights must not be 0 everywhere, got 0.0 in row 0; give an example"):
        metric(np.asarray([0.0, 1.0, 1.0]), np.asarray([0.2, 0.9, 0.4]), weight=np.zeros(3))
