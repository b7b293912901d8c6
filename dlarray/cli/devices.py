"""``dlarray devices``: the devices that dlarray can compute on."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

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
        for column in ("device", "usable", "library"):
            table.add_column(column, no_wrap=True)
        for d in found:
            table.add_row(d.name, Text("yes", "green") if d.usable else Text("no", "red"), d.library)
        if not json:
            out.text(table)
            for d in found:
                if not d.usable:  # lines, not cells: a command in them can be copied
                    out.text(f"\n{d.name} is not usable: {d.reason}")
                    if d.remedy:
                        out.text(f"remedy: {d.remedy}")
        out.result({"devices": [asdict(d) for d in found]})
