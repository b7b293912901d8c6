"""Paddle's namespace with the standard's names.

Its functions of two tensors take no Python number, or give it a dtype of its own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from dlarray.backend import DefaultDtypes, Overlay, isdtype_by_name, renamed, with_numbers
from dlarray.core.array import Array

__all__ = ["namespace"]

BITS = ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift")
REDUCTIONS = ("sum", "mean", "prod", "max", "min", "all", "any")


@cache
def namespace() -> Overlay:
    """The namespace, made once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing ccache, which only extensions in C++ would use
        import paddle

    def constant(number: float, dtype: Any) -> Array:
        """A tensor without axes."""
        return paddle.full([], number, dtype=dtype)

    def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
        """The reduction that leaves an array as it is over no axis, ``()``; Paddle's own reduces all axes then."""

        def call(x: Array, /, *, axis: Any = None, keepdims: bool = False, **dtype: Any) -> Array:
            return x if axis == () else function(x, axis=axis, keepdim=keepdims, **dtype)

        return call

    def name_of(dtype: Any) -> str:
        """NumPy's name of a dtype, such as "float32" of paddle.float32."""
        return str(dtype).rpartition(".")[2]

    def asarray(x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
        """A tensor of a tensor, of numbers or of an array."""
        if isinstance(x, paddle.Tensor):  # else Paddle warns
            return paddle.cast(x, dtype or x.dtype).clone()
        return paddle.to_tensor(x, dtype=dtype, place=device)

    def std(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        """The standard deviation; the correction is 0 or 1."""
        return paddle.std(x, axis, unbiased=bool(correction), keepdim=keepdims)

    def take(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
        """The rows, or columns, with these numbers."""
        return paddle.index_select(x, indices, axis=axis)

    return Overlay(
        paddle,
        **{
            name: with_numbers(getattr(paddle, name), paddle.Tensor, constant)
            for name in ("maximum", "minimum", "where", *BITS)
        },
        **{name: reduction(getattr(paddle, name)) for name in REDUCTIONS},
        __array_namespace_info__=DefaultDtypes(paddle.float32, paddle.int64),
        asarray=asarray,
        astype=renamed(paddle.cast, copy=None, device=None),
        cumulative_sum=paddle.cumsum,
        isdtype=isdtype_by_name(name_of),
        permute_dims=paddle.transpose,
        std=std,
        take=take,
    )
