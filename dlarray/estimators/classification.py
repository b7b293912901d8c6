"""The methods of MLPClassifier: training on labels."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.callback import with_callbacks
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels

from dlarray.core.array import Array
from dlarray.device import to_numpy
from dlarray.estimators.base import BaseMLP
from dlarray.estimators.class_predictions import ClassPredictions
from dlarray.estimators.inputs import foreign_to_host
from dlarray.estimators.last_good import LastGood
from dlarray.estimators.losses import classifier_loss, public_loss
from dlarray.estimators.parameters import invalid_parameters, takes_batches
from dlarray.estimators.targets import Labels, check_known, check_same, weights_by_class
from dlarray.losses import CategoricalCrossEntropy, Loss, SparseCategoricalCrossEntropy
from dlarray.training.labels import Label
from dlarray.training.trained import Trained

__all__ = ["BaseClassifier"]


class BaseClassifier(ClassPredictions, ClassifierMixin, BaseMLP):
    """A classifier; ``MLPClassifier`` has its parameters."""

    _label_binarizer: Any
    classes_: np.ndarray

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
        """Train on labelled examples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            The labels, or for several labels rows of 0 and 1.

        sample_weight : array-like of shape (n_samples,) or float, default=None
            The weights of the examples; None is 1 for each.

        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation examples. After each epoch their score and their loss are added to ``validation_scores_`` and
            ``validation_loss_curve_``. Early stopping uses them instead of holding out examples.

        y_val : array-like of shape (n_validation,) or (n_validation, n_labels), default=None
            The targets of the validation examples.

        sample_weight_val : array-like of shape (n_validation,), default=None
            The weights of the validation examples.

        Returns
        -------
        self : MLPClassifier
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
        classes: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Train for one epoch on labelled examples.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs.

        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            The labels, or for several labels rows of 0 and 1.

        sample_weight : array-like of shape (n_samples,) or float, default=None
            The weights of the examples; None is 1 for each.

        classes : array-like of shape (n_classes,), default=None
            All labels that will occur in any call. Needed in the first call.

        X_val : {array-like, sparse matrix} of shape (n_validation, n_features), default=None
            Validation examples. After each epoch their score and their loss are added to ``validation_scores_`` and
            ``validation_loss_curve_``.

        y_val : array-like of shape (n_validation,) or (n_validation, n_labels), default=None
            The targets of the validation examples.

        sample_weight_val : array-like of shape (n_validation,), default=None
            The weights of the validation examples.

        Returns
        -------
        self : MLPClassifier
            The trained estimator.

        Raises
        ------
        ValueError
            If the first call has no ``classes``, or a later one others.
        """
        last_good = LastGood(self, incremental=True)
        if getattr(self, "classes_", None) is None:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._set_labels(Labels.of_classes(foreign_to_host("y", y), classes), unique_labels(classes))
        elif classes is not None and not self._are_same(classes):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit: {self.classes_}")
        return self._fit(X, y, sample_weight, last_good, (X_val, y_val, sample_weight_val))

    @classmethod
    def from_trained(cls, trained: Trained, classes: Any = None, **parameters: Any) -> Self:
        """Make a fitted estimator from a trained model of dlarray, with a copy of its weights.

        ``fit`` continues from these weights with ``warm_start=True``, and ``partial_fit`` always does.

        Parameters
        ----------
        trained : dlarray.Trained
            A model of Dense layers: hidden ones with the same normalization or none, an activation and dropout each in
            this order, and one for the outputs.

        classes : array-like of shape (n_classes,), default=None
            The labels in ascending order, one for each class; None is the labels that ``dlarray.fit`` was given, if
            they are in this order, else 0, 1, …. With a binary loss several outputs are
            several labels of an example if it is None, and one-vs-rest if it is given.

        **parameters : dict
            Other parameters of the estimator, such as ``random_state``.

        Returns
        -------
        estimator : MLPClassifier
            The estimator, with the same predictions, on the device of the model.

        Raises
        ------
        ValueError
            If no parameters give this network, if its loss is for numbers, or if the classes do not fit.
        """
        if trained.loss.task == "regression":
            raise ValueError(f"{type(trained.loss).__name__} trains numbers, not classes: use an MLPRegressor")
        if classes is None and trained.classes is not None and tuple(sorted(trained.classes)) == trained.classes:
            classes = trained.classes
        labels = Labels.of_trained(trained, classes)
        log_loss = public_loss(classifier_loss("log_loss", labels.kind))
        of_labels = log_loss == CategoricalCrossEntropy() and trained.loss == SparseCategoricalCrossEntropy()
        named = log_loss == trained.loss or of_labels
        estimator = cls._of_trained(trained, "log_loss" if named else trained.loss, parameters)
        estimator._set_labels(labels, labels.classes)
        estimator._loss = classifier_loss(estimator.loss, labels.kind)
        return estimator

    # Used by training

    def _classes_of(self, loss: Loss) -> tuple[Label, ...] | None:
        classes, outputs = tuple(self.classes_.tolist()), self._model.outputs
        fits = outputs == len(classes) if loss.task == "multiclass" else (outputs, len(classes)) == (1, 2)
        if not fits or not all(isinstance(label, str | bool | int | float) for label in classes):
            return None
        return None if classes == tuple(range(len(classes))) and type(classes[0]) is int else classes

    def _are_same(self, classes: Any) -> bool:
        known = self.classes_
        if type(classes) is np.ndarray and classes.dtype == known.dtype and np.array_equal(classes, known):
            return True
        return np.array_equal(known, unique_labels(classes))

    def _set_labels(self, labels: Labels, classes: np.ndarray) -> None:
        self._labels, self.classes_ = labels, classes
        self._label_binarizer = labels.binarizer  # scikit-learn's name for it

    def _prepare_targets(self, y: Any, incremental: bool) -> int:
        y = self._as_vector(y)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._set_labels(labels := Labels(y), labels.classes)
        elif not incremental:
            check_same(self, y)
        with invalid_parameters():
            self._loss = classifier_loss(self.loss, self._labels.kind)
        return self._labels.columns(self._loss)

    def _encode(self, y: Any) -> np.ndarray:
        index = self._labels.index(y := self._as_vector(y))
        if index is None:
            check_known(self, y)
        return self._labels.encode(y, self._loss, index)

    @staticmethod
    def _as_vector(y: Any) -> Any:
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _weights(self, sample_weight: Any, y: Any, incremental: bool) -> np.ndarray | None:
        own = super()._weights(sample_weight, y, incremental)
        if self.class_weight is None:
            return own
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight='balanced' needs all examples, and partial_fit sees a part: give a dictionary"
            )
        by_class = weights_by_class(self.class_weight, self._labels, self._as_vector(y), own)
        return by_class if own is None else own * by_class

    def _score_of(self, z: Array, t: np.ndarray, weight: np.ndarray | None) -> float:
        chosen = to_numpy(self._labels.chosen(self._loss.output_activation.predict(z), self._loss))
        if t.ndim == 2:
            several = self._labels.kind == "multilabel-indicator"
            t = t if several else np.argmax(t, axis=1) if t.shape[1] > 1 else t[:, 0]
        right = chosen == t
        return float(np.average(right.all(axis=1) if right.ndim == 2 else right, weights=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
