"""Numbers in 16 bits: bfloat16, the upper half of float32, held as int16 on every library.

It has float32's range and 8 binary digits of its 24. Rounded to the nearest, an average that moves by less than half
a unit of its last digit would stand still for ever. So numbers are rounded at random, up as often as they lie near the
upper neighbour: E[decode(encode(x))] = x (Forsythe 1950; Gupta et al. 2015).
"""

from __future__ import annotations

from collections.abc import Callable

from dlarray.core.array import Array, array_namespace, device, root_module, size
from dlarray.core.random import fold_in

__all__ = ["decode", "encode", "noise", "use_view"]

_QUIET = 1 << 22  # set in a NaN, so that its upper half is one too
_WORD = 0x9E3779B1 - (1 << 32)  # 2³² / golden ratio, odd
_view_of: dict[str, Callable[[Array, str], Array]] = {}


def use_view(root_module: str, function: Callable[[Array, str], Array]) -> None:
    """From now on read a library's arrays as another dtype, given by its name, by this function.

    For those whose type's module begins with this name; all others have a method ``view``.
    """
    _view_of[root_module] = function


def decode(code: Array, dtype: object) -> Array:
    """The numbers of an int16 array, exactly, as float32, then in the dtype."""
    xp = array_namespace(code)
    return xp.astype(_view(xp.astype(code, xp.int32) << 16, "float32"), dtype, copy=False)


def encode(x: Array, noise: Array) -> Array:
    """x as int16: towards 0 or away from it, as noise, uniform in [0, 2¹⁶), and the lower half of its bits decide.

    float32's bits, read as whole numbers, grow with |x|, and evenly between two neighbours of bfloat16. So the sum
    carries into the upper half with the probability that x lies beyond its neighbour. Numbers that bfloat16 has stay
    what they are, ±0, ±∞ and NaN too. float64 is rounded to float32 first.
    """
    xp = array_namespace(x)
    bits = _view(xp.astype(x, xp.float32, copy=False), "int32")
    return xp.astype(xp.where(x == x, bits + noise, bits | _QUIET) >> 16, xp.int16)


def noise(step: Array, shape: tuple[int, ...], stream: int = 0) -> tuple[Array, Array]:
    """Two independent whole numbers in [0, 2¹⁶) for every position, int32, from the number of the step (0-d).

    The halves of a word that begins, at each step, at a hash of (step, stream) and goes on by 2³² / φ from position to
    position (Weyl 1916). Over the steps each half of each position is uniform; neighbours, far from alike, fill the
    range evenly. A hash of each position would cost ten times as many operations.
    """
    xp = array_namespace(step)
    position = xp.arange(size(shape), dtype=xp.int32, device=device(step))
    word = xp.reshape(position * _WORD + fold_in(xp.reshape(step, (1,)), stream), shape)
    return (word >> 16) & 0xFFFF, word & 0xFFFF


def _view(x: Array, dtype: str) -> Array:
    if (own := _view_of.get(root_module(x))) is not None:
        return own(x, dtype)
    try:
        return x.view(getattr(array_namespace(x), dtype))
    except AttributeError:
        raise TypeError(
            f"the bits of an array of type {type(x).__module__}.{type(x).__qualname__} cannot be reached: "
            "it has no method view; dlarray.core.bfloat16.use_view can name a function"
        ) from None
