"""The types of columns of text: nearly all values decide, the others are missing and are reported."""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402
    Category,
    Column,
    Date,
    Number,
    Preprocessing,
    ReadOptions,
    RegressionTarget,
    Table,
    TableWarning,
    Target,
)
from dlarray.tables.text_format import KNOWN, TextFormat  # noqa: E402
from tests.support.tables import SETTINGS, with_warnings, written  # noqa: E402

N = 100


def read(cells: list[str], path: Path, *, separator: str = ",", **options: Any) -> tuple[list[Any], list[str]]:
    """The values of a column of a file, and the notes."""
    written(path, {"c": cells, "other": ["word"] * len(cells)}, separator)
    frame, notes = with_warnings(lambda: tables.read(path, ReadOptions(**options)))
    return frame["c"].to_list(), notes


def column(*values: str, n: int = N) -> list[str]:
    return list(itertools.islice(itertools.cycle(values), n))


# Nearly all values decide


@pytest.mark.parametrize(
    ("most", "odd", "what"),
    [
        (["1.5", "2", "-3"], "Total", "number"),
        (["1", "2", "30"], "Total", "number"),
        (["1,037.5", "12.25"], "see below", "number"),
        (["2020-01-31", "2021-02-28"], "soon", "date"),
        (["31.01.2020", "28.02.2021"], "soon", "date"),
        (["2020-01-31 10:00", "2021-02-28 11:30"], "soon", "date"),
        (["10:00", "23:59"], "noon", "date"),
    ],
)
def test_a_value_that_does_not_fit_is_missing_and_reported_with_its_line(
    most: list[str], odd: str, what: str, tmp_path: Path
) -> None:
    cells = column(*most)
    plain, _ = read(cells, tmp_path / "t.csv")
    cells[80] = odd
    values, notes = read(cells, tmp_path / "t.csv")
    assert values == [*plain[:80], None, *plain[81:]]
    assert f"column 'c': '{odd}' in line 82 is no {what}; taken as missing" in notes
    cells[90] = odd
    cells[95] = "x\x1b[31m\u202e"
    values, notes = read(cells, tmp_path / "t.csv")
    assert values.count(None) == 3
    assert f"column 'c': '{odd}' in line 82 and 2 other values are no {what}s; taken as missing" in notes


@pytest.mark.parametrize("most", [["1.5", "2"], ["2020-01-31", "2021-02-28"], ["31.01.2020", "28.02.2021"]])
def test_with_more_than_one_in_twenty_odd_values_a_column_is_text(most: list[str], tmp_path: Path) -> None:
    cells = column(*most)
    cells[3:8] = ["a", "b", "c", "d", "e"]
    values, notes = read(cells, tmp_path / "t.csv")
    assert values.count(None) == 5
    assert len([note for note in notes if "'a' in line 5 and 4 other values are no" in note]) == 1
    cells[8] = "f"
    values, notes = read(cells, tmp_path / "t.csv")
    assert (values, notes) == (cells, [])


def test_odd_values_at_the_start_or_at_regular_distances_do_not_hide_the_others(tmp_path: Path) -> None:
    cells = ["n/a here"] * 40 + [str(i) for i in range(10_000)]
    cells[::201] = ["Subtotal"] * len(cells[::201])
    values, _ = read(cells, tmp_path / "t.csv")
    assert values[41:44] == [1, 2, 3]
    assert values.count(None) == 40 + len(cells[201::201])


def test_a_model_knows_the_odd_values_of_training(tmp_path: Path) -> None:
    columns = {
        "price": column("1.5", "2.5", "4"),
        "day": column("31.01.2020", "28.02.2021", "01.03.2021"),
        "y": column("0.25", "7.5", "3.5"),
    }
    columns["price"][80], columns["day"][7], columns["y"][9] = "Total", "0", "sum"
    path = written(tmp_path / "t.csv", columns)
    model, notes = with_warnings(lambda: tables.train(path, "y", **SETTINGS))
    assert sum("taken as missing" in note for note in notes) == 3
    model.save(tmp_path / "m")
    model = tables.load(tmp_path / "m", "cpu")
    x, notes = with_warnings(lambda: model.inputs(tables.read_verbatim(path)))
    assert not [note for note in notes if "training had none" not in note]
    assert np.all(np.isfinite(x))
    examples, notes = with_warnings(lambda: model.examples(path))
    assert (len(examples[0]), notes[:1]) == (N - 1, ["1 of 100 rows have no target 'y' and are dropped"])


