"""Every activation against torch, against jax.vjp of its own forward, and at extreme inputs against 50 digits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from dlarray import activations
from dlarray.activations import CELU, ELU, GELU, LeakyReLU, PReLU, Swish
from dlarray.core.layer import Activation, Layer
from dlarray.core.registry import by_name, classes, make
from dlarray.initializers import Initializer
from dlarray.layers import LayerNorm, RMSNorm
from tests.support.matrix import On

torch = pytest.importorskip("torch")
F = torch.nn.functional

ORACLE: dict[str, Callable[..., Any]] = {
    "identity": lambda z: 1 * z,
    "sigmoid": torch.sigmoid,
    "log_sigmoid": F.logsigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
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
    "softmax": lambda z: F.softmax(z, dim=-1),
    "log_softmax": lambda z: F.log_softmax(z, dim=-1),
}
VARIANTS: list[tuple[Activation, Callable[..., Any]]] = [
    (LeakyReLU(0.3), lambda z: F.leaky_relu(z, 0.3)),
    (LeakyReLU(0.0), F.relu),
    (ELU(0.7), lambda z: F.elu(z, 0.7)),
    (CELU(0.7), lambda z: torch.where(z > 0, z, 0.7 * torch.expm1(z / 0.7))),  # F.celu divides by a float32 0.7
    (CELU(2.5), lambda z: F.celu(z, 2.5)),
    (GELU("tanh"), lambda z: F.gelu(z, approximate="tanh")),
    (Swish(1.7), lambda z: z * torch.sigmoid(1.7 * z)),
    (Swish(-0.6), lambda z: z * torch.sigmoid(-0.6 * z)),
    (Swish(trainable=True), lambda z, beta: z * torch.sigmoid(beta * z)),
]
ALL = [cls() for cls in classes(Activation).values()] + [f for f, _ in VARIANTS]
SHAPES = [(4, 5), (5,), (2, 3, 5), (0, 5)]
BY_ROWS = ("Softmax", "LogSoftmax")
"""These act on whole rows; every other one acts on each number."""


def one(x: Any) -> str:
    return "" if callable(x) else str(x)


def parameters(f: Activation, features: int) -> dict[str, np.ndarray]:
    return {name: np.random.default_rng(8).uniform(0.1, 1.9, shape) for name, shape in f.shapes(features).items()}


def numbers(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs that reach every branch, none on a kink, and the gradient that comes back."""
    rng = np.random.default_rng(7)
    return 3 * rng.normal(size=shape), rng.normal(size=shape)


