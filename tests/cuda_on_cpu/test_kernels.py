# SPDX-License-Identifier: BSD-3-Clause
"""Kernels in CUDA C++ on the emulated GPU: threads that wait for each other and exchange numbers, and their memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

ORDERS = ["now", "late", 1, 2]
WARP = np.arange(32)


def launch(cupy: Any, code: str, grid: Sequence[int], block: Sequence[int], *arguments: Any, shared: int = 0) -> None:
    kernel = cupy.RawKernel(f'extern "C" __global__ void kernel{code}', "kernel")
    kernel(tuple(grid), tuple(block), arguments, shared_mem=shared)


def of_warp(cupy: Any, expression: str, dtype: str = "int32", threads: int = 32) -> np.ndarray:
    """An expression of the lane, or of a number x that is ten times it, for each thread of a block."""
    names = {"int32": "int", "uint32": "unsigned", "float32": "float", "float64": "double", "int64": "long long"}
    out = cupy.empty(threads, dtype)
    body = f"{{ int lane = threadIdx.x % 32; {names[dtype]} x = 10 * lane; out[threadIdx.x] = {expression}; }}"
    launch(cupy, f"({names[dtype]} *out) {body}", (1,), (threads,), out)
    return out.get()


# Threads and blocks


@pytest.mark.parametrize("when", ORDERS)
def test_every_thread_runs_once(cupy: Any, when: str | int):
    shape = (3, 2, 4, 2, 3, 5)  # blocks in z, y, x, then threads
    seen = cupy.zeros(shape, "int32")
    code = """(int *seen) {
        int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
        int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
        seen[block * (blockDim.x * blockDim.y * blockDim.z) + thread] += 1 + thread;
    }"""
    with emulator.order(when):
        launch(cupy, code, shape[2::-1], shape[:2:-1], seen)
        np.testing.assert_array_equal(seen.get().reshape(24, 30), np.tile(np.arange(1, 31), (24, 1)))


@pytest.mark.parametrize("when", ORDERS)
def test_threads_of_a_block_wait_for_each_other(cupy: Any, when: str | int):
    x = cupy.arange(300, dtype="float32")
    code = """(float *x, int n) {
        __shared__ float s[300];
        s[threadIdx.x] = x[threadIdx.x];
        for (int distance = 1; distance < n; distance *= 2) {
            __syncthreads();
            float left = (int)threadIdx.x >= distance ? s[threadIdx.x - distance] : 0;
            __syncthreads();
            s[threadIdx.x] += left;
        }
        x[threadIdx.x] = s[threadIdx.x];
    }"""
    with emulator.order(when):
        launch(cupy, code, (1,), (300,), x, np.int32(300))
        np.testing.assert_array_equal(x.get(), np.cumsum(np.arange(300, dtype="float32")))


def test_shared_memory_of_the_launchs_size(cupy: Any):
    x = cupy.arange(64, dtype="float64")
    code = """(double *x) {
        extern __shared__ __align__(16) unsigned char bytes[];
        double *s = (double *)bytes;
        s[threadIdx.x] = x[blockIdx.x * 32 + threadIdx.x];
        __syncthreads();
        x[blockIdx.x * 32 + threadIdx.x] = s[31 - threadIdx.x];
    }"""
    launch(cupy, code, (2,), (32,), x, shared=256)
    np.testing.assert_array_equal(x.get(), np.arange(64).reshape(2, 32)[:, ::-1].ravel())


def test_a_template_shares_memory_too(cupy: Any):
    code = """template <class T, int N> __global__ void turn(T *x) {
        extern __shared__ T dynamic[];
        __shared__ T fixed[N];
        dynamic[threadIdx.x] = fixed[N - 1 - threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        x[threadIdx.x] = 100 * dynamic[threadIdx.x] + fixed[threadIdx.x];
    }"""
    names = ("turn<int, 8>", "turn<float, 4>")
    module = cupy.RawModule(code=code, name_expressions=names, options=("--std=c++17",))
    for name, n, dtype in [(names[0], 8, "int32"), (names[1], 4, "float32")]:
        x = cupy.arange(n, dtype=dtype)
        module.get_function(name)((1,), (n,), (x,), shared_mem=8 * n)
        np.testing.assert_array_equal(x.get(), 100 * np.arange(n) + np.arange(n)[::-1])


def test_each_block_has_fresh_shared_memory(cupy: Any):
    x = cupy.zeros((2, 4), "uint32")
    code = """(unsigned *x) {
        __shared__ unsigned fixed[1];
        extern __shared__ unsigned dynamic[];
        x[4 * blockIdx.x] = fixed[0];
        x[4 * blockIdx.x + 1] = dynamic[0];
        fixed[0] = dynamic[0] = 5;
        x[4 * blockIdx.x + 2] = fixed[0] + dynamic[0];
    }"""
    launch(cupy, code, (2,), (1,), x, shared=4)
    assert x.get().tolist() == [[2**32 - 1, 2**32 - 1, 10, 0]] * 2


def test_one_thread_computes_what_all_do(cupy: Any):
    """Kernels of loops over CUPY_FOR run in fewer threads, but for ``exact``."""
    x = cupy.asarray(np.random.default_rng(0).normal(size=1000))
    kernel = cupy.ElementwiseKernel("float64 x", "float64 y", "y = x * x + i", "square")
    few = kernel(x).get()
    with emulator.exact():
        np.testing.assert_array_equal(kernel(x).get(), few)
    np.testing.assert_allclose(few, x.get() ** 2 + np.arange(1000), rtol=1e-15)


# Warps


@pytest.mark.parametrize("dtype", ["int32", "uint32", "float32", "float64", "int64"])
def test_shuffles(cupy: Any, dtype: str):
    lane, full = WARP, "0xffffffff"
    for expression, source in [
        (f"__shfl_sync({full}, x, 5)", np.full(32, 5)),
        (f"__shfl_sync({full}, x, lane + 1, 8)", lane // 8 * 8 + (lane + 1) % 8),
        (f"__shfl_xor_sync({full}, x, 9)", lane ^ 9),
        (f"__shfl_up_sync({full}, x, 3)", np.where(lane < 3, lane, lane - 3)),
        (f"__shfl_up_sync({full}, x, 3, 8)", np.where(lane % 8 < 3, lane, lane - 3)),
        (f"__shfl_down_sync({full}, x, 3)", np.where(lane > 28, lane, lane + 3)),
        (f"__shfl_down_sync({full}, x, 3, 16)", np.where(lane % 16 > 12, lane, lane + 3)),
    ]:
        np.testing.assert_array_equal(of_warp(cupy, expression, dtype), 10 * source, err_msg=expression)


def test_votes(cupy: Any):
    full = "0xffffffff"
    assert set(of_warp(cupy, f"__ballot_sync({full}, lane % 3 == 0)", "uint32")) == {
        sum(1 << i for i in range(0, 32, 3))
    }
    assert set(of_warp(cupy, f"__any_sync({full}, lane == 7)")) == {1}
    assert set(of_warp(cupy, f"__any_sync({full}, lane > 31)")) == {0}
    assert set(of_warp(cupy, f"__all_sync({full}, lane < 32)")) == {1}
    assert set(of_warp(cupy, f"__all_sync({full}, lane != 7)")) == {0}


def test_a_part_of_a_warp(cupy: Any):
    found = of_warp(cupy, "lane < 8 ? __shfl_sync(0xff, x, 7 - lane) + (int)__ballot_sync(0xff, lane % 2) : -1")
    np.testing.assert_array_equal(found, np.where(WARP < 8, 10 * (7 - WARP) + 0xAA, -1))


def test_each_warp_is_apart(cupy: Any):
    found = of_warp(cupy, "__shfl_xor_sync(0xffffffff, (int)threadIdx.x, 31)", threads=96)
    np.testing.assert_array_equal(found, (np.arange(96) // 32 * 32) + 31 - np.arange(96) % 32)


# Atomic operations


@pytest.mark.parametrize(
    ("call", "dtype", "start", "end"),
    [
        ("atomicAdd(x, i)", "int32", 1, 1 + sum(range(64))),
        ("atomicAdd(x, (float)i)", "float32", 1, 1 + sum(range(64))),
        ("atomicAdd(x, (double)i)", "float64", 1, 1 + sum(range(64))),
        ("atomicAdd(x, (unsigned long long)i)", "uint64", 1, 1 + sum(range(64))),
        ("atomicSub(x, i)", "int32", 1, 1 - sum(range(64))),
        ("atomicMin(x, i - 5)", "int32", 9, -5),
        ("atomicMax(x, (unsigned)i)", "uint32", 3, 63),
        ("atomicOr(x, 1u << i % 32)", "uint32", 0, 2**32 - 1),
        ("atomicAnd(x, ~(1u << i % 32))", "uint32", 2**32 - 1, 0),
        ("atomicXor(x, 1ull << i)", "uint64", 1, 2**64 - 2),
        ("atomicInc(x, 9u)", "uint32", 0, 4),
        ("atomicDec(x, 9u)", "uint32", 0, 6),
        ("int seen = *x, old; while ((old = atomicCAS(x, seen, seen + 2)) != seen) seen = old", "int32", 0, 128),
    ],
)
def test_atomics(cupy: Any, call: str, dtype: str, start: int, end: int):
    name = {
        "int32": "int",
        "uint32": "unsigned",
        "float32": "float",
        "float64": "double",
        "uint64": "unsigned long long",
    }
    x = cupy.full(1, start, dtype)
    launch(cupy, f"({name[dtype]} *x) {{ int i = blockIdx.x * 32 + threadIdx.x; {call}; }}", (2,), (32,), x)
    assert x.get().tolist() == [end]


def test_atomics_return_what_was_there(cupy: Any):
    count, seen = cupy.zeros(1, "int32"), cupy.zeros(64, "int32")
    launch(cupy, "(int *count, int *seen) { seen[threadIdx.x] = atomicAdd(count, 1); }", (1,), (64,), count, seen)
    assert sorted(seen.get()) == list(range(64))


# Numbers and memory


def test_vectors(cupy: Any):
    x = cupy.arange(8, dtype="float32")
    code = """(float4 *x) {
        static_assert(sizeof(float3) == 12 && alignof(double4) == 16 && alignof(short4) == 8, "");
        float4 v = x[threadIdx.x];
        x[threadIdx.x] = make_float4(v.w, v.z, v.y, v.x);
    }"""
    launch(cupy, code, (1,), (2,), x)
    assert x.get().tolist() == [3, 2, 1, 0, 7, 6, 5, 4]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_minimum_and_maximum_ignore_nan_and_order_zeros(cupy: Any, dtype: str):
    a, b = np.array([[1, np.nan, np.nan, -0.0, 0.0, -2], [2, 5, np.nan, 0.0, -0.0, -3]], dtype)
    name = {"float32": "float", "float64": "double"}[dtype]
    x, y = cupy.asarray(a), cupy.asarray(b)
    body = "&x = a[threadIdx.x], &y = b[threadIdx.x], least = min(x, y); y = fmax(x, y), x = least;"
    code = f"({name} *a, {name} *b) {{ {name} {body} }}"
    launch(cupy, code, (1,), (6,), x, y)
    np.testing.assert_array_equal(x.get(), np.fmin(a, b))
    np.testing.assert_array_equal(y.get(), np.fmax(a, b))
    assert np.signbit(x.get()).tolist() == [False, False, False, True, True, True]
    assert np.signbit(y.get())[3:].tolist() == [False, False, True]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name", ["exp", "expm1", "log", "log1p", "tanh", "sqrt", "rint", "floor", "arctan", "cbrt", "sinh"]
)
def test_functions_are_numpys(cupy: Any, name: str, dtype: str):
    x = np.linspace(0.1, 3, 50, dtype=dtype)
    found = getattr(cupy, name)(cupy.asarray(x)).get()
    np.testing.assert_allclose(found, getattr(np, name)(x), rtol=4 * float(np.finfo(dtype).eps))


def test_half_rounds_to_nearest(cupy: Any):
    x = np.concatenate(
        [np.arange(2**16, dtype="uint16").view("float16").astype("float64"), [1 + 2.0**-11, 65520, 1e-8]]
    )
    between = np.nextafter(np.float16(1), np.float16(2)).astype("float64") / 2 + 0.5  # halfway
    x = np.concatenate([x, [between, np.nextafter(between, 2), np.nextafter(between, 0)]])
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(cupy.asarray(x).astype("float16").get(), x.astype("float16"))
        single = x.astype("float32")
        np.testing.assert_array_equal(cupy.asarray(single).astype("float16").get(), single.astype("float16"))
    back = np.arange(2**16, dtype="uint16").view("float16")
    np.testing.assert_array_equal(cupy.asarray(back).astype("float32").get(), back.astype("float32"))


def test_signed_integers_wrap_around(cupy: Any):
    x = cupy.full(1, 2**31 - 1, "int32")
    launch(cupy, "(int *x) { int y = x[0] + 1; x[0] = y < x[0]; }", (1,), (1,), x)
    assert x.get().tolist() == [1]
