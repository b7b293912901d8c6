"""The text of a kernel for Numba, and the size of the workspace that it needs."""

from __future__ import annotations

from collections.abc import Sequence

from dlarray.planner.kernel.loops import Kernel
from dlarray.planner.numba.printer import Printer
from dlarray.planner.numba.storage import Layout, Storage

__all__ = ["source", "workspace"]


def source(kernel: Kernel, layout: Layout, aliases: Sequence[int]) -> str:
    """The function ``kernel(block)``.

    ``aliases`` has for each array, inputs then outputs, the number of the first array with the same memory: its own,
    unless an output is written over an input.
    """
    return "\n".join(Printer(kernel, layout, tuple(aliases)).lines()) + "\n"


def workspace(kernel: Kernel, layout: Layout, cols: int) -> int:
    """The items of 8 bytes that a kernel needs for rows in the workspace."""
    return Storage(kernel, layout, tuple(range(len(kernel.inputs) + len(kernel.outputs)))).workspace(cols)
