"""``dlarray diagnose``: what ails a saved network, seen in one step of training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray import diagnostics, tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model
from dlarray.cli.telling import telling

__all__ = ["diagnose"]

EXAMPLES = """Examples:

  dlarray diagnose model.safetensors table.csv

  dlarray diagnose model.safetensors table.csv --output diagnosis.png
"""


@app.command(epilog=EXAMPLES)
def diagnose(
    model: Model,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A file with the target.")],
    rows: Annotated[int, typer.Option(help="How many rows are looked at, the first.", min=2)] = 1000,
    output: Annotated[Path | None, typer.Option(help="A file for a picture.")] = None,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look at a network in one step of training: dead units, vanishing gradients, steps of the wrong size."""
    with telling(json, debug) as told:
        learnt = tables.load(model, device)
        x, t = learnt.examples(tables.read_verbatim(table).head(rows))
        diagnosis = diagnostics.diagnose(learnt.trained, x, t)
        told.words(str(diagnosis))
        if output is not None:
            from dlarray import plot

            plot.save(plot.diagnosis(diagnosis), output)
            told.words(f"saved: {output}")
        told.result({"model": str(model), **diagnosis.to_dict()})
