"""``dlarray evaluate``: the metrics of a saved model on a table that has the target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model
from dlarray.cli.output import reporting
from dlarray.cli.table import columns_table, metrics_line, training_metrics
from dlarray.core.check import count

__all__ = ["evaluate"]

EXAMPLES = """Examples:

  dlarray evaluate model.safetensors test.csv

  dlarray evaluate model.safetensors test.csv --json

  dlarray evaluate model.safetensors
"""


@app.command(epilog=EXAMPLES)
def evaluate(
    model: Model,
    table: Annotated[
        Path | None, typer.Argument(metavar="TABLE", help="A CSV or Parquet file with the target.")
    ] = None,
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
            out.text(columns_table(loaded.preprocessing))
            out.text("")
            for line in training_metrics(loaded.facts):
                out.text(line)
            out.result({"model": str(model), "target": loaded.target.as_data(), **loaded.facts})
            return
        x, t = loaded.examples(table)
        metrics = loaded.target.metrics(t, loaded.trained.predict(x))
        out.text(f"{count(len(t), 'row')}: {metrics_line(metrics)}")
        out.result({"model": str(model), "target": loaded.target.name, "rows": len(t), "metrics": metrics})
