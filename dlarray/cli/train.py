"""``dlarray train``: a network for a table, or for the handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray.activations import Activation
from dlarray.cli.app import app
from dlarray.cli.digits import train_digits
from dlarray.cli.options import ACTIVATIONS, OPTIMIZERS, Debug, DeviceName, Json, Names, hidden_units, split_names
from dlarray.cli.output import UsageError, reporting, usage
from dlarray.cli.table import train_table
from dlarray.cli.training import TrainingOptions
from dlarray.core.check import at_least_one, fraction, one_of
from dlarray.core.random import Bits
from dlarray.core.registry import by_name
from dlarray.device import resolve
from dlarray.optimizers import Optimizer

__all__ = ["train"]

EXAMPLES = """Examples:

  dlarray train flights.csv --target arr_delay --drop tailnum

  dlarray train wine.parquet --target class --hidden 64,32 --output models

  dlarray train digits --device jax --hidden 128,64 --activation gelu
"""
TABLES = ("target", "task", "drop", "keep", "categorical", "max_categories", "validation", "balanced")


@app.command(epilog=EXAMPLES)
def train(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="FILE|digits", help="A CSV or Parquet file, or the word digits.")],
    target: Annotated[str | None, typer.Option(help="Column to predict.", metavar="COLUMN")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="classification or regression; by default inferred from the target.", metavar="TASK"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File (.safetensors) or folder for the model; by default the current folder.")
    ] = None,
    hidden: Annotated[str, typer.Option(help="Units of each hidden layer, such as 128 or 128,64.")] = "256",
    activation: Annotated[str, typer.Option(help=f"One of {ACTIVATIONS}.")] = "relu",
    optimizer: Annotated[str, typer.Option(help=f"One of {OPTIMIZERS}.")] = "adam",
    learning_rate: Annotated[float | None, typer.Option(help="By default that of the optimizer.")] = None,
    epochs: Annotated[int, typer.Option(help="Number of passes over the training examples.")] = 30,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Examples per step; 0 for all of them. By default 32, more for a large table."),
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of a table's rows that is held out for validation.")] = 0.2,
    seed: Annotated[
        int, typer.Option(help="Seed of the split, the initial weights and the order of the examples.")
    ] = 0,
    drop: Annotated[Names, typer.Option(metavar="COLUMN", help="Column to drop; can be repeated.")] = None,
    keep: Annotated[
        Names,
        typer.Option(metavar="COLUMN", help="Column to keep although it looks like an identifier; can be repeated."),
    ] = None,
    categorical: Annotated[
        Names, typer.Option(metavar="COLUMN", help="Column whose numbers are categories; can be repeated.")
    ] = None,
    max_categories: Annotated[int, typer.Option(help="Maximum number of one-hot features per column.")] = 100,
    balanced: Annotated[bool, typer.Option("--balanced", help="Weight the classes equally.")] = False,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network to predict one column of a table from the others. Save it with its preprocessing.

    `dlarray train digits` trains on 1,797 handwritten digits and saves a picture of the training.
    """
    with reporting(json, debug) as out:
        with usage():
            make_optimizer = by_name(Optimizer, optimizer)
            options = TrainingOptions(
                device=resolve(device),
                hidden=hidden_units(hidden),
                activation=by_name(Activation, activation)(),
                optimizer=make_optimizer() if learning_rate is None else make_optimizer(learning_rate=learning_rate),
                epochs=at_least_one("epochs", epochs),
                batch_size=batch_size if not batch_size else at_least_one("batch_size", batch_size),
                seed=seed,
                output=output,
            )
            Bits(seed, "split")  # a wrong seed is an error before a file is read
            fraction("validation", validation)
            at_least_one("max_categories", max_categories)
            if task is not None:
                one_of("task", task, ("classification", "regression"))
        if what == "digits":
            if given := [name for name in TABLES if _given(context, name)]:
                names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise UsageError(f"the digits have a fixed target and split: remove {names}")
            train_digits(out, options)
            return
        train_table(
            out,
            options,
            what,
            target,
            task=task,
            validation=validation,
            balanced=balanced,
            max_categories=max_categories,
            categorical=split_names(categorical),
            drop=split_names(drop),
            keep=split_names(keep),
        )


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
