"""The checks of formulas: complete, unmoved by third-party classes, and strict enough to see float32 in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray import activations, losses, metrics, optimizers
from dlarray.core import libraries
from dlarray.core.layer import Activation, Layer
from dlarray.core.random import fold_in, random_int32
from dlarray.core.registry import classes
from dlarray.losses import Loss
from dlarray.optimizers import Optimizer
from dlarray.schedules import Schedule
from dlarray.testing import activations as of_activations
from dlarray.testing import extremes, known_answers, runner, training
from dlarray.testing import layers as of_layers
from dlarray.testing import losses as of_losses
from dlarray.testing import metrics as of_metrics
from dlarray.testing import optimizers as of_optimizers
from dlarray.testing.check import Check
from dlarray.testing.columns import Column, columns
from dlarray.testing.formula import short
from dlarray.testing.own import own
from dlarray.training.step import Step
from tests.core.test_random import expected_fold, expected_int32
from tests.testing import narrow

PARTS = [of_activations, of_losses, of_layers, of_optimizers, of_metrics, known_answers, extremes, training]
CHECKS = [check for part in PARTS for check in part.checks()]


def failures(column: Column, checks: list[Check]) -> list[str]:
    results = runner.run(column, checks)
    return [f"{r.part}, {r.name}: {r.reason}" for r in results if r.outcome != "pass"]


@pytest.mark.parametrize(
    "column",
    [*columns("cpu"), *columns("strict", ("float64",)), *columns("torch", ("float32",))],
    ids=lambda c: c.name,
)
def test_every_formula_passes(column: Column) -> None:
    assert failures(column, CHECKS) == []


def test_names_are_unique_and_every_class_has_a_check() -> None:
    names = [(check.part, check.name) for check in CHECKS]
    assert len(names) == len(set(names))
    for part, kind, module in (
        ("activations", Activation, activations),
        ("losses", Loss, losses),
        ("optimizers", Optimizer, optimizers),
    ):
        public = {name for name, cls in classes(kind).items() if cls.__name__ in module.__all__}
        assert public <= {name for p, name in names if p == part}
    layers = {name for name, cls in classes(Layer).items() if cls.__name__ in dlarray.layers.__all__}
    assert layers <= {name for part, name in names if part == "layers"}
    assert set(metrics.__all__) == {name for part, name in names if part == "metrics"}
    assert all(of_optimizers.schedules().values()), "a schedule has no case in SCHEDULES"
    assert own(Schedule).keys() == {name for part, name in names if part == "schedules"}


@pytest.fixture
def third_party() -> Iterator[None]:
    """Classes that cannot be made without arguments, and whose formulas are wrong."""

    @dataclass(frozen=True)
    class Shifted(Activation):
        shift: float

    @dataclass(frozen=True)
    class Strange(Loss):
        strange: float

    @dataclass(frozen=True)
    class Wild(dlarray.Adam):
        wild: float = 0.0

        def step(self, theta: Any, g: Any, state: Any) -> Any:
            raise NotImplementedError

    yield
    del Shifted, Strange, Wild


def test_third_party_classes_change_nothing(third_party: None) -> None:
    assert [c.name for part in PARTS for c in part.checks()] == [c.name for c in CHECKS]


@pytest.fixture
def narrow_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Column]:
    monkeypatch.setitem(libraries._loaded, "narrow", narrow.backend)
    libraries._library_of.clear()
    yield Column("narrow-float64", "narrow")
    libraries._library_of.clear()
    libraries.NAMESPACES.pop(narrow.Narrow, None)


EXACT_IN_FLOAT32 = {
    "activations, all, without examples",
    "activations, identity",
    "extremes, Identity()",
    "schedules, constant_rate",
}


def test_float32_instead_of_float64_is_seen(narrow_backend: Column) -> None:
    """What passes has no result that float32 rounds."""
    rounded = [c for c in CHECKS if c.part != "random"]
    passed = {f"{r.part}, {r.name}" for r in runner.run(narrow_backend, rounded) if r.outcome == "pass"}
    assert passed == EXACT_IN_FLOAT32
    others = [check for check in CHECKS if check.name != "predictions"]  # a subclass of ndarray is an array of the host
    assert failures(Column("narrow-float32", "narrow", "float32"), others) == []


def test_the_known_answers_are_those_of_the_definition() -> None:
    key, n = known_answers.KEY, known_answers.WORDS.size
    assert known_answers.WORDS.ravel().tolist() == expected_int32(key, n)
    assert {word: expected_fold(key, word) for word in known_answers.FOLDED} == known_answers.FOLDED
    assert random_int32(key, (n,)).tolist() == expected_int32(key, n)
    assert fold_in(key, 7).tolist() == known_answers.FOLDED[7]
    kept = [word < round(0.7 * 2**32) - 2**31 for word in expected_int32(key, 64)]
    assert np.packbits(kept).tobytes().hex() == known_answers.MASK


@pytest.mark.parametrize("name", training.RUNS)
def test_the_limit_of_training_is_what_rounding_makes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """θ off by up to 4 ulp after each step changes no loss by more than the limit; by 2000 ulp it does."""

    def deviation(ulp: float) -> float:
        rng, step = np.random.default_rng(3), Step.__call__

        def noisy(self: Any, state: Any, batch: Any) -> Any:
            state, value = step(self, state, batch)
            theta = tuple(x * (1 + rng.uniform(-ulp, ulp, x.shape) * 2.0**-52) for x in state["theta"])
            return state | {"theta": theta}, value

        with monkeypatch.context() as patch:
            patch.setattr(Step, "__call__", noisy)
            found = training.train(name, "cpu", "float64", compile=False).history.steps
        reference = training.expected(name, "float64").history.steps
        return float(np.max(np.abs(np.divide(found, reference) - 1))) * 2**52

    assert deviation(4) < training.LIMIT < deviation(2000)


def test_short_names_leave_out_defaults() -> None:
    assert short(dlarray.GELU()) == "GELU()"
    assert short(dlarray.GELU("tanh")) == "GELU(approximate='tanh')"
    assert short(3) == "3"


def failing(run: Callable[[Column], float | None]) -> str:
    return runner.run(columns("cpu")[0], [Check("part", "name", run, limit=1.0)])[0].reason


def test_a_failure_says_where() -> None:
    from dlarray.testing.formula import beside, largest

    def wrong(x: Any) -> dict[str, Any]:
        return {"y": x + (1e-12 if type(x) is np.ndarray and x.flags.owndata else 0)}

    def raising(x: Any) -> dict[str, Any]:
        raise TypeError("no such function")

    x = np.arange(3.0)
    assert failing(lambda c: largest([("Formula()", lambda: beside(c, raising, x))])) == (
        "Formula(): TypeError: no such function"
    )
    assert failing(lambda c: largest([("a", lambda: 0.5), ("b", lambda: 3.0)])).startswith("b: off by 3 ulp, allowed 1")
