"""Files of expected failures: what they mean, and what is refused in them."""

from __future__ import annotations

import pytest

from dlarray.testing.check import Check, Result
from dlarray.testing.columns import Column
from dlarray.testing.expectations import expected_on, file_of, read, written
from dlarray.testing.report import ColumnReport, Report
from dlarray.testing.suite import plan
from tests.support.own_library import OwnBackend, installed

CHECKS = [
    Check(part, name, lambda column: None)
    for part, name in [
        ("functions", "x[:, 2]"),
        ("functions", "xp.exp(x)"),
        ("training", "dense"),
        ("training", "dropout"),
    ]
]
DOUBLE, SINGLE = Column("mine-float64", "mine"), Column("mine-float32", "mine", "float32")

FILE = """
# What mine does otherwise.
functions: x[:, 2]   # no slices: issue 7

[*-float32]
training: *     # exp is not accurate
functions: xp.exp(x)
"""


def expected(folder, text, column):
    path = folder / "mine.xfails"
    path.write_text(text, encoding="utf-8")
    return expected_on(column, read(path, CHECKS), CHECKS)


def test_lines_are_for_all_columns_until_a_pattern_comes(tmp_path):
    everywhere = {("functions", "x[:, 2]"): "no slices: issue 7"}
    assert expected(tmp_path, FILE, DOUBLE) == everywhere
    assert expected(tmp_path, FILE, SINGLE) == everywhere | {
        ("training", "dense"): "exp is not accurate",
        ("training", "dropout"): "exp is not accurate",
        ("functions", "xp.exp(x)"): "",
    }
    assert expected(tmp_path, "", DOUBLE) == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("functions: xp.exp(y)", r"line 2: functions has no check 'xp.exp\(y\)'.*did you mean 'xp.exp\(x\)'"),
        ("function: xp.exp(x)", "there is no part 'function'.*did you mean 'functions'"),
        ("xp.exp(x)", "expected “part: name” and perhaps a reason after “ #”, got 'xp.exp"),
    ],
)
def test_a_line_that_names_no_check_is_refused_with_its_number(tmp_path, line, message):
    with pytest.raises(ValueError, match=f"mine.xfails, .*{message}"):
        expected(tmp_path, f"\n{line}  # why\n", DOUBLE)


def test_what_fails_now_is_written_so_that_it_is_expected(tmp_path):
    def wrong(part: str, name: str, outcome: str = "fail") -> Result:
        return Result(part, name, outcome, None, "off by 3 #1")

    both = wrong("functions", "x[:, 2]"), wrong("training", "dense", "pass"), wrong("training", "dropout", "blocked")
    report = Report(
        (
            ColumnReport(DOUBLE, "mine 1", (*both, wrong("functions", "xp.exp(x)", "xpass"))),
            ColumnReport(SINGLE, "mine 1", (*both, wrong("functions", "xp.exp(x)", "xfail"))),
        )
    )
    text = written(report)
    assert text == "functions: x[:, 2]  # off by 3 #1\n\n[mine-float32]\nfunctions: xp.exp(x)  # off by 3 #1\n"
    assert expected(tmp_path, text, DOUBLE) == {("functions", "x[:, 2]"): "off by 3 #1"}
    assert set(expected(tmp_path, text, SINGLE)) == {("functions", "x[:, 2]"), ("functions", "xp.exp(x)")}
    assert written(Report(())) == ""


def test_a_pattern_that_matches_no_column_is_said(tmp_path):
    path = tmp_path / "known.xfails"
    path.write_text("[cpu-flaot32]\nfunctions: *\n[cpu-float32]\ntraining: dense\n", encoding="utf-8")
    with pytest.warns(UserWarning, match=r"known.xfails: \[cpu-flaot32\] matches no column; the columns are cpu-"):
        plan(["cpu"], ["float64"], path)
    path.write_text("[cpu-float32]\ntraining: dense\n", encoding="utf-8")
    assert len(plan(["cpu"], ["float64"], path)[0]) == 1, "of a dtype that is not asked for"


def test_the_file_of_a_backend_lies_beside_its_module(tmp_path, monkeypatch):
    class Mine(OwnBackend):
        name = "mine"

    monkeypatch.setattr("tests.support.own_library.__file__", str(tmp_path / "dlarray_mine.py"))
    Mine.__module__ = "tests.support.own_library"
    with installed(Mine()):
        assert file_of("mine") is None
        (tmp_path / "mine.xfails").touch()
        assert file_of("mine") == tmp_path / "mine.xfails"
    assert file_of("no_such_device") is None
