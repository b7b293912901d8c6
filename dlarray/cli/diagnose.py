"""``dlarray diagnose``: training problems of a saved network, from one training step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray import diagnostics, tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model, check_picture
from dlarray.cli.output import reporting
from dlarray.cli.reading import with_file_options

__all__ = ["diagnose"]

EXAMPLES = """Examples:

  dlarray diagnose model.safetensors table.csv

  dlarray diagnose model.safetensors table.csv --output diagnosis.png
"""


@app.command(epilog=EXAMPLES)
@with_file_options
def diagnose(
    model: Model,
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="A file, or - for stdin, with the target.")],
    rows: Annotated[int, typer.Option(help="Number of rows to use, from the first.", min=2)] = 1000,
    output: Annotated[Path | None, typer.Option(help="File for a picture of the diagnosis.")] = None,
    *,
    reading: tables.ReadOptions,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look for training problems in one step: dead units, vanishing gradients, updates of the wrong size."""
    with reporting(json, debug) as out:
        from dlarray import plot

        if output is not None:
            check_picture(output, plot, model, table)
        loaded = tables.load(model, device)
        x, t = loaded.examples(tables.read_verbatim(table, reading).head(rows))
        diagnosis = diagnostics.diagnose(loaded.trained, x, t)
        out.text(str(diagnosis))
        if output is not None:
            plot.save(plot.diagnosis(diagnosis), output)
            out.text(f"saved: {output}")
        out.result({"model": str(model), **diagnosis.to_dict()})