# Words for missing values


@pytest.mark.parametrize(
    "most", [["1.5", "-2"], ["1", "2"], ["true", "False"], ["2020-01-31"], ["31.01.2020"], ["10:30"]]
)
def test_words_for_missing_values_are_known_in_any_case(most: list[str], tmp_path: Path) -> None:
    words = [w for word in KNOWN["values"] for w in (word, word.upper(), word.capitalize(), f" {word} ")]
    values, notes = read([*most, *words], tmp_path / "t.csv")
    plain, _ = read([*most, *most], tmp_path / "t.csv")
    assert values == [*plain[: len(most)], *[None] * len(words)]
    assert not [note for note in notes if "is read as" not in note]


def test_a_word_that_can_be_a_category_is_one_in_text(tmp_path: Path) -> None:
    assert read(["a", "-", ".", "unknown", "NA", "<na>", "nUlL"], tmp_path / "t.csv")[0] == [
        *("a", "-", ".", "unknown"),
        *[None] * 3,
    ]


def test_more_words_for_missing_and_words_that_are_none(tmp_path: Path) -> None:
    assert read(["1", "2", "refused"], tmp_path / "t.csv", missing=["Refused"])[0] == [1, 2, None]
    assert read(["a", "b", "refused"], tmp_path / "t.csv", missing=["refused"])[0] == ["a", "b", None]
    assert read(["a", "b", "None"], tmp_path / "t.csv", not_missing=["none"])[0] == ["a", "b", "None"]
    frame = pl.DataFrame({"c": ["a", "None", "refused", "b"]})
    table = Table.of(frame, ReadOptions(missing=["refused"], not_missing=["None"]))
    assert table.typed["c"].to_list() == ["a", "None", None, "b"]
    fitted = Preprocessing.fit(table)
    assert fitted.features == ("c=None", "c=a", "c=b", "c missing")
    again = Preprocessing.from_data(json.loads(json.dumps(fitted.as_data())))
    assert again.transform(frame).argmax(axis=1).tolist() == [1, 0, 3, 2]


# Units and signs


@pytest.mark.parametrize(
    ("cells", "expected", "note"),
    [
        (["12%", "13.5 %", "0"], [12, 13.5, 0], "'12%' is read as 12, unit %"),
        (["$12.50", "-$3", "$-4"], [12.5, -3, -4], "'$12.50' is read as 12.5, unit $"),
        (
            ["$1,234.50", "($1,000)"],
            [1234.5, -1000],
            "'$1,234.50' is read as 1234.5, with thousands separators, unit $",
        ),
        (["€ 3,50", "€ 1.234,00"], [3.5, 1234], "with thousands separators, unit €"),
        (["3,50 €", "4,75 €"], [3.5, 4.75], "'3,50 €' is read as 3.5, with a decimal comma, unit €"),
        (["12 kg", "13 kg", "7"], [12, 13, 7], "'12 kg' is read as 12, unit kg"),
        (["85 mph", "7.5mph"], [85, 7.5], "'85 mph' is read as 85, unit mph"),
        (["20 °C", "\u22125 °C"], [20, -5], "unit °C"),
        (["3 m²", "4 m2"], None, None),
        (["12 kg", "13 lb"], None, None),
        (["2. Middle Atlantic", "2. Middle Atlantic"], None, None),
        (["1st", "2nd", "3rd"], None, None),
        (["B12", "B13"], None, None),
        (["12 Main Street", "14 High Street"], None, None),
        (["007 kg", "012 kg"], None, None),
        (["(1,234)", "12"], [-1234, 12], "'(1,234)' is read as -1234, with thousands separators"),
        (["\u22121.5", "2"], [-1.5, 2], None),
        (["3,50", "4,25"], [3.5, 4.25], "'3,50' is read as 3.5, with a decimal comma"),
    ],
)
def test_one_unit_is_taken_off_and_reported(
    cells: list[str], expected: list[float] | None, note: str | None, tmp_path: Path
) -> None:
    values, notes = read(cells, tmp_path / "t.csv")
    assert values == (cells if expected is None else expected)
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_a_model_reads_the_unit_of_training_and_no_other() -> None:
    frame = pl.DataFrame({"w": ["12 kg", "13.5 kg", "1,200 kg"]})
    with pytest.warns(TableWarning, match="'1,200 kg' is read as 1200, with thousands separators, unit kg"):
        table = Table.of(frame, ReadOptions(number=["w"]))
    (weight,) = Preprocessing.fit(table).columns
    assert isinstance(weight, Number)
    assert (weight.format.unit, weight.median) == ("kg", 13.5)
    assert weight.description.endswith("; unit kg")
    again = Column.from_data(json.loads(json.dumps(weight.as_data())))
    assert again == weight
    expected = [(x - weight.mean) / weight.scale for x in (12, 12, 1200)]
    with pytest.warns(TableWarning, match="1 value without the unit kg, read as if in kg"):
        x = again.transform(pl.Series("w", ["12kg", "12", "1,200 kg"]))
    np.testing.assert_allclose(x[:, 0], expected, rtol=1e-6)
    _, notes = with_warnings(lambda: again.transform(pl.Series("w", ["12 lb", "12 kg"])))
    assert "column 'w': 1 value cannot be read as a number in kg, such as '12 lb', treated as missing" in notes
    bare: list[Any]
    for bare in (["12 kg", "12", "-7", None], [12.0, None, -7.0], [12, -7]):
        _, notes = with_warnings(partial(again.transform, pl.Series("w", bare)))
        assert "column 'w': 2 values without the unit kg, read as if in kg" in notes
    assert with_warnings(lambda: again.transform(pl.Series("w", ["12kg", "-7 kg", "(3 kg)"])))[1] == []


