"""``dlarray bench``: a step of training against its limit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlarray.cli.app import app
from dlarray.cli.options import Debug, DeviceName, Json
from dlarray.cli.output import reporting, usage
from dlarray.device import resolve

__all__ = ["measure"]

EXAMPLES = """Examples:

  dlarray bench --cases S,M,L --device cpu

  dlarray bench --explain

  dlarray bench --cases L --profile

  dlarray bench --json --output figures.json
"""


@app.command("bench", epilog=EXAMPLES)
def measure(
    cases: Annotated[str, typer.Option(help="Of S, M, L, XL, or widths and batch size: 784-256-10x128.")] = "M",
    device: DeviceName = None,
    bursts: Annotated[int, typer.Option(help="How often each is measured.", min=1)] = 30,
    seconds: Annotated[float, typer.Option(help="How long each time.")] = 0.1,
    output: Annotated[Path | None, typer.Option(help="A file for the figures, JSON.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the plans of the steps instead.")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show where the time of a planned step goes, product by product.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a step of training against its limit, the time of its matrix products alone, on this machine.

    Other libraries are measured by benchmarks/cpu.py, which lies beside dlarray's source.
    """
    from dlarray.bench import Case, bench, machine, plans, profiles, table, write

    with reporting(json, debug) as out:
        names = [name.strip() for name in cases.split(",")]
        with usage():
            resolve(device)
            for name in names:
                Case.named(name)
            if explain and profile:
                raise ValueError("--explain shows a plan and --profile its times too: give one of them")
        if explain:
            shown = {name: str(plan) for name, plan in plans(names, device).items()}
            out.text("\n\n".join(f"{name}: {plan}" for name, plan in shown.items()))
            out.result({"plans": shown})
            return
        if profile:
            timed = profiles(names, device, bursts, seconds)
            out.text("\n\n".join(f"{name}: {found}" for name, found in timed.items()))
            report = {"machine": machine(), "profiles": {name: found.result() for name, found in timed.items()}}
            if output:
                write(report, output)
            out.result(report)
            return
        report = bench(names, device, bursts, seconds)
        if output:
            write(report, output)
        out.text(table(report))
        out.result(report)
