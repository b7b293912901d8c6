"""Restore an estimator after an error in training: the last good model with its counts and curves."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

from dlarray.core.layout import Theta
from dlarray.core.trees import copy_tree
from dlarray.estimators.training import Training
from dlarray.training.loop import all_finite

__all__ = ["LastGood"]

SKLEARN_PREFIXES = ("_callback_fit_ctx", "_parent_callback_ctx", "_skl_callbacks")
"""The prefixes of attributes that scikit-learn itself sets and removes in ``fit``."""


class LastGood:
    """The state of an estimator before this call of ``fit``, and later after each complete epoch.

    A step consumes its state, so the saved arrays are copies.
    """

    def __init__(self, estimator: Any, incremental: bool) -> None:
        self._estimator = estimator
        self._dict: dict[str, Any] = estimator.__dict__
        self.incremental = incremental
        self.epochs = 0
        """The number of epochs, or iterations of L-BFGS, that have been saved."""
        attributes = self._attributes()
        training: Training | None = self._dict.get("_training") if incremental else None
        if training is None:  # this call uses new arrays
            self._restore: Callable[[], None] = attributes
            return
        state, rate = copy_tree(training.state), training.rate.value
        its_own = training.shows(estimator._parameters())

        def restore() -> None:
            attributes()
            training.state, training.rate.value = state, rate
            if its_own:
                training.views = estimator._set_parameters(state["theta"])
                estimator._buffers = state["buffers"]

        self._restore = restore

    def save_epoch(self, training: Training, state: dict[str, Any], best: tuple[Theta, Theta] | None) -> None:
        """After a complete epoch: save this state, with the best weights if given, if it is finite."""
        if not all_finite(state["theta"] + state["buffers"]):
            return
        weights = {} if best is None else {"theta": best[0], "buffers": best[1]}
        own = copy_tree({**training.own(state), **weights})
        attributes, rate = self._attributes(), training.rate.value

        def restore() -> None:
            attributes()
            training.state, training.rate.value = own, rate
            self._estimator._training = training
            training.views = self._estimator._set_parameters(own["theta"])
            self._estimator._buffers = own["buffers"]

        self._save(restore)

    def save_iteration(self, theta: Callable[[], Theta], **counts: Any) -> None:
        """After an iteration that has not changed the estimator: save its weights and these attributes."""
        attributes = self._attributes()

        def restore() -> None:
            attributes()
            self._dict.update(counts)
            self._estimator._set_parameters(theta())

        self._save(restore)

    @contextmanager
    def restored_on_error(self, goes_on: bool = False) -> Generator[None]:
        """A ``with`` block. If it raises, the estimator gets the state that was saved last.

        An interrupt becomes a warning if an epoch has been saved, or if training ``goes_on`` from a model.
        """
        try:
            yield
        except BaseException as error:
            self._restore()
            if not isinstance(error, KeyboardInterrupt) or not (self.epochs or goes_on):
                raise
            warnings.warn("Training interrupted by user.", stacklevel=8)

    def _save(self, restore: Callable[[], None]) -> None:
        self._restore = restore
        self.epochs += 1

    def _attributes(self) -> Callable[[], None]:
        """A function that restores the current attributes, the current lengths of lists, and the random state."""
        now = dict(self._dict)
        lists: dict[str, list[Any]] = {name: value for name, value in now.items() if isinstance(value, list)}
        lengths = {name: len(value) for name, value in lists.items()}
        generator = self._dict.get("random_state")
        numbers: Any = generator.get_state() if isinstance(generator, np.random.RandomState) else None

        def restore() -> None:
            running = {name: value for name, value in self._dict.items() if name.startswith(SKLEARN_PREFIXES)}
            self._dict.clear()
            self._dict.update(now | running | {name: lists[name][:length] for name, length in lengths.items()})
            if isinstance(generator, np.random.RandomState):
                generator.set_state(numbers)

        return restore
