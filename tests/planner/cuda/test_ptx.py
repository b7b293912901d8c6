"""The printed kernels as NVIDIA's compiler has them, executed by instructions, and the machine that does it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.planner.cuda.gathering import Gathering
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.step import GpuStep
from tests.fakes import ptx
from tests.fakes.gpu import to_fake
from tests.fakes.ptx.memory import Memory
from tests.fakes.ptx.program import Program
from tests.fuzz import exact
from tests.support import cuda, kernels
from tests.support.library_steps import library_steps

by_nvrtc = pytest.mark.skipif(cuda.nvrtc() is None, reason="no nvrtc: pip install nvidia-cuda-nvrtc-cu12")


def executed(body: str, *inputs: np.ndarray, to: str = "u4", blocks: int = 1, tables: str = "", changes: bool = False):
    """What 32 threads of PTX leave in %r9, %f9, %fd9 or %rd9, given a thread's item of each input in the first ones."""
    out = np.zeros(32 * blocks, to)
    register = {"f4": "f", "f8": "fd", "u4": "r", "i4": "r", "u8": "rd", "i8": "rd", "u2": "rs", "i2": "rs"}
    loads = "\n".join(
        f"ld.param.u64 %a, [k_param_{n}]; mad.wide.u32 %a, %t, {x.itemsize}, %a; "
        f"ld.global.{_kind(x.dtype)} %{register[x.dtype.str[1:]]}{n}, [%a];"
        for n, x in enumerate(inputs)
    )
    n = len(inputs)
    text = f"""
    .version 8.0
    .target sm_80
    .address_size 64
    {tables}
    .visible .entry k({", ".join(f".param .u64 k_param_{i}" for i in range(n + 1))}) {{
        .reg .pred %p<10>; .reg .b16 %rs<10>; .reg .b32 %r<10>; .reg .f32 %f<10>; .reg .f64 %fd<10>; .reg .b64 %rd<10>;
        .reg .b64 %a, %o; .reg .b32 %t, %c, %n;
        mov.u32 %t, %tid.x; mov.u32 %c, %ctaid.x; mov.u32 %n, %ntid.x; mad.lo.s32 %t, %c, %n, %t;
        {loads}
        {body}
        ld.param.u64 %o, [k_param_{n}]; mad.wide.u32 %o, %t, {out.itemsize}, %o;
        st.global.{_kind(out.dtype)} [%o], %{register[out.dtype.str[1:]]}9;
        ret;
    }}"""
    memory = Memory(watch=True)
    for x in (*inputs, out):
        ptx.allow(memory, x, writable=changes or x is out)
    words = np.array([x.ctypes.data for x in (*inputs, out)], np.int64)
    done = Program(text).launch(memory, "k", blocks, 32, words.tobytes())
    assert not memory.races(done.published)
    return out


def _kind(dtype: np.dtype[Any]) -> str:
    return {"f": "f", "u": "u", "i": "s"}[dtype.kind] + str(8 * dtype.itemsize)


def items(dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype[0] == "f":
        return np.ldexp(rng.normal(size=32), rng.integers(-40, 40, 32)).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, 32, dtype, endpoint=True)


def wrapped(x: int, dtype: str) -> int:
    bits = 8 * np.dtype(dtype).itemsize
    x %= 2**bits
    return x - 2**bits if dtype[0] == "i" and x >= 2 ** (bits - 1) else x


# Instructions

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
        found = executed(text.format(s=_kind(a.dtype), b=bits, d=register), a, b, to=dtype)
        wanted = [wrapped(function(int(x), int(y), bits), dtype) for x, y in zip(a, b, strict=True)]
        assert found.tolist() == wanted, text


@pytest.mark.parametrize("dtype", ["i2", "u2", "i4", "u4"])
def test_wide_products(dtype: str):
    a, b = items(dtype, 1), items(dtype, 2)
    registers = ("%rs", "%r") if a.itemsize == 2 else ("%r", "%rd")
    to = f"{dtype[0]}{2 * a.itemsize}"
    found = executed(f"mul.wide.{_kind(a.dtype)} {registers[1]}9, {registers[0]}0, {registers[0]}1;", a, b, to=to)
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


