"""The methods of MLPRegressor: training on numbers, and predictions of numbers."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.callback import with_callbacks
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from dlarray.core.array import Array
from dlarray.core.layer import Activation
from dlarray.device import to_numpy
from dlarray.estimators.base import BaseMLP
from dlarray.estimators.inputs import foreign_to_host
from dlarray.estimators.last_good import LastGood
from dlarray.estimators.losses import public_loss, regressor_loss
from dlarray.estimators.parameters import invalid_parameters, takes_batches
from dlarray.training.trained import Trained

__all__ = ["BaseRegressor"]


class BaseRegressor(RegressorMixin, BaseMLP):
    """A regressor; ``MLPRegressor`` has its parameters."""

    _numbers = True

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train on examples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The numbers to predict.

        sample_weight : array-like of shape (n_samples,) or float, default=None
            The weights of the examples; None is 1 for each.

        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation examples. After each epoch their score and their loss are added to ``validation_scores_`` and
            ``validation_loss_curve_``. Early stopping uses them instead of holding out examples.

        y_val : array-like of shape (n_validation,) or (n_validation, n_outputs), default=None
            The targets of the validation examples.

        sample_weight_val : array-like of shape (n_validation,), default=None
            The weights of the validation examples.

        Returns
        -------
        self : MLPRegressor
            The fitted estimator.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, LastGood(self, incremental=False), validation)

    @available_if(takes_batches)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train for one epoch on examples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The numbers to predict.

        sample_weight : array-like of shape (n_samples,) or float, default=None
            The weights of the examples; None is 1 for each.

        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation examples. After each epoch their score and their loss are added to ``validation_scores_`` and
            ``validation_loss_curve_``.

        y_val : array-like of shape (n_validation,) or (n_validation, n_outputs), default=None
            The targets of the validation examples.

        sample_weight_val : array-like of shape (n_validation,), default=None
            The weights of the validation examples.

        Returns
        -------
        self : MLPRegressor
            The trained estimator.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, LastGood(self, incremental=True), validation)

    @classmethod
    def from_trained(cls, trained: Trained, **parameters: Any) -> Self:
        """Make a fitted estimator from a trained model of dlarray, with a copy of its weights.

        ``fit`` continues from these weights with ``warm_start=True``, and ``partial_fit`` always does.

        Parameters
        ----------
        trained : dlarray.Trained
            A model of Dense layers: hidden ones with the same normalization or none, an activation and dropout each in
            this order, and one for the outputs.

        **parameters : dict
            Other parameters of the estimator, such as ``random_state``.

        Returns
        -------
        estimator : MLPRegressor
            The estimator, with the same predictions, on the device of the model.

        Raises
        ------
        ValueError
            If no parameters give this network, or if its loss is for classes.
        """
        if trained.loss.task != "regression":
            raise ValueError(f"{type(trained.loss).__name__} trains classes, not numbers: use an MLPClassifier")
        bounded = isinstance(trained.model.layers[-1], Activation)
        names = {public_loss(regressor_loss(name, bounded)): name for name in ("squared_error", "poisson")}
        estimator = cls._of_trained(trained, names.get(trained.loss, trained.loss), parameters)
        estimator._loss = regressor_loss(estimator.loss, bounded)
        return estimator

    def predict(self, X: Any) -> Any:
        """Predict numbers.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs, on the host or on the device of the model.

        Returns
        -------
        y : array of shape (n_samples,) or (n_samples, n_outputs)
            The predictions, on the device of X.
        """
        with self._inputs_and_predictions(X, "predict") as (x, y):
            return self._like_inputs(x, y[:, 0] if y.shape[1] == 1 else y)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Measure R².

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs.

        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The numbers to predict.

        sample_weight : array-like of shape (n_samples,), default=None
            The weights of the examples.

        Returns
        -------
        score : float
            The R² = 1 - Σ (t - y)² / Σ (t - mean t)², weighted, and its mean over outputs.
        """
        y, weight = foreign_to_host("y", y), foreign_to_host("sample_weight", sample_weight)
        return float(r2_score(y, foreign_to_host("predictions", self.predict(X)), sample_weight=weight))

    # Used by training

    def _prepare_targets(self, y: Any, incremental: bool) -> int:
        with invalid_parameters():
            self._loss = regressor_loss(self.loss, self.output_activation is not None)
        return 1 if y.ndim == 1 else y.shape[1]

    def _encode(self, y: Any) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _score_of(self, z: Array, t: np.ndarray, weight: np.ndarray | None) -> float:
        return float(r2_score(t, to_numpy(self._loss.output_activation.predict(z)), sample_weight=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
