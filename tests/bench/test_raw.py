"""The limit on a CPU: the products of a step by BLAS, and what is compared with them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.bench import Case, RawProducts, Workload, bench, operands, raw, table
from dlarray.planner.native import parts
from dlarray.planner.native.blas import blas
from tests.support.scripts import script

TINY = Case.named("6-16-3x8")


@pytest.fixture
def without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(functions: Any, declared: Any) -> Any:
        raise ImportError("no llvmlite here")

    monkeypatch.setattr(raw, "compiled", refuse)


def check_products(found: RawProducts, case: Case, backward: bool = True) -> None:
    pairs = operands(case, dlarray.resolve("cpu"), backward)
    for times in (1, 3):
        for *_, out in found.triples:
            out[...] = np.nan
        found.steps(0, times)
        for (a, b), (_, _, out) in zip(pairs, found.triples, strict=True):
            np.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-5)
    assert found.run(2) > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [8, 1])
@pytest.mark.parametrize("backward", [True, False])
def test_raw_products_are_those_of_the_step(dtype: str, batch: int, backward: bool):
    pytest.importorskip("llvmlite")
    if blas() is None:
        pytest.skip("NumPy's BLAS has no CBLAS routines to be found by name")
    case = replace(TINY, dtype=dtype, batch=batch)
    found = RawProducts(case, backward)
    assert found.by == "BLAS from native code"
    assert len(found.triples) == (5 if backward else 2)
    check_products(found, case, backward)


@pytest.mark.usefixtures("without_llvmlite")
def test_without_llvmlite_the_limit_is_that_of_dot():
    found = RawProducts(TINY)
    assert found.by == "numpy.dot (no llvmlite here)"
    check_products(found, TINY)
    report = bench([TINY.name], "cpu", bursts=1, seconds=1e-4)
    assert report["cases"][TINY.name]["raw_by"] == found.by
    assert "ms by numpy.dot (no llvmlite here), " in table(report)


def test_without_the_routines_the_limit_is_that_of_dot(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(raw, "blas", lambda: None)
    found = RawProducts(TINY)
    assert found.by.startswith("numpy.dot (NumPy's BLAS has no routines")
    check_products(found, TINY)

    class Small:
        def product(self, a: Any, b: Any, out: Any) -> None:
            return None

    monkeypatch.undo()
    monkeypatch.setattr(parts, "blas", Small)
    assert "cannot multiply (8, 6) by (6, 16)" in RawProducts(TINY).by


def test_ratios_on_numpy_are_to_the_raw_products():
    report = bench([TINY.name], "cpu", bursts=2, seconds=1e-4)
    case = report["cases"][TINY.name]
    assert case["eager"] == pytest.approx(case["milliseconds"]["eager"] / case["raw_ms"])
    assert case["milliseconds"].keys() == {"eager", "compiled"}
    first = table(report).splitlines()[1]
    assert first.startswith(f"{TINY.name}: 6-16-3, batch 8; products alone {case['raw_ms']:.4g} ms by {case['raw_by']}")
    assert first.endswith(f"{case['limit_ms']:.4g} ms by numpy.matmul")


def test_other_devices_have_the_limit_of_their_library():
    pytest.importorskip("jax")
    report = bench([TINY.name], "jax", bursts=1, seconds=1e-4)
    case = report["cases"][TINY.name]
    assert "raw_ms" not in case
    assert case["eager"] == pytest.approx(case["milliseconds"]["eager"] / case["limit_ms"])
    assert "numpy.matmul" not in table(report)


# benchmarks/cpu.py


@pytest.mark.parametrize("place", ["limits.Raw", "inference.Raw"])
def test_the_contenders_of_the_benchmark(place: str):
    contender = script("contenders").make(place, Workload.of(TINY), script("setting").Setting())
    assert contender.timed(5)["wall"] > 0
    assert contender.first_calls() > 0
    if place == "limits.Raw":
        assert contender.about() == {"products": contender.by}


def test_the_products_of_jax():
    jax = pytest.importorskip("jax")
    name = "jax_default_matmul_precision"
    before = getattr(jax.config, name)
    try:
        contender = script("contenders").make("jax.Products", Workload.of(TINY), script("setting").Setting())
        contender.wait(contender.steps(0, 3))
        assert contender.timed(4)["wall"] > 0
    finally:
        jax.config.update(name, before)
    pairs = operands(TINY, dlarray.resolve("cpu"))
    for (a, b), result in zip(pairs, contender.results, strict=True):
        np.testing.assert_allclose(np.asarray(result), a @ b, rtol=1e-5, atol=1e-5)


def bursts(**microseconds: float) -> dict[str, list[dict[str, Any]]]:
    return {name.replace("_", " "): [{"wall": 1e-6 * us}] * 3 for name, us in microseconds.items()}


def test_the_entry_of_a_case_by_hand():
    outcome = script("measure").Outcome
    measured = bursts(raw_products=4, matmul_products=8, fast=6, eager=40, JAX_products=20)
    case = outcome(TINY, measured, {}, {}, {}, {}, {}).in_products()
    assert case["limit_ms"] == pytest.approx(0.008)
    assert case["raw_ms"] == pytest.approx(0.004)
    assert case["raw_gflops"] == pytest.approx(TINY.flops / 4e-6 / 1e9)
    assert case["native"] == pytest.approx(1.5)
    assert case["fast"] == pytest.approx(0.75)
    assert case["ratios"] == pytest.approx({"fast": 0.75, "eager": 5, "JAX products": 2.5})
    assert case["milliseconds"] == pytest.approx({"fast": 0.006, "eager": 0.04, "JAX products": 0.02})
    del measured["fast"]
    assert not {"native", "fast"} & outcome(TINY, measured, {}, {}, {}, {}, {}).in_products().keys()


def test_the_tables_by_hand():
    report = script("report")
    of = {"fast": 0.006, "eager": 0.04, "JAX products": 0.02}
    now = {"limit_ms": 0.008, "raw_ms": 0.004, "milliseconds": of, "losses": {}, "absent": {}}
    older = {"limit_ms": 0.008, "milliseconds": {"fast": 0.012}, "losses": {}, "absent": {}}
    assert report.rows({"now": now, "older": older}, "step / products") == [
        ["step / products", "now", "older"],
        ["the products alone", "1", "1"],
        ["the products by numpy.matmul", "2", "–"],
        ["the products by JAX", "5", "–"],
        ["dlarray with the extra fast", "1.5", "1.5"],
        ["dlarray, eager", "10", "–"],
    ]
    assert report.rows({"now": now}, "milliseconds a step")[1:3] == [
        ["the products alone", "0.004"],
        ["the products by numpy.matmul", "0.008"],
    ]
    machine = {"cpu": "c", "cores": 2, "blas": "b", "blas_core": "k", "threads": 2, "load": 0}
    by = "numpy.dot (llvmlite is not installed)"
    about = {"about": {"raw products": {"products": by}}}
    text = report.cpu_text({"machine": machine, "cases": {"A": now | about, "B": now}})
    assert f"A: the products alone are by {by}" in text
    assert "B: the products alone" not in text
