"""The programs that measure many fits at once, and networks with stacked weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent.parent / "benchmarks"


def measured(program: str, tmp_path: Path, *words: str) -> tuple[dict[str, Any], str]:
    command = [sys.executable, str(FOLDER / program), *words, "--rounds", "1", "--json", str(tmp_path / "f")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / "f").read_text(encoding="utf-8")), done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU times are read from /proc")
def test_a_cross_validation_is_measured_and_compared_with_one_job(tmp_path: Path) -> None:
    ways = ("1 job", "2 threads, BLAS with one")
    found, printed = measured("many_fits.py", tmp_path, "--cases", "digits", "--folds", "2", "--ways", *ways)
    for way, sides in found["found"]["digits"].items():
        assert f"digits, {way}" in printed
        for of in sides.values():
            assert of["cpu"] > 0
            assert of["difference"] == 0
    assert found["found"]["digits"][ways[1]]["dlarray"]["threads"] == 1


@pytest.mark.slow
def test_stacked_weights_are_measured(tmp_path: Path) -> None:
    words = ("--networks", "5-4-3", "--batches", "8", "--numbers", "1,2", "--without-jax")
    found, printed = measured("ensembles.py", tmp_path, *words)
    (times,) = found["microseconds"].values()
    assert set(times) == {"fit", *(f"{kind}, {k}" for kind in ("products", "stacked", "wide") for k in (1, 2))}
    assert "5-4-3, batches of 8" in printed
