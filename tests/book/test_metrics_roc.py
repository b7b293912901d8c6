"""The area under the ROC curve against scikit-learn, and against all pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray import metrics as m
from tests.support.matrix import On

sk = pytest.importorskip("sklearn.metrics")
pytestmark = pytest.mark.filterwarnings("ignore:the step runs launch by launch")  # CUDA's graphs hold no sort
rng = np.random.default_rng(3)
N, K = 60, 4
BINARY, LABELS = rng.integers(0, 2, N), rng.integers(0, K, N)
SMOOTH, TIED = rng.normal(0.5 * BINARY, 1), np.round(rng.normal(0.5 * BINARY, 1) * 2) / 2
ROWS = rng.dirichlet(np.ones(K), N) * 0.8 + 0.2 * np.eye(K)[LABELS]
TIED_ROWS = np.round(ROWS * 8) / 8
WEIGHT = np.where(rng.random(N) < 0.2, 0.0, rng.uniform(0.1, 3, N))


@pytest.fixture(autouse=True)
def _sorts(on: On) -> None:
    if on.name == "strict-no_x64":
        pytest.skip("sorting gives 64-bit positions, which this device does not have")


def pairs(yes: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """All pairs of a yes and a no, as the definition has it."""
    i, j = yes == 1, yes == 0
    right = (p[i][:, None] > p[j]) + 0.5 * (p[i][:, None] == p[j])
    both = w[i][:, None] * w[j]
    return float(np.sum(right * both) / np.sum(both))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scores", [SMOOTH, TIED, 0 * TIED], ids=["smooth", "ties", "equal"])
def test_two_classes(on: On, scores: np.ndarray, weighted: bool) -> None:
    w = WEIGHT if weighted else np.ones(N)
    seen, seen_w = on.host(scores).astype(np.float64), on.host(w).astype(np.float64)
    expected = sk.roc_auc_score(BINARY, seen, sample_weight=seen_w)
    np.testing.assert_allclose(expected, pairs(BINARY, seen, seen_w), rtol=1e-12)
    given = on.array(w) if weighted else None
    for y, p in ((BINARY, scores), (BINARY[:, None], scores[:, None]), (BINARY, np.stack([-scores, scores], axis=1))):
        on.close(on.run(lambda y, p, w: m.roc_auc(y, p, weight=w), on.array(y), on.array(p), given), expected)


@pytest.mark.parametrize("average", ["macro", "weighted", "micro", None])
@pytest.mark.parametrize("weighted", [False, True])
def test_several_classes(on: On, average: Any, weighted: bool) -> None:
    if on.jit and average not in ("macro", "micro"):
        pytest.skip("JAX compiles every case anew: two are enough")
    seen, w = on.host(ROWS).astype(np.float64), on.host(WEIGHT).astype(np.float64) if weighted else None
    one_hot = np.eye(K)[LABELS]
    expected = sk.roc_auc_score(one_hot, seen, average=average, sample_weight=w)
    given = on.array(WEIGHT) if weighted else None
    found = on.run(lambda y, p, w: m.roc_auc(y, p, average=average, weight=w), on.array(LABELS), on.array(ROWS), given)
    on.close(found, expected)
    found = on.run(
        lambda y, p, w: m.roc_auc(y, p, average=average, weight=w), on.array(LABELS), on.array(TIED_ROWS), given
    )
    on.close(found, sk.roc_auc_score(one_hot, TIED_ROWS, average=average, sample_weight=w))


def test_classes_without_examples_are_left_out(on: On) -> None:
    y = np.where(LABELS == 2, 1, LABELS)
    each = [sk.roc_auc_score(y == k, ROWS[:, k]) for k in (0, 1, 3)]
    seen = [sk.roc_auc_score(y == k, on.host(ROWS)[:, k]) for k in (0, 1, 3)]
    np.testing.assert_allclose(each, seen, rtol=1e-3)
    arrays = on.array(y), on.array(ROWS)
    on.close(on.run(lambda y, p: m.roc_auc(y, p, average=None), *arrays), [*seen[:2], np.nan, seen[2]])
    on.close(on.run(m.roc_auc, *arrays), np.mean(seen))
    share = [np.mean(y == k) for k in (0, 1, 3)]
    on.close(on.run(lambda y, p: m.roc_auc(y, p, average="weighted"), *arrays), np.dot(share, seen))
    on.close(on.run(m.roc_auc, on.array(0 * BINARY), on.array(SMOOTH)), np.nan)


def test_infinite_scores_are_the_first_and_the_last(on: On) -> None:
    p = on.array([-np.inf, 0.0, np.inf, np.inf])
    on.close(on.run(m.roc_auc, on.array(np.asarray([0, 1, 0, 1])), p), 0.625)


def test_many_scores_take_no_pairs() -> None:
    y = rng.integers(0, 2, 200_000)
    p = rng.normal(y)
    np.testing.assert_allclose(m.roc_auc(y, p), sk.roc_auc_score(y, p), rtol=1e-12)


@pytest.mark.parametrize(
    ("y", "p", "options", "message"),
    [
        (BINARY, BINARY, {}, "roc_auc needs scores, got int64"),
        (BINARY, np.where(BINARY, np.nan, SMOOTH), {}, "scores must not be NaN, got nan in row"),
        (LABELS, ROWS, {"average": "binary"}, "unknown average 'binary'"),
        (LABELS, ROWS[:, :3], {}, r"labels must lie in \[0, 3\), got 3"),
        (BINARY, SMOOTH[1:], {}, "do not match"),
        (BINARY, SMOOTH, {"weight": WEIGHT[1:]}, "one number per example"),
    ],
)
def test_what_is_refused(y: Any, p: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        m.roc_auc(y, p, **options)
