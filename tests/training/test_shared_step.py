"""Several runs with one compiled step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.training.shared_step import SharedStep
from tests.support.callbacks import numbers
from tests.support.matrix import On

rng = np.random.default_rng(3)
x = rng.normal(size=(40, 3))
t = (x[:, 0] > 0).astype(np.int32)


def test_a_shared_step_gives_the_bits_of_one_of_its_own(on: On) -> None:
    model, adam = dl.mlp(3, 4, 2), dl.Adam(0.01)
    shared = SharedStep(on.target)
    for seed in (0, 1):
        given: dict[str, Any] = {"optimizer": adam, "epochs": 4, "batch_size": 8, "seed": seed, "dtype": on.dtype}
        given |= {"device": on.device, "progress": False}
        alone, together = dl.fit(model, x, t, **given), dl.fit(model, x, t, compile=shared, **given)
        for one, other in zip(numbers(alone), numbers(together), strict=True):
            on.close(on.array(other), one)
            assert len(together.history.epochs) == 4


def test_a_shared_step_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    device = dl.device_of(x)
    made: list[Any] = []
    compile_step = type(device.backend).compile

    def counted(backend: Any, step: Any) -> Any:
        made.append(step)
        return compile_step(backend, step)

    monkeypatch.setattr(type(device.backend), "compile", counted)
    shared = SharedStep(device)
    for seed in range(3):
        dl.fit(dl.mlp(3, 4, 2), x, t, epochs=1, batch_size=8, seed=seed, compile=shared, progress=False)
    assert len(made) == 1
    with pytest.raises(ValueError, match="one model, loss and optimizer"):
        dl.fit(dl.mlp(3, 5, 2), x, t, epochs=1, batch_size=8, compile=shared, progress=False)
