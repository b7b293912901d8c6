"""A kernel printed as CUDA C.

Up to two kernels run one after the other. Their argument is the head that launch.py describes. Blocks have whole warps.

    rows_kernel     all elements (passes.py), with the partial results of each warp for column and full reductions
    columns_kernel  column reductions
    finish_kernel   kernels without elements

One warp computes what needs all rows: full reductions, the scalars that depend on them, and all scalar outputs. These
may have the memory of scalars that every block reads, and blocks start at any time. It is one more warp of
columns_kernel; without that, a warp of the last block of rows_kernel. Blocks are counted for that purpose: the count is
the only atomic operation, and it changes no number.

To keep to the arithmetic of loops.py, compile without contraction (nvrtc: ``--fmad=false``). Functions are CUDA's
accurate ones; quotients and roots are rounded as IEEE requires. CuPy's compiler takes subnormal float32 for zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlarray.planner.cuda import spread
from dlarray.planner.cuda.expressions import accumulate, initial
from dlarray.planner.cuda.names import Names, indented
from dlarray.planner.cuda.passes import first_pass
from dlarray.planner.cuda.prelude import PRELUDE
from dlarray.planner.cuda.spread import grids
from dlarray.planner.kernel.loops import AFTER, Kernel

__all__ = ["source"]


def source(kernel: Kernel) -> str:
    """The text of the kernels that ``grids`` names, each ``(Head head)``."""
    return PRELUDE + "\n".join(_lines(kernel)) + "\n"


def _lines(kernel: Kernel) -> Iterator[str]:
    yield from Names(kernel).head()
    printed = {"rows_kernel": _rows, "columns_kernel": _columns, "finish_kernel": _alone}
    for grid in grids(kernel, 1, 1, 1):
        yield f"KERNEL {grid.name}(const Head head) {{"
        yield "    const long long rows = head.rows, cols = head.cols;"
        yield from indented(printed[grid.name](kernel))
        yield "}"


def _rows(kernel: Kernel) -> Iterator[str]:
    yield from Names(kernel).scalars()
    yield from first_pass(kernel)
    if _has_scalars(kernel) and not spread.columns(kernel):
        yield "if (last_block((unsigned *)head.workspace)) {"
        yield from indented([*_totals(kernel), *_by_one(kernel, ())])
        yield "}"


def _columns(kernel: Kernel) -> Iterator[str]:
    """A warp computes a few columns of one reduction; the lanes that share a column take its lines in turns."""
    names, reductions = Names(kernel), spread.columns(kernel)
    yield from names.lines()
    yield "const long long used = lines < rows ? lines : rows;"
    yield f"const int across_columns = lanes_for(cols < {spread.COLUMNS} ? cols : {spread.COLUMNS});"
    yield "const long long warps = (cols + across_columns - 1) / across_columns;"
    yield "const long long j = WARP % warps * across_columns + LANE % across_columns;"
    for k, v in enumerate(reductions):
        type_ = names.type(v)
        yield f"if (WARP / warps == {k}) {{"
        yield f"    {type_} v{v} = ({type_}){initial(names.op(v))};"
        yield "    if (j < cols)"
        yield "        #pragma unroll 16"
        yield "        for (long long line = LANE / across_columns; line < used; line += 32 / across_columns)"
        yield f"            v{v} = {accumulate(names.op(v), f'v{v}', f'{names.line(v)}[line * cols + j]')};"
        yield f"    v{v} = {names.across(v, type_, f'v{v}', 'across_columns', '32')};"
        yield from (f"    if (LANE < across_columns && j < cols) {a}[j] = v{v};" for a in names.arrays(v))
        yield "}"
    if _has_scalars(kernel):
        yield f"if (WARP == {len(reductions)} * warps) {{"
        yield from indented([*_totals(kernel), *_by_one(kernel, names.scalars())])
        yield "}"


def _alone(kernel: Kernel) -> Iterator[str]:
    yield from _by_one(kernel, Names(kernel).scalars())


def _has_scalars(kernel: Kernel) -> bool:
    return any(kernel.kind(v) == "S" for v in kernel.outputs)


def _totals(kernel: Kernel) -> Iterator[str]:
    """Full reductions of the warps' results, by one warp."""
    names = Names(kernel)
    for v in spread.totals(kernel):
        type_ = names.total_type(v)
        yield f"{type_} all{v} = ({type_}){initial(names.op(v))};"
        step = accumulate(names.op(v), f"all{v}", f"{names.found(v)}[warp]")
        yield "#pragma unroll 16"
        yield f"for (long long warp = LANE; warp < head.warps; warp += 32) all{v} = {step};"
        yield f"const {names.type(v)} v{v} = ({names.type(v)}){names.across(v, type_, f'all{v}', '1', '32')};"


def _by_one(kernel: Kernel, scalars: Iterable[str]) -> Iterator[str]:
    """The other scalars, read and written by one lane: an output may have the memory of an input."""
    names = Names(kernel)
    yield "if (LANE == 0) {"
    yield from indented(scalars)
    yield from (f"    {names.defined(v)}" for v, op in names.numbered() if op.sweep == AFTER and not op.over)
    for v in dict.fromkeys(kernel.outputs):
        if kernel.kind(v) == "S":
            yield from (f"    {array}[0] = v{v};" for array in names.arrays(v))
    yield "}"
