"""The files of a run: their names, and that no other file is ever removed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.callbacks.pattern import Pattern
from tests.support.edited import edited

X = np.linspace(-1, 1, 8).reshape(-1, 1)
MODEL = dl.MLP(1, [dl.Dense(1)])


def fit(**options: Any) -> dl.Trained:
    options = {"epochs": 5, "batch_size": 4, "progress": False, "compile": False, "device": "cpu"} | options
    return dl.fit(MODEL, X, 2 * X, **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_names_are_formatted_with_the_epoch_the_step_and_the_metrics(tmp_path: Path) -> None:
    name = "run-{epoch:02d}-{step:>4}-{validation_loss:.3f}-{{x}}.st"
    trained = fit(epochs=2, validation=(X, 2 * X), callbacks=[dl.Checkpoint(tmp_path / name)])
    losses = trained.history["validation_loss"]
    assert names(tmp_path) == {f"run-{i + 1:02d}-{2 * i + 2:>4}-{losses[i]:.3f}-{{x}}.st" for i in range(2)}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{", "cannot be formatted: .* a brace is written {{"),
        ("{}", "has the field {}: a field is a name"),
        ("{epoch.real}", "has the field {epoch.real}"),
        ("{epoch[0]}", r"has the field {epoch\[0\]}"),
        ("{epoch!r}", "has the field {epoch}"),
        ("{epoch:{step}}", "has the field {epoch}"),
    ],
)
def test_what_is_no_name_with_fields_is_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        dl.Checkpoint(tmp_path / name)


def test_fields_that_nothing_fills_are_refused_before_the_first_step(tmp_path: Path) -> None:
    for name, words in {
        "{epohc}": "field {epohc}, did you mean 'epoch'.; known are epoch, step, loss, r2",
        "{validation_loss}": "field {validation_loss}",
        "{loss:03d}": "cannot be formatted: Unknown format code 'd'",
        "{epoch:zz}": "cannot be formatted",
    }.items():
        with pytest.raises(ValueError, match=words):
            fit(callbacks=[dl.Checkpoint(tmp_path / name)])
    with pytest.raises(ValueError, match="{loss} is a metric of the epochs: give epochs"):
        dl.Checkpoint(tmp_path / "{loss}", steps=2)
    with pytest.raises(ValueError, match="keep=2 needs files of different names"):
        dl.Checkpoint(tmp_path / "{loss}", keep=2)
    assert not names(tmp_path)


def test_a_run_that_goes_on_keeps_as_many_files_as_it_did(tmp_path: Path) -> None:
    callbacks = [dl.Checkpoint(tmp_path / "run-{epoch}", keep=2)]
    fit(callbacks=callbacks, epochs=3)
    assert names(tmp_path) == {"run-2", "run-3"}
    fit(callbacks=callbacks, epochs=5, resume=tmp_path / "run-3")
    assert names(tmp_path) == {"run-4", "run-5"}


def test_a_run_that_branches_off_deletes_nothing_of_the_one_before(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    fit(callbacks=[dl.Checkpoint(old / "run-{epoch}", keep=3)], epochs=3)
    before = {path: path.read_bytes() for path in old.iterdir()}
    (new / "run-2").write_bytes(b"of somebody else")
    fit(callbacks=[dl.Checkpoint(new / "run-{epoch}", keep=1)], resume=old / "run-3")
    assert names(new) == {"run-2", "run-5"}
    fit(callbacks=[dl.Checkpoint(old / "branch-{epoch}", keep=1)], resume=old / "run-3")
    assert names(old) == {"run-1", "run-2", "run-3", "branch-5"}
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_finished_run_that_is_resumed_to_another_name_is_written_there(tmp_path: Path) -> None:
    fit(callbacks=[dl.Checkpoint(tmp_path / "a")], epochs=2)
    before = (tmp_path / "a").stat().st_mtime_ns
    for name in ("a", "b"):
        fit(callbacks=[dl.Checkpoint(tmp_path / name)], epochs=2, resume=tmp_path / "a")
    assert names(tmp_path) == {"a", "b"}
    assert (tmp_path / "a").stat().st_mtime_ns == before


def test_a_file_that_a_run_was_stopped_before_deleting_goes_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callbacks = [dl.Checkpoint(tmp_path / "run-{epoch}", keep=1)]
    with monkeypatch.context() as patch:
        patch.setattr("dlarray.callbacks.checkpoint._remove", lambda path: None)  # type: ignore[misc]
        fit(callbacks=callbacks, epochs=2)
    assert names(tmp_path) == {"run-1", "run-2"}
    fit(callbacks=callbacks, epochs=3, resume=tmp_path / "run-2")
    assert names(tmp_path) == {"run-3"}


def test_a_crafted_file_deletes_nothing_but_names_of_the_pattern(tmp_path: Path) -> None:
    folder, victim = tmp_path / "runs", tmp_path / "victim"
    folder.mkdir()
    for path in (victim, folder / "thesis", folder / "run-9.txt"):
        path.write_bytes(b"precious")
    (folder / "run-7").mkdir()
    (folder / "run-8").symlink_to(victim)
    callbacks = [dl.Checkpoint(folder / "run-{epoch}", keep=1)]
    fit(callbacks=callbacks, epochs=2)
    edited(folder / "run-2", lambda run: run["callbacks"][0][1].update(files=[{"epoch": i} for i in (7, 8)]))
    fit(callbacks=callbacks, epochs=4, resume=folder / "run-2")
    assert names(folder) >= {"thesis", "run-9.txt", "run-7", "run-8"}
    assert victim.read_bytes() == b"precious"
    for paths in ([str(victim)], ["thesis"], [{"epoch": "../victim"}], [{"epoch": 1, "step": 2}], {}, None):
        edited(folder / "run-4", lambda run, paths=paths: run["callbacks"][0][1].update(files=paths))
        with pytest.raises(dl.CheckpointError, match=r"run-4 is not a training checkpoint: .*(file|epoch)"):
            fit(callbacks=callbacks, epochs=6, resume=folder / "run-4")
    assert victim.read_bytes() == b"precious"


def test_a_run_sweeps_what_a_killed_one_left_in_its_folder(tmp_path: Path) -> None:
    orphan, long_ago = tmp_path / f".dlarray-{'a' * 16}", time.time() - 7200
    orphan.write_bytes(b"half a checkpoint")
    os.utime(orphan, (long_ago, long_ago))
    fit(callbacks=[dl.Checkpoint(tmp_path / "run-{epoch}", epochs=9)], epochs=1)
    assert names(tmp_path) == {"run-1"}


def test_a_pattern_is_always_a_name_in_its_folder() -> None:
    pattern = Pattern(Path("{runs}") / "{epoch}-{{epoch}}")
    assert pattern.at(3, 7, {}) == Path("{runs}") / "3-{epoch}"
    for number in ("../victim", "a/../../victim"):
        with pytest.raises(ValueError, match="would leave its folder"):
            pattern.path({"epoch": number})  # type: ignore[dict-item] - as a file might hold it
