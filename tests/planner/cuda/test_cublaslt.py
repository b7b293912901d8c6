"""cublasLt's descriptors and calls: on a fake library against NumPy, and against the real one's host side."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from itertools import product as every
from typing import Any

import numpy as np
import pytest
from dlarray_cupy.cublaslt import CublasLt

from dlarray.planner.cuda.gpu import Epilogue, Matrix, Product
from tests.fakes import cublaslt as fake_cublaslt
from tests.fakes.cublaslt import ComputeType, FakeLt

EPILOGUES: list[Epilogue] = ["", "bias", "relu", "relu with mask", "bias gradient", "relu gradient"]
SHAPES = [(1, 5, 3), (6, 1, 4), (1, 1, 1), (7, 1, 1), (1, 129, 2), (5, 3, 7), (16, 128, 8), (33, 130, 17)]
WORKSPACE = 512 * 2**20


def library(lt: Any, tf32: bool = False) -> CublasLt:
    return CublasLt(lt, ComputeType, (WORKSPACE, 4096), lambda: 0, tf32)


def aligned(n: int, dtype: Any, offset: int = 0) -> np.ndarray:
    """A vector that starts so many items behind a multiple of 256 bytes."""
    size = np.dtype(dtype).itemsize
    whole = np.zeros(n * size + 512 + offset * size, np.uint8)
    start = -whole.ctypes.data % 256 + offset * size
    return whole[start : start + n * size].view(dtype)


def laid_out(values: np.ndarray, transposed: bool, more: int, offset: int = 0) -> tuple[np.ndarray, Matrix]:
    """A matrix in new memory, with ``more`` unused items at the end of each row; they are NaN."""
    seen = values.T if transposed else values
    pitch = seen.shape[1] + more
    memory = aligned(seen.shape[0] * pitch, values.dtype, offset)
    memory[:] = np.nan
    memory.reshape(seen.shape[0], pitch)[:, : seen.shape[1]] = seen
    return memory, Matrix(memory.ctypes.data, pitch, transposed)


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
        self.out, self.bias = aligned(m * n, dtype), aligned(n, dtype)
        self.bias[:] = rng.integers(-3, 4, n)
        self.mask = aligned(m * -(-n // 128) * 16, np.uint8)
        self.bits = rng.random((m, n)) < 0.5
        if epilogue == "relu gradient":
            self.mask[:] = self.packed(self.bits)
        has_mask = epilogue in ("relu with mask", "relu gradient")
        self.product = Product(m, n, k, dtype, a, b, self.out.ctypes.data, epilogue)
        self.product = replace(
            self.product,
            bias=self.bias.ctypes.data if epilogue else 0,
            mask=self.mask.ctypes.data if has_mask else 0,
        )

    @staticmethod
    def packed(bits: np.ndarray) -> np.ndarray:
        whole = np.zeros((len(bits), -(-bits.shape[1] // 128) * 128), bool)
        whole[:, : bits.shape[1]] = bits
        return np.packbits(whole, axis=1, bitorder="little").ravel()

    def check(self) -> None:
        """Compare the memory after the product with NumPy."""
        value, added = self.a @ self.b, self._added
        if self.epilogue in ("bias", "relu", "relu with mask"):
            value = value + added
        if self.epilogue == "relu with mask":
            np.testing.assert_array_equal(self.mask, self.packed(value > 0))
        if self.epilogue.startswith("relu") and self.epilogue != "relu gradient":
            value = np.maximum(value, 0)
        if self.epilogue == "relu gradient":
            value = value * self.bits
            np.testing.assert_array_equal(self.bias, value.sum(0))
        if self.epilogue == "bias gradient":
            np.testing.assert_array_equal(self.bias, self.b.sum(0))
        np.testing.assert_array_equal(self.out.reshape(value.shape), value)

    def run(self, algorithm: Any) -> None:
        self._added = self.bias.copy()
        algorithm()


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_numpys(epilogue: Epilogue, dtype: str):
    lt = FakeLt()
    owner = library(lt)
    for shape, *turned, a, b in every(SHAPES, (False, True), (False, True), (0, 5), (0, 3)):
        case = Case(shape, dtype, epilogue, (turned[0], turned[1]), (a, b))
        found = owner.algorithms(case.product, 2)
        assert len(found) == 2
        case.run(found[1])
        case.check()
        assert lt.calls[-1][1] == 1, "another algorithm ran"


def test_a_gradient_without_a_sum():
    case = Case((5, 130, 7), epilogue="relu gradient")
    lt = FakeLt()
    untouched = case.bias.copy()
    case.run(library(lt).algorithms(replace(case.product, bias=0), 1)[0])
    np.testing.assert_array_equal(case.out.reshape(5, 130), case.a @ case.b * case.bits)
    np.testing.assert_array_equal(case.bias, untouched)
    assert lt.calls[-1][0] is fake_cublaslt.Epilogue.DRELU


@pytest.mark.parametrize(("tf32", "dtype", "name"), [
    (False, "float32", "COMPUTE_32F"),
    (True, "float32", "COMPUTE_32F_FAST_TF32"),
    (False, "float64", "COMPUTE_64F"),
    (True, "float64", "COMPUTE_64F"),
])  # fmt: skip
def test_tf32_reaches_the_description(tf32: bool, dtype: str, name: str):
    lt = FakeLt()
    found = library(lt, tf32).algorithms(Case(dtype=dtype).product, 1)
    descriptions = [thing for thing in lt.live.values() if isinstance(thing, dict) and "compute" in thing]
    assert [thing["compute"].name for thing in descriptions] == [name]
    assert found


@pytest.mark.parametrize(("offset", "promised"), [(0, 256), (1, 4), (2, 8), (4, 16), (32, 128), (64, 256)])
def test_weaker_alignment_is_stated(offset: int, promised: int):
    lt = FakeLt()
    case = Case(offset=offset)
    (run,) = library(lt).algorithms(case.product, 1)
    (description,) = [thing for thing in lt.live.values() if isinstance(thing, dict)]
    assert sorted(description["aligned"].values()) == sorted([256, promised, 256])  # of a, of b, of what is written
    case.run(run)  # the fake refuses what is less aligned than promised
    case.check()


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_empty_products_are_left_to_others(shape: tuple[int, int, int]):
    m, n, k = shape
    lt = FakeLt()
    matrices = Matrix(256, max(k, 1)), Matrix(512, max(n, 1))
    assert library(lt).algorithms(Product(m, n, k, "float32", *matrices, 768), 4) == []


@pytest.mark.parametrize("dtype", ["int32", "float16", "bool"])
def test_other_types_have_no_algorithms(dtype: str):
    assert library(FakeLt()).algorithms(replace(Case().product, dtype=dtype), 4) == []


@pytest.mark.parametrize("epilogue", EPILOGUES[1:])
def test_a_bias_must_be_aligned(epilogue: Epilogue):
    product = Case(epilogue=epilogue).product
    assert library(FakeLt()).algorithms(product, 1)
    assert library(FakeLt()).algorithms(replace(product, bias=product.bias + 4), 1) == []


def test_a_refused_epilogue_has_no_algorithms():
    lt = FakeLt(refuses=(fake_cublaslt.Epilogue.RELU_BIAS,))
    owner = library(lt)
    assert owner.algorithms(Case(epilogue="relu").product, 4) == []
    assert len(owner.algorithms(Case(epilogue="bias").product, 4)) == 3


def test_what_is_found_but_unusable_is_left_out():
    lt = FakeLt()
    find = lt.matmul_algo_get_heuristic

    def second_fails(*args: Any) -> None:
        find(*args)
        fake_cublaslt._vector(args[8], args[7], lt.matmul_heuristic_result_dtype)[1]["state"] = 15

    lt.matmul_algo_get_heuristic = second_fails  # type: ignore[method-assign]
    case = Case()
    found = library(lt).algorithms(case.product, 8)
    assert len(found) == 2
    case.run(found[1])
    assert lt.calls[-1][1] == 2


def test_every_object_is_destroyed():
    lt = FakeLt(refuses=(fake_cublaslt.Epilogue.BGRADA,))
    owner = library(lt)
    cases = [Case(epilogue=epilogue) for epilogue in EPILOGUES]
    kept = [owner.algorithms(case.product, 3) for case in cases]
    del owner
    gc.collect()
    for case, found in zip(cases, kept, strict=True):  # what they need lives as long as they do
        for run in found:
            case.run(run)
    assert lt.live
    run = None
    found = kept = None
    gc.collect()
    assert lt.live == {}


# The real one


@pytest.fixture(scope="module")
def on_host(real: Any) -> Any:
    """cublasLt's host side, which needs no GPU; it can be loaded if there is a file named libcuda.so.1."""
    try:
        real.get_version()
    except RuntimeError as error:
        pytest.skip(f"cublasLt cannot be loaded: {error}")
    return real


