"""A kernel printed as CUDA C. Compiled and checked without a GPU, **never yet run on one**, and used by nothing.

One warp takes a row (where all is elementwise, a chunk of 1024), its lanes the columns 32 apart, so memory is read in
order; a row is reduced by shuffles. Up to three kernels run one after the other; each is given the head that
launch.py describes. Blocks are of whole warps.

    rows_kernel     everything of a row; what is summed over columns goes into the workspace, full reductions per warp
    columns_kernel  column reductions, one thread for each column
    finish_kernel   one warp: full reductions, the scalars that stand on them, and all scalar outputs

The same text compiles as C++: with ``DLARRAY_HOST`` defined, by a header that says what the capital words mean there,
the lanes of a warp are a loop, so a CPU can check the arithmetic. To keep to the arithmetic that loops.py demands,
compile without contraction (nvrtc: ``--fmad=false``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dlarray.planner.block import is_flat
from dlarray.planner.cuda.expressions import C_TYPES, accumulate, expression, initial
from dlarray.planner.cuda.launch import Grid, constant_place, places, words
from dlarray.planner.loops import AFTER, BEFORE, Kernel, Operation

__all__ = ["CHUNK", "PRELUDE", "grids", "source", "workspace"]

CHUNK = 1024
"""The columns of a row that a warp takes where rows do not matter."""

PRELUDE = """
#ifndef DLARRAY_HOST
#define KERNEL extern "C" __global__ void
#define DEVICE static __device__ __forceinline__
#define WARP ((long long)((blockIdx.x * (unsigned long long)blockDim.x + threadIdx.x) >> 5))
#define WARPS ((long long)((gridDim.x * (unsigned long long)blockDim.x) >> 5))
#define LANE ((int)(threadIdx.x & 31u))
#define LANES                      /* what follows is done by every lane */
#define ONE_LANE if (LANE == 0)
#define PER_LANE(type, name) type name
#define IN_LANE(name) name
#define INF __longlong_as_double(0x7ff0000000000000LL)
#define OTHER_LANE(name, distance) __shfl_xor_sync(0xffffffffu, name, distance)
#define REDUCE_LANES(type, name, combine) \\
    for (int d = 16; d; d >>= 1) { type other = OTHER_LANE(name, d); name = combine(name, other); }
