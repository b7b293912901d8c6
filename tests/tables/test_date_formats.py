"""Dates that are not ISO 8601: one format for a column, the order of day and month, and what a model keeps of it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import Column, Date, Preprocessing, ReadOptions, Table, TableWarning  # noqa: E402
from dlarray.tables.date_formats import as_formatted, date_formats  # noqa: E402
from tests.support.tables import SETTINGS, with_warnings, written  # noqa: E402

N = 60
DAYS = [
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%b %d %Y", "%d %b %Y", "%d-%b-%Y", "%B %d, %Y"),
    *("%Y%m%d", "%d/%m/%y", "%m/%d/%y", "%A, %d %B %Y", "%Y.%m.%d", "%Y %b %d", "%d%b%Y", "%a %b %d %Y"),
]
TIMES = ["", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S%p", " %H:%M:%S.%f"]


def moments(seed: int, resolution: str = "us") -> list[datetime.datetime]:
    """Random moments from 1931 to 2029."""
    random = np.random.default_rng(seed)
    start = datetime.datetime(1931, 1, 1)
    unit = {"us": 1e-6, "s": 1, "min": 60, "day": 86400}[resolution]
    return [start + datetime.timedelta(seconds=int(s / unit) * unit) for s in random.uniform(0, 3.1e9, N)]


def read(cells: list[str], path: Path, **options: Any) -> tuple[Any, list[str]]:
    written(path, {"c": cells, "other": ["word"] * len(cells)})
    frame, notes = with_warnings(lambda: tables.read(path, ReadOptions(**options)))
    return frame["c"], notes


@pytest.mark.parametrize("time", TIMES, ids=lambda form: form or "no time")
@pytest.mark.parametrize("day", DAYS)
def test_a_column_of_dates_is_read_as_pandas_reads_it_by_the_format(day: str, time: str, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    resolution = "us" if "%f" in time else "s" if "%S" in time else "min" if time else "day"
    cells = [moment.strftime(day + time) for moment in moments(len(day), resolution)]
    found, notes = read(cells, tmp_path / "t.csv")
    theirs = pandas.to_datetime(pandas.Series(cells), format=day + time)
    expected = [t.to_pydatetime() if t.year < 2030 else t.to_pydatetime().replace(year=t.year - 100) for t in theirs]
    assert found.cast(pl.Datetime("us")).to_list() == expected
    assert len(notes) == 1
    assert f"column 'c': '{cells[0]}' is read as {found[0]}, with the format %" in notes[0]


@pytest.mark.parametrize("day", DAYS)
def test_a_date_is_read_as_dateutil_reads_it(day: str, tmp_path: Path) -> None:
    parser = pytest.importorskip("dateutil.parser")
    cells = [moment.strftime(day) for moment in moments(3, "day")]
    found, _ = read(cells, tmp_path / "t.csv")
    for cell, date in zip(cells, found, strict=True):
        theirs = parser.parse(cell, dayfirst=day.startswith("%d"))
        assert (date.month, date.day, date.year % 100) == (theirs.month, theirs.day, theirs.year % 100)


@pytest.mark.parametrize(
    ("cells", "expected", "note"),
    [
        (["01/02/2000", "03/04/2001"], ["2000-01-02", "2001-03-04"], "use --date-format '%d/%m/%Y'"),
        (["01.02.2000", "03.04.2001"], ["2000-02-01", "2001-04-03"], "use --date-format '%m.%d.%Y'"),
        (["01/13/2000", "03/04/2001"], ["2000-01-13", "2001-03-04"], "with the format %m/%d/%Y"),
        (["13/01/2000", "03/04/2001"], ["2000-01-13", "2001-04-03"], "with the format %d/%m/%Y"),
        (["2000-01", "2001-12"], ["2000-01-01", "2001-12-01"], "with the format %Y-%m"),
        (["Jan 2000", "December 2001"], ["2000-01-01", "2001-12-01"], "with the format %B %Y"),
        (["1999-Dec", "2000-Jan"], ["1999-12-01", "2000-01-01"], "with the format %Y-%B"),
        (["1/2/30", "1/13/29"], ["1930-01-02", "2029-01-13"], "with the format %m/%d/%y"),
        (["12/31/1999 13:05", "1/1/2000"], ["1999-12-31 13:05:00", "2000-01-01 00:00:00"], "%m/%d/%Y %H:%M"),
        (["1-2-3", "4-5-6"], None, None),
        (["31.02.2000", "32.01.2000"], None, None),
        (["1/2", "3/4"], None, None),
        (["13/13/2000", "14/14/2000"], None, None),
    ],
)
def test_day_and_month_and_what_is_reported(
    cells: list[str], expected: list[str] | None, note: str | None, tmp_path: Path
) -> None:
    found, notes = read(cells, tmp_path / "t.csv")
    assert [str(value) for value in found] == (expected or cells)
    assert len(notes) == (note is not None)
    assert note is None or notes[0].endswith(note)
    assert note is None or ("if it is another" in notes[0]) == ("--date-format" in note)


def test_another_column_of_the_file_decides_the_order_of_day_and_month(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", {"a": ["01/02/2000", "03/04/2001"], "b": ["13/01/2000", "1/2/2001"]})
    frame, notes = with_warnings(lambda: tables.read(path))
    assert [str(value) for value in frame["a"]] == ["2000-02-01", "2001-04-03"]
    assert not [note for note in notes if "if it is another" in note]


def test_the_format_can_be_given(tmp_path: Path) -> None:
    cells = ["01/02/2000", "03/04/2001"]
    found, notes = read(cells, tmp_path / "t.csv", date_format="%d/%m/%Y")
    assert ([str(value) for value in found], notes) == (["2000-02-01", "2001-04-03"], [])
    found, _ = read(["1|2|2000", "3|4|2001"], tmp_path / "t.csv", date_format="%d|%m|%Y")
    assert [str(value) for value in found] == ["2000-02-01", "2001-04-03"]
    found, notes = read(["01/02/2000 10:30", "03/04/2001 11:00"], tmp_path / "t.csv", date_format="%d/%m/%Y")
    assert [str(value) for value in found] == ["2000-02-01 10:30:00", "2001-04-03 11:00:00"]
    assert notes == []
    path = written(tmp_path / "t.csv", {"c": cells})
    with pytest.raises(ValueError, match="no column has dates in the format '%Y_%m_%d'"):
        tables.read(path, ReadOptions(date_format="%Y_%m_%d"))


def test_integers_are_dates_if_all_of_them_can_be(tmp_path: Path) -> None:
    days = [moment.strftime("%Y%m%d") for moment in moments(1, "day")]
    assert read(days, tmp_path / "t.csv")[0].dtype == pl.Date
    assert read([*days[:50], *["0"] * 10], tmp_path / "t.csv")[0].dtype == pl.Int64
    assert read([str(int(day) + 50) for day in days], tmp_path / "t.csv")[0].dtype == pl.Int64
    few = days[:3]
    assert read(few, tmp_path / "t.csv")[0].dtype == pl.Int64
    for name, dtype in (("date", pl.Date), ("saleDate", pl.Date), ("price", pl.Int64), ("update_count", pl.Int64)):
        written(tmp_path / "t.csv", {name: few})
        assert with_warnings(lambda: tables.read(tmp_path / "t.csv"))[0][name].dtype == dtype
    assert read(few, tmp_path / "t.csv", number=["c"])[0].dtype == pl.Int64
    frame = pl.DataFrame({"c": [int(day) for day in days]})
    with pytest.warns(TableWarning, match="with the format %Y%m%d"):
        table = Table.of(frame, ReadOptions(date=["c"]))
    (date,) = Preprocessing.fit(table).columns
    text = pl.Series("c", days)
    np.testing.assert_array_equal(date.transform(frame["c"]), date.transform(text))
    np.testing.assert_array_equal(date.transform(text.str.to_date("%Y%m%d")), date.transform(text))


def test_a_model_reads_each_date_by_the_format_of_training_or_as_iso(tmp_path: Path) -> None:
    cells = [moment.strftime("%d/%m/%Y") for moment in moments(7, "day")]
    path = written(tmp_path / "t.csv", {"c": cells, "y": [str(i / 4) for i in range(N)]})
    with pytest.warns(TableWarning, match="with the format %d/%m/%Y"):
        model = tables.train(path, "y", **SETTINGS)
    model.save(tmp_path / "m")
    (date,) = tables.load(tmp_path / "m", "cpu").preprocessing.columns
    assert isinstance(date, Date)
    assert date.description.startswith("days, scaled; sin and cos of the year; sin and cos of the week; written as %d")
    assert Column.from_data(json.loads(json.dumps(date.as_data()))) == date
    alone = date.transform(pl.Series("c", ["01/02/2000"]))  # which alone would have the month first
    np.testing.assert_array_equal(alone, date.transform(pl.Series("c", [datetime.date(2000, 2, 1)])))
    np.testing.assert_array_equal(alone, date.transform(pl.Series("c", ["2000-02-01"])))
    with pytest.raises(ValueError, match="held dates in training and holds numbers here, such as '5'"):
        date.transform(pl.Series("c", ["5"]))


def test_no_example_has_more_than_two_formats_and_each_reads_it() -> None:
    for moment in moments(11, "min"):
        for day in DAYS:
            for time in TIMES[:2]:
                example = moment.strftime(day + time)
                formats = date_formats(example)
                assert 1 <= len(formats) <= 2
                assert any(as_formatted(pl.Series([example]), form).count() for form in formats)
    for text in ("12:30", "3.5", "10.0.0.1", "hello 5", "12 Main Street 2000", "555-1234", "", "1/2/20000"):
        assert date_formats(text) == []
