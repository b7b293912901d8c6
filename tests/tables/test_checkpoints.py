"""The training of a table that is interrupted at any network and resumed gives the model of an undisturbed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("polars")
pytest.importorskip("sklearn")

from dlarray import tables
from dlarray.callbacks import Checkpoint
from dlarray.training import CheckpointError, Run
from tests.support.command_line import frame_of

OPTIONS: dict[str, Any] = {"hidden": (8,), "epochs": 4, "seeds": 3, "device": "cpu", "progress": False}


class Killed(BaseException):
    """Stands for the end of the process."""


def train_until(folder: Path, written: int, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Train until so many checkpoints are written."""
    left = [written]
    write = Checkpoint._write

    def counting(self: Checkpoint, run: Run) -> None:
        write(self, run)
        left[0] -= 1
        if not left[0]:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "_write", counting)
        with pytest.raises(Killed):
            tables.train(frame_of("wine"), "target", checkpoints=folder, **OPTIONS | options)


def same(a: tables.TableModel, b: tables.TableModel) -> bool:
    return all(map(np.array_equal, a.trained.theta, b.trained.theta)) and a.facts == b.facts


@pytest.mark.parametrize("written", [1, 5, 9])
def test_a_training_is_resumed_at_any_network(tmp_path, monkeypatch, written):
    train_until(tmp_path / "run", written, monkeypatch)
    prepared = tables.prepare(frame_of("wine"), "target", checkpoints=tmp_path / "run", resume=True, **OPTIONS)
    epochs = {1: "1 epoch", 5: "1 epoch", 9: "1 epoch"}[written]
    assert prepared.resumed == f"network {1 + written // 4}, after {epochs}"
    assert same(prepared.train(), tables.train(frame_of("wine"), "target", **OPTIONS))


def test_folds_have_checkpoints_of_their_own(tmp_path, monkeypatch):
    options = {"folds": 2, "seeds": 1}
    train_until(tmp_path, 4 + 4 + 3, monkeypatch, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fold-1-network-1.safetensors",
        "fold-2-network-1.safetensors",
        "network-1.safetensors",
    ]
    prepared = tables.prepare(frame_of("wine"), "target", checkpoints=tmp_path, resume=True, **OPTIONS | options)
    assert prepared.resumed == "fold 2, network 1, after 3 epochs"
    assert same(prepared.train(), tables.train(frame_of("wine"), "target", **OPTIONS | options))


def test_a_complete_training_is_not_repeated(tmp_path, monkeypatch):
    first = tables.train(frame_of("wine"), "target", checkpoints=tmp_path, **OPTIONS)
    monkeypatch.setattr(Checkpoint, "_write", lambda *_: pytest.fail("an epoch was trained again"))
    assert same(first, tables.train(frame_of("wine"), "target", checkpoints=tmp_path, resume=True, **OPTIONS))


def test_what_would_mix_two_trainings_is_refused(tmp_path, monkeypatch):
    frame = frame_of("wine")
    train_until(tmp_path, 2, monkeypatch)
    with pytest.raises(ValueError, match=r"has the checkpoints of an earlier training: resume it .* another folder"):
        tables.train(frame, "target", checkpoints=tmp_path, **OPTIONS)
    with pytest.raises(ValueError, match="from a different run and cannot be resumed here: seed was 0, is 1"):
        tables.train(frame, "target", checkpoints=tmp_path, resume=True, seed=1, **OPTIONS)
    with pytest.raises(CheckpointError, match="it was trained on other rows, or on other values"):
        tables.train(frame.reverse(), "target", checkpoints=tmp_path, resume=True, **OPTIONS)
    with pytest.raises(ValueError, match="resume needs checkpoints, the folder to resume from"):
        tables.prepare(frame, "target", resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        tables.prepare(frame, "target", checkpoints=tmp_path / "file")
