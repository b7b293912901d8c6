"""tinygrad's namespace with the standard's names: its functions are methods of Tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from dlarray.backend import DefaultDtypes, Overlay, isdtype_by_name, renamed
from dlarray.core.array import Array

__all__ = ["namespace"]

WHOLE_NUMBERS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
CREATION = ("arange", "full", "full_like", "ones", "ones_like", "zeros", "zeros_like")
REDUCTIONS = ("sum", "mean", "prod", "max", "min", "all", "any")


@cache
def namespace() -> Overlay:
    """The namespace, made once."""
    from tinygrad import Tensor, dtypes

    own = {name: getattr(dtypes, name) for name in (*WHOLE_NUMBERS, "float16", "bfloat16", "float32", "float64")}
    of_numbers = {dtypes.weakfloat: "float32", dtypes.weakint: "int32"}  # of results of Python numbers alone
    names = of_numbers | {dtype: name for name, dtype in own.items()}

    def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
        """The reduction with the standard's keyword arguments."""

        def call(x: Array, /, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Array:
            return function(x if dtype is None else x.cast(dtype), axis, keepdims)

        return call

    def with_number(function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of two tensors, of which one may be a Python number; their order does not matter."""

        def call(a: Any, b: Any, /) -> Array:
            return function(a, b) if isinstance(a, Tensor) else function(b, a)

        return call

    def expm1(x: Array, /) -> Array:
        """Kahan's: (u - 1) x / log u with u = exp x."""
        u = x.exp()
        exact = (u != 1) & (u != 0) & u.isfinite()
        return (u == 1).where(x, exact.where((u - 1) * x / exact.where(u, 2.0).log(), u - 1))

    def log1p(x: Array, /) -> Array:
        """Kahan's: x log u / (u - 1) with u = 1 + x."""
        u = (x + 1).contiguous()  # else tinygrad simplifies u - 1 to x
        exact = (u != 1) & u.isfinite()
        return exact.where(u.log() * x / exact.where(u - 1, 1.0), (u == 1).where(x, u.log()))

    def where(condition: Array, a: Any, b: Any, /) -> Array:
        """a where the condition holds, else b."""
        chosen = condition.where(a, b)
        return chosen.cast(dtypes.float32) if chosen.dtype == dtypes.weakfloat else chosen

    def std(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        """√(Σ (x - mean)² / (n - correction))."""
        return x.std(axis, keepdim=keepdims, correction=correction)

    def asarray(x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
        """A tensor of a tensor or of numbers."""
        return x.cast(dtype or x.dtype).clone() if isinstance(x, Tensor) else Tensor(x, dtype=dtype)

    def concat(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
        """The arrays one after the other."""
        return Tensor.cat(*arrays, dim=axis)

    def stack(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
        """The arrays along a new axis."""
        return Tensor.stack(*arrays, dim=axis)

    def take(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
        """The rows, or columns, with these numbers."""
        return x[(*[slice(None)] * (axis % x.ndim), indices)]

    def sort(x: Array, /, *, axis: int = -1) -> Array:
        """The numbers in order."""
        return x.sort(axis)[0]

    def searchsorted(x: Array, values: Array, /, *, side: str = "left") -> Array:
        """The number of elements of x below each value, or up to it for the side "right"."""
        below = x < values.unsqueeze(-1) if side == "left" else x <= values.unsqueeze(-1)
        return below.sum(-1)

    def cumulative_sum(x: Array, /, *, axis: int = 0, dtype: Any = None) -> Array:
        """The sums of the first 1, 2, 3, … numbers."""
        return (x if dtype is None else x.cast(dtype)).cumsum(axis)

    def matrix_transpose(x: Array, /) -> Array:
        """Its last two axes exchanged."""
        return x.transpose(-2, -1)

    def finfo(dtype: Any, /) -> Any:
        """NumPy's limits of a floating-point dtype."""
        return np.finfo(names[dtype])

    return Overlay(
        Tensor,
        **own,
        **{name: renamed(getattr(Tensor, name), device=None) for name in CREATION},
        **{name: reduction(getattr(Tensor, name)) for name in REDUCTIONS},
        __array_namespace_info__=DefaultDtypes(dtypes.float32, dtypes.int32),
        asarray=asarray,
        astype=renamed(Tensor.cast, copy=None, device=None),
        bitwise_left_shift=Tensor.lshift,
        bitwise_right_shift=Tensor.rshift,
        broadcast_to=Tensor.expand,
        concat=concat,
        cumulative_sum=cumulative_sum,
        expm1=expm1,
        finfo=finfo,
        isdtype=isdtype_by_name(names.__getitem__),
        log1p=log1p,
        matrix_transpose=matrix_transpose,
        maximum=with_number(Tensor.maximum),
        minimum=with_number(Tensor.minimum),
        permute_dims=Tensor.permute,
        searchsorted=searchsorted,
        sort=sort,
        stack=stack,
        std=std,
        take=take,
        where=where,
    )
