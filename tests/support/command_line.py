"""The command line in the test process: ``run("train", "digits")`` is ``dlarray train digits``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CommandLine = Callable[..., Any]
"""Words to a ``typer.testing.Result``; environment variables by name."""


def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line in its own folder."""
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


def plain(text: str) -> str:
    """Text without the frames that rich draws and without its line breaks."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def frame_of(name: str) -> Any:
    """One of scikit-learn's data sets as a polars frame, with the column ``target``."""
    import polars as pl
    from sklearn import datasets

    data = getattr(datasets, f"load_{name}")()
    target = data.target_names[data.target] if hasattr(data, "target_names") else data.target
    return pl.DataFrame({**dict(zip(data.feature_names, data.data.T, strict=True)), "target": target})
