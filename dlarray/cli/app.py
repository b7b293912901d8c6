"""The command ``dlarray`` itself, before its commands."""

from __future__ import annotations

from typing import Annotated

import typer

import dlarray

__all__ = ["app"]

app = typer.Typer(
    help="Neural networks of the textbook on any array library. DLARRAY_DEVICE or --device choose where.",
    epilog="Begin with:  dlarray train table.csv --target COLUMN   then:  dlarray predict model.safetensors new.csv",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dlarray {dlarray.__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")] = False,
) -> None:
    """Neural networks of the textbook on any array library. DLARRAY_DEVICE or --device choose where."""
