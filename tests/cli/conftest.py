"""Fixtures for the command line: a folder of its own, a model of a table, and the models that it trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dlarray as dl
from tests.support.command_line import CommandLine, frame_of, in_folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    pytest.importorskip("typer")
    pytest.importorskip("matplotlib").use("Agg")
    return in_folder(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def wine_model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of the wines, as bytes."""
    from typer.testing import CliRunner

    from dlarray import cli

    folder = tmp_path_factory.mktemp("wine_model")
    frame_of("wine").write_csv(folder / "wine.csv")
    words = f"train {folder / 'wine.csv'} --target target --hidden 16 --epochs 40 --device cpu --output {folder}"
    result = CliRunner().invoke(cli.app, words.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture
def wine(run: CommandLine, wine_model: bytes) -> Any:
    """The wines as a file in the folder, with a model."""
    frame = frame_of("wine")
    frame.write_csv("wine.csv")
    Path("model.safetensors").write_bytes(wine_model)
    return frame


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dl.Trained]:
    """The models that ``dlarray.fit`` returned to the command line."""
    found: list[dl.Trained] = []
    fit = dl.fit

    def spy(*args: Any, **options: Any) -> dl.Trained:
        found.append(fit(*args, **options))
        return found[-1]

    monkeypatch.setattr(dl, "fit", spy)
    return found


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pictures, which take longer than an epoch; tests/plot looks at them."""
    from dlarray import plot

    monkeypatch.setattr(plot, "training_report", lambda *_, **__: None)
    monkeypatch.setattr(plot, "save", lambda _, path: Path(path).touch())
