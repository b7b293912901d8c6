"""A deep model, models as if they had been trained, and whether two are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

import dlarray as dl
from dlarray.core.layout import Layout
from dlarray.losses import Loss


def trained_model(
    model: dl.MLP, loss: Loss | None = None, device: str | dl.Device = "cpu", dtype: str = "float32", seed: int = 0
) -> dl.Trained:
    """A model as if it had been trained: θ away from the start, buffers too, without the time that training takes."""
    at = dl.device.resolve(device)
    draws = np.random.default_rng(seed)

    def moved(layout: Layout, arrays: dict[str, Any]) -> dl.Theta:
        shifted = {name: dl.to_numpy(x) + draws.uniform(0.1, 0.4, x.shape) for name, x in arrays.items()}
        own = layout if at.backend.writes_in_place else layout.split_up()
        return tuple(at.asarray(v, dtype) for v in own.join(shifted)) if arrays else ()

    theta = moved(model.layout, model.parameters(model.init(seed, at, dtype)))
    buffers = moved(model.buffer_layout, model.named_buffers(model.init_buffers(at, dtype)))
    return dl.Trained(model, theta, buffers, loss or dl.MeanSquaredError(), at, dtype)


def parts(trained: dl.Trained) -> dict[str, np.ndarray]:
    """All numbers of a model by name, whatever its layout."""
    named = trained.model.parameters(trained.theta) | trained.model.named_buffers(trained.buffers)
    return {name: np.array(dl.to_numpy(x)) for name, x in named.items()}


def assert_same(a: dl.Trained, b: dl.Trained) -> None:
    assert (a.model, a.loss, a.dtype) == (b.model, b.loss, b.dtype)
    left, right = parts(a), parts(b)
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype == a.dtype
        np.testing.assert_array_equal(left[name], right[name])


DEEP = dl.MLP(
    4, [dl.Dense(6), dl.BatchNorm(), dl.PReLU(), dl.Residual([dl.Dense(6), dl.RMSNorm(), "gelu"]), dl.Dense(3)]
)
