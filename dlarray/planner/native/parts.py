"""The native functions of a step: each has kernels, products and copies that follow each other."""

from __future__ import annotations

from functools import cache
from math import prod

import numpy as np

from dlarray.planner.kernel.joining import BoundCall
from dlarray.planner.native.blas import ROW_MAJOR, Blas, Product, blas
from dlarray.planner.native.function import Function
from dlarray.planner.native.kernels import KernelCall, Part, printed
from dlarray.planner.native.layout import LANES
from dlarray.planner.native.module import add_symbol
from dlarray.planner.native.pool import Pool
from dlarray.planner.native.table import Table
from dlarray.planner.native.types import TYPES
from dlarray.planner.native.values import Value

__all__ = ["SHARED", "Parts"]

SHARED = 20_000
"""The elements from which on a kernel without totals is computed by two threads."""

_STEPS = {"flat": 64, "wide": 1, "narrow": LANES}
"""The first of two threads has a multiple of so many elements or rows."""


class Parts:
    """Functions ``void name(ptr table)``, call by call."""

    def __init__(self, table: Table, pool: Pool | None) -> None:
        self.functions: list[str] = []
        self.declared: set[str] = set()
        self.words: dict[tuple[int, int], tuple[int, ...]] = {}
        """The words of the table that have the address of an argument, by the numbers of call and argument."""
        self.name = ""
        """The name of the latest function."""
        self.is_new = False
        """Whether the latest call has begun a new function."""
        self.is_shared = False
        """Whether a kernel is computed by two threads of the pool."""
        self._table = table
        self._pool = pool
        self._f: Function | None = None
        self._kernels: dict[tuple[object, str], str] = {}
        self._count = 0

    def add(self, number: int, call: BoundCall) -> bool:
        """Add a call to the current function, or to a new one. False, and the function ends, if it is not native."""
        function, args = call
        if isinstance(function, KernelCall):
            self._begin()
            self._kernel(number, function)
        elif function is np.dot and len(args) == 3 and (product := _product(*args)) is not None:
            self._begin()
            self._product(number, product, *args)
        elif function is np.copyto and _is_plain_copy(*args):
            self._begin()
            self._copy(number, *args)
        else:
            self.end()
            return False
        return True

    def end(self) -> None:
        """End the current function."""
        if self._f is not None:
            self.functions.append(self._f.text())
            self.declared |= self._f.declared
            self._f = None

    def _begin(self) -> None:
        self.is_new = self._f is None
        if self._f is None:
            self._count += 1
            self.name = f"part{self._count}"
            self._f = Function(f"internal void @{self.name}(ptr %table) nounwind")

    @property
    def f(self) -> Function:
        """The current function."""
        assert self._f is not None
        return self._f

    # Kernels

    def _kernel(self, number: int, kernel: KernelCall) -> None:
        layout, call = kernel.layout, kernel.call
        shared = call.kernel.sweeps > 0 and not layout.has_totals and call.rows * call.cols >= SHARED
        if shared and self._pool is not None:
            heads = self._shared_kernel(kernel, self._pool)
        else:
            heads = [kernel.add_head(self._table, 0, kernel.length)]
            self.f.do(f"call void @{self._printed(kernel, 'whole')}(ptr {self._at(heads[0])})")
        for k, word in enumerate(kernel.address_words):
            self.words[number, k] = tuple(head + word for head in heads)

    def _shared_kernel(self, kernel: KernelCall, pool: Pool) -> list[int]:
        """A kernel on two threads, if so many may run; the scalars afterwards, because both read them."""
        self.is_shared = True
        add_symbol("dlarray_threads", pool.threads)
        add_symbol("dlarray_run", pool.run)
        f, length, step = self.f, kernel.length, _STEPS[kernel.layout.shape]
        half = length // 2 // step * step
        heads = [kernel.add_head(self._table, *part) for part in ((0, half), (half, length))]
        name, first = self._printed(kernel, "elements"), self._at(heads[0])
        f.declare("i32 @dlarray_threads()")
        f.declare("i32 @dlarray_run(i32, ptr, ptr, i32)")
        many = Value(f, f.emit("call i32 @dlarray_threads()"), "int32") >= 2
        with f.when(many):
            stride = 8 * (heads[1] - heads[0])
            f.emit(f"call i32 @dlarray_run(i32 2, ptr @{name}, ptr {first}, i32 {stride})")
        with f.when(many ^ True):
            f.do(f"call void @{name}(ptr {first})")
            f.do(f"call void @{name}(ptr {self._at(heads[1])})")
        if kernel.layout.has_scalars:
            f.do(f"call void @{self._printed(kernel, 'scalars')}(ptr {first})")
        return heads

    def _printed(self, kernel: KernelCall, what: Part) -> str:
        """The name of the function of a kernel, or of a part of it. Equal kernels share one."""
        key = kernel.layout, what
        if key not in self._kernels:
            name = self._kernels[key] = f"kernel{len(self._kernels)}"
            text, declared = printed(kernel.layout, what, name)
            self.functions.append(text)
            self.declared |= declared
        return self._kernels[key]

    def _at(self, word: int) -> str:
        return self.f.address("%table", "int64", word)

    # Products and copies

    def _product(self, number: int, product: Product, *arrays: np.ndarray) -> None:
        f, table = self.f, self._table
        words = [table.add_array(array) for array in arrays]
        self.words |= {(number, position): (words[position],) for position in (0, 1)}
        sizes = [f.load("%table", "int64", table.add(n)).typed for n in product.sizes]
        first, second = (f.pointer("%table", words[k]) for k in product.order)
        out = f.pointer("%table", words[2])
        one, two, three = (f.load("%table", "int64", table.add(n)).typed for n in product.leading)
        dtype, codes = TYPES[arrays[2].dtype.name], [f"i32 {c}" for c in (ROW_MAJOR, *product.codes)]
        operands = [f"ptr {first}", one, f"ptr {second}", two, f"{dtype} 0.0", f"ptr {out}", three]
        name = _routines()[product.address]
        arguments = [*codes, *sizes, f"{dtype} 1.0", *operands]
        f.declare(f"void @{name}({', '.join(a.split()[0] for a in arguments)})")
        f.do(f"call void @{name}({', '.join(arguments)})")

    def _copy(self, number: int, *arrays: np.ndarray) -> None:
        f, table = self.f, self._table
        words = [table.add_array(array) for array in arrays]
        self.words[number, 1] = (words[1],)
        to, from_ = (f.pointer("%table", word) for word in words)
        f.copy(to, from_, f.load("%table", "int64", table.add(arrays[0].nbytes)))


def _product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Product | None:
    """The call of BLAS for a product; None if NumPy has to compute it."""
    found = blas()
    if found is None or a.ndim != 2 or b.ndim != 2 or not prod(a.shape) * prod(b.shape):
        return None
    return found.product(a, b, out)


def _is_plain_copy(target: np.ndarray, source: np.ndarray) -> bool:
    """Whether copying bytes is enough; the items of some dtypes are references, which are counted."""
    return (
        target.dtype == source.dtype
        and not target.dtype.hasobject
        and target.size == source.size
        and target.flags.c_contiguous
        and source.flags.c_contiguous
    )


@cache
def _routines() -> dict[int, str]:
    """The names of BLAS's routines in native code, by their addresses."""
    found = blas()
    assert isinstance(found, Blas)
    names = {getattr(found, name): f"dlarray_{name}" for name in ("sgemm", "dgemm", "sgemv", "dgemv")}
    for address, name in names.items():
        add_symbol(name, address)
    return names