# Threads


def test_threads_that_part_come_together_at_shuffles():
    """The half that jumps behind the shuffle and back is waited for."""
    a = np.arange(32, dtype=np.uint32)
    body = """
        setp.lt.u32 %p1, %r0, 16; mov.u32 %r1, %r0; @%p1 bra $slow;
    $back:
        shfl.sync.bfly.b32 %r9, %r1, 1, 31, -1; bra.uni $end;
    $slow:
        add.s32 %r1, %r1, 100; bra.uni $back;
    $end:
    """
    wanted = (a ^ 1) + np.where(a < 16, 100, 0)
    assert executed(body, a).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("how", "by", "clamp", "place"),
    [
        ("idx", 5, 31, lambda i: 5),
        ("idx", 5, 0x181F, lambda i: i // 8 * 8 + 5),  # eight lanes together
        ("up", 3, 0, lambda i: i - 3 if i >= 3 else i),
        ("down", 3, 31, lambda i: i + 3 if i < 29 else i),
        ("bfly", 4, 31, lambda i: i ^ 4),
        ("down", 2, 0x1C1F, lambda i: i + 2 if i % 4 < 2 else i),
    ],
)
def test_shuffles(how: str, by: int, clamp: int, place: Callable[[int], int]):
    a = items("u4", 7)
    found = executed(f"shfl.sync.{how}.b32 %r9|%p1, %r0, {by}, {clamp}, -1;", a)
    assert found.tolist() == [a[place(i)] for i in range(32)]


