"""A classifier with the interface of scikit-learn's MLPClassifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.callback import with_callbacks
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import unique_labels

from dlarray.activations import LogSigmoid, LogSoftmax, Sigmoid, Softmax
from dlarray.core.array import Array, array_namespace
from dlarray.core.layer import Activation, Layer
from dlarray.device import Device, to_numpy
from dlarray.estimators.base import BaseMLP
from dlarray.estimators.inputs import device_of_input, foreign_to_host, is_foreign
from dlarray.estimators.last_good import LastGood
from dlarray.estimators.losses import classifier_loss
from dlarray.estimators.parameters import invalid_parameters, set_parameters, takes_batches
from dlarray.estimators.targets import Labels, check_known, check_same, weights_by_class
from dlarray.losses import Loss
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule

__all__ = ["MLPClassifier"]


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


class MLPClassifier(ClassifierMixin, BaseMLP):
    """scikit-learn's MLPClassifier on dlarray: the same parameters, attributes and numbers, and more of each.

    Parameters from ``hidden_layer_sizes`` to ``max_fun``, and all attributes, are those of
    ``sklearn.neural_network.MLPClassifier``. Only additions are listed below.

    Sparse inputs stay sparse in training and prediction. For an invalid parameter ``fit`` raises ValueError, TypeError
    or DeviceError and names what was expected.

    Parameters
    ----------
    activation
        Also any activation of dlarray, by name or as an object, or a list with one for each hidden layer.
    solver
        Also any optimizer of dlarray, by name (with ``learning_rate_init`` as its rate) or as an object with its rate.
    learning_rate
        Also a schedule, a function of the steps done.
    loss
        "log_loss", or any loss of dlarray for classes, by name or as an object: "hinge", "focal", a cross-entropy with
        label smoothing. It uses its own mean, not scikit-learn's. A binary loss is applied one-vs-rest.
    class_weight
        None, "balanced", or a weight for each class, by label or in the order of ``classes_``. It multiplies
        ``sample_weight``. With "balanced" an example of weight 3 counts as three. For several labels a list with one of
        these for each.
    dropout
        The dropout rate of hidden layers in training, one for all or one for each.
    normalization
        None, "batch_norm", "layer_norm", "rms_norm" or any layer that keeps the number of features, before each
        hidden activation.
    device
        The device that trains on host arrays: "cpu", "cuda", "torch", "jax"; by default the current device
        (DLARRAY_DEVICE). Arrays of CuPy, torch or JAX stay on their device, and predictions for them too.
    callbacks
        Functions of the estimator, called after each epoch; one that returns True stops training. Or callbacks of
        ``dlarray.callbacks``: they can stop training and return other weights, but not change the learning rate.
        ``set_callbacks`` takes scikit-learn's own callbacks.
    """

    _label_binarizer: Any
    classes_: np.ndarray

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        loss: str | Loss = "log_loss",
        class_weight: Any = None,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | Layer | None = None,
        device: str | Device | None = None,
        callbacks: Any = None,
    ) -> None:
        set_parameters(self, locals())

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
    ) -> MLPClassifier:
        """Train on inputs (examples, features), dense or sparse, and labels (examples,) or rows of 0 and 1.

        ``X_val`` and ``y_val`` are optional validation examples with the weights ``sample_weight_val``.
        ``validation_scores_`` and ``validation_loss_curve_`` then hold the score and the loss on them after each epoch,
        and early stopping uses them instead of holding out examples.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, LastGood(self, incremental=False), validation)

    @available_if(takes_batches)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch on these examples. The first call needs ``classes``, all classes that will occur."""
        last_good = LastGood(self, incremental=True)
        if getattr(self, "classes_", None) is None:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._set_labels(Labels.of_classes(foreign_to_host("y", y), classes), unique_labels(classes))
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit: {self.classes_}")
        return self._fit(X, y, sample_weight, last_good)

    def predict(self, X: Any) -> Any:
        """The label of each example, (examples,); for several labels rows of 0 and 1."""
        with self._inputs_and_outputs(X, "predict") as (x, z):
            chosen = self._labels.predict(z, self._loss)
            if not is_foreign(x) or self.classes_.dtype.kind not in "iub":
                return self._labels.decode(to_numpy(chosen))
            decoded = self._labels.decode(to_numpy(chosen))
            try:
                return device_of_input(x).asarray(decoded)
            except Exception:  # a device without 64-bit integers
                return device_of_input(x).asarray(decoded.astype(np.int32))

    @available_if(_gives_probabilities)
    def predict_proba(self, X: Any) -> Any:
        """The probability of each class, (examples, classes), in the order of ``classes_``."""
        with self._inputs_and_outputs(X, "predict_proba") as (x, z):
            return self._like_inputs(x, self._two_columns(self._loss.output_activation.predict(z), lambda p: 1 - p))

    @available_if(_gives_probabilities)
    def predict_log_proba(self, X: Any) -> Any:
        """The logarithm of ``predict_proba``; of softmax and sigmoid finite even if a probability rounds to 0."""
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
        """The scores: for two classes (examples,), above 0 for the second; else (examples, classes)."""
        with self._inputs_and_outputs(X, "decision_function") as (x, z):
            return self._like_inputs(x, z[:, 0] if z.shape[1] == 1 else z)

    def _two_columns(self, yes: Array, no: Callable[[Array], Array]) -> Array:
        """Two columns if one output distinguishes two classes; one column for one of several labels."""
        if yes.shape[1] > 1 or self._labels.kind == "multilabel-indicator":
            return yes
        return array_namespace(yes).concat([no(yes), yes], axis=1)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy; for several labels the fraction of rows in which all labels are right."""
        y, weight = foreign_to_host("y", y), foreign_to_host("sample_weight", sample_weight)
        return float(accuracy_score(y, foreign_to_host("predictions", self.predict(X)), sample_weight=weight))

    # Used by training

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
        check_known(self, y := self._as_vector(y))
        return self._labels.encode(y, self._loss)

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
        chosen = to_numpy(self._labels.predict(z, self._loss))
        if t.ndim == 2:
            several = self._labels.kind == "multilabel-indicator"
            t = t if several else np.argmax(t, axis=1) if t.shape[1] > 1 else t[:, 0]
        right = chosen == t
        return float(np.average(right.all(axis=1) if right.ndim == 2 else right, weights=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
