"""The base class of both estimators: training by scikit-learn's rules."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_random_state

from dlarray.activations import Activation, Sigmoid
from dlarray.core.array import Array
from dlarray.core.random import Bits
from dlarray.core.registry import make
from dlarray.core.trees import copy_tree
from dlarray.device import Device, device_of, resolve, to_numpy
from dlarray.estimators import parameters
from dlarray.estimators.callback_adapter import CallbackAdapter
from dlarray.estimators.conversion import ConversionMixin
from dlarray.estimators.descent import Descent, Gradient
from dlarray.estimators.epoch_loop import NOT_FINITE, EpochLoop
from dlarray.estimators.hooks import Hooks
from dlarray.estimators.inputs import (
    Rows,
    device_of_input,
    dtype_of,
    entered,
    examples,
    is_foreign,
    is_sparse,
    to_model_device,
    weights,
)
from dlarray.estimators.last_good import LastGood
from dlarray.estimators.lbfgs import train_by_lbfgs
from dlarray.estimators.network import activations_of, initial_parameters, network
from dlarray.estimators.onnx_check import OnnxCheckMixin
from dlarray.estimators.parameters import Parameters
from dlarray.estimators.solvers import Rate, optimizer_of
from dlarray.estimators.training import Training
from dlarray.estimators.validation import Validation
from dlarray.initializers import Initializer
from dlarray.losses import Loss
from dlarray.model import on_device

__all__ = ["BaseMLP"]

CURVES = (
    "best_loss_",
    "best_validation_score_",
    "loss_",
    "loss_curve_",
    "validation_loss_curve_",
    "validation_scores_",
)
"""The attributes about the last training, which a new one removes."""


class BaseMLP(CallbackSupportMixin, Parameters, ConversionMixin, OnnxCheckMixin):
    """A network that is trained by scikit-learn's rules. A subclass defines targets, loss and score."""

    n_features_in_: int
    _loss: Loss

    # Defined by a subclass

    def _prepare_targets(self, y: Any, incremental: bool) -> int:
        """Set the classes and the loss. Returns the number of outputs."""
        raise NotImplementedError

    def _encode(self, y: Any) -> np.ndarray:
        """The targets of the loss."""
        raise NotImplementedError

    def _score_of(self, z: Array, t: np.ndarray, weight: np.ndarray | None) -> float:
        """The score of outputs for targets."""
        raise NotImplementedError

    # Training

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        last_good: LastGood,
        validation: tuple[Any, Any, Any] = (None, None, None),
    ) -> Any:
        goes_on = hasattr(self, "coefs_") and (self.warm_start or last_good.incremental)
        with entered(X), last_good.restored_on_error(goes_on):
            self._train(X, y, sample_weight, last_good, validation)
        return self

    def _train(self, X: Any, y: Any, sample_weight: Any, last_good: LastGood, validation: tuple[Any, Any, Any]) -> None:
        incremental = last_good.incremental
        with parameters.invalid_parameters():
            parameters.check_parameters(self)
        self._check_validation(*validation)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        first = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        x, y = examples(self, X, y, first, numbers=self._numbers)
        outputs = self._prepare_targets(y, incremental)
        t = self._encode(y)
        weight = self._weights(sample_weight, y, incremental)
        self._from_host = not is_foreign(x)
        with closing(Hooks(self, x, y, sample_weight, self.callbacks)) as hooks:
            self._train_on(x, t, weight, outputs, first, hooks, last_good, validation)

    def _train_on(
        self,
        x: Any,
        t: np.ndarray,
        weight: np.ndarray | None,
        outputs: int,
        first: bool,
        hooks: Hooks,
        last_good: LastGood,
        validation: tuple[Any, Any, Any],
    ) -> None:
        """Train on checked examples."""
        if not last_good.incremental:
            hooks.begin()
        self._random_state = check_random_state(self.random_state)
        if not first:
            self._check_fitted()
        device = device_of(self.coefs_[0]) if not first else self._device_for(x)
        dtype = dtype_of(x, device) if first else str(self.coefs_[0].dtype).rpartition(".")[2]
        with device.working("to train", "A smaller batch_size takes less"):
            self._prepare(outputs, first, device, dtype)
            rows = self._rows(x, t, weight, device, dtype)
            if self.solver == "lbfgs":
                train_by_lbfgs(self, rows, device, dtype, hooks, last_good)
            else:
                self._train_by_steps(rows, t, device, dtype, hooks, last_good, validation)
        if not all(np.isfinite(to_numpy(array)).all() for array in self._parameters().values()):
            raise ValueError(NOT_FINITE)
        hooks.end()

    def _check_validation(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Raise ValueError if validation examples are incomplete, or if the solver does not validate."""
        given = {"X_val": X, "y_val": y, "sample_weight_val": sample_weight}
        names = [name for name, value in given.items() if value is not None]
        if names and (X is None or y is None):
            missing = " and ".join(name for name in ("X_val", "y_val") if given[name] is None)
            raise ValueError(f"{' and '.join(names)} without {missing}: validation needs inputs and targets")
        if names and self.solver == "lbfgs":
            raise ValueError("lbfgs does not validate during training, got X_val: leave it out, or use another solver")

    def _weights(self, sample_weight: Any, y: Any, incremental: bool) -> np.ndarray | None:
        return weights(sample_weight, y.shape[0])

    def _device_for(self, X: Any) -> Device:
        return device_of_input(X) if self.device is None and is_foreign(X) else resolve(self.device)

    def _rows(self, X: Any, t: np.ndarray, weight: np.ndarray | None, device: Device, dtype: str) -> Rows:
        """Examples on the device."""
        t_on = to_model_device(t, device, "int32" if t.ndim == 1 else dtype)
        self._loss.check_targets(t_on, self.n_outputs_)
        return Rows(
            to_model_device(X, device, dtype), t_on, None if weight is None else to_model_device(weight, device, dtype)
        )

    def _prepare(self, outputs: int, first: bool, device: Device, dtype: str) -> None:
        """Set the network; at the start of a training also the initial weights and empty curves."""
        with parameters.invalid_parameters():
            hidden = parameters.hidden_sizes(self.hidden_layer_sizes)
            activations = activations_of(self.activation, len(hidden))
            model = network(
                self.n_features_in_,
                hidden,
                outputs,
                activations,
                self.normalization,
                self.dropout,
                self.output_activation,
            )
        if not first:
            if model != self._model:
                raise ValueError(
                    f"the network cannot change between two trainings: it was {self._model}, now it is {model}"
                )
            if self.solver != "lbfgs" and self.early_stopping != (getattr(self, "best_loss_", None) is None):
                self._reset_progress()
            return
        self._model = model
        self.n_outputs_, self.n_layers_ = outputs, len(hidden) + 2
        self._set_parameters(on_device(model.layout, initial_parameters(model, activations, self._draw, dtype), device))
        self._buffers = model.init_buffers(device, dtype)
        self.n_iter_ = self.t_ = 0
        for name in ("_training", *CURVES):  # of the previous training
            vars(self).pop(name, None)
        if self.solver != "lbfgs":
            self.loss_curve_: list[float] = []
            self._no_improvement_count = 0
            self._reset_progress()

    def _init_coef(self, fan_in: int, fan_out: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """The initial W and b of a Dense layer. As in scikit-learn, subclasses can override this method.

        Without ``initializer`` both are uniform in ±√(6 / (inputs + outputs)), ±√(2 / (inputs + outputs)) for the
        logistic function (Glorot and Bengio 2010). An ``initializer`` gives W, and b is 0.
        """
        if self.initializer is not None:
            bits = Bits(int(self._random_state.randint(2**31)), "initial weights")
            drawn = make(Initializer, self.initializer)(bits, (fan_in, fan_out))
            return drawn.astype(dtype, copy=False), np.zeros(fan_out, dtype)
        bound = math.sqrt((2.0 if self._logistic else 6.0) / (fan_in + fan_out))
        W = self._random_state.uniform(-bound, bound, (fan_in, fan_out))
        b = self._random_state.uniform(-bound, bound, fan_out)
        return W.astype(dtype, copy=False), b.astype(dtype, copy=False)

    def _draw(self, fan_in: int, fan_out: int, activation: Activation, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        self._logistic = isinstance(activation, Sigmoid)
        return self._init_coef(fan_in, fan_out, np.dtype(dtype))

    def _reset_progress(self) -> None:
        """Reset what measures progress: the score with early stopping, else the loss."""
        stopping = self.early_stopping
        self.validation_scores_: list[float] | None = [] if stopping else None
        self.best_validation_score_ = -np.inf if stopping else None
        self.best_loss_ = None if stopping else np.inf

    def _train_by_steps(
        self,
        rows: Rows,
        t: np.ndarray,
        device: Device,
        dtype: str,
        hooks: Hooks,
        last_good: LastGood,
        validation: tuple[Any, Any, Any],
    ) -> None:
        with parameters.invalid_parameters():
            optimizer = optimizer_of(self)
            rate = Rate(self, optimizer)
        gradient = Gradient(self._model, self._loss.unchecked())
        descent = Descent(gradient, optimizer, float(self.alpha), float(self.l1_ratio))
        earlier: Training | None = getattr(self, "_training", None)
        if last_good.incremental and earlier is not None:
            training = earlier
            training.descent = replace(descent, optimizer=earlier.descent.optimizer)
        else:
            start = on_device(self._model.layout, {n: to_numpy(a) for n, a in self._parameters().items()}, device)
            seed = self._random_state.randint(2**31) if self._model.chain.random else 0
            buffers = copy_tree(self._buffers)
            state = descent.init(start, buffers, seed, device)
            rate.begins(state, device, dtype)
            training = Training(descent, rate, state, earlier)
            training.views = self._set_parameters(training.state["theta"])
        training.resume(self._parameters(), device)
        self._training = training
        validate: Validation | None = None
        if validation[0] is not None:
            validate = self._validation(*validation, device, dtype)
            self.validation_scores_ = self.validation_scores_ or []
        elif self.early_stopping:
            rows, validate = Validation.split(self, rows, t, device)
        if validate is not None and not self.validation_scores_:
            self.validation_loss_curve_: list[float] = []
        least = self._model.chain.min_batch_size
        if len(rows) < least:
            raise ValueError(f"{self.normalization!r} needs at least {least} examples to train on, got {len(rows)}")

        def after(context: Any, state: dict[str, Any]) -> bool:
            if not hooks.needed:
                return False
            self._set_parameters(state["theta"])
            self._buffers = state["buffers"]
            return hooks.epoch_ends(context, self._snapshot)

        adapter = None
        if hooks.run_callbacks:
            adapter = CallbackAdapter(hooks.run_callbacks, training.descent, training.rate, device, dtype)
        size = parameters.batch_size(self, len(rows))
        # Callbacks see the state's arrays. In partial_fit the state goes on, and its runner with it.
        apart = not hooks.needed and adapter is None and not last_good.incremental
        # Weights that are not finite are an error at the end.
        with (
            np.errstate(over="ignore", invalid="ignore"),
            training.running(device, is_sparse(rows.x), apart) as runner,
        ):
            run = EpochLoop(
                self, training, last_good, runner, rows, device, size, least, hooks, adapter, validate, after
            )
            run.run(last_good.incremental)
        training.views = self._set_parameters(training.state["theta"])
        self._buffers = training.state["buffers"]

    def _validation(self, X: Any, y: Any, sample_weight: Any, device: Device, dtype: str) -> Validation:
        """The validation examples that the user has given."""
        x, y = examples(self, X, y, False, numbers=self._numbers)
        t, weight = self._encode(y), weights(sample_weight, y.shape[0])
        return Validation(self, self._rows(x, t, weight, device, dtype), t, weight)
