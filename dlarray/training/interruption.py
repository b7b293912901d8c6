"""Ctrl-C on several ranks: all of them stop after the same step."""

from __future__ import annotations

import signal
import threading
from typing import Any

from dlarray.training.callback import Callback, Run

__all__ = ["InterruptTogether"]

INTERRUPTED = "interrupted"


class InterruptTogether(Callback):
    """If SIGINT reaches one of the ranks, end the run on all of them after one more step, with an ``Interrupted``.

    A KeyboardInterrupt would stop each rank at another point, and they could not work together any more. The ranks ask
    each other after every step. List it after callbacks that choose what ``fit`` returns: ``Interrupted.trained`` is
    that. A second SIGINT is a KeyboardInterrupt. Outside the main thread it does nothing.
    """

    abstract = True

    def on_start(self, run: Run) -> None:
        if threading.current_thread() is threading.main_thread():
            run.memory(self)["_before"] = signal.signal(signal.SIGINT, self._note)
        self._interrupted = False

    def on_step(self, run: Run) -> None:
        if self._interrupted:
            run.stop(INTERRUPTED)

    def on_end(self, run: Run) -> None:
        if (before := run.memory(self).get("_before")) is not None:
            signal.signal(signal.SIGINT, before)
        if run.error is None and run.history.stopped == INTERRUPTED:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: Any) -> None:
        if self._interrupted:
            signal.default_int_handler(number, frame)
        self._interrupted = True
