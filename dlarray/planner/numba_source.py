"""The text of a kernel for Numba: the printer that suits it, and the memory that its function needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from dlarray.planner.loops import Kernel, Operation
from dlarray.planner.numba_places import Layout, Places
from dlarray.planner.numba_printer import Printer, indented

__all__ = ["source", "workspace"]


def source(kernel: Kernel, layout: Layout, places: Sequence[int]) -> str:
    """The function ``kernel(block)``.

    ``places`` has for each array, inputs then outputs, the number of the first that is the same memory: its own, save
    for an output that is written over an input.
    """
    printer = _Reciprocals if layout == "flat" and _Reciprocals.serves(kernel) else Printer
    return "\n".join(printer(kernel, layout, tuple(places)).lines()) + "\n"


def workspace(kernel: Kernel, layout: Layout, cols: int) -> int:
    """The items of 8 bytes that a kernel needs for rows that it keeps."""
    return Places(kernel, layout, tuple(range(len(kernel.inputs) + len(kernel.outputs)))).workspace(cols)


class _Reciprocals(Printer):
    """Elements divided by one number are multiplied by its reciprocal: within 1.5 ulp, in a quarter of the time.

    A reciprocal that would not be a normal number is not used; then the loops divide. So they do by constants.
    """

    @staticmethod
    def serves(kernel: Kernel) -> bool:
        """Whether a kernel has such a division."""
        return any(map(partial(_divides_by_a_scalar, kernel), kernel.operations))

    def loops(self) -> list[str]:
        divisors = {op.args[1]: op.dtype for op in self.kernel.operations if _divides_by_a_scalar(self.kernel, op)}
        lines = [f"r{v} = np.{dtype}(1) / v{v}" for v, dtype in divisors.items()]
        normal = {v: (np.finfo(dtype).tiny, 1 / np.finfo(dtype).tiny) for v, dtype in divisors.items()}
        usable = " and ".join(f"{float(low)!r} <= abs(v{v}) <= {float(high)!r}" for v, (low, high) in normal.items())
        exact = Printer(self.kernel, self.layout, self.places).loops()
        return [*lines, f"if {usable}:", *indented(super().loops()), "else:", *indented(exact)]

    def expression(self, v: int) -> str:
        op = self.kernel.operations[v - self.kernel.first]
        if _divides_by_a_scalar(self.kernel, op):
            return f"v{op.args[0]} * r{op.args[1]}"
        return super().expression(v)


def _divides_by_a_scalar(kernel: Kernel, op: Operation) -> bool:
    if op.name != "divide" or op.kind != "E" or kernel.kind(op.args[1]) != "S":
        return False
    return not len(kernel.inputs) <= op.args[1] < kernel.first
