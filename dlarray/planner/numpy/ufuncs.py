"""The executor without dependencies: a kernel as NumPy ufuncs with ``out=``, over blocks that stay in the cache.

Each operation is the ufunc that the eager step calls, so results are equal to the last bit, except sums over several
blocks, and sums so small that a product with ones is faster. Intermediate values are in a few scratch arrays of one
block's size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from dlarray.planner.kernel.loops import AFTER, BEFORE, BoundKernel, Call, Operation
from dlarray.planner.numpy.blocks import Blocks

__all__ = ["BLOCK", "ufuncs"]

BLOCK = 32_768
"""Elements in a block. Four times fewer or more are some percent slower."""

SMALL = 4096
"""The most elements of a block whose sums are products with ones: BLAS takes a third of a reduction's time."""

UNSET_LANES = ("float32", 5)
"""Rows of this dtype and length are not summed by a product: OpenBLAS's kernel for AVX-512 reads lanes of a vector that
it has not set, and sometimes reports an invalid value although none is in the sums."""

NARROW = 16
"""Shorter rows are transposed before they are reduced: for each NumPy takes as long as for a row of 64."""

_REDUCE: dict[str, np.ufunc] = {"sum": np.add, "max": np.maximum, "min": np.minimum}
_UfuncCall = tuple[Callable[..., Any], Sequence[Any]]


def ufuncs(call: Call, block: int = BLOCK, small: int = SMALL) -> BoundKernel:
    """A call as calls of ufuncs. With ``small=0`` a call of one block is equal to the eager step to the last bit."""
    return BoundKernel(_Calls(call, block, small).calls())


