"""The programs in ``benchmarks``, which import each other from their folder."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from tests.support.process import ROOT

FOLDER = ROOT / "benchmarks"


def script(name: str) -> Any:
    """A module of that folder. The folder stays last on the path, because modules import others when they run."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)
