"""Random numbers: the same bits on every device. The expected words are stored here, and computed nowhere else.

A library whose int32 products do not wrap, or that has no bit operations, says so in its backend; then nothing here
applies to it, and dropout is refused there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dlarray.activations import Identity
from dlarray.core.bfloat16 import decode, encode, noise
from dlarray.core.random import Bits, bernoulli_mask, fold_in, random_int32
from dlarray.initializers import Initializer
from dlarray.layers import Dense, Dropout
from dlarray.model import MLP
from dlarray.testing.check import Check, Deviation
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import compare, largest
from dlarray.testing.own import own

__all__ = ["BITS", "FOLDED", "KEY", "MASK", "NOISE", "WORDS", "checks"]

KEY = np.array([-1785554326, 1452491500], dtype=np.int32)
"""A key: two words of 32 bits."""

WORDS = np.array(
    [
        [195296436, -1780092217, 1336209634, 333631097, -2117595950],
        [1490958037, -1857021488, -1284862405, 297500552, 2084428602],
        [208812621, -746256669, 625985461, -654494691, -34603555],
    ],
    dtype=np.int32,
)
"""``random_int32(KEY, (3, 5))``."""

FOLDED = {
    0: [240445689, 1965902998],
    1: [1009166346, -1864658721],
    7: [13724954, -942262835],
    2**31 - 1: [1108443728, -1017257896],
    -(2**31): [318838073, 2126896246],
}
"""``fold_in(KEY, word)`` by word."""

MASK = "dbbe4dffee4ef152"
"""``bernoulli_mask(KEY, x, 0.7)`` for 64 numbers, the first element in the highest bit of the first byte."""

NOISE = ([15052, 55555, 30522, 5490, 45993, 20961], [1554, 32707, 63860, 29477, 60630, 26247])
"""``noise(5, (6,))``."""

BITS = {
    # x, noise: the code in bfloat16
    (0.0, 0): 0,
    (-0.0, 65535): -32768,
    (1.0, 1): 16256,
    (-1.0000001192092896, 65535): -16511,
    (3.1415927410125732, 32768): 16457,
    (-1.0000000031710769e-30, 12345): -29278,
    (65504.5, 54321): 18304,
    (float("inf"), 7): 32640,
    (float("-inf"), 65535): -128,
    (9.999999680285692e37, 40000): 32407,
}
"""``encode(x, noise)``: x in float32, rounded to 16 bits at random."""


def checks() -> list[Check]:
    """The checks of this part."""
    hashed = (*BASIC, "int32_wraps", "bit_operations")
    return [
        Check("random", "32-bit words", _words, hashed, 0.0),
        Check("random", "folded keys", _folded, hashed, 0.0),
        Check("random", "masks", _mask, hashed, 0.0),
        Check("random", "dropout", _dropout, hashed, 0.0),
        Check("random", "noise and codes of bfloat16", _bfloat16, (*hashed, "bits"), 0.0),
        Check("random", "initial weights", _initial, BASIC, 0.0),
    ]


def _words(column: Column) -> float:
    return column.ulp(random_int32(column.array(KEY), WORDS.shape), WORDS)


def _folded(column: Column) -> Deviation:
    """A word is a Python number or a 0-d array of int32, such as the number of a step."""
    key = column.array(KEY)

    def found(word: int, given: object) -> float:
        return column.ulp(fold_in(key, given), np.array(FOLDED[word], dtype=np.int32))

    return largest(
        (f"{word} as {kind}", partial(found, word, given))
        for word in FOLDED
        for kind, given in (("a number", word), ("an array", column.array(np.int32(word))))
    )


def _mask(column: Column) -> float:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(MASK), dtype=np.uint8)).astype(bool)
    return column.ulp(bernoulli_mask(column.array(KEY), column.array(np.ones((8, 8))), 0.7), bits.reshape(8, 8))


def _dropout(column: Column) -> float:
    """What remains is 1 / (1 - rate) as the column's dtype rounds it."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(MASK), dtype=np.uint8)).reshape(8, 8)
    y, _ = Dropout(1 - 0.7).forward(column.array(np.ones((8, 8))), column.array(KEY))
    return column.ulp(y, column.host(bits * (1 / 0.7)))


def _bfloat16(column: Column) -> Deviation:
    x, word = (np.array(values) for values in zip(*BITS, strict=True))
    codes = encode(column.target.asarray(x.astype(np.float32)), column.array(word.astype(np.int32)))
    numbers = (np.array(list(BITS.values()), dtype=np.int16).astype(np.int32) << 16).view(np.float32)
    high, low = noise(column.array(np.int32(5)), (6,))
    expected = [np.array(half, dtype=np.int32) for half in NOISE]
    return compare(
        column,
        {"codes": codes, "numbers": decode(codes, column.array(x).dtype), "high noise": high, "low noise": low},
        {
            "codes": np.array(list(BITS.values()), dtype=np.int16),
            "numbers": numbers,
            "high noise": expected[0],
            "low noise": expected[1],
        },
    )


def _initial(column: Column) -> Deviation:
    """θ is drawn on the host in float64, rounded once, and sent: by every initializer, the same bits."""

    def one(initializer: Initializer) -> float:
        model = MLP(5, [Dense(4, weight=initializer), Identity()])
        theta = model.init(3, column.target, column.dtype)
        expected = column.host(initializer(Bits(3, "parameter 0.W"), (5, 4)))
        return column.ulp(model.parameters(theta)["0.W"], expected)

    made: dict[str, Callable[[], Initializer]] = {**own(Initializer)}
    return largest((name, partial(one, make())) for name, make in made.items())
