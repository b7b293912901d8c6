"""Layers: values and gradients against torch, backward against the derivative of forward that JAX takes itself."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.layer import Layer
from dlarray.core.random import key_words
from tests.support.matrix import On

rng = np.random.default_rng(0)
X = rng.normal(size=(7, 5))
CATEGORIES = rng.integers(0, 4, size=(7, 3))


def _numbers(shapes: dict[str, tuple[int, ...]], on: On, seed: int = 1) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(seed)
    return {name: on.host(0.5 * draws.normal(size=shape)).astype(np.float64) for name, shape in shapes.items()}


def _to_device(on: On, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: on.array(x) for name, x in arrays.items()}


def _torch_oracle(layer: Layer, x: np.ndarray, p: dict[str, np.ndarray], dy: np.ndarray) -> dict[str, np.ndarray]:
    """y, dx and the parameters' gradients by torch, in float64."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    z = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    q = {name: torch.tensor(value, requires_grad=True) for name, value in p.items()}
    n = x.shape[-1]
    match layer:
        case dl.Dense():
            y = z @ q["W"] + q.get("b", 0)
        case dl.BatchNorm():
            y = f.batch_norm(z, None, None, q.get("gamma"), q.get("beta"), training=True, eps=layer.eps)
        case dl.LayerNorm():
            y = f.layer_norm(z, (n,), q.get("gamma"), q.get("beta"), eps=layer.eps)
        case dl.RMSNorm():
            y = f.rms_norm(z, (n,), q.get("gamma"), eps=layer.eps) + q.get("beta", 0)
        case dl.Embedding():
            y = f.embedding(z, q["W"]).reshape(len(x), -1)
        case dl.Residual():
            y = z + torch.tanh(z @ q["0.W"] + q["0.b"])
        case _:
            raise AssertionError(f"no oracle for {layer}")
    y.backward(torch.tensor(dy))
    found = {"y": y.detach().numpy(), **{name: value.grad.numpy() for name, value in q.items()}}
    return found | ({"dx": z.grad.numpy()} if z.requires_grad else {})


ORACLES = [
    dl.Dense(4),
    dl.BatchNorm(),
    dl.BatchNorm(eps=0.1),
    dl.LayerNorm(),
    dl.LayerNorm(eps=0.1),
    dl.RMSNorm(eps=1e-3),
    dl.Embedding(4, 2),
    dl.Residual([dl.Dense(5), "tanh"]),
]
WITHOUT = [
    dl.Dense(4, bias=False),
    dl.BatchNorm(scale=False, shift=False),
    dl.BatchNorm(scale=False),
    dl.BatchNorm(shift=False),
    dl.LayerNorm(scale=False, shift=False),
    dl.LayerNorm(scale=False),
    dl.LayerNorm(shift=False),
    dl.RMSNorm(eps=1e-3, scale=False),
    dl.RMSNorm(eps=1e-3, shift=True),
]
"""Layers without a parameter, and one more."""


@pytest.mark.parametrize("layer", ORACLES + WITHOUT, ids=str)
def test_values_and_gradients_are_those_of_torch(layer: Layer, on: On) -> None:
    x = CATEGORIES if layer.integers else on.host(X).astype(np.float64)
    inputs = x.shape[-1]
    p = _numbers(layer.shapes(inputs), on)
    dy = on.host(rng.normal(size=(len(x), layer.width(inputs)))).astype(np.float64)
    expected = _torch_oracle(layer, x, p, dy)

    y, saved = on.run(layer.forward, on.array(x), **_to_device(on, p))
    on.close(y, expected["y"])
    for name, g in on.run(layer.gradient, saved, on.array(dy)).items():
        on.close(g, expected[name], scale=8)  # sums over 7 rows of numbers near 1
    if "dx" in expected:
        dx = on.run(layer.backward, saved, on.array(dy), **_to_device(on, p))
        on.close(dx, expected["dx"], scale=8)