DESCRIPTION = [
    "COMPUTE_TYPE",
    "SCALE_TYPE",
    "TRANSA",
    "TRANSB",
    "EPILOGUE",
    "BIAS_POINTER",
    "EPILOGUE_AUX_POINTER",
    "EPILOGUE_AUX_LD",
]


def asked(lt: Any, what: str, attributes: Any, thing: int, name: str) -> int:
    number = int(attributes[name])
    value = np.zeros(1, getattr(lt, f"get_{what}_attribute_dtype")(number))
    written = np.zeros(1, np.uint64)
    get = getattr(lt, f"{what}_get_attribute")
    get(thing, number, value.ctypes.data, value.nbytes, written.ctypes.data)
    return int(value[0])


@pytest.fixture
def calls(on_host: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The calls that are made for a product, by the real library, with a handle and a search of nobody's."""
    from dlarray_cupy.cublaslt import _Call

    return lambda product, compute="COMPUTE_32F": _Call(on_host, product, int(ComputeType[compute]))


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("turned", list(every((False, True), (False, True))))
def test_the_real_library_takes_the_descriptions(on_host: Any, calls: Any, epilogue: Epilogue, turned: Any):
    case = Case((6, 130, 7), "float32", epilogue, turned, (2, 3))
    call = calls(case.product, "COMPUTE_32F_FAST_TF32")
    attributes = on_host.MatmulDescAttribute
    found = {n: asked(on_host, "matmul_desc", attributes, call.description, n) for n in DESCRIPTION}
    p = case.product
    names = ("DEFAULT", "BIAS", "RELU_BIAS", "RELU_AUX_BIAS", "BGRADA", "DRELU_BGRAD")
    assert found == {
        "COMPUTE_TYPE": ComputeType.COMPUTE_32F_FAST_TF32,
        "SCALE_TYPE": 0,
        "TRANSA": turned[1],
        "TRANSB": turned[0],
        "EPILOGUE": on_host.Epilogue[dict(zip(EPILOGUES, names, strict=True))[epilogue]],
        "BIAS_POINTER": p.bias,
        "EPILOGUE_AUX_POINTER": p.mask,
        "EPILOGUE_AUX_LD": 256 if p.mask else 0,
    }
    layouts = [
        [asked(on_host, "matrix_layout", on_host.MatrixLayoutAttribute, x, n) for n in ("ROWS", "COLS", "LD", "ORDER")]
        for x in call.layouts
    ]
    b, a = ((7, 130) if turned[1] else (130, 7)), ((6, 7) if turned[0] else (7, 6))
    assert layouts == [[*b, b[0] + 3, 0], [*a, a[0] + 2, 0], [130, 6, 130, 0], [130, 6, 130, 0]]


def test_the_real_library_takes_the_preference(on_host: Any):
    owner = CublasLt.__new__(CublasLt)
    owner._lt, owner._workspace = on_host, (0, 32 << 20)
    preference = owner._preference(Case(offset=1).product)
    attributes = on_host.MatmulPreferenceAttribute
    names = ["MAX_WORKSPACE_BYTES", *(f"MIN_ALIGNMENT_{x}_BYTES" for x in "ABCD")]
    found = [asked(on_host, "matmul_preference", attributes, preference, name) for name in names]
    on_host.matmul_preference_destroy(preference)
    assert found == [32 << 20, 256, 4, 256, 256]
