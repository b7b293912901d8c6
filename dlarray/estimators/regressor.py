"""A regressor with the interface of scikit-learn's MLPRegressor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.callback import with_callbacks
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from dlarray.core.array import Array
from dlarray.core.layer import Activation, Layer
from dlarray.device import Device, to_numpy
from dlarray.estimators.base import BaseMLP
from dlarray.estimators.inputs import foreign_to_host
from dlarray.estimators.last_good import LastGood
from dlarray.estimators.losses import regressor_loss
from dlarray.estimators.parameters import invalid_parameters, set_parameters, takes_batches
from dlarray.losses import Loss
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule

__all__ = ["MLPRegressor"]


class MLPRegressor(RegressorMixin, BaseMLP):
    """scikit-learn's MLPRegressor on dlarray: the same parameters, attributes and numbers, and more of each.

    Parameters from ``loss`` to ``max_fun``, and all attributes, are those of ``sklearn.neural_network.MLPRegressor``.
    Only additions are listed below.

    Sparse inputs stay sparse in training and prediction. For an invalid parameter ``fit`` raises ValueError, TypeError
    or DeviceError and names what was expected.

    Parameters
    ----------
    loss
        "squared_error" and "poisson" as in scikit-learn, "absolute_error", or any loss of dlarray for numbers, by name
        or as an object: "huber", "log_cosh", ``Huber(delta=2.0)``. It uses its own mean, not scikit-learn's.
    activation
        Also any activation of dlarray, by name or as an object, or a list with one for each hidden layer.
    solver
        Also any optimizer of dlarray, by name (with ``learning_rate_init`` as its rate) or as an object with its rate.
    learning_rate
        Also a schedule, a function of the steps done.
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

    _numbers = True

    def __init__(
        self,
        loss: str | Loss = "squared_error",
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
    ) -> MLPRegressor:
        """Train on inputs (examples, features), dense or sparse, and numbers (examples,) or (examples, outputs).

        ``X_val`` and ``y_val`` are optional validation examples with the weights ``sample_weight_val``.
        ``validation_scores_`` and ``validation_loss_curve_`` then hold the score and the loss on them after each epoch,
        and early stopping uses them instead of holding out examples.
        """
        validation = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, LastGood(self, incremental=False), validation)

    @available_if(takes_batches)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch on these examples."""
        return self._fit(X, y, sample_weight, LastGood(self, incremental=True))

    def predict(self, X: Any) -> Any:
        """The predictions: (examples,) for one output, else (examples, outputs)."""
        with self._inputs_and_outputs(X, "predict") as (x, z):
            y = self._loss.output_activation.predict(z)
            return self._like_inputs(x, y[:, 0] if y.shape[1] == 1 else y)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² = 1 - Σ (t - y)² / Σ (t - mean t)², the mean over outputs."""
        y, weight = foreign_to_host("y", y), foreign_to_host("sample_weight", sample_weight)
        return float(r2_score(y, foreign_to_host("predictions", self.predict(X)), sample_weight=weight))

    # Used by training

    def _prepare_targets(self, y: Any, incremental: bool) -> int:
        with invalid_parameters():
            self._loss = regressor_loss(self.loss)
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
