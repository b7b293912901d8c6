"""The measuring on a GPU: its arithmetic by hand, and one run of all of it on a CPU."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlarray.bench import Case
from tests.support.scripts import FOLDER, script

OURS_IN_PREDICTION = ("dlarray", "dlarray, NumPy alone", "dlarray, the function alone", "dlarray, eager")
LIMITS = ("raw products", "matmul products")
SCRIPT = str(FOLDER / "gpu.py")

# The arithmetic


def test_the_floor_by_hand():
    roofline = script("roofline")
    case = Case.named("3-2-1x4")
    assert case.flops == 2 * 4 * (6 + 6 + 2 + 2 + 2)  # X W and Xᵀ dY of both layers, dY Wᵀ of the second
    assert case.parameters == 6 + 2 + 2 + 1
    # x: 12 numbers; W and dW: 12 and 4; outputs and their gradients: 16 and 8
    assert roofline.product_bytes(case, 4) == 4 * (12 + 12 + 4 + 16 + 8) == 208
    assert roofline.product_bytes(case, 2) == 104
    adam = 28 * 11
    assert roofline.floor(case, 4, rate=36, bandwidth=104) == pytest.approx(4 + adam / 104)  # arithmetic is the longer
    assert roofline.floor(case, 4, rate=1440, bandwidth=104) == pytest.approx(2 + adam / 104)  # memory is
    assert roofline.floor(case, 2, rate=1440, bandwidth=104) == pytest.approx(1 + adam / 104)


def test_a_spread_by_hand():
    spread = script("measure").spread
    bursts = [{"wall": w, "device": d} for w, d in ((3e-6, 1e-6), (1e-6, 3e-6), (2e-6, 2e-6))]
    assert spread(bursts) == pytest.approx({"median": 2, "least": 1, "most": 3, "device": 2, "rounds": 3})
    assert spread([{"wall": 1e-6, "device": None}])["device"] is None


def test_a_gradient_tells_its_precision():
    judged = script("measure").judged
    assert judged(2.0**-23, "float32") == {"roundoffs": 2.0, "is": "as its precision"}
    assert judged(2.0**-9, "tf32")["is"] == "as its precision"
    assert judged(2.0**-11, "float32")["is"] == "worse than its precision"  # TF32 where float32 was asked for
    assert "better" in judged(2.0**-23, "tf32")["is"]  # and the other way round
    relative = script("contenders.base").relative_error
    assert relative([np.array([3.0]), np.array([[4.0]])], [np.array([0.0]), np.array([[5.0]])]) == pytest.approx(
        np.sqrt(10) / 5
    )


def invented(**medians: float) -> dict[str, Any]:
    names = {"graph": "PyTorch, the step a graph", "low": "PyTorch, reduce-overhead", "torch": "PyTorch"}
    names |= {"compile": "PyTorch, torch.compile", "jit": "JAX + optax", "scan": "JAX + optax, scan"}
    times = {names.get(name, name): {"median": us} for name, us in medians.items()}
    return {"microseconds": times, "losses": {"of": {name: {"equal": True} for name in times}}}


def reached(result: dict[str, Any]) -> dict[str, Any]:
    return {t["against"]: t["reached"] for t in script("targets").targets(result)}


def test_targets_by_hand():
    small = invented(eager=100, captured=10, epilogues=8, repeated=4, torch=40, low=16, graph=9.5, scan=3.9)
    result = {"device": "cuda", "cases": {"M": {"float32": small}}}
    assert reached(result) == {
        "PyTorch eager": True,  # 40 / 8
        "PyTorch reduce-overhead": True,  # 16 / 8
        "PyTorch, the step a graph": False,  # 9.5 / 8
        "JAX scan, many steps at once": False,  # 3.9 / 4
    }
    small["microseconds"]["PyTorch, fused Adam"] = {"median": 39}  # the faster of the two counts
    small["losses"]["of"]["PyTorch, reduce-overhead"]["equal"] = False  # what has other losses does not
    del small["microseconds"]["JAX + optax, scan"]
    assert list(reached(result).values()) == [False, None, False, None]
    found = script("targets").targets(result)
    assert found[0] == {
        "case": "M",
        "precision": "float32",
        "against": "PyTorch eager",
        "wanted": 5.0,
        "ratio": pytest.approx(39 / 8),
        "reached": False,
        "ours": "epilogues",
        "theirs": "PyTorch, fused Adam",
    }
    assert "JAX + optax, scan" in found[3]["why"]
    assert set(reached(result | {"device": "cpu"}).values()) == {None}


def test_targets_of_large_cases_by_hand():
    large = invented(epilogues=100, compile=110, jit=109)
    assert list(reached({"device": "cuda", "cases": {"XL": {"tf32": large}}}).values()) == [True, False]
    huge = invented(epilogues=100, compile=98, jit=105, products=91)
    assert list(reached({"device": "cuda", "cases": {"XL 8192": {"tf32": huge}}}).values()) == [True, True]
    huge = invented(epilogues=100, compile=97, jit=105, products=91, **{"products captured": 89})
    assert list(reached({"device": "cuda", "cases": {"XL 8192": {"tf32": huge}}}).values()) == [False, False]


def test_a_table_by_hand():
    case = invented(eager=20, fused=10, jit=40) | {
        "network": "4-2",
        "batch": 3,
        "floor": 5.0,
        "absent": {"captured": "no"},
    }
    for us in case["microseconds"].values():
        us |= {"least": us["median"] - 1, "most": us["median"] + 1, "device": None}
    case["first_seconds"] = {"fused": {"made": 1.0, "first": 2.5}}
    case["gradients"] = {"of": {"eager": {"error": 1e-3, "roundoffs": 99.0, "is": "worse than its precision"}}}
    case["losses"] = {"allowed": 0.1, "of": {"JAX + optax": {"apart": 0.25, "equal": False}}}
    lines = script("report").table("A float32", case)
    rows = [" ".join(line.split()) for line in lines]
    assert rows[0] == "A float32: 4-2, batch 3; floor 5 µs"
    assert rows[2] == "dlarray, eager 20 19 21 – 25 % – – – 1.0e-03"
    assert rows[3] == "dlarray, fused kernels 10 9 11 – 50 % 1.00 2.50 – –"
    assert rows[4] == "JAX + optax 40 39 41 – 12 % – – 2.5e-01 –"
    assert lines[5:] == [
        "LOSSES NOT EQUAL: JAX + optax; allowed 1.0e-01 of the first loss",
        "GRADIENT of dlarray, eager: worse than its precision (99 roundoffs)",
        "without dlarray, one graph: no",
    ]
    assert lines != (slower := script("report").table("A float32", case | {"floor": 11.0}))
    assert any("the floor is none here" in line for line in slower)


def test_losses_are_compared_with_the_least_difference_where_eager_is_absent():
    against = script("measure").against
    found = against([2.0, 1.0], {"a": [2.0, 1.02], "b": [2.0, 1.1], "c": [2.0, 1.2]})
    assert [of["equal"] for of in found["of"].values()] == [True, True, False]
    assert found["rounding"] == pytest.approx(0.01)
    assert against([2.0, 1.0], {"eager": [2.0, 1.0], "b": [2.0, 1.1]})["of"]["b"]["equal"] is False
    assert "failed" in against([], {"a": [1.0]})


def test_the_gpu_as_nvidia_smi_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    environment = script("environment")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert environment.gpu() is None
    program = tmp_path / "nvidia-smi"
    values = ", ".join(f"value {i}" for i in range(len(environment.FIELDS)))
    asked = "--query-gpu=name,driver_version,*"
    program.write_text(f'#!/bin/sh\ncase "$1" in {asked}) echo "{values}" ;; *) exit 2 ;; esac\n')
    program.chmod(0o755)
    found = environment.gpu()
    assert list(found) == list(environment.FIELDS)
    assert found["name"] == "value 0"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert environment.gpu() is None


def test_the_results_that_are_kept_can_be_read_and_drawn(tmp_path: Path):
    pytest.importorskip("matplotlib")
    report, drawn = script("report"), 0
    for file in sorted((FOLDER / "results").glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        if re.search("-(at-once-.*|ensembles|estimators|files|many-fits|scaling|tables|larger-.*)[.]json$", file.name):
            continue  # results of other programs
        if "device" in result:
            assert "dlarray, fused kernels" in report.gpu_text(result)
        else:
            assert "| " in report.markdown(result)
        if file.with_suffix(".png").exists():
            script("picture").draw(result, picture := tmp_path / f"{file.stem}.png")
            assert picture.stat().st_size > 10_000
            drawn += 1
    assert drawn == 4


# All of it


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, "--quick", "--threads", "1", *words]
    environment = os.environ | {"NVIDIA_TF32_OVERRIDE": "1", "MPLBACKEND": "agg"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_the_whole_run_on_a_cpu(tmp_path: Path):
    pytest.importorskip("matplotlib")
    file, picture = tmp_path / "gpu.json", tmp_path / "gpu.png"
    words = ["--device", "cpu", "--ours", "eager,fused,captured", "--baselines", "none", "--precisions", "float32,tf32"]
    done = run(*words, "--json", str(file), "--png", str(picture))
    assert done.returncode == 0, done.stderr
    assert "NVIDIA_TF32_OVERRIDE removed" in done.stdout
    assert "without dlarray, one graph: a CUDA graph needs a GPU" in done.stdout
    result = json.loads(file.read_text())
    case, absent = result["cases"]["S"]["float32"], result["cases"]["S"]["tf32"]
    assert set(case["microseconds"]) == {"products", "eager", "fused"}
    for name, us in case["microseconds"].items():
        assert us["most"] >= us["median"] >= us["least"] > 0, name
        assert us["rounds"] == 2
        assert us["steps"] >= 3
    assert case["floor"] > 0
    assert {name: of["is"] for name, of in case["gradients"]["of"].items()} == dict.fromkeys(
        ("eager", "fused"), "as its precision"
    )
    assert all(of["equal"] and of["steps"] == 5 for of in case["losses"]["of"].values())
    assert set(case["first_seconds"]["fused"]) == {"made", "first"}
    assert set(absent["absent"]) == {"products", "eager", "fused", "captured"}
    assert all("TF32" in why for name, why in absent["absent"].items())
    assert {t["why"] for t in result["targets"]} == {"a target for a GPU"}
    assert set(result["peaks"]["float32"]) >= {"rate", "bandwidth"}
    assert {"gpu", "machine", "gpus", "settings"} <= result.keys()
    assert picture.stat().st_size > 10_000
    shown = subprocess.run([sys.executable, SCRIPT, "--show", str(file)], capture_output=True, text=True, check=True)
    assert "dlarray, fused kernels" in shown.stdout


@pytest.mark.slow
def test_without_a_gpu_nothing_is_measured_on_one():
    if importlib.util.find_spec("cupy"):
        pytest.skip("there may be a GPU")
    done = run("--ours", "products", "--baselines", "none", "--precisions", "float32")
    assert done.returncode == 1
    assert "without the products alone: failed: DeviceError" in done.stdout
    assert "--device cpu needs no GPU" in done.stderr


def test_what_is_asked_for_must_exist():
    gpu, measure, contenders = script("gpu"), script("measure"), script("contenders")
    assert [(case.name, case.batch) for case in measure.chosen_cases("S, XL 8192,4-3x2")] == [
        ("S", 32),
        ("XL 8192", 8192),
        ("4-3x2", 2),
    ]
    with pytest.raises(SystemExit, match="unknown case 'XXL'"):
        measure.chosen_cases("S,XXL")
    with pytest.raises(SystemExit, match="unknown precisions float8; choose from float32, tf32, bfloat16"):
        gpu.chosen_precisions("tf32,float8")
    with pytest.raises(SystemExit, match="unknown --ours fast; choose from products, products captured, eager"):
        contenders.chosen("gpu", ours="fast")
    with pytest.raises(SystemExit, match="unknown --baselines keras; choose from torch, jax, all, none"):
        contenders.chosen("gpu", baselines="keras")
    assert contenders.chosen("cpu", "fast", "sklearn").keys() == {*LIMITS, "fast", "scikit-learn"}
    assert contenders.chosen("cpu", "numpy", "jax").keys() == {*LIMITS, "numpy", "JAX products", "JAX + optax"}
    assert contenders.chosen("predict", baselines="jax").keys() == {*LIMITS, *OURS_IN_PREDICTION}
