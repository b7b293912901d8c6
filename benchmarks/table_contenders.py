"""What is compared on a table: dlarray's defaults and three estimators of scikit-learn, none of them tuned.

Each contender gets the same rows for training, and predicts the same rows for the test.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from table_sets import TableSet

ROWS = 15_000
"""Rows of a set at most; of a longer one so many are drawn at random, always the same."""
GROUPS = 20
"""Groups of test rows, between which the noise of a difference is measured."""
LEAST = 2.0**-23
"""A probability is at least this in the log loss, for every contender."""


@dataclass(frozen=True)
class Outcome:
    """Predictions for the test rows: labels as text and the probability of the true label, or numbers."""

    predicted: np.ndarray
    probability: np.ndarray | None
    seconds: float
    """CPU time of preprocessing and training."""


@dataclass(frozen=True)
class Split:
    """A table in two parts."""

    of: TableSet
    train: pl.DataFrame
    test: pl.DataFrame

    @classmethod
    def at(cls, table_set: TableSet, frame: pl.DataFrame, seed: int) -> Split:
        """A quarter of the rows, at random by the seed and stratified by class, is the test part."""
        from sklearn.model_selection import train_test_split

        if frame.height > ROWS:
            frame = frame[np.random.default_rng(0).permutation(frame.height)[:ROWS]]
        classes = frame[table_set.target].to_numpy() if table_set.task == "classification" else None
        rows = np.arange(frame.height)
        train, test = train_test_split(rows, test_size=0.25, random_state=seed, stratify=classes)
        return cls(table_set, frame[train], frame[test])

    def score(self, outcome: Outcome) -> dict[str, Any]:
        """``score`` is accuracy or R², ``loss`` is log loss or RMSE; ``groups`` has the score of each group of rows.

        R² is the mean of 1 - (t - y)² / σ² over the test rows, so it has a part for each group.
        """
        t = truth(self)
        if outcome.probability is not None:
            score: np.ndarray = np.asarray(outcome.predicted == t, dtype=float)
            loss = float(-np.log(np.maximum(outcome.probability, LEAST)).mean())
        else:
            squares = (outcome.predicted - t) ** 2
            score = 1 - squares / t.var()
            loss = float(np.sqrt(squares.mean()))
        groups = [round(float(part.mean()), 5) for part in (score[i::GROUPS] for i in range(GROUPS))]
        return {
            "score": round(float(score.mean()), 6),
            "loss": float(f"{loss:.6g}"),
            "seconds": round(outcome.seconds, 4),
            "groups": groups,
        }


def truth(split: Split) -> np.ndarray:
    """The targets of the test rows: labels as text, or numbers."""
    values = split.test[split.of.target]
    return values.cast(pl.String).to_numpy() if split.of.task == "classification" else values.to_numpy().astype(float)


def dlarray(split: Split, seed: int) -> Outcome:
    """The defaults of ``dlarray.tables.train``."""
    from dlarray import tables

    started = time.process_time()
    model = tables.train(split.train, split.of.target, task=split.of.task, seed=seed, device="cpu", progress=False)
    seconds = time.process_time() - started
    y = model.predict(split.test.drop(split.of.target))
    if split.of.task == "regression":
        return Outcome(y["prediction"].to_numpy().astype(float), None, seconds)
    labels = truth(split)
    probabilities = {label: y[f"p({label})"].to_numpy() for label in set(labels)}
    probability = np.asarray([probabilities[label][i] for i, label in enumerate(labels)])
    return Outcome(y["prediction"].cast(pl.String).to_numpy(), probability, seconds)


def linear(task: str, seed: int) -> Any:
    """Logistic or ridge regression."""
    from sklearn.linear_model import LogisticRegression, Ridge

    return LogisticRegression(max_iter=1000) if task == "classification" else Ridge()


def boosting(task: str, seed: int) -> Any:
    """Histogram gradient boosting."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    return kind(random_state=seed)


def mlp(task: str, seed: int) -> Any:
    """scikit-learn's multilayer perceptron."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    return (MLPClassifier if task == "classification" else MLPRegressor)(random_state=seed)


def encoded(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Both parts as scikit-learn's estimators get them, fitted to the training part.

    Numbers and dates are scaled; a missing one is the median and has an indicator. Text is one-hot, with at most 100
    categories.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    inputs = split.train.drop(split.of.target)
    text = [i for i, dtype in enumerate(inputs.dtypes) if dtype == pl.String]
    other = [i for i in range(inputs.width) if i not in text]
    scaled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=100, sparse_output=False)
    columns: Any = ColumnTransformer([("numbers", scaled, other), ("text", one_hot, text)])
    train, test = columns.fit_transform(objects(inputs)), columns.transform(objects(split.test[inputs.columns]))
    return np.asarray(train, dtype=float), np.asarray(test, dtype=float)


def objects(frame: pl.DataFrame) -> np.ndarray:
    """The columns as one array of objects: text, and float64 with NaN for a missing number."""
    found = np.empty(frame.shape, dtype=object)
    for i, values in enumerate(frame):
        if values.dtype == pl.String:
            found[:, i] = values.fill_null("missing").to_list()
        else:
            physical = values.to_physical().cast(pl.Float64)
            found[:, i] = physical.fill_null(float("nan")).to_numpy()
    return found


def estimator(make: Callable[[str, int], Any]) -> Callable[[Split, int], Outcome]:
    """A contender that trains an estimator of scikit-learn, for numbers on the scaled target."""

    def run(split: Split, seed: int) -> Outcome:
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.preprocessing import StandardScaler

        target, labels = split.train[split.of.target], truth(split)
        model = make(split.of.task, seed)
        started = time.process_time()
        x, x_test = encoded(split)
        if split.of.task == "regression":
            model = TransformedTargetRegressor(model, transformer=StandardScaler()).fit(x, target.to_numpy())
            return Outcome(model.predict(x_test), None, time.process_time() - started)
        model.fit(x, target.cast(pl.String).to_numpy())
        seconds = time.process_time() - started
        y = model.predict_proba(x_test)
        index = {label: i for i, label in enumerate(model.classes_)}
        probability = y[np.arange(len(y)), [index[label] for label in labels]]
        return Outcome(model.classes_[y.argmax(axis=1)], probability, seconds)

    return run


CONTENDERS: dict[str, Callable[[Split, int], Outcome]] = {
    "linear": estimator(linear),
    "HGB": estimator(boosting),
    "MLP": estimator(mlp),
    "dlarray": dlarray,
}


def measured(name: str, split: Split, seed: int) -> dict[str, Any]:
    """What one contender reaches on one split."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn that 200 epochs were not enough, of dlarray about columns
        return split.score(CONTENDERS[name](split, seed))
