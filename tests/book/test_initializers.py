"""Initializers: moments against the written distributions, bounds, orthogonality, fans, and known answers."""

import math

import numpy as np
import pytest

from dlarray.core import registry as names
from dlarray.core.random import Bits
from dlarray.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LeCunNormal,
    LeCunUniform,
    Normal,
    Ones,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    Zeros,
    _fans,
)

SHAPE = (300, 200)
N = 300 * 200

# standard deviation and bound (None where there is none) for 300 inputs and 200 outputs; a normal cut at two of its
# deviations keeps 0.8796256610342398 of its standard deviation (scipy.stats.truncnorm(-2, 2).std())
KEPT = 0.8796256610342398
SPREAD = {
    "normal": (Normal(), 0.05, None),
    "normal, wide": (Normal(2.0), 2.0, None),
    "truncated": (TruncatedNormal(0.3), 0.3 * KEPT, 0.6),
    "uniform": (Uniform(), 1 / math.sqrt(300) / math.sqrt(3), 1 / math.sqrt(300)),
    "uniform, limit": (Uniform(0.2), 0.2 / math.sqrt(3), 0.2),
    "glorot normal": (GlorotNormal(), math.sqrt(2 / 500), None),
    "glorot normal, truncated": (GlorotNormal(truncated=True), math.sqrt(2 / 500), 2 * math.sqrt(2 / 500) / KEPT),
    "glorot uniform": (GlorotUniform(), math.sqrt(2 / 500), math.sqrt(6 / 500)),
    "he normal": (HeNormal(), math.sqrt(2 / 300), None),
    "he normal, truncated": (HeNormal(truncated=True), math.sqrt(2 / 300), 2 * math.sqrt(2 / 300) / KEPT),
    "he uniform": (HeUniform(), math.sqrt(2 / 300), math.sqrt(6 / 300)),
    "lecun normal": (LeCunNormal(), math.sqrt(1 / 300), None),
    "lecun normal, truncated": (LeCunNormal(truncated=True), math.sqrt(1 / 300), 2 * math.sqrt(1 / 300) / KEPT),
    "lecun uniform": (LeCunUniform(), math.sqrt(1 / 300), math.sqrt(3 / 300)),
}


def draw(initializer, shape=SHAPE, seed=0):
    return initializer(Bits(seed, "weights"), shape)


@pytest.mark.parametrize("case", SPREAD)
def test_mean_and_variance(case):
    """Within four standard errors: σ/√n for the mean, σ² √((κ - 1)/n) for the variance, κ <= 3 the kurtosis."""
    initializer, std, bound = SPREAD[case]
    W = draw(initializer)
    assert W.dtype == np.float64
    assert W.shape == SHAPE
    assert abs(W.mean()) < 4 * std / math.sqrt(N)
    assert abs(W.var() - std**2) < 4 * std**2 * math.sqrt(2 / N)
    if bound is None:
        assert np.abs(W).max() > 3.5 * std  # of 60,000 normal numbers 28 lie outside
    else:  # all within, and some near: the largest of 60,000 falls short of the bound by less than 1 in 1000
        assert 0.999 * bound < np.abs(W).max() <= bound


def test_each_distribution_against_its_cumulative():
    """Kolmogorov and Smirnov: the largest distance stays below 1.95/√n, exceeded once in a thousand times."""
    stats = pytest.importorskip("scipy.stats")
    oracles = {
        Normal(1.0): stats.norm(),
        TruncatedNormal(1.0): stats.truncnorm(-2, 2),
        Uniform(1.0): stats.uniform(-1, 2),
    }
    for initializer, oracle in oracles.items():
        assert stats.kstest(draw(initializer).ravel(), oracle.cdf).statistic < 1.95 / math.sqrt(N)


def test_the_truncated_deviation_is_scipys():
    stats = pytest.importorskip("scipy.stats")
    assert stats.truncnorm(-2, 2).std() == pytest.approx(KEPT, rel=1e-12)
    wide, narrow = draw(HeNormal(truncated=True)), draw(TruncatedNormal(1.0))
    np.testing.assert_allclose(wide, math.sqrt(2 / 300) / KEPT * narrow, rtol=1e-14)


@pytest.mark.parametrize(("initializer", "value"), [(Zeros(), 0), (Ones(), 1), (Constant(), 0), (Constant(-2.5), -2.5)])
def test_constants(initializer, value):
    for shape in [(3, 4), (5,), (), (0, 2)]:
        W = draw(initializer, shape)
        assert W.dtype == np.float64
        np.testing.assert_array_equal(W, np.full(shape, float(value)))


