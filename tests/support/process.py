"""Python in a new process, for tests of what an import does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def python(code: str, *paths: Path, **variables: str) -> str:
    """The output of a new interpreter; ``paths`` are more folders to import from, ``variables`` its environment."""
    roots = [*paths, ROOT, ROOT / "backends"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DLARRAY")}
    environment |= {"PYTHONPATH": os.pathsep.join(map(str, roots)), **variables}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
