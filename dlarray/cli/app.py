"""The command ``dlarray`` itself, without its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

import dlarray
from dlarray.cli.ranks import mute_other_ranks

__all__ = ["app"]

HELP = "Train and use neural networks on tables. Choose the device with --device or the variable DLARRAY_DEVICE."
EXAMPLES = """Examples:

  dlarray train table.csv --target COLUMN

  dlarray predict model.safetensors new.csv
"""

app = typer.Typer(
    help=HELP,
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"dlarray {dlarray.__version__}")
        raise typer.Exit


@app.callback(help=HELP)
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand == "train":  # before its options are read: rank 0 alone reports a wrong one
        mute_other_ranks()
