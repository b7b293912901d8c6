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
from dlarray.cli.telling import UsageError, telling
from dlarray.files import replacing

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
    """Predict the target for every row of a table, in its order.

    Columns may stand in any order; one that is missing is an error that names it. Unknown categories and values that
    cannot be read are counted in a note.
    """
    with telling(json, debug) as told:
        if output is not None and output.suffix not in {".csv", ".parquet"}:
            raise UsageError(f"predictions are written to .csv or .parquet files, got {str(output)!r}")
        if output is not None and not output.parent.is_dir():
            raise FileNotFoundError(ENOENT, "there is no such folder", str(output.parent))
        learnt = tables.load(model, device)
        frame = tables.read(table)
        answers = learnt.predict(frame)
        for name in reversed(listed(beside)):
            if name not in frame.columns:
                raise tables.UnknownColumn(name, frame.columns)
            answers = answers.insert_column(0, frame[name])
        if output is not None:
            _write(answers, output)
            told.words(f"saved: {output}, {answers.height:,} predictions of {learnt.target.name}")
        elif not json:
            sys.stdout.write(answers.write_csv())
        found: dict[str, Any] = {"model": str(model), "target": learnt.target.name, "rows": answers.height}
        told.result(found | ({"output": str(output)} if output else {"predictions": answers.to_dicts()}))


def _write(answers: Any, output: Path) -> None:
    with replacing(output) as file:
        if output.suffix == ".csv":
            file.write(answers.write_csv().encode())
        else:
            answers.write_parquet(file)
