"""Files that are not plain CSV in UTF-8: each is read as the table it holds, and a warning says what was decided."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import ReadOptions, TableWarning, compression, text_layout  # noqa: E402
from tests.support.process import python  # noqa: E402

PLAIN = "a,b\n1,x\n2,y\n"
TABLE: dict[str, list[Any]] = {"a": [1, 2], "b": ["x", "y"]}


def archive(**files: str | bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in files.items():
            file.writestr(name.replace("_", "."), text)
    return data.getvalue()


def read(tmp_path: Path, text: str | bytes, options: ReadOptions | None = None, name: str = "t.dat") -> Any:
    """The columns of a file, and the warnings that it gave, without its path."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = tables.read(path, options)
    assert all(w.category is TableWarning for w in caught)
    notes = [str(w.message).replace(f"{path}: ", "") for w in caught]
    return frame.to_dict(as_series=False), notes


SILENT: dict[str, str | bytes] = {
    "no ending": PLAIN,
    "sep=": "sep=;\na;b\n1;x\n2;y\n",
    "sep= in quotes": '"sep=|"\r\na|b\r\n1|x\r\n2|y\r\n',
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-32": PLAIN.encode("utf-32"),
    "the mark of UTF-8": PLAIN.encode("utf-8-sig"),
    "the mark of UTF-8 and trailing commas": "a,b,\n1,x,\n2,y,\n".encode("utf-8-sig"),
    "gzip": gzip.compress(PLAIN.encode()),
    "two gzip streams": gzip.compress(PLAIN[:6].encode()) + gzip.compress(PLAIN[6:].encode()),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "gzip of UTF-16": gzip.compress(PLAIN.encode("utf-16")),
    "zip": archive(t_csv=PLAIN),
    "zip with a text beside it": archive(t_csv=PLAIN, README="A table."),
    "zip of gzip": archive(t_gz=gzip.compress(PLAIN.encode())),
    "Ctrl-Z at the end": PLAIN + "\x1a",
    "Ctrl-Z after the last value": PLAIN.rstrip("\n") + "\x1a\r\n",
    "a separator at the end of all lines": "a,b,\n1,x,\n2,y,\n",
    "separators at the end of all lines": "a,b,,,\n1,x,,,\n2,y,,,\n",
    "a separator at the end of the rows": "a,b\n1,x,\n2,y,\n",
    "a separator at the end of the names": "a,b,\n1,x\n2,y\n",
    "blank lines before": "\n\na,b\n1,x\n2,y\n",
    "commas in another column": "a;b\n1;x\n2;y\n",
    "names in a comment": "#a,b\n1,x\n2,y\n",
    "lines of JSON": '{"a": 1, "b": "x"}\n\n{"b": "y", "a": 2}\n',
    "a list in JSON": '[{"a": 1, "b": "x"},\n {"a": 2, "b": "y"}]',
    "attributes": "@relation r\n@attribute a real [0, 1]\n@ATTRIBUTE 'b' {x, y}\n@inputs a\n@data\n1, x\n2, y\n",
    "attributes of Weka": "% a comment\n\n@attribute a numeric\n@attribute b {x,y}\n\n@data\n1,x\n2,y\n% the end\n",
    "values in single quotes": "@attribute 'a' numeric\n@attribute \"b\" {x,y}\n@data\n% b\n1,'x'\n2, 'y'\n",
}


@pytest.mark.parametrize("case", SILENT)
def test_a_file_is_read_by_its_content(case: str, tmp_path: Path) -> None:
    assert read(tmp_path, SILENT[case]) == (TABLE, [])


@pytest.mark.parametrize("kind", ["parquet", "ipc"])
def test_typed_files_are_known_by_their_content(kind: str, tmp_path: Path) -> None:
    frame = pl.DataFrame(TABLE)
    getattr(frame, f"write_{kind}")(tmp_path / "table")
    assert tables.read(tmp_path / "table").equals(frame)
    data = io.BytesIO()
    getattr(frame, f"write_{kind}")(data)
    assert read(tmp_path, archive(table=data.getvalue())) == (TABLE, [])
    assert read(tmp_path, data.getvalue(), name="t[*].x") == (TABLE, [])


