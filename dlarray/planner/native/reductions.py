"""Reductions in lanes: the same partial results on every machine, and sums as accurate as NumPy's pairwise ones.

Lane n of a row has the numbers n, n + 16, n + 32, … A sum adds a few numbers in a lane in their own type, then adds the
lane to a lane of float64. For float64 numbers the rounding errors of that addition are summed too (Knuth's two-sum).
At the end the lanes are reduced in pairs.
"""

from __future__ import annotations

from collections.abc import Callable

from dlarray.planner.kernel.loops import Operation
from dlarray.planner.native.function import Function, Variable
from dlarray.planner.native.operations import NEUTRAL, accumulated
from dlarray.planner.native.values import Value

__all__ = ["Reduction", "across", "masked"]


def across(name: str, value: Value) -> Value:
    """The lanes of a vector reduced to one number: the upper half with the lower, until one is left."""
    while value.lanes > 1:
        value = accumulated(name, value.half(upper=False), value.half(upper=True))
    return value


def masked(op: Operation, value: Value, there: Value) -> Value:
    """The value in the lanes that are there, and in the others the number that changes nothing."""
    return there.select(value.spread(there.lanes), NEUTRAL[op.name])


class Reduction:
    """The partial results of one reduction, in variables."""

    def __init__(self, function: Function, op: Operation, lanes: int) -> None:
        self.op = op
        self._function = function
        self._lanes = lanes
        self._own = function.variable(op.dtype, NEUTRAL[op.name], lanes)
        self._total: Variable | None = None
        self._lost: Variable | None = None
        if op.name == "sum":
            self._total = function.variable("float64", 0.0, lanes)
            self._lost = function.variable("float64", 0, lanes) if op.dtype == "float64" else None

    # Blocks of numbers

    def begin_block(self) -> None:
        """Before a few numbers in each lane."""
        if self._total is not None:
            self._own.set(self._function.constant(self.op.dtype, 0.0, self._lanes))

    def add(self, value: Value) -> None:
        """One more number in each lane."""
        self._own.set(accumulated(self.op.name, self._own.get(), value))

    def end_block(self) -> None:
        """Add the block to the total."""
        if self._total is not None:
            self.add_to_total(self._own.get())

    def add_to_total(self, value: Value) -> None:
        """One more number in each lane, directly."""
        if self._total is None:
            self.add(value)
            return
        total = self._total.get()
        new, error = _added(total, value.cast("float64"))
        self._total.set(new)
        if self._lost is not None:
            self._lost.set(self._lost.get() + error())

    # The result

    def result(self) -> Value:
        """The reduction of all numbers. If a sum is infinite, the sum of rounding errors is NaN and is not added."""
        if self._total is None:
            return across(self.op.name, self._own.get())
        total = across("sum", self._total.get())
        if self._lost is not None:
            lost = across("sum", self._lost.get())
            total = ((lost < 0) | (lost > 0)).select(total + lost, total)
        return total.cast(self.op.dtype)

    def block(self) -> Value:
        """The lanes of the block: the results of short rows, one in each lane."""
        return self._own.get()


def _added(total: Value, value: Value) -> tuple[Value, Callable[[], Value]]:
    """The sum, and a function that gives its rounding error."""
    new = total + value

    def error() -> Value:
        part = new - total
        return (total - (new - part)) + (value - part)

    return new, error