@pytest.mark.parametrize("seed", range(5))
def test_thousands_and_decimals_are_pandas_s(seed: int, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(seed)
    numbers = np.round(random.normal(scale=10.0 ** random.integers(0, 8), size=50), 2)
    for decimal, thousands in ((".", ","), (",", ".")):
        cells = [f"{v:,.2f}".translate(str.maketrans({".": decimal, ",": thousands})) for v in numbers]
        detected, _ = read(cells, tmp_path / "t.csv", separator=";")
        given, _ = read(cells, tmp_path / "t.csv", separator=";", decimal=decimal, thousands=thousands)
        theirs = pandas.read_csv(tmp_path / "t.csv", sep=";", decimal=decimal, thousands=thousands)["c"]
        assert detected == given == theirs.to_list()


def test_options_of_marks_overrule_what_values_look_like(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert read(["1.234", "2.345"], path, separator=";", decimal=",")[0] == [1234, 2345]
    assert read(["1.234", "2.345"], path, separator=";", thousands=".")[0] == [1234, 2345]
    assert read(["1,234", "2,345"], path, separator=";", thousands="")[0] == [1.234, 2.345]
    assert read(["1_234", "2_345.5"], path, thousands="_")[0] == [1234, 2345.5]
    assert read(["1 234", "2"], path, thousands="")[0] == ["1 234", "2"]


# Chosen types


def test_the_type_of_a_column_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    mixed = column("1.5", "a", "2")
    assert read(mixed, path)[0] == mixed
    values, notes = read(mixed, path, number=["c"])
    assert values[:3] == [1.5, None, 2]
    assert notes == ["column 'c': 'a' in line 3 and 32 other values are no numbers; taken as missing"]
    assert read(["007", "010"], path, number=["c"])[0] == [7, 10]
    assert read(["1", "2"], path, text=["c"])[0] == ["1", "2"]
    assert read(["20200131", "20210228"], path, date=["c"])[0] == [
        *pl.Series(["2020-01-31", "2021-02-28"]).str.to_date()
    ]
    frame = pl.DataFrame({"c": [1, 2, 2], "d": ["1", "2", "x"], "e": [1.5, 2.5, 3.5]})
    with pytest.warns(TableWarning, match="'x' in row 3 is no number; taken as missing"):
        table = Table.of(frame, ReadOptions(text=["c"], number=["d", "e"]))
    assert table.typed.dtypes == [pl.String, pl.Int64, pl.Float64]
    first, second, _ = Preprocessing.fit(table, keep=["c"]).columns
    assert isinstance(first, Category)
    assert isinstance(second, Number)
    assert first.transform(frame["c"]).tolist() == [[1, 0], [0, 1], [0, 1]]


@pytest.mark.filterwarnings("ignore::dlarray.tables.TableWarning")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number": ["c"]}, "column 'c' cannot be read as numbers, since less than half .* 'a' in line 2 is none"),
        ({"date": ["c"]}, "column 'c' cannot be read as dates, since less than half .* 'a' in line 2 is none"),
        ({"number": ["d"]}, "there is no column 'd'"),
        ({"number": ["c"], "text": ["c"]}, "must name a column once, got 'c' twice"),
    ],
)
def test_a_chosen_type_that_does_not_fit_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", {"c": ["a", "b", "1"], "y": ["1", "2", "3"]})
    with pytest.raises(ValueError, match=message):
        tables.read(path, ReadOptions(**options))


