"""``dlarray train``: a table, or a data set that dlarray brings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray.activations import Activation
from dlarray.cli.app import app
from dlarray.cli.digits import train_digits
from dlarray.cli.options import ACTIVATIONS, OPTIMIZERS, Debug, DeviceName, Json, Names, listed, units
from dlarray.cli.output import UsageError, reporting, usage
from dlarray.cli.table import train_table
from dlarray.cli.training import Training
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
    what: Annotated[str, typer.Argument(metavar="FILE|digits", help="A CSV or Parquet file, or the digits.")],
    target: Annotated[str | None, typer.Option(help="The column to be told from the others.", metavar="COLUMN")] = None,
    task: Annotated[
        str | None, typer.Option(help="classification or regression; by default by the target.", metavar="TASK")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The model's file (….safetensors), or its folder; by default this folder.")
    ] = None,
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers, such as 128 or 128,64.")] = "256",
    activation: Annotated[str, typer.Option(help=f"One of {ACTIVATIONS}.")] = "relu",
    optimizer: Annotated[str, typer.Option(help=f"One of {OPTIMIZERS}.")] = "adam",
    learning_rate: Annotated[float | None, typer.Option(help="By default the optimizer's own.")] = None,
    epochs: Annotated[int, typer.Option(help="How many times all examples are seen.")] = 30,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Examples per step; 0 for all of them, batch descent. By default 32, for a large table more."
        ),
    ] = None,
    validation: Annotated[float, typer.Option(help="The share of a table's rows that is not trained on.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Of split, weights and order.")] = 0,
    drop: Annotated[Names, typer.Option(metavar="COLUMN", help="Leave it out; may be given again.")] = None,
    keep: Annotated[Names, typer.Option(metavar="COLUMN", help="Keep it though it looks like an identifier.")] = None,
    categorical: Annotated[Names, typer.Option(metavar="COLUMN", help="Its numbers are names: one-hot.")] = None,
    max_categories: Annotated[int, typer.Option(help="The most features that a column's categories have.")] = 100,
    balanced: Annotated[bool, typer.Option("--balanced", help="Give every class the same weight.")] = False,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a network to tell one column of a table from the others, and save it with all that predicting needs.

    `dlarray train digits` learns to read 1,797 handwritten digits, and draws a picture of how it went.
    """
    with reporting(json, debug) as out:
        with usage():
            make_optimizer = by_name(Optimizer, optimizer)
            plan = Training(
                where=resolve(device),
                hidden=units(hidden),
                activation=by_name(Activation, activation)(),
                optimizer=make_optimizer() if learning_rate is None else make_optimizer(learning_rate=learning_rate),
                epochs=at_least_one("epochs", epochs),
                batch_size=batch_size if not batch_size else at_least_one("batch_size", batch_size),
                seed=seed,
                output=output,
            )
            Bits(seed, "split")  # refuses a seed before a file is read
            fraction("validation", validation)
            at_least_one("max_categories", max_categories)
            if task is not None:
                one_of("task", task, ("classification", "regression"))
        if what == "digits":
            if given := [name for name in TABLES if _given(context, name)]:
                options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise UsageError(f"the digits bring their own target and split: {options} is for tables")
            train_digits(out, plan)
            return
        train_table(
            out,
            plan,
            what,
            target,
            task=task,
            validation=validation,
            balanced=balanced,
            max_categories=max_categories,
            categorical=listed(categorical),
            drop=listed(drop),
            keep=listed(keep),
        )


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
