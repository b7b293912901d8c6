"""Files that other programs write are read as the tables that they were written from."""

from __future__ import annotations

import csv
import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pl = pytest.importorskip("polars")
pd = pytest.importorskip("pandas")

from dlarray import tables  # noqa: E402
from dlarray.tables import TableWarning  # noqa: E402

WORDS = ["plain", "a,b", "c;d", "e|f", 'say "no"', "two words", "naïve café", "tab\there", "O'Neil", "50 %", "#1"]


def table(rows: int = 60, seed: int = 0, words: list[str] = WORDS) -> dict[str, list[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "count": rng.integers(-1000, 1000, rows).tolist(),
        "size in m": rng.normal(size=rows).round(6).tolist(),
        "yes": [bool(b) for b in rng.integers(0, 2, rows)],
        "word": [words[i % len(words)] for i in rng.integers(0, len(words), rows)],
        "gaps": [None if i % 7 == 0 else float(x) for i, x in enumerate(rng.normal(size=rows).round(3))],
    }


def read(path: Path) -> dict[str, list[Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TableWarning)
        return tables.read(path).to_dict(as_series=False)


PANDAS = [
    {"sep": sep, "decimal": decimal, "encoding": encoding, "index": index}
    for sep, decimal, encoding, index in itertools.product(
        ",;\t|", ".,", ["utf-8", "utf-8-sig", "utf-16", "cp1252"], [False, True]
    )
    if sep != "," or decimal != ","
]


@pytest.mark.parametrize("options", PANDAS, ids=lambda o: "-".join(map(str, o.values())))
def test_text_by_pandas(options: dict[str, Any], tmp_path: Path) -> None:
    expected = table()
    pd.DataFrame(expected).to_csv(tmp_path / "t.csv", **options)
    found = read(tmp_path / "t.csv")
    if options["index"]:
        assert found.pop("(unnamed)") == list(range(60))
    assert found == expected


@pytest.mark.parametrize("compression", ["gzip", "bz2", "xz", "zip"])
def test_compressed_text_by_pandas(compression: str, tmp_path: Path) -> None:
    expected = table(500, seed=1)
    pd.DataFrame(expected).to_csv(tmp_path / "t", index=False, compression=compression)
    assert read(tmp_path / "t") == expected


@pytest.mark.parametrize("lines", [False, True])
def test_json_by_pandas(lines: bool, tmp_path: Path) -> None:
    expected = table(seed=2)
    pd.DataFrame(expected).to_json(tmp_path / "t.json", orient="records", lines=lines)
    assert read(tmp_path / "t.json") == expected


def test_aligned_columns_by_pandas(tmp_path: Path) -> None:
    expected = table(seed=3, words=["one", "two", "three"])
    del expected["gaps"]
    expected["size"] = expected.pop("size in m")
    (tmp_path / "t.txt").write_text(pd.DataFrame(expected).to_string(), encoding="utf-8")
    found = read(tmp_path / "t.txt")
    assert found.pop("(unnamed)") == list(range(60))
    assert found == expected


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_by_the_csv_module(quoting: Any, end: str, tmp_path: Path) -> None:
    expected = table(seed=4, words=[*WORDS, f"two{end}lines"])
    with (tmp_path / "t.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=quoting, lineterminator=end)
        writer.writerow(expected)
        writer.writerows(zip(*expected.values(), strict=True))
    if end == "\r":
        expected["word"] = [word.replace("\r", "\n") for word in expected["word"]]
    assert read(tmp_path / "t.csv") == expected


def as_r_writes(value: Any) -> str:
    if value is None:
        return "NA"
    if isinstance(value, bool):
        return str(value).upper()
    return str(value) if isinstance(value, (int, float)) else '"' + value.replace('"', '\\"') + '"'


@pytest.mark.parametrize("separator", [" ", "\t", ","])
@pytest.mark.parametrize("row_names", [False, True])
def test_text_as_r_writes_it(separator: str, row_names: bool, tmp_path: Path) -> None:
    """``write.table`` puts quotes around words and names, and has no name for the row names."""
    expected = table(seed=5, words=[word for word in WORDS if '"' not in word])
    names = [f"Row {i + 1}" for i in range(60)]
    lines = [separator.join(map(as_r_writes, expected))]
    for i, row in enumerate(zip(*expected.values(), strict=True)):
        lines.append(separator.join(map(as_r_writes, [names[i], *row] if row_names else row)))
    (tmp_path / "t.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read(tmp_path / "t.txt")
    if row_names:
        assert found.pop("(unnamed)") == names
    assert found == expected