def forward_backward(on: On, f: Activation, z: Any, dy: Any, p: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """There and back: y, dz and dp. One jitted function where there is jit; else call by call, so that on the read-only
    device what forward saves is read-only too."""

    def steps(run: Callable[..., Any], z: Any, dy: Any, p: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
        y, saved = run(f.forward, z, **p)
        return y, run(f.backward, saved, dy, **p), run(f.gradient, saved, dy)

    if on.jit:
        return on.run(lambda *args: steps(lambda g, *a, **k: g(*a, **k), *args), z, dy, p)
    return steps(on.run, z, dy, p)


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


# Extreme inputs, float64 on NumPy. Expected values have 50 digits; the formulas below are the plain ones, safe there
# because mpmath's numbers have no largest and no smallest.

E = mp.exp


def sigma(z: Any) -> Any:
    return 1 / (1 + E(-z))


def cdf(z: Any) -> Any:
    return mp.ncdf(z) if abs(z) < 1e5 else mp.mpf(z > 0)


def pdf(z: Any) -> Any:
    return mp.npdf(z) if abs(z) < 1e5 else mp.mpf(0)


def twice_u(z: Any) -> Any:
    return 2 * mp.sqrt(2 / mp.pi) * (z + mp.mpf(0.044715) * z**3)


def mish_slope(z: Any) -> Any:
    s = mp.log1p(E(z))
    return mp.tanh(s) + z * mp.sech(s) ** 2 * sigma(z) if z < 1e5 else mp.mpf(1)


ALPHA, SCALE = mp.mpf("1.6732632423543772848170429916717"), mp.mpf("1.0507009873554804934193349852946")
EXACT: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "Identity()": (lambda z: z, lambda z: mp.mpf(1)),
    "Sigmoid()": (sigma, lambda z: sigma(z) * sigma(-z)),
    "LogSigmoid()": (lambda z: -mp.log1p(E(-z)), lambda z: sigma(-z)),
    "Tanh()": (lambda z: mp.tanh(z) if abs(z) < 1e5 else mp.sign(z), lambda z: 4 * sigma(2 * z) * sigma(-2 * z)),
    "ReLU()": (lambda z: max(z, mp.mpf(0)), lambda z: mp.mpf(z > 0)),
    "LeakyReLU(slope=0.01)": (lambda z: max(z, z * mp.mpf(0.01)), lambda z: mp.mpf(1 if z > 0 else 0.01)),
    "ELU(alpha=1.0)": (lambda z: z if z > 0 else mp.expm1(z), lambda z: E(min(z, 0))),
    "SELU()": (
        lambda z: SCALE * (z if z > 0 else ALPHA * mp.expm1(z)),
        lambda z: SCALE * (1 if z > 0 else ALPHA * E(z)),
    ),
    "CELU(alpha=1.0)": (lambda z: z if z > 0 else mp.expm1(z), lambda z: E(min(z, 0))),
    "CELU(alpha=2.5)": (lambda z: z if z > 0 else 2.5 * mp.expm1(z / 2.5), lambda z: E(min(z, 0) / 2.5)),
    "GELU(approximate='none')": (lambda z: z * cdf(z), lambda z: cdf(z) + z * pdf(z)),
    "GELU(approximate='tanh')": (
        lambda z: z * sigma(twice_u(z)),
        lambda z: (
            sigma(twice_u(z))
            * (1 + z * sigma(-twice_u(z)) * 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf(0.044715) * z * z))
        ),
    ),
    "Swish(beta=1.0, trainable=False)": (
        lambda z: z * sigma(z),
        lambda z: sigma(z) * (1 + z * sigma(-z)),
    ),
    "Mish()": (lambda z: z * (mp.tanh(mp.log1p(E(z))) if z < 1e5 else 1), mish_slope),
    "Softplus()": (lambda z: mp.log1p(E(z)), sigma),
    "Softsign()": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
    "HardSigmoid()": (lambda z: min(max(z / 6 + 0.5, 0), 1), lambda z: mp.mpf(abs(z) < 3) / 6),
    "HardTanh()": (lambda z: min(max(z, -1), 1), lambda z: mp.mpf(abs(z) < 1)),
    "HardSwish()": (
        lambda z: z * min(max(z / 6 + mp.mpf(0.5), 0), 1),
        lambda z: z / 3 + mp.mpf(0.5) if abs(z) < 3 else mp.mpf(z > 0),
    ),
}
POINTS = [0.0] + [
    s * x for x in (1e-300, 1e-8, 0.3, 2.0, 5.0, 11.0, 18.0, 30.0, 37.0, 40.0, 745.0, 1e4, 1e300) for s in (-1, 1)
]


EPS, SMALLEST = 2.0**-52, 2.0**-1074


def allowed(name: str, what: str, z: float, exact: Any) -> Any:
    """Four times epsilon, relative; below the normal numbers, where digits run out, the unit that z multiplied."""
    bound = 4 * EPS * abs(exact) + SMALLEST * max(1, min(abs(z), 1e3))
    if name == "GELU(approximate='tanh')" and exact:  # exp(2u) turns the rounding of 2u into |2u| epsilons
        bound += EPS * abs(exact * mp.log(abs(exact)))
    if name == "Tanh()" and what == "slope":  # the book's 1 - a²: epsilon beside 1, not beside itself
        bound = EPS
    return bound


