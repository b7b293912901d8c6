"""The target: its task, its labels and metrics, and the split of the rows."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402  # noqa: E402
    ClassificationTarget,
    RegressionTarget,
    TableWarning,
)
from dlarray.tables.text_format import TextFormat  # noqa: E402
from tests.support.tables import SETTINGS, written  # noqa: E402

rng = np.random.default_rng(5)


# The target


@pytest.mark.parametrize(
    ("values", "kind", "why"),
    [
        (["yes", "no", "yes"], ClassificationTarget, "text"),
        ([True, False, None], ClassificationTarget, "booleans"),
        ([1, 2, 3, 1, 2] * 5, ClassificationTarget, "integers with 3 distinct values"),
        ([1, 2] * 50 + [3], ClassificationTarget, "integers with 3 distinct values"),
        ([7, 4], RegressionTarget, "integers with 2 distinct values, 2 of them in fewer than 5 rows"),
        ([1, 2, 3, 1], RegressionTarget, "integers with 3 distinct values, 3 of them in fewer than 5 rows"),
        ([*range(15)] * 4, RegressionTarget, "integers with 15 distinct values, 15 of them in fewer than 5 rows"),
        ([1.0, 0.0, 1.0], ClassificationTarget, "integers with 2 distinct values"),
        ([1.5, 2.0, None], RegressionTarget, "numbers with 2 distinct values"),
        (list(range(50)), RegressionTarget, "integers with 50 distinct values"),
        ([datetime.timedelta(hours=i) for i in range(3)], RegressionTarget, "durations, in seconds"),
        ([datetime.date(2020, 1, 1 + i) for i in range(3)], RegressionTarget, "dates, errors in days"),
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
    assert target == ClassificationTarget("y", ("0.5", "1.5"), "numbers", format=TextFormat("values"))


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        ([None, None], None, "the target 'y' is missing in every row"),
        (["a", "a", None], None, "the target 'y' is 'a' in every row: there is nothing to learn"),
        ([2.5, 2.5], None, "is 2.5 in every row"),
        ([f"n{i}" for i in range(50)], None, "text with 50 distinct values in 50 rows: it looks like an identifier"),
        (list(range(2000)), "classification", "has 2,000 distinct values: it may be an identifier, or a number"),
        (["a", "b", "c"], None, "text with 3 distinct values in 3 rows: it looks like an identifier"),
        (["a", "b"], "regression", "is of type String: regression needs numbers"),
        ([datetime.time(10)], None, "is of type Time: it must be numbers, dates, text or booleans"),
        ([datetime.date(2020, 1, 1)] * 2, None, "the target 'y' is 2020-01-01 in every row: there is nothing to learn"),
        (["a", "b"], "regresion", "unknown task 'regresion', did you mean 'regression'"),
    ],
)
def test_an_unusable_target_is_refused(values: list[Any], task: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tables.choose_target(pl.Series("y", values), task)


def test_a_number_whose_square_overflows_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"'y' holds 1e\+308: squared errors of numbers beyond 1e\+150"):
        tables.choose_target(pl.Series("y", [*np.linspace(0, 1, 50), 1e308]))


def test_predicted_dates_have_whole_seconds() -> None:
    target, _ = tables.choose_target(pl.Series("y", [datetime.date(2020, 1, 1 + i) for i in range(30)]))
    predicted = target.predictions(np.array([0.123456, 0.3]))["prediction"]
    assert predicted.dt.microsecond().to_list() == [0, 0]


def test_a_date_is_predicted_as_a_datetime_with_errors_in_days(tmp_path: Path) -> None:
    start = datetime.datetime(2020, 1, 31)
    moments = [start + datetime.timedelta(days=2 * i, hours=6 * i) for i in range(30)]
    columns = {"x": [str(i) for i in range(1000, 1300, 10)], "y": [f"{m:%d.%m.%Y %H:%M}" for m in moments]}
    path = written(tmp_path / "t.csv", columns)
    with pytest.warns(TableWarning, match=r"with the format %d\.%m\.%Y %H:%M"):
        model = tables.train(path, "y", **SETTINGS)
    assert model.target.description.startswith("regression of y, mean 2020-")
    assert model.target.description.endswith(" days")
    model.save(tmp_path / "m")
    target = tables.load(tmp_path / "m", "cpu").target
    assert target == model.target
    t = target.encode(pl.Series("y", columns["y"]))
    np.testing.assert_array_equal(t, target.encode(pl.Series("y", moments)))
    predicted = target.predictions(t)["prediction"]
    assert predicted.dtype == pl.Datetime("us")
    errors = (predicted - pl.Series(moments)).dt.total_seconds().to_numpy()
    assert np.max(np.abs(errors)) < 10  # of float32
    later = target.encode(pl.Series("y", [m + datetime.timedelta(days=3) for m in moments]))
    assert target.metrics(t, later)["mae"] == pytest.approx(3, rel=1e-4)
    assert model.predict(path)["prediction"].dtype == pl.Datetime("us")
    assert model.evaluate(path)["rmse"] > 0
    with pytest.raises(ValueError, match="held dates in training and holds numbers here"):
        target.encode(pl.Series("y", [5]))


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
    with pytest.raises(ValueError, match="no row can be held out for validation, because there is only one row"):
        tables.split(np.zeros(1, dtype=np.int32), 0.5, 0)
    with pytest.raises(ValueError, match="because every class has only one row"):
        tables.split(np.arange(9, dtype=np.int32), 0.5, 0)


def test_validation_teaches_nothing() -> None:
    """Means, categories, the target's scale and a single network are those of the training part alone."""
    n = 100
    frame = pl.DataFrame({"x": rng.normal(size=n), "c": rng.choice(["a", "b"], n), "y": rng.normal(size=n)})
    apart = tables.split(frame["y"].to_numpy(), 0.2, 0)
    odd = frame.with_columns(
        x=pl.when(pl.Series(apart)).then(1e3).otherwise("x"),
        c=pl.when(pl.Series(apart)).then(pl.lit("z")).otherwise("c"),
        y=pl.when(pl.Series(apart)).then(pl.col("y") + 77.5).otherwise("y"),
    )
    plain = tables.train(frame, "y", hidden=[4], epochs=1, seeds=1, progress=False)
    with pytest.warns(TableWarning, match="20 unknown values"):
        other = tables.train(odd, "y", hidden=[4], epochs=1, seeds=1, progress=False)
    assert other.preprocessing == plain.preprocessing
    assert other.target == plain.target
    np.testing.assert_array_equal(other.trained.theta[0], plain.trained.theta[0])