SPACES = "its columns are separated by white space"
ROW_NAMES = "the rows have one field more than there are names: the first column is taken as row names"
WARNED: dict[str, tuple[str | bytes, dict[str, list[Any]], list[str]]] = {
    "aligned columns": (" a   b\n 1   x\n 2   y\n", TABLE, [SPACES]),
    "spaces in quotes": ('"a" "b c"\n1 "x ""y"\n2 "z"\n', {"a": [1, 2], "b c": ['x "y', "z"]}, [SPACES]),
    "several spaces": ("a    b\nu v  x y\nw v    y\n", {"a": ["u v", "w v"], "b": ["x y", "y"]}, [SPACES]),
    "a table of R": (
        '"mpg" "cyl"\n"Mazda RX4" 21 6\n"Fiat, 128" 32.4 4\n',
        {"(unnamed)": ["Mazda RX4", "Fiat, 128"], "mpg": [21.0, 32.4], "cyl": [6, 4]},
        [SPACES, ROW_NAMES],
    ),
    "row names": ("a,b\nr1,1,x\nr2,2,y\n", {"(unnamed)": ["r1", "r2"], **TABLE}, [ROW_NAMES]),
    "CR": ("a,b\r1,x\r2,y\r", TABLE, ["its lines end with CR alone, as on old Macs"]),
    "UTF-16, big-endian, without its mark": (
        PLAIN.encode("utf-16-be"),
        TABLE,
        ["its text is read as utf-16-be, because every second byte is zero"],
    ),
    "UTF-16, little-endian, without its mark": (
        PLAIN.encode("utf-16-le"),
        TABLE,
        ["its text is read as utf-16-le, because every second byte is zero"],
    ),
    "Latin-1": (
        "a,b\n1,café\n2,Zoë\n".encode("latin-1"),
        {"a": [1, 2], "b": ["café", "Zoë"]},
        [
            "its text is not UTF-8 and is read as cp1252, such as 'café' in line 2; "
            "if that is wrong, use --encoding or ReadOptions(encoding=…)"
        ],
    ),
    "a preamble": (
        "Report of 2020\n\nSource, unknown\na,b,c\n1,2,3\n4,5,6\n7,8,9\n",
        {"a": [1, 4, 7], "b": [2, 5, 8], "c": [3, 6, 9]},
        ["lines 1 to 3 are no part of the table and skipped ('Report of 2020')"],
    ),
    "a line before two columns": (
        "Report of 2020\na,b\n1,x\n2,y\n",
        TABLE,
        ["line 1 is no part of the table and skipped ('Report of 2020')"],
    ),
    "comments": (
        "# made in 2020, by x\n# c,d\na,b\n1,x\n2,y\n",
        TABLE,
        ["lines 1 to 2 are no part of the table and skipped ('# made in 2020, by x')"],
    ),
    "names in a comment, and spaces": ("# a b\n1 x\n2 y\n", TABLE, [SPACES]),
    "a name that is a mark of comments": ("#,b\n1,x\n2,y\n", {"#": [1, 2], "b": ["x", "y"]}, []),
    "empty fields too many": (
        "a,b\n1,x\n2,y,,\n",
        TABLE,
        ["empty fields after the last column are left out"],
    ),
    "quotes in values": (
        'a,b\n1,x"y\n2,"5"" z"q\n',
        {"a": [1, 2], "b": ['x"y', '5" zq']},
        ["quotes in values are kept"],
    ),
    "a name twice": (
        "a,b,a,a_2\n1,2,3,4\n",
        {"a": [1], "b": [2], "a_3": [3], "a_2": [4]},
        ["repeated names of columns are changed to 'a_3'"],
    ),
    "no name": (
        "a,,c\n1,2,3\n",
        {"a": [1], "column_2": [2], "c": [3]},
        ["columns without a name are called 'column_2'"],
    ),
    "values in the first line": (
        "5.1,3.5,setosa\n4.9,3.0,setosa\n",
        {"column_1": [5.1, 4.9], "column_2": [3.5, 3.0], "column_3": ["setosa"] * 2},
        ["line 1 has values, not names: the columns are called column_1 to column_3"],
    ),
    "words in the first line": (
        "a title\nx,y,x\nz,y,x\nz,w,w\nx,w,w\n",
        {"column_1": ["x", "z", "z", "x"], "column_2": ["y", "y", "w", "w"], "column_3": ["x", "x", "w", "w"]},
        [
            "line 1 is no part of the table and skipped ('a title')",
            "line 2 has values, not names: the columns are called column_1 to column_3",
        ],
    ),
    "names again": (
        'a,b,c\n1,x,2\na,b,c\n2,y,3\n"a", b,c\n3,x,4\n',
        {"a": [1, 2, 3], "b": ["x", "y", "x"], "c": [2, 3, 4]},
        ["line 3 and 1 more repeat the names of the columns: skipped"],
    ),
    "names again, and a value that does not fit": (
        "a,b,c\n" + "1,x,2\n" * 20 + "\na,b,c\nodd,y,3\n",
        {"a": [1] * 20 + [None], "b": ["x"] * 20 + ["y"], "c": [2] * 20 + [3]},
        [
            "line 23 repeats the names of the columns: skipped",
            "column 'a': 'odd' in line 24 is no number; taken as missing",
        ],
    ),
    "the first row again, without names": (
        "p,x\np,x\np,y\nq,x\n",
        {"column_1": ["p", "p", "p", "q"], "column_2": ["x", "x", "y", "x"]},
        ["line 1 has values, not names: the columns are called column_1 to column_2"],
    ),
    "numbers as names": ("400.5,401,401.5\n1,2,3\n", {"400.5": [1], "401": [2], "401.5": [3]}, []),
    "commas in single quotes": (
        "@attribute a string\n@attribute b string\n@data\n'x, \"y\"',it's\n'it\\'s','z'\n",
        {"a": ['x, "y"', "it's"], "b": ["it's", "z"]},
        [],
    ),
    "JSON of several types": (
        '[{"a": 1, "b": 1, "c": [1]}, {"a": 2.5, "b": "x", "d": true}]',
        {"a": [1.0, 2.5], "b": ["1", "x"], "c": ["[1]", None], "d": [None, True]},
        [],
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_a_warning_says_what_was_decided_about_a_file(case: str, tmp_path: Path) -> None:
    text, columns, notes = WARNED[case]
    assert read(tmp_path, text) == (columns, notes)


@pytest.mark.parametrize(
    ("before", "line", "options"),
    [
        ("", 22, {}),
        ("\n", 23, {}),
        ("\n\n  \n2,x\n\n", 27, {}),
        ('2,"x\n\ny"\n', 25, {}),
        ("# a comment\n", 23, {"comment": "#"}),
        ("a,b\n\n", 24, {}),
    ],
)
@pytest.mark.parametrize("preamble", ["", "# of 2020\n"])
def test_a_line_is_that_of_the_file(
    before: str, line: int, options: dict[str, Any], preamble: str, tmp_path: Path
) -> None:
    text = f"{preamble}a,b\n" + "1,x\n" * 20 + before + "oops,y\n" + "3,y\n" * 20
    _, notes = read(tmp_path, text, ReadOptions(**options))
    line += preamble.count("\n")
    assert f"column 'a': 'oops' in line {line} is no number; taken as missing" in notes


def test_text_that_shows_late_that_it_is_not_utf8(tmp_path: Path) -> None:
    found, (note,) = read(tmp_path, ("a,b\n" + "1,x\n" * 30000 + "2,é\n").encode("latin-1"))
    assert found["b"][-1] == "é"
    assert "such as 'é' in line 30002" in note


def test_options_replace_what_is_detected(tmp_path: Path) -> None:
    assert read(tmp_path, "a:b\n1:x\n2:y\n", ReadOptions(separator=":")) == (TABLE, [])
    assert read(tmp_path, "a|b c\n1|2 3\n", ReadOptions(separator=" "))[0] == {"a|b": ["1|2"], "c": [3]}
    text = "a,b\n1,Москва\n2,Я\n"
    assert read(tmp_path, text.encode("cp1251"), ReadOptions(encoding="cp1251"))[0]["b"] == ["Москва", "Я"]
    with pytest.raises(ValueError, match="is not utf-8 text"):
        read(tmp_path, text.encode("cp1251"), ReadOptions(encoding="utf-8"))
    with pytest.raises(ValueError, match="is not ascii text"):
        read(tmp_path, text, ReadOptions(encoding="ascii"))
    assert read(tmp_path, "x,y\na,b\n1,x\n2,y\n", ReadOptions(skip_lines=1)) == (TABLE, [])
    assert read(tmp_path, "x,y,z\n" * 20000 + PLAIN, ReadOptions(skip_lines=20000)) == (TABLE, [])
    with pytest.raises(ValueError, match="has no lines after the first 9"):
        read(tmp_path, PLAIN, ReadOptions(skip_lines=9))
    assert read(tmp_path, "! c\na,b\n1,x\n! d\n2,y\n", ReadOptions(comment="!"))[0] == TABLE
    found, _ = read(tmp_path, 'a,b\n1,x"x\n! d, e, f\n2,y\n', ReadOptions(comment="!"))
    assert found == {"a": [1, 2], "b": ['x"x', "y"]}
    zipped = archive(t_csv=PLAIN, u_csv="c\n1\n")
    assert read(tmp_path, zipped, ReadOptions(sheet="t.csv")) == (TABLE, [])
    with pytest.raises(ValueError, match="has several files, 't.csv', 'u.csv': choose one with --sheet"):
        read(tmp_path, zipped)
    with pytest.raises(ValueError, match="has no file 'v.csv'; it has 't.csv', 'u.csv'"):
        read(tmp_path, zipped, ReadOptions(sheet="v.csv"))


@pytest.mark.parametrize("text", [PLAIN.encode(), gzip.compress(PLAIN.encode())], ids=["plain", "gzip"])
def test_a_table_on_standard_input(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert tables.read("-").to_dict(as_series=False) == TABLE
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(ValueError, match="standard input is empty"):
        tables.read("-")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=(PLAIN,))
    writer.start()
    assert tables.read(pipe).to_dict(as_series=False) == TABLE
    writer.join()


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, lambda data: archive(t_csv=data)])
def test_a_file_that_would_fill_the_memory_is_refused(
    compress: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "GIB", 2**20)
    with pytest.raises(ValueError, match="t.dat is more than 300 times as large decompressed: decompress it first"):
        read(tmp_path, compress(bytes(2**22)))


