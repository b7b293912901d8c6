"""How the work of a kernel is spread over warps, and what memory they need between them.

There are three ways, and a kernel's operations choose among them:

    elements  nothing is reduced over rows or columns. The elements are one long row; a lane takes neighbours that are
              16 bytes of the widest dtype together, the next lane the next ones, so a narrow domain wastes no lane.
    tiles     columns are reduced, rows are not. A warp takes 32 columns and every n-th row, adds up in registers and
              writes one line of what it found. Of narrow rows it takes several at once.
    rows      rows are reduced: by a warp, or by as many of its lanes as a narrow row needs. Of 10 classes in float32 a
              lane takes 4, so 4 lanes share a row and a warp takes 8; they exchange numbers twice, not five times. What
              is found of columns is added to a line that each row of lanes has to itself; the first row of data is only
              stored there.

Lines are added up by columns_kernel, 8 columns a warp, so 4 lanes share a column. No sum is atomic: equal sizes on
equal GPUs give equal bits. The sum of n rows in l lines has an error of at most (n / l + l / 4 + 2) ε Σ|x|, against
n ε Σ|x| in turn.
"""

from __future__ import annotations

from math import isqrt
from typing import Literal

import numpy as np

from dlarray.planner.cuda.launch import Grid
from dlarray.planner.kernel.loops import Kernel

__all__ = ["COLUMNS", "COUNT", "Way", "columns", "grids", "kept", "lanes_for", "parts", "totals", "way", "workspace"]

Way = Literal["elements", "tiles", "rows"]

COLUMNS = 8
"""The columns that a warp of columns_kernel takes: of float32 the 32 bytes that memory moves at once."""

COUNT = 64
"""The bytes of the workspace that hold the count of blocks that are done, and nothing else."""

_RESIDENT = 64
"""The warps that a multiprocessor holds at once."""
_COUNTED = 16
"""As many where one warp is to add up what each warp has found: enough to keep memory busy with 16 bytes a lane."""
_LINES = 8
"""As many where each row of lanes leaves a line to be added up: more would take longer than the rows themselves."""


def way(kernel: Kernel) -> Way:
    """How the work of a kernel is spread."""
    over = {op.over for op in kernel.operations}
    return "rows" if "row" in over else "tiles" if "column" in over else "elements"


def columns(kernel: Kernel) -> list[int]:
    """The column reductions."""
    return [v for v, op in enumerate(kernel.operations, kernel.first) if op.over == "column"]


def totals(kernel: Kernel) -> list[int]:
    """The full reductions."""
    return [v for v, op in enumerate(kernel.operations, kernel.first) if op.over == "all"]


def kept(kernel: Kernel) -> list[int]:
    """The values of which each row of lanes keeps a row for a later sweep."""
    return sorted(kernel.buffered)


def parts(kernel: Kernel) -> int:
    """The neighbours that a lane takes at once: 16 bytes of the widest dtype in memory, but no more than 4."""
    stored = [i for i, given in enumerate(kernel.inputs) if given.kind in "ER"]
    stored += [*kernel.outputs, *kernel.buffered, *columns(kernel)]
    wide = any(np.dtype(kernel.dtype(v)).itemsize == 8 for v in stored if kernel.kind(v) in "ER")
    return 2 if wide else 4


def lanes_for(items: int) -> int:
    """The lanes that share so many items: a power of two."""
    return min(32, 1 << max(items - 1, 0).bit_length())


def grids(kernel: Kernel, rows: int, cols: int, processors: int) -> list[Grid]:
    """The kernels to run, in order, on a GPU of so many multiprocessors."""
    made = [_first(kernel, rows, cols, processors)] if kernel.sweeps else []
    if found := len(columns(kernel)):
        scalars = any(kernel.kind(v) == "S" for v in kernel.outputs)
        groups = -(-cols // min(COLUMNS, lanes_for(cols)))
        made.append(_grid("columns_kernel", found * groups + scalars, processors))
    return made or [Grid("finish_kernel", 1, 32)]


def workspace(kernel: Kernel, rows: int, cols: int, processors: int) -> int:
    """The bytes that the kernels need: a count of blocks, lines of what is kept and of columns, and what warps found.

    The count is the first word, the same for all kernels. It is 0 before any of them and 0 when they are done.
    """
    if not kernel.sweeps:
        return 0
    warps = _first(kernel, rows, cols, processors).warps
    lines = warps * (32 // _lanes(kernel, cols)) // (_groups(cols) if way(kernel) == "tiles" else 1)
    found = 8 * ((len(kernel.buffered) + len(columns(kernel))) * lines * cols + len(totals(kernel)) * warps)
    counts = any(kernel.kind(v) == "S" for v in kernel.outputs)
    return COUNT + found if found or counts else 0


def _first(kernel: Kernel, rows: int, cols: int, processors: int) -> Grid:
    """The grid of rows_kernel."""
    lanes = _lanes(kernel, cols)
    most = processors * (_COUNTED if totals(kernel) else _RESIDENT)
    if way(kernel) == "tiles":
        # A lane's rows and the lines that are added up later are about as many; then every row of lanes gets as many.
        lines = min(rows, max(isqrt(8 * rows), 1), max(1, most // _groups(cols)) * (32 // lanes))
        lines = -(-rows // (parts(kernel) * -(-rows // (parts(kernel) * lines))))
        return _grid("rows_kernel", _groups(cols) * -(-lines * lanes // 32), processors)
    items = rows * lanes if way(kernel) == "rows" else -(-rows * cols // parts(kernel))
    most = _LINES * processors if columns(kernel) else most
    return _grid("rows_kernel", min(-(-items // 32), most), processors)


def _lanes(kernel: Kernel, cols: int) -> int:
    """The lanes that share a row."""
    found = {"elements": 32, "tiles": cols, "rows": -(-cols // parts(kernel))}
    return lanes_for(found[way(kernel)])


def _groups(cols: int) -> int:
    """The groups of columns, of what the lanes of a warp take."""
    return -(-cols // lanes_for(cols))


def _grid(name: str, warps: int, processors: int) -> Grid:
    """Blocks of up to 8 warps, of fewer where not every multiprocessor would have one."""
    a_block = max(1, min(8, warps // processors))
    return Grid(name, max(1, -(-warps // a_block)), 32 * a_block)
