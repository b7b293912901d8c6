"""The backend ndonnx: arrays computed by onnxruntime, operator by operator."""

from __future__ import annotations

import numpy as np
import pytest

import dlarray
from dlarray.training.step import Step

pytest.importorskip("ndonnx")
pytest.importorskip("onnxruntime")


def test_steps_have_the_losses_of_numpy():
    step = Step(dlarray.mlp(3, 2), dlarray.SparseCategoricalCrossEntropy(), dlarray.Momentum(0.1))
    x, t = np.asarray([[1.0, 2.0, -1.0], [0.5, -0.5, 2.0]]), np.asarray([0, 1], dtype="int32")
    losses = {}
    for name in ("ndonnx", "cpu"):
        device = dlarray.resolve(name)
        state = step.init(step.model.init(0, device, "float64"), (), 0, device)
        batch = device.asarray(x), device.asarray(t), None
        losses[name] = []
        for _ in range(2):
            state, loss = step(state, batch)
            losses[name].append(float(loss))
    np.testing.assert_allclose(losses["ndonnx"], losses["cpu"], rtol=1e-14)


def test_arrays_are_known_by_their_device_and_bits():
    x = dlarray.asarray([1.5, -2.0], "ndonnx", "float32")
    assert dlarray.device_of(x).name == "ndonnx:cpu"
    backend = dlarray.resolve("ndonnx").backend
    assert backend.namespace() is backend.namespace()
    np.testing.assert_array_equal(
        dlarray.to_numpy(backend.view(x, "int32")), np.asarray([1.5, -2.0], "float32").view("int32")
    )
    rows = backend.namespace().take(x, dlarray.asarray([1, 0], "ndonnx", "int32"), axis=0)
    np.testing.assert_array_equal(dlarray.to_numpy(rows), [-2.0, 1.5])
    with pytest.raises(dlarray.DeviceError, match="ndonnx has the device cpu alone"):
        dlarray.resolve("ndonnx:1")
