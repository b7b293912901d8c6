"""Checks of arguments: what passes, what does not, and the messages."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from dlarray.core import check

NAN, INF = float("nan"), float("inf")

NUMBERS = {
    check.finite: ([0, -1.5, 3, np.float32(2), np.int64(-3), Fraction(1, 2)], [NAN, INF, -INF, np.float32("inf")]),
    check.positive: ([1e-300, 1, np.float32(2)], [0, 0.0, -1, NAN, INF]),
    check.non_negative: ([0, 0.0, -0.0, 1e300], [-1e-300, -1, NAN, INF]),
    check.fraction: ([0, 0.0, 0.5, np.nextafter(1, 0)], [1, 1.0, -1e-300, 2, NAN, INF]),
}
ACCEPTED = [(f, value) for f, (good, _) in NUMBERS.items() for value in good]
REFUSED = [(f, value) for f, (_, bad) in NUMBERS.items() for value in bad]
NO_NUMBERS = [None, "1", True, np.bool_(True), 1j, [1.0], np.zeros(1), np.zeros(())]


@pytest.mark.parametrize(("f", "value"), ACCEPTED)
def test_numbers_that_pass_come_back_as_python_s_own(f, value):
    assert f("x", value) == value
    assert type(f("x", value)) is float


@pytest.mark.parametrize(("f", "value"), REFUSED)
def test_numbers_out_of_range(f, value):
    with pytest.raises(ValueError, match="^slope must .*, got ") as caught:
        f("slope", value)
    assert str(caught.value).endswith(repr(value))


@pytest.mark.parametrize("f", [*NUMBERS, check.at_least_one])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number(f, value):
    with pytest.raises(TypeError, match="^slope must be a (real|whole) number, got "):
        f("slope", value)


@pytest.mark.parametrize("value", [1, 2**40, np.int32(3)])
def test_whole_numbers_of_at_least_one(value):
    assert check.at_least_one("units", value) == value
    assert type(check.at_least_one("units", value)) is int


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (NAN, TypeError)])
def test_whole_numbers_that_are_not(value, error):
    with pytest.raises(error, match="^units must be "):
        check.at_least_one("units", value)


def test_one_of():
    assert check.one_of("reduction", "mean", ["mean", "sum"]) == "mean"
    assert check.one_of("reduction", "sum", (word for word in ("mean", "sum"))) == "sum"
    with pytest.raises(ValueError, match="unknown reduction 'maen', did you mean 'mean'.; choose from mean, sum"):
        check.one_of("reduction", "maen", ["mean", "sum"])
    with pytest.raises(ValueError, match="unknown reduction None; choose from"):
        check.one_of("reduction", None, ["mean", "sum"])


@pytest.mark.parametrize(
    ("word", "meant"), [("rellu", "relu"), ("RELU", "relu"), ("relu", "relu"), ("xyz", None), ("", None), (3, None)]
)
def test_did_you_mean(word, meant):
    assert check.did_you_mean(word, ["relu", "gelu", "tanh"]) == (f", did you mean '{meant}'?" if meant else "")


def test_plain_numbers_are_weak():
    @dataclass(frozen=True)
    class Configuration:
        rate: float
        units: int
        name: str = "x"
        flag: bool = True
        nothing: float | None = None

        def __post_init__(self):
            check.plain_numbers(self)

    made = Configuration(np.float64(0.5), np.int64(3))
    assert made == Configuration(0.5, 3)
    assert [type(value) for value in vars(made).values()] == [float, int, str, bool, type(None)]
    assert (np.float32(1) * made.rate).dtype == np.float32
