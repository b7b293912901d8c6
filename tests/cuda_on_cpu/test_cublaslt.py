# SPDX-License-Identifier: BSD-3-Clause
"""The emulated cublasLt through nvmath's bindings: what it computes, and what it refuses as the real library does."""

from __future__ import annotations

from importlib import import_module
from itertools import product as every
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

F32, F64, F16, C32 = 0, 1, 2, 4  # of cudaDataType
COMPUTE = {F32: 68, F64: 70, F16: 68, C32: 68}
NUMPY = {F32: "float32", F64: "float64", F16: "float16", C32: "complex64"}
SHAPES = [(1, 1, 1), (5, 3, 7), (130, 6, 33), (8, 129, 4)]
EPILOGUES = ["DEFAULT", "BIAS", "RELU", "RELU_BIAS", "RELU_AUX", "RELU_AUX_BIAS", "DRELU", "DRELU_BGRAD", "BGRADA"]
EPILOGUES += ["BGRADB", "GELU", "GELU_BIAS", "GELU_AUX", "GELU_AUX_BIAS", "DGELU", "DGELU_BGRAD"]
WORKSPACE = 1 << 20


@pytest.fixture
def lt(cupy: Any) -> Any:
    pytest.importorskip("nvmath.bindings", reason="nvmath-python is not installed")
    return import_module("nvmath.bindings.cublasLt")


