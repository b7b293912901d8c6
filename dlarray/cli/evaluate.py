"""``dlarray evaluate``: the metrics of a saved model on a table that has the target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Memory, Model
from dlarray.cli.output import reporting
from dlarray.cli.reading import with_file_options
from dlarray.cli.report import metrics_line, metrics_text, unbroken_option
from dlarray.core.check import count
from dlarray.tables.column_options import columns_text

__all__ = ["evaluate"]

EXAMPLES = """Examples:

  dlarray evaluate model.safetensors test.csv

  dlarray evaluate model.safetensors test.csv --json

  dlarray evaluate model.safetensors
"""


@app.command(epilog=EXAMPLES)
@with_file_options
def evaluate(
    model: Model,
    table: Annotated[
        Path | None, typer.Argument(metavar="TABLE", help="A file, a folder of files, or - for stdin, with the target.")
    ] = None,
    *,
    reading: tables.ReadOptions,
    memory: Memory = None,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a model on a table with the target. Without a table, show its preprocessing and validation metrics."""
    with reporting(json, debug) as out:
        loaded = tables.load(model, device)
        if table is None:
            out.text(f"task:       {loaded.target.description}")
            out.text("")
            out.text(columns_text(loaded.preprocessing, unbroken_option))
            out.text("")
            out.text(metrics_text(loaded.facts))
            out.result({"model": str(model), "target": loaded.target.as_data(), **loaded.facts})
            return
        metrics, rows, measured = loaded.measure(table, reading, memory)
        some = f", measured on {measured:,} of them, chosen at random" if measured < rows else ""
        out.text(f"{count(rows, 'row')}{some}: {metrics_line(metrics)}")
        part = {"rows_measured": measured} if measured < rows else {}
        out.result({"model": str(model), "target": loaded.target.name, "rows": rows, **part, "metrics": metrics})
