"""Options that several commands have, and what is read from their words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray.activations import Activation
from dlarray.cli.output import UsageError
from dlarray.core.registry import classes
from dlarray.optimizers import Optimizer

__all__ = ["Debug", "DeviceName", "Json", "Model", "Names", "listed", "model_file", "units"]

Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, all words on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
DeviceName = Annotated[str | None, typer.Option("--device", help="Where: cpu, cuda, torch, jax, …; see `devices`.")]
Model = Annotated[Path, typer.Argument(help="The model's file, from `dlarray train`.", metavar="MODEL")]
Names = list[str] | None

ACTIVATIONS = ", ".join(sorted(classes(Activation)))
OPTIMIZERS = ", ".join(sorted(classes(Optimizer)))


def units(text: str) -> list[int]:
    """Units of the hidden layers from words such as 128,64. Raises UsageError for other words."""
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        raise UsageError(f"--hidden takes whole numbers with commas between them, got {text!r}") from None
    for n in found:
        if n < 1:
            raise UsageError(f"units must be at least 1, got {n}")
    return found


def listed(names: list[str] | None) -> list[str]:
    """Columns from an option that may be given again and may hold several with commas between them."""
    return [name.strip() for words in names or [] for name in words.split(",") if name.strip()]


def model_file(output: Path | None, name: str) -> Path:
    """Where a model goes: to a file that ends in .safetensors, else into that folder under this name."""
    path = output or Path()
    return path if path.suffix == ".safetensors" else path / f"{name}.safetensors"
