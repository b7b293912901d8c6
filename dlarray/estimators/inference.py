"""Predictions of a network by name of its arrays, compiled for shapes that an estimator is often asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from dlarray.activations import Activation
from dlarray.core.array import Array
from dlarray.device.backend import Backend
from dlarray.estimators.inputs import is_sparse
from dlarray.model import MLP
from dlarray.training.predictor import Accelerated

__all__ = ["predictions"]

EAGER_CALLS = 250
"""The calls for each shape before it is compiled: that takes as long as hundreds of predictions of 1,000 rows."""


@dataclass(frozen=True)
class _Network:
    """``network((arrays, buffers), x)``: the activation of the outputs, from the parameters in the order of names."""

    model: MLP
    activation: Activation
    names: tuple[str, ...]

    def __call__(self, fixed: Any, x: Array) -> Array:
        arrays, buffers = fixed
        named = dict(zip(self.names, arrays, strict=True)) | (self.model.named_buffers(buffers) if buffers else {})
        return self.activation.predict(self.model.chain.predict(x, **named))


_known: WeakKeyDictionary[Any, tuple[_Network, Backend, Accelerated]] = WeakKeyDictionary()
"""By estimator. An attribute of it would be pickled, and predictions leave an estimator as it is."""


def predictions(estimator: Any, x: Array, named: dict[str, Array], backend: Backend) -> Array:
    """The predictions of an estimator's network for at most a batch of rows on the model's device."""
    network = _Network(estimator._model, estimator._loss.output_activation, tuple(named))
    fixed = (tuple(named.values()), estimator._buffers)
    if is_sparse(x):
        return network(fixed, x)
    known = _known.get(estimator)
    if known is None or known[0] != network or known[1] is not backend:
        known = _known[estimator] = (network, backend, Accelerated(network, backend, EAGER_CALLS))
    return known[2](fixed, x)
