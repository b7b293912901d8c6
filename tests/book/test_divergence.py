"""Training that diverges names the step and keeps the last good weights."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training import DivergedError
from tests.support.bad_input import NUMBERS, REGRESSION, X, fit, same
from tests.support.matrix import On


def diverging(device: str = "cpu", scale: float = 1.0, **options: Any) -> DivergedError:
    with pytest.raises(DivergedError) as caught:
        fit(
            scale * X,
            scale * NUMBERS,
            REGRESSION,
            optimizer=dl.GradientDescent(options.pop("rate", 30.0)),
            epochs=options.pop("epochs", 60),
            device=device,
            **options,
        )
    return caught.value


def test_divergence_names_the_step_and_keeps_the_last_good_weights(on: On) -> None:
    """NumPy's own warnings of overflow do not come before it: the error says it once."""
    error = diverging(on.device, dtype=on.dtype, epochs=400)
    good = error.trained
    assert re.match(
        r"the loss became (inf|nan) at step \d+: the weights have diverged\. A smaller learning rate", str(error)
    )
    assert f"at step {error.step}:" in str(error)
    assert all(np.all(np.isfinite(on.numpy(v))) for v in good.theta)
    assert np.all(np.isfinite(good.history.steps))
    assert len(good.history.steps) == 2 * len(good.history.epochs) < error.step <= len(good.history.steps) + 2


def test_what_is_kept_is_the_model_of_the_epoch_before() -> None:
    error = diverging(metrics=[])
    epochs = len(error.trained.history.epochs)
    assert epochs > 0
    again = fit(X, NUMBERS, REGRESSION, optimizer=dl.GradientDescent(30.0), epochs=epochs, metrics=[])
    assert same(error.trained, again)
    np.testing.assert_array_equal(error.trained.predict(X), again.predict(X))


def test_weights_that_overflow_behind_a_finite_loss_are_no_good_ones(on: On) -> None:
    """The step's loss is that before the step; what came out of it was never measured."""
    scale = 1e15 if on.dtype == "float32" else 1e150
    for epochs in (1, 3):
        error = diverging(on.device, scale, rate=scale, epochs=epochs, batch_size=None, dtype=on.dtype, metrics=[])
        assert "a weight became infinite or NaN at step 1: the weights have diverged" in str(error)
        start = REGRESSION.init(0, on.device, on.dtype)
        for kept, first in zip(error.trained.theta, start, strict=True):
            np.testing.assert_array_equal(on.numpy(kept), on.numpy(first))
        assert error.trained.history == dl.History()


def test_divergence_leaves_the_theta_that_was_given() -> None:
    theta = REGRESSION.init(5, "cpu")
    before = theta[0].tobytes()
    diverging(theta=theta)
    assert theta[0].tobytes() == before
