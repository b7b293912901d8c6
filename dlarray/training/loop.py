"""The loop: steps through the batches of an epoch, epochs one after the other, and what is called on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from traceback import clear_frames
from typing import Any

import numpy as np
from tqdm import tqdm

from dlarray.core.array import Array, array_namespace
from dlarray.core.layout import Theta
from dlarray.device.errors import OutOfMemory
from dlarray.losses.weights import mean_weight
from dlarray.training.callback import Callback, Walk
from dlarray.training.data import Examples
from dlarray.training.ending import Diverged, ended, with_model
from dlarray.training.epoch_losses import EpochLosses
from dlarray.training.source import Drawn, Source
from dlarray.training.step import Batch
from dlarray.training.trained import Metric, Trained

__all__ = ["LESS_MEMORY", "Loop", "all_finite"]

LESS_MEMORY = (
    "A smaller batch_size, a batch in parts (accumulate=) or batches from an iterable in place of x take less; "
    "dlarray.memory_estimate(model, device) says what goes where"
)


@dataclass(frozen=True)
class Loop:
    """What stays the same from epoch to epoch."""

    step: Callable[..., Any]
    source: Source
    seen: Examples | None
    prefix: str
    metrics: Mapping[str, Metric]
    callbacks: tuple[Callback, ...] = ()
    max_steps: int | None = None
    repeat: Callable[..., Any] | None = None
    """Several steps in one call, as ``Backend.repeat`` has it, and how many."""
    at_once: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of an epoch's figures."""
        if self.seen is None:
            return ("loss",)
        return "loss", *([f"{self.prefix}loss"] if self.prefix else []), *(f"{self.prefix}{m}" for m in self.metrics)

    def run(self, walk: Walk, progress: bool | None) -> Trained:
        """Train to the end, or until somebody stops. Whatever it raises has the last good model as ``trained``."""
        walk.source = self.source
        try:
            self._train(walk, progress)
        except BaseException as error:
            walk.error = with_model(error, walk.good)
            if isinstance(error, OutOfMemory):
                _let_go(error)
        if (error := ended(self.callbacks, walk)) is not None:
            raise error if walk.error is not None else with_model(error, walk.result)
        return walk.result

    def _train(self, walk: Walk, progress: bool | None) -> None:
        each = self.source.steps
        total = None if each is None else walk.epochs * each
        if self.max_steps is not None:
            total = self.max_steps if total is None else min(total, self.max_steps)
        hidden = None if progress is None else not progress  # None: where the error stream is no terminal
        bar = tqdm(total=total, initial=walk.steps, unit="step", desc=walk.device.name, disable=hidden)
        with walk.device.working("to train", LESS_MEMORY), bar, _quiet():
            for callback in self.callbacks:
                callback.on_start(walk)
            while walk.epoch < walk.epochs and not self._over(walk):
                self._epoch(walk, bar)
            if walk.losses:
                self._record(walk)

    def _over(self, walk: Walk) -> bool:
        if self.max_steps is not None and walk.steps >= self.max_steps:
            walk.stop(f"max_steps: {walk.steps} steps are done")
        return walk.stopped

    def _epoch(self, walk: Walk, bar: Any) -> None:
        """The steps that are left of this epoch; what follows an epoch follows where it is whole."""
        left = None if self.max_steps is None else self.max_steps - walk.steps
        before = walk.steps
        watching = [c for c in self.callbacks if type(c).on_step is not Callback.on_step]
        if self.repeat is not None and not watching and isinstance(self.source, Drawn):
            left = self._at_once(walk, self.repeat, self.source, left, bar)
        batches = islice(self.source.batches(walk.epoch, walk.place), left)
        if watching:
            self._watched(walk, batches, watching, bar)
        else:
            self._unwatched(walk, batches, bar)
        each = self.source.steps
        whole = bool(walk.losses) if each is None else walk.place >= each
        if walk.steps == before and not whole:
            raise ValueError(
                f"x brought no more batches in epoch {walk.epoch + 1}, after {walk.place}: give a function that makes "
                f"a new iterator, or steps_per_epoch"
            )
        broken_off = each is None and (walk.stopped or (left is not None and walk.steps - before == left))
        if broken_off or not whole:
            return
        self._record(walk)
        walk.losses = EpochLosses()
        walk.epoch += 1
        walk.good = walk.trained
        bar.set_postfix_str(", ".join(f"{name}={value:.4g}" for name, value in walk.figures.items()))
        for callback in self.callbacks:
            callback.on_epoch(walk)

    def _at_once(self, walk: Walk, repeat: Callable[..., Any], source: Drawn, left: int | None, bar: Any) -> int | None:
        """The whole batches of an epoch, several in one call. Returns how many of the ``left`` steps are left then."""
        examples, size = source.examples, source.size
        data, order = (examples.x, examples.t, examples.weight), source.order(walk.epoch)
        weights = walk.loss.example_weights(examples.t, examples.weight, walk.dtype)
        whole = len(examples) // size
        last = whole if left is None else min(whole, walk.place + left)
        while (n := min(self.at_once, last - walk.place)) > 0:
            first = walk.place * size
            walk.state, losses = repeat(walk.state, data, order, first, size, n)
            walk.losses.add_several(losses, size, _each_mean(weights, order, first, size, n))
            walk.steps += n
            bar.update(n)
            left = None if left is None else left - n
        return left

    def _unwatched(self, walk: Walk, batches: Any, bar: Any) -> None:
        """Nothing here waits for the device, or asks anybody."""
        step, state, losses = self.step, walk.state, walk.losses
        for batch in batches:
            state, value = step(state, batch)
            losses.add(value, *_weighed(walk, batch))
            walk.steps += 1
            bar.update()
        walk.state = state

    def _watched(self, walk: Walk, batches: Any, watching: list[Callback], bar: Any) -> None:
        for batch in batches:
            walk.state, value = self.step(walk.state, batch)
            walk.losses.add(value, *_weighed(walk, batch))
            walk.batch = batch
            walk.steps += 1
            bar.update()
            for callback in watching:
                callback.on_step(walk)
            if walk.stopped:
                return

    def _record(self, walk: Walk) -> None:
        """Read the epoch's losses, once; stop where one of them or what they led to is not a number; and measure."""
        values, weights = walk.losses.read()
        for i, value in enumerate(values):
            if not math.isfinite(value):
                raise Diverged(f"the loss became {value}", walk.steps - len(values) + i + 1, walk.good)
        if not all_finite(walk.state["theta"] + walk.state["buffers"]):
            raise Diverged("a weight became infinite or NaN", walk.steps, walk.good)
        row = {"loss": float(walk.loss.together(np.asarray(values), np.asarray(weights)))}
        if self.seen is not None and (self.prefix or self.metrics):
            figures = walk.trained.measure(self.seen, self.metrics)
            if not self.prefix:
                del figures["loss"]  # the loss of the epoch's batches together stands there already
            row |= {f"{self.prefix}{name}": value for name, value in figures.items()}
        walk.history.steps.extend(values)
        walk.history.epochs.append(row)


