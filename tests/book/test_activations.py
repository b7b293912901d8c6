"""Every activation against torch and against jax.vjp of its own forward, on every device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dlarray import activations
from dlarray.activations import PReLU, Swish
from dlarray.core.layer import Activation
from dlarray.core.registry import by_name, classes, make
from dlarray.initializers import Initializer
from tests.support.activation_cases import ALL, SHAPES, VARIANTS, F, forward_backward, numbers, one, parameters, torch
from tests.support.matrix import On

ORACLE: dict[str, Callable[..., Any]] = {
    "identity": lambda z: 1 * z,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": F.logsigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "prelu": lambda z, slope: torch.where(z > 0, z, slope * z),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "swish": F.silu,
    "mish": F.mish,
    "softplus": lambda z: F.softplus(z, threshold=100),
    "softsign": F.softsign,
    "hard_sigmoid": lambda z: torch.clamp(z + 3, 0, 6) / 6,  # torch's own slope is 1/6 of float32
    "hard_tanh": F.hardtanh,
    "hard_swish": F.hardswish,
    "threshold": lambda z: F.threshold(z, 1, 0),
    "hard_shrink": F.hardshrink,
    "soft_shrink": F.softshrink,
    "softmax": lambda z: F.softmax(z, dim=-1),
    "log_softmax": lambda z: F.log_softmax(z, dim=-1),
}


def test_every_class_of_the_package_has_an_oracle():
    ours = {name: cls for name, cls in classes(Activation).items() if cls.__module__.startswith("dlarray.activations")}
    assert ours.keys() == ORACLE.keys()
    assert {cls.__name__ for cls in ours.values()} == {*activations.__all__} - {"Activation"}


@pytest.mark.parametrize(
    ("f", "oracle", "shape"),
    [(make(Activation, name), oracle, shape) for name, oracle in ORACLE.items() for shape in SHAPES]
    + [(f, oracle, SHAPES[0]) for f, oracle in VARIANTS],
    ids=one,
)
def test_agrees_with_torch(on: On, f: Activation, oracle: Callable[..., Any], shape: tuple[int, ...]):
    z, dy = map(on.host, numbers(shape))
    p = {name: on.host(v) for name, v in parameters(f, shape[-1]).items()}
    zt = torch.tensor(z.astype(np.float64), requires_grad=True)
    pt = {name: torch.tensor(v.astype(np.float64), requires_grad=True) for name, v in p.items()}
    yt = oracle(zt, **pt)
    yt.backward(torch.tensor(dy.astype(np.float64)))

    z_on, dy_on, p_on = on.array(z), on.array(dy), {name: on.array(v) for name, v in p.items()}
    y, dz, dp = forward_backward(on, f, z_on, dy_on, p_on)
    on.close(y, yt.detach())
    on.close(dz, zt.grad)
    assert dp.keys() == f.shapes(shape[-1]).keys()
    for name, g in dp.items():
        on.close(g, pt[name].grad)
    for given, now in ((z, z_on), (dy, dy_on), *((p[name], p_on[name]) for name in p)):
        np.testing.assert_array_equal(on.numpy(now), given)


FAR = [-1e30, -1e4, -745.0, -100.0, -20.0, -5.0, -1.0001, -1e-8, 0.0, 1e-8, 1.0001, 5.0, 20.0, 100.0, 745.0, 1e4, 1e30]


# At -20 CuPy's erfc, of an argument that is rounded, is 67 ulp from dlarray's formula, which plans take.
@pytest.mark.filterwarnings("ignore:the step runs eagerly.*output 0 of 3.*differs:dlarray.planner.PlannerWarning")
@pytest.mark.parametrize("f", ALL, ids=one)
def test_every_device_agrees_with_numpy_far_out(on: On, f: Activation):
    z = on.host(FAR)
    p = {name: on.host(v) for name, v in parameters(f, z.size).items()}
    y, saved = f.forward(z.astype(np.float64), **{name: v.astype(np.float64) for name, v in p.items()})
    dz = f.backward(saved, np.ones_like(y), **{name: v.astype(np.float64) for name, v in p.items()})
    p_on = {name: on.array(v) for name, v in p.items()}
    y_on, dz_on, _ = forward_backward(on, f, on.array(z), on.array(np.ones_like(z)), p_on)
    on.close(y_on, y)
    on.close(dz_on, dz)


@pytest.mark.parametrize("f", ALL, ids=one)
def test_backward_is_the_derivative_of_forward(f: Activation):
    jax = pytest.importorskip("jax")
    z = np.linspace(-24, 24, 96).reshape(8, 12)  # no point is a kink
    dy = np.random.default_rng(9).normal(size=z.shape)
    with jax.enable_x64(True):
        p = {name: jax.numpy.asarray(v) for name, v in parameters(f, 12).items()}
        y, vjp = jax.vjp(lambda z, p: f.forward(z, **p)[0], jax.numpy.asarray(z), p)
        dz, dp = vjp(jax.numpy.asarray(dy))
        _, saved = f.forward(jax.numpy.asarray(z), **p)
        found, found_p = f.pullback(saved, jax.numpy.asarray(dy), **p)
        assert y.shape == z.shape
        np.testing.assert_allclose(found, dz, rtol=1e-12, atol=1e-12)
        assert found_p.keys() == dp.keys()
        for name, g in dp.items():
            np.testing.assert_allclose(found_p[name], g, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", ALL, ids=one)
def test_is_an_activation_like_the_others(on: On, f: Activation):
    assert dataclasses.is_dataclass(f)
    assert f.width(5) == 5
    assert f.initializers().keys() == f.shapes(5).keys()
    by_name(Initializer, f.initializer)
    for shape in SHAPES[:1] if on.jit else SHAPES:  # JAX compiles every shape anew
        z, dy = map(on.array, numbers(shape))
        p = {name: on.array(v) for name, v in parameters(f, 5).items()}
        y, saved = f.forward(z, **p)
        dz = f.backward(saved, dy, **p)
        np.testing.assert_array_equal(on.numpy(f.predict(z, **p)), on.numpy(y))
        assert tuple(y.shape) == tuple(dz.shape) == shape
        assert on.numpy(y).dtype == on.numpy(dz).dtype == on.dtype


@pytest.mark.parametrize("shape", [(6, 3), (3,), (2, 4, 3), (0, 3)], ids=str)
def test_parameters_are_one_per_feature(on: On, shape: tuple[int, ...]):
    z, dy = map(on.host, numbers(shape))
    prelu, swish = PReLU(0.5), Swish(1.5, trainable=True)
    assert prelu.shapes(3) == {"slope": (3,)}
    assert swish.shapes(3) == {"beta": (3,)}
    rows = tuple(range(len(shape) - 1))
    wide, wide_dy = z.astype(np.float64), dy.astype(np.float64)

    *_, dp = forward_backward(on, prelu, on.array(z), on.array(dy), {"slope": on.array([0.5, 0.1, -0.2])})
    on.close(dp["slope"], (wide_dy * np.minimum(wide, 0)).sum(rows))
    *_, dp = forward_backward(on, swish, on.array(z), on.array(dy), {"beta": on.array([1.5, 0.5, -0.5])})
    s = 1 / (1 + np.exp(-wide * [1.5, 0.5, -0.5]))
    on.close(dp["beta"], (wide_dy * wide**2 * s * (1 - s)).sum(rows))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        *((name, name) for name in ORACLE),
        ("SiLU", "swish"),
        ("linear", "identity"),
        ("logistic", "sigmoid"),
        ("Leaky-ReLU", "leaky_relu"),
        ("hardtanh", "hard_tanh"),
        ("LogSoftmax", "log_softmax"),
    ],
)
def test_names(word: str, name: str):
    assert by_name(Activation, word) is classes(Activation)[name]
