"""NumPy's functions that can be called eagerly inside a plan: the result's shape and type depend on no array's values.

They are recognised as objects, not by name: another library can give its function the same name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace

__all__ = ["METHODS", "NUMPY", "OUT_OF_ORDER", "is_safe", "named", "writes"]

NUMPY: Any = array_namespace(np.empty(0))
"""The namespace of NumPy's arrays: NumPy's functions, or the standard's where NumPy differs."""

# fmt: off
_SAFE = (
    "all", "amax", "amin", "angle", "any", "append", "argmax", "argmin", "argpartition", "argsort", "around",
    "astype", "atleast_1d", "atleast_2d", "atleast_3d", "average", "block", "broadcast_to", "ceil", "choose", "clip",
    "column_stack", "concat", "concatenate", "convolve", "copy", "corrcoef", "correlate", "count_nonzero", "cov",
    "cross", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "diag", "diagflat", "diagonal", "diff",
    "digitize", "dot", "dstack", "ediff1d", "einsum", "empty_like", "expand_dims", "fix", "flip", "fliplr", "flipud",
    "floor", "full_like", "geomspace", "gradient", "hstack", "i0", "imag", "inner", "interp", "isclose", "iscomplex",
    "isin", "isneginf", "isposinf", "isreal", "kron", "lexsort", "linspace", "logspace", "matmul", "matrix_transpose",
    "max", "mean", "median", "min", "moveaxis", "nan_to_num", "nanargmax", "nanargmin", "nancumprod", "nancumsum",
    "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum",
    "nanvar", "ones_like", "outer", "packbits", "pad", "partition", "percentile", "permute_dims", "polyder",
    "polyint", "polyval", "prod", "ptp", "quantile", "ravel", "real", "repeat", "reshape", "resize", "roll",
    "rollaxis", "rot90", "round", "row_stack", "searchsorted", "select", "sign", "sinc", "sort", "sort_complex",
    "squeeze", "stack", "std", "sum", "swapaxes", "take", "take_along_axis", "tensordot", "tile", "trace",
    "transpose", "trapezoid", "tril", "triu", "trunc", "unpackbits", "unwrap", "vander", "var", "vdot", "vecdot",
    "vstack", "zeros_like",
)
_SAFE_IN = {
    "linalg": (
        "cholesky", "cond", "cross", "det", "diagonal", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power",
        "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "solve", "svdvals", "tensordot", "tensorinv",
        "tensorsolve", "trace", "vecdot", "vector_norm",
    ),
    "fft": (
        "fft", "fft2", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft", "irfft2",
        "irfftn", "rfft", "rfft2", "rfftn",
    ),
}
METHODS = frozenset([
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "choose", "clip", "conj", "conjugate", "cumprod",
    "cumsum", "diagonal", "dot", "max", "mean", "min", "prod", "ravel", "repeat", "round", "searchsorted", "squeeze",
    "std", "sum", "swapaxes", "take", "trace", "var",
])
# fmt: on
"""Methods of an array that equal NumPy's function of this name, with the array as the first argument."""


def named(*names: str) -> dict[Callable[..., Any], str]:
    """The functions with these names in NumPy and in its arrays' namespace, each with its name."""
    found: dict[Callable[..., Any], str] = {}
    for name in names:
        for module in (np, np.linalg, NUMPY, NUMPY.linalg):
            if callable(function := getattr(module, name, None)):
                found[function] = name
    return found


_WINDOWS: Any = np.lib.stride_tricks.sliding_window_view


def _safe() -> set[Callable[..., Any]]:
    found = set(named(*_SAFE))
    for part, names in _SAFE_IN.items():
        for module in (getattr(np, part), getattr(NUMPY, part)):
            found |= {getattr(module, name) for name in names if hasattr(module, name)}
    return found | {_WINDOWS}


_KNOWN = _safe()
OUT_OF_ORDER = frozenset(named("ravel", "reshape", "atleast_1d", "atleast_2d", "atleast_3d"))
"""Functions that return a view or a copy depending on memory order, which a plan does not preserve."""


def is_safe(function: Callable[..., Any]) -> bool:
    """Whether the arguments' shapes and types alone decide the shape and type of a function's result.

    True for all ufuncs, NumPy's and others, and for their reductions.
    """
    if isinstance(function, np.ufunc) or isinstance(getattr(function, "__self__", None), np.ufunc):
        return getattr(function, "__name__", "") != "at"
    return function in _KNOWN


def writes(function: Callable[..., Any], args: Sequence[Any], options: dict[str, Any]) -> bool:
    """Whether a call writes into an argument."""
    if isinstance(function, np.ufunc):
        return len(args) > function.nin or options.get("out") is not None
    try:
        given = inspect.signature(function).bind(*args, **options).arguments
    except (ValueError, TypeError):  # the function has no signature, or these arguments do not fit it
        given = options
    if any(given.get(name) is not None for name in ("out", "output")) or given.get("overwrite_input"):
        return True
    if function is _WINDOWS:  # its elements overlap in memory
        return bool(given.get("writeable"))
    return function is np.nan_to_num and given.get("copy") is False
