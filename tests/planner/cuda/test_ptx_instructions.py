"""Instructions of PTX that compute on registers, as the interpreter executes them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from tests.support.ptx_threads import executed, items, kind_of, wrapped

WHOLE: dict[str, Callable[[int, int, int], int]] = {
    "add.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: a + b,
    "sub.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: a - b,
    "mul.lo.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: a * b,
    "mul.hi.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: a * b >> bits,
    "mad.lo.{s} {d}9, {d}0, {d}1, {d}0;": lambda a, b, bits: a * b + a,
    "div.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: (abs(a) // abs(b)) * (1 if (a < 0) == (b < 0) else -1),
    "rem.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: (abs(a) % abs(b)) * (-1 if a < 0 else 1),
    "min.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: min(a, b),
    "max.{s} {d}9, {d}0, {d}1;": lambda a, b, bits: max(a, b),
    "and.b{b} {d}9, {d}0, {d}1;": lambda a, b, bits: a & b,
    "or.b{b} {d}9, {d}0, {d}1;": lambda a, b, bits: a | b,
    "xor.b{b} {d}9, {d}0, {d}1;": lambda a, b, bits: a ^ b,
    "not.b{b} {d}9, {d}0;": lambda a, b, bits: ~a,
    "shl.b{b} {d}9, {d}0, 5;": lambda a, b, bits: a << 5,
    "shl.b{b} {d}9, {d}0, 99;": lambda a, b, bits: 0,
    "shr.{s} {d}9, {d}0, 5;": lambda a, b, bits: a >> 5,
    "shr.{s} {d}9, {d}0, 99;": lambda a, b, bits: -1 if a < 0 else 0,
    "setp.lt.{s} %p1, {d}0, {d}1; selp.b{b} {d}9, {d}0, {d}1, %p1;": lambda a, b, bits: min(a, b),
    "setp.ge.{s} %p1, {d}0, {d}1; @!%p1 mov.b{b} {d}9, {d}1; @%p1 mov.b{b} {d}9, {d}0;": lambda a, b, bits: max(a, b),
}


def wrapped_field(x: int, n: int, signed: bool) -> int:
    x %= 1 << n
    return x - (1 << n) if signed and x >> (n - 1) else x


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u4", "i8", "u8"])
def test_whole_numbers(dtype: str):
    a, b = items(dtype, 1), items(dtype, 2)
    a[:3], b[b == 0] = (0, 1, np.iinfo(dtype).max), 3
    a[4], b[4] = np.iinfo(dtype).max, np.iinfo(dtype).max
    bits = 8 * a.itemsize
    register = {16: "%rs", 32: "%r", 64: "%rd"}[bits]
    for text, function in WHOLE.items():
        found = executed(text.format(s=kind_of(a.dtype), b=bits, d=register), a, b, to=dtype)
        wanted = [wrapped(function(int(x), int(y), bits), dtype) for x, y in zip(a, b, strict=True)]
        assert found.tolist() == wanted, text


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u4"])
def test_wide_products(dtype: str):
    a, b = items(dtype, 1), items(dtype, 2)
    registers = ("%rs", "%r") if a.itemsize == 2 else ("%r", "%rd")
    to = f"{dtype[0]}{2 * a.itemsize}"
    found = executed(f"mul.wide.{kind_of(a.dtype)} {registers[1]}9, {registers[0]}0, {registers[0]}1;", a, b, to=to)
    assert found.tolist() == [int(x) * int(y) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("bfe.u32 %r9, %r0, 7, 13;", lambda a, b: a >> 7 & 0x1FFF),
        ("bfe.u32 %r9, %r0, 30, 13;", lambda a, b: a >> 30),
        ("bfe.u32 %r9, %r0, 7, 0;", lambda a, b: 0),
        ("bfe.s32 %r9, %r0, 7, 13;", lambda a, b: wrapped_field(a >> 7, 13, True)),
        ("bfi.b32 %r9, %r0, %r1, 4, 8;", lambda a, b: (b & ~0xFF0) | (a & 0xFF) << 4),
        ("popc.b32 %r9, %r0;", lambda a, b: bin(a).count("1")),
        ("clz.b32 %r9, %r0;", lambda a, b: 32 - a.bit_length()),
        ("brev.b32 %r9, %r0;", lambda a, b: int(f"{a:032b}"[::-1], 2)),
        ("prmt.b32 %r9, %r0, %r1, 0x5410;", lambda a, b: (a & 0xFFFF) | (b & 0xFFFF) << 16),
        ("prmt.b32 %r9, %r0, %r1, 0x0123;", lambda a, b: int.from_bytes(a.to_bytes(4, "little"), "big")),
        ("prmt.b32 %r9, %r0, %r1, 0xbbbb;", lambda a, b: 0xFFFFFFFF if a >> 31 else 0),
        ("lop3.b32 %r9, %r0, %r1, %r0, 0x96;", lambda a, b: b),  # exclusive or
        ("lop3.b32 %r9, %r0, %r1, %r0, 0x3f;", lambda a, b: ~a | ~b),
        ("shf.l.wrap.b32 %r9, %r0, %r1, 37;", lambda a, b: b << 5 | a >> 27),
        ("shf.r.clamp.b32 %r9, %r0, %r1, 37;", lambda a, b: b),
        ("mov.b64 %rd1, {%r0, %r1}; mov.b64 {_, %r9}, %rd1;", lambda a, b: b),
        ("mul.wide.u32 %rd1, %r0, %r1; mov.b64 {%r9, _}, %rd1;", lambda a, b: a * b),
        ("cvt.u8.u32 %r9, %r0;", lambda a, b: a % 256),
        ("cvt.s32.s8 %r9, %r0;", lambda a, b: wrapped_field(a, 8, True)),
        ("cvt.sat.u8.u32 %r9, %r0;", lambda a, b: min(a, 255)),
    ],
)
def test_bits(text: str, function: Callable[[int, int], int]):
    a, b = items("u4", 3), items("u4", 4)
    a[0] = 0
    assert executed(text, a, b).tolist() == [function(int(x), int(y)) % 2**32 for x, y in zip(a, b, strict=True)]


def rounded(x: Fraction, how: str) -> np.float32:
    """A number as float32, by the definition of the rounding."""
    near = np.float32(float(x))  # perhaps rounded twice
    around = sorted({np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))})
    below, above = max(y for y in around if Fraction(float(y)) <= x), min(y for y in around if Fraction(float(y)) >= x)
    if how in ("rm", "rp", "rz"):
        return {"rm": below, "rp": above, "rz": below if x > 0 else above}[how]
    down, up = x - Fraction(float(below)), Fraction(float(above)) - x
    even = below if not int(below.view(np.uint32)) & 1 else above
    return even if down == up else below if down < up else above


@pytest.mark.parametrize("how", ["rn", "rz", "rm", "rp"])
def test_single_precision_is_rounded_once(how: str):
    rng = np.random.default_rng(5)
    for a, b, c in [
        (items("f4", 1), items("f4", 2), items("f4", 3)),
        # products that lie beside the middle of two floats by less than double sees
        tuple(
            np.float32(x)
            for x in (np.full(32, 1 + 2.0**-12), np.full(32, 1 + 2.0**-12), rng.choice([2, -2], 32) * 2.0**-70)
        ),
        tuple(np.ldexp(rng.normal(size=32), -70).astype("f4") for _ in range(3)),  # subnormal
    ]:
        exact = [Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) for x, y, z in zip(a, b, c, strict=True)]
        found = executed(f"fma.{how}.f32 %f9, %f0, %f1, %f2;", a, b, c, to="f4")
        np.testing.assert_array_equal(found, [rounded(x, how) for x in exact])
        exact = [Fraction(float(x)) + Fraction(float(y)) for x, y in zip(a, b, strict=True)]
        found = executed(f"add.{how}.f32 %f9, %f0, %f1;", a, b, to="f4")
        np.testing.assert_array_equal(found, [rounded(x, how) for x in exact])


def test_double_precision_is_rounded_once():
    rng = np.random.default_rng(6)
    a, b = items("f8", 1), items("f8", 2)
    a[:4], b[:4] = (2.0**-600, 2.0**600, 1e-300, 5e-324), (2.0**-450, 2.0**600, 1e-20, 0.5)
    with np.errstate(over="ignore"):
        products = a * b
    for c in (items("f8", 3), -products, np.zeros(32), a * rng.normal(size=32) * 1e-300):
        found = executed("fma.rn.f64 %fd9, %fd0, %fd1, %fd2;", a, b, c, to="f8")
        for x, y, z, got in zip(a, b, c, found, strict=True):
            if not np.isfinite(z):
                assert got == z
                continue
            exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
            assert got == (float(exact) if abs(exact) < 2**1024 else np.copysign(np.inf, float(exact > 0) - 0.5))


SPECIAL = np.resize(
    np.float32([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 2.5, -2.5, 3.5, 300, -1e20]), 32
)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("cvt.rni.f32.f32 %f9, %f0;", np.rint),
        ("cvt.rzi.f32.f32 %f9, %f0;", np.trunc),
        ("cvt.rmi.f32.f32 %f9, %f0;", np.floor),
        ("cvt.rpi.f32.f32 %f9, %f0;", np.ceil),
        ("cvt.sat.f32.f32 %f9, %f0;", lambda x: np.nan_to_num(np.clip(x, 0, 1)) + 0),
        ("add.ftz.f32 %f9, %f0, 0f00000000;", lambda x: np.where(abs(x) < 1e-38, 0, x)),
        ("abs.f32 %f9, %f0;", abs),
        ("neg.f32 %f9, %f0;", np.negative),
        ("sqrt.rn.f32 %f9, %f0;", np.sqrt),
        ("rcp.rn.f32 %f9, %f0;", lambda x: np.float32(1) / x),
        ("div.rn.f32 %f9, %f0, 0f40400000;", lambda x: x / np.float32(3)),
        ("ex2.approx.ftz.f32 %f9, %f0;", np.exp2),
        ("max.f32 %f9, %f0, 0f3F800000;", lambda x: np.fmax(x, np.float32(1))),
        ("max.NaN.f32 %f9, %f0, 0f3F800000;", lambda x: np.maximum(x, np.float32(1))),
        ("min.f32 %f9, %f0, 0f80000000;", lambda x: np.fmin(np.where(x == 0, np.float32(-0.0), x), np.float32(-0.0))),
        ("mov.b32 %r1, %f0; mov.b32 %f9, %r1;", lambda x: x),
    ],
)
def test_special_floats(text: str, function: Callable[[np.ndarray], np.ndarray]):
    with np.errstate(all="ignore"):
        wanted = np.float32(function(SPECIAL))
    found = executed(text, SPECIAL, to="f4")
    np.testing.assert_array_equal(found, wanted)
    known = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(wanted[known]))


@pytest.mark.parametrize(("kind", "dtype"), [("s32", "i4"), ("u32", "u4"), ("s64", "i8"), ("u64", "u8")])
def test_floats_to_whole_numbers_saturate(kind: str, dtype: str):
    info = np.iinfo(dtype)
    register = "%r9" if dtype[1] == "4" else "%rd9"
    found = executed(f"cvt.rzi.{kind}.f32 {register}, %f0;", SPECIAL, to=dtype)
    unknown = 0 if dtype[1] == "4" else wrapped(2**63, dtype)
    for x, got in zip(SPECIAL, found.tolist(), strict=True):
        assert got == (
            unknown
            if np.isnan(x)
            else int(min(max(np.trunc(float(x)), info.min), info.max))
            if np.isfinite(x)
            else info.max
            if x > 0
            else info.min
        )


@pytest.mark.parametrize(
    "name", ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"]
)
def test_comparisons(name: str):
    a, b = SPECIAL, np.roll(SPECIAL, 3)
    found = executed(f"setp.{name}.f32 %p1, %f0, %f1; selp.u32 %r9, 1, 0, %p1;", a, b)
    for x, y, got in zip(a.tolist(), b.tolist(), found, strict=True):
        unordered = x != x or y != y
        plain = {"eq": x == y, "ne": x != y, "lt": x < y, "le": x <= y, "gt": x > y, "ge": x >= y}
        wanted = (
            unordered == (name == "nan")
            if name in ("nan", "num")
            else (plain[name[:2]] and not unordered) or (unordered and name.endswith("u"))
        )
        assert got == wanted, (x, y)
