"""What ``estimators.py`` measures: one row for each use of the estimators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np

__all__ = ["GRID", "ROWS", "SHAPES", "Row"]

Make = Callable[[Any], Callable[[], Any]]
"""From the module of the estimators, scikit-learn's or dlarray's, to what is measured."""


@dataclass(frozen=True)
class Row:
    """One use of the estimators.

    ``goal`` is how many times faster than scikit-learn dlarray should be, None for no goal. ``fast`` False hides
    llvmlite. A row of the kind "shapes" measures seconds, not a ratio: its goal is the most it may be.
    """

    name: str
    make: Make
    goal: float | None = None
    fast: bool = True
    kind: Literal["calls", "grid", "shapes"] = "calls"


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits, 1797 × 64, in [0, 1]."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return x / 16, y


@cache
def iris() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's iris, standardised."""
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    return (x - x.mean(axis=0)) / x.std(axis=0), y


@cache
def made(n: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """``make_classification``: two classes."""
    from sklearn.datasets import make_classification

    return make_classification(n, features, random_state=0)


@cache
def text() -> tuple[Any, np.ndarray]:
    """Like tf-idf of 2,000 texts of some 60 words each, out of 7,000 with Zipf's frequencies; four classes."""
    from scipy import sparse

    draw = np.random.default_rng(0)
    n, words = 2000, 7000
    y = draw.integers(0, 4, n)
    frequency = 1 / np.arange(1, words + 1)
    rows: list[Any] = []
    for label in y:
        own = frequency * np.where(np.arange(words) % 4 == label, 2.0, 1.0)  # a class prefers some of the words
        counts = np.bincount(draw.choice(words, 60, p=own / own.sum()), minlength=words)
        rows.append(sparse.csr_array(counts / np.sqrt((counts * counts).sum())))
    return sparse.csr_array(sparse.vstack(rows)), y


def fit(data: Callable[[], tuple[Any, np.ndarray]], dtype: str = "float64", **settings: Any) -> Make:
    """A new estimator is trained."""

    def make(module: Any) -> Callable[[], Any]:
        x, y = data()
        x = x.astype(dtype)
        return lambda: module.MLPClassifier(random_state=0, **settings).fit(x, y)

    return make


def predict(rows: int, calls: int, method: str = "predict") -> Make:
    """A trained estimator is called for the first rows."""

    def make(module: Any) -> Callable[[], Any]:
        x, y = digits()
        few = x[:rows]
        ask = getattr(module.MLPClassifier(random_state=0, max_iter=3).fit(x, y), method)

        def run() -> None:
            for _ in range(calls):
                ask(few)

        return run

    return make


def warm_start(loops: int) -> Make:
    """One epoch in each call of ``fit``."""

    def make(module: Any) -> Callable[[], Any]:
        x, y = digits()

        def run() -> None:
            model = module.MLPClassifier(random_state=0, warm_start=True, max_iter=1)
            for _ in range(loops):
                model.fit(x, y)

        return run

    return make


def partial_fit(rows: int, calls: int) -> Make:
    """A few rows in each call of ``partial_fit``."""

    def make(module: Any) -> Callable[[], Any]:
        x, y = digits()
        classes = np.unique(y)
        parts = [slice(rows * i, rows * i + rows) for i in range(len(x) // rows)]

        def run() -> None:
            model = module.MLPClassifier(random_state=0)
            for i in range(calls):
                part = parts[i % len(parts)]
                model.partial_fit(x[part], y[part], classes=classes)

        return run

    return make


GRID: dict[str, list[Any]] = {
    "hidden_layer_sizes": [(20,), (50,), (100,), (50, 50)],
    "alpha": [1e-5, 1e-4, 1e-3],
    "learning_rate_init": [1e-3, 1e-2],
}
"""24 settings, with three folds 72 fits."""


def grid(module: Any) -> Callable[[], Any]:
    """A search of these settings by two processes."""
    from sklearn.model_selection import GridSearchCV

    model = module.MLPClassifier(random_state=0, max_iter=20)
    return lambda: GridSearchCV(model, GRID, cv=3, n_jobs=2).fit(*digits())


SHAPES: tuple[dict[str, Any], ...] = (
    {"hidden_layer_sizes": 37},
    {"hidden_layer_sizes": (64, 32)},
    {"hidden_layer_sizes": (200, 100, 50)},
    {"hidden_layer_sizes": 100, "batch_size": 50},
    {"hidden_layer_sizes": (30, 20), "activation": "tanh"},
    {"hidden_layer_sizes": 100, "solver": "sgd"},
)
"""Networks and solvers that a process trains for the first time, one after another."""


def shapes(module: Any) -> Callable[[], Any]:
    """A first fit, so that everything is loaded."""
    return fit(digits, max_iter=3)(module)


FIT: tuple[Row, ...] = (
    Row("fit, iris, 200 epochs", fit(iris, max_iter=200), 2.0),
    Row("fit, digits, batches of 200, 30 epochs", fit(digits, max_iter=30), 2.0),
    Row("fit, digits, batches of 32, 10 epochs", fit(digits, max_iter=10, batch_size=32), 2.0),
    Row("fit, 5,000 × 10, 20 epochs", fit(lambda: made(5000, 10), max_iter=20), 2.0),
    Row("fit, 100,000 × 50, 2 epochs", fit(lambda: made(100_000, 50), max_iter=2), 4.0),
    Row("fit, sparse text, 5 epochs", fit(text, max_iter=5), 2.0),
    Row(
        "fit, digits, 512-512, 3 epochs, without llvmlite",
        fit(digits, hidden_layer_sizes=(512, 512), max_iter=3),
        1.0,
        fast=False,
    ),
    Row("fit, digits in float32, 30 epochs", fit(digits, "float32", max_iter=30)),
    Row(
        "fit, digits, 64-32, tanh, batches of 32, 10 epochs",
        fit(digits, hidden_layer_sizes=(64, 32), activation="tanh", batch_size=32, max_iter=10),
    ),
    Row("fit, digits, lbfgs, 20 iterations", fit(digits, solver="lbfgs", max_iter=20)),
    Row(
        "fit, 5,000 × 10, early stopping, 20 epochs",
        fit(lambda: made(5000, 10), max_iter=20, early_stopping=True, n_iter_no_change=20),
    ),
)

ROWS: tuple[Row, ...] = (
    *FIT,
    Row("predict, 1 row", predict(1, 300), 1.5),
    Row("predict, 1,000 rows", predict(1000, 300), 1.5),
    Row("predict_proba, 1 row", predict(1, 300, "predict_proba")),
    Row("warm_start, max_iter=1, 30 times", warm_start(30), 1.5),
    Row("partial_fit of 32 rows, 100 times", partial_fit(32, 100), 1.5),
    Row("a new shape: seconds more than its second fit", shapes, 0.3, kind="shapes"),
    Row("grid of 24 × 3 fits, 2 processes", grid, 1.0, kind="grid"),
)
