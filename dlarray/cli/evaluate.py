"""``dlarray evaluate``: how good a saved model is on rows whose target is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model
from dlarray.cli.table import columns_table, figures_line
from dlarray.cli.telling import telling

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
    with telling(json, debug) as told:
        learnt = tables.load(model, device)
        if table is None:
            told.words(learnt.target.story())
            told.words("")
            told.words(columns_table(learnt.preprocessing))
            told.words("")
            told.words(f"{learnt.facts['measured_on']}: {figures_line(learnt.facts['figures'])}")
            told.words(f"baseline: {figures_line(learnt.facts['baseline'])}")
            told.result({"model": str(model), "target": learnt.target.as_data(), **learnt.facts})
            return
        x, t = learnt.examples(table)
        figures = learnt.target.figures(t, learnt.trained.predict(x))
        told.words(f"{len(t):,} rows: {figures_line(figures)}")
        told.result({"model": str(model), "target": learnt.target.name, "rows": len(t), "figures": figures})
