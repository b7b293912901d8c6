"""Rows that may be no observations are noted before training."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import TableWarning  # noqa: E402
from tests.support.tables import messages, written  # noqa: E402

rng = np.random.default_rng(6)
N = 120
Y = rng.normal(50, 10, N).round(3)


def notes(y: Any, **options: Any) -> list[str]:
    frame = y if isinstance(y, (Path, pl.DataFrame)) else pl.DataFrame({"x": np.linspace(0, 1, len(y)), "y": y})
    found = messages(lambda: tables.prepare(frame, "y", device="cpu", **options))
    return [note for note in found if "far from" in note or "last row" in note]


def changed(*values: float) -> Any:
    y = Y.copy()
    y[5 : 5 + len(values)] = values
    return y


def test_a_far_value_that_many_rows_have_may_mean_missing(tmp_path: Path) -> None:
    (note,) = notes(changed(*[-999.0] * 12))
    assert note.startswith("column 'y': 12 rows are exactly -999.0, far from the others: if that means missing, make")
    columns = {"x": [f"{i / 7:.3f}" for i in range(N)], "y": [f"{v:.9g}" for v in changed(*[999999999] * 3)]}
    path = written(tmp_path / "t.csv", columns)
    (note,) = notes(path)
    remedy = note.split("--missing ")[1]
    with pytest.warns(TableWarning, match="have no target"):
        assert len(tables.prepare(path, "y", missing=[remedy], device="cpu").table) == N - 3


@pytest.mark.parametrize("far", [1e9, -1e9, 1e100])
def test_a_single_far_value_is_noted(far: float) -> None:
    (note,) = notes(changed(far))
    assert "one row is" in note
    assert "decides the metrics" in note


def test_dates_can_be_far_too() -> None:
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(N)]
    (note,) = notes([*days, datetime.date(9999, 12, 31)])
    assert "one row is 9999-12-31" in note


@pytest.mark.parametrize(
    "y",
    [
        Y,
        np.where(Y > 55, 0, Y),  # many zeros
        np.minimum(Y, 60),  # values cut off at a limit
        np.exp(Y / 10),
        np.exp(np.random.default_rng(1).normal(0, 2, 1000)),
    ],
)
def test_ordinary_values_are_not_noted(y: Any) -> None:
    assert notes(y) == []


@pytest.mark.parametrize("word", ["Total", "Grand total", "SUM:", "mean"])
def test_a_last_row_of_totals_is_noted(word: str, tmp_path: Path) -> None:
    names = [f"shop {i % 3}" for i in range(N)]
    columns = {"shop": [*names, word], "x": [*map(str, range(N)), ""], "y": [*map(str, Y), str(Y.sum().round(3))]}
    assert notes(written(tmp_path / "t.csv", columns))[0] == (
        f"column 'shop': the last row has {word!r}: if it is no observation, remove it from the table"
    )
    frame = pl.DataFrame({"kind": ["mean", "sum"] * 60, "y": Y})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables.prepare(frame, "y", device="cpu")
