"""Opcodes of PTX: their types and modifiers, and what an instruction computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.fakes.ptx import arithmetic
from tests.fakes.ptx.arithmetic import Array

__all__ = ["DTYPES", "Meaning", "finished", "kinds_of", "only", "rounding"]

DTYPES: dict[str, np.dtype[Any]] = {
    f"{kind}{bits}": np.dtype(f"{letter}{bits // 8}")
    for kind, letter in {"b": "u", "u": "u", "s": "i"}.items()
    for bits in (8, 16, 32, 64)
}
DTYPES |= {"f32": np.dtype("f4"), "f64": np.dtype("f8"), "pred": np.dtype(bool)}


class Meaning(NamedTuple):
    to: str
    sources: Sequence[str]
    function: Callable[..., Array]


def kinds_of(opcode: Sequence[str]) -> list[str]:
    return [part for part in opcode if part in DTYPES]


def only(opcode: Sequence[str], allowed: str = "") -> set[str]:
    """The modifiers of an instruction. NotImplementedError if one is not allowed."""
    found = {part for part in opcode[1:] if part not in DTYPES}
    if not found <= set(allowed.split()):
        raise NotImplementedError(f"this instruction of PTX: {'.'.join(opcode)}")
    return found


def rounding(found: set[str]) -> str:
    return next((how for how in ("rz", "rm", "rp") if how in found), "rn")


def finished(found: set[str], function: Callable[..., Array]) -> Callable[..., Array]:
    """The function with .ftz and .sat."""

    def flushing(*args: Array) -> Array:
        if "ftz" in found:
            args = tuple(arithmetic.flushed(a) if a.dtype.kind == "f" else a for a in args)
        result = function(*args)
        result = arithmetic.flushed(result) if "ftz" in found else result
        return arithmetic.saturated(result) if "sat" in found else result

    return flushing if found & {"ftz", "sat"} else function
