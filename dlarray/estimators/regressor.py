"""MLPRegressor."""

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
    Beyond them:

    Sparse inputs stay sparse in training and prediction. Raises ValueError, TypeError or DeviceError in ``fit`` for a
    parameter that cannot be, with what was expected.

    Parameters
    ----------
    loss
        "squared_error" and "poisson" as in scikit-learn, "absolute_error", or any loss of dlarray for numbers, by name
        or as an object: "huber", "log_cosh", ``Huber(delta=2.0)``. Its mean is its own.
    activation
        Also any activation of dlarray, by name or as an object, or a list with one for each hidden layer.
    solver
        Also any optimizer of dlarray, by name (with ``learning_rate_init`` as its rate) or as an object (with its own).
    learning_rate
        Also a schedule, a function of the steps done.
    dropout
        The rate at which the outputs of hidden layers are dropped in training, one for all or one for each.
    normalization
        None, "batch_norm", "layer_norm", "rms_norm" or any layer that keeps the number of features, before each
        hidden activation.
    device
        Where to train host arrays: "cpu", "cuda", "torch", "jax"; by default the current device (DLARRAY_DEVICE).
        Arrays of CuPy, torch or JAX are trained on where they lie, and are answered by arrays there.
    callbacks
        Functions of the estimator, called after each epoch; one that returns True ends training. Or those of
        ``dlarray.callbacks``, which are told of the walk: they may stop it and hand weights back, not change the rate.
        ``set_callbacks`` takes scikit-learn's own.
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

        ``X_val`` and ``y_val``, where given, are examples not to train on: ``validation_scores_`` and
        ``validation_loss_curve_`` say after each epoch how the model does on them, with the weights
        ``sample_weight_val``, and early stopping goes by them instead of setting examples apart.
        """
        seen = (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, LastGood(self, incremental=False), seen)

    @available_if(takes_batches)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """One epoch over these examples."""
        return self._fit(X, y, sample_weight, LastGood(self, incremental=True))

    def predict(self, X: Any) -> Any:
        """The numbers, (examples,) of one output, else (examples, outputs)."""
        x, z = self._inputs_and_outputs(X, "predict")
        y = self._loss.output_activation.predict(z)
        return self._like_inputs(x, y[:, 0] if y.shape[1] == 1 else y)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R², 1 less the squared errors as a share of those of the mean; the mean of it over outputs."""
        y, weight = foreign_to_host("y", y), foreign_to_host("sample_weight", sample_weight)
        return float(r2_score(y, foreign_to_host("predictions", self.predict(X)), sample_weight=weight))

    # What training asks

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
