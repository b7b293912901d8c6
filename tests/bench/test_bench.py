"""Measuring works, and its report has the documented form. The times themselves are not tested."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.bench import (
    CASES,
    Case,
    Contender,
    FullStep,
    Products,
    Workload,
    bench,
    interleave,
    low,
    machine,
    plans,
    table,
    write,
)
from tests.support.process import ROOT

TINY = "8-6-3x5"


def test_a_case_is_named_or_written():
    assert Case.named("M") == CASES["M"] == Case("M", (784, 256, 128, 10), 128)
    assert Case.named(TINY) == Case(TINY, (8, 6, 3), 5)
    for wrong in ("XXL", "8x", "8-0-3x5", "8x4"):
        with pytest.raises(ValueError, match=r"S, M, L, XL.*784-256-128-10x128"):
            Case.named(wrong)
    with pytest.raises(ValueError, match="dtype"):
        CASES["S"].varied("half", dtype="float16")


def test_the_flops_of_a_case_are_those_of_its_products():
    for case in (CASES["S"], Case.named(TINY), Case.named("7-3x2")):
        pairs = Products(case, dlarray.resolve("cpu"))._pairs
        assert case.flops == sum(2 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in pairs)


def test_a_case_has_its_variants():
    case = Case.named(TINY).varied("all", activation="gelu", dropout=0.1, norm=True, dtype="float64")
    names = [type(layer).__name__ for layer in case.model.layers]
    assert names == ["Dense", "LayerNorm", "GELU", "Dropout", "Dense"]
    assert case.name == f"{TINY} all"
    assert all(np.isfinite(FullStep(Workload.of(case), dlarray.resolve("cpu")).losses(3)))


def test_a_contender_takes_the_steps_of_fit():
    case = Case.named(TINY)
    workload = Workload.of(case)
    (x, t), cpu = workload.batches[0], dlarray.resolve("cpu")
    full = FullStep(Workload(case, workload.weights, [(x, t)]), cpu)
    found = full.losses(5)
    trained = dlarray.fit(
        case.model, x, t, epochs=5, batch_size=None, optimizer=dlarray.Adam(1e-3), compile=False, progress=False
    )
    assert found == trained.history["loss"]
    full.run(3)
    assert full.losses(5) == found  # from the start again


def test_a_problem_is_the_same_for_everyone():
    a, b = Workload.of(CASES["S"]), Workload.of(CASES["S"])
    for (w, bias), (v, other) in zip(a.weights, b.weights, strict=True):
        assert np.array_equal(w, v)
        assert np.array_equal(bias, other)
    assert [w.shape for w, _ in a.weights] == [(64, 32), (32, 10)]
    assert len({t.tobytes() for _, t in a.batches}) == len(a.batches) == 4
    assert len({x.ctypes.data for x, _ in a.batches}) == 4


class Counting(Contender):
    """Counts its steps, and since when."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def restart(self) -> None:
        self.calls.append("restart")

    def step(self, i: int) -> float:
        self.calls.append(f"step {i}")
        return float(i)


def test_contenders_take_turns():
    order: list[str] = []

    class Turn:
        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, steps: int) -> float:
            order.append(self.name)
            return 0.002 * steps

    means = interleave({"a": Turn("a"), "b": Turn("b")}, bursts=3, seconds=0.01)
    assert order == ["a", "a", "b", "b", "a", "b", "b", "a", "a", "b"]
    assert means == {"a": [0.002] * 3, "b": [0.002] * 3}
    assert low([3.0, 1.0, 2.0]) == pytest.approx(1.2)


def test_a_contender_restarts_for_each_burst():
    contender = Counting()
    assert contender.run(2) >= 0
    assert contender.calls == ["restart", "step 0", "step 1", "step 2"]  # one of them is not counted
    assert contender.losses(3) == [0.0, 1.0, 2.0]
    assert contender.losses(3, patience=0.0) == [0.0]


