"""The program that measures the estimators beside scikit-learn's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parent.parent.parent / "benchmarks" / "estimators.py"


def test_chosen_rows_are_measured_and_printed(tmp_path: Any):
    command = [sys.executable, str(SCRIPT), "--rows", "predict, 1 row", "--rounds", "1", "--json", str(tmp_path / "f")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "f").read_text(encoding="utf-8"))
    (row,) = found["rows"].values()
    for key in ("warm", "cold"):
        for kind in ("cpu", "wall"):
            assert row[key][kind] == row["theirs"][key][kind] / row["ours"][key][kind]
    assert row["met"] == (row["warm"]["cpu"] >= row["goal"])
    assert found["machine"]["versions"]["scikit-learn"]
    assert ("NOT MET" in done.stdout) != row["met"]
