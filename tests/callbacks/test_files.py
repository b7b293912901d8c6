"""Files that callbacks write during training: checkpoints, logs, TensorBoard's events and plots."""

from __future__ import annotations

import csv
import json
import math
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.callbacks import (
    MODEL,
    Scripted,
    Spy,
    equal,
    fit,
    numbers,
)


def test_checkpoints_are_written_kept_and_read_as_models(tmp_path: Path) -> None:
    spy = Spy()
    fit(epochs=5, callbacks=[spy, dl.Checkpoint(tmp_path / "run-{epoch}-{step}.safetensors", epochs=2, keep=2)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run-4-12.safetensors", "run-5-15.safetensors"]
    loaded = dl.load(tmp_path / "run-4-12.safetensors")
    assert loaded.model == MODEL
    assert equal(numbers(loaded), spy.models[3])


def test_checkpoints_by_steps(tmp_path: Path) -> None:
    fit(epochs=2, callbacks=[dl.Checkpoint(tmp_path / "{step}", steps=2, keep=9)])
    assert {p.name for p in tmp_path.iterdir()} == {"2", "4", "6"}


def test_the_best_checkpoint(tmp_path: Path) -> None:
    spy, path = Spy(), tmp_path / "best.safetensors"
    values = [0.5, 0.9, 0.7, math.nan, 0.9]
    fit(epochs=5, metrics=[Scripted(values)], callbacks=[spy, dl.Checkpoint(path, best="accuracy")])
    assert equal(numbers(dl.load(path)), spy.models[1])


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.safetensors"
    fit(epochs=1, callbacks=[dl.Checkpoint(path)])
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left.*run\.safetensors"):
        fit(epochs=2, callbacks=[dl.Checkpoint(path)])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.safetensors"]


def test_logs_hold_a_line_for_each_epoch(tmp_path: Path) -> None:
    table, lines = tmp_path / "log.csv", tmp_path / "log.jsonl"
    metric = Scripted([0.5, math.nan, 0.25])
    trained = fit(metrics=[metric], optimizer=dl.Adam(0.5), callbacks=[dl.CSVLog(table), dl.JSONLinesLog(lines)])
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "step", "seconds", "rate", "loss", "accuracy"]
    assert [float(row["loss"]) for row in rows] == trained.history["loss"]
    assert [(row["epoch"], row["step"], row["rate"]) for row in rows] == [
        (str(e), str(3 * e), "0.5") for e in (1, 2, 3)
    ]
    objects = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["accuracy"] for row in objects] == [0.5, None, 0.25]
    assert [row["loss"] for row in objects] == trained.history["loss"]


def events(folder: Path) -> list[tuple[str, int, float]]:
    """(tag, step, value) of all events in a folder: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found: list[tuple[str, int, float]] = []
    for path in sorted(folder.iterdir()):
        data, i = path.read_bytes(), 0
        while i < len(data):
            (length,) = struct.unpack_from("<Q", data, i)
            event = Event.FromString(data[i + 12 : i + 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            i += 16 + length
    return found


def test_tensorboard_reads_the_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    trained = fit(epochs=2, optimizer=dl.Adam(0.25), callbacks=[dl.TensorBoard(tmp_path, steps=3)])
    losses = [("loss", 3 * (i + 1), np.float32(v)) for i, v in enumerate(trained.history["loss"])]
    found = events(tmp_path)
    assert [e for e in found if e[0] == "loss"] == losses
    assert [e for e in found if e[0] == "learning_rate"] == [("learning_rate", 3, 0.25), ("learning_rate", 6, 0.25)]
    assert [e[1:] for e in found if e[0] == "step_loss"] == [
        (s, np.float32(trained.history.steps[s - 1])) for s in (3, 6)
    ]


def test_a_missing_library_is_missed_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Spy()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'pip install "dlarray\[tensorboard\]"'):
        fit(callbacks=[dl.TensorBoard(tmp_path), spy])
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "dlarray\[plot\]"'):
        fit(callbacks=[dl.LivePlot(path=tmp_path / "p.png"), spy])
    assert {call[0] for call in spy.calls} == {"end"}


@pytest.fixture
def pyplot() -> Any:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    return pytest.importorskip("matplotlib.pyplot")


def test_a_live_plot_is_a_file_or_a_notebook_s_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyplot: Any
) -> None:
    path = tmp_path / "live.png"
    fit(callbacks=[dl.LivePlot(path=path, every=2)])
    assert pyplot.imread(path)[..., :3].std() > 0.05
    shown: list[Any] = []
    handle = SimpleNamespace(update=lambda figure: shown.append(len(figure.axes[0].lines[0].get_xdata())))

    def display(figure: Any, display_id: bool) -> Any:
        shown.append(len(figure.axes))
        return handle

    kernel = SimpleNamespace(kernel=1)
    ipython = SimpleNamespace(get_ipython=lambda: kernel, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    fit(callbacks=[dl.LivePlot(["loss"])])
    assert shown == [1, 2, 3]
    assert pyplot.get_fignums() == []
