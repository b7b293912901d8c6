"""Tables: preprocessing compared with scikit-learn, files and their types, training, and the model's file."""

from __future__ import annotations

import datetime
import gzip
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

import dlarray as dl  # noqa: E402
from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402
    ClassificationTarget,
    Preprocessing,
    RegressionTarget,
    TableWarning,
    UnknownColumnError,
)
from tests.support.process import python  # noqa: E402

rng = np.random.default_rng(5)
N = 300


def with_gaps(values: list[Any], share: float = 0.1) -> list[Any]:
    return [None if rng.random() < share else v for v in values]


FRAME = pl.DataFrame(
    {
        "whole": [float(v) for v in rng.normal(50, 9, N)],
        "gaps": with_gaps([float(v) for v in rng.lognormal(0, 1, N)]),
        "count": [int(v) for v in rng.integers(0, 5, N)],
        "colour": with_gaps(list(rng.choice(["red", "blue", "green", "sea blue"], N))),
        "size": list(rng.choice(["s", "m", "l"], N)),
        "many": [f"c{min(9, int(v))}" for v in rng.exponential(2.5, N)],
        "flag": with_gaps([bool(v) for v in rng.random(N) < 0.3]),
    }
)
NEW = pl.DataFrame(
    {
        "flag": [None, True, False],
        "many": ["c0", "nobody", "c9"],
        "size": ["m", "s", "l"],
        "colour": [None, "red", "sea blue"],
        "count": [7, 0, 2],
        "gaps": [None, 1.5, -2.0],
        "whole": [1.0, 2.0, 1e3],
    }
)


def quietly(preprocessing: Preprocessing, frame: Any) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        return preprocessing.transform(frame)


