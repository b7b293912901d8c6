"""Numbers that are not finite: the callback that stops at them, and the layer that it names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.callbacks import (
    Spy,
    X,
    equal,
    fit,
    numbers,
)


@dataclass(frozen=True)
class Spoils(dl.Layer):
    """Identity, but for an infinity on the way forward or back, where an input is above a limit."""

    abstract = True
    forwards: bool = True

    def forward(self, x: Any) -> tuple[Any, Any]:
        return np.where(self.forwards & (x > 9), np.inf, x), x

    def backward(self, x: Any, dy: Any) -> Any:
        return np.where(x > 9, np.inf, dy)


@pytest.mark.parametrize("forwards", [True, False])
def test_the_layer_that_made_it_first_is_named(forwards: bool) -> None:
    inner = dl.Residual([Spoils(forwards), "tanh"])
    model = dl.MLP(6, [dl.Dense(6), "leaky_relu", inner, dl.Dense(3)])
    x = X.copy()
    x[37] *= 1e3  # seen in the third step
    way = "forward" if forwards else "backward"
    spy = Spy()
    with (
        np.errstate(all="ignore"),
        pytest.raises(dl.NonFiniteError, match=rf"layer 2\.0, Spoils\(.*\), {way} produced") as caught,
    ):
        fit(model, x, shuffle=False, compile=False, callbacks=[dl.StopOnNonFinite(), spy])
    assert caught.value.step == 3
    two = fit(model, x, shuffle=False, compile=False, max_steps=2, metrics=[])
    assert equal(numbers(caught.value.trained), numbers(two))


def test_a_step_too_far_is_the_optimizer_s() -> None:
    with (
        np.errstate(all="ignore"),
        pytest.raises(dl.DivergedError, match=r"the optimizer's step .* in 0\.W.* at step 1:"),
    ):
        fit(optimizer=dl.GradientDescent(1e39), callbacks=["stop_on_non_finite"], compile=False)
    assert fit(callbacks=[dl.StopOnNonFinite(every=2)]).history.stopped == ""
