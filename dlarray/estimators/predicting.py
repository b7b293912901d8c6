"""Predictions of a trained estimator, on the device of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from sklearn import get_config
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from dlarray.activations import Activation
from dlarray.core.array import Array, array_namespace
from dlarray.core.check import whole
from dlarray.core.layout import Theta
from dlarray.device import Device, device_of, to_device, to_numpy
from dlarray.estimators.inference import predictions
from dlarray.estimators.inputs import device_of_input, host_view, inputs, is_foreign, takes_sparse, to_model_device
from dlarray.estimators.losses import output_activation
from dlarray.estimators.storage import StorageMixin
from dlarray.layers import Chain
from dlarray.losses import Loss

__all__ = ["PredictMixin"]

BATCH_SIZE = 4096
"""The examples of one prediction: enough for a device, and few enough for its memory."""


def _in_batches(function: Callable[[Any], Array], x: Any) -> Array:
    """``function(x)``, computed for ``BATCH_SIZE`` rows at a time."""
    n = x.shape[0]
    if n <= BATCH_SIZE:
        return function(x)
    parts = [function(x[i : i + BATCH_SIZE]) for i in range(0, n, BATCH_SIZE)]
    return array_namespace(*parts).concat(parts)


class PredictMixin(StorageMixin):
    """The outputs of an estimator, with scikit-learn's checks and tags."""

    device: str | Device | None
    _loss: Loss
    _from_host: bool
    n_features_in_: int
    n_layers_: int
    n_outputs_: int

    @property
    def out_activation_(self) -> str:
        """The name of the output activation in scikit-learn. It belongs to the loss and cannot be set."""
        if not hasattr(self, "_model"):
            raise AttributeError(f"{type(self).__name__} has no out_activation_ before it is fitted")
        return output_activation(self._model, self._loss)

    @out_activation_.setter
    def out_activation_(self, value: object) -> NoReturn:
        raise AttributeError(f"out_activation_ belongs to the loss: choose it by loss=…, got {value!r}")

    def hidden_outputs(self, X: Any, layer: int = -1) -> Any:
        """The activations of a hidden layer: features that the network has learned.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The inputs.

        layer : int, default=-1
            The number of the hidden layer, from 0; negative numbers count from the last one.

        Returns
        -------
        a : array of shape (n_samples, hidden_layer_sizes[layer])
            The layer's outputs after its normalization and activation, on the device of X.

        Raises
        ------
        ValueError
            If there is no such layer, and for X as in ``predict``.
        """
        x, home = self._check_inputs(X, "hidden_outputs"), device_of(self.coefs_[0])
        first = Chain(self._model.layers[: self._end_of(layer)])
        own = first.shapes(self.n_features_in_) | first.buffers(self.n_features_in_)
        named = self._parameters() | (self._model.named_buffers(self._buffers) if self._buffers else {})
        named = {name: named[name] for name in own}
        dtype = str(self.coefs_[0].dtype).rpartition(".")[2]
        with home.working("to predict", "Fewer examples at a time need less"):
            rows = to_model_device(inputs(self, x), home, dtype)
            return self._like_inputs(x, _in_batches(lambda part: first.predict(part, **named), rows))

    def _end_of(self, layer: int) -> int:
        """The number of layers of the model up to the activation of a hidden layer."""
        ends = [i + 1 for i, f in enumerate(self._model.layers) if isinstance(f, Activation)][: self.n_layers_ - 2]
        if not -len(ends) <= whole("layer", layer, -(2**62)) < len(ends):
            known = f"from {-len(ends)} to {len(ends) - 1}" if ends else "none: the network has no hidden layer"
            raise ValueError(f"layer must be the number of a hidden layer, {known}, got {layer!r}")
        return ends[layer]

    def _outputs(self, x: Any, named: dict[str, Array], buffers: Theta) -> Array:
        """The outputs, (n, outputs), for inputs on the model's device."""
        model = self._model
        named_buffers = model.named_buffers(buffers) if buffers else {}
        return _in_batches(lambda part: model.chain.predict(part, **named, **named_buffers), x)

    def _check_inputs(self, X: Any, method: str) -> Any:
        """The inputs for a prediction. Raises ValueError if they are on another device than the model.

        Without ``array_api_dispatch``, a model on the host also accepts arrays of other libraries on the host, as
        scikit-learn does: NumPy converts them.
        """
        if "_model" not in vars(self):
            check_is_fitted(self)
            self._check_fitted()
        if type(X) is np.ndarray and type(self.coefs_[0]) is np.ndarray:
            return X
        home, dispatched = device_of(self.coefs_[0]), get_config()["array_api_dispatch"]
        if is_foreign(X) and (there := device_of_input(X)) != home:
            shared = home.backend.uses_numpy_arrays and there.backend.shares_host_memory
            host = host_view(X) if shared and not dispatched else None
            return self._refuse(method, f"the model is on {home}, X on {there}") if host is None else host
        if not is_foreign(X) and not self._from_host and not home.backend.uses_numpy_arrays and dispatched:
            self._refuse(method, f"the model was fitted on arrays of {home}, X is on the host")
        return X

    def _check_fitted(self) -> None:
        """Raise NotFittedError if weights were set on a model that was never trained."""
        if not hasattr(self, "_model"):
            raise NotFittedError(
                f"this {type(self).__name__} was not fitted, and its coefs_ were set by hand: their network is "
                "unknown. Fit it first (max_iter=1 is enough), then set coefs_"
            )

    @contextmanager
    def _inputs_and_outputs(self, X: Any, method: str) -> Generator[tuple[Any, Array]]:
        """A ``with`` block on the model's device, with the checked inputs, and their outputs there."""
        with self._inputs_and_rows(X, method) as (x, rows, _):
            yield x, self._outputs(rows, self._parameters(), self._buffers)

    @contextmanager
    def _inputs_and_predictions(self, X: Any, method: str) -> Generator[tuple[Any, Array]]:
        """The same with the activation of the outputs."""
        with self._inputs_and_rows(X, method) as (x, rows, home):
            named = self._parameters()
            yield x, _in_batches(lambda part: predictions(self, part, named, home.backend), rows)

    @contextmanager
    def _inputs_and_rows(self, X: Any, method: str) -> Generator[tuple[Any, Array, Device]]:
        """A ``with`` block on the model's device, with the checked inputs, the same on the device, and the device."""
        x, home = self._check_inputs(X, method), device_of(self.coefs_[0])
        dtype = str(self.coefs_[0].dtype).rpartition(".")[2]
        with home.working("to predict", "Fewer examples at a time need less"):
            yield x, to_model_device(inputs(self, x), home, dtype), home

    def _refuse(self, method: str, why: str) -> NoReturn:
        raise ValueError(
            f"Inputs passed to {type(self).__name__}.{method}() must use the same namespace and the same device as "
            f"those passed to fit(): {why}. dlarray.to_device(X, …) moves inputs, .to_device(…) the model"
        )

    @staticmethod
    def _like_inputs(X: Any, y: Array) -> Any:
        """Predictions on the device of the inputs; host arrays for host inputs."""
        return to_device(y, device_of_input(X)) if is_foreign(X) else to_numpy(y)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = takes_sparse(self.device)
        tags.array_api_support = True
        return tags
