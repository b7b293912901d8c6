"""``dlarray devices``: the devices that dlarray can compute on."""

from __future__ import annotations

from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from dlarray.cli.app import app
from dlarray.cli.options import Debug, Json
from dlarray.cli.output import reporting
from dlarray.device import devices

__all__ = ["show"]

EXAMPLES = """Examples:

  dlarray devices

  dlarray devices --json
"""


@app.command("devices", epilog=EXAMPLES)
def show(json: Json = False, debug: Debug = False) -> None:
    """List every device. For a device that cannot be used, show the reason and the remedy."""
    with reporting(json, debug) as out:
        found = devices()
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("device", "usable", "library", "reason", "remedy"):
            table.add_column(column, no_wrap=column == "device", overflow="fold")
        for d in found:
            usable = "[green]yes[/]" if d.usable else "[red]no[/]"
            table.add_row(d.name, usable, *map(escape, (d.library, d.reason, d.remedy)))
        if not json:
            out.text(table)
        out.result({"devices": [asdict(d) for d in found]})
