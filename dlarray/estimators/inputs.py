"""Inputs and targets: lists, tables, NumPy arrays, sparse matrices, arrays on a device.

Host data are checked by scikit-learn's validation. Arrays of other libraries ("foreign" here) stay on their device and
are checked there, with or without scikit-learn's ``array_api_dispatch``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import check_array, check_X_y
from sklearn.utils.validation import validate_data

from dlarray.core.array import Array, array_namespace, is_array, refuse_masked
from dlarray.device import Device, DeviceError, device_of, resolve, to_device, to_numpy
from dlarray.device.backend import Backend

__all__ = [
    "Rows",
    "batch_bounds",
    "device_of_input",
    "dtype_of",
    "entered",
    "examples",
    "foreign_to_host",
    "host_view",
    "inputs",
    "is_foreign",
    "is_plain",
    "is_sparse",
    "takes_sparse",
    "to_model_device",
    "weights",
]


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse matrix of SciPy, or one with the same interface, such as CuPy's."""
    return sparse.issparse(x) or (hasattr(x, "tocsr") and hasattr(x, "nnz"))


def is_foreign(x: Any) -> bool:
    """Whether x is an array, or a sparse matrix, of another library than NumPy and SciPy."""
    if type(x) is np.ndarray:
        return False
    if is_sparse(x):
        return not sparse.issparse(x)
    return is_array(x) and not isinstance(x, (np.ndarray, np.generic))


def foreign_to_host(name: str, x: Any) -> Any:
    """A foreign array as a host array; anything else unchanged. Raises TypeError for a masked array."""
    refuse_masked(name, x)
    return to_numpy(x) if is_foreign(x) and not is_sparse(x) else x


def host_view(x: Any) -> np.ndarray | None:
    """A foreign array as NumPy converts it implicitly; None if it does not, such as from a GPU."""
    try:
        return None if is_sparse(x) else np.asarray(x)
    except Exception:  # each library raises another exception
        return None


def takes_sparse(device: str | Device | None) -> bool:
    """Whether sparse matrices can be moved to this device. True also for a device that cannot be used."""
    try:
        return type(resolve(device).backend).csr_matrix is not Backend.csr_matrix
    except (DeviceError, ImportError, TypeError, ValueError):
        return True


def device_of_input(x: Any) -> Device:
    """The device of a foreign array."""
    return device_of(x.data if is_sparse(x) else x)


def entered(x: Any) -> AbstractContextManager[Any]:
    """A ``with`` block on the device of foreign inputs; for others it does nothing."""
    return device_of_input(x).entered() if is_foreign(x) else nullcontext()


_FLOATS = (np.dtype(np.float64), np.dtype(np.float32))


def is_plain(estimator: Any, x: Any) -> bool:
    """Whether scikit-learn's validation would return x unchanged: a matrix of finite numbers, without names of columns.

    It takes longer than the prediction of a row.
    """
    if type(x) is not np.ndarray or x.dtype not in _FLOATS or x.ndim != 2 or not x.size:
        return False
    return "feature_names_in_" not in vars(estimator) and bool(np.isfinite(x).all())


def inputs(estimator: Any, x: Any) -> Any:
    """Inputs for prediction, checked against those of training."""
    if is_plain(estimator, x) and x.shape[1] == estimator.n_features_in_:
        return x
    refuse_masked("X", x)
    if is_foreign(x):
        return _foreign(estimator, x, reset=False)
    return validate_data(estimator, x, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)


