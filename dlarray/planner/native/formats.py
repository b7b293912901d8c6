"""The two formats of numbers that mathematics.py computes in, with the constants and coefficients for each.

The polynomials interpolate at Chebyshev points and were computed with 60 digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["DOUBLE", "SINGLE", "Format"]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format, and the constants of this module that depend on it."""

    float_: Any
    int_: Any
    digits: int  # of the mantissa, as stored
    bias: int
    ln2: tuple[float, float]  # in two parts, the first so short that its small multiples are exact
    exp_range: tuple[float, float]  # beyond it eˣ is 0 and inf
    expm1: tuple[float, ...]  # (expm1 r - r - r²/2) / r³
    log: tuple[float, ...]  # (2 atanh s - 2 s) / s³ in s²


SINGLE = Format(
    float_=np.float32,
    int_=np.int32,
    digits=23,
    bias=127,
    ln2=(0.693359375, -2.12194440e-4),
    exp_range=(-104.0, 89.0),
    expm1=(0.00019882774, 0.001392625, 0.008333321, 0.041666552, 0.16666667),
    log=(0.23331615, 0.2855078, 0.40000123, 0.6666667),
)
DOUBLE = Format(
    float_=np.float64,
    int_=np.int64,
    digits=52,
    bias=1023,
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    exp_range=(-746.0, 710.0),
    expm1=(
        *(2.09112987659402e-09, 2.5100472505694996e-08, 2.7557282838800484e-07, 2.7557268276905696e-06),
        *(2.4801587317228724e-05, 0.00019841269863171557, 0.0013888888888886537, 0.008333333333330039),
        *(0.041666666666666664, 0.16666666666666669),
    ),
    log=(
        *(0.14617807492803847, 0.15331611694570085, 0.18182892433364564, 0.22222211089368124),
        *(0.2857142862625391, 0.3999999999989889, 0.666666666666667),
    ),
)
