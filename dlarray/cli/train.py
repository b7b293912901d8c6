"""``dlarray train``: a network for a table, or for the handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dlarray import tables
from dlarray.activations import Activation
from dlarray.cli.app import app
from dlarray.cli.digits import train_digits
from dlarray.cli.options import (
    ACTIVATIONS,
    OPTIMIZERS,
    Debug,
    DeviceName,
    Json,
    Names,
    class_weights,
    duration,
    hidden_units,
    split_names,
)
from dlarray.cli.output import UsageError, reporting, usage
from dlarray.cli.ranks import command_ranks
from dlarray.cli.reading import with_read_options
from dlarray.cli.table import TableOptions, train_table
from dlarray.cli.training import TrainingOptions
from dlarray.core.check import at_least_one, one_of
from dlarray.core.random import Bits
from dlarray.core.registry import by_name
from dlarray.device import resolve
from dlarray.optimizers import Optimizer
from dlarray.tables.column_options import ColumnOptions
from dlarray.tables.memory import Allowed
from dlarray.tables.split import SplitOptions

__all__ = ["train"]

HELP = "\n\n".join(
    (
        "Train a network to predict one column of a table from the others. Save it with its preprocessing.",
        "First it shows the task, the columns and the network, then a progress bar, and at the end the metrics beside "
        "those of a linear model. Ctrl-C ends the training and saves the best model so far; the exit code is then 130.",
        "`dlarray train digits` trains on 1,797 handwritten digits and saves a picture of the training.",
    )
)
EXAMPLES = """Examples:

  dlarray train titanic.csv --target survived

  dlarray train titanic.csv --target survived --dry-run

  dlarray train flights.csv --target arr_delay --drop tailnum --time time_hour

  dlarray train wine.parquet --target class --folds 5 --output models

  dlarray train folder_of_parquet --target class --memory 8GB

  dlarray train digits --device jax --hidden 128,64 --activation gelu
