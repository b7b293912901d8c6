"""The interface to a GPU: memory by address, kernels, products, graphs, time.

The CUDA backend implements it with CuPy. All work is queued in order on one stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from dlarray.planner.cuda.launch import Grid

__all__ = ["ALIGNMENT", "Epilogue", "Gpu", "Matrix", "Memory", "Product"]

ALIGNMENT = 256
"""The bytes that every address is a multiple of: what cudaMalloc promises, and enough for the widest accesses."""

Epilogue = Literal["", "bias", "relu", "relu with mask", "bias gradient", "relu gradient"]
"""What cublasLt computes in the same call as a product:

    ""                the product as it is
    bias              a @ b + bias
    relu              max(a @ b + bias, 0)
    relu with mask    the same; a bit for each number above 0 is written to ``mask``
    bias gradient     a @ b; the sum of b over its rows is written to ``bias``
    relu gradient     a @ b where the bit in ``mask`` is set, else 0; its sum over the rows is written to ``bias``
"""


@dataclass(frozen=True)
class Matrix:
    """A matrix in row-major memory, ``pitch`` items from row to row. ``transposed``: its transpose is in memory."""

    address: int
    pitch: int
    transposed: bool = False


@dataclass(frozen=True)
class Product:
    """out = epilogue(a @ b) with a of shape (m, k), b of (k, n), out of (m, n) in rows of n; float32 or float64."""

    m: int
    n: int
    k: int
    dtype: str
    a: Matrix
    b: Matrix
    out: int
    epilogue: Epilogue = ""
    bias: int = 0
    """The address of a vector of n items, read or written, 16-byte aligned."""
    mask: int = 0
    """The address of m rows of ``mask_pitch`` bits."""

    @property
    def mask_pitch(self) -> int:
        """The bits from row to row of the mask: a multiple of 128, as cublasLt requires."""
        return -(-self.n // 128) * 128

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.n * self.k


class Memory(Protocol):
    """Memory on the GPU. It is freed with this object."""

    @property
    def address(self) -> int:
        """The address of its first byte."""
        ...


class Gpu(Protocol):
    """A GPU."""

    @property
    def processors(self) -> int:
        """The number of multiprocessors."""
        ...

    @property
    def coarseness(self) -> int:
        """The rounding of its float32 products in units of float32's: 1, or 8192 with TF32, which keeps 10 bits."""
        ...

    def reserve(self, nbytes: int) -> Memory:
        """Memory filled with 0. Raises MemoryError if there is not enough."""
        ...

    def write(self, address: int, values: np.ndarray) -> None:
        """Copy an array of the host to an address, before what is queued next."""
        ...

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Copy from one address to another, on the GPU."""
        ...

    def compile(self, text: str, names: Sequence[str]) -> list[Any]:
        """Compile a text and return these kernels of it. Raises what the compiler raises."""
        ...

    def launch(self, function: Any, grid: Grid, head: np.ndarray) -> None:
        """Run a kernel with this argument."""
        ...

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function of the library's arrays."""
        ...

    def algorithms(self, product: Product, most: int) -> list[Callable[[], None]]:
        """At most so many ways to compute a product, the likely fastest first; none if its library has none.

        Each queues the product, and can be called under ``record``.
        """
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what ``work`` queues as one graph; the result queues it. Raises if something cannot be recorded.

        Memory that ``work`` allocates belongs to the graph.
        """
        ...

    def seconds(self, work: Callable[[], None]) -> float:
        """The time that the GPU takes for ``work``, the median of several runs."""
        ...

    # The library's arrays

    @property
    def arrays(self) -> tuple[type, ...]:
        """The types of its arrays."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A new contiguous array."""
        ...

    def view(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An array of the library on existing memory; strides in bytes."""
        ...

    def address_of(self, array: Any) -> int:
        """The address of an array's first number."""
        ...

    def in_rows(self, array: Any) -> Any:
        """The array itself if it is contiguous and aligned to its items; else a copy that is."""
        ...

    def to_host(self, array: Any) -> np.ndarray:
        """A copy of the array on the host."""
        ...
