"""``dlarray train``, ``predict`` and ``evaluate`` on a folder of files that is read in blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.tables import mixed_frame

pytest.importorskip("typer")
pl = pytest.importorskip("polars")

WORDS = ("--target", "whole", "--hidden", "4", "--epochs", "1")


@pytest.fixture
def folder(run: CommandLine) -> Path:
    path = Path("parts")
    path.mkdir()
    frame = mixed_frame(1500)
    for part in range(3):
        frame[part * 500 : (part + 1) * 500].write_parquet(path / f"{part}.parquet", row_group_size=100)
    return path


def test_a_folder_is_trained_on_predicted_and_measured_in_blocks(run: CommandLine, folder: Path) -> None:
    result = run("train", str(folder), *WORDS, "--memory", "1MB")
    assert result.exit_code == 0, result.stderr
    assert "table:      parts, at most 1,500 rows, 7 columns, " in result.stdout
    assert "read in blocks: whole it would need about 2.1 MB, and 1 MB may be used, as requested" in result.stdout
    whole = run("predict", "model.safetensors", str(folder), "--with", "size", "--output", "whole.parquet")
    assert whole.exit_code == 0, whole.stderr
    blocks = run(
        "predict", "model.safetensors", str(folder), "--with", "size", "--output", "b.parquet", "--memory", "1MB"
    )
    assert blocks.exit_code == 0, blocks.stderr
    assert "saved: b.parquet, 1,500 predictions of whole" in blocks.stdout
    found, expected = pl.read_parquet("b.parquet"), pl.read_parquet("whole.parquet")
    assert found["size"].equals(expected["size"])
    assert (found["prediction"] - expected["prediction"]).abs().max() < 1e-3
    metrics = [
        json.loads(run("evaluate", "model.safetensors", str(folder), "--json", *more).stdout)
        for more in ((), ("--memory", "1MB"))
    ]
    assert metrics[0]["rows"] == metrics[1]["rows"] == 1500
    assert metrics[1]["metrics"] == pytest.approx(metrics[0]["metrics"], rel=1e-5)


def test_a_folder_that_fits_is_read_whole(run: CommandLine, folder: Path) -> None:
    result = run("train", str(folder), *WORDS, "--seeds", "1")
    assert result.exit_code == 0, result.stderr
    assert "table:      parts, 1,500 rows, 7 columns, read in" in result.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--memory", "8 apples"), "memory must be a size such as 8GB or 500MB, got '8 apples'"),
        (("--memory", "1MB", "--folds", "3"), "folds are for tables that fit into memory"),
        (("--memory", "1MB", "--batch-size", "0"), "--batch-size 0 is all rows in one step"),
    ],
    ids=["size", "folds", "batch"],
)
def test_what_cannot_be_done_is_said(more: tuple[str, ...], message: str, run: CommandLine, folder: Path) -> None:
    result = run("train", str(folder), *WORDS, *more)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
