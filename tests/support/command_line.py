"""The command line in this process, for tests: ``run("train", "digits")`` is what a user would type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CommandLine = Callable[..., Any]
"""Words to a ``typer.testing.Result``; environment variables by name."""


def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line in a folder of its own."""
    from typer.testing import CliRunner

    from dlarray import cli, plot

    monkeypatch.chdir(folder)
    monkeypatch.delenv("DLARRAY_DEVICE", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words: str, **environment: str) -> Any:
        result = CliRunner().invoke(cli.app, list(words), env=environment, catch_exceptions=False)
        plot.pyplot().close("all")
        return result

    return call
