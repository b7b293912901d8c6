"""The gallery shows the picture that an example saves, so an example needs no line for the gallery's sake."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from sphinx_gallery.scrapers import figure_rst

from dlarray.plot import pyplot

_PICTURE = Path(tempfile.mkdtemp()) / "picture.png"


def arguments(conf: dict[str, Any], script: dict[str, Any]) -> list[str]:
    """What every example is called with: the file for its picture."""
    _PICTURE.unlink(missing_ok=True)
    return [str(_PICTURE)]


def saved(block: Any, block_vars: dict[str, Any], conf: dict[str, Any]) -> str:
    """The picture in its place, where the block before has saved one."""
    if not _PICTURE.exists():
        return ""
    target = next(block_vars["image_path_iterator"])
    shutil.move(_PICTURE, target)
    return figure_rst([target], conf["src_dir"])


def close_all(conf: dict[str, Any], script: str) -> None:
    """Close all figures between examples."""
    pyplot().close("all")


class Order:
    """From the first node to a backend of one's own: what an example defines must not appear in another before it."""

    NAMES = ("perceptron", "xor", "descent", "activations", "initialisation", "losses", "digits", "problems")

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, file: str) -> tuple[int, str]:
        """The key that files are sorted by."""
        name = Path(file).stem
        place = self.NAMES.index(name) if name in self.NAMES else len(self.NAMES) + name.startswith("custom")
        return place, name
