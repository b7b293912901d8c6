"""Logs on the disk: whole lines only, resumed runs, and disks that are full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl

LINE = dl.MLP(1, [dl.Dense(1, weight="zeros")])
X = np.ones((4, 1))


def fit(**options: Any) -> dl.Trained:
    options = {"epochs": 2, "batch_size": 4, "progress": False, "compile": False, "device": "cpu"} | options
    return dl.fit(LINE, X, X, **options)


Log = type[dl.CSVLog] | type[dl.JSONLinesLog]
logs = pytest.mark.parametrize("kind", [dl.CSVLog, dl.JSONLinesLog])


def stopped_run(tmp_path: Path, kind: Log, epochs: int = 3) -> tuple[Path, Path, list[bytes]]:
    """A checkpoint after ``epochs`` epochs, the log until then, and its lines with their ends."""
    run, log = tmp_path / "run", tmp_path / "log"
    fit(epochs=epochs, callbacks=[kind(log), dl.Checkpoint(run)])
    return run, log, log.read_bytes().splitlines(keepends=True)


def epochs_of(log: Path) -> list[int]:
    lines = log.read_text().splitlines()
    if lines[0].startswith("{"):
        return [json.loads(line)["epoch"] for line in lines]
    return [int(line.split(",")[0]) for line in lines[1:]]


@logs
def test_a_line_that_was_cut_off_is_removed_and_does_not_count(kind: Log, tmp_path: Path) -> None:
    """At any length: without the end of the line a number may be cut off."""
    run, log, lines = stopped_run(tmp_path, kind)
    for torn in (lines[-1][:-1], lines[-1][:-12], b"3", b'{"epoch": 3', b"\xff\xfe" + bytes(9), b"\0\n3\n{}\n[3]\n"):
        log.write_bytes(b"".join(lines[:-1]) + torn)
        fit(epochs=5, callbacks=[kind(log)], resume=run)
        assert epochs_of(log) == [1, 2, 4, 5]
        assert log.read_bytes().startswith(b"".join(lines[:-1]))


@logs
def test_a_run_that_is_resumed_only_adds_where_every_line_is_whole(kind: Log, tmp_path: Path) -> None:
    run, log, lines = stopped_run(tmp_path, kind)
    before = log.stat().st_ino
    fit(epochs=5, callbacks=[kind(log)], resume=run)
    assert log.stat().st_ino == before
    assert log.read_bytes().splitlines(keepends=True)[: len(lines)] == lines
    assert epochs_of(log) == [1, 2, 3, 4, 5]


@logs
def test_a_log_that_an_editor_has_saved_goes_on(kind: Log, tmp_path: Path) -> None:
    """With a byte order mark, and with line ends of Windows."""
    run, log, lines = stopped_run(tmp_path, kind)
    log.write_bytes(b"\xef\xbb\xbf" + b"".join(lines).replace(b"\n", b"\r\n"))
    fit(epochs=5, callbacks=[kind(log)], resume=run)
    assert log.read_bytes().startswith(b"".join(lines))
    assert epochs_of(log) == [1, 2, 3, 4, 5]


@logs
def test_lines_that_go_are_removed_in_a_new_file(kind: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error at this moment keeps all lines, also those of epochs after the checkpoint."""
    run, log, lines = stopped_run(tmp_path, kind)
    later = lines[-1].replace(b"3", b"4", 1)
    log.write_bytes(b"".join(lines) + later)
    before = log.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match=r"No space left on device: .*log'"):
            fit(epochs=5, callbacks=[kind(log)], resume=run)
    assert log.read_bytes() == before
    fit(epochs=5, callbacks=[kind(log)], resume=run)
    assert epochs_of(log) == [1, 2, 3, 4, 5]


def test_a_table_of_other_metrics_is_refused_before_the_first_step(tmp_path: Path) -> None:
    run, log, lines = stopped_run(tmp_path, dl.CSVLog)
    with pytest.raises(ValueError, match=r"log has the columns .*,rate,loss,r2, and this run has .*,rate,loss: give"):
        fit(epochs=5, metrics=[], callbacks=[dl.CSVLog(log)], resume=run)
    assert log.read_bytes() == b"".join(lines)


@logs
@pytest.mark.skipif(os.name != "posix", reason="the limits of POSIX")
def test_a_line_that_cannot_be_written_is_an_error_with_the_path_and_leaves_the_others(
    kind: Log, tmp_path: Path
) -> None:
    import resource

    log = tmp_path / "log"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Full(dl.Callback):
        def on_epoch(self, run: dl.Run) -> None:
            if run.epoch == 3:  # the disk takes a part of the line
                resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 5, limits[1]))

    try:
        with pytest.raises(OSError, match=r"File too large: .*log'"):
            fit(epochs=5, callbacks=[Full(), kind(log)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert epochs_of(log) == [1, 2]
    assert log.read_bytes().endswith(b"\n")
    with pytest.raises(FileNotFoundError, match=r"nowhere.log'"):
        fit(callbacks=[kind(tmp_path / "nowhere" / "log")])
