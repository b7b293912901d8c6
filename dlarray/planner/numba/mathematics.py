"""Exponential and similar functions for Numba's loops, written so that LLVM vectorises them.

A call of the C library prevents vectorisation: tanh of a float32 takes 8 ns by such a call, and 0.7 ns here. The
functions use only arithmetic, selections and the bits of a number: no branch, no table, no fused multiply-add, so every
machine computes the same bits. Arguments are reduced by the method of Cody and Waite; the polynomials interpolate at
Chebyshev points and were computed with 60 digits. Each function states its largest error in ulp (units in the last
place of the exact result), first of float32, measured at every 17th of all numbers, then of float64, at millions (erf
and erfc: at 30,000).

``FUNCTIONS["float32"]`` and ``FUNCTIONS["float64"]`` hold the functions of a dtype by name. This module needs Numba.
"""

# pyright: basic
# Numba's source: the numbers in it have Numba's types, and ``view`` gives the bits of a scalar.

from __future__ import annotations

from collections.abc import Callable
from math import log2, sqrt
from typing import Any

import numpy as np
from numba import njit

from dlarray.planner.numba.formats import DOUBLE, SINGLE, Format

__all__ = ["FUNCTIONS"]


def _inline(function: Callable[..., Any]) -> Any:
    """Compile for inlining. In NumPy's error model x / 0 is inf, without a check that prevents vectorising."""
    return njit(function, forceinline=True, error_model="numpy")


def _polynomial(float_: Any, coefficients: tuple[float, ...]) -> Any:
    """Horner's rule for the coefficients of xⁿ, …, x, 1, as one expression: a loop does not vectorise."""
    namespace = {f"c{i}": float_(c) for i, c in enumerate(coefficients)}
    expression = "c0"
    for name in list(namespace)[1:]:
        expression = f"({expression} * x + {name})"
    exec(f"def horner(x):\n    return {expression}", namespace)
    return _inline(namespace["horner"])


def _bits(format_: Format) -> tuple[Any, Any, Any]:
    """The bits of a number, the number of given bits, and 2ⁿ of a whole n within the exponents of normal numbers."""
    int_, float_, bias, shift = format_.int_, format_.float_, format_.int_(format_.bias), format_.int_(format_.digits)

    @_inline
    def bits_of(x):
        return float_(x).view(int_)

    @_inline
    def from_bits(i):
        return int_(i).view(float_)

    @_inline
    def power_of_two(n):
        return int_(int_(n + bias) << shift).view(float_)

    return bits_of, from_bits, power_of_two


def _reduction(format_: Format) -> tuple[Any, Any]:
    """The two parts of every exponential: x = n ln 2 + r with |r| <= ln 2 / 2, and expm1 r = r + r²/2 + r³ C(r).

    Adding ``shifter`` leaves n, rounded, in the lowest bits: AVX2 converts no float64 to int64.
    """
    float_, int_, half = format_.float_, format_.int_, format_.float_(0.5)
    per_ln2, high, low = float_(log2(np.e)), float_(format_.ln2[0]), float_(format_.ln2[1])
    shifter = float_(1.5 * 2**format_.digits)
    shifter_bits = int_(shifter.view(int_))
    bits_of, _, _ = _bits(format_)
    rest = _polynomial(float_, format_.expm1)

    @_inline
    def reduced(x):
        shifted = x * per_ln2 + shifter
        n = shifted - shifter
        return int_(bits_of(shifted) - shifter_bits), (x - n * high) - n * low

    @_inline
    def expm1_reduced(r):
        square = r * r
        return r + (half * square + (square * r) * rest(r))

    return reduced, expm1_reduced