def test_every_activation_of_numbers_meets_the_extremes():
    rest = {cls.__name__ for cls in classes(Activation).values()} - {name.partition("(")[0] for name in EXACT}
    assert {name for name in rest if name in activations.__all__} == {*BY_ROWS, "PReLU"}


@pytest.mark.parametrize("name", EXACT)
def test_extreme_inputs(name: str):
    f = next(f for f in ALL if repr(f) == name)
    with np.errstate(all="raise", under="ignore"):
        y, saved = f.forward(np.array(POINTS))
        dz = f.backward(saved, np.ones(len(POINTS)))
    with mp.workdps(50):
        for what, found, formula in (("value", y, EXACT[name][0]), ("slope", dz, EXACT[name][1])):
            for z, v in zip(POINTS, found, strict=True):
                exact = formula(mp.mpf(z))
                error = abs(mp.mpf(float(v)) - exact)
                assert error <= allowed(name, what, z, exact), f"{what} at {z}: {v}, not {mp.nstr(exact, 20)}"


def test_extreme_inputs_of_prelu_are_those_of_leaky_relu():
    z, slope = np.array(POINTS), np.full(len(POINTS), 0.01)
    y, saved = PReLU().forward(z, slope)
    expected, kept = LeakyReLU().forward(z)
    np.testing.assert_array_equal(y, expected)
    dy = np.arange(1.0, 1 + len(POINTS))
    np.testing.assert_array_equal(PReLU().backward(saved, dy, slope), LeakyReLU().backward(kept, dy))
    np.testing.assert_array_equal(PReLU().gradient(saved, dy)["slope"], dy * np.minimum(z, 0))


@pytest.mark.parametrize(
    "row", [[0.0, 1e-300, -1e-8], [745.0, -745.0, 700.0], [1e4, -1e4, 9990.0], [1e300, -1e300, 0.0]]
)
def test_extreme_rows(row: list[float]):
    z, dy = np.array(row), np.array([1.0, -2.0, 0.5])
    with np.errstate(all="raise", under="ignore"):
        (a, kept_a), (y, kept_y) = activations.Softmax().forward(z), activations.LogSoftmax().forward(z)
        da, dz = activations.Softmax().backward(kept_a, dy), activations.LogSoftmax().backward(kept_y, dy)
    with mp.workdps(50):
        top = max(row)
        e = [E(mp.mpf(x) - top) for x in row]
        q = [x / sum(e) for x in e]
        mean = sum(x * d for x, d in zip(q, dy, strict=True))
        for i in range(3):
            log_q = mp.mpf(row[i]) - top - mp.log(sum(e))
            for found, exact, size in (
                (a[i], q[i], q[i]),
                (y[i], log_q, max(abs(log_q), 1)),
                (da[i], q[i] * (float(dy[i]) - mean), q[i] * 4),
                (dz[i], float(dy[i]) - q[i] * sum(map(float, dy)), 1),
            ):
                # exp(z - max) turns the rounding of the difference into |log q| epsilons
                assert abs(mp.mpf(float(found)) - exact) <= (4 + abs(log_q)) * EPS * size + SMALLEST


INF = float("inf")
LIMITS: dict[str, tuple[float, float, float, float]] = {  # at -inf and inf: the values, the slopes
    "identity": (-INF, INF, 1, 1),
    "sigmoid": (0, 1, 0, 0),
    "log_sigmoid": (-INF, 0, 1, 0),
    "tanh": (-1, 1, 0, 0),
    "relu": (0, INF, 0, 1),
    "leaky_relu": (-INF, INF, 0.01, 1),
    "elu": (-1, INF, 0, 1),
    "selu": (-float(SCALE * ALPHA), INF, 0, float(SCALE)),
    "celu": (-1, INF, 0, 1),
    "gelu": (0, INF, 0, 1),
    "swish": (0, INF, 0, 1),
    "mish": (0, INF, 0, 1),
    "softplus": (0, INF, 0, 1),
    "softsign": (-1, 1, 0, 0),
    "hard_sigmoid": (0, 1, 0, 0),
    "hard_tanh": (-1, 1, 0, 0),
    "hard_swish": (0, INF, 0, 1),
}


