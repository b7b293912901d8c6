"""``python -m tests.parallel``: start two ranks as the tests do. Exit with the reason where that is not possible."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.parallel import harness_checks
from tests.parallel.ranks import run_checks, unavailable

if __name__ == "__main__":
    if reason := unavailable():
        sys.exit(f"no ranks can be started: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        for name, outcome in run_checks(harness_checks, 2, Path(folder)).items():
            if outcome.failure and name not in harness_checks.FAIL:
                sys.exit(f"no ranks can be started: {outcome.failure}")
    print("two ranks have been started")
