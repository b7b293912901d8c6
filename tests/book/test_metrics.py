"""Every metric on every device, against scikit-learn; and what each refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from dlarray import metrics as m
from tests.support.matrix import On

sk = pytest.importorskip("sklearn.metrics")

N, K = 60, 5
_rng = np.random.default_rng(4)
LABELS = _rng.integers(0, K - 1, N)  # class K - 1 has no example
SCORES = _rng.normal(size=(N, K)) - 9 * np.eye(K)[2]  # class 2 is never chosen
SCORES[np.arange(N), LABELS] += 1
PROBABILITIES = np.exp(SCORES) / np.sum(np.exp(SCORES), axis=1, keepdims=True)
CHOSEN = np.argmax(SCORES, axis=1)
BINARY = _rng.integers(0, 2, N)
SCORE = np.clip(_rng.normal(0.3 + 0.4 * BINARY, 0.3), 0.01, 0.99)
YES = (SCORE > 0.5).astype(int)
NUMBERS, GUESSES = _rng.normal(size=(N, 3)), _rng.normal(size=(N, 3))

assert not np.any(CHOSEN == 2)


def _share(on: On, actual: Any, expected: Any) -> None:
    """Agreement of a share counted from labels alone, in whichever default type the library has."""
    found = on.numpy(actual)
    np.testing.assert_allclose(found, expected, rtol=1e-12 if found.dtype == np.float64 else 1e-6)
    assert found.dtype.kind == "f"


def test_accuracy(on: On) -> None:
    expected = sk.accuracy_score(LABELS, CHOSEN)
    y, p = on.array(LABELS), on.array(SCORES)
    on.close(on.run(m.accuracy, y, p), expected)
    on.close(on.run(m.accuracy, on.array(np.eye(K)[LABELS]), p), expected)
    on.close(on.run(m.accuracy, on.array(np.eye(K, dtype=int)[LABELS]), p), expected)
    on.close(on.run(m.accuracy, on.array(LABELS[:, None]), p), expected)
    _share(on, on.run(m.accuracy, y, on.array(CHOSEN)), expected)


def test_binary_accuracy(on: On) -> None:
    expected = sk.accuracy_score(BINARY, YES)
    y, p = on.array(BINARY), on.array(SCORE)
    on.close(on.run(m.accuracy, y, p), expected)
    on.close(on.run(m.accuracy, on.array(BINARY[:, None] * 1.0), on.array(SCORE[:, None])), expected)
    on.close(on.run(m.accuracy, on.array(BINARY * 1.0), on.array(SCORE)), expected)
    on.close(on.run(lambda y, p: m.accuracy(y, p - 0.5, threshold=0.0), y, p), expected)
    on.close(on.run(lambda y, p: m.accuracy(y, p, threshold=0.7), y, p), sk.accuracy_score(BINARY, SCORE > 0.7))
    _share(on, on.run(m.accuracy, on.array(BINARY == 1), on.array(YES == 1)), expected)


@pytest.mark.parametrize("k", [1, 2, K])
def test_top_k_accuracy(on: On, k: int) -> None:
    expected = sk.top_k_accuracy_score(LABELS, SCORES, k=k, labels=range(K)) if k < K else 1.0
    on.close(on.run(lambda y, p: m.top_k_accuracy(y, p, k), on.array(LABELS), on.array(SCORES)), expected)


def test_top_five_by_default() -> None:
    scores = np.tile(np.arange(7.0), (7, 1))
    np.testing.assert_allclose(m.top_k_accuracy(np.arange(7), scores), 5 / 7)


def test_top_k_of_equal_scores_and_of_nan(on: On) -> None:
    y, p = on.array(np.arange(K)), on.array(np.zeros((K, K)))
    for k in (1, 3):
        on.close(on.run(lambda y, p, k=k: m.top_k_accuracy(y, p, k), y, p), k / K)
    on.close(on.run(m.accuracy, y, p), 1 / K)
    nan = np.where(np.eye(K) == 1, np.nan, 0.0)
    on.close(on.run(lambda y, p: m.top_k_accuracy(y, p, K - 1), y, on.array(nan)), 0.0)
    infinite = np.where(np.eye(K) == 1, np.inf, -np.inf)
    on.close(on.run(lambda y, p: m.top_k_accuracy(y, p, 1), y, on.array(infinite)), 1.0)


def test_a_row_with_nan_chooses_no_class(on: On) -> None:
    y, p = on.array(np.array([0, 1])), on.array(np.array([[np.nan, 0.0], [0.0, 1.0]]))
    on.close(on.run(m.accuracy, y, p), 0.5)
    np.testing.assert_array_equal(on.numpy(on.run(m.confusion_matrix, y, p)), [[0, 0], [0, 1]])


OURS_AND_THEIRS = [(m.precision, sk.precision_score), (m.recall, sk.recall_score), (m.f1, sk.f1_score)]


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
@pytest.mark.parametrize("average", [None, "macro", "micro", "weighted"])
def test_precision_recall_f1(on: On, ours: Callable[..., Any], theirs: Callable[..., Any], average: Any) -> None:
    expected = theirs(LABELS, CHOSEN, average=average, labels=range(K), zero_division=0)
    y = on.array(LABELS)
    on.close(on.run(lambda y, p: ours(y, p, average=average), y, on.array(SCORES)), expected)
    by_labels = on.run(lambda y, p: ours(y, p, average=average, classes=K), y, on.array(CHOSEN))
    _share(on, by_labels, expected)


@pytest.mark.parametrize(("ours", "theirs"), OURS_AND_THEIRS)
def test_binary_precision_recall_f1(on: On, ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    expected = theirs(BINARY, YES)
    y = on.array(BINARY)
    on.close(on.run(ours, y, on.array(SCORE)), expected)
    on.close(on.run(ours, y, on.array(np.stack([1 - SCORE, SCORE], axis=1))), expected)
    _share(on, on.run(ours, y, on.array(YES)), expected)
    on.close(on.run(ours, on.array(np.zeros(N, dtype=int)), on.array(np.zeros(N))), 0.0)


def test_confusion_matrix(on: On) -> None:
    expected = sk.confusion_matrix(LABELS, CHOSEN, labels=range(K))
    y = on.array(LABELS)
    for found in (
        on.run(m.confusion_matrix, y, on.array(SCORES)),
        on.run(lambda y, p: m.confusion_matrix(y, p, classes=K), y, on.array(CHOSEN)),
    ):
        assert on.numpy(found).dtype == np.int32
        np.testing.assert_array_equal(on.numpy(found), expected)
    binary = on.run(m.confusion_matrix, on.array(BINARY), on.array(SCORE))
    np.testing.assert_array_equal(on.numpy(binary), sk.confusion_matrix(BINARY, YES))


def test_log_loss(on: On) -> None:
    y, p = on.array(LABELS), on.array(PROBABILITIES)
    seen = on.host(PROBABILITIES).astype("float64")
    expected = -np.mean(np.log(seen[np.arange(N), LABELS]))
    np.testing.assert_allclose(expected, sk.log_loss(LABELS, PROBABILITIES, labels=range(K)), rtol=1e-6)
    on.close(on.run(m.log_loss, y, p), expected)
    on.close(on.run(m.log_loss, on.array(np.eye(K)[LABELS]), p), expected)
    seen = on.host(SCORE).astype("float64")
    expected = -np.mean(np.log(np.where(BINARY == 1, seen, 1 - seen)))
    np.testing.assert_allclose(expected, sk.log_loss(BINARY, SCORE), rtol=1e-6)
    on.close(on.run(m.log_loss, on.array(BINARY), on.array(SCORE)), expected)
    on.close(on.run(m.log_loss, on.array(BINARY[:, None]), on.array(SCORE[:, None])), expected)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (m.mean_squared_error, sk.mean_squared_error),
        (m.mean_absolute_error, sk.mean_absolute_error),
        (m.root_mean_squared_error, lambda y, p: np.sqrt(sk.mean_squared_error(y, p))),
        (m.r2, sk.r2_score),
    ],
)
def test_regression(on: On, ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    for y, p in ((NUMBERS, GUESSES), (NUMBERS[:, 0], GUESSES[:, 0]), (NUMBERS, NUMBERS)):
        expected = theirs(on.host(y).astype("float64"), on.host(p).astype("float64"))
        on.close(on.run(ours, on.array(y), on.array(p)), expected)


def test_r2_of_a_constant(on: On) -> None:
    y, p = np.full((3, 2), 0.1), np.array([[0.1, 0.1], [0.1, 0.2], [0.1, 0.1]])
    on.close(on.run(m.r2, on.array(y), on.array(p)), 0.5)  # one column right exactly, one not
    on.close(on.run(m.r2, on.array(np.arange(3)), on.array(np.arange(3.0))), 1.0)


Y, P = np.array([0, 2, 1]), np.zeros((3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: m.accuracy(Y, P[:2]), ValueError, r"\(3,\) do not match predictions of shape \(2, 4\)"),
        (lambda: m.accuracy(np.eye(3), P), ValueError, r"\(3, 3\) do not match predictions of shape \(3, 4\)"),
        (lambda: m.accuracy(Y, P[:, :, None]), ValueError, "do not match"),
        (lambda: m.accuracy(Y * 1.0, P), ValueError, "labels must be integers, got float64"),
        (lambda: m.accuracy(Y * 1.0, Y), ValueError, "labels must be integers, got float64"),
        (lambda: m.accuracy(Y[:0], P[:0]), ValueError, "no examples"),
        (lambda: m.top_k_accuracy(Y, P, 5), ValueError, r"top 5 needs scores of 5 classes or more.*\(3, 4\)"),
        (lambda: m.top_k_accuracy(Y, P, 0), ValueError, "k must be at least 1"),
        (lambda: m.top_k_accuracy(Y, Y, 1), ValueError, "top 1 needs scores"),
        (lambda: m.precision(Y, P), ValueError, 'average="binary" is for two classes, got 4'),
        (lambda: m.recall(Y, Y, average="macro"), ValueError, "give classes=K"),
        (lambda: m.f1(Y, P, average="mean"), ValueError, "unknown average 'mean'"),
        (lambda: m.confusion_matrix(Y, Y), ValueError, "give classes=K"),
        (lambda: m.confusion_matrix(Y, P, classes=3), ValueError, "classes=3, but the arrays have 4"),
        (lambda: m.log_loss(Y, Y), ValueError, "needs probabilities, got int64"),
        (lambda: m.log_loss(np.eye(4)[Y], P[:, :1]), ValueError, "4 classes needs all their probabilities"),
        (lambda: m.mean_squared_error(P, P[:, :1]), ValueError, "do not match"),
        (lambda: m.r2(P, P[:2]), ValueError, "do not match"),
        (lambda: m.r2(P[:0], P[:0]), ValueError, "no examples"),
        (lambda: m.precision(Y, np.array([0, 2, 1])), ValueError, r"y: labels must lie in \[0, 2\), got 2 in row 1"),
        (lambda: m.f1(Y == 1, Y), ValueError, r"p: labels must lie in \[0, 2\), got 2 in row 1"),
        (lambda: m.accuracy(Y - 1, Y), ValueError, "y: labels must be 0 or more, got -1 in row 0; number the classes"),
        (lambda: m.accuracy(np.array([0.0, 2.0]), np.array([0.5, 0.5])), ValueError, r"got 2\.0 in row 1"),
        (lambda: m.accuracy(np.eye(4)[:3] + 1, P), ValueError, r"y: rows must be one-hot .*got 2\.0 in row 0"),
        (lambda: m.accuracy(np.zeros((3, 4), int), P), ValueError, r"y: each row .* sum to 1, got 0 in row 0"),
        (lambda: m.log_loss(Y > 0, np.array([0.5, 1.5, 2.0])), ValueError, r"p must hold prob.*got 1\.5 in row 1; log"),
        (lambda: m.accuracy(Y.astype(str), Y), TypeError, "y must hold numbers, .* got <U21; number the classes"),
        (lambda: m.f1(Y, Y.astype(object)), TypeError, "p must hold numbers, .* got object"),
        (lambda: m.log_loss(Y, P - 1), ValueError, r"p must hold probabilities, in \[0, 1\], got -1\.0 in row 0"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


OF_CLASSES: dict[str, Callable[..., Any]] = {
    "accuracy": m.accuracy,
    "top k": partial(m.top_k_accuracy, k=2),
    "confusion matrix": m.confusion_matrix,
    "precision, micro": partial(m.precision, average="micro"),
    "recall, macro": partial(m.recall, average="macro"),
    "f1, weighted": partial(m.f1, average="weighted"),
    "log loss": m.log_loss,
}


@pytest.mark.parametrize("bad", [-1, -100, K, 255])
@pytest.mark.parametrize("metric", OF_CLASSES)
def test_labels_outside_the_classes_are_refused(metric: str, bad: int) -> None:
    y = np.array(LABELS)
    y[[3, 7]] = bad, -2
    with pytest.raises(ValueError, match=rf"y: labels must lie in \[0, {K}\), got {bad} in row 3"):
        OF_CLASSES[metric](y, PROBABILITIES)


def test_labels_are_checked_where_they_lie(on: On) -> None:
    y, p = on.array(np.array([0, 1, 5, 5])), on.array(np.array([0, 1, 2, 2]))
    for metric in (m.precision, m.recall, m.f1):
        with pytest.raises(ValueError, match="got 5 in row 2"):
            metric(y, p, average="weighted", classes=3)
    with pytest.raises(ValueError, match=r"\[0, 2\), got -1 in row 0"):
        m.accuracy(on.array(np.array([-1, 1, 1])), on.array(np.array([-2.0, 0.9, 0.9])), threshold=0)


def test_a_score_that_is_nan_chooses_nothing() -> None:
    y, p = np.array([0, 1, 1]), np.array([np.nan, np.nan, 0.9])
    np.testing.assert_allclose(m.accuracy(y, p), 1 / 3)
    np.testing.assert_array_equal(m.confusion_matrix(y, p), [[0, 0], [0, 1]])


@pytest.mark.parametrize("metric", [*OF_CLASSES, "mean_squared_error", "r2"])
def test_masked_arrays_are_refused(metric: str) -> None:
    y, p = np.eye(3), np.full((3, 3), 1 / 3)
    for masked in ((np.ma.masked_array(y), p), (y, np.ma.masked_array(p))):
        with pytest.raises(TypeError, match="masked array, and masks are not supported; drop or fill"):
            (OF_CLASSES.get(metric) or getattr(m, metric))(*masked)
