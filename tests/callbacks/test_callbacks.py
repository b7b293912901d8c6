"""Callbacks: when they are called, what they get, and what they can change."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.registry import classes, make
from dlarray.training import Callback, Run
from tests.support.callbacks import (
    MODEL,
    NORMED,
    NUMBERS,
    Spy,
    X,
    equal,
    few,
    fit,
    numbers,
)
from tests.support.matrix import On


def test_hooks_are_called_in_order_with_the_state_of_the_run() -> None:
    spy = Spy()
    fit(epochs=2, callbacks=[spy])
    steps = [("step", e, i + 1, 3 * e + i + 1) for e in range(2) for i in range(3)]
    first, second = steps[:3], steps[3:]
    assert spy.calls == [
        ("start", 0, 0, 0),
        *first,
        ("epoch", 1, 0, 3),
        *second,
        ("epoch", 2, 0, 6),
        ("end", 2, 0, 6),
    ]


def test_looking_on_changes_no_bit(on: On) -> None:
    class Looks(Callback):
        def on_step(self, run: Run) -> None:
            assert math.isfinite(run.latest_loss)
            assert run.trained is run.trained
            assert len(run.theta) == len(run.state["theta"])
            assert run.seconds > 0

    where = few(on)
    alone, watched = fit(NORMED, **where), fit(NORMED, callbacks=[Looks()], **where)
    assert equal(numbers(alone), numbers(watched))
    assert alone.history == watched.history


def test_a_copy_of_the_model_stays_as_it_was(on: On) -> None:
    kept: list[dl.Trained] = []

    class Keeps(Callback):
        def on_epoch(self, run: Run) -> None:
            kept.append(run.trained)
            seen.append(numbers(run.trained))

    seen: list[list[np.ndarray]] = []
    fit(callbacks=[Keeps()], **few(on))
    assert [equal(numbers(model), then) for model, then in zip(kept, seen, strict=True)] == [True] * 3
    assert not equal(seen[0], seen[1])


def test_the_current_model_has_the_numbers_of_the_copy_and_the_arrays_of_the_state() -> None:
    class Compares(Callback):
        def on_step(self, run: Run) -> None:
            assert equal(numbers(run.current), numbers(run.trained))
            assert np.shares_memory(run.current.theta[0], run.state["theta"][0])
            assert not np.shares_memory(run.trained.theta[0], run.state["theta"][0])

    fit(callbacks=[Compares()])


def test_a_callback_may_stop_the_run_at_a_step_and_the_first_reason_counts() -> None:
    class Stops(Callback):
        def on_step(self, run: Run) -> None:
            if run.steps == 4:
                run.stop("enough")
                run.stop("more than enough")

    trained = fit(epochs=5, callbacks=[Stops()])
    assert trained.history.stopped == "enough"
    assert len(trained.history.steps) == 4
    assert trained.history["loss"] == [
        pytest.approx(np.average(trained.history.steps[:3], weights=[16, 16, 8])),
        trained.history.steps[3],
    ]


def test_a_callback_may_move_the_run_and_return_another_model(on: On) -> None:
    where = few(on)
    start = MODEL.init(7, on.target, on.dtype)

    class Moves(Callback):
        def on_start(self, run: Run) -> None:
            run.replace(start)
            with pytest.raises(ValueError, match="theta must hold vectors of lengths"):
                run.replace((start[0][:3], *start[1:]))

    class HandsBack(Callback):
        def on_end(self, run: Run) -> None:
            run.set_result(start)

    moved = fit(callbacks=[Moves()], **where)
    assert equal(numbers(moved), numbers(fit(theta=start, **where)))
    assert equal(numbers(fit(callbacks=[HandsBack()], **where)), [dl.to_numpy(v) for v in start])


def test_the_same_object_serves_two_runs_at_a_time_and_one_after_the_other() -> None:
    callbacks = [dl.EarlyStopping("accuracy", patience=1), dl.EMA(0.9), dl.ReduceLROnPlateau("loss", patience=1)]
    runs = [fit(epochs=6, callbacks=callbacks) for _ in range(2)]
    assert runs[0].history == runs[1].history
    assert equal(numbers(runs[0]), numbers(runs[1]))


def test_callbacks_have_names() -> None:
    assert all(hasattr(dl, name) for name in dl.__all__)  # imports them: classes are found once they are imported
    named = {name for name, c in classes(Callback).items() if c.__module__.startswith("dlarray.")}
    assert named >= {"early_stopping", "ema", "live_plot", "reduce_lr_on_plateau", "stop_on_non_finite", "swa"}
    assert make(Callback, "Early-Stopping") == dl.EarlyStopping()
    assert fit(callbacks=["ema", "early_stopping"]).history.stopped == ""


def test_on_end_receives_the_error() -> None:
    errors: list[Any] = []

    class Ends(Callback):
        def on_end(self, run: Run) -> None:
            errors.append(run.error)

    fit(callbacks=[Ends()])
    with np.errstate(all="ignore"), pytest.raises(dl.DivergedError) as caught:
        fit(x=10 * X, y=NUMBERS, model=dl.mlp(6, 2), optimizer=dl.GradientDescent(1e6), epochs=50, callbacks=[Ends()])
    assert errors == [None, caught.value]


def test_an_interrupted_run_says_so_and_keeps_the_last_whole_epoch(tmp_path: Path) -> None:
    class Interrupts(Callback):
        def on_step(self, run: Run) -> None:
            if run.steps == 8:
                raise KeyboardInterrupt

    spy, path = Spy(), tmp_path / "run.safetensors"
    with pytest.raises(dl.Interrupted, match="after 2 complete epochs") as caught:
        fit(epochs=5, callbacks=[spy, dl.Checkpoint(path), Interrupts()])
    assert isinstance(caught.value, KeyboardInterrupt)
    assert equal(numbers(caught.value.trained), spy.models[1])
    assert equal(numbers(dl.load(path)), spy.models[1])  # nothing was written of a step that may be half done
    assert spy.calls[-1][0] == "end"
