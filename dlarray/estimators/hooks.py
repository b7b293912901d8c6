"""Calls scikit-learn's callbacks (``set_callbacks``) and those of the parameter ``callbacks`` during training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import numpy as np

from dlarray.core.registry import make
from dlarray.training.callback import Callback

__all__ = ["Hooks"]


class Hooks:
    """The tasks of one ``fit``: the fit itself and, within it, each epoch, for scikit-learn's protocol.

    ``now()`` returns the current fitted attributes, from which scikit-learn makes an estimator that can predict. A
    function in the parameter ``callbacks`` gets the estimator itself, which can predict then. Both stop training by
    returning True. Callbacks with hooks such as ``on_epoch`` are called through ``CallbackAdapter``.
    """

    def __init__(self, estimator: Any, x: Any, y: Any, weight: Any, own: Any) -> None:
        self._estimator = estimator
        self._task_data = {"X": x, "y": y, "metadata": None if weight is None else {"sample_weight": weight}}
        self.run_callbacks, self._functions = _split(own)
        """Callbacks with the hooks of ``dlarray.fit``, which ``EpochLoop`` calls."""
        self._has_sklearn_callbacks = bool(getattr(estimator, "_skl_callbacks", None))
        self._fit: Any = None
        self._bar = _EpochBar(estimator.max_iter) if estimator.verbose == "progress" else None
        if self._bar is not None:
            self._functions.append(self._bar)

    @property
    def needed(self) -> bool:
        """Whether any callback needs the model after each epoch."""
        return self._has_sklearn_callbacks or bool(self._functions)

    def close(self) -> None:
        """After training, whether it has ended well or not."""
        if self._bar is not None:
            self._bar.close()

    def begin(self) -> None:
        """At the beginning of ``fit``."""
        self._fit = self._estimator._init_callback_context(max_subtasks=self._estimator.max_iter)
        self._fit.call_on_fit_task_begin(estimator=self._estimator, **self._task_data)

    def epoch_begins(self) -> Any:
        """At the beginning of an epoch. Returns the context for ``epoch_ends``."""
        if not self._has_sklearn_callbacks or self._fit is None:
            return None
        context = self._fit.subcontext(task_name="epoch")
        context.call_on_fit_task_begin(estimator=self._estimator, **self._task_data)
        return context

    def epoch_ends(self, context: Any, now: Callable[[], dict[str, Any]]) -> bool:
        """At the end of an epoch. Returns whether a callback stops training."""
        stop = False
        if context is not None:
            data = {**self._task_data, "reconstruction_attributes": now}
            stop = bool(context.call_on_fit_task_end(estimator=self._estimator, **data))
        answers = [callback(self._estimator) for callback in self._functions]
        return any([stop, *(bool(cast("Any", answer)) for answer in answers if isinstance(answer, (bool, np.bool_)))])

    def cancel_epoch(self, context: Any) -> None:
        """End an epoch that has begun and will not be trained: each begin of a task needs its end."""
        if context is not None:
            context.call_on_fit_task_end(estimator=self._estimator)

    def end(self) -> None:
        """At the end of ``fit``."""
        if self._fit is not None:
            data = {**self._task_data, "reconstruction_attributes": dict[str, Any]}
            self._fit.call_on_fit_task_end(estimator=self._estimator, **data)


class _EpochBar:
    """A progress bar of epochs, by tqdm, with the loss and the validation score of the latest one."""

    def __init__(self, epochs: int) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(total=epochs, unit="epoch")
        self.close = self._bar.close

    def __call__(self, estimator: Any) -> None:
        curve: list[float] = getattr(estimator, "loss_curve_", [])  # lbfgs has none
        scores: list[float] = getattr(estimator, "validation_scores_", None) or []
        named = [("loss", curve[-1:]), ("validation score", scores[-1:])]
        self._bar.set_postfix_str(", ".join(f"{name} {value:.4g}" for name, last in named for value in last), False)
        self._bar.update()


def _split(given: Any) -> tuple[list[Any], list[Callable[[Any], Any]]]:
    """Callbacks with hooks, and functions."""
    if given is None:
        return [], []
    single = isinstance(given, str) or not isinstance(given, Iterable)
    listed: list[Any] = [given] if single else list(cast("Iterable[Any]", given))
    items: list[Any] = [make(Callback, item) if isinstance(item, str) else item for item in listed]
    for item in items:
        if isinstance(item, type) or not (callable(item) or hasattr(item, "on_epoch")):
            raise TypeError(
                "callbacks must be names, objects with hooks such as on_epoch, or functions of the estimator, got "
                f"{item!r}; set_callbacks takes scikit-learn's"
            )
    with_hooks = [item for item in items if hasattr(item, "on_epoch")]
    return with_hooks, [item for item in items if item not in with_hooks]
