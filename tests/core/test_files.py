"""Atomic writes: links, modes, long names, and what remains if a program or a disk fails."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.files import replacing
from tests.support.command_line import in_folder

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and flushed folders of POSIX")
LINE = dl.MLP(1, [dl.Dense(1, weight="zeros")])
X = np.ones((4, 1))


def fit(**options: Any) -> dl.Trained:
    options = {"epochs": 2, "batch_size": 4, "progress": False, "compile": False, "device": "cpu"} | options
    return dl.fit(LINE, X, X, **options)


def write(path: Path, data: bytes = b"new") -> None:
    with replacing(path) as file:
        file.write(data)


def save(path: Path) -> None:
    dl.Trained(LINE, LINE.init(0, dl.resolve("cpu")), (), dl.MeanSquaredError(), dl.resolve("cpu")).save(path)


def checkpoint(path: Path) -> None:
    fit(callbacks=[dl.Checkpoint(path)])


def log(path: Path) -> None:
    fit(callbacks=[dl.CSVLog(path)])


def picture(path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    dl.plot.save(pyplot.figure(), path)


WRITERS = {"replacing": write, "save": save, "checkpoint": checkpoint, "log": log, "picture": picture}
writers = pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
@writers
def test_a_link_stays_and_leads_to_the_new_file(writer: Callable[[Path], None], tmp_path: Path) -> None:
    target, latest, dangling = (tmp_path / "far" / "run-1"), tmp_path / "latest", tmp_path / "dangling"
    target.parent.mkdir()
    target.write_bytes(b"old")
    latest.symlink_to(Path("far") / "run-1")
    dangling.symlink_to(Path("far") / "run-2")
    for path in (latest, dangling):
        writer(path)
        assert path.is_symlink()
    assert os.readlink(latest) == "far/run-1"
    assert b"old" != target.read_bytes() != b""
    assert sorted(p.name for p in target.parent.iterdir()) == ["run-1", "run-2"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dangling", "far", "latest"]


@posix
@writers
@pytest.mark.parametrize("given", [0o600, 0o640, 0o664])
def test_an_existing_file_keeps_its_mode(writer: Callable[[Path], None], given: int, tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_bytes(b"old")
    path.chmod(given)
    writer(path)
    assert path.read_bytes() != b"old"
    assert mode(path) == given


@posix
@writers
def test_a_new_file_has_the_mode_that_the_umask_leaves(writer: Callable[[Path], None], tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        writer(tmp_path / "new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o640


@posix
def test_the_bytes_of_a_private_file_are_private_from_the_first_one_on(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.write_bytes(b"old")
    path.chmod(0o600)
    with replacing(path):
        (temporary,) = (p for p in tmp_path.iterdir() if p != path)
        assert mode(temporary) == 0o600


@writers
def test_a_name_may_be_as_long_as_the_file_system_allows(writer: Callable[[Path], None], tmp_path: Path) -> None:
    for n in (240, 255):
        writer(tmp_path / ("n" * n))
    assert sorted(len(p.name) for p in tmp_path.iterdir()) == [240, 255]


@posix
def test_what_is_no_regular_file_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join(10)
    assert got == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write(Path(os.devnull))
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@posix
def test_a_circle_of_links_is_an_error_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"'.*a'$") as caught:
        write(tmp_path / "a")
    assert caught.value.errno == errno.ELOOP
    assert (tmp_path / "a").is_symlink()


@posix
def test_the_temporary_name_is_random_and_no_link_is_followed_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: set[str] = set()
    for _ in range(3):
        with replacing(tmp_path / "file"):
            names |= {p.name for p in tmp_path.iterdir()} - {"file"}
    assert len(names) == 3
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    monkeypatch.setattr("secrets.token_hex", "ab".__mul__)
    (tmp_path / f".dlarray-{'ab' * 8}").symlink_to(victim)
    with pytest.raises(FileExistsError, match=r"file'$"):
        write(tmp_path / "file", b"overwritten")
    assert victim.read_bytes() == b"precious"


@posix
def test_a_folder_that_cannot_be_flushed_leaves_the_file_in_its_place_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.fsync

    def fail(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        plain(handle)

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.warns(RuntimeWarning, match=r"file is written, but its folder .*Input/output error"):
        write(path)
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def broken(error: BaseException) -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise error

    for error in (ValueError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            broken(error)
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
def test_a_full_device_is_an_error_with_the_path() -> None:
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        save(Path("/dev/full"))


def test_what_a_killed_program_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    orphan, fresh, folder = (tmp_path / f".dlarray-{c * 16}" for c in "abc")
    others = [tmp_path / name for name in (".dlarray-kernels", ".dlarray-1234", f".dlarray-{'A' * 16}", ".else")]
    long_ago = time.time() - 7200
    folder.mkdir()
    for path in (orphan, fresh, *others):
        path.write_bytes(b"half a file")
    for path in (orphan, folder, *others):
        os.utime(path, (long_ago, long_ago))
    write(tmp_path / "file")
    assert set(tmp_path.iterdir()) == {fresh, folder, *others, tmp_path / "file"}


@posix
def test_predictions_go_through_a_link_and_keep_their_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = in_folder(tmp_path, monkeypatch)
    pytest.importorskip("polars")
    table, model, real, output = (tmp_path / n for n in ("t.csv", "m.safetensors", "real.csv", "link.csv"))
    table.write_text("a,b,y\n" + "".join(f"{i},{i % 3},{2 * i}.5\n" for i in range(20)))
    assert command("train", str(table), "--target", "y", "--epochs", "1", "--output", str(model)).exit_code == 0
    real.write_text("old")
    real.chmod(0o600)
    output.symlink_to("real.csv")
    assert command("predict", str(model), str(table), "--output", str(output)).exit_code == 0
    assert output.is_symlink()
    assert real.read_text().startswith("prediction")
    assert mode(real) == 0o600
