"""Preprocessing: compared with scikit-learn, dropped columns, new values, and as data."""

from __future__ import annotations

import datetime
import json
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray.tables import (  # noqa: E402  # noqa: E402
    Preprocessing,
    TableWarning,
    UnknownColumnError,
)
from dlarray.tables.columns import Column, Number  # noqa: E402
from dlarray.tables.scaling import robust_mean_and_deviation  # noqa: E402
from tests.support.tables import messages, mixed_frame  # noqa: E402

rng = np.random.default_rng(5)
N = 300
FRAME = mixed_frame(N)
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
    assert tuple(np.asarray(ours.features)[ours.plain]) == (
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
        expected[:, [0, 1, 3]] = np.clip(expected[:, [0, 1, 3]], -5, 5)
        found = quietly(ours, frame)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[:, ours.plain], expected, rtol=1e-6, atol=1e-6)


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
    assert p.transform(pl.DataFrame({"x": [1e308, -1e308, 0.5]}))[:, 0].tolist() == [5, -5, 0]


def test_one_sentinel_does_not_hide_the_other_numbers() -> None:
    usual = rng.normal(50, 10, size=200)
    for rows in (usual, np.where(rng.uniform(size=200) < 0.99, 0.0, usual)):  # the second is almost always 0
        frame = pl.DataFrame({"x": [*rows, 999_999_999.0]})
        p = Preprocessing.fit(frame)
        x = p.transform(frame)[:, 0]
        assert x[-1] == 5
        alone = Preprocessing.fit(pl.DataFrame({"x": rows})).transform(frame)[:, 0]
        assert np.std(x[:-1]) > 0.4 * np.std(alone[:-1])


def test_far_values_do_not_move_mean_and_deviation() -> None:
    x = rng.normal(3, 2, size=1000)
    assert robust_mean_and_deviation(x) == pytest.approx((x.mean(), x.std()))
    mean, deviation = robust_mean_and_deviation(np.append(x, [1e300, -1e308, 1e308]))
    assert mean == pytest.approx(3, abs=0.2)
    assert deviation == pytest.approx(2, abs=0.4)
    assert robust_mean_and_deviation(np.full(9, 7.0)) == (7.0, 1.0)


def test_pieces_are_linear_between_quantiles() -> None:
    x = np.append(rng.exponential(size=90), np.zeros(10))
    frame = pl.DataFrame({"x": x})
    p = Preprocessing.fit(frame)
    (number,) = p.columns
    knots = np.unique(np.quantile(x, np.linspace(0, 1, 9)))
    assert isinstance(number, Number)
    assert number.knots == tuple(knots.tolist())
    new = np.asarray([-1.0, 0.0, 0.01, 0.5, 2.0, 1e9])
    found = p.transform(pl.DataFrame({"x": new}))
    assert p.plain.tolist() == [True] + [False] * (len(knots) - 1)
    inside = np.clip(new, knots[0], knots[-1])
    np.testing.assert_allclose((found[:, 1:] + 0.5) @ np.diff(knots) + knots[0], inside, atol=1e-5)
    for i, (a, b) in enumerate(pairwise(knots)):
        np.testing.assert_allclose(found[:, 1 + i], np.clip((new - a) / (b - a), 0, 1) - 0.5, atol=1e-6)


def test_columns_of_few_values_have_no_pieces_and_many_columns_have_fewer() -> None:
    few = Preprocessing.fit(pl.DataFrame({"x": rng.integers(0, 3, size=80)}))
    assert few.features == ("x",)
    wide = pl.DataFrame({f"x{i}": rng.normal(size=40) for i in range(200)})
    assert len(Preprocessing.fit(wide).features) == 200 * (1 + 3)
    wider = pl.DataFrame({f"x{i}": rng.normal(size=40) for i in range(400)})
    assert len(Preprocessing.fit(wider).features) == 400


@pytest.mark.parametrize(
    "wrong", [{"knots": [1.0, 0.0]}, {"knots": [1.0]}, {"knots": [0.0, float("inf")]}, {"limit": 0}]
)
def test_a_number_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    (number,) = Preprocessing.fit(pl.DataFrame({"x": rng.normal(size=40)})).columns
    with pytest.raises(ValueError, match=r"knot|limit"):
        Column.from_data(number.as_data() | wrong)


def test_a_number_of_an_earlier_file_is_scaled_as_it_was() -> None:
    data = {"kind": "number", "name": "x", "missing": 0, "median": 1.0, "mean": 2.0, "scale": 0.5}
    x = Column.from_data(data).transform(pl.Series("x", [2.5, 1e9]))
    assert x.tolist() == [[1.0], [1e6]]


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
