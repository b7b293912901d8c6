"""Activations at infinite inputs, at NaN, at kinks and without features or examples."""

from __future__ import annotations

import numpy as np
import pytest

from dlarray import activations
from dlarray.activations import CELU, ELU, GELU, HardShrink, HardTanh, LeakyReLU, PReLU, SoftShrink, Threshold
from dlarray.core.layer import Activation, Layer
from dlarray.core.registry import make
from dlarray.layers import LayerNorm, RMSNorm
from tests.support.activation_cases import ALL, INF, forward_backward, one, parameters
from tests.support.exact import ALPHA, SCALE
from tests.support.matrix import On

LIMITS: dict[str, tuple[float, float, float, float]] = {  # at -inf and inf: the values, the slopes
    "identity": (-INF, INF, 1, 1),
    "sigmoid": (0, 1, 0, 0),
    "log_sigmoid": (-INF, 0, 1, 0),
    "tanh": (-1, 1, 0, 0),
    "relu": (0, INF, 0, 1),
    "relu6": (0, 6, 0, 0),
    "threshold": (0, INF, 0, 1),
    "hard_shrink": (-INF, INF, 1, 1),
    "soft_shrink": (-INF, INF, 1, 1),
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


PICKED = ("ReLU", "ReLU6", "LeakyReLU", "PReLU", "HardSigmoid", "HardTanh", "Threshold", "HardShrink", "SoftShrink")
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
        *((make(Activation, "relu6"), edge, 0.0) for edge in (0.0, 6.0)),
        *((HardTanh(-2.0, 0.5), edge, 0.0) for edge in (-2.0, 0.5)),
        (Threshold(0.5), 0.5, 0.0),
        *((f, edge, 0.0) for f in (HardShrink(0.25), SoftShrink(0.25)) for edge in (-0.25, 0.25)),
        *((make(Activation, "hard_sigmoid"), edge, 0.0) for edge in (-3.0, 3.0)),
        (make(Activation, "hard_swish"), -3.0, 0.0),
        (make(Activation, "hard_swish"), 3.0, 1.0),
    ]
    for f, kink, slope in cases:
        on.close(forward_backward(on, f, on.array([kink]), on.array([1.0]), {})[1], [slope])
    on.close(
        forward_backward(on, PReLU(), on.array([0.0]), on.array([1.0]), {"slope": on.array([0.2])})[1], on.host([0.2])
    )
