"""Text of users in messages."""

from __future__ import annotations

import unicodedata

import pytest

from dlarray.core.text import escape, escape_all, quote, quote_all

BAD = ["\x1b[31mred", "\r\n", "a\u202eb", "\x07", "\u2066x", "\ud800", "\x9b2J", "\u200b", "\x00", "\u2028"]


@pytest.mark.parametrize("value", BAD)
def test_what_can_control_a_terminal_is_escaped(value: str) -> None:
    for shown in (quote(value), escape(value), quote_all([value]), escape_all([value])):
        assert shown.encode()
        assert {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set()
    assert quote(value)[1:-1] == escape(value) == repr(value)[1:-1]


def test_other_text_stays_as_it_is() -> None:
    assert (quote("größe 寿司"), escape("größe 寿司"), escape("it's"), quote("it's")) == (
        "'größe 寿司'",
        "größe 寿司",
        "it's",
        '"it\'s"',
    )
    assert (quote(1.5), escape(None)) == ("'1.5'", "None")


def test_long_text_and_long_lists_are_shortened() -> None:
    assert (quote("x" * 61), escape("x" * 61)) == (f"'{'x' * 60}'…", f"{'x' * 60}…")
    assert quote("x" * 60) == f"'{'x' * 60}'"
    assert (quote("abc", 2), escape("abc", 2)) == ("'ab'…", "ab…")
    assert quote_all("abcd", 2) == "'a', 'b', … (2 more)"
    assert escape_all(map(str, range(2000)), 1) == "0, … (1,999 more)"
    assert quote_all([]) == ""
