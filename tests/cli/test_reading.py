"""The options of commands that read a table, files of other kinds, and standard input."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine, plain

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pl = pytest.importorskip("polars")


def odd(frame: Any) -> bytes:
    """The table with columns separated by colons, below two lines of comment and one of prose, in UTF-16."""
    text = frame.write_csv(separator=":")
    return f"! a comment\nprose\n! a: comment\n{text}".encode("utf-16-le")


OPTIONS = ("--separator", ":", "--encoding", "utf-16-le", "--comment", "!", "--skip-lines", "2")


def test_each_command_reads_a_file_by_its_options(wine: Any, run: CommandLine) -> None:
    Path("odd").write_bytes(odd(wine))
    Path("new").write_bytes(odd(wine.drop("target")))
    expected = run("predict", "model.safetensors", "wine.csv").stdout
    result = run("predict", "model.safetensors", "new", *OPTIONS)
    assert (result.exit_code, result.stdout) == (0, expected), result.stderr
    for command in (["evaluate"], ["diagnose"], ["plot", "--what", "confusion"]):
        result = run(*command, "model.safetensors", "odd", *OPTIONS, "--json")
        same = run(*command, "model.safetensors", "wine.csv", "--json")
        assert (result.exit_code, result.stdout) == (0, same.stdout), result.stderr
    result = run("train", "odd", "--target", "target", "--epochs", "1", "--hidden", "2", *OPTIONS)
    assert result.exit_code == 0, result.stderr


def test_a_file_of_another_kind_gives_the_same_predictions_with_a_note(wine: Any, run: CommandLine) -> None:
    expected = run("predict", "model.safetensors", "wine.csv").stdout
    inputs = wine.drop("target")
    lines = ["\t".join([f'"{name}"' for name in inputs.columns])]
    lines += ["\t".join(map(str, [f'"{i}"', *row])) for i, row in enumerate(inputs.rows())]
    Path("new").write_bytes(gzip.compress("\r".join(lines).encode()))
    result = run("predict", "model.safetensors", "new")
    assert (result.exit_code, result.stdout) == (0, expected)
    assert result.stderr.splitlines() == [
        "note: new: its lines end with CR alone, as on old Macs",
        "note: new: the rows have one field more than there are names: the first column is taken as row names",
        "note: columns that training did not have are not used: '(unnamed)'",
    ]
    Path("new").write_text(inputs.write_ndjson(), encoding="utf-8")
    result = run("predict", "model.safetensors", "new")
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected, "")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_table_on_standard_input(compress: Any, wine: Any, run: CommandLine) -> None:
    from typer.testing import CliRunner

    from dlarray.cli import app

    expected = run("predict", "model.safetensors", "wine.csv").stdout
    data = compress(wine.write_csv().encode())
    result = CliRunner().invoke(app, ["predict", "model.safetensors", "-"], input=data, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (0, expected)
    words = "train - --target target --epochs 1 --hidden 2 --output models"
    result = CliRunner().invoke(app, words.split(), input=data, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert Path("models/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--separator ::", "the separator must be one character, such as ',' ';' '|' '\\t' or ' ', got '::'"),
        ("--encoding utf-9", "there is no encoding 'utf-9'"),
        ("--skip-lines -1", "skip_lines must be at least 0, got -1"),
        ("--decimal ;", "unknown decimal ';'"),
    ],
)
def test_a_bad_option_is_wrong_usage(option: str, message: str, run: CommandLine) -> None:
    result = run("train", "t.csv", "--target", "y", *option.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in plain(result.stderr)


def test_names_of_separators(wine: Any, run: CommandLine) -> None:
    expected = run("predict", "model.safetensors", "wine.csv").stdout
    for name, character in {"tab": "\t", "\\t": "\t", "space": " ", "semicolon": ";"}.items():
        wine.write_csv("new", separator=character)
        result = run("predict", "model.safetensors", "new", "--separator", name)
        assert (result.exit_code, result.stdout) == (0, expected)


def test_the_digits_take_no_options_of_reading(run: CommandLine) -> None:
    result = run("train", "digits", "--separator", ";", "--sheet", "x")
    assert result.exit_code == 2
    assert "remove --separator, --sheet" in plain(result.stderr)