class _Calls(Blocks):
    """The calls of ufuncs, block by block."""

    def __init__(self, call: Call, block: int, small: int) -> None:
        super().__init__(call, block)
        self.small = small
        self.scalars: dict[int, np.ndarray] = {}
        self.columns: dict[int, np.ndarray] = {}
        self.partial: dict[int, np.ndarray] = {}
        self.masks: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
        self.filled: dict[Any, np.ndarray] = {}
        self.transposed: dict[Any, np.ndarray] = {}

    def calls(self) -> list[_UfuncCall]:
        """Scalars and rows first, then the blocks, then operations on reductions, and last the scalar outputs."""
        calls: list[_UfuncCall] = []
        for v, op in self.numbered:
            if op.sweep == BEFORE:
                self.scalars[v] = self._scalar(v, op.dtype)
                self._emit(calls, op, self.scalars[v], [self._value(a, None) for a in op.args])
            elif op.kind == "R" and not op.over:
                self.columns[v] = np.empty((1, self.call.cols), op.dtype)
                self._emit(calls, op, self.columns[v], [self._value(a, None) for a in op.args])
            elif op.over == "all":
                self.scalars[v] = self._scalar(v, op.dtype)
                self.partial[v] = np.empty(len(self.bounds), op.dtype)
        for b in range(len(self.bounds)):
            self._block(calls, b)
        for v, op in self.numbered:
            if op.over == "all" and len(self.bounds) > 1:
                calls.append((_REDUCE[op.name].reduce, (self.partial[v], 0, None, self.scalars[v])))
            elif op.sweep == AFTER:
                self.scalars[v] = self._scalar(v, op.dtype)
                self._emit(calls, op, self.scalars[v], [self._value(a, None) for a in op.args])
        scalars = [(self.outputs[v], self.scalars[v]) for v in self.kernel.outputs if v in self.scalars]
        return calls + [(np.copyto, (out, scalar)) for out, scalar in scalars if out is not scalar]

    def _scalar(self, v: int, dtype: str) -> np.ndarray:
        """The array that a scalar is computed in: its output's, unless a later operation reads an input there."""
        if (out := self.outputs.get(v)) is None:
            return np.empty((), dtype)
        when = self._phase(self.kernel.operations[v - self.kernel.first]), v
        later = {a for w, op in self.numbered if (self._phase(op), w) > when for a in op.args}
        read = any(i in later and np.may_share_memory(out, x) for i, x in enumerate(self.inputs))
        return np.empty((), dtype) if read else out

    @staticmethod
    def _phase(op: Operation) -> int:
        """Whether an operation comes before the blocks (0), in them (1) or after them (2)."""
        if op.sweep == BEFORE or (op.kind == "R" and not op.over):
            return 0
        return 2 if op.sweep == AFTER else 1

    def _block(self, calls: list[_UfuncCall], b: int) -> None:
        deferred: list[_UfuncCall] = []
        for v, op in self.numbered:
            if op.over == "all":
                share = self.scalars[v] if len(self.bounds) == 1 else self.partial[v][b : b + 1].reshape(())
                calls.append((_REDUCE[op.name].reduce, (self._value(op.args[0], b), None, None, share)))
            elif op.over == "column":
                calls += self._column(v, op, b)
            elif op.kind in "EC":
                out = self._value(v, b)
                if op.over == "row":
                    calls += self._reduced(op, self._value(op.args[0], b), 1, out)
                else:
                    self._emit(calls, op, out, [self._value(a, b) for a in op.args], b)
                if v in self.outputs and self.scratch[v] is not None:
                    deferred.append((np.copyto, (self._cut(self.outputs[v], self.kernel.kind(v), b), out)))
        calls += deferred

    def _column(self, v: int, op: Operation, b: int) -> list[_UfuncCall]:
        """A column reduction of a block: the first block fills the output, the others add to it."""
        x, total = self._value(op.args[0], b), self.outputs[v]
        if b == 0:
            return self._reduced(op, x, 0, total)
        share = self.columns.setdefault(v, np.empty(total.shape, op.dtype))
        return [*self._reduced(op, x, 0, share), _into(_REDUCE[op.name], (total, share), total)]

    def _reduced(self, op: Operation, x: np.ndarray, axis: int, out: np.ndarray) -> list[_UfuncCall]:
        """A reduction of a block's rows (axis 1) or columns (axis 0)."""
        rows, cols = x.shape
        reduce = _REDUCE[op.name].reduce
        by_product = x.size <= self.small and not (axis and (op.dtype, cols) == UNSET_LANES)
        if op.name == "sum" and by_product and x.flags.c_contiguous and out.flags.c_contiguous:
            ones = self._filled((cols, 1) if axis else (1, rows), np.ones((), op.dtype))
            return [(np.dot, (x, ones, out) if axis else (ones, x, out))]
        if axis and cols < NARROW < rows:
            turned = self.transposed.setdefault((cols, rows, op.dtype), np.empty((cols, rows), op.dtype))
            return [(np.copyto, (turned, x.T)), (reduce, (turned, 0, None, out.reshape(1, rows), True))]
        return [(reduce, (x, axis, None, out, True))]

    def _value(self, v: int, b: int | None) -> np.ndarray:
        """The array of a value in a block, or outside of the blocks."""
        kernel = self.kernel
        if v in self.scalars:
            return self.scalars[v]
        if v in self.columns:
            return self.columns[v]
        if v >= kernel.first:
            assert b is not None
            scratch = self.scratch[v]
            if scratch is not None:
                start, stop = self.bounds[b]
                return scratch[: stop - start]
            return self._cut(self.outputs[v], kernel.kind(v), b)
        if v >= len(kernel.inputs):
            self.scalars[v] = np.array(self.call.constants[v - len(kernel.inputs)], kernel.dtype(v))
            return self.scalars[v]
        return self._cut(self.inputs[v], kernel.kind(v), b)

    def _cut(self, array: np.ndarray, kind: str, b: int | None) -> np.ndarray:
        if kind in "SR" or b is None:
            return array
        start, stop = self.bounds[b]
        return array[start:stop]

    def _emit(
        self, calls: list[_UfuncCall], op: Operation, out: np.ndarray, args: list[np.ndarray], b: int = 0
    ) -> None:
        """One operation on one block."""
        if op.name == "where":
            calls += self._where(op, out, *args)
        elif op.name == "astype":
            calls.append((_convert, (out, args[0])))
        elif op.name == "bits":
            calls.append((np.copyto, (out.view(args[0].dtype), args[0])))
        elif op.name == "index":
            width = self.call.cols if op.kind == "E" and not self.flat else 1
            start = self.bounds[b][0] * width if op.kind in "EC" else 0
            count = np.arange(start, start + out.size).astype(op.dtype).reshape(out.shape)
            if op.kind == "R":  # its memory is not reused, so once is enough
                np.copyto(out, count)
            else:
                calls.append((np.copyto, (out, count)))
        else:
            if op.name in ("maximum", "minimum") and out.ndim:  # with a scalar operand NumPy does not vectorise them
                args = [
                    self._filled(out.shape, x) if self._is_constant(a) else x
                    for a, x in zip(op.args, args, strict=True)
                ]
            calls.append(_into(getattr(np, op.name), args, out))

    def _where(
        self, op: Operation, out: np.ndarray, condition: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> list[_UfuncCall]:
        """Selection by bits, exact for every number: masked copies are ten times slower."""
        bits = np.dtype(f"i{out.itemsize}")
        mask, mixed = self._masks(out.shape, bits)
        a, b, o = x.view(bits), y.view(bits), out.view(bits)
        fill: _UfuncCall = (np.copyto, (mask, condition))
        ones: _UfuncCall = (np.negative, (mask, mask))
        if self._is_zero(op.args[2]):
            return [fill, ones, (np.bitwise_and, (a, mask, o))]
        if self._is_zero(op.args[1]):
            return [fill, (np.subtract, (mask, np.ones((), bits), mask)), (np.bitwise_and, (b, mask, o))]
        return [
            fill,
            ones,
            (np.bitwise_xor, (a, b, mixed)),
            (np.bitwise_and, (mixed, mask, mixed)),
            (np.bitwise_xor, (mixed, b, o)),
        ]

    def _masks(self, shape: tuple[int, ...], bits: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Two arrays of integers, shared by all selections of one width, also in the shorter last block."""
        if not shape:
            return np.empty((), bits), np.empty((), bits)
        known = self.masks.get((shape[1:], bits))
        if known is None or len(known[0]) < shape[0]:
            known = self.masks[shape[1:], bits] = (np.empty(shape, bits), np.empty(shape, bits))
        return known[0][: shape[0]], known[1][: shape[0]]

    def _filled(self, shape: tuple[int, ...], value: np.ndarray) -> np.ndarray:
        """An array with one number everywhere, made once for each shape."""
        key = shape, value.dtype, value.tobytes()
        if key not in self.filled:
            self.filled[key] = np.full(shape, value)
        return self.filled[key]

    def _is_constant(self, v: int) -> bool:
        return 0 <= v - len(self.kernel.inputs) < len(self.kernel.constants)

    def _is_zero(self, v: int) -> bool:
        """Whether a value is the constant whose bits are all 0."""
        return self._is_constant(v) and not any(self._value(v, None).tobytes())


def _into(ufunc: np.ufunc, args: Sequence[np.ndarray], out: np.ndarray) -> _UfuncCall:
    """The fastest form of ``ufunc(*args, out=out)``; maximum and minimum need the keyword."""
    if ufunc in (np.maximum, np.minimum):
        return partial(ufunc, out=out), args
    return ufunc, (*args, out)


_convert = partial(np.copyto, casting="unsafe")
