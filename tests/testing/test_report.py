"""The report: counts, JSON, and the page, in which every reason can be read."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from dlarray.device import DeviceError
from dlarray.testing import suite
from dlarray.testing.check import Check, NotApplicable, Result
from dlarray.testing.columns import Column
from dlarray.testing.page import SIGNS, page, shown
from dlarray.testing.reasons import groups
from dlarray.testing.report import ColumnReport, Report
from tests.project.test_import_effects import REPORT as REPORT_OF_IMPORTS
from tests.support.own_library import OwnArray, OwnBackend, installed
from tests.support.process import ROOT, python

GUIDE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
DOUBLE, SINGLE = Column("a-float64", "a"), Column("b-float32", "b", "float32")
RESULTS = (
    Result("contract", "shape", "pass"),
    Result("functions", "xp.exp(x)", "fail", 312.0, "off by 312 ulp, allowed 16"),
    Result("functions", "x < y & <b>", "fail", None, "TypeError: <script>alert(1)</script>"),
    Result("functions", "xp.abs(x)", "xfail", None, "no abs (issue 7)"),
    Result("activations", "relu", "xfail", None, "no abs (issue 7)"),
    Result("functions", "xp.log(x)", "xpass", 0.25, "issue 8"),
    *(Result("training", f"run {i}", "blocked", None, "needs “shape” of the contract") for i in range(12)),
    Result("training", "dropout", "skip", None, "the backend states int32_wraps = False"),
    Result("training", "dense", "pass", 3.25, "", 0.5),
)
REPORT = Report(
    (
        ColumnReport(DOUBLE, "a 1.0", RESULTS),
        ColumnReport(SINGLE, "b 2.0", tuple(Result(r.part, r.name, "pass", 0.0) for r in RESULTS)),
    ),
    ((Column("c-float64", "c"), "no float64 here"),),
)


def test_counts_faults_and_the_largest_deviation():
    first, second = REPORT.columns
    assert first.counts == {"pass": 2, "fail": 2, "blocked": 12, "skip": 1, "xfail": 2, "xpass": 1}
    assert (REPORT.faults(), REPORT.faults(strict=True)) == (2, 3)
    assert first.worst is not None
    assert first.worst.name == "dense"
    assert (first.seconds, second.seconds) == (0.5, 0)
    assert ColumnReport(DOUBLE, "a", RESULTS[:1]).worst is None


def test_json_has_every_result_and_what_could_not_be_run():
    found = json.loads(json.dumps(REPORT.data()))
    assert set(found["versions"]) == {"dlarray", "numpy", "python"}
    column = found["columns"][0]
    assert (column["name"], column["library"], column["counts"]["fail"]) == ("a-float64", "a 1.0", 2)
    assert column["checks"][1] == {
        "part": "functions",
        "name": "xp.exp(x)",
        "outcome": "fail",
        "ulp": 312.0,
        "reason": "off by 312 ulp, allowed 16",
        "seconds": 0.0,
    }
    assert found["missing"] == [{"name": "c-float64", "device": "c", "dtype": "float64", "reason": "no float64 here"}]


@pytest.mark.parametrize(
    ("outcome", "ulp", "text"),
    [
        ("pass", None, "✓"),
        ("pass", 0.0, "0"),
        ("pass", 0.04, "0.0"),
        ("pass", 12.34, "12.3"),
        ("pass", 99.6, "100"),
        ("fail", 312.4, "✗ 312"),
        ("fail", 2.006e15, "✗ 2e15"),
        ("fail", 4.6e5, "✗ 5e5"),
        ("fail", None, "✗"),
        ("xfail", 40.0, "(✗) 40.0"),
        ("xfail", None, "(✗)"),
        ("xpass", 1.0, "! 1.0"),
        ("blocked", None, "⊘"),
        ("skip", None, "–"),
    ],
)
def test_what_a_cell_shows(outcome, ulp, text):
    assert shown(Result("functions", "f", outcome, ulp)) == text


class Elements(HTMLParser):
    """The tags of a page with their attributes, and its text; every tag that needs one has an end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_the_page_is_whole_and_needs_nothing_else():
    text = page(REPORT)
    elements = Elements(text)
    assert {tag for tag, _ in elements.found}.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert not re.search(r"url\(|@import|https?:|\son\w+=", text)
    assert "<script>alert" not in text
    assert "prefers-color-scheme: dark" in text
    assert "2 columns, 20 checks on each: 2 checks failed, on 1 column." in elements.text
    assert "not run: no float64 here" in elements.text


def test_every_reason_can_be_read_without_a_pointer_and_in_the_tooltip():
    elements = Elements(page(REPORT))
    cells = [cell for cell in elements.all("td") if "title" in cell and "class" in cell]
    assert len(cells) == 2 * len(RESULTS)
    for result in RESULTS:
        if result.outcome != "pass":
            assert result.reason in elements.text, "in the lists"
            assert result.reason in [cell["title"] for cell in cells]
    anchors = {found["id"] for found in elements.all("dl")}
    links = [str(found["href"]).removeprefix("#") for found in elements.all("a")]
    assert set(links) == anchors
    assert len(links) == sum(r.outcome != "pass" for r in RESULTS)


