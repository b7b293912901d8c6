"""What may be called along a walk, and what it is told: ``Callback`` and ``Walk``."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any, ClassVar, cast

import numpy as np

from dlarray.core.check import non_negative
from dlarray.core.layout import Theta
from dlarray.core.trees import copy_tree
from dlarray.device import Device, to_numpy
from dlarray.losses import Loss
from dlarray.model import MLP
from dlarray.optimizers import Optimizer
from dlarray.training.batch_source import BatchSource
from dlarray.training.comparison import public_name
from dlarray.training.epoch_losses import EpochLosses
from dlarray.training.history import History
from dlarray.training.step import Batch, Step, TrainState
from dlarray.training.trained import Trained

__all__ = ["Callback", "Memory", "Run", "check_shapes"]

Memory = dict[str, Any]
"""What a callback remembers of one run: numbers, words, θ or buffers, by name."""


class Callback:
    """Something that looks on as ``fit`` walks, and may steer. It overrides hooks; those that it does not do nothing.

    A callback is configuration, at best a frozen dataclass. What belongs to one run it keeps in ``walk.memory(self)``,
    so that the same object serves any number of runs, and a run that is resumed from a checkpoint finds it again.
    Callbacks are called in the order given. Only where one of them overrides ``on_step`` is anything called at a step.
    """

    abstract: ClassVar[bool] = True

    def on_start(self, run: Run) -> None:
        """Before the first step; in a run that is resumed, before the first step after that."""

    def on_step(self, run: Run) -> None:
        """After each step. The step may still be under way on the device: whoever reads its numbers waits for it."""

    def on_epoch(self, run: Run) -> None:
        """After each whole epoch, when its losses have been read and its figures measured."""

    def check_memory(self, run: Run, memory: Memory) -> None:
        """Raise ValueError or TypeError where a checkpoint's memory is none of this callback's.

        Called once when a run is resumed, before ``on_start``: whoever uses what it remembers looks at it here, for a
        file may hold anything. A CheckpointError that names the file follows.
        """

    def on_end(self, run: Run) -> None:
        """When training is over, for whatever reason: ``walk.error`` is the error that ended it, or None.

        Each callback's is called, whatever those before it raise; the first error is raised at last.
        """


class Run:
    """Where a walk is: what callbacks are given. ``fit`` makes one for each run.

    ``model``, ``loss``, ``optimizer``, ``device``, ``dtype`` and ``seed`` are what is trained and how. ``epochs`` is
    how many are asked for, ``epoch`` how many are done, ``steps`` the steps done, ``place`` those of the epoch under
    way.
    ``names`` are the figures of an epoch, ``history`` holds those that there are. ``source`` brings the batches, and
    ``batch`` is the latest one, where a callback has an ``on_step``. ``state`` is what the next step consumes: look, or
    copy, but do not keep.
    """

    resumable: ClassVar[bool] = True
    """Whether a file may hold all that is needed to go on from here."""

    def __init__(
        self, start: Trained, state: TrainState, optimizer: Optimizer, epochs: int, seed: int, names: tuple[str, ...]
    ) -> None:
        self.model: MLP = start.model
        self.loss: Loss = start.loss
        self.device: Device = start.device
        self.dtype = start.dtype
        self.history: History = start.history
        self.optimizer = optimizer
        self.seed = seed
        self.names = names
        self.epochs = epochs
        self.epoch = 0
        self.steps = 0
        self.state = state
        self.losses = EpochLosses()
        """The losses of the epoch under way."""
        self.source: BatchSource | None = None
        self.step: Step | None = None
        """The step, uncompiled."""
        self.batch: Batch | None = None
        self.last_good = start
        self.error: BaseException | None = None
        self.settings: dict[str, Any] = {}
        """What a resumed run must have in common with this one, as data."""
        self.resumed_memories: list[tuple[str, Memory]] = []
        """What callbacks of the run that this one resumes had in memory, by name, until they ask for it."""
        self.seconds_before = 0.0
        """The seconds of the run that this one resumes."""
        self._began = perf_counter()
        self._memories: list[tuple[Callback, Memory]] = []
        self._trained: tuple[int, Trained] | None = None
        self._result: Trained | None = None

    @property
    def batch_index(self) -> int:
        """How many steps of the epoch under way are done."""
        return len(self.losses)

    @property
    def seconds(self) -> float:
        """How long the walk has taken so far, the part before a checkpoint included."""
        return self.seconds_before + perf_counter() - self._began

    @property
    def metrics(self) -> dict[str, float]:
        """The latest epoch's figures by name; empty before the first."""
        return self.history.epochs[-1] if self.history.epochs else {}

    @property
    def latest_loss(self) -> float:
        """The loss of the latest step; reading it waits for the device."""
        return self.losses.latest() if self.losses else self.history.steps[-1]

    @property
    def last_good(self) -> Trained:
        """The model after the last whole epoch, or where the walk began, with its history until there."""
        model, steps, epochs = self._last_good
        return replace(model, history=History(self.history.steps[:steps], self.history.epochs[:epochs]))

    @last_good.setter
    def last_good(self, model: Trained) -> None:
        self._last_good = model, len(self.history.steps), len(self.history.epochs)

    @property
    def trained(self) -> Trained:
        """The model as it is now: a copy, made when it is first asked for after a step.

        Where the walk has ended with an error it is ``good``: the state may be written in part, or be consumed.
        """
        if self.error is not None:
            return self.last_good
        if self._trained is None or self._trained[0] != self.steps:
            self._trained = self.steps, self._model(self.state["theta"], self.state["buffers"])
        return self._trained[1]

    @property
    def theta(self) -> Theta:
        """θ as it is now, a copy."""
        return self.trained.theta

    @property
    def optimizer_state(self) -> Any:
        """What the optimizer remembers, a dict of arrays for each vector of θ; the next step consumes it."""
        return self.state["optimizer"]

    @property
    def result(self) -> Trained:
        """What ``fit`` will return: what was handed back, else the model as it is now."""
        return self._result or self.trained

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked to stop."""
        return bool(self.history.stopped)

    def stop(self, reason: str) -> None:
        """End the walk after this step or epoch. ``history.stopped`` will hold the reason, the first one given."""
        self.history.stopped = self.history.stopped or reason

    def memory(self, callback: Callback) -> Memory:
        """What belongs to this callback in this run: a dict of its own, empty at first.

        Checkpoints hold it: numbers, words, lists of them, None, and copies of θ or of the buffers. What cannot be
        written, such as an open file, is kept under a name that begins with an underscore, and is not.
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
        """Every callback's memory by its class's name, those that nobody has asked for again included."""
        return [(public_name(type(owner)), memory) for owner, memory in self._memories] + self.resumed_memories

    @property
    def epoch_incomplete(self) -> bool:
        """Whether the latest figures are those of an epoch that ended before its last step: ``on_epoch`` saw none."""
        return len(self.history.epochs) > self.epoch

    @property
    def rate_scale(self) -> float:
        """What multiplies the optimizer's learning rate: 1 until somebody sets it."""
        scale = next((s["scale"] for s in self.state["optimizer"] if "scale" in s), None)
        return 1.0 if scale is None else float(to_numpy(scale))

    @rate_scale.setter
    def rate_scale(self, scale: float) -> None:
        """Raises TypeError for an optimizer that does not look at it, ValueError for a negative number."""
        non_negative("rate_scale", scale)
        self.check_rate_can_change()
        number = np.asarray(scale, dtype=self.dtype)
        scaled = tuple(s | {"scale": self.device.asarray(number)} for s in self.state["optimizer"])
        self.update_state(optimizer=scaled)

    def check_rate_can_change(self) -> None:
        """Raise TypeError where the optimizer does not look at the scale of its rate."""
        if not self.optimizer.scalable:
            raise TypeError(
                f"the rate of {type(self.optimizer).__name__} cannot be changed on the way: derive it from FirstOrder, "
                f"whose tick() does that, or multiply by state['scale'] where it is there and let scalable be True"
            )

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        t = np.asarray(float(self.steps))
        return float(self.optimizer.rate(t)) * self.rate_scale

    def replace(self, theta: Theta, buffers: Theta | None = None) -> None:
        """Go on from another θ, which is copied. Raises ValueError where it is of another layout."""
        self.model.layout_of(self.state["theta"]).check(theta)
        self.update_state(theta=copy_tree(theta))
        if buffers is not None:
            self.update_state(buffers=copy_tree(buffers))

    def update_state(self, **entries: Any) -> None:
        """Put other entries into the state, arrays on the device of the same shapes and types."""
        self.state = cast("TrainState", {**self.state, **entries})
        self._trained = None

    def set_result(self, theta: Theta, buffers: Theta | None = None) -> None:
        """Have ``fit`` return this θ, which is copied, instead of the one that the walk ends with. The last one counts.

        The walk itself stays where it is, and so do its checkpoints. Raises ValueError where θ is of another layout.
        """
        self.model.layout_of(self.state["theta"]).check(theta)
        self._result = self._model(theta, self.state["buffers"] if buffers is None else buffers)

    def _model(self, theta: Theta, buffers: Theta) -> Trained:
        return self._last_good[0].at(copy_tree(theta), copy_tree(buffers))  # the next step writes into the state


def check_shapes(what: str, value: object, vectors: Theta) -> None:
    """Raise ValueError where something remembered is not of the shapes of these vectors."""
    wanted = [tuple(v.shape) for v in vectors]
    found = [tuple(v.shape) for v in cast("Theta", value)] if isinstance(value, tuple) else str(value)
    if found != wanted:
        raise ValueError(f"{what} must be vectors of the shapes {wanted}, got {str(found)[:80]}")
