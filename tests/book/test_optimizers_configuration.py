"""The configurations of optimizers: their names, their types, equality, and bad ones."""

import dataclasses
import math

import numpy as np
import pytest

from dlarray.core import registry as names
from dlarray.optimizers import (
    Adam,
    GradientDescent,
    Optimizer,
)
from tests.book.test_optimizers import VARIANTS


def test_names():
    assert names.by_name(Optimizer, "SGD") is GradientDescent
    with pytest.raises(ValueError, match="did you mean 'adam'"):
        names.make(Optimizer, "adan")


@pytest.mark.parametrize("case", VARIANTS)
def test_frozen_hashable_and_equal_by_value(case):
    optimizer = VARIANTS[case]
    assert hash(optimizer) == hash(dataclasses.replace(optimizer))
    assert optimizer == dataclasses.replace(optimizer)
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimizer.learning_rate = 1.0


@pytest.mark.parametrize("number", [np.float64, np.float32, np.array])
def test_numpys_numbers_do_not_promote(number):
    if number is np.array:
        with pytest.raises(TypeError, match="learning_rate"):
            Adam(number(0.1))
        return
    optimizer = Adam(number(0.125), beta1=number(0.5), weight_decay=number(0.5))
    theta = np.ones(3, dtype=np.float32)
    theta, state = optimizer.step(theta, np.ones(3, dtype=np.float32), optimizer.init(theta))
    assert theta.dtype == state["m"].dtype == state["v"].dtype == np.float32
    assert optimizer == Adam(0.125, beta1=0.5, weight_decay=0.5)


@pytest.mark.parametrize("word", names.classes(Optimizer))
@pytest.mark.parametrize("rate", [0, -1e-3, math.nan, math.inf])
def test_a_learning_rate_is_a_number_above_0(word, rate):
    with pytest.raises(ValueError, match="learning_rate"):
        names.classes(Optimizer)[word](rate)
    with pytest.raises(ValueError, match="weight_decay"):
        names.classes(Optimizer)[word](weight_decay=-0.1)
    with pytest.raises(TypeError, match="learning_rate"):
        names.classes(Optimizer)[word]("fast")


@pytest.mark.parametrize("word", names.classes(Optimizer))
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("momentum", (1.0, -0.1, math.nan)),
        ("beta1", (1.0, -0.1, math.nan)),
        ("beta2", (1.0, 1.1, math.nan)),
        ("rho", (1.0, -0.1)),
        ("eps", (0, -1e-8, math.nan)),
        ("eps_mode", ("beside", None)),
        ("initial_accumulator", (-1.0,)),
        ("momentum_decay", (-1.0,)),
    ],
)
def test_bad_configuration(word, field, values):
    cls = names.classes(Optimizer)[word]
    if field not in {f.name for f in dataclasses.fields(cls)}:
        with pytest.raises(TypeError, match=field):
            cls(**{field: 0.5})
        return
    for value in values:
        with pytest.raises(ValueError, match=field):
            cls(**{field: value})


def test_an_optimizer_itself_is_abstract():
    with pytest.raises(TypeError):
        Optimizer()
