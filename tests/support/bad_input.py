"""Examples, models and a short training for the tests of bad input, and the check of a refusal.

Every refusal leaves the weights, the optimizer's state and the random state that were given as they were, bit for bit,
and the examples too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlarray as dl

rng = np.random.default_rng(0)
X = rng.normal(size=(8, 4))
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])
NUMBERS = rng.normal(size=(8, 2))
ONE_HOT = np.eye(3)[LABELS]

MODEL = dl.mlp(4, 5, 3)
REGRESSION = dl.mlp(4, 5, 2)
SINGLE = dl.mlp(4, 5, 1)
NORMED = dl.MLP(4, [dl.Dense(5), dl.BatchNorm(), "relu", dl.Dense(3)])
CATEGORIES = dl.MLP(2, [dl.Embedding(5, 2), dl.Dense(3)])


def with_one(x: np.ndarray, value: float, place: tuple[int, ...] = (2, 1)) -> np.ndarray:
    x = x.astype(float)
    x[place[: x.ndim]] = value
    return x


def fit(x: Any = X, y: Any = LABELS, model: Any = MODEL, **options: Any) -> dl.Trained:
    return dl.fit(model, x, y, **({"epochs": 1, "batch_size": 4, "progress": False} | options))


def torch(x: Any) -> Any:
    return pytest.importorskip("torch").asarray(x)


def strict(x: Any, device: str = "cpu") -> Any:
    pytest.importorskip("array_api_strict")
    return dl.asarray(x, f"strict:{device}")


Case = tuple[Callable[[], Any], type[Exception], str]


def check_refusal(case: Case) -> None:
    act, error, words = case
    x, labels, numbers = X.copy(), LABELS.copy(), NUMBERS.copy()
    random = repr(np.random.get_state())  # noqa: NPY002 - nobody's state may move, the legacy one included
    with pytest.raises(error, match=re.compile(words, re.DOTALL)) as caught:
        act()
    assert isinstance(caught.value, error)
    for now, before in ((X, x), (LABELS, labels), (NUMBERS, numbers)):
        np.testing.assert_array_equal(now, before)
    assert repr(np.random.get_state()) == random  # noqa: NPY002


def same(a: dl.Trained, b: dl.Trained) -> bool:
    return a.history == b.history and all(np.array_equal(v, w) for v, w in zip(a.theta, b.theta, strict=True))
