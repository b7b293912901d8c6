"""Products by cublasLt, called directly: CuPy's wrapper refuses products while a graph is recorded.

Descriptors and algorithms are made beforehand. Each step queues one call, which allocates nothing. cublasLt is
column-major: it sees a row-major matrix as its transpose, so it computes outᵀ = bᵀ aᵀ. Its A is our b, its B our a,
and its bias has an entry for each unit.

Source: NVIDIA's documentation of cublasLt 12 and 13. Tested by nvmath's bindings on an emulated library, which was
written from the same documentation; not on NVIDIA's yet.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from dlarray.planner.cuda.gpu import ALIGNMENT, Epilogue, Matrix, Product

__all__ = ["CublasLt"]

_DATA = {"float32": 0, "float64": 1}  # CUDA_R_32F and CUDA_R_64F of cudaDataType
_COMPUTE = {"float32": "COMPUTE_32F", "float64": "COMPUTE_64F"}
_EPILOGUES: dict[Epilogue, str] = {
    "": "DEFAULT",
    "bias": "BIAS",
    "relu": "RELU_BIAS",
    "relu with mask": "RELU_AUX_BIAS",
    "bias gradient": "BGRADA",
    "relu gradient": "DRELU_BGRAD",
}
BIAS_ALIGNMENT = 16
"""The address of a bias must be a multiple of this many bytes."""


class CublasLt:
    """A handle of cublasLt, through ``nvmath.bindings.cublasLt`` and, for the names of types, ``cublas``."""

    def __init__(
        self, lt: Any, compute_types: Any, workspace: tuple[int, int], stream: Callable[[], int], tf32: bool = False
    ) -> None:
        """``workspace`` is an address and a number of bytes; ``stream`` returns the current stream."""
        self._lt = lt
        self._compute_types = compute_types
        self._workspace = workspace
        self._stream = stream
        self._tf32 = tf32
        self._handle: int = lt.create()
        weakref.finalize(self, lt.destroy, self._handle)

    def algorithms(self, product: Product, most: int) -> list[Callable[[], None]]:
        """Ways to compute a product, the likely fastest first; none if cublasLt has none for it."""
        empty = 0 in (product.m, product.n, product.k)  # it has no layout for empty matrices
        if product.dtype not in _DATA or empty or product.bias % BIAS_ALIGNMENT:
            return []
        call = _Call(self._lt, product, self._compute(product.dtype))
        results = np.zeros(most, self._lt.matmul_heuristic_result_dtype)
        found = np.zeros(1, np.int32)
        with_preference = partial(self._lt.matmul_algo_get_heuristic, self._handle, call.description, *call.layouts)
        try:
            preference = self._preference(product)
            try:
                with_preference(preference, most, results.ctypes.data, found.ctypes.data)
            finally:
                self._lt.matmul_preference_destroy(preference)
        except self._lt.cuBLASLtError:  # not supported: these shapes, with this epilogue, on this GPU
            return []
        fine = [i for i in range(int(found[0])) if results[i]["state"] == 0]
        return [_Algorithm(self, call, results, i) for i in fine]

    def _compute(self, dtype: str) -> int:
        name = "COMPUTE_32F_FAST_TF32" if self._tf32 and dtype == "float32" else _COMPUTE[dtype]
        return int(self._compute_types[name])

    def _preference(self, product: Product) -> int:
        """The workspace, and the alignment of the operands, which cublasLt otherwise assumes to be 256 bytes."""
        lt, made = self._lt, self._lt.matmul_preference_create()
        addresses = {"A": product.b.address, "B": product.a.address, "C": product.out, "D": product.out}
        wanted = {f"MIN_ALIGNMENT_{name}_BYTES": _alignment(where) for name, where in addresses.items()}
        for name, value in {"MAX_WORKSPACE_BYTES": self._workspace[1], **wanted}.items():
            attribute = int(lt.MatmulPreferenceAttribute[name])
            number = np.array([value], lt.get_matmul_preference_attribute_dtype(attribute))
            lt.matmul_preference_set_attribute(made, attribute, number.ctypes.data, number.nbytes)
        return made

    def run(self, call: _Call, algorithm: int) -> None:
        """Queue a product by the algorithm at an address."""
        one, zero = call.scalars.ctypes.data, call.scalars.ctypes.data + call.scalars.itemsize
        a, b, _, out = call.layouts
        p = call.product
        self._lt.matmul(
            self._handle,
            call.description,
            one,
            *(p.b.address, a),
            *(p.a.address, b),
            zero,
            *(p.out, out),
            *(p.out, out),
            algorithm,
            *self._workspace,
            self._stream(),
        )


class _Algorithm:
    """One way to compute a product. Keeps alive the memory that its addresses point to."""

    def __init__(self, owner: CublasLt, call: _Call, results: np.ndarray, i: int) -> None:
        self._owner, self._call, self._results = owner, call, results
        self._address = int(results.ctypes.data) + i * results.itemsize  # the algorithm is the result's first field

    def __call__(self) -> None:
        self._owner.run(self._call, self._address)


class _Call:
    """The descriptors of a product, destroyed with this object."""

    def __init__(self, lt: Any, product: Product, compute: int) -> None:
        self.product = product
        self.scalars = np.array([1, 0], product.dtype)
        self.description: int = lt.matmul_desc_create(compute, _DATA[product.dtype])
        self._finalizers = [weakref.finalize(self, lt.matmul_desc_destroy, self.description)]
        for name, value in self._attributes(product).items():
            attribute = int(lt.MatmulDescAttribute[name])
            given = lt.Epilogue[value] if isinstance(value, str) else value
            number = np.array([int(given)], lt.get_matmul_desc_attribute_dtype(attribute))
            lt.matmul_desc_set_attribute(self.description, attribute, number.ctypes.data, number.nbytes)
        m, n, k = product.m, product.n, product.k
        out = self._layout(lt, Matrix(product.out, n), m, n)
        self.layouts = (self._layout(lt, product.b, k, n), self._layout(lt, product.a, m, k), out, out)

    def _attributes(self, p: Product) -> dict[str, int | str]:
        """cublasLt's A is our b. Row-major is column-major transposed, twice, so ``transposed`` keeps its meaning."""
        epilogue = "DRELU" if p.epilogue == "relu gradient" and not p.bias else _EPILOGUES[p.epilogue]
        found: dict[str, int | str] = {"TRANSA": int(p.b.transposed), "TRANSB": int(p.a.transposed)}
        found["EPILOGUE"] = epilogue
        if p.bias:
            found["BIAS_POINTER"] = p.bias
        if p.mask:
            found |= {"EPILOGUE_AUX_POINTER": p.mask, "EPILOGUE_AUX_LD": p.mask_pitch}
        return found

    def _layout(self, lt: Any, matrix: Matrix, rows: int, cols: int) -> int:
        """The matrix in memory, column-major: cublasLt's columns are our rows."""
        height, width = (rows, cols) if matrix.transposed else (cols, rows)
        made: int = lt.matrix_layout_create(_DATA[self.product.dtype], height, width, matrix.pitch)
        self._finalizers.append(weakref.finalize(self, lt.matrix_layout_destroy, made))
        return made


def _alignment(address: int) -> int:
    """The largest power of two, up to 256, that divides an address."""
    return min(address & -address, ALIGNMENT) if address else ALIGNMENT
