"""The two formats of numbers that mathematics.py computes in, with the constants and coefficients for each."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt
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
    mask: int  # of the bits that leave the upper half of a mantissa, whose square is exact
    ln2: tuple[float, float]  # in two parts, the first so short that its small multiples are exact
    exp_range: tuple[float, float]  # beyond it eˣ is 0 and inf
    erfc_end: float  # beyond it erfc is 0
    expm1: tuple[float, ...]  # (expm1 r - r - r²/2) / r³
    log: tuple[float, ...]  # (2 atanh s - 2 s) / s³ in s²
    erf: tuple[float, ...]  # erf x / x in x²
    erfc: tuple[float, ...]  # (1 + 2a) exp(a²) erfc a in (a - 3) / (a + 3)


SINGLE = Format(
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
DOUBLE = Format(
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
