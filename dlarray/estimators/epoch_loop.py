"""The epochs of an estimator by scikit-learn's rules: shuffling, curves, and when to stop."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from dlarray.core.array import Array, array_namespace
from dlarray.core.layout import Theta
from dlarray.core.trees import copy_tree
from dlarray.device import Device, to_numpy
from dlarray.estimators.callback_adapter import CallbackAdapter
from dlarray.estimators.hooks import Hooks
from dlarray.estimators.inputs import Rows, batch_bounds
from dlarray.estimators.last_good import LastGood
from dlarray.estimators.parameters import prints
from dlarray.estimators.step_pool import Runner
from dlarray.estimators.training import Training

__all__ = ["NOT_FINITE", "EpochLoop"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
    "preprocessed: standardize them, or give a smaller learning rate."
)
"""The message for diverged training. The first sentences are scikit-learn's."""


@dataclass
class EpochLoop:
    """Trains an estimator by steps, writes its curves and counts, and saves each complete epoch in ``last_good``.

    ``validate(state)``, if given, is the validation score of the model in this state. ``after(context, state)`` is
    called at the end of each epoch and returns whether to stop.
    """

    estimator: Any
    training: Training
    last_good: LastGood
    runner: Runner
    rows: Rows
    device: Device
    batch_size: int
    min_batch_size: int
    hooks: Hooks
    adapter: CallbackAdapter | None
    validate: Callable[[Any], float] | None
    after: Callable[[Any, Any], bool]

    def run(self, once: bool) -> None:
        """Train for all epochs or for one. The result is the last state, or the one of the best score (early stopping).

        An interrupt ends training after the last complete epoch. In the first epoch it is raised, as every error is.
        """
        with self.last_good.restored_on_error():
            try:
                self._run(once)
                self.runner.whole = True
            except BaseException as error:
                if self.adapter:
                    self.adapter.fails(error)
                raise

    def _run(self, once: bool) -> None:
        estimator, state = self.estimator, self.runner.state
        best = self._best(state)
        estimator.n_iter_ = 0
        if self.adapter:
            names = ("loss", "validation_loss", "validation_score") if self.validate else ("loss",)
            self.adapter.begins(state, 1 if once else estimator.max_iter, names)
        for _ in range(1 if once else estimator.max_iter):
            context = self.hooks.epoch_begins()
            state = self._epoch(state)
            if self.validate and estimator.early_stopping:
                best = self._check_score(state, best)
            else:
                self._check_loss(state)
            self.training.rate.epoch_ends(estimator.t_, state)
            if best is None or np.isfinite(estimator.best_validation_score_):
                self.last_good.save_epoch(self.training, state, best)
            stop = self._call_on_epoch(state)
            stop = self.after(context, state) or stop
            if self._converged(state) or stop or once:
                break
            if estimator.n_iter_ == estimator.max_iter:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization "
                    "hasn't converged yet.",
                    ConvergenceWarning,
                    stacklevel=7,
                )
        if best and estimator.validation_scores_ and not np.isfinite(estimator.best_validation_score_):
            raise ValueError(
                f"the validation score was NaN in all {len(estimator.validation_scores_)} epochs: the outputs for the "
                f"validation examples are infinite or NaN. Standardised inputs or a smaller learning rate help"
            )
        state = {**state, "theta": best[0], "buffers": best[1]} if best else state
        self.training.state = self.adapter.ends(state) if self.adapter else state

    def _call_on_epoch(self, state: Any) -> bool:
        """Call ``on_epoch`` of callbacks with hooks. Returns whether one of them stops training."""
        if self.adapter is None:
            return False
        estimator = self.estimator
        metrics = {"loss": estimator.loss_}
        if self.validate:
            metrics["validation_loss"] = estimator.validation_loss_curve_[-1]
            metrics["validation_score"] = estimator.validation_scores_[-1]
        return self.adapter.epoch_done(state, self._losses, metrics)

    def _best(self, state: Any) -> tuple[Theta, Theta] | None:
        return copy_tree((state["theta"], state["buffers"])) if self.estimator.early_stopping else None

    def _epoch(self, state: Any) -> Any:
        """One pass over the examples. The loss of the epoch weights each batch by its number of examples.

        Raises ValueError if it is NaN: then θ is NaN too, and no further epoch can repair it.
        """
        estimator, n = self.estimator, len(self.rows)
        order = None
        if estimator.shuffle:
            # scikit-learn shuffles the order of the epoch before
            self._order = self._order[estimator._random_state.permutation(n)]
            order = self.device.asarray(self._order.astype(np.int32))
        runner = self.runner
        runner.state = state
        losses = self._several_steps(order)
        done = sum(part.shape[0] for part in losses)
        rest: list[Array] = []
        for batch in self.rows.batches(self._bounds[done:], order):
            value = runner(batch.whole)
            rest.append(value)
            if self.adapter:
                self.adapter.step_done(runner.state, value)
        if rest:
            losses.append(array_namespace(rest[0]).stack(rest))
        self._losses = np.concatenate([to_numpy(part) for part in losses], dtype=np.float64)
        estimator.loss_ = np.float64(estimator._loss.combine(self._losses, self._sizes))
        estimator.n_iter_ += 1
        estimator.t_ += n
        estimator.loss_curve_.append(estimator.loss_)
        self._print(f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
        if np.isnan(estimator.loss_):
            raise ValueError(NOT_FINITE)
        return runner.state

    def _several_steps(self, order: Array | None) -> list[Array]:
        """The losses of full batches, from the first on, in calls of several steps; the others must be done alone."""
        losses: list[Array] = []
        full = int(np.sum(self._sizes == self.batch_size))
        done = 0
        while self.adapter is None and full - done > 1:
            found = self.runner.several(self.rows.whole, order, done * self.batch_size, self.batch_size, full - done)
            if found is None:
                break
            losses.append(found)
            done += found.shape[0]
        return losses

    def __post_init__(self) -> None:
        self._order = np.arange(len(self.rows))
        self._losses = np.zeros(0)
        self._bounds = batch_bounds(len(self.rows), self.batch_size, self.min_batch_size)
        self._sizes = np.diff(self._bounds).astype(np.float64)

    def _check_score(self, state: Any, best: Any) -> Any:
        """Record the score, and return the weights if it is the best so far."""
        estimator = self.estimator
        self._record_score(score := self.validate(state) if self.validate else np.nan)
        self._count(not score >= estimator.best_validation_score_ + estimator.tol or not np.isfinite(score))
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            return self._best(state)
        return best

    def _record_score(self, score: float) -> None:
        self.estimator.validation_scores_.append(score)
        self._print(f"Validation score: {score:f}")

    def _check_loss(self, state: Any) -> None:
        """Record whether the loss has decreased."""
        estimator = self.estimator
        if self.validate:
            self._record_score(self.validate(state))
        self._count(estimator.loss_ > estimator.best_loss_ - estimator.tol or not np.isfinite(estimator.loss_))
        estimator.best_loss_ = min(estimator.best_loss_, estimator.loss_)

    def _count(self, worse: bool) -> None:
        self.estimator._no_improvement_count = self.estimator._no_improvement_count + 1 if worse else 0

    def _converged(self, state: Any) -> bool:
        """Whether nothing has improved for ``n_iter_no_change`` epochs and the rate cannot be reduced."""
        estimator = self.estimator
        if estimator._no_improvement_count <= estimator.n_iter_no_change:
            return False
        what = "Validation score" if estimator.early_stopping else "Training loss"
        next_ = self.training.rate.no_progress(state)
        epochs = int(estimator.n_iter_no_change)
        self._print(f"{what} did not improve more than tol={estimator.tol:f} for {epochs} consecutive epochs. {next_}")
        if next_.endswith("Stopping."):
            return True
        estimator._no_improvement_count = 0
        return False

    def _print(self, text: str) -> None:
        if prints(self.estimator):
            print(text)  # noqa: T201 - what ``verbose`` asks for
