"""``dlarray train FILE``: what is found in the table, what is learnt, and how good it is beside a guess."""

from __future__ import annotations

import time
from errno import ENOTDIR
from os import strerror
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from dlarray import tables
from dlarray.cli.options import model_file
from dlarray.cli.output import Output, UsageError
from dlarray.cli.training import Training
from dlarray.core.check import did_you_mean
from dlarray.core.registry import spelling

__all__ = ["columns_table", "metrics_line", "train_table"]

BASELINE = {"classification": "always the most frequent class", "regression": "always the mean"}


def train_table(out: Output, plan: Training, path: str, target: str | None, **options: Any) -> None:
    """Read, train, save and tell. Raises UsageError where no target is given."""
    start = time.perf_counter()
    table = _read(path)
    if target is None:
        names = ", ".join(table.columns)
        raise UsageError(f"--target says which column is to be told from the others; {path} has {names}")
    if target not in table.columns:
        raise tables.UnknownColumnError(target, table.columns)
    file = model_file(plan.output, "model")
    _check_folder(file)
    seconds = time.perf_counter() - start
    out.text(f"table:      {path}, {len(table):,} rows, {len(table.columns)} columns, read in {seconds:.1f} s")
    start = time.perf_counter()
    model = tables.train(
        table,
        target,
        hidden=plan.hidden,
        activation=plan.activation,
        optimizer=plan.optimizer,
        epochs=plan.epochs,
        batch_size=len(table) if plan.batch_size == 0 else plan.batch_size,
        seed=plan.seed,
        device=plan.where,
        **options,
    )
    seconds = time.perf_counter() - start
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    _tell(out, plan, model, seconds)
    out.text(f"saved:      {file}")
    out.text(f"next:       dlarray predict {file} NEW.csv --output predictions.csv")
    out.result(
        {
            "model": str(file),
            "target": model.target.as_data(),
            **model.facts,
            "columns": [
                {"name": c.name, "kind": spelling(type(c)), "missing": c.missing, "features": len(c.features)}
                for c in model.preprocessing.columns
            ],
            "left_out": [{"name": name, "reason": reason} for name, reason in model.preprocessing.left_out],
            "network": {"inputs": model.trained.model.inputs, "parameters": model.trained.model.layout.count},
            "seconds": seconds,
        }
    )


def columns_table(preprocessing: tables.Preprocessing) -> Table:
    """What is done with each column."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("column", "kind", "features", "what is done with it"):
        table.add_column(name, justify="right" if name == "features" else "left", overflow="fold")
    for c in preprocessing.columns:
        table.add_row(Text(c.name), spelling(type(c)), str(len(c.features)), Text(c.story()))
    for name, reason in preprocessing.left_out:
        table.add_row(Text(name), "left out", "", Text(reason))
    return table


def metrics_line(measured: dict[str, Any]) -> str:
    """Figures in a line, such as "accuracy 97.22%, balanced accuracy 96.30%, log loss 0.0852"."""
    shown = {"r2": "R²", "rmse": "RMSE", "mae": "mean absolute error"}
    return ", ".join(
        f"{shown.get(name, name.replace('_', ' '))} {f'{value:.2%}' if 'accuracy' in name else f'{value:.4g}'}"
        for name, value in measured.items()
    )


def _read(path: str) -> tables.Table:
    if not Path(path).suffix and not Path(path).exists() and (hint := did_you_mean(path, ["digits"])):
        raise UsageError(f"there is no file or data set {path!r}{hint}")
    return tables.Table.of(path)


def _check_folder(file: Path) -> None:
    """Raise NotADirectoryError before the training where the model could not be saved after it."""
    there = next(folder for folder in file.parents if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(ENOTDIR, strerror(ENOTDIR), str(there))


def _tell(out: Output, plan: Training, model: tables.TableModel, seconds: float) -> None:
    facts, network = model.facts, model.trained.model
    overrule = "regression" if facts["task"] == "classification" else "classification"
    why = facts["why"] if facts["why"] == "as asked" else f"{facts['why']}; --task {overrule} overrules"
    out.text(f"task:       {model.target.story()} ({why})")
    out.text("")
    out.text(columns_table(model.preprocessing))
    out.text("")
    if facts["imbalance"]:
        out.note(facts["imbalance"])
    chosen = "stratified by class" if facts["task"] == "classification" else "at random"
    training, validation = facts["rows"].values()
    out.text(f"rows:       {training:,} for training, {validation:,} for validation, {chosen}, seed {plan.seed}")
    widths = "-".join(map(str, [network.inputs, *plan.hidden, network.outputs]))
    out.text(
        f"network:    {widths}, {network.layout.count:,} parameters; {facts['epochs']} epochs of batches of "
        f"{facts['batch_size']} on {plan.where}, {seconds:.1f} s"
    )
    out.text(f"{facts['measured_on'] + ':':<12}{metrics_line(facts['metrics'])}")
    out.text(f"baseline:   {metrics_line(facts['baseline'])} ({BASELINE[facts['task']]})")
