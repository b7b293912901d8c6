"""Sums of many numbers in a kernel printed for Numba, as accurate as NumPy's pairwise ones.

A lane adds a few numbers in their own type; then it is added to a lane of float64. For float64 numbers the rounding
errors of that addition are summed too (Knuth's two-sum). Sums of columns do the same with rows instead of lanes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.numba.storage import LANES, ROWS, Storage

__all__ = ["BLOCK", "Sums", "indented"]

BLOCK = 16
"""The numbers that a lane or a row adds in their own type."""


def indented(lines: Sequence[str]) -> list[str]:
    """The lines, one level further in."""
    return ["    " + line for line in lines]


class Sums(Storage):
    """The lines of sums."""

    @property
    def lanes(self) -> int:
        """The number of float64 lanes."""
        return ROWS if self.narrow else LANES

    def begin_lanes(self, v: int) -> Iterator[str]:
        """Set the float64 lanes to -0, the neutral element of addition."""
        yield f"for l in range({self.lanes}):"
        yield f"    {self.store(f'd{v}', 'l', 'np.float64(-0.0)')}"
        if self.kernel.dtype(v) == "float64":
            yield f"    {self.store(f'c{v}', 'l', 'np.float64(0)')}"

    def add_to_lane(self, v: int, value: str) -> Iterator[str]:
        """Add one number to float64 lane l."""
        total = self.load(f"d{v}", "l")
        if self.kernel.dtype(v) != "float64":
            yield self.store(f"d{v}", "l", f"{total} + np.float64({value})")
            return
        lost = self.load(f"c{v}", "l")
        yield f"a{v} = {total}"
        yield f"s{v} = a{v} + {value}"
        yield f"t{v} = s{v} - a{v}"
        yield self.store(f"c{v}", "l", f"{lost} + ((a{v} - (s{v} - t{v})) + ({value} - t{v}))")
        yield self.store(f"d{v}", "l", f"s{v}")

    def total_of_lanes(self, v: int, op: Operation) -> Iterator[str]:
        """The sum of the float64 lanes, v. If it is infinite, the sum of rounding errors is NaN and is not added."""
        dtype = self.kernel.dtype(v)
        yield f"total{v} = np.float64(-0.0)"
        yield f"for l in range({self.lanes}):"
        yield f"    total{v} = total{v} + {self.load(f'd{v}', 'l')}"
        if dtype == "float64":
            many = f"cols > {BLOCK * LANES}" if op.over == "row" else f"rows * cols > {BLOCK * LANES}"
            yield f"if {many}:"  # else the rounding errors are small
            yield f"    lost{v} = np.float64(0)"
            yield f"    for l in range({self.lanes}):"
            yield f"        lost{v} = lost{v} + {self.load(f'c{v}', 'l')}"
            yield f"    total{v} = total{v} + lost{v} if (lost{v} < 0) | (lost{v} > 0) else total{v}"
        yield f"v{v} = np.{dtype}(total{v})"

    def add_lanes(self, v: int) -> Iterator[str]:
        """Add all lanes to the float64 lanes."""
        yield f"for l in range({self.lanes}):"
        yield f"    x{v} = {self.load(f'b{v}', 'l')}"
        yield from indented(list(self.add_to_lane(v, f"x{v}")))

    def sum_in_lanes(self, v: int, op: Operation, step: Sequence[str]) -> Iterator[str]:
        """Sum a row, ``step`` for each number, in lanes and then in float64 lanes."""
        if op.over == "row":
            yield from self.begin_lanes(v)
        zero = self.store(f"b{v}", "l", f"np.{op.dtype}(-0.0)")
        lanes = f"for l in range({LANES}):"
        yield f"full = width // {LANES} * {LANES}"
        yield f"for block in range(0, full, {BLOCK * LANES}):"
        yield from indented([lanes, f"    {zero}"])
        yield f"    for first in range(block, min(block + {BLOCK * LANES}, full), {LANES}):"
        yield from indented(indented([lanes, *indented(["j = first + l", *step])]))
        yield from indented(list(self.add_lanes(v)))
        yield "if full < width:"
        yield from indented([lanes, f"    {zero}"])
        yield from indented(["for j in range(full, width):", *indented(["l = j - full", *step])])
        yield from indented(list(self.add_lanes(v)))
        if op.over == "row":
            yield from self.total_of_lanes(v, op)

    def begin_columns(self, v: int) -> Iterator[str]:
        """Set the sums of columns to -0."""
        dtype = self.kernel.dtype(v)
        yield f"for j in range(cols{f' * {ROWS}' if self.narrow else ''}):"
        yield f"    {self.store(f'w{v}', 'j', f'np.{dtype}(-0.0)')}"
        yield "for j in range(cols):"
        yield f"    {self.store(f'd{v}', 'j', 'np.float64(-0.0)')}"

    def add_columns(self, v: int) -> Iterator[str]:
        """Add the columns' sums to the float64 row, and set them to -0 again."""
        dtype = self.kernel.dtype(v)
        at = self.element(v)
        more = [
            f"total = total + np.float64({self.load(f'w{v}', at)})",
            self.store(f"w{v}", at, f"np.{dtype}(-0.0)"),
        ]
        yield "for j in range(cols):"
        yield f"    total = {self.load(f'd{v}', 'j')}"
        yield from indented([f"for l in range({ROWS}):", *indented(more)] if self.narrow else more)
        yield f"    {self.store(f'd{v}', 'j', 'total')}"

    def add_columns_regularly(self) -> Iterator[str]:
        """The same after every few rows."""
        if self.float64_rows:
            yield (
                f"if i % {BLOCK * ROWS} == {(BLOCK - 1) * ROWS}:" if self.narrow else f"if i % {BLOCK} == {BLOCK - 1}:"
            )
            yield from indented([line for v in self.float64_rows for line in self.add_columns(v)])

    def total_of_columns(self, v: int) -> Iterator[str]:
        """Write the sums of all rows to their output."""
        yield from self.add_columns(v)
        yield "for j in range(cols):"
        total = f"np.{self.kernel.dtype(v)}({self.load(f'd{v}', 'j')})"
        yield f"    {self.store(f'p{self.output(v)}', 'j', total)}"
