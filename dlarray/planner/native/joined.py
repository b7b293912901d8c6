"""A step as native functions: kernels, products and copies that follow each other are one function over one table.

The table has all addresses and sizes. So the same code serves every state and every batch, and steps of other sizes
too. A call that is not native, such as a function of NumPy, is called between two functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dlarray.planner.kernel.joining import BatchRead, BoundCall, Joined, StepArrays
from dlarray.planner.native.entries import Entries
from dlarray.planner.native.module import Module, compiled
from dlarray.planner.native.parts import Parts
from dlarray.planner.native.pool import Pool, untested, works
from dlarray.planner.native.python import FASTCALL, MANY, NOARGS, method
from dlarray.planner.native.table import Table

__all__ = ["NativeStep", "join"]


class NativeStep(Joined):
    """Joined calls with their table."""

    def __init__(
        self,
        calls: Sequence[BoundCall],
        reads: Sequence[BatchRead],
        arrays: StepArrays,
        cuts: Sequence[int],
        pool: Pool | None,
    ) -> None:
        table = Table()
        parts = Parts(table, pool)
        names: list[str | None] = []  # of the native functions; None for calls of Python
        kept: list[BoundCall] = []
        starts: list[int] = []
        for number, call in enumerate(calls):
            if number in cuts:
                parts.end()
            if parts.add(number, call):
                if parts.is_new:
                    names.append(parts.name)
                    kept.append(call)
            else:
                names.append(None)
                kept.append(call)
            starts.append(len(kept) - 1)
        parts.end()
        entries = Entries(parts, table, reads, arrays)
        for name in filter(None, names):
            entries.add_call(name)
        whole = len(names) == 1 and names[0] is not None
        many_words = ()
        if whole:
            entries.add_enter(parts.name)
            many_words = entries.add_many(parts.name)
        table.finish()
        self.is_shared = parts.is_shared
        """Whether a kernel is computed by two threads of the pool."""
        self._parts = parts
        self._words = table.words
        self._module = compiled([*parts.functions, *entries.functions], parts.declared | entries.declared)
        super().__init__(
            [
                call if name is None else (self._method(f"call_{name}", NOARGS, table), ())
                for name, call in zip(names, kept, strict=True)
            ],
            [*starts, len(kept)],
            self._method("enter", FASTCALL, table) if whole else None,
        )
        self.mover = table.mover if whole else None
        if many_words:
            self.many = _many(self._module, table, many_words)

    def _method(self, name: str, convention: int, table: Table) -> Callable[..., Any]:
        return method(self._module.address(name), convention, table.words, (table, self._module))

    def rebind(self, read: BatchRead, array: np.ndarray) -> None:
        words = self._parts.words.get((read.call, read.position), ())
        for word in words:
            self._words[word] = array.ctypes.data
        if not words:
            self.calls[self.starts[read.call]][1][read.position] = array  # pyright: ignore[reportIndexIssue]


def _many(module: Module, table: Table, words: Sequence[int]) -> Callable[..., None]:
    """``Joined.many``: a function, because a method would keep the step alive in a reference cycle."""
    run = MANY(module.address("many"))

    def many(data: Sequence[np.ndarray], order: np.ndarray | None, start: int, losses: np.ndarray) -> None:
        for word, array in zip(words, data, strict=True):
            table.words[word] = array.ctypes.data
        at = None if order is None else order.ctypes.data
        run(table.words.ctypes.data, losses.size, at, start, losses.ctypes.data)
        _ = module  # keeps the code alive; the table keeps what it points to

    return many


def join(
    calls: Sequence[BoundCall],
    reads: Sequence[BatchRead] = (),
    arrays: StepArrays = StepArrays(),  # noqa: B008 - it is frozen
    cuts: Sequence[int] = (),
) -> NativeStep:
    """Join calls into native functions."""
    pool = untested()
    made = NativeStep(calls, reads, arrays, cuts, pool)
    if pool is not None and made.is_shared and not works(pool):  # tested last: a thread waits actively after it
        made = NativeStep(calls, reads, arrays, cuts, None)
    return made
