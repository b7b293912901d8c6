"""Training a model on a table: ``prepare`` decides everything, ``train`` also trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import wraps
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

from dlarray.activations import Activation
from dlarray.core.check import at_least_one, did_you_mean, positive
from dlarray.core.registry import make
from dlarray.core.text import quote
from dlarray.device import Device, resolve
from dlarray.optimizers import Optimizer
from dlarray.tables.checkpoints import Checkpoints
from dlarray.tables.choice import check_missing_classes, choose_target
from dlarray.tables.class_options import weights_by_class, with_threshold
from dlarray.tables.column_options import ColumnOptions
from dlarray.tables.large.prepared import LargePrepared
from dlarray.tables.large.preparing import TargetOptions, prepare_large
from dlarray.tables.model import TableModel, check_targets
from dlarray.tables.network_plan import NetworkOptions
from dlarray.tables.odd_rows import report_far_targets, report_totals
from dlarray.tables.opening import LargeTable, open_table
from dlarray.tables.prepared import Prepared
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.reading import Table, raw_frame
from dlarray.tables.split import SplitOptions
from dlarray.tables.targets import RegressionTarget
from dlarray.tables.values import UnknownColumnError, is_present
from dlarray.tables.workers import effective_jobs

if TYPE_CHECKING:
    import polars as pl

__all__ = ["prepare", "train"]

P = ParamSpec("P")


def prepare(
    table: Table | LargeTable | pl.DataFrame | str | PathLike[str],
    target: str,
    *,
    reading: ReadOptions | None = None,
    task: str | None = None,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    categorical: Sequence[str] = (),
    max_categories: int = 100,
    validation: float = 0.2,
    folds: int | None = None,
    group: str | None = None,
    time: str | None = None,
    test: Table | pl.DataFrame | str | PathLike[str] | None = None,
    hidden: Sequence[int] = (128,),
    activation: str | Activation = "relu",
    optimizer: str | Optimizer | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    early_stopping: bool | None = None,
    seeds: int | None = None,
    max_time: float | None = None,
    balanced: bool = False,
    class_weight: str | Mapping[Any, float] | None = None,
    threshold: float | None = None,
    seed: int = 0,
    device: str | Device | None = None,
    progress: bool | None = None,
    parallel: Any = None,
    checkpoints: str | PathLike[str] | None = None,
    resume: bool = False,
    jobs: int = 1,
    memory: str | int | None = None,
    cache: str | PathLike[str] | None = None,
    **read: Any,
) -> Prepared | LargePrepared:
    """Decide how a network is trained to predict one column of a table from the others, without training it.

    Rows without a target are dropped. The others are split at random by the seed, stratified by class. The
    preprocessing is fitted to the training part alone (``Preprocessing.fit``).

    Parameters
    ----------
    table, target
        A polars frame or the path of a file or of a folder of Parquet or CSV files, and the name of the column.
    reading
        How the file is read where detection is not enough.
    task
        "classification" or "regression"; by default inferred from the target (``choose_target``).
    features
        The only columns to use; by default all.
    drop, keep, categorical, max_categories
        As in ``Preprocessing.fit``.
    validation
        The share of the rows that is held out for validation; 0 for none.
    folds
        The number of parts for cross-validation. Each part is predicted by a model that was trained on the others, with
        its own preprocessing; the metrics are means over the parts. The model itself is trained as without folds.
    group
        A column whose equal values stay together: the rows of one customer, say, are never on both sides of a split.
    time
        A column of dates or numbers by which rows are ordered: the latest are held out, and a fold is predicted from
        earlier rows only. Neither ``group`` nor ``time`` is a feature, unless it is among ``features`` or ``keep``.
    test
        A second table on which the model is measured at the end, without ``folds``. It is not used in training.
    hidden, activation
        The network: the units of its hidden layers, and their activation.
    optimizer
        As in ``fit``; by default ``AdamW(0.004, weight_decay=0.1)``.
    epochs
        The most passes over the training rows, by default 200.
    batch_size
        Rows per step; by default about 1/256 of the rows, from 32 to 512.
    early_stopping
        Whether training ends when the validation loss no longer falls, with the weights that were best: by default yes.
    seeds
        The number of networks whose outputs are averaged, by default 5. The first one is validated on the rows that are
        held out, the others each on another part of the other rows; so together they learn from every row. They are
        merged into one network. 1 trains a single one, which never learns from the rows that are held out.
    max_time
        Stop training after this many seconds; with ``folds``, all models together.
    balanced
        The same as ``class_weight="balanced"``.
    class_weight
        "balanced" gives every class the same total weight, whatever its number of rows; or a weight for some classes,
        ``{"yes": 3}``.
    threshold
        For two classes: the second one, by the order of the labels, is predicted if its probability is at least this;
        by default the more probable class.
    seed, device, progress
        As in ``fit``; the seed also splits the rows.
    parallel
        As in ``fit``: the processes that train each network together. All of them read the table, and rank 0 measures.
    checkpoints
        A folder, in which the training of each network is saved after each epoch. It is made if it is missing.
    resume
        Whether to continue from the checkpoints in the folder, if there are any: with the same table and options the
        model is that of a training without an interruption, but ``max_time`` counts anew. Without it a folder with
        checkpoints is refused.
    jobs
        How many workers train the networks, and the models of ``folds``, at the same time: processes of joblib's
        (``joblib.parallel_config`` chooses threads or Dask instead). -1 is one for each CPU core. Workers show no
        progress of their own.
    memory
        The memory that a table may take that is read from a file or a folder, in bytes or as text such as "8GB"; by
        default half of what is free. A larger table is read in blocks, see ``open_table``; then one network is trained,
        and types and quantiles come from a sample of the rows. ``folds`` and several ``seeds`` are for tables that fit.
    cache
        A folder on a disk, for a table that is read in blocks: the features are kept in a file there, without a name,
        so that only the first epoch reads the table itself.
    **read
        Parameters of ``ReadOptions`` in place of ``reading``, such as ``separator=";"`` or ``missing=["unknown"]``.

    Raises
    ------
    UnknownColumnError
        For a column that the table does not have.
    ValueError, TypeError, OSError, DeviceError
        For invalid arguments, and as raised by ``read``, ``choose_target`` and ``Preprocessing.fit``.
    """
    reading = _read_options(reading, read)
    device = resolve(device)
    if optimizer is not None:
        make(Optimizer, optimizer)
    make(Activation, activation)
    splitting = SplitOptions(validation=validation, folds=folds, group=group, time=time, seed=seed)
    splitting.check(target, test)
    columns = ColumnOptions(features, drop, keep, categorical, max_categories)
    for name, number in {"epochs": epochs, "seeds": seeds}.items():
        if number is not None:
            at_least_one(name, number)
    if (jobs := effective_jobs(jobs)) > 1 and parallel is not None:
        raise ValueError("give parallel, processes that train each network together, or jobs, workers for each network")
    if max_time is not None:
        positive("max_time", max_time)
    network = NetworkOptions(
        hidden=hidden,
        activation=activation,
        optimizer=optimizer,
        epochs=epochs,
        batch_size=batch_size,
        early_stopping=early_stopping,
        seeds=seeds,
        max_time=max_time,
        seed=seed,
        device=device,
        progress=progress,
        parallel=parallel,
        checkpoints=Checkpoints.of(checkpoints, resume),
        cache=None if cache is None else Path(cache),
        jobs=jobs,
    )
    table = open_table(table, reading, memory)
    if target not in table.columns:
        raise UnknownColumnError(target, table.columns)
    if len(table.columns) == 1:
        raise ValueError(f"the table has only the column {quote(target)}: there is no column to predict it from")
    given, explicit = "balanced" if balanced else class_weight, class_weight is not None
    if isinstance(table, LargeTable):
        own = TargetOptions(target, task, threshold, given, explicit)
        return prepare_large(table, own, columns, splitting, network, test)
    check_missing_classes(table, target)
    present = is_present(table.typed[target], table[target].format)
    check_targets(present, target)
    table = table.rows(present)
    report_totals(table)
    predicted, reason = choose_target(table[target], task)
    if isinstance(predicted, RegressionTarget):
        report_far_targets(table[target])
    if threshold is not None:
        predicted = with_threshold(predicted, threshold)
    network = replace(network, class_weight=weights_by_class(given, predicted, explicit))
    split = splitting.of(table.typed)
    encoded = predicted.encode(table.raw[target])
    held_out = split.held_out(encoded)
    if folds is not None:
        split.folds(encoded)  # too few rows are an error before the training
    training = table.rows(~held_out)
    preprocessing = columns.fit(training, target, splitting.columns)
    predicted = predicted.refit(training[target])
    return Prepared(
        table,
        predicted,
        reason,
        columns,
        preprocessing,
        split,
        held_out,
        preprocessing.transform(table.raw),
        predicted.encode(table.raw[target]),
        network,
        None if test is None else _test_frame(test, reading, target, preprocessing.check),
    )


def _then_train(prepare: Callable[P, Prepared | LargePrepared]) -> Callable[P, TableModel]:
    """``train`` has the parameters of ``prepare``."""

    @wraps(prepare)
    def train(*args: P.args, **kwargs: P.kwargs) -> TableModel:
        return prepare(*args, **kwargs).train()

    train.__name__ = train.__qualname__ = "train"
    whole = signature(prepare).replace(return_annotation="TableModel")
    train.__signature__ = whole  # pyright: ignore[reportAttributeAccessIssue]
    return train


train = _then_train(prepare)
train.__doc__ = """Train a network to predict one column of a table from the others: ``prepare(…).train()``.

