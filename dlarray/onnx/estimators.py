"""Estimators as programs: the outputs of ``predict``, ``predict_proba`` and ``decision_function``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.onnx.networks import CLASSES, INPUT, class_array, described, name_of_values, network_outputs, of_trained
from dlarray.onnx.program import LABEL, PROBABILITIES, VARIABLE, Feeds, Program
from dlarray.training import Trained

__all__ = ["of_estimator"]


def of_estimator(estimator: Any, dtype: str, examples: Any = None) -> Program:
    """The program of a fitted MLPClassifier or MLPRegressor."""
    trained: Trained = estimator.to_trained()
    program = of_trained(trained, dtype, examples)
    names = getattr(estimator, "feature_names_in_", None)
    features = None if names is None else [str(name) for name in names]
    if not hasattr(estimator, "classes_"):

        def numbers(x: Any) -> Feeds:
            y: np.ndarray = estimator.predict(x)
            return {VARIABLE: y.reshape(len(y), -1)}

        return replace(program, predict=numbers, metadata=described(trained, features, None))

    labels, loss, values = estimator._labels, estimator._loss, name_of_values(trained)
    several = labels.kind == "multilabel-indicator"

    def outputs(given: Mapping[str, Array]) -> dict[str, Array]:
        _, y = network_outputs(trained, given, given[INPUT])
        xp = array_namespace(y)
        chosen = xp.astype(labels.chosen(y, loss), xp.int64)
        numbers = estimator._two_columns(y, _other) if values == PROBABILITIES else y
        return {LABEL: chosen if several else xp.take(given[CLASSES], chosen), values: numbers}

    def predict(x: Any) -> Feeds:
        y: np.ndarray = (estimator.predict_proba if values == PROBABILITIES else estimator.decision_function)(x)
        found: Any = estimator.predict(x)
        return {LABEL: found.toarray() if labels.sparse else found, values: y.reshape(len(y), -1)}

    classes = class_array(estimator.classes_)
    return replace(
        program,
        constants={name: x for name, x in program.constants.items() if name != CLASSES}
        | ({} if several else {CLASSES: classes}),
        outputs=outputs,
        predict=predict,
        threshold=loss.threshold if trained.model.outputs == 1 or several else None,
        metadata=described(trained, features, classes),
    )


def _other(p: Array) -> Array:
    """The probability of the other class."""
    return 1 - p
