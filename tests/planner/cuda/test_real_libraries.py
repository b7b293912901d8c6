"""The fakes have what the interface and the real libraries have: names, parameters and types."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dlarray_cupy.gpu import CupyGpu

from dlarray.planner.cuda.gpu import Gpu
from tests.fakes import cublaslt as fake_cublaslt
from tests.fakes.cublaslt import ComputeType, FakeLt
from tests.fakes.cupy import fake_cupy
from tests.fakes.cupy_names import USED
from tests.fakes.gpu import FakeGpu


def test_the_fake_gpus_have_what_a_gpu_has():
    names = [n for n in dir(FakeGpu) if not n.startswith("_")]
    for name in (n for n in dir(Gpu) if not n.startswith("_")):
        assert name in names
        if inspect.isfunction(getattr(Gpu, name)):
            ours = list(inspect.signature(getattr(FakeGpu, name)).parameters)
            cupys = list(inspect.signature(getattr(CupyGpu, name)).parameters)
            assert ours[: len(cupys)] == cupys == list(inspect.signature(getattr(Gpu, name)).parameters), name


def _found(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize("name", USED)
def test_the_fake_has_the_parameters_of_the_list(name: str, tmp_path: Path):
    wanted = USED[name]
    if wanted is None or name in ("cuda.Graph.launch",):
        return
    given = [p.split("=")[0] for p in wanted.split(", ") if p and p != "*"]
    found = list(inspect.signature(_found(fake_cupy(tmp_path), name)).parameters)
    assert [p for p in found if p != "self"] == [p for p in given if p != "self"]


@pytest.mark.parametrize("name", USED)
def test_the_real_cupy_has_it(name: str):
    real = pytest.importorskip("cupy", reason="CuPy is not installed")
    thing = _found(real, name)
    wanted = USED[name]
    if wanted is None:
        return
    try:
        found = [p for p in inspect.signature(thing).parameters if p not in ("args", "kwargs")]
    except ValueError:  # of Cython, which has it in the first line of the docstring
        head = (thing.__doc__ or "").splitlines()[0]
        found = [p.split("=")[0].split()[-1] for p in head[head.index("(") + 1 : head.rindex(")")].split(", ") if p]
    named = [[p.split("=")[0] for p in all_ if p not in ("*", "self", "")] for all_ in (wanted.split(", "), found)]
    assert named[1][: len(named[0])] == named[0]


def test_the_fake_has_what_the_library_has(real: Any):
    from nvmath.bindings import cublas

    for name in ("MatmulDescAttribute", "MatmulPreferenceAttribute", "Epilogue"):
        for member in getattr(fake_cublaslt, name):
            assert getattr(real, name)[member.name] == member, f"{name}.{member.name}"
    for member in ComputeType:
        assert cublas.ComputeType[member.name] == member
    assert issubclass(real.cuBLASLtError, Exception)
    names = [n for n in vars(FakeLt) if not n.startswith("_") and inspect.isfunction(getattr(FakeLt, n))]
    assert len(names) >= 11
    for name in set(names) - {"get_matmul_desc_attribute_dtype", "get_matmul_preference_attribute_dtype"}:
        ours = [p for p in inspect.signature(getattr(FakeLt, name)).parameters if p != "self"]
        head = getattr(real, name).__doc__.splitlines()[0]
        theirs = head[head.index("(") + 1 : head.rindex(")")].split(", ") if "()" not in head else []
        assert ours == [p.split()[-1] for p in theirs], head


def test_the_fake_has_the_types_of_the_library(real: Any):
    ours, theirs = fake_cublaslt.matmul_heuristic_result_dtype, real.matmul_heuristic_result_dtype
    assert ours.itemsize == theirs.itemsize
    assert ours.fields is not None
    assert {n: f[1] for n, f in ours.fields.items()} == {n: f[1] for n, f in theirs.fields.items()}
    for member in fake_cublaslt.MatmulDescAttribute:
        if member.name != "COMPUTE_TYPE":
            found = np.dtype(real.get_matmul_desc_attribute_dtype(int(member)))
            assert found == fake_cublaslt.get_matmul_desc_attribute_dtype(member), member
    for member in fake_cublaslt.MatmulPreferenceAttribute:
        found = np.dtype(real.get_matmul_preference_attribute_dtype(int(member)))
        assert found == fake_cublaslt.get_matmul_preference_attribute_dtype(member), member
