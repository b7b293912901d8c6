"""Splits of rows: at random, by group, by time, into folds."""

from __future__ import annotations

import datetime
from itertools import pairwise

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray.tables import TableWarning, UnknownColumnError, split  # noqa: E402
from dlarray.tables.split import SplitOptions  # noqa: E402

rng = np.random.default_rng(6)
N = 200
T = rng.normal(size=N).astype(np.float32)
LABELS = (np.arange(N) % 4 == 0).astype(np.int32)
CUSTOMER = [f"c{int(i)}" for i in rng.integers(0, 23, N)]
DAY = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(i)) for i in rng.integers(0, 90, N)]
FRAME = pl.DataFrame({"customer": CUSTOMER, "day": DAY, "year": [d.month for d in DAY], "x": T})


def test_without_a_column_the_split_is_random_and_stratified() -> None:
    of = SplitOptions(validation=0.2, seed=3).of(FRAME)
    held_out = of.held_out(LABELS)
    assert np.array_equal(held_out, split(LABELS, 0.2, 3))
    assert held_out[LABELS == 1].mean() == held_out[LABELS == 0].mean() == 0.2
    assert of.together is None
    assert of.description == ""


def test_groups_are_never_on_both_sides() -> None:
    of = SplitOptions(validation=0.25, group="customer", folds=5).of(FRAME)
    held_out = of.held_out(T)
    customers = np.array(CUSTOMER)
    assert not set(customers[held_out]) & set(customers[~held_out])
    assert 0.15 < held_out.mean() < 0.35
    assert not np.array_equal(held_out, SplitOptions(validation=0.25, group="customer", seed=1).of(FRAME).held_out(T))
    measured = np.zeros(N, dtype=int)
    for training, test in of.folds(T):
        assert not set(customers[training]) & set(customers[test])
        assert not (training & test).any()
        assert 20 < test.sum() < 60
        measured += test
    assert (measured == 1).all()
    assert of.together is not None
    assert len(np.unique(of.together)) == len(set(CUSTOMER))
    assert of.description == "whole groups of 'customer', seed 0"


def test_the_latest_rows_are_held_out() -> None:
    of = SplitOptions(validation=0.25, time="day", folds=4).of(FRAME)
    held_out = of.held_out(LABELS)
    days = np.array(DAY)
    assert days[held_out].min() > days[~held_out].max()
    assert 0.2 < held_out.mean() < 0.3
    folds = of.folds(LABELS)
    assert len(folds) == 4
    for training, test in folds:
        assert days[training].max() < days[test].min()
        assert test.sum() > 20
    assert of.together is not None
    blocks = [days[of.together == k] for k in np.unique(of.together)]
    assert len(blocks) == 10
    assert all(one.max() < two.min() for one, two in pairwise(blocks))
    assert of.description == "the latest by 'day'"


def test_a_number_can_be_the_time_and_equal_times_stay_together() -> None:
    of = SplitOptions(validation=0.2, time="year").of(FRAME)
    held_out = of.held_out(T)
    assert set(FRAME["year"].to_numpy()[held_out]) == {3}
    assert set(FRAME["year"].to_numpy()[~held_out]) == {1, 2}
    assert SplitOptions(validation=0, time="year").of(FRAME).held_out(T).sum() == 0


def test_the_split_of_a_part_keeps_its_groups() -> None:
    of = SplitOptions(validation=0.3, group="customer").of(FRAME)
    mask = np.arange(N) < 120
    part = of.rows(mask)
    held_out = part.held_out(T[mask])
    customers = np.array(CUSTOMER)[mask]
    assert not set(customers[held_out]) & set(customers[~held_out])


def test_folds_are_stratified_by_class() -> None:
    folds = SplitOptions(folds=5).of(FRAME).folds(LABELS)
    assert [int(test.sum()) for _, test in folds] == [40] * 5
    assert [int(LABELS[test].sum()) for _, test in folds] == [10] * 5
    assert all(np.array_equal(training, ~test) for training, test in folds)


def test_rows_without_a_time_are_training_rows() -> None:
    frame = pl.DataFrame({"day": [None, *DAY[1:]]})
    with pytest.warns(TableWarning, match="column 'day': 1 row without a time, taken as earlier than all others"):
        of = SplitOptions(time="day").of(frame)
    assert not of.held_out(T)[0]


def test_rows_without_a_group_are_one_group() -> None:
    of = SplitOptions(group="g", validation=0.5).of(pl.DataFrame({"g": ["a", None, "b", None, "c", None]}))
    held_out = of.held_out(np.zeros(6, dtype=np.float32))
    assert len({bool(held_out[i]) for i in (1, 3, 5)}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "customer", "time": "day"}, "by group or by time, not both: got group 'customer' and time 'day'"),
        ({"folds": 1}, "folds must be at least 2, got 1"),
        ({"validation": 1.0}, r"validation must lie in \[0, 1\)"),
        ({"time": "customer"}, "rows cannot be ordered by 'customer', a column of text: .* --date customer"),
    ],
)
def test_wrong_splits_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SplitOptions(**options).of(FRAME)  # type: ignore[arg-type]


def test_splits_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(UnknownColumnError, match="did you mean 'customer'"):
        SplitOptions(group="custmer").of(FRAME)
    one = pl.DataFrame({"g": ["a"] * 5, "t": [1] * 5})
    zeros = np.zeros(5, dtype=np.float32)
    with pytest.raises(ValueError, match="all rows are of one group"):
        SplitOptions(group="g").of(one).held_out(zeros)
    with pytest.raises(ValueError, match="all rows have the same time"):
        SplitOptions(time="t").of(one).held_out(zeros)
    with pytest.raises(ValueError, match="3 folds need at least 3 groups, got 1"):
        SplitOptions(group="g", folds=3).of(one).folds(zeros)
    with pytest.raises(ValueError, match="9 folds need at least 9 rows, got 5"):
        SplitOptions(folds=9).of(one).folds(zeros)
