"""``dlarray predict``: a saved model and a new table to a table of predictions."""

from __future__ import annotations

import sys
from errno import ENOENT
from pathlib import Path
from typing import Annotated, Any

import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model, listed
from dlarray.cli.output import UsageError, json_text, reporting
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
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A CSV or Parquet file with the columns of training.")],
    output: Annotated[
        Path | None, typer.Option(help="A file for the predictions, .csv or .parquet; by default CSV on stdout.")
    ] = None,
    beside: Annotated[
        list[str] | None, typer.Option("--with", metavar="COLUMN", help="Columns of the table to stand beside them.")
    ] = None,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict the target for every row of a table, in its order. Columns that stand beside keep the file's text.

    Columns may stand in any order; one that is missing is an error that names it. Unknown categories and values that
    cannot be read are counted in a note.
    """
    with reporting(json, debug) as out:
        if output is not None and output.suffix not in {".csv", ".parquet"}:
            raise UsageError(f"predictions are written to .csv or .parquet files, got {str(output)!r}")
        if output is not None and not output.parent.is_dir():
            raise FileNotFoundError(ENOENT, "there is no such folder", str(output.parent))
        learnt = tables.load(model, device)
        frame = tables.read_verbatim(table)
        answers = _beside(learnt.predict(frame), frame, listed(beside))
        if output is not None:
            _write(answers, output)
            out.text(f"saved: {output}, {answers.height:,} predictions of {learnt.target.name}")
        elif not json:
            sys.stdout.write(_csv(answers))
        found: dict[str, Any] = {"model": str(model), "target": learnt.target.name, "rows": answers.height}
        out.result(found | ({"output": str(output)} if output else {"predictions": answers.to_dicts()}))


def _beside(answers: Any, frame: Any, names: list[str]) -> Any:
    """The predictions behind columns of the table, each once, as the file holds them."""
    names = list(dict.fromkeys(names))
    for name in names:
        if name not in frame.columns:
            raise tables.UnknownColumnError(name, frame.columns)
        if name in answers.columns:
            raise UsageError(f"--with {name}: the predictions have a column {name!r} of their own; rename the table's")
    return frame.select(names).hstack(answers) if names else answers


def _csv(answers: Any) -> str:
    """The table as CSV; what CSV cannot hold, such as lists, as JSON."""
    import polars as pl

    for values in answers:
        if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Duration):
            text = [None if value is None else json_text(value) for value in values.to_list()]
            answers = answers.with_columns(pl.Series(values.name, text))
    return answers.write_csv()


def _write(answers: Any, output: Path) -> None:
    with replacing(output) as file:
        if output.suffix == ".csv":
            file.write(_csv(answers).encode())
        else:
            answers.write_parquet(file)
