"""Callbacks and the state of a run that they are given: ``Callback`` and ``Run``."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any, ClassVar, cast

import numpy as np

from dlarray.core.check import non_negative
from dlarray.core.layout import Theta
from dlarray.core.ranks import ALONE, Ranks
from dlarray.core.trees import copy_tree
from dlarray.device import Device, to_numpy
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.training.batch_source import BatchSource
from dlarray.training.comparison import public_name
from dlarray.training.data_names import DataNames
from dlarray.training.epoch_losses import EpochLosses
from dlarray.training.history import History
from dlarray.training.sharded import Sharded
from dlarray.training.step import Batch, Step, TrainState
from dlarray.training.trained import Trained

__all__ = ["Callback", "Memory", "Run", "check_shapes"]

Memory = dict[str, Any]
"""What a callback stores about one run: numbers, strings, θ or buffers, by name."""


class Callback:
    """``fit`` calls its methods during training. They can read the state of the run and change it.

    A subclass overrides the methods that it needs; the others do nothing. A callback is configuration, preferably a
    frozen dataclass. What belongs to one run is stored in ``run.memory(self)``. The same object can then serve many
    runs, and a run that is resumed from a checkpoint gets its memory back. Callbacks are called in the given order.
    ``fit`` calls them after a step only if one of them overrides ``on_step``.
    """

    abstract: ClassVar[bool] = True

    def on_start(self, run: Run) -> None:
        """Before the first step. In a resumed run: before the first step after the checkpoint."""

    def on_step(self, run: Run) -> None:
        """After each step. The device may still be computing the step: reading its numbers waits for it."""

    def on_epoch(self, run: Run) -> None:
        """After each complete epoch, when its losses have been read and its metrics measured."""

    def check_memory(self, run: Run, memory: Memory) -> None:
        """Raise ValueError or TypeError if this callback cannot have written the memory in a checkpoint.

        Called once when a run is resumed, before ``on_start``. A file can hold anything, so a callback that uses its
        memory checks it here. ``fit`` then raises a CheckpointError that names the file.
        """

    def on_end(self, run: Run) -> None:
        """When training has ended. ``run.error`` is the error that ended it, or None.

        It is called for every callback, even if an earlier one raises. Afterwards the first error is raised.
        """


class Run:
    """The state of one call of ``fit``, which callbacks are given.

    ``model``, ``loss``, ``optimizer``, ``device``, ``dtype`` and ``seed`` are the configuration. ``epochs`` is the
    number of epochs to train, ``epoch`` the number completed, ``steps`` the number of steps done and ``batch_index``
    the number of steps done in the current epoch. ``names`` are the metrics of an epoch; ``history`` holds their values
    so far. ``source`` yields the batches. ``batch`` is the latest one, if a callback has an ``on_step``. ``state`` is
    what the next step consumes: read it or copy it, but keep no reference to it.
    """

    resumable: ClassVar[bool] = True
    """Whether a checkpoint can hold everything that is needed to resume this run."""

    def __init__(
        self, start: Trained, state: TrainState, optimizer: Optimizer, epochs: int, seed: int, names: tuple[str, ...]
    ) -> None:
        self.model: MLP = start.model
        self.loss: Loss = start.loss
        self.device: Device = start.device
        self.dtype = start.dtype
        self.history: History = start.history
        self.data_names = DataNames(start.features, start.classes)
        """The names of the columns and classes that ``fit`` was given."""
        self.ranks: Ranks = ALONE
        """The processes that train together, each on some rows of every batch."""
        self.sharded: Sharded | None = None
        """The optimizer whose state is in shares, one for each rank."""
        self.optimizer = optimizer
        self.seed = seed
        self.names = names
        self.epochs = epochs
        self.epoch = 0
        self.steps = 0
        self.state = state
        self.losses = EpochLosses()
        """The losses of the current epoch."""
        self.source: BatchSource | None = None
        self.step: Step | None = None
        """The step, uncompiled."""
        self.batch: Batch | None = None
        self.last_good = start
        self.error: BaseException | None = None
        self.settings: dict[str, Any] = {}
        """Settings, as data, that a resumed run must have in common with this one."""
        self.resumed_memories: list[tuple[str, Memory]] = []
        """Memories from the checkpoint, by the callback's name, until the callbacks read them."""
        self.seconds_before = 0.0
        """The duration of the run that this one resumes, in seconds."""
        self._began = perf_counter()
        self._memories: list[tuple[Callback, Memory]] = []
        self._trained: tuple[int, Trained] | None = None
        self._result: Trained | None = None

    @property
    def writes(self) -> bool:
        """Whether this process writes files and shows progress: rank 0 alone does, for all ranks.

        Every number of a run is the same on all ranks. What waits for the other ranks is done on all of them.
        """
        return self.ranks.rank == 0

    @property
    def batch_index(self) -> int:
        """How many steps of the current epoch are done."""
        return len(self.losses)

    @property
    def seconds(self) -> float:
        """How long the run has taken so far in seconds, including the time before a checkpoint."""
        return self.seconds_before + perf_counter() - self._began

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the latest epoch by name; empty before the first."""
        return self.history.epochs[-1] if self.history.epochs else {}

    @property
    def latest_loss(self) -> float:
        """The loss of the latest step. Reading it waits for the device."""
        return self.losses.latest() if self.losses else self.history.steps[-1]

    @property
    def last_good(self) -> Trained:
        """The model after the last complete epoch, or the initial one, with the history up to there."""
        model, steps, epochs = self._last_good
        return replace(model, history=History(self.history.steps[:steps], self.history.epochs[:epochs]))

    @last_good.setter
    def last_good(self, model: Trained) -> None:
        self._last_good = model, len(self.history.steps), len(self.history.epochs)

    @property
    def trained(self) -> Trained:
        """The current model: a copy, made at the first access after a step.

        If the run has ended with an error it is ``last_good``: the state may be partly written or already consumed.
        """
        if self.error is not None:
            return self.last_good
        if self._trained is None or self._trained[0] != self.steps:
            self._trained = self.steps, self._model(self.state["theta"], self.state["buffers"])
        return self._trained[1]

    @property
    def current(self) -> Trained:
        """The current model on the arrays of the state, without a copy: the next step writes into them."""
        return self._last_good[0].at(self.state["theta"], self.state["buffers"])

    @property
    def theta(self) -> Theta:
        """A copy of the current θ."""
        return self.trained.theta

    @property
    def optimizer_state(self) -> Any:
        """The state of the optimizer: a dict of arrays for each vector of θ. The next step consumes it.

        If each rank has a share of it (``fit(shard=True)``), it is a copy of the whole: all ranks must ask for it.
        """
        own = self.state["optimizer"]
        return own if self.sharded is None else self.sharded.whole(own, self.state["theta"][0].shape[0])

    @optimizer_state.setter
    def optimizer_state(self, whole: Any) -> None:
        self.update_state(optimizer=whole if self.sharded is None else self.sharded.shares(whole))

    @property
    def result(self) -> Trained:
        """What ``fit`` will return: the model given to ``set_result``, else the current model."""
        return self._result or self.trained

    @property
    def stopped(self) -> bool:
        """Whether ``stop`` has been called."""
        return bool(self.history.stopped)

    def stop(self, reason: str) -> None:
        """Stop training after this step or epoch. ``history.stopped`` will hold the first reason given."""
        self.history.stopped = self.history.stopped or reason

    def memory(self, callback: Callback) -> Memory:
        """The memory of this callback in this run: a dict, empty at first.

        Checkpoints hold it. It can contain numbers, strings, lists of them, None, and copies of θ or of the buffers.
        A value that cannot be written, such as an open file, needs a name that begins with an underscore; checkpoints
        leave it out.
        """
        for owner, memory in self._memories:
            if owner is callback:
                return memory
        name = public_name(type(callback))
        found = next((item for item in self.resumed_memories if item[0] == name), None)
        if found is not None:
            self.resumed_memories.remove(found)
        memory: Memory = found[1] if found is not None else {}
        self._memories.append((callback, memory))
        return memory

    @property
    def memories(self) -> list[tuple[str, Memory]]:
        """The memory of every callback with the name of its class, including those not read since a resume."""
        return [(public_name(type(owner)), memory) for owner, memory in self._memories] + self.resumed_memories

    @property
    def epoch_incomplete(self) -> bool:
        """Whether the latest metrics are those of an epoch that ended before its last step, without ``on_epoch``."""
        return len(self.history.epochs) > self.epoch

    @property
    def rate_scale(self) -> float:
        """The factor of the optimizer's learning rate: 1 until it is set."""
        scale = next((s["scale"] for s in self.state["optimizer"] if "scale" in s), None)
        return 1.0 if scale is None else float(to_numpy(scale))

    @rate_scale.setter
    def rate_scale(self, scale: float) -> None:
        """Raises TypeError for an optimizer that does not use it, ValueError for a negative number."""
        non_negative("rate_scale", scale)
        self.check_rate_can_change()
        number = np.asarray(scale, dtype=self.dtype)
        scaled = tuple(s | {"scale": self.device.asarray(number)} for s in self.state["optimizer"])
        self.update_state(optimizer=scaled)

    def check_rate_can_change(self) -> None:
        """Raise TypeError if the optimizer does not use the scale of its rate."""
        if not self.optimizer.scalable:
            raise TypeError(
                f"the rate of {type(self.optimizer).__name__} cannot be changed during training: derive it from "
                f"FirstOrder, whose tick() does that, or multiply by state['scale'] if it exists and set scalable=True"
            )

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        t = np.asarray(float(self.steps))
        return float(self.optimizer.rate(t)) * self.rate_scale

    def replace(self, theta: Theta, buffers: Theta | None = None) -> None:
        """Continue from another θ, which is copied. Raises ValueError if it has another layout."""
        self.model.layout_of(self.state["theta"]).check(theta)
        self.update_state(theta=copy_tree(theta))
        if buffers is not None:
            self.update_state(buffers=copy_tree(buffers))

    def update_state(self, **entries: Any) -> None:
        """Replace entries of the state by arrays on the device with the same shapes and dtypes."""
        self.state = cast("TrainState", {**self.state, **entries})
        self._trained = None

    def set_result(self, theta: Theta, buffers: Theta | None = None) -> None:
        """Let ``fit`` return this θ, which is copied, instead of the final one. The last call counts.

        Training itself continues from its own θ, and checkpoints hold that one. Raises ValueError if θ has another
        layout.
        """
        self.model.layout_of(self.state["theta"]).check(theta)
        self._result = self._model(theta, self.state["buffers"] if buffers is None else buffers)

    def _model(self, theta: Theta, buffers: Theta) -> Trained:
        return self._last_good[0].at(copy_tree(theta), copy_tree(buffers))  # the next step writes into the state


def check_shapes(what: str, value: object, vectors: Theta) -> None:
    """Raise ValueError if a value from a memory does not have the shapes of these vectors."""
    wanted = [tuple(v.shape) for v in vectors]
    found = [tuple(v.shape) for v in cast("Theta", value)] if isinstance(value, tuple) else str(value)
    if found != wanted:
        raise ValueError(f"{what} must be vectors of the shapes {wanted}, got {str(found)[:80]}")
