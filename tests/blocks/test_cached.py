"""Cached blocks: each block is read once, and its numbers stay those that were read."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dlarray as dl


class Reader:
    """Ten blocks of forty rows with float64 inputs, int64 labels and, if asked for, weights."""

    lengths = (40,) * 10
    blocks_per_group = 3
    fingerprint = "ten"

    def __init__(self, weighted: bool) -> None:
        self.weighted = weighted
        self.reads: list[int] = []
        self.broken = False

    def read(self, i: int) -> Any:
        if self.broken:
            raise OSError("the disk is gone")
        self.reads.append(i)
        r = np.random.default_rng(i)
        x = r.normal(size=(40, 3))
        return x, (x[:, 0] > 0).astype(np.int64), r.uniform(1, 2, 40) if self.weighted else None


@pytest.mark.parametrize("weighted", [False, True])
def test_blocks_are_read_once_and_train_as_before(weighted: bool, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 4, "seed": 3, "metrics": [], "progress": False}
    model = dl.mlp(3, 8, 2)
    expected = dl.fit(model, dl.open_blocks(Reader(weighted)), **options)
    reader = Reader(weighted)
    cached = dl.open_blocks(reader).cached(tmp_path)
    reader.reads.clear()  # one row shows the types
    found = dl.fit(model, cached, **options)
    assert found.history.steps == expected.history.steps
    assert sorted(reader.reads) == list(range(10))
    reader.broken = True
    again = dl.fit(model, cached, **options)
    assert again.history.steps == expected.history.steps
    assert not list(tmp_path.iterdir())


def test_each_array_keeps_its_type_and_numbers(tmp_path: Path) -> None:
    plain = dl.open_blocks(Reader(True))
    cached = plain.cached(tmp_path)
    for i in (4, 0, 4, 9):
        for a, b in zip(cached.read(i), plain.read(i), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    for a, b in zip(cached.targets(0) + cached.targets(7), plain.targets(0) + plain.targets(7), strict=True):
        np.testing.assert_array_equal(a, b)
    assert cached.fingerprint == plain.fingerprint
    assert (cached.group_size, cached.lengths) == (plain.group_size, plain.lengths)


def test_threads_that_read_at_the_same_time_get_their_own_blocks(tmp_path: Path) -> None:
    x = np.arange(4_000_000, dtype=np.float32).reshape(-1, 1)
    cached = dl.open_blocks(x, x[:, 0], rows_per_block=500_000).cached(tmp_path)

    def agrees(i: int) -> bool:
        a, b, _ = cached.read(i)
        return bool(np.all(a[:, 0] == x[i * 500_000 : (i + 1) * 500_000, 0]) and np.all(a[:, 0] == b))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(agrees, list(range(8)) * 8))


@pytest.mark.parametrize("dtype", [object, "T", "U5"])
def test_texts_of_any_type_are_kept(dtype: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(90, 2))
    y = np.where(x[:, 0] > 0, "more", "less").astype(np.dtypes.StringDType() if dtype == "T" else dtype)
    plain = dl.open_blocks(x, y, rows_per_block=20)
    cached = plain.cached(tmp_path)
    for i in (0, 4, 0):
        assert cached.read(i)[1].tolist() == plain.read(i)[1].tolist()
    options: dict[str, Any] = {"epochs": 2, "progress": False}
    expected = dl.fit(dl.mlp(2, 4, 2), plain, **options).history.steps
    assert dl.fit(dl.mlp(2, 4, 2), cached, **options).history.steps == expected


def test_python_objects_are_refused(tmp_path: Path) -> None:
    x = np.zeros((3, 1))
    cached = dl.open_blocks(x, np.array(["a", None, 2], dtype=object)).cached(tmp_path)
    with pytest.raises(TypeError, match="a block holds Python objects"):
        cached.read(0)


def test_a_block_that_failed_is_read_again(tmp_path: Path) -> None:
    reader = Reader(False)
    cached = dl.open_blocks(reader).cached(tmp_path)
    reader.broken = True
    with pytest.raises(OSError, match="the disk is gone"):
        cached.read(2)
    reader.broken = False
    np.testing.assert_array_equal(cached.read(2)[0], Reader(False).read(2)[0])


def test_a_folder_without_room_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlarray.blocks.cached.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="the blocks take 12.8 kB, and 1 kB are free") as error:
        dl.open_blocks(Reader(False)).cached(tmp_path)
    assert error.value.filename == str(tmp_path)
    monkeypatch.setattr("dlarray.blocks.cached.disk_usage", shutil.disk_usage)
    with pytest.raises(FileNotFoundError):
        dl.open_blocks(Reader(False)).cached(tmp_path / "none")
