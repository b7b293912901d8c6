"""Text of users in messages: nothing in it can control a terminal, and a long one is shortened."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["escape", "escape_all", "quote", "quote_all"]

LONGEST = 60  # characters of a value in a message


def quote(value: object, longest: int = LONGEST) -> str:
    r"""``value`` in quotes, as Python writes it.

    Control characters, marks of direction and lone surrogates are escaped. Of a longer text the first ``longest``
    characters are shown, and "…".

    Examples
    --------
    >>> from dlarray.core.text import quote
    >>> print(quote("red\x1b[31m"), quote("x" * 100, 3))
    'red\x1b[31m' 'xxx'…
    """
    text = str(value)
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}…"


def escape(value: object, longest: int = LONGEST) -> str:
    """The same without quotes around it."""
    text = str(value)
    escaped = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:longest])
    return escaped if len(text) <= longest else f"{escaped}…"


def quote_all(values: Iterable[object], most: int = 20) -> str:
    """The values in quotes, separated by commas; at most so many, and the number of the others."""
    return _joined([quote(value) for value in values], most)


def escape_all(values: Iterable[object], most: int = 50) -> str:
    """The same without quotes around the values."""
    return _joined([escape(value) for value in values], most)


def _joined(words: list[str], most: int) -> str:
    more = f", … ({len(words) - most:,} more)" if len(words) > most else ""
    return ", ".join(words[:most]) + more
