"""Exponential and its kin for Numba's loops, written out so that LLVM computes them for many elements at a time.

A call of the C library stops vectorising: tanh of a float32 takes 8 ns by such a call, and 0.7 ns as it stands here.
All is plain arithmetic, selections and the bits of a number: no branch, no table, no fused multiply-add, so every
machine finds the same bits. Arguments are reduced after Cody and Waite; the polynomials interpolate at Chebyshev's
points and were found with 60 digits. Each function states its largest error in ulp (units in the last place of the
exact result), first of float32, measured at every 17th of all numbers, then of float64, at millions (erf and erfc: at
30,000).

``FUNCTIONS["float32"]`` and ``FUNCTIONS["float64"]`` hold the functions of a dtype by name. Import this module only
where Numba is installed.
"""

# pyright: basic
# Numba's source: the numbers in it have Numba's types, and ``view`` gives the bits of a scalar.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2, pi, sqrt
from typing import Any

import numpy as np
from numba import njit

__all__ = ["FUNCTIONS"]


@dataclass(frozen=True)
class _Format:
    """A binary floating-point format, and the constants of this module that depend on it."""

    float_: Any
    int_: Any
    digits: int  # of the mantissa, as stored
    bias: int
    mask: int  # of the bits that leave the upper half of a mantissa, whose square is exact
    ln2: tuple[float, float]  # in two parts, the first so short that its small multiples are exact
    exp_range: tuple[float, float]  # beyond it eˣ is 0 and inf
    erfc_end: float  # beyond it erfc is 0
    expm1: tuple[float, ...]  # (expm1 r - r - r²/2) / r³
    log: tuple[float, ...]  # (2 atanh s - 2 s) / s³ in s²
    erf: tuple[float, ...]  # erf x / x in x²
    erfc: tuple[float, ...]  # (1 + 2a) exp(a²) erfc a in (a - 3) / (a + 3)


def _inline(function: Callable[..., Any]) -> Any:
    """Compile for use inside other loops. By NumPy's error model x / 0 is inf, and no check of it stops vectorising."""
    return njit(function, forceinline=True, error_model="numpy")


def _polynomial(float_: Any, coefficients: tuple[float, ...]) -> Any:
    """Horner's rule for the coefficients of xⁿ, …, x, 1, as one expression: a loop would not vectorise."""
    namespace = {f"c{i}": float_(c) for i, c in enumerate(coefficients)}
    expression = "c0"
    for name in list(namespace)[1:]:
        expression = f"({expression} * x + {name})"
    exec(f"def horner(x):\n    return {expression}", namespace)
    return _inline(namespace["horner"])


def _bits(format_: _Format) -> tuple[Any, Any, Any]:
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


def _reduction(format_: _Format) -> tuple[Any, Any]:
    """The two halves of every exponential: x = n ln 2 + r with |r| <= ln 2 / 2, and expm1 r = r + r²/2 + r³ C(r).

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


def _exponentials(format_: _Format) -> dict[str, Any]:
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
        """eˣ within 1.0 and 1.0 ulp. 2ⁿ may be out of range, so it comes in two factors; one rounding if subnormal."""
        n, r = reduced(low if x < low else (high if x > high else x))  # NaN passes
        first = int_(n >> single)
        return (one + expm1_reduced(r)) * power_of_two(first) * power_of_two(int_(n - first))

    @_inline
    def expm1(x):
        """eˣ - 1 within 1.5 and 2.0 ulp: 2ⁿ expm1 r + (2ⁿ - 1), all halved, for 2ⁿ may be out of range."""
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
        """Tanh within 2.0 and 2.2 ulp: (1 - e) / (1 + e), and from ½ on 1 - 2e / (1 + e), where e = exp(-2 |x|)."""
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


def _logarithms(format_: _Format) -> dict[str, Any]:
    """Log and log1p.

    x = 2ᵏ (1 + f) with √½ <= 1 + f < √2. With s = f / (2 + f), ln(1 + f) is 2 atanh s, summed as
    f - (f²/2 - s (f²/2 + s² R(s²))), whose large terms are exact: the way of Sun's library.
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
        return y if x < infinity else x + x  # +inf and NaN are their own

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
        """ln(1 + x) within 1.5 and 1.5 ulp: f = 2⁻ᵏ x + (2⁻ᵏ - 1), for 1 + x has lost digits; 2⁻ᵏ in two factors."""
        whole = one + x
        k = int_(int_(bits_of(whole) - root_bits) >> shift)
        first = int_(int_(-k) >> single)
        p, q = power_of_two(first), power_of_two(int_(int_(-k) - first))
        y = limits(whole, logarithm(k, x * p * q + (p * q - one)))
        return x if x == zero else y  # -0 too

    return {"log": log, "log1p": log1p}


