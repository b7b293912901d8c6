"""One kernel: the operations of one pass over a domain of rows and columns, as data that printers read.

Nothing in a ``Kernel`` depends on sizes, addresses or the values of constants, so a new batch size needs no new machine
code. A ``Call`` is a kernel with its sizes, constants and arrays. A printer goes through ``Kernel.operations`` and
prints each of them once for each sweep in which ``evaluated`` lists it.

Values
    are numbered: first the inputs, then the constants, then the operations. Each operation makes one value from values
    with lower numbers (SSA). Every value has a dtype, and a kind that says how it varies over the domain:

        E  element     one number for each (row, column)
        R  per column  one number for each column, the same in all rows: a bias
        C  per row     one number for each row, the same in all columns: the row's maximum
        S  scalar      one number

    With one row or one column several kinds fit. The planner takes the first that fits of: S (size 1), E (the domain's
    shape), C, R. So a domain of one row or one column has only E and S, and a domain of one element only S: such a
    kernel has no loop at all.

Arrays
    are NumPy arrays of two axes: (rows, cols) for E, (1, cols) for R, (rows, 1) for C, (1, 1) for S. They are never
    empty, aligned to their items, and of native byte order. Outputs and ``dense`` inputs are C-contiguous; any other
    input is a view with any strides (transposed, sliced, even negative; a multiple of the item). Buffers of the planner
    start on 64 bytes; a slice, or the caller's array, need not.

Dtypes
    bool, int8 to int64, uint8 to uint64, float32, float64. Nothing is promoted inside a kernel: all arguments of an
    operation have one dtype, except where ``OPERATIONS`` says otherwise, and conversions are ``astype`` operations.
    Integers wrap. Arithmetic is done in the operation's dtype: no contraction, no reassociation.

Constants
    were weak Python scalars. They are rounded to their dtype and stored in the call, so a kernel is the same for every
    learning rate. A printer can put them in a block of 8 bytes each (floats as float64, integers as int64). A constant
    is of kind S.

Sweeps
    A row is swept once or more. Each sweep of a row visits all columns. A ``row`` reduction that is made in sweep s is
    known from sweep s + 1 on: this is why a row needs another sweep. ``Operation.sweep`` is the first sweep in which
    the operation can be done. An operation of kind C is done once a row, before the columns of its sweep; one of kind E
    or R for each column. If a later sweep needs a value of an earlier one, a cheap value is computed again, any other
    is stored in a buffer of one row: ``evaluated`` and ``buffered`` decide that for all printers.

Before and after
    Operations of kind S that depend on no reduction have sweep BEFORE: they are done before the first row. ``column``
    reductions (E to R) and ``all`` reductions (E, or C: once a row, to S) are known when all rows are done. A column
    reduction is always an output, and no operation reads it. Operations of kind S that depend on an ``all`` reduction
    have sweep AFTER: the epilogue.

Outputs
    are values of kind E, C or S, or column reductions. An output of kind E is written in its value's sweep, or a later
    one. An output can be in the memory of an input: so the state is written in place. Then either both are of kind S,
    or both are of kind E with the same address for the same (row, column), and no sweep after the output's sweep reads
    that input. So it is enough to read S before the first row and write it at the very end, and to read the inputs of
    an element before writing any of its outputs. Outputs never overlap inputs or each other in any other way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

__all__ = [
    "AFTER",
    "BEFORE",
    "CHEAP",
    "DTYPES",
    "FLOATS",
    "OPERATIONS",
    "REDUCTIONS",
    "BoundKernel",
    "Call",
    "Executor",
    "Input",
    "Kernel",
    "Kind",
    "Operation",
]

Kind = Literal["E", "R", "C", "S"]

BEFORE, AFTER = -1, 1_000_000
"""The sweeps of operations before the first row, and after the last."""

DTYPES = frozenset(
    {"bool", "float32", "float64"} | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)

OPERATIONS: dict[str, int] = {
    # Floats, or numbers of any dtype: T -> T, with NumPy's ufunc of the same name.
    **dict.fromkeys(
        ("positive", "negative", "absolute", "sign", "square", "reciprocal", "floor", "ceil", "trunc", "rint"), 1
    ),
    **dict.fromkeys(("sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan"), 1),
    **dict.fromkeys(("sinh", "cosh", "tanh", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh"), 1),
    **dict.fromkeys(("add", "subtract", "multiply", "divide", "power"), 2),
    **dict.fromkeys(("maximum", "minimum"), 2),  # NaN if either is: a if (a >= b or a != a) else b
    # Comparisons: T, T -> bool.
    **dict.fromkeys(("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"), 2),
    **dict.fromkeys(("isnan", "isinf", "isfinite"), 1),
    # Truth: T, T -> bool, where T need not be bool and anything but 0 is true (NaN too).
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), 2),
    "logical_not": 1,
    # Bits of integers, or of bools: T, T -> T. Shifts are arithmetic on signed integers; by the width or more, or by a
    # negative count, they leave 0, or -1 of a negative number shifted to the right.
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), 2),
    "invert": 1,  # ~ of integers, not of bools
    **dict.fromkeys(("left_shift", "right_shift"), 2),  # of integers only
    "where": 3,  # bool, T, T -> T: the second where the first is true, else the third
    "astype": 1,  # T -> U: C's conversion; to bool is != 0, from bool gives 0 and 1
    "bits": 1,  # T -> U of the same width: the same bits, read as the other type
    "index": 0,  # -> T: row * cols + column for kind E, the column for R, the row for C, 0 for S
    # Reductions: T -> T, floats only. ``over`` names the axes.
    **dict.fromkeys(("sum", "max", "min"), 1),  # max and min are NaN if any number is
}
"""Every operation and the number of its arguments.

