"""The same conditions for every process. To be imported and called before NumPy: BLAS reads its variables once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

THREADS = ("OPENBLAS", "OMP", "MKL", "BLIS", "NUMEXPR", "VECLIB_MAXIMUM")


def prepare(threads: int, platform: str = "cpu") -> list[str]:
    """Set the variables for this process and its children, and keep them to so many cores. What was done, in words.

    ``platform`` is where JAX computes: "cpu" or "cuda".
    """
    assert "numpy" not in sys.modules, "NumPy was imported before its threads were set"
    said = [f"{threads} threads for every process"]
    if core := os.environ.pop("OPENBLAS_CORETYPE", None):
        said.append(f"OPENBLAS_CORETYPE={core} removed from the environment: OpenBLAS chooses its kernels itself")
    if os.environ.pop("NVIDIA_TF32_OVERRIDE", None):
        said.append("NVIDIA_TF32_OVERRIDE removed from the environment: precisions are set for each library")
    for name in THREADS:
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    os.environ |= {"NUM_CPU_THREADS": str(threads), "DEV": "CPU", "KERAS_BACKEND": "jax", "JAX_PLATFORMS": platform}
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "DLARRAY_DEVICE": "cpu"}
    if hasattr(os, "sched_setaffinity"):  # the thread pool of XLA has as many threads as the process has cores
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:threads])
        if len(cores) < threads:
            said.append(f"there are only {len(cores)} cores for them")
    root = Path(__file__).resolve().parent.parent
    sources = [str(root), str(root / "backends"), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sources))
    sys.path[:0] = sources[:2]
    return said
