"""From a table to a model of it, in one call."""

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
from dlarray.tables.model import TableModel, say_without_target
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.reading import Table
from dlarray.tables.split import split
from dlarray.tables.targets import Classes
from dlarray.tables.values import UnknownColumnError, known
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
    """Learn to tell one column of a table from the others.

    Rows without a target are left out; the others are parted at random by the seed, stratified by class. Columns are
    learnt from the training part alone (``Preprocessing.fit``), and the network is trained on it (``dlarray.fit``).

    Parameters
    ----------
    table, target
        A polars frame or the path of a CSV or Parquet file, and the name of the column.
    task
        "classification" or "regression"; by default by the target (``choose_target``).
    hidden, activation, optimizer, epochs
        The network and its training: units of the hidden layers, and the rest as in ``mlp`` and ``fit``.
    batch_size
        Rows a step; by default the power of two near 1/256 of the rows, from 32 to 512.
    validation
        The share of the rows that is not trained on; 0 for none.
    balanced
        Whether every class has the same weight, however many rows it has.
    max_categories, categorical, drop, keep
        As in ``Preprocessing.fit``.
    seed, device, progress
        As in ``fit``; the seed parts the rows too.

    Returns
    -------
    TableModel
        ``model.facts`` hold the figures on the validation part and those of the baseline: the most frequent class, or
        the mean.

    Raises
    ------
    UnknownColumnError
        For a name that the table does not have.
    ValueError, TypeError, OSError, DeviceError, DivergedError
        For what cannot be read or learnt; as ``read``, ``choose_target`` and ``fit`` raise them.
    """
    where = resolve(device)
    make(Optimizer, optimizer)
    make(Activation, activation)
    table = Table.of(table)
    if target not in table.columns:
        raise UnknownColumnError(target, table.columns)
    if len(table.columns) == 1:
        raise ValueError(f"the table has the column {target!r} alone: there is nothing to tell it from")
    there = known(table.typed[target])
    say_without_target(there, target)
    table = table.rows(there)
    told, why = choose_target(table[target], task)
    apart = split(told.encode(table.raw[target]), validation, seed)
    training, rest = table.rows(~apart), table.rows(apart)
    preprocessing = Preprocessing.fit(
        training.drop(target), max_categories=max_categories, categorical=categorical, drop=drop, keep=keep
    )
    told = told.on(training[target])
    t = told.encode(table.raw[target])
    x_train, t_train = preprocessing.transform(training.raw), t[~apart]
    x_rest, t_rest = (preprocessing.transform(rest.raw), t[apart]) if len(rest) else (x_train, t_train)
    rows = len(t_train)
    size = min(rows, batch_size or int(np.clip(2 ** round(np.log2(max(1, rows / 256))), 32, 512)))
    trained = fit(
        mlp(len(preprocessing.features), *hidden, told.outputs, activation=activation),
        x_train,
        t_train,
        loss=told.loss,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=size,
        weight=_weights(t_train) if balanced and isinstance(told, Classes) else None,
        validation=(x_rest, t_rest) if len(rest) else None,
        seed=seed,
        device=where,
        progress=progress,
    )
    facts: dict[str, Any] = {
        "task": told.task,
        "why": why,
        "rows": {"training": rows, "validation": len(rest)},
        "measured_on": "validation" if len(rest) else "training",
        "metrics": told.metrics(t_rest, np.asarray(trained.predict(x_rest))),
        "baseline": told.metrics(t_rest, told.guess(t_train, len(t_rest))),
        "imbalance": told.imbalance(t) if isinstance(told, Classes) else "",
        "epochs": epochs,
        "batch_size": size,
        "seed": seed,
        "device": where.name,
    }
    return TableModel(trained, preprocessing, told, facts)


def _weights(t: np.ndarray) -> np.ndarray:
    """A weight a row that gives each class the same sum; the mean weight is 1."""
    counts = np.bincount(t)
    return (len(t) / (np.count_nonzero(counts) * counts[t])).astype(np.float32)
