"""A small table in HTML, which a notebook shows for an object: ``_repr_html_``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table"]


def html_table(summary: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A paragraph with the summary, then a table of these rows. All text is escaped; line breaks are kept."""
    lines = ["".join(f"<th>{_text(cell)}</th>" for cell in head)]
    lines += ["".join(f'<td style="text-align: left">{_text(cell)}</td>' for cell in row) for row in rows]
    table = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<p>{_text(summary)}</p>\n<table>\n{table}\n</table>"


def _text(text: str) -> str:
    return "<br>".join(map(escape, text.splitlines()))
