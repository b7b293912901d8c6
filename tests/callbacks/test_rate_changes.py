"""Learning rates that a callback changes during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.registry import classes
from dlarray.optimizers import Optimizer
from dlarray.training import Callback, Run
from tests.support.callbacks import (
    MORE,
    Scripted,
    Spy,
    few,
    fit,
    numbers,
)
from tests.support.matrix import On

rng = np.random.default_rng(0)


@pytest.mark.parametrize("kind", [c for c in classes(Optimizer).values() if c.__module__.startswith("dlarray.")])
def test_a_scale_in_the_state_is_another_learning_rate(kind: Any) -> None:
    theta, g = rng.normal(size=9), rng.normal(size=9)
    slow, fast = kind(0.25, weight_decay=0.1), kind(0.5, weight_decay=0.1)
    a, state = slow.step(theta.copy(), g.copy(), slow.init(theta))
    b, scaled = fast.step(theta.copy(), g.copy(), fast.init(theta) | {"scale": np.asarray(0.5)})
    np.testing.assert_allclose(b, a, rtol=1e-15)
    assert scaled.keys() == state.keys() | {"scale"}
    assert fast.scalable
    assert dl.Clipped(fast, dl.clip_by_value, 1.0).scalable


class Halves(Callback):
    def on_epoch(self, run: Run) -> None:
        run.rate_scale = 0.5


def test_a_rate_that_is_changed_on_the_way_is_what_the_next_step_takes(on: On) -> None:
    where = {**few(on, MORE), "batch_size": None, "metrics": []}
    spy = Spy()
    found = fit(epochs=2, optimizer=dl.GradientDescent(0.5), callbacks=[spy, Halves()], **where)
    first = fit(epochs=1, optimizer=dl.GradientDescent(0.5), **where)
    second = fit(epochs=1, optimizer=dl.GradientDescent(0.25), theta=first.theta, **where)
    for a, b in zip(numbers(found), numbers(second), strict=True):
        np.testing.assert_allclose(a, b, rtol=on.rtol, atol=on.rtol)
    assert spy.rates == [0.5, 0.25]


def test_an_optimizer_that_does_not_look_at_the_scale_is_refused() -> None:
    @dataclass(frozen=True)
    class Own(Optimizer):
        abstract = True

        def init(self, theta: Any, mask: Any = None) -> Any:
            return {}

        def step(self, theta: Any, g: Any, state: Any) -> Any:
            return theta - 0.1 * g, state

        def rate(self, t: Any) -> float:
            return 0.1

    with pytest.raises(TypeError, match=r"the rate of Own cannot be changed.*FirstOrder"):
        fit(optimizer=Own(), callbacks=["reduce_lr_on_plateau"])
    assert len(fit(optimizer=Own(), callbacks=["ema"]).history.epochs) == 3


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "cooldown", "min_delta"), [(1, 0, 0.0), (2, 1, 0.05), (3, 2, 0.0)])
def test_plateau_is_torch_s(mode: str, patience: int, cooldown: int, min_delta: float) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(patience).uniform(size=30).round(2).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode, 0.5, patience - 1, min_delta, "abs", cooldown, min_lr=0.002, eps=0
    )
    expected: list[float] = []
    for value in values:
        optimizer.step()
        schedule.step(value)
        expected.append(optimizer.param_groups[0]["lr"])
    plateau = dl.ReduceLROnPlateau(
        "figure", mode=mode, factor=0.5, patience=patience, cooldown=cooldown, min_delta=min_delta, min_lr=0.002
    )
    spy = Spy()
    fit(
        epochs=30,
        batch_size=None,
        optimizer=dl.GradientDescent(0.1),
        metrics=[Scripted(values, "figure")],
        callbacks=[plateau, spy],
        dtype="float64",
    )
    np.testing.assert_allclose(spy.rates, expected, rtol=1e-12)
    assert spy.rates[-1] < 0.1
