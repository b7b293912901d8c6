"""Text for people: columns that are aligned, and lines that end where a terminal does."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import wrap

__all__ = ["aligned", "labelled", "unbroken"]

GAP = 2
LABEL = 12
NARROWEST = 24
NO_BREAK = "\u00a0"


def unbroken(text: str) -> str:
    """Text that ``aligned`` and ``labelled`` never wrap, such as an option with its value."""
    return text.replace(" ", NO_BREAK)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = (), width: int | None = None) -> str:
    """Rows of cells under each other; the columns with the numbers ``right`` end at the right.

    The last column is wrapped at ``width``, if there is one.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    start = sum(widths) + GAP * len(widths)
    lines: list[str] = []
    last = max(len(row[-1]) for row in rows) if len(rows[0]) - 1 in right else 0
    for row in rows:
        cells = [
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=False))
        ]
        head = "".join(cell + " " * GAP for cell in cells)
        lines += _wrapped(head, row[-1].rjust(last), start, width)
    return "\n".join(lines)


def labelled(pairs: Sequence[tuple[str, str]], width: int | None = None) -> str:
    """Lines such as "rows:       120 for training", wrapped at ``width``, if there is one."""
    lines: list[str] = []
    for name, text in pairs:
        lines += _wrapped(f"{name + ':':<{LABEL}}", text, LABEL, width)
    return "\n".join(lines)


def _wrapped(head: str, text: str, start: int, width: int | None) -> list[str]:
    """The head and the text; further lines of the text begin at the column ``start``."""
    if width is None or start + len(text) <= width:
        parts = [text]
    else:
        least = max(NARROWEST, width - start)
        parts = wrap(text, least, break_long_words=False, break_on_hyphens=False) or [""]
    first, *others = [part.replace(NO_BREAK, " ") for part in parts]
    return [(head + first).rstrip(), *(" " * start + part for part in others)]
