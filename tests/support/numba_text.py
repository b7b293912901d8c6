"""The text printed for Numba, run by Python: slow, without a compiler, with a check of every memory access."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from dlarray.planner.kernel.loops import BoundKernel, Call
from dlarray.planner.numba.block import Block, is_flat, same_memory
from dlarray.planner.numba.expressions import LIBRARY
from dlarray.planner.numba.source import source, workspace
from dlarray.planner.numba.storage import Layout


class Pointer:
    """Typed memory at an address."""

    def __init__(self, address: int, dtype: Any, keep: Any = None) -> None:
        self.address, self.dtype, self.keep = int(address), np.dtype(dtype), keep

    def at(self, index: int) -> np.ndarray:
        size = self.dtype.itemsize
        raw = (ctypes.c_char * size).from_address(self.address + int(index) * size)
        return np.frombuffer(raw, self.dtype)


class Memory:
    """load and store, which assert that no two scopes overlap."""

    def __init__(self) -> None:
        self.read: dict[int, int] = {}
        self.written: dict[int, int] = {}

    def load(self, base: Pointer, index: int, scope: int, scopes: int) -> Any:
        assert -1 <= scope < scopes
        where = base.address + int(index) * base.dtype.itemsize
        assert self.written.get(where, scope) == scope, "a load of what another scope wrote"
        if self.read.setdefault(where, scope) != scope:
            self.read[where] = -2  # read by several scopes: no store is allowed
        return base.at(index)[0]

    def store(self, base: Pointer, index: int, value: Any, scope: int, scopes: int) -> None:
        assert 0 <= scope < scopes
        where = base.address + int(index) * base.dtype.itemsize
        assert self.written.setdefault(where, scope) == scope, "two scopes write one address"
        assert self.read.get(where, scope) == scope, "a store where another scope read"
        assert np.asarray(value).dtype == base.dtype or isinstance(value, bool), f"{value!r} into {base.dtype}"
        base.at(index)[0] = value


def names(memory: Memory) -> dict[str, Any]:
    def local(dtype: Any, count: int) -> Pointer:
        array = np.empty(count, dtype)
        return Pointer(array.ctypes.data, dtype, array)

    def advance(base: Pointer, count: int) -> Pointer:
        return Pointer(base.address + int(count) * base.dtype.itemsize, base.dtype, base)

    functions = {f"{name}_{dtype}": getattr(np, name) for name in LIBRARY for dtype in ("float32", "float64")}
    return functions | {
        "np": np,
        "advance": advance,
        "bits": lambda value, dtype: np.asarray(value).view(dtype)[()],
        "item": lambda base, index: base.at(index)[0],
        "left_shift": np.left_shift,
        "load": memory.load,
        "local": local,
        "pointer": Pointer,
        "right_shift": np.right_shift,
        "store": memory.store,
    }


def executor(layout: Layout) -> Any:
    """An executor that prints every kernel with this layout of loops if it can have it."""

    def prepared(call: Call) -> BoundKernel:
        shape: Layout = layout if layout != "flat" or is_flat(call.kernel) else "wide"
        text = source(call.kernel, shape, same_memory(call))
        block = Block(call, workspace(call.kernel, shape, call.cols))

        def run(address: int) -> None:
            namespace = names(Memory())
            exec(text, namespace)
            with np.errstate(all="ignore"):
                namespace["kernel"](address)

        return BoundKernel([(run, block)])

    return prepared
