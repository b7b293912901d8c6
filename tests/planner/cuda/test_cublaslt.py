"""Products by cublasLt through the bindings of nvmath: numbers, descriptors, and what is destroyed."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from dataclasses import replace
from itertools import product as every
from typing import Any

import numpy as np
import pytest
from dlarray_cupy.cublaslt import CublasLt

from dlarray.planner.cuda.gpu import Epilogue, Matrix, Memory, Product
from tests.support.gpu import WatchedGpu, to_host

EPILOGUES: list[Epilogue] = ["", "bias", "relu", "relu with mask", "bias gradient", "relu gradient"]
SHAPES = [(1, 5, 3), (6, 1, 4), (1, 1, 1), (7, 1, 1), (1, 129, 2), (5, 3, 7), (16, 128, 8), (33, 130, 17)]
WORKSPACE = 4096


class Bindings:
    """nvmath's bindings of cublasLt. ``live`` has what is made and not destroyed, ``written`` the attributes."""

    def __init__(self) -> None:
        from nvmath.bindings import cublasLt

        self.real: Any = cublasLt
        self.live: list[int] = []
        self.written: dict[str, int] = {}
        self.compute = 0
        self.matmuls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.real, name)
        if name.startswith("get_") or not callable(real) or isinstance(real, type):
            return real

        def call(*args: Any) -> Any:
            result = real(*args)
            if name.endswith("create"):
                self.live.append(result)
            elif name.endswith("destroy"):
                self.live.remove(args[0])
            elif name.endswith("set_attribute"):
                kind = "MatmulDescAttribute" if "desc" in name else "MatmulPreferenceAttribute"
                value = int.from_bytes(ctypes.string_at(args[2], args[3]), "little")
                self.written[getattr(self.real, kind)(args[1]).name] = value
            elif name == "matmul":
                self.matmuls.append(args)
            if name == "matmul_desc_create":
                self.compute = args[0]
            return result

        return call


class Library(CublasLt):
    """cublasLt with a workspace on the GPU; ``lt`` are its bindings."""

    def __init__(self, gpu: WatchedGpu, tf32: bool = False) -> None:
        from nvmath.bindings import cublas

        self.lt = Bindings()
        self.memory: Memory = gpu.reserve(WORKSPACE)
        super().__init__(self.lt, cublas.ComputeType, (self.memory.address, WORKSPACE), gpu._stream, tf32)


def aligned(values: np.ndarray, offset: int = 0) -> Any:
    """A vector on the GPU that starts so many items behind a multiple of 256 bytes."""
    import cupy

    whole = cupy.empty(values.size + offset, values.dtype)
    whole[offset:] = cupy.asarray(values)
    return whole[offset:]


def laid_out(values: np.ndarray, transposed: bool, more: int, offset: int = 0) -> tuple[Any, Matrix]:
    """A matrix in new memory, with ``more`` unused items at the end of each row; they are NaN."""
    seen = values.T if transposed else values
    whole = np.full((seen.shape[0], seen.shape[1] + more), np.nan, values.dtype)
    whole[:, : seen.shape[1]] = seen
    memory = aligned(whole.ravel(), offset)
    return memory, Matrix(memory.data.ptr, whole.shape[1], transposed)