def test_checks_with_the_same_reasons_stand_together():
    found = groups(REPORT.columns)
    assert [group.outcome for group in found] == ["fail", "fail", "xpass", "xfail", "blocked", "skip"]
    blocked = found[4]
    assert len(blocked.checks) == 12
    assert found[3].checks == (("functions", "xp.abs(x)"), ("activations", "relu")), "of several parts"
    assert blocked.reasons == (("needs “shape” of the contract", ("a-float64",)),)


def test_the_same_reason_is_said_once_with_the_number_of_checks():
    text = Elements(page(REPORT)).text
    assert "2 checks: functions: xp.abs(x); activations: relua-float64 no abs (issue 7)" in text
    assert text.count("no abs (issue 7)") == 1
    assert re.search(r"12 checkstraining: run 0, run 1, .*needs “shape” of the contract", text)


def test_the_words_and_signs_of_the_page_are_those_of_the_documentation():
    pytest.importorskip("typer")
    from dlarray.cli.matrix import WORDS

    text = Elements(page(REPORT)).text
    rows = re.findall(r"^\| ([^|]+) \| ([a-z ]+) \| .+ \|$", GUIDE[GUIDE.index("| a cell shows |") :], re.MULTILINE)
    signs = {words: sign.removeprefix("a number, ") for sign, words in rows[1:7]}
    assert signs == {WORDS[outcome]: sign for outcome, sign in SIGNS.items()}
    for words in WORDS.values():
        assert words in text
    assert "not run:" in text, "only of columns"
    assert text.count("not run") == 1


def test_a_page_of_no_columns_says_so():
    assert "0 columns, 0 checks on each: no check failed." in Elements(page(Report((), REPORT.missing))).text


CHECKS = [
    Check("contract", "device", lambda column: None),
    Check("functions", "wrong", lambda column: column.ulp(column.array([1.0, 2.0]), [1.0, 3.0]), ("device",), 4.0),
    Check("functions", "float64", lambda column: only_float64(column), ("device",)),
]


def only_float64(column: Column) -> None:
    if column.dtype != "float64":
        raise NotApplicable("float32")


def test_the_matrix_runs_the_checks_on_each_device_in_each_dtype():
    done: list[str] = []
    began: list[tuple[str, str]] = []
    report = suite.matrix(
        ["cpu", "strict"],
        checks=CHECKS,
        done=lambda found: done.append(found.columns[-1].column.name),
        begins=lambda column, check: began.append((column.name, check.name)),
    )
    assert began[:3] == [("cpu-float64", "device"), ("cpu-float64", "wrong"), ("cpu-float64", "float64")]
    assert len(began) == 4 * 3
    assert done == ["cpu-float64", "cpu-float32", "strict-float64", "strict-float32"]
    assert [[r.outcome for r in found.results] for found in report.columns] == [
        ["pass", "fail", "pass"],
        ["pass", "fail", "skip"],
    ] * 2
    assert report.columns[0].library == f"numpy {np.__version__}"


def test_devices_that_cannot_be_used_are_left_out_with_the_reason_or_fail_by_the_contract():
    class Without64(OwnBackend):
        def asarray(self, host, handle):
            if host.dtype == "float64":
                raise ValueError("this GPU has no float64")
            return OwnArray(np.array(host))

    class NotInstalled(OwnBackend):
        def namespace(self):
            raise ModuleNotFoundError("No module named 'own_library'", name="own_library")

        def asarray(self, host, handle):
            return self.namespace().asarray(host)

    class Wrong(OwnBackend):
        def to_numpy(self, x):
            return x.values + 1

    with installed(Without64()):
        able, missing = suite.plan(["own"])
        assert [column.name for column, _ in able] == ["own-float32"]
        assert [(column.name, why) for column, why in missing] == [
            ("own-float64", "ValueError: this GPU has no float64")
        ]
    with installed(NotInstalled()):
        able, missing = suite.plan(["own"])
        assert able == []
        assert "the package own_library is not installed" in missing[0][1]
    with installed(Wrong()):
        report = suite.matrix(["own"], ["float32"], suite.all_checks(["contract"]))
        first, *rest = report.columns[0].results
        assert (first.name, first.outcome) == ("device", "fail")
        assert "2 times 2 is 5" in first.reason
        assert {r.outcome for r in rest} == {"blocked"}
        assert report.columns[0].library == "own"
    with pytest.raises(DeviceError, match="unknown device"):
        suite.plan(["no_such_library"])
    with pytest.raises(ValueError, match="the dtypes of columns are float64 and float32, got 'float16'"):
        suite.plan(["cpu"], ["float16"])


def test_the_parts_come_in_order_and_an_unknown_one_is_refused():
    parts = list(dict.fromkeys(check.part for check in suite.all_checks()))
    assert parts[:3] == ["contract", "functions", "activations"]
    assert {check.part for check in suite.all_checks(["functions", "contract"])} == {"contract", "functions"}
    names = [(check.part, check.name) for check in suite.all_checks()]
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="there is no part 'function'.*functions.*the parts are contract, "):
        suite.all_checks(["function"])


@pytest.mark.slow
def test_the_kit_needs_numpy_alone():
    code = """
from dlarray.testing import suite
report = suite.matrix(["cpu"], ["float32"], suite.all_checks(["contract", "functions", "losses", "extremes"]))
print(report.faults(), len(report.columns[0].results) > 200)
"""
    printed = python(code + REPORT_OF_IMPORTS).splitlines()
    assert printed == ["0 True"]