class Call:
    """D = epilogue(op(A) op(B)), with all that describes it. Matrices are in column-major order."""

    def __init__(self, cupy: Any, lt: Any, shape: tuple[int, int, int] = (5, 3, 7), kind: int = F32, **options: Any):
        self.cupy, self.lt, self.kind = cupy, lt, kind
        self.epilogue: str = options.pop("epilogue", "DEFAULT")
        turned = options.pop("turned", (False, False))
        m, n, k = self.shape = shape
        rng = np.random.default_rng(sum(shape))
        integers = lambda *size: rng.integers(-3, 4, size).astype(NUMPY[kind])  # noqa: E731 - exact in any order
        self.a, self.b, self.bias = integers(m, k), integers(k, n), integers(n if "BGRADB" in self.epilogue else m)
        self.bits = rng.random((-(-m // 128) * 128, n)) < 0.5
        self.before = rng.normal(size=(-(-m // 8) * 8, n)).astype(NUMPY[kind])
        self.memory = [self.on_gpu(x.T if t else x) for x, t in zip((self.a, self.b), turned, strict=True)]
        self.out = cupy.full((m, n), 7, NUMPY[kind], order="F")
        self.gpu_bias = cupy.asarray(self.bias)
        gelu = "GELU" in self.epilogue
        aux = self.before if gelu else np.packbits(self.bits, axis=0, bitorder="little")
        self.aux = self.on_gpu(aux if self.epilogue.startswith("D") and self.epilogue != "DEFAULT" else aux * 0)
        self.handle = lt.create()
        self.description = lt.matmul_desc_create(options.pop("compute", COMPUTE[kind]), options.pop("scale", kind))
        set_ = self.set
        set_("TRANSA", int(turned[0]))
        set_("TRANSB", int(turned[1]))
        set_("EPILOGUE", int(lt.Epilogue[self.epilogue]))
        if "BIAS" in self.epilogue or "BGRAD" in self.epilogue:
            set_("BIAS_POINTER", self.gpu_bias.data.ptr)
        if "AUX" in self.epilogue or self.epilogue.startswith(("DRELU", "DGELU")):
            set_("EPILOGUE_AUX_POINTER", self.aux.data.ptr)
            set_("EPILOGUE_AUX_LD", len(self.before if gelu else self.bits))
        layouts = [self.layout(*x.shape) for x in (*self.memory, self.out)]
        self.layouts = [*layouts, layouts[-1]]
        self.preference = lt.matmul_preference_create()
        self.prefer("MAX_WORKSPACE_BYTES", WORKSPACE)
        self.workspace = cupy.empty(WORKSPACE, "uint8")

    def on_gpu(self, values: np.ndarray) -> Any:
        return self.cupy.asfortranarray(self.cupy.asarray(values))

    def layout(self, rows: int, cols: int, leading: int | None = None) -> int:
        return self.lt.matrix_layout_create(self.kind, rows, cols, rows if leading is None else leading)

    def set(self, name: str, value: int) -> None:
        attribute = self.lt.MatmulDescAttribute[name]
        number = np.array([value], self.lt.get_matmul_desc_attribute_dtype(attribute))
        self.lt.matmul_desc_set_attribute(self.description, attribute, number.ctypes.data, number.nbytes)

    def prefer(self, name: str, value: int) -> None:
        attribute = self.lt.MatmulPreferenceAttribute[name]
        number = np.array([value], self.lt.get_matmul_preference_attribute_dtype(attribute))
        self.lt.matmul_preference_set_attribute(self.preference, attribute, number.ctypes.data, number.nbytes)

    def algorithms(self, most: int = 8) -> list[np.ndarray]:
        """Each is an array of one result, which begins with the algorithm."""
        results, found = np.zeros(most, self.lt.matmul_heuristic_result_dtype), np.zeros(1, np.int32)
        self.lt.matmul_algo_get_heuristic(
            *(self.handle, self.description, *self.layouts, self.preference, most),
            *(results.ctypes.data, found.ctypes.data),
        )
        return [results[i : i + 1] for i in range(found[0])]

    def run(self, algorithm: np.ndarray | None = None, workspace: int | None = None, **given: int) -> None:
        scalars = np.array([1, 0], NUMPY[self.kind] if self.kind != F16 else "float32")
        a, b = (x.data.ptr for x in self.memory)
        out = given.get("out", self.out.data.ptr)
        size = WORKSPACE if workspace is None else workspace
        self.lt.matmul(
            *(self.handle, self.description, scalars.ctypes.data, given.get("a", a), self.layouts[0]),
            *(b, self.layouts[1], scalars.ctypes.data + scalars.itemsize, out, self.layouts[2], out, self.layouts[3]),
            *(0 if algorithm is None else algorithm.ctypes.data, self.workspace.data.ptr if size else 0, size),
            self.cupy.cuda.get_current_stream().ptr,
        )


def gelu(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_derivative(x: np.ndarray) -> np.ndarray:
    h = 1e-5
    return (gelu(x + h) - gelu(x - h)) / (2 * h)


def check(call: Call) -> None:
    """Compare the memory after the product with NumPy."""
    m = call.shape[0]
    name, value = call.epilogue, call.a.astype("complex128" if call.kind == C32 else "float64") @ call.b
    rtol = {F32: 1e-5, F64: 1e-12, F16: 1e-3, C32: 1e-5}[call.kind] if "GELU" in name else 0
    bias, aux = call.gpu_bias.get(), call.aux.get()
    if "BIAS" in name:
        value = value + call.bias[:, None]
    if "AUX" in name and "GELU" in name:
        np.testing.assert_array_equal(aux[:m], value.astype(NUMPY[call.kind]))
    elif "AUX" in name:
        np.testing.assert_array_equal(np.unpackbits(aux, axis=0, bitorder="little")[:m], value > 0)
    if name.startswith("RELU"):
        value = np.maximum(value, 0)
    elif name.startswith("GELU"):
        value = gelu(value)
    elif name.startswith("DRELU"):
        value = value * call.bits[:m]
    elif name.startswith("DGELU"):
        value = value * gelu_derivative(call.before[:m].astype("float64"))
    sums = {"D": value.sum(1), "BGRADA": call.a.sum(1), "BGRADB": call.b.sum(0)}
    if "BGRAD" in name:
        np.testing.assert_allclose(bias, sums.get(name, sums["D"]), rtol=rtol, atol=rtol * 100)
    else:
        np.testing.assert_array_equal(bias, call.bias)
    np.testing.assert_allclose(call.out.get(), value.astype(NUMPY[call.kind]), rtol=rtol, atol=rtol * 10)


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("kind", [F32, F64])
def test_epilogues(cupy: Any, lt: Any, epilogue: str, kind: int):
    for shape, *turned in every(SHAPES, (False, True), (False, True)):
        call = Call(cupy, lt, shape, kind, epilogue=epilogue, turned=tuple(turned))
        if kind == F64 and "GELU" in epilogue:
            with pytest.raises(lt.cuBLASLtError, match="NOT_SUPPORTED"):
                call.algorithms()
            return
        call.run(call.algorithms()[0])
        check(call)


@pytest.mark.parametrize("kind", [F16, C32])
@pytest.mark.parametrize("turned", list(every((False, True), (False, True))))
def test_other_types(cupy: Any, lt: Any, kind: int, turned: tuple[bool, bool]):
    call = Call(cupy, lt, kind=kind, turned=turned, **({"scale": F32} if kind == F16 else {}))
    call.run()
    check(call)


def test_algorithms_differ_in_rounding_only(cupy: Any, lt: Any):
    call = Call(cupy, lt, (9, 11, 300))
    call.memory = [
        call.on_gpu(np.random.default_rng(0).normal(size=x.shape).astype("float32")) for x in (call.a, call.b)
    ]
    exact = call.memory[0].get().astype("float64") @ call.memory[1].get()
    found = []
    for algorithm in call.algorithms():
        call.run(algorithm)
        np.testing.assert_allclose(call.out.get(), exact, rtol=1e-4, atol=1e-4)
        found.append(call.out.get().tobytes())
        call.run(algorithm)
        assert call.out.get().tobytes() == found[-1], "an algorithm does not give the same digits twice"
    assert len(set(found)) == len(found) == 4


def test_workspaces(cupy: Any, lt: Any):
    call = Call(cupy, lt, (9, 11, 300))
    needed = [int(x["workspace_size"][0]) for x in call.algorithms()]
    assert needed == [0, 0, 4 * 9 * 11 * 4, 8 * 9 * 11 * 4]
    assert len(call.algorithms(3)) == 3
    with_workspace = call.algorithms()[2]
    with pytest.raises(lt.cuBLASLtError, match="INVALID_VALUE"):
        call.run(with_workspace, needed[2] - 1)
    with pytest.raises(lt.cuBLASLtError, match="INVALID_VALUE"):
        call.run(with_workspace, 0)
    call.run(with_workspace, needed[2])
    check(call)
    call.prefer("MAX_WORKSPACE_BYTES", 0)
    assert [int(x["workspace_size"][0]) for x in call.algorithms()] == [0, 0]
    call.workspace = call.workspace[16:]
    with pytest.raises(lt.cuBLASLtError, match="INVALID_VALUE"):
        call.run()


def test_less_alignment_than_promised(cupy: Any, lt: Any):
    call = Call(cupy, lt)
    call.memory[0] = cupy.empty(36, "float32")[1:].reshape(5, 7, order="F")
    call.memory[0][...] = cupy.asarray(call.a)
    with pytest.raises(lt.cuBLASLtError, match="INVALID_VALUE"):
        call.run(call.algorithms()[0])
    call.prefer("MIN_ALIGNMENT_A_BYTES", 4)
    call.run(call.algorithms()[0])
    check(call)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda c: c.set("EPILOGUE", 3), "INVALID_VALUE"),
        (lambda c: c.set("TRANSA", 3), "INVALID_VALUE"),
        (lambda c: c.set("TRANSA", 1), "INVALID_VALUE"),  # the shapes do not fit any more
        (lambda c: c.set("EPILOGUE_AUX_LD", 64), "INVALID_VALUE"),
        (lambda c: c.set("EPILOGUE_AUX_LD", 0), "INVALID_VALUE"),
        (lambda c: c.set("BIAS_POINTER", c.gpu_bias.data.ptr + 4), "NOT_SUPPORTED"),
        (lambda c: c.set("BIAS_DATA_TYPE", F16), "NOT_SUPPORTED"),
        (lambda c: c.set("COMPUTE_TYPE", 70), "NOT_SUPPORTED"),
        (lambda c: c.set("SCALE_TYPE", F64), "NOT_SUPPORTED"),
        (lambda c: c.layouts.__setitem__(0, c.layout(5, 7, 4)), "INVALID_VALUE"),
        (lambda c: c.layouts.__setitem__(3, c.layout(5, 4)), "INVALID_VALUE"),
        (lambda c: c.layouts.__setitem__(1, c.layout(7, 0)), "INVALID_VALUE"),
    ],
)
def test_what_is_refused(cupy: Any, lt: Any, change: Any, status: str):
    call = Call(cupy, lt, epilogue="RELU_AUX_BIAS")
    assert len(call.algorithms())
    change(call)
    with pytest.raises(lt.cuBLASLtError, match=status):
        call.algorithms()
    with pytest.raises(lt.cuBLASLtError, match=status):
        call.run()


def test_missing_addresses(cupy: Any, lt: Any):
    for epilogue, attribute in (("BIAS", "BIAS_POINTER"), ("RELU_AUX", "EPILOGUE_AUX_POINTER")):
        call = Call(cupy, lt, epilogue=epilogue)
        call.set(attribute, 0)
        assert len(call.algorithms())
        with pytest.raises(lt.cuBLASLtError, match="INVALID_VALUE"):
            call.run()
    with pytest.raises(lt.cuBLASLtError, match="INVALID_VALUE"):
        Call(cupy, lt).run(a=0)
    with pytest.raises(lt.cuBLASLtError, match="INVALID_VALUE"):
        Call(cupy, lt).run(np.zeros(64, "uint8"))


def test_a_product_is_queued_and_captured(cupy: Any, lt: Any):
    call = Call(cupy, lt, epilogue="BIAS")
    with emulator.order("late"), cupy.cuda.Stream(non_blocking=True) as stream:
        call.gpu_bias[...] = cupy.asarray(call.bias)
        stream.synchronize()
        stream.begin_capture()
        call.run()
        graph = stream.end_capture()
        call.out[...] = 7
        graph.launch(stream)
        stream.synchronize()
    check(call)