"""
DATA, COLUMNS, ROWS = "Data", "Columns", "Rows for training and for measuring"
NETWORK, END, CLASSES, OUTPUT = "Network and training", "End of the training", "Classes", "Output"
ALSO_FOR_DIGITS = {
    *("what", "hidden", "activation", "optimizer", "learning_rate", "epochs", "batch_size", "seed", "output"),
    *("checkpoints", "resume", "device", "json", "debug"),
}


def _option(panel: str, text: str, metavar: str | None = None, *names: str) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=panel)


@app.command(help=HELP, epilog=EXAMPLES)
@with_read_options
def train(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FOLDER|digits",
            help="A file such as CSV, Parquet or Excel, a folder of Parquet or CSV files, - for stdin, or digits.",
        ),
    ],
    target: Annotated[str | None, _option(DATA, "Column to predict.", "COLUMN")] = None,
    task: Annotated[
        str | None, _option(DATA, "classification or regression; by default inferred from the target.", "TASK")
    ] = None,
    features: Annotated[
        Names, _option(COLUMNS, "Use only these columns, such as age,fare; can be repeated.", "COLUMN")
    ] = None,
    drop: Annotated[Names, _option(COLUMNS, "Leave this column out; can be repeated.", "COLUMN")] = None,
    keep: Annotated[
        Names, _option(COLUMNS, "Use this column although it looks like an identifier; can be repeated.", "COLUMN")
    ] = None,
    categorical: Annotated[
        Names, _option(COLUMNS, "The numbers in this column are categories; can be repeated.", "COLUMN")
    ] = None,
    max_categories: Annotated[int, _option(COLUMNS, "Most features for the categories of a column.")] = 100,
    validation: Annotated[float, _option(ROWS, "Share of the rows that is held out for validation.")] = 0.2,
    memory: Annotated[
        str | None,
        _option(
            DATA,
            "Memory that the table may take, such as 8GB; a larger one is read in blocks. By default half.",
            "SIZE",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        _option(DATA, "Folder for the features of a table in blocks: later epochs read them there.", "FOLDER"),
    ] = None,
    test: Annotated[
        Path | None,
        _option(ROWS, "Measure the model on the rows of this file, which are not used in training.", "FILE"),
    ] = None,
    folds: Annotated[int | None, _option(ROWS, "Measure by cross-validation with so many parts.", "K")] = None,
    group: Annotated[
        str | None, _option(ROWS, "Rows with the same value in this column stay on one side of each split.", "COLUMN")
    ] = None,
    time: Annotated[
        str | None, _option(ROWS, "Hold out the latest rows by this column, not a random part.", "COLUMN")
    ] = None,
    hidden: Annotated[
        str | None,
        _option(NETWORK, "Units of each hidden layer, such as 128,64; by default 128, for digits 256."),
    ] = None,
    activation: Annotated[str, _option(NETWORK, f"One of {ACTIVATIONS}.")] = "relu",
    optimizer: Annotated[
        str | None, _option(NETWORK, f"One of {OPTIMIZERS}; by default adamw, for digits adam.")
    ] = None,
    learning_rate: Annotated[float | None, _option(NETWORK, "By default that of the optimizer.")] = None,
    epochs: Annotated[int | None, _option(NETWORK, "Most passes over the training rows: 200, for digits 30.")] = None,
    batch_size: Annotated[
        int | None, _option(NETWORK, "Rows per step; 0 for all of them. By default 32, more for a large table.")
    ] = None,
    early_stopping: Annotated[
        bool | None,
        _option(
            END,
            "End when the validation loss no longer falls, and keep the best weights: the default.",
            None,
            "--early-stopping/--no-early-stopping",
        ),
    ] = None,
    seeds: Annotated[int | None, _option(NETWORK, "Networks whose outputs are averaged; by default 5.", "K")] = None,
    jobs: Annotated[
        int,
        _option(NETWORK, "Networks or folds that are trained at once, by so many processes; -1: all cores.", "N"),
    ] = 1,
    max_time: Annotated[str | None, _option(END, "Most time for the training, such as 30s, 5m or 1h.", "TIME")] = None,
    class_weight: Annotated[
        str | None,
        _option(CLASSES, "balanced: weight the classes equally; or weights, such as yes=3,no=1.", "WEIGHTS"),
    ] = None,
    balanced: Annotated[bool, _option(CLASSES, "The same as --class-weight balanced.", None, "--balanced")] = False,
    threshold: Annotated[
        float | None,
        _option(CLASSES, "Of two classes, predict the second if its probability is at least this.", "P"),
    ] = None,
    seed: Annotated[int, _option(NETWORK, "Seed of the split, the initial weights and the order of the rows.")] = 0,
    output: Annotated[
        Path | None, _option(OUTPUT, "File (.safetensors) or folder for the model; by default the current folder.")
    ] = None,
    checkpoints: Annotated[
        Path | None, _option(OUTPUT, "Folder in which the state of the training is saved after each epoch.", "FOLDER")
    ] = None,
    resume: Annotated[
        bool, _option(OUTPUT, "Continue from the checkpoints in the folder, if there are any.", None, "--resume")
    ] = False,
    plot: Annotated[
        Path | None,
        _option(OUTPUT, "File (.png, .svg, .pdf) for a picture of predictions beside the truth.", "FILE"),
    ] = None,
    dry_run: Annotated[
        bool, _option(OUTPUT, "Show what would be done, and train and save nothing.", None, "--dry-run")
    ] = False,
    *,
    reading: tables.ReadOptions,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The command of ``HELP``."""
    with reporting(json, debug) as out, command_ranks(debug) as ranks:
        with usage():
            make_optimizer = by_name(Optimizer, "adam" if optimizer is None else optimizer)
            rate = {} if learning_rate is None else {"learning_rate": learning_rate}
            options = TrainingOptions(
                device=resolve(device),
                hidden=None if hidden is None else hidden_units(hidden),
                activation=by_name(Activation, activation)(),
                optimizer=None if optimizer is None and not rate else make_optimizer(**rate),
                epochs=None if epochs is None else at_least_one("epochs", epochs),
                batch_size=batch_size if not batch_size else at_least_one("batch_size", batch_size),
                seed=seed,
                output=output,
                checkpoints=checkpoints,
                resume=resume,
                ranks=ranks,
            )
            if what == "-" and ranks.size > 1:
                raise UsageError("only one process can read stdin: give a file, which every process can read")
            if jobs != 1 and ranks.size > 1:
                raise UsageError(
                    f"--jobs is for one process, and {ranks.size} train each network together: remove --jobs"
                )
            if resume and checkpoints is None:
                raise UsageError("--resume continues from checkpoints: give their folder, with --checkpoints FOLDER")
            Bits(seed, "split")  # a wrong seed is an error before a file is read
            splitting = SplitOptions(validation=validation, folds=folds, group=group, time=time, seed=seed)
            if target is not None:
                splitting.check(target, test)
            at_least_one("max_categories", max_categories)
            Allowed.of(memory)
            if seeds is not None:
                at_least_one("seeds", seeds)
            if jobs != -1:
                at_least_one("jobs", jobs)
            if task is not None:
                one_of("task", task, ("classification", "regression"))
            if balanced and class_weight is not None:
                raise UsageError("--balanced is --class-weight balanced: give one of them")
            columns = ColumnOptions(
                None if features is None else split_names(features),
                split_names(drop),
                split_names(keep),
                split_names(categorical),
                max_categories,
            )
            choices = {
                "task": task,
                **vars(columns),
                "validation": validation,
                "test": test,
                "folds": folds,
                "group": group,
                "time": time,
                "hidden": options.hidden,
                "epochs": options.epochs,
                "early_stopping": early_stopping,
                "seeds": seeds,
                "jobs": jobs,
                "cache": cache,
                "max_time": None if max_time is None else duration(max_time),
                "class_weight": "balanced" if balanced else class_weights(class_weight),
                "threshold": threshold,
            }
        if what == "digits":
            if given := [name for name in context.params if name not in ALSO_FOR_DIGITS and _given(context, name)]:
                names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
                raise UsageError(f"the digits have a fixed target and split: remove {names}")
            train_digits(out, options)
            return
        choices = {name: value for name, value in choices.items() if value is not None}
        train_table(out, options, what, TableOptions(target, reading, choices, memory, dry_run, plot))


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
