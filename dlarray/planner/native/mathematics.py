"""Exponential and similar functions as instructions, so that they are computed in vectors.

A call of the C library takes one number at a time: tanh of a float32 takes 8 ns by such a call, and 0.7 ns here. The
functions use only arithmetic, selections and the bits of a number: no branch, no table, no fused multiply-add, so every
machine computes the same bits. Arguments are reduced by the method of Cody and Waite. Each function states its largest
error in ulp (units in the last place of the exact result), first of float32, measured at every 17th of all numbers,
then of float64, at millions.
"""

from __future__ import annotations

from math import inf, log2, nan, sqrt

import numpy as np

from dlarray.planner.native.formats import DOUBLE, SINGLE, Format
from dlarray.planner.native.values import Value

__all__ = ["FUNCTIONS", "exp", "expm1", "log", "log1p", "tanh"]


def exp(x: Value) -> Value:
    """eˣ within 1.0 and 1.0 ulp. 2ⁿ can be out of range, so it is two factors; one rounding if subnormal."""
    low, high = _format(x).exp_range
    n, r = _reduced((x < low).select(x.like(low), (x > high).select(x.like(high), x)))  # NaN passes
    first = n >> 1
    return (1 + _expm1_reduced(r)) * _power_of_two(first, x) * _power_of_two(n - first, x)


def expm1(x: Value) -> Value:
    """eˣ - 1 within 1.5 and 2.0 ulp: 2ⁿ expm1 r + (2ⁿ - 1), all halved, because 2ⁿ can be out of range."""
    format_ = _format(x)
    far, high = float(2 * format_.digits), format_.exp_range[1]
    n, r = _reduced((x < -far).select(x.like(-far), (x > high).select(x.like(high), x)))
    scale = _power_of_two(n - 1, x)
    y = (scale * _expm1_reduced(r) + (scale - 0.5)) * 2
    return (abs(x) > 2.0 ** -(format_.digits + 2)).select(y, x)


def tanh(x: Value) -> Value:
    """Tanh within 2.0 and 2.2 ulp: (1 - e) / (1 + e), and from ½ on 1 - 2e / (1 + e), with e = exp(-2 |x|)."""
    format_ = _format(x)
    far = float(2 * format_.digits)
    a = abs(x)
    n, r = _reduced((2 * a > far).select(x.like(-far), -2 * a))
    scale = _power_of_two(n, x)
    scaled = scale * _expm1_reduced(r)
    near = a < 0.55  # tanh is a half there
    y = near.select((1 - scale) - scaled, 2 * (scale + scaled)) / ((1 + scale) + scaled)
    y = near.select(y, 1 - y)
    y = (x < 0).select(-y, y)
    return (a > 2.0 ** -(format_.digits // 2 + 3)).select(y, x)


def log(x: Value) -> Value:
    """Natural logarithm within 0.9 and 0.9 ulp; log 0 = -inf, NaN below."""
    format_, integer = _format(x), _integer(x)
    digits, root = format_.digits, _root_bits(format_)
    subnormal = x < 2.0 ** (1 - format_.bias)
    above = (x * subnormal.select(x.like(2.0 ** (digits + 2)), 1)).bits(integer) - root
    k = above >> digits
    m = ((above & ((1 << digits) - 1)) + root).bits(x.dtype)
    return _limits(x, _logarithm(k - subnormal.select(k.like(digits + 2), 0), m - 1))


def log1p(x: Value) -> Value:
    """ln(1 + x) within 1.5 and 1.5 ulp: f = 2⁻ᵏ x + (2⁻ᵏ - 1), as 1 + x has lost digits; 2⁻ᵏ is two factors."""
    format_ = _format(x)
    whole = 1 + x
    k = (whole.bits(_integer(x)) - _root_bits(format_)) >> format_.digits
    first = -k >> 1
    p, q = _power_of_two(first, x), _power_of_two(-k - first, x)
    y = _limits(whole, _logarithm(k, x * p * q + (p * q - 1)))
    return x.equals(0).select(x, y)  # -0 too


FUNCTIONS = {"exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh}
"""By the name of the operation."""


def _format(x: Value) -> Format:
    return {"float32": SINGLE, "float64": DOUBLE}[x.dtype]


def _integer(x: Value) -> str:
    """The integers of the same width."""
    return x.dtype.replace("float", "int")


def _shifter(format_: Format) -> float:
    """Adding it leaves a number, rounded, in the lowest bits: AVX2 converts no float64 to int64."""
    return 1.5 * 2**format_.digits


def _shifter_bits(format_: Format) -> int:
    return int(format_.float_(_shifter(format_)).view(format_.int_))


def _root_bits(format_: Format) -> int:
    return int(format_.float_(sqrt(0.5)).view(format_.int_))


def _polynomial(x: Value, coefficients: tuple[float, ...]) -> Value:
    """Horner's rule for the coefficients of xⁿ, …, x, 1."""
    first, second, *rest = coefficients
    result = first * x + second
    for c in rest:
        result = result * x + c
    return result


def _power_of_two(n: Value, x: Value) -> Value:
    """2ⁿ of a whole n within the exponents of normal numbers, in the dtype of x."""
    format_ = _format(x)
    return ((n + format_.bias) << format_.digits).bits(x.dtype)


def _reduced(x: Value) -> tuple[Value, Value]:
    """The argument of every exponential: x = n ln 2 + r with |r| <= ln 2 / 2."""
    format_ = _format(x)
    shifted = x * log2(np.e) + _shifter(format_)
    n = shifted - _shifter(format_)
    r = (x - n * format_.ln2[0]) - n * format_.ln2[1]
    return shifted.bits(_integer(x)) - _shifter_bits(format_), r


def _expm1_reduced(r: Value) -> Value:
    """eʳ - 1 = r + r²/2 + r³ C(r) of a reduced argument."""
    square = r * r
    return r + (0.5 * square + (square * r) * _polynomial(r, _format(r).expm1))


def _logarithm(k: Value, f: Value) -> Value:
    """k ln 2 + ln(1 + f) with √½ <= 1 + f < √2.

    With s = f / (2 + f), ln(1 + f) is 2 atanh s, summed as f - (f²/2 - s (f²/2 + s² R(s²))), whose large terms are
    exact: the method of Sun's library.
    """
    format_ = _format(f)
    k = (k + _shifter_bits(format_)).bits(f.dtype) - _shifter(format_)
    s = f / (2 + f)
    z = s * s
    half_square = 0.5 * f * f
    tail = s * (half_square + z * _polynomial(z, format_.log)) + k * format_.ln2[1]
    return k * format_.ln2[0] - ((half_square - tail) - f)


def _limits(x: Value, y: Value) -> Value:
    """The logarithm y of x, also if x is 0, negative, infinite or NaN."""
    y = (x > 0).select(y, x.equals(0).select(x.like(-inf), nan))
    return (x < inf).select(y, x + x)
