"""A large table that is ready for training: what will be done is known and can be printed, and ``train`` does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlarray.core.check import count
from dlarray.device.description import bytes_text
from dlarray.parallel import joined
from dlarray.tables.importance import importance, suspects
from dlarray.tables.large.blocks import TableBlocks
from dlarray.tables.large.network import plan_large, train_large
from dlarray.tables.large.split import RowSplit
from dlarray.tables.measure import Part, measure, remarks
from dlarray.tables.model import TableModel
from dlarray.tables.network_plan import NetworkOptions, NetworkPlan
from dlarray.tables.plan_text import Argument, network_lines, plan_in_python, task_lines
from dlarray.tables.prepared import TableInterrupted
from dlarray.tables.preprocessing import Preprocessing
from dlarray.tables.targets import ClassificationTarget, Target
from dlarray.training import Interrupted
from dlarray.training.class_weight import class_weights

__all__ = ["LargePrepared"]

Rows = tuple[np.ndarray, np.ndarray]
"""Features and targets."""


@dataclass(frozen=True, eq=False, repr=False)
class LargePrepared:
    """As ``Prepared``, for a table that is read in blocks.

    ``blocks`` are the training rows, ``class_counts`` their number in each class, or None. ``held_out`` is the number
    of the rows for validation. ``validation`` and ``training`` are some of the rows for validation and for training,
    chosen at random, ``test`` some of a second table. ``way`` says why the table is read in blocks.
    """

    blocks: TableBlocks
    task_reason: str
    split: RowSplit
    held_out: int
    class_counts: np.ndarray | None
    validation: Rows | None
    training: Rows
    network: NetworkOptions
    way: str
    sample_rows: int
    test: Rows | None = None
    test_rows: int = 0

    @property
    def target(self) -> Target:
        """The column that is predicted."""
        return self.blocks.target

    @property
    def preprocessing(self) -> Preprocessing:
        """How columns become features."""
        return self.blocks.preprocessing

    @property
    def _plan(self) -> NetworkPlan:
        return plan_large(self.blocks.rows, len(self.preprocessing.features), self.target, self.network)

    @property
    def facts(self) -> dict[str, Any]:
        """What is decided, JSON-ready."""
        imbalance = ""
        if isinstance(self.target, ClassificationTarget) and self.class_counts is not None:
            imbalance = self.target.imbalance_of(self.class_counts)
        return {
            "task": self.target.task,
            "task_reason": self.task_reason,
            "rows": {"training": self.blocks.rows, "validation": self.held_out},
            "split": self._split,
            "imbalance": imbalance,
            "seed": self.network.seed,
            "device": self.network.device.name,
            "blocks": {
                "number": len(self.blocks),
                "at_a_time": self.blocks.blocks_per_group,
                "reason": self.way,
                "rows_of_the_sample": self.sample_rows,
            },
        }

    def lines(self, argument: Argument) -> list[tuple[str, str]]:
        """As ``Prepared.lines``."""
        found = task_lines(self.target, self.task_reason, argument)
        held_out = "no validation"
        if self.validation is not None:
            measured = len(self.validation[1])
            some = f" ({measured:,} of them are used)" if measured < self.held_out else ""
            held_out = f"{self.held_out:,} for validation{some}, {self._split}"
        found.append(("rows", f"{self.blocks.rows:,} for training, {held_out}"))
        groups = f"{self.blocks.blocks_per_group:,} of {count(len(self.blocks), 'block')} at a time"
        found.append(("memory", f"{self.way}; {groups}"))
        features = f"the features, {bytes_text(self.blocks.rows * self.blocks.row_bytes)},"
        cache = f"{features} in {self.network.cache}"
        if self.network.cache is None:
            cache = f"none: each epoch reads the table again; {argument('cache', 'FOLDER')} keeps {features} on a disk"
        found.append(("cache", cache))
        sample = f"types and quantiles are those of a sample of {self.sample_rows:,} rows, sums and counts of all rows"
        found.append(("sample", sample))
        if self.test is not None:
            measured = len(self.test[1])
            some = f", of which {measured:,} are used" if measured < self.test_rows else ""
            found.append(("test", f"{count(self.test_rows, 'row')} of another table{some}"))
        return [*found, *network_lines(self._plan, self.network)]

    def __str__(self) -> str:
        return plan_in_python(self.lines, self.preprocessing)

    __repr__ = __str__

    @property
    def resumed(self) -> str:
        """As ``Prepared.resumed``."""
        written = self.network.checkpoints
        return "" if written is None else written.description

    def train(self) -> TableModel:
        """Train the network, and measure it: ``model.facts``. Raises like ``tables.train``."""
        with joined(self.network.parallel) as on:
            return self._train(replace(self.network, ranks=on(self.network.device)))

    def _train(self, network: NetworkOptions) -> TableModel:
        interrupted = False
        try:
            trained = train_large(self.blocks, self.validation, self.class_counts, network)
        except Interrupted as error:
            if not error.trained.history.epochs:
                raise
            trained, interrupted = error.trained, True
        where, (x, t) = "training", self.training
        if self.validation is not None:
            where, (x, t) = "validation", self.validation
        if self.test is not None:
            where, (x, t) = "test", self.test
        x_train, t_train = self.training
        outputs = np.asarray(trained.predict(x)).reshape(-1, self.target.outputs)
        part = Part(x_train, t_train, x, t, outputs, self.preprocessing.plain, self._row_weights(t_train))
        measured = measure([part], self.target)
        leaks = suspects(x_train, t_train, x, t, self.target, self.preprocessing)
        out_of_time = trained.history.stopped.startswith("time limit")
        facts: dict[str, Any] = {
            **self.facts,
            "measured_on": where,
            **measured.facts,
            "rows_measured": len(t),
            "importance": importance(
                trained.predict, trained.model.layout.count, x, t, self.target, self.preprocessing, self.network.seed
            ),
            "suspects": leaks,
            "repeated_rows": 0,
            "remarks": [
                *(["the time limit ended the training; --max-time gives more time"] if out_of_time else []),
                *remarks(measured, self.target, leaks),
            ],
            "epochs": len(trained.history.epochs),
            "batch_size": self._plan.batch_size,
            "networks": 1,
            "stopped": trained.history.stopped,
            "out_of_time": int(out_of_time),
        }
        model = TableModel(trained, self.preprocessing, self.target, facts, (t, outputs))
        if interrupted:
            raise TableInterrupted(model)
        return model

    def _row_weights(self, t: np.ndarray) -> np.ndarray | None:
        """The weights of these rows by their class, from the counts of all training rows."""
        if self.network.class_weight is None or self.class_counts is None:
            return None
        return class_weights(self.network.class_weight, self.class_counts)[t]

    @property
    def _split(self) -> str:
        options = self.split.options
        if options.group is not None:
            return f"whole groups of {options.group!r}, seed {options.seed}"
        return f"at random, seed {options.seed}" if options.time is None else f"the latest by {options.time!r}"