def _exponentials(format_: Format) -> dict[str, Any]:
    """exp, expm1, sigmoid and tanh."""
    float_, int_, digits = format_.float_, format_.int_, format_.digits
    zero, half, one, two, single = float_(0), float_(0.5), float_(1), float_(2), int_(1)
    low, high, far = float_(format_.exp_range[0]), float_(format_.exp_range[1]), float_(2 * digits)
    switch = float_(0.55)  # tanh is a half there
    expm1_is_x, tanh_is_x = float_(2.0 ** -(digits + 2)), float_(2.0 ** -(digits // 2 + 3))
    _, _, power_of_two = _bits(format_)
    reduced, expm1_reduced = _reduction(format_)

    @_inline
    def exp(x):
        """eˣ within 1.0 and 1.0 ulp. 2ⁿ can be out of range, so it is two factors; one rounding if subnormal."""
        n, r = reduced(low if x < low else (high if x > high else x))  # NaN passes
        first = int_(n >> single)
        return (one + expm1_reduced(r)) * power_of_two(first) * power_of_two(int_(n - first))

    @_inline
    def expm1(x):
        """eˣ - 1 within 1.5 and 2.0 ulp: 2ⁿ expm1 r + (2ⁿ - 1), all halved, because 2ⁿ can be out of range."""
        n, r = reduced(-far if x < -far else (high if x > high else x))
        scale = power_of_two(int_(n - single))
        y = (scale * expm1_reduced(r) + (scale - half)) * two
        return y if abs(x) > expm1_is_x else x

    @_inline
    def sigmoid(x):
        """1 / (1 + e⁻ˣ) within 2.5 and 2.5 ulp."""
        e = exp(-abs(x))
        return (e if x < zero else one) / (one + e)

    @_inline
    def tanh(x):
        """Tanh within 2.0 and 2.2 ulp: (1 - e) / (1 + e), and from ½ on 1 - 2e / (1 + e), with e = exp(-2 |x|)."""
        a = abs(x)
        n, r = reduced(-far if two * a > far else -two * a)
        scale = power_of_two(n)
        scaled = scale * expm1_reduced(r)
        near = a < switch
        y = ((one - scale) - scaled if near else two * (scale + scaled)) / ((one + scale) + scaled)
        y = y if near else one - y
        y = -y if x < zero else y
        return y if a > tanh_is_x else x

    return {"exp": exp, "expm1": expm1, "sigmoid": sigmoid, "tanh": tanh}


def _logarithms(format_: Format) -> dict[str, Any]:
    """Log and log1p.

    x = 2ᵏ (1 + f) with √½ <= 1 + f < √2. With s = f / (2 + f), ln(1 + f) is 2 atanh s, summed as
    f - (f²/2 - s (f²/2 + s² R(s²))), whose large terms are exact: the method of Sun's library.
    """
    float_, int_, digits = format_.float_, format_.int_, format_.digits
    zero, half, one, two, single = float_(0), float_(0.5), float_(1), float_(2), int_(1)
    infinity, nan = float_(np.inf), float_(np.nan)
    tiny, enlarging, enlarged = float_(2.0 ** (1 - format_.bias)), float_(2.0 ** (digits + 2)), int_(digits + 2)
    zero_exponent, high, low = int_(0), float_(format_.ln2[0]), float_(format_.ln2[1])
    root_bits = int_(float_(sqrt(0.5)).view(int_))
    mantissa, shift = int_((1 << digits) - 1), int_(digits)
    shifter = float_(1.5 * 2**digits)
    shifter_bits = int_(shifter.view(int_))
    bits_of, from_bits, power_of_two = _bits(format_)
    rest = _polynomial(float_, format_.log)

    @_inline
    def logarithm(k, f):
        k = from_bits(k + shifter_bits) - shifter
        s = f / (two + f)
        z = s * s
        half_square = half * f * f
        return k * high - ((half_square - (s * (half_square + z * rest(z)) + k * low)) - f)

    @_inline
    def limits(x, y):
        y = y if x > zero else (-infinity if x == zero else nan)
        return y if x < infinity else x + x  # +inf and NaN stay

    @_inline
    def log(x):
        """Natural logarithm within 0.9 and 0.9 ulp; log 0 = -inf, NaN below."""
        subnormal = x < tiny
        above = int_(bits_of(x * (enlarging if subnormal else one)) - root_bits)
        k = int_(above >> shift)
        m = from_bits((above & mantissa) + root_bits)
        return limits(x, logarithm(int_(k - (enlarged if subnormal else zero_exponent)), m - one))

    @_inline
    def log1p(x):
        """ln(1 + x) within 1.5 and 1.5 ulp: f = 2⁻ᵏ x + (2⁻ᵏ - 1), as 1 + x has lost digits; 2⁻ᵏ is two factors."""
        whole = one + x
        k = int_(int_(bits_of(whole) - root_bits) >> shift)
        first = int_(int_(-k) >> single)
        p, q = power_of_two(first), power_of_two(int_(int_(-k) - first))
        y = limits(whole, logarithm(k, x * p * q + (p * q - one)))
        return x if x == zero else y  # -0 too

    return {"log": log, "log1p": log1p}


def _error_functions(format_: Format) -> dict[str, Any]:
    """Erf and erfc; erfc in the form of M. M. Shepherd and J. G. Laframboise, Math. Comp. 36 (1981) 249-253."""
    float_, int_ = format_.float_, format_.int_
    zero, half, one, two, three, single = float_(0), float_(0.5), float_(1), float_(2), float_(3), int_(1)
    end, low, mask = float_(format_.erfc_end), float_(format_.exp_range[0]), int_(format_.mask)
    bits_of, from_bits, power_of_two = _bits(format_)
    reduced, expm1_reduced = _reduction(format_)
    series, scaled = _polynomial(float_, format_.erf), _polynomial(float_, format_.erfc)

    @_inline
    def tail(a):
        """Erfc of a >= 0: the rounding error of a², by Dekker's method, is added to the reduced argument."""
        a = end if a > end else a
        upper = from_bits(bits_of(a) & mask)
        lower = a - upper
        square = a * a
        missing = ((upper * upper - square) + two * upper * lower) + lower * lower
        n, r = reduced(low if -square < low else -square)
        first = int_(n >> single)
        y = (one + expm1_reduced(r - missing)) * (scaled((a - three) / (a + three)) / (one + two * a))
        return y * power_of_two(first) * power_of_two(int_(n - first))

    @_inline
    def erf(x):
        """2/√π ∫₀ˣ exp(-t²) dt within 2.7 and 2.5 ulp."""
        a = abs(x)
        y = one - tail(a)
        y = -y if x < zero else y
        return x * series(x * x) if a < half else y

    @_inline
    def erfc(x):
        """1 - erf x within 4.5 and 3.3 ulp, in the far tail too."""
        a = abs(x)
        y = tail(a)
        y = two - y if x < zero else y
        return one - x * series(x * x) if a < half else y

    return {"erf": erf, "erfc": erfc}


FUNCTIONS: dict[str, dict[str, Any]] = {
    name: _exponentials(format_) | _logarithms(format_) | _error_functions(format_)
    for name, format_ in (("float32", SINGLE), ("float64", DOUBLE))
}
"""The functions of a dtype: exp, expm1, log, log1p, sigmoid, tanh, erf, erfc."""
