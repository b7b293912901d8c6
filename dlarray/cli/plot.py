"""``dlarray plot``: plots of a saved model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from dlarray import metrics, tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Model, check_picture
from dlarray.cli.output import UsageError, reporting, usage, visible
from dlarray.cli.reading import with_file_options
from dlarray.core.check import one_of
from dlarray.training import Trained, load_with_notes

__all__ = ["plot"]

EXAMPLES = """Examples:

  dlarray plot model.safetensors

  dlarray plot model.safetensors test.csv --what confusion --output errors.pdf

  dlarray plot digits.safetensors --what weights
"""
PLOTS = ("curves", "metrics", "confusion", "weights")


@app.command(epilog=EXAMPLES)
@with_file_options
def plot(
    model: Model,
    table: Annotated[
        Path | None,
        typer.Argument(metavar="TABLE", help="A file with the target, for the confusion matrix."),
    ] = None,
    what: Annotated[str, typer.Option(help=f"One of {', '.join(PLOTS)}.")] = "curves",
    output: Annotated[
        Path | None, typer.Option(help="File for the plot (.png, .svg, .pdf); by default named by --what.")
    ] = None,
    *,
    reading: tables.ReadOptions,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Plot a model's learning curves, metrics by epoch, confusion matrix or first-layer weights.

    The weights of a table's model are drawn by feature, those of other models as images.
    """
    from dlarray import plot as pictures

    with reporting(json, debug) as out:
        with usage():
            one_of("plot", what, PLOTS)
        if (what == "confusion") != (table is not None):
            raise UsageError(
                "--what confusion needs a TABLE with the target" if table is None else f"--what {what} takes no TABLE"
            )
        file = output or Path(f"{what}.png")
        check_picture(file, pictures, model, table)
        if table is not None:
            axes: Any = _confusion(tables.load(model, device), table, reading)
        else:
            axes = _of_training(*load_with_notes(model, device), what)
        pictures.save(axes.figure, file)
        out.text(f"saved: {file}")
        out.result({"model": str(model), "what": what, "picture": str(file)})


def _of_training(trained: Trained, notes: Mapping[str, Any], what: str) -> Any:
    from dlarray import plot as pictures

    if what != "weights":
        return (pictures.learning_curves if what == "curves" else pictures.metric_curves)(trained.history)
    if "table" in notes:
        features = tables.Preprocessing.from_data(notes["table"]["preprocessing"]).features
        return pictures.feature_weights(trained, [visible(name) for name in features])
    return pictures.weights(trained, shape=_shape(trained.model.inputs))


def _shape(inputs: int) -> tuple[int, int]:
    """A square image if the number of inputs is a square, else one row."""
    side = math.isqrt(inputs)
    return (side, side) if side * side == inputs else (1, inputs)


def _confusion(model: tables.TableModel, table: Path, reading: tables.ReadOptions) -> Any:
    from dlarray import plot as pictures

    if not isinstance(model.target, tables.ClassificationTarget):
        raise UsageError(f"--what confusion needs a classifier; this model predicts the number {model.target.name}")
    x, t = model.examples(table, reading)
    matrix = metrics.confusion_matrix(t, np.asarray(model.trained.predict(x)))
    return pictures.confusion(matrix, names=[visible(name) for name in model.target.names])
