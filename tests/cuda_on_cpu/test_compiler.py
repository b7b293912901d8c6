# SPDX-License-Identifier: BSD-3-Clause
"""What the emulated nvrtc understands, and that it names what it does not."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COUNT = 'extern "C" __global__ void kernel(int *x) { x[threadIdx.x] += 1; }'


def run(cupy: Any, module: Any, name: str = "kernel") -> list[int]:
    x = cupy.arange(4, dtype="int32")
    module.get_function(name)((1,), (4,), (x,))
    return x.get().tolist()


def error(cupy: Any, code: str, *options: str) -> str:
    compiler = import_module("cupy.cuda.compiler")
    with pytest.raises(compiler.CompileException) as caught:
        cupy.RawModule(code=code, options=options).compile()
    return str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        COUNT,
        'extern "C" {\n__global__ void helper(int *x);\n__global__ void kernel(int *x) { x[threadIdx.x] += 1; }\n}',
        '#define KERNEL extern "C" __global__ void __launch_bounds__(32)\nKERNEL kernel(int *x) { ++x[threadIdx.x]; }',
        '#define BOUNDS __launch_bounds__(32)\nextern "C" __global__ void BOUNDS kernel(int *x) { ++x[threadIdx.x]; }',
        'extern "C" __global__ __launch_bounds__(4 * (3 + 5)) void kernel(int *x) { x[threadIdx.x] += 1; }',
        'extern "C" void __global__ kernel(int *__restrict__ x) { x[threadIdx.x] += 1; }',
        '// extern "C" __global__ void no(int *x)\n/* __global__ { */ const char *s = "{ // \\"";\n' + COUNT,
        f"#ifdef __CUDACC__\n{COUNT}\n#else\n{COUNT.replace('1', '2')}\n#endif",
        "namespace a { struct S { int one; }; __device__ S s = {1}; }\n"
        'extern "C" __global__ void kernel(int *x) { x[threadIdx.x] += a::s.one; }',
    ],
)
def test_finds_kernels(cupy: Any, code: str):
    assert run(cupy, cupy.RawModule(code=code)) == [1, 2, 3, 4]


@pytest.mark.parametrize("code", [COUNT.replace('extern "C"', ""), "template <class T> " + COUNT[11:], "// " + COUNT])
def test_kernels_with_names_of_cpp_are_not_found_by_their_plain_ones(cupy: Any, code: str):
    driver = import_module("cupy_backends.cuda.api.driver")
    with pytest.raises(driver.CUDADriverError, match="NOT_FOUND"):
        cupy.RawModule(code=code).get_function("kernel")


def test_templates_by_their_names_with_arguments(cupy: Any):
    code = "template <class T, int N> __global__ void add(T *x) { x[threadIdx.x] += sizeof(T) * N; }"
    names = ("add<int, 2>", "add<float, 3>")
    for _ in range(2):  # compiled, and then from CuPy's cache
        module = cupy.RawModule(code=code, name_expressions=names, options=("-std=c++17",))
        assert run(cupy, module, names[0]) == [8, 9, 10, 11]
        x = cupy.zeros(2, "float32")
        module.get_function(names[1])((1,), (2,), (x,))
        assert x.get().tolist() == [12, 12]


def test_variables_are_found_by_their_names(cupy: Any):
    module = cupy.RawModule(
        code="__constant__ int c[3]; __device__ int d = 5; static __device__ int hidden;\n"
        '__device__ int twice(int x) { return 2 * x; } extern "C" __global__ void kernel(int *x)\n'
        "{ if (threadIdx.x < 3) x[threadIdx.x] = twice(c[threadIdx.x]) + d; if (threadIdx.x == 3) d = 7; }"
    )
    cupy.ndarray(3, "int32", module.get_global("c"))[:] = cupy.arange(3)
    assert run(cupy, module) == [5, 7, 9, 3]
    assert cupy.ndarray(1, "int32", module.get_global("d")).get().tolist() == [7]


def test_options(cupy: Any):
    code = 'extern "C" __global__ void kernel(int *x) { x[threadIdx.x] += A + B; }'
    for options in [("-DA=1", "-DB=2"), ("-D", "A=1", "--define-macro=B=2", "-lineinfo", "--std=c++20", "-w")]:
        assert run(cupy, cupy.RawModule(code=code, options=options)) == [3, 4, 5, 6]


def test_headers_of_the_user(cupy: Any, tmp_path: Path):
    header = tmp_path / "one.h"
    for number in (1, 2):  # a header that changes is read again where CuPy's cache is not used
        header.write_text(f"#pragma once\n#define ONE {number}\n")
        code = f"#include <one.h>\n// {number}\n" + COUNT.replace("+= 1", "+= ONE")
        assert run(cupy, cupy.RawModule(code=code, options=(f"-I{tmp_path}",)))[0] == number


def test_multiplies_and_adds_in_one_rounding_unless_it_is_turned_off(cupy: Any):
    code = 'extern "C" __global__ void kernel(float *x) { x[0] = x[0] * x[0] - x[1]; }'
    square = np.float32(1 + 2.0**-23) ** 2
    for options, expected in [((), 2.0**-46), (("--fmad=false",), 0)]:
        x = cupy.asarray([1 + 2.0**-23, square], "float32")
        cupy.RawModule(code=code, options=options).get_function("kernel")((1,), (1,), (x,))
        assert float(x[0]) == expected


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("int y = __activemask();", "__activemask"),
        ('asm("mov.u32 %0, %laneid;" : "=r"(x[0]));', "inline_ptx_is_not_emulated"),
        ("x[0] = exp(1);", "exp"),
        ("std::vector<int> v;", "std"),
        ("int y = no_such_name;", "no_such_name"),
    ],
)
def test_unknown_functions_are_named(cupy: Any, code: str, named: str):
    text = error(cupy, '\n\nextern "C" __global__ void kernel(int *x) {\n' + code + "\n}")
    assert named in text
    assert ".cu:4:" in text or "asm" in code, "the error has the line of the kernel's own text"


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("cmath", "cmath: No such file"),  # nor has nvrtc the host's headers
        ("cooperative_groups.h", "cooperative groups are not emulated"),
        ("curand_kernel.h", "curand_kernel.h: No such file"),
    ],
)
def test_unknown_headers_are_named(cupy: Any, header: str, said: str):
    assert said in error(cupy, f"#include <{header}>\n" + COUNT)


@pytest.mark.parametrize("option", ["--nonsense", "-O3", "--std=c++98", "-rdc=true"])
def test_unknown_options_are_named(cupy: Any, option: str):
    compiler = import_module("cupy_backends.cuda.libs.nvrtc")
    program = compiler.createProgram(COUNT, "kernel.cu", (), ())
    with pytest.raises(compiler.NVRTCError, match="INVALID_OPTION"):
        compiler.compileProgram(program, ("-arch=sm_80", option))
    assert option in compiler.getProgramLog(program)
    compiler.destroyProgram(program)


def test_leaves_no_files(cupy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert run(cupy, cupy.RawModule(code=COUNT + f"// {tmp_path}")) == [1, 2, 3, 4]
    error(cupy, f"not C++ {tmp_path}")
    assert not list(tmp_path.iterdir())


def test_version_and_architectures(cupy: Any):
    compiler = import_module("cupy_backends.cuda.libs.nvrtc")
    assert compiler.getVersion() == (12, 9)
    assert str(compiler.getSupportedArchs()[-1]) == cupy.cuda.Device().compute_capability
