"""Tables in blocks: together the blocks are the table that is read whole, whatever the file looks like."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import ReadOptions  # noqa: E402
from dlarray.tables.blocks import open_blocks  # noqa: E402
from dlarray.tables.blocks.parquet_footer import row_groups  # noqa: E402
from tests.support.tables import mixed_frame, with_warnings  # noqa: E402
from tests.tables.test_unusual_files import archive  # noqa: E402


def text(rows: int = 200, end: str = "\n", quoted: bool = True) -> str:
    """A CSV whose rows have one to three lines, with quotes and separators in quotes."""
    rng = np.random.default_rng(3)
    words = ["plain", 'a "quoted" word', "two\nlines", "1,5", "", 'three\n"lines"\nhere', "ü"]
    lines = ["n,word,x"]
    for n in range(rows):
        word = words[int(rng.integers(len(words)))] if quoted else "plain"
        written = '"' + word.replace('"', '""') + '"' if set(word) & set('",\n') else word
        lines.append(f"{n},{written.replace(chr(10), end)},{rng.normal():.3f}")
    return end.join(lines) + end


FILES: dict[str, bytes] = {
    "LF": text().encode(),
    "CRLF": text(end="\r\n").encode(),
    "CR alone": text(end="\r").encode(),
    "the mark of UTF-8": text().encode("utf-8-sig"),
    "UTF-16": text().encode("utf-16"),
    "UTF-16 without a mark": text().encode("utf-16-le"),
    "cp1252": text().encode("cp1252"),
    "cp1252 after many lines of ASCII": (text(3000, quoted=False) + "7,ü,1\n").encode("cp1252"),
    "gzip": gzip.compress(text().encode()),
    "gzip of UTF-16": gzip.compress(text().encode("utf-16")),
    "bzip2": bz2.compress(text().encode()),
    "xz": lzma.compress(text().encode()),
    "zip": archive(t_csv=text()),
    "Ctrl-Z at the end": text().encode() + b"\x1a",
    "no end of the last line": text().rstrip("\n").encode(),
    "a quote inside a value": text().replace("plain", '5" plain').encode(),
    "an odd number of quotes inside values": (text() + '9,5" pipe,1\n10,end,2\n').encode(),
    "names in the middle": (text() + text().replace("\n", "\n", 1)).encode(),
    "blank lines": text().replace("plain,", "plain,").replace("\n7,", "\n\n7,").encode(),
    "lines before the names": ("A table of words\n\n" + text()).encode(),
    "semicolons": ("a;b;c\n" + "".join(f"{i};{i / 7:.3f};w{i % 3}\n" for i in range(200))).encode(),
    "white space": ("a b c\n" + "".join(f"{i}   {i / 7:.3f}\tw{i % 3}\n" for i in range(200))).encode(),
    "a separator at the end of all lines": ("a,b,\n" + "".join(f"{i},{i % 3},\n" for i in range(200))).encode(),
    "no names": "".join(f"{i % 5},{i / 7:.3f},w\n" for i in range(200)).encode(),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
@pytest.mark.parametrize("most_bytes", [64, 1000], ids=["64 bytes", "1000 bytes"])
@pytest.mark.filterwarnings("ignore::dlarray.tables.TableWarning")
def test_the_blocks_of_a_text_are_its_rows(data: bytes, most_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    blocks = open_blocks(path, ReadOptions(), 10**6, most_bytes)
    assert len(blocks) > 1
    expected = tables.read_verbatim(path)
    assert pl.concat(blocks.frames()).equals(expected)
    assert sum(frame.height for frame in blocks.frames()) <= blocks.most_rows


def test_lines_are_counted_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text())
    lines = path.read_text().split("\n")
    blocks = open_blocks(path, ReadOptions(), 10**6, 100)
    for number in range(len(blocks)):
        frame = blocks.read(number)
        for row in range(frame.height):
            line = int(blocks.place(number, row).removeprefix("line ").replace(",", ""))
            assert lines[line - 1].startswith(f"{frame['n'][row]},")


def test_row_numbers_differ_in_all_blocks_of_all_files(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.csv").write_text(text())
    blocks = open_blocks(tmp_path, ReadOptions(), 10**6, 500)
    numbers = [block.first + row for block in blocks.blocks for row in range(block.most_rows)]
    assert len(set(numbers)) == len(numbers)
    assert len(blocks) > 10


@pytest.mark.parametrize("most_rows", [7, 40, 1000])
def test_the_blocks_of_parquet_are_its_rows(most_rows: int, tmp_path: Path) -> None:
    path, frame = tmp_path / "t.parquet", mixed_frame(500)
    frame.write_parquet(path, row_group_size=60)
    blocks = open_blocks(path, ReadOptions(), most_rows, 2**24)
    assert pl.concat(blocks.frames()).equals(frame)
    assert max(block.most_rows for block in blocks.blocks) <= most_rows
    assert blocks.most_rows == 500


def test_row_groups_are_those_of_pyarrow(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    for written in (
        lambda: mixed_frame(500).write_parquet(path, row_group_size=60),
        lambda: parquet.write_table(mixed_frame(500).to_arrow(), path, row_group_size=70, compression="gzip"),
    ):
        written()
        metadata = parquet.ParquetFile(path).metadata
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        assert [(g.rows, g.bytes) for g in row_groups(path, "t")] == [(g.num_rows, g.total_byte_size) for g in groups]


@pytest.mark.parametrize("cut", [4, 9, 50])
def test_an_incomplete_parquet_file_is_refused(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    mixed_frame(50).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ValueError, match="is not a complete Parquet file"):
        open_blocks(path, ReadOptions(), 100, 2**20)


def test_a_name_with_the_marks_of_a_pattern_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t [1]*.parquet"
    mixed_frame(50).write_parquet(path)
    assert pl.concat(open_blocks(path, ReadOptions(), 20, 2**20).frames()).equals(mixed_frame(50))
    for memory in ("1GB", "1MB"):
        tables.open_table(path, memory=memory)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("rows", [2000, 20_000])
def test_a_damaged_compressed_file_is_named(compress: Callable[[bytes], bytes], rows: int, tmp_path: Path) -> None:
    data = compress(text(rows, quoted=False).encode())
    (tmp_path / "a.csv").write_text(text())
    for damaged in (data[:-50], data[:300] + b"x" * 200 + data[500:]):
        (tmp_path / "b.csv").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"b\.csv is not a complete compressed file: "):
            open_blocks(tmp_path, ReadOptions(), 100, 2**20)


def test_a_damaged_footer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    mixed_frame(50).write_parquet(path)
    data = path.read_bytes()
    for start in range(len(data) - 200, len(data) - 8):
        path.write_bytes(data[:start] + b"\xff" * 8 + data[start + 8 :])
        with suppress(ValueError):  # no other error, and no endless loop
            assert isinstance(row_groups(path, "t"), list)


FOLDERS: dict[str, Callable[[Path], Any]] = {
    "columns in another order": lambda f: (f / "b.csv").write_text("y,x\n3,4\n"),
    "no names in the second file": lambda f: (f / "b.csv").write_text("4,3\n"),
    "another separator": lambda f: (f / "b.csv").write_text("x;y\n4;3\n"),
    "compressed": lambda f: (f / "b.csv.gz").write_bytes(gzip.compress(b"x,y\n4,3\n")),
    "in a folder of its own": lambda f: ((f / "more").mkdir(), (f / "more" / "b.csv").write_text("x,y\n4,3\n")),
    "files that are no part": lambda f: (
        (f / "b.csv").write_text("x,y\n4,3\n"),
        (f / "_SUCCESS").write_text(""),
        (f / ".hidden.csv").write_text("other\n1\n"),
    ),
    "a file without rows": lambda f: ((f / "b.csv").write_text("x,y\n4,3\n"), (f / "c.csv").write_text("x,y\n")),
}


@pytest.mark.parametrize("add", FOLDERS.values(), ids=FOLDERS)
@pytest.mark.filterwarnings("ignore::dlarray.tables.TableWarning")
def test_the_files_of_a_folder_are_one_table(add: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n2,3\n")
    add(tmp_path)
    found = open_blocks(tmp_path, ReadOptions(), 100, 2**20)
    assert pl.concat(found.frames()).to_dict(as_series=False) == {"x": ["1", "2", "4"], "y": ["2", "3", "3"]}
    whole = tables.open_table(tmp_path)
    assert isinstance(whole, tables.Table)
    assert whole.typed.to_dict(as_series=False) == {"x": [1, 2, 4], "y": [2, 3, 3]}


def test_types_of_several_parquet_files_are_joined(tmp_path: Path) -> None:
    pl.DataFrame({"x": [1, 2], "y": ["a", "b"]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"y": ["c"], "x": [2.5]}).write_parquet(tmp_path / "b.parquet")
    pl.DataFrame({"y": ["c"], "x": [None]}).write_parquet(tmp_path / "c.parquet")
    found = pl.concat(open_blocks(tmp_path, ReadOptions(), 100, 2**20).frames())
    assert found.to_dict(as_series=False) == {"x": [1.0, 2.0, 2.5, None], "y": ["a", "b", "c", "c"]}


def test_folders_named_by_a_value_give_a_column(tmp_path: Path) -> None:
    for year in (2012, 2013):
        (tmp_path / f"year={year}").mkdir()
        pl.DataFrame({"x": [year * 2]}).write_parquet(tmp_path / f"year={year}" / "part-0.parquet")
    found = pl.concat(open_blocks(tmp_path, ReadOptions(), 100, 2**20).frames())
    assert found.to_dict(as_series=False) == {"x": [4024, 4026], "year": ["2012", "2013"]}


def test_names_of_folders_are_unescaped(tmp_path: Path) -> None:
    """polars writes what Hive and Spark write, and reads it."""
    frame = pl.DataFrame({"x": [1, 2, 3], "a place": ["Paris/Nord", "50 %", "São Paulo"]})
    frame.write_parquet(tmp_path, partition_by=["a place"])
    found = pl.concat(open_blocks(tmp_path, ReadOptions(), 100, 2**20).frames())
    assert found.sort("x").equals(frame.select("x", "a place"))


def _other_columns(folder: Path) -> None:
    (folder / "b.csv").write_text("x,z\n1,2\n")


def _other_types(folder: Path) -> None:
    (folder / "a.csv").unlink()
    pl.DataFrame({"x": [1]}).write_parquet(folder / "a.parquet")
    pl.DataFrame({"x": ["a"]}).write_parquet(folder / "b.parquet")


def _two_kinds(folder: Path) -> None:
    pl.DataFrame({"x": [1]}).write_parquet(folder / "b.parquet")


def _other_keys(folder: Path) -> None:
    (folder / "year=2013").mkdir()
    (folder / "year=2013" / "b.csv").write_text("x,y\n1,2\n")


def _nothing(folder: Path) -> None:
    (folder / "a.csv").rename(folder / "a.md")


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "other columns": (_other_columns, r"b\.csv has not the columns of .*a\.csv: it lacks 'y' and it has 'z' instead"),
    "other types": (_other_types, r"b\.parquet has the column 'x' as String, and the files before it as Int64"),
    "two kinds of files": (_two_kinds, r"files of two kinds, such as 'b\.parquet', 'a\.csv'"),
    "other keys": (_other_keys, r"lies in folders for the columns"),
    "no tables": (_nothing, r"is a folder without Parquet or CSV files: it has 'a\.md'"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_folder_that_is_no_table_is_refused(change: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        open_blocks(tmp_path, ReadOptions(), 100, 2**20)


def test_a_note_names_what_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "README.md").write_text("about")
    _, notes = with_warnings(lambda: open_blocks(tmp_path, ReadOptions(), 100, 2**20))
    assert notes == [f"{tmp_path}: no part of the table, and not read: 'README.md'"]


def test_a_quote_that_is_not_closed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlarray.tables.blocks.row_ends.LONGEST", 1000)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n2,y\n" + '3,"z\n' + "4,w\n" * 1000)
    with pytest.raises(ValueError, match="a quote that begins in line 4 is not closed"):
        open_blocks(path, ReadOptions(), 10**6, 64)


def test_the_fingerprint_changes_with_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    before = open_blocks(path, ReadOptions(), 100, 2**20).fingerprint
    assert open_blocks(path, ReadOptions(), 100, 2**20).fingerprint == before
    os.utime(path, (1e9, 1e9))
    assert open_blocks(path, ReadOptions(), 100, 2**20).fingerprint == before  # copied data are the same data
    path.write_text("a,b\n1,3\n")
    assert open_blocks(path, ReadOptions(), 100, 2**20).fingerprint != before


def test_the_fingerprint_of_a_copied_folder_is_the_same(tmp_path: Path) -> None:
    found: set[str] = set()
    for folder in (tmp_path / "one", tmp_path / "two"):
        for year in ("2012", "2013"):
            (folder / f"year={year}").mkdir(parents=True)
            (folder / f"year={year}" / "a.csv").write_text(f"a,b\n1,{year}\n")
        found.add(open_blocks(folder, ReadOptions(), 100, 2**20).fingerprint)
    assert len(found) == 1


def test_a_file_that_has_changed_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("a,b\n1,2\n")
    table = open_blocks(tmp_path, ReadOptions(), 100, 2**20)
    (tmp_path / "b.csv").write_text("a,b\n1,2\n3,4\n")
    assert table.read(0).height == 1
    with pytest.raises(ValueError, match=r"b\.csv had 8 bytes when the table was opened, and has 12 now: open the"):
        table.read(1)


def test_a_table_is_read_whole_if_it_fits(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n3,4\n" * 4000)
    assert isinstance(tables.open_table(path, memory="100 MB"), tables.Table)
    large = tables.open_table(path, memory="1MB")
    assert isinstance(large, tables.LargeTable)
    assert large.way == "read in blocks: whole it would need about 3.2 MB, and 1 MB may be used, as requested"


@pytest.mark.parametrize("memory", ["8 apples", "", "0", -1, 5, 1.5])
def test_a_memory_that_is_no_size_is_refused(memory: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="memory"):
        tables.open_table("t.csv", memory=memory)
