"""``dlarray train --checkpoints FOLDER --resume``, for digits and for tables, and options for several processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import dlarray as dl
from tests.support.command_line import CommandLine, frame_of, plain

pytest.importorskip("typer")
pytest.importorskip("polars")
pytest.importorskip("sklearn")

from dlarray import cli, tables
from dlarray.cli.ranks import CommandRanks
from dlarray.core.ranks import Ranks

train_module = sys.modules[f"{cli.__name__}.train"]


def test_a_training_continues_from_its_checkpoints(run: CommandLine) -> None:
    words = ("train", "digits", "--hidden", "4", "--checkpoints", "states")
    assert run(*words, "--epochs", "1").exit_code == 0
    assert sorted(os.listdir("states")) == ["network-1.safetensors"]
    result = run(*words, "--epochs", "2")
    assert result.exit_code == 1
    assert "error: 'states' has the checkpoints of an earlier training: resume it with --resume" in result.stderr
    result = run(*words, "--epochs", "2", "--resume", "--output", "resumed")
    assert result.exit_code == 0
    assert "resumed: network 1, after 1 epoch\n" in result.stdout
    assert run("train", "digits", "--hidden", "4", "--epochs", "2").exit_code == 0
    resumed, whole = (dl.load(file) for file in ("resumed/digits.safetensors", "digits.safetensors"))
    np.testing.assert_array_equal(resumed.theta[0], whole.theta[0])
    assert resumed.history == whole.history


def test_checkpoints_of_a_table_are_resumed(run: CommandLine) -> None:
    frame_of("wine").write_csv("wine.csv")
    words = ("train", "wine.csv", "--target", "target", "--hidden", "4", "--seeds", "3", "--epochs", "2")
    assert run(*words, "--checkpoints", "states", "--dry-run").exit_code == 0
    assert not Path("states").exists()
    assert run(*words, "--checkpoints", "states").exit_code == 0
    os.remove("states/network-3.safetensors")
    result = run(*words, "--checkpoints", "states", "--resume", "--output", "again.safetensors")
    assert "resumed:    network 2, after 2 epochs\n" in result.stdout
    assert Path("again.safetensors").read_bytes() == Path("model.safetensors").read_bytes()


def test_resume_needs_a_folder(run: CommandLine) -> None:
    result = run("train", "digits", "--resume")
    assert (result.exit_code, plain(result.stderr)) == (
        2,
        "error: --resume continues from checkpoints: give their folder, with --checkpoints FOLDER",
    )


def test_several_processes_cannot_share_stdin(run: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def two(_: bool) -> Generator[CommandRanks]:
        ranks = Ranks()
        ranks.size = 2
        yield CommandRanks(ranks)

    monkeypatch.setattr(train_module, "command_ranks", two)
    result = run("train", "-", "--target", "a")
    assert (result.exit_code, plain(result.stderr)) == (
        2,
        "error: only one process can read stdin: give a file, which every process can read",
    )


def test_networks_of_a_table_are_trained_by_ranks_or_by_workers() -> None:
    pytest.importorskip("joblib")
    with pytest.raises(ValueError, match="give parallel, processes that train each network together, or jobs"):
        tables.prepare(frame_of("wine"), "target", jobs=2, parallel="mpi")