@pytest.mark.parametrize("shape", [(20, 20), (30, 7), (7, 30), (1, 5), (5, 1), (6,), (3, 4, 5)])
def test_orthogonal(shape):
    W = draw(Orthogonal(gain=1.5), shape)
    assert W.shape == shape
    Q = W.reshape(-1, shape[-1]) / 1.5
    gram = Q.T @ Q if Q.shape[0] >= Q.shape[1] else Q @ Q.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), rtol=0, atol=1e-14)


def test_orthogonal_is_uniform_among_rotations():
    """Without the correction of signs the diagonal would be mostly of one sign (LAPACK's is negative)."""
    first = np.array([draw(Orthogonal(), (4, 4), seed)[0, 0] for seed in range(400)])
    assert abs(first.mean()) < 4 * 0.5 / math.sqrt(400)  # an entry of a random rotation has variance 1/4
    assert abs((first**2).mean() - 0.25) < 4 * math.sqrt((3 / 24 - 1 / 16) / 400)  # and fourth moment 3/(n(n + 2))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((300, 200), (300, 200)), ((7,), (1, 7)), ((), (1, 1)), ((3, 4, 5), (12, 5)), ((1, 1), (1, 1))],
)
def test_fans(shape, expected):
    assert _fans(shape) == expected


SCALED = [
    Uniform(),
    GlorotNormal(),
    GlorotUniform(),
    HeNormal(),
    HeUniform(),
    LeCunNormal(),
    LeCunUniform(),
    Orthogonal(),
]


@pytest.mark.parametrize("initializer", SCALED, ids=lambda i: names.spelling(type(i)))
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)])
def test_a_fan_of_0_is_an_error(initializer, shape):
    with pytest.raises(ValueError, match="fan_in"):
        draw(initializer, shape)


@pytest.mark.parametrize("word", names.classes(Initializer))
def test_the_same_bits_give_the_same_weights_and_others_others(word):
    initializer = names.make(Initializer, word)
    np.testing.assert_array_equal(draw(initializer), draw(initializer))
    assert draw(initializer).dtype == np.float64
    if word not in ("zeros", "ones", "constant"):
        assert not np.array_equal(draw(initializer), draw(initializer, seed=1))


# written down once, so that no later change of ours or of NumPy's moves anybody's weights
# (here the cut redraws one number)
# fmt: off
KNOWN = {
    "normal": [-0.006246131254154071, -0.0021945644082788413, 0.012289805577909811, -0.14380325952178707],
    "truncated_normal": [-0.006246131254154071, -0.0021945644082788413, 0.012289805577909811, 0.036033524726649085],
    "uniform": [-0.9254052887745929, 0.9680534642685055, -0.3503258206682529, 0.4951426878130514],
    "glorot_uniform": [-1.0137307029928535, 1.0604494385017635, -0.3837627089130233, 0.542401638597893],
    "orthogonal": [-0.4530782315131554, -0.8914707601087722, 0.8914707601087722, -0.45307823151315496],
}
# fmt: on


@pytest.mark.parametrize("word", KNOWN)
def test_known_answers(word):
    W = names.make(Initializer, word)(Bits(17, "known answers"), (2, 2) if word == "orthogonal" else (1, 4))
    np.testing.assert_allclose(W.ravel(), KNOWN[word], rtol=1e-13)  # libm and LAPACK differ in the last digit


def test_spelled_names():
    ours = (
        "constant glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform normal ones orthogonal"
    )
    assert {*ours.split(), "truncated_normal", "uniform", "zeros"} <= names.classes(Initializer).keys()


@pytest.mark.parametrize(
    ("alias", "cls"),
    [
        ("xavier_normal", GlorotNormal),
        ("Xavier uniform", GlorotUniform),
        ("kaiming_normal", HeNormal),
        ("kaiming-uniform", HeUniform),
    ],
)
def test_other_names(alias, cls):
    assert names.by_name(Initializer, alias) is cls


@pytest.mark.parametrize("make", [Normal, TruncatedNormal, Uniform, Orthogonal])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
def test_a_scale_is_a_number_above_0(make, value):
    with pytest.raises(ValueError, match=r"std|limit|gain"):
        make(value)


def test_a_constant_is_a_finite_number():
    with pytest.raises(ValueError, match="value"):
        Constant(math.nan)
    with pytest.raises(TypeError, match="value"):
        Constant("one")
