"""The programs in ``benchmarks``, which find each other by standing in one folder."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from tests.support.process import ROOT

FOLDER = ROOT / "benchmarks"


def script(name: str) -> Any:
    """A module of that folder, which stays last on the path: modules import their neighbours when they need them."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)
