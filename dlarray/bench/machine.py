"""The description of the machine that a report contains."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["machine"]


def machine(packages: Sequence[str] = ("dlarray", "numpy", "llvmlite")) -> dict[str, Any]:
    """What a measurement depends on: processor, cores, BLAS and its kernels, threads, versions and load."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    built: Any = np.show_config(mode="dicts")
    blas = built["Build Dependencies"]["blas"]
    return {
        "cpu": _cpu(),
        "cores": cores,
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        **_running_blas(),
        "versions": {"python": platform.python_version(), **_versions(packages)},
        "os": platform.platform(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _running_blas() -> dict[str, Any]:
    """The processor core for which NumPy's BLAS has chosen its kernels, and its threads, from threadpoolctl."""
    try:
        pools: Any = import_module("threadpoolctl").threadpool_info()
    except ImportError:
        return {"blas_core": "unknown: pip install threadpoolctl", "threads": None}
    blas: list[dict[str, Any]] = [pool for pool in pools if pool.get("user_api") == "blas"]
    pool = next((pool for pool in blas if "numpy" in pool.get("filepath", "")), dict[str, Any]())
    return {"blas_core": pool.get("architecture", "unknown"), "threads": pool.get("num_threads")}


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