def messages(call: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return sorted({str(w.message) for w in caught})


# Against scikit-learn


def test_the_matrix_is_scikit_learn_s() -> None:
    pytest.importorskip("sklearn")
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def arrays(frame: Any) -> np.ndarray:
        rows = [[np.nan if v is None else v for v in row] for row in frame.select(FRAME.columns).iter_rows()]
        return np.array(rows, dtype=object)

    theirs = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), [0, 1, 2]),
            ("marks", SimpleImputer(strategy="median", add_indicator=True), [1]),
            (
                "words",
                make_pipeline(
                    SimpleImputer(strategy="constant", fill_value="~missing"),
                    OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=6, sparse_output=False),
                ),
                [3, 4, 5],
            ),
            ("truth", SimpleImputer(strategy="most_frequent", add_indicator=True), [6]),
        ]
    ).fit(arrays(FRAME))
    ours = Preprocessing.fit(FRAME, max_categories=6)
    assert ours.features == (
        *("whole", "gaps", "gaps missing", "count"),
        *("colour=blue", "colour=green", "colour=red", "colour=sea blue", "colour missing"),
        *("size=l", "size=m", "size=s"),
        *("many=c0", "many=c1", "many=c2", "many=c3", "many=c4", "many other"),
        *("flag", "flag missing"),
    )
    assert ours.dropped == ()
    # theirs: three numbers; the filled one again and its mark; the words; the truth and its mark
    order = [0, 1, 4, 2, *range(5, 21)]
    for frame in (FRAME, NEW):
        expected = theirs.transform(arrays(frame)).astype(np.float64)[:, order]
        found = quietly(ours, frame)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_dates_are_days_and_cycles() -> None:
    moments = [datetime.datetime(2024, 1, 1, 6) + datetime.timedelta(hours=31 * i) for i in range(60)]
    frame = pl.DataFrame({"when": [*moments, None], "day": [m.date() for m in [*moments, moments[0]]]})
    p = Preprocessing.fit(frame)
    assert p.features == (
        "when",
        *(f"{wave} of when's {c}" for c in ("year", "week", "day") for wave in ("sin", "cos")),
        "when missing",
        "day",
        *(f"{wave} of day's {c}" for c in ("year", "week") for wave in ("sin", "cos")),
    )
    x = p.transform(frame)
    days = np.array([(m - datetime.datetime(1970, 1, 1)).total_seconds() / 86400 for m in moments])
    filled = np.append(days, np.median(days))
    np.testing.assert_allclose(x[:, 0], (filled - filled.mean()) / filled.std(), atol=1e-6)
    for i, period in enumerate((365.2425, 7.0, 1.0)):
        np.testing.assert_allclose(x[:-1, 1 + 2 * i], np.sin(2 * np.pi * days / period), atol=1e-6)
        np.testing.assert_allclose(x[:-1, 2 + 2 * i], np.cos(2 * np.pi * days / period), atol=1e-6)
    assert x[-1, 1:8].tolist() == [0, 0, 0, 0, 0, 0, 1]
    as_text = frame.with_columns(pl.col("when").dt.strftime("%Y-%m-%dT%H:%M:%S"), pl.col("day").cast(pl.String))
    np.testing.assert_array_equal(p.transform(as_text), x)
    zoned = frame.with_columns(pl.col("when").dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York"))
    np.testing.assert_array_equal(p.transform(zoned), x)  # by the clock of UTC
    odd = as_text.with_columns(pl.Series("day", ["soon", *as_text["day"][1:]]))
    assert "column 'day': 1 value cannot be read as a date, treated as missing" in messages(lambda: p.transform(odd))


def test_a_time_of_day_has_one_cycle() -> None:
    p = Preprocessing.fit(pl.DataFrame({"at": [datetime.time(6), datetime.time(12), datetime.time(18)]}))
    assert p.features == ("at", "sin of at's day", "cos of at's day")
    np.testing.assert_allclose(p.transform(pl.DataFrame({"at": [datetime.time(6)]}))[0, 1:], [1, 0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_scaling_holds_for_the_smallest_and_the_largest_numbers(scale: float) -> None:
    x = Preprocessing.fit(pl.DataFrame({"x": [scale, 3 * scale]})).transform(pl.DataFrame({"x": [scale, 3 * scale]}))
    np.testing.assert_allclose(x[:, 0], [-1, 1], rtol=1e-6)


def test_an_enormous_new_number_stays_finite() -> None:
    p = Preprocessing.fit(pl.DataFrame({"x": [0.0, 1.0]}))
    assert p.transform(pl.DataFrame({"x": [1e308, -1e308, 0.5]}))[:, 0].tolist() == [1e6, -1e6, 0]


# Dropped columns, and warnings


def test_empty_constant_and_identifier_like_columns_are_dropped_with_their_reason() -> None:
    n = 100
    frame = pl.DataFrame(
        {
            "x": rng.normal(size=n),
            "row": np.arange(n),
            "customer_id": rng.permutation(10**6)[:n],
            "name": [f"Person {i}" for i in range(n)],
            "nothing": pl.Series([None] * n, dtype=pl.Float64),
            "void": pl.Series([None] * n),
            "same": ["a"] * n,
            "old": pl.Series(["0000-01-01"] * n).str.to_date(),  # a year that Python's dates do not have
            "sometimes": [1.0, None] * (n // 2),
            "year": 1920 + np.arange(n),
            "population": rng.permutation(10**6)[:n],
            "list": [[1]] * n,
        }
    )
    p = Preprocessing.fit(frame)
    assert dict(p.dropped) == {
        "row": "looks like an identifier: a different integer in every row",
        "customer_id": "looks like an identifier: a different integer in every row",
        "name": "looks like an identifier: 100 distinct values in 100 rows",
        "nothing": "empty: every value is missing",
        "void": "empty: every value is missing",
        "same": "constant: always a",
        "old": "constant: always 0000-01-01",
        "list": "type List(Int64) is not supported",
    }
    assert [c.name for c in p.columns] == ["x", "sometimes", "year", "population"]
    kept = Preprocessing.fit(frame, keep=["row", "name"], drop=["x"], categorical=["year"], max_categories=10)
    assert dict(kept.dropped)["x"] == "as requested"
    assert {"row", "name", "year"} <= {c.name for c in kept.columns}
    assert len([f for f in kept.features if f.startswith("year")]) == 10
    with pytest.raises(UnknownColumnError, match="no column 'yaer', did you mean 'year'"):
        Preprocessing.fit(frame, drop=["yaer"])
    with pytest.raises(ValueError, match="no column is left to learn from .*same: constant"):
        Preprocessing.fit(frame.select("same", "void"))


def test_what_was_not_met_in_training_is_handled_and_counted() -> None:
    p = Preprocessing.fit(FRAME.with_columns(pl.col("whole").cast(pl.Int64)))
    words = {"size": ["xl", "xl", "xs", None], "whole": ["12", "many", None, "inf"], "count": [1.0, 2.0, 3.0, 4.0]}
    frame = FRAME.head(4).with_columns(**{name: pl.Series(v, strict=False) for name, v in words.items()})
    x = quietly(p, frame)
    assert messages(lambda: p.transform(frame)) == [
        "column 'size': 1 missing value; training had none",
        "column 'size': 3 unknown values ('xl', 'xs'), encoded as no category",
        "column 'whole': 1 infinite value, treated as missing",
        "column 'whole': 1 value cannot be read as a number, treated as missing",
        "column 'whole': 3 missing values; training had none",
    ]
    assert np.all(np.isfinite(x))
    first = p.features.index("size=l")
    assert np.all(x[:, first : first + 3] == 0)


def test_every_column_that_is_missing_is_named_and_order_does_not_matter() -> None:
    p = Preprocessing.fit(FRAME)
    np.testing.assert_array_equal(p.transform(FRAME.select(reversed(FRAME.columns))), p.transform(FRAME))
    with pytest.raises(ValueError, match="lacks columns of the training table: 'gaps', 'size'; it has 'Gaps' instead"):
        p.transform(FRAME.rename({"gaps": "Gaps"}).drop("size"))


def test_whole_numbers_are_the_same_categories_as_floats_and_text() -> None:
    p = Preprocessing.fit(pl.DataFrame({"code": [1, 2, 3, 1]}), categorical=["code"])
    assert p.features == ("code=1", "code=2", "code=3")
    for values in ([2, 1], [2.0, 1.0], ["2", "1"]):
        assert p.transform(pl.DataFrame({"code": values})).tolist() == [[0, 1, 0], [1, 0, 0]]


def test_booleans_in_words_are_booleans() -> None:
    p = Preprocessing.fit(pl.DataFrame({"b": [True, False, True]}))
    frame = pl.DataFrame({"b": ["True", " false", "perhaps"]})
    assert quietly(p, frame).tolist() == [[1], [0], [1]]
    assert "column 'b': 1 value cannot be read as a boolean, treated as missing" in messages(lambda: p.transform(frame))


# As data


def test_it_comes_back_from_json() -> None:
    frame = FRAME.with_columns(when=pl.Series([datetime.date(2020, 1, 1 + i % 28) for i in range(N)]), same=pl.lit(1))
    p = Preprocessing.fit(frame, max_categories=5)
    again = Preprocessing.from_data(json.loads(json.dumps(p.as_data())))
    assert again == p
    np.testing.assert_array_equal(again.transform(frame), p.transform(frame))


# The target


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        (["yes", "no", "yes"], ClassificationTarget, "text"),
        ([True, False, None], ClassificationTarget, "booleans"),
        ([1, 2, 3, 1], ClassificationTarget, "integers with 3 distinct values"),
        ([1.0, 0.0, 1.0], ClassificationTarget, "integers with 2 distinct values"),
        ([1.5, 2.0, None], RegressionTarget, "numbers with 2 distinct values"),
        (list(range(50)), RegressionTarget, "integers with 50 distinct values"),
        ([datetime.timedelta(hours=i) for i in range(3)], RegressionTarget, "durations, in seconds"),
    ],
)
def test_the_task_is_inferred_from_the_target(values: list[Any], kind: type, why: str) -> None:
    target, reason = tables.choose_target(pl.Series("y", values))
    assert (type(target), reason) == (kind, why)


def test_the_task_can_be_chosen() -> None:
    whole = pl.Series("y", [1, 2, 3, 1])
    target, why = tables.choose_target(whole, "regression")
    assert isinstance(target, RegressionTarget)
    assert (target.mean, target.scale, why) == (1.75, pytest.approx(np.std([1, 2, 3, 1])), "as requested")
    target, _ = tables.choose_target(pl.Series("y", [0.5, 1.5]), "classification")
    assert target == ClassificationTarget("y", ("0.5", "1.5"), "numbers")


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([None, None], None, "the target 'y' is missing in every row"),
        (["a", "a", None], None, "the target 'y' is 'a' in every row: there is nothing to learn"),
        ([2.5, 2.5], None, "is 2.5 in every row"),
        ([f"n{i}" for i in range(50)], None, "text with 50 distinct values in 50 rows: it looks like an identifier"),
        (list(range(2000)), "classification", "has 2,000 distinct values: it may be an identifier, or a number"),
        (["a", "b"], "regression", "is of type String: regression needs numbers"),
        ([datetime.date(2020, 1, 1)], None, "is of type Date: it must be numbers, text or booleans"),
        (["a", "b"], "regresion", "unknown task 'regresion', did you mean 'regression'"),
    ],
)
def test_an_unusable_target_is_refused(values: list[Any], task: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tables.choose_target(pl.Series("y", values), task)


@pytest.mark.parametrize("labels", [("no", "yes"), (3, 7), (False, True)])
def test_labels_come_back_as_they_were(labels: tuple[Any, ...]) -> None:
    target = ClassificationTarget.fit(pl.Series("y", [labels[1], labels[0], labels[1]]))
    assert target.labels == labels
    assert target.encode(pl.Series([labels[1], labels[0]])).tolist() == [1, 0]
    predictions = target.predictions(np.array([[0.25, 0.75], [1.0, 0.0]], dtype=np.float32))
    assert predictions["prediction"].to_list() == [labels[1], labels[0]]
    assert predictions.columns == ["prediction", *(f"p({str(k).lower()})" for k in labels)]
    assert tables.Target.from_data(json.loads(json.dumps(target.as_data()))) == target
    with pytest.raises(ValueError, match="holds 'yess', which is no class of this model"):
        target.encode(pl.Series(["yess"]))


def test_metrics_are_scikit_learn_s() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    t, y = rng.integers(0, 3, 80), rng.dirichlet(np.ones(3), 80)
    chosen = y.argmax(axis=1)
    found = ClassificationTarget("y", ("a", "b", "c")).metrics(t.astype(np.int32), y)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(t, chosen))
    assert found["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(t, chosen))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(t, y))
    target = RegressionTarget("y", 100.0, 8.0)
    truth, predicted = rng.normal(size=50), rng.normal(size=50)
    found = target.metrics(truth, predicted.reshape(-1, 1))
    scaled = (100 + 8 * truth, 100 + 8 * predicted)
    assert found["r2"] == pytest.approx(metrics.r2_score(*scaled))
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(*scaled))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(*scaled))


