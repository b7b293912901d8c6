"""What an estimator is again where its training breaks off: the last good model, with counts and curves true of it."""

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
"""How scikit-learn's own attributes begin, which it removes itself when ``fit`` is over."""


class LastGood:
    """An estimator as it was before this call of ``fit``, then after each whole epoch of it.

    A step consumes the state that it is given, so what is kept lies in memory of its own.
    """

    def __init__(self, estimator: Any, incremental: bool) -> None:
        self._estimator = estimator
        self._dict: dict[str, Any] = estimator.__dict__
        self.incremental = incremental
        self.epochs = 0
        """How many epochs, or iterations of L-BFGS, have been kept."""
        attributes = self._attributes()
        training: Training | None = self._dict.get("_training") if incremental else None
        if training is None:  # then this call has arrays of its own
            self._restore: Callable[[], None] = attributes
            return
        state, rate = copy_tree(training.state), training.rate.value
        its_own = training.shows(estimator._parameters())

        def again() -> None:
            attributes()
            training.state, training.rate.value = state, rate
            if its_own:
                training.views = estimator._set_parameters(state["theta"])
                estimator._buffers = state["buffers"]

        self._restore = again

    def save_epoch(self, training: Training, state: dict[str, Any], best: tuple[Theta, Theta] | None) -> None:
        """After a whole epoch: keep this state, with the best weights where there are such, unless it is not finite."""
        if not all_finite(state["theta"] + state["buffers"]):
            return
        weights = {} if best is None else {"theta": best[0], "buffers": best[1]}
        own, attributes, rate = copy_tree({**state, **weights}), self._attributes(), training.rate.value

        def again() -> None:
            attributes()
            training.state, training.rate.value = own, rate
            self._estimator._training = training
            training.views = self._estimator._set_parameters(own["theta"])
            self._estimator._buffers = own["buffers"]

        self._save(again)

    def save_iteration(self, theta: Callable[[], Theta], **counts: Any) -> None:
        """After an iteration that has changed nothing of the estimator: its weights, and what it says of them."""
        attributes = self._attributes()

        def again() -> None:
            attributes()
            self._dict.update(counts)
            self._estimator._set_parameters(theta())

        self._save(again)

    @contextmanager
    def restored_on_error(self, goes_on: bool = False) -> Generator[None]:
        """A ``with`` block after which, where it fails, the estimator is what was kept last.

        An interrupt is no error but a warning where an epoch has been kept, or where training ``goes_on`` from a model.
        """
        try:
            yield
        except BaseException as error:
            self._restore()
            if not isinstance(error, KeyboardInterrupt) or not (self.epochs or goes_on):
                raise
            warnings.warn("Training interrupted by user.", stacklevel=8)

    def _save(self, again: Callable[[], None]) -> None:
        self._restore = again
        self.epochs += 1

    def _attributes(self) -> Callable[[], None]:
        """What gives back the attributes of this moment, lists as long as they are now, and the random numbers."""
        now = dict(self._dict)
        lists: dict[str, list[Any]] = {name: value for name, value in now.items() if isinstance(value, list)}
        lengths = {name: len(value) for name, value in lists.items()}
        generator = self._dict.get("random_state")
        numbers: Any = generator.get_state() if isinstance(generator, np.random.RandomState) else None

        def again() -> None:
            running = {name: value for name, value in self._dict.items() if name.startswith(SKLEARN_PREFIXES)}
            self._dict.clear()
            self._dict.update(now | running | {name: lists[name][:length] for name, length in lengths.items()})
            if isinstance(generator, np.random.RandomState):
                generator.set_state(numbers)

        return again
