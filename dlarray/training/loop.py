"""The training loop: the epochs, the steps of each, and the callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from traceback import clear_frames
from typing import Any

import numpy as np

from dlarray.core.array import Array, array_namespace
from dlarray.core.layout import Theta
from dlarray.device.errors import OutOfMemoryError
from dlarray.losses.weights import mean_weight
from dlarray.training.batch_source import ArraySource, BatchSource
from dlarray.training.binding import Bound, bind
from dlarray.training.callback import Callback, Run
from dlarray.training.data import Examples
from dlarray.training.epoch_losses import EpochLosses
from dlarray.training.errors import DivergedError, attach_model, call_on_end
from dlarray.training.progress import Bar, progress_bar
from dlarray.training.step import Batch
from dlarray.training.trained import Metric, Trained

__all__ = ["MEMORY_ADVICE", "Loop", "all_finite"]

MEMORY_ADVICE = (
    "A smaller batch_size, a batch in parts (accumulate=) or batches from an iterable instead of x need less; "
    "dlarray.memory_estimate(model, device) shows what needs how much"
)


@dataclass(frozen=True)
class Loop:
    """Everything that stays the same in all epochs."""

    step: Callable[..., Any]
    source: BatchSource
    measured_on: Examples | None
    prefix: str
    metrics: Mapping[str, Metric]
    callbacks: tuple[Callback, ...] = ()
    max_steps: int | None = None
    repeat: Callable[..., Any] | None = None
    """Does several steps in one call, see ``Backend.repeat``."""
    steps_per_call: int = 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the metrics of an epoch."""
        if self.measured_on is None:
            return ("loss",)
        return "loss", *([f"{self.prefix}loss"] if self.prefix else []), *(f"{self.prefix}{m}" for m in self.metrics)

    def run(self, run: Run, progress: bool | None) -> Trained:
        """Train until the end or until ``run.stop``. Every error has the last good model as ``trained``."""
        run.source = self.source
        try:
            self._train(run, bind(self.step, run.state), progress)
        except BaseException as error:
            run.error = attach_model(error, run.last_good)
            if isinstance(error, OutOfMemoryError):
                _clear_frames(error)
        if (error := call_on_end(self.callbacks, run)) is not None:
            raise error if run.error is not None else attach_model(error, run.result)
        return run.result

    def _train(self, run: Run, step: Bound, progress: bool | None) -> None:
        each = self.source.steps
        total = None if each is None else run.epochs * each
        if self.max_steps is not None:
            total = self.max_steps if total is None else min(total, self.max_steps)
        bar = progress_bar(total, run.steps, run.device.name, progress)
        with run.device.working("to train", MEMORY_ADVICE), bar, _ignore_overflow():
            for callback in self.callbacks:
                callback.on_start(run)
            while run.epoch < run.epochs and not self._over(run):
                self._epoch(run, step, bar)
            if run.losses:
                self._record(run)

    def _over(self, run: Run) -> bool:
        if self.max_steps is not None and run.steps >= self.max_steps:
            run.stop(f"max_steps: {run.steps} steps are done")
        return run.stopped

    def _epoch(self, run: Run, step: Bound, bar: Bar) -> None:
        """The remaining steps of this epoch, and what follows a complete epoch."""
        left = None if self.max_steps is None else self.max_steps - run.steps
        before = run.steps
        watching = [c for c in self.callbacks if type(c).on_step is not Callback.on_step]
        if self.repeat is not None and not watching and isinstance(self.source, ArraySource):
            left = self._repeated_steps(run, self.repeat, self.source, left, bar)
        each = self.source.steps
        if each is None or run.batch_index < each:
            batches = islice(self.source.batches(run.epoch, run.batch_index), left)
            step.state = run.state  # callbacks can have replaced it, or an entry of it
            if watching:
                self._steps_with_callbacks(run, step, batches, watching, bar)
            else:
                self._steps(run, step, batches, bar)
        whole = bool(run.losses) if each is None else run.batch_index >= each
        if run.steps == before and not whole:
            raise ValueError(
                f"x has no more batches in epoch {run.epoch + 1}, after {run.batch_index}: give a function "
                f"that makes a new iterator, or steps_per_epoch"
            )
        incomplete = each is None and (run.stopped or (left is not None and run.steps - before == left))
        if incomplete or not whole:
            return
        self._record(run)
        run.losses = EpochLosses()
        run.epoch += 1
        run.last_good = run.trained
        bar.set_postfix_str(", ".join(f"{name}={value:.4g}" for name, value in run.metrics.items()))
        for callback in self.callbacks:
            callback.on_epoch(run)

    def _repeated_steps(
        self, run: Run, repeat: Callable[..., Any], source: ArraySource, left: int | None, bar: Bar
    ) -> int | None:
        """The full batches of an epoch, several in one call. Returns the number of steps that are then left.

        It returns before the last full batch if ``repeat`` does no step.
        """
        examples, size = source.examples, source.size
        data, order = (examples.x, examples.t, examples.weight), source.order(run.epoch)
        weights = run.loss.example_weights(examples.t, examples.weight, run.dtype)
        whole = len(examples) // size
        last = whole if left is None else min(whole, run.batch_index + left)
        while (n := min(self.steps_per_call, last - run.batch_index)) > 0:
            first = run.batch_index * size
            run.state, losses = repeat(run.state, data, order, first, size, n)
            if not (n := losses.shape[0]):
                break
            run.losses.add_several(losses, size, _mean_weights(weights, order, first, size, n))
            run.steps += n
            bar.update(n)
            left = None if left is None else left - n
        return left

    def _steps(self, run: Run, step: Bound, batches: Any, bar: Bar) -> None:
        """Steps without callbacks. Nothing here waits for the device."""
        losses, count_and_weight = run.losses, _counting(run)
        for batch in batches:
            losses.add(step(batch), *count_and_weight(batch))
            run.steps += 1
            bar.update()
        run.state = step.state

    def _steps_with_callbacks(self, run: Run, step: Bound, batches: Any, watching: list[Callback], bar: Bar) -> None:
        count_and_weight = _counting(run)
        for batch in batches:
            run.losses.add(step(batch), *count_and_weight(batch))
            run.state, run.batch = step.state, batch
            run.steps += 1
            bar.update()
            for callback in watching:
                callback.on_step(run)
            step.state = run.state
            if run.stopped:
                return

    def _record(self, run: Run) -> None:
        """Read the epoch's losses once, raise DivergedError if one or the state is not finite, and measure."""
        values, weights = run.losses.read()
        if not all(map(math.isfinite, values)):
            i, value = next((i, value) for i, value in enumerate(values) if not math.isfinite(value))
            raise DivergedError(f"the loss became {value}", run.steps - len(values) + i + 1, run.last_good)
        if not all_finite(run.state["theta"] + run.state["buffers"]):
            raise DivergedError("a weight became infinite or NaN", run.steps, run.last_good)
        row = {"loss": float(run.loss.combine(np.asarray(values), np.asarray(weights)))}
        if self.measured_on is not None and (self.prefix or self.metrics):
            measured = run.trained.measure(self.measured_on, self.metrics)
            if not self.prefix:
                del measured["loss"]  # the row has the loss of the epoch already
            row |= {f"{self.prefix}{name}": value for name, value in measured.items()}
        run.history.steps.extend(values)
        run.history.epochs.append(row)


