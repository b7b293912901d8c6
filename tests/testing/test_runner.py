"""The runner: outcomes, their reasons, blocked checks, expectations."""

from __future__ import annotations

import pytest

from dlarray.testing.check import Check, Deviation, NotApplicable
from dlarray.testing.columns import Column
from dlarray.testing.runner import run

CPU = Column("cpu-float64", "cpu")


def wrong(column: Column) -> None:
    raise AssertionError("3 is not 4")


def broken(column: Column) -> None:
    raise TypeError("\nno such function\nand more")


def pointless(column: Column) -> None:
    raise NotApplicable("it has no int32")


def check(run, name="one", part="functions", **more):
    return Check(part, name, run, **more)


def outcome(*checks, expected=None):
    return [(r.outcome, r.ulp, r.reason) for r in run(CPU, checks, expected)]


def test_what_a_check_returns_or_raises_is_its_outcome():
    assert outcome(check(lambda on: None)) == [("pass", None, "")]
    assert outcome(check(lambda on: 1.5)) == [("pass", 1.5, "")]
    assert outcome(check(lambda on: 1.5, limit=1.5)) == [("pass", 1.5, "")]
    assert outcome(check(lambda on: 1.75, limit=1.5)) == [("fail", 1.75, "off by 1.75 ulp, allowed 1.5")]
    assert outcome(check(lambda on: float("nan"), limit=1.5))[0][0] == "fail"
    assert outcome(check(wrong)) == [("fail", None, "3 is not 4")]
    assert outcome(check(broken)) == [("fail", None, "TypeError: no such function and more")]
    assert outcome(check(pointless)) == [("skip", None, "it has no int32")]


def test_a_long_message_is_cut():
    def long(column: Column) -> None:
        raise ValueError("x" * 500)

    ((_, _, reason),) = outcome(check(long))
    assert reason == f"ValueError: {'x' * 400}…"


def test_a_reason_has_neither_addresses_nor_what_pytest_adds():
    def of_pytest(column: Column) -> None:
        raise AssertionError("at (0,) it is 3, expected 2\nassert not 35\n +  where 35 = array([0]).size")

    def alone(column: Column) -> None:
        raise AssertionError("assert not 35\n +  where 35 = array([0]).size")

    def addresses(column: Column) -> None:
        raise TypeError(f"got {object()!r}, expected <mine.dtype at 0x7F00a0>")

    assert outcome(check(of_pytest))[0][2] == "at (0,) it is 3, expected 2"
    assert outcome(check(alone))[0][2] == "the assertion failed"
    assert outcome(check(addresses))[0][2] == "TypeError: got <object object>, expected <mine.dtype>"


def test_where_a_deviation_is_found_is_part_of_the_reason():
    found = outcome(check(lambda on: Deviation(20.0, "ELU(), backward"), limit=8.0))
    assert found == [("fail", 20.0, "ELU(), backward: off by 20 ulp, allowed 8")]


def test_what_needs_a_failed_check_of_the_contract_is_blocked():
    base = check(wrong, "base", "contract")
    second = check(lambda on: None, "second", "contract", needs=("base",))
    found = outcome(check(lambda on: 0.0, needs=("second",)), base, second)
    assert found == [
        ("blocked", None, "needs “second” of the contract"),
        ("fail", None, "3 is not 4"),
        ("blocked", None, "needs “base” of the contract"),
    ]


def test_what_needs_a_skipped_check_of_the_contract_is_skipped_for_the_same_reason():
    base = check(pointless, "base", "contract")
    assert outcome(check(wrong, needs=("base",)), base)[0] == ("skip", None, "it has no int32")


def test_a_need_that_does_not_exist_is_an_error():
    with pytest.raises(ValueError, match="the check 'one' needs 'nothing'"):
        outcome(check(wrong, needs=("nothing",)))


def test_expected_failures_and_unexpected_passes():
    expected = {("functions", "one"): "issue 7", ("contract", "base"): ""}
    assert outcome(check(wrong), expected=expected) == [("xfail", None, "3 is not 4 (issue 7)")]
    assert outcome(check(lambda on: 2.0), expected=expected) == [("xpass", 2.0, "issue 7")]
    for reason in ("3 is not 4", "3 is not 4 (issue 7)"):
        assert outcome(check(wrong), expected={("functions", "one"): reason}) == [("xfail", None, reason)]
    assert outcome(check(wrong), expected={("functions", "one"): ""}) == [("xfail", None, "3 is not 4")]
    assert outcome(check(pointless), expected=expected)[0][0] == "skip"
    base = check(wrong, "base", "contract")
    assert [o for o, *_ in outcome(base, check(wrong, needs=("base",)), expected=expected)] == ["xfail", "blocked"]


def test_a_check_runs_once():
    calls: list[int] = []
    base = check(lambda on: calls.append(1), "base", "contract")
    outcome(check(lambda on: None, "a", needs=("base",)), base, check(lambda on: None, "b", needs=("base",)))
    assert calls == [1]
