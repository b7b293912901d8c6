"""``dlarray matrix``: what of the array API and of dlarray's interface an array library does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlarray.cli.app import app
from dlarray.cli.options import Debug, split_names
from dlarray.cli.output import Output, UsageError, reporting, usage
from dlarray.core.check import count
from dlarray.core.files import replacing

if TYPE_CHECKING:
    from dlarray.testing.report import ColumnReport, Report

__all__ = ["check_libraries"]

EXAMPLES = """Examples:

  dlarray matrix --device torch

  dlarray matrix --device mine,torch --html report.html --json report.json

  dlarray matrix --device mine --expected mine.xfails --strict
"""
WORDS = {
    "pass": "passed",
    "fail": "failed",
    "blocked": "blocked",
    "skip": "not applicable",
    "xfail": "failed as expected",
    "xpass": "passed unexpectedly",
}
MOST = 12  # failures of a column that are printed
SLOW = 10.0  # seconds; the slowest checks are named if one takes more


@app.command("matrix", epilog=EXAMPLES)
def check_libraries(
    device: Annotated[list[str], typer.Option(help="The devices to check; repeat it, or separate names by commas.")],
    html: Annotated[Path | None, typer.Option(help="File for the report as a page.")] = None,
    json: Annotated[Path | None, typer.Option(help="File for the report as JSON.")] = None,
    expected: Annotated[
        Path | None,
        typer.Option(help="File of expected failures. By default <name>.xfails beside the backend's module."),
    ] = None,
    write_expected: Annotated[
        Path | None, typer.Option(help="File to write: the checks that fail now, as expected failures.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail also if a check passes that is expected to fail.")
    ] = False,
    dtype: Annotated[list[str] | None, typer.Option(help="float64 or float32. By default both.")] = None,
    part: Annotated[
        list[str] | None, typer.Option(help="Parts to check, such as contract or functions. By default all.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Check array libraries and their backends: the contract, functions, formulas, training.

    The reference is NumPy in float64. The exit code is 1 if a check fails that is not expected to.
    """
    from dlarray.cli.progress import Progress, save
    from dlarray.testing.columns import DTYPES
    from dlarray.testing.expectations import written
    from dlarray.testing.suite import all_checks, matrix

    with reporting(False, debug) as out:
        for path in filter(None, (html, json, write_expected)):
            if not path.parent.is_dir():
                raise UsageError(f"the folder of {str(path)!r} does not exist")
        progress = Progress(html, json)

        def done(report: Report) -> None:
            progress.done(report)
            _print(out, report.columns[-1])

        with usage():
            checks = all_checks(split_names(part))
            dtypes = split_names(dtype) or DTYPES
            report = matrix(split_names(device), dtypes, checks, expected, done, progress.begins)
        for column, why in report.missing:
            out.text(f"{column.name}: not run, {why}")
        save(report, html, json)
        if write_expected:
            with replacing(write_expected) as file:
                file.write(written(report).encode())
        for path in filter(None, (json, html, write_expected)):
            out.text(f"saved: {path}")
        if not report.columns:
            raise UsageError("no column could be run")
        if faults := report.faults(strict):
            out.text(f"{count(faults, 'check')} failed")
            raise typer.Exit(1)


def _print(out: Output, found: ColumnReport) -> None:
    """The column in a line, and what failed in it."""
    counts = ", ".join(f"{n} {WORDS[outcome]}" for outcome, n in found.counts.items() if n)
    worst = f"; largest deviation {found.worst.ulp:.3g} ulp, {found.worst.name}" if found.worst else ""
    out.text(f"{found.column.name}: {found.library}, {counts}{worst}; {found.seconds:.1f} s")
    slowest = sorted(found.results, key=lambda r: -r.seconds)[:3]
    if slowest and slowest[0].seconds > SLOW:
        names = ", ".join(f"{r.part}: {r.name} {r.seconds:.1f} s" for r in slowest)
        out.text(f"  slowest  {names}")
    wrong = [r for r in found.results if r.outcome in ("fail", "xpass")]
    for r in wrong[:MOST]:
        out.text(f"  {WORDS[r.outcome]}  {r.part}: {r.name}  {r.reason}")
    if len(wrong) > MOST:
        out.text(f"  … and {len(wrong) - MOST} more: --html or --json has them all")
