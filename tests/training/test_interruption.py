"""Ctrl-C that stops a run after a step: ``InterruptTogether``."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

import dlarray as dl
from dlarray.training.interruption import InterruptTogether
from tests.support.thread_ranks import on_ranks

X = np.linspace(-1, 1, 32).reshape(16, 2)
Y = np.arange(16) % 2


def train(*callbacks: dl.Callback, parallel: object = None) -> dl.Trained:
    return dl.fit(
        dl.mlp(2, 2),
        X,
        Y,
        epochs=5,
        batch_size=4,
        callbacks=callbacks,
        device="cpu",
        compile=False,
        progress=False,
        parallel=parallel,
    )


class Signals(dl.Callback):
    """SIGINT after some steps, so many times."""

    def __init__(self, steps: int, times: int = 1) -> None:
        self.steps, self.times = steps, times

    def on_step(self, run: dl.Run) -> None:
        if run.steps == self.steps:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)


def test_the_step_is_completed_and_the_handler_is_restored(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    path = tmp_path / "run.safetensors"
    with pytest.raises(dl.training.Interrupted) as caught:
        train(Signals(6), InterruptTogether(), dl.Checkpoint(path))
    assert len(caught.value.trained.history.steps) == 6
    assert signal.getsignal(signal.SIGINT) is before
    whole, resumed = train(), dl.fit(dl.mlp(2, 2), X, Y, epochs=5, batch_size=4, resume=path, progress=False)
    np.testing.assert_allclose(resumed.history.steps, whole.history.steps, rtol=1e-6)


def test_a_second_signal_interrupts_at_once():
    with pytest.raises(dl.training.Interrupted) as caught:
        train(Signals(6, times=2), InterruptTogether())
    assert len(caught.value.trained.history.epochs) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_interrupted_rank_stops_all_after_the_same_step():
    class Interrupted(InterruptTogether):
        """As if SIGINT came after the third step of rank 1; threads have no signals of their own."""

        abstract = True

        def __init__(self, here: bool) -> None:
            self.here = here

        def on_step(self, run: dl.Run) -> None:
            self._interrupted = self.here and run.steps == 3
            super().on_step(run)

    def run(ranks):
        assert threading.current_thread() is not threading.main_thread()
        with pytest.raises(dl.training.Interrupted) as caught:
            train(Interrupted(ranks.rank == 1), parallel=ranks)
        return len(caught.value.trained.history.steps)

    assert on_ranks(3, run) == [3, 3, 3]
