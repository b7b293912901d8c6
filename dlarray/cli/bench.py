"""``dlarray bench``: the time of a training step, compared with its limit."""

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

  dlarray bench --json --output results.json
"""


@app.command("bench", epilog=EXAMPLES)
def measure(
    cases: Annotated[
        str, typer.Option(help="S, M, L, XL, or widths and batch size such as 784-256-10x128; separated by commas.")
    ] = "M",
    device: DeviceName = None,
    bursts: Annotated[int, typer.Option(help="Number of measurements.", min=1)] = 30,
    seconds: Annotated[float, typer.Option(help="Duration of each measurement.")] = 0.1,
    output: Annotated[Path | None, typer.Option(help="JSON file for the results.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the plan of the step instead of timing it.")] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show the time of each product and kernel in a planned step.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Time a training step on this machine and compare it with its limit, the time of its matrix products.

    To time other libraries too, run benchmarks/cpu.py from dlarray's source repository.
    """
    from dlarray.bench import Case, bench, machine, plans, profiles, table, write

    with reporting(json, debug) as out:
        names = [name.strip() for name in cases.split(",")]
        with usage():
            resolve(device)
            for name in names:
                Case.named(name)
            if explain and profile:
                raise ValueError("--explain and --profile exclude each other: give one of them")
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
