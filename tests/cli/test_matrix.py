"""``dlarray matrix``: what it prints and writes, exit codes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.support import own_library
from tests.support.command_line import CommandLine, plain
from tests.support.own_library import OwnArray, OwnBackend, installed

pytest.importorskip("typer")

QUICK = ("--part", "contract,functions", "--dtype", "float32")


def test_a_library_without_faults(run: CommandLine) -> None:
    result = run("matrix", "--device", "cpu,strict", *QUICK, "--html", "r.html", "--json", "r.json")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("cpu-float32: numpy ")
    assert "1 not applicable; largest deviation" in lines[0]
    assert lines[2:] == ["saved: r.json", "saved: r.html"]
    assert [c["name"] for c in json.loads(Path("r.json").read_text("utf-8"))["columns"]] == [
        "cpu-float32",
        "strict-float32",
    ]
    assert "running" not in Path("r.json").read_text("utf-8")
    assert Path("r.html").read_text("utf-8").startswith("<!doctype html>")
    parts = [f"{name}-float32: {part}" for name in ("cpu", "strict") for part in ("contract", "functions")]
    assert result.stderr.splitlines() == parts


def test_a_crash_leaves_the_finished_columns_and_the_name_of_the_running_check(run: CommandLine) -> None:
    class Crash(BaseException):
        """Like an abort: no ``except Exception`` sees it."""

    def crash(*given: object, **options: object) -> None:
        raise Crash

    files = ("--html", "r.html", "--json", "r.json")
    with installed(OwnBackend()), patch.multiple(own_library.namespace, create=True, take=crash):
        with pytest.raises(Crash):
            run("matrix", "--device", "cpu,own", *QUICK, *files)
        found = json.loads(Path("r.json").read_text("utf-8"))
        assert found["running"] == {"column": "own-float32", "part": "functions", "name": "xp.take(v, xp.argsort(v))"}
        assert [column["name"] for column in found["columns"]] == ["cpu-float32"]
        assert "cpu-float32" in Path("r.html").read_text("utf-8")
        with pytest.raises(Crash):
            run("matrix", "--device", "own", *QUICK, "--json", "new.json")
        assert json.loads(Path("new.json").read_text("utf-8"))["columns"] == []


def test_a_terminal_shows_the_running_check_in_one_line(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def isatty(stream: object) -> bool:
        return True

    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", isatty)
    result = run("matrix", "--device", "cpu", *QUICK)
    assert "\r\x1b[Kcpu-float32: functions: xp.exp(x)\r\x1b[K" in result.stderr
    assert result.stderr.endswith("\r\x1b[K")


def test_the_slowest_checks_are_named_if_one_takes_long(run: CommandLine) -> None:
    assert "slowest" not in run("matrix", "--device", "cpu", *QUICK).stdout
    with patch("dlarray.cli.matrix.SLOW", 0.0):
        out = run("matrix", "--device", "cpu", "--part", "contract", "--dtype", "float32").stdout
    assert out.splitlines()[1].startswith("  slowest  contract: ")


def test_faults_expectations_and_strict(run: CommandLine) -> None:
    def take(*given: object, **options: object) -> OwnArray:
        raise TypeError("indices must be int64")

    with installed(OwnBackend()), patch.multiple(own_library.namespace, create=True, take=take):
        result = run("matrix", "--device", "own", *QUICK)
        assert result.exit_code == 1
        assert "failed functions: xp.take(x, labels, axis=0) TypeError: indices must be int64" in plain(result.stdout)
        assert result.stdout.endswith("2 checks failed\n")
        words = ("matrix", "--device", "own", *QUICK)
        assert "saved: new.xfails" in run(*words, "--write-expected", "new.xfails").stdout
        assert Path("new.xfails").read_text("utf-8").count("  # TypeError: indices must be int64\n") == 2
        for _ in range(2):  # the file stays as it is when it is written from what it expects
            again = ("--expected", "new.xfails", "--strict", "--write-expected", "new.xfails")
            assert run(*words, *again).exit_code == 0
            assert Path("new.xfails").read_text("utf-8").count("  # TypeError: indices must be int64\n") == 2
        Path("own.xfails").write_text("functions: xp.take(x, labels, axis=0)\nfunctions: xp.take(v, xp.argsort(v))\n")
        result = run("matrix", "--device", "own", *QUICK, "--expected", "own.xfails")
        assert result.exit_code == 0, result.output
        assert "2 failed as expected" in result.stdout
        with Path("own.xfails").open("a") as file:
            file.write("functions: xp.exp(x)  # wrong in 0.9\n")
        assert run("matrix", "--device", "own", *QUICK, "--expected", "own.xfails").exit_code == 0
        result = run("matrix", "--device", "own", *QUICK, "--expected", "own.xfails", "--strict")
        assert result.exit_code == 1
        assert "passed unexpectedly functions: xp.exp(x) wrong in 0.9" in plain(result.stdout)
        with patch("dlarray.cli.matrix.MOST", 1):
            assert "more: --html or --json has them all" in run("matrix", "--device", "own", *QUICK).stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--device", "torhc"), "unknown device"),
        (("--device", "cpu", "--part", "function"), "there is no part 'function'"),
        (("--device", "cpu", "--dtype", "half"), "the dtypes of columns are float64 and float32, got 'half'"),
        (("--device", "cpu", "--html", "nowhere/r.html"), "the folder of 'nowhere/r.html' does not exist"),
        (("--device", "cpu", "--expected", "own.xfails"), "line 1: there is no part 'function'"),
        (("--device", "strict:no_float64", "--dtype", "float64"), "no column could be run"),
    ],
)
def test_wrong_usage(run: CommandLine, words: tuple[str, ...], message: str) -> None:
    Path("own.xfails").write_text("function: xp.exp(x)\n")
    result = run("matrix", *words)
    assert result.exit_code == 2
    assert message in plain(result.stderr)


def test_a_file_that_is_missing(run: CommandLine) -> None:
    result = run("matrix", "--device", "cpu", "--expected", "nothing.xfails")
    assert result.exit_code == 1
    assert "No such file or directory: 'nothing.xfails'" in result.stderr