def _weighed(walk: Walk, batch: Batch) -> tuple[int, Any]:
    """The examples of a batch and their mean weight."""
    x, t, weight = batch
    weights = walk.loss.example_weights(t, weight, walk.dtype)
    return x.shape[0], 1.0 if weights is None else mean_weight(weights)


def _each_mean(weights: Array | None, order: Array | None, first: int, size: int, count: int) -> Array | None:
    """The mean weight of each of ``count`` whole batches that follow each other, from the example ``first`` on."""
    if weights is None:
        return None
    xp, places = array_namespace(weights), slice(first, first + size * count)
    of_steps = weights[places] if order is None else xp.take(weights, order[places], axis=0)
    return mean_weight(xp.reshape(of_steps, (count, size)))


def _quiet() -> Any:
    """Diverged says it once, and in words."""
    return np.errstate(over="ignore", invalid="ignore")


def _let_go(error: BaseException) -> None:
    """Clear the frames that an error has come through: their arrays fill the device for as long as the error lives."""
    cause: BaseException | None = error
    while cause is not None:
        clear_frames(cause.__traceback__)
        cause = cause.__cause__


def all_finite(vectors: Theta) -> bool:
    """Whether every number is finite."""
    return all(bool(xp.all(xp.isfinite(vector))) for vector in vectors for xp in [array_namespace(vector)])
