"""The libraries of the extra ``onnx``, imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["library"]

EXTRA = ("onnx", "onnxruntime")


def library(name: str) -> Any:
    """The module of this name. Raises ImportError with the remedy if it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        root = name.partition(".")[0]
        if (error.name or "").partition(".")[0] != root:
            raise
        remedy = '"dlarray[onnx]"' if root in EXTRA else root
        raise ImportError(f"ONNX needs {root}: pip install {remedy}") from error
