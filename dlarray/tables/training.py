"""Training a model on a table, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.activations import Activation
from dlarray.core.registry import make
from dlarray.device import Device, resolve
from dlarray.model import mlp
from dlarray.optimizers import Optimizer
from dlarray.tables.choice import choose_target
from dlarray.tables.model import TableModel, check_targets
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.reading import Table
from dlarray.tables.split import split
from dlarray.tables.targets import ClassificationTarget
from dlarray.tables.values import UnknownColumnError, is_present
from dlarray.training import fit

if TYPE_CHECKING:
    import polars as pl

__all__ = ["train"]


def train(
    table: Table | pl.DataFrame | str | PathLike[str],
    target: str,
    *,
    task: str | None = None,
    hidden: Sequence[int] = (256,),
    activation: str | Activation = "relu",
    optimizer: str | Optimizer = "adam",
    epochs: int = 30,
    batch_size: int | None = None,
    validation: float = 0.2,
    balanced: bool = False,
    max_categories: int = 100,
    categorical: Sequence[str] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    seed: int = 0,
    device: str | Device | None = None,
    progress: bool | None = None,
) -> TableModel:
    """Train a network to predict one column of a table from the others.

    Rows without a target are dropped. The others are split at random by the seed, stratified by class. The
    preprocessing is fitted to the training part alone (``Preprocessing.fit``), then the network (``dlarray.fit``).

    Parameters
    ----------
    table, target
        A polars frame or the path of a CSV or Parquet file, and the name of the column.
    task
        "classification" or "regression"; by default inferred from the target (``choose_target``).
    hidden, activation, optimizer, epochs
        The network and its training: units of the hidden layers; the others as in ``mlp`` and ``fit``.
    batch_size
        Rows per step; by default the power of two nearest to 1/256 of the rows, from 32 to 512.
    validation
        The share of the rows that is held out for validation; 0 for none.
    balanced
        Whether every class has the same total weight, whatever its number of rows.
    max_categories, categorical, drop, keep
        As in ``Preprocessing.fit``.
    seed, device, progress
        As in ``fit``; the seed also splits the rows.

    Returns
    -------
    TableModel
        ``model.facts`` has the metrics on the validation part, and those of the baseline, which always predicts the
        class frequencies or the mean of the training part.

    Raises
    ------
    UnknownColumnError
        For a column that the table does not have.
    ValueError, TypeError, OSError, DeviceError, DivergedError
        As raised by ``read``, ``choose_target``, ``Preprocessing.fit`` and ``fit``.
    """
    device = resolve(device)
    make(Optimizer, optimizer)
    make(Activation, activation)
    table = Table.of(table)
    if target not in table.columns:
        raise UnknownColumnError(target, table.columns)
    if len(table.columns) == 1:
        raise ValueError(f"the table has only the column {target!r}: there is no column to predict it from")
    present = is_present(table.typed[target])
    check_targets(present, target)
    table = table.rows(present)
    predicted, reason = choose_target(table[target], task)
    held_out = split(predicted.encode(table.raw[target]), validation, seed)
    training, test_rows = table.rows(~held_out), table.rows(held_out)
    preprocessing = Preprocessing.fit(
        training.drop(target), max_categories=max_categories, categorical=categorical, drop=drop, keep=keep
    )
    predicted = predicted.refit(training[target])
    t = predicted.encode(table.raw[target])
    x_train, t_train = preprocessing.transform(training.raw), t[~held_out]
    x_test, t_test = (preprocessing.transform(test_rows.raw), t[held_out]) if len(test_rows) else (x_train, t_train)
    rows = len(t_train)
    size = min(rows, batch_size or int(np.clip(2 ** round(np.log2(max(1, rows / 256))), 32, 512)))
    trained = fit(
        mlp(len(preprocessing.features), *hidden, predicted.outputs, activation=activation),
        x_train,
        t_train,
        loss=predicted.loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=size,
        class_weight="balanced" if balanced and isinstance(predicted, ClassificationTarget) else None,
        validation=(x_test, t_test) if len(test_rows) else None,
        seed=seed,
        device=device,
        progress=progress,
    )
    facts: dict[str, Any] = {
        "task": predicted.task,
        "task_reason": reason,
        "rows": {"training": rows, "validation": len(test_rows)},
        "measured_on": "validation" if len(test_rows) else "training",
        "metrics": predicted.metrics(t_test, np.asarray(trained.predict(x_test))),
        "baseline": predicted.metrics(t_test, predicted.baseline(t_train, len(t_test))),
        "imbalance": predicted.imbalance(t) if isinstance(predicted, ClassificationTarget) else "",
        "epochs": epochs,
        "batch_size": size,
        "seed": seed,
        "device": device.name,
    }
    return TableModel(trained, preprocessing, predicted, facts)