All names but where, astype, bits, index and the reductions are ufuncs of NumPy.
"""

REDUCTIONS = frozenset({"sum", "max", "min"})

FLOATS = frozenset({"reciprocal", "power"})
"""Operations of floats only: on integers NumPy's can raise an error, or have no meaning (1 / 0)."""

# fmt: off
CHEAP = frozenset([
    "positive", "negative", "absolute", "square", "floor", "ceil", "trunc", "rint", "add", "subtract", "multiply",
    "maximum", "minimum", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal", "isnan", "isinf",
    "isfinite", "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and", "bitwise_or",
    "bitwise_xor", "invert", "left_shift", "right_shift", "where", "astype", "bits", "index", "sign",
])
# fmt: on
"""Operations that cost less than writing their result to memory and reading it again."""


@dataclass(frozen=True)
class Input:
    """A value that is read from an array."""

    kind: Kind
    dtype: str
    dense: bool = True


@dataclass(frozen=True)
class Operation:
    """A value that is computed from others. ``over`` is "row", "column" or "all" for a reduction, else ""."""

    name: str
    args: tuple[int, ...]
    kind: Kind
    dtype: str
    sweep: int
    over: Literal["", "row", "column", "all"] = ""


@dataclass(frozen=True)
class Kernel:
    """Operations in an order in which they can be done, and the values that are outputs."""

    inputs: tuple[Input, ...]
    constants: tuple[str, ...]
    """The dtype of each."""
    operations: tuple[Operation, ...]
    outputs: tuple[int, ...]

    @cached_property
    def first(self) -> int:
        """The number of the first operation's value."""
        return len(self.inputs) + len(self.constants)

    def operation(self, value: int) -> Operation | None:
        """The operation that makes a value; None for inputs and constants."""
        return self.operations[value - self.first] if value >= self.first else None

    def kind(self, value: int) -> Kind:
        """The kind of a value."""
        if (op := self.operation(value)) is not None:
            return op.kind
        return self.inputs[value].kind if value < len(self.inputs) else "S"

    def dtype(self, value: int) -> str:
        """The dtype of a value."""
        if (op := self.operation(value)) is not None:
            return op.dtype
        return self.inputs[value].dtype if value < len(self.inputs) else self.constants[value - len(self.inputs)]

    def sweep(self, value: int) -> int:
        """The first sweep in which a value can be made; 0 for inputs and constants."""
        op = self.operation(value)
        return 0 if op is None else op.sweep

    @cached_property
    def sweeps(self) -> int:
        """How often each row is swept; 0 if all values are scalars."""
        return max((op.sweep + 1 for op in self.operations if BEFORE < op.sweep < AFTER), default=0)

    @cached_property
    def buffered(self) -> frozenset[int]:
        """The values of kind E that a later sweep needs and that are expensive to compute again."""
        return frozenset(v for _, buffered in self._plan_of_sweeps for v in buffered)

    def evaluated(self, sweep: int) -> list[int]:
        """The operations of kinds E and R to do in this sweep for each column, in order; reductions are among them.

        Their arguments are inputs, constants, values of kinds C and S, each other, or values buffered by an earlier
        sweep.
        """
        return self._plan_of_sweeps[sweep][0]

    @cached_property
    def _plan_of_sweeps(self) -> list[tuple[list[int], frozenset[int]]]:
        """For each sweep the values to evaluate, and the buffered values of earlier sweeps to read."""
        plans: list[tuple[list[int], frozenset[int]]] = []
        needed: set[int] = set()  # by sweeps later than the one that is planned
        for sweep in reversed(range(self.sweeps)):
            todo = [v for v in range(self.first, self.first + len(self.operations)) if self._belongs(v, sweep, needed)]
            found: set[int] = set()
            buffered: set[int] = set()
            while todo:
                v = todo.pop()
                op = self.operation(v)
                if op is None or v in found or (op.kind in "CS" and not op.over) or (op.over and op.sweep != sweep):
                    continue  # known already: an input, a value of kind C or S, or a reduction of an earlier sweep
                if op.kind == "E" and op.sweep < sweep and op.name not in CHEAP:
                    buffered.add(v)
                    continue
                found.add(v)
                todo.extend(op.args)
            needed |= buffered
            plans.append((sorted(found), frozenset(buffered)))
        return plans[::-1]

    def _belongs(self, value: int, sweep: int, needed: set[int]) -> bool:
        """Whether this sweep must do an operation: a reduction of E, an output, or a value that a later sweep needs."""
        op = self.operation(value)
        if op is None or op.sweep != sweep:
            return False
        if op.over:
            return self.kind(op.args[0]) == "E"
        return op.kind == "E" and (value in self.outputs or value in needed)


@dataclass
class Call:
    """A kernel with its sizes, constants (a Python number each) and arrays, in the kernel's order."""

    kernel: Kernel
    rows: int
    cols: int
    constants: Sequence[bool | int | float]
    inputs: list[np.ndarray]
    outputs: list[np.ndarray] = field(default_factory=list[np.ndarray])


@dataclass
class BoundKernel:
    """A call that is ready to be repeated: functions with their arguments, called in order at every step."""

    calls: list[tuple[Callable[..., Any], Sequence[Any]]]
    rebindable: bool = False
    """Whether ``calls`` is one call whose arguments are the inputs and outputs, of which inputs can be replaced.

    If not, arrays with another address at every step are copied into a buffer.
    """


Executor = Callable[[Call], BoundKernel]
"""A function that prepares a call once, for arrays at fixed addresses."""
