"""What every command prints on a terminal of 80 columns and without one: verbatim, and with nothing that it obeys."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.terminal import on_terminal, run_on_terminal

pytest.importorskip("typer")
pytest.importorskip("polars")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("termios")

from typer.main import get_command

from dlarray import cli

STYLE = re.compile(r"\x1b\[[\d;]*m")
ESCAPE, RETURN, OVERRIDE = "\x1b]0;hidden\x07", "\r", "\u202e"
ODD = f"{ESCAPE}[red]{RETURN}{OVERRIDE}"
"""A title for the window, markup of rich, a carriage return, and a mark that turns the text that follows."""
COMMANDS = ("train", "predict", "evaluate", "plot", "diagnose", "devices", "bench")


def on_80_columns(*words: str, folder: Path) -> tuple[int, str]:
    code, received = run_on_terminal([sys.executable, "-m", "dlarray", *words], 80, folder)
    return code, received.replace("\r\n", "\n")


def test_devices_shows_no_markup_and_whole_remedies(tmp_path: Path) -> None:
    def piped(*words: str) -> str:  # in a process of its own, as on the terminal: a GPU is not emulated there
        return subprocess.check_output([sys.executable, "-m", "dlarray", "devices", *words], cwd=tmp_path, text=True)

    code, text = on_80_columns("devices", folder=tmp_path)
    assert code == 0
    assert "[/]" not in text
    assert "\\[" not in text
    assert "\x1b[32myes" in text
    assert STYLE.sub("", text).split() == piped().split()
    for device in json.loads(piped("--json"))["devices"]:
        if not device["usable"]:
            assert f"{device['name']} is not usable: {device['reason']}\n" in text
            assert f"remedy: {device['remedy']}\n" in text


@pytest.mark.parametrize("words", [(), *((command,) for command in COMMANDS)], ids=["dlarray", *COMMANDS])
def test_no_command_in_a_help_is_broken(words: tuple[str, ...], tmp_path: Path, run: CommandLine) -> None:
    code, text = on_80_columns(*words, "--help", folder=tmp_path)
    assert code == 0
    lines = [re.sub(r"^│|│$", "", line).strip() for line in STYLE.sub("", text).splitlines()]
    for line in lines:
        assert line.count("`") % 2 == 0, f"a command goes on in the next line: {line}"
    command: Any = get_command(cli.app)
    epilog = (command.commands[words[0]] if words else command).epilog
    examples = [line.strip() for line in epilog.splitlines() if line.strip().startswith("dlarray")]
    assert examples
    in_pipe = [line.strip() for line in run(*words, "--help", COLUMNS="80").stdout.splitlines()]
    for example in examples:
        assert example in lines
        assert example in in_pipe


def written(path: Path, columns: dict[str, list[Any]]) -> Path:
    """A Parquet file, which can hold any text."""
    import polars as pl

    pl.DataFrame(columns).write_parquet(path)
    return path


@pytest.fixture
def odd(tmp_path: Path, run: CommandLine) -> Path:
    """A table with control characters in its names, categories, labels and file name."""
    n = 60
    columns = {
        f"x{ODD}": [i * 7 % 13 + 0.5 for i in range(n)],
        f"kind{ODD}": [f"{ODD}{i % 3}" for i in range(n)],
        f"constant{ODD}": [f"{ODD}same"] * n,
        f"target{ODD}": [f"class{ODD}{i % 2}" for i in range(n)],
    }
    return written(tmp_path / f"odd{ODD}.parquet", columns)


def harmless(text: str, *, sees: bool = True) -> None:
    """Nothing that a terminal obeys, but for styles; ``sees``: the names are shown, with what they hold as escapes."""
    for obeyed in ("\x1b]", "\x07", OVERRIDE, f"]{RETURN}"):
        assert obeyed not in text
    if sees:
        assert "\\x1b]0;hidden\\x07[red]\\r\\u202e" in text


def test_control_characters_of_a_file_reach_no_output(odd: Path, run: CommandLine, tmp_path: Path) -> None:
    target = f"target{ODD}"
    trained = run("train", str(odd), "--target", target, "--epochs", "1", "--hidden", "4", "--device", "cpu")
    assert trained.exit_code == 0, trained.output
    harmless(trained.output)
    model = str(tmp_path / "model.safetensors")
    other = written(
        tmp_path / f"other{ODD}.parquet",
        {
            f"x{ODD}": [1.5, None],
            f"kind{ODD}": [f"new{ODD}", f"{ODD}1"],
            f"target{ODD}": [f"class{ODD}0"] * 2,
            f"extra{ODD}": [1, 2],
        },
    )
    for words in (
        ("evaluate", model),
        ("evaluate", model, str(odd)),
        ("evaluate", model, str(other)),
        ("diagnose", model, str(odd)),
        ("plot", model, "--what", "weights"),
        ("plot", model, str(odd), "--what", "confusion", "--output", f"errors{ODD}.png"),
        ("predict", model, str(other), "--output", f"predictions{ODD}.csv"),
        ("predict", model, str(other), "--json"),
    ):
        result = run(*words)
        assert result.exit_code == 0, result.output
        harmless(result.output, sees=False)
    written(other, {f"x{ODD}": [1], f"other{ODD}": [2]})
    for words in (
        ("train", str(odd)),
        ("train", str(odd), "--target", f"tarjet{ODD}"),
        ("train", f"absent{ODD}.csv", "--target", "y"),
        ("train", str(odd), "--target", f"constant{ODD}"),
        ("predict", model, str(other)),
        ("predict", model, f"absent{ODD}.csv"),
        ("predict", f"absent{ODD}.safetensors", str(other)),
        ("predict", model, str(odd), "--with", f"absent{ODD}"),
        ("evaluate", model, str(other)),
        ("diagnose", model, str(other)),
        ("plot", model, f"absent{ODD}.csv", "--what", "confusion"),
    ):
        result = run(*words)
        assert result.exit_code in (1, 2), result.output
        harmless(result.output, sees=False)


def test_a_terminal_sees_control_characters_as_escapes(odd: Path, run: CommandLine, tmp_path: Path) -> None:
    target = f"target{ODD}"
    words = ("train", str(odd), "--target", target, "--epochs", "1", "--hidden", "4", "--device", "cpu")
    code, text = on_80_columns(*words, folder=tmp_path)
    assert code == 0, text
    harmless(STYLE.sub("", text).replace("\n", ""), sees=False)
    assert "next:" in text
    model = str(tmp_path / "model.safetensors")
    for words, names in {
        ("predict", model, str(odd)): True,
        ("evaluate", model): True,
        ("evaluate", model, str(odd)): False,
        ("diagnose", model, str(odd)): False,
        ("plot", model, "--what", "weights"): False,
        ("bench", "--cases", "4-4x4", "--bursts", "1", "--seconds", "0.001"): False,
    }.items():
        code, text = on_80_columns(*words, folder=tmp_path)
        assert code == 0, text
        harmless(text, sees=names)
    assert f"class{ODD}0" in run("predict", model, str(odd)).stdout  # a pipe gets the data as they are


def test_the_next_command_is_one_line_on_a_terminal(wine: Any, tmp_path: Path) -> None:
    folder = "a folder with a long name, which makes the line longer than the terminal"
    words = ("train", "wine.csv", "--target", "target", "--epochs", "1", "--output", f"{folder}/")
    code, text = on_80_columns(*words, folder=tmp_path)
    assert code == 0, text
    (line,) = (line for line in STYLE.sub("", text).split("\n") if line.startswith("next:"))
    assert line.endswith("NEW.csv --output predictions.csv")


def test_an_option_and_its_value_stay_on_one_line_of_a_table(tmp_path: Path) -> None:
    code = """
from rich.table import Table
from dlarray.cli.output import Output
for n in range(40):
    table = Table(box=None)
    table.add_column("name")
    table.add_column("reason", overflow="fold")
    table.add_row("x" * 12, "an identifier " + "y" * n + "; to use it: --keep 'tail number' or --number z")
    Output(json=False).text(table)
"""
    text = STYLE.sub("", on_terminal(code, 80, folder=tmp_path))
    assert max(map(len, text.splitlines())) == 80
    assert text.count("--keep 'tail number'") == text.count("--number z") == 40
