# SPDX-License-Identifier: BSD-3-Clause
"""Where the emulator's files are, and how two processes take turns at making them."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parent
SOURCES = HOME / "src"
HEADERS = HOME / "include"
"""What kernels may include."""
BUILD = HOME / "build"
"""Everything that is made: the wheel, libraries, compiled kernels. Nothing is written elsewhere."""


class Unavailable(RuntimeError):
    """The emulator cannot be prepared or used here; the message says why."""


@contextmanager
def locked(name: str) -> Generator[None]:
    """Wait until no other process is making the same thing."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
        yield
