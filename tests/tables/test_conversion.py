"""A saved model reads new values by its stored kinds: text, types, values, and columns of another kind."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402  # noqa: E402
    Category,
    Date,
    Preprocessing,
    ReadOptions,
    Table,
    TableWarning,
)
from dlarray.tables.text_format import TextFormat  # noqa: E402
from tests.support.tables import SETTINGS, with_warnings, written  # noqa: E402

N = 30


# Text, types and values


def test_a_category_of_numbers_is_known_by_its_value_and_one_of_text_by_its_text() -> None:
    def fitted(cells: list[str], decimal: str | None = None) -> Category:
        table = Table.of(pl.DataFrame({"c": cells}))
        numbers = pl.Series("c", [float(c.replace(",", ".")) if c[0].isdigit() else None for c in cells])
        typed = table.typed if numbers.has_nulls() else pl.DataFrame({"c": numbers})
        form = {"c": TextFormat("text" if numbers.has_nulls() else "values", decimal=decimal)}
        return Category.fit(Table(typed, table.raw, form)["c"], 9)

    codes = fitted(["1.0", "2.0", "2.0", "2"])
    assert codes.categories == ("1.0", "2.0")  # the more frequent spelling
    for values in (["1", "2"], ["1.0", "2.00"], [1, 2], [1.0, 2.0]):
        assert codes.transform(pl.Series("c", values)).tolist() == [[1, 0], [0, 1]]
    comma = fitted(["1,5", "2,5"], ",")
    assert comma.categories == ("1,5", "2,5")
    assert comma.transform(pl.Series("c", ["2,50", "1,5"])).tolist() == [[0, 1], [1, 0]]
    assert comma.transform(pl.Series("c", [2.5, 1.5])).tolist() == [[0, 1], [1, 0]]
    thousands = Category("c", 0, ("1.234", "1,5"), 0, "numbers", format=TextFormat(decimal=","))
    assert thousands.transform(pl.Series("c", [1234.0])).tolist() == [[1, 0]]
    text = fitted(["1.50", "2.50", "none of them"])
    assert text.transform(pl.Series("c", [2.5, 1.5])).tolist() == [[0, 1, 0], [1, 0, 0]]  # a frame's floats
    with pytest.warns(TableWarning, match="1 unknown value"):
        assert text.transform(pl.Series("c", ["1.5"])).tolist() == [[0, 0, 0]]


def test_a_code_is_no_number() -> None:
    """In a CSV the code 7 is not 007, so the number 7 of a Parquet file is not either."""
    codes = Category("c", 0, ("001", "007", "10"), 0)
    for values in (["7", "10"], [7, 10], [7.0, 10.0]):
        with pytest.warns(TableWarning, match="1 unknown value"):
            assert codes.transform(pl.Series("c", values)).tolist() == [[0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("categories", "values"),
    [
        (("False", "True", "unknown"), [True, False]),
        (("2020-01-01", "soon"), [datetime.date(2020, 1, 1)]),
        (("2020-01-01 10:00", "soon"), [datetime.datetime(2020, 1, 1, 10)]),
        (("10:30", "noon"), [datetime.time(10, 30)]),
    ],
)
def test_a_frame_s_types_are_known_among_categories_of_text(categories: tuple[str, ...], values: list[Any]) -> None:
    category = Category("c", 0, categories, 0)
    shown = [categories.index(str(v)[: len(categories[0])] if not isinstance(v, bool) else str(v)) for v in values]
    assert category.transform(pl.Series("c", values)).argmax(axis=1).tolist() == shown


def test_ids_beyond_what_floats_hold_are_not_confused() -> None:
    category = Category("c", 0, ("9007199254740992", "1"), 0, "numbers")
    for values in (["9007199254740993"], [9007199254740993]):
        with pytest.warns(TableWarning, match="1 unknown value"):
            assert category.transform(pl.Series("c", values)).tolist() == [[0, 0]]


def test_nothing_and_na_are_missing_in_parquet_as_in_csv(tmp_path: Path) -> None:
    cells = ["a", "", "NA", " b ", "None", "a"]
    frame = pl.DataFrame({"c": cells * 5, "x": [0.5, 1.5] * 15, "y": ["u", "v", "N/A"] * 10})
    frame.write_csv(tmp_path / "t.csv")
    frame.write_parquet(tmp_path / "t.parquet")
    models: list[tables.TableModel] = []
    for name in ("t.csv", "t.parquet"):
        with pytest.warns(TableWarning, match="10 of 30 rows have no target 'y'"):
            models.append(tables.train(tmp_path / name, "y", reading=ReadOptions(missing=["N/A"]), **SETTINGS))
    assert models[0].preprocessing.features == models[1].preprocessing.features
    assert models[0].target == models[1].target
    x = [m.inputs(tables.read_verbatim(tmp_path / n)) for m in models for n in ("t.csv", "t.parquet")]
    for other in x[1:]:
        np.testing.assert_array_equal(other, x[0])
    category = models[0].preprocessing.columns[0]
    assert isinstance(category, Category)
    assert category.categories == ("a", "b")
    evaluated, notes = with_warnings(lambda: models[0].evaluate(tmp_path / "t.parquet"))
    assert notes == ["10 of 30 rows have no target 'y' and are dropped"]
    assert evaluated == with_warnings(lambda: models[0].evaluate(tmp_path / "t.csv"))[0]


def test_a_time_with_an_offset_is_the_same_instant_in_csv_and_parquet(tmp_path: Path) -> None:
    start = datetime.datetime(2024, 3, 30, 20, tzinfo=datetime.UTC)
    instants = [start + datetime.timedelta(hours=7 * i) for i in range(20)]  # across a change of the clocks
    frame = pl.DataFrame({"when": pl.Series(instants).dt.convert_time_zone("Europe/Berlin")})
    frame.write_parquet(tmp_path / "t.parquet")
    preprocessing = Preprocessing.fit(Table.of(tmp_path / "t.parquet"))
    expected = preprocessing.transform(pl.DataFrame({"when": pl.Series(instants).dt.replace_time_zone(None)}))
    np.testing.assert_array_equal(preprocessing.transform(frame), expected)
    for form in ("%Y-%m-%dT%H:%M:%S%:z", "%Y-%m-%d %H:%M:%S%:z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%d %H:%M:%S%.3f%z"):
        written(tmp_path / "t.csv", {"when": frame["when"].dt.strftime(form).to_list()})
        table = Table.of(tmp_path / "t.csv")
        assert table.typed["when"].to_list() == instants
        np.testing.assert_array_equal(preprocessing.transform(table.raw), expected)
        assert Preprocessing.fit(table) == preprocessing


def test_one_table_is_the_same_to_a_model_as_csv_and_as_parquet(tmp_path: Path) -> None:
    """Every type that CSV can hold, and a target of booleans: trained from each file, read from each."""
    start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    moments = pl.Series([start + datetime.timedelta(hours=31 * i) for i in range(N)])
    frame = pl.DataFrame(
        {
            "whole": [i % 7 for i in range(N)],
            "number": [None if i == 3 else i / 4 for i in range(N)],
            "single": pl.Series([i / 10 for i in range(N)], dtype=pl.Float32),
            "exact": pl.Series([f"{i}.50" for i in range(N)]).cast(pl.Decimal(10, 2)),
            "flag": [None if i == 5 else i % 3 == 0 for i in range(N)],
            "text": [("red", "blue", "001")[i % 3] for i in range(N)],
            "enum": pl.Series([("s", "m")[i % 2] for i in range(N)], dtype=pl.Enum(["s", "m"])),
            "date": moments.dt.date(),
            "moment": moments.dt.replace_time_zone(None),
            "zoned": moments.dt.convert_time_zone("Asia/Kolkata"),
            "time": moments.dt.time(),
            "code": [1.0 + i % 2 for i in range(N)],
            "y": [i % 2 == 0 for i in range(N)],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_csv(tmp_path / "t.csv")
    files = [tmp_path / "t.parquet", tmp_path / "t.csv"]
    models = [tables.train(path, "y", categorical=["code"], keep=["whole", "time"], **SETTINGS) for path in files]
    found = [model.examples(path) for model in models for path in files]
    for x, t in found[1:]:
        np.testing.assert_allclose(x, found[0][0], atol=1e-6)  # 0.1 in float32 is another number
        assert np.array_equal(t, found[0][1])
    assert models[0].predict(files[1])["prediction"].dtype == pl.Boolean
    assert set(models[1].predict(files[0])["prediction"]) <= {"true", "false"}


# Another kind of column


DATES = [datetime.date(2020, 1, 1 + i) for i in range(5)]
TIMES = [datetime.time(i) for i in range(5)]
TRAINED: dict[str, list[Any]] = {"dates": DATES, "times of day": TIMES, "numbers": [1.5, 2, 3, 4, 5]}


@pytest.mark.parametrize(
    ("trained", "values", "found"),
    [
        ("dates", [5, 6], r"numbers here \(Int64\)"),
        ("dates", ["2020-01-01", "5"], "numbers here, such as '5'"),
        ("dates", [True, False], r"booleans here \(Boolean\)"),
        ("dates", ["true"], "booleans here, such as 'true'"),
        ("dates", [datetime.time(3)], r"times of day here \(Time\)"),
        ("dates", ["03:00"], "times of day here, such as '03:00'"),
        ("dates", [[1]], r"List\(Int64\) here"),
        ("times of day", DATES, r"dates here \(Date\)"),
        ("times of day", ["2020-01-01"], "dates here, such as '2020-01-01'"),
        ("numbers", DATES, r"dates here \(Date\)"),
        ("numbers", ["2020-01-01"], "dates here, such as '2020-01-01'"),
        ("numbers", TIMES, r"times of day here \(Time\)"),
        ("numbers", [b"x"], "Binary here"),
        ("booleans", DATES, r"dates here \(Date\)"),
        ("text", [[1]], r"List\(Int64\) here"),
    ],
)
def test_another_kind_of_column_is_an_error_that_names_both(trained: str, values: list[Any], found: str) -> None:
    made = {**TRAINED, "booleans": [True, False] * 2, "text": ["a", "b"] * 2}[trained]
    p = Preprocessing.fit(pl.DataFrame({"c": made}))
    with pytest.raises(ValueError, match=f"column 'c' held {trained} in training and holds {found}"):
        p.transform(pl.DataFrame({"c": values}))


@pytest.mark.parametrize(
    ("trained", "values", "what"),
    [
        ("numbers", ["x", "y"], "a number, such as 'x'"),
        ("dates", ["31/12/2020", "soon"], "a date, such as '31/12/2020'"),
        ("times of day", ["noon"], "a time of day, such as 'noon'"),
        ("booleans", ["yes", "no"], "a boolean, such as 'yes'"),
        ("booleans", [7, 8], "a boolean, such as '7'"),
    ],
)
def test_a_column_of_which_no_value_can_be_read_is_an_error(trained: str, values: list[Any], what: str) -> None:
    """But one odd row is predicted, and so is a table with one value that can be read."""
    made = {**TRAINED, "booleans": [True, False] * 2}[trained]
    p = Preprocessing.fit(pl.DataFrame({"c": made}))
    many = values * (10 // len(values))
    message = f"column 'c' held {trained} in training, and none of its 10 values here can be read as {what}: "
    with pytest.raises(ValueError, match=message):
        p.transform(pl.DataFrame({"c": [*many, None]}))
    x, notes = with_warnings(lambda: p.transform(pl.DataFrame({"c": many[:9]})))
    assert len(x) == 9
    assert any("9 values cannot be read" in note for note in notes)
    read = {"booleans": "1", "numbers": "1", "dates": "2020-01-01", "times of day": "03:00"}[trained]
    with_warnings(lambda: p.transform(pl.DataFrame({"c": [*map(str, many), read]})))


@pytest.mark.parametrize("trained", [*TRAINED, "booleans", "text"])
@pytest.mark.parametrize(
    "dtype", [pl.Float64, pl.Int64, pl.Boolean, pl.Date, pl.Time, pl.String, pl.List(pl.Int8)], ids=str
)
def test_a_column_without_values_has_no_kind(trained: str, dtype: Any) -> None:
    made = {**TRAINED, "booleans": [True, None] * 2, "text": ["a", "b"] * 2}[trained]
    p = Preprocessing.fit(pl.DataFrame({"c": [*made, None]}))
    expected = p.transform(pl.DataFrame({"c": pl.Series([None], dtype=pl.Null)}))
    nothing = pl.Series([float("nan") if dtype == pl.Float64 else None], dtype=dtype)
    np.testing.assert_array_equal(p.transform(pl.DataFrame({"c": nothing})), expected)


@pytest.mark.parametrize(
    ("made", "values", "expected"),
    [
        ([0.0, 1.0], [True, False], [[1], [-1]]),
        ([0.0, 1.0], ["True", "0"], [[1], [-1]]),
        ([0.0, 1.0], [None, None], [[0], [0]]),
        ([True, False, True], ["TRUE", "0", "1.0"], [[1], [0], [1]]),
        ([True, False, True], [1, 0, 7], [[1], [0], [1]]),
    ],
)
def test_numbers_and_booleans_stand_for_each_other(made: list[Any], values: list[Any], expected: Any) -> None:
    p = Preprocessing.fit(pl.DataFrame({"c": made}))
    x, notes = with_warnings(lambda: p.transform(pl.DataFrame({"c": values})))
    assert x[:, :1].tolist() == expected  # a number also has pieces
    assert ("column 'c': 1 value cannot be read as a boolean, treated as missing" in notes) == (7 in values)
    taken = any("read as 1 or 0" in note for note in notes)
    assert taken == (made == [0.0, 1.0] and values[0] is not None)


def test_a_time_of_day_is_a_part_of_a_day() -> None:
    p = Preprocessing.fit(pl.DataFrame({"c": TIMES}))
    (date,) = p.columns
    assert isinstance(date, Date)
    np.testing.assert_array_equal(
        p.transform(pl.DataFrame({"c": ["00:00", "01:00:00"]})), p.transform(pl.DataFrame({"c": TIMES[:2]}))
    )