#define REDUCED(name) name
#endif
template <class T> DEVICE T plus(T a, T b) { return a + b; }
template <class T> DEVICE T larger(T a, T b) { return (a >= b || a != a) ? a : b; }
template <class T> DEVICE T smaller(T a, T b) { return (a <= b || a != a) ? a : b; }
template <class U, class T> DEVICE U bits(T x) { union { T from; U to; } both = {x}; return both.to; }
template <class T> DEVICE T whole_power(T x, T n) {
    unsigned long long r = 1, y = (unsigned long long)x;
    for (; n > 0; n = (T)(n / 2)) { if (n & 1) r *= y; y *= y; }
    return (T)r;
}
"""

_COMBINE = {"sum": "plus", "max": "larger", "min": "smaller"}


def source(kernel: Kernel) -> str:
    """The text of the kernels that ``grids`` names, each ``(Head head)``."""
    return PRELUDE + "\n".join(_Printer(kernel).lines()) + "\n"


def grids(kernel: Kernel, rows: int, cols: int, processors: int) -> list[Grid]:
    """The kernels to run, in order, on a card of so many multiprocessors."""
    columns = any(op.over == "column" for op in kernel.operations)
    scalars = any(kernel.kind(v) == "S" for v in kernel.outputs)
    made = [_grid("rows_kernel", _rows_of(kernel, rows, cols), processors)] if kernel.sweeps else []
    made += [_grid("columns_kernel", -(-cols // 32), processors)] if columns else []
    return made + ([Grid("finish_kernel", 1, 32)] if scalars else [])


def workspace(kernel: Kernel, rows: int, cols: int, processors: int) -> int:
    """The bytes that the kernels need between them."""
    printer = _Printer(kernel)
    warps = next((g.warps for g in grids(kernel, rows, cols, processors) if g.name == "rows_kernel"), 0)
    return 8 * (len(printer.kept) * rows * cols + len(printer.totals) * warps)


def _rows_of(kernel: Kernel, rows: int, cols: int) -> int:
    """The rows, or chunks where rows do not matter, that warps take."""
    return -(-rows * cols // CHUNK) if is_flat(kernel) else rows


def _grid(name: str, warps: int, processors: int) -> Grid:
    """Blocks of up to 8 warps, up to 8 of them on each multiprocessor; what is more is taken in turns."""
    a_block = max(1, min(8, warps // processors))
    return Grid(name, max(1, min(-(-warps // a_block), 8 * processors)), 32 * a_block)


def _indented(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]


@dataclass(frozen=True)
class _Printer:
    kernel: Kernel

    @cached_property
    def flat(self) -> bool:
        return is_flat(self.kernel)

    @cached_property
    def values(self) -> list[tuple[int, Operation]]:
        return list(enumerate(self.kernel.operations, self.kernel.first))

    @cached_property
    def kept(self) -> list[int]:
        """Elements in the workspace: for a later sweep, by the thread that reads them, or to be reduced by columns."""
        return sorted(self.kernel.kept | {op.args[0] for _, op in self.values if op.over == "column"})

    @cached_property
    def totals(self) -> list[int]:
        return [v for v, op in self.values if op.over == "all"]

    def _type(self, v: int) -> str:
        return C_TYPES[self.kernel.dtype(v)]

    def _total_type(self, v: int) -> str:
        """Full sums are kept in double, for they may be of millions of numbers."""
        return "double" if self.kernel.operations[v - self.kernel.first].name == "sum" else self._type(v)

    # Loads

    def _address(self, a: int, index: str) -> str:
        """The item of array a (inputs, then outputs) at an index."""
        k = self.kernel
        v = a if a < len(k.inputs) else k.outputs[a - len(k.inputs)]
        return f"(({self._type(v)} *)head.at[{places(k)[a]}])[{index}]"

    def _read(self, k: int) -> str:
        i = self.kernel.inputs[k]
        place = places(self.kernel)[k]
        row, column = ("1", "1") if i.dense else (f"head.at[{place + 1}]", f"head.at[{place + 2}]")
        dense = {"E": "start + j", "R": "j", "C": "i", "S": "0"}
        strided = {"E": f"i * {row} + j * {column}", "R": f"j * {column}", "C": f"i * {row}", "S": "0"}
        return self._address(k, (dense if i.dense else strided)[i.kind])

    def _kept(self, v: int, index: str) -> str:
        return f"(({self._type(v)} *)(head.at[2] + 8 * {self.kept.index(v)} * rows * cols))[{index}]"

    def _partial(self, v: int, warp: str) -> str:
        """What a warp found of a full reduction."""
        start = f"head.at[2] + 8 * ({len(self.kept)} * rows * cols + {self.totals.index(v)} * head.at[3])"
        return f"(({self._total_type(v)} *)({start}))[{warp}]"

    def _expression(self, v: int) -> str:
        op = self.kernel.operations[v - self.kernel.first]
        place = {"E": "start + j", "R": "j", "C": "i", "S": "0"}[op.kind]
        return expression(op, [f"v{a}" for a in op.args], [self.kernel.dtype(a) for a in op.args], place)

    def _defined(self, v: int) -> str:
        return f"const {self._type(v)} v{v} = {self._expression(v)};"

    # The kernels

    def lines(self) -> Iterator[str]:
        yield f"struct Head {{ long long at[{words(self.kernel)}]; }};"
        names = [grid.name for grid in grids(self.kernel, 1, 1, 1)]
        printed = {"rows_kernel": self._rows, "columns_kernel": self._columns, "finish_kernel": self._finish}
        for name in names:
            yield f"KERNEL {name}(const Head head) {{"
            yield "    const long long rows = head.at[0], cols = head.at[1];"
            yield from _indented(list(printed[name]()))
            yield "}"

    def _scalars(self) -> Iterator[str]:
        """Scalar inputs, constants, and what is computed of them alone: by every thread."""
        k = self.kernel
        for n, dtype in enumerate(k.constants):
            word = f"head.at[{constant_place(n)}]"
            value = f"bits<double>({word})" if dtype.startswith("float") else word
            yield f"const {C_TYPES[dtype]} v{len(k.inputs) + n} = ({C_TYPES[dtype]}){value};"
        yield from (f"const {self._type(n)} v{n} = {self._read(n)};" for n, i in enumerate(k.inputs) if i.kind == "S")
        yield from (self._defined(v) for v, op in self.values if op.kind == "S" and op.sweep == BEFORE)

    def _rows(self) -> Iterator[str]:
        yield from self._scalars()
        for v in self.totals:
            yield f"PER_LANE({self._total_type(v)}, total{v});"
            yield f"LANES {{ IN_LANE(total{v}) = ({self._total_type(v)}){initial(self._op(v))}; }}"
        step = f"(rows * cols + {CHUNK - 1}) / {CHUNK}" if self.flat else "rows"
        yield f"for (long long i = WARP; i < {step}; i += WARPS) {{"
        start, width = ("i * cols", "cols")
        if self.flat:
            start, width = f"i * {CHUNK}", f"(rows * cols - start < {CHUNK} ? rows * cols - start : {CHUNK})"
        yield f"    const long long start = {start}, width = {width};"
        for n, i in enumerate(self.kernel.inputs):
            if i.kind == "C":
                yield f"    const {self._type(n)} v{n} = {self._read(n)};"
        for s in range(self.kernel.sweeps):
            yield from _indented(list(self._sweep(s)))
        yield "}"
        for v in self.totals:
            yield from self._gathered(v, f"total{v}", self._total_type(v))
            yield f"ONE_LANE {self._partial(v, 'WARP')} = REDUCED(total{v});"

    def _op(self, v: int) -> Operation:
        return self.kernel.operations[v - self.kernel.first]

    def _gathered(self, v: int, name: str, type_: str) -> Iterator[str]:
        yield f"REDUCE_LANES({type_}, {name}, {_COMBINE[self._op(v).name]})"

    def _written(self, v: int, index: str) -> list[str]:
        k = self.kernel
        arrays = [len(k.inputs) + o for o, out in enumerate(k.outputs) if out == v]
        return [f"{self._address(a, index)} = v{v};" for a in arrays]

    def _sweep(self, s: int) -> Iterator[str]:
        now = [(v, op) for v, op in self.values if op.sweep == s]
        for v, op in now:
            if op.kind == "C" and not op.over:
                yield self._defined(v)
                yield from (f"ONE_LANE {line}" for line in self._written(v, "i"))
        for v, op in now:
            if op.over == "all" and self.kernel.kind(op.args[0]) == "C":
                yield f"ONE_LANE {{ {self._accumulated(v, f'total{v}', first=True)} }}"
        of_rows = [v for v, op in now if op.over == "row"]
        for v in of_rows:
            yield f"PER_LANE({self._type(v)}, row{v});"
            yield f"LANES {{ IN_LANE(row{v}) = ({self._type(v)}){initial(self._op(v))}; }}"
        body = list(self._body(s))
        if body:
            yield "LANES for (long long j = LANE; j < width; j += 32) {"
            yield from _indented(body)
            yield "}"
        for v in of_rows:
            yield from self._gathered(v, f"row{v}", self._type(v))
            yield f"const {self._type(v)} v{v} = REDUCED(row{v});"
            yield from (f"ONE_LANE {line}" for line in self._written(v, "i"))

    def _accumulated(self, v: int, name: str, first: bool = False) -> str:
        held = f"REDUCED({name})" if first else f"IN_LANE({name})"
        return f"{held} = {accumulate(self._op(v), held, f'v{self._op(v).args[0]}')};"

    def _body(self, s: int) -> Iterator[str]:
        """What is done for each column: all loads come before all stores, for an output may be an input's memory."""
        k, stores, have = self.kernel, list[str](), set[int]()
        for v in k.evaluated(s):
            op = self._op(v)
            for a in op.args:
                if a not in have and k.kind(a) in "ER":
                    made = k.operation(a) is not None
                    yield f"const {self._type(a)} v{a} = {self._kept(a, 'start + j') if made else self._read(a)};"
                have.add(a)
            have.add(v)
            if op.over == "column":
                if (a := op.args[0]) not in k.kept or self._op_sweep(a) == s:
                    stores.append(f"{self._kept(a, 'start + j')} = v{a};")
                continue
            if op.over:
                stores.append(self._accumulated(v, f"{'row' if op.over == 'row' else 'total'}{v}"))
                continue
            yield self._defined(v)
            if op.sweep == s and op.kind == "E":
                stores += [f"{self._kept(v, 'start + j')} = v{v};"] if v in k.kept else []
                stores += self._written(v, "start + j")
        yield from dict.fromkeys(stores)

    def _op_sweep(self, v: int) -> int:
        return self.kernel.sweep(v)

    def _columns(self) -> Iterator[str]:
        yield "LANES for (long long j = WARP * 32 + LANE; j < cols; j += WARPS * 32) {"
        for v, op in self.values:
            if op.over == "column":
                yield f"    {self._type(v)} v{v} = ({self._type(v)}){initial(op)};"
                step = accumulate(op, f"v{v}", self._kept(op.args[0], "i * cols + j"))
                yield f"    for (long long i = 0; i < rows; ++i) v{v} = {step};"
                yield from (f"    {line}" for line in self._written(v, "j"))
        yield "}"

    def _finish(self) -> Iterator[str]:
        yield from self._scalars()
        for v in self.totals:
            type_ = self._total_type(v)
            yield f"PER_LANE({type_}, total{v});"
            yield f"LANES {{ IN_LANE(total{v}) = ({type_}){initial(self._op(v))};"
            step = accumulate(self._op(v), f"IN_LANE(total{v})", self._partial(v, "w"))
            yield f"    for (long long w = LANE; w < head.at[3]; w += 32) IN_LANE(total{v}) = {step}; }}"
            yield from self._gathered(v, f"total{v}", type_)
            yield f"const {self._type(v)} v{v} = ({self._type(v)})REDUCED(total{v});"
        yield from (self._defined(v) for v, op in self.values if op.sweep == AFTER and not op.over)
        for v in dict.fromkeys(self.kernel.outputs):
            if self.kernel.kind(v) == "S":
                yield from (f"ONE_LANE {line}" for line in self._written(v, "0"))