@pytest.mark.parametrize("name", LIMITS)
def test_infinite_inputs_give_the_limit(on: On, name: str):
    f = make(Activation, name)
    low, high, slope_low, slope_high = LIMITS[name]
    with np.errstate(all="raise", under="ignore"):
        y, dz, _ = forward_backward(on, f, on.array([-INF, INF]), on.array([1.0, 1.0]), {})
    on.close(y, [low, high])
    on.close(dz, [slope_low, slope_high])


def test_infinite_inputs_of_the_tanh_form_give_the_limit():
    with np.errstate(all="raise", under="ignore"):
        y, saved = GELU("tanh").forward(np.array([-INF, INF]))
        dz = GELU("tanh").backward(saved, np.ones(2))
    np.testing.assert_array_equal([y, dz], [[0, INF], [0, 1]])


def test_minus_infinity_masks_a_class(on: On):
    z = on.array([[1.0, -INF, 1.0]])
    on.close(on.run(activations.Softmax().predict, z), [[0.5, 0, 0.5]])
    on.close(on.run(activations.LogSoftmax().predict, z), [[-np.log(2), -INF, -np.log(2)]])


@pytest.mark.parametrize("f", ALL, ids=one)
def test_nan_stays_nan(on: On, f: Activation):
    p = {name: on.array(v) for name, v in parameters(f, 1).items()}
    z = on.array([[float("nan")], [1.0]])
    y = on.numpy(on.run(f.predict, z, **p))
    assert np.isnan(y).tolist() == [[True], [False]]


PICKED = ("ReLU", "LeakyReLU", "PReLU", "HardSigmoid", "HardTanh")
"""Their slope is picked by a comparison, which NaN fails: their values alone are NaN."""


@pytest.mark.parametrize("f", ALL, ids=one)
def test_the_slope_at_nan_is_nan_but_where_a_comparison_picks_it(on: On, f: Activation):
    if on.name not in ("numpy-float64", "numpy-planned", "torch-float64", "strict-2025.12"):
        pytest.skip("a few devices are enough")
    p = {name: on.array(v) for name, v in parameters(f, 1).items()}
    _, dz, _ = forward_backward(on, f, on.array([[float("nan")]]), on.array([[1.0]]), p)
    smooth = type(f).__name__ not in (*PICKED, "Identity")
    assert np.isnan(on.numpy(dz)).tolist() == [[smooth]]


@pytest.mark.parametrize("f", [*ALL, LayerNorm(), RMSNorm()], ids=one)
@pytest.mark.parametrize("shape", [(4, 0), (0, 0), (0, 3)], ids=str)
def test_no_features_and_no_examples_give_none(on: On, f: Layer, shape: tuple[int, ...]):
    if on.name not in ("numpy-float64", "torch-float64", "strict-2025.12"):
        pytest.skip("a few devices are enough")
    p = {name: on.array(np.ones(s)) for name, s in f.shapes(shape[1]).items()}
    y, saved = f.forward(on.array(np.zeros(shape)), **p)
    dz, dp = f.pullback(saved, on.array(np.zeros(shape)), **p)
    assert tuple(y.shape) == tuple(dz.shape) == shape
    assert {name: tuple(g.shape) for name, g in dp.items()} == f.shapes(shape[1])
    for g in dp.values():
        np.testing.assert_array_equal(on.numpy(g), 0)


