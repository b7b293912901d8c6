"""Cubed: a step is computed when it is done, and its plan does not grow."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray

cubed = pytest.importorskip("cubed")


def test_two_steps_have_the_losses_of_numpy_and_a_plan_of_their_own():
    x = np.random.default_rng(0).normal(size=(16, 3))
    y = np.sum(x, axis=1, keepdims=True)

    def fit(**options):
        model = dlarray.MLP(3, [dlarray.Dense(1)])
        return dlarray.fit(model, x, y, batch_size=8, epochs=1, dtype="float64", metrics=[], progress=False, **options)

    with cubed.config.set({"spec.executor_name": "single-threaded"}):
        trained = fit(device="cubed")
        np.testing.assert_allclose(trained.history.steps, fit(compile=False).history.steps, rtol=1e-14)
        assert {p.plan().num_tasks for p in trained.theta} == {0}


def test_the_bits_of_an_array():
    backend = dlarray.core.libraries.get("cubed")
    bits = backend.view(backend.asarray(np.ones(3, np.float32), "cpu"), "int32")
    assert backend.to_numpy(bits).tolist() == [0x3F800000] * 3


def test_as_many_indices_as_elements():
    """Cubed itself returns all elements in their order for them."""
    backend = dlarray.core.libraries.get("cubed")
    x, i = np.arange(6.0).reshape(3, 2), np.asarray([2, 2, 0], dtype="int32")
    xp, (there, indices) = backend.namespace(), (backend.asarray(a, "cpu") for a in (x, i))
    assert backend.to_numpy(xp.take(there, indices, axis=0)).tolist() == x[i].tolist()
    assert backend.to_numpy(xp.reshape(there, (2, 3))).tolist() == x.reshape(2, 3).tolist()
