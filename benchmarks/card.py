"""The card, in the words that a measurement needs beside it: as nvidia-smi tells them."""

from __future__ import annotations

import csv
import shutil
import subprocess

__all__ = ["card"]

FIELDS = (
    *("name", "driver_version", "memory.total", "pstate", "temperature.gpu", "power.draw", "power.limit"),
    *("clocks.current.sm", "clocks.current.memory", "clocks.max.sm", "clocks.max.memory"),
    *("ecc.mode.current", "mig.mode.current", "persistence_mode", "utilization.gpu"),
)
"""Names of nvidia-smi --help-query-gpu; of one that it does not know it says so in the place of all."""


def card() -> dict[str, str] | None:
    """What nvidia-smi says of the first card, with its units; None where there is no nvidia-smi or no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return None
    line = next(csv.reader(done.stdout.splitlines(), skipinitialspace=True))
    return dict(zip(FIELDS, line, strict=True))
