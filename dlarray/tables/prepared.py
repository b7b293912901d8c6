"""A table that is ready for training: what will be done is known and can be printed, and ``train`` does it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dlarray.core.check import count
from dlarray.parallel import joined
from dlarray.tables.column_options import ColumnOptions
from dlarray.tables.importance import importance, suspects
from dlarray.tables.measure import Part, measure, remarks
from dlarray.tables.model import TableModel
from dlarray.tables.network import TrainedNetwork, train_network
from dlarray.tables.network_plan import NetworkOptions, NetworkPlan, plan_network
from dlarray.tables.plan_text import Argument, network_lines, plan_in_python, task_lines
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.reading import Table
from dlarray.tables.repeats import repeated_rows, repeats_remark
from dlarray.tables.split import Split
from dlarray.tables.targets import ClassificationTarget, Target
from dlarray.tables.values import TableWarning
from dlarray.tables.workers import rounds, spread
from dlarray.training import Interrupted, Trained

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Prepared", "TableInterrupted"]


class TableInterrupted(Interrupted):
    """The user has interrupted the training on a table. ``model`` is the best ``TableModel`` so far.

    If it is ``complete``, only the cross-validation was interrupted, so the metrics are not those of the folds.
    """

    def __init__(self, model: TableModel, complete: bool = False) -> None:
        super().__init__(model.trained)
        best = "training was interrupted; .model holds the best model so far"
        whole = (
            "the cross-validation was interrupted; .model holds the complete model, without the metrics of the folds"
        )
        self.args = (whole if complete else best,)
        self.model = model
        self.complete = complete


@dataclass(frozen=True, eq=False, repr=False)
class Prepared:
    """A table with everything that is decided before training. ``print`` shows it, ``train()`` trains.

    ``table`` are the rows that have a target. ``target`` and ``preprocessing`` are fitted, ``task_reason`` says why
    this task. ``x`` and ``t`` are the inputs and targets of the network, ``held_out`` is the mask of the rows for
    validation, ``test`` is the second table, on which the model is measured at the end.
    """

    table: Table
    target: Target
    task_reason: str
    columns: ColumnOptions
    preprocessing: Preprocessing
    split: Split
    held_out: np.ndarray
    x: np.ndarray
    t: np.ndarray
    network: NetworkOptions
    test: pl.DataFrame | None = None

    @property
    def _plan(self) -> NetworkPlan:
        """The network and its training."""
        rows = int((~self.held_out).sum())
        return plan_network(rows, self.x.shape[1], self.target, self.network)

    @property
    def facts(self) -> dict[str, Any]:
        """What is decided, JSON-ready."""
        return {
            "task": self.target.task,
            "task_reason": self.task_reason,
            "rows": {"training": int((~self.held_out).sum()), "validation": int(self.held_out.sum())},
            "split": self._split(),
            "imbalance": self.target.imbalance(self.t) if isinstance(self.target, ClassificationTarget) else "",
            "seed": self.network.seed,
            "device": self.network.device.name,
        }

    def lines(self, argument: Argument) -> list[tuple[str, str]]:
        """Pairs of a word and a text that say what will be done, without the columns.

        ``argument(name, value)`` writes an argument as the reader would: ``task="regression"`` or --task regression.
        """
        rows = self.facts["rows"]
        held_out = f"{rows['validation']:,} for validation, {self._split()}" if self.held_out.any() else "no validation"
        found = task_lines(self.target, self.task_reason, argument)
        found.append(("rows", f"{rows['training']:,} for training, {held_out}"))
        if self.split.options.folds:
            folds = len(self.split.folds(self.t))  # by time there can be fewer than asked for
            found.append(("folds", f"{folds} more models measure the metrics, each on rows that it was not trained on"))
        if self.test is not None:
            found.append(("test", f"{count(self.test.height, 'row')} of another table"))
        return [*found, *network_lines(self._plan, self.network)]

    def __str__(self) -> str:
        return plan_in_python(self.lines, self.preprocessing)

    __repr__ = __str__

    @property
    def resumed(self) -> str:
        """Where the training will be resumed, such as "network 3, after 12 epochs"; "" if it begins anew."""
        written = self.network.checkpoints
        return "" if written is None else written.description

    def train(self) -> TableModel:
        """Train the network, and measure it: ``model.facts``. Raises like ``tables.train``."""
        with joined(self.network.parallel) as on:
            ranks = on(self.network.device)
            model, interrupted = replace(self, network=replace(self.network, ranks=ranks))._train()
            if interrupted:
                raise TableInterrupted(model, complete=interrupted == "folds")
            return model

    def _train(self) -> tuple[TableModel, str]:
        """The model, and which training the user has interrupted: "networks", "folds" or ""."""
        folds = self.split.folds(self.t) if self.split.options.folds else []
        whole, fold = self._shares_of_time(len(folds))
        network = train_network(
            self.x, self.t, self.held_out, self.target, whole, self.split.together, self.preprocessing.plain
        )
        model = TableModel(network.trained, self.preprocessing, self.target)
        interrupted = "networks" if network.interrupted else ""
        parts, where = self._parts(network)
        first, unseen = parts[0], network.first
        if folds and not interrupted:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", TableWarning)  # the table has already had them
                    each = [(_of_fold(fold, i), *masks) for i, masks in enumerate(folds, 1)]
                    jobs = self.network.jobs
                    parts = [*spread(self._fold, each, jobs, len(folds), "folds", self.network.progress)]
                    where = "folds"
            except KeyboardInterrupt:
                interrupted = "folds"
        if self.test is not None:
            x, t = model.examples(self.test)
            unseen, weights = network.trained, self.network.row_weights(self.t, self.target)
            outputs = np.asarray(unseen.predict(x))
            parts, where = [Part(self.x, self.t, x, t, outputs, self.preprocessing.plain, weights)], "test"
            first = parts[0]
        ranks = self.network.ranks
        facts = self._measure(network, parts, first, where, unseen) if ranks.rank == 0 else self.facts
        if not interrupted:  # ranks that were interrupted cannot work together any more
            facts = ranks.exchange(facts)[0]
        t, y = np.concatenate([part.t for part in parts]), np.concatenate([part.outputs for part in parts])
        return replace(model, facts=facts, measured=(t, y)), interrupted

    def _measure(
        self, network: TrainedNetwork, parts: Sequence[Part], first: Part, where: str, unseen: Trained
    ) -> dict[str, Any]:
        """The facts about the model, measured on these parts. ``unseen`` has not learned from ``first``."""
        measured = measure(parts, self.target)
        leaks = suspects(first.x_train, first.t_train, first.x, first.t, self.target, self.preprocessing)
        repeated = 0
        if where != "training":
            repeated = repeated_rows(first.x_train, first.t_train, first.x, first.t, self.preprocessing)
        return {
            **self.facts,
            "measured_on": where,
            **measured.facts,
            "rows_measured": sum(len(part.t) for part in parts),
            "importance": importance(
                unseen.predict,
                unseen.model.layout.count,
                first.x,
                first.t,
                self.target,
                self.preprocessing,
                self.network.seed,
            ),
            "suspects": leaks,
            "repeated_rows": repeated,
            "remarks": [
                *_out_of_time(network),
                *([repeats_remark(repeated, len(first.t))] if repeated else []),
                *remarks(measured, self.target, leaks),
                *self._missing_networks(network),
            ],
            **network.facts,
        }

    def _shares_of_time(self, folds: int) -> tuple[NetworkOptions, NetworkOptions]:
        """The options for the model and for the model of a fold: each network has the same part of the time limit.

        Workers train the networks of the model at the same time, and then whole folds.
        """
        jobs, networks, limit = self.network.jobs, self._plan.networks, self.network.max_time
        quiet = self.network.progress if jobs == 1 else False
        whole, each = self.network, replace(self.network, jobs=1, progress=quiet)
        if limit is None:
            return whole, each
        one = limit / (rounds(networks, jobs) + rounds(folds, jobs) * networks)
        return replace(whole, max_time=one * rounds(networks, jobs)), replace(each, max_time=one * networks)

    def _parts(self, network: TrainedNetwork) -> tuple[list[Part], str]:
        """The rows that ``train_network`` has measured, by the network that has left them out, and their name."""
        outputs = np.zeros((len(self.t), self.target.outputs), dtype=np.float32)
        outputs[network.measured] = network.outputs
        if self.held_out.any():
            masks, where = [(~self.held_out, self.held_out)], "validation"
        elif network.fold.any():
            unseen = [(network.fold == k) & network.measured for k in np.unique(network.fold[network.measured])]
            masks, where = [(~mask, mask) for mask in unseen], "folds"
        else:
            masks, where = [(network.measured, network.measured)], "training"
        return [self._part(self.preprocessing, self.x, *pair, outputs) for pair in masks], where

    def _missing_networks(self, network: TrainedNetwork) -> list[str]:
        """A remark, if there are fewer networks than planned."""
        trained, planned = network.facts["networks"], self._plan.networks
        if trained == planned:
            return []
        reason = "there are too few rows for more"
        if network.interrupted:
            reason = "the training was interrupted"
        elif network.fold.any():
            reason = "the time limit ended the training"
        return [f"the model has {trained} of the {planned} planned networks: {reason}"]

    def _fold(self, options: NetworkOptions, training: np.ndarray, measured: np.ndarray) -> Part:
        """A model of the training rows of a fold, measured on its other rows."""
        preprocessing = self.columns.fit(self.table.rows(training), self.target.name, self.split.options.columns)
        x = preprocessing.transform(self.table.raw)
        split = self.split.rows(training)
        held_out = split.held_out(self.t[training])
        network = train_network(
            x[training], self.t[training], held_out, self.target, options, split.together, preprocessing.plain
        )
        if network.interrupted:
            raise KeyboardInterrupt
        outputs = np.asarray(network.trained.predict(x))
        return self._part(preprocessing, x, training, measured, outputs)

    def _part(
        self,
        preprocessing: Preprocessing,
        x: np.ndarray,
        training: np.ndarray,
        measured: np.ndarray,
        outputs: np.ndarray,
    ) -> Part:
        weights = self.network.row_weights(self.t[training], self.target)
        t, plain = self.t, preprocessing.plain
        return Part(x[training], t[training], x[measured], t[measured], outputs[measured], plain, weights)

    def _split(self) -> str:
        chosen = "stratified by class" if self.target.task == "classification" else "at random"
        return self.split.description or f"{chosen}, seed {self.network.seed}"


def _of_fold(options: NetworkOptions, number: int) -> NetworkOptions:
    """The options for a fold, counted from 1, whose checkpoints have names of their own."""
    written = options.checkpoints
    return options if written is None else replace(options, checkpoints=replace(written, fold=number))


def _out_of_time(network: TrainedNetwork) -> list[str]:
    """A remark if the time limit has ended the training of networks that the model has."""
    ended, trained = network.facts["out_of_time"], int(network.facts["networks"])
    if not ended:
        return []
    return [f"the time limit ended the training of {ended} of {count(trained, 'network')}; --max-time gives more time"]
