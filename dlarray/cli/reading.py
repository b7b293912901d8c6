"""The options of commands that read a table: how its file is read where detection is not enough."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any

import typer

from dlarray.cli.options import split_names
from dlarray.cli.output import reporting, usage
from dlarray.tables import ReadOptions

__all__ = ["READ_OPTIONS", "with_file_options", "with_read_options"]

NAMED = {"tab": "\t", "\\t": "\t", "space": " ", "spaces": " ", "whitespace": " ", "comma": ",", "semicolon": ";"}


PANEL = "How the file is read, if not as detected"


def _option(text: str, metavar: str) -> Any:
    return typer.Option(help=text, metavar=metavar, rich_help_panel=PANEL)


FILE: dict[str, Any] = {
    "separator": Annotated[
        str | None, _option("What separates the columns: a character, or tab, or space for any white space.", "TEXT")
    ],
    "encoding": Annotated[str | None, _option("Encoding of the text, such as cp1252.", "NAME")],
    "comment": Annotated[str | None, _option("Skip lines that begin with this text, such as #.", "TEXT")],
    "skip_lines": Annotated[int | None, _option("Lines before the line of names.", "N")],
    "sheet": Annotated[str | None, _option("Sheet of a spreadsheet, or file in a zip archive.", "NAME")],
}
VALUES: dict[str, Any] = {
    "decimal": Annotated[str | None, _option("Decimal mark of numbers, . or ,", "MARK")],
    "thousands": Annotated[str | None, _option("Mark between thousands: , . ' _ or a space.", "MARK")],
    "missing": Annotated[list[str] | None, _option("Word for a missing value; can be repeated.", "WORD")],
    "not_missing": Annotated[
        list[str] | None, _option("Word that is a value, although it is known as one for missing values.", "WORD")
    ],
    "number": Annotated[list[str] | None, _option("Column of numbers; what is no number is missing.", "COLUMN")],
    "date": Annotated[list[str] | None, _option("Column of dates; what is no date is missing.", "COLUMN")],
    "text": Annotated[list[str] | None, _option("Column of text, such as codes in digits.", "COLUMN")],
    "match_case": Annotated[
        bool | None,
        typer.Option("--match-case", help="Yes and yes are two categories.", rich_help_panel=PANEL),
    ],
    "date_format": Annotated[str | None, _option("Format of dates, such as %d.%m.%Y.", "FORMAT")],
}
READ_OPTIONS = (*FILE, *VALUES)
LISTS = ("missing", "not_missing", "number", "date", "text")


def with_read_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with all options of ``ReadOptions``, which it takes as one argument, ``reading``."""
    return _with(command, FILE | VALUES)


def with_file_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of the file alone, for a model that has stored what values mean."""
    return _with(command, FILE)


def _with(command: Callable[..., None], options: Mapping[str, Any]) -> Callable[..., None]:
    @wraps(command)
    def run(**given: Any) -> None:
        values = {name: given.pop(name) for name in options}
        with reporting(given["json"], given["debug"]), usage():
            reading = _options(**values)
        command(**given, reading=reading)

    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "reading"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, keyword, default=None, annotation=kind) for name, kind in options.items()]
    run.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
    return run


def _options(separator: str | None, **others: Any) -> ReadOptions:
    lists = {name: split_names(others.pop(name)) for name in LISTS if name in others}
    given = {name: value for name, value in others.items() if value is not None}
    return ReadOptions(NAMED.get(separator or "", separator), **lists, **given)
