"""The loss on a plane."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dlarray as dl
from dlarray.diagnostics import Landscape, landscape, loss_landscape
from tests.support.diagnoses import DENSE, LABELS, X, theta_of, theta_on
from tests.support.matrix import On

rng = np.random.default_rng(7)


def test_the_landscape_is_the_loss_on_a_plane(on: On) -> None:
    model = dl.mlp(3, 4, 2, activation="tanh")
    theta = theta_on(on, model)
    path = [theta_on(on, model, seed) for seed in range(4)]
    found = loss_landscape(model, theta, on.array(X), on.array(LABELS), path=path, points=3, reach=0.5)
    middle = np.concatenate([on.numpy(p).astype(np.float64).reshape(-1) for p in model.parameters(theta).values()])
    steps = np.stack(
        [
            np.concatenate([on.numpy(p).astype(np.float64).reshape(-1) for p in model.parameters(q).values()]) - middle
            for q in path
        ]
    )
    values, vectors = np.linalg.eigh(steps.T @ steps)
    d = vectors[:, [-1, -2]] * np.linalg.norm(middle)
    d *= np.where(d.sum(axis=0) < 0, -1, 1)
    np.testing.assert_allclose(found.path, steps @ d / np.linalg.norm(middle) ** 2, atol=1e-6)
    np.testing.assert_allclose(found.shares, values[[-1, -2]] / values.sum(), rtol=1e-5)
    assert found.a.tolist() == found.b.tolist() == [-0.5, 0, 0.5]
    loss = dl.SparseCategoricalCrossEntropy()
    for i, b in enumerate(found.b):
        for j, a in enumerate(found.a):
            point = middle + a * d[:, 0] + b * d[:, 1]
            arrays, start = {}, 0
            for name, shape in model.layout.shapes:
                arrays[name] = point[start : start + math.prod(shape)].reshape(shape)
                start += math.prod(shape)
            z = model.predict(theta_of(on, model, arrays), on.array(X))
            expected = float(on.numpy(loss.forward(z, on.array(LABELS))[0]))
            assert found.loss[i, j] == pytest.approx(expected, rel=1e-5 if on.dtype == "float32" else 1e-9)


def test_random_directions_are_as_long_as_each_unit_s_weights() -> None:
    theta = {"0.W": rng.normal(size=(5, 4)) * [1, 10, 100, 0], "0.b": np.ones(4)}
    d = landscape._filter_normalised(theta, 0, 0)
    np.testing.assert_allclose(np.linalg.norm(d["0.W"], axis=0), np.linalg.norm(theta["0.W"], axis=0))
    assert not d["0.b"].any()
    assert not np.allclose(d["0.W"], landscape._filter_normalised(theta, 0, 1)["0.W"])


def test_a_random_landscape_is_the_same_each_time_and_has_theta_in_the_middle() -> None:
    model = dl.MLP(3, [DENSE(4), dl.BatchNorm(), "relu", DENSE(2)])
    trained = dl.fit(model, X, LABELS, epochs=3, batch_size=40, compile=False, progress=False)
    given = (trained.model, trained.theta, X, LABELS)
    first, again = (loss_landscape(*given, buffers=trained.buffers, points=5) for _ in range(2))
    np.testing.assert_array_equal(first.loss, again.loss)
    assert first.path is first.shares is None
    assert first.loss[2, 2] == pytest.approx(trained.evaluate(X, LABELS)["loss"], rel=1e-6)
    assert first.a[[0, -1]].tolist() == [-1, 1]
    other = loss_landscape(*given, buffers=trained.buffers, points=5, seed=1)
    assert not np.array_equal(first.loss, other.loss)


def test_a_landscape_is_one_line_and_a_table_in_a_notebook() -> None:
    side = np.array([-0.5, 0.0, 0.5])
    loss = np.array([[1.0, 2.0, 3.0], [0.25, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert repr(Landscape(side, side, loss)) == (
        "Landscape(points 3 × 3, reach 0.5 |θ|, lowest loss 0.25, highest loss 3)"
    )
    found = Landscape(side, side, loss, path=np.zeros((4, 2)))
    assert repr(found).endswith("highest loss 3, points of the path 4)")
    assert found._repr_html_().count("<tr>") == 6


def test_a_landscape_refuses_what_spans_no_plane() -> None:
    model = dl.mlp(3, 2)
    theta = model.init()
    with pytest.raises(ValueError, match="at least 3 points to span a plane, got 2"):
        loss_landscape(model, theta, X, LABELS, path=[theta, theta])
    with pytest.raises(ValueError, match="all points of path equal theta"):
        loss_landscape(model, theta, X, LABELS, path=[theta] * 3)
    with pytest.raises(ValueError, match="reach must be above 0"):
        loss_landscape(model, theta, X, LABELS, reach=0.0)
    with pytest.raises(ValueError, match="a model without parameters has no landscape"):
        loss_landscape(dl.MLP(3, ["tanh"]), (), X, X)