# The split


def test_the_split_is_stratified_and_seeded() -> None:
    t = np.repeat(np.arange(4, dtype=np.int32), [100, 50, 2, 1])
    chosen = tables.split(t, 0.2, seed=3)
    assert np.bincount(t[chosen], minlength=4).tolist() == [20, 10, 1, 0]
    np.testing.assert_array_equal(chosen, tables.split(t, 0.2, seed=3))
    assert np.any(chosen != tables.split(t, 0.2, seed=4))
    assert tables.split(rng.normal(size=50), 0.3, 0).sum() == 15
    assert not tables.split(t, 0.0, 0).any()
    with pytest.raises(ValueError, match=r"validation must lie in \[0, 1\)"):
        tables.split(t, 1.0, 0)
    with pytest.raises(ValueError, match="too few rows \\(1\\)"):
        tables.split(np.zeros(1, dtype=np.int32), 0.5, 0)


def test_validation_teaches_nothing() -> None:
    """Means, categories and the target's scale are those of the training part alone."""
    n = 100
    frame = pl.DataFrame({"x": rng.normal(size=n), "c": rng.choice(["a", "b"], n), "y": rng.normal(size=n)})
    apart = tables.split(frame["y"].to_numpy(), 0.2, 0)
    odd = frame.with_columns(
        x=pl.when(pl.Series(apart)).then(1e3).otherwise("x"),
        c=pl.when(pl.Series(apart)).then(pl.lit("z")).otherwise("c"),
        y=pl.when(pl.Series(apart)).then(77.5).otherwise("y"),
    )
    plain = tables.train(frame, "y", hidden=[4], epochs=1, progress=False)
    with pytest.warns(TableWarning, match="20 unknown values"):
        other = tables.train(odd, "y", hidden=[4], epochs=1, progress=False)
    assert other.preprocessing == plain.preprocessing
    assert other.target == plain.target
    np.testing.assert_array_equal(other.trained.theta[0], plain.trained.theta[0])


