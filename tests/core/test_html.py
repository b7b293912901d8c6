"""Tables for notebooks."""

from __future__ import annotations

from dlarray.core.html import html_table


def test_a_table_escapes_text_and_keeps_line_breaks() -> None:
    found = html_table("a < b\nsecond", ("name", "value"), [("x & y", "1\n2"), ("z", "")])
    assert found.splitlines() == [
        "<p>a &lt; b<br>second</p>",
        "<table>",
        "<tr><th>name</th><th>value</th></tr>",
        '<tr><td style="text-align: left">x &amp; y</td><td style="text-align: left">1<br>2</td></tr>',
        '<tr><td style="text-align: left">z</td><td style="text-align: left"></td></tr>',
        "</table>",
    ]
