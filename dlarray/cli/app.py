"""The command ``dlarray`` itself, without its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

import dlarray

__all__ = ["app"]

HELP = "Train and use neural networks on tables. Choose the device with --device or the variable DLARRAY_DEVICE."

app = typer.Typer(
    help=HELP,
    epilog="First:  dlarray train table.csv --target COLUMN   Then:  dlarray predict model.safetensors new.csv",
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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
