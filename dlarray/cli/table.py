"""``dlarray train FILE``: reads a table, trains a model, and reports its preprocessing and metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from dlarray import tables
from dlarray.cli.options import model_file
from dlarray.cli.output import Output, UsageError
from dlarray.cli.training import TrainingOptions
from dlarray.core.check import count, did_you_mean
from dlarray.core.registry import spelling

__all__ = ["columns_table", "metrics_line", "train_table", "training_metrics"]

BASELINE = {"classification": "always the most frequent class", "regression": "always the mean"}


def train_table(out: Output, options: TrainingOptions, path: str, target: str | None, **table_options: Any) -> None:
    """Read the table, train, save and report. Raises UsageError if there is no target."""
    start = time.perf_counter()
    table = _read(path)
    if target is None:
        names = ", ".join(table.columns)
        raise UsageError(f"--target COLUMN is missing, the column to predict; the columns of {path} are {names}")
    if target not in table.columns:
        raise tables.UnknownColumnError(target, table.columns)
    file = model_file(options.output, "model")
    seconds = time.perf_counter() - start
    size = f"{count(len(table), 'row')}, {count(len(table.columns), 'column')}"
    out.text(f"table:      {path}, {size}, read in {seconds:.1f} s")
    start = time.perf_counter()
    model = tables.train(
        table,
        target,
        hidden=options.hidden,
        activation=options.activation,
        optimizer=options.optimizer,
        epochs=options.epochs,
        batch_size=len(table) if options.batch_size == 0 else options.batch_size,
        seed=options.seed,
        device=options.device,
        **table_options,
    )
    seconds = time.perf_counter() - start
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    _report(out, options, model, seconds)
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
            "dropped": [{"name": name, "reason": reason} for name, reason in model.preprocessing.dropped],
            "network": {"inputs": model.trained.model.inputs, "parameters": model.trained.model.layout.count},
            "seconds": seconds,
        }
    )


def columns_table(preprocessing: tables.Preprocessing) -> Table:
    """The preprocessing of each column."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("column", "kind", "features", "preprocessing"):
        table.add_column(name, justify="right" if name == "features" else "left", overflow="fold")
    for c in preprocessing.columns:
        table.add_row(Text(c.name), spelling(type(c)), str(len(c.features)), Text(c.description))
    for name, reason in preprocessing.dropped:
        table.add_row(Text(name), "dropped", "", Text(reason))
    return table


def metrics_line(metrics: Mapping[str, float]) -> str:
    """Metrics in a line, such as "accuracy 97.22%, balanced accuracy 96.30%, log loss 0.0852"."""
    names = {"r2": "R²", "rmse": "RMSE", "mae": "mean absolute error"}
    return ", ".join(
        f"{names.get(name, name.replace('_', ' '))} {f'{value:.2%}' if 'accuracy' in name else f'{value:.4g}'}"
        for name, value in metrics.items()
    )


def training_metrics(facts: Mapping[str, Any]) -> tuple[str, str]:
    """A line with the metrics of the model, and a line with those of the baseline."""
    return (
        f"{facts['measured_on'] + ':':<12}{metrics_line(facts['metrics'])}",
        f"baseline:   {metrics_line(facts['baseline'])} ({BASELINE[facts['task']]})",
    )


def _read(path: str) -> tables.Table:
    if not Path(path).suffix and not Path(path).exists() and (hint := did_you_mean(path, ["digits"])):
        raise UsageError(f"there is no file or data set {path!r}{hint}")
    return tables.Table.of(path)


def _report(out: Output, options: TrainingOptions, model: tables.TableModel, seconds: float) -> None:
    facts, network = model.facts, model.trained.model
    other = "regression" if facts["task"] == "classification" else "classification"
    reason = facts["task_reason"]
    if reason not in ("as requested", "text"):  # text cannot be a regression target
        reason += f"; for {other}, use --task {other}"
    out.text(f"task:       {model.target.description} ({reason})")
    out.text("")
    out.text(columns_table(model.preprocessing))
    out.text("")
    if facts["imbalance"]:
        out.note(facts["imbalance"])
    chosen = "stratified by class" if facts["task"] == "classification" else "at random"
    training, validation = facts["rows"].values()
    held_out = f"{validation:,} for validation, {chosen}" if validation else "none for validation"
    out.text(f"rows:       {training:,} for training, {held_out}, seed {options.seed}")
    widths = "-".join(map(str, [network.inputs, *options.hidden, network.outputs]))
    out.text(f"network:    {widths}, {count(network.layout.count, 'parameter')}")
    batches = f"batch size {facts['batch_size']:,}"
    out.text(f"epochs:     {facts['epochs']:,}, {batches}, on {options.device}, {seconds:.1f} s")
    for line in training_metrics(facts):
        out.text(line)
