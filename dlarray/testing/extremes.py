"""Formulas at extreme inputs: large, tiny and subnormal numbers, signed zeros, infinities and NaN.

The expected values are a table, ``exact.json``: computed in exact arithmetic, with 120 digits, and rounded to float64.
Each has a size, |f| + Σ |x ∂f/∂x| over the arguments x: a deviation of one ulp of that size is what one rounding of the
arguments changes, so it comes with any formula. Subnormal numbers have a check of their own, because some libraries
replace them by 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from dlarray.activations import LogSoftmax, Softmax
from dlarray.core import special
from dlarray.core.array import Array, array_namespace
from dlarray.losses import CategoricalCrossEntropy, Focal, Huber, KLDivergence, Loss, Pinball
from dlarray.testing import activations, loss_cases
from dlarray.testing.check import Check, Deviation
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import largest, short

__all__ = ["LIMIT", "Given", "Values", "checks", "exact"]

LIMIT = 8.0
"""In ulp of the size that the table gives; for subnormal numbers, in units of the smallest one besides."""


OTHER_LOSSES: list[Loss] = [
    Huber(0.5, reduction="none"),
    Pinball(0.75, reduction="none"),
    Focal(gamma=0.0, reduction="none"),
]
"""Losses whose table is for other numbers than their defaults."""


@cache
def exact() -> dict[str, Any]:
    """The table."""
    return json.loads(Path(__file__).with_name("exact.json").read_text(encoding="utf-8"))


class Values(NamedTuple):
    """What a formula found, what it should be, the size of each value, and its argument."""

    found: Array
    expected: np.ndarray
    size: np.ndarray
    x: np.ndarray
    function: bool = False
    """Whether it is a function of the library itself."""


def checks() -> list[Check]:
    """One check for each function, activation and loss, and one for subnormal numbers."""
    return [
        *(Check("extremes", name, partial(_normal, values), BASIC, LIMIT) for name, values in _formulas().items()),
        Check("extremes", "subnormal numbers", _subnormal, BASIC, LIMIT),
    ]


Given = Callable[[Column], Iterator[tuple[str, Values]]]
"""What is computed on a column: by name, such as "forward"."""


def _formulas() -> dict[str, Given]:
    """By the names of the checks."""
    table = exact()
    found: dict[str, Given] = {f"xp.{name}": partial(_function, name) for name in table["functions"]}
    found |= {name: partial(_special, name) for name in table["special"]}
    found |= {short(f): partial(_activation, f) for f in activations.cases() if repr(f) in table["activations"]}
    losses = [*(loss for loss in loss_cases.LOSSES if loss.reduction == "none"), *OTHER_LOSSES]
    found |= {_loss_name(loss): partial(_loss, loss) for loss in losses if repr(loss) in table["losses"]}
    return found | {"Softmax() and LogSoftmax()": _softmax, "losses of rows": _losses_of_rows}


def _loss_name(loss: Loss) -> str:
    """The table has the terms of losses, before a reduction."""
    return short(replace(cast("Any", loss), reduction="mean"))


def _inputs(column: Column, values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Those that the column's dtype can represent, and where they are in the list."""
    given = np.array(values)
    with np.errstate(over="ignore"):
        known = given.astype(column.dtype).astype(np.float64) == given
    return given[known], known


def _function(name: str, column: Column) -> Iterator[tuple[str, Values]]:
    x, known = _inputs(column, exact()["inputs"])
    entry = exact()["functions"][name]
    given = column.array(np.append(x, np.nan))
    found = getattr(array_namespace(given), name)(given)
    expected, size = (np.append(np.array(entry[key])[known], np.nan) for key in ("value", "size"))
    yield "", Values(found, expected, size, np.append(x, np.nan), function=True)
    zero = (x == 0) & (expected[:-1] == 0)
    wrong = np.signbit(column.numpy(found)[:-1][zero]) != np.signbit(expected[:-1][zero])
    assert not np.any(wrong), f"the sign of {name}(-0.0) is lost"


def _special(name: str, column: Column) -> Iterator[tuple[str, Values]]:
    x, known = _inputs(column, exact()["inputs"])
    entry = exact()["special"][name]
    found = getattr(special, name)(column.array(np.append(x, np.nan)))
    expected, size = (np.append(np.array(entry[key])[known], np.nan) for key in ("value", "size"))
    yield "", Values(found, expected, size, np.append(x, np.nan))


def _activation(f: Any, column: Column) -> Iterator[tuple[str, Values]]:
    """NaN gives NaN; its derivative is a number where a comparison selects it."""
    x, known = _inputs(column, exact()["inputs"])
    entry = exact()["activations"][repr(f)]
    y, saved = f.forward(column.array(np.append(x, np.nan)))
    dz = f.backward(saved, column.array(np.ones(x.size + 1)))
    expected, size = (np.append(np.array(entry["forward"][key])[known], np.nan) for key in ("value", "size"))
    yield "forward", Values(y, expected, size, np.append(x, np.nan))
    slope, size = (np.array(entry["backward"][key])[known] for key in ("value", "size"))
    if repr(f) == "Tanh()":
        size = np.maximum(size, 1.0)  # 1 - a² has the rounding of 1
    yield "backward", Values(dz[: x.size], slope, size, x)


