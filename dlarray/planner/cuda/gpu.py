"""What a GPU does for the planner: memory by address, kernels, products, graphs, time.

A backend brings one, of CuPy's parts; tests bring one of NumPy's. All work is queued, in order, on one stream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from dlarray.planner.cuda.launch import Grid

__all__ = ["ALIGNMENT", "Epilogue", "Gpu", "Matrix", "Memory", "Product"]

ALIGNMENT = 256
"""Bytes on a multiple of which everything starts: what cudaMalloc promises, and the widest accesses want."""

Epilogue = Literal["", "bias", "relu", "relu with mask", "bias gradient", "relu gradient"]
"""What cublasLt does with a product while it has it, beside writing it:

    ""                the product as it is
    bias              a @ b + bias
    relu              max(a @ b + bias, 0)
    relu with mask    the same; a bit for each number above 0 goes to ``mask``
    bias gradient     a @ b; the sum of b over its rows goes to ``bias``
    relu gradient     a @ b where the bit in ``mask`` is set, else 0; its sum over the rows goes to ``bias``
"""


@dataclass(frozen=True)
class Matrix:
    """Rows and columns in row-major memory, ``pitch`` items from row to row; ``transposed``: read the other way."""

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
        """The bits from row to row of the mask: cublasLt wants a multiple of 128."""
        return -(-self.n // 128) * 128

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.m * self.n * self.k


class Memory(Protocol):
    """Memory on the GPU, there as long as this object."""

    @property
    def address(self) -> int:
        """Where it begins."""
        ...


class Gpu(Protocol):
    """A GPU, or what stands for one."""

    @property
    def processors(self) -> int:
        """How many multiprocessors there are."""
        ...

    @property
    def coarseness(self) -> int:
        """How many times as hard as float32 its products of float32 round: 1, or 8192 in TF32, of 10 bits."""
        ...

    def reserve(self, nbytes: int) -> Memory:
        """Memory that is 0 everywhere. Raises MemoryError where there is not so much."""
        ...

    def write(self, address: int, values: np.ndarray) -> None:
        """Numbers of the host to an address, before what is queued next."""
        ...

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """From one address to another, on the GPU."""
        ...

    def compile(self, text: str, names: Sequence[str]) -> list[Any]:
        """The kernels of a text by name. Raises what the compiler raises."""
        ...

    def launch(self, function: Any, grid: Grid, head: np.ndarray) -> None:
        """Run a kernel with this argument."""
        ...

    def algorithms(self, product: Product, most: int) -> list[Callable[[], None]]:
        """Ways to compute a product, at most so many, the likeliest first; none where its library has none.

        Each queues it and may do so under ``record``.
        """
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What the work queues, as one graph that is queued at once. Raises where something cannot be recorded."""
        ...

    def seconds(self, work: Callable[[], None]) -> float:
        """The time that the GPU takes for it, in the middle of many times."""
        ...

    # The library's arrays

    @property
    def arrays(self) -> tuple[type, ...]:
        """The types of its arrays."""
        ...

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A new array, in rows."""
        ...

    def view(self, address: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """An array of the library that looks at memory; strides in bytes."""
        ...

    def address_of(self, array: Any) -> int:
        """Where an array's first number lies."""
        ...

    def in_rows(self, array: Any) -> Any:
        """The array itself where its rows lie one behind the other and are aligned to their items; else such a copy."""
        ...

    def to_host(self, array: Any) -> np.ndarray:
        """A copy of its numbers on the host."""
        ...
