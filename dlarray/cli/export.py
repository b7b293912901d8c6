"""``dlarray export``: a saved model as an ONNX file."""

from __future__ import annotations

from errno import ENOENT
from pathlib import Path
from typing import Annotated, Any

import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, Json, Model, check_output
from dlarray.cli.output import UsageError, reporting, usage
from dlarray.cli.reading import with_file_options
from dlarray.core.check import one_of
from dlarray.training import load_with_notes

__all__ = ["export"]

EXAMPLES = """Examples:

  dlarray export model.safetensors --output model.onnx

  dlarray export model.safetensors --output small.onnx --quantize train.csv --test test.csv
"""


@app.command(epilog=EXAMPLES)
@with_file_options
def export(
    model: Model,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The ONNX file; by default the model's name with the ending .onnx."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32 or float64, in which the graph computes; by default the model's.")
    ] = None,
    zipmap: Annotated[
        bool, typer.Option("--zipmap", help="Write probabilities as mappings from labels, as skl2onnx does by default.")
    ] = False,
    calibration: Annotated[
        Path | None,
        typer.Option("--quantize", metavar="TABLE", help="Compute in 8-bit integers, with the ranges of this table."),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(metavar="TABLE", help="With --quantize: a table with the target, to measure the accuracy."),
    ] = None,
    *,
    reading: tables.ReadOptions,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a model as an ONNX file, for runtimes without Python.

    A table's model has one input for each column. onnxruntime must give the model's predictions before the file is
    kept.
    """
    with reporting(json, debug) as out:
        from dlarray import onnx
        from dlarray.onnx.export import DTYPES

        if dtype is not None:
            with usage():
                one_of("--dtype", dtype, DTYPES)
        path = output or model.with_suffix(".onnx")
        if not path.parent.is_dir():
            raise FileNotFoundError(ENOENT, "no such folder", str(path.parent))
        check_output(path, model, calibration, test)
        if calibration is None:
            if test is not None:
                raise UsageError("--test needs --quantize: other files give the model's own predictions")
            exported = onnx.export(_loaded(model), path, dtype=dtype, zipmap=zipmap)
            out.text(f"saved: {exported}")
            out.result(
                {
                    "model": str(model),
                    "output": str(path),
                    "inputs": dict(exported.inputs),
                    "outputs": dict(exported.outputs),
                    "deviation": exported.deviation,
                    "bytes": exported.bytes,
                }
            )
            return
        if dtype is not None or zipmap:
            raise UsageError("--quantize takes neither --dtype nor --zipmap: it computes in int8 and float32")
        loaded = _loaded(model)
        if not isinstance(loaded, tables.TableModel):
            raise UsageError("--quantize needs the model of a table; for others use dlarray.onnx.quantize in Python")
        table, truth = (None if p is None else tables.read_verbatim(p, reading) for p in (calibration, test))
        quantized = onnx.quantize(loaded, path, table, test=truth)
        out.text(f"saved: {quantized}")
        scores = {"score": quantized.score, "model_score": quantized.model_score} if test is not None else {}
        out.result(
            {
                "model": str(model),
                "output": str(path),
                "bytes": quantized.bytes,
                "float_bytes": quantized.float_bytes,
                "agreement": quantized.agreement,
                "metric": quantized.metric,
                **scores,
            }
        )


def _loaded(model: Path) -> Any:
    """The model of a table, or a trained network, in a file."""
    trained, notes = load_with_notes(model, "cpu")
    return tables.load(model, "cpu") if "table" in notes else trained
