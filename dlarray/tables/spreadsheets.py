"""Tables in spreadsheets: Excel and OpenDocument, read by polars where fastexcel is installed."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from dlarray.core.check import count
from dlarray.core.text import quote, quote_all
from dlarray.tables.column_names import with_names
from dlarray.tables.compression import Contents
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.text_encoding import note
from dlarray.tables.text_layout import header_of
from dlarray.tables.values import EXACT, polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_spreadsheet"]

INSTALL = 'pip install "dlarray[excel]"'


def read_spreadsheet(contents: Contents, options: ReadOptions) -> pl.DataFrame:
    """The table in a sheet: columns by their types, and text where a column has several.

    Without a sheet's name it is the first sheet that has cells. Raises ValueError for a file without such a sheet or
    that cannot be read, ImportError if fastexcel is not installed.
    """
    try:
        fastexcel: Any = import_module("fastexcel")
    except ImportError as error:
        raise ImportError(
            f"{contents.name} is a spreadsheet, which is read by fastexcel: {INSTALL}; or save it as CSV"
        ) from error
    try:
        with _quiet():
            return _read(fastexcel.read_excel(contents.all()), contents, options)
    except fastexcel.FastExcelError as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{contents.name} is not a complete spreadsheet: {first}") from error


def _read(book: Any, contents: Contents, options: ReadOptions) -> pl.DataFrame:
    names: list[str] = book.sheet_names
    if options.sheet is not None and options.sheet not in names:
        raise ValueError(f"{contents.name} has no sheet {quote(options.sheet)}; it has {quote_all(names)}")
    cells = None
    sheet = ""
    for sheet in [options.sheet] if options.sheet is not None else names:
        cells = _load(book, sheet, header_row=None, dtypes="string")
        if cells.height and cells.width:
            break
    if cells is None or not cells.height:
        raise ValueError(f"{contents.name} has no sheet with cells")
    if len(names) > 1 and options.sheet is None:
        others = quote_all([name for name in names if name != sheet], 5)
        note(contents.name, f"its sheet {quote(sheet)} is read, not {others}; --sheet or ReadOptions(sheet=…) chooses")
    return _table(book, sheet, cells, contents.name, options)


def _load(book: Any, sheet: str, **options: Any) -> pl.DataFrame:
    return cast("pl.DataFrame", polars().DataFrame(book.load_sheet(sheet, **options)))


def _table(book: Any, sheet: str, cells: pl.DataFrame, file: str, options: ReadOptions) -> pl.DataFrame:
    """The rows below the line of names, typed where that loses no cell."""
    rows = [["" if cell is None else cell for cell in row] for row in cells.head(100).rows()]
    header: int = options.skip_lines if options.skip_lines is not None else header_of(rows)
    if header >= cells.height:
        raise ValueError(f"{file}: sheet {quote(sheet)} has no rows after the first {count(cells.height, 'row')}")
    if header and options.skip_lines is None:
        above = next((cell for row in rows[:header] for cell in row if cell), "")
        note(file, f"sheet {quote(sheet)} has no table in its first {count(header, 'row')}, such as {quote(above, 40)}")
    names = ["" if cell is None else cell for cell in cells.row(header)]
    frame = cells[header + 1 :]
    typed = _load(book, sheet, header_row=None, skip_rows=header + 1, schema_sample_rows=None)
    if (typed.height, typed.width) == (frame.height, frame.width):
        frame = frame.with_columns(map(_typed, frame, typed))
    pl = polars()
    return with_names(file, frame.filter(~pl.all_horizontal(pl.all().is_null())), names)


def _typed(text: pl.Series, typed: pl.Series) -> pl.Series:
    """A column by its type, unless cells of another type would be lost; integers and dates have no own type."""
    pl = polars()
    if typed.null_count() > (text.is_null() | (text == "")).sum():
        return text
    if typed.dtype == pl.Datetime and (typed.dt.truncate("1d") == typed).all():
        typed = typed.cast(pl.Date)
    if typed.dtype.is_float() and ((typed == typed.round()) & (typed.abs() < EXACT)).all():
        typed = typed.cast(pl.Int64)
    return typed.alias(text.name)


@contextmanager
def _quiet() -> Generator[None]:
    """Without fastexcel's messages about columns of several types, which are read as text."""
    logger = logging.getLogger("fastexcel.types.dtype")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
