"""Optimizers against formulas that torch does not have, written out once more, 100 steps each."""

import math

import mpmath as mp
import numpy as np
import pytest

from dlarray.optimizers import (
    LAMB,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Lion,
    Muon,
    NAdam,
    Optimizer,
    RMSprop,
    Rprop,
)
from dlarray.optimizers.rectified import averaged
from dlarray.schedules import CosineDecay
from dlarray.testing.own import own
from tests.book.test_optimizers_torch import TORCH
from tests.support.descents import CURVATURE, START, descend, gradient


def keras_adam(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    return 0.05 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["v"]) + eps)


def keras_amsgrad(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    s["w"] = np.maximum(s["w"], s["v"])
    return 0.05 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * s["m"] / (np.sqrt(s["w"]) + eps)


def inside_adam(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    return 0.05 * s["m"] / (1 - 0.9**t) / np.sqrt(s["v"] / (1 - 0.999**t) + eps)


def keras_adagrad(g, s, t, eps):
    s["v"] = s["v"] + g**2
    return 0.05 * g / np.sqrt(0.1 + s["v"] + eps)


def keras_rmsprop(g, s, t, eps):
    s["v"] = 0.9 * s["v"] + 0.1 * g**2
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["w"] = 0.7 * s["w"] + g / np.sqrt(s["v"] - s["m"] ** 2 + eps)
    return 0.05 * s["w"]


def keras_adamax(g, s, t, eps):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["w"] = np.maximum(0.999 * s["w"], np.abs(g))
    return 0.05 / (1 - 0.9**t) * s["m"] / (s["w"] + eps)


def lion(g, s, t, eps):
    step = 0.05 * np.sign(0.9 * s["m"] + 0.1 * g)
    s["m"] = 0.99 * s["m"] + 0.01 * g
    return step


WRITTEN = {
    "adam, hat": (Adam(0.05, eps=1e-2, eps_mode="hat"), keras_adam),
    "adam, inside": (Adam(0.05, eps=1e-2, eps_mode="inside"), inside_adam),
    "amsgrad, hat": (AMSGrad(0.05, eps=1e-2, eps_mode="hat"), keras_amsgrad),
    "adagrad, inside": (Adagrad(0.05, 1e-2, "inside", initial_accumulator=0.1), keras_adagrad),
    "rmsprop, inside": (RMSprop(0.05, 0.9, 1e-2, "inside", momentum=0.7, centered=True), keras_rmsprop),
    "adamax, outside": (Adamax(0.05, eps=1e-2, eps_mode="outside"), keras_adamax),
    "lion": (Lion(0.05), lion),
}


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-8])
@pytest.mark.parametrize("case", WRITTEN)
def test_100_steps_against_the_written_formula(case, scale):
    ours, formula = WRITTEN[case]
    theta, s = START.copy(), {"m": 0.0, "v": 0.0, "w": 0.0}
    path = [theta]
    for t in range(1, 101):
        theta = theta - formula(gradient(theta, CURVATURE * scale), s, t, 1e-2)
        path.append(theta)
    np.testing.assert_allclose(descend(ours, START, CURVATURE * scale), path, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cls", [Adagrad, RMSprop, Adam, AMSGrad, AdamW, NAdam, Adamax])
def test_the_place_of_eps_counts(cls):
    """So that none of the tests above passes whatever the place."""
    modes = ["outside", "inside", "hat"] if issubclass(cls, (Adam, AMSGrad, NAdam)) else ["outside", "inside"]
    ends = [descend(cls(0.05, eps=1e-2, eps_mode=mode), START, CURVATURE)[-1] for mode in modes]
    for i, end in enumerate(ends):
        for other in ends[:i]:
            assert np.abs(end - other).max() > 1e-4


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999, 0.9999])
def test_the_numbers_that_an_average_has_seen(beta, on):
    t = np.array([1.0, 2, 3, 5, 6, 7, 20, 200, 240, 260, 3000, 1e5, 1e9])
    with mp.workdps(50):
        b = mp.mpf(beta)
        exact = [float(2 / (1 - b) - 1 - 2 * mp.mpf(n) * b**n / (1 - b**n)) for n in t]
    largest = 2 / (1 - beta)
    on.close(on.run(lambda t: averaged(beta, t), on.array(t)), exact, scale=max(1, largest / 1000))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Rprop(CosineDecay(0.1, 5)), TypeError, "learning_rate must be a number, not a schedule"),
        (lambda: Rprop(grow=0.9), ValueError, "shrink must be below 1 and grow above it"),
        (lambda: Rprop(shrink=0), ValueError, "shrink must be below 1 and grow above it"),
        (lambda: Rprop(least=1, most=0.5), ValueError, "least must be below most, got 1 and 0.5"),
    ],
)
def test_bad_configuration_of_rprop(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_lion_decays_apart_from_the_sign():
    theta, g = np.array([2.0, -3.0]), np.array([1e-9, 5.0])
    optimizer = Lion(0.1, weight_decay=0.5)
    theta, state = optimizer.step(theta, g, optimizer.init(theta))
    np.testing.assert_allclose(theta, [2 - 0.1 * (1 + 0.5 * 2), -3 - 0.1 * (1 + 0.5 * -3)], rtol=1e-15)
    np.testing.assert_allclose(state["m"], [1e-11, 0.05], rtol=1e-14)


def test_scikit_learns_adam():
    """MLPClassifier's own optimizer is Adam with ε̂."""
    sklearn = pytest.importorskip("sklearn.neural_network._stochastic_optimizers")
    theta = START.copy()
    theirs = sklearn.AdamOptimizer([theta], learning_rate_init=0.05, epsilon=1e-2)
    path = [theta.copy()]
    for _ in range(100):
        theirs.update_params([theta], [gradient(theta, CURVATURE)])
        path.append(theta.copy())
    ours = descend(Adam(0.05, eps=1e-2, eps_mode="hat"), START, CURVATURE)
    np.testing.assert_allclose(ours, path, rtol=1e-12, atol=1e-12)


def test_every_optimizer_has_an_oracle():
    layerwise = {LAMB, Muon}  # test_optimizers_layerwise.py
    assert {type(ours) for ours, *_ in (*TORCH.values(), *WRITTEN.values())} | layerwise == set(own(Optimizer).values())
