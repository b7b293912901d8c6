"""``dlarray predict``: the predictions of a saved model for a new table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from errno import ENOENT
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from dlarray import tables
from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json, Memory, Model, check_output, split_names
from dlarray.cli.output import UsageError, json_text, reporting
from dlarray.cli.reading import with_file_options
from dlarray.core.check import count
from dlarray.core.files import replacing

__all__ = ["predict"]

ROWS = 16384  # computed and written together; a multiple of the rows that a network predicts at once

EXAMPLES = """Examples:

  dlarray predict model.safetensors new.csv --output predictions.csv

  dlarray predict model.safetensors new.parquet --with id --output out.parquet

  dlarray predict model.safetensors new.csv | head
"""


@app.command(epilog=EXAMPLES)
@with_file_options
def predict(
    model: Model,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="A file, a folder, or - for stdin, with the columns of the training table."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="File for the predictions (.csv or .parquet); by default CSV on stdout.")
    ] = None,
    included: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="COLUMN", help="Column of the table to include in the output; can be repeated."),
    ] = None,
    *,
    reading: tables.ReadOptions,
    memory: Memory = None,
    device: DeviceName = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict the target for every row of a table, in the same order.

    Columns can be in any order. A missing column is an error. Notes count unknown categories and unreadable values.
    Columns included by --with keep the file's text. Predictions are written as they are computed.
    """
    with reporting(json, debug) as out:
        if output is not None and output.suffix not in {".csv", ".parquet"}:
            raise UsageError(f"predictions are written to .csv or .parquet files, got {str(output)!r}")
        if output is not None and not output.parent.is_dir():
            raise FileNotFoundError(ENOENT, "no such folder", str(output.parent))
        if output is not None:
            check_output(output, table, model)
        loaded = tables.load(model, device)
        blocks = _Blocks(loaded, loaded.parts(table, reading, memory), split_names(included))
        found: dict[str, Any] = {"model": str(model), "target": loaded.target.name}
        if output is not None:
            _write(blocks, output)
            out.text(f"saved: {output}, {count(blocks.rows, 'prediction')} of {loaded.target.name}")
            out.result(found | {"rows": blocks.rows, "output": str(output)})
        elif json:
            rows = (row for block in blocks for row in block.iter_rows(named=True))
            known = {} if blocks.total is None else {"rows": blocks.total}
            out.stream(found | known, "predictions", rows, lambda: {} if known else {"rows": blocks.rows})
        else:
            for text in _csv(blocks):
                out.data(text)


def _chosen(frame: Any, names: list[str], model: tables.TableModel) -> list[str]:
    """These columns of the table, each once. Raises UsageError for one that has the name of a prediction."""
    names = list(dict.fromkeys(names))
    predicted = model.predictions(np.zeros((1, len(model.preprocessing.features)), dtype=np.float32)).columns
    for name in names:
        if name not in frame.columns:
            raise tables.UnknownColumnError(name, frame.columns)
        if name in predicted:
            raise UsageError(f"--with {name}: the predictions have a column {name!r} too; rename that of the table")
    return names


class _Blocks:
    """Blocks of predictions, behind the ``included`` columns of the table as the file holds them.

    ``rows`` counts those so far, ``total`` is their number if the table is not read in blocks. Errors about the first
    rows come before any output.
    """

    def __init__(self, model: tables.TableModel, parts: Iterator[tuple[Any, np.ndarray]], included: list[str]) -> None:
        first = list(islice(parts, 2))
        self._model = model
        self._parts = chain(first, parts)
        self._names = _chosen(first[0][0], included, model)
        self.total = first[0][0].height if len(first) == 1 else None
        self.rows = 0

    def __iter__(self) -> Iterator[Any]:
        names = self._names
        for frame, x in self._parts:
            for start in range(0, len(x), ROWS):
                predictions = self._model.predictions(x[start : start + ROWS])
                self.rows += len(predictions)
                yield frame[start : start + ROWS].select(names).hstack(predictions) if names else predictions


def _csv(blocks: Iterable[Any]) -> Iterator[str]:
    """The blocks as CSV; values that CSV cannot hold, such as lists, as JSON."""
    import polars as pl

    for number, block in enumerate(blocks):
        for values in block:
            if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Duration):
                text = [None if value is None else json_text(value) for value in values.to_list()]
                block = block.with_columns(pl.Series(values.name, text))
        yield block.write_csv(include_header=not number)


def _write(blocks: Iterable[Any], output: Path) -> None:
    import polars as pl

    with replacing(output) as file:
        if output.suffix == ".csv":
            for text in _csv(blocks):
                file.write(text.encode())
        else:
            with tempfile.TemporaryDirectory(prefix="dlarray-", dir=output.parent) as folder:
                parts: list[Path] = []
                for block in blocks:
                    parts.append(Path(folder) / f"{len(parts)}.parquet")
                    block.write_parquet(parts[-1])
                pl.scan_parquet(parts, glob=False).sink_parquet(file)