def _error_functions(format_: _Format) -> dict[str, Any]:
    """Erf and erfc, the latter in a form of M. M. Shepherd and J. G. Laframboise, Math. Comp. 36 (1981) 249-253."""
    float_, int_ = format_.float_, format_.int_
    zero, half, one, two, three, single = float_(0), float_(0.5), float_(1), float_(2), float_(3), int_(1)
    end, low, mask = float_(format_.erfc_end), float_(format_.exp_range[0]), int_(format_.mask)
    bits_of, from_bits, power_of_two = _bits(format_)
    reduced, expm1_reduced = _reduction(format_)
    series, scaled = _polynomial(float_, format_.erf), _polynomial(float_, format_.erfc)

    @_inline
    def tail(a):
        """Erfc of a >= 0: the rounding error of a², found after Dekker, goes into the reduced argument."""
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


SINGLE = _Format(
    float_=np.float32,
    int_=np.int32,
    digits=23,
    bias=127,
    mask=~0xFFF,
    ln2=(0.693359375, -2.12194440e-4),
    exp_range=(-104.0, 89.0),
    erfc_end=11.0,
    expm1=(0.00019882774, 0.001392625, 0.008333321, 0.041666552, 0.16666667),
    log=(0.23331615, 0.2855078, 0.40000123, 0.6666667),
    erf=(0.0047190827, -0.026757732, 0.112828314, -0.37612608, 2 / sqrt(pi)),
    erfc=(
        *(-0.0002690068, -0.0007758974, 0.0020097822, 0.0025729046, -0.023800058, 0.068292744),
        *(-0.11927094, 0.12964685, -0.047562372, -0.13562116, 1.253008),
    ),
)
DOUBLE = _Format(
    float_=np.float64,
    int_=np.int64,
    digits=52,
    bias=1023,
    mask=~0x7FFFFFF,
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    exp_range=(-746.0, 710.0),
    erfc_end=28.0,
    expm1=(
        *(2.09112987659402e-09, 2.5100472505694996e-08, 2.7557282838800484e-07, 2.7557268276905696e-06),
        *(2.4801587317228724e-05, 0.00019841269863171557, 0.0013888888888886537, 0.008333333333330039),
        *(0.041666666666666664, 0.16666666666666669),
    ),
    log=(
        *(0.14617807492803847, 0.15331611694570085, 0.18182892433364564, 0.22222211089368124),
        *(0.2857142862625391, 0.3999999999989889, 0.666666666666667),
    ),
    erf=(
        *(1.4725865480556744e-06, -1.4845849259707869e-05, 0.00012053335124353741, -0.0008548297753674966),
        *(0.00522397737302147, -0.026866170632887928, 0.11283791670925353, -0.37612638903183476, 2 / sqrt(pi)),
    ),
    erfc=(
        *(-4.210104975119195e-09, -8.500119502115306e-09, 3.29163439676632e-08, 9.186243026143847e-08),
        *(-1.311166137536459e-07, -6.050048623933503e-07, 3.4899197889744293e-07, 3.463997532352904e-06),
        *(-7.275875746667183e-07, -2.009663087595395e-05, 4.948147875576539e-06, 0.00012509815174864322),
        *(-0.00010515949033775975, -0.0007798320379611115, 0.001888690312003782, 0.002529391788270445),
        *(-0.02377051491423367, 0.06830802734580459, -0.11927366341552853, 0.12964515870270552),
        *(-0.047562294353446374, -0.1356211061245807, 1.2530080582697296),
    ),
)

FUNCTIONS: dict[str, dict[str, Any]] = {
    name: _exponentials(format_) | _logarithms(format_) | _error_functions(format_)
    for name, format_ in (("float32", SINGLE), ("float64", DOUBLE))
}
"""The functions of a dtype: exp, expm1, log, log1p, sigmoid, tanh, erf, erfc."""