def test_slopes_at_kinks(on: On):
    """The slope on the left at ReLU's kink and its kin's, none at the edges of the hard ones: torch's choices."""
    cases: list[tuple[Activation, float, float]] = [
        (make(Activation, "relu"), 0.0, 0.0),
        (LeakyReLU(0.1), 0.0, 0.1),
        (ELU(0.5), 0.0, 0.5),
        (CELU(0.5), 0.0, 1.0),
        *((make(Activation, "hard_tanh"), edge, 0.0) for edge in (-1.0, 1.0)),
        *((make(Activation, "hard_sigmoid"), edge, 0.0) for edge in (-3.0, 3.0)),
        (make(Activation, "hard_swish"), -3.0, 0.0),
        (make(Activation, "hard_swish"), 3.0, 1.0),
    ]
    for f, kink, slope in cases:
        on.close(forward_backward(on, f, on.array([kink]), on.array([1.0]), {})[1], [slope])
    on.close(
        forward_backward(on, PReLU(), on.array([0.0]), on.array([1.0]), {"slope": on.array([0.2])})[1], on.host([0.2])
    )


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


def test_a_trained_parameter_starts_at_the_field():
    assert Swish().shapes(4) == Swish().initializers() == {}
    for f, name, value in ((PReLU(), "slope", 0.25), (Swish(2.0, trainable=True), "beta", 2.0)):
        np.testing.assert_array_equal(f.initializers()[name](None, f.shapes(4)[name]), [value] * 4)
    z = numbers((4, 5))[0]
    fixed, trained = Swish(2.0), Swish(2.0, trainable=True)
    np.testing.assert_array_equal(fixed.forward(z)[0], trained.forward(z, beta=np.full(5, 2.0))[0])


def test_swish_keeps_the_digits_of_a_saturated_gradient():
    _, saved = Swish(trainable=True).forward(np.array([40.0]), beta=np.array([1.0]))
    exact = float(1600 * sigma(mp.mpf(40)) * sigma(mp.mpf(-40)))
    np.testing.assert_allclose(Swish(trainable=True).gradient(saved, np.ones(1))["beta"], [exact], rtol=1e-15)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: LeakyReLU(-0.1), ValueError, "slope must be at least 0, got -0.1"),
        (lambda: LeakyReLU(float("nan")), ValueError, "slope must be finite"),
        (lambda: LeakyReLU("0.1"), TypeError, "slope must be a real number"),  # type: ignore[arg-type]
        (lambda: PReLU(INF), ValueError, "slope must be finite"),
        (lambda: ELU(0), ValueError, "alpha must be above 0, got 0"),
        (lambda: CELU(-1.0), ValueError, "alpha must be above 0"),
        (lambda: CELU(True), TypeError, "alpha must be a real number, got True"),
        (lambda: Swish(float("nan")), ValueError, "beta must be finite"),
        (lambda: Swish(None), TypeError, "beta must be a real number"),  # type: ignore[arg-type]
        (lambda: GELU("tahn"), ValueError, "unknown approximate 'tahn', did you mean 'tanh'"),
        (lambda: GELU(aproximate="tanh"), TypeError, "aproximate"),  # type: ignore[call-arg]
        (lambda: by_name(Activation, "rleu"), ValueError, "unknown activation 'rleu', did you mean 'relu'"),
    ],
)
def test_bad_configuration(build: Callable[[], object], error: type[Exception], words: str):
    with pytest.raises(error, match=words.replace("?", r"\?")):
        build()


def test_a_numpy_number_in_a_configuration_does_not_widen():
    z = np.ones((2, 2), np.float32)
    for f in (LeakyReLU(np.float64(0.1)), ELU(np.float64(2)), CELU(np.float64(2)), Swish(np.float64(2))):
        y, saved = f.forward(z)
        assert y.dtype == f.backward(saved, z).dtype == np.float32


def test_configuration_is_frozen_and_compares_by_value():
    assert ELU(0.5) == ELU(0.5) != ELU(0.6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ELU().alpha = 2.0  # type: ignore[misc]


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


def test_initializers_by_kind():
    he = {name for name, cls in classes(Activation).items() if cls.initializer == "he_uniform"}
    assert he >= {"relu", "leaky_relu", "prelu", "elu", "celu", "gelu", "swish", "mish", "softplus", "hard_swish"}
    assert classes(Activation)["selu"].initializer == "lecun_normal"
    assert classes(Activation)["tanh"].initializer == "glorot_uniform"