VJP = [
    *ORACLES[:6],
    *WITHOUT,
    dl.RMSNorm(),
    dl.Residual([dl.Dense(6), "gelu", dl.LayerNorm(), dl.Dense(5)]),
    dl.Chain(
        [dl.Dense(6), dl.PReLU(), dl.Residual([dl.Dense(6), "swish", dl.Residual([dl.Dense(6), "tanh"])]), dl.Dense(2)]
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("layer", VJP, ids=str)
def test_backward_is_the_derivative_of_forward(layer: Layer) -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        on = On("jax", "jax")
        p = _to_device(on, _numbers(layer.shapes(5), on))
        x, dy = on.array(X), on.array(rng.normal(size=(7, layer.width(5))))
        _, saved = layer.forward(x, **p)
        _, pull = jax.vjp(lambda x, p: layer.forward(x, **p)[0], x, p)
        expected_dx, expected_dp = pull(dy)
        on.close(layer.backward(saved, dy, **p), expected_dx)
        dx, dp = layer.pullback(saved, dy, **p)
        on.close(dx, expected_dx)
        for g in (dp, layer.gradient(saved, dy)):
            assert g.keys() == expected_dp.keys()
            for name in g:
                on.close(g[name], expected_dp[name], scale=8)


def test_batch_norm_keeps_running_statistics_as_torch_does(on: On) -> None:
    torch = pytest.importorskip("torch")
    oracle = torch.nn.BatchNorm1d(5, momentum=0.3, dtype=torch.float64)
    layer = dl.BatchNorm(momentum=0.3)
    p = {"gamma": np.ones(5), "beta": np.zeros(5)}
    kept = _to_device(on, {"mean": np.zeros(5), "variance": np.ones(5)})
    for seed in range(3):
        x = on.host(2 + 3 * np.random.default_rng(seed).normal(size=(6, 5))).astype(np.float64)
        oracle(torch.tensor(x))
        _, saved = on.run(layer.forward, on.array(x), **_to_device(on, p))
        kept = on.run(layer.update_buffers, saved, **kept)
    on.close(kept["mean"], oracle.running_mean.numpy())
    on.close(kept["variance"], oracle.running_var.numpy())
    oracle.eval()
    x = on.host(X).astype(np.float64)
    y = on.run(layer.predict, on.array(x), **_to_device(on, p), **kept)
    on.close(y, oracle(torch.tensor(x)).detach().numpy())


def test_batch_norm_of_one_row_is_an_error(on: On) -> None:
    with pytest.raises(ValueError, match="at least 2 examples"):
        dl.BatchNorm().forward(on.array(X[:1]), on.array(np.ones(5)), on.array(np.zeros(5)))


def test_layers_leave_their_arguments_alone(on: On) -> None:
    """Also where arrays could be written: bit for bit. On the read-only device any write would raise."""
    for layer in (
        dl.Dense(4),
        dl.BatchNorm(),
        dl.LayerNorm(),
        dl.RMSNorm(),
        dl.Dropout(0.5),
        dl.Residual([dl.Dense(5)]),
    ):
        x, dy = on.array(X), on.array(np.ones((7, layer.width(5))))
        p = _to_device(on, _numbers(layer.shapes(5), on))
        before = [on.numpy(a).copy() for a in (x, dy, *p.values())]
        key = {"key": on.array(key_words(0, "test"))} if layer.random else {}
        _, saved = layer.forward(x, **p, **key)
        layer.pullback(saved, dy, **p)
        for a, b in zip((x, dy, *p.values()), before, strict=True):
            np.testing.assert_array_equal(on.numpy(a), b)


def test_dropout_drops_the_same_numbers_on_every_device(on: On) -> None:
    layer = dl.Dropout(0.3)
    key = on.array(key_words(3, "test"))
    y, m = on.run(layer.forward, on.array(np.ones((50, 40))), key)
    reference = dl.Dropout(0.3).forward(np.ones((50, 40)), key_words(3, "test"))[0]
    on.close(y, reference)
    on.close(layer.backward(m, on.array(np.full((50, 40), 2.0))), 2 * reference)
    kept = np.mean(reference > 0)
    assert abs(kept - 0.7) < 4 * np.sqrt(0.3 * 0.7 / 2000)  # four standard errors
    on.close(layer.predict(on.array(X)), on.host(X))


def test_dropout_at_rate_zero_is_the_identity(on: On) -> None:
    x = on.array(X)
    y, saved = dl.Dropout(0.0).forward(x)
    on.close(y, on.host(X))
    on.close(dl.Dropout(0.0).backward(saved, x), on.host(X))


def test_masks_of_two_dropout_layers_and_of_two_keys_differ() -> None:
    x, key = np.ones((20, 20)), key_words(0, "test")
    layer = dl.Chain([dl.Dropout(0.5), dl.Dropout(0.5)])
    _, ((first, _), (second, _)) = layer.forward(x, key)
    other = layer.forward(x, key_words(1, "test"))[1][0][0]
    for a, b in ((first, second), (first, other)):
        agree = np.mean((a > 0) == (b > 0))
        assert abs(agree - 0.5) < 4 * np.sqrt(0.25 / 400)


@pytest.mark.parametrize("layer", WITHOUT[:8], ids=str)
def test_a_layer_without_parameters_is_one_whose_parameters_are_neutral(layer: Layer, on: On) -> None:
    """γ = 1, β = 0 and b = 0 change nothing: outputs, dx, inference."""
    whole = type(layer)(**{f.name: getattr(layer, f.name) for f in fields(layer) if f.name in ("units", "eps")})
    neutral = {"b": np.zeros(4), "gamma": np.ones(5), "beta": np.zeros(5)}
    own = _numbers(layer.shapes(5), on)
    full = {name: own.get(name, neutral.get(name)) for name in whole.shapes(5)}
    x, dy = on.array(X), on.array(rng.normal(size=(7, layer.width(5))))
    y, saved = layer.forward(x, **_to_device(on, own))
    expected, other = whole.forward(x, **_to_device(on, full))
    on.close(y, on.numpy(expected))
    dx = layer.backward(saved, dy, **_to_device(on, own))
    on.close(dx, on.numpy(whole.backward(other, dy, **_to_device(on, full))))
    buffers = _to_device(on, {"mean": np.full(5, 0.5), "variance": np.full(5, 2.0)}) if layer.buffers(5) else {}
    found = layer.predict(x, **_to_device(on, own), **buffers)
    on.close(found, on.numpy(whole.predict(x, **_to_device(on, full), **buffers)))
    assert layer.gradient(saved, dy).keys() == layer.shapes(5).keys() == own.keys()
    assert layer.initializers().keys() == own.keys() | layer.buffers(5).keys()


def test_a_model_without_biases_trains_is_saved_and_is_drawn(on: On, tmp_path: Path) -> None:
    if on.name not in ("numpy-float32", "torch-float32", "strict-2025.12"):
        pytest.skip("a few devices are enough: each layer is tested on all")
    parts = [dl.Dense(6, bias=False), dl.BatchNorm(scale=False), "relu6", dl.LayerNorm(shift=False), dl.Dense(3)]
    model = dl.MLP(5, parts)
    y = rng.integers(0, 3, 40)
    x = rng.normal(size=(40, 5)) + y.reshape(-1, 1)
    trained = dl.fit(model, x, y, epochs=2, batch_size=20, device=on.device, dtype=on.dtype, progress=False)
    assert set(trained.parameters) == {"0.W", "1.beta", "3.gamma", "4.W", "4.b"}
    trained.save(tmp_path / "model")
    again = dl.load(tmp_path / "model", on.device)
    assert again.model == model
    np.testing.assert_array_equal(again.predict(x), trained.predict(x))
    assert len(dl.diagnose(trained, x, y).layers) == 5


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: dl.Dense(0), ValueError, "units must be at least 1, got 0"),
        (lambda: dl.Dense(-3), ValueError, "at least 1"),
        (lambda: dl.Dense(2.5), TypeError, "whole number"),
        (lambda: dl.Dense(2, weight="glorot_unifrom"), ValueError, "did you mean 'glorot_uniform'"),
        (lambda: dl.Dense(2, bias=0), TypeError, "initializer must be a name or an instance, got 0"),
        (lambda: dl.Dense(2, use_bias=False), TypeError, "no argument 'use_bias', it is called bias"),
        (lambda: dl.LayerNorm(elementwise_affine=False), TypeError, "it is called scale and shift"),
        (lambda: dl.Dropout(1.0), ValueError, r"\[0, 1\)"),
        (lambda: dl.Dropout(-0.1), ValueError, r"\[0, 1\)"),
        (lambda: dl.BatchNorm(eps=0), ValueError, "above 0"),
        (lambda: dl.BatchNorm(momentum=1), ValueError, r"\[0, 1\)"),
        (lambda: dl.LayerNorm(eps=-1), ValueError, "above 0"),
        (lambda: dl.RMSNorm(eps=0), ValueError, "above 0"),
        (lambda: dl.Embedding(0, 3), ValueError, "categories must be at least 1"),
        (lambda: dl.Chain([]), ValueError, "at least one layer"),
        (lambda: dl.Chain([dl.Dense(2), dl.Embedding(3, 2)]), ValueError, "must be the first layer"),
        (lambda: dl.Chain([dl.Dense(2), "rely"]), ValueError, "did you mean 'relu'"),
    ],
)
def test_bad_configuration_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
