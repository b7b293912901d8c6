"""The options of reading: what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from dlarray.tables import ReadOptions


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"separator": ",,"}, "one character, such as .* got ',,'"),
        ({"separator": "x"}, "one character"),
        ({"separator": "§"}, "one character"),
        ({"encoding": "utf-9"}, "there is no encoding 'utf-9'"),
        ({"encoding": "hex"}, "there is no encoding 'hex'"),
        ({"comment": " "}, "comment must be what a line of comment begins with"),
        ({"skip_lines": -1}, "skip_lines must be at least 0, got -1"),
        ({"decimal": ";"}, "unknown decimal ';'"),
        ({"thousands": "x"}, "unknown thousands 'x'"),
        ({"decimal": ",", "thousands": ","}, "must be two marks, got ',' for both"),
        ({"date_format": "dd.mm.yyyy"}, "must have parts such as %d"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReadOptions(**given)


def test_words_for_missing_are_a_sequence() -> None:
    assert ReadOptions(missing=["-99", "none"]).missing == ("-99", "none")
    with pytest.raises(TypeError, match="must be a sequence of words, got the text '-99'"):
        ReadOptions(missing="-99")


def test_usual_options_are_taken() -> None:
    for separator in ",;\t| :~":
        assert ReadOptions(separator=separator).separator == separator
    for encoding in ("utf-8", "UTF8", "latin-1", "cp1252", "utf-16", "shift_jis"):
        assert ReadOptions(encoding=encoding).encoding == encoding