class Case:
    """A product with random numbers, and what it is to give."""

    def __init__(
        self,
        shape: tuple[int, int, int] = (5, 3, 7),
        dtype: str = "float32",
        epilogue: Epilogue = "",
        turned: tuple[bool, bool] = (False, False),
        more: tuple[int, int] = (0, 0),
        offset: int = 0,
    ) -> None:
        m, n, k = shape
        rng = np.random.default_rng(m + 10 * n + 100 * k)
        self.a, self.b = (rng.integers(-3, 4, s).astype(dtype) for s in ((m, k), (k, n)))  # exact in any order
        self.epilogue: Epilogue = epilogue
        self._memory, a = laid_out(self.a, turned[0], more[0], offset)
        self._more, b = laid_out(self.b, turned[1], more[1])
        self.added = rng.integers(-3, 4, n).astype(dtype)
        self.out, self.bias = aligned(np.zeros(m * n, dtype)), aligned(self.added)
        self.bits = rng.random((m, n)) < 0.5
        packed = self.packed(self.bits)
        self.mask = aligned(packed if epilogue == "relu gradient" else np.zeros_like(packed))
        has_mask = epilogue in ("relu with mask", "relu gradient")
        self.product = Product(m, n, k, dtype, a, b, self.out.data.ptr, epilogue)
        self.product = replace(
            self.product,
            bias=self.bias.data.ptr if epilogue else 0,
            mask=self.mask.data.ptr if has_mask else 0,
        )

    @staticmethod
    def packed(bits: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(bits), -(-bits.shape[1] // 128) * 128), bool)
        whole[:, : bits.shape[1]] = bits
        return np.packbits(whole, axis=1, bitorder="little").ravel()

    def check(self, run: Callable[[], None]) -> None:
        """Compare the memory after the product with NumPy."""
        run()
        value = self.a @ self.b
        if self.epilogue in ("bias", "relu", "relu with mask"):
            value = value + self.added
        if self.epilogue == "relu with mask":
            np.testing.assert_array_equal(to_host(self.mask), self.packed(value > 0))
        if self.epilogue in ("relu", "relu with mask"):
            value = np.maximum(value, 0)
        if self.epilogue == "relu gradient":
            value = value * self.bits
            np.testing.assert_array_equal(to_host(self.bias), value.sum(0))
        if self.epilogue == "bias gradient":
            np.testing.assert_array_equal(to_host(self.bias), self.b.sum(0))
        np.testing.assert_array_equal(to_host(self.out).reshape(value.shape), value)


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_numpys(epilogue: Epilogue, dtype: str, gpu: WatchedGpu):
    owner = Library(gpu)
    for shape, *turned, more in every(SHAPES, (False, True), (False, True), ((0, 0), (5, 3))):
        case = Case(shape, dtype, epilogue, (turned[0], turned[1]), more)
        found = owner.algorithms(case.product, 2)
        assert 1 <= len(found) <= 2
        for run in found:
            case.bias[:] = aligned(case.added)
            case.out.fill(7)
            case.check(run)
        if len(found) == 2:
            (*_, first, _, _, _), (*_, second, _, _, _) = owner.lt.matmuls[-2:]
            assert first != second, "the same algorithm ran"


def test_the_workspace_and_the_stream_are_given(gpu: WatchedGpu):
    from cupy.cuda import Stream

    owner, case = Library(gpu), Case()
    (run,) = owner.algorithms(case.product, 1)
    assert owner.lt.written["MAX_WORKSPACE_BYTES"] == WORKSPACE
    with Stream(non_blocking=True) as stream:
        run()
        stream.synchronize()
    assert owner.lt.matmuls[-1][-3:] == (owner.memory.address, WORKSPACE, stream.ptr)


def test_a_gradient_without_a_sum(gpu: WatchedGpu):
    case = Case((5, 130, 7), epilogue="relu gradient")
    owner = Library(gpu)
    owner.algorithms(replace(case.product, bias=0), 1)[0]()
    np.testing.assert_array_equal(to_host(case.out).reshape(5, 130), case.a @ case.b * case.bits)
    np.testing.assert_array_equal(to_host(case.bias), case.added)
    assert owner.lt.written["EPILOGUE"] == owner.lt.Epilogue.DRELU


@pytest.mark.parametrize(("tf32", "dtype", "name"), [
    (False, "float32", "COMPUTE_32F"),
    (True, "float32", "COMPUTE_32F_FAST_TF32"),
    (False, "float64", "COMPUTE_64F"),
    (True, "float64", "COMPUTE_64F"),
])  # fmt: skip
def test_tf32_reaches_the_description(tf32: bool, dtype: str, name: str, gpu: WatchedGpu):
    from nvmath.bindings import cublas

    owner = Library(gpu, tf32)
    assert owner.algorithms(Case(dtype=dtype).product, 1)
    assert owner.lt.compute == cublas.ComputeType[name]


@pytest.mark.parametrize(("offset", "promised"), [(0, 256), (1, 4), (2, 8), (4, 16), (32, 128), (64, 256)])
def test_weaker_alignment_is_stated(offset: int, promised: int, gpu: WatchedGpu):
    """Of a, which is cublasLt's B; the other matrices start on multiples of 256."""
    owner, case = Library(gpu), Case(offset=offset)
    (run,) = owner.algorithms(case.product, 1)
    found = [owner.lt.written[f"MIN_ALIGNMENT_{name}_BYTES"] for name in "ABCD"]
    assert found == [256, promised, 256, 256]
    case.check(run)


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_empty_products_are_left_to_others(shape: tuple[int, int, int], gpu: WatchedGpu):
    m, n, k = shape
    matrices = Matrix(256, max(k, 1)), Matrix(512, max(n, 1))
    assert gpu.algorithms(Product(m, n, k, "float32", *matrices, 768), 4) == []


@pytest.mark.parametrize("dtype", ["int32", "float16", "bool"])
def test_other_types_have_no_algorithms(dtype: str, gpu: WatchedGpu):
    assert gpu.algorithms(replace(Case().product, dtype=dtype), 4) == []


@pytest.mark.parametrize("epilogue", EPILOGUES[1:])
def test_a_bias_must_be_aligned(epilogue: Epilogue, gpu: WatchedGpu):
    owner, product = Library(gpu), Case(epilogue=epilogue).product
    assert owner.algorithms(product, 1)
    owner.lt.written.clear()
    assert owner.algorithms(replace(product, bias=product.bias + 4), 1) == []
    assert owner.lt.written == {}, "cublasLt is not asked"


def test_a_product_that_cublaslt_refuses_has_no_algorithms(gpu: WatchedGpu):
    """Without memory for the mask that its epilogue writes."""
    owner = Library(gpu)
    assert owner.algorithms(replace(Case(epilogue="relu with mask").product, mask=0), 4) == []
    assert len(owner.lt.live) == 1, "the handle alone is alive"


def test_what_is_found_but_unusable_is_left_out(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch):
    owner, case = Library(gpu), Case()
    find, dtype = owner.lt.matmul_algo_get_heuristic, owner.lt.matmul_heuristic_result_dtype
    count: list[int] = []

    def first_fails(*args: Any) -> None:
        find(*args)
        results = (ctypes.c_char * (args[7] * dtype.itemsize)).from_address(args[8])
        np.frombuffer(results, dtype)[0]["state"] = 15
        count.append(ctypes.c_int.from_address(args[9]).value)

    monkeypatch.setattr(owner.lt, "matmul_algo_get_heuristic", first_fails, raising=False)
    found = owner.algorithms(case.product, 8)
    assert len(found) == count[0] - 1
    for run in found:
        case.check(run)


def test_every_object_is_destroyed(gpu: WatchedGpu):
    owner = Library(gpu)
    lt = owner.lt
    cases = [Case(epilogue=epilogue) for epilogue in EPILOGUES]
    kept = [owner.algorithms(case.product, 3) for case in cases]
    del owner
    gc.collect()
    size = 3 * lt.matmul_heuristic_result_dtype.itemsize
    others = [np.full(size, 0xFF, np.uint8) for _ in range(50)]  # in memory that is free
    for case, found in zip(cases, kept, strict=True):  # what they need lives as long as they do
        case.check(found[0])
    assert len(others) == 50
    assert lt.live
    del kept, found
    gc.collect()
    assert lt.live == []