def _loss(loss: Loss, column: Column) -> Iterator[tuple[str, Values]]:
    z, known = _inputs(column, exact()["outputs"])
    entry = exact()["losses"][repr(loss)]
    t = np.repeat(np.array(entry["targets"]), z.size)
    x, known = np.tile(z, len(entry["targets"])), np.tile(known, len(entry["targets"]))
    value, dz = loss_cases.value_and_slope(loss)(column.array(x[:, None]), column.array(t[:, None]))
    for name, found in (("value", value), ("gradient", dz)):
        expected, size = (np.array(entry[name][key])[known] for key in ("value", "size"))
        yield name, Values(found[:, 0], expected, size, x)


def _rows(column: Column) -> tuple[np.ndarray, list[int]]:
    """The rows that the column's dtype can represent, and their numbers."""
    rows = exact()["rows"]["rows"]
    known = [i for i, row in enumerate(rows) if all(_inputs(column, row)[1])]
    return np.array([rows[i] for i in known]), known


def _softmax(column: Column) -> Iterator[tuple[str, Values]]:
    """exp(z - max) makes |log q| roundings of that of the difference."""
    rows, known = _rows(column)
    z, x = column.array(rows), np.ones(rows.shape)
    q, log_q = (np.array(exact()["rows"][name])[known] for name in ("softmax", "log_softmax"))
    yield "Softmax", Values(Softmax().predict(z), q, q * (1 + np.abs(log_q)), x)
    yield "LogSoftmax", Values(LogSoftmax().predict(z), log_q, np.maximum(np.abs(log_q), 1), x)


def _losses_of_rows(column: Column) -> Iterator[tuple[str, Values]]:
    rows, known = _rows(column)
    targets = np.array(exact()["rows"]["targets"])
    n, k = len(rows), len(targets)
    z, t = column.array(np.repeat(rows, k, axis=0)), column.array(np.tile(targets, (n, 1)))
    slope = np.array(exact()["rows"]["slope"]).reshape(-1, k, rows.shape[1])[known].reshape(n * k, -1)
    for name, cls in (("cross_entropy", CategoricalCrossEntropy), ("kl", KLDivergence)):
        value, dz = loss_cases.value_and_slope(cls(reduction="none"))(z, t)
        expected = np.array(exact()["rows"][name]).reshape(-1, k)[known].reshape(n * k)
        yield f"{name}, value", Values(value, expected, np.maximum(np.abs(expected), 1), np.ones(n * k))
        yield f"{name}, gradient", Values(dz, slope, np.ones(slope.shape), np.ones(slope.shape))


def _normal(given: Given, column: Column) -> Deviation:
    return largest((name, partial(_deviation, column, values)) for name, values in given(column))


def _subnormal(column: Column) -> Deviation:
    return largest(
        (f"{formula} {name}".strip(), partial(_deviation, column, values, True))
        for formula, given in _formulas().items()
        for name, values in given(column)
    )


def _deviation(column: Column, values: Values, subnormal: bool = False) -> Deviation:
    """The largest deviation where all numbers are normal, or where one is subnormal.

    Numbers up to 10⁴ times the smallest normal one count as subnormal: a factor of theirs may be.
    """
    limits = np.finfo(column.dtype)
    found = column.numpy(values.found)
    assert found.dtype == column.dtype, f"the result has the dtype {found.dtype}, the input has {column.dtype}"
    assert found.shape == values.expected.shape, f"shape {found.shape}, expected {values.expected.shape}"
    expected = np.where(np.abs(values.expected) > limits.max, np.copysign(np.inf, values.expected), values.expected)
    tiny = float(limits.tiny)
    small = (values.x != 0) & (np.abs(values.x) < tiny)
    small |= (values.expected != 0) & (np.abs(values.expected) < 1e4 * tiny)
    chosen = small if subnormal else ~small
    found, expected, size, x = (a[chosen] for a in (found.astype(np.float64), expected, values.size, values.x))
    known = np.isfinite(expected)
    same = np.where(known, np.isfinite(found), (found == expected) | (np.isnan(found) & np.isnan(expected)))
    assert np.all(same), _at(int(np.argmin(same)), x, found, expected)
    error = np.abs(found - expected, where=known, out=np.zeros(known.shape))
    if not values.function:
        error[error < tiny] = 0.0  # what a function leaves of an underflow is a fault of that function alone
    unit = column.eps * np.where(known, np.maximum(size, tiny), 1.0)
    if subnormal:
        unit = unit + float(limits.smallest_subnormal) * np.clip(np.abs(x), 1.0, 1e3)
    if not error.size:
        return Deviation()
    ulp = error / unit
    worst = int(np.argmax(ulp))
    return Deviation(float(ulp.flat[worst]), _at(worst, x, found, expected) if ulp.flat[worst] > 1 else "")


def _at(i: int, x: np.ndarray, found: np.ndarray, expected: np.ndarray) -> str:
    return f"at {x.flat[i]:.9g} found {found.flat[i]:.9g}, expected {expected.flat[i]:.9g}"