def test_a_spreadsheet_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "GIB", 2**20)
    with pytest.raises(ValueError, match="t.dat is more than 300 times as large decompressed"):
        read(tmp_path, archive(**{"xl/workbook_xml": bytes(2**22)}))


def test_a_line_that_no_table_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="is no table: a line has more than 1,000,000 fields"):
        read(tmp_path, b"," * 1_000_000 + b"\n1\n")
    monkeypatch.setattr(text_layout, "LONGEST", 2**17)
    with pytest.raises(ValueError, match="is no table: its first line is longer than"):
        read(tmp_path, b"a" * 2**20)


def test_a_spreadsheet_without_a_reader_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(archive(**{"xl/workbook_xml": ""}))
    code = f"""
import sys
sys.modules["fastexcel"] = None  # as if it were not installed
from dlarray import tables
try: tables.read({str(tmp_path / "t.xlsx")!r})
except ImportError as error: print(error)
"""
    assert python(code).endswith(
        'is a spreadsheet, which is read by fastexcel: pip install "dlarray[excel]"; or save it as CSV'
    )


# Damaged files

SEEDS: dict[str, bytes] = {
    **{name: text.encode() if isinstance(text, str) else text for name, text in SILENT.items()},
    **{name: text.encode() if isinstance(text, str) else text for name, (text, _, _) in WARNED.items()},
}
ROUNDS = 12
BYTES = b',;\t| "\n\r\0#\xff\xe9\xc3{[<@PK-1a'


@pytest.mark.parametrize("case", SEEDS)
def test_a_damaged_file_is_read_or_refused_with_its_path(case: str, tmp_path: Path) -> None:
    """Any other error than these two fails the test."""
    rng = random.Random(case)
    messages: list[str] = []
    path = tmp_path / "t.dat"
    for _ in range(ROUNDS):
        data = bytearray(SEEDS[case])
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data) + 1)
            match rng.randrange(4):
                case 0:
                    data[at : at + rng.randint(1, 9)] = b""
                case 1:
                    data[at:at] = bytes([rng.choice(BYTES)]) * rng.randint(1, 3)
                case 2:
                    data[at:at] = data[: rng.randint(1, 30)]
                case _:
                    data[at : at + 1] = bytes([rng.randrange(256)])
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TableWarning)
            try:
                frame = tables.read(path)
            except (ValueError, OSError) as error:
                messages.append(str(error))
            else:
                assert frame.height, bytes(data)
                assert len(set(frame.columns)) == frame.width
    assert all(str(path) in message for message in messages), messages
