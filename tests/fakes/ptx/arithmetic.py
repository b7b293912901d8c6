"""The arithmetic of PTX on arrays: IEEE 754 with every rounding that nvrtc's code uses, and integers.

add, sub, mul, fma, div, rcp, sqrt and cvt are exact to the last bit. Instructions that the ISA calls ``approx`` are not
defined to the bit; here they have NumPy's values: rcp, rsqrt, sqrt, ex2, lg2, sin, cos, tanh.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b, and what its rounding lost, exactly. Knuth, TAOCP 2, section 4.2.2."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _halves(a: Array) -> tuple[Array, Array]:
    c = a * 134217729.0  # 2^27 + 1
    high = c - (c - a)
    return high, a - high


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """a b, and what its rounding lost, exactly where nothing over- or underflows. Dekker, Numer. Math. 18 (1971)."""
    p = a * b
    (ah, al), (bh, bl) = _halves(a), _halves(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def to_odd(s: Array, e: Array) -> Array:
    """s + e rounded so that an inexact result is odd: rounding once more, to fewer bits, is then rounding once."""
    bits = s.view(np.int64)
    inexact = ((e > 0) | (e < 0)) & np.isfinite(s) & (bits & 1 == 0)
    return np.where(inexact, bits + np.where((e > 0) == (s > 0), 1, -1), bits).view(np.float64)


def to_single(x: Array, how: str) -> Array:
    """A double, where need be rounded to odd, as a float rounded once: rn, rz, rm or rp."""
    near = x.astype(np.float32)
    back = near.astype(np.float64)
    if how == "rn":
        return near
    if how == "rz":
        return np.where(abs(back) > abs(x), np.nextafter(near, np.float32(0)), near)
    if how == "rm":
        return np.where(back > x, np.nextafter(near, np.float32(-np.inf)), near)
    return np.where(back < x, np.nextafter(near, np.float32(np.inf)), near)


def add_single(a: Array, b: Array, how: str) -> Array:
    if how == "rn":
        return a + b
    s, e = two_sum(a.astype(np.float64), b.astype(np.float64))
    return _signed_zero(to_single(to_odd(s, e), how), a, b, how)


def mul_single(a: Array, b: Array, how: str) -> Array:
    return a * b if how == "rn" else to_single(a.astype(np.float64) * b, how)


def fma_single(a: Array, b: Array, c: Array, how: str) -> Array:
    """The product is exact in double; the sum is rounded to odd there. Boldo and Melquiond, IEEE TC 57 (2008)."""
    p = a.astype(np.float64) * b.astype(np.float64)
    return _signed_zero(to_single(to_odd(*two_sum(p, c.astype(np.float64))), how), p, c, how)


def _signed_zero(total: Array, a: Array, b: Array, how: str) -> Array:
    """An exact zero of two that differ in sign is negative where one rounds down."""
    if how != "rm":
        return total
    return np.where((total == 0) & (np.signbit(a) != np.signbit(b)), np.float32(-0.0), total)


def fma_double(a: Array, b: Array, c: Array) -> Array:
    """a b + c rounded once. Boldo and Melquiond (2008); by fractions where that would over- or underflow."""
    a, b, c = np.broadcast_arrays(a, b, c)
    p, lost = two_product(a, b)
    u, low = two_sum(lost, c)
    high, rest = two_sum(p, u)
    found = high + to_odd(*two_sum(rest, low))
    x, y, z = abs(a), abs(b), abs(c)
    small, large = 2.0**-450, 2.0**450
    safe = (x > small) & (x < large) & (y > small) & (y < large) & ((z > small * small) | (z == 0)) & (z < 2.0**1000)
    if safe.all():
        return found
    plain = ~(np.isfinite(x) & np.isfinite(y) & np.isfinite(z)) | (x == 0) | (y == 0)
    found = np.where(plain, a * b + c, found)
    found = np.where(np.isinf(c) & np.isfinite(x) & np.isfinite(y), c, found)  # whose product may be too large alone
    for i in np.flatnonzero(~safe & ~plain):
        exact = Fraction(float(a[i])) * Fraction(float(b[i])) + Fraction(float(c[i]))
        try:
            found[i] = float(exact)
        except OverflowError:
            found[i] = np.inf if exact > 0 else -np.inf
        if not exact:
            found[i] = 0.0
        elif found[i] == 0 and exact < 0:
            found[i] = -0.0
    return found


def reciprocal_of_high_word(x: Array) -> Array:
    """rcp.approx.ftz.f64: of the high word, to the high word."""
    high = (x.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
    return (flushed(1.0 / flushed(high)).view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)


def rsqrt_of_high_word(x: Array) -> Array:
    high = (x.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
    return (flushed(1.0 / np.sqrt(flushed(high))).view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)


def flushed(x: Array) -> Array:
    """Subnormal numbers as zeros of their sign."""
    return np.where(abs(x) < np.finfo(x.dtype).tiny, np.copysign(x.dtype.type(0), x), x)


def saturated(x: Array) -> Array:
    """.sat: between 0 and 1, a NaN is 0."""
    one = x.dtype.type(1)
    return np.where(x > 0, np.minimum(x, one), x.dtype.type(0))


def extremum(a: Array, b: Array, least: bool, nan: bool) -> Array:
    """min and max of floats: -0 < 0; a NaN is what the other is, or with ``.NaN`` all there is."""
    chosen = np.where((a < b) if least else (a > b), a, b)
    zeros = (a == 0) & (b == 0) & (np.signbit(a) if least else ~np.signbit(a))
    chosen = np.where(zeros, a, chosen)
    unknown = a.dtype.type(np.nan)
    if nan:
        return np.where(np.isnan(a) | np.isnan(b), unknown, chosen)
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, chosen))


def high_product(a: Array, b: Array) -> Array:
    """The upper half of a product."""
    bits = 8 * a.dtype.itemsize
    if bits < 64:
        wide = np.dtype(f"{a.dtype.kind}{a.dtype.itemsize * 2}")
        return (a.astype(wide) * b.astype(wide) >> wide.type(bits)).astype(a.dtype)
    x, y = a.view(np.uint64), b.view(np.uint64)
    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    xh, xl, yh, yl = x >> half, x & low, y >> half, y & low
    cross = xh * yl + (xl * yl >> half)
    found = xh * yh + (cross >> half) + ((cross & low) + xl * yh >> half)
    if a.dtype.kind == "i":
        found = found - np.where(a < 0, y, 0).astype(np.uint64) - np.where(b < 0, x, 0).astype(np.uint64)
    return found.view(a.dtype)


def wide_product(a: Array, b: Array) -> Array:
    wide = np.dtype(f"{a.dtype.kind}{a.dtype.itemsize * 2}")
    return a.astype(wide) * b.astype(wide)


def shifted_left(a: Array, n: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    return np.where(n < bits, a << np.minimum(n, bits - 1).astype(a.dtype), a.dtype.type(0))


def shifted_right(a: Array, n: Array) -> Array:
    """By a whole width or more: the sign, or zero."""
    bits = 8 * a.dtype.itemsize
    filled = a >> a.dtype.type(bits - 1) if a.dtype.kind == "i" else a.dtype.type(0)
    return np.where(n < bits, a >> np.minimum(n, bits - 1).astype(a.dtype), filled)


def quotient(a: Array, b: Array) -> Array:
    """Towards zero; all ones for a division by zero, which PTX leaves open."""
    if a.dtype.kind == "u":
        return np.where(b == 0, ~a.dtype.type(0), a // np.where(b == 0, a.dtype.type(1), b))
    divisor = np.where(b == 0, a.dtype.type(1), b)
    down = a // divisor
    up = (down * divisor != a) & ((a < 0) != (divisor < 0))
    return np.where(b == 0, a.dtype.type(-1), down + up.astype(a.dtype))


def remainder(a: Array, b: Array) -> Array:
    return np.where(b == 0, a, a - quotient(a, b) * b)


def field_extracted(a: Array, start: Array, length: Array) -> Array:
    """bfe: so many bits from a position on; a signed field is extended by its sign."""
    bits = 8 * a.dtype.itemsize
    start, length = (x.astype(np.int64) & 255 for x in np.broadcast_arrays(start, length))
    python = np.empty(np.broadcast_shapes(a.shape, start.shape), object)
    for i, (x, p, n) in enumerate(zip(*np.broadcast_arrays(a, start, length), strict=True)):
        field = (int(x) >> int(p)) & ((1 << int(n)) - 1)  # Python fills with the sign
        if a.dtype.kind == "i" and n and field >> (int(n) - 1):
            field -= 1 << int(n)
        python[i] = field if n else 0
    whole = 2**bits
    return np.array([int(x) % whole for x in python], f"u{a.dtype.itemsize}").view(a.dtype)


def field_inserted(a: Array, b: Array, start: Array, length: Array) -> Array:
    """bfi: b with so many of its bits replaced by the low bits of a."""
    made = []
    for x, y, p, n in zip(*np.broadcast_arrays(a, b, start, length), strict=True):
        mask = ((1 << (int(n) & 255)) - 1) << (int(p) & 255)
        made.append(((int(y) & ~mask) | (int(x) << (int(p) & 255) & mask)) % 2 ** (8 * a.dtype.itemsize))
    return np.array(made, a.dtype)


def permuted(a: Array, b: Array, selector: Array) -> Array:
    """prmt: four of the eight bytes of a and b; the highest bit of a choice copies that byte's sign."""
    pair = a.astype(np.uint64) | b.astype(np.uint64) << np.uint64(32)
    made = np.zeros(np.broadcast_shapes(pair.shape, selector.shape), np.uint32)
    for i in range(4):
        choice = selector >> np.uint32(4 * i)
        byte = (pair >> ((choice & np.uint32(7)) * np.uint32(8)).astype(np.uint64)).astype(np.uint32) & np.uint32(255)
        sign = np.where(byte & np.uint32(128), np.uint32(255), np.uint32(0))
        made |= np.where(choice & np.uint32(8), sign, byte) << np.uint32(8 * i)
    return made


