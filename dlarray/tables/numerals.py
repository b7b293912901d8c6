"""Numbers as text: with a decimal point or a decimal comma, and with or without marks between thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CODE", "DECIMALS", "DOUBTFUL", "FIRST", "as_numbers", "doubtful", "grouped", "mark"]

DECIMALS = (".", ",")
CODE = r"^[-+]?0\d+$"  # a whole number does not begin with 0: 01234 is a code
DOUBTFUL = r"^[-+]?[1-9]\d{0,2}[.,]\d{3}$"  # 1.234: a decimal point, or one between thousands
DOUBTFUL_OR_WHOLE = rf"{DOUBTFUL}|^[-+]?\d+$"
FIRST = 100  # values that must be of a kind before all are asked
BLANKS = " \u00a0\u202f"
QUOTES = "'\u2019"


def _form(decimal: str) -> str:
    """The numbers with this decimal mark; the other mark, spaces or apostrophes may part thousands."""
    other = DECIMALS[1 - DECIMALS.index(decimal)]
    groups = "|".join(rf"[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+" for mark in (other, BLANKS, QUOTES))
    alone = rf"(?:\d+(?:[{decimal}]\d*)?|[{decimal}]\d+)(?:[eE][-+]?\d+)?"
    return rf"^[-+]?(?:{alone}|(?:{groups})(?:[{decimal}]\d*)?)$"


FORMS = {decimal: _form(decimal) for decimal in DECIMALS}


def as_numbers(text: pl.Series, decimal: str | None = None) -> pl.Series:
    """Text as float64, null where it is no number written with this decimal mark.

    Without one, each value tells its own: 1.5 and 1,5 are one and a half, 1,037.5 and 1.037,5 a thousand and 37.5. A
    point alone, as in 1.234, is then the decimal point; 1,234 could be either and is none.
    """
    pl = polars()
    if decimal == ",":
        return _with(text, ",")
    found = text.cast(pl.Float64, strict=False)
    if found.null_count() == text.null_count():
        return found
    lost = (found.is_null() & text.is_not_null()).arg_true()
    rest = text.gather(lost)
    if decimal is None:
        rest = rest.set(rest.str.contains(DOUBTFUL), None)
        readings = [_with(rest, mark) for mark in DECIMALS]
        return found.scatter(lost, readings[0].zip_with(readings[0].is_not_null(), readings[1]))
    return found.scatter(lost, _with(rest, decimal))


def _with(text: pl.Series, decimal: str) -> pl.Series:
    pl = polars()
    digits = text.set(~text.str.contains(FORMS[decimal]), None)
    other = DECIMALS[1 - DECIMALS.index(decimal)]
    digits = digits.str.replace_all(f"[{other}{BLANKS}{QUOTES}]", "").str.replace(decimal, ".", literal=True)
    return digits.cast(pl.Float64, strict=False)


def grouped(text: pl.Series, decimal: str) -> pl.Series:
    """Of a column of numbers, those with marks between thousands."""
    pl = polars()
    if decimal == ".":  # numbers without such marks are read at once
        read = text.cast(pl.Float64, strict=False)
        if read.null_count() == text.null_count():
            return text.clear()
        text = text.filter(read.is_null() & text.is_not_null())
    other = DECIMALS[1 - DECIMALS.index(decimal)]
    return text.filter(text.str.contains(rf"\d[{other}{BLANKS}{QUOTES}]\d").fill_null(value=False))


def doubtful(text: pl.Series) -> bool:
    """Whether 1.234 in a column may have been meant as 1234: no value tells, and some have no mark at all."""
    known = text.drop_nulls()
    if not known.cast(polars().Int64, strict=False).has_nulls():
        return False
    if not all(sample.str.contains(DOUBTFUL_OR_WHOLE).all() for sample in (known.head(FIRST), known)):
        return False
    marked = known.str.contains(DOUBTFUL)
    return bool(marked.any()) and not marked.all()


def mark(decimal: object) -> None:
    """Raise ValueError where a decimal mark is none."""
    if decimal is not None and decimal not in DECIMALS:
        raise ValueError(f"the decimal mark is one of {' '.join(DECIMALS)}, got {decimal!r}")
