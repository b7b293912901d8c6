"""The plan of a step as data: its work in order, the values that it stores, and their memory.

A backend that plans steps returns a ``Description`` from ``Backend.describe``, and ``dlarray.explain`` shows it. This
module does not depend on how plans are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dlarray.core.check import count
from dlarray.core.layout import Layout

__all__ = ["Description", "Kind", "Memory", "Names", "Value", "Work", "bytes_text", "flops_text"]

Kind = Literal["product", "kernel", "concatenation", "communication", "call"]


@dataclass(frozen=True)
class Names:
    """Names for the arrays of a step, by their path in its arguments, such as ``theta`` or ``batch[0]``."""

    arrays: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names for whole arrays, by path; an array without a name is called by its path."""
    parts: Mapping[str, Layout] = field(default_factory=dict[str, Layout])
    """The layouts of arrays that have named parts, by path."""
    parameters: str = ""
    """The path of the array that the step computes the gradient for."""


@dataclass(frozen=True)
class Memory:
    """A block of memory: a buffer of the plan, or an array of the step's arguments."""

    name: str
    nbytes: int


@dataclass(frozen=True)
class Value:
    """An array in memory, from the work that writes it to the last work that reads it.

    ``memory`` is an index into ``Description.memories``; ``written`` and ``read`` are indices into
    ``Description.works``. For an argument of the step ``written`` is None. ``leaves``: whether the step returns it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    memory: int
    written: int | None
    read: tuple[int, ...]
    leaves: bool

    @property
    def shape_text(self) -> str:
        """The shape as text, such as "3 × 2"; "1" for a scalar."""
        return " × ".join(map(str, self.shape)) or "1"


@dataclass(frozen=True)
class Work:
    """One unit of a plan: a matrix product, a kernel, a concatenation, a call of the library, or communication.

    A sum over ranks is two units: one starts it, the other waits for it.

    ``operations`` is the number of array operations of the formulas in it, ``flops`` the number of arithmetic
    operations on single numbers (two for each term of a product), ``nbytes`` the bytes that it reads and writes, each
    array counted once.
    """

    kind: Kind
    title: str
    formulas: tuple[str, ...]
    operations: int
    flops: int
    nbytes: int

    @property
    def intensity(self) -> float:
        """Arithmetic operations for each byte read or written: the arithmetic intensity."""
        return self.flops / self.nbytes if self.nbytes else 0.0


@dataclass(frozen=True)
class Description:
    """The plan of a step; ``print`` shows it as text."""

    works: Sequence[Work]
    values: Sequence[Value]
    memories: Sequence[Memory]
    buffers: int
    """How many of the memories are buffers of the plan: the first ones."""
    unshared: int
    """The bytes of the buffers if none were reused."""
    state: int
    """The number of arrays in the state of the step."""
    in_place: int
    """How many of them are written in place; the others are copied."""
    eager_bytes: int = 0
    """The most bytes that the same step takes at once when it runs eagerly, besides its arguments."""

    @property
    def flops(self) -> int:
        """Arithmetic operations of one step."""
        return sum(work.flops for work in self.works)

    @property
    def nbytes(self) -> int:
        """Bytes read and written by one step."""
        return sum(work.nbytes for work in self.works)

    @property
    def buffer_bytes(self) -> int:
        """The bytes of the buffers of the plan."""
        return sum(memory.nbytes for memory in self.memories[: self.buffers])

    def of(self, kind: Kind) -> list[Work]:
        """The work of one kind."""
        return [work for work in self.works if work.kind == kind]

    def summary(self) -> str:
        """The plan in five lines."""
        products, kernels = self.of("product"), self.of("kernel")
        fused = sum(work.operations for work in kernels)
        share = sum(work.flops for work in products) / max(self.flops, 1)
        return "\n".join(
            [
                f"{count(len(products), 'product')}, {count(len(kernels), 'kernel')} of {count(fused, 'operation')} "
                f"together, {count(len(self.of('call')), 'eager call')}{self._exchanges()}",
                f"{flops_text(self.flops)}, {share:.1%} of them in products",
                f"{bytes_text(self.nbytes)} read and written, {self.flops / max(self.nbytes, 1):.3g} flop/B",
                f"{count(self.buffers, 'buffer')} of {bytes_text(self.buffer_bytes)}, without reuse "
                f"{bytes_text(self.unshared)}",
                f"{self.in_place} of {self.state} arrays of the state are written in place"
                + (", the others are copied" if self.in_place < self.state else ""),
            ]
        )

    def _exchanges(self) -> str:
        """The bytes that this rank and the others exchange, as text."""
        found = [work.nbytes for work in self.of("communication") if work.nbytes]
        return f", {count(len(found), 'exchange')} of {bytes_text(sum(found))} with other ranks" if found else ""

    def __str__(self) -> str:
        lines = [self.summary()]
        for i, work in enumerate(self.works):
            lines += [
                "",
                f"{i + 1:3}. {work.title}: {flops_text(work.flops)}, {bytes_text(work.nbytes)}, "
                f"{work.intensity:.3g} flop/B",
                *(f"       {formula}" for formula in work.formulas),
                *(f"       → {self.placed(value)}" for value in self.values if value.written == i),
            ]
        return "\n".join(lines)

    def placed(self, value: Value) -> str:
        """A value with its shape, dtype, size and memory, as text."""
        return (
            f"{value.name}: {value.shape_text} {value.dtype}, {bytes_text(value.nbytes)} in "
            f"{self.memories[value.memory].name}"
        )


def bytes_text(n: int) -> str:
    """A number of bytes with its unit, such as "1.2 MB"."""
    return _with_unit(n, "B")


def flops_text(n: int) -> str:
    """A number of arithmetic operations with its unit, such as "3 Mflop"."""
    return _with_unit(n, "flop")


def _with_unit(n: int, unit: str) -> str:
    for power, prefix in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if n >= 10**power:
            return f"{n / 10**power:.4g} {prefix}{unit}"
    return f"{n} {unit}"
