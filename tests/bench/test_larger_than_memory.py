"""The programs that compare training on files and on tables in blocks with training in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent.parent.parent / "benchmarks"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory is limited on Linux alone")
def test_both_train_in_turns_and_are_compared(tmp_path: Path) -> None:
    words = ("--memory", "256", "--rounds", "1", "--epochs", "1", "--size", "0.1", "--json", str(tmp_path / "found"))
    done = subprocess.run(
        [sys.executable, str(PROGRAMS / "larger_than_memory.py"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found").read_text(encoding="utf-8"))
    assert found["share"] == found["milliseconds"]["arrays"] / found["milliseconds"]["blocks"]
    assert 0 < found["stated_bytes"] < found["allowed_bytes"]
    assert "share of the speed" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of the memory is read by the module resource")
def test_a_table_in_blocks_is_compared_with_one_in_memory(tmp_path: Path) -> None:
    words = ("--memory", "4", "--rounds", "1", "--epochs", "1", "--json", str(tmp_path / "found"))
    command = [sys.executable, str(PROGRAMS / "larger_table.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found").read_text(encoding="utf-8"))
    assert found["share"]["whole"] == 1
    assert found["share"]["blocks"] == found["seconds_an_epoch"]["whole"] / found["seconds_an_epoch"]["blocks"]
    assert found["rows"] * 31 * 200 == pytest.approx(4 * found["allowed_bytes"], rel=1e-3)
    assert "of the speed" in done.stdout
