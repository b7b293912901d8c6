# SPDX-License-Identifier: BSD-3-Clause
"""Subnormal numbers in kernels that are compiled with -ftz=true, as CuPy compiles all: zero in float32, not in float64.

Each case is an expression, the instruction that NVIDIA's compiler makes of it, and its value. With ".ftz" it takes
subnormal float32 for zero, and returns zero for them. NVIDIA's compiler, which needs no GPU, is asked for its
instructions where it is installed.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

SMALL, TINY = 2.0**-140, 2.0**-1060  # subnormal as float32 and as float64
TEXT = """
extern "C" __global__ void kernel(const float *floats, const double *doubles, RESULT *out) {
    const float a = floats[0], b = floats[1];
    const double c = doubles[0], d = doubles[1];
    out[0] = EXPRESSION;
}
"""


class Case(NamedTuple):
    """An expression of a = SMALL and b = 3 in float32, c = TINY and d = 3 in float64."""

    result: str
    expression: str
    instruction: str | None
    value: float


SINGLE = [
    Case("float", "a + a", "add.ftz.f32", 0),
    Case("float", "a - b", "sub.ftz.f32", -3),
    Case("float", "a * 1e30f", "mul.ftz.f32", 0),
    Case("float", "1e-20f * b * 1e-20f", "mul.ftz.f32", 0),
    Case("float", "a / b", "div.rn.ftz.f32", 0),
    Case("float", "1 / a", "rcp.rn.ftz.f32", np.inf),
    Case("float", "fmaf(a, 1e30f, b)", "fma.rn.ftz.f32", 3),
    Case("float", "a * 1e38f + a", "fma.rn.ftz.f32", 0),
    Case("float", "sqrtf(a)", "sqrt.rn.ftz.f32", 0),
    Case("float", "rsqrtf(a)", "rsqrt.approx.ftz.f32", np.inf),
    Case("float", "-a", "neg.ftz.f32", -0.0),
    Case("float", "fabsf(a)", "abs.ftz.f32", 0),
    Case("float", "fabs(-a)", "abs.ftz.f32", 0),
    Case("float", "abs(a)", "abs.ftz.f32", 0),
    Case("float", "fmaxf(a, -b)", "max.ftz.f32", 0),
    Case("float", "fminf(b, a)", "min.ftz.f32", 0),
    Case("float", "max(a, -b)", "max.ftz.f32", 0),
    Case("float", "a > 0 ? a : 0", "max.ftz.f32", 0),
    Case("float", "floorf(-a)", "cvt.rmi.ftz.f32.f32", -0.0),
    Case("float", "ceilf(a)", "cvt.rpi.ftz.f32.f32", 0),
    Case("float", "__saturatef(a)", "cvt.ftz.sat.f32.f32", 0),
    Case("float", "a != 0 ? 1 : 2", "setp.neu.ftz.f32", 2),
    Case("float", "a > -a ? 1 : 2", "setp.gt.ftz.f32", 2),
    Case("float", "logf(a)", "mul.ftz.f32", -np.inf),
    Case("float", "sinf(a)", "mul.ftz.f32", 0),
    Case("float", "expm1f(a)", "fma.rn.ftz.f32", 0),
    Case("float", "expf(-100.f * b / 3)", "ex2.approx.ftz.f32", 0),
]
UNCHANGED = [
    Case("float", "a", None, SMALL),
    Case("float", "b > 1 ? a : 2", "setp.gt.ftz.f32", SMALL),
    Case("float", "a < b ? a : b", "setp.lt.ftz.f32", SMALL),
    Case("float", "-b > a ? -b : a", "setp.lt.ftz.f32", SMALL),
    Case("float", "copysignf(a, -b)", "copysign.f32", -SMALL),
    Case("float", "__int_as_float(__float_as_int(a) | 0x80000000)", "or.b32", -SMALL),
]
DOUBLE = [
    Case("double", "c + c", "add.f64", 2 * TINY),
    Case("double", "c * 1e30", "mul.f64", TINY * 1e30),
    Case("double", "c / d", "div.rn.f64", TINY / 3),
    Case("double", "fma(c, 2, c)", "fma.rn.f64", 3 * TINY),
    Case("double", "sqrt(c)", "sqrt.rn.f64", TINY**0.5),
    Case("double", "-c", "neg.f64", -TINY),
    Case("double", "fabs(-c)", "abs.f64", TINY),
    Case("double", "fmax(c, -d)", "max.f64", TINY),
    Case("double", "min(c, d)", "min.f64", TINY),
    Case("double", "c > 0 ? c : 0", "max.f64", TINY),
    Case("double", "ceil(c)", "cvt.rpi.f64.f64", 1),
    Case("double", "c != 0 ? 1 : 2", "setp.neu.f64", 1),
    Case("double", "exp(-741 * d / 3)", "fma.rn.f64", np.exp(-741)),
    Case("double", "sin(c)", "fma.rn.f64", TINY),
]
BOTH = [
    Case("double", "a", "cvt.ftz.f64.f32", 0),
    Case("float", "(float)(c * 1e280)", "cvt.rn.ftz.f32.f64", 0),
    Case("double", "a + a + c", "add.ftz.f32", TINY),
    Case("double", "c + c + (a + a)", "add.f64", 2 * TINY),
    Case("double", "(c + c) * (float)(a * 1e30f + b)", "fma.rn.ftz.f32", 6 * TINY),
    Case("double", "a > 0 ? d : c + c", "setp.gt.ftz.f32", 2 * TINY),
    Case("float", "c > 0 ? a + a : b", "setp.gt.f64", 0),
]
EVERY = [*SINGLE, *UNCHANGED, *DOUBLE, *BOTH]


def text(case: Case) -> str:
    return TEXT.replace("RESULT", case.result).replace("EXPRESSION", case.expression)


def value(cupy: Any, module: Any) -> Any:
    floats, doubles = cupy.asarray([SMALL, 3], "float32"), cupy.asarray([TINY, 3], "float64")
    out = cupy.empty(1, "float64")
    module.get_function("kernel")((1,), (1,), (floats, doubles, out))
    return out.get()


def nvidia(source: str) -> str | None:
    """PTX by NVIDIA's own compiler; None where it is not installed."""
    spec = importlib.util.find_spec("nvidia.cuda_nvrtc") if importlib.util.find_spec("nvidia") else None
    folders = spec.submodule_search_locations if spec else None
    files = [path for folder in folders or [] for path in Path(folder).glob("lib/libnvrtc.so.*")]
    if not files:
        return None
    nvrtc, program, size = ctypes.CDLL(str(files[0])), ctypes.c_void_p(), ctypes.c_size_t()
    options = (ctypes.c_char_p * 2)(b"-arch=compute_80", b"-ftz=true")
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"case.cu", 0, None, None) == 0
    assert nvrtc.nvrtcCompileProgram(program, 2, options) == 0
    assert nvrtc.nvrtcGetPTXSize(program, ctypes.byref(size)) == 0
    ptx = ctypes.create_string_buffer(size.value)
    assert nvrtc.nvrtcGetPTX(program, ptx) == 0
    assert nvrtc.nvrtcDestroyProgram(ctypes.byref(program)) == 0
    return ptx.value.decode()


