"""Numbers from text: with a decimal point or a decimal comma, with or without thousands separators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AMBIGUOUS", "CODE", "DECIMAL_MARKS", "SAMPLE", "as_numbers", "check_decimal", "is_ambiguous", "separated"]

DECIMAL_MARKS = (".", ",")
CODE = r"^[-+]?0\d+$"  # an integer does not begin with 0: 01234 is a code
AMBIGUOUS = r"^[-+]?[1-9]\d{0,2}[.,]\d{3}$"  # 1.234: a decimal mark or a thousands separator
AMBIGUOUS_OR_INTEGER = rf"{AMBIGUOUS}|^[-+]?\d+$"
SAMPLE = 100  # the first values are tested before all values, for speed
SPACES = " \u00a0\u202f"
QUOTES = "'\u2019"


def _pattern(decimal: str) -> str:
    """Numbers with this decimal mark; the other mark, spaces or apostrophes can separate thousands."""
    other = DECIMAL_MARKS[1 - DECIMAL_MARKS.index(decimal)]
    groups = "|".join(rf"[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+" for mark in (other, SPACES, QUOTES))
    plain = rf"(?:\d+(?:[{decimal}]\d*)?|[{decimal}]\d+)(?:[eE][-+]?\d+)?"
    return rf"^[-+]?(?:{plain}|(?:{groups})(?:[{decimal}]\d*)?)$"


PATTERNS = {decimal: _pattern(decimal) for decimal in DECIMAL_MARKS}


def as_numbers(text: pl.Series, decimal: str | None = None) -> pl.Series:
    """Text as float64; null for text that is not a number with this decimal mark.

    Without a mark, each value is read by its own: 1.5 and 1,5 are 1.5; 1,037.5 and 1.037,5 are 1037.5. The point in
    1.234 is then a decimal point. 1,234 is ambiguous, so it is null.
    """
    pl = polars()
    if decimal == ",":
        return _with_mark(text, ",")
    found = text.cast(pl.Float64, strict=False)
    if found.null_count() == text.null_count():
        return found
    unread = (found.is_null() & text.is_not_null()).arg_true()
    others = text.gather(unread)
    if decimal is None:
        others = others.set(others.str.contains(AMBIGUOUS), None)
        readings = [_with_mark(others, mark) for mark in DECIMAL_MARKS]
        return found.scatter(unread, readings[0].zip_with(readings[0].is_not_null(), readings[1]))
    return found.scatter(unread, _with_mark(others, decimal))


def _with_mark(text: pl.Series, decimal: str) -> pl.Series:
    pl = polars()
    digits = text.set(~text.str.contains(PATTERNS[decimal]), None)
    other = DECIMAL_MARKS[1 - DECIMAL_MARKS.index(decimal)]
    digits = digits.str.replace_all(f"[{other}{SPACES}{QUOTES}]", "").str.replace(decimal, ".", literal=True)
    return digits.cast(pl.Float64, strict=False)


def separated(text: pl.Series, decimal: str) -> pl.Series:
    """The values of a column of numbers that have thousands separators."""
    pl = polars()
    if decimal == ".":  # one cast finds the numbers without separators
        read = text.cast(pl.Float64, strict=False)
        if read.null_count() == text.null_count():
            return text.clear()
        text = text.filter(read.is_null() & text.is_not_null())
    other = DECIMAL_MARKS[1 - DECIMAL_MARKS.index(decimal)]
    return text.filter(text.str.contains(rf"\d[{other}{SPACES}{QUOTES}]\d").fill_null(value=False))


def is_ambiguous(text: pl.Series) -> bool:
    """Whether 1.234 in a column could mean 1234: every value is ambiguous or an integer, and there are both."""
    present = text.drop_nulls()
    if not present.cast(polars().Int64, strict=False).has_nulls():
        return False
    if not all(sample.str.contains(AMBIGUOUS_OR_INTEGER).all() for sample in (present.head(SAMPLE), present)):
        return False
    ambiguous = present.str.contains(AMBIGUOUS)
    return bool(ambiguous.any()) and not ambiguous.all()


def check_decimal(decimal: object) -> None:
    """Raise ValueError if this is neither a decimal mark nor None."""
    if decimal is not None and decimal not in DECIMAL_MARKS:
        raise ValueError(f"the decimal mark must be one of {' '.join(DECIMAL_MARKS)}, got {decimal!r}")
