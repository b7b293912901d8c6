"""Help, the table of devices, and wrong usage of the command line."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import dlarray as dl
from dlarray.core.registry import classes
from tests.support.command_line import CommandLine
from tests.support.process import python

pytest.importorskip("typer")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from typer.testing import CliRunner

from dlarray import cli


def builtin(kind: type) -> list[str]:
    """dlarray's classes of this kind, without those of other tests."""
    return [name for name, cls in classes(kind).items() if cls.__module__.startswith("dlarray.")]


# Help, and the table of devices


def test_help_names_every_choice_and_default(run: CommandLine) -> None:
    whole = run("--help")
    assert whole.exit_code == 0
    assert "train" in whole.stdout
    assert "devices" in whole.stdout
    text = run("train", "digits", "--help").stdout
    for option in (
        "--device",
        "--epochs",
        "--hidden",
        "--activation",
        "--optimizer",
        "--batch-size",
        "--seed",
        "--output",
    ):
        assert option in text
    plain = re.sub(r"[\s│]+", " ", text)
    for name in builtin(dl.Activation) + builtin(dl.Optimizer):
        assert re.search(rf"\b{name}\b", plain), name
    assert "By default 32, more for a large table." in plain
    for default in (
        "by default 128, for digits 256.",
        "200, for digits 30.",
        "adamw, for digits adam.",
        "by default 5.",
    ):
        assert default in plain
    assert "[default: relu]" in plain


@pytest.mark.parametrize("words", [(), ("train",)])
def test_without_a_command_it_helps(words: tuple[str, ...], run: CommandLine) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "Usage" in result.output


def test_the_table_shows_every_device_with_its_reason_and_remedy(run: CommandLine) -> None:
    result = run("devices")
    assert result.exit_code == 0
    head, *rows = result.stdout.split("\n\n")[0].splitlines()
    assert head.split() == ["device", "usable", "library"]
    for status, row in zip(dl.devices(), rows, strict=True):
        assert row.split() == [status.name, "yes" if status.usable else "no", *status.library.split()]
        if not status.usable:
            assert f"\n{status.name} is not usable: {status.reason}\n" in result.stdout
            assert f"\nremedy: {status.remedy}\n" in result.stdout


def test_text_in_brackets_is_shown_unchanged(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """rich, which draws the table, would read them as styles."""
    status = dl.device.DeviceStatus(
        "odd", "odd", False, "lib [red]1[/]", "[Errno 2] no [/dev/odd]", 'pip install "dlarray[odd]"'
    )
    monkeypatch.setattr(import_module("dlarray.cli.devices"), "devices", lambda: [status])
    text = run("devices").stdout
    for words in ("lib [red]1[/]", "[Errno 2] no [/dev/odd]", 'pip install "dlarray[odd]"'):
        assert words in text


# Wrong input: one line of error, exit code 2 (1 for a failure), no training and no files


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--activation rely", "error: unknown activation 'rely', did you mean 'relu'?; known are"),
        ("--optimizer adamm", "error: unknown optimizer 'adamm', did you mean 'adam'?; known are adadelta"),
        ("--device cdua", "error: device='cdua' names an unknown device, did you mean 'cuda'?"),
        ("--hidden many", "error: --hidden takes integers separated by commas, got 'many'"),
        ("--hidden 12,,8", "error: --hidden takes integers separated by commas, got '12,,8'"),
        ("--hidden 0", "error: --hidden needs at least 1 unit in each layer, got 0"),
        ("--epochs 0", "error: epochs must be at least 1, got 0"),
        ("--batch-size -1", "error: batch_size must be at least 1, got -1"),
        ("--seed -1", "error: seed must lie in [0, 2**63), got -1"),
        ("--epochs many", "Invalid value for '--epochs'"),
        ("--learning-rat 1", "No such option: --learning-rat (Possible options: --learning-rate)"),
        ("--learning-rate -1", "error: learning_rate must be above 0, got -1"),
        ("--target digit", "error: the digits have a fixed target and split: remove --target"),
        ("--output occupied", "Not a directory: 'occupied'"),
        ("--output occupied/below", "Not a directory: 'occupied'"),
        ("--output m.st", "error: --output must be a folder or a file that ends in .safetensors, got 'm.st'; to use a"),
    ],
)
def test_wrong_options_are_errors_of_one_line(
    words: str, message: str, run: CommandLine, runs: list[dl.Trained], tmp_path: Path
) -> None:
    (tmp_path / "occupied").write_text("")
    result = run("train", "digits", *words.split())
    assert result.exit_code == (1 if "occupied" in words else 2)
    assert message in " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())
    assert "Traceback" not in result.output
    assert not runs
    assert [path.name for path in tmp_path.iterdir()] == ["occupied"]


def test_a_wrong_variable_is_named_in_the_error(run: CommandLine) -> None:
    result = run("train", "digits", DLARRAY_DEVICE="nonsense")
    assert result.exit_code == 2
    assert "error: the environment variable DLARRAY_DEVICE='nonsense' names an unknown device" in result.stderr


def test_a_diverged_training_is_an_error_of_one_line(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_: Any, **__: Any) -> None:
        raise dl.DivergedError("the loss became nan", 7, None)  # type: ignore[arg-type]

    monkeypatch.setattr(dl, "fit", diverge)
    result = run("train", "digits")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the loss became nan at step 7: the weights have diverged.")


@pytest.mark.parametrize(
    ("library", "message"),
    [
        ("matplotlib.pyplot", 'error: pictures are drawn by matplotlib: pip install "dlarray[plot]"'),
        ("sklearn", 'error: the digits come with scikit-learn: pip install "dlarray[data]"'),
    ],
)
def test_a_missing_library_is_an_error_before_the_training(
    library: str,
    message: str,
    run: CommandLine,
    runs: list[dl.Trained],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    call = CliRunner()
    monkeypatch.setitem(sys.modules, library, None)
    result = call.invoke(cli.app, ["train", "digits"], catch_exceptions=False)
    assert result.exit_code == 1
    assert result.stderr.strip() == message
    assert not runs
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_without_its_libraries_the_command_says_what_to_install(library: str) -> None:
    code = f"""
import runpy, sys
sys.modules["{library}"] = None  # as if it were not installed
sys.modules.pop("typer", None) if "{library}" == "rich" else None
sys.argv = ["dlarray", "devices"]
try: runpy.run_module("dlarray", run_name="__main__")
except SystemExit as error: print(error.code)
"""
    assert python(code) == f'the command line needs {library}: pip install "dlarray[cli]"'


def test_another_module_that_is_missing_is_not_called_typer() -> None:
    code = """
import sys
sys.modules["dlarray.core.registry"] = None
from dlarray.__main__ import main
try: main()
except ModuleNotFoundError as error: print(error.name)
"""
    assert python(code) == "dlarray.core.registry"


def test_a_terminal_without_unicode_is_no_error(tmp_path: Path) -> None:
    code = f"""
import sys
from dlarray.__main__ import main
sys.argv = ["dlarray", "train", "digits", "--epochs", "1", "--hidden", "4", "--output", {str(tmp_path)!r}]
main()
"""
    text = python(code, PYTHONIOENCODING="ascii", MPLBACKEND="Agg")
    assert "W 64?4" in text
    assert "saved:" in text
