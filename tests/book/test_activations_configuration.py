"""The configurations of activations: bad ones, their types, and the start of their parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from dlarray.activations import (
    CELU,
    ELU,
    GELU,
    HardShrink,
    HardTanh,
    LeakyReLU,
    PReLU,
    Softplus,
    SoftShrink,
    Swish,
    Threshold,
)
from dlarray.core.layer import Activation
from dlarray.core.registry import by_name, classes
from tests.support.activation_cases import INF, numbers


def test_a_trained_parameter_starts_at_the_field():
    assert Swish().shapes(4) == Swish().initializers() == {}
    for f, name, value in ((PReLU(), "slope", 0.25), (Swish(2.0, trainable=True), "beta", 2.0)):
        np.testing.assert_array_equal(f.initializers()[name](None, f.shapes(4)[name]), [value] * 4)
    z = numbers((4, 5))[0]
    fixed, trained = Swish(2.0), Swish(2.0, trainable=True)
    np.testing.assert_array_equal(fixed.forward(z)[0], trained.forward(z, beta=np.full(5, 2.0))[0])


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
        (lambda: Softplus(0), ValueError, "beta must be above 0, got 0"),
        (lambda: HardTanh(1, 1), ValueError, "low must be below high, got 1 and 1"),
        (lambda: HardTanh(low=float("nan")), ValueError, "low must be finite"),
        (lambda: Threshold(INF), ValueError, "threshold must be finite"),
        (lambda: Threshold(value=INF), ValueError, "value must be finite"),
        (lambda: HardShrink(-1), ValueError, "threshold must be at least 0, got -1"),
        (lambda: SoftShrink(-1), ValueError, "threshold must be at least 0, got -1"),
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
    wide = np.float64(2)
    kinds = (LeakyReLU, ELU, CELU, Swish, Softplus, Threshold)
    for f in (*(kind(wide) for kind in kinds), HardTanh(high=wide)):
        y, saved = f.forward(z)
        assert y.dtype == f.backward(saved, z).dtype == np.float32


def test_configuration_is_frozen_and_compares_by_value():
    assert ELU(0.5) == ELU(0.5) != ELU(0.6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ELU().alpha = 2.0  # type: ignore[misc]


def test_initializers_by_kind():
    he = {name for name, cls in classes(Activation).items() if cls.initializer == "he_uniform"}
    assert he >= {"relu", "leaky_relu", "prelu", "elu", "celu", "gelu", "swish", "mish", "softplus", "hard_swish"}
    assert classes(Activation)["selu"].initializer == "lecun_normal"
    assert classes(Activation)["tanh"].initializer == "glorot_uniform"
