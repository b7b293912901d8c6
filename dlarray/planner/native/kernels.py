"""A call of a kernel, ready to be a part of a native step."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Literal

from dlarray.planner.kernel.head import ArrayAt, address_indices, head
from dlarray.planner.kernel.loops import Call
from dlarray.planner.native.layout import LANES, Layout, same_memory, shape_for
from dlarray.planner.native.narrow import NarrowPrinter
from dlarray.planner.native.printer import Printer
from dlarray.planner.native.rows import RowPrinter
from dlarray.planner.native.table import Table

__all__ = ["KernelCall", "Part", "printed", "printer"]

Part = Literal["whole", "elements", "scalars"]
"""The methods of a ``Printer`` that print a function."""


def printer(layout: Layout, name: str) -> Printer:
    """A printer of a kernel, for a function of this name."""
    return (NarrowPrinter if layout.is_narrow else RowPrinter)(layout, name)


@lru_cache(maxsize=256)
def printed(layout: Layout, what: Part, name: str) -> tuple[str, frozenset[str]]:
    """The text of a function, and what it declares. Each binding of a plan needs the same ones."""
    made = printer(layout, name)
    text: str = getattr(made, what)()
    return text, frozenset(made.f.declared)


class KernelCall:
    """A kernel with its sizes and constants. Its arrays are arguments, so a step can give it others."""

    def __init__(self, call: Call) -> None:
        self.call = call
        shape = shape_for(call.kernel, call.rows, call.cols)
        width = call.rows * call.cols if shape == "flat" else call.cols
        self.layout = Layout(call.kernel, shape, same_memory(call), has_tail=width % LANES > 0)

    @cached_property
    def length(self) -> int:
        """The rows, or the elements of a flat kernel."""
        return self.call.rows * self.call.cols if self.layout.shape == "flat" else self.call.rows

    @cached_property
    def address_words(self) -> list[int]:
        """The words of the head that have the addresses of the arrays: of the first array with the same memory."""
        words = address_indices(self.call.kernel)
        return [words[first] for first in self.layout.aliases]

    def add_head(self, table: Table, first: int, end: int) -> int:
        """Append the kernel's argument for a part of the rows to a table. Returns its index."""
        call = self.call
        arrays = [*call.inputs, *call.outputs]
        for array in arrays:
            table.keep(array)
        workspace = table.new(self.layout.workspace(call.cols)).ctypes.data
        at = [ArrayAt(a.ctypes.data, (a.strides[0] // a.itemsize, a.strides[1] // a.itemsize)) for a in arrays]
        words = head(call.kernel, (first, end, call.cols, workspace), call.constants, at).tolist()
        return table.add_head(words, address_indices(call.kernel))
