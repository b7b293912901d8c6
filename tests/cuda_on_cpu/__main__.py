# SPDX-License-Identifier: BSD-3-Clause
"""Prepare the emulator: fetch CuPy's wheel, compile the libraries, and say what was done."""

from __future__ import annotations

import sys
import time

from . import Unavailable, prepare, wheel
from .folders import BUILD

if __name__ == "__main__":
    start = time.monotonic()
    try:
        prepare()
    except Unavailable as why:
        sys.exit(f"no GPU can be emulated here: {why}")
    print(f"{wheel.PACKAGE} {wheel.VERSION} and its emulated GPU are in {BUILD} ({time.monotonic() - start:.0f} s)")
