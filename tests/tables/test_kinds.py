"""A saved model reads a new table by its stored kinds: each row by itself, with the same result from any file."""

from __future__ import annotations

import datetime
import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import Category, ClassificationTarget, Date, Number, Preprocessing, Table, TableWarning  # noqa: E402

N = 30
SETTINGS: dict[str, Any] = {"hidden": (4,), "epochs": 1, "progress": False}


def written(path: Path, columns: dict[str, list[str]], separator: str = ",") -> Path:
    """A CSV file, with each value in quotes, so it can be any text."""
    lines = [separator.join(f'"{cell}"' for cell in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([separator.join(columns), *lines]) + "\n", encoding="utf-8")
    return path


def rows(columns: dict[str, list[str]], which: list[int]) -> dict[str, list[str]]:
    return {name: [cells[i] for i in which] for name, cells in columns.items()}


def with_warnings(call: Any) -> tuple[Any, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [str(w.message) for w in caught]


# A row alone, and among others

KINDS: dict[str, list[str]] = {
    "text that is numbers but for one": ["1.50", "2.50", "nil"],
    "text that is whole but for one": ["1", "2", "x"],
    "text that is truth but for one": ["True", "False", "unknown"],
    "text that is moments but for one": ["2020-01-01 10:00", "2020-02-01 11:30", "soon"],
    "text that is dates but for one": ["2020-01-01", "2020-02-01", "soon"],
    "text that is times but for one": ["10:00", "11:30", "noon"],
    "text with exponents": ["1e3", "2e3", "many"],
    "text with signs": ["+1", "-1", "none at all"],
    "text with decimal commas": ["1,5", "2,5", "viel"],
    "codes": ["001", "002", "010"],
    "codes and numbers": ["001", "2", "10"],
    "whole numbers": ["1", "2", "-30"],
    "numbers": ["1.5", "2", "1e3"],
    "numbers with gaps": ["1.5", "NA", "2.25"],
    "numbers with decimal commas": ["1,5", "2,25", "17"],
    "numbers with thousands": ["1,037.50", "12.25", "999.00"],
    "booleans": ["true", "FALSE", ""],
    "dates": ["2020-01-01", "2020-03-05", "?"],
    "moments": ["2020-01-01 10:00", "2020-02-01 11:30", "2020-02-01 23:59"],
    "moments with an offset": ["2020-01-01T10:00:00+02:00", "2020-02-01T11:30:00-05:00", "2020-02-01T23:59:00Z"],
    "times": ["10:00", "11:30", "23:59:59"],
    "large numbers": ["123456789012345678901234567890", "2", "3.5"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_alone_gives_what_it_gives_among_others(kind: str, tmp_path: Path) -> None:
    """Every subset of a column's values, from a file and as a frame, gives the same inputs to the last bit."""
    values = KINDS[kind]
    columns = {
        "c": list(itertools.islice(itertools.cycle(values), N)),
        "a": [f"{v:.2f}" for v in np.random.default_rng(0).normal(size=N)],
        "y": ["p", "q", "q"] * (N // 3),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        model = tables.train(written(tmp_path / "t.csv", columns, ";"), "y", **SETTINGS)
        assert "c" in {c.name for c in model.preprocessing.columns}
        frame = tables.read_verbatim(tmp_path / "t.csv")
        full, predictions = model.inputs(frame), model.predict(frame)["p(p)"]
        for size in (1, 2):
            for which in itertools.combinations(range(3), size):
                part = written(tmp_path / "part.csv", rows(columns, list(which)), ";")
                np.testing.assert_array_equal(model.inputs(tables.read(part)), full[list(which)])  # typed anew
                np.testing.assert_array_equal(model.inputs(tables.read_verbatim(part)), full[list(which)])
                np.testing.assert_array_equal(model.inputs(frame[list(which)]), full[list(which)])
                np.testing.assert_allclose(model.predict(part)["p(p)"], predictions[list(which)], rtol=1e-5)


@pytest.mark.parametrize("kind", [k for k in KINDS if k.startswith(("text", "codes", "whole", "numbers", "booleans"))])
def test_classes_keep_the_text_of_the_file(kind: str, tmp_path: Path) -> None:
    values = [v for v in KINDS[kind] if v not in {"", "NA"}]
    columns = {"a": [str(i) for i in range(N)], "y": list(itertools.islice(itertools.cycle(values), N))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        path = written(tmp_path / "t.csv", columns, ";")
        model = tables.train(path, "y", task="classification", keep=["a"], **SETTINGS)
        model.save(tmp_path / "m")
        model = tables.load(tmp_path / "m", "cpu")
        target = model.target
        assert isinstance(target, ClassificationTarget)
        assert set(target.names) == set(values)
        assert set(model.predict(path)["prediction"].cast(pl.String)) <= set(values)
        _, codes = model.examples(path)
        for i in range(len(values)):
            x, t = model.examples(written(tmp_path / "part.csv", rows(columns, [i]), ";"))
            assert (len(x), target.names[t[0]]) == (1, columns["y"][i])
            assert t[0] == codes[i]


def test_infinite_numbers_are_no_classes(tmp_path: Path) -> None:
    columns = {"a": [str(i % 7) for i in range(N)], "y": ["1.5", "2.5", "inf"] * (N // 3)}
    path = written(tmp_path / "t.csv", columns)
    with pytest.warns(TableWarning, match="10 of 30 rows have no target 'y' and are dropped"):
        model = tables.train(path, "y", task="classification", **SETTINGS)
    assert model.target.as_data()["labels"] == ("1.5", "2.5")
    with pytest.warns(TableWarning, match="10 of 30 rows have no target 'y' and are dropped"):
        assert len(model.examples(path)[1]) == 20


def test_whole_numbers_as_classes_are_numbers_and_in_their_order(tmp_path: Path) -> None:
    columns = {"a": [str(i % 7) for i in range(N)], "y": ["2", "10", "-1"] * (N // 3)}
    model = tables.train(written(tmp_path / "t.csv", columns), "y", **SETTINGS)
    assert model.target.as_data()["labels"] == (-1, 2, 10)
    assert model.predict(tmp_path / "t.csv")["prediction"].dtype == pl.Int64


TOKENS: dict[str, list[str]] = {
    "whole": ["1", "-2", "30", "+4", "0"],
    "number": ["1.5", "-0.25", "1e3", "2.", " .5", " 7 "],
    "comma": ["1,5", "0,25", "-7,125"],
    "thousand": ["1,234", "1.234", "1,234.5", "1.234,5", "1 234", "1'234.5", "998", "12.000"],
    "boolean": ["true", "FALSE", "True"],
    "date": ["2020-01-01", "2020-02-29"],
    "moment": ["2020-01-01 10:00", "2020-01-01T10:00:00Z", "2020-01-01 10:00:00+02:00", "2020-01-01T10:00:00.5-0500"],
    "time": ["10:00", "23:59:59"],
    "code": ["001", "010", "00"],
    "missing": ["", "NA", "?", "nan", "None"],
    "text": ["soon", "nil", "a,b", "a;b", 'q "q"'],
    "odd": ["inf", "-inf", "1e400", "0x10", "1_000", "12345678901234567890123", "2020-13-01", "25:00"],
}


@pytest.mark.filterwarnings("ignore::dlarray.tables.TableWarning")
@pytest.mark.parametrize("seed", range(40))
def test_values_of_random_columns_are_read_alone(seed: int, tmp_path: Path) -> None:
    """Fitted to a mixture of kinds: other values give the same result alone and together, or raise the same error."""
    random = np.random.default_rng(seed)
    kinds = random.choice(list(TOKENS), random.integers(1, 4), replace=False)
    pool = [token for kind in kinds for token in TOKENS[kind]]
    cells = [str(c) for c in random.choice(random.choice(pool, 3), 20)]
    others = [*dict.fromkeys(cells), *random.choice([t for tokens in TOKENS.values() for t in tokens], 6)]
    path = written(tmp_path / "t.csv", {"c": [c.replace('"', '""') for c in cells], "a": ["x", "y"] * 10}, ";")
    table = Table.of(path)
    categorical, most = ["c"] * int(random.integers(2)), int(random.choice([2, 100]))
    p = Preprocessing.fit(table, keep=["c"], categorical=categorical, max_categories=most)
    np.testing.assert_array_equal(p.transform(table.typed), p.transform(table.raw))
    alone: list[np.ndarray] = []
    refused: list[str] = []
    for value in others:
        try:
            alone.append(p.transform(pl.DataFrame({"c": [value], "a": ["x"]})))
        except ValueError:
            refused.append(value)
    together = pl.DataFrame({"c": [v for v in others if v not in refused]}).with_columns(a=pl.lit("x"))
    np.testing.assert_array_equal(p.transform(together), np.concatenate(alone))
    for value in refused:
        with pytest.raises(ValueError, match="column 'c' held"):
            p.transform(pl.DataFrame({"c": [*together["c"], value]}).with_columns(a=pl.lit("x")))


# Text, types and values


def test_a_category_of_numbers_is_known_by_its_value_and_one_of_text_by_its_text() -> None:
    def fitted(cells: list[str], decimal: str | None = None) -> Category:
        table = Table.of(pl.DataFrame({"c": cells}))
        numbers = pl.Series("c", [float(c.replace(",", ".")) if c[0].isdigit() else None for c in cells])
        typed = table.typed if numbers.has_nulls() else pl.DataFrame({"c": numbers})
        return Category.fit(Table(typed, table.raw, {"c": decimal} if decimal else {})["c"], 9)

    codes = fitted(["1.0", "2.0", "2.0", "2"])
    assert codes.categories == ("1.0", "2.0")  # the more frequent spelling
    for values in (["1", "2"], ["1.0", "2.00"], [1, 2], [1.0, 2.0]):
        assert codes.transform(pl.Series("c", values)).tolist() == [[1, 0], [0, 1]]
    comma = fitted(["1,5", "2,5"], ",")
    assert comma.categories == ("1,5", "2,5")
    assert comma.transform(pl.Series("c", ["2,50", "1,5"])).tolist() == [[0, 1], [1, 0]]
    assert comma.transform(pl.Series("c", [2.5, 1.5])).tolist() == [[0, 1], [1, 0]]
    assert Category("c", 0, ("1.234", "1,5"), 0, "numbers", ",").transform(pl.Series("c", [1234.0])).tolist() == [
        [1, 0]
    ]
    text = fitted(["1.50", "2.50", "nil"])
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
            models.append(tables.train(tmp_path / name, "y", **SETTINGS))
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
    assert x.tolist() == expected
    assert ("column 'c': 1 value cannot be read as a boolean, treated as missing" in notes) == (7 in values)
    taken = any("read as 1 or 0" in note for note in notes)
    assert taken == (made == [0.0, 1.0] and values[0] is not None)


# Thousands


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
        (["1,234e5", "1"], ",", ["1,234e5", "1"], None),
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
    assert (v.decimal, v.median) == (",", 1234)
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


# Lines


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_blank_line_is_skipped_where_there_are_two_columns(end: str, tmp_path: Path) -> None:
    lines = ["a,b", "1,x", "", "  ", ",", '2,"y', "", 'z"', "", ""]
    (tmp_path / "t.csv").write_bytes(end.join(lines).encode())
    frame = tables.read(tmp_path / "t.csv")
    assert frame["a"].to_list() == [1, None, 2]
    assert frame["b"].to_list() == ["x", None, f"y{end}{end}z"]
    (tmp_path / "t.csv").write_bytes(end.join(["a,b", "1,x", "  ", "2,y"]).encode())
    assert tables.read(tmp_path / "t.csv")["a"].to_list() == [1, 2]
    (tmp_path / "t.csv").write_bytes(end.join(["a", "1", "", "2", ""]).encode())
    assert tables.read(tmp_path / "t.csv")["a"].to_list() == [1, None, 2]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_line_of_names_may_be_of_any_length(separator: str, tmp_path: Path) -> None:
    names = [f"a column with a long name {i:05}" for i in range(8000)]
    path = tmp_path / "t.csv"
    path.write_text(separator.join(names) + "\n" + separator.join(["1"] * len(names)) + "\n", encoding="utf-8")
    assert tables.read(path).columns == names
    path.write_text(
        separator.join([*names, names[7000]]) + "\n" + separator.join(["1"] * 8001) + "\n", encoding="utf-8"
    )
    with pytest.raises(ValueError, match="duplicate names in the first line, 'a column with a long name 07000'"):
        tables.read(path)


def test_a_name_in_quotes_may_hold_the_end_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a\nb",c\n1,2\n', encoding="utf-8")
    assert tables.read(tmp_path / "t.csv").columns == ["a\nb", "c"]


def test_a_time_of_day_is_a_part_of_a_day() -> None:
    p = Preprocessing.fit(pl.DataFrame({"c": TIMES}))
    (date,) = p.columns
    assert isinstance(date, Date)
    np.testing.assert_array_equal(
        p.transform(pl.DataFrame({"c": ["00:00", "01:00:00"]})), p.transform(pl.DataFrame({"c": TIMES[:2]}))
    )
