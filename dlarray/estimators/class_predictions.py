"""Predictions of labels, probabilities and scores, and the accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.metaestimators import available_if

from dlarray.activations import LogSigmoid, LogSoftmax, Sigmoid, Softmax
from dlarray.core.array import Array, array_namespace
from dlarray.device import to_numpy
from dlarray.estimators.inputs import device_of_input, foreign_to_host, is_foreign
from dlarray.estimators.losses import classifier_loss
from dlarray.estimators.predicting import PredictMixin
from dlarray.estimators.targets import Labels

__all__ = ["ClassPredictions"]


def _gives_probabilities(estimator: Any) -> bool:
    """Whether the outputs become probabilities. Those of a hinge loss are scores."""
    loss = getattr(estimator, "_loss", None) or classifier_loss(estimator.loss, "binary")
    if not loss.output_activation.gives_probabilities:
        raise AttributeError(f"loss={estimator.loss!r} trains scores, not probabilities: decision_function gives them")
    return True


def _gives_scores(estimator: Any) -> bool:
    try:
        return not _gives_probabilities(estimator)
    except AttributeError:
        return True


class ClassPredictions(PredictMixin):
    """The predictions of a classifier."""

    _labels: Labels
    classes_: np.ndarray

    def predict(self, X: Any) -> Any:
        """Predict labels.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs, on the host or on the device of the model.

        Returns
        -------
        y : array of shape (n_samples,) or (n_samples, n_labels)
            The labels, or for several labels rows of 0 and 1. On the device of X, if its library has their type.
        """
        with self._inputs_and_predictions(X, "predict") as (x, y):
            decoded = self._labels.decode(to_numpy(self._labels.chosen(y, self._loss)))
            if not is_foreign(x) or self.classes_.dtype.kind not in "iub":
                return decoded
            try:
                return device_of_input(x).asarray(decoded)
            except Exception:  # a device without 64-bit integers
                return device_of_input(x).asarray(decoded.astype(np.int32))

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs, on the host or on the device of the model.

        Returns
        -------
        p : array of shape (n_samples, n_classes)
            The probability of each class, in the order of ``classes_``, on the device of X.
        """
        with self._inputs_and_predictions(X, "predict_proba") as (x, y):
            return self._like_inputs(x, self._two_columns(y, lambda p: 1 - p))

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """Predict logarithms of probabilities.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs, on the host or on the device of the model.

        Returns
        -------
        log_p : array of shape (n_samples, n_classes)
            The logarithm of ``predict_proba``. Of softmax and sigmoid it is finite even if a probability rounds to 0.
        """
        with self._inputs_and_outputs(X, "predict_log_proba") as (x, z):
            f = self._loss.output_activation
            if isinstance(f, Softmax):
                return self._like_inputs(x, LogSoftmax().predict(z))
            if isinstance(f, Sigmoid):
                return self._like_inputs(
                    x, self._two_columns(LogSigmoid().predict(z), lambda _: LogSigmoid().predict(-z))
                )
            return self._like_inputs(x, array_namespace(z).log(self._two_columns(f.predict(z), lambda p: 1 - p)))

    @available_if(_gives_scores)
    def decision_function(self, X: Any) -> Any:
        """Predict scores, with a loss that trains no probabilities, such as 'hinge'.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs, on the host or on the device of the model.

        Returns
        -------
        z : array of shape (n_samples,) or (n_samples, n_classes)
            The scores; for two classes one number, above 0 for the second class.
        """
        with self._inputs_and_outputs(X, "decision_function") as (x, z):
            return self._like_inputs(x, z[:, 0] if z.shape[1] == 1 else z)

    def _two_columns(self, yes: Array, no: Callable[[Array], Array]) -> Array:
        """Two columns if one output distinguishes two classes; one column for one of several labels."""
        if yes.shape[1] > 1 or self._labels.kind == "multilabel-indicator":
            return yes
        return array_namespace(yes).concat([no(yes), yes], axis=1)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Measure the accuracy.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            The labels, or for several labels rows of 0 and 1.

        sample_weight : array-like of shape (n_samples,), default=None
            The weights of the examples.

        Returns
        -------
        score : float
            The weighted fraction of examples that are predicted right; for several labels all of them must be.
        """
        y, weight = foreign_to_host("y", y), foreign_to_host("sample_weight", sample_weight)
        return float(accuracy_score(y, foreign_to_host("predictions", self.predict(X)), sample_weight=weight))
