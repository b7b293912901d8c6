"""A class of the target that looks like a missing value is asked about."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pl = pytest.importorskip("polars")

from dlarray import tables  # noqa: E402
from dlarray.tables import ReadOptions, TableWarning  # noqa: E402
from tests.support.tables import SETTINGS, with_warnings, written  # noqa: E402


def table(path: Path, *target: str, other: str = "7") -> Path:
    x = [other, *(str(i % 9) for i in range(1, len(target)))]
    return written(path, {"x": x, "y": list(target)})


@pytest.mark.parametrize(
    ("target", "word", "rows"),
    [
        (["None", "Some", "Marked"] * 20, "None", 20),
        (["AF", "NA", "SA", "AF", "SA"] * 10, "NA", 10),
        (["none"] * 2 + ["a", "b"] * 29, "none", 2),
        (["true", "false", "unknown"] * 10, "unknown", 10),
        (["nil", "one", "two"] * 10, "nil", 10),
    ],
)
def test_a_word_that_could_be_a_class_is_asked_about(target: list[str], word: str, rows: int, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", *target)
    message = (
        f"the target 'y' holds '{word}' in {rows} of {len(target)} rows: to make it a class, use --not-missing {word} "
        f"(ReadOptions(not_missing=['{word}'])); to drop these rows, use --missing {word} "
        f"(ReadOptions(missing=['{word}']))"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        tables.train(path, "y", **SETTINGS)
    model = tables.train(path, "y", reading=ReadOptions(not_missing=[word]), **SETTINGS)
    assert word in model.target.as_data()["labels"]
    assert len(model.examples(path)[1]) == len(target)
    with pytest.warns(TableWarning, match=f"{rows} of {len(target)} rows have no target 'y' and are dropped"):
        model = tables.train(path, "y", reading=ReadOptions(missing=[word]), **SETTINGS)
    assert word not in model.target.as_data()["labels"]


def test_a_word_that_is_missing_in_a_column_of_numbers_is_missing_in_the_target(tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", *["a", "NA", "b"] * 10, other="NA")
    model, notes = with_warnings(lambda: tables.train(path, "y", **SETTINGS))
    assert "column 'y': 'NA' is a missing value, as in column 'x'; to make it a class, use --not-missing NA" in notes
    assert model.target.as_data()["labels"] == ("a", "b")


@pytest.mark.parametrize(("first", "missing"), [(1, True), (0, False)], ids=["R", "pandas"])
def test_na_is_missing_in_files_that_r_has_written(first: int, missing: bool, tmp_path: Path) -> None:
    lines = [f"{i},{i % 7},{('a', 'NA', 'b')[i % 3]}" for i in range(first, first + 30)]
    (tmp_path / "t.csv").write_text("\n".join([",x,y", *lines]) + "\n", encoding="utf-8")
    if not missing:
        with pytest.raises(ValueError, match="holds 'NA' in 10 of 30 rows"):
            tables.train(tmp_path / "t.csv", "y", **SETTINGS)
        return
    _, notes = with_warnings(lambda: tables.train(tmp_path / "t.csv", "y", **SETTINGS))
    assert "column 'y': 'NA' is a missing value, as R writes it; to make it a class, use --not-missing NA" in notes


@pytest.mark.parametrize(
    "target",
    [
        ["a", "b"] * 200 + ["NA"],
        ["a", "b", ""] * 20,
        ["a", "b", "?"] * 20,
        ["1.5", "2.5", "NA"] * 20,
    ],
    ids=["rare", "empty", "question mark", "numbers"],
)
def test_rare_words_marks_and_numbers_are_not_asked_about(target: list[str], tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", *target)
    with pytest.warns(TableWarning, match="rows have no target 'y' and are dropped"):
        model = tables.train(path, "y", **SETTINGS)
    assert sum(model.facts["rows"].values()) == sum(value not in {"", "?", "NA"} for value in target)


def test_text_of_a_frame_is_asked_about_too() -> None:
    frame = pl.DataFrame({"x": list(range(30)), "y": ["None", "a", "b"] * 10})
    with pytest.raises(ValueError, match="--not-missing None"):
        tables.train(frame, "y", keep=["x"], **SETTINGS)
    options: dict[str, Any] = {"keep": ["x"], **SETTINGS}
    model = tables.train(frame, "y", reading=ReadOptions(not_missing=["None"]), **options)
    assert model.target.as_data()["labels"] == ("None", "a", "b")
    with pytest.raises(ValueError, match="the target 'y' is missing in every row"):
        tables.train(frame.with_columns(y=pl.lit("None")), "y", **options)