def any_logic(a: Array, b: Array, c: Array, table: int) -> Array:
    """lop3: for each bit the entry of a truth table."""
    made = np.zeros(np.broadcast_shapes(a.shape, b.shape, c.shape), a.dtype)
    for i in range(8):
        if table >> i & 1:
            made |= (a if i & 4 else ~a) & (b if i & 2 else ~b) & (c if i & 1 else ~c)
    return made


def counted(a: Array) -> Array:
    """popc."""
    return np.array([int(x).bit_count() for x in a], np.uint32)


def leading_zeros(a: Array) -> Array:
    return np.array([8 * a.dtype.itemsize - int(x).bit_length() for x in a], np.uint32)


def reversed_bits(a: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    return np.array([int(f"{int(x):0{bits}b}"[::-1], 2) for x in a], a.dtype)


def funnel(low: Array, high: Array, n: Array, left: bool, clamp: bool) -> Array:
    """shf: 32 bits of a pair that is shifted."""
    n = (np.minimum(n, np.uint32(32)) if clamp else n & np.uint32(31)).astype(np.uint64)
    pair = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
    return ((pair << n >> np.uint64(32)) if left else (pair >> n)).astype(np.uint32)


_ROUND = {"rn": np.rint, "rz": np.trunc, "rm": np.floor, "rp": np.ceil}


def converted(x: Array, to: np.dtype[Any], how: str, saturate: bool) -> Array:
    """cvt from the type of x; ``how`` is one of rn, rz, rm, rp, with an i to a whole number, or nothing."""
    if x.dtype.kind == "f":
        if how.endswith("i"):
            x = _ROUND[how[:2]](x)
        if to.kind != "f":
            return _to_whole(x, to)
        if x.dtype.itemsize > to.itemsize:
            x = to_single(x, how[:2])
        x = x.astype(to)
        return saturated(x) if saturate else x
    if to.kind == "f":
        if how != "rn":
            raise NotImplementedError(f"cvt.{how} of whole numbers")
        return x.astype(to)
    if saturate:
        info = np.iinfo(to)
        return np.array([min(max(int(v), info.min), info.max) for v in x], to)
    return x.astype(to)


def _to_whole(x: Array, to: np.dtype[Any]) -> Array:
    """The nearest that there is; of a NaN zero, or from or to 64 bits the highest bit alone."""
    info = np.iinfo(to)
    low, high = float(info.min), float(info.max) + (to.itemsize < 8)  # float rounds the highest of 64 bits up
    whole = np.where((x >= low) & (x < high), x, 0).astype(to)
    whole = np.where(x >= high, to.type(info.max), np.where(x < low, to.type(info.min), whole))
    wide = x.dtype.itemsize == 8 or to.itemsize == 8
    unknown = np.array(1 << (8 * to.itemsize - 1) if wide else 0, f"u{to.itemsize}").view(to)
    return np.where(np.isnan(x), unknown, whole)
