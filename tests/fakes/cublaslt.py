"""A fake cublasLt: the functions of ``nvmath.bindings.cublasLt`` that dlarray calls, on the host's memory.

Written from NVIDIA's documentation, in its terms: column-major matrices with a leading dimension, D = epilogue(
op(A) op(B)), a bias with an entry for each row of D. It uses nothing of dlarray.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from itertools import count
from typing import Any

import numpy as np


class MatmulDescAttribute(IntEnum):
    COMPUTE_TYPE = 0
    TRANSA = 3
    TRANSB = 4
    EPILOGUE = 7
    BIAS_POINTER = 8
    EPILOGUE_AUX_POINTER = 11
    EPILOGUE_AUX_LD = 12


class MatmulPreferenceAttribute(IntEnum):
    MAX_WORKSPACE_BYTES = 1
    MIN_ALIGNMENT_A_BYTES = 5
    MIN_ALIGNMENT_B_BYTES = 6
    MIN_ALIGNMENT_C_BYTES = 7
    MIN_ALIGNMENT_D_BYTES = 8


class Epilogue(IntEnum):
    DEFAULT = 1
    BIAS = 4
    RELU_BIAS = 6
    RELU_AUX_BIAS = 134
    DRELU = 136
    DRELU_BGRAD = 152
    BGRADA = 256


class ComputeType(IntEnum):
    COMPUTE_32F = 68
    COMPUTE_64F = 70
    COMPUTE_32F_FAST_TF32 = 77


class cuBLASLtError(Exception):
    pass


matmul_heuristic_result_dtype = np.dtype(
    [
        ("algo", [("data_", "<u8", (8,))]),
        ("workspace_size", "<u8"),
        ("state", "<i4"),
        ("waves_count", "<f4"),
        ("reserved", "<i4", (4,)),
    ]
)
_DESC = {3: np.int32, 4: np.int32, 7: np.uint32, 8: np.int64, 11: np.int64, 12: np.int64}
_PREFERENCE = {1: np.uint64, 5: np.uint32, 6: np.uint32, 7: np.uint32, 8: np.uint32}
_TYPES = {0: np.float32, 1: np.float64}


def get_matmul_desc_attribute_dtype(attr: int) -> Any:
    return _DESC[attr]


def get_matmul_preference_attribute_dtype(attr: int) -> Any:
    return _PREFERENCE[attr]


class FakeLt:
    """A fake library and its live objects; ``refuses``: the epilogues that it has no algorithm for."""

    MatmulDescAttribute = MatmulDescAttribute
    MatmulPreferenceAttribute = MatmulPreferenceAttribute
    Epilogue = Epilogue
    cuBLASLtError = cuBLASLtError
    matmul_heuristic_result_dtype = matmul_heuristic_result_dtype
    get_matmul_desc_attribute_dtype = staticmethod(get_matmul_desc_attribute_dtype)
    get_matmul_preference_attribute_dtype = staticmethod(get_matmul_preference_attribute_dtype)

    def __init__(self, algorithms: int = 3, refuses: tuple[Epilogue, ...] = ()) -> None:
        self.live: dict[int, Any] = {}
        self.refuses = refuses
        self.calls: list[tuple[Epilogue, int]] = []
        self._algorithms = algorithms
        self._numbers = count(1)

    def _new(self, thing: Any) -> int:
        number = next(self._numbers)
        self.live[number] = thing
        return number

    def create(self) -> int:
        return self._new("handle")

    def destroy(self, light_handle: int) -> None:
        del self.live[light_handle]

    def matmul_desc_create(self, compute_type: int, scale_type: int) -> int:
        return self._new({"compute": ComputeType(compute_type), "scale": _TYPES[scale_type], 3: 0, 4: 0, 7: 1})

    def matmul_desc_set_attribute(self, matmul_desc: int, attr: int, buf: int, size_in_bytes: int) -> None:
        self.live[matmul_desc][attr] = _number(buf, size_in_bytes, _DESC[attr])

    def matmul_desc_destroy(self, matmul_desc: int) -> None:
        del self.live[matmul_desc]

    def matrix_layout_create(self, type: int, rows: int, cols: int, ld: int) -> int:  # noqa: A002 - its name there
        assert rows > 0, "no rows"
        assert cols > 0, "no columns"
        assert ld >= rows, "the leading dimension is less than the rows"
        return self._new((_TYPES[type], rows, cols, ld))

    def matrix_layout_destroy(self, mat_layout: int) -> None:
        del self.live[mat_layout]

    def matmul_preference_create(self) -> int:
        return self._new({})

    def matmul_preference_set_attribute(self, pref: int, attr: int, buf: int, size_in_bytes: int) -> None:
        self.live[pref][attr] = _number(buf, size_in_bytes, _PREFERENCE[attr])

    def matmul_preference_destroy(self, pref: int) -> None:
        del self.live[pref]

    def matmul_algo_get_heuristic(
        self,
        light_handle: int,
        operation_desc: int,
        adesc: int,
        bdesc: int,
        cdesc: int,
        ddesc: int,
        preference: int,
        requested_algo_count: int,
        heuristic_results_array: int,
        return_algo_count: int,
    ) -> None:
        assert self.live[light_handle] == "handle"
        desc, wanted = self.live[operation_desc], self.live[preference]
        if Epilogue(desc[7]) in self.refuses:
            raise cuBLASLtError("CUBLAS_STATUS_NOT_SUPPORTED")
        assert wanted[1] >= 0
        given = min(self._algorithms, requested_algo_count)
        results = _vector(heuristic_results_array, given, matmul_heuristic_result_dtype)
        for i in range(given):
            results[i]["algo"]["data_"] = i
        alignments = {5: adesc, 6: bdesc, 7: cdesc, 8: ddesc}
        desc["aligned"] = {layout: wanted.get(attr, 256) for attr, layout in alignments.items()}
        ctypes.c_int32.from_address(return_algo_count).value = given

    def matmul(
        self,
        light_handle: int,
        compute_desc: int,
        alpha: int,
        a: int,
        adesc: int,
        b: int,
        bdesc: int,
        beta: int,
        c: int,
        cdesc: int,
        d: int,
        ddesc: int,
        algo: int,
        workspace: int,
        workspace_size_in_bytes: int,
        stream: int,
    ) -> None:
        desc, scale = self.live[compute_desc], self.live[compute_desc]["scale"]
        assert _number(alpha, np.dtype(scale).itemsize, scale) == 1
        assert _number(beta, np.dtype(scale).itemsize, scale) == 0
        assert workspace % 256 == 0
        for address, layout in ((a, adesc), (b, bdesc), (d, ddesc)):
            assert address % desc["aligned"][layout] == 0, "less aligned than the preference states"
        left, right = self._matrix(a, adesc), self._matrix(b, bdesc)
        left, right = (left.T if desc[3] else left), (right.T if desc[4] else right)
        out = self._matrix(d, ddesc)
        assert out.shape == (left.shape[0], right.shape[1])
        assert desc.get(8, 0) % 16 == 0, "a bias that is not aligned to 16 bytes"
        epilogue = Epilogue(desc[7])
        self.calls.append((epilogue, _number(algo, 8, np.uint64)))
        with np.errstate(all="ignore"):  # as a GPU does: while measuring, operands can be any numbers
            value = left @ right
        if epilogue in (Epilogue.BIAS, Epilogue.RELU_BIAS, Epilogue.RELU_AUX_BIAS):
            value = value + _vector(desc[8], len(value), value.dtype)[:, None]
        if epilogue in (Epilogue.RELU_BIAS, Epilogue.RELU_AUX_BIAS):
            value = np.maximum(value, 0)
        if epilogue is Epilogue.RELU_AUX_BIAS:
            _mask(desc, value.shape)[:] = np.packbits(_padded(value > 0, desc[12]), axis=0, bitorder="little").T
        if epilogue in (Epilogue.DRELU, Epilogue.DRELU_BGRAD):
            bits = np.unpackbits(_mask(desc, value.shape).T, axis=0, bitorder="little")[: len(value)]
            value = np.where(bits == 1, value, 0).astype(value.dtype)
        if epilogue is Epilogue.DRELU_BGRAD:
            _vector(desc[8], len(value), value.dtype)[:] = value.sum(1)
        if epilogue is Epilogue.BGRADA:
            _vector(desc[8], len(value), value.dtype)[:] = left.sum(1)
        out[...] = value

    def _matrix(self, address: int, layout: int) -> np.ndarray:
        dtype, rows, cols, ld = self.live[layout]
        items = ld * (cols - 1) + rows
        flat = _vector(address, items, dtype)
        size = np.dtype(dtype).itemsize
        return np.lib.stride_tricks.as_strided(flat, (rows, cols), (size, ld * size))


def _vector(address: int, n: int, dtype: Any) -> np.ndarray:
    return np.frombuffer((ctypes.c_char * (n * np.dtype(dtype).itemsize)).from_address(address), dtype)


def _number(address: int, nbytes: int, dtype: Any) -> Any:
    assert nbytes == np.dtype(dtype).itemsize, "an attribute of another size"
    return _vector(address, 1, dtype)[0].item()


def _mask(desc: dict[Any, Any], shape: tuple[int, int]) -> np.ndarray:
    """The bits, a row of bytes for each column of D."""
    pitch = desc[12]
    assert pitch % 128 == 0
    assert pitch >= shape[0]
    return _vector(desc[11], pitch // 8 * shape[1], np.uint8).reshape(shape[1], pitch // 8)


def _padded(bits: np.ndarray, pitch: int) -> np.ndarray:
    return np.pad(bits, ((0, pitch - len(bits)), (0, 0)))
