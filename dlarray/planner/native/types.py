"""dtypes as types of LLVM, and Python numbers as constants of its text."""

from __future__ import annotations

import struct

__all__ = ["BYTES", "STORED", "TYPES", "literal", "vector"]

_INTEGERS = {f"{sign}int{bits}": bits for sign in ("", "u") for bits in (8, 16, 32, 64)}

TYPES = {"bool": "i1", "float32": "float", "float64": "double", **{name: f"i{n}" for name, n in _INTEGERS.items()}}
"""The type of one number in a register."""

STORED = TYPES | {"bool": "i8"}
"""The type of one number in memory."""

BYTES = {"bool": 1, "float32": 4, "float64": 8, **{name: n // 8 for name, n in _INTEGERS.items()}}
"""The bytes of one number in memory."""


def vector(type_: str, lanes: int) -> str:
    """The type of so many numbers; of one number the type itself."""
    return f"<{lanes} x {type_}>" if lanes > 1 else type_


def literal(dtype: str, value: float) -> str:
    """A number as a constant. Floats are written as the bits of a float64, which LLVM requires of float32 too."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtype == "float32":
        (value,) = struct.unpack("f", struct.pack("f", value))
    if dtype.startswith("float"):
        return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"
    return str(int(value))
