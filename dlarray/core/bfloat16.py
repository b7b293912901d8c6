"""bfloat16, the upper half of float32, stored as int16 on every library, with stochastic rounding.

bfloat16 has the range of float32 and 8 of its 24 binary digits. With rounding to nearest, a moving average would never
change by less than half a unit of its last digit. Stochastic rounding goes up with the probability that keeps the mean:
E[decode(encode(x))] = x (Forsythe 1950; Gupta et al. 2015).
"""

from __future__ import annotations

from dlarray.core.array import Array, array_namespace, device, size
from dlarray.core.libraries import library_of
from dlarray.core.random import fold_in

__all__ = ["decode", "encode", "noise"]

_QUIET = 1 << 22  # set in a NaN, so that its upper half is a NaN too
_WORD = 0x9E3779B1 - (1 << 32)  # 2³² / golden ratio, odd


def decode(code: Array, dtype: object) -> Array:
    """The numbers that an int16 array encodes: exact in float32, then converted to ``dtype``."""
    xp = array_namespace(code)
    return xp.astype(_view(xp.bitwise_left_shift(xp.astype(code, xp.int32), 16), "float32"), dtype, copy=False)


def encode(x: Array, noise: Array) -> Array:
    """x as int16, rounded towards 0 or away from it. ``noise`` is int32, uniform in [0, 2¹⁶), of the shape of x.

    The bits of float32, read as integers, grow with |x|, and linearly between two neighbours in bfloat16. So the sum
    with the noise carries into the upper half with probability (|x| - lower) / (upper - lower), where lower and upper
    are the neighbours of |x|. Numbers of bfloat16 do not change, including ±0, ±∞ and NaN. float64 is rounded to
    float32 first.
    """
    xp = array_namespace(x)
    bits = _view(xp.astype(x, xp.float32, copy=False), "int32")
    rounded = xp.where(x == x, bits + noise, xp.bitwise_or(bits, _QUIET))
    return xp.astype(xp.bitwise_right_shift(rounded, 16), xp.int16)


def noise(step: Array, shape: tuple[int, ...], stream: int = 0) -> tuple[Array, Array]:
    """Two independent integers in [0, 2¹⁶) for every position, int32, from the step number (0-d).

    They are the two halves of a 32-bit word. The first word of a step is a hash of (step, stream); each next position
    adds 2³² / φ (Weyl 1916). Over the steps each half is uniform at each position, and over the positions the words
    fill the range evenly. One hash for each position would take ten times as many operations.
    """
    xp = array_namespace(step)
    position = xp.arange(size(shape), dtype=xp.int32, device=device(step))
    word = xp.reshape(position * _WORD + fold_in(xp.reshape(step, (1,)), stream), shape)
    return xp.bitwise_and(xp.bitwise_right_shift(word, 16), 0xFFFF), xp.bitwise_and(word, 0xFFFF)


def _view(x: Array, dtype: str) -> Array:
    if (library := library_of(x)) is not None:
        return library.view(x, dtype)
    try:
        return x.view(getattr(array_namespace(x), dtype))
    except AttributeError:
        raise TypeError(
            f"the bits of an array of type {type(x).__module__}.{type(x).__qualname__} cannot be read: "
            "it has no method view, and no backend knows its library"
        ) from None
