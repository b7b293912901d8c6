"""Files of tables: their types, separators and blank lines, and the errors of unusable files."""

from __future__ import annotations

import gzip
import io
import zipfile
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


def archive_without_a_name() -> bytes:
    """A zip archive of one file, whose name is its comment."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("x", b"a,b\n1,2\n")
    data = bytearray(whole.getvalue())
    entry = data.index(b"PK\1\2")
    data[entry + 28], data[entry + 32] = 0, 1  # the lengths of name and comment
    return bytes(data)


def test_types_come_from_all_rows(tmp_path: Path) -> None:
    text = "n,big,x,b,when,at,d,zip,word,odd\n"
    text += '1,9,1.5,true,2024-01-01T10:00:00Z,10:30,2024-01-01,01234,"a, ""b""",1\n' * 15
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
    "a ragged line": ("t.csv", "a,b\n1,2\n1,2,3\n", "line 3 has 3 fields, more than the 2 names; put quotes around"),
    "ragged lines": ("t.csv", "a,b\n1,2\n1,2,3\n3,4\n5,6\n7,8\n,,,9", "line 3 has 3 fields, .* and so has 1 more;"),
    "a quote without end": ("t.csv", 'a,b\n1,2\n3,"4\n5,6\n', "a quote that begins in line 3 is not closed"),
    "a long quote": ("t.csv", 'a,b\n1,2\n3,"4\n' + "5,6\n" * 40000, "a quote that begins in line 3 is not closed"),
    "NUL bytes": ("t.csv", "a,b\nx\0y,2\n", "contains NUL bytes, first in line 2: it is damaged or not text"),
    "Russian": ("t.csv", "a,b\nМосква,2\n".encode("cp1251"), r"not UTF-8 text \(line 2\).* name it with --encoding"),
    "Japanese": ("t.csv", "a,b\n東京都,2\n".encode("shift_jis"), "not UTF-8 text .* such as cp1251 or shift_jis"),
    "broken Parquet": ("t.parquet", PARQUET_START, "is not a complete Parquet file"),
    "broken Arrow": ("t.arrow", b"ARROW1" + bytes(40), "is not a complete Arrow file"),
    "broken gzip": ("t.csv.gz", b"\x1f\x8b" + bytes(10), "is not a complete gzip file"),
    "half a gzip": (
        "t.csv.gz",
        gzip.compress(b"a,b\n1,2\n" * 99)[:-9],
        "is not a complete gzip file: its end is missing",
    ),
    "broken bzip2": ("t.csv", b"BZh9" + bytes(40), "is not a complete bzip2 file"),
    "broken xz": ("t.csv", b"\xfd7zXZ\0" + bytes(40), "is not a complete xz file"),
    "an archive of a file without a name": ("t.zip", archive_without_a_name(), "is a zip archive without files"),
    "a broken archive": ("t.csv", b"PK\3\4" + bytes(40), "is a zip archive that cannot be read"),
    "JSON of another form": (
        "t.json",
        '{"a": {"0": 1}, "b": {"0": 2}}',
        "is one JSON object; a table is one object for",
    ),
    "JSON in several lines": ("t.json", '{\n "a": 1,\n "b": {}\n}', "is one JSON object; a table is"),
    "JSON of numbers": ("t.json", "[{}, 2]", "is JSON of another form; a table is"),
    "broken JSON": ("t.json", '[{"a": 1}, {"a"', "is not valid JSON: .* a table is"),
    "broken lines of JSON": ("t.jsonl", '{"a": 1}\n{"a"\n', "line 2 is not valid JSON"),
    "attributes without data": ("t.arff", "@relation r\n@attribute a real\n1\n", "none with @data: it is not complete"),
    "sparse attributes": ("t.arff", "@attribute a real\n@data\n{0 1}\n", "has sparse rows"),
    "a pickle": ("t.pkl", b"\x80", "is a pickle, which could run any code"),
    "a pickle by another name": ("t.csv", b"\x80\4\x95abc.", "is a pickle, which could run any code"),
    "a page": ("t.csv", "\n<!DOCTYPE html>\n<html></html>", "is HTML or XML, not a table"),
    "a file of R": ("t.rda", gzip.compress(b"RDX3\nX\n\0\0"), "is a file of R: in R, write.csv"),
    "Stata": ("t.dta", b"<stata_dta><header>", "is Stata: read it in its program, or with pandas.read_stata"),
    "a tar archive": ("t.tar", bytes(257) + b"ustar" + bytes(100), "is a tar archive: unpack it"),
    "a picture": ("t.csv", b"\x89PNG\r\n\x1a\n\0\0\0", "contains NUL bytes"),
    "an unfinished table of comments": ("t.csv", "# a\n# b\n", "has no lines after the first 2"),
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
    with pytest.warns(tables.TableWarning, match="names .* are changed to 'a column with a long name 07000_2'"):
        assert tables.read(path).width == 8001


def test_a_name_in_quotes_may_hold_the_end_of_a_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a\nb",c\n1,2\n', encoding="utf-8")
    assert tables.read(tmp_path / "t.csv").columns == ["a\nb", "c"]


@pytest.mark.parametrize("kind", ["csv", "parquet", "ipc"])
def test_brackets_in_the_name_of_a_file_are_no_pattern(kind: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [1, 2], "y": [3, 4]})
    for name in ("table[1]", "table*", "table1"):
        getattr(frame if name != "table1" else frame[:1], f"write_{kind}")(tmp_path / name)
    assert tables.read(tmp_path / "table[1]").height == 2
    assert tables.read(tmp_path / "table*").height == 2
