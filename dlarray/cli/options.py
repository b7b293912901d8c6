"""Options that several commands have, and what their values mean."""

from __future__ import annotations

import re
from errno import EISDIR, ENOENT, ENOTDIR
from os import strerror
from pathlib import Path
from typing import Annotated, Any

import typer

from dlarray.activations import Activation
from dlarray.cli.output import UsageError
from dlarray.core.registry import classes
from dlarray.optimizers import Optimizer

__all__ = [
    "Debug",
    "DeviceName",
    "Json",
    "Memory",
    "Model",
    "Names",
    "check_output",
    "check_picture",
    "class_weights",
    "duration",
    "hidden_units",
    "model_file",
    "split_names",
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and messages on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DeviceName = Annotated[
    str | None, typer.Option("--device", help="Device, such as cpu, cuda, torch or jax; see `dlarray devices`.")
]
Memory = Annotated[
    str | None,
    typer.Option("--memory", help="Memory that the table may take, such as 8GB; by default half of what is free."),
]
Model = Annotated[Path, typer.Argument(help="The model's file, from `dlarray train`.", metavar="MODEL")]
Names = list[str] | None

ACTIVATIONS = ", ".join(sorted(classes(Activation)))
OPTIMIZERS = ", ".join(sorted(classes(Optimizer)))


def hidden_units(text: str) -> list[int]:
    """Units of the hidden layers, from text such as 128,64. Raises UsageError for other text."""
    try:
        found = [int(number) for number in text.split(",")]
    except ValueError:
        raise UsageError(f"--hidden takes integers separated by commas, got {text!r}") from None
    for n in found:
        if n < 1:
            raise UsageError(f"--hidden needs at least 1 unit in each layer, got {n}")
    return found


def duration(text: str) -> float:
    """Seconds, from text such as 30s, 5m, 1h or 90. Raises UsageError for other text."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([smh]?)", text.strip())
    if found is None or not float(found[1]):
        raise UsageError(f"--max-time takes a time such as 30s, 5m or 1h, got {text!r}")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def class_weights(text: str | None) -> str | dict[str, float] | None:
    """The word balanced, or weights by label from text such as yes=3,no=1. Raises UsageError for other text."""
    if text is None or text == "balanced":
        return text
    found: dict[str, float] = {}
    for part in text.split(","):
        label, _, weight = part.rpartition("=")
        try:
            found[label.strip()] = float(weight)
        except ValueError:
            label = ""
        if not label.strip():
            raise UsageError(f"--class-weight takes balanced or weights such as yes=3,no=1, got {text!r}")
    return found


def split_names(values: list[str] | None) -> list[str]:
    """Names of columns, from an option that can be repeated and can have several names separated by commas."""
    return [name.strip() for value in values or [] for name in value.split(",") if name.strip()]


def check_output(output: Path, *inputs: Path | None) -> None:
    """Raises UsageError if ``output`` is one of the files that the command reads, which it would overwrite."""
    for path in inputs:
        if path is not None and path.exists() and output.exists() and path.samefile(output):
            raise UsageError(f"{str(output)!r} is a file that this command reads: give another file for the output")


def check_picture(picture: Path, pictures: Any, *inputs: Path | None) -> None:
    """That ``pictures``, the module ``dlarray.plot``, can save such a file: its library, folder and ending.

    Raises UsageError for an unknown ending and like ``check_output``, and OSError if the folder is missing.
    """
    known = pictures.pyplot().FigureCanvasBase.get_supported_filetypes()
    if picture.suffix and picture.suffix[1:].lower() not in known:
        raise UsageError(f"a picture is a file such as .png, .svg or .pdf, got {str(picture)!r}")
    if not picture.parent.is_dir():
        raise FileNotFoundError(ENOENT, "no such folder", str(picture.parent))
    check_output(picture, *inputs)


def model_file(output: Path | None, name: str) -> Path:
    """The file for a model: ``output`` if it ends in .safetensors, else a file of this name in that folder.

    Raises UsageError for another ending, and OSError if a folder or a file is in the way.
    """
    path = output or Path()
    if path.suffix not in ("", ".safetensors") and not path.is_dir():
        raise UsageError(
            f"--output must be a folder or a file that ends in .safetensors, got {str(path)!r}; "
            "to use a folder with this name, create it first"
        )
    file = path if path.suffix == ".safetensors" else path / f"{name}.safetensors"
    if file.is_dir():
        raise IsADirectoryError(EISDIR, strerror(EISDIR), str(file))
    nearest = next(folder for folder in file.parents if folder.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR), str(nearest))
    return file