def examples(estimator: Any, x: Any, y: Any, reset: bool, numbers: bool) -> tuple[Any, np.ndarray]:
    """Checked inputs and targets for training; the targets on the host. ``reset`` sets the number of features."""
    if is_plain(estimator, x) and _are_plain_targets(y, len(x)):
        if reset:
            estimator.n_features_in_ = x.shape[1]
        if x.shape[1] == getattr(estimator, "n_features_in_", None):
            return x, y
    refuse_masked("X", x)
    y = foreign_to_host("y", y)
    if not is_foreign(x):
        return validate_data(
            estimator,
            x,
            y,
            accept_sparse=("csr", "csc"),
            multi_output=True,
            y_numeric=numbers,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
    x = _foreign(estimator, x, reset)
    if y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None")
    return x, check_X_y(np.zeros((x.shape[0], 1)), y, multi_output=True, y_numeric=numbers)[1]


def _are_plain_targets(y: Any, n: int) -> bool:
    """Whether scikit-learn's validation would return y unchanged."""
    if type(y) is not np.ndarray or y.ndim not in (1, 2) or not y.size or len(y) != n:
        return False
    return y.dtype.kind in "iub" or (y.dtype in _FLOATS and bool(np.isfinite(y).all()))


def _foreign(estimator: Any, x: Any, reset: bool) -> Any:
    """A foreign matrix. Raises ValueError unless it is (examples, features) of finite real numbers."""
    values = x.data if is_sparse(x) else x
    xp, shape = array_namespace(values), tuple(x.shape)
    if len(shape) != 2:
        raise ValueError(f"Expected 2D array, got {len(shape)}D array instead, of shape {shape}: reshape your data")
    if 0 in shape:
        raise ValueError(f"Found array with {'0 sample(s)' if shape[0] == 0 else '0 feature(s)'}, shape {shape}")
    if not xp.isdtype(x.dtype, ("bool", "integral", "real floating")):
        raise ValueError(f"X must hold real numbers, got {x.dtype}: Complex data not supported")
    if xp.isdtype(x.dtype, "real floating") and not bool(xp.all(xp.isfinite(values))):
        raise ValueError("Input X contains NaN or infinity: drop or fill these examples")
    if reset:
        estimator.n_features_in_ = shape[1]
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    elif shape[1] != estimator.n_features_in_:
        name = type(estimator).__name__
        raise ValueError(f"X has {shape[1]} features, but {name} is expecting {estimator.n_features_in_} features")
    return x


def weights(given: Any, n: int) -> np.ndarray | None:
    """The weights of n examples, from None, one number or one for each.

    Raises ValueError for another shape than (n,), and if all are 0.
    """
    if given is None:
        return None
    if isinstance(given, Real):
        found = np.full(n, float(given))
    else:
        found = check_array(
            foreign_to_host("sample_weight", given),
            ensure_2d=False,
            dtype=(np.float64, np.float32),
            input_name="sample_weight",
        )
    if found.shape != (n,):
        raise ValueError(f"sample_weight.shape == {found.shape}, expected {(n,)}: one number for each example")
    if not found.any():
        raise ValueError("sample_weight is zero for every example: at least one weight must not be")
    return found


def dtype_of(x: Any, device: Device) -> str:
    """float32 if x has floats of at most 32 bits, or if the device has no float64; else float64."""
    if str(x.dtype).rpartition(".")[2] in {"float32", "float16", "bfloat16"}:
        return "float32"
    try:
        wide = str(device.asarray(np.zeros(1)).dtype).endswith("float64")
    except Exception:  # each library raises another exception
        wide = False
    return "float64" if wide else "float32"


def to_model_device(x: Any, device: Device, dtype: str) -> Any:
    """A matrix on a device in this dtype; a sparse one as CSR. x itself if it is that already."""
    if isinstance(x, np.ndarray):
        with np.errstate(over="ignore"):
            return np.asarray(x, dtype) if device.backend.uses_numpy_arrays else device.asarray(x, dtype)
    if is_sparse(x):
        if is_foreign(x) and device_of_input(x) != device:
            raise ValueError(
                f"X is a sparse matrix on {device_of_input(x)}, the model is on {device}: bring X from the host"
            )
        rows = (x.tocsr() if is_foreign(x) else sparse.csr_array(x)).astype(dtype, copy=False)
        return rows if is_foreign(x) else device.backend.csr_matrix(rows, device.handle)
    x = to_device(x, device)
    xp = array_namespace(x)
    return xp.astype(x, getattr(xp, dtype), copy=False)


def batch_bounds(n: int, size: int, least: int = 1) -> list[int]:
    """Where batches of this size begin and end. The last can be smaller; below ``least`` it joins the one before."""
    bounds = [*range(0, n, size), n]
    if len(bounds) > 2 and n - bounds[-2] < least:
        del bounds[-2]
    return bounds


@dataclass(frozen=True)
class Rows:
    """Examples on one device: inputs, which may be sparse, targets, and weights or None."""

    x: Any
    t: Array
    weight: Array | None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    @property
    def whole(self) -> tuple[Any, Array, Array | None]:
        """All examples as one batch."""
        return self.x, self.t, self.weight

    def take(self, index: Array) -> Rows:
        """The examples with these indices."""
        xp = array_namespace(self.t)
        x = self.x[index] if is_sparse(self.x) else xp.take(self.x, index, axis=0)
        weight = None if self.weight is None else xp.take(self.weight, index, axis=0)
        return Rows(x, xp.take(self.t, index, axis=0), weight)

    def batches(self, bounds: Sequence[int], order: Array | None) -> Iterator[Rows]:
        """The examples between each two of these bounds, of all examples in the given order."""
        for start, stop in pairwise(bounds):
            if order is not None:
                yield self.take(order[start:stop])
            elif stop - start == len(self):
                yield self
            else:
                x = self.x[start:stop] if is_sparse(self.x) else self.x[start:stop, ...]
                yield Rows(x, self.t[start:stop, ...], None if self.weight is None else self.weight[start:stop])
