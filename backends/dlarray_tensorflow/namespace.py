"""TensorFlow's namespace with the standard's names.

They are TensorFlow's own operations, not those of tensorflow.experimental.numpy, which promote dtypes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from dlarray.backend import DefaultDtypes, Overlay, isdtype_by_name, renamed, with_numbers
from dlarray.core.array import Array

__all__ = ["namespace"]

REDUCTIONS = ("sum", "mean", "prod", "max", "min", "all", "any")


@cache
def namespace() -> Overlay:
    """The namespace, made once."""
    import tensorflow as tf

    def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
        """A reduction with the standard's argument dtype."""

        def call(x: Array, /, *, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Array:
            return function(x if dtype is None else tf.cast(x, dtype), axis, keepdims)

        return call

    def std(x: Array, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Array:
        """√(Σ (x - mean)² / (n - correction))."""
        d = x - tf.reduce_mean(x, axis, keepdims=True)
        squares = tf.reduce_sum(d * d, axis, keepdims)
        n = tf.size(x) / tf.maximum(tf.size(squares), 1)
        return tf.sqrt(squares / (tf.cast(n, x.dtype) - correction))

    def cumulative_sum(x: Array, /, *, axis: int = 0, dtype: Any = None) -> Array:
        """The sums of the first 1, 2, 3, … numbers."""
        return tf.cumsum(x if dtype is None else tf.cast(x, dtype), axis)

    def arange(start: Any, /, *args: Any, dtype: Any = None, device: Any = None) -> Array:
        """Numbers with equal distances."""
        return tf.range(start, *args, dtype=dtype)

    def asarray(x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Array:
        """A tensor of a tensor, of numbers or of an array; tensors are never written, so a copy is not needed."""
        return tf.cast(x, dtype or x.dtype) if isinstance(x, tf.Tensor) else tf.convert_to_tensor(x, dtype)

    def concat(arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
        """The arrays one after the other."""
        return tf.concat(list(arrays), axis)

    def full(shape: Any, value: Any, *, dtype: Any = None, device: Any = None) -> Array:
        """A tensor with one number everywhere."""
        return tf.fill(shape, tf.constant(value, dtype))

    def full_like(x: Array, /, value: Any, *, dtype: Any = None, device: Any = None) -> Array:
        """A tensor with one number everywhere, of the shape and the dtype of x."""
        return full(tf.shape(x), value, dtype=dtype or x.dtype)

    def roll(x: Array, /, shift: Any, *, axis: Any = None) -> Array:
        """The numbers moved along an axis, or along all numbers."""
        return (
            tf.roll(x, shift, axis) if axis is not None else tf.reshape(tf.roll(tf.reshape(x, [-1]), shift, 0), x.shape)
        )

    def take(x: Array, indices: Array, /, *, axis: int = 0) -> Array:
        """The rows, or columns, with these numbers."""
        return tf.gather(x, indices, axis=axis)

    def finfo(dtype: Any, /) -> Any:
        """NumPy's limits of a floating-point dtype."""
        return np.finfo(dtype.as_numpy_dtype)

    def name_of(dtype: Any) -> str:
        """NumPy's name of a dtype."""
        return dtype.name

    def constant(number: float, dtype: Any) -> Array:
        """A tensor without axes; in a graph TensorFlow would give it the dtype float32."""
        return tf.constant(number, dtype)

    return Overlay(
        tf,
        **{name: with_numbers(getattr(tf, name), tf.Tensor, constant) for name in ("maximum", "minimum", "where")},
        **{name: reduction(getattr(tf, f"reduce_{name}")) for name in REDUCTIONS},
        **{name: getattr(tf.bitwise, name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
        **{name: getattr(tf.math, name) for name in ("expm1", "log", "log1p")},
        **{name: renamed(getattr(tf, name), device=None) for name in ("ones", "ones_like", "zeros", "zeros_like")},
        __array_namespace_info__=DefaultDtypes(tf.float32, tf.int32),
        arange=arange,
        asarray=asarray,
        astype=renamed(tf.cast, copy=None, device=None),
        bitwise_left_shift=tf.bitwise.left_shift,
        bitwise_right_shift=tf.bitwise.right_shift,
        concat=concat,
        cumulative_sum=cumulative_sum,
        finfo=finfo,
        full=full,
        full_like=full_like,
        isdtype=isdtype_by_name(name_of),
        isfinite=tf.math.is_finite,
        isinf=tf.math.is_inf,
        isnan=tf.math.is_nan,
        matrix_transpose=tf.linalg.matrix_transpose,
        permute_dims=tf.transpose,
        roll=roll,
        std=std,
        take=take,
    )