def _counting(run: Run) -> Callable[[Batch], tuple[int, Any]]:
    """A function for the number of examples of a batch and their mean weight.

    Whether a loss weights examples that have no weight is the same for all batches.
    """
    all_one = False

    def count_and_weight(batch: Batch) -> tuple[int, Any]:
        nonlocal all_one
        x, t, weight = batch
        if weight is None and all_one:
            return x.shape[0], 1.0
        weights = run.loss.example_weights(t, weight, run.dtype)
        all_one = weight is None and weights is None
        return x.shape[0], 1.0 if weights is None else mean_weight(weights)

    return count_and_weight


def _mean_weights(weights: Array | None, order: Array | None, first: int, size: int, count: int) -> Array | None:
    """The mean weight of each of ``count`` consecutive full batches, from the example ``first`` on."""
    if weights is None:
        return None
    xp, span = array_namespace(weights), slice(first, first + size * count)
    of_steps = weights[span] if order is None else xp.take(weights, order[span], axis=0)
    return mean_weight(xp.reshape(of_steps, (count, size)))


def _ignore_overflow() -> Any:
    """DivergedError reports it; NumPy's warnings would repeat it."""
    return np.errstate(over="ignore", invalid="ignore")


def _clear_frames(error: BaseException) -> None:
    """Clear the frames of an error: their arrays would use the device's memory as long as the error exists."""
    cause: BaseException | None = error
    while cause is not None:
        clear_frames(cause.__traceback__)
        cause = cause.__cause__


def all_finite(vectors: Theta) -> bool:
    """Whether every number is finite."""
    return all(bool(xp.all(xp.isfinite(vector))) for vector in vectors for xp in [array_namespace(vector)])
