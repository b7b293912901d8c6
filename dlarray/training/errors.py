"""The end of training: every callback is called, and every error carries the last good model."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from dlarray.core.check import count
from dlarray.core.errors import Picklable
from dlarray.training.trained import Trained

__all__ = ["DivergedError", "Interrupted", "attach_model", "call_on_end"]


class DivergedError(Picklable, ArithmeticError):
    """The loss or θ became infinite or NaN. ``step`` is the step, ``trained`` the model before that epoch."""

    def __init__(self, what: str, step: int, trained: Trained) -> None:
        super().__init__(
            f"{what} at step {step}: the weights have diverged. A smaller learning rate, clipped "
            f"gradients or standardized inputs help; .trained holds the last good weights"
        )
        self.step = step
        self.trained = trained


class Interrupted(Picklable, KeyboardInterrupt):
    """The user has interrupted ``fit``. ``trained`` is the model after the last complete epoch, or the initial one.

    It is not the model after the last step: an interrupted step may have written half of θ. A ``Checkpoint`` with
    ``steps`` loses less.
    """

    def __init__(self, trained: Trained) -> None:
        done = len(trained.history.epochs)
        super().__init__(f"training was interrupted; .trained holds the model after {count(done, 'complete epoch')}")
        self.trained = trained


def attach_model(error: BaseException, trained: Trained) -> BaseException:
    """The error with the model as its attribute ``trained``, and with a note that says so unless its message does.

    A KeyboardInterrupt becomes an Interrupted. If a class refuses attributes, its errors stay unchanged.
    """
    if isinstance(error, KeyboardInterrupt):
        interrupted = Interrupted(trained)
        interrupted.__cause__ = error
        return interrupted
    with suppress(Exception):
        BaseException.__setattr__(error, "trained", trained)  # past the __setattr__ of a frozen dataclass
        if not isinstance(error, DivergedError):
            done = len(trained.history.epochs)
            error.add_note(f".trained of this error holds the model after {count(done, 'complete epoch')}")
    return error


def call_on_end(callbacks: Iterable[Any], run: Any) -> BaseException | None:
    """Call every ``on_end``, even if others raise. Returns ``run.error``, or else the first error that was raised.

    Later errors become notes of the first.
    """
    first: BaseException | None = run.error
    for callback in callbacks:
        try:
            callback.on_end(run)
        except BaseException as error:
            if first is None:
                first = error
            elif first is not error:
                with suppress(Exception):
                    first.add_note(f"then {type(callback).__name__}.on_end raised {error!r}")
    return first
