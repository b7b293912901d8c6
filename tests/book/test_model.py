"""MLP: back propagation against finite differences and against JAX's own derivative, start, purity, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.random import key_words
from tests.support.matrix import On

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(9, 5)), rng.normal(size=(9, 3))

SMOOTH = dl.MLP(
    5, [dl.Dense(6), "tanh", dl.BatchNorm(), dl.Residual([dl.Dense(6), "swish"]), dl.LayerNorm(), dl.Dense(3)]
)
DEEP = dl.MLP(
    5, [dl.Dense(8), dl.PReLU(), dl.RMSNorm(), dl.Dense(7), dl.Dropout(0.3), dl.Dense(6), "gelu", dl.Dense(3)]
)


def test_a_worked_example_of_the_book() -> None:
    """Two inputs, two hidden sigmoids, one output; every number below was worked out by hand with the chain rule."""
    model = dl.MLP(2, [dl.Dense(2), "sigmoid", dl.Dense(1)])
    p = {"0.W": [[0.5, -1.0], [0.25, 2.0]], "0.b": [0.0, 0.5], "2.W": [[1.0], [-2.0]], "2.b": [0.5]}
    theta = model.layout.join({name: np.asarray(value) for name, value in p.items()})
    x, t = np.asarray([[1.0, 2.0]]), np.asarray([[1.0]])

    h1, h2 = 1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(-3.5))  # z1 = 0.5 + 0.5, z2 = -1 + 4 + 0.5
    y = h1 - 2 * h2 + 0.5
    dy = 2 * (y - 1)  # the loss is (y - t)²
    d1, d2 = dy * 1.0 * h1 * (1 - h1), dy * -2.0 * h2 * (1 - h2)

    value, g = model.loss_and_gradient(theta, x, t, dl.MeanSquaredError())
    found = model.parameters(g)
    np.testing.assert_allclose(value, (y - 1) ** 2, rtol=1e-14)
    np.testing.assert_allclose(found["2.W"], [[dy * h1], [dy * h2]], rtol=1e-13)
    np.testing.assert_allclose(found["2.b"], [dy], rtol=1e-14)
    np.testing.assert_allclose(found["0.W"], [[d1 * 1, d2 * 1], [d1 * 2, d2 * 2]], rtol=1e-13)
    np.testing.assert_allclose(found["0.b"], [d1, d2], rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("model", [SMOOTH, DEEP], ids=["smooth", "deep"])
def test_gradient_is_that_of_the_whole_loss(model: dl.MLP) -> None:
    """Against JAX's derivative of the forward pass and the loss, both layouts of θ, float64."""
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        loss, key = dl.MeanSquaredError(), dl.asarray(key_words(0, "masks"), "jax")
        x, t = dl.asarray(X, "jax"), dl.asarray(Y, "jax")

        def value_of(theta: Any) -> Any:
            return loss.forward(model.forward(theta, x, key)[0], t)[0]

        apart = model.init(1, "jax", "float64")
        together = model.layout.join(model.parameters(apart))
        assert len(together) == 1 < len(apart)
        for theta in (apart, together):
            expected_value, expected = jax.value_and_grad(value_of)(theta)
            value, g = model.loss_and_gradient(theta, x, t, loss, key=key)
            np.testing.assert_allclose(value, expected_value, rtol=1e-14)
            for a, b in zip(g, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.max(np.abs(b)))


def test_gradient_is_the_slope_along_random_directions() -> None:
    """Central differences: their own error is of order h², about 1e-9 here."""
    theta = SMOOTH.init(0, "cpu", "float64")
    loss = dl.MeanSquaredError()
    _, (g,) = SMOOTH.loss_and_gradient(theta, X, Y, loss)
    for seed in range(5):
        d = np.random.default_rng(seed).normal(size=g.shape)
        h = 1e-5
        up, _ = SMOOTH.loss_and_gradient((theta[0] + h * d,), X, Y, loss)
        down, _ = SMOOTH.loss_and_gradient((theta[0] - h * d,), X, Y, loss)
        np.testing.assert_allclose(np.vdot(g, d), (up - down) / (2 * h), rtol=1e-7)


def test_the_same_seed_is_the_same_start_on_every_device(on: On) -> None:
    expected = DEEP.parameters(DEEP.init(7, "cpu", on.dtype))
    for name, value in DEEP.parameters(DEEP.init(7, on.device, on.dtype)).items():
        np.testing.assert_array_equal(on.numpy(value), expected[name])
    kept = SMOOTH.init_buffers(on.device, on.dtype)
    assert sum(float(np.sum(on.numpy(v))) for v in kept) == 6  # six variances of one, six means of zero


