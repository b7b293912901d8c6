"""``dlarray train FILE``: reads a table, shows what will be done, trains a model, saves it and reports."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from dlarray import tables
from dlarray.cli.options import check_output, check_picture, model_file
from dlarray.cli.output import INTERRUPTED, Output, UsageError
from dlarray.cli.ranks import CommandRanks
from dlarray.cli.report import as_option, report, unbroken_option
from dlarray.cli.training import TrainingOptions
from dlarray.core.check import count, did_you_mean
from dlarray.core.registry import spelling
from dlarray.tables.column_options import columns_text
from dlarray.tables.layout import labelled
from dlarray.tables.memory import Allowed

__all__ = ["TableOptions", "train_table"]


_Prepared = tables.Prepared | tables.LargePrepared


@dataclass(frozen=True)
class TableOptions:
    """Options for tables: ``choices`` are the arguments of ``tables.prepare``."""

    target: str | None
    reading: tables.ReadOptions
    choices: Mapping[str, Any]
    memory: str | None
    dry_run: bool
    picture: Path | None


def train_table(out: Output, options: TrainingOptions, path: str, own: TableOptions) -> None:
    """Read the table, show what will be done, train, save and report. Raises UsageError if there is no target.

    If the user interrupts the training, the best model so far is saved and the exit code is 130.
    """
    start = time.perf_counter()
    table = _read(path, own, options.ranks)
    target = own.target
    if target is None:
        names = ", ".join(table.columns)
        raise UsageError(f"--target COLUMN is missing, the column to predict; the columns of {path} are {names}")
    if target not in table.columns:
        raise tables.UnknownColumnError(target, table.columns)
    file = model_file(options.output, "model")
    inputs = Path(path), own.choices.get("test")
    check_output(file, *inputs)
    if own.picture is not None:
        check_picture(own.picture, _pictures(), *inputs)  # an error before the training, not after it
    columns = count(len(table.columns), "column")
    if isinstance(table, tables.LargeTable):
        about = f"at most {count(table.blocks.most_rows, 'row')}, {columns}, {count(len(table.blocks), 'block')}"
        out.text(f"table:      {path}, {about}, found in {time.perf_counter() - start:.1f} s{options.processes}")
        if options.batch_size == 0:
            raise UsageError("--batch-size 0 is all rows in one step, and this table is read in blocks: give a number")
    else:
        about = f"{count(len(table), 'row')}, {columns}, read"
        out.text(f"table:      {path}, {about} in {time.perf_counter() - start:.1f} s{options.processes}")
    prepared = tables.prepare(
        table,
        target,
        reading=own.reading,
        activation=options.activation,
        optimizer=options.optimizer,
        batch_size=len(table) if options.batch_size == 0 and isinstance(table, tables.Table) else options.batch_size,
        seed=options.seed,
        device=options.device,
        checkpoints=options.checkpoints,
        resume=options.resume,
        parallel=options.parallel,
        **own.choices,
    )
    test = own.choices.get("test")
    if test is not None and Path(path).exists() and Path(path).samefile(test):
        out.note("the test file is the training file: the model learns from the rows on which it is measured")
    width = _width(out)
    _show(out, prepared, width)
    if own.dry_run:
        out.text("dry run:    nothing has been trained or saved")
        out.result(_data(prepared, prepared.facts))
        return
    if resumed := prepared.resumed:
        out.text(f"resumed:    {resumed}")
    options.ranks.wait()
    start = time.perf_counter()
    model, interruption = _train(prepared)
    if options.ranks.rank > 0:
        if interruption:
            raise typer.Exit(INTERRUPTED)
        return
    seconds = time.perf_counter() - start
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    out.text(f"trained:    {_trained(model.facts)} in {seconds:.1f} s")
    out.text("")
    report(out, model, width)
    out.text(f"saved:      {file}")
    if own.picture is not None:
        _pictures().save(_picture(model).figure, own.picture)
        out.text(f"picture:    {own.picture}")
    out.text(f"next:       dlarray predict {file} NEW.csv --output predictions.csv")
    if interruption:
        out.note(interruption)
    network = {"inputs": model.trained.model.inputs, "parameters": model.trained.model.layout.count}
    found = _data(prepared, model.facts) | {"network": network, "seconds": seconds, "interrupted": bool(interruption)}
    out.result({"model": str(file), **found, **({"picture": str(own.picture)} if own.picture else {})})
    if interruption:
        raise typer.Exit(INTERRUPTED)


def _read(path: str, own: TableOptions, ranks: CommandRanks) -> tables.Table | tables.LargeTable:
    if not Path(path).suffix and not Path(path).exists() and (hint := did_you_mean(path, ["digits"])):
        raise UsageError(f"there is no file or data set {path!r}{hint}")
    memory: str | int | None = own.memory
    if memory is None and ranks.size > 1:  # all read the table in the same way, and may share a machine
        memory = ranks.from_first(Allowed.of(None).bytes // ranks.size)
    return tables.open_table(path, own.reading, memory)


def _width(out: Output) -> int | None:
    """The width of the terminal; None for a pipe or a file, whose lines are never wrapped."""
    stream = sys.stderr if out.json else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _show(out: Output, prepared: _Prepared, width: int | None) -> None:
    first, *others = prepared.lines(unbroken_option)
    out.text(labelled([first], width))
    out.text("")
    out.text(columns_text(prepared.preprocessing, unbroken_option, width))
    out.text("")
    out.text(labelled(others, width))
    if imbalance := prepared.facts["imbalance"]:
        out.note(imbalance)


def _train(prepared: _Prepared) -> tuple[tables.TableModel, str]:
    """The model, and what the user has interrupted, or ""."""
    try:
        return prepared.train(), ""
    except tables.TableInterrupted as error:
        if error.complete:
            return error.model, "the cross-validation was interrupted: the model is complete, and not measured by it"
        return error.model, "the training was interrupted: the model is the best one so far"


def _trained(facts: Mapping[str, Any]) -> str:
    """What has been trained, in words."""
    epochs = count(facts["epochs"], "epoch")
    networks = facts["networks"]
    return epochs if networks == 1 else f"{networks} networks, the first one in {epochs},"


def _data(prepared: _Prepared, facts: Mapping[str, Any]) -> dict[str, Any]:
    preprocessing = prepared.preprocessing
    return {
        "target": prepared.target.as_data(),
        **facts,
        "columns": [
            {"name": c.name, "kind": spelling(type(c)), "missing": c.missing, "features": len(c.features)}
            for c in preprocessing.columns
        ],
        "dropped": [{"name": name, "reason": reason} for name, reason in preprocessing.dropped],
        "plan": dict(prepared.lines(as_option)),
    }


def _pictures() -> Any:
    from dlarray import plot

    return plot


def _picture(model: tables.TableModel) -> Any:
    """The confusion matrix, or predictions against the truth, on the rows that were measured."""
    from dlarray import metrics

    assert model.measured is not None
    t, y = model.measured
    target = model.target
    if isinstance(target, tables.ClassificationTarget):
        matrix = metrics.confusion_matrix(t, target.choose(y), classes=target.outputs)
        return _pictures().confusion(matrix, names=target.names)
    assert isinstance(target, tables.RegressionTarget)
    return _pictures().truth_and_prediction(target.unscale(t), target.unscale(y), name=target.name)
