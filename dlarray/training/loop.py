"""The training loop: the epochs, the steps of each, and the callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from traceback import clear_frames
from typing import Any

import numpy as np

from dlarray.core.array import Array, array_namespace, number
from dlarray.core.layout import Theta
from dlarray.device.errors import OutOfMemoryError
from dlarray.losses.weights import mean_weight
from dlarray.training.agreement import agree_to_stop, check_equal_state
from dlarray.training.batch_source import BatchSource
from dlarray.training.binding import Bound, bind
from dlarray.training.block_source import BlockExamples
from dlarray.training.callback import Callback, Run
from dlarray.training.data import Examples
from dlarray.training.epoch_losses import EpochLosses
from dlarray.training.errors import DivergedError, attach_model, call_on_end
from dlarray.training.named_metrics import Metric
from dlarray.training.parallel_batches import RankBatches
from dlarray.training.pieces import Piece, Pieces
from dlarray.training.progress import Bar, progress_bar
from dlarray.training.step import Batch
from dlarray.training.trained import Trained

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
    measured_on: Examples | BlockExamples | None
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
        run.source = self.source.of_all_ranks if isinstance(self.source, RankBatches) else self.source
        try:
            self._train(run, bind(self.step, run.state), progress)
        except BaseException as error:
            run.ranks.fail(error)
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
        bar = progress_bar(total, run.steps, run.epoch, run.epochs, progress if run.writes else False)
        with run.device.working("to train", MEMORY_ADVICE), bar, _ignore_overflow():
            check_equal_state(run)
            for callback in self.callbacks:
                callback.on_start(run)
            agree_to_stop(run)
            while run.epoch < run.epochs and not self._over(run):
                self._epoch(run, step, bar)
            if run.losses:
                check_equal_state(run)
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
        watched = any(run.ranks.exchange(bool(watching)))
        pieces: Pieces | None = getattr(self.source, "pieces", None)
        if self.repeat is not None and pieces is not None and not watching:
            for piece in pieces(run.epoch, run.batch_index):
                left = self._steps_of_piece(run, step, self.repeat, piece, left, bar)
                if left == 0:
                    break
        each = self.source.steps
        if each is None or run.batch_index < each:
            batches = islice(self.source.batches(run.epoch, run.batch_index), left)
            step.state = run.state  # callbacks can have replaced it, or an entry of it
            if watched:
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
        check_equal_state(run)
        self._record(run)
        run.losses = EpochLosses()
        run.epoch += 1
        run.last_good = run.trained
        bar.show_epoch(run.epoch, run.metrics)
        for callback in self.callbacks:
            callback.on_epoch(run)
        agree_to_stop(run)

    def _steps_of_piece(
        self, run: Run, step: Bound, repeat: Callable[..., Any], piece: Piece, left: int | None, bar: Bar
    ) -> int | None:
        """The batches of a piece, several in one call where ``repeat`` does them. Returns how many steps are left."""
        examples, size, order = piece.examples, piece.size, piece.order
        data = (examples.x, examples.t, examples.weight)
        weights = run.loss.example_weights(examples.t, examples.weight, run.dtype)
        done, before = piece.start, run.steps
        last = piece.full if left is None else min(piece.full, done + left)
        while (n := min(self.steps_per_call, last - done)) > 0:
            first = done * size
            run.state, losses = repeat(run.state, data, order, first, size, n)
            if not (n := losses.shape[0]):
                break
            run.losses.add_several(losses, size, _mean_weights(weights, order, first, size, n))
            run.steps += n
            done += n
            bar.update(n)
        left = None if left is None else left - (run.steps - before)
        step.state, before = run.state, run.steps  # callbacks can have replaced it, or an entry of it
        self._steps(run, step, islice(piece.batches(done), left), bar)
        return None if left is None else left - (run.steps - before)

    def _steps(self, run: Run, step: Bound, batches: Any, bar: Bar) -> None:
        """Steps without callbacks. Nothing here waits for the device."""
        losses, count_and_weight = run.losses, _counting(run, self.source)
        for batch in batches:
            losses.add(step(batch), *count_and_weight(batch))
            run.steps += 1
            bar.update()
        run.state = step.state

    def _steps_with_callbacks(self, run: Run, step: Bound, batches: Any, watching: list[Callback], bar: Bar) -> None:
        count_and_weight = _counting(run, self.source)
        for batch in batches:
            run.losses.add(step(batch), *count_and_weight(batch))
            run.state, run.batch = step.state, batch[:3]
            run.steps += 1
            bar.update()
            for callback in watching:
                callback.on_step(run)
            agree_to_stop(run)
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
            measured = run.current.measure(self.measured_on, self.metrics, ranks=run.ranks)
            if not self.prefix:
                del measured["loss"]  # the row has the loss of the epoch already
            row |= {f"{self.prefix}{name}": value for name, value in measured.items()}
        run.history.steps.extend(values)
        run.history.epochs.append(row)


def _counting(run: Run, source: BatchSource) -> Callable[[Batch], tuple[int, Any]]:
    """A function for the number of examples of a batch and their mean weight: on ranks, those of the whole batch.

    Whether a loss weights examples that have no weight is the same for all batches.
    """
    if isinstance(source, RankBatches):
        return source.count_and_weight
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
    return all(number(xp.all(xp.isfinite(vector))) for vector in vectors for xp in [array_namespace(vector)])