# Upper and lower case


def test_upper_and_lower_case_make_no_classes_and_no_categories(tmp_path: Path) -> None:
    columns = {
        "c": column("Red", "red", "blue", " red "),
        "a": [str(i % 7) for i in range(N)],
        "y": column("yes", "Yes", "no", "NO", "yes"),
    }
    path = written(tmp_path / "t.csv", columns)
    model, notes = with_warnings(lambda: tables.train(path, "y", **SETTINGS))
    assert (
        "column 'y': 'NO', 'no' differ only in upper and lower case: one class or category, unless --match-case"
        in notes
    )
    assert (
        "column 'c': 'Red', 'red' differ only in upper and lower case: one class or category, unless --match-case"
        in notes
    )
    assert model.target.as_data()["labels"] == ("NO", "yes")
    model.save(tmp_path / "m")
    model = tables.load(tmp_path / "m", "cpu")
    assert model.target.encode(pl.Series(["YES", "nO", " no", "yes"])).tolist() == [1, 0, 0, 1]
    category = model.preprocessing.columns[0]
    assert category.transform(pl.Series("c", ["RED", "Blue"])).tolist() == [[0, 1], [1, 0]]
    exact, notes = with_warnings(lambda: tables.train(path, "y", reading=ReadOptions(match_case=True), **SETTINGS))
    assert exact.target.as_data()["labels"] == ("NO", "Yes", "no", "yes")
    assert not [note for note in notes if "differ only" in note]


# Files of earlier versions


EARLIER: list[dict[str, Any]] = [
    {"kind": "number", "name": "v", "missing": 0, "median": 1.0, "mean": 1.0, "scale": 2.0, "decimal": ","},
    {"kind": "category", "name": "c", "missing": 1, "categories": ["-", "Red", "red"], "infrequent": 0},
    {"kind": "date", "name": "d", "missing": 0, "median": 0.0, "mean": 0.0, "scale": 1.0, "cycles": ["year"]},
    {"kind": "boolean", "name": "b", "missing": 1, "fill": True},
]


def test_columns_of_earlier_files_read_as_they_did() -> None:
    number, category, date, boolean = map(Column.from_data, EARLIER)
    assert isinstance(date, Date)
    assert number.transform(pl.Series("v", ["1,5", "1.234"])).ravel().tolist() == pytest.approx([0.25, 616.5])
    values = ["-", "red", "Red", "none", "None", "NA"]
    with pytest.warns(TableWarning, match=r"1 unknown value \('none'\)"):
        found = category.transform(pl.Series("c", values))
    assert found.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]
    assert date.transform(pl.Series("d", ["1970-01-02"]))[0, 0] == 1
    with pytest.warns(TableWarning, match="1 value cannot be read as a boolean"):
        assert boolean.transform(pl.Series("b", ["true", "?", "-"])).tolist() == [[1, 0], [1, 1], [1, 1]]
    target = Target.from_data({"kind": "regression_target", "name": "y", "mean": 0.0, "scale": 1.0, "decimal": ","})
    assert isinstance(target, RegressionTarget)
    assert target.encode(pl.Series(["1.234,5"])).tolist() == [1234.5]
    for one in (number, category, date, boolean):
        assert Column.from_data(json.loads(json.dumps(one.as_data()))) == one


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"known": "second"}, "unknown list of words"),
        ({"missing": "NA"}, "missing must be words"),
        ({"present": [1]}, "present must be words"),
        ({"decimal": ";"}, "the decimal mark must be one of"),
        ({"unit": 1}, "must be text"),
    ],
)
def test_a_format_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        TextFormat(**fields)
