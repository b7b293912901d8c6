"""The compiled step on JAX: NumPy's numbers, the state donated, and no array too many across the border."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.device import Device, resolve
from dlarray.training import Step

jax = pytest.importorskip("jax")

STEPS = 20
MODEL = dl.MLP(6, [dl.Dense(8), dl.LayerNorm(), "gelu", dl.Dropout(0.3), dl.RMSNorm(), dl.Dense(4)])
LOSS = dl.SparseCategoricalCrossEntropy()
STEPPERS = {
    "Adam, clipped": Step(MODEL, LOSS, dl.Clipped(dl.Adam(), dl.clip_by_global_norm, 0.5)),
    "AdamW, schedule, parts": Step(MODEL, LOSS, dl.AdamW(dl.CosineDecay(1e-2, 15)), accumulate=2),
    "NAdam, batch norm": Step(dl.MLP(6, [dl.BatchNorm(), dl.Dense(8), "tanh", dl.Dense(4)]), LOSS, dl.NAdam()),
}


def take_steps(step: Step, device: Device, compiled: bool) -> tuple[Any, list[float]]:
    r = np.random.default_rng(7)
    state = step.init(step.model.init(0, device, "float64"), step.model.init_buffers(device, "float64"), 0, device)
    run = device.backend.compile(step) if compiled else step
    losses: list[float] = []
    for i in range(STEPS):
        n = 7 if i % 5 != 4 else 4  # a ragged batch at the end of each epoch
        x, t = r.standard_normal((n, 6)), r.integers(0, 4, n).astype(np.int32)
        state, loss = run(state, (device.asarray(x), device.asarray(t), None))
        losses.append(float(loss))
    return state, losses


@pytest.mark.parametrize("name", STEPPERS)
def test_twenty_steps_are_those_of_numpy(name: str) -> None:
    step = STEPPERS[name]
    with jax.enable_x64(True):
        state, losses = take_steps(step, resolve("jax"), compiled=True)
    plain, expected = take_steps(step, resolve("cpu"), compiled=False)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    parameters, others = step.model.parameters(state["theta"]), step.model.parameters(plain["theta"])
    for key, found in parameters.items():
        np.testing.assert_allclose(np.asarray(found), others[key], rtol=1e-11, atol=1e-13, err_msg=key)
    for a, b in zip(
        state["buffers"], plain["buffers"] and step.model.named_buffers(plain["buffers"]).values(), strict=True
    ):
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-12)


def test_the_state_is_donated_and_steps_are_counted_once() -> None:
    step, device = STEPPERS["Adam, clipped"], resolve("jax")
    state = step.init(step.model.init(0, device), (), 0, device)
    counted = ["t" in s for s in state["optimizer"]]
    batch = (device.asarray(np.zeros((5, 6), np.float32)), device.asarray(np.zeros(5, np.int32)), None)
    after, loss = device.backend.compile(step)(state, batch)
    assert counted == [True] + [False] * (len(state["theta"]) - 1)
    assert all(x.is_deleted() for x in jax.tree.leaves((state["theta"], state["optimizer"])))
    assert not any(x.is_deleted() for x in jax.tree.leaves((after, loss, batch)))
    assert int(after["optimizer"][0]["t"]) == int(after["steps"]) == 1
