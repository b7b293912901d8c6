"""Numbers as text: decimal marks and thousands separators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402  # noqa: E402
    Number,
    TableWarning,
)
from tests.support.tables import SETTINGS, with_warnings, written  # noqa: E402


@pytest.mark.parametrize(
    ("text", "separator", "expected", "note"),
    [
        (["1,037.50", "12.25", "-1,000,000.5"], ",", [1037.5, 12.25, -1000000.5], "'1,037.50' is read as 1037.5"),
        (["1,037", "999"], ",", [1037, 999], "'1,037' is read as 1037, with thousands separators"),
        (["1.037,50", "12,25"], ";", [1037.5, 12.25], "'1.037,50' is read as 1037.5"),
        (["1 037,50", "12,25"], ";", [1037.5, 12.25], "is read as 1037.5"),
        (["1\u00a0037", "12"], ";", [1037, 12], "is read as 1037"),
        (["1'037.50", "12"], ",", [1037.5, 12], "is read as 1037.5"),
        (["999", "1.234", "2.500"], ";1,5", [999, 1234, 2500], "'1.234' is read as 1234, with thousands"),
        (["1.234", "2.345"], ";1,5", [1234, 2345], "'1.234' is read as 1234, with thousands"),
        (["1,234", "2,345"], ";1.5", [1234, 2345], "'1,234' is read as 1234, with thousands"),
        (["998", "999", "1.000"], ";", [998, 999, 1000], "'1.000' is read as 1000, with thousands"),
        (["998", "999", "1.000"], ",", [998, 999, 1], "'1.000' is read as 1, with a decimal point"),
        (["999", "1.234"], ";", [999, 1.234], "'1.234' is read as 1.234, with a decimal point"),
        (["1.234", "2.345"], ";", [1.234, 2.345], "'1.234' is read as 1.234, with a decimal point"),
        (["1,234", "2,345"], ";", [1.234, 2.345], "'1,234' is read as 1.234, with a decimal comma"),
        (["1.234", "2.345"], ",", [1.234, 2.345], None),
        (["1.234", "2.345"], ";1.5", [1.234, 2.345], None),
        (["1.234", "0.5", "7"], ";", [1.234, 0.5, 7], None),
        (["1,5", "2"], ";", [1.5, 2], None),
        (["1.234e5", "2.500e3"], ";", [123400, 2500], None),
        (["1,234e5", "2,500e3"], ";", [123400, 2500], None),
        (["1,234e5", "1"], ",", [123400, 1], "'1,234e5' is read as 123400, with a decimal comma"),
        (["1.5", "2,5"], ";", ["1.5", "2,5"], None),
        (["1,23,456", "1"], ";", ["1,23,456", "1"], None),
        (["1234,567.5"], ",", ["1234,567.5"], None),
        (["079 123 456", "1"], ";", ["079 123 456", "1"], None),
    ],
)
def test_thousands_are_recognised_or_a_note_says_what_was_assumed(
    text: list[str], separator: str, expected: list[Any], note: str | None, tmp_path: Path
) -> None:
    """``separator`` is the separator, and optionally a number for another column."""
    columns = {"v": text, "b": [separator[1:] or "word"] * len(text)}
    frame, notes = with_warnings(lambda: tables.read(written(tmp_path / "t.csv", columns, separator[0])))
    assert frame["v"].to_list() == expected
    assert len(notes) == (note is not None)
    assert not note or f"column 'v': {note}" in notes[0] or note in notes[0]


def test_numbers_are_read_by_the_decimal_mark_of_training(tmp_path: Path) -> None:
    columns = {"v": ["999", "1.234", "2.500"] * 10, "b": ["1,5", "2,5", "3,5"] * 10, "y": ["p", "q", "q"] * 10}
    with pytest.warns(TableWarning, match="'1.234' is read as 1234"):
        model = tables.train(written(tmp_path / "t.csv", columns, ";"), "y", **SETTINGS)
    model.save(tmp_path / "m")
    model = tables.load(tmp_path / "m", "cpu")
    v, b = model.preprocessing.columns
    assert isinstance(v, Number)
    assert (v.format.decimal, v.median) == (",", 1234)
    new = pl.DataFrame({"v": ["1.234", "1234", "1234,0", "1 234"], "b": ["1,5"] * 4})
    x = model.inputs(new)
    np.testing.assert_allclose(x[:, 0], (1234 - v.mean) / v.scale, rtol=1e-6)
    _, notes = with_warnings(lambda: b.transform(pl.Series("b", ["1.5", "1,5"])))
    assert "column 'b': 1 value cannot be read as a number, treated as missing" in notes


def test_without_a_decimal_mark_in_training_each_value_tells_its_own() -> None:
    number = Number("v", 0, 0.0, 0.0, 1.0)
    values = ["1.5", "1,5", "1.037,5", "1,037.5", "1.234", "1234,5678"]
    assert number.transform(pl.Series("v", values)).ravel().tolist() == pytest.approx(
        [1.5, 1.5, 1037.5, 1037.5, 1.234, 1234.5678]
    )
    _, notes = with_warnings(lambda: number.transform(pl.Series("v", ["1,234"])))  # a comma alone could be either
    assert "column 'v': 1 value cannot be read as a number, treated as missing" in notes
    with pytest.warns(TableWarning, match="read with a decimal point"):
        assert number.transform(pl.Series("v", ["999", "1.000"])).ravel().tolist() == [999, 1]
