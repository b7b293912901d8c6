"""Writing a model's file: the old file stays whole if an error ends it, and errors name the path."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from tests.support.models import trained_model


def unharmed(folder: Path, before: bytes) -> None:
    """The old file is as it was, and nothing lies beside it."""
    assert [path.name for path in folder.iterdir()] == ["model"]
    assert (folder / "model").read_bytes() == before


def test_paths_that_cannot_be_read_are_the_system_s_own_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere") as caught:
        dl.load(tmp_path / "nowhere")
    assert caught.value.filename == str(tmp_path / "nowhere") or caught.value.filename == tmp_path / "nowhere"
    with pytest.raises((IsADirectoryError, PermissionError), match=tmp_path.name):
        dl.load(tmp_path)


def test_paths_that_cannot_be_written_are_errors_with_the_path_that_was_given(tmp_path: Path) -> None:
    trained = trained_model(dl.mlp(4, 2))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: .*nowhere.model'"):
        trained.save(tmp_path / "nowhere" / "model")
    with pytest.raises((NotADirectoryError, FileNotFoundError), match=r"file.model'"):
        trained.save(tmp_path / "file" / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises((IsADirectoryError, PermissionError), match=r"folder'$"):
        trained.save(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_no_permission_is_an_error_with_the_path(old: tuple[Path, bytes]) -> None:
    path, before = old
    path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    path.chmod(0)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("this user may write and read everything")
        with pytest.raises(PermissionError, match="model"):
            trained_model(dl.mlp(4, 2)).save(path)
        with pytest.raises(PermissionError, match="model"):
            dl.load(path)
    finally:
        path.parent.chmod(stat.S_IRWXU)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    unharmed(path.parent, before)


@pytest.mark.parametrize("where", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_where_writing_fails_the_old_file_stays_and_nothing_else(
    where: str, error: BaseException, old: tuple[Path, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = old

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(os, where, fail)
    with pytest.raises(type(error)) as caught:
        trained_model(dl.mlp(4, 3), seed=2).save(path)
    if isinstance(error, OSError):
        assert caught.value.errno == errno.ENOSPC  # type: ignore[attr-defined]
        assert str(path) in str(caught.value)
    unharmed(path.parent, before)


@pytest.mark.skipif(os.name != "posix", reason="the limits of POSIX")
def test_a_disk_that_takes_no_more_leaves_the_old_file_and_nothing_else(old: tuple[Path, bytes]) -> None:
    import resource

    path, before = old
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large: .*model'"):
            trained_model(dl.mlp(4, 2), seed=2).save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    unharmed(path.parent, before)


def test_the_bytes_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    for name in ("fsync", "replace"):
        plain = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, plain=plain: (done.append(name), plain(*a))[1])
    trained_model(dl.mlp(4, 2)).save(tmp_path / "model")
    assert done == (["fsync", "replace", "fsync"] if os.name == "posix" else ["fsync", "replace"])


def test_two_threads_may_write_one_file(tmp_path: Path) -> None:
    """One of them is the last; the file is whole all the time."""
    models = [trained_model(dl.mlp(4, 50, 2), seed=seed) for seed in range(4)]
    failed: list[BaseException] = []

    def work(trained: dl.Trained) -> None:
        try:
            for _ in range(10):
                trained.save(tmp_path / "model")
                dl.load(tmp_path / "model")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(trained,)) for trained in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert any(np.array_equal(dl.load(tmp_path / "model").theta[0], trained.theta[0]) for trained in models)
