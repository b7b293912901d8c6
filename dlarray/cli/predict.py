"""``dlarray predict``: the predictions of a saved model for a new table."""

from __future__ import annotations

import sys
from errno import ENOENT
from pathlib import Path
from typing import Annotated, Any

import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model, split_names
from dlarray.cli.output import UsageError, json_text, reporting
from dlarray.core.check import count
from dlarray.core.files import replacing

__all__ = ["predict"]

EXAMPLES = """Examples:

  dlarray predict model.safetensors new.csv --output predictions.csv

  dlarray predict model.safetensors new.parquet --with id --output predictions.parquet

  dlarray predict model.safetensors new.csv | head
"""


@app.command(epilog=EXAMPLES)
def predict(
    model: Model,
    table: Annotated[
        Path, typer.Argument(metavar="TABLE", help="A CSV or Parquet file with the columns of the training table.")
    ],
    output: Annotated[
        Path | None, typer.Option(help="File for the predictions (.csv or .parquet); by default CSV on stdout.")
    ] = None,
    included: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="COLUMN", help="Column of the table to include in the output; can be repeated."),
    ] = None,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict the target for every row of a table, in the same order.

    Columns can be in any order. A missing column is an error. Notes count unknown categories and unreadable values.
    Columns included by --with keep the file's text.
    """
    with reporting(json, debug) as out:
        if output is not None and output.suffix not in {".csv", ".parquet"}:
            raise UsageError(f"predictions are written to .csv or .parquet files, got {str(output)!r}")
        if output is not None and not output.parent.is_dir():
            raise FileNotFoundError(ENOENT, "no such folder", str(output.parent))
        loaded = tables.load(model, device)
        frame = tables.read_verbatim(table)
        predictions = _include(frame, split_names(included), loaded.predict(frame))
        if output is not None:
            _write(predictions, output)
            out.text(f"saved: {output}, {count(predictions.height, 'prediction')} of {loaded.target.name}")
        elif not json:
            sys.stdout.write(_csv(predictions))
        found: dict[str, Any] = {"model": str(model), "target": loaded.target.name, "rows": predictions.height}
        out.result(found | ({"output": str(output)} if output else {"predictions": predictions.to_dicts()}))


def _include(frame: Any, names: list[str], predictions: Any) -> Any:
    """These columns of the table, each once and as the file holds them, followed by the predictions."""
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in frame.columns:
            raise tables.UnknownColumnError(name, frame.columns)
        if name in predictions.columns:
            raise UsageError(f"--with {name}: the predictions have a column {name!r} too; rename that of the table")
    return frame.select(names).hstack(predictions) if names else predictions


def _csv(predictions: Any) -> str:
    """The table as CSV; values that CSV cannot hold, such as lists, as JSON."""
    import polars as pl

    for values in predictions:
        if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Duration):
            text = [None if value is None else json_text(value) for value in values.to_list()]
            predictions = predictions.with_columns(pl.Series(values.name, text))
    return predictions.write_csv()


def _write(predictions: Any, output: Path) -> None:
    with replacing(output) as file:
        if output.suffix == ".csv":
            file.write(_csv(predictions).encode())
        else:
            predictions.write_parquet(file)
