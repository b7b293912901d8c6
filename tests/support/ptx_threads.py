"""A few instructions of PTX, executed by threads of the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fakes import ptx
from tests.fakes.ptx.memory import Memory
from tests.fakes.ptx.program import Program

__all__ = ["executed", "items", "kind_of", "wrapped"]


def executed(body: str, *inputs: np.ndarray, to: str = "u4", blocks: int = 1, tables: str = "", changes: bool = False):
    """The registers %r9, %f9, %fd9 or %rd9 of 32 threads, whose first registers hold their items of the inputs."""
    out = np.zeros(32 * blocks, to)
    register = {"f4": "f", "f8": "fd", "u4": "r", "i4": "r", "u8": "rd", "i8": "rd", "u2": "rs", "i2": "rs"}
    loads = "\n".join(
        f"ld.param.u64 %a, [k_param_{n}]; mad.wide.u32 %a, %t, {x.itemsize}, %a; "
        f"ld.global.{kind_of(x.dtype)} %{register[x.dtype.str[1:]]}{n}, [%a];"
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
        st.global.{kind_of(out.dtype)} [%o], %{register[out.dtype.str[1:]]}9;
        ret;
    }}"""
    memory = Memory(watch=True)
    for x in (*inputs, out):
        ptx.allow(memory, x, writable=changes or x is out)
    words = np.array([x.ctypes.data for x in (*inputs, out)], np.int64)
    done = Program(text).launch(memory, "k", blocks, 32, words.tobytes())
    assert not memory.races(done.published)
    return out


def kind_of(dtype: np.dtype[Any]) -> str:
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