def check_form(report: dict[str, Any], name: str) -> None:
    for word in ("cpu", "cores", "blas", "blas_core", "threads", "versions", "os"):
        assert word in report["machine"], word
    case = report["cases"][name]
    assert case["limit_ms"] > 0
    assert case["raw_ms"] > 0
    assert math.isfinite(case.get("ratios", case)["eager"])


def test_a_report_has_its_form(tmp_path: Path):
    report = bench([TINY, "S"], "cpu", bursts=2, seconds=1e-4)
    check_form(report, TINY)
    assert list(report["cases"]) == [TINY, "S"]
    write(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == report
    text = table(report)
    assert "S: 64-32-10, batch 32" in text
    assert text.count("times the products") == text.count("ms a step") >= 2
    assert machine()["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("device", ["jax", "torch", "strict"])
def test_other_devices_are_measured_against_their_own_products(device: str):
    pytest.importorskip({"strict": "array_api_strict"}.get(device, device))
    report = bench([TINY], device, bursts=1, seconds=1e-4)
    assert report["cases"][TINY]["eager"] > 0
    assert ("compiled" in report["cases"][TINY]) == dlarray.resolve(device).backend.compiles


def test_the_command_measures(tmp_path: Path):
    testing = pytest.importorskip("typer.testing")
    from dlarray.cli import app

    file = tmp_path / "m.json"
    runner = testing.CliRunner()
    done = runner.invoke(app, ["bench", "--cases", TINY, "--bursts", "1", "--seconds", "0.0001", "--output", str(file)])
    assert done.exit_code == 0, done.output
    assert "times the products" in done.output
    check_form(json.loads(file.read_text()), TINY)
    done = runner.invoke(app, ["bench", "--cases", TINY, "--bursts", "1", "--seconds", "0.0001", "--json"])
    check_form(json.loads(done.stdout), TINY)
    assert "times the products" in done.stderr
    done = runner.invoke(app, ["bench", "--cases", f"{TINY},S", "--explain"])
    assert done.exit_code == 0
    assert [line for line in done.output.splitlines() if " products, " in line] == [
        f"{TINY}: {str(plans([TINY])[TINY]).splitlines()[0]}",
        f"S: {str(plans(['S'])['S']).splitlines()[0]}",
    ]
    done = runner.invoke(app, ["bench", "--cases", "enormous"])
    assert done.exit_code == 2


@pytest.mark.slow
def test_the_comparison_has_its_form(tmp_path: Path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "cpu.json", tmp_path / "cpu.png"
    script = str(ROOT / "benchmarks" / "cpu.py")
    command = [
        sys.executable,
        script,
        "--cases",
        TINY,
        "--baselines",
        "sklearn",
        "--bursts",
        "1",
        "--seconds",
        "0.0001",
    ]
    command += ["--check", "5", "--json", str(file), "--png", str(picture)]
    environment = os.environ | {"OPENBLAS_CORETYPE": "Haswell", "MPLBACKEND": "agg"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "OPENBLAS_CORETYPE=Haswell removed" in done.stdout
    report = json.loads(file.read_text())
    check_form(report, TINY)
    case = report["cases"][TINY]
    assert {"numpy", "eager", "scikit-learn"} <= case["ratios"].keys()
    assert case["about"]["raw products"]["products"]
    assert all(ratio > 0 for ratio in case["ratios"].values())
    assert case["gradients"]["of"]["eager"]["is"] == "as its precision"
    assert case["losses"]["of"]["scikit-learn"]["equal"]
    assert {"PyTorch", "thinc"}.isdisjoint(case["absent"])  # what was not requested is not reported as absent
    assert picture.stat().st_size > 10_000
    tables = subprocess.run(
        [sys.executable, script, "--markdown", str(file)], capture_output=True, text=True, check=True
    )
    assert f"| step / products | {TINY} |" in tables.stdout
    done = subprocess.run([*command[:4], "--baselines", "abacus"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "unknown --baselines abacus" in done.stderr
