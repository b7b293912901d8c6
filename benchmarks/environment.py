"""The same conditions for every process, and words about the GPU. To be imported before NumPy."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

THREADS = ("OPENBLAS", "OMP", "MKL", "BLIS", "NUMEXPR", "VECLIB_MAXIMUM")
FIELDS = (
    *("name", "driver_version", "memory.total", "pstate", "temperature.gpu", "power.draw", "power.limit"),
    *("clocks.current.sm", "clocks.current.memory", "clocks.max.sm", "clocks.max.memory"),
    *("ecc.mode.current", "mig.mode.current", "persistence_mode", "utilization.gpu"),
)
"""Names of nvidia-smi --help-query-gpu; it fails where it does not know one."""


def prepare(threads: int, platform: str = "cpu") -> list[str]:
    """Set the variables for this process and its children, and keep them to so many cores. What was done, in words.

    To be called before NumPy is imported: BLAS reads its variables once. ``platform`` is where JAX computes: "cpu" or
    "cuda".
    """
    assert "numpy" not in sys.modules, "NumPy was imported before its threads were set"
    done = [f"{threads} threads for every process"]
    if core := os.environ.pop("OPENBLAS_CORETYPE", None):
        done.append(f"OPENBLAS_CORETYPE={core} removed from the environment: OpenBLAS chooses its kernels itself")
    if os.environ.pop("NVIDIA_TF32_OVERRIDE", None):
        done.append("NVIDIA_TF32_OVERRIDE removed from the environment: precisions are set for each library")
    for name in THREADS:
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    os.environ |= {"NUM_CPU_THREADS": str(threads), "DEV": "CPU", "KERAS_BACKEND": "jax", "JAX_PLATFORMS": platform}
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "DLARRAY_DEVICE": "cpu"}
    if hasattr(os, "sched_setaffinity"):  # the thread pool of XLA has as many threads as the process has cores
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])
        if len(cores) < threads:
            done.append(f"there are only {len(cores)} cores for them")
    root = Path(__file__).resolve().parent.parent
    sources = [str(root), str(root / "backends"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sources))
    sys.path[:0] = sources[:2]
    return done


def gpu() -> dict[str, str] | None:
    """What nvidia-smi says of the first GPU, with units; None where there is no nvidia-smi or no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        return None
    line = next(csv.reader(done.stdout.splitlines(), skipinitialspace=True))
    return dict(zip(FIELDS, line, strict=True))


def log(words: str) -> None:
    """Progress, on standard error."""
    print(words, file=sys.stderr, flush=True)
