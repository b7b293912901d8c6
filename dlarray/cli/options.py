"""Options that several commands have, and what their values mean."""

from __future__ import annotations

from errno import EISDIR, ENOTDIR
from os import strerror
from pathlib import Path
from typing import Annotated

import typer

from dlarray.activations import Activation
from dlarray.cli.output import UsageError
from dlarray.core.registry import classes
from dlarray.optimizers import Optimizer

__all__ = ["Debug", "DeviceName", "Json", "Model", "Names", "hidden_units", "model_file", "split_names"]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and messages on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DeviceName = Annotated[
    str | None, typer.Option("--device", help="Device, such as cpu, cuda, torch or jax; see `dlarray devices`.")
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


def split_names(values: list[str] | None) -> list[str]:
    """Names of columns, from an option that can be repeated and can have several names separated by commas."""
    return [name.strip() for value in values or [] for name in value.split(",") if name.strip()]


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