# Files


def file(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_types_come_from_all_rows(tmp_path: Path) -> None:
    text = "n,big,x,b,when,at,d,zip,word,odd\n"
    text += '1,9,1.5,true,2024-01-01T10:00:00Z,10:30,2024-01-01,01234,"a, ""b""",1\n' * 150
    text += " -2 ,123456789012345678901234567890,NA,FALSE,2024-02-01 00:00:00,23:59,2024-02-01,99999,ünïcode,one\n"
    text = text.replace("2024-02-01 00:00:00", "2024-02-01T00:00:00Z")
    frame = tables.read(file(tmp_path, "t.csv", text))
    assert dict(frame.schema) == {
        "n": pl.Int64,
        "big": pl.Float64,
        "x": pl.Float64,
        "b": pl.Boolean,
        "when": pl.Datetime("us", "UTC"),
        "at": pl.Time,
        "d": pl.Date,
        "zip": pl.String,
        "word": pl.String,
        "odd": pl.String,
    }
    assert frame["n"][-1] == -2
    assert frame["x"].null_count() == 1
    assert frame["word"][0] == 'a, "b"'
    assert frame["word"][-1] == "ünïcode"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "a,b\n1.5,x\n2,y z\n"),
        ("t.CSV", '"a", b\r\n1.5, x\r\n2,y z\r\n'),
        ("t.csv", "\ufeffa;b\n1,5;x\n2;y z\n"),
        ("t.tsv", "a\tb\n1,5\tx\n2\ty z\n"),
        ("t.txt", "a|b\n1.5|x\n2|y z\n"),
        ("t.csv.gz", gzip.compress(b"a,b\n1.5,x\n2,y z\n", mtime=0)),
    ],
)
def test_separators_decimal_commas_and_marks_are_found(name: str, text: str | bytes, tmp_path: Path) -> None:
    frame = tables.read(file(tmp_path, name, text))
    assert frame.to_dict(as_series=False) == {"a": [1.5, 2.0], "b": ["x", "y z"]}


