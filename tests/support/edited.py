"""Edited training checkpoints: the digest is right, the contents are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dlarray.training.safetensors_file import pack, unpack

__all__ = ["contents", "edited", "signed"]

Arrays = dict[str, np.ndarray]


def contents(path: Path) -> tuple[dict[str, Any], Arrays]:
    """The configuration and the arrays of a file."""
    with path.open("rb") as file:
        text, arrays = unpack(file)
    return json.loads(text), arrays


def signed(path: Path, config: Any, arrays: Arrays) -> None:
    """Write a file with these contents and the right digest."""
    path.write_bytes(pack(json.dumps(config), arrays))


def edited(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the entry "run" of a file, in place."""
    config, arrays = contents(path)
    change(config["run"])
    signed(path, config, arrays)
