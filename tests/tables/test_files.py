"""Files of tables: their types, separators and blank lines, and the errors of unusable files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import (  # noqa: E402  # noqa: E402
    Preprocessing,
)
from tests.support.process import python  # noqa: E402
from tests.support.tables import mixed_frame  # noqa: E402


def file(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_types_come_from_all_rows(tmp_path: Path) -> None:
    text = "n,big,x,b,when,at,d,zip,word,odd\n"
    text += '1,9,1.5,true,2024-01-01T10:00:00Z,10:30,2024-01-01,01234,"a, ""b""",1\n' * 150
    text += " -2 ,123456789012345678901234567890,NA,FALSE,2024-02-01 00:00:00,23:59,2024-02-01,99999,ünïcode,one\n"
    text = text.replace("2024-02-01 00:00:00", "2024-02-01T00:00:00Z")
    frame = tables.read(file(tmp_path, "t.csv", text))
    assert dict(frame.schema) == {
        "n": pl.Int64,
        "big": pl.Float64,
        "x": pl.Float64,
        "b": pl.Boolean,
        "when": pl.Datetime("us", "UTC"),
        "at": pl.Time,
        "d": pl.Date,
        "zip": pl.String,
        "word": pl.String,
        "odd": pl.String,
    }
    assert frame["n"][-1] == -2
    assert frame["x"].null_count() == 1
    assert frame["word"][0] == 'a, "b"'
    assert frame["word"][-1] == "ünïcode"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "a,b\n1.5,x\n2,y z\n"),
        ("t.CSV", '"a", b\r\n1.5, x\r\n2,y z\r\n'),
        ("t.csv", "\ufeffa;b\n1,5;x\n2;y z\n"),
        ("t.tsv", "a\tb\n1,5\tx\n2\ty z\n"),
        ("t.txt", "a|b\n1.5|x\n2|y z\n"),
        ("t.csv.gz", gzip.compress(b"a,b\n1.5,x\n2,y z\n", mtime=0)),
    ],
)
def test_separators_decimal_commas_and_marks_are_found(name: str, text: str | bytes, tmp_path: Path) -> None:
    frame = tables.read(file(tmp_path, name, text))
    assert frame.to_dict(as_series=False) == {"a": [1.5, 2.0], "b": ["x", "y z"]}


def test_parquet_is_read_and_gives_the_same_as_csv(tmp_path: Path) -> None:
    frame = mixed_frame()
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_csv(tmp_path / "t.csv")
    assert tables.read(tmp_path / "t.parquet").equals(frame)
    p = Preprocessing.fit(frame)
    np.testing.assert_array_equal(p.transform(tables.read(tmp_path / "t.csv")), p.transform(frame))


