"""How the text of a column is read. Decided over the whole column in training, and saved with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from dlarray.core.check import one_of

__all__ = ["DECIMAL_MARKS", "KNOWN", "TextFormat", "other_mark", "spellings"]

DECIMAL_MARKS = (".", ",")
WORDS = (
    *("", "?", "na", "n/a", "n.a.", "nan", "-nan", "null", "none", "nil", "nat", "<na>", "<null>", "(null)", r"\n"),
    *("#n/a", "#na", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!", "#n/a n/a", "1.#ind", "1.#qnan"),
)
WORDS_AMONG_VALUES = (
    *(".", "..", "...", "…", "-", "--", "---", "\u2013", "\u2014", "*", "**"),
    *("missing", "unknown", "undefined", "unavailable", "not available", "not applicable", "no data", "n.d.", "nd"),
    *("tbd", "tba", "empty", "blank"),
)
FEW_LETTERS = 5
# A list never changes, since saved models name it: another list gets another name.
KNOWN: dict[str, tuple[str, ...]] = {
    "text": WORDS,
    "values": WORDS + WORDS_AMONG_VALUES,  # of numbers, booleans, dates and times: no word of these is a category
    "first": ("", "NA", "N/A", "#N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?"),  # of the first model files
}
"""Words for missing values, by the name of the list."""


@dataclass(frozen=True)
class TextFormat:
    """How a column's text is read.

    Parameters
    ----------
    known
        The list of words for missing values: "text" for columns of text, "values" for others.
    missing
        More words for missing values.
    present
        Words that are no missing values, although the list has them.
    decimal
        The decimal mark of numbers, if the training table shows it.
    thousands
        The mark between thousands; None for any, "" for none.
    unit
        The unit of the numbers, such as "%", "kg" or "$".
    date
        The format of dates; "" for ISO 8601.
    match_case
        Whether upper and lower case make two categories or classes.
    """

    known: str = "text"
    missing: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    decimal: str | None = None
    thousands: str | None = None
    unit: str = ""
    date: str = ""
    match_case: bool = False

    def __post_init__(self) -> None:
        one_of("list of words for missing values", self.known, KNOWN)
        for name in ("missing", "present"):
            words: Sequence[Any] = getattr(self, name)
            if isinstance(words, str) or not all(isinstance(word, str) for word in words):
                raise TypeError(f"{name} must be words, got {words!r}")
            object.__setattr__(self, name, tuple(words))
        if self.decimal is not None and self.decimal not in DECIMAL_MARKS:
            raise ValueError(f"the decimal mark must be one of {' '.join(DECIMAL_MARKS)}, got {self.decimal!r}")
        if not all(isinstance(text, str) for text in (self.thousands or "", self.unit, self.date)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"thousands, unit and date must be text, got {self!r}")

    @classmethod
    def from_data(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """The saved fields of a column or target, with its format. The first model files have a decimal mark alone."""
        fields = dict(fields)
        if "format" in fields:
            return {**fields, "format": cls(**fields["format"])}
        decimal = fields.pop("decimal", None)
        return {**fields, "format": cls("first", decimal=decimal, match_case=True)}


def other_mark(decimal: str) -> str:
    """The comma for the point, and the point for the comma."""
    return DECIMAL_MARKS[1 - DECIMAL_MARKS.index(decimal)]


@lru_cache(maxsize=256)
def spellings(form: TextFormat) -> frozenset[str]:
    """The words for missing values in lower and upper case; those of the first list as written."""
    if form.known == "first":
        return frozenset(KNOWN["first"])
    present = {word.strip().lower() for word in form.present}
    words = {word.strip() for word in (*KNOWN[form.known], *form.missing) if word.strip().lower() not in present}
    return frozenset(spelling for word in words for spelling in _cases(word))


def _cases(word: str) -> set[str]:
    """A word in any mixture of cases, if it has few letters; else in the usual cases."""
    if sum(map(str.isalpha, word)) > FEW_LETTERS:
        return {word, word.lower(), word.upper(), word.capitalize(), word.title()}
    return {word, *map("".join, product(*({c.lower(), c.upper()} for c in word)))}
