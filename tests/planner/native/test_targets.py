"""Native code for other CPUs: it calls nothing unknown, computes in vectors, and has the same bits where it runs."""

from __future__ import annotations

import ctypes
import re
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')

import dlarray as dl
from dlarray.core.trees import flatten, unflatten
from dlarray.planner import compile as compile_step
from dlarray.planner.kernel.loops import Call, Input, Kernel, Operation
from dlarray.planner.native.mathematics import FUNCTIONS
from dlarray.planner.native.module import Module
from dlarray.planner.native.operations import LIBRARY
from dlarray.planner.native.python import SYMBOLS
from tests.support import kernels
from tests.support.kernels import by_native
from tests.support.library_steps import library_steps
from tests.support.native_targets import TARGETS, X86, assembly, called, compiled_for, printed, runnable

OWN = {f"dlarray_{name}" for name in ("sgemm", "dgemm", "sgemv", "dgemv", "threads", "run")}
C = {*LIBRARY.values(), "floor", "ceil", "trunc", "rint", "sqrt"}
KNOWN = OWN | {*SYMBOLS, "memcpy", "memset"} | C | {f"{name}f" for name in C}
"""What native code may call."""


def network(dtype: str, *layers: Any) -> Any:
    """A step of a network with its state and its batch."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 20)).astype(dtype), np.arange(64) % 3
    model = dl.MLP(20, [*layers, dl.Dense(3)])
    return dl.first_step(model, x, y, optimizer=dl.AdamW(1e-2), batch_size=32, dtype=dtype)


NETWORKS = {
    "relu": (dl.Dense(40), "relu", dl.Dense(33), "tanh"),
    "norms": (dl.Dense(40), dl.LayerNorm(), "gelu", dl.Dropout(0.1), dl.Dense(17), dl.BatchNorm(), "softplus"),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", kernels.FLOATS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_whole_step_calls_nothing_unknown(name: str, dtype: str, target: str) -> None:
    step, state, batch = network(dtype, *NETWORKS[name])
    (module,) = printed(lambda: compile_step(step, "native", check=False)(state, batch))
    found = called(assembly(*module, TARGETS[target]))
    assert {f"dlarray_{dtype.replace('float32', 's').replace('float64', 'd')}gemm", *SYMBOLS} <= found
    assert found <= KNOWN


@pytest.mark.parametrize("target", TARGETS)
def test_every_operation_calls_nothing_unknown(target: str) -> None:
    """Together on the same numbers, which LLVM could join: sin and cos to sincos."""
    for dtype in kernels.FLOATS:
        names = [*LIBRARY, *FUNCTIONS, "floor", "ceil", "trunc", "rint", "sqrt", "reciprocal", "sign"]
        kernel = kernels.together([(name, dtype) for name in names], dtype)
        call = kernels.call(kernel, 40, 3, lambda dtype, shape: np.full(shape, 0.5).astype(dtype), {})
        for module in printed(lambda call=call: by_native(call)):
            assert called(assembly(*module, TARGETS[target])) <= KNOWN
        for made in kernels.exact(dtype):
            call = kernels.call(made, 40, 3, kernels.specials, {})
            for module in printed(lambda call=call: by_native(call)):
                assert called(assembly(*module, TARGETS[target])) <= KNOWN


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_mathematics_is_vectors_without_calls(name: str, target: str) -> None:
    for dtype, single, lanes in (("float32", "s", "4s"), ("float64", "d", "2d")):
        kernel = Kernel((Input("E", dtype),), (), (Operation(name, (0,), "E", dtype, 0),), (1,))
        x = np.full((1, 100), 0.5, dtype)
        (module,) = printed(lambda kernel=kernel, x=x: by_native(Call(kernel, 1, 100, [], [x], [np.empty_like(x)])))
        text = assembly(*module, TARGETS[target])
        assert called(text) <= {*SYMBOLS}
        vector = {"x86-64": rf"\bmulp{single}\s", "haswell": rf"\bvmulp{single}\s.*%ymm"}.get(
            target, rf"\bfmul(\.{lanes}\s|\s+v\d+\.{lanes})"
        )
        assert re.search(vector, text), text
        assert not re.search(r"\bv?fn?m(add|sub|la|ls)\d*[ps]?[sd]?\b", text)  # two roundings, not one


def results(step: Any, state: Any, batch: Any) -> list[np.ndarray]:
    """All that two steps return, on copies of the state."""
    leaves: list[Any] = []
    structure = flatten(state, leaves)
    state = unflatten(structure, iter([np.array(leaf) for leaf in leaves]))
    compiled = compile_step(step, "native", check=False)
    found: list[Any] = []
    with np.errstate(all="ignore"):
        for _ in range(2):
            state, loss = compiled(state, batch)
            made: list[Any] = []
            flatten((state, loss), made)
            found += [np.array(leaf) for leaf in made]
    return found


def bits(array: np.ndarray) -> bytes:
    """The bits of an array; a NaN is like any other."""
    return np.where(np.isnan(array), np.nan, array).astype(array.dtype).tobytes()


@pytest.mark.slow
@pytest.mark.skipif(not runnable(), reason="this is no x86 machine")
@pytest.mark.parametrize("dtype", kernels.FLOATS)
def test_every_kernel_of_the_library_has_the_same_bits_on_every_cpu(dtype: str) -> None:
    steps = library_steps(dtype, every=False) | {name: network(dtype, *given) for name, given in NETWORKS.items()}
    for name, given in steps.items():
        expected = results(*given)
        for cpu, target in runnable().items():
            with compiled_for(target):
                found = results(*given)
            for i, (a, b) in enumerate(zip(found, expected, strict=True)):
                assert bits(a) == bits(b), f"{name}, value {i}, {cpu}: {a} instead of {b}"


@pytest.mark.skipif(not runnable(), reason="this is no x86 machine")
@pytest.mark.parametrize("dtype", kernels.FLOATS)
@pytest.mark.parametrize("name", kernels.by_hand("float32"))
def test_every_kernel_made_by_hand_has_the_same_bits_on_every_cpu(name: str, dtype: str) -> None:
    kernel = kernels.by_hand(dtype)[name]
    for rows, cols in [(1, 7), (3, 40), (65, 31), (5, 1000)] if kernel.sweeps else [(1, 1)]:
        rng = np.random.default_rng(rows)
        given = kernels.call(kernel, rows, cols, lambda dtype, shape: rng.random(shape).astype(dtype), {})  # noqa: B023
        outputs: dict[str, list[bytes]] = {}
        by_native(given)
        outputs["host"] = [bits(a) for a in given.outputs]
        for cpu, target in runnable().items():
            for array in given.outputs:
                array[...] = 9
            with compiled_for(target):
                by_native(given)
            outputs[cpu] = [bits(a) for a in given.outputs]
        assert all(found == outputs["host"] for found in outputs.values()), (rows, cols)


def test_machine_code_for_another_cpu_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests above would be worth nothing if the target did not reach LLVM."""
    if not (targets := runnable()):
        pytest.skip("this is no x86 machine")
    text = "define i64 @answer() {\nentry:\n  ret i64 42\n}\n"
    for target in targets.values():
        module = Module([text], [], target)
        assert ctypes.CFUNCTYPE(ctypes.c_int64)(module.address("answer"))() == 42
    add = "define void @add(ptr %x) {\n  %a = load <16 x float>, ptr %x, align 4\n  %b = fadd <16 x float> %a, %a\n"
    add += "  store <16 x float> %b, ptr %x, align 4\n  ret void\n}\n"
    assert "%ymm" in assembly([add], [], X86["haswell"])
    assert "%ymm" not in assembly([add], [], X86["x86-64"])
