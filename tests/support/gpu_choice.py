"""Which GPUs CuPy has in the tests: real ones, emulated ones, or none. It is decided before anything imports CuPy."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests import cuda_on_cpu as emulator

REAL, EMULATED = "real", "emulated"
CHOICE = pytest.StashKey[str]()
"""One of them, or why there is no GPU. All processes of a run have the same."""

COUNT = """
import ctypes
driver, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
assert driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
"""


def choose(emulated: bool) -> str:
    """Real GPUs where there are any and CuPy is installed, else emulated ones; ``emulated``: in any case."""
    if not emulated and find_spec("cupy") is not None and _driver():
        return REAL
    return emulator.missing() or EMULATED


def use(choice: str) -> str:
    """Install the emulator if it is chosen. What is left to use is returned: the libraries may not compile."""
    if choice == EMULATED:
        try:
            emulator.install()
        except emulator.Unavailable as why:
            return str(why)
    return choice


def _driver() -> bool:
    """Whether NVIDIA's driver finds a GPU. A process of its own asks: once loaded here, the driver would stay."""
    return subprocess.run([sys.executable, "-c", COUNT], capture_output=True, check=False).returncode == 0
