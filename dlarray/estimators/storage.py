"""Copy, pickle and move the fitted arrays; unpickle them even if their device is missing."""

from __future__ import annotations

import warnings
from copy import copy
from typing import Any, cast

from sklearn.utils.validation import check_is_fitted

from dlarray.core.array import Array
from dlarray.core.layout import Theta
from dlarray.core.trees import copy_tree, map_arrays
from dlarray.device import Device, DeviceError, device_of, resolve, to_device, to_numpy
from dlarray.estimators.network import dense_names
from dlarray.estimators.parameter_objects import ParameterObjects
from dlarray.estimators.training import Training
from dlarray.model import MLP

__all__ = ["StorageMixin"]

ARRAYS = ("coefs_", "intercepts_", "_others", "_buffers")


class StorageMixin(ParameterObjects):
    """An estimator whose arrays can be on a device. Pickles hold NumPy arrays and the name of the device."""

    coefs_: list[Array]
    intercepts_: list[Array]
    _model: MLP
    _others: dict[str, Array]
    _buffers: Theta

    def to_device(self, device: Any) -> Any:
        """Move the fitted model to a device.

        Inputs for predictions must then be on this device or on the host.

        Parameters
        ----------
        device : str, Device or object
            The device, such as 'cpu' or 'cuda', or a library's own object for it.

        Returns
        -------
        self : estimator
            The same estimator.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        DeviceError
            If the device cannot be used.
        """
        check_is_fitted(self)
        self._move(resolve(device))
        return self

    def _move(self, target: Device) -> None:
        for name in ARRAYS:
            setattr(self, name, map_arrays(getattr(self, name), lambda x: to_device(x, target)))

    def __copy__(self) -> Any:
        """A copy with copies of arrays and curves: training one of the two would consume shared arrays."""
        own: dict[str, Any] = dict(vars(self))
        own |= {name: copy_tree(own[name]) for name in ARRAYS if name in own}
        own |= {name: copy(cast("Any", x)) for name, x in own.items() if isinstance(x, (list, Training))}
        other = type(self).__new__(type(self))
        vars(other).update(own)
        return other

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if state.get("coefs_") and not (home := device_of(state["coefs_"][0])).backend.uses_numpy_arrays:
            state = {**state, **{name: map_arrays(state[name], to_numpy) for name in ARRAYS}, "_stored_on": home.name}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        home = state.pop("_stored_on", None)
        super().__setstate__(state)
        if home is not None:
            try:
                self._move(resolve(home))
            except DeviceError as error:
                warnings.warn(
                    f"this {type(self).__name__} was fitted on {home}, which cannot be used here, and is on the cpu "
                    f"now: it predicts from host arrays, and to_device moves it. {error}",
                    stacklevel=2,
                )

    # The parameters under dlarray's names and scikit-learn's

    def _parameters(self) -> dict[str, Array]:
        """The parameters by dlarray's names."""
        named = dict(self._others)
        for (W, b), coef, intercept in zip(dense_names(self._model), self.coefs_, self.intercepts_, strict=True):
            named |= {W: coef, b: intercept}
        return named

    def _set_parameters(self, theta: Theta) -> dict[str, Array]:
        """Set the fitted attributes from θ. Returns the parameters by name."""
        named = self._model.parameters(theta)
        names = dense_names(self._model)
        self.coefs_ = [named[W] for W, _ in names]
        self.intercepts_ = [named[b] for _, b in names]
        own = {name for pair in names for name in pair}
        self._others = {name: array for name, array in named.items() if name not in own}
        return self._parameters()

    def _snapshot(self) -> dict[str, Any]:
        """The fitted attributes in memory of their own, for a copy of the estimator that training leaves alone."""
        return copy_tree({name: getattr(self, name) for name in ("coefs_", "intercepts_", "_others", "_buffers")})