@pytest.mark.slow
def test_loss_and_gradient_agree_across_devices_and_are_pure(on: On) -> None:
    theta = DEEP.init(3, on.device, on.dtype)
    if on.read_only:
        for vector in theta:
            vector.flags.writeable = False
    x, t, key = on.array(X), on.array(Y), on.array(key_words(0, "masks"))
    before = [on.numpy(v).copy() for v in theta]
    loss = dl.MeanSquaredError()
    value, g = on.run(lambda theta, x, t, key: DEEP.loss_and_gradient(theta, x, t, loss, key=key), theta, x, t, key)
    for v, old in zip(theta, before, strict=True):
        np.testing.assert_array_equal(on.numpy(v), old)
    start = tuple(v.astype(np.float64) for v in DEEP.init(3, "cpu", on.dtype))
    expected, (slope,) = DEEP.loss_and_gradient(
        start, on.host(X).astype(float), on.host(Y).astype(float), loss, key=key_words(0, "masks")
    )
    on.close(value, expected)
    found, wanted = DEEP.parameters(g), DEEP.parameters((slope,))
    for name in wanted:
        on.close(found[name], wanted[name], scale=4)


def test_initial_weights_suit_the_activation_behind() -> None:
    starts = dl.Chain(
        [dl.Dense(9), "relu", dl.Dense(9), dl.Dropout(0.1), "tanh", dl.Dense(9), dl.Dense(3)]
    ).initializers()
    assert [type(starts[f"{i}.W"]).__name__ for i in (0, 2, 5, 6)] == [
        "HeUniform",
        "GlorotUniform",
        "GlorotUniform",
        "GlorotUniform",
    ]
    assert isinstance(dl.Chain([dl.Dense(9), "selu"]).initializers()["0.W"], dl.LeCunNormal)
    assert dl.Chain([dl.Dense(9, weight=dl.Normal(0.1)), "relu"]).initializers()["0.W"] == dl.Normal(0.1)


def test_adding_a_layer_leaves_the_start_of_the_others_alone() -> None:
    short, long = dl.mlp(4, 8, 3), dl.mlp(4, 8, 3, 2)
    a, b = (m.parameters(m.init(0, "cpu")) for m in (short, long))
    np.testing.assert_array_equal(a["0.W"], b["0.W"])


def test_short_way() -> None:
    model = dl.mlp(64, 128, 32, 10, activation="tanh", dropout=0.1)
    kinds = [type(f).__name__ for f in model.layers]
    assert kinds == ["Dense", "Tanh", "Dropout", "Dense", "Tanh", "Dropout", "Dense"]
    assert (model.inputs, model.outputs, model.layout.count) == (64, 10, 64 * 128 + 128 + 128 * 32 + 32 + 32 * 10 + 10)
    assert dl.mlp(3, 2) == dl.MLP(3, [dl.Dense(2)])
    assert hash(model) == hash(dl.mlp(64, 128, 32, 10, activation="tanh", dropout=0.1))


def test_summary_tells_shapes_and_counts() -> None:
    text = DEEP.summary()
    assert "Dense(8)" in text
    assert "W 5×8, b 8" in text
    assert "Dropout(rate=0.3)" in text
    assert text.splitlines()[-1] == f"{DEEP.layout.count:,} parameters"
    assert SMOOTH.summary().splitlines()[-1].endswith("12 in buffers")
    assert dl.mlp(4, 3, 2).summary().endswith("\n23 parameters")


def test_weight_decay_applies_to_weights_alone() -> None:
    assert {name for name in DEEP.layout.slots if DEEP.decays(name)} == {"0.W", "3.W", "5.W", "7.W"}


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: dl.MLP(0, [dl.Dense(1)]), ValueError, "inputs must be at least 1"),
        (lambda: dl.MLP(3, []), ValueError, "at least one layer"),
        (lambda: dl.MLP(3, [dl.Dense(4), dl.Residual([dl.Dense(5)])]), ValueError, "layer 1, .*5 outputs.*4 inputs"),
        (lambda: dl.mlp(3), ValueError, "at least one layer"),
        (lambda: dl.mlp(3, 4, 2, activation="geluu"), ValueError, "did you mean 'gelu'"),
        (lambda: DEEP.init(-1), ValueError, "seed must lie in"),
        (lambda: DEEP.init(1.5), TypeError, "seed must be a whole number"),
        (lambda: DEEP.init(0, "cpu", "int32"), ValueError, "floating-point"),
        (lambda: DEEP.predict(DEEP.init(0, "cpu"), X[0]), ValueError, r"two axes.*\(5,\)"),
        (lambda: DEEP.predict(DEEP.init(0, "cpu"), X[:, :4]), ValueError, "5 inputs, got x with 4 features"),
        (lambda: DEEP.predict(DEEP.init(0, "cpu"), np.ones((2, 5), dtype=int)), TypeError, "floating-point"),
        (lambda: DEEP.forward(DEEP.init(0, "cpu"), X), ValueError, "give key="),
        (lambda: SMOOTH.predict(SMOOTH.init(0, "cpu"), X), ValueError, "give buffers="),
        (lambda: DEEP.predict(DEEP.init(0, "cpu")[0], X), TypeError, "tuple of vectors"),
        (lambda: DEEP.predict((np.zeros(3),), X), ValueError, "theta must hold vectors of lengths"),
    ],
)
def test_refusals(act: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        act()