def test_a_loop_ends_for_each_thread_in_its_turn():
    a = np.arange(32, dtype=np.uint32)
    body = """
        mov.u32 %r9, 0; mov.u32 %r1, 0;
    $again:
        setp.ge.u32 %p1, %r1, %r0; @%p1 bra $end;
        add.s32 %r9, %r9, %r1; add.s32 %r1, %r1, 1; bra.uni $again;
    $end:
    """
    assert executed(body, a).tolist() == [n * (n - 1) // 2 for n in range(32)]


def test_blocks_share_memory_between_barriers():
    body = """
        .shared .align 4 .b8 s[128];
        mov.u32 %r1, %tid.x; shl.b32 %r2, %r1, 2; mov.u32 %r3, s; add.s32 %r4, %r3, %r2;
        st.shared.u32 [%r4], %t; bar.sync 0;
        sub.s32 %r5, 124, %r2; add.s32 %r5, %r3, %r5; {}ld.shared.u32 %r9, [%r5];
    """
    found = executed(body.format(""), blocks=2)
    assert found.tolist() == [*range(31, -1, -1), *range(63, 31, -1)]
    with pytest.raises(AssertionError):
        executed(body.replace("bar.sync 0;", "").format(""), blocks=2)
    with pytest.raises(IndexError, match="128"):
        executed(body.format("add.s32 %r5, %r5, 4; "))


PUBLISHED = """
    ld.param.u64 %rd1, [k_param_0]; mul.wide.u32 %rd2, %t, 4; add.s64 %rd2, %rd1, %rd2; st.global.u32 [%rd2+256], %t;
    membar.gl; bar.sync 0;
    .shared .align 4 .b8 last[4]; mov.u32 %r1, %tid.x; setp.eq.u32 %p1, %r1, 0; @!%p1 bra $wait;
    atom.global.inc.u32 %r2, [%rd1+512], 1; st.shared.u32 [last], %r2;
$wait:
    bar.sync 0; membar.gl; mov.u32 %r9, 0; ld.shared.u32 %r2, [last]; setp.ne.u32 %p1, %r2, 1; @%p1 bra $end;
    sub.s32 %r3, 63, %t; and.b32 %r3, %r3, 31; mul.wide.u32 %rd2, %r3, 4; add.s64 %rd2, %rd1, %rd2;
    ld.global.u32 %r9, [%rd2+256];
$end:
"""


def test_what_the_last_block_finds():
    """Without a barrier, or a fence on either side, it is a race, though here it would go well."""
    room = np.zeros(129, np.uint32)
    assert executed(PUBLISHED, room, blocks=2, changes=True).tolist() == [0] * 32 + list(range(31, -1, -1))
    assert room[128] == 0
    for wrong in ("membar.gl; bar.sync 0;", "bar.sync 0; membar.gl;"):
        for left in wrong.split(";")[:2]:
            with pytest.raises(AssertionError):
                executed(PUBLISHED.replace(wrong, f"{left};"), room, blocks=2, changes=True)


def test_a_warp_that_waits_for_itself():
    body = """
        ld.param.u64 %rd1, [k_param_0]; mul.wide.u32 %rd2, %t, 4; add.s64 %rd2, %rd1, %rd2;
        st.global.u32 [%rd2+128], %t;
        {} sub.s32 %r3, 31, %t; mul.wide.u32 %rd2, %r3, 4; add.s64 %rd2, %rd1, %rd2; ld.global.u32 %r9, [%rd2+128]; """
    room = np.zeros(64, np.uint32)
    assert executed(body.format("bar.warp.sync -1;"), room, changes=True).tolist() == list(range(31, -1, -1))
    with pytest.raises(AssertionError):
        executed(body.format(""), room, changes=True)


def test_tables_calls_and_jumps_through_tables():
    tables = """
    .const .align 4 .b8 table[8] = {1, 2, 0, 0, 7};
    .func (.param .b32 out) twice(.param .b32 in) {
        .reg .b32 %r<3>;
        ld.param.u32 %r1, [in]; add.s32 %r2, %r1, %r1; st.param.b32 [out], %r2; ret;
    }"""
    body = """
        mov.u64 %rd1, table; ld.const.u32 %r1, [%rd1]; ld.const.u32 %r2, [table+4];
        { .param .b32 p; st.param.b32 [p], %r0; .param .b32 q; call.uni (q), twice, (p); ld.param.b32 %r3, [q]; }
        and.b32 %r4, %r0, 1;
        $places: .branchtargets $even, $odd;
        brx.idx %r4, $places;
    $even:
        add.s32 %r9, %r3, %r1; bra.uni $end;
    $odd:
        add.s32 %r9, %r3, %r2;
    $end:
    """
    a = np.arange(32, dtype=np.uint32)
    assert executed(body, a, tables=tables).tolist() == [2 * i + (7 if i % 2 else 513) for i in range(32)]


def test_what_must_not_happen_is_an_error():
    a = np.arange(32, dtype=np.uint32)
    at = "ld.param.u64 %rd1, [k_param_0]; mul.wide.u32 %rd2, %t, 4; add.s64 %rd1, %rd1, %rd2; "
    with pytest.raises(IndexError, match="reading 4 bytes"):
        executed(at + "ld.global.u32 %r9, [%rd1+4];", a)
    with pytest.raises(IndexError, match="as const memory"):
        executed(at + "ld.const.u32 %r9, [%rd1];", a)
    with pytest.raises(IndexError, match="writing"):
        executed(at + "st.global.u32 [%rd1], %r0;", a)
    with pytest.raises(ValueError, match=r"16 bytes .* not aligned"):
        executed(at + "ld.global.v4.u32 {%r9, _, _, _}, [%rd1];", a)
    with pytest.raises(NotImplementedError, match=r"sad\.u32"):
        executed("sad.u32 %r9, %r0, %r0, %r0;", a)
    with pytest.raises(RuntimeError, match="never come"):
        executed("setp.lt.u32 %p1, %t, 16; @%p1 bra $end; shfl.sync.bfly.b32 %r9, %r0, 1, 31, -1; $end:", a)
    with pytest.raises(AssertionError):
        executed("ld.param.u64 %rd1, [k_param_1]; st.global.u32 [%rd1], %t;", a)  # all threads to one place


# Kernels


def values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return abs(np.random.default_rng(1).normal(size=shape).astype(dtype)) + np.asarray(0.5, dtype)


@by_nvrtc
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_every_kind_and_reduction(dtype: str):
    """Aligned and not: each size is both, in the one dtype and in the other."""
    for name, kernel in kernels.by_hand(dtype).items():
        for i, (rows, cols) in enumerate([*kernels.SIZES, (130, 3), (1, 130)] if kernel.sweeps else [(1, 1)]):
            given = kernels.call(kernel, rows, cols, values, kernels.IN_PLACE.get(name, {}))
            kernels.check(given, partial(ptx.run, offset=(i + kernels.FLOATS.index(dtype)) % 2))


@by_nvrtc
@pytest.mark.parametrize("processors", [1, 100])
def test_gpus_of_any_size(processors: int):
    for name, kernel in kernels.by_hand("float32").items():
        given = kernels.call(kernel, 65, 31, values, kernels.IN_PLACE.get(name, {}))
        kernels.check(given, partial(ptx.run, processors=processors))


@by_nvrtc
@pytest.mark.parametrize("dtype", [*kernels.FLOATS, "bool", *kernels.INTEGERS])
def test_every_exact_operation_bit_for_bit(dtype: str):
    kernels.check_exact(dtype, ptx.run)


@by_nvrtc
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_kernels_of_the_library(dtype: str):
    """All of them in float32; of float64, whose functions are of many more instructions, every third."""
    steps = list(library_steps(dtype, every=False).items())
    for name, (step, state, batch) in steps[:: 1 if dtype == "float32" else 3]:
        try:
            kernels.through_planner(step, state, batch, ptx.run)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


@by_nvrtc
@pytest.mark.parametrize("seed", [116, 149, 200, 201])
def test_random_kernels(seed: int):
    """In the first two one lane writes a scalar that others read."""
    program = exact.generate(seed)
    state, batches = program.start()
    assert kernels.through_planner(program, state, batches[0], partial(ptx.run, offset=seed % 3))


@by_nvrtc
@pytest.mark.parametrize("aligned", [16, 1])
def test_batches_are_fetched_and_losses_kept(aligned: int, tmp_path: Path):
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(20, 7)).astype(np.float32), rng.integers(0, 99, 20).astype(np.int16), rng.random((20, 16))]
    order = rng.permutation(20).astype(np.int32)
    batch = [np.zeros((4, *x.shape[1:]), x.dtype) for x in data]
    gpu = ptx.PtxGpu(tmp_path)
    gathering = Gathering(gpu, [x.nbytes // 20 for x in data], aligned, np.dtype(np.float32))
    losses, loss = np.zeros(6, np.float32), np.zeros(1, np.float32)
    cells = np.array([8, 1, *(x.ctypes.data for x in (losses, order, *data))], np.int64)
    for array in (losses, loss, cells, order, *data, *batch):
        ptx.allow(gpu.memory, array)
    for step in range(3):
        gathering.fetch(cells.ctypes.data, loss.ctypes.data, step, 4, [x.ctypes.data for x in batch])
        for x, part in zip(data, batch, strict=True):
            np.testing.assert_array_equal(part, x[order[8 + 4 * step : 12 + 4 * step]])
        loss[0] = step + 1
    gathering.advance(cells.ctypes.data, loss.ctypes.data, 3, 4)
    np.testing.assert_array_equal(losses, [0, 1, 2, 3, 0, 0])
    np.testing.assert_array_equal(cells[:2], [20, 4])


@by_nvrtc
@pytest.mark.parametrize("settings", [Settings(), Settings(epilogues=False, graph=False)])
def test_steps_of_training(settings: Settings, tmp_path: Path):
    """Three layers with rectifiers, and Adam: the first call checks the plan, the others run it."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(12, 10)).astype(np.float32), rng.integers(0, 5, 12)
    step, plain, batch = dl.first_step(dl.mlp(10, 16, 8, 5), x, t, batch_size=12)
    gpu = ptx.PtxGpu(tmp_path)
    planned, state, given = GpuStep(step, gpu, settings), to_fake(plain), to_fake(batch)
    for _ in range(4):
        state, loss = planned(state, given)
        plain, wanted = step(plain, batch)
        np.testing.assert_allclose(float(loss), float(wanted), rtol=1e-6)
        for a, b in zip(state["theta"], plain["theta"], strict=True):
            np.testing.assert_allclose(np.asarray(a), b, rtol=0, atol=1e-7)
    assert list(planned.programs.values()) != [None]
