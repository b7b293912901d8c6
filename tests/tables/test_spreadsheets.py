"""Spreadsheets: typed columns, titles above the names, sheets, and files that are damaged."""

from __future__ import annotations

import datetime as dt
import io
import warnings
from pathlib import Path
from typing import Any

import pytest

pl = pytest.importorskip("polars")
pytest.importorskip("fastexcel")
xlsxwriter = pytest.importorskip("xlsxwriter")

from dlarray import tables  # noqa: E402
from dlarray.tables import ReadOptions, TableWarning  # noqa: E402


def book(folder: Path, **sheets: list[list[Any]]) -> Path:
    path = folder / "t.bin"
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"default_date_format": "yyyy-mm-dd"}) as file:
        for name, rows in sheets.items():
            sheet = file.add_worksheet(name)
            for i, row in enumerate(rows):
                for j, cell in enumerate(row):
                    if cell is not None:
                        sheet.write(i, j, cell)
    path.write_bytes(data.getvalue())
    return path


def read(path: Path, options: ReadOptions | None = None) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = tables.read(path, options)
    assert all(w.category is TableWarning for w in caught)
    return frame, [str(w.message).replace(f"{path}: ", "") for w in caught]


def test_a_sheet_keeps_types_and_16_digits(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "n": [1, 2, None],
            "x": [1 / 3, 1e-12, 123456.789012345],
            "b": [True, None, False],
            "d": [dt.date(2024, 2, 29), None, dt.date(1999, 12, 31)],
            "word": ["a", "b,c", None],
            "code": ["007", "012", "100"],
        }
    )
    frame.write_excel(tmp_path / "t.xlsx")
    found, notes = read(tmp_path / "t.xlsx")
    assert notes == []
    assert found["x"].to_list() == pytest.approx(frame["x"].to_list(), rel=1e-15)
    assert found.drop("x").equals(frame.drop("x"))
    assert found.schema == frame.schema


def test_a_column_of_several_types_is_read_as_text(tmp_path: Path) -> None:
    rows = [["a", "b"], [1, "x"], ["n/a", 2], [3.5, "y"]]
    found, _ = read(book(tmp_path, One=rows))
    assert found.to_dict(as_series=False) == {"a": [1.0, None, 3.5], "b": ["x", "2", "y"]}


def test_a_title_above_the_names_and_names_that_repeat(tmp_path: Path) -> None:
    rows = [["Report of 2020"], [], ["a", "b", "a", None], [1, 2, 3, None], [4, 5, 6, None]]
    found, notes = read(book(tmp_path, One=rows))
    assert found.to_dict(as_series=False) == {"a": [1, 4], "b": [2, 5], "a_2": [3, 6]}
    assert notes == [
        "sheet 'One' has no table in its first 2 rows, such as 'Report of 2020'",
        "repeated names of columns are changed to 'a_2'",
    ]
    assert read(book(tmp_path, One=rows), ReadOptions(skip_lines=2))[0].columns == ["a", "b", "a_2"]


def test_the_first_sheet_with_cells_is_read_unless_another_is_chosen(tmp_path: Path) -> None:
    path = book(tmp_path, Empty=[], One=[["a"], [1]], Two=[["b"], [2]])
    found, notes = read(path)
    assert found.to_dict(as_series=False) == {"a": [1]}
    assert notes == ["its sheet 'One' is read, not 'Empty', 'Two'; --sheet or ReadOptions(sheet=…) chooses"]
    assert read(path, ReadOptions(sheet="Two"))[0].to_dict(as_series=False) == {"b": [2]}
    with pytest.raises(ValueError, match="has no sheet 'Three'; it has 'Empty', 'One', 'Two'"):
        read(path, ReadOptions(sheet="Three"))
    with pytest.raises(ValueError, match="has no sheet with cells"):
        read(path, ReadOptions(sheet="Empty"))
    with pytest.raises(ValueError, match="sheet 'One' has no rows after the first 2 rows"):
        read(path, ReadOptions(sheet="One", skip_lines=2))
    with pytest.raises(ValueError, match="has column names but no rows"):
        read(book(tmp_path, One=[["a", "b"]]))


def test_damaged_spreadsheets_are_refused(tmp_path: Path) -> None:
    path = book(tmp_path, One=[["a"], [1]])
    data = path.read_bytes()
    for end in range(30, len(data) - 1, 301):
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match=str(path)):
            read(path)
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(ValueError, match="is not a complete spreadsheet"):
        read(path)
