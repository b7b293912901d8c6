"""Numbers from text: decimal point or comma, thousands separators, signs of accounting, and the unit of a column."""

from __future__ import annotations

from functools import lru_cache
from re import escape
from typing import TYPE_CHECKING

from dlarray.tables.text_format import DECIMAL_MARKS, TextFormat, other_mark
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AMBIGUOUS", "CODE", "SAMPLE", "as_numbers", "is_ambiguous", "separated", "unit_of", "without_unit"]

CODE = r"^[-+]?0\d+$"  # an integer does not begin with 0: 01234 is a code
AMBIGUOUS = r"^[-+]?[1-9]\d{0,2}[.,]\d{3}$"  # 1.234: a decimal mark or a thousands separator
AMBIGUOUS_OR_INTEGER = rf"{AMBIGUOUS}|^[-+]?\d+$"
SAMPLE = 100  # so many values are tested before all values, for speed
SPACES = " \u00a0\u202f"
QUOTES = "'\u2019"
MINUS = "\u2212\ufe63\uff0d"
CURRENCY = r"(?:[A-Z]{2})?[$€£¥₹₽₩₺₪฿]|R\$|USD|EUR|GBP|CHF|JPY|CNY|INR|AUD|CAD|Rs\.?"
VALUE = rf"[-+{MINUS}]?(?:\d(?:[\d.,{QUOTES}{SPACES}]*\d)?|[.,]\d+)(?:[eE][-+]?\d+)?"
NAME = r"[%‰]|[°º]?[\p{L}µμ][\p{L}µμ/·.^²³% ]{0,15}[23]?|°"
PREFIXED = rf"^\(?[-+{MINUS}]?\s*({CURRENCY})\s*{VALUE}\)?$"
SUFFIXED = rf"^\(?{VALUE}\s*({CURRENCY}|{NAME})\)?$"


@lru_cache
def _pattern(decimal: str, thousands: str | None) -> str:
    """Numbers with this decimal mark; the other mark, spaces or apostrophes can separate thousands if none is given."""
    other = other_mark(decimal)
    marks = (other, SPACES, QUOTES) if thousands is None else (thousands,) if thousands else ()
    groups = "|".join(rf"[1-9]\d{{0,2}}(?:[{mark}]\d{{3}})+" for mark in marks)
    plain = rf"(?:\d+(?:[{decimal}]\d*)?|[{decimal}]\d+)(?:[eE][-+]?\d+)?"
    grouped = rf"|(?:{groups})(?:[{decimal}]\d*)?" if groups else ""
    return rf"^[-+]?(?:{plain}{grouped})$"


def as_numbers(text: pl.Series, form: TextFormat | None = None) -> pl.Series:
    """Text as float64; null for text that is not a number in this format.

    Without a decimal mark, each value is read by its own: 1.5 and 1,5 are 1.5; 1,037.5 and 1.037,5 are 1037.5. The
    point in 1.234 is then a decimal point. 1,234 is ambiguous, so it is null. (1.5) is -1.5, as in accounting.
    """
    pl = polars()
    form = form or TextFormat()
    found = _with_mark(text, ",", form.thousands) if form.decimal == "," else text.cast(pl.Float64, strict=False)
    if found.null_count() == text.null_count():
        return found
    unread = (found.is_null() & text.is_not_null()).arg_true()
    others = without_unit(text.gather(unread), form)
    if form.decimal is not None:
        return found.scatter(unread, _with_mark(others, form.decimal, form.thousands))
    others = others.set(others.str.contains(AMBIGUOUS) & others.str.contains(",", literal=True), None)
    readings = [_with_mark(others, mark, form.thousands) for mark in DECIMAL_MARKS]
    return found.scatter(unread, readings[0].zip_with(readings[0].is_not_null(), readings[1]))


def without_unit(text: pl.Series, form: TextFormat) -> pl.Series:
    """Numbers without their unit, with "-" as the sign of negative ones."""
    text = text.str.replace_all(f"[{MINUS}]", "-").str.replace(r"^\(([^-+()]*\d[^-+()]*)\)$", "-${1}")
    if form.unit:
        unit = escape(form.unit)
        text = text.str.replace(rf"^([-+]?)\s*{unit}\s*([-+]?[\d.,])", "${1}${2}")
        text = text.str.replace(rf"^([-+]?[\d.,].*?)\s*{unit}$", "${1}")
    return text


def _with_mark(digits: pl.Series, decimal: str, thousands: str | None) -> pl.Series:
    pl = polars()
    digits = digits.set(~digits.str.contains(_pattern(decimal, thousands)), None)
    other = other_mark(decimal)
    digits = digits.str.replace_all(f"[{other}{SPACES}{QUOTES}_]", "").str.replace(decimal, ".", literal=True)
    return digits.cast(pl.Float64, strict=False)


def unit_of(text: pl.Series) -> str:
    """The unit that at least half of these values have, such as "kg" in "12 kg"; "" if there is none."""
    units = text.str.extract(SUFFIXED).fill_null(text.str.extract(PREFIXED)).str.strip_chars()
    counts = units.drop_nulls().rename("unit").value_counts(sort=True)
    return str(counts[0, 0]) if len(counts) and counts[0, 1] >= len(text) / 2 else ""


def separated(text: pl.Series, form: TextFormat) -> pl.Series:
    """The values of a column of numbers that have thousands separators."""
    pl = polars()
    if form.decimal != ",":  # one cast finds the numbers without separators
        read = text.cast(pl.Float64, strict=False)
        if read.null_count() == text.null_count():
            return text.clear()
        text = text.filter(read.is_null() & text.is_not_null())
    other = other_mark(form.decimal or ".")
    return text.filter(text.str.contains(rf"\d[{other}{SPACES}{QUOTES}_]\d").fill_null(value=False))


def is_ambiguous(text: pl.Series) -> bool:
    """Whether 1.234 in a column could mean 1234: every value is ambiguous or an integer, and there are both."""
    present = text.drop_nulls()
    if not present.cast(polars().Int64, strict=False).has_nulls():
        return False
    if not all(sample.str.contains(AMBIGUOUS_OR_INTEGER).all() for sample in (present.head(SAMPLE), present)):
        return False
    ambiguous = present.str.contains(AMBIGUOUS)
    return bool(ambiguous.any()) and not ambiguous.all()
