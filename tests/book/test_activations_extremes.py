"""Every activation at extreme inputs, against 50 digits."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest

from dlarray import activations
from dlarray.activations import LeakyReLU, PReLU, Swish
from dlarray.core.layer import Activation
from dlarray.core.registry import classes
from tests.support.activation_cases import ALL
from tests.support.exact import ACTIVATIONS as EXACT
from tests.support.exact import E, sigma

BY_ROWS = ("Softmax", "LogSoftmax")
"""These act on whole rows; every other one acts on each number."""


# Extreme inputs, float64 on NumPy.

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


def test_swish_keeps_the_digits_of_a_saturated_gradient():
    _, saved = Swish(trainable=True).forward(np.array([40.0]), beta=np.array([1.0]))
    exact = float(1600 * sigma(mp.mpf(40)) * sigma(mp.mpf(-40)))
    np.testing.assert_allclose(Swish(trainable=True).gradient(saved, np.ones(1))["beta"], [exact], rtol=1e-15)