def test_parquet_is_read_and_gives_the_same_as_csv(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "t.parquet")
    FRAME.write_csv(tmp_path / "t.csv")
    assert tables.read(tmp_path / "t.parquet").equals(FRAME)
    p = Preprocessing.fit(FRAME)
    np.testing.assert_array_equal(p.transform(tables.read(tmp_path / "t.csv")), p.transform(FRAME))


PARQUET_START = b"PAR1" + bytes(40)
REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("t.csv", "", "is empty"),
    "blank": ("t.csv", " \n\n", "is empty"),
    "no rows": ("t.csv", "a,b\n", "has column names but no rows"),
    "a name twice": ("t.csv", "a,b,a\n1,2,3\n", "duplicate names in the first line, 'a': rename one"),
    "a column without a name": ("t.csv", "a,,c\n1,2,3\n", "column 2 has no name"),
    "a ragged line": ("t.csv", "a,b\n1,2\n1,2,3\n", "a line has more fields than the first line has names"),
    "another encoding": ("t.csv", b"a,b\n\xe9,2\n", "its text is not UTF-8"),
    "UTF-16": ("t.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16 text: save it as CSV in UTF-8"),
    "UTF-16 without its mark": ("t.csv", "a,b\n1,2\n".encode("utf-16-be"), "contains NUL bytes: it is damaged, UTF-16"),
    "NUL bytes": ("t.csv", "a,b\nx\0y,2\n", "contains NUL bytes: it is damaged"),
    "Latin-1 names": ("t.csv", "größe,b\n1,2\n".encode("latin-1"), "is not UTF-8 text: save it as CSV in UTF-8"),
    "lines of old Macs": ("t.csv", "a,b\r1,2\r3,4\r", "ends its lines with CR alone"),
    "lines of old Macs, with quotes": ("t.csv", '"a\rb","c"\r1,2\r', "ends its lines with CR alone"),
    "Parquet by another name": ("t.csv", PARQUET_START, "is a Parquet file: give it the ending .parquet"),
    "a spreadsheet by another name": ("t.csv", b"PK\3\4" + bytes(40), "is a spreadsheet or an archive"),
    "broken Parquet": ("t.parquet", PARQUET_START, "is not a complete Parquet file"),
    "broken gzip": ("t.csv.gz", b"\x1f\x8b" + bytes(10), "is not a complete gzip file"),
    "no gzip": ("t.csv.gz", b"a,b\n1,2\n", "is not a complete gzip file"),
    "a spreadsheet": ("t.xlsx", b"PK\3\4", "is a spreadsheet: save it as CSV there"),
    "JSON": ("t.json", "[]", "is JSON: convert it with polars.read_json"),
    "a pickle": ("t.pkl", b"\x80", "is a pickle, which could run any code"),
    "another ending": ("t.dat", "a,b\n1,2\n", "ends in '.dat'; tables are read from .csv"),
    "no ending": ("table", "a,b\n1,2\n", "has no ending"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_not_a_table_is_refused(case: str, tmp_path: Path) -> None:
    name, text, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        tables.read(file(tmp_path, name, text))
    assert "polars.exceptions" not in str(caught.value)
    assert "infer_schema" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_errors_with_the_path(tmp_path: Path) -> None:
    file(tmp_path, "flights.csv", "a\n1\n")
    with pytest.raises(FileNotFoundError, match=r"did you mean 'flights.csv'\?: '.*flight.csv'"):
        tables.read(tmp_path / "flight.csv")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        tables.read(tmp_path)


def test_without_polars_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["polars"] = None  # as if it were not installed
from dlarray import tables
try: tables.read("t.csv")
except ImportError as error: print(error)
"""
    assert python(code) == 'reading tables needs polars: pip install "dlarray[table]"'


# Training, and the file


@pytest.fixture(scope="module")
def flowers() -> Any:
    """Two kinds of flowers that differ in size; their colour is almost no information."""
    own = np.random.default_rng(1)
    kind = np.array(["rose"] * 10 + ["lily"] * 110)
    length = np.where(kind == "rose", 3.0, 1.0) + own.normal(scale=0.3, size=120)
    colour = own.choice(["red", "white"], 120)
    return pl.DataFrame(
        {"length": [None if i % 30 == 29 else v for i, v in enumerate(length)], "colour": colour, "kind": kind}
    )


@pytest.fixture(scope="module")
def garden(flowers: Any) -> tables.TableModel:
    return tables.train(flowers, "kind", hidden=[8], batch_size=8, progress=False)


def test_a_model_of_a_table_beats_the_baseline(garden: tables.TableModel, flowers: Any) -> None:
    facts = garden.facts
    assert facts["rows"] == {"training": 96, "validation": 24}
    assert facts["metrics"]["log_loss"] < 0.8 * facts["baseline"]["log_loss"]
    assert facts["baseline"]["balanced_accuracy"] == 0.5
    assert "'lily' has" in facts["imbalance"]
    predictions = garden.predict(flowers)
    assert predictions.height == 120
    np.testing.assert_allclose(predictions["p(lily)"] + predictions["p(rose)"], 1, rtol=1e-5)
    right = (predictions["prediction"] == flowers["kind"]).mean()
    assert garden.evaluate(flowers)["accuracy"] == pytest.approx(right)


def test_the_file_brings_all_of_it(garden: tables.TableModel, flowers: Any, tmp_path: Path) -> None:
    path = tmp_path / "garden.safetensors"
    garden.save(path)
    again = tables.load(path, "cpu")
    assert (again.preprocessing, again.target, again.facts) == (garden.preprocessing, garden.target, garden.facts)
    assert again.trained.history == garden.trained.history
    assert again.predict(flowers).equals(garden.predict(flowers))
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert np.array_equal(dl.load(path, "cpu").theta[0], garden.trained.theta[0])  # the network alone, as any other


def test_a_changed_file_is_found(garden: tables.TableModel, tmp_path: Path) -> None:
    path = tmp_path / "garden.safetensors"
    garden.save(path)
    path.write_bytes(path.read_bytes().replace(b"lily", b"tulp"))
    with pytest.raises(dl.CheckpointError, match="do not match its SHA-256"):
        tables.load(path)


def test_a_network_without_a_table_says_so(tmp_path: Path) -> None:
    x = rng.normal(size=(8, 2))
    dl.fit(dl.mlp(2, 1), x, x[:, 0], epochs=1, batch_size=8, progress=False).save(tmp_path / "m")
    with pytest.raises(dl.CheckpointError, match="a network without preprocessing: it was not trained on a table"):
        tables.load(tmp_path / "m")


Change = Callable[[dict[str, Any]], Any]
CHANGES: dict[str, Change] = {
    "no columns": lambda d: d["preprocessing"].update(columns=[]),
    "an unknown kind": lambda d: d["preprocessing"]["columns"][0].update(kind="eval"),
    "a word for a number": lambda d: d["preprocessing"]["columns"][0].update(mean="1"),
    "a scale of 0": lambda d: d["preprocessing"]["columns"][0].update(scale=0),
    "another field": lambda d: d["preprocessing"]["columns"][0].update(path="x"),
    "one column less": lambda d: d["preprocessing"]["columns"].pop(),
    "another class": lambda d: d["target"].update(labels=["lily", "rose", "tulip"]),
    "no target": lambda d: d.pop("target"),
    "a target without a name": lambda d: d["target"].update(name=1.5),
    "a target that is none": lambda d: d["target"].update(kind="column"),
    "categories that are numbers": lambda d: d["preprocessing"]["columns"][1].update(categories=[1, 2]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_preprocessing_that_cannot_be_is_refused(change: str, garden: tables.TableModel, tmp_path: Path) -> None:
    """A file with a valid digest, as an attacker would write it."""
    data: dict[str, Any] = {
        "preprocessing": garden.preprocessing.as_data(),
        "target": garden.target.as_data(),
        "facts": {},
    }
    data = json.loads(json.dumps(data))
    CHANGES[change](data)
    garden.trained.save(tmp_path / "m", notes={"table": data})
    with pytest.raises(dl.CheckpointError, match="is not a dlarray model"):
        tables.load(tmp_path / "m")


def test_weights_balance_the_classes(flowers: Any) -> None:
    colours = flowers.select("colour", "kind")  # what remains is how frequent the classes are
    plain, balanced = (
        tables.train(colours, "kind", hidden=[4], batch_size=8, balanced=b, progress=False).predict(colours)
        for b in (False, True)
    )
    assert np.mean(plain["p(rose)"].to_numpy()) < 0.2
    assert 0.35 < np.mean(balanced["p(rose)"].to_numpy()) < 0.65


def test_rows_without_a_target_are_dropped_and_counted(flowers: Any, garden: tables.TableModel) -> None:
    holes = flowers.with_columns(kind=pl.when(pl.int_range(120) >= 110).then(None).otherwise("kind"))
    with pytest.warns(TableWarning, match="10 of 120 rows have no target 'kind' and are dropped"):
        model = tables.train(holes, "kind", hidden=[2], epochs=1, progress=False)
    assert sum(model.facts["rows"].values()) == 110
    numbers = pl.DataFrame({"x": [1.0, 2.0, 3.0, 4.0, 5.0], "y": [0.5, float("nan"), float("inf"), 2.5, 3.5]})
    with pytest.warns(TableWarning, match="2 of 5 rows"):
        tables.train(numbers, "y", hidden=[2], epochs=1, validation=0, progress=False)


def test_extra_columns_are_reported_and_not_used(flowers: Any, garden: tables.TableModel) -> None:
    extra = flowers.drop("kind").with_columns(smell=pl.lit("sweet"))
    with pytest.warns(TableWarning, match="columns that training did not have are not used: 'smell'"):
        predictions = garden.predict(extra)
    assert predictions.equals(garden.predict(flowers))


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"target": "kinds"}, UnknownColumnError, "no column 'kinds', did you mean 'kind'"),
        ({"target": "KIND"}, UnknownColumnError, "did you mean 'kind'"),
        ({"target": "kind", "activation": "rely"}, ValueError, "did you mean 'relu'"),
        ({"target": "kind", "optimizer": "adamm"}, ValueError, "did you mean 'adam'"),
        ({"target": "kind", "device": "cdua"}, dl.DeviceError, "did you mean 'cuda'"),
        ({"target": "kind", "validation": 1.5}, ValueError, r"\[0, 1\)"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], kind: type, message: str, flowers: Any) -> None:
    with pytest.raises(kind, match=message):
        tables.train(flowers, progress=False, **arguments)


def test_unusable_tables_are_refused(flowers: Any) -> None:
    with pytest.raises(ValueError, match="has only the column 'kind'"):
        tables.train(flowers.select("kind"), "kind")
    with pytest.raises(ValueError, match="the table has no rows"):
        tables.train(flowers.head(0), "kind")
    with pytest.raises(TypeError, match="a table must be a path or a polars DataFrame, got list"):
        tables.train([1], "kind")  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cpu", "strict", "torch", "jax"])
def test_it_is_the_same_on_every_device(device: str, flowers: Any, garden: tables.TableModel) -> None:
    pytest.importorskip({"cpu": "numpy", "strict": "array_api_strict"}.get(device, device))
    found = tables.train(flowers, "kind", hidden=[8], batch_size=8, device=device, progress=False)
    assert found.preprocessing == garden.preprocessing
    np.testing.assert_allclose(found.predict(flowers)["p(rose)"], garden.predict(flowers)["p(rose)"], atol=1e-4)
    assert found.evaluate(flowers)["accuracy"] == garden.evaluate(flowers)["accuracy"]
