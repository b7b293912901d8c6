"""The benchmarks of tables: their splits, scores, noise, goals, and kinds of refusals."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.scripts import script

pytest.importorskip("polars")
pytest.importorskip("sklearn")
program, files, sets = script("tables"), script("files"), script("table_sets")
contenders, report = script("table_contenders"), script("table_report")


def test_each_contender_is_scored_on_the_same_rows():

    diabetes = next(s for s in sets.TUNING if s.name == "diabetes")
    split = contenders.Split.at(diabetes, diabetes.load(), seed=0)
    assert (split.train.height, split.test.height) == (331, 111)
    linear = contenders.measured("linear", split, 0)
    t = split.test["target"].to_numpy()
    assert linear["score"] == pytest.approx(1 - linear["loss"] ** 2 / t.var(), rel=1e-4)
    sizes = [len(t[i::20]) for i in range(20)]
    assert linear["score"] == pytest.approx(np.average(linear["groups"], weights=sizes), abs=1e-5)
    assert linear["score"] > 0.3
    assert contenders.measured("dlarray", split, 0)["score"] > 0.2


def test_classes_have_accuracy_and_log_loss():

    cancer = next(s for s in sets.HELD_BACK if s.name == "breast_cancer")
    split = contenders.Split.at(cancer, cancer.load(), seed=1)
    n = split.test.height
    of = split.score(contenders.Outcome(np.full(n, "1"), np.full(n, 0.5), 0.25))
    assert of["score"] == pytest.approx(np.mean(split.test["target"].to_numpy() == 1), abs=1e-6)
    assert of["loss"] == pytest.approx(np.log(2), rel=1e-5)
    assert of["seconds"] == 0.25


def rows(score: float, *, loss: float = 0.3, seconds: float = 1.0) -> list[dict[str, Any]]:
    noise = np.tile([0.01, -0.01], 10)
    return [{"score": score, "loss": loss, "seconds": seconds, "groups": list(score + noise)}] * 3


def entry(ours: float, linear: float, *, mlp: float = 0.5, loss: float = 0.3, seconds: float = 2.0) -> dict[str, Any]:
    base = [{"score": linear, "loss": 0.3, "seconds": 1.0, "groups": [linear] * 20}] * 3
    of = {"dlarray": rows(ours, loss=loss, seconds=seconds), "linear": base, "MLP": rows(mlp), "HGB": rows(0.8)}
    return {"list": "tuning", "task": "classification", "rows": 100, "of": of | {"before": rows(0.7)}}


def test_goals_name_the_sets_that_speak_against_them():

    found = {
        "within noise": entry(0.799, 0.8),
        "worse": entry(0.79, 0.8, mlp=0.9),
        "better": entry(0.9, 0.8, loss=0.31, seconds=8.0),
    }
    linear, mlp, hgb, log_loss, median, together = report.goals(found)
    assert linear.reached == pytest.approx(1 / 3)
    assert linear.sets == ["worse"]
    assert mlp.sets == ["worse"]
    assert hgb.sets == ["within noise", "worse"]
    assert log_loss.sets == ["better"]
    assert (median.reached, together.reached) == (2, 4)
    assert [goal.met for goal in (linear, mlp, hgb, log_loss, median, together)] == [False] * 4 + [True, False]
    assert "worse than linear beyond noise (3 sets): 33%, goal at most 5%: NOT met [worse]" in report.text(
        {"sets": found}
    )


def test_tables_of_markdown_have_the_goals_of_each_list_and_of_all():
    found = {"one": entry(0.9, 0.8), "two": entry(0.79, 0.8) | {"list": "held back"}}
    lines = report.markdown({"sets": found}).splitlines()
    assert lines[0] == "|  | goal | tuning, 1 sets | held back, 1 sets | all, 2 sets |"
    assert "| worse than linear beyond noise | at most 5% | 0% | 100% | 50% |" in lines
    assert sum(line.startswith(("| one |", "| two |")) for line in lines) == 2


def test_contenders_that_are_not_run_come_from_an_earlier_file(tmp_path):
    def run(only: str, earlier: Path | None = None) -> dict[str, Any]:
        options = Namespace(
            lists="tuning,held back", sets="diabetes,breast_cancer", only=only, earlier=earlier, seeds=1,
            json=tmp_path / f"{only}.json",
        )  # fmt: skip
        return program.measure(options, ["in a test"])

    first = run("linear")
    both = run("dlarray", tmp_path / "linear.json")
    assert list(both["sets"]) == ["diabetes", "breast_cancer"]
    for name, entry in both["sets"].items():
        assert entry["of"].keys() == {"linear", "dlarray"}
        assert entry["of"]["linear"] == first["sets"][name]["of"]["linear"]
        assert len(entry["of"]["dlarray"][0]["groups"]) == 20
    assert json.loads((tmp_path / "dlarray.json").read_text()) == both


def test_the_sets_are_named_once_and_none_is_in_both_lists():

    names = [s.name for s in sets.TUNING + sets.HELD_BACK]
    assert len(names) == len(set(names))
    assert len(sets.TUNING) >= 37
    assert len(sets.HELD_BACK) >= 25


def test_messages_differ_by_kind_alone():
    one = files.kind("/a/b.csv: column 'x' has 1,234 values, \"y\" has 5", "/a/b.csv")
    assert one == files.kind("/c.csv: column 'it\\'s' has 7 values, \"z\" has 0.5", "/c.csv")
    assert one == "FILE: column '…' has N values, '…' has N"


def test_a_refusal_is_no_traceback(tmp_path):
    (tmp_path / "constant.csv").write_text("x,y\n" + "1,2\n" * 30)
    assert files.outcome(tmp_path / "constant.csv")["outcome"] == "refused"
    table = "".join(f"{i % 7},{i % 2}\n" for i in range(60))
    (tmp_path / "good.csv").write_text("x,y\n" + table)
    assert files.outcome(tmp_path / "good.csv") == {
        "outcome": "trained",
        "target": "y",
        "task": "classification",
        "rows": 60,
    }
    with pytest.raises(ValueError, match="invalid literal") as raised:
        int("x")
    assert files.failed(raised.value)["outcome"] == "traceback"  # not a message of dlarray
