"""Programs in a new process on a pseudo-terminal of so many columns, for tests of what a terminal shows."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

from tests.support.process import ROOT


def on_terminal(code: str, columns: int, *arguments: str, folder: Path | None = None) -> str:
    """What a terminal of this width receives from a new interpreter, stdout and stderr together."""
    status, received = run_on_terminal([sys.executable, "-c", code, *arguments], columns, folder)
    assert status == 0, received
    return received


def run_on_terminal(command: list[str], columns: int, folder: Path | None = None) -> tuple[int, str]:
    """The exit code of a program, and what a terminal of this width receives from it."""
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {n: v for n, v in os.environ.items() if not n.startswith("DLARRAY") and n not in ("COLUMNS", "LINES")}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "backends"))), "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    received = b""
    try:
        while part := os.read(ours, 65536):
            received += part
    except OSError:  # Linux's way to say that the other side is closed
        pass
    finally:
        os.close(ours)
    return process.wait(timeout=300), received.decode()