PARQUET_START = b"PAR1" + bytes(40)
REFUSED: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("t.csv", "", "is empty"),
    "blank": ("t.csv", " \n\n", "is empty"),
    "no rows": ("t.csv", "a,b\n", "has column names but no rows"),
    "a name twice": ("t.csv", "a,b,a\n1,2,3\n", "duplicate names in the first line, 'a': rename one"),
    "a column without a name": ("t.csv", "a,,c\n1,2,3\n", "column 2 has no name"),
    "a ragged line": ("t.csv", "a,b\n1,2\n1,2,3\n", "a line has more fields than the first line has names"),
    "another encoding": ("t.csv", b"a,b\n\xe9,2\n", "its text is not UTF-8"),
    "UTF-16": ("t.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16 text: save it as CSV in UTF-8"),
    "UTF-16 without its mark": ("t.csv", "a,b\n1,2\n".encode("utf-16-be"), "contains NUL bytes: it is damaged, UTF-16"),
    "NUL bytes": ("t.csv", "a,b\nx\0y,2\n", "contains NUL bytes: it is damaged"),
    "Latin-1 names": ("t.csv", "größe,b\n1,2\n".encode("latin-1"), "is not UTF-8 text: save it as CSV in UTF-8"),
    "lines of old Macs": ("t.csv", "a,b\r1,2\r3,4\r", "ends its lines with CR alone"),
    "lines of old Macs, with quotes": ("t.csv", '"a\rb","c"\r1,2\r', "ends its lines with CR alone"),
    "Parquet by another name": ("t.csv", PARQUET_START, "is a Parquet file: give it the ending .parquet"),
    "a spreadsheet by another name": ("t.csv", b"PK\3\4" + bytes(40), "is a spreadsheet or an archive"),
    "broken Parquet": ("t.parquet", PARQUET_START, "is not a complete Parquet file"),
    "broken gzip": ("t.csv.gz", b"\x1f\x8b" + bytes(10), "is not a complete gzip file"),
    "no gzip": ("t.csv.gz", b"a,b\n1,2\n", "is not a complete gzip file"),
    "a spreadsheet": ("t.xlsx", b"PK\3\4", "is a spreadsheet: save it as CSV there"),
    "JSON": ("t.json", "[]", "is JSON: convert it with polars.read_json"),
    "a pickle": ("t.pkl", b"\x80", "is a pickle, which could run any code"),
    "another ending": ("t.dat", "a,b\n1,2\n", "ends in '.dat'; tables are read from .csv"),
    "no ending": ("table", "a,b\n1,2\n", "has no ending"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_not_a_table_is_refused(case: str, tmp_path: Path) -> None:
    name, text, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        tables.read(file(tmp_path, name, text))
    assert "polars.exceptions" not in str(caught.value)
    assert "infer_schema" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_errors_with_the_path(tmp_path: Path) -> None:
    file(tmp_path, "flights.csv", "a\n1\n")
    with pytest.raises(FileNotFoundError, match=r"did you mean 'flights.csv'\?: '.*flight.csv'"):
        tables.read(tmp_path / "flight.csv")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        tables.read(tmp_path)


def test_without_polars_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["polars"] = None  # as if it were not installed
from dlarray import tables
try: tables.read("t.csv")
except ImportError as error: print(error)
"""
    assert python(code) == 'reading tables needs polars: pip install "dlarray[table]"'


# Lines


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_blank_line_is_skipped_where_there_are_two_columns(end: str, tmp_path: Path) -> None:
    lines = ["a,b", "1,x", "", "  ", ",", '2,"y', "", 'z"', "", ""]
    (tmp_path / "t.csv").write_bytes(end.join(lines).encode())
    frame = tables.read(tmp_path / "t.csv")
    assert frame["a"].to_list() == [1, None, 2]
    assert frame["b"].to_list() == ["x", None, f"y{end}{end}z"]
    (tmp_path / "t.csv").write_bytes(end.join(["a,b", "1,x", "  ", "2,y"]).encode())
    assert tables.read(tmp_path / "t.csv")["a"].to_list() == [1, 2]
    (tmp_path / "t.csv").write_bytes(end.join(["a", "1", "", "2", ""]).encode())
    assert tables.read(tmp_path / "t.csv")["a"].to_list() == [1, None, 2]


@pytest.mark.slow
@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_line_of_names_may_be_of_any_length(separator: str, tmp_path: Path) -> None:
    names = [f"a column with a long name {i:05}" for i in range(8000)]
    path = tmp_path / "t.csv"
    path.write_text(separator.join(names) + "\n" + separator.join(["1"] * len(names)) + "\n", encoding="utf-8")
    assert tables.read(path).columns == names
    path.write_text(
        separator.join([*names, names[7000]]) + "\n" + separator.join(["1"] * 8001) + "\n", encoding="utf-8"
    )
    with pytest.raises(ValueError, match="duplicate names in the first line, 'a column with a long name 07000'"):
        tables.read(path)


def test_a_name_in_quotes_may_hold_the_end_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a\nb",c\n1,2\n', encoding="utf-8")
    assert tables.read(tmp_path / "t.csv").columns == ["a\nb", "c"]