The parameters are those of ``prepare``, which says what they mean.

Returns
-------
TableModel
    ``model.facts`` has the metrics on the rows that were held out, beside those of a linear model and of the guess,
    which always predicts the class frequencies or the mean of the training part; the importance of the columns; and
    remarks.

Raises
------
UnknownColumnError, ValueError, TypeError, OSError, DeviceError
    As ``prepare``.
DivergedError
    As ``fit``.
TableInterrupted
    A KeyboardInterrupt with the best model so far as its ``model``, if the user interrupts the training.
"""


def _read_options(reading: ReadOptions | None, named: Mapping[str, Any]) -> ReadOptions | None:
    """The options with those that are given by name. Raises TypeError for an unknown name."""
    known = [field.name for field in fields(ReadOptions)]
    for name in named:
        if name not in known:
            hint = did_you_mean(name, [*known, *signature(prepare).parameters])
            raise TypeError(f"there is no argument {name!r}{hint}")
    return replace(reading or ReadOptions(), **named) if named else reading


def _test_frame(
    test: Any, reading: ReadOptions | None, target: str, check: Callable[[pl.DataFrame], None]
) -> pl.DataFrame:
    """The second table as it is. Raises ValueError if it lacks columns."""
    frame = raw_frame(test, reading)
    if target not in frame.columns:
        raise UnknownColumnError(target, frame.columns)
    check(frame)
    return frame
