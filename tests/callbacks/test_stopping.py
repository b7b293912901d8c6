"""Early stopping and time limits: when they end a run, and which epoch's model they return."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import Callback, Run
from tests.support.callbacks import (
    NORMED,
    Scripted,
    Spy,
    equal,
    few,
    fit,
    numbers,
)
from tests.support.matrix import On


@pytest.mark.parametrize(
    ("values", "options", "best", "last"),
    [
        ([0.5, 0.6, 0.55, 0.6, 0.9], {}, 2, 4),
        ([0.5, 0.6, 0.55, 0.65, 0.5, 0.5], {}, 4, 6),
        ([0.5, 0.6, 0.65, 0.9, 0.5], {"min_delta": 0.2}, 1, 3),
        ([0.5, math.nan, math.nan, 0.9], {}, 1, 3),
        ([0.5, 0.6, 0.4, 0.45, 0.5], {"mode": "min"}, 3, 5),
        ([0.1, 0.2, 0.3, 0.4, 0.5], {}, 5, 5),
    ],
)
def test_early_stopping_gives_the_best_epoch_back(values: Any, options: Any, best: int, last: int, on: On) -> None:
    where = few(on)
    spy = Spy()
    stopping = dl.EarlyStopping("accuracy", patience=2, **options)
    values = [*values, *[0.0] * 9] if last == len(values) < 6 else values

    def run(stopping: dl.EarlyStopping, spy: Spy) -> dl.Trained:
        return fit(
            NORMED, epochs=last if best == last else 9, metrics=[Scripted(values)], callbacks=[spy, stopping], **where
        )

    trained = run(stopping, spy)
    assert len(trained.history.epochs) == last
    assert equal(numbers(trained), spy.models[best - 1])
    if best != last:
        assert f"accuracy has not improved for 2 epochs; the best was {values[best - 1]}" in trained.history.stopped
        assert f"in epoch {best}" in trained.history.stopped
    kept = run(dl.EarlyStopping("accuracy", patience=2, restore=False, **options), Spy())
    assert equal(numbers(kept), spy.models[last - 1])


def test_an_epoch_that_is_broken_off_may_be_the_best() -> None:
    """tf's and Keras's report: max_steps ends the run in a better place than any whole epoch did."""
    model, x = dl.MLP(1, [dl.Dense(1, weight=dl.Zeros())]), np.ones((2, 1))
    options: dict[str, Any] = {"batch_size": 1, "epochs": 9, "validation": (x, 2 * x), "max_steps": 3, "metrics": []}
    options |= {"optimizer": dl.GradientDescent(0.1), "dtype": "float64", "compile": False}
    stopped = fit(model, x, 2 * x, callbacks=[dl.EarlyStopping()], **options)
    assert len(stopped.history.epochs) == 2
    best = min(stopped.history["validation_loss"])
    assert best == stopped.history["validation_loss"][-1] == stopped.evaluate(x, 2 * x)["loss"]


@pytest.mark.parametrize(("values", "best"), [([0.5, 0.9], 3), ([0.9, 0.5], 2), ([0.9, math.nan], 2)])
@pytest.mark.parametrize("limit", ["max_steps", "stop"])
def test_the_best_of_an_incomplete_run(values: list[float], best: int, limit: str, tmp_path: Path) -> None:
    """By the callback that restores, and in the file of the best: after two steps of the first epoch, or the third."""

    class Stops(Callback):
        def on_step(self, run: Run) -> None:
            if run.steps == 3:
                run.stop("as a time limit does")

    path, where = tmp_path / "best", {"batch_size": 20, "compile": False}
    watched: list[Callback] = [dl.EarlyStopping("accuracy"), dl.Checkpoint(path, best="accuracy")]
    ends = {"max_steps": 3} if limit == "max_steps" else {"callbacks": [*watched, Stops()]}
    given: dict[str, Any] = {"callbacks": watched, "epochs": 4, "metrics": [Scripted(values)], **where, **ends}
    trained = fit(**given)
    expected = numbers(fit(max_steps=best, metrics=[], **where))
    assert equal(numbers(trained), expected)
    assert equal(numbers(dl.load(path)), expected)


def test_what_is_watched_by_default_and_which_way_is_better() -> None:
    from dlarray.callbacks.monitor import direction

    names = dl.metrics.__all__
    errors = ("absolute", "squared", "absolute_percentage", "squared_logarithmic")
    less = {"log_loss", "root_mean_squared_error", *(f"mean_{name}_error" for name in errors)}
    assert {n for n in names if n != "confusion_matrix" and direction(n, None) < 0} == less
    assert direction("validation_loss", None) == -1
    assert direction("anything", "max") == 1
    watched: list[str] = []

    class Watches(Callback):
        def on_start(self, run: Run) -> None:
            watched.append(dl.EarlyStopping().metric(run))
            assert run.names == tuple(expected)

    expected = ["loss", "accuracy"]
    assert fit(epochs=1, callbacks=[Watches()]).history.names == expected
    expected = ["loss", "validation_loss", "validation_accuracy"]
    assert fit(epochs=1, callbacks=[Watches()], validation=0.2).history.names == expected
    assert watched == ["loss", "validation_loss"]


def test_a_limit_of_time_ends_the_run_at_a_step() -> None:
    for options in ({"callbacks": [dl.TimeLimit(1e-9)]}, {"max_time": 1e-9}):
        trained = fit(**options)
        assert len(trained.history.steps) == 1
        assert trained.history.stopped == "time limit: 1e-09 seconds have passed"
    assert fit(max_time=1e9).history.stopped == ""


def test_a_resumed_run_whose_time_is_over_does_no_step(tmp_path):
    path = tmp_path / "run.safetensors"
    fit(epochs=2, callbacks=[dl.Checkpoint(path)])
    resumed = fit(epochs=3, resume=path, max_time=1e-9)
    assert len(resumed.history.epochs) == 2
    assert resumed.history.stopped == "time limit: 1e-09 seconds have passed"
