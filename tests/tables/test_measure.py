"""The report about a model: the linear model and the guess beside it, importance, leaks, remarks, and its layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

import dlarray as dl  # noqa: E402
from dlarray import tables  # noqa: E402
from dlarray.tables.importance import importance  # noqa: E402
from dlarray.tables.layout import aligned, labelled, unbroken  # noqa: E402
from dlarray.tables.measure import Measured, Part, measure, remarks  # noqa: E402

N = 400
SHORT: dict[str, Any] = {"hidden": [16], "epochs": 20, "seeds": 1, "progress": False, "device": "cpu"}
rng = np.random.default_rng(8)
A, B, NOISE = rng.normal(size=N), rng.choice(["x", "y", "z"], N), rng.normal(size=N)
FRAME = pl.DataFrame(
    {
        "a": A,
        "b": B,
        "noise": NOISE,
        "linear": 3 * A + 2 * (B == "x") + rng.normal(size=N),
        "bent": np.abs(A) * 3 + rng.normal(0, 0.3, N),
        "label": np.where(A + 0.5 * rng.normal(size=N) > 0, "up", "down"),
        "chance": rng.choice(["p", "q"], N),
    }
)


def trained(target: str, *others: str, **options: Any) -> dict[str, Any]:
    return dict(tables.train(FRAME.select("a", "b", "noise", *others, target), target, **SHORT | options).facts)


def test_metrics_of_the_model_stand_beside_a_linear_model_and_the_guess() -> None:
    facts = trained("bent", epochs=60)
    assert facts["metrics"]["r2"] > 0.7 > 0.2 > facts["linear"]["r2"]
    assert abs(facts["baseline"]["r2"]) < 0.1
    assert facts["remarks"] == []
    assert facts["rows_measured"] == 80
    found = facts["quantiles"]
    assert found["truth"] == sorted(found["truth"])
    assert np.abs(found["error"][2]) < 1


def test_the_classes_of_the_report_are_those_of_the_measured_rows() -> None:
    facts = trained("label")
    assert [entry["label"] for entry in facts["classes"]] == ["down", "up"]
    assert sum(entry["rows"] for entry in facts["classes"]) == facts["rows_measured"] == 80
    right = sum(entry["recall"] * entry["rows"] for entry in facts["classes"])
    assert right == pytest.approx(80 * facts["metrics"]["accuracy"])
    assert facts["baseline"]["auc"] == 0.5


def test_a_model_without_a_gain_says_so() -> None:
    (remark,) = trained("chance")["remarks"]
    assert remark.startswith(
        ("the model is no better than the guess, as far as 80 rows can show", "the model is worse")
    )
    (remark,) = trained("linear", hidden=[2])["remarks"]
    assert "than the linear model" in remark
    assert "the linear model is simpler" in remark


def test_remarks_compare_with_what_is_worth_it() -> None:
    target = tables.RegressionTarget("y", 0.0, 1.0)
    n = 100
    low, middle, high = (np.full(n, value) + rng.normal(0, 0.1, n) for value in (1.0, 2.0, 3.0))

    def of(model: np.ndarray, linear: np.ndarray, guess: np.ndarray) -> list[str]:
        return [
            text.split(":")[0]
            for text in remarks(Measured({}, {"metrics": model, "linear": linear, "baseline": guess}), target, [])
        ]

    assert of(low, middle, high) == []
    assert of(middle, low, high) == ["the model is worse than the linear model"]
    wrong = "the model is worse than the guess, although the linear model is better"
    assert of(high, low, middle) == [wrong]
    late = "the model is worse than the linear model and little better than the guess"
    assert of(high - 0.2, low, high) == [late]
    assert of(middle, high, low) == ["the model is worse than the guess"]
    assert of(low, low, high) == ["the model is no better than the linear model, as far as 100 rows can show"]
    assert of(low, low, low) == ["the model is no better than the guess, as far as 100 rows can show"]


def test_training_that_went_wrong_is_not_blamed_on_the_columns() -> None:
    (remark,) = trained("linear", optimizer=dl.optimizers.Adam(1e-9), epochs=1)["remarks"]
    assert "the training went wrong or was too short" in remark
    assert "--epochs" in remark
    assert "say nothing" not in remark


def test_a_time_limit_that_ended_the_training_is_noted() -> None:
    remark = trained("linear", epochs=200_000, early_stopping=False, max_time=0.05)["remarks"][0]
    assert remark.startswith("the time limit ended the training of 1 of 1 network")
    assert "--max-time" in remark
    assert not any("time limit" in text for text in trained("linear", max_time=600)["remarks"])


def test_a_class_without_measured_rows_is_noted() -> None:
    frame = FRAME.select("a").with_columns(label=pl.Series(["no"] * (N - 1) + ["yes"]))
    facts = tables.train(frame, "label", **SHORT).facts
    assert facts["classes"][1]["recall"] is None
    assert facts["remarks"][0].startswith("the class 'yes' has no row among the 80 measured ones")
    assert "--folds" in facts["remarks"][0]
    several = frame.with_columns(label=pl.Series(["no"] * (N - 8) + list("abcdefgh")))
    remark = tables.train(several, "label", **SHORT).facts["remarks"][0]
    assert remark.startswith("the classes 'a', 'b', 'c', 'd', 'e', 'f' and 2 more have no row")


@pytest.mark.parametrize(
    ("target", "leak", "values"),
    [
        ("linear", "exp", lambda frame: np.exp(frame["linear"] / 5)),  # a number, by a curve
        ("label", "code", lambda frame: frame["label"].replace_strict({"up": "1st", "down": "2nd"})),
        ("label", "flag", lambda frame: frame["label"] == "up"),
    ],
)
def test_a_column_that_alone_predicts_the_target_is_named(target: str, leak: str, values: Any) -> None:
    frame = FRAME.select("a", "b", "noise", target).with_columns(pl.Series(leak, values(FRAME)))
    facts = tables.train(frame, target, **SHORT).facts
    assert [entry["column"] for entry in facts["suspects"]] == [leak]
    assert facts["suspects"][0]["explained"] > 0.95
    assert facts["remarks"][0].startswith(f"the column {leak!r} alone predicts {target!r} almost exactly")
    assert f"--drop {leak}" in facts["remarks"][0]
    assert not tables.train(frame.drop(leak), target, **SHORT).facts["suspects"]


def test_several_such_columns_are_one_remark() -> None:
    frame = FRAME.select("a", "b", "linear").with_columns(double=pl.col("linear") * 2, minus=-pl.col("linear"))
    remark = tables.train(frame, "linear", **SHORT).facts["remarks"][0]
    assert remark.startswith("the columns 'double' and 'minus' each predict 'linear' almost exactly")
    assert remark.endswith("--drop double --drop minus")


@pytest.mark.parametrize("target", ["bent", "label"])
def test_the_column_that_matters_is_the_most_important(target: str) -> None:
    found = trained(target, epochs=40)["importance"]
    assert found[0]["column"] == "a"
    assert {entry["column"] for entry in found} == {"a", "b", "noise"}
    values = [entry["value"] for entry in found]
    assert values == sorted(values, reverse=True)
    assert values[0] > 10 * max(abs(value) for value in values[1:])


def test_importance_shuffles_all_features_of_a_column_together() -> None:
    prepared = tables.prepare(FRAME.select("b", "linear"), "linear", **SHORT)
    seen: list[np.ndarray] = []

    def predict(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return x[:, :1]

    importance(predict, 1, prepared.x, prepared.t, prepared.target, prepared.preprocessing, 0)
    assert len(seen) == 4
    assert all(np.array_equal(x.sum(axis=1), np.ones(N)) for x in seen)  # each row still is one category
    assert not np.array_equal(seen[0], seen[1])


def test_importance_takes_a_sample_of_many_rows_and_is_left_out_of_a_large_model() -> None:
    prepared = tables.prepare(FRAME.select("a", "b", "linear"), "linear", **SHORT)
    rows: list[int] = []

    def predict(x: np.ndarray) -> np.ndarray:
        rows.append(len(x))
        return x[:, :1]

    def of(parameters: int) -> list[dict[str, Any]]:
        return importance(predict, parameters, prepared.x, prepared.t, prepared.target, prepared.preprocessing, 0)

    assert of(10)[0]["rows"] == N
    assert of(3_000_000)[0]["rows"] == 222
    assert rows[-1] == 222
    assert of(10_000_000) == []


def test_metrics_of_several_parts_are_means_with_deviations() -> None:
    target = tables.RegressionTarget("y", 0.0, 1.0)
    x, t = rng.normal(size=(60, 2)).astype(np.float32), rng.normal(size=60).astype(np.float32)
    plain = np.array([True, False])
    parts = [Part(x, t, x[k::3], t[k::3], np.zeros((20, 1), dtype=np.float32), plain) for k in range(3)]
    facts = measure(parts, target).facts
    each = [target.metrics(part.t, part.outputs)["rmse"] for part in parts]
    assert facts["metrics"]["rmse"] == pytest.approx(np.mean(each))
    assert facts["deviations"]["rmse"] == pytest.approx(np.std(each))


def test_rows_are_aligned_and_the_last_column_is_wrapped() -> None:
    rows = [("name", "n", "what it is"), ("a", "12", "some words that go on for longer than the line does")]
    assert aligned(rows, right={1}).splitlines() == [
        "name   n  what it is",
        "a     12  some words that go on for longer than the line does",
    ]
    assert aligned(rows, right={1}, width=38).splitlines() == [
        "name   n  what it is",
        "a     12  some words that go on for",
        "          longer than the line does",
    ]
    numbers = aligned([("x", "1"), ("y", "100")], right={1})
    assert numbers.splitlines() == ["x    1", "y  100"]


def test_what_is_unbroken_stays_on_one_line() -> None:
    text = f"use it with {unbroken('--task regression')} or not"
    found = labelled([("task", text)], width=36)
    assert found.splitlines() == ["task:       use it with", "            --task regression or not"]
    assert labelled([("task", text)]) == "task:       use it with --task regression or not"
