"""Reading the file of a table: what kind of file it is, by its first bytes, and the reader for it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dlarray.tables.compression import Contents, open_contents
from dlarray.tables.json_files import is_json, read_json
from dlarray.tables.read_options import ReadOptions
from dlarray.tables.spreadsheets import read_spreadsheet
from dlarray.tables.text_files import Lines, read_text
from dlarray.tables.values import polars

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ARROW", "OLE", "PARQUET", "ZIP", "TableFile", "read_file", "refused"]

WITH_PANDAS = "read it in its program, or with pandas.{}(…).to_csv('table.csv', index=False)"
PARQUET, ARROW, ZIP, OLE = b"PAR1", b"ARROW1", b"PK\3\4", b"\xd0\xcf\x11\xe0"
ANY_MARK = "\t"  # as if the columns were separated by tabs: numbers can have a decimal comma
PICKLE = "a pickle, which could run any code: write CSV or Parquet from the program that made it"
R_FILE = "a file of R: in R, write.csv(the_table, 'table.csv')"
PAGE = "HTML or XML, not a table: if it was downloaded, fetch the file itself, not its page"
REFUSED = {
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard: decompress it with unzstd",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive: unpack it",
    b"Rar!\x1a": "a RAR archive: unpack it",
    b"FEA1": "Feather of version 1: write it as Parquet from the program that made it",
    b"\x89HDF": f"HDF5: {WITH_PANDAS.format('read_hdf')}",
    b"$FL2": f"SPSS: {WITH_PANDAS.format('read_spss')}",
    b"<stata_dta>": f"Stata: {WITH_PANDAS.format('read_stata')}",
    b"RDX2\n": R_FILE,
    b"RDX3\n": R_FILE,
    b"X\n\0\0": R_FILE,
    b"SQLite format 3": "an SQLite database: write the table as CSV",
    b"\x93NUMPY": "an array of NumPy: in Python, dlarray.fit takes arrays",
    b"%PDF": "a PDF: copy the table from it to a spreadsheet and save it as CSV",
    b"<!": PAGE,
    b"<?xml": PAGE,
    b"<html": PAGE,
    b"<HTML": PAGE,
}
ENDINGS = {".pkl": PICKLE, ".pickle": PICKLE, ".safetensors": "a model, not a table"}


@dataclass(frozen=True)
class TableFile:
    """The table in a file.

    ``separator`` is that of its columns of text, "" for a file whose columns have their types. ``lines`` gives the
    numbers of the rows' lines; None for a file without lines, in which columns of text stand beside others.
    """

    frame: pl.DataFrame
    separator: str = ""
    lines: Lines | None = None


def read_file(path: str | PathLike[str], options: ReadOptions | None = None) -> TableFile:
    """The table in a file. Raises like ``read``."""
    polars()
    options = options or ReadOptions()
    contents = open_contents(path, options.sheet)
    if not contents.start:
        raise ValueError(f"{contents.name} is empty")
    file = _by_content(contents, options)
    if not file.frame.width:
        raise ValueError(f"{contents.name} has no columns")
    if not file.frame.height:
        raise ValueError(f"{contents.name} has column names but no rows")
    return file


def _by_content(contents: Contents, options: ReadOptions) -> TableFile:
    start = contents.start
    if start.startswith(PARQUET):
        return TableFile(_typed(contents, "Parquet", polars().read_parquet))
    if start.startswith(ARROW):
        return TableFile(_typed(contents, "Arrow", polars().read_ipc))
    if start.startswith((ZIP, OLE)):
        return TableFile(read_spreadsheet(contents, options), ANY_MARK)
    if what := refused(contents):
        raise ValueError(f"{contents.name} is {what}")
    if is_json(contents):
        return TableFile(read_json(contents), ANY_MARK)
    return TableFile(*read_text(contents, options))


def _typed(contents: Contents, what: str, read: Any) -> pl.DataFrame:
    pl = polars()
    try:
        source = contents.source  # opened here: polars would take [1] in a path for a pattern
        with source.open("rb") if isinstance(source, Path) else BytesIO(source) as file:
            return cast("pl.DataFrame", read(file))
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ValueError(f"{contents.name} is not a complete {what} file: {first}") from error


def refused(contents: Contents) -> str:
    """What kind of file it is that is not read, and the remedy; "" for another one."""
    ending = Path(contents.name).suffix.lower()
    if ending in ENDINGS:
        return ENDINGS[ending]
    if contents.start[257:262] == b"ustar":
        return "a tar archive: unpack it"
    if contents.start[:1] == b"\x80" and contents.start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return PICKLE
    return next((what for mark, what in REFUSED.items() if contents.start.lstrip(b"\r\n ").startswith(mark)), "")