@pytest.mark.parametrize("case", EVERY, ids=lambda case: f"{case.result} {case.expression}")
def test_value(cupy: Any, case: Case):
    out = value(cupy, cupy.RawModule(code=text(case))).view(case.result + "32" * (case.result == "float"))[0]
    np.testing.assert_allclose(float(out), case.value, rtol=1e-6, atol=0)
    assert np.signbit(out) == np.signbit(case.value)


@pytest.mark.parametrize("case", EVERY, ids=lambda case: f"{case.result} {case.expression}")
def test_instruction_of_nvidias_compiler(case: Case):
    ptx = nvidia(text(case))
    if ptx is None:
        pytest.skip("nvidia-cuda-nvrtc-cu12 is not installed")
    found = re.findall(r"^\s+(?:@%p\d+ )?([a-z0-9]+(?:\.[a-z0-9]+)*)\s", ptx, re.MULTILINE)
    if case.instruction is None:
        assert not [name for name in found if ".ftz." in name]
    else:
        assert case.instruction in found


@pytest.mark.parametrize("expression", ["a + a", "-(-a * 2)", "fmaxf(a, -b) * 2"])
def test_only_where_it_is_asked_for(cupy: Any, expression: str):
    """CuPy's own option comes last, so the program is compiled without CuPy's cache."""
    compiler = importlib.import_module("cupy_backends.cuda.libs.nvrtc")
    program = compiler.createProgram(text(Case("float", expression, None, 0)), "case.cu", (), ())
    compiler.compileProgram(program, ("-arch=sm_80", "-ftz=false"))
    module = cupy.cuda.function.Module()
    module.load(compiler.getCUBIN(program))
    compiler.destroyProgram(program)
    assert value(cupy, module).view("float32")[0] == np.float32(2 * SMALL)
