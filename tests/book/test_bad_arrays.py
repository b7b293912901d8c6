"""Models, optimizers, metrics and functions of arrays refuse bad arrays, and change nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray import metrics
from dlarray.core.random import key_words
from dlarray.core.registry import classes
from tests.support.bad_input import NORMED, NUMBERS, REGRESSION, X, strict, torch


@dataclass
class Given:
    """Weights, optimizer state and examples of the array-level interface, to be looked at again after a refusal."""

    theta: tuple[np.ndarray, ...]
    state: tuple[dict[str, np.ndarray], ...]
    key: np.ndarray
    x: np.ndarray
    t: np.ndarray

    @classmethod
    def fresh(cls) -> Given:
        theta = REGRESSION.init(0, "cpu")
        optimizer = dl.Adam(weight_decay=0.1)
        state = optimizer.init_all(theta)
        g = tuple(0.1 * np.ones_like(v) for v in theta)
        theta, state = optimizer.step_all(theta, g, state)  # so that no moment is 0
        return cls(theta, state, key_words(0, "masks"), X.astype("f4"), NUMBERS.astype("f4"))

    def bits(self) -> list[bytes]:
        arrays = [*self.theta, *(a for s in self.state for a in s.values()), self.key, self.x, self.t]
        return [np.asarray(a).tobytes() for a in arrays]


MSE = dl.MeanSquaredError()

ARRAYS: dict[str, tuple[Callable[[Given], Any], type[Exception], str]] = {
    "x a list": (
        lambda a: REGRESSION.predict(a.theta, a.x.tolist()),
        TypeError,
        "x must be an array, got list; dlarray.asarray",
    ),
    "x None": (lambda a: REGRESSION.forward(a.theta, None), TypeError, "x must be an array, got NoneType"),
    "t a list": (
        lambda a: REGRESSION.loss_and_gradient(a.theta, a.x, a.t.tolist(), MSE),
        TypeError,
        "targets must be an array, got list",
    ),
    "x 1-D": (lambda a: REGRESSION.predict(a.theta, a.x[0]), ValueError, r"two axes, .*got shape \(4,\)"),
    "x 3-D": (lambda a: REGRESSION.predict(a.theta, a.x[None]), ValueError, r"two axes, .*got shape \(1, 8, 4\)"),
    "other features": (lambda a: REGRESSION.predict(a.theta, a.x[:, :3]), ValueError, "takes 4 inputs, got x with 3"),
    "whole numbers": (
        lambda a: REGRESSION.predict(a.theta, a.x.astype(int)),
        TypeError,
        "takes floating-point numbers, got x of type int",
    ),
    "strings": (
        lambda a: REGRESSION.predict(a.theta, a.x.astype(str)),
        TypeError,
        "floating-point numbers, got x of type <U",
    ),
    "objects": (lambda a: REGRESSION.predict(a.theta, a.x.astype(object)), TypeError, "got x of type object"),
    "complex": (lambda a: REGRESSION.predict(a.theta, a.x + 0j), TypeError, "got x of type complex64"),
    "an empty batch": (
        lambda a: REGRESSION.loss_and_gradient(a.theta, a.x[:0], a.t[:0], MSE),
        ValueError,
        "MeanSquaredError: an empty batch.*has no mean",
    ),
    "(n,) against (n, 1)": (
        lambda a: MSE.forward(a.t[:, :1], a.t[:, 0]),
        ValueError,
        r"targets of shape \(8,\) do not match outputs of shape \(8, 1\); reshape the targets to \(8, 1\)",
    ),
    "x on torch": (
        lambda a: REGRESSION.predict(a.theta, torch(a.x)),
        TypeError,
        "x and theta must be of one library, got torch and numpy",
    ),
    "theta on torch": (
        lambda a: REGRESSION.loss_and_gradient(tuple(torch(v) for v in a.theta), a.x, a.t, MSE),
        TypeError,
        "x and theta must be of one library, got numpy and torch; dlarray.to_device moves arrays",
    ),
    "t on torch": (
        lambda a: REGRESSION.loss_and_gradient(a.theta, a.x, torch(a.t), MSE),
        TypeError,
        "(?i)namespace|library",
    ),
    "two devices": (
        lambda a: REGRESSION.predict(tuple(strict(v, "device1") for v in a.theta), strict(a.x, "device2")),
        ValueError,
        "device1.*can not be combined",
    ),
    "t on another device": (
        lambda a: MSE.forward(strict(a.t, "device1"), strict(a.t, "device2")),
        ValueError,
        "device1.*can not be combined",
    ),
    "theta a number": (
        lambda a: REGRESSION.predict(5, a.x),
        TypeError,
        "tuple of vectors, as init.. returns it, got int",
    ),
    "theta an array": (lambda a: REGRESSION.predict(a.theta[0], a.x), TypeError, "tuple of vectors.*got ndarray"),
    "theta of lists": (lambda a: REGRESSION.predict((a.theta[0].tolist(),), a.x), TypeError, "got a list in it"),
    "theta too short": (
        lambda a: REGRESSION.predict((a.theta[0][:-1],), a.x),
        ValueError,
        r"lengths \[256\], got shapes \[\(255,\)\]",
    ),
    "theta with two axes": (
        lambda a: REGRESSION.predict((a.theta[0][None],), a.x),
        ValueError,
        r"got shapes \[\(1, 256\)\]",
    ),
    "theta empty": (lambda a: REGRESSION.predict((), a.x), ValueError, r"lengths \[256\], got shapes \[\]"),
    "no buffers": (
        lambda a: NORMED.predict(NORMED.init(0, "cpu"), a.x),
        ValueError,
        "give buffers=, from init_buffers",
    ),
    "other buffers": (
        lambda a: NORMED.predict(NORMED.init(0, "cpu"), a.x, (a.theta[0],)),
        ValueError,
        r"lengths \[128\]",
    ),
    "batch norm of one row": (
        lambda a: NORMED.forward(NORMED.init(0, "cpu"), a.x[:1]),
        ValueError,
        "at least 2 examples in a batch of training, got 1: use a larger batch",
    ),
    "no key": (
        lambda a: dl.mlp(4, 3, 2, dropout=0.5).forward(dl.mlp(4, 3, 2).init(0, "cpu"), a.x),
        ValueError,
        "give key=, from dlarray.core.random.key_words",
    ),
    "g a list": (
        lambda a: dl.Adam().step(a.theta[0], a.theta[0].tolist(), a.state[0]),
        TypeError,
        "one library, got ndarray and list",
    ),
    "theta a list to an optimizer": (
        lambda a: dl.Adam().step(a.theta[0].tolist(), a.theta[0], a.state[0]),
        TypeError,
        "one library, got list and ndarray",
    ),
    "g on torch": (
        lambda a: dl.Adam().step(a.theta[0], torch(a.theta[0]), a.state[0]),
        TypeError,
        "one library, got ndarray and Tensor",
    ),
    "g of another shape": (
        lambda a: dl.Adam().step(a.theta[0], a.theta[0][:-1], a.state[0]),
        ValueError,
        r"g must have the shape of theta, \(256,\), got \(255,\)",
    ),
    "a number for g": (lambda a: dl.Adam().step(a.theta[0], np.array(1.0), a.state[0]), ValueError, r"got \(\)"),
    "a list to a schedule": (lambda a: dl.CosineDecay(0.1, 10)([1.0, 2.0]), TypeError, "list"),
    "a list to an activation": (lambda a: dl.ReLU().forward([1.0]), TypeError, "list"),
    "a list to be moved": (
        lambda a: dl.to_device([1.0], "cpu"),
        TypeError,
        "takes an array, got list; dlarray.asarray makes one",
    ),
    "a list to be brought home": (lambda a: dl.to_numpy([1.0]), TypeError, "list"),
}


@pytest.mark.parametrize("what", ARRAYS)
def test_the_array_level_refuses_and_changes_nothing(what: str) -> None:
    act, error, words = ARRAYS[what]
    given = Given.fresh()
    before = given.bits()
    with pytest.raises(error, match=re.compile(words, re.DOTALL)) as caught:
        act(given)
    assert type(caught.value) is error
    assert given.bits() == before


@pytest.mark.parametrize("name", metrics.__all__)
def test_metrics_refuse_lists(name: str) -> None:
    with pytest.raises(TypeError, match="list"):
        getattr(metrics, name)([0, 1], [0, 1])


@pytest.mark.parametrize("name", [n for n, c in classes(dl.Optimizer).items() if c.__module__.startswith("dlarray.")])
def test_an_optimizer_refuses_a_read_only_theta_before_it_writes_anything(name: str) -> None:
    optimizer = classes(dl.Optimizer)[name](weight_decay=0.1)
    theta, g = np.linspace(1, 2, 5), np.ones(5)
    state = optimizer.init(theta)
    theta, state = optimizer.step(theta, g, state)
    theta.flags.writeable = False
    given, before = state | {"theta": theta, "g": g}, {}
    before = {key: value.tobytes() for key, value in given.items()}
    with pytest.raises(ValueError, match="theta is read-only.*give it a copy"):
        optimizer.step(theta, g, state)
    assert {key: value.tobytes() for key, value in given.items()} == before
