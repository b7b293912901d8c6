"""``dlarray evaluate``: how good a saved model is on rows whose target is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model
from dlarray.cli.output import reporting
from dlarray.cli.table import columns_table, metrics_line

__all__ = ["evaluate"]

EXAMPLES = """Examples:

  dlarray evaluate model.safetensors test.csv

  dlarray evaluate model.safetensors test.csv --json

  dlarray evaluate model.safetensors
"""


@app.command(epilog=EXAMPLES)
def evaluate(
    model: Model,
    table: Annotated[Path | None, typer.Argument(metavar="TABLE", help="A file with the target.")] = None,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a model on a table that has the target; without one, show what the model has learnt from and how well."""
    with reporting(json, debug) as out:
        learnt = tables.load(model, device)
        if table is None:
            out.text(learnt.target.story())
            out.text("")
            out.text(columns_table(learnt.preprocessing))
            out.text("")
            out.text(f"{learnt.facts['measured_on']}: {metrics_line(learnt.facts['metrics'])}")
            out.text(f"baseline: {metrics_line(learnt.facts['baseline'])}")
            out.result({"model": str(model), "target": learnt.target.as_data(), **learnt.facts})
            return
        x, t = learnt.examples(table)
        measured = learnt.target.metrics(t, learnt.trained.predict(x))
        out.text(f"{len(t):,} rows: {metrics_line(measured)}")
        out.result({"model": str(model), "target": learnt.target.name, "rows": len(t), "metrics": measured})
