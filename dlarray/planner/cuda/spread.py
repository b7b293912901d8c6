"""How the work of a kernel is spread over warps, and how much memory they need to exchange results.

There are three ways. The kernel's operations decide which one is used:

    elements  no reduction over rows or columns. The elements are one long row; a lane takes neighbours that are
              together 16 bytes of the widest dtype, the next lane the next ones, so no lane is idle if rows are short.
    tiles     reductions of columns, not of rows. A warp takes 32 columns and every n-th row, accumulates in registers
              and writes one line of results. If rows are short, it takes several at once.
    rows      reductions of rows: by a warp, or by as many of its lanes as a short row needs. With 10 classes in float32
              a lane takes 4, so 4 lanes share a row and a warp takes 8 rows; lanes exchange numbers twice, not five
              times. Each group of lanes has a line, to which it adds its results for columns; its first row of data is
              stored there.

columns_kernel adds up the lines, 8 columns for each warp, so 4 lanes share a column. No sum is atomic: the same sizes
on the same kind of GPU give the same bits. The sum of n rows in l lines has an error of at most (n / l + l / 4 + 2) ε
Σ|x|; one after the other it would be n ε Σ|x|.
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
"""The columns that a warp of columns_kernel takes: in float32, 32 bytes, which is one transfer of memory."""

COUNT = 64
"""The bytes of the workspace that are reserved for the count of finished blocks."""

_RESIDENT = 64
"""The warps that a multiprocessor can hold at once."""
_COUNTED = 16
"""The warps of a multiprocessor if one warp adds up the results of all: enough to keep memory busy, 16 bytes a lane."""
_LINES = 8
"""The same if each group of lanes leaves a line to be added up: more lines would take longer than the rows."""


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
    """The values that each group of lanes keeps for a later sweep, one row of them."""
    return sorted(kernel.buffered)


def parts(kernel: Kernel) -> int:
    """The neighbours that a lane takes at once: 16 bytes of the widest dtype in memory, at most 4."""
    stored = [i for i, given in enumerate(kernel.inputs) if given.kind in "ER"]
    stored += [*kernel.outputs, *kernel.buffered, *columns(kernel)]
    wide = any(np.dtype(kernel.dtype(v)).itemsize == 8 for v in stored if kernel.kind(v) in "ER")
    return 2 if wide else 4


def lanes_for(items: int) -> int:
    """The number of lanes that share so many items: a power of two."""
    return min(32, 1 << max(items - 1, 0).bit_length())


def grids(kernel: Kernel, rows: int, cols: int, processors: int) -> list[Grid]:
    """The kernels to run, in order, on a GPU with so many multiprocessors."""
    made = [_first(kernel, rows, cols, processors)] if kernel.sweeps else []
    if found := len(columns(kernel)):
        scalars = any(kernel.kind(v) == "S" for v in kernel.outputs)
        groups = -(-cols // min(COLUMNS, lanes_for(cols)))
        made.append(_grid("columns_kernel", found * groups + scalars, processors))
    return made or [Grid("finish_kernel", 1, 32)]


def workspace(kernel: Kernel, rows: int, cols: int, processors: int) -> int:
    """The bytes of the workspace: a count of blocks, lines of kept values and of columns, and the warps' results.

    The count is the first word, the same for all kernels. It is 0 before and after each of them.
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
        # About as many rows for a lane as lines to add up later; then the same number for every group of lanes.
        lines = min(rows, max(isqrt(8 * rows), 1), max(1, most // _groups(cols)) * (32 // lanes))
        lines = -(-rows // (parts(kernel) * -(-rows // (parts(kernel) * lines))))
        return _grid("rows_kernel", _groups(cols) * -(-lines * lanes // 32), processors)
    items = rows * lanes if way(kernel) == "rows" else -(-rows * cols // parts(kernel))
    most = _LINES * processors if columns(kernel) else most
    return _grid("rows_kernel", min(-(-items // 32), most), processors)


def _lanes(kernel: Kernel, cols: int) -> int:
    """The number of lanes that share a row."""
    found = {"elements": 32, "tiles": cols, "rows": -(-cols // parts(kernel))}
    return lanes_for(found[way(kernel)])


def _groups(cols: int) -> int:
    """The number of groups of columns, one for each warp of a row."""
    return -(-cols // lanes_for(cols))


def _grid(name: str, warps: int, processors: int) -> Grid:
    """Blocks of up to 8 warps; of fewer if some multiprocessor would have no block."""
    a_block = max(1, min(8, warps // processors))
    return Grid(name, max(1, -(-warps // a_block)), 32 * a_block)
